"""Completing, adopting, and what a completion rests on; where each module stands."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support import Learner, files_of

from tito.lifecycle import completing


def state(learner: Learner, name: str) -> tuple[str, str]:
    rows = learner.tito("status", "--json").json["modules"]
    row = next(row for row in rows if row["module"] == learner.module(name).folder)
    one = learner.tito("module", "status", name, "--json").json
    assert (one["state"], one["reason"]) == (row["state"], row["reason"])
    return row["state"], row["reason"]


def test_a_completion_records_what_it_rests_on(learner: Learner) -> None:
    """Catches a record without hashes or counts, and a `why` that says something else."""
    learner.solve("1")
    record = learner.tito("module", "complete", "1", "--json").json["record"]
    assert record["source_hash"] == hashlib.sha256(learner.lesson("1").read_bytes()).hexdigest()
    assert record["export_hash"] == hashlib.sha256(learner.package("1").read_bytes()).hexdigest()
    counts = ("collected", "passed", "skipped", "integration", "points", "points_possible")
    assert [record[name] for name in counts] == [2, 2, 0, 2, 15, 15]
    shown = learner.tito("module", "why", "1")
    for text in ("2 of 2 tests passed, 0 skipped", record["source_hash"], record["export_hash"]):
        assert text in shown.out
    assert learner.tito("module", "why", "1", "--json").json["record"] == record


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("return 2 * x", "return 3 * x", 1),
        ("assert double(2) == 4", "assert True", 4),
        ("return 2 * x", "return = x", 1),
        ("return 2 * x", "import pytest; pytest.skip()", 5),
        ("#| default_exp core.alpha", "#| default_exp core.other", 1),
        ("#| export\ndef negate", "def negate", 1),
        ("#| export\nimport numpy as np", "import numpy as np", 1),
    ],
)
def test_what_does_not_earn_a_completion_changes_nothing(learner: Learner, old: str, new: str, code: int) -> None:
    """Catches a module that is recorded, or exported, although its tests or its package fail."""
    learner.solve("1")
    learner.edit("1", old, new)
    if "skip" in new:
        learner.edit("1", "return -x", new)
    before = files_of(learner.root)
    done = learner.tito("module", "complete", "1")
    assert done.code == code, done
    assert files_of(learner.root) == before
    assert not learner.package("1").exists()
    assert (done.out + done.err).strip()


def test_a_cell_that_the_package_lacks_is_explained(learner: Learner) -> None:
    """Catches a failure that only the exported file has, told as if the lesson had it."""
    learner.solve("1")
    learner.edit("1", "return 2 * x", "return helper(x)")
    learner.edit("1", "# %%\n#| default_exp", "# %%\ndef helper(x): return 2 * x\n\n# %%\n#| default_exp")
    assert learner.tito("module", "test", "1").code == 0
    done = learner.tito("module", "complete", "1")
    assert done.code == 1
    assert "#| export" in done.out and "tinytorch/core/alpha.py" in done.out


def test_modules_come_in_order(learner: Learner) -> None:
    """Catches a module that is tested without what it builds on, and an order that no message explains."""
    for verb in ("test", "complete", "hint", "grade"):
        done = learner.tito("module", verb, "2")
        assert (done.code, done.out) == (1, "")
        assert "builds on 01_alpha, which is not complete" in done.err
        assert "next: tito module test 01_alpha" in done.err
    learner.complete("1")
    assert learner.tito("module", "test", "2").code == 1
    learner.complete("2")


def test_the_learners_own_package_is_what_later_modules_import(learner: Learner) -> None:
    """Catches a module 02 that passes against somebody else's module 01."""
    learner.complete("1")
    path = learner.package("1")
    path.write_text(path.read_text(encoding="utf-8").replace("2 * x", "7 * x"), encoding="utf-8")
    learner.solve("2")
    done = learner.tito("module", "test", "2")
    assert done.code == 1
    assert "147" in done.out


