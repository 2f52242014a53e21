"""All or nothing: every changing command, killed or failed at each of its writes in turn."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faults import Ended, Fault, attempts
from support import Learner, files_of

from tito.lifecycle import completing, exporting
from tito.report import CaseResult, Outcome, TestReport, Verdict
from tito.workspace import Workspace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def real_runs() -> None:
    """Asks for tests that do run."""


@pytest.fixture(autouse=True)
def _same_time_and_no_runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of a command give the same bytes, and tests pass without being run: writes are what is tested here."""
    if "real_runs" in request.fixturenames:
        return
    for where in ("tito.workspace.now", "tito.lifecycle.completing.now"):
        monkeypatch.setattr(where, lambda: "2030-01-01T00:00:00Z")

    def passing(workspace: Workspace, module: Any, *others: Any, **more: Any) -> TestReport:
        text = workspace.lesson(module).read_bytes()
        cases = (CaseResult("test", "test", 10, Outcome.PASSED),)
        from tito.export import digest

        return TestReport(module.folder, module.lesson, digest(text.decode()), Verdict.PASSED, cases)

    def in_package(copy: Workspace, workspace: Workspace, module: Any, **more: Any) -> TestReport:
        return passing(workspace, module)

    monkeypatch.setattr(completing, "run_module", lambda workspace, module, *_: passing(workspace, module))
    for place in (completing, exporting):
        monkeypatch.setattr(place, "check_in_package", in_package)
    monkeypatch.setattr(completing, "_prove", _prove(passing))


def _prove(passing: Callable[..., TestReport]) -> Any:
    """As in the tool, but an adopted lesson lies in a copy, where the report is made."""
    real = completing._prove

    def prove(workspace: Workspace, module: Any, report: TestReport, kind: str) -> Any:
        return real(workspace, module, replace(report, verdict=Verdict.PASSED), kind)

    return prove


def solved(learner: Learner) -> None:
    learner.solve("1")


def noted(learner: Learner) -> None:
    """A solved lesson with a notebook, which both were edited once."""
    learner.solve("1")
    assert learner.tito("module", "notebook", "1").code == 0


def page_edited(learner: Learner) -> None:
    noted(learner)
    page = json.loads(learner.notebook("1").read_text(encoding="utf-8"))
    page["cells"][0]["source"] = ["# Mine"]
    learner.notebook("1").write_text(json.dumps(page), encoding="utf-8")


def script_edited(learner: Learner) -> None:
    noted(learner)
    learner.edit("1", "# # Alpha", "# # Mine")


def completed(learner: Learner) -> None:
    learner.solve("1")
    assert learner.tito("module", "complete", "1").code == 0


def edited_after(learner: Learner) -> None:
    completed(learner)
    learner.edit("1", "return 2 * x", "return x + x")


def was_reset(learner: Learner) -> None:
    noted(learner)
    assert learner.tito("module", "reset", "1", "--yes").code == 0


def edited_tests(learner: Learner) -> None:
    noted(learner)
    learner.edit("1", "assert double(2) == 4", "assert True")
    assert learner.tito("module", "sync", "1").code == 0


def lesson_gone(learner: Learner) -> None:
    page_edited(learner)
    learner.lesson("1").unlink()


def older(learner: Learner) -> None:
    """A workspace made before module 02 and the package's docstring were there."""
    learner.lesson("2").unlink()
    (learner.root / "tinytorch/__init__.py").write_text("", encoding="utf-8")


