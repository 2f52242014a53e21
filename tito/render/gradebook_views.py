"""What `tito grade report`, `feedback`, `export` and `regrade` show."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from tito.grading.books.feedback import FeedbackWritten
from tito.grading.books.grade_export import Exported
from tito.grading.books.regrade import Move, Plan
from tito.grading.books.reporting import Report, StudentRow, cells_of, difficulty_cells, summary
from tito.grading.intake.keeping import printable
from tito.render.blocks import Block, Field, Mark, Next, Table, Text, Verbatim, counted

_BAR, _BESIDE = 40, 20  # characters of the longest bar where there is room, and of what stands beside it
_KINDS = {"complete": "ok", "unreadable": "bad", "ungradable": "warn"}


def report(facts: Report) -> Iterator[Block]:
    """Students, how their points lie, cells, and who needs attention."""
    named = any(row.name for row in facts.students)
    columns = ("student", "name", "automatic", "manual", "late", "total", "state")
    rows = [_student(row, named) for row in facts.students]
    yield Table(
        [name for name in columns if named or name != "name"],
        rows,
        f"{facts.module}: {facts.title}",
        frozenset({2, 3, 4, 5} if named else {1, 2, 3, 4}),
        names=frozenset({0, 1} if named else {0}),
    )
    yield Text(f"students by their share of the {facts.counted} points", "head")
    yield Verbatim("\n".join(_bars(facts)))
    yield Table(
        ("cell", "of", "graded", "earned", "discrimination"),
        [difficulty_cells(row) for row in facts.cells],
        "cells",
        frozenset({1, 2, 3, 4}),
    )
    for row in facts.students:
        if row.late:
            yield Text(f"{row.student}: {row.late_because or 'late'}", "note")
    yield from _attention(facts)
    yield Text(summary(facts), "warn" if facts.waiting or facts.ungradable or facts.not_graded else "ok")
    yield Next(_next(facts))


def _student(row: StudentRow, named: bool) -> list[Field]:
    student, name, *numbers, state = cells_of(row)
    return [student, *([printable(name)] if named else []), *numbers, Mark(state, _KINDS.get(row.state, "wait"))]


def _bars(facts: Report) -> Iterator[str]:
    most = max((each.students for each in facts.histogram), default=0) or 1
    longest = max(1, min(_BAR, shutil.get_terminal_size((80, 24)).columns - _BESIDE))
    for each in facts.histogram:
        length = round(longest * each.students / most) or (1 if each.students else 0)
        yield f"{each.low:>3} to {each.high:>3}%  {each.students:>4}  {'█' * length}".rstrip()


def _attention(facts: Report) -> Iterator[Block]:
    if facts.missing:
        yield Text(f"handed in nothing ({len(facts.missing)}): {', '.join(facts.missing)}", "warn")
    if facts.not_graded:
        yield Text(f"handed in and not graded ({len(facts.not_graded)}): {', '.join(facts.not_graded)}", "warn")
    for name, reason in facts.ungradable:
        yield Text(printable(f"{name}: could not be graded, try again: {reason}"), "warn")
    for name, reason in facts.quarantined:
        yield Text(printable(f"{name}: not collected: {reason}"), "bad")
    for name, reason in facts.untimed:
        yield Text(printable(f"{name}: lateness not known: {reason}"), "warn")
    for kind, count in facts.isolation:
        yield Text(f"isolation: {kind} ({count})", "warn" if "reduced" in kind or "none" in kind else "wait")


def _next(facts: Report) -> str:
    if facts.ungradable or facts.not_graded:
        return f"tito grade autograde {facts.module}"
    return "tito grade manual" if facts.waiting else f"tito grade feedback {facts.module}"


def feedback(facts: FeedbackWritten) -> Iterator[Block]:
    """How many pages were written, and who has none."""
    for student, why in facts.skipped:
        yield Text(f"{student}: no page: {why}", "warn")
    if facts.incomplete:
        yield Text(f"with answers that are not graded yet: {len(facts.incomplete)}", "warn")
    if facts.newer:
        yield Text(f"on a submission after which another came: {', '.join(facts.newer)}", "warn")
    yield Text(f"{facts.module}: {counted(len(facts.students), 'page')} in {facts.folder}", "ok")
    if facts.newer:
        yield Next(f"tito grade autograde {facts.module}")
    else:
        yield Next("tito grade manual" if facts.incomplete else f"tito grade export {facts.module}")


def exported(facts: Exported) -> Iterator[Block]:
    """Where the grades went, and whose total was held back."""
    yield from (Text(line, "note") for line in remarks(facts))
    number = facts.totals + len(facts.held_back)
    yield Text(f"{', '.join(facts.modules)}: {facts.totals} of {number} totals in {facts.file} ({facts.layout})", "ok")


def remarks(facts: Exported) -> Iterator[str]:
    """What whoever uses an export has to know."""
    for student, module, why in facts.held_back:
        yield f"{student}, {module}: no total: {why}"
    for student, module in facts.included:
        yield f"{student}, {module}: the total lacks points that a person has still to give"


def regrade(facts: Plan) -> Iterator[Block]:
    """Who moves, by how much, because of what."""
    rows: list[list[Field]] = [
        [move.student, f"{move.before:g}", f"{move.after:g}", f"{move.change:+g}", _why(move)] for move in facts.moves
    ]
    if rows:
        columns = ("student", "before", "after", "change", "because of")
        yield Table(columns, rows, facts.module, frozenset({1, 2, 3}))
    for student, reason in facts.ungradable:
        yield Text(printable(f"{student}: could not be graded, the old verdict stands: {reason}"), "warn")
    words = [f"{len(facts.moves)} move, {facts.unmoved} stay"]
    words += [f"{len(facts.new)} new"] * bool(facts.new) + [f"{len(facts.gone)} gone"] * bool(facts.gone)
    words += [f"{len(facts.unreached)} not reached"] * bool(facts.unreached)
    kind = "warn" if facts.unreached else "ok"
    yield Text(f"{facts.module}: {', '.join(words)}{'' if facts.applied else '; nothing was written'}", kind)
    done = facts.applied and not facts.unreached
    yield Next(f"tito grade {'report' if done else 'regrade'} {facts.module}")


def _why(move: Move) -> str:
    if move.cause is not None:
        return str(move.cause)
    return "; ".join(f"{cell.grade_id} {cell.after - cell.before:+g} ({cell.cause})" for cell in move.cells)
