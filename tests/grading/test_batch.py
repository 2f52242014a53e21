"""Runs of many submissions: what is graded, kept and written, whatever is killed and whenever."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import context, reduction
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import ROOT

from tito.course import load_course
from tito.errors import EnvironmentFault, Exit, NothingRan, UsageError
from tito.grading import autograding, pool
from tito.grading.assignment import Assignment, load_assignment
from tito.grading.autograding import Wish
from tito.grading.batch import Books, Run, chosen, standing
from tito.grading.engine import Setup, Task
from tito.grading.journal import Journal, verdict_key
from tito.grading.place import Place
from tito.grading.pool import TRIES, Brake, Workers, run
from tito.grading.records import CellScore, GradeRecord, Status
from tito.grading.sandbox.isolation import Isolation
from tito.grading.sandbox.jobs import Limits
from tito.report import Outcome


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    course = load_course(ROOT)
    return load_assignment(course, course.resolve("3"))


def verdict(assignment: Assignment, task: Task, status: Status = Status.GRADED) -> GradeRecord:
    """A verdict that depends on the submission alone."""
    cells = (CellScore("test-matmul", "test_unit_matmul", float(len(task.data)), 10.0, Outcome.PASSED),)
    return GradeRecord(task.student, assignment.module, task.hash, assignment.hash, status, cells=cells)


@dataclass
class Class:
    """A class of students, a grader that counts what it does, and the books that are written."""

    place: Place
    assignment: Assignment
    work: Callable[[Task], GradeRecord]
    graded: list[str] = field(default_factory=list)
    books: dict[str, float] = field(default_factory=dict)
    notebooks: set[str] = field(default_factory=set)

    def hand_in(self, *students: str, text: str = "# %%\n") -> None:
        for student in students:
            folder = self.place.submitted(student, self.place.course.named(self.assignment.module))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "layers_dev.py").write_text(f"{text}{student}", encoding="utf-8")

    def run(self, again: bool = False, **changes: object) -> Run:
        def work(task: Task) -> GradeRecord:
            self.graded.append(task.student)
            return self.work(task)

        def write(records: object) -> None:
            self.books.update({record.student: record.points for record in records})  # type: ignore[attr-defined]

        def keep(records: object) -> None:
            self.notebooks.update(record.student for record in records)  # type: ignore[attr-defined]

        setup = Setup(self.assignment, Isolation.LIMITS, Limits(), b"x" * 32)
        workers = Workers(lambda: ThreadPoolExecutor(2), work, 4, lambda executor, at_once: executor.shutdown())
        found = standing(self.place, self.assignment, chosen(self.place, self.assignment, ()), again)
        made = Run(self.place, setup, workers, found, 2, Books(keep, write))
        for name, value in changes.items():
            setattr(made, name, value)
        return made


@pytest.fixture
def school(tmp_path: Path, assignment: Assignment) -> Class:
    place = Place(tmp_path / "grading", load_course(ROOT))
    return Class(place, assignment, lambda task: verdict(assignment, task))


NAMES = [f"s{number:03}" for number in range(60)]


def test_every_submission_is_graded_once_and_written(school: Class) -> None:
    """Catches a submission that falls between two batches, and a second run that grades again."""
    school.hand_in(*NAMES)
    first = school.run().go()
    assert [row.student for row in first.rows] == NAMES and first.exit_code is Exit.OK and first.new == 60
    assert sorted(school.graded) == NAMES and sorted(school.books) == NAMES and sorted(school.notebooks) == NAMES
    books = dict(school.books)
    second = school.run().go()
    assert sorted(school.graded) == NAMES, "a second run grades nothing"
    assert school.books == books and second.new == 0 and len(second.rows) == 60


def test_a_changed_submission_is_graded_again_and_the_others_are_not(school: Class) -> None:
    """Catches a journal that goes by the student and not by the work."""
    school.hand_in(*NAMES[:5])
    school.run().go()
    school.hand_in("s002", text="# %%\n# better\n")
    school.graded.clear()
    assert school.run().go().new == 1
    assert school.graded == ["s002"]
    assert school.books["s002"] > school.books["s001"]


class Killed(BaseException):
    """Stands for kill -9: nothing after it in the run happens."""


def mortal(function: Callable[..., None], calls: int) -> Callable[..., None]:
    """The function, which the process does not survive calling once more than `calls` times."""
    left = iter(range(calls))

    def call(*arguments: object) -> None:
        if next(left, None) is None:
            raise Killed
        function(*arguments)

    return call


@pytest.mark.parametrize("step", ["keep", "append", "write"])
@pytest.mark.parametrize("calls", range(3))
def test_a_run_that_was_killed_goes_on_to_the_same_books(
    school: Class, monkeypatch: pytest.MonkeyPatch, step: str, calls: int
) -> None:
    """Catches a moment at which a kill loses a verdict, or makes one that stands be given again."""
    school.hand_in(*NAMES)
    monkeypatch.setattr("tito.grading.batch.BATCH", 20)
    made = school.run()
    with monkeypatch.context() as patched:
        target = Journal if step == "append" else made.books
        patched.setattr(target, step, mortal(getattr(target, step), calls))
        with pytest.raises(Killed):
            made.go()
    kept = set(Journal(school.place.journal).latest(school.assignment.module))
    assert kept <= school.notebooks, "what the journal has is in the notebooks"
    assert len(kept) < len(NAMES) or step == "write"
    school.graded.clear()
    assert school.run().go().exit_code is Exit.OK
    assert sorted(school.books) == NAMES and sorted(school.notebooks) == NAMES
    assert set(school.graded) == set(NAMES) - kept


def test_books_that_cannot_be_written_end_the_run_and_lose_no_verdict(school: Class) -> None:
    """Catches verdicts that are kept twice when the gradebook's server has gone, and graded again afterwards."""
    school.hand_in(*NAMES)
    made = school.run()

    def away(records: object) -> None:
        raise EnvironmentFault("The gradebook cannot be written: the connection is lost.")

    made.books = Books(made.books.keep if made.books else away, away)
    with pytest.raises(EnvironmentFault, match="the connection is lost"):
        made.go()
    lines = school.place.journal.read_bytes().splitlines()
    written = list(Journal(school.place.journal).latest(school.assignment.module))
    assert len(lines) == len(written) > 0 and not school.books
    school.graded.clear()
    assert school.run().go().exit_code is Exit.OK
    assert sorted(school.books) == NAMES and set(school.graded) == set(NAMES) - set(written)


