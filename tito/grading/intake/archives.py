"""Archives that strangers made: their files as data, never as paths, and nothing read beyond a bound.

Nothing is ever extracted. An archive is looked through first; what is wrong with all of it raises BadArchive, what is
wrong with one entry is said of that entry.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import stat
import struct
import tarfile
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from tito.errors import LearnerError

MAX_DEPTH = 3  # archives inside archives
MAX_RATIO = 200  # of an entry's size to its compressed size
MAX_NAME = 500  # bytes
_SMALL = 1 << 20  # below this, no ratio is a bomb
_MAX_TAR = 512 << 20  # bytes of a tar, which is kept in memory as far as it is wanted
_TAR_SLACK = 64 << 20  # bytes of headers and padding
_DIRECTORY_ENTRY = 512  # bytes of a ZIP's directory for one entry, at most on average
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")


class BadArchive(LearnerError):
    """An archive, or an entry of one, that is not opened; `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "hand in the lesson itself, or an archive with nothing but it")
        self.reason = reason


@dataclass(frozen=True)
class Bounds:
    """How much one archive may hold."""

    entries: int
    total: int  # bytes of all entries together
    entry: int  # bytes of one entry that is read


STUDENT = Bounds(entries=5_000, total=256 << 20, entry=64 << 20)
CLASS = Bounds(entries=100_000, total=16 << 30, entry=256 << 20)


@dataclass(frozen=True)
class Entry:
    """A file in an archive."""

    name: str
    parts: tuple[str, ...]  # of its path; empty when `problem` says that it has none
    size: int  # as the archive says, which need not be true
    modified: float | None  # seconds since 1970
    problem: str = ""  # why it is not read
    key: Any = None


def is_archive(name: str) -> bool:
    """Whether a file is an archive by its name."""
    return name.lower().endswith(ENDINGS)


def wanted(name: str) -> bool:
    """Whether a file can be a submission, hold one, or say when it was handed in."""
    return name.lower().endswith((".py", ".ipynb", *ENDINGS)) or name.rpartition("/")[2] == "timestamp.txt"


def stem(name: str) -> str:
    """The name of a file without the ending of an archive, or any other one."""
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name.rpartition(".")[0] or name


class Archive:
    """A ZIP or tar file that has been looked through."""

    def __init__(self, stream: IO[bytes], name: str, bounds: Bounds) -> None:
        """Look through an archive; BadArchive when it is none, or when nothing of it is to be trusted."""
        self.name, self.bounds = name, bounds
        self._zip: zipfile.ZipFile | None = None
        self._read: dict[int, bytes] = {}
        try:
            if name.lower().endswith(".zip"):
                self.entries = self._open_zip(stream)
            else:
                self.entries = self._open_tar(stream)
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, struct.error) as error:
            raise BadArchive(f"{name} is damaged or no archive: {error}") from None
        except BadArchive:
            raise
        except Exception as error:  # what zipfile and tarfile raise on bytes made to annoy them has no common base
            raise BadArchive(f"{name} cannot be read: {error}") from None
        self.entries = list(_without_twins(self.entries))

    def _open_zip(self, stream: IO[bytes]) -> list[Entry]:
        _check_directory(stream, self.name, self.bounds)
        self._zip = zipfile.ZipFile(stream)
        infos = self._zip.infolist()
        self._check_counts(len(infos), sum(info.file_size for info in infos))
        _check_overlaps(infos, self._zip.start_dir, self.name)
        files = [info for info in infos if not info.filename.endswith("/") or _zip_problem(info)]
        return [
            Entry(
                info.filename,
                () if (problem := _name_problem(info.orig_filename) or _zip_problem(info)) else _parts(info.filename),
                info.file_size,
                _zip_time(info),
                problem,
                info,
            )
            for info in files
        ]

    def _open_tar(self, stream: IO[bytes]) -> list[Entry]:
        """Read a tar from beginning to end once, as far as the bounds allow."""
        packed: IO[bytes] | gzip.GzipFile = stream
        if not self.name.lower().endswith(".tar"):
            packed = gzip.GzipFile(fileobj=stream)
        bounded = _Bounded(packed, min(self.bounds.total, _MAX_TAR), self.name)
        found: list[Entry] = []
        total = 0
        with tarfile.open(fileobj=bounded, mode="r|", encoding="utf-8") as tar:
            for member in tar:
                total += member.size
                self._check_counts(len(found) + 1, total)
                if member.isdir() and not _name_problem(member.name):
                    continue
                problem = _name_problem(member.name) or _tar_problem(member)
                if not problem and member.size > self.bounds.entry:
                    problem = f"has {member.size:,} bytes; at most {self.bounds.entry:,} are read"
                elif not problem and wanted(member.name):
                    with contextlib.closing(tar.extractfile(member) or io.BytesIO()) as inner:
                        self._read[len(found)] = inner.read(self.bounds.entry)
                parts = () if problem else _parts(member.name)
                found.append(Entry(member.name, parts, member.size, float(member.mtime), problem, len(found)))
        return found

    def _check_counts(self, entries: int, total: int) -> None:
        if entries > self.bounds.entries:
            raise BadArchive(f"{self.name} holds more than {self.bounds.entries:,} files")
        if total > self.bounds.total:
            raise BadArchive(f"{self.name} would unpack to more than {self.bounds.total:,} bytes")

    def read(self, entry: Entry, limit: int | None = None) -> bytes:
        """The bytes of an entry; BadArchive when it is not to be read, is damaged, or is larger than it says."""
        limit = min(limit or self.bounds.entry, self.bounds.entry)
        if entry.problem:
            raise BadArchive(f"{entry.name} in {self.name} {entry.problem}")
        if self._zip is None:
            data = self._read.get(entry.key, b"")
        else:
            unpacked = self._zip.open
            try:
                with unpacked(entry.key) as stream:
                    data = stream.read(limit + 1)
            except (zipfile.BadZipFile, zlib.error, EOFError, struct.error) as error:
                raise BadArchive(f"{entry.name} in {self.name} is damaged: {error}") from None
            except Exception as error:  # as above
                raise BadArchive(f"{entry.name} in {self.name} cannot be read: {error}") from None
        if len(data) > limit:
            raise BadArchive(f"{entry.name} in {self.name} has more than {limit:,} bytes")
        return data


class _Bounded(io.RawIOBase):
    """A stream that ends with BadArchive when more than a bound is read from it."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, bound: int, name: str) -> None:
        self._stream, self._left, self._name = stream, bound + _TAR_SLACK, name

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise BadArchive(f"{self._name} unpacks to far more than it may")
        return data


def _check_directory(stream: IO[bytes], name: str, bounds: Bounds) -> None:
    """Refuse a directory that would fill the memory, before zipfile reads it whole."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - (1 << 16) - 22 - 76))
    tail = stream.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or end + 22 > len(tail):
        raise BadArchive(f"{name} is no ZIP archive, or breaks off before its end")
    length = struct.unpack_from("<I", tail, end + 12)[0]
    if end >= 76 and tail[end - 20 : end - 16] == b"PK\x06\x07" and tail[end - 76 : end - 72] == b"PK\x06\x06":
        length = struct.unpack_from("<Q", tail, end - 36)[0]
    if length > bounds.entries * _DIRECTORY_ENTRY:
        raise BadArchive(f"{name} lists more than {bounds.entries:,} files")
    stream.seek(0)


def _check_overlaps(infos: list[zipfile.ZipInfo], directory: int, name: str) -> None:
    """Refuse entries that share bytes, by which a small archive unpacks to a huge one."""
    placed = sorted(infos, key=lambda info: info.header_offset)
    ends = [info.header_offset for info in placed[1:]] + [directory]
    for info, end in zip(placed, ends, strict=bool(placed)):
        if info.header_offset + 30 + info.compress_size > end:
            raise BadArchive(f"{name} has entries that overlap, or that reach beyond its end ({info.filename[:60]!r})")


def _name_problem(name: str) -> str:
    """What is wrong with the name of an entry, as the rest of a sentence."""
    if "\0" in name or any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name):
        return "has a name with control characters"
    if len(name.encode("utf-8", "surrogatepass")) > MAX_NAME or max(map(len, name.split("/"))) > 200:
        return "has a name that is too long"
    if name.startswith("/"):
        return "has an absolute path"
    if ".." in re.split(r"[/\\]", name):
        return "has a path that leads out of the archive (..)"
    if "\\" in name:
        return "has a path with backslashes"
    if re.match(r"[A-Za-z]:", name):
        return "has a path with a drive letter"
    return "" if _parts(name) else "has no name"


def _parts(name: str) -> tuple[str, ...]:
    parts = [unicodedata.normalize("NFC", part) for part in name.split("/")]
    return tuple(part for part in parts if part not in ("", "."))


def _zip_problem(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a device or another special file"
    if info.flag_bits & 0x2041:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed by method {info.compress_type}, which is not read"
    if info.file_size > _SMALL and info.file_size > MAX_RATIO * max(1, info.compress_size):
        return f"unpacks to {info.file_size:,} bytes from {info.compress_size:,} (a bomb)"
    return ""


def _tar_problem(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "is a link"
    if not member.isreg() or member.issparse():
        return "is a device or another special file"
    return ""


def _without_twins(entries: list[Entry]) -> Iterator[Entry]:
    """The entries; those whose names differ in nothing, or in case alone, get a problem."""
    seen: dict[str, int] = {}
    for entry in entries:
        key = "/".join(entry.parts).casefold()
        seen[key] = seen.get(key, 0) + 1
    for entry in entries:
        twins = seen["/".join(entry.parts).casefold()]
        if entry.parts and twins > 1:
            problem = f"is there {twins} times under one name"
            yield Entry(entry.name, (), entry.size, entry.modified, problem, entry.key)
        else:
            yield entry


def _zip_time(info: zipfile.ZipInfo) -> float | None:
    """When a file was last changed: in UTC where the archive says so, else by this machine's clock."""
    extra, at = info.extra, 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 0x5455 and length >= 5 and at + 9 <= len(extra) and extra[at + 4] & 1:
            return float(struct.unpack_from("<i", extra, at + 5)[0])
        at += 4 + length
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return None
