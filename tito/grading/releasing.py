"""The student version of an assignment, and the proof that it may be given out."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tito.course import Module
from tito.errors import IntegrityError
from tito.facts import Facts
from tito.grading.assignment import load_assignment
from tito.grading.place import Place, notebook_name
from tito.lifecycle.setup import stub
from tito.lint import dynamic, static
from tito.lint.findings import RULES
from tito.notebook import parse, to_ipynb
from tito.report import Outcome
from tito.runner import run_module
from tito.workspace import Workspace, read_lesson


@dataclass(frozen=True)
class Released(Facts):
    """What was written for students, and what it was checked for."""

    schema: ClassVar[str] = "tito.grade.release/1"

    module: str
    files: tuple[str, ...]
    graded_cells: int  # each of them fails on the student version
    points: int
    manual_points: int
    assignment_hash: str


def release_assignment(workspace: Workspace, place: Place, module: Module) -> Released:
    """Write the student version, as a script and as a notebook, and the instructor's notebook for nbgrader's tools.

    Nothing is written unless no solution is left in it and every graded cell fails; IntegrityError says what is wrong.
    """
    path = workspace.course.source(module)
    solved = parse(read_lesson(path), path.name)
    student = stub(workspace.course, module)
    problems = [*static.check(static.Lesson(workspace.course, module, solved)), *_passing(workspace, module)]
    if problems:
        listed = "\n".join(f"line {line}: {code} {text} ({RULES[code]})" for code, line, text in problems)
        raise IntegrityError(f"{module.lesson} is not fit to be released:\n{listed}", f"tito dev check {module.folder}")
    name = notebook_name(module)
    files = {
        place.release(module) / f"{name}.py": student.to_text(),
        place.release(module) / f"{name}.ipynb": to_ipynb(student),
        place.source(module) / f"{name}.ipynb": to_ipynb(solved),
    }
    for target, text in files.items():
        write_atomically(target, text.encode())
    assignment = load_assignment(workspace.course, module)
    return Released(
        module.folder,
        tuple(target.relative_to(workspace.root).as_posix() for target in files),
        len(assignment.graded),
        sum(cell.points for cell in assignment.graded),
        sum(question.points for question in assignment.questions),
        assignment.hash,
    )


def _passing(workspace: Workspace, module: Module) -> list[static.Problem]:
    """The graded cells that the student version passes before anybody has worked on it."""
    text = stub(workspace.course, module).to_text()
    with dynamic.copy(workspace, module, dynamic.needs_of(workspace, module), text) as place:
        report = run_module(place, module)
    if report.message:
        return [("T21", 1, f"{report.verdict}: {report.message}")]
    return [
        ("T22", case.line, f"{case.name} passes on the student version")
        for case in report.cases
        if case.outcome is Outcome.PASSED
    ]


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tito-new")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
