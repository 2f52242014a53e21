"""A course repository or a learner's workspace: its paths, and every write to it.

All changes go through `Workspace.change`: what is overwritten is kept for `tito undo`, and the files of one
change appear together or not at all. New contents are first written beside their targets; then a journal is
renamed into place, which is the moment the change happens; then come only renames, which the next `tito`
finishes if this one is killed. A change that did not come to that moment leaves a list of what it had begun to
write, and the next `tito` removes that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar

from tito.course import MANIFEST, Course, Module, course_home, load_course
from tito.errors import EnvironmentFault, LearnerError
from tito.progress import Progress, parse_progress

STATE = ".tito"
MARKER = "workspace.json"
MARKER_SCHEMA = "tito.workspace/1"
LOCK_SECONDS = 10.0


@dataclass(frozen=True)
class Entry:
    """One change in the history: what it was, and what each file held before (a blob's name, or None for no file)."""

    number: int
    command: str
    at: str
    files: Mapping[str, str | None]
    after: Mapping[str, str | None]
    undoes: int = 0  # the number of the change that this one took back
    records: Mapping[str, Any] = field(default_factory=dict)  # folder -> its completion before, or None
    done: Mapping[str, Any] = field(default_factory=dict)  # folder -> its completion after, or None


@dataclass(frozen=True)
class Workspace:
    """A root directory, the course it follows, and whether it is the course's own repository."""

    root: Path
    course: Course
    is_course: bool

    _progress_name: ClassVar[str] = f"{STATE}/progress.json"

    @property
    def state(self) -> Path:
        """The directory of everything that tito itself remembers."""
        return self.root / STATE

    def lesson(self, module: Module) -> Path:
        """The lesson that is edited here."""
        return self.root / module.lesson

    def notebook(self, module: Module) -> Path:
        """The lesson's notebook, which exists when somebody asked for one."""
        return self.lesson(module).with_suffix(".ipynb")

    def package_file(self, module: Module) -> Path:
        """The exported file."""
        return self.root / module.package_file

    def relative(self, path: Path) -> str:
        """A path below the root, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def progress(self) -> Progress:
        """The record of progress; empty when there is none, EnvironmentFault when it is damaged."""
        self.recover()
        return self._stored_progress()

    def _stored_progress(self) -> Progress:
        try:
            text = (self.root / self._progress_name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return Progress()
        return parse_progress(text, self._progress_name)

    def history(self) -> list[Entry]:
        """Every recorded change, oldest first."""
        folder = self.state / "history"
        names = sorted(folder.glob("*.json")) if folder.is_dir() else []
        return [_entry(path, self.relative(path)) for path in names]

    def blob(self, name: str) -> bytes:
        """Contents that the history kept; EnvironmentFault when they are gone or damaged."""
        data = _read(self.state / "objects" / name)
        if data is None or _hash(data) != name:
            where = f"{STATE}/objects/{name}"
            raise EnvironmentFault(
                f"{where} is missing or damaged, so that change cannot be taken back.", "tito history"
            )
        return data

    def change(
        self,
        command: str,
        files: Mapping[str, bytes | None],
        *,
        update: Callable[[Progress], Progress] | None = None,
        modules: Sequence[str] = (),
        undoes: int = 0,
    ) -> None:
        """Write (or, for None, delete) files given by relative path, and update the progress record, as one change.

        `modules` are the folders whose completion the update may touch, so that undo can take it back.
        Raises EnvironmentFault when a file cannot be written; then nothing has changed.
        """
        with self.lock(command), _failing_whole():
            self._recover()
            changed = {path: data for path, data in files.items() if _read(self.root / path) != data}
            writes: dict[str, bytes | None] = dict(changed)
            records: dict[str, Any] = {}
            done: dict[str, Any] = {}
            if update is not None:
                before = self._stored_progress()
                after = update(before)
                records = {folder: before.record(folder) for folder in modules}
                done = {folder: after.record(folder) for folder in modules}
                if after != before:
                    writes[self._progress_name] = after.to_text().encode()
            if changed or records:
                entry = self._entry(command, changed, undoes, records, done)
                text = json.dumps(entry.__dict__, indent=2) + "\n"
                writes[f"{STATE}/history/{entry.number:06d}.json"] = text.encode()
            self._commit(writes)

    def create(self, files: Mapping[str, bytes], check: Callable[[], None]) -> None:
        """Write the first files of a workspace as one change, which nobody can undo.

        check: raises what stands against it, asked while nobody else can make one here.
        """
        with self.lock("init"), _failing_whole():
            self._recover()
            check()
            self._commit(files)

    def remember(self, update: Callable[[Progress], Progress]) -> None:
        """Update the progress record alone, as something that needs no undoing."""
        self.change("", {}, update=update)

    def _entry(
        self, command: str, files: Mapping[str, bytes | None], undoes: int, *records: Mapping[str, Any]
    ) -> Entry:
        before = {path: self._keep(_read(self.root / path)) for path in files}
        after = {path: None if data is None else _hash(data) for path, data in files.items()}
        number = max((entry.number for entry in self.history()), default=0) + 1
        return Entry(number, command, now(), before, after, undoes, *records)

    def _keep(self, data: bytes | None) -> str | None:
        if data is None:
            return None
        name = _hash(data)
        path = self.state / "objects" / name
        if not path.exists():
            temporary = path.with_name(f".{name}.tito-new")
            _write(temporary, data)
            temporary.replace(path)
        return name

    def _commit(self, writes: Mapping[str, bytes | None]) -> None:
        """Write all of it or, when an OSError says so, nothing; Unfinished when the rest is left to the next tito."""
        if not writes:
            return
        plan = [(path, None if data is None else _temporary(path)) for path, data in writes.items()]
        prepare, journal = self.state / "prepare.json", self.state / "journal.json"
        try:
            _write(prepare, json.dumps(plan).encode())
            for path, data in writes.items():
                if data is not None:
                    _write(self.root / _temporary(path), data, like=self.root / path)
            prepare.replace(journal)
        except OSError:
            if prepare.exists():
                self._abandon(prepare)
            raise
        try:
            self._finish(plan)
        except OSError:
            try:
                self._finish(plan)
            except OSError as error:
                raise _unfinished(error) from error

    def _finish(self, plan: list[tuple[str, str | None]]) -> None:
        """Carry out a journal; doing part of it twice is harmless."""
        for path, temporary in plan:
            if temporary is None:
                (self.root / path).unlink(missing_ok=True)
            elif (self.root / temporary).exists():
                (self.root / temporary).replace(self.root / path)
        (self.state / "journal.json").unlink(missing_ok=True)

    def recover(self) -> None:
        """Finish, or clear away, the change of a tito that was killed in the middle."""
        if (self.state / "journal.json").exists() or (self.state / "prepare.json").exists():
            with self.lock("recovery"):
                self._recover()

    def _recover(self) -> None:
        journal, prepare = self.state / "journal.json", self.state / "prepare.json"
        if journal.exists():
            try:
                self._finish([(path, temporary) for path, temporary in json.loads(journal.read_text(encoding="utf-8"))])
            except OSError as error:
                raise _unfinished(error) from error
        elif prepare.exists():
            self._abandon(prepare)

    def _abandon(self, prepare: Path) -> None:
        """Clear away what was begun; what cannot be cleared now is cleared by the next tito."""
        try:
            plan = json.loads(prepare.read_text(encoding="utf-8"))
        except ValueError:  # killed while this list was written: nothing else was
            plan = []
        with contextlib.suppress(OSError):
            for _, temporary in plan:
                if temporary is not None:
                    (self.root / temporary).unlink(missing_ok=True)
            prepare.unlink()

    def lock(self, command: str) -> contextlib.AbstractContextManager[None]:
        """Hold the workspace's lock, which the system releases however this process ends."""
        return exclusively(self.state / "lock", f"tito {command}", "this workspace")


@contextlib.contextmanager
def exclusively(path: Path, who: str, what: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold a lock file, which the system releases however this process ends.

    who: named in the file, for others that wait. Raises EnvironmentFault when another process keeps it for `seconds`.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise _unwritable(error) from error
    with stream:
        deadline = time.monotonic() + seconds
        while not _try_lock(stream):
            if time.monotonic() > deadline:
                stream.seek(0)
                holder = stream.read().strip() or "another tito"
                raise EnvironmentFault(f"{holder} is changing {what}.", "wait for it to finish, then try again")
            time.sleep(0.05)
        with contextlib.suppress(OSError):
            stream.truncate(0)
            stream.write(f"{who} (process {os.getpid()})")
            stream.flush()
        yield


def _try_lock(stream: IO[str]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            stream.seek(1 << 20)  # a byte nobody writes, so that the holder's name stays readable
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _temporary(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.tito-new"


def _write(path: Path, data: bytes, like: Path | None = None) -> None:
    """Write contents through to the disk, with the permissions of another file when there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    if like is not None and like.exists():
        path.chmod(like.stat().st_mode & 0o777)


@contextlib.contextmanager
def _failing_whole() -> Iterator[None]:
    """Say of an OSError during a change that nothing was changed."""
    try:
        yield
    except OSError as error:
        raise _unwritable(error) from error


def _unfinished(error: OSError) -> EnvironmentFault:
    where = error.filename or "the workspace"
    return EnvironmentFault(
        f"{where} cannot be written: {error.strerror or error}. The change is kept, but not done.",
        "check its permissions and the free space; then any tito command finishes it",
    )


def _entry(path: Path, name: str) -> Entry:
    try:
        return Entry(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise EnvironmentFault(f"{name} is damaged: {error}.", f"move it out of {STATE}/history") from None


def _unwritable(error: OSError) -> EnvironmentFault:
    where = error.filename or "the workspace"
    return EnvironmentFault(
        f"{where} cannot be written: {error.strerror or error}. Nothing was changed.",
        "check its permissions and the free space, then try again",
    )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def now() -> str:
    """The time in UTC as ISO 8601, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def read_lesson(path: Path) -> str:
    """The text of a source file as UTF-8; LearnerError that names the byte when it is not."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        way = f"tito module scaffold {path.parent.name}, or: " if path.name.endswith("_dev.py") else ""
        raise LearnerError(f"{path.name} is missing ({path}).", f"{way}tito undo") from None
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be read: {error.strerror}.", "check its permissions") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise LearnerError(
            f"{path.name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8.",
            "save the file as UTF-8 in your editor",
        ) from None


def find_workspace(start: Path) -> Workspace:
    """The workspace or course repository that encloses a directory; EnvironmentFault when there is none."""
    for folder in (start, *start.parents):
        if (folder / STATE / MARKER).is_file():
            _check_marker(folder / STATE / MARKER)
            return Workspace(folder, load_course(course_home()), is_course=False)
        if (folder / STATE / "journal.json").is_file() and not (folder / MANIFEST).exists():
            workspace = Workspace(folder, load_course(course_home()), is_course=False)
            workspace.recover()  # the last steps of a `tito init` that was killed
            return workspace
        if (folder / MANIFEST).is_file() and (folder / "modules").is_dir():
            return Workspace(folder, load_course(folder), is_course=True)
    raise EnvironmentFault(f"There is no workspace in {start} or above it.", "tito init mytorch && cd mytorch")


def _check_marker(path: Path) -> None:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))["schema"]
    except (ValueError, KeyError, TypeError):
        schema = None
    if schema != MARKER_SCHEMA:
        raise EnvironmentFault(f"{path} is damaged.", f'restore it as {{"schema": "{MARKER_SCHEMA}"}}')
