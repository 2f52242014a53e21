"""Help on the way: hints, the difference to the start, the solution, the points."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tito.course import Course, Module
from tito.errors import EnvironmentFault, LearnerError, UsageError
from tito.facts import Facts
from tito.graded import course_notebook
from tito.lifecycle.completing import reference, test
from tito.lifecycle.setup import stub
from tito.lifecycle.standing import standing
from tito.notebook import Cell, Notebook, Role, parse
from tito.progress import State
from tito.release import TEXT_STUB, unmarked
from tito.report import CaseResult, TestReport
from tito.workspace import Workspace, read_lesson


@dataclass(frozen=True)
class Hint(Facts):
    """One rung of a test's hints; an empty text when there is nothing left to solve."""

    schema: ClassVar[str] = "tito.hint/1"

    module: str
    test: str
    rung: int
    rungs: int
    text: str


@dataclass(frozen=True)
class Solution(Facts):
    """The reference beside the learner's code, cell by cell."""

    schema: ClassVar[str] = "tito.solution/1"

    module: str
    cells: tuple[tuple[str, str, str], ...]  # grade_id, the learner's, the reference's


@dataclass(frozen=True)
class Difference(Facts):
    """A unified difference."""

    schema: ClassVar[str] = "tito.diff/1"

    module: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Question(Facts):
    """A manually graded question and whether it was answered."""

    grade_id: str
    points: int
    answered: bool
    words: int


@dataclass(frozen=True)
class Points(Facts):
    """Automatic points earned and manual questions answered."""

    schema: ClassVar[str] = "tito.grade/1"

    module: str
    cases: tuple[CaseResult, ...]
    questions: tuple[Question, ...]
    earned: int
    automatic: int
    manual: int
    verdict: str
    exit_code: int


def load_hints(course: Course, module: Module) -> Mapping[str, list[str]]:
    """The module's hints by test; EnvironmentFault when the file is damaged."""
    path = course.hints_file(module)
    try:
        ladder = tomllib.loads(path.read_text(encoding="utf-8"))
        for test, rungs in ladder.items():
            if not (isinstance(rungs, list) and rungs and all(isinstance(rung, str) for rung in rungs)):
                raise EnvironmentFault(f"{path}: {test} has no list of hints.", "install tito again")
        return ladder
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvironmentFault(f"{path} cannot be read: {error}.", "install tito again") from None


def hint(workspace: Workspace, module: Module, test_name: str = "") -> Hint:
    """The next rung for a test, by default for the first one that fails; after the last rung, that one again."""
    ladder = load_hints(workspace.course, module)
    name = test_name or _first_failing(test(workspace, module), ladder)
    if not name:
        return Hint(module.folder, "", 0, 0, "")
    if name not in ladder:
        raise UsageError(f"There are no hints for {name!r}.", f"one of: {', '.join(ladder)}")
    rungs = ladder[name]
    rung = min(workspace.progress().hints_shown(module.folder, name) + 1, len(rungs))
    workspace.remember(lambda progress: progress.with_hint(module.folder, name, rung))
    return Hint(module.folder, name, rung, len(rungs), rungs[rung - 1])


def _first_failing(report: TestReport, ladder: Mapping[str, list[str]]) -> str:
    first = report.first_failure
    if first is None:
        return ""
    if report.never_began:
        way = report.hint or f"correct that, then: tito module test {report.module}"
        raise LearnerError(f"{report.verdict}: {report.message}", way)
    if first.name not in ladder:
        raise UsageError(
            f"There are no hints for {first.name}, which does not pass.", f"tito module test {report.module}"
        )
    return first.name


def solution(workspace: Workspace, module: Module, spoil: bool = False) -> Solution:
    """The reference beside the learner's code; before completion only on demand, which is recorded."""
    if not workspace.is_course:
        state = standing(workspace, module, workspace.progress()).state
        if state not in (State.COMPLETE, State.REFERENCE, State.STALE):
            if not spoil:
                raise LearnerError(
                    f"{module.folder} is not complete, so its solution stays closed.",
                    f"tito module hint {module.folder}; or add --spoil, which is recorded",
                )
            workspace.remember(lambda progress: progress.with_spoiled(module.folder))
    path = workspace.lesson(module)
    mine = {cell.grade_id: cell.source for cell in parse(read_lesson(path), path.name).cells}
    theirs = [cell for cell in course_notebook(workspace, module).cells if cell.role in (Role.SOLUTION, Role.MANUAL)]
    rows = ((cell.grade_id, mine.get(cell.grade_id, ""), unmarked(cell.source)) for cell in theirs)
    return Solution(module.folder, tuple(rows))


def difference(workspace: Workspace, module: Module, to_reference: bool = False) -> Difference:
    """How the lesson differs from its stub or, once the module is complete, from the reference."""
    path = workspace.lesson(module)
    if to_reference:
        solution(workspace, module)
        other, name = reference(course_notebook(workspace, module)), "reference"
    else:
        other, name = stub(workspace.course, module), "stub"
    mine: Notebook = parse(read_lesson(path), path.name)
    lines = difflib.unified_diff(
        other.to_text().splitlines(), mine.to_text().splitlines(), name, module.lesson, lineterm="", n=2
    )
    return Difference(module.folder, tuple(lines))


def points(workspace: Workspace, module: Module) -> Points:
    """The points table: run the automatic tests and look at the manual questions."""
    report = test(workspace, module)
    path = workspace.lesson(module)
    mine = {cell.grade_id: cell.source for cell in parse(read_lesson(path), path.name).cells}
    asked = course_notebook(workspace, module).of_role(Role.MANUAL)
    return Points(
        module.folder,
        report.cases,
        tuple(_question(cell, mine.get(cell.grade_id, "")) for cell in asked),
        report.points,
        report.points_possible,
        sum(cell.points for cell in asked),
        report.verdict,
        int(report.exit_code),
    )


def _question(cell: Cell, answer: str) -> Question:
    text = answer.replace(TEXT_STUB, "").strip()
    return Question(cell.grade_id, cell.points, bool(text), len(text.split()))
