"""The bytes of a submitted file as raw cells, put right where editors and LMSs have bent them, each with a note.

Reads the JSON of notebooks itself, because importing nbformat costs seconds.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tito.errors import LearnerError
from tito.grading.submission.exported import percent_text
from tito.grading.submission.indents import runnable
from tito.notebook import MalformedNotebook, parse

MAX_BYTES = 64 << 20  # of a file, outputs of a notebook included
MAX_WRITTEN = 2_000_000  # characters in all cells together
MAX_CELLS = 5_000
MAX_VALUES = 1_000_000  # in the JSON of a notebook: small ones take a hundred times their bytes in the file


class Unreadable(LearnerError):
    """A submitted file that is no lesson; `reason` is a sentence for the student."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "hand in the lesson as .py or .ipynb")
        self.reason = reason


@dataclass(frozen=True)
class RawCell:
    """A cell as it was handed in."""

    kind: str  # "code", "markdown" or "raw"
    source: str  # lines end with \n; no blank lines at the end
    metadata: dict[str, Any] = field(default_factory=dict)
    identity: str = ""  # the id that notebooks of nbformat 4.5 give a cell

    @cached_property
    def grade_id(self) -> str:
        """The nbgrader id, empty when there is none."""
        nbgrader = self.metadata.get("nbgrader")
        name = nbgrader.get("grade_id", "") if isinstance(nbgrader, dict) else ""
        return name if isinstance(name, str) else ""


@dataclass(frozen=True)
class Reading:
    """A submitted file as cells, and what had to be put right to read it."""

    cells: tuple[RawCell, ...]
    notes: tuple[str, ...] = ()


def read_submission(data: bytes, name: str) -> Reading:
    """Read a lesson from the bytes of a .py or .ipynb file, with code as a plain Python reads it where that can be.

    Raises Unreadable, which says why a file is no lesson.
    """
    return made_runnable(read_cells(data, name))


def read_cells(data: bytes, name: str) -> Reading:
    """The same with the code as it was handed in."""
    if len(data) > MAX_BYTES:
        raise Unreadable(f"{name} has {len(data):,} bytes; a lesson has at most {MAX_BYTES:,}.")
    notes: list[str] = []
    text = _text(data, name, notes)
    ending = name.rpartition(".")[2].lower()
    if _looks_like_json(text):
        if ending != "ipynb":
            notes.append(f"{name} holds a notebook (JSON); it was read as one.")
        cells = _notebook_cells(text, name, notes)
    else:
        if ending == "ipynb":
            if not re.search(r"^#[ \t]*%%|^(?:def|class|import|from) ", text, re.MULTILINE):
                raise Unreadable(f"{name} is not a notebook: it holds no JSON.")
            notes.append(f"{name} holds Python and not a notebook; it was read as a .py file.")
        _bounded(name, len(text), "characters", 2 * MAX_WRITTEN)  # markers and blank lines included
        _bounded(name, sum(1 for _ in _ANY_MARKER.finditer(text)), "cells", MAX_CELLS)
        cells = _percent_cells(text, name, notes)
    if not any(cell.source.strip() for cell in cells):
        raise Unreadable(f"{name} is empty: no cell has any text.")
    _bounded(name, len(cells), "cells", MAX_CELLS)
    _bounded(name, sum(len(cell.source) for cell in cells), "characters in its cells", MAX_WRITTEN)
    return Reading(tuple(cells), tuple(notes))


def _bounded(name: str, number: int, what: str, most: int) -> None:
    """Refuse a file with too many of something, before they fill the grader's memory."""
    if number > most:
        raise Unreadable(f"{name} has {number:,} {what}; a lesson has at most {most:,}.")


def made_runnable(reading: Reading) -> Reading:
    """The same with tabs, stray spaces and magics put right in cells with code that a plain Python could not read."""
    cells, notes = list(reading.cells), list(reading.notes)
    for at, cell in enumerate(cells):
        if cell.kind == "code":
            source, note = runnable(cell.source)
            notes += [f"Cell {at + 1}: {note}"] if note else []
            cells[at] = cell if source == cell.source else replace(cell, source=source)
    return Reading(tuple(cells), tuple(notes))