COMMANDS: dict[str, tuple[Callable[[Learner], None], Sequence[str]]] = {
    "complete": (solved, ["module", "complete", "1"]),
    "complete again": (edited_after, ["module", "complete", "1"]),
    "reset": (noted, ["module", "reset", "1", "--yes"]),
    "reset the tests": (edited_tests, ["module", "reset", "1", "--tests"]),
    "undo a reset": (was_reset, ["undo"]),
    "undo a completion": (completed, ["undo"]),
    "export": (edited_after, ["export", "1"]),
    "adopt": (noted, ["module", "adopt", "1", "--yes"]),
    "sync to the script": (page_edited, ["module", "sync", "1"]),
    "sync to the notebook": (script_edited, ["module", "sync", "1"]),
    "notebook": (solved, ["module", "notebook", "1"]),
    "scaffold": (lesson_gone, ["module", "scaffold", "1"]),
    "update": (older, ["init", "--update", "."]),
    "hint": (solved, ["module", "hint", "1", "--test", "test_unit_double"]),
    "spoil": (solved, ["module", "solution", "1", "--spoil"]),
}


_numbers = itertools.count()


def copier(before: Path) -> Callable[[], Path]:
    def copy() -> Path:
        return Path(shutil.copytree(before, before.with_name(f"try-{next(_numbers)}")))

    return copy


def runner_of(home: Path, words: Sequence[str]) -> Callable[[Path], Callable[[], tuple[int, str]]]:
    def work(root: Path) -> Callable[[], tuple[int, str]]:
        def run() -> tuple[int, str]:
            done = Learner(root, home).tito(*words)
            return done.code, done.err

        return run

    return work


def check_one(root: Path, home: Path, ended: Ended, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """The state is that before or that after, and what the command said is true."""
    assert ended.code in (0, 3, None), ended
    assert Learner(root, home).tito("status").code == 0
    found = files_of(root)
    assert found in (before, after), sorted(set(found) ^ set(after)) or [n for n in found if found[n] != after.get(n)]
    if ended.code == 0:
        assert found == after
    if "Nothing was changed" in ended.err:
        assert found == before
    if ended.code == 3:
        assert "next: " in ended.err
    for entry in Learner(root, home).workspace.history():
        for blob in filter(None, entry.files.values()):
            Learner(root, home).workspace.blob(blob)  # raises when it is not there, or not whole


FAST = ("complete", "undo a reset", "adopt", "sync to the script")  # the others are tried in the slow step


def _pairs() -> Iterator[Any]:
    for name, fault in itertools.product(COMMANDS, Fault):
        fast = name == "complete" or (name in FAST and fault is Fault.KILL)
        yield pytest.param(name, fault, marks=[] if fast else [pytest.mark.slow])


@pytest.mark.parametrize(("name", "fault"), list(_pairs()))
def test_a_command_is_all_or_nothing(learner: Learner, tmp_path: Path, name: str, fault: Fault) -> None:
    """Catches a lesson, a package file or a record without the others, and a message that is not true."""
    prepare, words = COMMANDS[name]
    prepare(learner)
    before = files_of(learner.root)
    clean = Learner(copier(learner.root)(), learner.home)
    assert clean.tito(*words).code == 0
    after = files_of(clean.root)
    assert before != after
    shutil.rmtree(clean.root)
    count = 0
    for root, ended in attempts(runner_of(learner.home, words), copier(learner.root), fault, tmp_path / "note"):
        check_one(root, learner.home, ended, before, after)
        shutil.rmtree(root)
        count += 1
    assert count > 5


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Fault.KILL, Fault.ERROR])
def test_a_fault_during_recovery_is_recovered_too(learner: Learner, tmp_path: Path, fault: Fault) -> None:
    """Catches a recovery that is itself not all or nothing."""
    noted(learner)
    before = files_of(learner.root)
    clean = Learner(copier(learner.root)(), learner.home)
    assert clean.tito("module", "reset", "1", "--yes").code == 0
    after = files_of(clean.root)
    shutil.rmtree(clean.root)
    reset = runner_of(learner.home, ["module", "reset", "1", "--yes"])
    status = runner_of(learner.home, ["status"])
    note = tmp_path / "note"
    seen: list[bool] = []
    for root, ended in attempts(reset, copier(learner.root), Fault.KILL, note):
        if ended.code is None:
            decided = after if (root / ".tito/journal.json").exists() else before
            for second, end in attempts(status, copier(root), fault, note):
                check_one(second, learner.home, end, decided, decided)
                seen.append(end.fired)
                shutil.rmtree(second)
        shutil.rmtree(root)
    assert any(seen)


