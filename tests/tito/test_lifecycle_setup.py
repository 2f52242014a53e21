"""Setting up: init, init --update, scaffold, reset and reset --tests."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path

import pytest
from support import Learner, files_of

from tito.lifecycle.setup import stub


def test_a_workspace_is_stubs_and_an_empty_package(learner: Learner) -> None:
    """Catches a solution that reaches a learner, a file of the course that is missing, and one too many."""
    files = files_of(learner.root)
    assert set(files) == {
        *(".env", ".gitattributes", ".gitignore", ".vscode/settings.json", "README.md", "pyproject.toml"),
        *("modules/01_alpha/alpha_dev.py", "modules/02_beta/beta_dev.py"),
        *("tinytorch/__init__.py", "tinytorch/core/__init__.py"),
        *(".tito/progress.json", ".tito/workspace.json"),
    }
    for name in ("1", "2"):
        assert learner.lesson(name).read_text(encoding="utf-8") == stub(learner.course, learner.module(name)).to_text()
    assert b"return 2 * x" not in b"".join(files.values())
    json.loads(files[".vscode/settings.json"])
    tomllib.loads(files["pyproject.toml"].decode("utf-8"))


def test_the_workspaces_own_settings_make_plain_pytest_work(learner: Learner) -> None:
    """Catches settings with which an editor's test button fails where tito passes."""
    import subprocess
    import sys

    learner.complete("1")
    learner.solve("2")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "modules"],
        cwd=learner.root,
        env=learner.environment({"PYTEST_ADDOPTS": None}),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


@pytest.mark.parametrize(
    "name", ["with space", "with'quote", "ünïcödé→", "-dash", "a" * 200, "deep/er/and/deeper", "tinytorch"]
)
def test_init_in_a_directory_with_an_odd_name(home: Path, tmp_path: Path, name: str) -> None:
    """Catches a name that breaks a path, and a first command that cannot be pasted into a shell."""
    made = Learner(tmp_path / name, home)
    done = (
        made.tito("init", "--", name, cwd=tmp_path) if name.startswith("-") else made.tito("init", name, cwd=tmp_path)
    )
    assert done.code == 0, done.err
    made.solve("1")
    assert made.tito("module", "test", "1").code == 0
    assert json.loads(made.tito("status", "--json").out)["root"] == str(tmp_path / name)


def test_init_says_a_command_that_a_shell_takes(home: Path, tmp_path: Path) -> None:
    """Catches `cd my torch`, which goes nowhere."""
    done = Learner(tmp_path, home).tito("init", "my torch")
    assert "next: cd 'my torch' && tito module test 01" in done.out


@pytest.mark.skipif(os.name == "nt", reason="names there are text")
def test_init_in_a_directory_whose_name_is_no_text(home: Path, tmp_path: Path) -> None:
    """Catches an answer that cannot be printed because of a byte in a path."""
    name = os.fsdecode(b"by\xffte")
    done = Learner(tmp_path, home).child("init", name)
    assert (done.code, done.err) == (0, "")
    root = Learner(tmp_path / name, home)
    assert root.child("status").code == 0
    assert root.child("status", "--json").json["schema"] == "tito.status/1"


def test_init_in_an_empty_directory_that_is_there(home: Path, tmp_path: Path) -> None:
    """Catches `mkdir mytorch && cd mytorch && tito init .` being refused, or leaving the shell nowhere."""
    root = tmp_path / "mytorch"
    root.mkdir()
    before = root.stat().st_ino
    assert Learner(root, home).tito("init", ".").code == 0
    assert root.stat().st_ino == before
    assert Learner(root, home).tito("status").code == 0


