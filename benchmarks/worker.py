"""One backend in a process of its own: reads a request in each line of its input and answers in a line of JSON.

`python benchmarks/worker.py with_numpy`; started by `ops.py`, which sets the number of threads in the environment.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from backends.cases import CASES, arrays


class Worker:
    """The rows that a backend can do, each made once and run when asked."""

    def __init__(self, backend: ModuleType) -> None:
        self.backend = backend
        self.runs: dict[str, Callable[[], list[Any]]] = {}
        if hasattr(backend, "threads"):
            backend.threads(int(os.environ["OPENBLAS_NUM_THREADS"]))

    def check(self, row: str, path: str) -> dict[str, Any]:
        """Run a row for the first time, and save what it gives; {"able": False} when this backend has no such row."""
        kinds = getattr(self.backend, "KINDS", None)
        make = getattr(self.backend, CASES[row].kind, None) if kinds is None else kinds.get(CASES[row].kind)
        if make is None:
            return {"able": False}
        made, wanted, times = make(arrays(CASES[row])), [], 1.0
        if isinstance(made, tuple):  # a part of the row, with the right answer for this part
            made, wanted, times = made
        self.runs[row] = made
        np.savez(path, *made())
        np.savez(f"{path}.wanted.npz", *wanted)
        return {"able": True, "times": times}

    def time(self, row: str, repeats: int) -> dict[str, Any]:
        """CPU seconds of one run, of all threads, as the mean of a few."""
        run = self.runs[row]
        run()
        start = time.process_time()
        for _ in range(repeats):
            run()
        return {"seconds": (time.process_time() - start) / repeats}


def main() -> None:
    """Answer until the input ends."""
    try:
        backend = importlib.import_module(f"backends.{sys.argv[1]}")
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}), flush=True)
        return
    worker = Worker(backend)
    print(json.dumps({"version": _version(sys.argv[1])}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop("do"))(**request)
        print(json.dumps(answer), flush=True)


def _version(backend: str) -> str:
    name = {"with_torch": "torch", "with_autograd": "autograd"}.get(backend, "numpy")
    return importlib.import_module("importlib.metadata").version(name)


if __name__ == "__main__":
    main()
