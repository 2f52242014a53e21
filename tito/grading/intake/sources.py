"""What lies in a folder or an archive of submissions, as files read with a bound; links are not followed."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tito.errors import EnvironmentFault
from tito.grading.intake import archives
from tito.grading.intake.archives import CLASS, MAX_DEPTH, STUDENT, Archive, BadArchive
from tito.grading.intake.students import sender_of

MAX_DEEP = 12  # folders inside folders
MAX_FILE = 64 << 20  # bytes of a file that is read
_IGNORED = {"__macosx", "__pycache__", "node_modules", "venv", "env", "site-packages", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Handed:
    """A file that somebody may have handed in."""

    path: tuple[str, ...]  # below the source; the names of archives without their endings
    modified: float | None  # seconds since 1970
    read: Callable[[], bytes]  # raises BadArchive

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path[-1]

    @property
    def origin(self) -> str:
        """The path as a person reads it."""
        return "/".join(self.path)


@dataclass(frozen=True)
class Refused:
    """Something that is not taken, and why."""

    path: tuple[str, ...]
    reason: str
    read: Callable[[], bytes] | None = None  # of what is kept for the instructor to look at


Found = Handed | Refused


def look_through(source: Path, stack: ExitStack) -> Iterator[Found]:
    """Everything in a source that can be a submission, archives of one student not yet opened; EnvironmentFault.

    Downloads of an LMS stay open until the stack is left.
    """
    if source.is_dir():
        yield from _folder(source, (), stack)
    elif source.is_file() and archives.is_archive(source.name):
        yield from _class_archive(source, (), stack)
    elif source.is_file():
        status = source.stat()
        yield Handed((source.name,), status.st_mtime, partial(_bytes_of, source))
    else:
        raise EnvironmentFault(f"There are no submissions at {source}.", "name a folder, or a ZIP of an LMS")


def _folder(folder: Path, above: tuple[str, ...], stack: ExitStack) -> Iterator[Found]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield Refused(above, f"the folder cannot be read: {error.strerror}")
        return
    for entry in entries:
        path = (*above, entry.name)
        if ignored((entry.name,)):
            continue
        try:
            mode = entry.stat(follow_symlinks=False)
        except OSError as error:
            yield Refused(path, f"it cannot be read: {error.strerror}")
            continue
        file = Path(entry.path)
        if entry.is_symlink():
            yield Refused(path, "it is a symbolic link, which is not followed")
        elif stat.S_ISDIR(mode.st_mode):
            if len(path) <= MAX_DEEP:
                yield from _folder(file, path, stack)
            else:
                yield Refused(path, f"it lies more than {MAX_DEEP} folders deep")
        elif not stat.S_ISREG(mode.st_mode):
            yield Refused(path, "it is a device, a pipe or another special file")
        elif not above and archives.is_archive(entry.name) and _is_of_a_class(file):
            yield from _class_archive(file, path, stack)
        else:
            yield Handed(path, mode.st_mtime, partial(_bytes_of, file))


def _bytes_of(path: Path) -> bytes:
    """The bytes of a regular file that is no link; BadArchive when it is something else by now, or too large."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(number, "rb") as stream:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise BadArchive(f"{path.name} is no regular file")
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        raise BadArchive(f"{path.name} cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise BadArchive(f"{path.name} has more than {MAX_FILE:,} bytes")
    return data


def _is_of_a_class(path: Path) -> bool:
    """Whether an archive in a folder is an LMS's download of many students."""
    try:
        with path.open("rb") as stream:
            names = [entry.parts[0] for entry in Archive(stream, path.name, CLASS).entries if entry.parts]
    except (BadArchive, OSError):
        return False
    return any(sender_of(archives.stem(name) if archives.is_archive(name) else name).lms_id for name in names)


def _class_archive(path: Path, above: tuple[str, ...], stack: ExitStack) -> Iterator[Found]:
    """The entries of an LMS's download; one that is refused does not stop the rest."""
    try:
        archive = Archive(stack.enter_context(path.open("rb")), path.name, CLASS)
    except OSError as error:
        yield Refused(above or (path.name,), f"it cannot be read: {error.strerror}")
        return
    except BadArchive as error:
        yield Refused(above or (path.name,), error.reason, partial(_bytes_of, path))
        return
    packed = path.stat().st_mtime
    for entry in archive.entries:
        if entry.problem:
            if not _beside(entry.name):
                yield Refused((*above, entry.name), f"it {entry.problem}")
        elif not ignored(entry.parts):
            read = partial(archive.read, entry, MAX_FILE)
            yield Handed(entry.parts, packed if entry.modified is None else entry.modified, read)


def opened(item: Handed, depth: int = 1) -> Iterator[Handed]:
    """A file, or what is in it if it is an archive of one student; BadArchive when anything of it is refused."""
    if not archives.is_archive(item.name):
        yield item
        return
    if depth > MAX_DEPTH:
        raise BadArchive(f"{item.origin} lies more than {MAX_DEPTH} archives deep")
    archive = Archive(io.BytesIO(item.read()), item.name, STUDENT)
    inside = (*item.path[:-1], archives.stem(item.name))
    for entry in archive.entries:
        if _beside(entry.name):
            continue
        if entry.problem:
            raise BadArchive(f"{entry.name[:100]} in {item.name} {entry.problem}")
        if archives.wanted(entry.name):
            inner = Handed(
                (*inside, *entry.parts),
                entry.modified if entry.modified is not None else item.modified,
                partial(archive.read, entry, MAX_FILE),
            )
            yield from opened(inner, depth + 1)


def ignored(parts: tuple[str, ...]) -> bool:
    """Whether a file is of a system, an editor or an environment, and nobody's work."""
    return any(part.casefold() in _IGNORED or part.startswith(".") for part in parts)


def _beside(name: str) -> bool:
    """Whether an entry of an archive is nobody's work, by a name that is what it seems."""
    parts = tuple(part for part in name.split("/") if part)
    return ".." not in parts and not name.startswith("/") and "\\" not in name and ignored(parts)
