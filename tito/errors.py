"""What can go wrong, as one tree of exceptions.

TitoError               message, hint (what to do), exit code
    LearnerError        1  the learner's work fails, or comes too early
    UsageError          2  the command line is wrong
    EnvironmentFault    3  a file, a setting or the machine is in the way
    IntegrityError      4  locked cells, the manifest or generated files were changed by hand
    NothingRan          5  nothing was executed, which is never success
    LimitExceeded       6  a time or memory limit was reached
    StaleExport         7  the package is out of date with its lesson
    Interrupted       130  somebody pressed Ctrl-C, or answered no
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    ENVIRONMENT = 3
    INTEGRITY = 4
    NOTHING_RAN = 5
    LIMIT = 6
    STALE = 7
    INFRASTRUCTURE = 8
    INTERRUPTED = 130
    PIPE = 141  # whoever read the answer stopped reading: what it would have been is not known


class TitoError(Exception):
    """An error a person meets: a sentence, what to do about it, and an exit code."""

    exit_code = Exit.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class LearnerError(TitoError):
    """The learner's work fails, or comes before what it builds on."""


class UsageError(TitoError):
    """The command line is wrong."""

    exit_code = Exit.USAGE


class EnvironmentFault(TitoError):
    """A file, a setting or the machine is in the way."""

    exit_code = Exit.ENVIRONMENT


class IntegrityError(TitoError):
    """Something that is not the learner's to change was changed."""

    exit_code = Exit.INTEGRITY


class NothingRan(TitoError):
    """Nothing was executed, which is never success."""

    exit_code = Exit.NOTHING_RAN


class LimitExceeded(TitoError):
    """A time or memory limit was reached."""

    exit_code = Exit.LIMIT


class StaleExport(TitoError):
    """The package is out of date with its lesson."""

    exit_code = Exit.STALE


class Interrupted(TitoError):
    """Somebody pressed Ctrl-C, or answered no."""

    exit_code = Exit.INTERRUPTED
