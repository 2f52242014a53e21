"""Fixtures: a learner in a workspace of the small course, and an author in a copy of the course itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import Learner, copy_course

from tito.lifecycle import setup


@pytest.fixture(autouse=True)
def _settings_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the person who runs the tests decides what tito does."""
    for name in [*os.environ]:
        if name.startswith("TITO_") or name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "EDITOR", "VISUAL"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests end processes, not machines, so what was written need not be on the disk."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the small course, which tito finds."""
    place = copy_course(tmp_path / "course")
    monkeypatch.setenv("TITO_COURSE", str(place))
    return place


@pytest.fixture
def learner(home: Path, tmp_path: Path) -> Learner:
    """Somebody with a new workspace."""
    root = tmp_path / "work"
    setup.init(root)
    return Learner(root, home)


@pytest.fixture
def author(home: Path) -> Learner:
    """Somebody in the course repository."""
    return Learner(home, home)
