"""Small hostile and broken submissions of 03_layers, and what grading them should come to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from grading.lessons import Page, assignment, at, percent, released, solved

from tito.grading.engine import Engine, Setup, Task
from tito.grading.records import GradeRecord, Status
from tito.grading.sandbox.isolation import Isolation
from tito.grading.sandbox.jobs import Ending, Job, Limits, RunResult

LESSON = "03_layers"
FOLDER = Path(__file__).with_name("submissions")
ALL = {cell.grade_id: float(cell.points) for cell in assignment(LESSON).graded}
NONE = dict.fromkeys(ALL, 0.0)
# One mistake in each solution, none of which raises: what a forger has to make look right.
MISTAKES = {
    "matmul": [("c[i, j] = total", "c[i, j] = 0")],
    "module": [
        (".copy() for name, tensor", " for name, tensor"),
        ("for module in self.modules():", "for module in [self]:"),
        (".grad = None", ".grad = parameter.grad"),
    ],
    "linear": [("* self._scale()", "* 1.0"), ("linear(x, self.weight, self.bias)", "x @ self.weight")],
    "dense": [("math.sqrt(2 / (self.in_features + self.out_features))", "1.0")],
    "dropout": [("1 / (1 - self.p)", "1.0")],
    "sequential": [("for layer in self.layers:", "for layer in self.layers[:1]:")],
    "flatten": [("math.prod(shape", "sum(shape"), ("return x.reshape(", "x = x * 2\n    return x.reshape(")],
    "count-network": [("layer_1 = 784 * 256 + 256", "layer_1 = 784 * 256")],
    "profiler": [('+ output_size\n        counts["memory', '\n        counts["memory')],
}
# What these earn all the same: the probes that the mistakes leave right, in cells with partial points.
WRONG = NONE | {"test-module-registry": 3.0, "test-linear": 2.0, "test-dropout": 3.0}


@dataclass(frozen=True)
class Wanted:
    """A verdict: points by graded cell, how the process ended, what became of the submission."""

    points: dict[str, float]
    ending: Ending | None = Ending.FINISHED  # None: as it may
    status: Status = Status.GRADED
    said: str = ""  # words of a repair, or of the reason
    slow: bool = False
    walled: bool = False  # holds only where files outside cannot be read


def full(ending: Ending | None = Ending.FINISHED, /, *, slow: bool = False, said: str = "", **left: float) -> Wanted:
    """All points apart from some tests, given with what is left: module_layers=0."""
    lost = {f"test-{name.replace('_', '-')}": points for name, points in left.items()}
    assert lost.keys() <= ALL.keys()
    return Wanted(ALL | lost, ending, slow=slow, said=said)


def unreadable(said: str) -> Wanted:
    """No points, and why."""
    return Wanted(NONE, None, Status.UNREADABLE, said)


@cache
def wrong() -> tuple[dict[str, object], ...]:
    """The solved lesson with the mistakes."""
    page = solved(LESSON)
    for name, edits in MISTAKES.items():
        for old, new in edits:
            cell = page[at(page, name)]
            assert old in cell["source"], (name, old)
            cell["source"] = cell["source"].replace(old, new)
    return tuple(page)


def trick(name: str) -> bytes:
    """A submission from the folder: a lesson (`# on: solved`, `stub` or `wrong`) with some cells replaced or added."""
    head, *parts = re.split(r"\n# %% (?=\w)", FOLDER.joinpath(f"{name}.py").read_text(encoding="utf-8"))
    base = head.rpartition("# on: ")[2].strip()
    page: Page = [dict(cell) for cell in wrong()] if base == "wrong" else BASES[base](LESSON)
    for part in parts:
        place, _, source = part.partition("\n")
        insert(page, place, source.strip("\n"))
    return percent(page)


BASES = {"solved": solved, "stub": released}


def insert(page: Page, place: str, source: str) -> None:
    """Put code into a lesson: "matmul" replaces a cell; "before matmul", "after matmul", "first", "last" add one."""
    words = place.split()
    cell = {"cell_type": "code", "source": source, "metadata": {}}
    if place in ("first", "last"):
        page.insert(0 if place == "first" else len(page), cell)
    elif len(words) == 2:
        page.insert(at(page, words[1]) + (words[0] == "after"), cell)
    else:
        page[at(page, place)]["source"] = source


@dataclass
class Grader:
    """An engine that also remembers how the last submission's process ended."""

    engine: Engine
    run: RunResult | None = field(default=None)

    def grade(self, data: bytes, name: str = "layers_dev.py") -> GradeRecord:
        """The verdict on a file."""
        self.run = None
        return self.engine.grade(Task("ada", name, data))

    @property
    def ending(self) -> Ending | None:
        """How its process ended; None when there was none."""
        return self.run.ending if self.run else None


@contextmanager
def grader(level: Isolation, wall: float = 60.0) -> Iterator[Grader]:
    """A grader of 03_layers at a level."""
    limits = Limits(wall=wall, cpu=wall, memory=256 << 20, output=16 << 10, disk=4 << 20, result=1 << 20)
    made = Grader(Engine(Setup(assignment(LESSON), level, limits, b"s" * 32)))
    sandbox = made.engine.sandbox
    run = sandbox.run

    def watched(job: Job) -> RunResult:
        made.run = run(job)
        return made.run

    sandbox.run = watched  # type: ignore[method-assign]
    try:
        yield made
    finally:
        made.engine.close()


def points(record: GradeRecord) -> dict[str, float]:
    """Points by graded cell."""
    return {cell.grade_id: cell.points for cell in record.cells}
