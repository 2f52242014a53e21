"""The package's data reaches a learner: in a new workspace, and in the wheel that `tito init` is installed from."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tito.course import load_course
from tito.lifecycle.setup import init, initial_files, package_skeleton

ROOT = Path(__file__).parents[2]
DIGITS = "tinytorch/datasets/digits.npz"


def test_a_new_workspace_has_the_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a skeleton of *.py files only, with which load_digits fails for every learner."""
    monkeypatch.setenv("TITO_COURSE", str(ROOT))
    init(tmp_path / "mytorch")
    assert (tmp_path / "mytorch" / DIGITS).read_bytes() == (ROOT / DIGITS).read_bytes()


def test_the_skeleton_has_data_and_nothing_that_a_module_exports() -> None:
    """Catches a learner who is given a solution together with the data."""
    course = load_course(ROOT)
    names = package_skeleton(course)
    assert DIGITS in names and "tinytorch/__init__.py" in names
    assert not {module.package_file for module in course.modules} & set(names)
    assert set(names) <= set(initial_files(course))


def test_the_build_hook_maps_the_course_and_leaves_the_package_alone() -> None:
    """Catches a wheel without lessons, and one without tinytorch: a file that the hook maps goes nowhere else."""
    from tito.course_in_wheel import CourseInWheel

    hook = object.__new__(CourseInWheel)
    hook._BuildHookInterface__root = str(ROOT)
    data: dict[str, dict[str, str]] = {"force_include": {}}
    hook.initialize("standard", data)
    lesson = "modules/01_tensor/tensor_dev.py"
    assert data["force_include"][str(ROOT / lesson)] == f"tito/_course/{lesson}"
    assert not [name for name in data["force_include"] if "__pycache__" in name or "tinytorch/" in name]


def test_the_file_is_small_and_holds_no_pickles() -> None:
    """Catches an object array, which NumPy refuses to load, and a file that bloats the wheel."""
    assert (ROOT / DIGITS).stat().st_size < 60_000
    with zipfile.ZipFile(ROOT / DIGITS) as archive:
        assert sorted(archive.namelist()) == ["images.npy", "labels.npy", "source.npy"]