def test_init_where_something_is_refuses_and_touches_nothing(learner: Learner, tmp_path: Path) -> None:
    """Catches a workspace over somebody's files, or over another workspace."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work", encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = files_of(tmp_path)
    for name in ("other", "file", "link", "work"):
        done = learner.tito("init", name, cwd=tmp_path)
        assert (done.code, done.out) == (2, "")
        assert "exists and is not an empty directory" in done.err
    assert "next: tito init work --update" in done.err
    assert files_of(tmp_path) == before
    assert not (other / ".tito").exists()


def test_init_of_a_course_that_is_not_there_makes_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches half a workspace from a broken installation."""
    monkeypatch.setenv("TITO_COURSE", str(tmp_path / "nowhere"))
    done = Learner(tmp_path, home).tito("init", "work")
    assert done.code == 3
    assert not (tmp_path / "work").exists()


def test_update_brings_what_is_new_and_touches_no_lesson(learner: Learner) -> None:
    """Catches a newer course that never arrives, and one that overwrites a learner's work."""
    learner.solve("1")
    mine = learner.lesson("1").read_bytes()
    course = learner.home / "course.toml"
    course.write_text(
        course.read_text(encoding="utf-8").replace("released = false", "released = true"), encoding="utf-8"
    )
    lesson = learner.home / "modules/02_beta/beta_dev.py"
    (learner.home / "modules/03_gamma").mkdir()
    (learner.home / "modules/03_gamma/gamma_dev.py").write_text(lesson.read_text(encoding="utf-8"), encoding="utf-8")
    (learner.home / "tinytorch/nn.py").write_text('"""A door."""\n', encoding="utf-8")
    done = learner.tito("init", "--update", ".", "--json")
    assert done.code == 0
    assert sorted(done.json["written"]) == ["modules/03_gamma/gamma_dev.py", "tinytorch/nn.py"]
    assert learner.lesson("1").read_bytes() == mine
    states = [row["state"] for row in learner.tito("status", "--json").json["modules"]]
    assert states == ["in progress", "blocked", "blocked"]
    assert learner.tito("init", "--update", ".", "--json").json["written"] == []


def test_update_keeps_what_it_replaces(learner: Learner) -> None:
    """Catches an edit of a door that an update throws away."""
    door = learner.root / "tinytorch/__init__.py"
    door.write_text("mine = 1\n", encoding="utf-8")
    assert learner.tito("init", "--update", ".").code == 0
    assert "mine" not in door.read_text(encoding="utf-8")
    assert learner.tito("undo").code == 0
    assert door.read_text(encoding="utf-8") == "mine = 1\n"


def test_scaffold_puts_a_stub_where_nothing_is(learner: Learner) -> None:
    """Catches a scaffold that overwrites, and one that leaves a module that cannot be tested."""
    first = learner.lesson("1").read_bytes()
    learner.solve("1")
    solved = learner.lesson("1").read_bytes()
    assert "kept" in learner.tito("module", "scaffold", "1").out
    assert learner.lesson("1").read_bytes() == solved
    learner.lesson("1").unlink()
    assert "made" in learner.tito("module", "scaffold", "1").out
    assert learner.lesson("1").read_bytes() == first


def test_scaffold_takes_the_notebook_that_is_left(learner: Learner) -> None:
    """Catches a learner's notebook that is overwritten by a stub because the script beside it was deleted."""
    learner.solve("1")
    solved = learner.lesson("1").read_bytes()
    assert learner.tito("module", "notebook", "1").code == 0
    learner.lesson("1").unlink()
    assert learner.tito("module", "scaffold", "1").code == 0
    assert learner.lesson("1").read_bytes() == solved


def test_reset_asks_and_undo_brings_the_work_back(learner: Learner) -> None:
    """Catches work that is gone after an answer nobody gave, and a no that is called an interruption."""
    first = learner.lesson("1").read_bytes()
    learner.solve("1")
    mine = learner.lesson("1").read_bytes()
    refused = learner.tito("module", "reset", "1")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert learner.tito("module", "reset", "1", "--json").json["error"] == "UsageError"
    for answer in ("n\n", "\n", "", "maybe\n"):
        kept = learner.tito("module", "reset", "1", typed=answer)
        assert (kept.code, kept.err.endswith("[y/N] left as it is; nothing was changed\n")) == (130, True)
    assert learner.lesson("1").read_bytes() == mine
    assert learner.tito("module", "reset", "1", typed="y\n").code == 0
    assert learner.lesson("1").read_bytes() == first
    assert learner.tito("status", "--json").json["modules"][0]["state"] == "not started"
    assert learner.tito("undo").code == 0
    assert learner.lesson("1").read_bytes() == mine


