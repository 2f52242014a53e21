"""`tito test`: which modules, in parallel, one verdict, reports for machines."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support import Learner

from tito.lifecycle import batch


def rows(document: object, key: str = "lessons") -> dict[str, str]:
    return {report["module"]: report["verdict"] for report in document[key]}  # type: ignore[index]


@pytest.fixture
def done_one(learner: Learner) -> Learner:
    """Somebody who completed module 01."""
    learner.complete("1")
    return learner


def test_all_in_a_workspace_tests_what_can_be_tested(learner: Learner) -> None:
    """Catches a module that builds on an unfinished one being run, left out, or counted as passed."""
    done = learner.tito("test", "--all", "--json")
    assert (done.code, done.json["exit_code"]) == (1, 1)
    assert rows(done.json) == {"01_alpha": "failed", "02_beta": "blocked"}
    assert done.json["package"] == [] and done.json["exports"] is None
    assert "0 of 2 modules passed: 0 of 2 tests" in learner.tito("test", "--all").out


def test_by_default_what_is_complete_is_tested_again(done_one: Learner) -> None:
    """Catches a default that passes because it ran nothing, and one that fails over what nobody began."""
    done = done_one.tito("test", "--json")
    assert (done.code, rows(done.json)) == (0, {"01_alpha": "passed"})
    done_one.edit("1", "return 2 * x", "return 3 * x")
    assert done_one.tito("test").code == 1


def test_names_pick_modules_and_failed_picks_those_again(done_one: Learner) -> None:
    """Catches --failed that forgets, or that runs everything."""
    assert rows(done_one.tito("test", "beta", "1", "--json").json) == {"02_beta": "failed", "01_alpha": "passed"}
    again = done_one.tito("test", "--failed", "--json")
    assert (again.code, rows(again.json)) == (1, {"02_beta": "failed"})
    done_one.solve("2")
    assert done_one.tito("test", "--failed").code == 0
    assert done_one.tito("test", "--failed").code == 5


@pytest.mark.parametrize("jobs", ["1", "2", "auto"])
def test_the_verdict_is_the_same_for_any_number_of_jobs(author: Learner, jobs: str) -> None:
    """Catches results that are mixed up between modules, or that come in the order in which they end."""
    done = exported(author).tito("test", "--all", "-j", jobs, "--json")
    assert done.code == 0, done
    assert list(rows(done.json)) == list(rows(done.json, "package")) == ["01_alpha", "02_beta"]


def test_jobs_use_the_processors_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a container with two processors in which 64 processes start."""
    import os

    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        assert batch.jobs_from("auto") == 2
        monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert batch.jobs_from("auto") == 1
    assert batch.jobs_from("3") == 3


def exported(author: Learner) -> Learner:
    author.prepare("export", "--all")
    return author


def test_the_course_repository_tests_lessons_exports_and_package(author: Learner) -> None:
    """Catches a package that is never tested, or an export that nobody compares."""
    assert author.tito("test", "--all").code != 0, "nothing is exported yet"
    done = exported(author).tito("test", "--all", "--json")
    assert done.code == 0, done
    assert rows(done.json) == rows(done.json, "package") == {"01_alpha": "passed", "02_beta": "passed"}
    assert [row["state"] for row in done.json["exports"]["exports"]] == ["current", "current"]
    assert [len(report["cases"]) for report in done.json["package"]] == [2, 2]
    assert "2 of 2 modules passed: 3 of 3 tests and 4 from the package" in author.tito("test").out


def test_a_stale_export_fails_the_course(author: Learner) -> None:
    """Catches a course whose package is not what its lessons say."""
    exported(author).edit("1", '"""Twice x.', '"""Two times x.')
    done = author.tito("test", "--all", "--json")
    assert (done.code, done.json["exports"]["exports"][0]["state"]) == (7, "stale")
    assert "next: tito export --all" in author.tito("test", "--all", "--plain").out


def test_a_package_that_fails_fails_the_course(author: Learner) -> None:
    """Catches a package file that is tested through the lesson."""
    package = exported(author).package("1")
    package.write_text(package.read_text(encoding="utf-8").replace("return -x", "return x"), encoding="utf-8")
    done = author.tito("test", "--all", "--json")
    assert done.code == 1
    assert (rows(done.json)["01_alpha"], rows(done.json, "package")["01_alpha"]) == ("passed", "failed")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("assert double(2) == 4", "assert True", 4),
        ("return 2 * x", "return = x", 1),
        ("return 2 * x", "return 3 * x", 1),
        ("# # Alpha", "# # Alpha\n\n    # %% inner", 1),
    ],
)
def test_one_bad_module_does_not_hide_the_others(done_one: Learner, old: str, new: str, code: int) -> None:
    """Catches one broken file that ends the whole run."""
    done_one.complete("2")
    done_one.edit("1", old, new)
    done = done_one.tito("test", "--all", "--json")
    assert (done.code, rows(done.json)["02_beta"]) == (code, "passed")
    assert rows(done.json)["01_alpha"] != "passed"
    shown = done_one.tito("test", "--all")
    assert "1 of 2 modules passed" in shown.out
    assert "01_alpha (modules/01_alpha/alpha_dev.py): " in shown.out


def test_the_gravest_verdict_is_the_exit_code(learner: Learner) -> None:
    """Catches 1 for a run in which a locked test was changed."""
    learner.prepare("module", "adopt", "2", "--yes")
    learner.edit("2", "return double(double(x))", "return x")
    learner.edit("1", "assert double(2) == 4", "assert True")
    assert learner.tito("test", "--all").code == 4


def test_junit_is_one_suite_a_module(learner: Learner, tmp_path: Path) -> None:
    """Catches a report that a build server cannot read, or in which what was blocked is green."""
    target = tmp_path / "out.xml"
    learner.tito("test", "--all", "--junit", str(target))
    suites = {suite.get("name"): suite for suite in ElementTree.parse(target).getroot()}
    assert set(suites) == {"01_alpha", "02_beta"}
    assert [suites[name].get("failures") for name in sorted(suites)] == ["2", "1"]
    assert {case.get("classname") for case in suites["01_alpha"]} == {"modules.01_alpha.alpha_dev"}


def test_annotations_for_github_name_file_and_line(done_one: Learner) -> None:
    """Catches an annotation at the wrong line, and one in the JSON document."""
    done_one.edit("1", "return 2 * x", "return 3 * x")
    done = done_one.tito("test", "1", "--github")
    listed = [text for text in done.out.splitlines() if text.startswith("::error ")]
    assert len(listed) == 2
    found = re.fullmatch(
        r"::error file=modules/01_alpha/alpha_dev\.py,line=(\d+),title=test_unit_double::failed: .*", listed[0]
    )
    assert found and "test-double" in done_one.lesson("1").read_text(encoding="utf-8").splitlines()[int(found[1]) - 1]
    as_json = done_one.tito("test", "1", "--github", "--json")
    assert as_json.json["exit_code"] == 1
    assert as_json.err.count("::error ") == 2


def test_progress_is_told_line_by_line_off_a_terminal(learner: Learner) -> None:
    """Catches an animation in a log, and a long run that says nothing."""
    done = learner.tito("test", "--all")
    assert sorted(done.err.splitlines()) == ["01_alpha: failed", "02_beta: blocked"]
    assert "\x1b" not in done.err
