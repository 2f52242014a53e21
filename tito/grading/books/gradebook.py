"""Verdicts written into nbgrader's gradebook, many in one transaction, and the grades read back.

Scores, extra credit and comments given by people are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tito.errors import EnvironmentFault
from tito.grading.assignment import Assignment
from tito.grading.books.gradebook_cells import register_cells
from tito.grading.books.gradebook_schema import nbgrader_api, open_gradebook, said, shown, take_turns
from tito.grading.books.gradebook_verdicts import write_verdicts
from tito.grading.books.grades import CellGrade, StudentGrade, storable
from tito.grading.books.policy import Lateness
from tito.grading.intake.students import Student
from tito.grading.records import GradeRecord, Status

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

T = TypeVar("T")

__all__ = ["check", "enrol", "open_gradebook", "read", "register", "settle", "write"]


def write(
    gradebook: Any,
    assignment: Assignment,
    records: Iterable[GradeRecord],
    late: Mapping[str, Lateness] | None = None,
    previous: Mapping[str, GradeRecord] | None = None,
) -> None:
    """Write verdicts in one transaction: all of them are in the gradebook afterwards, or none.

    late: by student, how late the submission is. An answer that a person graded and that has changed since the
    gradebook was last told of it is marked for another look; previous: the verdicts that say what a gradebook of an
    earlier grader was told. An ungradable record writes nothing.
    """
    kept = {record.student: record for record in records if record.status is not Status.UNGRADABLE}
    lateness = late or {}
    due = next((_naive(each.due) for each in lateness.values() if each.due), None)

    def work(session: Any) -> None:
        cells = register_cells(session, nbgrader_api(), assignment, gradebook.course_id, due)
        if kept:
            write_verdicts(session, nbgrader_api(), cells, kept, lateness, previous or {})

    _in_one_transaction(gradebook, work)


def register(gradebook: Any, assignment: Assignment) -> None:
    """Enter an assignment with its notebook and cells, or bring them up to date."""
    write(gradebook, assignment, ())


def check(gradebook: Any, assignment: Assignment) -> None:
    """Find out whether the assignment could be entered, and enter nothing; EnvironmentFault when grades would go."""

    def work(session: Any) -> None:
        register_cells(session, nbgrader_api(), assignment, gradebook.course_id)

    _in_one_transaction(gradebook, work, writes=False)


def enrol(gradebook: Any, students: Iterable[Student]) -> None:
    """Enter the people of the roster, so that nbgrader's tools show their names; what is not known stays as it is."""
    from sqlalchemy import select

    people = nbgrader_api().Student.__table__

    def work(session: Any) -> None:
        known = {row.id: row for row in session.execute(select(people))}
        for student in students:
            values = {
                "first_name": student.first_name,
                "last_name": student.last_name,
                "email": student.email,
                "lms_user_id": student.lms_id,
            }
            given = {name: storable(value)[: people.c[name].type.length] for name, value in values.items() if value}
            row = known.get(student.id)
            if row is None:
                session.execute(people.insert().values(id=student.id, **given))
            elif changed := {name: value for name, value in given.items() if getattr(row, name) != value}:
                session.execute(people.update().where(people.c.id == student.id).values(**changed))

    _in_one_transaction(gradebook, work)


def settle(gradebook: Any, module: str, late: Mapping[str, Lateness]) -> None:
    """Renew the penalties of an assignment after people have changed scores."""
    grades = read(gradebook, module)
    table = nbgrader_api().SubmittedNotebook.__table__
    ids = {grade.student: grade.notebook_id for grade in grades.values()}

    def work(session: Any) -> None:
        for student, lateness in late.items():
            if student in ids and lateness.due:
                penalty = lateness.penalty(grades[student].raw) or None
                session.execute(
                    table.update().where(table.c.id == ids[student]).values(late_submission_penalty=penalty)
                )

    _in_one_transaction(gradebook, work)


def _in_one_transaction(gradebook: Any, work: Callable[[Session], T], writes: bool = True) -> T:
    """What the work comes to, once it is in the database; EnvironmentFault when the database refuses.

    When the connection was lost, all of it is done once more: every work looks first at what is there.
    """
    from sqlalchemy.exc import DBAPIError

    for again in (False, True):
        session = gradebook.db()
        try:
            if writes and session.get_bind().dialect.name == "postgresql":
                take_turns(session)
            found = work(session)
            if writes:
                session.commit()
            return found
        except DBAPIError as error:
            if again or not error.connection_invalidated:
                raise EnvironmentFault(
                    f"The gradebook {shown(str(gradebook.engine.url))} cannot be "
                    f"{'written' if writes else 'read'}: {said(error)}.",
                    "no verdict is lost; once the database can be used, give the same command again",
                ) from None
        finally:
            gradebook.db.remove()  # rolls back what was not committed; what was read may be out of date
    raise AssertionError("unreachable")


