"""What has been graded: one line a verdict, appended and never changed, so that a killed run can go on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from tito import __version__
from tito.errors import EnvironmentFault
from tito.grading.records import GradeRecord, Status, record_from

T = TypeVar("T")

_HERE = Path(__file__).parent
_MAKES_VERDICTS = ("assignment.py", "engine.py", "judge.py", "submission/*.py", "sandbox/*.py")


@cache
def grader_hash() -> str:
    """What a verdict depends on in the grader itself: the code that makes it, as a SHA-256."""
    digest = hashlib.sha256(__version__.encode())
    for path in sorted(path for part in _MAKES_VERDICTS for path in _HERE.glob(part)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def verdict_key(student: str, submission_hash: str, assignment_hash: str) -> str:
    """The name of a verdict: whose work, which work, against what, by which grader."""
    return hashlib.sha256(json.dumps([student, submission_hash, assignment_hash, grader_hash()]).encode()).hexdigest()


class Journal:
    """A file of verdicts. A line that was cut off by a kill is no verdict, and is dropped when the next is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def latest(self, module: str) -> dict[str, tuple[str, GradeRecord]]:
        """The last verdict on each student's last submission, with its key; an ungradable one replaces none on it."""
        found = dict[str, tuple[str, GradeRecord]]()
        for key, record in self._verdicts(module):
            _, before = found.get(record.student, ("", record))
            stands = before.status is not Status.UNGRADABLE and before.submission_hash == record.submission_hash
            if record.status is not Status.UNGRADABLE or not stands:
                found[record.student] = key, record
        return found

    def modules(self) -> frozenset[str]:
        """The assignments on which there is a verdict."""
        return frozenset(self._read(lambda line: line["record"]["module"]))

    def records(self, module: str) -> dict[str, GradeRecord]:
        """The last verdict on each student's work that is one: what came of a fault of the grader is left out."""
        verdicts = (record for _, record in self._verdicts(module))
        return {record.student: record for record in verdicts if record.status is not Status.UNGRADABLE}

    def append(self, verdicts: Sequence[tuple[str, GradeRecord]]) -> None:
        """Write verdicts through to the disk; the sources they rest on are kept in the graded notebooks."""
        lines = []
        for key, record in verdicts:
            plain = record.to_json() | {"sources": []}
            lines.append(json.dumps({"key": key, "record": plain}, ensure_ascii=True) + "\n")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as stream:
            stream.seek(0)
            stream.truncate(_whole(stream.read()))
            stream.seek(0, os.SEEK_END)
            stream.write("".join(lines).encode())
            stream.flush()
            os.fsync(stream.fileno())

    def _verdicts(self, module: str) -> Iterator[tuple[str, GradeRecord]]:
        return self._read(lambda line: (line["key"], record_from(line["record"])), module)

    def _read(self, what: Callable[[dict[str, Any]], T], module: str = "") -> Iterator[T]:
        """Something of every verdict, or of those on one module; EnvironmentFault names a line that is none."""
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    said = json.loads(line)
                    if module in ("", said["record"]["module"]):
                        yield what(said)
                except (ValueError, KeyError, TypeError) as error:
                    raise EnvironmentFault(
                        f"{self.path}, line {number} is damaged: {type(error).__name__}: {error}.",
                        "take that line out; its submission is graded again",
                    ) from None


def _whole(data: bytes) -> int:
    """How much of a file is whole lines."""
    return data.rfind(b"\n") + 1
