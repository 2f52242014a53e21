"""A learner's model, counted from what a child process saw of one forward pass. Never imported here.

The child (live_child.py) tells which layers were called, with which shapes and arrays; each known layer is then
counted by the rule that counts the same word of a specification.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tito.analysis.cost import FLOPS_PER_MAC, Cost, Model, Options
from tito.analysis.hardware import Hardware, roofline
from tito.analysis.live_layers import translate
from tito.analysis.live_rows import Seen, counted
from tito.analysis.models import Given
from tito.analysis.roof import Measured, Profile
from tito.analysis.shown import SHOWN, Shown
from tito.errors import EnvironmentFault, LearnerError, LimitExceeded, UsageError

CHILD = Path(__file__).with_name("live_child.py")
LIMIT = 60.0  # seconds for the model to be made and to answer
_ERRORS: dict[str, type[UsageError | LearnerError]] = {"usage": UsageError, "learner": LearnerError}


@dataclass(frozen=True)
class Target:
    """A file or a module, and the attribute in it."""

    written: str
    file: str
    module: str
    attribute: str


def target_of(written: str, directory: Path, root: Path) -> Target:
    """Read `model.py:build` or `package.module:name`; a file is looked for from the directory, then from the root.

    Raises UsageError when there is no such file or no name behind the colon.
    """
    place, _, attribute = written.strip().rpartition(":")
    if not place or not attribute or re.fullmatch(r"[\\/].*", attribute) or attribute.endswith(".py"):
        file = written.strip().rstrip(":")
        raise UsageError(f"{file} does not say which object", f"name a model in it: {Path(file).name}:build")
    if not place.endswith(".py"):
        return Target(written, "", place, attribute)
    for base in (directory, root):
        if (base / place).is_file():
            return Target(written, str((base / place).resolve()), "", attribute)
    raise UsageError(f"there is no file {place}", "the path is read from the current directory, then from the root")


def ask(
    root: Path,
    directory: Path,
    target: Target,
    given: Given,
    *,
    batch: int = 1,
    repeats: int = 0,
    quiet: bool = False,
    limit: float = LIMIT,
) -> dict[str, Any]:
    """What the child saw of one forward pass, and of `repeats` more that are timed; `quiet` silences its prints.

    Raises LearnerError with the learner's frames, UsageError, LimitExceeded.
    """
    with tempfile.TemporaryDirectory(prefix="tito-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        request = {
            "root": str(root),
            "directory": str(directory),
            "written": target.written,
            "file": target.file,
            "module": target.module,
            "attribute": target.attribute,
            "input": list(given.input) if given.input else None,
            "seq": given.seq,
            "batch": batch,
            "repeats": repeats,
            "warmup": 2,
            "seconds": limit / 4,
            "quiet": quiet,
            "result": str(place / "result.json"),
        }
        (place / "request.json").write_text(json.dumps(request), encoding="utf-8")
        command = [sys.executable, "-P", str(CHILD), str(place / "request.json")]
        code = _run(command, root, target.written, limit)
        try:
            found: dict[str, Any] = json.loads((place / "result.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            raise LearnerError(
                f"{target.written} ended its process ({_ending(code)}) before the model had answered", "is it os._exit?"
            ) from None
    if "error" in found:
        _refuse(found, target)
    return found


def _run(command: Sequence[str], root: Path, written: str, limit: float) -> int:
    """Run the child, its prints on stderr, and return its exit code. Raises LimitExceeded."""
    import subprocess

    from tito.runner import child_process

    with child_process(command, root, 2) as process:
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            raise LimitExceeded(
                f"{written} was still running after {limit:.0f} s",
                "is there an endless loop, or an input larger than needed? --input makes it smaller",
            ) from None


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _refuse(found: dict[str, Any], target: Target) -> None:
    """Raise what the child told, with the learner's frames under it."""
    frames = "\n".join(found.get("frames", []))
    if not frames and found["error"] == "learner" and "hint" in found:
        raise LearnerError(found["message"], found["hint"])
    if found["error"] == "learner":
        missing = found["message"].startswith("ModuleNotFoundError: No module named 'tinytorch")
        hint = "build and export the module that it needs: tito module status" if missing else ""
        raise LearnerError(f"{target.written} failed: {found['message']}\n{frames}".rstrip(), hint)
    error = _ERRORS.get(found["error"], EnvironmentFault)
    raise error(found["message"], found.get("hint", ""))


def count_object(
    root: Path,
    directory: Path,
    written: str,
    options: Options,
    given: Given,
    note: Callable[[str], None] = lambda text: None,
) -> Cost:
    """Count a learner's object: what its layers cost for a batch of `options.batch`.

    Raises what `ask` raises.
    """
    if given.activation:
        raise UsageError("--activation is for sizes; a model says itself what is between its layers")
    found = ask(root, directory, target_of(written, directory, root), given)
    return cost_of(found, written, options)[0]


def profile_object(
    root: Path,
    directory: Path,
    written: str,
    options: Options,
    given: Given,
    hardware: Hardware,
    *,
    repeats: int = 20,
    shown: Shown = SHOWN,
) -> Profile:
    """Measure a learner's object, each layer's call by itself, beside what the roofline predicts.

    Raises what `ask` raises.
    """
    target = target_of(written, directory, root)
    found = ask(root, directory, target, given)
    timed = ask(root, directory, target, given, batch=options.batch, repeats=repeats, quiet=True)
    cost, spans = cost_of(found, written, options)
    points = roofline(cost, hardware)
    layers = []
    for call, span in sorted(spans.items()):
        rows = [cost.rows[number] for number in span]
        times = timed["seconds"].get(str(call))
        if not times or not rows:
            continue
        name = rows[0].name if len(rows) == 1 else rows[0].name.rpartition(".")[0]
        flops = FLOPS_PER_MAC * sum(row.macs.value for row in rows)
        predicted = sum(points[number].seconds for number in span)
        kind = rows[0].kind if len(rows) == 1 else "block"
        layers.append(Measured(name, kind, flops, predicted, tuple(times), all(row.counted for row in rows)))
    return Profile(cost, hardware, tuple(layers), tuple(timed["whole"]), shown)


def cost_of(found: dict[str, Any], written: str, options: Options) -> tuple[Cost, dict[int, range]]:
    """The cost of what the child saw, and which rows each counted call gave."""
    shape = tuple(found["shape"])
    seen = Seen([translate(layer) for layer in found["layers"]], found["calls"], found["ops"], found["observed"])
    model = Model(
        written,
        "",
        shape,
        title=f"{written} ({found['root']})",
        seq=shape[0] if found["tokens"] else None,
    )
    return counted(seen, model, options, tokens=found["tokens"])
