"""Verdicts made by hand for the tests of the gradebook: a class in which every kind of outcome is there."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from support import ROOT

from tito.course import load_course
from tito.grading.assignment import Assignment, load_assignment
from tito.grading.books.gradebook_schema import nbgrader_api
from tito.grading.place import Place
from tito.grading.records import Answer, CellScore, GradeRecord, ProbeScore, Status, submission_hash
from tito.notebook import Role, to_ipynb
from tito.report import Outcome

LESSON = b"# a lesson\n"  # what everybody has handed in
HANDED_IN = submission_hash("layers_dev.py", LESSON)


@cache
def layers() -> Assignment:
    """The assignment 03_layers of the course."""
    course = load_course(ROOT)
    return load_assignment(course, course.resolve("03_layers"))


def record(student: str, lost: tuple[str, ...] = (), answered: tuple[str, ...] = ("*",), **changes: Any) -> GradeRecord:
    """A verdict on 03_layers.

    lost: the tests that failed, "test-linear/2" for one that kept two points. answered: the questions
    with an answer, "*" for all.
    """
    kept = dict(name.partition("/")[::2] for name in lost)
    cells = tuple(
        CellScore(
            cell.grade_id,
            cell.test,
            float(kept[cell.grade_id] or 0) if cell.grade_id in kept else float(cell.points),
            float(cell.points),
            Outcome.FAILED if cell.grade_id in kept else Outcome.PASSED,
            f"{cell.test}: AssertionError: expected (2, 3), got (3, 2)" if cell.grade_id in kept else "",
            f'File "layers_dev.py", line 7, in {cell.test}\nAssertionError: shapes' if cell.grade_id in kept else "",
            (
                ProbeScore(
                    "p1", cell.grade_id not in kept, "another shape" if cell.grade_id in kept else "", "products"
                ),
            ),
        )
        for cell in layers().graded
    )
    texts = {
        question.grade_id: f"{student} says: width, since {question.grade_id} <b>&</b> memory."
        if "*" in answered or question.grade_id in answered
        else "YOUR ANSWER HERE"
        for question in layers().questions
    }
    answers = tuple(
        Answer(q.grade_id, float(q.points), texts[q.grade_id], texts[q.grade_id] != "YOUR ANSWER HERE")
        for q in layers().questions
    )
    sources = tuple(
        (cell.grade_id, cell.source + f"\n# by {student}") for cell in layers().released.of_role(Role.SOLUTION)
    )
    made = GradeRecord(
        student,
        "03_layers",
        HANDED_IN,
        layers().hash,
        Status.GRADED,
        "",
        cells,
        answers,
        (),
        sources,
        isolation="bwrap",
    )
    return replace(made, **changes)


def unreadable(student: str) -> GradeRecord:
    """A submission that is no lesson."""
    reason = "layers_dev.py is no lesson: it is a picture"
    return GradeRecord(student, "03_layers", HANDED_IN, layers().hash, Status.UNREADABLE, reason)


def ungradable(student: str) -> GradeRecord:
    """A submission with which the grader failed."""
    return GradeRecord(
        student, "03_layers", HANDED_IN, layers().hash, Status.UNGRADABLE, "the sandbox did not start: try again"
    )


def dump(gradebook: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with gradebook.engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(table.select())), key=repr)
            for table in nbgrader_api().Base.metadata.sorted_tables
        }


def course_folder(root: Path) -> Place:
    """The grading folder of a course repository with three submissions of 03_layers."""
    place = Place(root / "grading", load_course(ROOT))
    module = place.course.resolve("03_layers")
    for student in ("ada", "bob", "cem"):
        folder = place.submitted(student, module)
        folder.mkdir(parents=True)
        (folder / "layers_dev.py").write_bytes(LESSON)
    place.source(module).mkdir(parents=True)
    (place.source(module) / "layers_dev.ipynb").write_text(to_ipynb(layers().notebook), encoding="utf-8")
    return place


def nbgrader_head() -> str:
    """The newest revision, read from nbgrader's files: the one that no other comes after."""
    import nbgrader

    texts = [path.read_text(encoding="utf-8") for path in Path(nbgrader.__path__[0], "alembic/versions").glob("*.py")]
    named = {re.search(r"^revision = '(\w+)'", text, re.M)[1] for text in texts}  # type: ignore[index]
    before = {re.search(r"^down_revision = (.*)$", text, re.M)[1].strip("'") for text in texts}  # type: ignore[index]
    (head,) = named - before
    return head
