"""What grading one submission found, as values that can be kept as JSON and sent between machines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Any

from tito.report import Outcome


class Status(StrEnum):
    """What became of a submission as a whole."""

    GRADED = "graded"
    UNREADABLE = "unreadable"  # the student's file is no lesson: no points, with the reason
    UNGRADABLE = "ungradable"  # a fault of the grader or the machine: never a score, to be tried again


@dataclass(frozen=True)
class ProbeScore:
    """Whether one probe of a graded cell gave what the reference gives."""

    name: str
    agreed: bool
    message: str = ""  # for the student, without an expected value
    title: str = ""  # what it tries, in the student's words

    @property
    def label(self) -> str:
        """What a person reads: the title, in the student's words, where there is one."""
        return self.title or self.name


@dataclass(frozen=True)
class CellScore:
    """One graded cell: its test in the sandbox, its probes, and the points that both together earn."""

    grade_id: str
    test: str
    points: float
    possible: float
    outcome: Outcome
    message: str = ""  # one line on why not all points were earned
    detail: str = ""  # the traceback of the visible test
    probes: tuple[ProbeScore, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What a student wrote below a reflection question."""

    grade_id: str
    possible: float
    text: str
    answered: bool  # False: empty, or as it was released


@dataclass(frozen=True)
class GradeRecord:
    """The verdict on one submission and what it rests on."""

    student: str
    module: str  # the folder, which is also the name of the assignment
    submission_hash: str
    assignment_hash: str
    status: Status
    reason: str = ""  # of a submission that was not graded
    cells: tuple[CellScore, ...] = ()
    answers: tuple[Answer, ...] = ()
    repairs: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()  # (grade_id, source) of the cells the student was to write
    untouched: tuple[str, ...] = ()  # the grade_ids of those that are as they were released
    failures: tuple[tuple[str, str], ...] = ()  # (cell as the student knows it, one line) of the student's that failed
    output: str = ""  # what the submission printed, up to a bound
    isolation: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def points(self) -> float:
        """Automatic points earned."""
        return sum(cell.points for cell in self.cells)

    @property
    def possible(self) -> float:
        """Automatic points of all graded cells."""
        return sum(cell.possible for cell in self.cells)

    def to_json(self) -> dict[str, Any]:
        """The record as plain data."""
        return asdict(self)


def submission_hash(name: str, data: bytes) -> str:
    """The SHA-256 of a file that was handed in and of the kind of file that its name says."""
    return hashlib.sha256(PurePath(name).suffix.encode() + b"\0" + data).hexdigest()


def record_from(data: Mapping[str, Any]) -> GradeRecord:
    """The record that to_json made; raises KeyError, TypeError or ValueError when it is none."""
    cells = tuple(
        CellScore(
            **{
                **cell,
                "outcome": Outcome(cell["outcome"]),
                "probes": tuple(ProbeScore(**probe) for probe in cell["probes"]),
            }
        )
        for cell in data["cells"]
    )
    return GradeRecord(
        **{
            **data,
            "status": Status(data["status"]),
            "cells": cells,
            "answers": tuple(Answer(**answer) for answer in data["answers"]),
            "repairs": tuple(data["repairs"]),
            "sources": tuple((name, source) for name, source in data["sources"]),
            "untouched": tuple(data.get("untouched", ())),  # journals of earlier graders have none
            "failures": tuple((name, line) for name, line in data.get("failures", ())),  # nor these
        }
    )
