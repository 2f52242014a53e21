"""Lessons of the course as their students would hand them in, and as editors and LMSs bend them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from support import ROOT

from tito.course import Course, load_course
from tito.grading.assignment import Assignment, load_assignment
from tito.notebook import Cell, Role
from tito.release import unmarked

Page = list[dict[str, Any]]  # the cells of a notebook


@cache
def course() -> Course:
    return load_course(ROOT)


@cache
def assignment(name: str) -> Assignment:
    return load_assignment(course(), course().resolve(name))


def solved(name: str) -> Page:
    """The released lesson with the course's own solutions and answers written into it."""
    given = assignment(name)
    pairs = zip(given.notebook.cells, given.released.cells, strict=True)
    return [_page_cell(full, shown) for full, shown in pairs]


def released(name: str) -> Page:
    """The lesson as it is released."""
    return [_page_cell(cell, cell) for cell in assignment(name).released.cells]


def _page_cell(full: Cell, shown: Cell) -> dict[str, Any]:
    source = unmarked(full.source) if full.role in (Role.SOLUTION, Role.MANUAL) else shown.source
    return {"cell_type": full.kind, "source": source, "metadata": json.loads(json.dumps(shown.metadata))}


def at(page: Page, grade_id: str) -> int:
    """The place of the first cell with an id."""
    return next(i for i, cell in enumerate(page) if cell["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def ipynb(page: Page, **more: Any) -> bytes:
    """A notebook of nbformat 4."""
    cells = [{**cell, "source": cell["source"].splitlines(keepends=True)} for cell in page]
    for cell in cells:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4, **more}).encode()


def ipynb3(page: Page) -> bytes:
    """A notebook of nbformat 3, which has worksheets and the code of a cell as its input."""
    cells: list[dict[str, Any]] = []
    for cell in page:
        if cell["cell_type"] == "code":
            code = {"input": cell["source"], "language": "python", "outputs": [], "metadata": cell["metadata"]}
            cells.append({"cell_type": "code", "collapsed": False, "prompt_number": None, **code})
        else:
            cells.append(cell)
    sheet = {"cells": cells, "metadata": {}}
    return json.dumps({"worksheets": [sheet], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}).encode()


def percent(page: Page) -> bytes:
    """A percent-format file."""
    words = []
    for cell in page:
        kind = "" if cell["cell_type"] == "code" else f" [{cell['cell_type']}]"
        metadata = "".join(f" {key}={json.dumps(value)}" for key, value in cell["metadata"].items())
        lines = cell["source"].split("\n")
        if kind:
            lines = [f"# {line}" if line else "#" for line in lines]
        words.append("\n".join([f"# %%{kind}{metadata}", *lines]))
    return ("\n\n".join(words) + "\n").encode()
