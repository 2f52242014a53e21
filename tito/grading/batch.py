"""Autograding an assignment: what is to be graded, who grades it, and what is written down, a batch at a time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tito.errors import EnvironmentFault, Exit, NothingRan, UsageError
from tito.facts import Facts
from tito.grading.assignment import Assignment
from tito.grading.books.results import untimed
from tito.grading.engine import Setup, Task
from tito.grading.journal import Journal, verdict_key
from tito.grading.place import Place, submission_file
from tito.grading.pool import Brake, Workers, run
from tito.grading.records import GradeRecord, Status

BATCH = 25  # verdicts written down together
PAUSE = 2.0  # seconds after which fewer are written down


@dataclass(frozen=True)
class Graded:
    """One line of the answer: a verdict without its grounds."""

    student: str
    status: Status
    points: float
    possible: float
    reason: str
    seconds: float
    known: bool  # from an earlier run

    @classmethod
    def of(cls, record: GradeRecord, known: bool) -> Graded:
        """The line of a record."""
        return cls(
            record.student,
            record.status,
            record.points,
            record.possible,
            record.reason,
            round(record.seconds, 3),
            known,
        )


@dataclass(frozen=True)
class Autograded(Facts):
    """What a run of the grader did."""

    schema: ClassVar[str] = "tito.autograde/1"

    module: str
    rows: tuple[Graded, ...]
    left: int  # submissions that were not reached
    outdated: tuple[str, ...]  # students whose verdict is of an earlier test, probe or grader
    untimed: tuple[tuple[str, str], ...]  # (student, which time of submission cannot be read)
    isolation: str
    jobs: int
    seconds: float

    def count(self, status: Status) -> int:
        """How many submissions ended one way."""
        return sum(row.status is status for row in self.rows)

    @property
    def new(self) -> int:
        """How many were graded in this run."""
        return sum(not row.known for row in self.rows)

    @property
    def exit_code(self) -> Exit:
        """8 when some could not be graded, 130 when the run was stopped early."""
        if self.left:
            return Exit.INTERRUPTED
        return Exit.INFRASTRUCTURE if self.count(Status.UNGRADABLE) else Exit.OK

    def to_json(self) -> dict[str, Any]:
        """The answer with its counts."""
        counts = {str(status): self.count(status) for status in Status}
        return {**super().to_json(), "counts": counts, "new": self.new, "exit_code": int(self.exit_code)}


Writer = Callable[[Sequence[GradeRecord]], None]


@dataclass
class Books:
    """Where verdicts are written down, a batch at a time, always by one thread."""

    keep: Writer  # writes the graded notebooks
    write: Writer  # writes into the gradebook


@dataclass(frozen=True)
class Standing:
    """What earlier runs found out about the submissions that are there."""

    known: tuple[GradeRecord, ...]  # verdicts that stand
    outdated: tuple[GradeRecord, ...]  # by an earlier test or grader, and left as they are
    fresh: tuple[str, ...]  # students whose submission is to be graded

    def __len__(self) -> int:
        return len(self.known) + len(self.outdated) + len(self.fresh)


@dataclass
class Run:
    """One autograding, from the folder of submissions to the gradebook."""

    place: Place
    setup: Setup
    workers: Workers
    standing: Standing
    jobs: int
    books: Books | None  # None: nothing is written down
    tell: Callable[[GradeRecord], None] = lambda record: None
    note: Callable[[str], None] = lambda text: None
    rows: list[Graded] = field(default_factory=list)

    @property
    def assignment(self) -> Assignment:
        """What is graded."""
        return self.setup.assignment

    @property
    def journal(self) -> Journal:
        """What was graded before, and what is now."""
        return Journal(self.place.journal)

    def go(self) -> Autograded:
        """Grade the submissions that need it, and write down what was found."""
        started = time.monotonic()
        known, outdated, fresh = self.standing.known, self.standing.outdated, self.standing.fresh
        if self.books is not None:
            for start in range(0, len(known), BATCH):  # a run that was killed may not have come to it
                self.books.write(known[start : start + BATCH])
        self.rows = [Graded.of(record, known=True) for record in (*known, *outdated)]
        for record in (*known, *outdated):
            self.tell(record)
        isolation = self._grade(fresh) or next((record.isolation for record in known), "")
        left = len(fresh) - sum(not row.known for row in self.rows)
        return Autograded(
            self.assignment.module,
            tuple(sorted(self.rows, key=lambda row: row.student)),
            left,
            tuple(record.student for record in outdated),
            untimed(self.place, {row.student for row in self.rows}),
            isolation,
            self.jobs,
            time.monotonic() - started,
        )

    def _grade(self, students: Sequence[str]) -> str:
        """Grade some students' submissions, a batch at a time; the isolation that was used."""
        brake = Brake(
            told=lambda: self.note("finishing what is under way; Ctrl-C again stops at once, and nothing is lost")
        )
        waiting, written, isolation = list[GradeRecord](), time.monotonic(), ""
        with brake.held():
            try:
                for record in self._verdicts(students, brake):
                    isolation = record.isolation or isolation
                    waiting.append(record)
                    self.tell(record)
                    if len(waiting) >= BATCH or time.monotonic() - written > PAUSE:
                        ready, waiting = waiting, []  # a failure here must not write them a second time below
                        self._write_down(ready)
                        written = time.monotonic()
            finally:
                self._write_down(waiting)
        return isolation

    def _verdicts(self, students: Iterable[str], brake: Brake) -> Iterator[GradeRecord]:
        """The verdicts as they come; last, that there is none on what cannot be read from the disk."""
        lost = list[GradeRecord]()
        yield from run(self.workers, self.setup, self._tasks(students, lost), brake)
        yield from lost

    def _tasks(self, students: Iterable[str], lost: list[GradeRecord]) -> Iterator[Task]:
        for student in students:
            try:
                task = task_of(self.place, self.assignment, student)
            except EnvironmentFault as fault:
                module, tests = self.assignment.module, self.assignment.hash
                lost.append(GradeRecord(student, module, "", tests, Status.UNGRADABLE, fault.message))
            else:
                yield task

    def _write_down(self, records: Sequence[GradeRecord]) -> None:
        """Keep a batch: what the journal has is in the notebooks, and gets into the gradebook now or next time."""
        if not records:
            return
        self.rows += [Graded.of(record, known=False) for record in records]
        final = [record for record in records if record.status is not Status.UNGRADABLE]
        if self.books is None:
            return
        self.books.keep(final)
        keys = [verdict_key(record.student, record.submission_hash, self.assignment.hash) for record in records]
        self.journal.append(list(zip(keys, records, strict=True)))
        self.books.write(final)


