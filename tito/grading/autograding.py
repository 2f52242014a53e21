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
from tito.grading import autograded, cluster, gradebook, isolation, pool
from tito.grading.assignment import Assignment, load_assignment
from tito.grading.batch import Run, chosen
from tito.grading.engine import Setup
from tito.grading.jobs import Limits
from tito.grading.place import Place
from tito.grading.policy import Lateness, course_id, lateness, policy_of, read_timestamp
from tito.grading.records import GradeRecord
from tito.lifecycle.batch import jobs_from
from tito.workspace import exclusively


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
def prepared(place: Place, module: Module, wish: Wish, again: bool = False) -> Iterator[Run]:
    """A run that is ready to go; nobody else writes into this grading folder until it ends."""
    assignment = load_assignment(place.course, module)
    students = chosen(place, assignment, wish.students)
    jobs = min(jobs_from(wish.jobs), len(students))
    with exclusively(place.root / "lock", f"tito grade autograde {module.folder}", "the gradebook", seconds=0):
        setup = Setup(assignment, isolation.choose(wish.isolation), _limits(wish), secret_of(place))
        with (
            (
                cluster.workers(setup, wish.cluster)
                if wish.cluster
                else contextlib.nullcontext(pool.local(setup, jobs))
            ) as workers,
            gradebook.open_gradebook(wish.db or place.database, course_id(place.course)) as book,
        ):
            autograded.write_config(place, course_id(place.course), wish.db)
            pages = autograded.Pages(assignment)

            def keep(records: Sequence[GradeRecord]) -> None:
                for record in records:
                    autograded.write_page(place, module, pages, record)

            yield Run(
                place,
                setup,
                workers,
                students,
                keep,
                lambda records: gradebook.write(book, assignment, records, late_of(place, assignment, records)),
                jobs,
                again,
            )


def late_of(place: Place, assignment: Assignment, records: Sequence[GradeRecord]) -> dict[str, Lateness]:
    """How late some submissions are; it takes all submissions of a student to tell how many free days are left."""
    policy = policy_of(place.course)
    found = {}
    for record in records:
        stamps = (place.root / "submitted" / record.student).glob("*/timestamp.txt")
        times = {path.parent.name: read_timestamp(path.read_text(encoding="utf-8"), str(path)) for path in stamps}
        found[record.student] = lateness(policy, times).get(assignment.module, Lateness())
    return found


def _limits(wish: Wish) -> Limits:
    default = Limits()
    wall = default.wall if wish.timeout is None else wish.timeout
    memory = default.memory if wish.memory is None else wish.memory * 10**6
    if wall <= 0 or memory <= 0:
        raise EnvironmentFault("--timeout and --memory take numbers above 0.", "tito grade autograde --help")
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
