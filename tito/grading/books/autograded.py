"""The notebooks that nbgrader's formgrader shows: the released lesson with a student's work and the verdicts in it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from tito.course import Module
from tito.grading.assignment import Assignment
from tito.grading.books.grades import storable
from tito.grading.place import Place, notebook_name
from tito.grading.records import CellScore, GradeRecord, Status
from tito.notebook import Cell, to_ipynb

_ACTIVE = re.compile(r"[<&](?=[A-Za-z/!?#])|\](?=[(:])|\\(?=href|url|require|class|cssId|style)")
_SIGN = "# Written by tito grade; delete this line to keep your own version.\n"


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


class Pages:
    """The graded notebooks of one assignment, made from a template that is built once."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment

    @cached_property
    def _template(self) -> tuple[list[tuple[dict[str, Any], str, str]], str]:
        """Each cell as data, its grade_id and its JSON; and what follows the cells."""
        sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # see gradebook_schema
        released = self.assignment.released
        page = json.loads(to_ipynb(released))
        by_id = {cell.grade_id: cell for cell in released.cells if cell.grade_id}
        cells = []
        for data in page.pop("cells"):
            grade_id = str(data["metadata"].get("nbgrader", {}).get("grade_id", ""))
            data["source"] = "".join(data["source"])
            if grade_id:
                own = {"cell_type": data["cell_type"], "checksum": checksum(by_id[grade_id])}
                data["metadata"]["nbgrader"] |= own
            cells.append((data, grade_id, _dumped(data)))
        return cells, _dumped(page)

    def page(self, record: GradeRecord) -> str:
        """One student's notebook as nbformat 4.5; a grader that runs nbgrader's rule on it comes to the same points."""
        sources = dict(record.sources)
        answers = {answer.grade_id: answer.text for answer in record.answers}
        scores = {cell.grade_id: cell for cell in record.cells}
        cells, rest = self._template
        written = []
        for data, grade_id, text in cells:
            if grade_id in scores:
                text = _dumped({**data, "outputs": list(_outputs(scores[grade_id])), "execution_count": 1})
            elif grade_id in answers:
                text = _dumped({**data, "source": inert(answers[grade_id])})
            elif grade_id in sources:
                text = _dumped({**data, "source": sources[grade_id]})
            elif record.status is Status.UNREADABLE and data["metadata"].get("nbgrader", {}).get("locked"):
                text = _dumped({**data, "outputs": [_error("unreadable", record.reason, "")]})
            written.append(text)
        return '{"cells": [' + ",\n".join(written) + "],\n" + rest[1:] + "\n"


def inert(text: str) -> str:
    """Text for a Markdown cell in which nothing is HTML, an entity, a link or a macro that makes one.

    formgrader puts an answer's HTML into the page of whoever grades, where a script could change grades. A space
    breaks each of these and reads the same in prose, in mathematics and in code; no other escape does.
    """
    return _ACTIVE.sub(lambda found: found[0] + " ", text)


def _outputs(score: CellScore) -> Iterator[dict[str, Any]]:
    """What stands under a test: nothing lost is a line, nothing earned an error, a part of the points a number."""
    probes = "\n".join(
        f"{'agreed   ' if probe.agreed else 'disagreed'}  {probe.label}  {probe.message}".rstrip()
        for probe in score.probes
    )
    said = f"{score.points:g} of {score.possible:g} points"
    if score.points >= score.possible:
        yield _stream("\n".join(filter(None, (said, score.message, probes))))
    elif score.points > 0:
        yield _stream("\n".join(filter(None, (said, score.message, score.detail, probes))))
        number = {"text/plain": repr(float(score.points))}
        yield {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": number}
    else:
        yield _error(str(score.outcome), score.message or said, "\n".join(filter(None, (score.detail, probes))))


def _stream(text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": "stdout", "text": text + "\n"}


def _error(name: str, message: str, detail: str) -> dict[str, Any]:
    lines = [message, *detail.splitlines()]
    return {"output_type": "error", "ename": name, "evalue": message, "traceback": lines}


def _dumped(data: Any) -> str:
    return storable(json.dumps(data, ensure_ascii=False))


def write_page(place: Place, module: Module, pages: Pages, record: GradeRecord) -> None:
    """Write a student's notebook where formgrader looks for it; an ungradable record leaves what is there."""
    if record.status is Status.UNGRADABLE:
        return
    folder = place.autograded(record.student, module)
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / f"{notebook_name(module)}.ipynb", pages.page(record))


def write_config(place: Place, course_id: str, url: str = "") -> None:
    """Write grading/nbgrader_config.py, with which nbgrader's commands find this course; a person's own one is kept.

    url: the gradebook's address when it is not the default.
    """
    path = place.root / "nbgrader_config.py"
    if path.exists() and not path.read_text(encoding="utf-8").startswith(_SIGN):
        return
    lines = [
        "from pathlib import Path",
        "",
        "c = get_config()  # noqa: F821",
        f"c.CourseDirectory.course_id = {course_id!r}",
        "c.CourseDirectory.root = str(Path(__file__).resolve().parent)",
    ]
    own = bool(url) and url != place.database
    if own:
        lines.append(f"c.CourseDirectory.db_url = {url!r}")
    place.root.mkdir(parents=True, exist_ok=True)
    text = _SIGN + "\n".join(lines) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        replace_text(path, text, private=own)  # the address may have a password


def replace_text(path: Path, text: str, private: bool = False) -> None:
    """Write a file so that whoever reads it finds the old text or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.touch(mode=0o600 if private else 0o666)
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
    except OSError as error:  # which names the file beside it, of which nobody has heard
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
