"""Freed memory stays with the process: page faults are counted by the system, not timed."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tinytorch import _memory

ROUNDS = """
import resource
import numpy as np
{first}
def work():
    arrays = [np.ones(500_000, np.float32) for _ in range(8)]
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(first: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS.format(first=first)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_steps_after_the_first_take_no_new_pages() -> None:
    """Catches a core package that no longer tells the allocator: ten rounds of 16 MB then take up to 40,000 pages."""
    glibc = platform.libc_ver()[0] == "glibc"
    assert _memory.keep_freed_memory() is glibc
    if glibc:  # elsewhere nothing is promised
        assert faults("import tinytorch.core.tensor") < 500


@pytest.mark.parametrize(
    ("system", "library", "agreed"),
    [
        ("linux", SimpleNamespace(mallopt=lambda name, value: 1), True),
        ("linux", SimpleNamespace(mallopt=lambda name, value: 0), False),
        ("linux", SimpleNamespace(), False),
        ("darwin", SimpleNamespace(mallopt=lambda name, value: 1), False),
        ("win32", SimpleNamespace(mallopt=lambda name, value: 1), False),
    ],
)
def test_elsewhere_nothing_is_changed(
    monkeypatch: pytest.MonkeyPatch, system: str, library: object, agreed: bool
) -> None:
    """Catches an import that fails on Windows, on macOS or with another C library, where there is no mallopt."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert _memory.keep_freed_memory() is agreed
