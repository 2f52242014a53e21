"""An assignment as a whole: who has how many points, how hard each cell was, who is missing."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tito.course import Module
from tito.facts import Facts
from tito.grading.books.grade_export import State, possible
from tito.grading.books.page import document, table, tag, text
from tito.grading.books.results import Results, results
from tito.grading.place import Place
from tito.grading.records import Status

BINS = 10


@dataclass(frozen=True)
class StudentRow:
    """One student's points."""

    student: str
    name: str
    automatic: float
    manual: float
    late: float  # what lateness takes
    total: float
    waiting: int  # cells that a person has still to grade
    state: str  # "complete", "2 to grade", "newer submission not graded", "unreadable"
    late_because: str


@dataclass(frozen=True)
class Bin:
    """How many students have a share of the points, from `low` to `high` percent."""

    low: int
    high: int
    students: int


@dataclass(frozen=True)
class Difficulty:
    """One cell over all students."""

    grade_id: str
    question: bool
    possible: float
    graded: int  # students whose score is known
    share: float | None  # of the points, from 0 to 1
    discrimination: float | None  # correlation with the points of all other cells; None where either does not vary


@dataclass(frozen=True)
class Report(Facts):
    """The state of an assignment."""

    schema: ClassVar[str] = "tito.grade-report/1"

    module: str
    title: str
    possible: float
    students: tuple[StudentRow, ...]
    counted: str  # what the histogram counts: "total" or, while answers wait, "automatic"
    histogram: tuple[Bin, ...]
    cells: tuple[Difficulty, ...]
    missing: tuple[str, ...]
    not_graded: tuple[str, ...]  # handed in, and the grader has not run on it, or on one before it
    ungradable: tuple[tuple[str, str], ...]
    quarantined: tuple[tuple[str, str], ...]
    untimed: tuple[tuple[str, str], ...]  # (student, which time of submission cannot be read)
    isolation: tuple[tuple[str, int], ...]  # (how the sandbox was made, for how many submissions)
    mean: float | None
    median: float | None

    @property
    def waiting(self) -> int:
        """How many cells wait for a person."""
        return sum(row.waiting for row in self.students)


def report(place: Place, module: Module, url: str = "") -> Report:
    """The state of an assignment; NothingRan when none of its submissions has been graded."""
    return report_of(results(place, module, url))


def report_of(found: Results) -> Report:
    """The report on results."""
    rows = tuple(_row(found, student) for student in found.students if student in found.grades)
    waiting = any(row.waiting for row in rows)
    totals = [row.automatic if waiting else row.total for row in rows]
    full = _automatic(found) if waiting else possible(found)
    ungradable = tuple((name, found.records[name].reason) for name in found.students if found.ungradable(name))
    failed = {name for name, _ in ungradable}
    kinds = Counter(record.isolation for record in found.records.values() if record.isolation)
    return Report(
        found.module.folder,
        found.module.title,
        possible(found),
        rows,
        "automatic" if waiting else "total",
        histogram([total / full for total in totals] if full else []),
        difficulties(found),
        found.missing,
        tuple(name for name in found.waiting if name not in failed),
        ungradable,
        found.quarantined,
        found.untimed,
        tuple(kinds.most_common()),
        statistics.fmean(totals) if totals else None,
        statistics.median(totals) if totals else None,
    )


def _automatic(found: Results) -> float:
    sums = [sum(c.possible for c in grade.cells if not c.question) for grade in found.grades.values()]
    return max(sums, default=0.0)


def _row(found: Results, student: str) -> StudentRow:
    grade, person = found.grades[student], found.person(student)
    record = found.records.get(student)
    state = "complete"
    if record is not None and record.status is not Status.GRADED:
        state = str(record.status)
    elif student in found.newer:
        state = str(State.NEWER)
    elif grade.ungraded:
        state = f"{len(grade.ungraded)} to grade"
    return StudentRow(
        student,
        f"{person.first_name} {person.last_name}".strip(),
        grade.automatic,
        grade.manual,
        grade.penalty,
        grade.total,
        len(grade.ungraded),
        state,
        found.lateness(student),
    )


def histogram(shares: Sequence[float]) -> tuple[Bin, ...]:
    """Ten bins of equal width; the last one holds whoever has all points or more."""
    found = Counter(min(BINS - 1, int(share * BINS + 1e-9)) for share in shares)
    width = 100 // BINS
    return tuple(Bin(at * width, (at + 1) * width, found[at]) for at in range(BINS))


