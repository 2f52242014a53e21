"""A warm parent process as the grader holds it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tito.errors import EnvironmentFault
from tito.grading.sandbox.isolation import Folder, Plan

_START_SECONDS = 60.0


class ZygoteDied(Exception):
    """The warm parent ended, or said something that it never says."""


class Zygote:
    """The process, the socket to it, and by name and source the numbers of the cells that it knows."""

    def __init__(self, plan: Plan, folder: Folder, settings: Mapping[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.known = {(name, source): number for number, (_, name, source) in enumerate(settings["known"])}
        self._heard = b""
        self._errors = folder.root / "errors.txt"
        self._mark = folder.root.name  # an argument of the program, and so of all that it forks
        with theirs, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                plan.command(str(theirs.fileno()), self._mark),
                env=dict(plan.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                cwd="/",
            )
        try:
            self._begin(plan, settings)
        except (OSError, ZygoteDied):
            self.close()
            raise EnvironmentFault(
                f"The sandbox ({plan.isolation.text}) does not start: {self._last_words()}.",
                "try another level with --isolation, or see docs/grading.md",
            ) from None

    def _begin(self, plan: Plan, settings: Mapping[str, Any]) -> None:
        told = {"path": plan.path, "confine": dict(plan.confine), "work": plan.work, **settings}
        data = json.dumps(told).encode()
        self.socket.sendall(b"%08x" % len(data) + data)
        if not select.select([self.socket], [], [], _START_SECONDS)[0]:
            raise ZygoteDied
        while "ready" not in (self.message() or {}):
            pass

    def _last_words(self) -> str:
        words = self._errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return words[-1][:500] if words else f"it ended with status {self.process.poll()}"

    def fork(self, request: Mapping[str, Any], fds: Sequence[int]) -> None:
        """Let it fork for a job whose pipes are given: job, events, output, bell."""
        try:
            socket.send_fds(self.socket, [json.dumps(request).encode() + b"\n"], fds)
        except OSError:
            raise ZygoteDied from None

    def kill_child(self) -> None:
        """Let it kill the child that runs."""
        try:
            self.socket.sendall(b"kill\n")
        except OSError:
            raise ZygoteDied from None

    def message(self) -> dict[str, Any] | None:
        """What it says next, None when a message is not complete; ZygoteDied at its end."""
        try:
            part = self.socket.recv(1 << 12)
        except OSError:
            raise ZygoteDied from None
        self._heard += part
        if not part or len(self._heard) > 1 << 14:
            raise ZygoteDied
        line, found, rest = self._heard.partition(b"\n")
        if not found:
            return None
        self._heard = rest
        try:
            told = json.loads(line)
        except ValueError:
            raise ZygoteDied from None
        return told if isinstance(told, dict) else None

    def close(self) -> None:
        """End it, and all that it started."""
        self.socket.close()
        until = time.monotonic() + 5.0
        while self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        if self.process.poll() is None and os.name == "posix":
            self.process.kill()
        self.process.wait()
        _end_marked(self._mark)


def _end_marked(mark: str) -> None:
    """Kill what a submission has left after it ended the warm parent itself, which only limits alone allow."""
    proc = Path("/proc")
    for _ in range(100):
        found = False
        for path in proc.glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if mark.encode() in path.read_bytes().split(b"\0"):
                    found = True
                    if hasattr(signal, "SIGKILL"):
                        os.kill(int(path.parent.name), signal.SIGKILL)
        if not found:
            return
        time.sleep(0.01)
