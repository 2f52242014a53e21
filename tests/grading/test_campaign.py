"""A class of two hundred, one in twenty of them hostile, graded from the command line: killed, stopped, run again."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from grading.lessons import percent, released, solved
from grading.test_hostile import TRICKS
from grading.tricks import ALL, LESSON, NONE, trick
from sandboxes import children
from support import ROOT

HOSTILE = (
    *("exit_at_import", "forged_run", "memory_bomb", "many_files", "fork_bomb"),
    *("output_bomb", "parent_killed", "daemons", "poisoned_package", "loop_in_a_cell"),
)
HONEST = ("einsum", "wrong_dtype", "renamed", "syntax_error", "missing_return", "elaborate", "prints_to_stderr")
STUDENTS, MEMORY = 200, 200 << 20
COMMAND = (*("-m", "tito", "grade", "autograde", LESSON), *("-j", "2", "--isolation", "bwrap", "--timeout", "20"))
_SUBREAPER = 36
SCORES = """
SELECT student.id, base_cell.name, grade.auto_score, grade.manual_score, grade.needs_manual_grade
FROM grade JOIN submitted_notebook ON grade.notebook_id = submitted_notebook.id
JOIN submitted_assignment ON submitted_notebook.assignment_id = submitted_assignment.id
JOIN student ON submitted_assignment.student_id = student.id JOIN base_cell ON grade.cell_id = base_cell.id
"""
COMMENTS = """
SELECT student.id, base_cell.name, comment.auto_comment, comment.manual_comment
FROM comment JOIN submitted_notebook ON comment.notebook_id = submitted_notebook.id
JOIN submitted_assignment ON submitted_notebook.assignment_id = submitted_assignment.id
JOIN student ON submitted_assignment.student_id = student.id JOIN base_cell ON comment.cell_id = base_cell.id
"""


@dataclass(frozen=True)
class School:
    """A course repository with what a class has handed in, and what each must get."""

    root: Path
    wanted: dict[str, float]

    @property
    def journal(self) -> Path:
        return self.root / "grading" / "journal.jsonl"

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, *(words or COMMAND)]
        environment = {**os.environ, "HOME": str(self.root.parent), "OPENBLAS_NUM_THREADS": "1"}
        environment.pop("TITO_COURSE", None)
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def run(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        said = process.communicate(timeout=900)[0]
        return process.returncode, said

    def graded(self) -> int:
        """How many verdicts are written down."""
        return self.journal.read_bytes().count(b"\n") if self.journal.exists() else 0

    def books(self) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        """What the gradebook says, without ids and times."""
        with sqlite3.connect(self.root / "grading" / "gradebook.db") as connection:
            found = [sorted(connection.execute(query), key=repr) for query in (SCORES, COMMENTS)]
        connection.close()
        return found[0], found[1]

    def totals(self) -> dict[str, float]:
        """Automatic points by student."""
        found: dict[str, float] = {}
        for student, _cell, points, *_ in self.books()[0]:
            found[str(student)] = found.get(str(student), 0.0) + float(points or 0.0)  # type: ignore[arg-type]
        return found


def submissions() -> Iterator[tuple[str, bytes, dict[str, float]]]:
    """The class: whose, what, and what it must earn."""
    right, stub = percent(solved(LESSON)), percent(released(LESSON))
    for number in range(STUDENTS):
        mine = f"\n# student {number}\n".encode()
        if number % 20 == 7:
            name = HOSTILE[number // 20 % len(HOSTILE)]
            data, points = trick(name), TRICKS[name].points
        elif number % 3:
            data, points = right, ALL
        elif number % 10 == 0:
            data, points = stub, NONE
        else:
            name = HONEST[number % len(HONEST)]
            data, points = trick(name), TRICKS[name].points
        yield f"s{number:03}", data + mine, points


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory: pytest.TempPathFactory) -> School:
    """A course after `tito grade collect`."""
    top = tmp_path_factory.mktemp("class")
    root = top / "course"
    root.mkdir()
    shutil.copy(ROOT / "course.toml", root)
    for name in ("modules", "tinytorch"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    wanted = {}
    for student, data, points in submissions():
        folder = top / "downloaded" / student
        folder.mkdir(parents=True)
        (folder / "layers_dev.py").write_bytes(data)
        wanted[student] = round(sum(points.values()), 2)
    school = School(root, wanted)
    code, said = school.run("-m", "tito", "grade", "collect", LESSON, "--from", str(top / "downloaded"))
    assert code == 0, said
    secret = root / "grading" / "secret"
    secret.write_text("5a" * 32, encoding="utf-8")
    secret.chmod(0o600)
    return school


@pytest.fixture
def reaper() -> Iterator[set[int]]:
    """Makes orphans of this process's children its own children; the children that it had before."""
    libc = ctypes.CDLL(None)
    before = children()
    assert libc.prctl(_SUBREAPER, 1, 0, 0, 0) == 0
    yield before
    libc.prctl(_SUBREAPER, 0, 0, 0, 0)