def test_a_line_that_a_kill_cut_off_is_no_verdict(school: Class) -> None:
    """Catches a torn line that makes every later run fail, or that swallows the line after it."""
    school.hand_in(*NAMES[:3])
    school.run().go()
    whole = school.place.journal.read_bytes()
    school.place.journal.write_bytes(whole[:-20])
    school.graded.clear()
    assert school.run().go().new == 1 and len(school.graded) == 1
    lines = school.place.journal.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3 and all(json.loads(line)["record"]["student"] in NAMES for line in lines)


WISHES = [Wish(memory=0), *(Wish(timeout=value) for value in (0, -1, float("nan"), float("inf")))]


@pytest.mark.parametrize("wish", WISHES)
def test_limits_that_are_none_are_refused(wish: Wish) -> None:
    """Catches a class that is ungradable, one by one, because of a number that no clock can count to."""
    with pytest.raises(EnvironmentFault, match="above 0"):
        autograding._limits(wish)


@pytest.mark.parametrize("line", ["{oops", "7", "{}", '{"record": {"module": "03_layers"}, "key": "k"}'])
def test_a_damaged_journal_is_named_with_its_line(school: Class, line: str) -> None:
    """Catches a traceback, or worse a verdict that is silently dropped."""
    school.hand_in(*NAMES[:2])
    school.run().go()
    school.place.journal.write_bytes(line.encode() + b"\n" + school.place.journal.read_bytes())
    with pytest.raises(EnvironmentFault, match=r"line 1 is damaged"):
        school.run().go()


def test_a_journal_of_an_earlier_grader_is_read(school: Class) -> None:
    """Catches verdicts that an update of tito makes unreadable: they do not say which cells were left as released."""
    school.hand_in(*NAMES[:2])
    school.run().go()
    text = school.place.journal.read_text(encoding="utf-8")
    assert '"untouched": [], ' in text
    school.place.journal.write_text(text.replace('"untouched": [], ', ""), encoding="utf-8")
    school.graded.clear()
    assert school.run().go().new == 0 and not school.graded


