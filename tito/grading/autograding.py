"""`tito grade autograde` put together: the assignment, the sandbox, the workers, the gradebook."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tito.course import Module
from tito.errors import EnvironmentFault
from tito.grading import cluster, pool
from tito.grading.assignment import Assignment, load_assignment
from tito.grading.batch import Books, Run, Standing, chosen, standing
from tito.grading.books import autograded, gradebook
from tito.grading.books.policy import course_id, policy_of
from tito.grading.books.results import lateness_of
from tito.grading.engine import Setup
from tito.grading.intake.keeping import finish
from tito.grading.intake.students import read_roster
from tito.grading.journal import Journal
from tito.grading.place import Place
from tito.grading.records import GradeRecord
from tito.grading.sandbox import isolation
from tito.grading.sandbox.jobs import Limits
from tito.lifecycle.batch import jobs_from
from tito.workspace import exclusively

_DAY = 86_400  # seconds


@dataclass(frozen=True)
class Wish:
    """What a command line asks of a run; empty for the default."""

    students: tuple[str, ...] = ()
    jobs: str = "auto"
    isolation: str = "auto"
    timeout: float | None = None  # seconds
    memory: int | None = None  # MB
    cluster: str = ""
    db: str = ""


@contextlib.contextmanager
def prepared(place: Place, module: Module, wish: Wish, again: bool = False, dry: bool = False) -> Iterator[Run]:
    """A run that is ready to go; nobody else writes into this grading folder until it ends.

    again: also the submissions whose verdict is of an earlier test, probe or grader, and of students that are named
    any. dry: nothing is written down.
    """
    assignment = load_assignment(place.course, module)
    finish(place, module)  # what a collect that was killed had begun
    students = chosen(place, assignment, wish.students)
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            exclusively(place.root / "lock", f"tito grade autograde {module.folder}", "the gradebook", seconds=0)
        )
        setup = Setup(assignment, isolation.choose(wish.isolation), _limits(wish), secret_of(place))
        found = standing(place, assignment, students, again, again and bool(wish.students))
        jobs = min(jobs_from(wish.jobs), max(len(found.fresh), 1))
        cluster_wanted = cluster.workers(setup, wish.cluster) if wish.cluster else None
        workers = stack.enter_context(cluster_wanted) if cluster_wanted else pool.local(setup, jobs)
        stack.callback(workers.drop)
        if found.fresh:
            workers.start()  # they take about as long to get ready as the gradebook to open
        books = stack.enter_context(_books(place, module, assignment, wish.db, found, dry))
        yield Run(place, setup, workers, found, workers.width // pool.AHEAD, books)


@contextlib.contextmanager
def _books(
    place: Place, module: Module, assignment: Assignment, url: str, found: Standing, dry: bool
) -> Iterator[Books | None]:
    """The gradebook and the graded notebooks, ready to be written; None for a dry run.

    What the gradebook would refuse is refused here: later, verdicts would be in the journal and not in the gradebook.
    """
    name = course_id(place.course)
    policy_of(place.course)
    if dry and not (url or (place.root / "gradebook.db").exists()):
        yield None
        return
    with gradebook.open_gradebook(url or place.database, name) as book:
        if dry:
            gradebook.check(book, assignment)
            yield None
            return
        if found.fresh:  # otherwise points would move without anybody asking for it
            gradebook.register(book, assignment)
        autograded.write_config(place, name, url)
        gradebook.enrol(book, read_roster(place.root / "students.csv").students)
        pages = autograded.Pages(assignment)
        before = Journal(place.journal).records(module.folder)

        def keep(records: Sequence[GradeRecord]) -> None:
            for record in records:
                autograded.write_page(place, module, pages, record)

        def write(records: Sequence[GradeRecord]) -> None:
            late = lateness_of(place, module, {record.student for record in records})
            gradebook.write(book, assignment, records, late, before)

        yield Books(keep, write)


def _limits(wish: Wish) -> Limits:
    default = Limits()
    wall = default.wall if wish.timeout is None else wish.timeout
    memory = default.memory if wish.memory is None else wish.memory * 10**6
    if not 0 < wall <= _DAY or memory <= 0:  # no number (NaN) is neither
        raise EnvironmentFault(
            f"--timeout takes seconds, above 0 and up to {_DAY}; --memory takes megabytes, above 0.",
            "tito grade autograde --help",
        )
    return Limits(wall, wall, memory)


def secret_of(place: Place) -> bytes:
    """The key from which the inputs of probes are drawn; made on first use, readable by its owner alone."""
    path = place.secret
    place.root.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_hex(32).encode())
    return _key(path)


def _key(path: Path) -> bytes:
    try:
        found = bytes.fromhex(path.read_text(encoding="utf-8"))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise EnvironmentFault(f"{path} is damaged.", "delete it: inputs of probes are then drawn with a new key")
    return found