def read(gradebook: Any, module: str) -> dict[str, StudentGrade]:
    """The grades of everybody who handed in an assignment, by student; empty when the gradebook does not have it."""
    return _in_one_transaction(gradebook, lambda session: _read(session, nbgrader_api(), module), writes=False)


def _read(session: Any, api: Any, module: str) -> dict[str, StudentGrade]:
    from sqlalchemy import select

    submitted, notebook = api.SubmittedAssignment.__table__, api.SubmittedNotebook.__table__
    student, assignment = api.Student.__table__, api.Assignment.__table__
    people = session.execute(
        select(notebook.c.id, notebook.c.late_submission_penalty, submitted.c.timestamp, student)
        .join(submitted, notebook.c.assignment_id == submitted.c.id)
        .join(student, submitted.c.student_id == student.c.id)
        .join(assignment, submitted.c.assignment_id == assignment.c.id)
        .where(assignment.c.name == module)
    ).all()
    comments = _read_comments(session, api, module)
    cells = _read_cells(session, api, module, comments)
    graded = {(row, cell.grade_id) for row, found in cells.items() for cell in found}
    remarks: dict[str, list[tuple[str, str]]] = {}
    for (row, name), (_, manual) in comments.items():
        if manual and (row, name) not in graded:
            remarks.setdefault(row, []).append((name, manual))
    return {
        row[3]: StudentGrade(
            row[3],
            tuple(sorted(cells.get(row.id, ()), key=lambda cell: cell.grade_id)),
            row.late_submission_penalty or 0.0,
            row.timestamp,
            row.first_name or "",
            row.last_name or "",
            row.email or "",
            row.lms_user_id or "",
            tuple(sorted(remarks.get(row.id, ()))),
            row.id,
        )
        for row in sorted(people, key=lambda row: str(row[3]))  # databases differ in how they sort text
    }


def _cells_of(api: Any, module: str) -> Any:
    """What restricts a query of cells to those of one assignment."""
    from sqlalchemy import select

    notebook, assignment = api.Notebook.__table__, api.Assignment.__table__
    joined = select(notebook.c.id).join(assignment, notebook.c.assignment_id == assignment.c.id)
    return api.BaseCell.__table__.c.notebook_id.in_(joined.where(assignment.c.name == module))


def _read_comments(session: Any, api: Any, module: str) -> dict[tuple[str, str], tuple[str, str]]:
    """The grader's and the people's comments, by submitted notebook and grade_id."""
    from sqlalchemy import select

    comment, base = api.Comment.__table__, api.BaseCell.__table__
    query = select(comment.c.notebook_id, base.c.name, comment.c.auto_comment, comment.c.manual_comment)
    query = query.join(base, comment.c.cell_id == base.c.id).where(_cells_of(api, module))
    return {
        (row.notebook_id, row.name): (row.auto_comment or "", row.manual_comment or "")
        for row in session.execute(query)
    }


def _read_cells(
    session: Any, api: Any, module: str, comments: Mapping[tuple[str, str], tuple[str, str]]
) -> dict[str, list[CellGrade]]:
    """The graded cells of each submitted notebook, by its id."""
    from sqlalchemy import select

    grade, base, cell = api.Grade.__table__, api.BaseCell.__table__, api.GradeCell.__table__
    found: dict[str, list[CellGrade]] = {}
    for row in session.execute(
        select(grade, base.c.name, cell.c.max_score, cell.c.cell_type)
        .join(base, grade.c.cell_id == base.c.id)
        .join(cell, base.c.id == cell.c.id)
        .where(_cells_of(api, module))
    ):
        found.setdefault(row.notebook_id, []).append(
            CellGrade(
                row.name,
                row.cell_type != "code",
                row.max_score,
                row.auto_score,
                row.manual_score,
                row.extra_credit,
                bool(row.needs_manual_grade),
                *comments.get((row.notebook_id, row.name), ("", "")),
            )
        )
    return found


def _naive(moment: datetime) -> datetime:
    """A time as nbgrader keeps it: in UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)