def test_a_fault_of_the_grader_is_never_a_score_and_is_tried_again(school: Class) -> None:
    """Catches a 0 for a student whose submission the grader could not run."""
    school.hand_in(*NAMES[:4])
    school.work = lambda task: verdict(
        school.assignment, task, Status.UNGRADABLE if task.student == "s001" else Status.GRADED
    )
    done = school.run().go()
    assert done.exit_code is Exit.INFRASTRUCTURE
    assert "s001" not in school.books and len(school.books) == 3
    school.work = lambda task: verdict(school.assignment, task)
    school.graded.clear()
    assert school.run().go().exit_code is Exit.OK
    assert school.graded == ["s001"] and "s001" in school.books


def test_verdicts_of_earlier_tests_stay_until_a_regrade(school: Class) -> None:
    """Catches grades that move because a test was edited, without anybody asking for it."""
    school.hand_in(*NAMES[:3])
    school.run().go()
    school.assignment = replace(school.assignment, probes_source=school.assignment.probes_source + "\n# new\n")
    school.graded.clear()
    books = dict(school.books)
    done = school.run().go()
    assert done.outdated == ("s000", "s001", "s002") and not school.graded and school.books == books
    assert school.run(again=True).go().new == 3 and not school.run().go().outdated


def test_a_dry_run_writes_nothing(school: Class) -> None:
    """Catches a plan that moves grades."""
    school.hand_in(*NAMES[:3])
    done = school.run(books=None).go()
    assert done.new == 3 and not school.books and not school.notebooks and not school.place.journal.exists()


def test_ctrl_c_once_finishes_what_is_under_way(school: Class) -> None:
    """Catches a first Ctrl-C that throws work away, or that does not stop the queue."""
    school.hand_in(*NAMES)
    started = threading.Event()
    brake: list[Brake] = []

    def work(task: Task) -> GradeRecord:
        started.set()
        if len(school.graded) == 5:
            brake[0].press()
        return verdict(school.assignment, task)

    school.work = work
    made = school.run()
    setup, workers = made.setup, made.workers
    brake.append(Brake())
    found = list(run(workers, setup, made._tasks(made.standing.fresh, []), brake[0]))
    assert 5 <= len(found) <= 5 + 2 * workers.width
    assert sorted(record.student for record in found) == sorted(school.graded)
    with pytest.raises(KeyboardInterrupt):
        brake[0].press()


def test_ctrl_c_twice_waits_for_nobody(school: Class) -> None:
    """Catches a second Ctrl-C after which a submission that hangs is waited for all the same."""
    school.hand_in(*NAMES[:2])
    ended: list[bool] = []
    made = school.run()
    workers = replace(made.workers, end=lambda executor, at_once: ended.append(at_once))
    brake = Brake()

    def tasks() -> Iterator[Task]:
        yield from made._tasks(NAMES[:2], [])
        brake.press()
        brake.press()

    assert len(list(run(workers, made.setup, made._tasks(NAMES[:2], []), brake))) == 2
    with pytest.raises(KeyboardInterrupt):
        list(run(workers, made.setup, tasks(), brake))
    assert ended == [False, True]


def test_ctrl_c_once_begins_nothing_more(school: Class) -> None:
    """Catches a first Ctrl-C after which everything is graded that had been handed out to wait for a worker."""
    school.hand_in(*NAMES)
    brake = Brake()

    def work(task: Task) -> GradeRecord:
        time.sleep(0.5)  # meanwhile all are handed out
        if task.student == NAMES[0]:
            brake.press()
        time.sleep(1)
        return verdict(school.assignment, task)

    school.work = work
    made = school.run()
    workers = replace(made.workers, width=len(NAMES))
    found = list(run(workers, made.setup, made._tasks(made.standing.fresh, []), brake))
    assert 1 <= len(found) <= 2, "two threads work"


def test_a_worker_that_dies_costs_a_try_and_not_the_batch(school: Class) -> None:
    """Catches a run that ends, or a submission that is lost, when a worker is killed."""
    school.hand_in(*NAMES[:8])
    deaths = iter(range(2))

    def work(task: Task) -> GradeRecord:
        if task.student == "s003" and next(deaths, None) is not None:
            raise BrokenProcessPool
        return verdict(school.assignment, task)

    school.work = work
    assert school.run().go().exit_code is Exit.OK and sorted(school.books) == NAMES[:8]


