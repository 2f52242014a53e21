"""How many threads a submission has, seen from outside: no limit of the kernel's counts those that root starts."""

from __future__ import annotations

import contextlib
from pathlib import Path

MOST = 500


def threads_below(pid: int) -> int:
    """How many threads the processes below one have, as /proc tells them; 0 where there is none."""
    found, waiting = 0, [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}/task")
        with contextlib.suppress(OSError):
            tasks = list(folder.iterdir())
            found += len(tasks)
            if len(tasks) <= MOST:
                for task in tasks:
                    waiting += map(int, (task / "children").read_bytes().split())
    return found
