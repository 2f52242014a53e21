"""One fork of the warm parent from the grader's side: what it is told, what it reports, and when it is ended."""

from __future__ import annotations

import builtins
import contextlib
import json
import marshal
import os
import selectors
import signal
import stat
import time
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from tito.errors import EnvironmentFault
from tito.grading.sandbox.jobs import CellRun, Ending, Job, JobCell, Limits, ProbeRun
from tito.grading.sandbox.messages import Malformed, Message, Reader
from tito.grading.sandbox.pipes import emptied, read_now, widened
from tito.grading.sandbox.threads import MOST, threads_below
from tito.grading.sandbox.zygote import Zygote, ZygoteDied
from tito.report import Outcome

GRACE = 2.0  # seconds beyond a cell's own limit, which the process cannot have slept through
_PRINTED = 1024  # times the output that is kept, before the process is ended: megabytes are no crime
_NAP = 0.005  # seconds between two looks at what has come: a wake for each part would take the core from a submission
_RINGS = 1_000  # that are listened to
_TICK = 0.05  # seconds between two looks at the disk, or at the threads
_FOLDERS = 64 << 10  # bytes of folders and of files' last blocks
_MEMORY = ("MemoryError", "_ArrayMemoryError")
_FULL = ("[Errno 28]", "[Errno 27]")  # no space left; a file too large


@dataclass
class Progress:
    """What is known of a job, over all forks that it took."""

    job: Job
    limits: Limits
    trusted: bool  # whether errors of probes may be told in full
    until: float  # on the monotonic clock
    cells: dict[int, CellRun] = field(default_factory=dict)
    probes: dict[int, ProbeRun] = field(default_factory=dict)
    barred: set[int] = field(default_factory=set)  # cells that ended the process: not run again
    output: bytearray = field(default_factory=bytearray)
    printed: int = 0
    slow: set[str] = field(default_factory=set)  # kinds of parts, code or test, of which one has reached its limit
    ending: Ending = Ending.FINISHED
    notes: list[str] = field(default_factory=list)
    cpu: float = 0.0
    peak: int = 0
    room: int = 0  # bytes of arrays that may still come
    probed: bool = False  # whether any fork was told the probes: from then on no text of the submission's is kept

    @property
    def known(self) -> int:
        """How many parts have an outcome, or are not run again."""
        return len(self.cells) + len(self.probes) + len(self.barred)

    def ended(self, ending: Ending) -> None:
        """Keep the first thing that went wrong."""
        if self.ending is Ending.FINISHED:
            self.ending = ending

    def blame(self, part: tuple[str, int], outcome: Outcome, message: str) -> None:
        """Give the part that was running when the process ended its outcome; the next fork leaves it out."""
        kind, index = part
        if kind == "probe":
            self.probes.setdefault(index, ProbeRun(self.job.probes[index], None, message))
            return
        if index in self.cells or not self.job.cells[index].test:
            self.barred.add(index)  # else its test alone is not called again: later tests may use its helpers
        self.cells.setdefault(index, CellRun(self.job.cells[index].name, outcome, message))

    def to_run(self) -> list[tuple[int, JobCell]]:
        """The cells of the next fork: all code, without the tests that have an outcome."""
        cells = [(i, cell) for i, cell in enumerate(self.job.cells) if i not in self.barred]
        return [(i, replace(cell, test="") if i in self.cells else cell) for i, cell in cells]

    def kind(self, part: tuple[str, int]) -> str:
        """code for a cell without a test, test for all else."""
        return "code" if part[0] == "cell" and not self.job.cells[part[1]].test else "test"

    def limit(self, part: tuple[str, int]) -> float:
        """A part's own limit; a tenth after the first of its kind that was reached."""
        seconds = self.job.cells[part[1]].seconds if part[0] == "cell" else self.job.probe_seconds
        return seconds / 10 if self.kind(part) in self.slow else seconds


