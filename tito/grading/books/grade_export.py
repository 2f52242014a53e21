"""Grades in the layouts that other systems take in: plain CSV, Canvas, Moodle, Gradescope, JSON."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from tito.facts import Facts
from tito.grading.books.grades import StudentGrade, storable
from tito.grading.books.policy import Lateness
from tito.grading.books.results import Results
from tito.grading.intake.students import Student

_UNSEEN = " \n\ufeff\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Value = str | float


class Format(StrEnum):
    """The layouts."""

    CSV = "csv"
    CANVAS = "canvas"
    MOODLE = "moodle"
    GRADESCOPE = "gradescope"
    JSON = "json"


class State(StrEnum):
    """Whether a student's total is final."""

    COMPLETE = "complete"
    WAITING = "needs manual grading"
    MISSING = "nothing handed in"
    UNGRADED = "not graded"
    NEWER = "newer submission not graded"


@dataclass(frozen=True)
class Line:
    """One student's line of an export."""

    person: Student
    state: State
    grade: StudentGrade
    late: Lateness
    total: float | None  # None: held back

    @property
    def written(self) -> Value:
        """The total, or an empty cell: neither Canvas nor Moodle takes that for a zero."""
        return "" if self.total is None else self.total


@dataclass(frozen=True)
class Exported(Facts):
    """What was exported, and whose totals were held back."""

    schema: ClassVar[str] = "tito.grade-export/1"

    modules: tuple[str, ...]
    layout: Format
    text: str
    totals: int
    held_back: tuple[tuple[str, str, str], ...]  # (student, module, why)
    included: tuple[tuple[str, str], ...]  # (student, module) whose total lacks what a person has still to grade
    file: str = ""


@dataclass(frozen=True)
class _Sheet:
    """The lines of one assignment, by student."""

    found: Results
    lines: dict[str, Line]

    @property
    def name(self) -> str:
        return self.found.module.folder

    @property
    def possible(self) -> float:
        return possible(self.found)


def export(found: Sequence[Results], layout: Format, include_ungraded: bool = False) -> Exported:
    """The grades of assignments as text.

    A total that waits for a person is left empty, and with include_ungraded it is the points given so far.
    """
    sheets = [_Sheet(each, {name: _line(each, name, include_ungraded) for name in each.students}) for each in found]
    writers: dict[Format, Callable[[Sequence[_Sheet]], str]] = {
        Format.CSV: _csv,
        Format.CANVAS: _canvas,
        Format.MOODLE: _moodle,
        Format.GRADESCOPE: _gradescope,
        Format.JSON: _json,
    }
    lines = [(sheet.name, line) for sheet in sheets for line in sheet.lines.values()]
    return Exported(
        tuple(sheet.name for sheet in sheets),
        layout,
        writers[layout](sheets),
        sum(line.total is not None for _, line in lines),
        tuple((line.person.id, name, str(line.state)) for name, line in lines if line.total is None),
        tuple((line.person.id, name) for name, line in lines if line.total is not None and line.state is State.WAITING),
    )


def _line(found: Results, student: str, include_ungraded: bool) -> Line:
    grade = found.grades.get(student)
    if grade is None:
        state = State.MISSING if student not in found.submitted else State.UNGRADED
    elif found.ungradable(student):
        state = State.UNGRADED
    elif student in found.newer:
        state = State.NEWER
    else:
        state = State.WAITING if grade.ungraded else State.COMPLETE
    final = state is State.COMPLETE or (state is State.WAITING and include_ungraded)
    own = grade or StudentGrade(student)
    total = round(own.total, 2) if final else None
    return Line(found.person(student), state, own, found.late.get(student, Lateness()), total)


def possible(found: Results) -> float:
    """The points of an assignment, manual ones among them."""
    counted = [grade.possible for grade in found.grades.values() if grade.cells]
    return max(counted, default=float(found.module.automatic_points + found.module.manual_points))


def safe(value: Value) -> Value:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if not isinstance(value, str):
        return round(value, 2) + 0.0  # no -0.0
    text = storable(value)
    bare = unicodedata.normalize("NFKC", text).lstrip(_UNSEEN)  # a full-width sign counts in some languages
    text = f"'{text}" if text.startswith(_FORMULA) or bare.startswith(_FORMULA) else text
    return text.replace("\r", " ").replace("\n", " ")


