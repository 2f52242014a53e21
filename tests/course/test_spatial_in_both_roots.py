"""The last released module, tested and completed as a learner and as an author would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import Learner

ROOT = Path(__file__).parents[2]
NAME = "10_spatial"


@pytest.mark.slow
def test_spatial_is_completed_in_a_workspace(tmp_path: Path) -> None:
    """Catches a module that needs more than it says it builds on, and a package that a program does not find."""
    learner = Learner(tmp_path / "work", ROOT)
    learner.root.mkdir()
    assert learner.child("init", ".").code == 0
    early = learner.child("module", "test", NAME)
    assert early.code == 1 and "tito module test 01_tensor" in early.out + early.err
    assert learner.child("module", "adopt", "09", "--yes").code == 0
    stub = learner.child("module", "test", NAME)
    assert stub.code == 1 and "13 of 13 tests ran, 0 passed" in stub.out
    learner.solve(NAME)
    solved = learner.child("module", "test", NAME)
    assert solved.code == 0 and "13 of 13 tests ran, 13 passed" in solved.out
    done = learner.child("module", "complete", NAME)
    assert done.code == 0 and "10_spatial is complete: 85 of 85 points" in done.out
    program = learner.root / "own.py"
    program.write_text(
        "import numpy as np\nimport tinytorch\nfrom tinytorch.nn import Conv2d\n"
        "print(tinytorch.__file__, Conv2d(3, 64, 3)(np.ones((1, 3, 32, 32))).shape)\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-W", "error", str(program)]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=True)
    assert ran.stdout == f"{learner.root / 'tinytorch' / '__init__.py'} (1, 64, 30, 30)\n" and ran.stderr == ""


@pytest.mark.slow
def test_spatial_is_completed_in_the_course_itself(tmp_path: Path) -> None:
    """Catches a completion that changes the package of its author, or asks for modules that are all there."""
    course = tmp_path / "course"
    course.mkdir()
    shutil.copy(ROOT / "course.toml", course)
    for folder in ("modules", "tinytorch"):
        shutil.copytree(ROOT / folder, course / folder, ignore=shutil.ignore_patterns("__pycache__"))
    author = Learner(course, course)
    before = author.package(NAME).read_bytes()
    tested = author.child("module", "test", NAME)
    assert tested.code == 0 and "13 of 13 tests ran, 13 passed" in tested.out
    done = author.child("module", "complete", NAME)
    assert done.code == 0 and "2 more passed from the package" in done.out
    assert author.package(NAME).read_bytes() == before
