"""A lesson as a script and as a notebook: whichever was edited wins, and never both."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from support import Learner, files_of


@pytest.fixture
def noted(learner: Learner) -> Learner:
    """Somebody who solved module 01 and asked for its notebook."""
    learner.solve("1")
    learner.prepare("module", "notebook", "1")
    return learner


def page(learner: Learner) -> Any:
    return json.loads(learner.notebook("1").read_text(encoding="utf-8"))


def write_page(learner: Learner, document: Any) -> None:
    learner.notebook("1").write_text(json.dumps(document), encoding="utf-8")


def edit_page(learner: Learner, old: str, new: str) -> None:
    """Edit as JupyterLab does: another layout of the JSON, sources as lists, outputs and counters filled."""
    document = page(learner)
    for cell in document["cells"]:
        source = "".join(cell["source"]).replace(old, new)
        cell["source"] = source.splitlines(keepends=True)
        if cell["cell_type"] == "code":
            cell |= {
                "execution_count": 3,
                "outputs": [{"name": "stdout", "output_type": "stream", "text": ["hello\n"]}],
            }
    write_page(learner, document)


def test_a_notebook_is_made_once_and_agrees(noted: Learner) -> None:
    """Catches a notebook made again over one that is there, and a sync that finds work where there is none."""
    before = files_of(noted.root)
    assert noted.tito("module", "notebook", "1").code == 0
    assert "nothing to carry over" in noted.tito("module", "sync", "1").out
    assert files_of(noted.root) == before
    assert noted.tito("module", "sync", "2").code == 0
    assert not noted.notebook("2").exists()


def test_an_edited_notebook_is_what_is_tested(noted: Learner) -> None:
    """Catches a verdict on the script that the learner no longer edits."""
    script = noted.lesson("1").read_text(encoding="utf-8")
    edit_page(noted, "return 2 * x", "return 5 * x")
    assert noted.tito("module", "test", "1").code == 1
    assert noted.lesson("1").read_text(encoding="utf-8") == script.replace("return 2 * x", "return 5 * x")
    edit_page(noted, "return 5 * x", "return 2 * x")
    assert noted.tito("module", "complete", "1").code == 0
    assert noted.lesson("1").read_text(encoding="utf-8") == script
    assert page(noted)["cells"][2]["outputs"], "the notebook itself is left alone, with its outputs"


def test_an_edited_script_reaches_the_notebook_and_outputs_stay(noted: Learner) -> None:
    """Catches a notebook that shows old code, and outputs that vanish from the cells that did not change."""
    edit_page(noted, "nothing", "nothing")
    noted.edit("1", "return 2 * x", "return x + x")
    assert noted.tito("module", "test", "1").code == 0
    cells = page(noted)["cells"]
    assert "return x + x" in "".join(cells[2]["source"])
    assert cells[2]["outputs"] == []
    assert cells[1]["outputs"][0]["text"] == ["hello\n"]


def test_running_a_notebook_is_no_edit(noted: Learner) -> None:
    """Catches a conflict, or a stale module, that comes from looking at a notebook."""
    noted.prepare("module", "complete", "1")
    edit_page(noted, "nothing", "nothing")
    assert noted.tito("status", "--json").json["modules"][0]["state"] == "complete"
    noted.edit("1", "return 2 * x", "return x + x")
    assert noted.tito("module", "test", "1").code == 0


def both(learner: Learner) -> None:
    learner.edit("1", "Doubling and negating.", "Words in the script.")
    edit_page(learner, "return 2 * x", "return 5 * x")


@pytest.mark.parametrize(
    "words",
    [
        ["module", "test", "1"],
        ["module", "complete", "1"],
        ["module", "sync", "1"],
        ["export", "1"],
        ["module", "notebook", "1"],
    ],
)
def test_both_edited_is_refused_with_the_difference(noted: Learner, words: list[str]) -> None:
    """Catches one of two edits being lost without a word."""
    both(noted)
    before = files_of(noted.root)
    done = noted.tito(*words)
    assert (done.code, done.out) == (4, "")
    for text in ("-# Words in the script.", "+# Doubling and negating.", "-    return 2 * x", "+    return 5 * x"):
        assert text in done.err
    assert "--keep py" in done.err and "--keep ipynb" in done.err
    assert files_of(noted.root) == before
    assert noted.tito("test", "1", "--json").json["lessons"][0]["exit_code"] == 4


@pytest.mark.parametrize("keep", ["py", "ipynb"])
def test_keep_decides_and_undo_brings_the_other_back(noted: Learner, keep: str) -> None:
    """Catches --keep that keeps the other one, or that throws the loser away."""
    both(noted)
    lost = noted.notebook("1") if keep == "py" else noted.lesson("1")
    kept = noted.lesson("1") if keep == "py" else noted.notebook("1")
    losing, winning = lost.read_bytes(), kept.read_bytes()
    assert noted.tito("module", "sync", "1", "--keep", keep).code == 0
    assert kept.read_bytes() == winning
    script, text = noted.lesson("1").read_text(encoding="utf-8"), noted.notebook("1").read_text(encoding="utf-8")
    assert ("Words in the script." in script) == ("Words in the script." in text) == (keep == "py")
    assert ("return 5 * x" in script) == ("return 5 * x" in text) == (keep == "ipynb")
    assert "nothing to carry over" in noted.tito("module", "sync", "1").out
    assert noted.tito("undo").code == 0
    assert lost.read_bytes() == losing
    assert noted.tito("module", "test", "1").code == 4, "after the undo they differ again, and neither is overwritten"


@pytest.mark.parametrize("edited", ["py", "ipynb"])
def test_keep_may_also_take_a_single_edit_back(noted: Learner, edited: str) -> None:
    """Catches --keep that does nothing when only the other side changed."""
    before = noted.lesson("1").read_text(encoding="utf-8")
    if edited == "py":
        noted.edit("1", "return 2 * x", "return 5 * x")
    else:
        edit_page(noted, "return 2 * x", "return 5 * x")
    done = noted.tito("module", "sync", "1", "--keep", "ipynb" if edited == "py" else "py")
    assert done.code == 0
    assert "wrote the" in done.out
    assert noted.lesson("1").read_text(encoding="utf-8") == before
    assert "return 2 * x" in noted.notebook("1").read_text(encoding="utf-8")


def test_keep_takes_two_words_only(noted: Learner) -> None:
    """Catches a slip in --keep that decides."""
    done = noted.tito("module", "sync", "1", "--keep", "notebook")
    assert done.code == 2
    assert "py or ipynb" in done.err


def test_both_edited_the_same_way_is_no_conflict(noted: Learner) -> None:
    """Catches a learner who is asked to choose between two equal files."""
    noted.edit("1", "return 2 * x", "return x + x")
    edit_page(noted, "return 2 * x", "return x + x")
    assert noted.tito("module", "test", "1").code == 0
    assert "nothing to carry over" in noted.tito("module", "sync", "1").out


def test_a_notebook_edited_beside_an_untouched_stub_wins(learner: Learner) -> None:
    """Catches a conflict with a script in which nobody wrote a word."""
    learner.tito("module", "notebook", "1")
    edit_page(learner, "# YOUR CODE HERE\n    raise NotImplementedError()", "return 2 * x")
    learner.tito("doctor", "--repair")
    record = learner.root / ".tito/progress.json"
    facts = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps(facts | {"synced": {}}), encoding="utf-8")
    assert learner.tito("module", "sync", "1").code == 0
    assert "return 2 * x" in learner.lesson("1").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["module", "reset", "1", "--yes"], ["module", "adopt", "1", "--yes"]])
def test_after_a_command_wrote_both_the_notebook_may_be_edited(noted: Learner, words: list[str]) -> None:
    """Catches a conflict between an edit and what tito itself wrote."""
    assert noted.tito(*words).code == 0
    edit_page(noted, "Doubling and negating.", "Words in the notebook.")
    assert noted.tito("module", "sync", "1").code == 0
    assert "Words in the notebook." in noted.lesson("1").read_text(encoding="utf-8")


def test_undoing_a_sync_loses_neither_side(noted: Learner) -> None:
    """Catches an undo after which the old script overwrites what is in the notebook."""
    edit_page(noted, "return 2 * x", "return 5 * x")
    noted.tito("module", "sync", "1")
    assert noted.tito("undo").code == 0
    noted.tito("module", "test", "1")
    assert "return 5 * x" in noted.notebook("1").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"<html>", b"\xff\xfe"])
def test_a_broken_notebook_is_refused_and_can_be_made_again(noted: Learner, content: bytes) -> None:
    """Catches a half-written .ipynb that costs the script, that nothing gets past, or past which no way is named."""
    noted.notebook("1").write_bytes(content)
    script = noted.lesson("1").read_bytes()
    done = noted.tito("module", "test", "1")
    assert done.code == 1
    assert "alpha_dev.ipynb" in done.err and ("--keep py\n" in done.err or "save the file as UTF-8" in done.err)
    assert noted.lesson("1").read_bytes() == script
    assert noted.tito("status").code == 0
    assert noted.tito("module", "sync", "1", "--keep", "py").code == 0
    assert noted.tito("module", "test", "1").code == 0
    assert noted.lesson("1").read_bytes() == script


def test_a_deleted_notebook_is_just_gone(noted: Learner) -> None:
    """Catches a script that is refused, or emptied, because its notebook was deleted."""
    noted.notebook("1").unlink()
    noted.edit("1", "return 2 * x", "return x + x")
    assert noted.tito("module", "complete", "1").code == 0
    assert not noted.notebook("1").exists()
    assert noted.tito("module", "notebook", "1").code == 0
    assert "return x + x" in noted.notebook("1").read_text(encoding="utf-8")


def test_a_notebook_edited_after_completion_makes_the_module_stale(noted: Learner) -> None:
    """Catches "complete" for work that no test has seen."""
    noted.prepare("module", "complete", "1")
    edit_page(noted, "return 2 * x", "return 5 * x")
    row = noted.tito("status", "--json").json["modules"][0]
    assert (row["state"], row["reason"]) == ("stale", "its notebook changed since")


@pytest.mark.parametrize("text", ["import os\n", "x = 1\n\n\n"])
def test_code_above_the_first_cell_is_kept_once(noted: Learner, text: str) -> None:
    """Catches a line above the first marker that is doubled or lost on the way through the notebook."""
    path = noted.lesson("1")
    head, mark, rest = path.read_text(encoding="utf-8").partition("# %% [markdown]\n# # Alpha")
    path.write_text(head + text + "\n" + mark + rest, encoding="utf-8")
    for old, new in (("return 2 * x", "return x + x"), ("return x + x", "return 2 * x")):
        assert noted.tito("module", "sync", "1").code == 0
        edit_page(noted, old, new)
        assert noted.tito("module", "test", "1").code == 0
    assert path.read_text(encoding="utf-8").count(text.strip()) == 1


def test_windows_line_ends_are_no_edit_of_the_notebook(noted: Learner) -> None:
    """Catches a script with CR LF that never agrees with its notebook."""
    path = noted.lesson("1")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert noted.tito("module", "test", "1").code == 0
    assert "nothing to carry over" in noted.tito("module", "sync", "1").out
    edit_page(noted, "return 2 * x", "return x + x")
    assert noted.tito("module", "test", "1").code == 0
    assert b"return x + x" in path.read_bytes()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_sees_no_change_where_there_is_none(noted: Learner) -> None:
    """Catches a notebook whose ids or layout change from one conversion to the next."""
    text = noted.notebook("1").read_bytes()
    noted.notebook("1").unlink()
    assert noted.tito("module", "notebook", "1").code == 0
    assert noted.notebook("1").read_bytes() == text
    subprocess.run(["git", "init", "-q"], cwd=noted.root, check=True)
    listed = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=noted.root, check=True, capture_output=True, text=True
    )
    assert "lock" not in listed.stdout and ".tito/progress.json" in listed.stdout