def standing(
    place: Place, assignment: Assignment, students: Sequence[str], again: bool = False, anew: bool = False
) -> Standing:
    """Which verdicts on students' submissions stand.

    again: those by an earlier test or grader are not left. anew: nor is any other.
    """
    latest = Journal(place.journal).latest(assignment.module)
    known, outdated, fresh = list[GradeRecord](), list[GradeRecord](), list[str]()
    for student in students:
        there = ""  # the run says why
        with contextlib.suppress(EnvironmentFault):
            there = task_of(place, assignment, student).hash
        key, record = latest.get(student, ("", None))
        if anew or record is None or record.submission_hash != there or record.status is Status.UNGRADABLE:
            fresh.append(student)
        elif key == verdict_key(student, there, assignment.hash):
            known.append(record)
        elif again:
            fresh.append(student)
        else:
            outdated.append(record)
    return Standing(tuple(known), tuple(outdated), tuple(fresh))


def task_of(place: Place, assignment: Assignment, student: str) -> Task:
    """A student's submission as it lies in the grading folder; EnvironmentFault when it has gone or cannot be read."""
    module = place.course.named(assignment.module)
    folder = place.submitted(student, module)
    try:
        path = submission_file(place, student, module)
        if path is not None:
            return Task(student, path.name, path.read_bytes())
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be read: {error}.", "look at its files and their modes") from None
    raise EnvironmentFault(
        f"{folder} has no {assignment.name}.ipynb and no {assignment.name}.py.",
        f"tito grade collect {assignment.module} --from DIR",
    )


def chosen(place: Place, assignment: Assignment, wanted: Sequence[str]) -> list[str]:
    """The students to grade; NothingRan when nobody handed in, UsageError for one who did not."""
    module = place.course.named(assignment.module)
    everyone = list(place.students(module))
    if not everyone:
        raise NothingRan(
            f"Nobody has handed in {module.folder}: {place.root / 'submitted'} has no such folder.",
            f"tito grade collect {module.folder} --from DIR",
        )
    unknown = [student for student in wanted if student not in everyone]
    if unknown:
        raise UsageError(f"{unknown[0]} has not handed in {module.folder}.", f"tito grade report {module.folder}")
    return list(wanted) or everyone
