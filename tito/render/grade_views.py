"""What `tito grade` shows while an assignment is released, collected and autograded."""

from __future__ import annotations

from collections.abc import Iterator

from tito.errors import Exit
from tito.grading.batch import Autograded, Graded
from tito.grading.intake.collect import Collected
from tito.grading.intake.keeping import Action, printable
from tito.grading.records import GradeRecord, Status
from tito.grading.releasing import Released
from tito.render.blocks import Block, Field, Mark, Next, Table, Text, counted

_KINDS = {Status.GRADED: "ok", Status.UNREADABLE: "bad", Status.UNGRADABLE: "warn"}
SHOWN = 40  # submissions in the table; a report shows all


def released(facts: Released) -> Iterator[Block]:
    """What was written, and what it was checked for."""
    for name in facts.files:
        yield Text(f"wrote {name}")
    yield Text(
        f"{facts.module}: all {facts.graded_cells} graded cells ({facts.points} points) fail on the student version, "
        f"no solution is left in it; {facts.manual_points} more points are graded by a person",
        "ok",
    )
    yield Next(f"tito grade collect {facts.module} --from DIR")


def collected(facts: Collected) -> Iterator[Block]:
    """Who handed in what, and what was not taken and why."""
    rows: list[list[Field]] = [
        [taken.student, Mark(taken.action, "ok"), taken.at.replace(".000000", ""), printable(taken.origin)]
        for taken in facts.submissions[:SHOWN]
    ]
    if rows:
        yield Table(("student", "submission", "handed in", "from"), rows, facts.module)
    if len(facts.submissions) > SHOWN:
        yield Text(f"and {len(facts.submissions) - SHOWN} more")
    for taken in facts.submissions:
        for note in taken.notes:
            yield Text(printable(f"{taken.student}: {note}"), "note")
    for bad in facts.quarantined:
        yield Text(printable(f"{bad.origin}: not taken: {bad.reason}"), "bad")
    if facts.missing:
        yield Text(f"nothing from {len(facts.missing)}: {', '.join(facts.missing[:SHOWN])}", "warn")
    counts = [f"{facts.count(action)} {action}" for action in Action if facts.count(action)]
    listed = ", ".join(counts) or ("nothing taken" if facts.quarantined else f"nothing found in {facts.source}")
    aside = f", {len(facts.quarantined)} in quarantine/{facts.module}" if facts.quarantined else ""
    yield Text(f"{facts.module}: {listed}{aside}", "ok" if facts.submissions and not facts.quarantined else "warn")
    if facts.submissions:
        yield Next(f"tito grade autograde {facts.module}")
    else:
        yield Next(f"tito grade collect {facts.module} --from DIR")


def verdict(record: GradeRecord) -> str:
    """One line for a submission that has just been graded."""
    if record.status is Status.GRADED:
        return f"{record.student}: {record.points:g}/{record.possible:g}"
    return printable(f"{record.student}: {record.status}: {record.reason}")


def autograded(facts: Autograded) -> Iterator[Block]:
    """The submissions with their points: all when there are few, otherwise those that need attention."""
    odd = [row for row in facts.rows if row.status is not Status.GRADED]
    shown = facts.rows if len(facts.rows) <= SHOWN else odd
    rows: list[list[Field]] = [
        [row.student, Mark(row.status, _KINDS[row.status]), _points(row), "earlier" if row.known else "now"]
        for row in shown
    ]
    if rows:
        yield Table(("student", "verdict", "points", "graded"), rows, facts.module, frozenset({2}))
    for row in odd:
        yield Text(printable(f"{row.student}: {row.reason}"), _KINDS[row.status])
    for student, reason in facts.untimed:
        yield Text(printable(f"{student}: lateness not known: {reason}"), "warn")
    yield Text(_summary(facts), "ok" if facts.exit_code is Exit.OK else "warn")
    if "reduced" in facts.isolation or "none" in facts.isolation:
        yield Text(f"isolation: {facts.isolation}", "warn")
    elif facts.isolation:
        yield Text(f"isolation: {facts.isolation}", "wait")
    if facts.outdated:
        yield Text(f"left as they are, graded by earlier tests, probes or graders: {len(facts.outdated)}", "warn")
    yield Next(_next(facts))


def _points(row: Graded) -> str:
    return "-" if row.status is Status.UNGRADABLE else f"{row.points:g}/{row.possible:g}"


def _summary(facts: Autograded) -> str:
    parts = [f"{facts.new} graded now, {len(facts.rows) - facts.new} earlier"]
    parts += [
        f"{facts.count(status)} {status}" for status in (Status.UNREADABLE, Status.UNGRADABLE) if facts.count(status)
    ]
    if facts.left:
        parts.append(f"{facts.left} left")
    rate = f", {facts.new / facts.seconds:.1f} a second" if facts.new and facts.seconds else ""
    return f"{facts.module}: {', '.join(parts)}; {facts.seconds:.1f} s with {counted(facts.jobs, 'worker')}{rate}"


def _next(facts: Autograded) -> str:
    if facts.left or facts.count(Status.UNGRADABLE):
        return f"tito grade autograde {facts.module}"
    if facts.outdated:
        return f"tito grade regrade {facts.module} --plan"
    return f"tito grade report {facts.module}"