@pytest.mark.slow
@pytest.mark.parametrize("fault", Fault)
def test_adopting_several_modules_stops_between_two_of_them(learner: Learner, tmp_path: Path, fault: Fault) -> None:
    """Catches a module that is adopted by half when a row of them is adopted."""
    states = [files_of(learner.root)]
    clean = Learner(copier(learner.root)(), learner.home)
    for name in ("1", "2"):
        assert clean.tito("module", "adopt", name, "--yes").code == 0
        states.append(files_of(clean.root))
    shutil.rmtree(clean.root)
    words = ["module", "adopt", "2", "--yes"]
    for root, ended in attempts(runner_of(learner.home, words), copier(learner.root), fault, tmp_path / "note"):
        assert Learner(root, learner.home).tito("status").code == 0
        assert files_of(root) in states
        if ended.code == 0:
            assert files_of(root) == states[2]
        shutil.rmtree(root)


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("fault", [f if f is Fault.KILL else pytest.param(f, marks=pytest.mark.slow) for f in Fault])
def test_init_makes_a_workspace_or_none(home: Path, tmp_path: Path, fault: Fault, there: bool) -> None:
    """Catches a directory that is neither empty nor a workspace, in which `tito init` cannot be tried again."""
    place = tmp_path / "places"
    place.mkdir()
    clean = Learner(place / "clean", home)
    assert clean.tito("init", "clean", cwd=place).code == 0
    after = files_of(clean.root)
    numbers = itertools.count()

    def copy() -> Path:
        root = place / f"try-{next(numbers)}"
        if there:
            root.mkdir()
        return root

    def work(root: Path) -> Callable[[], tuple[int, str]]:
        def run() -> tuple[int, str]:
            done = Learner(root, home).tito("init", str(root), cwd=place)
            return done.code, done.err

        return run

    for root, ended in attempts(work, copy, fault, tmp_path / "note"):
        assert ended.code in (0, 3, None), ended
        if ended.code == 3 and "Nothing was changed" in ended.err and fault is not Fault.CLOSED:
            assert not root.exists() or files_of(root) == {}
        if root.is_dir() and Learner(root, home).tito("status").code == 0:
            assert files_of(root) == after
        else:
            assert ended.code != 0
            assert Learner(root, home).tito("init", str(root), cwd=place).code == 0
            assert files_of(root) == after
        shutil.rmtree(root)


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from faults import Fault, Injector
Injector(Path(sys.argv[2]), int(sys.argv[3]), Fault.KILL).install()
from tito.__main__ import main
sys.argv = ["tito", *sys.argv[4:]]
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.usefixtures("real_runs")
def test_a_completion_with_its_real_runs_is_all_or_nothing(learner: Learner) -> None:
    """Catches a write of the runs themselves, or of a second process, that the quick tests above leave out."""
    learner.solve("1")
    before = files_of(learner.root)
    for at in range(1, 100):
        root = copier(learner.root)()
        words = ["module", "complete", "1"]
        command = [sys.executable, "-c", KILLED, str(Path(__file__).parents[1]), str(root), str(at), *words]
        done = subprocess.run(command, cwd=root, env=learner.environment(), capture_output=True, check=False)
        assert done.returncode in (0, -9), done.stderr
        tried = Learner(root, learner.home)
        assert tried.tito("status").code == 0
        complete = tried.tito("status", "--json").json["modules"][0]["state"] == "complete"
        assert complete or files_of(root) == before
        assert complete == tried.package("1").exists() == (tried.tito("module", "why", "1").code == 0)
        if done.returncode == 0:
            assert complete and at > 8
            return
        shutil.rmtree(root)
    raise AssertionError("the command never completed")
