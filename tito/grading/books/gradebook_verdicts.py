"""Verdicts as rows of nbgrader's gradebook: what is new is inserted, what has changed is updated, the rest is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from typing import Any

from tito.grading.books.gradebook_cells import Cells
from tito.grading.books.gradebook_schema import told_answers
from tito.grading.books.grades import storable
from tito.grading.books.policy import Lateness
from tito.grading.records import GradeRecord, Status

NO_RESPONSE = "No response."  # nbgrader's words for a cell that is as it was released

Row = dict[str, Any]


@dataclass(frozen=True)
class _Changes:
    """What a table needs so that it says what it should."""

    new: list[Row]
    changed: list[Row]  # each with the key of its row

    def apply(self, session: Any, table: Any) -> None:
        """Write them, each kind of change in one statement."""
        from sqlalchemy import bindparam

        if self.new:
            session.execute(table.insert(), self.new)
        if self.changed:
            names = [name for name in self.changed[0] if name != "id"]
            statement = table.update().where(table.c.id == bindparam("key"))
            statement = statement.values({name: bindparam(f"to_{name}") for name in names})
            rows = [{"key": row["id"], **{f"to_{name}": row[name] for name in names}} for row in self.changed]
            session.connection().execute(statement, rows)


def write_verdicts(
    session: Any,
    api: Any,
    cells: Cells,
    records: Mapping[str, GradeRecord],
    late: Mapping[str, Lateness],
    previous: Mapping[str, GradeRecord],
) -> None:
    """Bring the rows of these students' submissions up to their verdicts, inside the session's transaction."""
    notebooks = _notebooks(session, api, cells, records, late)
    rewritten = _rewritten(session, told_answers(), cells, records, notebooks, previous)
    points = _grades(session, api.Grade.__table__, cells, records, notebooks, rewritten)
    _comments(session, api.Comment.__table__, cells, records, notebooks)
    _penalties(session, api.SubmittedNotebook.__table__, notebooks, late, points)


def _notebooks(
    session: Any, api: Any, cells: Cells, records: Mapping[str, GradeRecord], late: Mapping[str, Lateness]
) -> dict[str, str]:
    """The key of each student's submitted notebook, by student; whatever is missing above it is made."""
    from sqlalchemy import select

    people, assignments = api.Student.__table__, api.SubmittedAssignment.__table__
    known = set(session.execute(select(people.c.id).where(people.c.id.in_(records))).scalars())
    _Changes([{"id": student} for student in records if student not in known], []).apply(session, people)

    mine = (assignments.c.assignment_id == cells.assignment) & assignments.c.student_id.in_(records)
    rows = {row.student_id: row for row in session.execute(select(assignments).where(mine))}
    changes, keys = _Changes([], []), {student: row.id for student, row in rows.items()}
    for student in records:
        when = late[student].submitted if student in late else None
        stamp = when.astimezone(UTC).replace(tzinfo=None) if when else None
        if student not in rows:
            keys[student] = api.new_uuid()
            own = {"id": keys[student], "assignment_id": cells.assignment, "student_id": student, "timestamp": stamp}
            changes.new.append(own)
        elif stamp is not None and rows[student].timestamp != stamp:
            changes.changed.append({"id": keys[student], "timestamp": stamp})
    changes.apply(session, assignments)

    table = api.SubmittedNotebook.__table__
    mine = (table.c.notebook_id == cells.notebook) & table.c.assignment_id.in_(keys.values())
    have = {row.assignment_id: row.id for row in session.execute(select(table.c.id, table.c.assignment_id).where(mine))}
    missing = [keys[student] for student in records if keys[student] not in have]
    made = {key: api.new_uuid() for key in missing}
    rows_new = [{"id": made[key], "notebook_id": cells.notebook, "assignment_id": key} for key in missing]
    _Changes(rows_new, []).apply(session, table)
    return {student: {**have, **made}[keys[student]] for student in records}


def _grades(
    session: Any,
    table: Any,
    cells: Cells,
    records: Mapping[str, GradeRecord],
    notebooks: Mapping[str, str],
    rewritten: Set[tuple[str, str]],
) -> dict[str, float]:
    """Bring the grades up to the verdicts; the points of each student, those given by hand among them."""
    have = _existing(session, table, notebooks)
    changes, points = _Changes([], []), dict.fromkeys(records, 0.0)
    for student, record in records.items():
        scores = dict(_auto_scores(cells, record))
        for grade_id, key in (*cells.tests.items(), *cells.questions.items()):
            auto = scores.get(grade_id)
            row = have.get((notebooks[student], key))
            if row is None:
                own = {"notebook_id": notebooks[student], "cell_id": key}
                changes.new.append({**own, "auto_score": auto, "needs_manual_grade": auto is None})
                points[student] += auto or 0.0
                continue
            if row.manual_score is None:
                waits = auto is None
            else:  # a person has decided; what they decided on may be another work now
                waits = row.needs_manual_grade or row.auto_score != auto or (student, grade_id) in rewritten
            counted = auto if row.manual_score is None else row.manual_score
            points[student] += 0.0 if counted is None else counted + (row.extra_credit or 0.0)
            if row.auto_score != auto or bool(row.needs_manual_grade) != waits:
                changes.changed.append({"id": row.id, "auto_score": auto, "needs_manual_grade": waits})
    changes.apply(session, table)
    return points


