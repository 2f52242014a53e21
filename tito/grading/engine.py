"""Grading one submission: read, repair, run in the sandbox, compare with the reference. What every worker does."""

from __future__ import annotations

import ast
import gc
import hmac
import threading
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from tito.grading import judge
from tito.grading.assignment import Assignment
from tito.grading.records import CellScore, GradeRecord, Status, submission_hash
from tito.grading.sandbox.isolation import Isolation
from tito.grading.sandbox.jobs import CellRun, Job, JobCell, Limits, RunResult
from tito.grading.sandbox.sandbox import Sandbox
from tito.grading.submission.reading import Unreadable, made_runnable, read_cells
from tito.grading.submission.repair import Repaired, as_released, repair
from tito.notebook import Role
from tito.report import Outcome

DRAWS = 16  # of random inputs, of which each submission gets one
SHARE = 0.25  # of the whole time, which one cell may take


@dataclass(frozen=True)
class Setup:
    """What a worker needs to grade the submissions of one assignment."""

    assignment: Assignment
    isolation: Isolation
    limits: Limits
    secret: bytes = field(repr=False)

    @property
    def key(self) -> tuple[str, str, Limits, bytes]:
        """What makes two setups the same."""
        return self.assignment.hash, self.isolation.value, self.limits, self.secret


@dataclass(frozen=True)
class Task:
    """One submission: who handed in which file."""

    student: str
    name: str  # of the file
    data: bytes = field(repr=False)

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of the file and of the kind of file that its name says."""
        return submission_hash(self.name, self.data)


class Engine:
    """Two warm sandboxes, one for submissions and one for the reference, that grade one submission at a time."""

    def __init__(self, setup: Setup) -> None:
        assignment = setup.assignment
        imports, reference = _imports(assignment), reference_job(assignment)
        self.setup = setup
        self.expected: dict[int, RunResult] = {}
        self.stubs = {cell.grade_id: cell.source for cell in assignment.released.of_role(Role.SOLUTION)}
        self.sandbox = Sandbox(assignment.package, imports, setup.isolation, setup.limits, known=known_job(assignment))
        self.reference = Sandbox(assignment.package, imports, setup.isolation, setup.limits, reference=reference)

    def warm(self) -> None:
        """Start both sandboxes."""
        self.reference.warm()
        self.sandbox.warm()

    def close(self) -> None:
        """End both sandboxes."""
        self.sandbox.close()
        self.reference.close()

    def grade(self, task: Task) -> GradeRecord:
        """The verdict on one submission; a fault of the grader is "ungradable", never a score."""
        assignment = self.setup.assignment
        blank = GradeRecord(
            task.student,
            assignment.module,
            task.hash,
            assignment.hash,
            Status.UNGRADABLE,
            isolation=self.sandbox.isolation_text,
        )
        try:
            return self._graded(task, blank)
        except Unreadable as problem:
            cells = _no_points(assignment, problem.reason)
            return replace(blank, status=Status.UNREADABLE, reason=problem.reason, cells=cells)
        except Exception as error:  # whatever it is, it is not the student's fault
            where = traceback.format_exception(error)[-2].strip().split("\n")[0]
            return replace(blank, reason=f"{type(error).__name__}: {error} ({where})")

    def _graded(self, task: Task, blank: GradeRecord) -> GradeRecord:
        reading = read_cells(task.data, task.name)
        handed_in = as_released(self.setup.assignment, reading)
        if handed_in is not None:
            run, scores = self._run(task, handed_in)
            if all(cell.test or found.outcome is Outcome.PASSED for cell, found in _ran(handed_in, run)):
                return self._record(blank, handed_in, run, scores)
        repaired = repair(self.setup.assignment, made_runnable(reading))
        if handed_in is None:
            run, scores = self._run(task, repaired)
        elif handed_in.cells != repaired.cells:
            again, new = self._run(task, repaired)
            seconds, cpu = run.seconds + again.seconds, run.cpu_seconds + again.cpu_seconds
            run, again = (replace(each, seconds=seconds, cpu_seconds=cpu) for each in (run, again))
            if _worth(repaired, again, new) <= _worth(handed_in, run, scores):
                return self._record(blank, handed_in, run, scores)
            # The second run may know the probes; what the first printed was printed before it could.
            run, scores = replace(again, output=run.output), new
        return self._record(blank, repaired, run, scores)

    def _run(self, task: Task, submission: Repaired) -> tuple[RunResult, tuple[CellScore, ...]]:
        """What came of a submission's cells and the probes, and the points for it."""
        assignment = self.setup.assignment
        probes = tuple(name for cell in assignment.graded for name in cell.probes)
        longest = SHARE * self.setup.limits.wall  # else a test without an end would leave no time for the others
        cells = tuple(c if c.seconds <= longest else replace(c, seconds=longest) for c in submission.cells)
        job = Job(
            assignment.name, cells, assignment.probes_source, probes, self._seed(task), min(Job.probe_seconds, longest)
        )
        expected = self._expected(replace(job, cells=()))
        run = self.sandbox.run(job)
        return run, judge.score(assignment, run, expected)

    def _record(
        self, blank: GradeRecord, submission: Repaired, run: RunResult, scores: tuple[CellScore, ...]
    ) -> GradeRecord:
        """The verdict on a submission that was run."""
        return replace(
            blank,
            status=Status.GRADED,
            cells=scores,
            answers=submission.answers,
            repairs=submission.repairs,
            sources=submission.sources,
            untouched=tuple(name for name, source in submission.sources if source == self.stubs[name]),
            failures=judge.failures(submission.cells, run),
            output=run.output,
            seconds=run.seconds,
            cpu_seconds=run.cpu_seconds,
            peak_bytes=run.peak_bytes,
        )

    def _seed(self, task: Task) -> int:
        """Which of the draws of random inputs a submission gets: nobody without the key knows it, or the inputs."""
        draw = self._drawn(f"submission {task.hash}") % DRAWS
        return self._drawn(f"draw {draw} of {self.setup.assignment.hash}")

    def _drawn(self, text: str) -> int:
        return int.from_bytes(hmac.digest(self.setup.secret, text.encode(), "sha256")[:8])

    def _expected(self, job: Job) -> RunResult:
        """What the reference returns to the probes; of each draw it is asked once."""
        found = self.expected.get(job.seed)
        if found is None:
            found = self.reference.run(job)
            if all(probe.arrays is not None for probe in found.probes):
                self.expected[job.seed] = found
        return found


