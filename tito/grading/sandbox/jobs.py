"""What goes into a sandbox and what comes out: jobs, limits, outcomes, raw arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from tito.report import Outcome

if TYPE_CHECKING:
    import numpy as np


class Ending(StrEnum):
    """How the process that ran a submission ended."""

    FINISHED = "finished"
    TIME = "time limit"
    MEMORY = "memory limit"
    OUTPUT = "output limit"
    DISK = "disk limit"
    EXITED = "exited"  # it ended itself, or crashed


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    wall: float = 60.0  # seconds, sleep included
    cpu: float = 60.0  # seconds
    memory: int = 1 << 30  # bytes beyond what the warm parent has
    output: int = 64 << 10  # bytes printed
    disk: int = 16 << 20  # bytes of files
    result: int = 16 << 20  # bytes of arrays sent back


COURSE_CELL = "cell:course-"  # how the names of cells begin that the submission lacks and the course has


@dataclass(frozen=True)
class JobCell:
    """One code cell to run; after a cell with a test, the test function is called."""

    name: str  # unique in the job
    source: str
    test: str = ""
    seconds: float = 10.0


@dataclass(frozen=True)
class Job:
    """A submission to run: its cells in order, then probes."""

    name: str  # of the module in which the cells run: layers_dev
    cells: tuple[JobCell, ...]
    probes_source: str = ""
    probes: tuple[str, ...] = ()  # function names, each called with (lesson, rng)
    seed: int = 0
    probe_seconds: float = 10.0  # for each


@dataclass(frozen=True)
class CellRun:
    """What became of one cell, and of its test if it has one."""

    name: str
    outcome: Outcome
    message: str = ""
    detail: str = ""


@dataclass(frozen=True)
class ProbeRun:
    """What one probe sent back: named arrays in order, or the error that it raised."""

    name: str
    arrays: Mapping[str, np.ndarray] | None  # None: it failed
    error: str = ""


@dataclass(frozen=True)
class RunResult:
    """All that came out of the sandbox. None of it is to be trusted: it is data."""

    cells: tuple[CellRun, ...]
    probes: tuple[ProbeRun, ...]
    ending: Ending
    output: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    notes: tuple[str, ...] = field(default=())
