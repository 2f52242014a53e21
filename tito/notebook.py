"""Lessons as cells: percent-format text to cells and back, byte for byte, and to and from .ipynb.

The only place that knows jupytext, which is imported when a notebook is converted and not before.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tito.errors import LearnerError

_MARKER = re.compile(r"^#[ \t]*%%+(?:[ \t].*)?$")
_INDENTED_MARKER = re.compile(r"^[ \t]+#[ \t]*%%(?:\s|$)")
_FRONT = re.compile(r"\A# ---\n(?:#.*\n)*?# ---\n\n*")
_KEY = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=")
_KIND = re.compile(r"\[(markdown|md|raw)\]")
_DIRECTIVE = re.compile(r"^#\|\s*(\w+)\s*(.*?)\s*$")
_REPAIR = "repair it, or make it anew from the script: tito module sync MODULE --keep py"
_GRADE_ID = re.compile(r"^[A-Za-z0-9_-]+$")


class MalformedNotebook(LearnerError):
    """A lesson whose cells cannot be read."""


class Role(StrEnum):
    """What a cell is for."""

    PROSE = "prose"
    CODE = "code"
    EXPORT = "export"
    SOLUTION = "solution"
    TEST = "test"
    MANUAL = "manual"


@dataclass(frozen=True)
class Cell:
    """One cell. `marker` and `body` are the text as written; `source` is what a notebook shows."""

    marker: str  # "# %% [markdown]", without its line end
    body: str  # everything after the marker's text up to the next marker, so it begins with a line end
    kind: str  # "code", "markdown" or "raw"
    metadata: dict[str, Any]
    line: int  # of the marker, from 1

    @property
    def source(self) -> str:
        """The cell's text without trailing blank lines; prose without its comment signs."""
        lines = self.body.replace("\r\n", "\n").split("\n")[1:]
        while lines and not lines[-1].strip():
            lines.pop()
        if self.kind != "code":
            lines = [re.sub(r"^# ?", "", line) for line in lines]
        return "\n".join(lines)

    def with_source(self, source: str) -> Cell:
        """This cell with another text, and the same blank lines after it."""
        if source == self.source:
            return self
        lines = source.split("\n")
        if self.kind != "code":
            lines = [f"# {line}" if line else "#" for line in lines]
        blank = self.body[len(self.body.rstrip()) :] or "\n"
        return replace(self, body="\n" + "\n".join(lines) + blank)

    def with_flags(self, **flags: bool) -> Cell:
        """This cell with more top-level metadata, such as deletable=False, written before the rest."""
        new = {key: value for key, value in flags.items() if key not in self.metadata}
        if not new:
            return self
        words = " ".join(f"{key}={json.dumps(value)}" for key, value in sorted(new.items()))
        head, brace, rest = self.marker.partition(" nbgrader=")
        return replace(self, marker=f"{head} {words}{brace}{rest}", metadata={**new, **self.metadata})

    @property
    def nbgrader(self) -> dict[str, Any]:
        """The nbgrader metadata, empty for a plain cell."""
        value = self.metadata.get("nbgrader", {})
        return value if isinstance(value, dict) else {}

    @property
    def grade_id(self) -> str:
        """The nbgrader id, empty for a plain cell."""
        return str(self.nbgrader.get("grade_id", ""))

    @property
    def points(self) -> int:
        """The points of a graded cell."""
        return int(self.nbgrader.get("points", 0))

    @property
    def timeout(self) -> float:
        """Seconds each test of the cell may take."""
        own = self.metadata.get("tito", {})
        return float(own.get("timeout", 60.0)) if isinstance(own, dict) else 60.0

    @property
    def directives(self) -> dict[str, str]:
        """The `#| name value` lines that begin a code cell."""
        found: dict[str, str] = {}
        for line in self.source.split("\n"):
            match = _DIRECTIVE.match(line)
            if self.kind != "code" or match is None:
                break
            found[match[1]] = match[2]
        return found

    @property
    def role(self) -> Role:
        """What the metadata and the first lines make of the cell."""
        graded, solved = bool(self.nbgrader.get("grade")), bool(self.nbgrader.get("solution"))
        if graded:
            return Role.MANUAL if solved else Role.TEST
        if solved:
            return Role.SOLUTION
        if self.kind != "code":
            return Role.PROSE
        return Role.EXPORT if "export" in self.directives else Role.CODE

    @property
    def exported(self) -> bool:
        """Whether the cell goes into the package."""
        return "export" in self.directives