def test_status_follows_the_files(learner: Learner) -> None:
    """Catches a state that the files do not bear out: each of them, in the order in which a learner meets them."""
    assert state(learner, "1") == ("not started", "")
    assert state(learner, "2") == ("blocked", "needs 01_alpha")
    assert learner.tito("status", "--json").json["modules"][2]["state"] == "not in this release"
    learner.solve("1")
    assert state(learner, "1") == ("in progress", "")
    learner.complete("1")
    assert state(learner, "1") == ("complete", "")
    assert state(learner, "2") == ("not started", "")
    learner.edit("1", "return 2 * x", "return x + x")
    assert state(learner, "1") == ("stale", "the lesson changed since")
    learner.edit("1", "return x + x", "return 2 * x")
    assert state(learner, "1") == ("complete", "")
    package = learner.package("1").read_bytes()
    learner.package("1").write_bytes(package + b"\n")
    assert state(learner, "1") == ("stale", "tinytorch/core/alpha.py changed since")
    learner.package("1").unlink()
    assert state(learner, "1")[0] == "stale"
    assert state(learner, "2")[0] == "blocked"
    learner.package("1").write_bytes(package)
    learner.lesson("1").write_bytes(b"\xff")
    assert state(learner, "1")[0] == "stale"
    learner.lesson("1").unlink()
    assert state(learner, "1") == ("missing", "")


def test_a_course_whose_tests_changed_makes_a_module_stale(learner: Learner) -> None:
    """Catches "complete" for tests that the learner's code has never met."""
    learner.complete("1")
    source = learner.course.source(learner.module("1"))
    source.write_text(
        source.read_text(encoding="utf-8").replace("double(-3) == -6", "double(-4) == -8"), encoding="utf-8"
    )
    assert state(learner, "1") == ("stale", "the course's tests changed since")
    assert learner.tito("module", "complete", "1").code == 0
    assert state(learner, "1") == ("complete", "")


def test_status_says_what_to_do_next(learner: Learner) -> None:
    """Catches a next command that is not the next one."""

    def following() -> str:
        return str(learner.tito("status", "--json").json["next"])

    assert following() == "tito module test 01_alpha"
    learner.complete("1")
    assert following() == "tito module test 02_beta"
    learner.edit("1", "return 2 * x", "return x + x")
    assert following() == "tito module complete 01_alpha"
    learner.lesson("2").unlink()
    assert following() == "tito module scaffold 02_beta"
    assert learner.tito("module", "scaffold", "2").code == 0
    learner.complete("1", "2")
    assert following() == "tito test --all"


def test_adopting_fills_a_module_and_says_so(learner: Learner) -> None:
    """Catches a reference that counts as the learner's own work, or hidden tests in their file."""
    assert learner.tito("module", "adopt", "2").code == 2  # off a terminal, without --yes
    done = learner.tito("module", "adopt", "2", typed="y\n")
    assert done.code == 0
    assert "01_alpha, 02_beta" in done.err
    assert [state(learner, name)[0] for name in ("1", "2")] == ["reference", "reference"]
    assert learner.tito("status", "--json").json["complete"] == 0
    assert "HIDDEN" not in learner.lesson("1").read_text(encoding="utf-8")
    for name in ("1", "2"):
        assert learner.tito("module", "test", name).code == 0
        assert learner.tito("export", name, "--check").code == 0


def test_adopting_leaves_finished_work_alone_and_undo_brings_the_rest_back(learner: Learner) -> None:
    """Catches an adoption that overwrites a module that is complete, or work that cannot be brought back."""
    learner.complete("1")
    mine = learner.lesson("1").read_bytes()
    learner.append("2", "mine = 1")
    begun = learner.lesson("2").read_bytes()
    assert learner.tito("module", "adopt", "2", "--yes").code == 0
    assert learner.lesson("1").read_bytes() == mine
    assert state(learner, "1")[0] == "complete"
    assert learner.tito("undo").code == 0
    assert learner.lesson("2").read_bytes() == begun
    assert state(learner, "2") == ("in progress", "")
    assert not learner.package("2").exists()


def test_an_adopted_module_that_is_completed_becomes_the_learners(learner: Learner) -> None:
    """Catches a reference that stays one although the learner's own code passed."""
    learner.prepare("module", "adopt", "1", "--yes")
    learner.complete("1")
    assert state(learner, "1")[0] == "complete"


