"""What grading again would change: who moves, by how much, because of which cells."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from tito.facts import Facts
from tito.grading.records import CellScore, GradeRecord, Status


class Cause(StrEnum):
    """Why a cell has other points than before."""

    SUBMISSION = "submission changed"
    POINTS = "points changed"
    TEST = "test changed"  # the same work meets it with another outcome
    PROBE = "probe changed"
    ADDED = "cell added"
    DROPPED = "cell dropped"
    READING = "read differently"  # the file could not be read before, or cannot now
    GRADER = "grader changed"


@dataclass(frozen=True)
class CellMove:
    """One cell's points before and after."""

    grade_id: str
    before: float
    after: float
    cause: Cause


@dataclass(frozen=True)
class Move:
    """One student's automatic points before and after; `cells` is empty when the file as a whole was read anew."""

    student: str
    before: float
    after: float
    cells: tuple[CellMove, ...]
    cause: Cause | None = None  # of the submission as a whole

    @property
    def change(self) -> float:
        """The points gained, negative when they were lost."""
        return self.after - self.before


@dataclass(frozen=True)
class Plan(Facts):
    """The moves, and those about whom nothing can be said."""

    schema: ClassVar[str] = "tito.regrade/1"

    module: str
    moves: tuple[Move, ...]
    unmoved: int  # same points, cell by cell
    new: tuple[str, ...]  # graded for the first time
    gone: tuple[str, ...]  # graded before, and not now
    ungradable: tuple[tuple[str, str], ...]  # (student, reason): their old verdict stands
    unreached: tuple[str, ...] = ()  # the run was stopped before it came to them
    applied: bool = False  # whether the new verdicts were written down

    def to_json(self) -> dict[str, Any]:
        """The plan with each student's change."""
        plain = super().to_json()
        moves = [{**row, "change": move.change} for row, move in zip(plain["moves"], self.moves, strict=True)]
        return {**plain, "moves": moves}


def plan(
    module: str, old: Mapping[str, GradeRecord], new: Mapping[str, GradeRecord], unreached: Collection[str] = ()
) -> Plan:
    """Compare verdicts, both by student. Changes that cancel in a student's sum are moves too.

    unreached: who was to be graded again, and is not in `new` because the run was stopped.
    """
    both = sorted(old.keys() & new.keys())
    failed = tuple((name, new[name].reason) for name in sorted(new) if new[name].status is Status.UNGRADABLE)
    compared = [
        name for name in both if new[name].status is not Status.UNGRADABLE and old[name].status is not Status.UNGRADABLE
    ]
    moves = [move for name in compared if (move := _move(old[name], new[name])) is not None]
    first = [name for name in new if name not in old or old[name].status is Status.UNGRADABLE]
    return Plan(
        module,
        tuple(sorted(moves, key=lambda move: (move.change, move.student))),
        len(compared) - len(moves),
        tuple(sorted(name for name in first if new[name].status is not Status.UNGRADABLE)),
        tuple(sorted(old.keys() - new.keys() - {*unreached})),
        failed,
        tuple(sorted(unreached)),
    )


def _move(old: GradeRecord, new: GradeRecord) -> Move | None:
    if old.status is not new.status:
        same = old.submission_hash == new.submission_hash
        return Move(old.student, old.points, new.points, (), Cause.READING if same else Cause.SUBMISSION)
    cells = tuple(_cell_moves(old, new))
    return Move(old.student, old.points, new.points, cells) if cells else None


def _cell_moves(old: GradeRecord, new: GradeRecord) -> Iterator[CellMove]:
    before, after = ({cell.grade_id: cell for cell in record.cells} for record in (old, new))
    for grade_id in (*before, *(name for name in after if name not in before)):
        was, now = before.get(grade_id), after.get(grade_id)
        points = (was.points if was else 0.0, now.points if now else 0.0)
        if points[0] != points[1] or (was and now and was.possible != now.possible):
            yield CellMove(grade_id, *points, _cause(old, new, was, now))


def _cause(old: GradeRecord, new: GradeRecord, was: CellScore | None, now: CellScore | None) -> Cause:
    if was is None:
        return Cause.ADDED
    if now is None:
        return Cause.DROPPED
    if old.submission_hash != new.submission_hash:
        return Cause.SUBMISSION
    if was.possible != now.possible:
        return Cause.POINTS
    if (was.test, was.outcome) != (now.test, now.outcome):
        return Cause.TEST
    probes = [[(probe.name, probe.agreed) for probe in cell.probes] for cell in (was, now)]
    return Cause.PROBE if probes[0] != probes[1] else Cause.GRADER
