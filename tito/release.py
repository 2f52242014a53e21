"""A lesson with solutions made into the learner's file: the same text that nbgrader's preprocessors give."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tito.errors import TitoError
from tito.notebook import Cell, Notebook, Role, metadata_problems

CODE_STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")
TEXT_STUB = "YOUR ANSWER HERE"


class ReleaseRefused(TitoError):
    """A lesson whose markers or metadata would release wrongly."""


_REGIONS: tuple[tuple[str, str, tuple[Role, ...]], ...] = (  # as nbgrader looks for them: anywhere in a line
    ("BEGIN SOLUTION", "END SOLUTION", (Role.SOLUTION, Role.MANUAL)),
    ("BEGIN HIDDEN TESTS", "END HIDDEN TESTS", (Role.TEST,)),
    ("BEGIN MARK SCHEME", "END MARK SCHEME", ()),  # of task cells, which lessons do not have
)


def marker_problems(notebook: Notebook) -> list[tuple[int, str]]:
    """Markers that do not pair up or stand in the wrong kind of cell, as (line, sentence)."""
    return [problem for cell in notebook.cells for problem in _cell_marker_problems(cell)]


def _cell_marker_problems(cell: Cell) -> Iterator[tuple[int, str]]:
    for begin, end, roles in _REGIONS:
        opened = 0
        for number, line in enumerate(cell.source.split("\n"), start=cell.line + 1):
            if begin in line:
                if opened:
                    yield number, f"{begin} inside the region that began in line {opened}"
                opened = number
                if cell.role not in roles:
                    where = f"it belongs in a {roles[0]} cell" if roles else "lessons have no cells for that"
                    yield number, f"{begin} in a {cell.role} cell; {where}"
            elif end in line:
                if not opened:
                    yield number, f"{end} without {begin}"
                opened = 0
        if opened:
            yield opened, f"{begin} without {end}"


def release(notebook: Notebook, name: str = "the lesson") -> Notebook:
    """The learner's version: solutions stubbed, hidden tests out, test cells locked.

    Raises ReleaseRefused, before anything is made, when markers or metadata are malformed.
    """
    problems = marker_problems(notebook) + metadata_problems(notebook)
    if problems:
        listed = "\n".join(f"{name}, line {line}: {text}" for line, text in sorted(problems))
        raise ReleaseRefused(f"{name} cannot be released:\n{listed}", "correct these lines; see docs/lesson-format.md")
    return Notebook(notebook.header, tuple(_released(cell) for cell in notebook.cells))


def _released(cell: Cell) -> Cell:
    if cell.role in (Role.SOLUTION, Role.MANUAL):
        return _without_solution(cell).with_flags(deletable=False)
    if cell.role is Role.TEST:
        return cell.with_source(without_region(cell.source, *_REGIONS[1][:2])).with_flags(
            deletable=False, editable=False
        )
    if cell.nbgrader.get("locked"):
        return cell.with_flags(deletable=False, editable=False)
    return cell


def _without_solution(cell: Cell) -> Cell:
    stub = CODE_STUB if cell.kind == "code" else (TEXT_STUB,)
    begin, end, _ = _REGIONS[0]
    return cell.with_source(without_region(cell.source, begin, end, stub) if begin in cell.source else "\n".join(stub))


def without_region(source: str, begin: str, end: str, stub: tuple[str, ...] = ()) -> str:
    """The text with each region, markers included, replaced by the stub at the indentation of its first line."""
    kept: list[str] = []
    inside = False
    for line in source.split("\n"):
        if begin in line:
            inside = True
            indent = re.match(r"\s*", line)
            kept += [(indent[0] if indent else "") + text for text in stub]
        elif end in line:
            inside = False
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def unhidden(cell: Cell) -> str:
    """The source of a test cell as learners have it, without its hidden tests."""
    return without_region(cell.source, *_REGIONS[1][:2])


_SIGN = re.compile(r"\s*#+\s*(?:BEGIN|END) SOLUTION\s*")


def unmarked(source: str) -> str:
    """The source of a solution cell without the lines that mark the solution."""
    return "\n".join(line for line in source.split("\n") if not _SIGN.fullmatch(line))
