"""The notebooks that nbgrader's formgrader shows: the released lesson with a student's work and the verdicts in it."""

from __future__ import annotations

import hashlib

from tito.notebook import Cell


def checksum(cell: Cell) -> str:
    """nbgrader's checksum of a cell: by it, it sees that an answer was left as released, or that a test was edited."""
    graded, solved = bool(cell.nbgrader.get("grade")), bool(cell.nbgrader.get("solution"))
    found = hashlib.md5(usedforsecurity=False)
    for part in (cell.source, cell.kind, str(graded), str(solved), str(locked(cell)), cell.grade_id):
        found.update(part.encode())
    if graded:
        found.update(str(float(cell.points)).encode())
    return found.hexdigest()


def locked(cell: Cell) -> bool:
    """Whether nbgrader holds a cell to its source."""
    if cell.nbgrader.get("solution"):
        return False
    return bool(cell.nbgrader.get("grade") or cell.nbgrader.get("locked"))
