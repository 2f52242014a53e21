"""PostgreSQL for the tests that are marked `postgres`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from postgres import Server, programs, server

HERE = programs() is not None


def pytest_report_header() -> list[str]:
    return [] if HERE else ["PostgreSQL is not installed (apt install postgresql): without CI, its tests are left out"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs PostgreSQL where it is not installed; in CI these tests fail instead."""
    if HERE or os.environ.get("CI"):
        return
    left = [item for item in items if item.get_closest_marker("postgres")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for all tests of a process; each takes databases of its own."""
    with server() as started:
        yield started