class Conversation:
    """Runs one fork to its end; what it learns goes into the progress at once."""

    def __init__(self, zygote: Zygote, progress: Progress, work: Path | None) -> None:
        self.zygote, self.progress = zygote, progress
        self.work = work  # measured; None where the file system has a size
        self.current: tuple[str, int] | None = None
        self.waiting: list[tuple[str, int]] = []
        self.part_until = progress.until
        self.next_look = 0.0
        self.next_count = time.monotonic() + _TICK  # most submissions have ended by then
        self.reader = Reader(progress.room)
        self.rings = 0
        self.finished = False
        self.repeating = bool(progress.cells)  # what was printed the last time is not kept again
        self.started = False
        self.killed: tuple[Ending, Outcome, str] | None = None
        self.to_write = memoryview(b"")
        self.selector = selectors.DefaultSelector()
        self.exit: dict[str, Any] | None = None

    def run(self) -> bool:
        """Whether everything was run; ZygoteDied when the warm parent ended."""
        job_read, self.job = os.pipe()
        self.events, events_write = os.pipe()
        self.output, output_write = os.pipe()
        self.bell, bell_write = os.pipe()
        theirs = [job_read, events_write, output_write, bell_write]
        ours = [self.job, self.events, self.output, self.bell]
        try:
            for fd in ours:
                os.set_blocking(fd, False)
            self.zygote.fork({"cpu": max(1.0, self.progress.limits.cpu - self.progress.cpu)}, theirs)
            while theirs:
                os.close(theirs.pop())
            self._converse()
        finally:
            self.selector.close()
            for fd in theirs + ours:
                os.close(fd)
        return self.finished

    def _converse(self) -> None:
        for source in (self.zygote.socket, self.output, self.bell):
            self.selector.register(source, selectors.EVENT_READ)
        if not widened(self.job, self.events) or self.repeating:  # what is printed is told apart by what was heard
            self.selector.register(self.events, selectors.EVENT_READ)
        self._tell_cells()
        try:
            while self.exit is None:
                self._step()
        except ZygoteDied:
            self._drain()
            raise
        self._drain()
        self._conclude(self.exit)

    def _step(self) -> None:
        now = time.monotonic()
        until = min(self.part_until, self.progress.until)
        wait = min(max(until - now, 0.0), _NAP)
        for key, _ in self.selector.select(wait):
            if key.fileobj is self.zygote.socket:
                told = self.zygote.message()
                if told and "exit" in told:
                    self.exit = told
            elif key.fd == self.bell:
                self._hear_bell()
            elif key.fd == self.output:
                self._read_output()
            elif key.fd == self.job:
                self._write()
        emptied(self._read_events)
        now = time.monotonic()
        if now >= until and now >= min(self.part_until, self.progress.until):
            if self.killed:
                raise ZygoteDied  # it was told to kill its child and has not
            took = "the whole time allowed" if now >= self.progress.until else "its time limit"
            self._kill(Ending.TIME, Outcome.TIMEOUT, f"did not stop at {took}")
        if self.work and not self.killed and now >= self.next_look:
            self._look_at_disk(self.work, now)
        if not self.killed and now >= self.next_count:
            self.next_count = now + _TICK
            if threads_below(self.zygote.process.pid) > MOST:
                self._kill(Ending.MEMORY, Outcome.FAILED, f"started more than {MOST} threads")

    def _look_at_disk(self, work: Path, now: float) -> None:
        limit = self.progress.limits.disk
        if _usage(work, limit + _FOLDERS) > limit + _FOLDERS:  # one file alone ends at the limit by itself
            self._kill(Ending.DISK, Outcome.FAILED, f"wrote more than {limit / (1 << 20):g} MB of files")
        after = time.monotonic()
        self.next_look = after + max(_TICK, 9 * (after - now))  # a tenth of the time at most

    def _kill(self, ending: Ending, outcome: Outcome, message: str) -> None:
        if self.killed is None:
            self.killed = (ending, outcome, message)
            self.part_until = time.monotonic() + 15.0
            self.progress.until = max(self.progress.until, self.part_until)
            self.zygote.kill_child()

    # what it is told

    def _tell_cells(self) -> None:
        chosen = self.progress.to_run()
        self.waiting = [("cell", index) for index, _ in chosen] + [("ask", 0)]
        known = self.zygote.known
        cells = [[i, c.name, known.get((c.name, c.source), c.source), c.test, c.seconds] for i, c in chosen]
        self._tell(_encoded({"slow": sorted(self.progress.slow), "name": self.progress.job.name, "cells": cells}))

    def _tell_probes(self) -> None:
        job = self.progress.job
        wanted = tuple((index, name) for index, name in enumerate(job.probes) if index not in self.progress.probes)
        self.waiting = [("probe", index) for index, _ in wanted] + [("done", 0)]
        self.progress.probed = True
        self._tell(_probes_message(job.probes_source, wanted, job.seed, job.probe_seconds))

    def _tell(self, message: bytes) -> None:
        self.to_write = memoryview(message)
        self.selector.register(self.job, selectors.EVENT_WRITE)
        self._write()

    def _write(self) -> None:
        try:
            while self.to_write:
                self.to_write = self.to_write[os.write(self.job, self.to_write) :]
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more: the process is ending
            self.to_write = memoryview(b"")
        self.selector.unregister(self.job)

    # what it says

    def _hear_bell(self) -> None:
        part = read_now(self.bell)
        self.rings += len(part or b"")
        if part == b"" or self.rings > _RINGS:
            self.selector.unregister(self.bell)

    def _read_output(self) -> bool:
        part = read_now(self.output)
        if not part:
            if part is not None and self.output in self.selector.get_map():
                self.selector.unregister(self.output)
            return False
        progress = self.progress
        progress.printed += len(part)
        if not (progress.probed or self.repeating):
            progress.output += part[: max(0, progress.limits.output - len(progress.output))]
        if progress.printed > _PRINTED * progress.limits.output and not self.killed:
            self._kill(Ending.OUTPUT, Outcome.FAILED, "printed without end")
        return True

    def _read_events(self) -> bool:
        part = read_now(self.events)
        if not part:
            if part is not None and self.events in self.selector.get_map():
                self.selector.unregister(self.events)
            return False
        if self.killed and self.killed[0] is Ending.EXITED:
            return True  # nothing more is believed
        try:
            for message in self.reader.feed(part):
                self._heard(message)
        except Malformed:
            if self.exit is None:
                self._kill(Ending.EXITED, Outcome.FAILED, "disturbed the report on its own run")
            else:
                self.killed = (Ending.EXITED, Outcome.FAILED, "disturbed the report on its own run")
        return True

    def _heard(self, message: Message) -> None:
        if message.kind == "fault" and not self.started:
            raise EnvironmentFault(f"The sandbox could not be closed: {message.message}.", "see docs/grading.md")
        kind = message.kind.removeprefix("start_") if message.kind != "start" else "cell"
        due = self.waiting[0] if self.waiting else ("nothing", 0)
        if (kind, message.index) != due:
            raise Malformed("this is not its turn")
        if message.kind.startswith("start"):
            if self.current is not None:
                raise Malformed("begun twice")
            self.current, self.started = due, True
            if self.repeating and kind == "cell" and message.index not in self.progress.cells:
                emptied(self._read_output)
                self.repeating = False
            self._allow(self.progress.limit(due) * 1.25)
            return
        if kind in ("cell", "probe") and self.current != due:
            raise Malformed("ended before it began")
        del self.waiting[0]
        self.current = None
        self._allow(self.progress.job.probe_seconds)
        if kind == "cell":
            self._keep_cell(message)
        elif kind == "probe":
            self._keep_probe(message)
        elif kind == "ask":
            emptied(self._read_output)
            self._tell_probes()
        else:
            self.finished = True

    def _allow(self, seconds: float) -> None:
        if not self.killed:
            self.part_until = time.monotonic() + seconds + GRACE

    def _keep_cell(self, message: Message) -> None:
        progress, index = self.progress, message.index
        self._look_for_limits(("cell", index), message)
        words = ("", "") if progress.probed else (message.message, message.detail)
        progress.cells.setdefault(index, CellRun(progress.job.cells[index].name, message.outcome, *words))

    def _keep_probe(self, message: Message) -> None:
        progress, index = self.progress, message.index
        self._look_for_limits(("probe", index), message)
        if message.arrays is not None:
            progress.room = self.reader.room
        error = "" if message.arrays is not None else self._told(message)
        progress.probes.setdefault(index, ProbeRun(progress.job.probes[index], message.arrays, error))

    def _told(self, message: Message) -> str:
        """Why a probe failed: words could carry the probe's source, the name of a built-in class cannot."""
        if self.progress.trusted:
            return message.message or message.outcome.value
        if message.outcome is not Outcome.FAILED:
            return message.outcome.value
        known = getattr(builtins, message.error, None)
        is_error = isinstance(known, type) and issubclass(known, BaseException)
        return f"raised {message.error}" if is_error else "raised an exception of its own"

    def _look_for_limits(self, part: tuple[str, int], message: Message) -> None:
        if message.error in _MEMORY:
            self.progress.ended(Ending.MEMORY)
        elif message.error == "OSError" and any(code in message.message for code in _FULL):
            self.progress.ended(Ending.DISK)
        elif message.outcome is Outcome.TIMEOUT:
            self.progress.ended(Ending.TIME)
            self.progress.slow.add(self.progress.kind(part))

    def _drain(self) -> None:
        """Read what is left in the pipes; the output first, as the events may say that it ends."""
        emptied(self._read_output)
        emptied(self._read_events)

    # how it ended

    def _conclude(self, exit_: dict[str, Any]) -> None:
        progress = self.progress
        progress.cpu += float(exit_["cpu"])
        progress.peak = max(progress.peak, int(exit_["peak"]) * (1024 if os.uname().sysname == "Linux" else 1))
        if exit_["full"]:
            progress.ended(Ending.DISK)
        if self.finished:
            return
        ending, outcome, message = self.killed or self._verdict(int(exit_["exit"]), int(exit_["peak"]))
        progress.ended(ending)
        if self.current is not None:
            if outcome is Outcome.TIMEOUT:
                progress.slow.add(progress.kind(self.current))
            progress.blame(self.current, outcome, message)
            if self.current[0] == "cell":
                progress.notes.append(f"{progress.job.cells[self.current[1]].name} {message}")
        else:
            progress.notes.append(f"between two cells the submission {message}")

    def _verdict(self, status: int, peak: int) -> tuple[Ending, Outcome, str]:
        if not os.WIFSIGNALED(status):
            return Ending.EXITED, Outcome.EXITED, f"ended the process with status {os.WEXITSTATUS(status)}"
        number = os.WTERMSIG(status)
        if hasattr(signal, "SIGXCPU") and number == signal.SIGXCPU:
            return Ending.TIME, Outcome.TIMEOUT, f"used {self.progress.limits.cpu:g} s of processor time"
        if peak * 1024 > self.progress.limits.memory * 0.7:
            return Ending.MEMORY, Outcome.EXITED, "needed more memory than it may have"
        return Ending.EXITED, Outcome.EXITED, f"crashed ({signal.Signals(number).name})"