_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FILES = (
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"{\\rtf", "a text document (RTF)"),
    (b"SQLite format 3", "a database"),
)
_COOKIE = re.compile(rb"\A(?:[^\n]*\n)?[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_TRUSTED = ("latin", "iso8859", "cp125", "mac-", "koi8", "gb", "big5", "shift_jis", "euc", "cp93", "cp94")


def _text(data: bytes, name: str, notes: list[str]) -> str:
    """The text of a file, in whatever encoding it was saved, with \\n at the end of each line."""
    for magic, what in _OTHER_FILES:
        if data.startswith(magic):
            raise Unreadable(f"{name} is {what}, not a lesson.")
    text = _decoded(data, name, notes).removeprefix("\ufeff")
    if re.match(r"\s*<(?:!doctype\s+html|html)", text[:200], re.IGNORECASE):
        raise Unreadable(f"{name} is a web page (HTML), not a lesson.")
    if "\0" in text:
        if text.count("\0") > len(text) // 10:
            raise Unreadable(f"{name} holds binary data, not a lesson.")
        notes.append(f"{name} had {text.count(chr(0))} NUL bytes, which were left out.")
        text = text.replace("\0", "")
    if text.endswith("\x1a"):
        text = text.rstrip("\x1a")
        notes.append(f"{name} ended with a Ctrl-Z character, which was left out.")
    return _lines(text)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes, name: str, notes: list[str]) -> str:
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            if encoding != "utf-8-sig":
                notes.append(f"{name} was saved as {encoding.upper()}; a lesson is UTF-8.")
            return data.decode(encoding, errors="replace")
    if guessed := _guessed_utf16(data):
        notes.append(f"{name} was saved as UTF-16 without a mark; a lesson is UTF-8.")
        return data.decode(guessed, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
    encoding = _declared(data) or "cp1252"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        encoding, text = "latin-1", data.decode("latin-1")
    notes.append(f"{name}, line {line}: not UTF-8; the file was read as {encoding}.")
    return text


def _guessed_utf16(data: bytes) -> str:
    """The byte order of UTF-16 without a mark: nearly every second byte of a lesson is NUL then."""
    head = data[:4096]
    half = len(head) // 2
    if half < 8:
        return ""
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if head[start::2].count(0) > 0.8 * half and head[1 - start :: 2].count(0) < 0.1 * half:
            return encoding
    return ""


def _declared(data: bytes) -> str:
    """The encoding that a `# coding:` line names, if it is one of the usual ones."""
    match = _COOKIE.match(data[:400])
    if match is None:
        return ""
    try:
        found = codecs.lookup(match[1].decode("ascii")).name
    except (LookupError, UnicodeDecodeError):
        return ""
    return found if found.startswith(_TRUSTED) else ""


def _whole(text: str, where: str, notes: list[str]) -> str:
    """The text with characters that have no UTF-8 form (halves of surrogate pairs) replaced."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        notes.append(f"{where}: characters that are no Unicode text were replaced by a question mark.")
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\ufffd", "?")
    return text


def _trimmed(source: str) -> str:
    """A source as cells have it: \\n at line ends, and no blank lines at the end."""
    text = _lines(source)
    if text and not text[-1].isspace():
        return text
    lines = text.split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(lines)


_KINDS = {"code": "code", "markdown": "markdown", "raw": "raw", "heading": "markdown", "html": "markdown"}


def _looks_like_json(text: str) -> bool:
    head = text.lstrip()[:400]
    return head.startswith("{") and (head[1:].lstrip()[:1] in ('"', "}") or head.startswith("{}"))


def _notebook_cells(text: str, name: str, notes: list[str]) -> list[RawCell]:
    _bounded(name, _values(text), "values in its JSON", MAX_VALUES)
    document = _json(text, name, notes)
    listed = document.get("cells")
    if listed is None and isinstance(document.get("worksheets"), list):
        notes.append(f"{name} is a notebook of an older format (nbformat {_short(document.get('nbformat'))}).")
        sheets = [sheet for sheet in document["worksheets"] if isinstance(sheet, dict)]
        listed = [cell for sheet in sheets for cell in (sheet.get("cells") or []) if isinstance(sheet["cells"], list)]
    if not isinstance(listed, list):
        raise Unreadable(f"{name} is JSON without cells, so it is not a notebook.")
    _bounded(name, len(listed), "cells", MAX_CELLS)
    cells = []
    for number, cell in enumerate(listed, start=1):
        if isinstance(cell, dict):
            cells.append(_json_cell(cell, f"Cell {number}", notes))
        else:
            notes.append(f"Cell {number} of {name} is no cell (a {type(cell).__name__}); it was left out.")
    return cells


def _json_cell(cell: dict[str, Any], where: str, notes: list[str]) -> RawCell:
    given = cell.get("cell_type")
    kind = _KINDS.get(given, "") if isinstance(given, str) else ""
    if not kind:
        kind = "raw"
        notes.append(f"{where} has the unknown type {_short(given)}; it was read as raw text.")
    value = cell["source"] if "source" in cell else cell.get("input", "")
    parts = value if isinstance(value, list) else [value]
    try:
        written = "".join(parts)
    except TypeError:
        written = "".join(part for part in parts if isinstance(part, str))
        notes.append(f"{where} has a source that is no text; what is none was left out.")
    source = _whole(written, where, notes).replace("\0", "")
    if given == "heading":
        level = cell.get("level", 1)
        source = f"{'#' * (level if level in range(1, 7) else 1)} {source}"
    metadata = cell.get("metadata")
    identity = cell.get("id")
    return RawCell(
        kind,
        _trimmed(source),
        metadata if isinstance(metadata, dict) else {},
        identity if isinstance(identity, str) else "",
    )


def _values(text: str) -> int:
    """How many values some JSON has, at most; what stands in its strings, such as a page with a plot, is one each."""
    if len(text) <= MAX_VALUES:  # each takes a character or more
        return len(text)
    number = sum(map(text.count, ",[{"))
    return number if number <= MAX_VALUES else sum(map(_STRING.sub("", text).count, ",[{"))


_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def _json(text: str, name: str, notes: list[str]) -> dict[str, Any]:
    """The JSON object at the beginning of a text; Unreadable when there is none."""
    repeated: set[str] = set()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            repeated.update(key for key, times in Counter(key for key, _ in items).items() if times > 1)
        return found

    decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_int=_number, strict=False)
    start = len(text) - len(text.lstrip())
    try:
        document, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        if re.search(r"^(?:<<<<<<<|>>>>>>>) ", text, re.MULTILINE):
            raise Unreadable(f"{name} holds the marks of a Git merge conflict, so it is no notebook.") from None
        raise Unreadable(f"{name} is a damaged notebook: {error.msg} (line {error.lineno}).") from None
    except RecursionError:
        raise Unreadable(f"{name} is nested too deeply for a notebook.") from None
    if text[end:].strip():
        notes.append(f"{name} goes on after the end of the notebook; what follows was left out.")
    if told := repeated & {"cells", "source", "cell_type", "metadata", "nbgrader", "grade_id"}:
        notes.append(f"{name} says {', '.join(sorted(told))} more than once in one place; the last one counts.")
    return document if isinstance(document, dict) else {}


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 20 else 0


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= 40 else text[:37] + "..."


_ANY_MARKER = re.compile(r"^[ \t]*#[ \t]*%%+(?:[ \t].*)?$", re.MULTILINE)
_LOST_ID = re.compile(r"""grade_id["']?\s*[:=]\s*["']?([A-Za-z0-9_-]+)""")
_FRONT = re.compile(r"\A\s*# ---\n(?:#.*\n)*?# ---\n")


def _percent_cells(text: str, name: str, notes: list[str]) -> list[RawCell]:
    if not _ANY_MARKER.search(text):
        text, wrote = percent_text(text)
        notes += [f"{name} was {wrote}."] if wrote else []
    try:
        notebook = parse(text, name)
    except (MalformedNotebook, ValueError, RecursionError):
        notebook = parse("\n".join(_readable(text.split("\n"), name, notes)), name)
    top = _trimmed(_FRONT.sub("", notebook.header))
    cells = [
        RawCell(cell.kind, _prose(cell.body) if cell.kind != "code" else cell.source, cell.metadata)
        for cell in notebook.cells
    ]
    if not cells:
        notes.append(f"{name} has no cell markers (# %%); the whole file was read as one code cell.")
    if not top.strip() or (cells and not any(line.strip() and line[0] != "#" for line in top.split("\n"))):
        return cells
    return [RawCell("code", top.strip("\n")), *cells]


def _readable(lines: list[str], name: str, notes: list[str]) -> Iterable[str]:
    """The lines with the cell markers written in such a way that `parse` reads them."""
    for number, line in enumerate(lines, start=1):
        if not _ANY_MARKER.match(line):
            yield line
            continue
        marker = line
        if line[0] != "#":
            if "nbgrader=" not in line and "[markdown]" not in line:
                notes.append(f"{name}, line {number}: an indented # %% comment was read as a comment.")
                yield re.sub("%%+", "%", line, count=1)
                continue
            notes.append(f"{name}, line {number}: a cell marker is indented; it was read as a cell marker.")
            marker = line.strip()
        try:
            parse(marker)
        except (MalformedNotebook, ValueError, RecursionError):
            notes.append(f"{name}, line {number}: the metadata of the cell marker cannot be read.")
            kind = re.search(r"\[(?:markdown|md|raw)\]", marker)
            lost = _LOST_ID.search(marker)
            marker = " ".join(
                ["# %%", *([kind[0]] if kind else []), *([f'nbgrader={{"grade_id": "{lost[1]}"}}'] if lost else [])]
            )
        yield marker


def _prose(body: str) -> str:
    """The text of a markdown or raw cell: without comment signs if every line has one, else as it stands."""
    lines = _trimmed(body).split("\n")[1:]
    if all(line.startswith("#") for line in lines if line.strip()):
        return "\n".join(re.sub(r"^# ?", "", line) for line in lines)
    text = "\n".join(lines).strip("\n")
    quoted = re.fullmatch(r'\s*[rR]?("""|\'\'\')\n?(.*?)\n?\1\s*', text, re.DOTALL)
    return quoted[2] if quoted else text
