"""The sandbox as the grader uses it: jobs go in, outcomes and raw arrays come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tito.errors import EnvironmentFault
from tito.grading.sandbox.conversation import Conversation, Progress
from tito.grading.sandbox.isolation import Folder, Isolation, planned
from tito.grading.sandbox.jobs import CellRun, Ending, Job, Limits, ProbeRun, RunResult
from tito.grading.sandbox.zygote import Zygote, ZygoteDied
from tito.report import Outcome

RESTARTS = 64  # forks beyond the first: one function that crashes may be called by many tests and probes
VAIN = 2  # of them in a row that found out nothing new: what ends the process is in none of its parts
_FAULTS = 2  # times that the warm parent may die under one submission by no fault of it


class Sandbox:
    """A warm parent behind walls, started at the first job and again whenever it is gone; one job at a time.

    package: files of the package that a submission may import, by relative path. imports: modules to load beforehand.
    known: cells that come again in many jobs, compiled once. reference: a trusted lesson whose cells run once in the
    warm parent; jobs without cells then run their probes on it.
    """

    def __init__(
        self,
        package: Mapping[str, bytes],
        imports: Sequence[str],
        isolation: Isolation,
        limits: Limits | None = None,
        *,
        known: Job | None = None,
        reference: Job | None = None,
    ) -> None:
        self.package, self.imports = package, tuple(imports)
        self.isolation = isolation
        self.limits = limits or Limits()
        self._known, self._reference = known, reference
        self._folder: Folder | None = None
        self._zygote: Zygote | None = None
        self._thread: threading.Thread | None = None  # that started it

    @property
    def isolation_text(self) -> str:
        """What a report says of it."""
        return self.isolation.text

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, job: Job) -> RunResult:
        """Run a submission: outcomes of its cells, arrays of its probes. EnvironmentFault: the machine is at fault."""
        begun = time.monotonic()
        progress = Progress(job, self.limits, self._reference is not None, begun + self.limits.wall)
        progress.room = self.limits.result
        faults = forks = vain = 0
        while forks <= RESTARTS and vain <= VAIN and (forks == 0 or time.monotonic() < begun + self.limits.wall):
            before = progress.known
            try:
                finished = self._fork(progress)
            except ZygoteDied:
                faults += 1
                if faults >= _FAULTS:
                    raise EnvironmentFault(
                        "The sandbox ended under a submission twice.",
                        "look for what killed it (is the machine out of memory?) and grade again",
                    ) from None
                continue
            if finished:
                break
            forks += 1
            vain = vain + 1 if progress.known == before else 0
        return _result(progress, begun)

    def _fork(self, progress: Progress) -> bool:
        """One fork for a job, and whether it got through; ZygoteDied when the warm parent ended by no fault of it."""
        conversation = Conversation(self.warm(), progress, self._measured())
        try:
            finished = conversation.run()
        except ZygoteDied:
            self._end()
            if not conversation.started or self.isolation in (Isolation.BWRAP, Isolation.LANDLOCK):
                raise  # no submission has run, or none that could have done it
            progress.ended(Ending.EXITED)
            if conversation.current is not None:
                progress.blame(conversation.current, Outcome.EXITED, "ended the sandbox that it ran in")
            return conversation.finished
        except BaseException:
            self._end()  # what it would say next belongs to this job
            raise
        if conversation.exit is not None and not conversation.exit["clean"]:
            self._end()  # what a submission has left goes with the whole sandbox
        return finished

    def close(self) -> None:
        """End the warm parent; no process and no file is left."""
        self._end()

    def warm(self) -> Zygote:
        """The warm parent, started now if there is none."""
        if self._thread is not threading.current_thread():
            self._end()  # the kernel ends it with the thread that started it, perhaps in the middle of this job
        if self._zygote is None:
            self._thread = threading.current_thread()
            self._folder = Folder(self.package)
            try:
                plan = planned(self.isolation, self._folder, self.limits)
                self._zygote = Zygote(plan, self._folder, self._settings())
            except BaseException:
                self._end()
                raise
        return self._zygote

    def _settings(self) -> dict[str, object]:
        known = self._known
        reference = self._reference
        return {
            "imports": ["numpy", "numpy.random", *self.imports],
            "known": [[known.name, cell.name, cell.source] for cell in known.cells] if known else [],
            "reference": {
                "name": reference.name,
                "cells": [[cell.name, cell.source] for cell in reference.cells],
            }
            if reference
            else None,
        }

    def _measured(self) -> Path | None:
        """The folder in which the disk limit must be watched."""
        watched = self.isolation in (Isolation.LANDLOCK, Isolation.LIMITS) and self._folder is not None
        return self._folder.root / "work" if watched and self._folder else None

    def _end(self) -> None:
        zygote, self._zygote = self._zygote, None
        folder, self._folder = self._folder, None
        if zygote is not None:
            zygote.close()
        if folder is not None:
            folder.remove()


def _result(progress: Progress, begun: float) -> RunResult:
    cells, probes = progress.job.cells, progress.job.probes
    output = bytes(progress.output).decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    if progress.printed > progress.limits.output:
        progress.notes.append(f"printed {progress.printed} bytes, of which {progress.limits.output} are kept")
    return RunResult(
        tuple(
            progress.cells.get(i, CellRun(cell.name, Outcome.NOT_RUN, "the submission ended before it"))
            for i, cell in enumerate(cells)
        ),
        tuple(
            progress.probes.get(i, ProbeRun(name, None, "the submission ended before it"))
            for i, name in enumerate(probes)
        ),
        progress.ending,
        output,
        time.monotonic() - begun,
        progress.cpu,
        progress.peak,
        tuple(progress.notes),
    )
