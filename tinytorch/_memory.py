"""Keep memory that was freed for the next training step.

A step makes and frees megabytes of arrays. The C library of most Linux systems hands freed memory at the end of its
heap back to the system, and the next step gets it again page by page, each filled with zeros: up to half of the time of
a LeNet step. So it is told to keep up to a gigabyte. Elsewhere nothing is changed.
"""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # the names of the two settings in malloc.h
KEPT = 2**30  # bytes that may lie free at the end of the heap
OWN_MAPPING = 2**25  # bytes from which on an array has pages of its own: the largest number that is allowed


def keep_freed_memory() -> bool:
    """Tell glibc's allocator, where this process has it; whether it has agreed."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library, such as musl
        return False
    return bool(mallopt(TRIM_THRESHOLD, KEPT)) and bool(mallopt(MMAP_THRESHOLD, OWN_MAPPING))
