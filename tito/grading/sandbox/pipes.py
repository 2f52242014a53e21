"""Pipes at whose other end somebody untrusted writes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

_CHUNK = 1 << 16  # as much as a pipe holds at first
_WIDE = 1 << 20  # the most that a user may ask of Linux
_READS = 32


def read_now(pipe: int) -> bytes | None:
    """What is there now; empty at the end, None when nothing has come."""
    try:
        return os.read(pipe, _CHUNK)
    except BlockingIOError:
        return None


def emptied(read: Callable[[], bool]) -> None:
    """Read what is in a pipe now, though somebody may go on filling it."""
    for _ in range(_READS):
        if not read():
            return


def widened(*pipes: int) -> bool:
    """Let pipes hold a megabyte each; False where the system does not do that, or no longer for this user."""
    if hasattr(os, "fork"):
        import fcntl

        with contextlib.suppress(AttributeError, OSError):
            for pipe in pipes:
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _WIDE)
            return True
    return False
