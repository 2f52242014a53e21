"""Runs lessons and their probes in a process of its own, without a sandbox; the tests start it with a specification.

Standard input holds {"package": folder, "out": folder, "jobs": [...]}, each job with key, name, cells, probes_source,
probes and seed. It runs in a fork, and leaves out/key.npz and out/key.json, a list of [probe, names of its arrays,
error, seconds].
"""

import __future__

import json
import os
import sys
import time
import types
from pathlib import Path

import numpy as np


def leaves(value, name=""):
    """The arrays in what a probe returned, by path."""
    if callable(getattr(value, "numpy", None)):
        value = value.numpy()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, (list, tuple)):
        pairs = enumerate(value)
    elif isinstance(value, str):
        return {f"{name}:str": np.frombuffer(value.encode(), dtype=np.uint8)}
    elif value is None:
        return {f"{name}:none": np.zeros(0)}
    else:
        array = np.asarray(value)
        if array.dtype.kind not in "fiubc":
            raise TypeError(f"{name or 'the result'} is a {type(value).__name__}, which cannot be sent")
        return {name: array}
    found = {}
    for key, inner in pairs:
        found |= leaves(inner, f"{name}.{key}" if name else str(key))
    return found


def run(job, out):
    """Run the cells of one job and then its probes, and write what they returned."""
    lesson = sys.modules[job["name"]] = types.ModuleType(job["name"])
    future = 0  # a notebook's cells keep what an earlier one imported from __future__
    for number, source in enumerate(job["cells"]):
        try:
            code = compile(source, f"<{job['name']} cell {number}>", "exec", flags=future, dont_inherit=True)
            future |= code.co_flags & __future__.annotations.compiler_flag
            exec(code, lesson.__dict__)
        except Exception as error:
            print(f"{job['key']}: cell {number}: {type(error).__name__}: {error}", file=sys.stderr)
    probes = {}
    exec(compile(job["probes_source"], "probes.py", "exec"), probes)
    arrays, index = {}, []
    for number, name in enumerate(job["probes"]):
        started, found, error = time.perf_counter(), {}, ""
        try:
            found = leaves(probes[name](lesson, np.random.default_rng([job["seed"], number])))
        except Exception as raised:
            error = f"raised {type(raised).__name__}: {raised}"
        index.append([name, list(found), error, time.perf_counter() - started])
        arrays |= {f"{number}.{place}": array for place, array in enumerate(found.values())}
    np.savez(out / f"{job['key']}.npz", **arrays)
    (out / f"{job['key']}.json").write_text(json.dumps(index), encoding="utf-8")


def main():
    """Run every job, each in a copy of this process."""
    specification = json.load(sys.stdin)
    sys.path.insert(0, specification["package"])
    import tinytorch  # noqa: F401 (warm, before the forks)

    for job in specification["jobs"]:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                run(job, Path(specification["out"]))
                status = 0
            finally:
                os._exit(status)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
