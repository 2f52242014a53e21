"""The course's side of a comparison: its cells with all that submissions are held against, worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tito.grading.assignment import Assignment
from tito.grading.submission.names import Names, names_of
from tito.notebook import Role

_NOTHING = names_of("")
_KEPT = 32  # assignments
_known: dict[str, tuple[CourseCell, ...]] = {}


@dataclass(frozen=True)
class CourseCell:
    """A cell of the course's lesson."""

    role: Role
    grade_id: str
    source: str  # solutions and hidden tests included
    text: str  # the same, as sources are compared
    released: str  # as students have it
    released_text: str
    names: Names  # none of prose and questions

    @property
    def work(self) -> bool:
        """Whether it is code that is not a test: a solution, a helper or an analysis."""
        return self.role in (Role.SOLUTION, Role.EXPORT, Role.CODE)

    @property
    def helper(self) -> bool:
        """Whether it is code that students do not have to write."""
        return self.role in (Role.EXPORT, Role.CODE)


def course_cells(assignment: Assignment) -> tuple[CourseCell, ...]:
    """The cells of an assignment's lesson, in order."""
    if assignment.hash not in _known:
        if len(_known) >= _KEPT:
            _known.clear()
        pairs = zip(assignment.notebook.cells, assignment.released.cells, strict=True)
        _known[assignment.hash] = tuple(
            CourseCell(
                cell.role,
                cell.grade_id,
                cell.source,
                normal(cell.source),
                shown.source,
                normal(shown.source),
                names_of(cell.source) if cell.kind == "code" else _NOTHING,
            )
            for cell, shown in pairs
        )
    return _known[assignment.hash]


@lru_cache(maxsize=1024)
def normal(source: str) -> str:
    """A source without blank lines and spaces at the ends of lines, by which cells are compared."""
    return "\n".join(line.rstrip() for line in source.strip().split("\n") if line.strip())
