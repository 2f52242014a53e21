"""The manifest: names and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import MINI

from tito.course import Course, Module, load_course
from tito.errors import EnvironmentFault, UsageError


@pytest.fixture
def course() -> Course:
    return load_course(MINI)


@pytest.mark.parametrize("text", ["2", "02", "beta", "02_beta", "Beta", " 02_beta/ ", "modules/02_beta", "002"])
def test_a_module_is_named_in_every_way(course: Course, text: str) -> None:
    """Catches a name that works for one command and not for another."""
    assert course.resolve(text).folder == "02_beta"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("bta", "did you mean 02_beta?"),
        ("02_bete", "did you mean 02_beta?"),
        ("xyzzy", "see: tito module list"),
        ("", "see: tito module list"),
        ("99", "see: tito module list"),
        ("-1", "did you mean"),
        ("²", "see: tito module list"),  # a digit to str.isdigit that int() refuses
        ("9" * 5000, "see: tito module list"),  # more digits than int() takes
    ],
)
def test_a_miss_says_what_was_meant(course: Course, text: str, hint: str) -> None:
    """Catches a crash, or silence, on a name that is nearly right."""
    with pytest.raises(UsageError) as caught:
        course.resolve(text)
    assert caught.value.hint.startswith(hint)


def test_an_unreleased_module_resolves_but_is_refused(course: Course) -> None:
    """Catches a module that is not written yet being taken for an unknown one, or for a module one can run."""
    assert course.resolve("3").folder == "03_gamma"
    with pytest.raises(UsageError, match="03_gamma is not in this release") as caught:
        course.resolve_released("3")
    assert caught.value.hint.startswith("this release has 01 to 02;")


@pytest.mark.parametrize(
    ("released", "says"),
    [
        ("", "no module"),
        ("1", "01"),
        ("3", "03"),
        ("12", "01 to 02"),
        ("13", "01 and 03"),
        ("1245", "01 to 02 and 04 to 05"),
        ("1 35 7", "01, 03, 05 and 07"),
        ("23456", "02 to 06"),
    ],
)
def test_the_modules_of_a_release_with_gaps_are_named_by_ranges(released: str, says: str) -> None:
    """Catches a hint that names the last module of a release as if all before it were there."""
    modules = [Module(f"0{n}_m{n}", "", f"p.m{n}", (), 1, 1, 1, str(n) in released) for n in range(1, 9)]
    with pytest.raises(UsageError) as caught:
        Course(MINI, "", "p", tuple(modules)).resolve_released("8")
    assert caught.value.hint == f"this release has {says}; see: tito module list"


def test_users_and_paths(course: Course) -> None:
    """Catches a path with backslashes, and a dependency read the wrong way round."""
    alpha = course.named("01_alpha")
    assert [module.folder for module in course.users_of(alpha)] == ["02_beta"]
    assert (alpha.lesson, alpha.package_file) == ("modules/01_alpha/alpha_dev.py", "tinytorch/core/alpha.py")


BETA = 'released = true\n\n[[module]]\nfolder = "02_beta"'  # the end of module 01's entry
GOOD = (MINI / "course.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('schema = "tito.course/1"', 'schema = "tito.course/9"', "tito.course/9"),
        ('schema = "tito.course/1"\n', "", "schema None"),
        ('title = "A', 'titel = "A', "title"),
        ("[[module]]", "[[modul]]", "module"),
        ('folder = "01_alpha"', 'folder = "alpha"', "does not look like 01_name"),
        ('folder = "01_alpha"', 'folder = "²³_alpha"', "does not look like 01_name"),
        ("minutes = 5", "minutes = inf", "minutes"),
        ("minutes = 5", "minutes = [", "cannot be read"),
        ('needs = ["01_alpha"]', 'needs = ["03_gamma"]', "does not come before it"),
        ('folder = "02_beta"', 'folder = "01_alpha"', "twice"),
        (BETA, BETA.replace("true", "false"), "02_beta is released and needs 01_alpha, which is not"),
        ("points = { automatic = 15, manual = 10 }", "points = 3", "not a valid manifest"),
        ("released = false", 'released = "no"', "released"),
        ('needs = ["01_alpha"]', 'needs = "01_alpha"', "needs"),
    ],
)
def test_a_malformed_manifest_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    """Catches a manifest with a slip that crashes, or that is read as something else."""
    assert old in GOOD
    (tmp_path / "course.toml").write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(EnvironmentFault, match=r"course\.toml") as caught:
        load_course(tmp_path)
    assert says in str(caught.value)


def test_a_missing_or_unreadable_manifest_is_refused(tmp_path: Path) -> None:
    """Catches a traceback where there is no course."""
    with pytest.raises(EnvironmentFault, match="missing"):
        load_course(tmp_path)
    (tmp_path / "course.toml").write_bytes(b"title = \xff")
    with pytest.raises(EnvironmentFault, match="cannot be read"):
        load_course(tmp_path)