def _ran(submission: Repaired, run: RunResult) -> Iterable[tuple[JobCell, CellRun]]:
    """Each cell of a submission with what became of it."""
    return zip(submission.cells, run.cells, strict=True)


def _worth(submission: Repaired, run: RunResult, scores: tuple[CellScore, ...]) -> tuple[float, int]:
    """By which of two runs of a submission counts: points, then how many of the student's cells did not fail."""
    whole = sum(not cell.test and found.outcome is Outcome.PASSED for cell, found in _ran(submission, run))
    return sum(score.points for score in scores), whole


def known_job(assignment: Assignment) -> Job:
    """The cells that come again in most submissions: the tests, and the released code that is nobody's task."""
    tests = [JobCell(cell.grade_id, cell.source) for cell in assignment.graded]
    given = [
        JobCell(f"cell:{number}", cell.source)  # as repair names them where nothing was put in or taken out before
        for number, cell in enumerate(assignment.released.cells, start=1)
        if cell.role in (Role.CODE, Role.EXPORT)
    ]
    return Job(assignment.name, (*tests, *given))


def reference_job(assignment: Assignment) -> Job:
    """The course's own lesson as a job: solutions and all, without its tests."""
    tests = {cell.grade_id for cell in assignment.graded}
    cells = [
        JobCell(cell.grade_id or f"cell-{number}", cell.source)
        for number, cell in enumerate(assignment.notebook.cells)
        if cell.kind == "code" and cell.grade_id not in tests
    ]
    return Job(assignment.name, tuple(cells))


def _no_points(assignment: Assignment, reason: str) -> tuple[CellScore, ...]:
    """The cells of a submission that could not be read."""
    return tuple(
        CellScore(cell.grade_id, cell.test, 0.0, float(cell.points), Outcome.NOT_RUN, reason)
        for cell in assignment.graded
    )


def _imports(assignment: Assignment) -> list[str]:
    """The modules that the lesson imports, which the warm parent loads once."""
    found: dict[str, None] = {}
    for cell in assignment.released.cells:
        for node in ast.walk(ast.parse(cell.source)) if cell.kind == "code" else ():
            if isinstance(node, ast.Import):
                found |= dict.fromkeys(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and node.module != "__future__":
                found[node.module] = None
    return list(found)


_local = threading.local()
_engines: list[Engine] = []  # of all threads


def grade(setup: Setup, task: Task) -> GradeRecord:
    """Grade one submission with this thread's engine for a setup: the function that workers run, here or elsewhere."""
    return _engine(setup).grade(task)


def warm(setup: Setup) -> None:
    """Start this thread's engine for a setup, which otherwise the first submission waits for."""
    _engine(setup).warm()


def _engine(setup: Setup) -> Engine:
    engine: Engine | None = getattr(_local, "engine", None)
    if engine is None or engine.setup.key != setup.key:
        if engine is not None:
            engine.close()
            _engines.remove(engine)
        _local.engine = engine = Engine(setup)
        _engines.append(engine)
        gc.freeze()  # what is there now stays: looking through it again and again took a tenth of this process's time
    return engine


def close_engines() -> None:
    """End every engine of this process."""
    while _engines:
        _engines.pop().close()
    _local.__dict__.clear()