def test_undo_takes_a_completion_back_whole(learner: Learner) -> None:
    """Catches a module that is still complete without its package file, or the other way round."""
    learner.solve("1")
    before = {k: v for k, v in files_of(learner.root).items() if not k.startswith(".tito/history")}
    learner.complete("1")
    assert learner.tito("undo").code == 0
    assert state(learner, "1") == ("in progress", "")
    assert {k: v for k, v in files_of(learner.root).items() if not k.startswith(".tito/history")} == before


def test_undo_by_number_undo_of_undo_and_history(learner: Learner) -> None:
    """Catches an undo of the wrong change, an undone undo that does not count as one, and a list that hides which."""
    texts = []
    for code in ("a = 1", "b = 2", "c = 3"):
        learner.append("1", code)
        texts.append(learner.lesson("1").read_bytes())
        assert learner.tito("module", "reset", "1", "--yes").code == 0
    stub = learner.lesson("1").read_bytes()

    def text() -> bytes:
        return learner.lesson("1").read_bytes()

    learner.tito("undo")  # 4 takes back 3
    assert text() == texts[2]
    learner.tito("undo")  # 5 takes back 2
    assert text() == texts[1]
    learner.tito("undo", "1")  # 6 takes back 1
    assert text() == texts[0]
    learner.tito("undo", "4")  # 7 takes back 4, so that 3 stands again
    assert text() == stub
    plain = learner.tito("history", "--plain").out.splitlines()
    assert [line[0] for line in plain if ", undone, files modules/" in line] == ["4", "2", "1"]
    document = learner.tito("history", "--json").json
    assert [entry["number"] for entry in document["entries"]] == [7, 6, 5, 4, 3, 2, 1]
    assert sorted(document["undone"]) == [1, 2, 4]
    assert "(3)" not in learner.tito("undo").out
    assert text() == texts[2], "the newest change that stands is 3 again"
    assert learner.tito("undo").code == 2


def test_undo_keeps_what_it_replaces(learner: Learner) -> None:
    """Catches hours of work after a reset that an undo of that reset throws away."""
    learner.append("1", "first = 1")
    learner.tito("module", "reset", "1", "--yes")
    learner.append("1", "second = 2")
    newer = learner.lesson("1").read_bytes()
    learner.tito("undo")
    assert b"first" in learner.lesson("1").read_bytes()
    learner.tito("undo", "2")
    assert learner.lesson("1").read_bytes() == newer


def test_an_undo_finishes_an_interrupted_change_first(learner: Learner) -> None:
    """Catches an undo that takes back the change before the one that was interrupted."""
    learner.append("1", "first = 1")
    learner.tito("module", "reset", "1", "--yes")
    learner.append("1", "second = 2")
    newer = learner.lesson("1").read_bytes()
    pid = os.fork() if hasattr(os, "fork") else pytest.skip("needs fork")
    if pid == 0:
        from tito.workspace import Workspace

        Workspace._finish = lambda *_: os._exit(0)  # type: ignore[method-assign]
        learner.tito("module", "reset", "1", "--yes")
        os._exit(1)
    os.waitpid(pid, 0)
    assert (learner.root / ".tito/journal.json").exists()
    assert learner.tito("undo", "--json").json["number"] == 2
    assert learner.lesson("1").read_bytes() == newer


def test_a_lesson_that_changes_meanwhile_is_not_completed(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a record of tests that ran on something else than what is exported."""
    learner.solve("1")
    real = completing.check_in_package

    def slow(*args: Any, **more: Any) -> Any:
        learner.edit("1", "return 2 * x", "return 9 * x")
        return real(*args, **more)

    monkeypatch.setattr(completing, "check_in_package", slow)
    done = learner.tito("module", "complete", "1")
    assert done.code == 1
    assert "changed while it was completed" in done.err
    assert state(learner, "1") == ("in progress", "")


def test_a_workspace_can_be_moved(learner: Learner, tmp_path: Path) -> None:
    """Catches an absolute path in the record or in an exported file."""
    learner.complete("1")
    moved = Learner(Path(shutil.move(learner.root, tmp_path / "elsewhere")), learner.home)
    assert state(moved, "1") == ("complete", "")
    assert moved.tito("export", "--check").code == 0
    moved.complete("2")