@dataclass(frozen=True)
class Notebook:
    """A lesson: everything before the first cell, and the cells."""

    header: str
    cells: tuple[Cell, ...]

    def to_text(self) -> str:
        """The percent-format text; of an unchanged notebook, the very text it was read from."""
        return self.header + "".join(cell.marker + cell.body for cell in self.cells)

    def of_role(self, role: Role) -> tuple[Cell, ...]:
        """The cells with one role, in order."""
        return tuple(cell for cell in self.cells if cell.role is role)

    @property
    def default_exp(self) -> str:
        """The package file named by `#| default_exp`, such as core.tensor, or an empty string."""
        named = (cell.directives.get("default_exp", "") for cell in self.cells)
        return next((name for name in named if name), "")

    def ids(self) -> tuple[str, ...]:
        """One stable id a cell: its grade_id, or a hash of its content; repeated content is numbered."""
        return tuple(_ids((cell.kind, cell.source, cell.grade_id) for cell in self.cells))


def _ids(cells: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for kind, source, grade_id in cells:
        base = grade_id or "c" + hashlib.sha256(f"{kind}\n{source}".encode()).hexdigest()[:10]
        seen[base] = seen.get(base, 0) + 1
        yield base if seen[base] == 1 else f"{base}-{seen[base]}"


def parse(text: str, name: str = "the lesson") -> Notebook:
    """Read percent-format text; MalformedNotebook names the line when a marker cannot be read."""
    header: list[str] = []
    cells: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        bare = line.rstrip("\r")
        if _INDENTED_MARKER.match(bare):
            raise MalformedNotebook(
                f"{name}, line {number}: a cell marker is indented, and a notebook would split the cell there.",
                "write the comment without %%",
            )
        if _MARKER.match(bare):
            cells.append((number, bare, [line[len(bare) :]]))
        elif cells:
            cells[-1][2].append(line)
        else:
            header.append(line)
    if not cells:
        return Notebook(text, ())
    bodies = ["\n".join(lines) + "\n" for _, _, lines in cells]
    bodies[-1] = bodies[-1][:-1]
    top = "".join(f"{line}\n" for line in header)
    parts = zip(cells, bodies, strict=True)
    return Notebook(top, tuple(_cell(number, marker, body, name) for (number, marker, _), body in parts))


def _cell(line: int, marker: str, body: str, name: str) -> Cell:
    kind = _KIND.search(marker)
    words = {"markdown": "markdown", "md": "markdown", "raw": "raw"}
    metadata = _metadata(marker, f"{name}, line {line}")
    return Cell(marker, body, words[kind[1]] if kind else "code", metadata, line)


def _metadata(marker: str, where: str) -> dict[str, Any]:
    """The key=JSON pairs of a marker line."""
    if len(marker) > _LONGEST_MARKER:  # an error of JSON takes time with the length of the line, and there may be many
        raise MalformedNotebook(f"{where}: a cell marker has {len(marker):,} characters.", "write a shorter one")
    found: dict[str, Any] = {}
    decoder = json.JSONDecoder()
    at = _KEY.search(marker)
    while at:
        try:
            value, end = decoder.raw_decode(marker, at.end())
        except json.JSONDecodeError as error:
            if at[1] in _OURS:
                raise MalformedNotebook(
                    f"{where}: the metadata of {at[1]} is not valid JSON ({error.msg}).",
                    "compare the marker line with docs/lesson-format.md",
                ) from None
            end = at.end()  # part of a title, such as: try lr=fast
        else:
            found[at[1]] = value
        at = _KEY.search(marker, end)
    return found


_LONGEST_MARKER = 20_000
_OURS = ("nbgrader", "tito", "tags", "deletable", "editable")
_REQUIRED = {"grade": bool, "solution": bool, "locked": bool, "schema_version": int, "grade_id": str}


def metadata_problems(notebook: Notebook) -> list[tuple[int, str]]:
    """What nbgrader would refuse in the cells' metadata, as (line, sentence)."""
    problems: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        if "nbgrader" not in cell.metadata:
            continue
        problems += [(cell.line, text) for text in _cell_problems(cell)]
        if cell.grade_id in seen:
            problems.append((cell.line, f"grade_id {cell.grade_id!r} is used in line {seen[cell.grade_id]} already"))
        seen[cell.grade_id] = cell.line
    return problems


def _cell_problems(cell: Cell) -> Iterator[str]:
    meta = cell.nbgrader
    for key, kind in _REQUIRED.items():
        if type(meta.get(key)) is not kind:
            yield f"nbgrader metadata needs {key!r} as {kind.__name__}, got {meta.get(key)!r}"
    if not _GRADE_ID.match(cell.grade_id):
        yield f"grade_id {cell.grade_id!r} may only have letters, digits, - and _"
    if meta.get("schema_version") != 3:
        yield f"nbgrader schema_version is {meta.get('schema_version')!r}, expected 3"
    graded, solved = meta.get("grade"), meta.get("solution")
    points = meta.get("points")
    if graded and (type(points) is not int or points < 0):
        yield f"a graded cell needs its points as a whole number of 0 or more, got {points!r}"
    if meta.get("task"):
        yield "task cells are not part of the format: use a question and an answer cell"
    if cell.kind == "markdown" and bool(graded) != bool(solved):
        yield "a markdown cell is graded and a solution, or neither"
    if cell.role is Role.TEST and not meta.get("locked"):
        yield "a test cell must be locked"


def source_problems(cell: Cell) -> SyntaxError | None:
    """The syntax error of a code cell, if it has one."""
    try:
        quietly_parsed(cell.source)
    except SyntaxError as error:
        return error
    return None


def quietly_parsed(source: str) -> ast.Module:
    """The syntax tree of some code, without warnings; SyntaxError also for what the parser alone refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (ValueError, RecursionError, MemoryError) as error:  # a null byte, or expressions nested too deeply
            raise SyntaxError(str(error) or "nested too deeply", ("lesson", 1, 1, "")) from None


def to_ipynb(notebook: Notebook, previous: str = "") -> str:
    """The notebook as .ipynb text with stable cell ids; the conversion is jupytext's.

    previous: .ipynb text whose outputs are kept for the cells that did not change.
    """
    import jupytext
    from jupytext.combine import combine_inputs_with_outputs

    document = jupytext.reads(notebook.to_text().removeprefix("\ufeff"), fmt="py:percent")
    if old := _readable(previous):
        document = combine_inputs_with_outputs(document, old, fmt="py:percent")
        known = {cell.source for cell in old.cells}
        for cell in document.cells:
            if cell.cell_type == "code" and cell.source not in known:  # it was matched by its place: not its output
                cell.outputs, cell.execution_count = [], None
    facts = ((cell.cell_type, cell.source, _grade_id(cell.metadata)) for cell in document.cells)
    for cell, identity in zip(document.cells, _ids(facts), strict=True):
        cell["id"] = identity
    return str(jupytext.writes(document, fmt="ipynb"))


def _readable(page: str) -> Any:
    """The notebook of some .ipynb text, or None when there is none to read."""
    import jupytext

    with contextlib.suppress(Exception):  # nbformat has no common base for what it raises on a broken file
        return jupytext.reads(page, fmt="ipynb") if page else None
    return None


def _grade_id(metadata: Mapping[str, Any]) -> str:
    """A grade_id short enough that, with a number after it, it is a cell id that nbformat takes."""
    nbgrader = metadata.get("nbgrader")
    name = str(nbgrader.get("grade_id", "")) if isinstance(nbgrader, Mapping) else ""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:56]


def from_ipynb(text: str, header: str, name: str = "the notebook") -> Notebook:
    """Read .ipynb text into cells under the front matter of its .py file; outputs and cell ids are dropped.

    What else stood before the first marker of the .py file is a cell of the notebook, so it is not repeated.

    Raises MalformedNotebook when the text is not a notebook.
    """
    import jupytext

    try:
        document = jupytext.reads(text, fmt="ipynb")
        percent = jupytext.writes(document, fmt="py:percent")
    except Exception as error:  # nbformat has no common base for what it raises on a broken file
        raise MalformedNotebook(f"{name} is not a valid notebook: {error}.", _REPAIR) from None
    front = _FRONT.match(header.removeprefix("\ufeff").replace("\r\n", "\n"))
    return replace(parse(percent, name), header=front[0] if front else "")


def ipynb_fingerprint(text: str, name: str = "the notebook") -> str:
    """A hash of what the learner wrote in an .ipynb: kinds and sources, not outputs or counters.

    Reads the JSON itself, because importing nbformat costs seconds. Raises MalformedNotebook.
    """
    try:
        cells = json.loads(text)["cells"]
        written = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedNotebook(f"{name} is not a valid notebook: {error!r}.", _REPAIR) from None
    return hashlib.sha256(json.dumps(written).encode()).hexdigest()
