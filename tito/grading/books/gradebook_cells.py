"""An assignment's notebook and cells in nbgrader's gradebook, as its own SaveCells would enter them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tito.errors import EnvironmentFault
from tito.grading.assignment import Assignment
from tito.grading.books.autograded import checksum, locked
from tito.notebook import Cell, Role

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


@dataclass(frozen=True)
class Cells:
    """The keys under which the gradebook has an assignment and its cells."""

    assignment: str
    notebook: str
    tests: Mapping[str, str]  # grade_id -> key
    questions: Mapping[str, str]
    comments: Mapping[str, str]  # of all cells that can have one
    points: Mapping[str, float]


def register_cells(
    session: Any, api: Any, assignment: Assignment, course_id: str, due: datetime | None = None
) -> Cells:
    """Enter an assignment and its cells, or bring them up to date; EnvironmentFault when that would lose grades."""
    head = session.query(api.Assignment).filter_by(name=assignment.module).one_or_none()
    if head is None:
        head = api.Assignment(name=assignment.module, course_id=course_id)
        session.add(head)
    if due is not None:
        head.duedate = due
    session.flush()
    notebook = session.query(api.Notebook).filter_by(name=assignment.name, assignment_id=head.id).one_or_none()
    if notebook is None:
        notebook = api.Notebook(name=assignment.name, assignment_id=head.id)
        session.add(notebook)
    notebook.kernelspec = json.dumps(KERNEL)
    session.flush()
    saved = list(saved_cells(assignment))
    keys = {
        kind: _entered(session, api, getattr(api, kind), notebook.id, wanted)
        for kind, wanted in (
            ("GradeCell", {c.grade_id: _grade(c) for c in saved if c.nbgrader.get("grade")}),
            ("SolutionCell", {c.grade_id: {} for c in saved if c.nbgrader.get("solution")}),
            ("SourceCell", {c.grade_id: _source(c) for c in saved}),
        )
    }
    questions = {cell.grade_id for cell in saved if cell.role is Role.MANUAL}
    graded = keys["GradeCell"]
    return Cells(
        head.id,
        notebook.id,
        {name: key for name, key in graded.items() if name not in questions},
        {name: key for name, key in graded.items() if name in questions},
        {**graded, **keys["SolutionCell"]},
        {cell.grade_id: float(cell.points) for cell in saved if cell.nbgrader.get("grade")},
    )


def saved_cells(assignment: Assignment) -> Iterator[Cell]:
    """The cells that nbgrader keeps, in its form: solutions taken out, hidden tests still in."""
    for cell, released in zip(assignment.notebook.cells, assignment.released.cells, strict=True):
        if cell.nbgrader.get("grade") or cell.nbgrader.get("solution") or cell.nbgrader.get("locked"):
            yield cell if cell.role is Role.TEST else released


def _grade(cell: Cell) -> dict[str, Any]:
    return {"max_score": float(cell.points), "cell_type": cell.kind}


def _source(cell: Cell) -> dict[str, Any]:
    return {"cell_type": cell.kind, "locked": locked(cell), "source": cell.source, "checksum": checksum(cell)}


def _entered(
    session: Any, api: Any, kind: Any, notebook: str, wanted: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """The keys of the cells of one kind, by grade_id, after they were made what the course wants."""
    have = {cell.name: cell for cell in session.query(kind).filter_by(notebook_id=notebook)}
    for name in have.keys() - wanted.keys():
        _remove(session, api, have.pop(name))
    for name, values in wanted.items():
        if name not in have:
            have[name] = kind(name=name, notebook_id=notebook, **values)
            session.add(have[name])
        for key, value in values.items():
            setattr(have[name], key, value)
    session.flush()
    return {name: have[name].id for name in wanted}


def _remove(session: Any, api: Any, cell: Any) -> None:
    """Take out a cell that the course no longer has, unless a person's grade would go with it."""
    if not isinstance(cell, api.SourceCell):
        grades = session.query(api.Grade).filter_by(cell_id=cell.id)
        comments = session.query(api.Comment).filter_by(cell_id=cell.id)
        by_hand = grades.filter((api.Grade.manual_score != None) | (api.Grade.extra_credit != None))  # noqa: E711
        if by_hand.first() or comments.filter(api.Comment.manual_comment != None).first():  # noqa: E711
            raise EnvironmentFault(
                f"The course no longer has the cell {cell.name}, which has grades or comments given by hand.",
                "give the cell its old grade_id, or delete these grades and comments in formgrader (tito grade manual)",
            )
        grades.delete(synchronize_session=False)
        comments.delete(synchronize_session=False)
    session.delete(cell)
    session.flush()
