"""What a gradebook says of one assignment, as values: automatic scores, and what people made of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property


def storable(text: str) -> str:
    """Text that every database and every page can hold: without null characters and halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True)
class CellGrade:
    """The scores and comments of one graded cell."""

    grade_id: str
    question: bool  # graded by a person; otherwise a test
    possible: float
    auto_score: float | None = None
    manual_score: float | None = None
    extra_credit: float | None = None
    needs_manual_grade: bool = False
    auto_comment: str = ""
    manual_comment: str = ""

    @property
    def score(self) -> float:
        """The points that count: a person's before the grader's, and the extra credit."""
        own = self.manual_score if self.manual_score is not None else self.auto_score
        return 0.0 if own is None else own + (self.extra_credit or 0.0)


@dataclass(frozen=True)
class StudentGrade:
    """One student's grades in an assignment."""

    student: str
    cells: tuple[CellGrade, ...] = ()
    penalty: float = 0.0  # as it was last settled in the gradebook
    timestamp: datetime | None = None  # in UTC, without a zone, as nbgrader keeps it
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    lms_user_id: str = ""
    remarks: tuple[tuple[str, str], ...] = ()  # (grade_id, comment by a person) on cells without points
    notebook_id: str = ""  # nbgrader's key of the submitted notebook

    @cached_property
    def automatic(self) -> float:
        """The points of all tests."""
        return sum(cell.score for cell in self.cells if not cell.question)

    @cached_property
    def manual(self) -> float:
        """The points of all questions."""
        return sum(cell.score for cell in self.cells if cell.question)

    @property
    def raw(self) -> float:
        """All points, before what lateness takes."""
        return self.automatic + self.manual

    @property
    def total(self) -> float:
        """All points that are left after the penalty."""
        return max(0.0, self.raw - self.penalty)

    @property
    def possible(self) -> float:
        """The points of all cells."""
        return sum(cell.possible for cell in self.cells)

    @property
    def ungraded(self) -> tuple[str, ...]:
        """The cells that wait for a person."""
        return tuple(cell.grade_id for cell in self.cells if cell.needs_manual_grade)
