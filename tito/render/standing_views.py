"""Where modules stand, as blocks; apart from the other views because `tito status` has to start fast."""

from __future__ import annotations

from collections.abc import Iterator

from tito.lifecycle.standing import Standing, Status
from tito.progress import State
from tito.render.blocks import Block, Mark, Next, Table, Text

_STATE_KINDS = {
    State.COMPLETE: "ok",
    State.REFERENCE: "note",
    State.STALE: "warn",
    State.STARTED: "note",
    State.READY: "wait",
    State.BLOCKED: "wait",
    State.MISSING: "bad",
    State.UNRELEASED: "wait",
}


def status(facts: Status) -> Iterator[Block]:
    """All modules of the release, and how many are still to come."""
    shown = [row for row in facts.modules if row.state is not State.UNRELEASED]
    complete = sum(row.state is State.COMPLETE for row in shown)
    yield Table(
        ("module", "state", "points", "why"),
        [(row.module, Mark(row.state, _STATE_KINDS[row.state]), _points(row), row.reason) for row in shown],
        f"{facts.root}: {complete} of {len(shown)} modules complete",
        frozenset({2}),
    )
    coming = len(facts.modules) - len(shown)
    if coming:
        others = "1 more module is" if coming == 1 else f"{coming} more modules are"
        yield Text(f"{others} not in this release: tito module list", "wait")
    yield Next(facts.next)


def _points(row: Standing) -> str:
    return f"{row.points}/{row.points_possible}"


def module_list(facts: Status) -> Iterator[Block]:
    """Every module of the course in order."""
    yield Table(
        ("module", "title", "minutes", "state"),
        [(row.module, row.title, str(row.minutes), Mark(row.state, _STATE_KINDS[row.state])) for row in facts.modules],
        "",
        frozenset({2}),
    )
    yield Next(facts.next)


def standing(facts: Standing) -> Iterator[Block]:
    """One module."""
    yield Text(f"{facts.module}: {facts.state}{', ' + facts.reason if facts.reason else ''}", _STATE_KINDS[facts.state])
    yield Text(f"{facts.title}, about {facts.minutes} minutes, {facts.points} of {facts.points_possible} points")