def _usage(folder: Path, limit: int) -> int:
    """Bytes of files in a folder, counted up to a limit; each file and folder counts as a block at least."""
    total, waiting = 0, [folder]
    while waiting and total <= limit:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    facts = entry.stat(follow_symlinks=False)
                    blocks = facts.st_blocks * 512  # of a file that grows, the system may have taken more than it needs
                    total += max(512, min(blocks, facts.st_size + 4096), blocks // 4)
                    if stat.S_ISDIR(facts.st_mode):
                        waiting.append(Path(entry.path))
    return total


def _encoded(message: dict[str, Any]) -> bytes:
    data = json.dumps(message).encode()
    return b"%08x" % len(data) + data


@lru_cache(maxsize=32)
def _probes_message(source: str, wanted: tuple[tuple[int, str], ...], seed: int, seconds: float) -> bytes:
    """What a process is told once its cells have run; submissions with one draw of inputs are told the same."""
    code = compiled(source) if wanted else b""
    return _encoded({"code": len(code), "wanted": wanted, "seed": seed, "seconds": seconds}) + code


@cache
def compiled(source: str) -> bytes:
    """Probes as code, since compiling took a submission as long as running them; SyntaxError when they are none."""
    return marshal.dumps(compile(source, "probes.py", "exec", dont_inherit=True))
