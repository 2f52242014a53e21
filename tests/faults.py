"""Killing a command, or failing a write of it, at its n-th write below a directory."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Fault(StrEnum):
    """What happens at the n-th write."""

    KILL = "killed"  # with SIGKILL, before it
    HALF = "killed half-way"  # like that, and a file that was being written holds half of its contents
    ERROR = "one write fails"
    FULL = "disk full"  # it and every later one fails, but not those that free space
    CLOSED = "read-only"  # it and every later one fails


@dataclass(frozen=True)
class Ended:
    """How the command ended: its exit code, or None when it was killed; and what it said."""

    fired: bool
    code: int | None
    err: str


_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_PATHS = {"os.rename": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.truncate": 1, "os.chmod": 1}
_FREEING = ("os.remove", "os.rmdir")


class Injector:
    """An audit hook that counts the writes below a directory."""

    def __init__(self, root: Path, at: int, fault: Fault) -> None:
        self.root, self.at, self.fault = str(root), at, fault
        self.count = 0
        self.busy = False

    def install(self) -> None:
        def fsync(descriptor: int) -> None:
            self.event("fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink()), descriptor)

        os.fsync = fsync
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = flags & _WRITING or any(letter in (mode or "") for letter in "wax+")
            paths = (path,) if writes else ()
        else:
            paths = arguments[: _PATHS.get(event, 0)]
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self.root):
                return self.event(event, os.fsdecode(path))
        return None

    def event(self, event: str, path: str, descriptor: int = -1) -> None:
        if self.busy or not path.startswith(self.root):
            return
        self.count += 1
        if self.count < self.at or (self.count > self.at and self.fault is Fault.ERROR):
            return
        if self.fault in (Fault.KILL, Fault.HALF):
            if self.fault is Fault.HALF and descriptor >= 0:
                self.busy = True
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault is Fault.CLOSED:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        if not (self.fault is Fault.FULL and event in _FREEING):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def attempt(work: Callable[[], tuple[int, str]], root: Path, at: int, fault: Fault, note: Path) -> Ended:
    """Run some work in a forked process with a fault at its n-th write below a directory."""
    note.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        injector = Injector(root, at, fault)
        try:
            injector.install()
            code, err = work()
            note.write_text(json.dumps([injector.count >= at, code, err]), encoding="utf-8")
        except BaseException:
            note.write_text(json.dumps([True, -1, traceback.format_exc()]), encoding="utf-8")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    if not note.exists():
        return Ended(True, None, "")
    return Ended(*json.loads(note.read_text(encoding="utf-8")))


def attempts(
    work: Callable[[Path], Callable[[], tuple[int, str]]], copy: Callable[[], Path], fault: Fault, note: Path
) -> Iterator[tuple[Path, Ended]]:
    """The work on a new copy for n = 1, 2, ..., until it completes before its n-th write."""
    for at in range(1, 500):
        root = copy()
        ended = attempt(work(root), root, at, fault, note)
        yield root, ended
        if not ended.fired:
            return
    raise AssertionError("the command never completed")