def test_reset_of_the_tests_keeps_the_code(learner: Learner) -> None:
    """Catches a repair of the locked cells that costs the learner's work, or does not repair."""
    learner.solve("1")
    mine = learner.lesson("1").read_bytes()
    learner.edit("1", "assert double(2) == 4", "assert True")
    assert learner.tito("module", "test", "1").code == 4
    done = learner.tito("module", "reset", "1", "--tests")
    assert done.code == 0
    assert "put back 1 test cell of" in done.out
    assert learner.lesson("1").read_bytes() == mine
    assert "put back 0" in learner.tito("module", "reset", "1", "--tests").out


CUTS = {
    "the first": ("test-double", False),
    "the last": ("test-negate", False),
    "the end of the file": ("test-negate", True),
}


@pytest.mark.parametrize("name", CUTS)
def test_deleted_test_cells_come_back_in_their_place(learner: Learner, name: str) -> None:
    """Catches a cell that is glued to the one before it, or that comes before the code it tests."""
    grade_id, to_the_end = CUTS[name]
    learner.solve("1")
    cells = learner.lesson("1").read_text(encoding="utf-8").split("# %%")
    at = next(i for i, cell in enumerate(cells) if f'"grade_id": "{grade_id}"' in cell)
    left = cells[:at] if to_the_end else cells[:at] + cells[at + 1 :]
    learner.lesson("1").write_text("# %%".join(left).rstrip("\n"), encoding="utf-8")  # and no final newline
    assert learner.tito("module", "test", "1").code == 4
    assert "put back 1 test cell of" in learner.tito("module", "reset", "1", "--tests").out
    assert learner.tito("module", "test", "1").code == 0
    text = learner.lesson("1").read_text(encoding="utf-8")
    assert text.index("def test_unit_double") > text.index("def double")


def test_a_test_cell_that_is_there_twice_is_there_once_again(learner: Learner) -> None:
    """Catches a repair that leaves the copy."""
    learner.solve("1")
    cells = learner.lesson("1").read_text(encoding="utf-8").split("# %%")
    copy = next(cell for cell in cells if '"grade_id": "test-double"' in cell)
    learner.lesson("1").write_text("# %%".join([*cells, copy]), encoding="utf-8")
    assert learner.tito("module", "test", "1").code == 4
    learner.tito("module", "reset", "1", "--tests")
    assert learner.tito("module", "test", "1").code == 0


def test_reset_of_the_tests_carries_an_edited_notebook_over_first(learner: Learner) -> None:
    """Catches a repair of the script that overwrites what the learner wrote in the notebook."""
    learner.solve("1")
    assert learner.tito("module", "notebook", "1").code == 0
    text = learner.notebook("1").read_text(encoding="utf-8")
    learner.notebook("1").write_text(
        text.replace("assert double(2) == 4", "assert True").replace("Doubling and negating.", "My own words."),
        encoding="utf-8",
    )
    assert learner.tito("module", "reset", "1", "--tests").code == 0
    for path in (learner.lesson("1"), learner.notebook("1")):
        assert "My own words." in path.read_text(encoding="utf-8")
        assert "assert double(2) == 4" in path.read_text(encoding="utf-8")
    assert learner.tito("module", "test", "1").code == 0


def test_the_course_repository_is_not_a_learners(author: Learner) -> None:
    """Catches a solution replaced by its stub in the course itself."""
    before = files_of(author.root)
    for words in (
        ["module", "reset", "1", "--yes"],
        ["module", "reset", "1", "--tests"],
        ["module", "scaffold", "1"],
        ["module", "adopt", "1", "--yes"],
        ["init", "--update", "."],
    ):
        assert author.tito(*words).code == 2, words
    assert files_of(author.root) == before
