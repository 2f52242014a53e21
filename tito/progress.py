"""What a learner has done, as a versioned record and pure transitions over it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from tito.errors import EnvironmentFault

SCHEMA = "tito.progress/1"


class State(StrEnum):
    """Where a module stands."""

    COMPLETE = "complete"
    REFERENCE = "reference"  # filled from the course, never the learner's own
    STALE = "stale"  # complete once; its lesson, its tests or its export changed since
    STARTED = "in progress"
    READY = "not started"
    BLOCKED = "blocked"  # builds on modules that are not complete
    MISSING = "missing"  # its lesson file is gone
    UNRELEASED = "not in this release"


@dataclass(frozen=True)
class Completion:
    """What "complete" rests on: the hashes and the counts of the run that earned it."""

    kind: str  # "complete" or "reference"
    at: str  # UTC, ISO 8601
    source: str  # the lesson file, relative to the root
    source_hash: str
    tests_hash: str
    export: str
    export_hash: str
    collected: int
    passed: int
    skipped: int
    integration: int  # tests that ran against the package
    points: int
    points_possible: int
    tito: str


@dataclass(frozen=True)
class Progress:
    """The record of one workspace."""

    completions: Mapping[str, Completion] = field(default_factory=dict)  # by folder
    stubs: Mapping[str, str] = field(default_factory=dict)  # folder -> hash of the file as scaffolded
    hints: Mapping[str, int] = field(default_factory=dict)  # "03_layers:test_unit_x" -> rungs shown
    spoiled: tuple[str, ...] = ()  # folders whose solution was shown before completion
    failed: tuple[str, ...] = ()  # folders that did not pass in the last `tito test`
    synced: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # folder -> {"py": hash, "ipynb": hash}

    def with_completion(self, folder: str, completion: Completion | None) -> Progress:
        """The record after a module is completed, or after its completion is taken back."""
        kept = {key: value for key, value in self.completions.items() if key != folder}
        return replace(self, completions=kept if completion is None else {**kept, folder: completion})

    def record(self, folder: str) -> dict[str, Any] | None:
        """One module's completion as plain data, or None."""
        done = self.completions.get(folder)
        return None if done is None else asdict(done)

    def with_stub(self, folder: str, stub_hash: str) -> Progress:
        """The record after a lesson was scaffolded."""
        return replace(self, stubs={**self.stubs, folder: stub_hash})

    def with_hint(self, folder: str, test: str, shown: int) -> Progress:
        """The record after a rung of hints was shown."""
        return replace(self, hints={**self.hints, f"{folder}:{test}": shown})

    def hints_shown(self, folder: str, test: str) -> int:
        """How many rungs of a test's hints were shown."""
        return self.hints.get(f"{folder}:{test}", 0)

    def with_spoiled(self, folder: str) -> Progress:
        """The record after the solution of an incomplete module was shown."""
        return self if folder in self.spoiled else replace(self, spoiled=(*self.spoiled, folder))

    def with_failed(self, folders: tuple[str, ...]) -> Progress:
        """The record after a run of several modules."""
        return replace(self, failed=folders)

    def with_sync(self, folder: str, py: str, ipynb: str) -> Progress:
        """The record after the lesson and its notebook were brought to the same state."""
        return replace(self, synced={**self.synced, folder: {"py": py, "ipynb": ipynb}})

    def to_text(self) -> str:
        """The JSON text that is stored."""
        document = {
            "schema": SCHEMA,
            "completions": {folder: asdict(done) for folder, done in sorted(self.completions.items())},
            "stubs": dict(sorted(self.stubs.items())),
            "hints": dict(sorted(self.hints.items())),
            "spoiled": list(self.spoiled),
            "failed": list(self.failed),
            "synced": {folder: dict(pair) for folder, pair in sorted(self.synced.items())},
        }
        return json.dumps(document, indent=2) + "\n"


def _completion(done: Mapping[str, Any]) -> Completion:
    completion = Completion(**done)
    if completion.kind not in (State.COMPLETE, State.REFERENCE):
        raise ValueError(f"a completion is {completion.kind!r}")
    wrong = [name for name in _NUMBERS if type(done[name]) is not int]
    if wrong:
        raise ValueError(f"{wrong[0]} of a completion is {done[wrong[0]]!r}")
    return completion


_NUMBERS = ("collected", "passed", "skipped", "integration", "points", "points_possible")


def parse_progress(text: str, path: str) -> Progress:
    """Read a stored record; EnvironmentFault when it is damaged or of another schema."""
    hint = "tito doctor --repair"
    try:
        data: Any = json.loads(text)
        if data["schema"] != SCHEMA:
            raise EnvironmentFault(f"{path} has schema {data['schema']!r}; this tito reads {SCHEMA}.", hint)
        return Progress(
            completions={folder: _completion(done) for folder, done in data["completions"].items()},
            stubs=dict(data["stubs"]),
            hints={key: int(shown) for key, shown in data["hints"].items()},
            spoiled=tuple(data["spoiled"]),
            failed=tuple(data["failed"]),
            synced={folder: dict(pair) for folder, pair in data["synced"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentFault(f"{path} is damaged: {error}. Your lessons are not affected.", hint) from None