def test_a_submission_that_kills_every_worker_is_ungradable(school: Class) -> None:
    """Catches an endless run over one submission, and a 0 for it."""

    def work(task: Task) -> GradeRecord:
        if task.student == "s001":
            raise BrokenProcessPool
        return verdict(school.assignment, task)

    school.hand_in(*NAMES[:3])
    school.work = work
    done = school.run().go()
    assert done.exit_code is Exit.INFRASTRUCTURE and "s001" not in school.books
    assert school.graded.count("s001") == TRIES


@dataclass
class Opening:
    """`prepared` with workers and a gradebook that only say what is done to them."""

    monkeypatch: pytest.MonkeyPatch
    school: Class
    done: list[str] = field(default_factory=list)

    def run(self, fails: bool = False) -> None:
        def local(setup: Setup, jobs: int) -> Workers:
            def make() -> ThreadPoolExecutor:
                self.done.append(f"start {jobs}")
                return ThreadPoolExecutor(jobs)

            return Workers(make, self.school.work, 4, lambda executor, at_once: self.done.append("end"))

        @contextlib.contextmanager
        def books(*_: object) -> Iterator[None]:
            self.done.append("open")
            if fails:
                raise EnvironmentFault("The gradebook cannot be opened.", "look")
            yield None

        self.monkeypatch.setattr(pool, "local", local)
        self.monkeypatch.setattr(autograding, "_books", books)
        place = self.school.place
        with autograding.prepared(place, place.course.resolve("3"), Wish(jobs="3", isolation="limits")):
            self.done.append("run")


def test_workers_get_ready_while_the_gradebook_opens(school: Class, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches workers that wait for the gradebook, that are started for nothing, and more of them than submissions."""
    school.hand_in(*NAMES[:2])
    opening = Opening(monkeypatch, school)
    opening.run()
    assert opening.done == ["start 2", "open", "run", "end"]
    school.run().go()
    opening.done.clear()
    opening.run()
    assert opening.done == ["open", "run"], "nothing is left to grade"


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="POSIX only")
def test_ctrl_c_while_workers_start_is_heard_afterwards() -> None:
    """Catches a worker that is left half started: a thread of NumPy takes a signal that the main thread blocks."""
    over, ready = threading.Event(), []
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt), pool._no_ctrl_c():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)
            ready.append("started")
    finally:
        over.set()
    assert ready == ["started"]


@pytest.mark.skipif(not hasattr(os, "pread"), reason="POSIX only")
def test_a_setup_reaches_workers_in_a_file_and_not_in_their_pipe(assignment: Assignment) -> None:
    """Catches a command that waits, before it starts a second worker, until the first has loaded everything."""
    from multiprocessing.popen_spawn_posix import _DupFd

    setup = Setup(assignment, Isolation.LIMITS, Limits(), b"0" * 32)
    spawning = SimpleNamespace(DupFd=_DupFd, duplicate_for_child=os.dup)
    context.set_spawning_popen(spawning)
    try:
        handed = [bytes(reduction.ForkingPickler.dumps(each)) for each in [pool._Handed(setup)] * 2]
    finally:
        context.set_spawning_popen(None)
    assert max(map(len, handed)) < 1000, "a pipe takes 64 KB at once"
    assert [pickle.loads(each) for each in handed] == [setup, setup], "one worker's reading leaves it to the other"


def test_a_gradebook_that_does_not_open_ends_the_workers(school: Class, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches workers that are left waiting when the command ends with an error."""
    school.hand_in(*NAMES[:5])
    opening = Opening(monkeypatch, school)
    with pytest.raises(EnvironmentFault):
        opening.run(fails=True)
    assert opening.done == ["start 3", "open", "end"]


def test_nobody_and_strangers(school: Class) -> None:
    """Catches success when nothing was graded."""
    with pytest.raises(NothingRan):
        chosen(school.place, school.assignment, ())
    school.hand_in("alice")
    with pytest.raises(UsageError, match="bob"):
        chosen(school.place, school.assignment, ("bob",))


def test_a_verdicts_key_names_all_that_it_rests_on() -> None:
    """Catches a verdict that is kept when the work, the tests or whose it is have changed."""
    keys = {verdict_key(*each) for each in (("a", "1", "x"), ("b", "1", "x"), ("a", "2", "x"), ("a", "1", "y"))}
    assert len(keys) == 4