def difficulties(found: Results) -> tuple[Difficulty, ...]:
    """Each cell in the order of the lesson: how many of its points were earned, and whether it tells students apart.

    Submissions that could not be read say nothing about a cell, so they are left out.
    """
    read = [name for name, record in found.records.items() if record.status is Status.GRADED and name in found.grades]
    order = [score.grade_id for name in read[:1] for score in found.records[name].cells]
    order += [answer.grade_id for name in read[:1] for answer in found.records[name].answers]
    cells = {name: {cell.grade_id: cell for cell in found.grades[name].cells} for name in read}
    rows = []
    for grade_id in order:
        known = [
            (name, cells[name][grade_id])
            for name in read
            if grade_id in cells[name] and not cells[name][grade_id].needs_manual_grade
        ]
        worth = next((own[grade_id] for own in cells.values() if grade_id in own), None)
        if worth is None:
            continue
        scores = [cell.score for _, cell in known]
        rest = [found.grades[name].raw - cell.score for name, cell in known]
        share = statistics.fmean(scores) / worth.possible if scores and worth.possible else None
        rows.append(Difficulty(grade_id, worth.question, worth.possible, len(known), share, _correlation(scores, rest)))
    return tuple(rows)


def _correlation(scores: Sequence[float], rest: Sequence[float]) -> float | None:
    if len(scores) < 3 or len(set(scores)) == 1 or len(set(rest)) == 1:
        return None
    return statistics.correlation(scores, rest)


def report_page(found: Report) -> str:
    """The report as an HTML page for whoever teaches; it names students."""
    most = max((each.students for each in found.histogram), default=0) or 1
    bars = [
        (
            text(f"{each.low} to {each.high}%"),
            text(str(each.students)),
            f'<span class="bar" style="width: {16 * each.students / most:.1f}rem"></span>' if each.students else "",
        )
        for each in found.histogram
    ]
    lists = (
        ("Handed in nothing", [text(name) for name in found.missing]),
        ("Handed in and not graded", [text(name) for name in found.not_graded]),
        ("Could not be graded: try again", [text(f"{name}: {reason}") for name, reason in found.ungradable]),
        ("Lateness not known", [text(f"{name}: {reason}") for name, reason in found.untimed]),
        ("Not collected", [text(f"{name}: {reason}") for name, reason in found.quarantined]),
    )
    return document(
        f"{found.module}: report",
        tag("h1", text(f"{found.module}: {found.title}")),
        tag("p", text(summary(found)), css="soft"),
        tag("h2", text(f"Students by their share of the {found.counted} points")),
        table(("share", "students", ""), bars, frozenset({1})),
        tag("h2", "Students"),
        table(
            ("student", "name", "automatic", "manual", "late", "total", "state"),
            [[text(cell) for cell in cells_of(row)] for row in found.students],
            frozenset({2, 3, 4, 5}),
        ),
        tag("h2", "Cells"),
        table(
            ("cell", "of", "graded", "earned", "discrimination"),
            [[text(cell) for cell in difficulty_cells(row)] for row in found.cells],
            frozenset({1, 2, 3, 4}),
        ),
        *(tag("h2", head) + tag("ul", *(tag("li", name) for name in names)) for head, names in lists if names),
        *(tag("p", text(f"isolation: {kind} ({count})"), css="soft") for kind, count in found.isolation),
    )


def cells_of(row: StudentRow) -> tuple[str, ...]:
    """A student's line as text."""
    late = f"-{row.late:g}" if row.late else ""
    return (row.student, row.name, f"{row.automatic:g}", f"{row.manual:g}", late, f"{row.total:g}", row.state)


def difficulty_cells(row: Difficulty) -> tuple[str, ...]:
    """A cell's line as text."""
    share = "-" if row.share is None else f"{100 * row.share:.0f}%"
    apart = "-" if row.discrimination is None else f"{row.discrimination:.2f}"
    return (row.grade_id, f"{row.possible:g}", str(row.graded), share, apart)


def summary(found: Report) -> str:
    """The report in a sentence."""
    words = f"{len(found.students)} graded, {found.possible:g} points"
    if found.mean is not None and found.median is not None:
        words += f"; {found.counted} points: mean {found.mean:.1f}, median {found.median:g}"
    return words + (f"; {found.waiting} answers wait for a person" if found.waiting else "")