def _auto_scores(cells: Cells, record: GradeRecord) -> Iterator[tuple[str, float | None]]:
    """The score of each graded cell; None where a person decides, which includes a verdict that is missing."""
    if record.status is Status.UNREADABLE:
        yield from ((name, 0.0) for name in (*cells.tests, *cells.questions))
        return
    yield from ((cell.grade_id, float(cell.points)) for cell in record.cells)
    yield from ((answer.grade_id, None if answer.answered else 0.0) for answer in record.answers)


def _rewritten(
    session: Any,
    table: Any,
    cells: Cells,
    records: Mapping[str, GradeRecord],
    notebooks: Mapping[str, str],
    previous: Mapping[str, GradeRecord],
) -> set[tuple[str, str]]:
    """The (student, question) with another answer than the gradebook was last told of; it is told of all of them now.

    What a gradebook of an earlier grader was told of is not in it: there the previous verdicts have to do.
    """
    have = _existing(session, table, notebooks)
    changes, found = _Changes([], []), set[tuple[str, str]]()
    for student, record in records.items():
        earlier = _digests(previous[student]) if student in previous else {}
        for grade_id, digest in _digests(record).items():
            if grade_id not in cells.questions:
                continue
            row = have.get((notebooks[student], cells.questions[grade_id]))
            if row is None:
                own = {"notebook_id": notebooks[student], "cell_id": cells.questions[grade_id]}
                changes.new.append({**own, "digest": digest})
            elif row.digest != digest:
                changes.changed.append({"id": row.id, "digest": digest})
            if digest != (row.digest if row else earlier.get(grade_id, digest)):
                found.add((student, grade_id))
    changes.apply(session, table)
    return found


def _digests(record: GradeRecord) -> dict[str, str]:
    """What tells one text of an answer from another, by question."""
    texts = {answer.grade_id: answer.text.encode("utf-8", "surrogatepass") for answer in record.answers}
    return {grade_id: sha256(text).hexdigest() for grade_id, text in texts.items()}


def _comments(
    session: Any, table: Any, cells: Cells, records: Mapping[str, GradeRecord], notebooks: Mapping[str, str]
) -> None:
    have = _existing(session, table, notebooks)
    changes = _Changes([], [])
    for student, record in records.items():
        words = dict(_auto_comments(cells, record))
        for grade_id, key in cells.comments.items():
            said = storable(words[grade_id]) if grade_id in words else None
            row = have.get((notebooks[student], key))
            if row is None:
                changes.new.append({"notebook_id": notebooks[student], "cell_id": key, "auto_comment": said})
            elif row.auto_comment != said:
                changes.changed.append({"id": row.id, "auto_comment": said})
    changes.apply(session, table)


def _auto_comments(cells: Cells, record: GradeRecord) -> Iterator[tuple[str, str]]:
    if record.status is Status.UNREADABLE:
        yield from ((name, record.reason) for name in (*cells.tests, *cells.questions))
        return
    yield from ((cell.grade_id, cell.message) for cell in record.cells if cell.message)
    yield from ((answer.grade_id, NO_RESPONSE) for answer in record.answers if not answer.answered)
    yield from ((name, NO_RESPONSE) for name in record.untouched)


def _existing(session: Any, table: Any, notebooks: Mapping[str, str]) -> dict[tuple[str, str], Any]:
    from sqlalchemy import select

    query = select(table).where(table.c.notebook_id.in_(notebooks.values()))
    rows = session.execute(query.with_for_update())  # what a person enters meanwhile comes before or after all of this
    return {(row.notebook_id, row.cell_id): row for row in rows}


def _penalties(
    session: Any, table: Any, notebooks: Mapping[str, str], late: Mapping[str, Lateness], points: Mapping[str, float]
) -> None:
    from sqlalchemy import select

    found = select(table.c.id, table.c.late_submission_penalty).where(table.c.id.in_(notebooks.values()))
    have = {row.id: row.late_submission_penalty for row in session.execute(found)}
    changes = _Changes([], [])
    for student, notebook in notebooks.items():
        known = student in late and late[student].due  # otherwise a penalty is somebody else's
        penalty = (late[student].penalty(points[student]) or None) if known else have[notebook]
        if penalty != have[notebook]:
            changes.changed.append({"id": notebook, "late_submission_penalty": penalty})
    changes.apply(session, table)
