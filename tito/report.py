"""What a run of a module's tests found, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tito.errors import Exit

SCHEMA = "tito.test/1"


class Outcome(StrEnum):
    """What became of one test."""

    PASSED = "passed"
    FAILED = "failed"
    TIMEOUT = "time limit"
    EXITED = "exited"  # the process ended, or tried to
    SKIPPED = "skipped"
    NOT_RUN = "not run"


class Verdict(StrEnum):
    """What became of a module's tests as a whole."""

    PASSED = "passed"
    FAILED = "failed"
    TIMEOUT = "time limit"
    EXITED = "exited"
    SYNTAX = "syntax error"
    LOAD = "import failed"
    LOCKED = "locked tests changed"
    EMPTY = "nothing ran"
    BLOCKED = "blocked"
    UNREADABLE = "unreadable"

    @property
    def exit_code(self) -> Exit:
        """The exit code that says the same."""
        codes = {
            Verdict.PASSED: Exit.OK,
            Verdict.TIMEOUT: Exit.LIMIT,
            Verdict.LOCKED: Exit.INTEGRITY,
            Verdict.EMPTY: Exit.NOTHING_RAN,
        }
        return codes.get(self, Exit.FAILED)


@dataclass(frozen=True)
class CaseResult:
    """One test: its points, its outcome and, when it did not pass, why."""

    name: str
    grade_id: str
    points: int
    outcome: Outcome
    line: int = 0  # of its cell in the lesson file
    seconds: float = 0.0
    message: str = ""  # one line
    detail: str = ""  # traceback and assertion
    output: str = ""  # what it printed

    @property
    def earned(self) -> int:
        """Its points when it passed, else 0."""
        return self.points if self.outcome is Outcome.PASSED else 0


@dataclass(frozen=True)
class TestReport:
    """All tests of one module's lesson, and what the verdict rests on."""

    __test__ = False  # not a test class, whatever its name says to pytest

    module: str
    file: str
    source_hash: str
    verdict: Verdict
    cases: tuple[CaseResult, ...] = ()
    message: str = ""  # when the module could not be run as a whole
    detail: str = ""
    seconds: float = 0.0
    package: str = ""  # the tinytorch that was imported
    hint: str = ""

    @property
    def exit_code(self) -> Exit:
        """0 only when every test ran and passed."""
        return self.verdict.exit_code

    def count(self, outcome: Outcome) -> int:
        """How many tests had one outcome."""
        return sum(case.outcome is outcome for case in self.cases)

    @property
    def points(self) -> int:
        """Points earned."""
        return sum(case.earned for case in self.cases)

    @property
    def points_possible(self) -> int:
        """Points of all tests."""
        return sum(case.points for case in self.cases)

    @property
    def first_failure(self) -> CaseResult | None:
        """The first test that did not pass."""
        return next((case for case in self.cases if case.outcome is not Outcome.PASSED), None)

    @property
    def never_began(self) -> bool:
        """Whether the lesson as a whole stands in the way, so that no test can be helped along."""
        first = self.first_failure
        return bool(self.message) and first is not None and first.outcome is Outcome.NOT_RUN

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            "schema": SCHEMA,
            **asdict(self),
            "cases": [{**asdict(case), "earned": case.earned} for case in self.cases],
            "collected": len(self.cases) - self.count(Outcome.NOT_RUN),
            "passed": self.count(Outcome.PASSED),
            "failed": self.count(Outcome.FAILED),
            "skipped": self.count(Outcome.SKIPPED),
            "points": self.points,
            "points_possible": self.points_possible,
            "exit_code": int(self.exit_code),
        }


def verdict_of(cases: Sequence[CaseResult]) -> Verdict:
    """The verdict that the outcomes amount to; nothing that did not run counts as passed."""
    outcomes = [case.outcome for case in cases]
    if all(outcome in (Outcome.SKIPPED, Outcome.NOT_RUN) for outcome in outcomes):
        return Verdict.EMPTY
    if Outcome.TIMEOUT in outcomes:
        return Verdict.TIMEOUT
    if Outcome.EXITED in outcomes:
        return Verdict.EXITED
    return Verdict.PASSED if all(outcome is Outcome.PASSED for outcome in outcomes) else Verdict.FAILED
