"""What the tests of the sandbox share: small limits, jobs made of cells, and a look at what is left of a run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

from tito.grading.sandbox.isolation import Isolation
from tito.grading.sandbox.jobs import Job, JobCell, Limits, RunResult
from tito.grading.sandbox.sandbox import Sandbox
from tito.grading.sandbox.zygote_child import descendants

WALLED = (Isolation.BWRAP, Isolation.LANDLOCK)
LEVELS = (*WALLED, Isolation.LIMITS)
LIMITS = Limits(wall=60.0, cpu=20.0, memory=256 << 20, output=16 << 10, disk=4 << 20, result=1 << 20)
PACKAGE = {"pack/__init__.py": b"", "pack/earlier.py": b"VALUE = 3\n"}


def code(text: str) -> str:
    return dedent(text).lstrip("\n")


def graded_cell(name: str, body: str = "assert True", seconds: float = 10.0) -> JobCell:
    """A cell with a test, as the course has them."""
    lines = "\n".join(f"    {line}" for line in code(body).splitlines())
    return JobCell(name, f"def test_unit_{name}() -> None:\n{lines}\n", f"test_unit_{name}", seconds)


def job(*cells: JobCell | str, probes: str = "", wanted: tuple[str, ...] = (), seed: int = 7) -> Job:
    """Cells in order; a bare text is a code cell named by its place."""
    made = [
        each if isinstance(each, JobCell) else JobCell(f"cell{index}", code(each)) for index, each in enumerate(cells)
    ]
    return Job("lesson_dev", tuple(made), code(probes), wanted, seed)


def outcomes(result: RunResult) -> list[str]:
    return [cell.outcome.value for cell in result.cells]


def opened(level: Isolation, *, package: Mapping[str, bytes] = PACKAGE, **changed: Any) -> Sandbox:
    """A sandbox of a level that must be there; limits by name."""
    return Sandbox(package, ["dataclasses", "pack.earlier"], level, replace(LIMITS, **changed))


def children() -> set[int]:
    """The processes below this one that are alive."""
    found = set()
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"):
                found.add(pid)
    return found