def _rows(head: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow([f"{cell:.10g}" if isinstance(cell := safe(value), float) else cell for value in row])
    return stream.getvalue()


def _people(sheets: Sequence[_Sheet]) -> Iterator[tuple[Student, list[Value]]]:
    """Everybody, each with the totals in the order of the assignments."""
    for student in sorted({name for sheet in sheets for name in sheet.lines}, key=str.casefold):
        own = [sheet.lines.get(student) for sheet in sheets]
        person = next(line.person for line in own if line is not None)
        yield person, [line.written if line else "" for line in own]


def _csv(sheets: Sequence[_Sheet]) -> str:
    """One line for each student in each assignment."""
    who = ("module", "student", "first_name", "last_name", "email")
    head = (*who, "automatic", "manual", "late", "total", "possible", "state")

    def row(sheet: _Sheet, line: Line) -> Sequence[Value]:
        person, grade = line.person, line.grade
        points = (grade.automatic, grade.manual, grade.penalty) if grade.cells else ("", "", "")
        named = (sheet.name, person.id, person.first_name, person.last_name, person.email)
        return (*named, *points, line.written, sheet.possible, str(line.state))

    return _rows(head, (row(sheet, line) for sheet in sheets for line in sheet.lines.values()))


def _canvas(sheets: Sequence[_Sheet]) -> str:
    """Canvas' gradebook import: it finds students by ID or login, and assignments by their names."""
    head = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", *(sheet.name for sheet in sheets))

    def rows() -> Iterator[Sequence[Value]]:
        yield ("    Points Possible", "", "", "", "", *(sheet.possible for sheet in sheets))
        for person, totals in _people(sheets):
            name = f"{person.last_name}, {person.first_name}".strip(", ") or person.id
            yield (name, person.lms_id, person.id, person.id, "", *totals)

    return _rows(head, rows())


def _moodle(sheets: Sequence[_Sheet]) -> str:
    """Moodle's grade import, in the columns of its own export: students by their address or ID number.

    The participant's number in the names of Moodle's files is none of what the import goes by, and is another in each
    assignment; as an ID number it could be somebody else's.
    """
    head = ("First name", "Last name", "ID number", "Institution", "Department", "Email address")
    rows = (
        (person.first_name, person.last_name, person.id, "", "", person.email, *totals)
        for person, totals in _people(sheets)
    )
    return _rows((*head, *(f"Assignment: {sheet.name} (Real)" for sheet in sheets)), rows)


def _gradescope(sheets: Sequence[_Sheet]) -> str:
    """The columns of Gradescope's own table of grades."""
    more = (" - Max Points", " - Submission Time", " - Lateness (H:M:S)")
    names = [name for sheet in sheets for name in (sheet.name, *(sheet.name + words for words in more))]

    def own(sheet: _Sheet, student: str) -> Sequence[Value]:
        line = sheet.lines.get(student)
        if line is None or line.late.submitted is None:
            return (line.written if line else "", sheet.possible, "", "")
        seconds = int(line.late.late.total_seconds())
        lateness = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return (line.written, sheet.possible, line.late.submitted.strftime("%Y-%m-%d %H:%M:%S %z"), lateness)

    rows = (
        (
            *(person.first_name, person.last_name, person.id, person.email, ""),
            *(value for sheet in sheets for value in own(sheet, person.id)),
        )
        for person, _ in _people(sheets)
    )
    head = ("First Name", "Last Name", "SID", "Email", "Sections", *names)
    return _rows(head, rows)


def _json(sheets: Sequence[_Sheet]) -> str:
    assignments = [
        {
            "module": sheet.name,
            "possible": sheet.possible,
            "students": [_plain(sheet.found, line) for line in sheet.lines.values()],
        }
        for sheet in sheets
    ]
    return json.dumps({"schema": "tito.grades/1", "assignments": assignments}, indent=2) + "\n"


def _plain(found: Results, line: Line) -> dict[str, Any]:
    cells = [
        {
            "grade_id": cell.grade_id,
            "kind": "question" if cell.question else "test",
            "score": None if cell.needs_manual_grade else cell.score,
            "possible": cell.possible,
            "comment": cell.manual_comment,
        }
        for cell in line.grade.cells
    ]
    return {
        "student": line.person.id,
        "first_name": line.person.first_name,
        "last_name": line.person.last_name,
        "email": line.person.email,
        "state": str(line.state),
        "automatic": line.grade.automatic if cells else None,
        "manual": line.grade.manual if cells else None,
        "late": line.grade.penalty,
        "late_because": found.lateness(line.person.id),
        "total": line.total,
        "cells": cells,
    }