def copy(school: School, place: Path) -> School:
    return School(Path(shutil.copytree(school.root, place / "course")), school.wanted)


def digest(*roots: Path) -> str:
    """All files below some folders, apart from those of the grading and compiled ones."""
    found = hashlib.sha256()
    for root in roots:
        for path in sorted(root.rglob("*")):
            inner = path.relative_to(root).parts
            if inner[0] != "grading" and "__pycache__" not in inner and path.is_file():
                found.update(f"{path} {path.stat().st_mode}".encode() + path.read_bytes())
    return found.hexdigest()


def left(before: set[int]) -> set[int]:
    """Processes that are still there a moment after they should have ended."""
    until = time.monotonic() + 20
    while (found := children() - before) and time.monotonic() < until:
        for pid in found:
            if os.path.exists(f"/proc/{pid}"):  # noqa: PTH110
                os.waitpid(-1, os.WNOHANG)
        time.sleep(0.1)
    return found


def watched(process: subprocess.Popen[str]) -> list[int]:
    """The largest resident size so far, kept up to date; wait4 would also count what this process held at its fork."""
    peak = [0]

    def watch() -> None:
        while process.returncode is None:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines():
                    peak[0] = 1024 * int(line.split()[1]) if line.startswith("VmHWM:") else peak[0]
            time.sleep(0.05)

    threading.Thread(target=watch, daemon=True).start()
    return peak


def wait_for(school: School, process: subprocess.Popen[str], verdicts: int) -> None:
    while school.graded() < verdicts:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


@pytest.mark.slow
def test_a_class_with_hostile_students(handed_in: School, tmp_path: Path, reaper: set[int]) -> None:
    """Catches an honest score that is not exact, a changed file, a process that is left, memory that grows."""
    school = copy(handed_in, tmp_path)
    outside = (school.root, ROOT / "tito", ROOT / "modules")
    before = digest(*outside)
    process = school.start()
    peak = watched(process)
    said = process.communicate(timeout=900)[0]
    assert process.returncode == 0, said[-3000:]
    assert school.totals() == school.wanted
    assert digest(*outside) == before
    assert not left(reaper)
    assert 20 << 20 < peak[0] < MEMORY, f"{peak[0]:,} bytes"


@pytest.mark.slow
def test_a_run_that_is_killed_and_stopped_ends_in_the_same_books(handed_in: School, tmp_path: Path) -> None:
    """Catches a verdict that a kill or Ctrl-C loses or doubles, and two runs that write into one gradebook."""
    (tmp_path / "whole").mkdir()
    whole, broken = copy(handed_in, tmp_path / "whole"), copy(handed_in, tmp_path)
    code, said = whole.run()
    assert code == 0, said[-3000:]
    first = broken.start()
    wait_for(broken, first, 20)
    code, said = broken.run()
    assert code != 0 and f"tito grade autograde {LESSON}" in said and "is changing the gradebook" in said, said
    first.kill()
    first.communicate()
    done = broken.graded()
    assert 0 < done < STUDENTS
    second = broken.start()
    wait_for(broken, second, done + 40)
    second.send_signal(signal.SIGINT)
    said = second.communicate(timeout=120)[0]
    assert second.returncode == 130, said[-3000:]
    done = broken.graded()
    assert done < STUDENTS, "Ctrl-C came too late for this test"
    code, said = broken.run()
    assert code == 0, said[-3000:]
    assert broken.graded() == STUDENTS, "nothing is graded twice"
    for mine, theirs in zip(broken.books(), whole.books(), strict=True):
        assert sorted(set(mine) ^ set(theirs), key=repr) == []
        assert len(mine) == len(theirs)
    assert broken.totals() == broken.wanted
