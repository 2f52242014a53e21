"""Submissions on the disk: each appears whole or not at all, and what it replaces is kept."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from tito.course import Module
from tito.grading.place import Place, notebook_name, submission_file
from tito.workspace import Workspace

MAX_QUARANTINED = 128 << 20  # bytes kept of what one student handed in
TIMESTAMP = "timestamp.txt"
_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"  # nbgrader's


class Action(StrEnum):
    """What became of a file that was handed in."""

    NEW = "new"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"  # the same is there already
    OLDER = "older"  # a newer one is there, and stays


def versions(place: Place, student: str, module: Module) -> Path:
    """The earlier versions of a submission, one folder each."""
    return place.root / "versions" / student / module.folder


def locked(place: Place) -> AbstractContextManager[None]:
    """Hold the lock of the grading folder; EnvironmentFault when another holds it for long."""
    place.root.mkdir(parents=True, exist_ok=True)
    return Workspace(place.root, place.course, is_course=True).lock("grade collect")


def stamp(seconds: float) -> str:
    """A time as nbgrader writes it: 2015-02-02 15:58:23.948203 UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_FORMAT)


def seconds_of(text: str) -> float | None:
    """The time that nbgrader's timestamp.txt or ISO 8601 says, in seconds since 1970; None when it says none."""
    bare = text.strip()
    if zone := re.fullmatch(r"(.+?) ?(?:UTC|Z)", bare):
        bare = zone[1] + "+00:00"
    try:
        moment = datetime.fromisoformat(bare)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def keep(
    place: Place, student: str, module: Module, ending: str, data: bytes, at: float, *, told: bool = False
) -> tuple[Action, float]:
    """Put a submission at its place under the lock, and say when it was handed in; OSError leaves the one before.

    What is there already keeps its time, since a copy has a later one, unless a person told another.
    """
    name = f"{notebook_name(module)}.{ending}"
    with locked(place):
        _finish(place, student, module)
        action = _action(place, student, module, name, data, at)
        if action is Action.UNCHANGED:
            before = _stored_time(place.submitted(student, module))
            if before is not None and not told:
                return action, before
            _write_stamp(place.submitted(student, module), at)
        if action in (Action.NEW, Action.REPLACED):
            target = place.submitted(student, module)
            begun = _beside(target, "begun")
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir(parents=True)
            _write(begun / name, data)
            _write(begun / TIMESTAMP, (stamp(at) + "\n").encode())
            begun.rename(_beside(target, "next"))  # from here on, the next collect would finish it
            _finish(place, student, module)
        return action, at


def finish(place: Place, module: Module) -> None:
    """Finish what a collect that was killed had begun to replace."""
    if not any((place.root / "submitted").glob(f"*/.{module.folder}.next")):
        return
    with locked(place):
        for path in (place.root / "submitted").glob(f"*/.{module.folder}.next"):
            _finish(place, path.parent.name, module)


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name}.{what}")


def _action(place: Place, student: str, module: Module, name: str, data: bytes, at: float) -> Action:
    there = submission_file(place, student, module)
    if there is None:
        return Action.NEW
    if there.name == name and there.read_bytes() == data:
        return Action.UNCHANGED
    before = _stored_time(there.parent)
    return Action.OLDER if before is not None and at < before - 1e-6 else Action.REPLACED


def _stored_time(folder: Path) -> float | None:
    stored = folder / TIMESTAMP
    return seconds_of(stored.read_text(encoding="utf-8", errors="replace")) if stored.is_file() else None


def _write_stamp(folder: Path, at: float) -> None:
    """Write a time at once or not at all."""
    fresh = folder / f".{TIMESTAMP}"
    _write(fresh, (stamp(at) + "\n").encode())
    fresh.replace(folder / TIMESTAMP)


def _finish(place: Place, student: str, module: Module) -> None:
    """Put the next version at its place, after the one before was put among the versions."""
    target = place.submitted(student, module)
    following = _beside(target, "next")
    if not following.is_dir():
        return
    if target.exists():
        there = submission_file(place, student, module)
        digest = hashlib.sha256(there.read_bytes() if there else b"").hexdigest()[:16]
        kept = versions(place, student, module)
        kept.mkdir(parents=True, exist_ok=True)
        number = 0
        while (kept / _numbered(digest, number)).exists():
            number += 1
        target.rename(kept / _numbered(digest, number))
    following.rename(target)


def _numbered(digest: str, number: int) -> str:
    return f"{digest}-{number + 1}" if number else digest


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def quarantine(place: Place, module: Module, path: str, reason: str, copies: Mapping[str, Callable[[], bytes]]) -> str:
    """Keep a copy of what was refused, and the reason beside it; returns the name under which it is kept."""
    name = _plain(path)
    with locked(place):
        folder = place.quarantine(module)
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{name}.reason.txt", f"{printable(path)}\n{printable(reason)}\n".encode())
        left = MAX_QUARANTINED
        for inner, read in copies.items():
            try:
                data = read()
            except Exception as error:  # what is refused may be unreadable in any way; the reason is kept
                with (folder / f"{name}.reason.txt").open("a", encoding="utf-8", errors="replace") as stream:
                    stream.write(f"no copy of {inner!a}: {error}\n")
                continue
            left -= len(data)
            if left < 0:
                break
            if len(copies) > 1:
                (folder / name).mkdir(exist_ok=True)
            _write(folder / name / _plain(inner) if len(copies) > 1 else folder / name, data)
    return name


def printable(text: str) -> str:
    """A stranger's words for a terminal: what would move the cursor, change a colour or turn the line is escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _plain(path: str) -> str:
    """A file name made of a path: nothing in it leads anywhere, and two different paths do not meet."""
    bare = re.sub(r"[^A-Za-z0-9._@-]+", "_", path.replace("/", "__")).lstrip(".-") or "unnamed"
    if bare == path and len(bare) <= 100:
        return bare
    digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{bare[-80:].lstrip('.-')}-{digest}" if len(bare) > 80 else _before_ending(bare, digest)


def _before_ending(name: str, digest: str) -> str:
    head, dot, ending = name.rpartition(".")
    return f"{head}-{digest}.{ending}" if dot and head else f"{name}-{digest}"
