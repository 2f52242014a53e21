"""Taking changes back: every overwriting command keeps what it replaced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tito.errors import UsageError
from tito.facts import Facts
from tito.progress import Completion, Progress
from tito.workspace import Entry, Workspace


@dataclass(frozen=True)
class Past(Facts):
    """The recorded changes, newest first."""

    schema: ClassVar[str] = "tito.history/1"

    entries: tuple[Entry, ...]
    undone: tuple[int, ...]


@dataclass(frozen=True)
class Undone(Facts):
    """A change that was taken back."""

    schema: ClassVar[str] = "tito.undo/1"

    number: int
    command: str
    files: tuple[str, ...]


def past(workspace: Workspace) -> Past:
    """The recorded changes, newest first, and the numbers of those that were taken back."""
    workspace.recover()
    entries = workspace.history()
    return Past(tuple(reversed(entries)), tuple(_undone(entries)))


def _undone(entries: list[Entry]) -> list[int]:
    """The changes that are taken back now; an undo that was itself undone takes nothing back."""
    taken: list[int] = []
    for entry in reversed(entries):
        if entry.undoes and entry.number not in taken:
            taken.append(entry.undoes)
    return taken


def chosen(workspace: Workspace, number: int | None) -> Entry:
    """The change that undo would take back: the one named, or the newest that still stands."""
    workspace.recover()
    entries = workspace.history()
    if number is not None:
        for entry in entries:
            if entry.number == number:
                return entry
        raise UsageError(f"There is no change number {number}.", "tito history")
    taken = set(_undone(entries))
    standing = [entry for entry in entries if not entry.undoes and entry.number not in taken]
    if not standing:
        raise UsageError("There is nothing to undo.", "tito history")
    return standing[-1]


def undo(workspace: Workspace, entry: Entry) -> Undone:
    """Bring back what each file held before a change; that is a change too, and can itself be undone by number."""
    files = {path: None if blob is None else workspace.blob(blob) for path, blob in entry.files.items()}

    def update(progress: Progress) -> Progress:
        for folder, record in entry.records.items():
            progress = progress.with_completion(folder, Completion(**record) if record else None)
        for module in workspace.course.modules:
            if {module.lesson, workspace.relative(workspace.notebook(module))} & set(entry.files):
                progress = progress.with_sync(module.folder, "", "")  # its two forms are compared afresh
        return progress

    workspace.change(f"undo {entry.number}", files, update=update, modules=tuple(entry.records), undoes=entry.number)
    return Undone(entry.number, entry.command, tuple(files))
