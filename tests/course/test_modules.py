"""Every released module of the course keeps the rules of its format, and is what its package file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tito.course import Module
from tito.lint import dynamic, static
from tito.notebook import parse
from tito.workspace import find_workspace, read_lesson

WORKSPACE = find_workspace(Path(__file__).parents[2])
RELEASED = WORKSPACE.course.released


def lesson_of(module: Module) -> static.Lesson:
    path = WORKSPACE.course.source(module)
    return static.Lesson(WORKSPACE.course, module, parse(read_lesson(path), path.name))


def test_the_course_has_released_modules() -> None:
    """Catches a manifest that makes every test below vanish."""
    assert len(RELEASED) >= 3


@pytest.mark.parametrize("module", RELEASED, ids=lambda module: module.folder)
def test_static_rules(module: Module) -> None:
    """Catches wrong points, missing hints, unbalanced markers, leaks and all else that reading can tell."""
    assert list(static.check(lesson_of(module))) == []


@pytest.mark.slow
@pytest.mark.parametrize("module", RELEASED, ids=lambda module: module.folder)
def test_dynamic_rules(module: Module) -> None:
    """Catches a test that passes on the stub or fails on the solution, and a stale export."""
    assert list(dynamic.check(WORKSPACE, lesson_of(module))) == []
    assert list(dynamic.check_without_package(WORKSPACE, lesson_of(module))) == []
