"""The page that a student gets back: points, failures, what each test said, answers with their comments, lateness.

It is made of verdicts and grades alone, neither of which holds a hidden test, a probe's source or a solution.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import ClassVar

from tito.course import Module
from tito.errors import UsageError
from tito.facts import Facts
from tito.grading.books.autograded import replace_text
from tito.grading.books.grades import CellGrade, StudentGrade
from tito.grading.books.page import document, table, tag, text
from tito.grading.books.results import Results, results
from tito.grading.place import Place, notebook_name
from tito.grading.records import Answer, CellScore, GradeRecord, Status


@dataclass(frozen=True)
class FeedbackWritten(Facts):
    """The pages that were written."""

    schema: ClassVar[str] = "tito.grade-feedback/1"

    module: str
    folder: str  # with one folder a student in it
    students: tuple[str, ...]
    incomplete: tuple[str, ...]  # whose answers are not all graded yet
    skipped: tuple[tuple[str, str], ...]  # (student, why there is no page)
    newer: tuple[str, ...]  # whose page is on a submission after which another came


def write_feedback(place: Place, module: Module, students: Collection[str] = (), url: str = "") -> FeedbackWritten:
    """Write one page a student; UsageError names a student who handed in nothing."""
    found = results(place, module, url)
    for student in students:
        if student not in found.records:
            raise UsageError(f"There is no verdict on {student!r} in {module.folder}.", "tito grade report")
    wanted = sorted(students or found.records)
    skipped, incomplete = list[tuple[str, str]](), list[str]()
    for student in wanted:
        if found.ungradable(student) or student not in found.grades:
            skipped.append((student, found.records[student].reason or "not in the gradebook"))
            continue
        folder = place.feedback(student, module)
        folder.mkdir(parents=True, exist_ok=True)
        replace_text(folder / f"{notebook_name(module)}.html", feedback_page(found, student))
        if found.grades[student].ungraded:
            incomplete.append(student)
    left_out = {name for name, _ in skipped}
    written = tuple(student for student in wanted if student not in left_out)
    newer = tuple(student for student in written if student in found.newer)
    return FeedbackWritten(
        module.folder, str(place.root / "feedback"), written, tuple(incomplete), tuple(skipped), newer
    )


def feedback_page(found: Results, student: str) -> str:
    """The page of a student whose work has a verdict and a grade."""
    record, grade, person = found.records[student], found.grades[student], found.person(student)
    cells = {cell.grade_id: cell for cell in grade.cells}
    name = f"{person.first_name} {person.last_name}".strip()
    title = f"{found.module.folder}: {found.module.title}"
    return document(
        f"{title}, {student}",
        tag("h1", text(title)),
        tag("p", text(f"{name} ({student})" if name else student), css="soft"),
        *_newer(found, student),
        _points(grade, found.lateness(student)),
        *_unread(record),
        *_repairs(record),
        *_failures(record),
        *_tests(record, cells),
        *_answers(record, cells),
        *_remarks(grade),
        *_output(record),
    )


def _newer(found: Results, student: str) -> Iterator[str]:
    if student in found.newer:
        yield tag("p", text("You have handed in another version since, which is not graded yet."), css="bad")


def _points(grade: StudentGrade, late: str) -> str:
    possible = {kind: sum(cell.possible for cell in grade.cells if cell.question is kind) for kind in (False, True)}
    waits = len(grade.ungraded)
    rows = [("tests", f"{grade.automatic:g}", f"{possible[False]:g}")]
    if possible[True]:
        rows.append(("questions", f"{grade.manual:g}" + (" so far" if waits else ""), f"{possible[True]:g}"))
    if grade.penalty:
        rows.append(("late", f"-{grade.penalty:g}", ""))
    rows.append(("total", f"{grade.total:g}" + (" so far" if waits else ""), f"{grade.possible:g}"))
    said = [tag("p", text(f"Handed in: {late}."))] if late else []
    if waits:
        said.append(tag("p", text(f"{waits} {'answer is' if waits == 1 else 'answers are'} not graded yet.")))
    return table(("", "points", "of"), [[text(cell) for cell in row] for row in rows], frozenset({1, 2})) + "".join(
        said
    )


def _unread(record: GradeRecord) -> Iterator[str]:
    if record.status is Status.UNREADABLE:
        yield tag("p", text(f"Your submission could not be read as a lesson: {record.reason}"), css="bad")


def _repairs(record: GradeRecord) -> Iterator[str]:
    if record.repairs:
        yield tag("h2", "Put right before grading")
        yield tag("ul", *(tag("li", text(repair)) for repair in record.repairs))


def _failures(record: GradeRecord) -> Iterator[str]:
    if record.failures:
        yield tag("h2", "Cells that failed")
        yield tag("ul", *(tag("li", tag("strong", text(name)), ": ", text(line)) for name, line in record.failures))


def _tests(record: GradeRecord, cells: dict[str, CellGrade]) -> Iterator[str]:
    if record.cells:
        yield tag("h2", "Tests")
    for score in record.cells:
        yield _test(score, cells.get(score.grade_id))


def _test(score: CellScore, grade: CellGrade | None) -> str:
    counted = grade.score if grade else score.points
    full = counted >= score.possible
    parts = [_head(score.test, counted, score.possible, "good" if full else "bad")]
    if grade and grade.manual_score is not None:
        parts.append(tag("p", text(f"Points given by a person; the tests came to {score.points:g}."), css="soft"))
    if score.message:
        parts.append(tag("p", text(score.message)))
    parts += _probes(score)
    if score.detail:
        parts.append(tag("details", tag("summary", "what the test said"), tag("pre", text(score.detail))))
    return tag("div", *parts, css="box")


def _probes(score: CellScore) -> Iterator[str]:
    """The probes by name, the disagreeing ones with what can be said without the expected value."""
    bad = [probe for probe in score.probes if not probe.agreed]
    good = [text(probe.label) for probe in score.probes if probe.agreed]
    if score.probes:
        yield tag("p", "Compared with fresh inputs:", css="soft")
        lines = [tag("span", "disagreed", css="bad") + f" {text(probe.label)}: {text(probe.message)}" for probe in bad]
        lines += [f"agreed: {'; '.join(good)}"] * bool(good)
        yield tag("ul", *(tag("li", line.removesuffix(": ")) for line in lines))


def _head(name: str, points: float, possible: float, css: str) -> str:
    number = tag("span", text(f"{points:g} of {possible:g}"), css=f"number {css}")
    return tag("div", tag("h3", text(name)), number, css="head")


def _answers(record: GradeRecord, cells: dict[str, CellGrade]) -> Iterator[str]:
    if record.answers:
        yield tag("h2", "Questions")
    for answer in record.answers:
        yield _answer(answer, cells.get(answer.grade_id))


def _answer(answer: Answer, grade: CellGrade | None) -> str:
    waits = grade is None or grade.needs_manual_grade
    if waits or grade is None:
        head = tag("div", tag("h3", text(answer.grade_id)), tag("span", "not graded yet", css="soft"), css="head")
    else:
        head = _head(answer.grade_id, grade.score, answer.possible, "")
    parts = [head]
    if answer.answered:
        parts.append(tag("pre", text(answer.text), css="prose"))
    else:
        parts.append(tag("p", "no answer", css="soft"))
    if grade and grade.manual_comment:
        parts.append(tag("p", tag("strong", "Comment: "), text(grade.manual_comment)))
    return tag("div", *parts, css="box")


def _remarks(grade: StudentGrade) -> Iterator[str]:
    if grade.remarks:
        yield tag("h2", "Comments on your code")
        yield tag("ul", *(tag("li", tag("strong", text(name)), ": ", text(said)) for name, said in grade.remarks))


def _output(record: GradeRecord) -> Iterator[str]:
    if record.output:
        yield tag("h2", "Output")
        yield tag("details", tag("summary", "what your code printed"), tag("pre", text(record.output)))
