"""Grading on a real Dask scheduler with two workers of this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import ROOT

from tito.errors import EnvironmentFault, Exit
from tito.grading.autograding import Wish, prepared
from tito.grading.place import Place, place_of
from tito.grading.records import GradeRecord, Status
from tito.workspace import find_workspace

STUDENTS = [f"s{number:02}" for number in range(30)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A course in which thirty students have handed in: every third bob's mistake, the others all right."""
    course = tmp_path / "course"
    course.mkdir()
    shutil.copy(ROOT / "course.toml", course)
    for folder in ("modules", "tinytorch"):
        shutil.copytree(ROOT / folder, course / folder, ignore=shutil.ignore_patterns("__pycache__"))
    made = place_of(find_workspace(course))
    module = made.course.resolve("03")
    solved = made.course.source(module).read_text(encoding="utf-8")
    for number, student in enumerate(STUDENTS):
        folder = made.submitted(student, module)
        folder.mkdir(parents=True)
        text = solved if number % 3 else solved.replace("sqrt(2 / (self.in_features", "sqrt(1 / (self.in_features")
        (folder / "layers_dev.py").write_text(f"{text}\n# {student}\n", encoding="utf-8")
        (folder / "timestamp.txt").write_text("2026-10-01 12:00:00 UTC", encoding="utf-8")
    return made


@contextlib.contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A part of a cluster, in a process group of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENBLAS_NUM_THREADS": "1",
        "DASK_LOGGING__DISTRIBUTED": "error",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_a_cluster_gives_the_same_verdicts_although_a_worker_is_killed(place: Place, tmp_path: Path) -> None:
    """Catches a submission that is lost with its worker, graded twice, or graded otherwise than here."""
    file = tmp_path / "scheduler.json"
    worker = ("worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--no-nanny")
    module = place.course.resolve("03")
    told: list[str] = []
    with (
        program("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)),
        program(*worker) as first,
        program(*worker),
    ):
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.1)
        with prepared(place, module, Wish(cluster=str(file), isolation="limits")) as run:

            def tell(record: GradeRecord) -> None:
                told.append(record.student)
                if len(told) == 8:
                    os.killpg(first.pid, signal.SIGKILL)

            run.tell = tell
            facts = run.go()
    assert facts.exit_code is Exit.OK, [row.reason for row in facts.rows if row.reason]
    assert sorted(told) == STUDENTS
    points = {row.student: row.points for row in facts.rows}
    assert points == {student: 50.0 if number % 3 else 48.0 for number, student in enumerate(STUDENTS)}
    assert {row.status for row in facts.rows} == {Status.GRADED}
    with prepared(place, module, Wish(isolation="limits")) as run:
        assert run.go().new == 0, "graded once is graded, wherever it was"


def test_no_cluster_is_an_error_that_says_what_to_start(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a traceback of Dask, or a wait without end."""
    monkeypatch.setattr("tito.grading.cluster.CONNECT_SECONDS", 0.2)
    wish = Wish(cluster="tcp://127.0.0.1:1", isolation="limits")
    with pytest.raises(EnvironmentFault, match=r"127\.0\.0\.1:1"), prepared(place, place.course.resolve("03"), wish):
        pytest.fail("there is no such cluster")


def test_without_dask_the_extra_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an ImportError where the extra was not installed."""
    missing: Any = None
    monkeypatch.setitem(sys.modules, "distributed", missing)
    with (
        pytest.raises(EnvironmentFault, match="Dask") as error,
        prepared(place, place.course.resolve("03"), Wish(cluster="local", isolation="limits")),
    ):
        pytest.fail("there is no Dask")
    assert "tito[cluster]" in error.value.hint
