"""The workspace: finding it, locking it, its record and its history, and what is said when one of them is damaged."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import Learner, files_of

from tito import workspace as module_under_test
from tito.errors import EnvironmentFault
from tito.workspace import Workspace, find_workspace

HOLD = """
import sys, pathlib
from tito.workspace import find_workspace
with find_workspace(pathlib.Path(sys.argv[1])).lock("module complete 01_alpha"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_workspace_is_found_from_below(learner: Learner) -> None:
    """Catches a command that works in the root alone."""
    assert find_workspace(learner.lesson("1").parent).root == learner.root
    assert learner.tito("status", cwd=learner.lesson("1").parent).code == 0


@pytest.mark.parametrize(
    "words", [["status"], ["module", "test", "1"], ["undo"], ["test", "--all"], ["export", "--all"]]
)
def test_no_workspace_says_how_to_make_one(home: Path, tmp_path: Path, words: list[str]) -> None:
    """Catches a traceback, or an empty answer, outside a workspace."""
    done = Learner(tmp_path, home).tito(*words)
    assert (done.code, done.out) == (3, "")
    assert "There is no workspace" in done.err and "next: tito init" in done.err


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "other/1"}', '{"schema": 1}', "\xff"])
def test_a_damaged_marker_is_said(learner: Learner, content: str) -> None:
    """Catches a workspace that silently is none."""
    (learner.root / ".tito/workspace.json").write_bytes(content.encode("latin-1"))
    done = learner.tito("status")
    assert done.code == 3
    assert "workspace.json is damaged" in done.err


def test_two_titos_do_not_change_a_workspace_at_once(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches two commands that write the same files, and a lock that does not say who holds it."""
    monkeypatch.setattr(module_under_test, "LOCK_SECONDS", 0.2)
    before = files_of(learner.root)
    command = [sys.executable, "-c", HOLD, str(learner.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=learner.environment()) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        done = learner.tito("module", "reset", "1", "--yes")
        reading = learner.tito("status")
        holder.kill()
    assert (done.code, reading.code) == (3, 0)
    assert f"tito module complete 01_alpha (process {holder.pid}) is changing this workspace" in done.err
    assert "try again" in done.err
    assert files_of(learner.root) == before
    learner.solve("1")
    assert learner.tito("module", "reset", "1", "--yes").code == 0  # the system gave the dead holder's lock back


def test_changes_at_the_same_time_are_all_recorded(learner: Learner) -> None:
    """Catches two changes with one number in the history, or one that is lost."""
    together = threading.Barrier(8)

    def change(number: int) -> None:
        together.wait()
        learner.workspace.change(f"change {number}", {f"file-{number}": b"x", "shared": str(number).encode()})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(8)))
    entries = learner.workspace.history()
    assert [entry.number for entry in entries] == list(range(1, 9))
    assert {entry.command for entry in entries} == {f"change {number}" for number in range(8)}
    last = (learner.root / "shared").read_text(encoding="utf-8")
    assert entries[-1].command == f"change {last}"


DAMAGED = {
    "empty": b"",
    "half": b'{"schema": "tito.progress/1", "completions": {"01_al',
    "no table": b"[]",
    "null": b"null",
    "newer": b'{"schema": "tito.progress/9"}',
    "no fields": b'{"schema": "tito.progress/1"}',
    "not UTF-8": b"\xff\xfe{}",
    "wrong kind": b"",
}


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_record_is_said_and_repaired(learner: Learner, how: str) -> None:
    """Catches a traceback, a record that starts again at nothing, and a repair that forgets completions."""
    learner.complete("1")
    path = learner.root / ".tito/progress.json"
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"kind": "complete"', b'"kind": "done"') if how == "wrong kind" else DAMAGED[how])
    before = files_of(learner.root)
    for words in (["status"], ["module", "test", "2"], ["module", "reset", "1", "--yes"], ["test", "--all"], ["undo"]):
        done = learner.tito(*words)
        assert (done.code, done.out) == (3, ""), words
        assert "progress.json" in done.err and "next: tito doctor --repair" in done.err
    assert files_of(learner.root) == before
    seen = learner.tito("doctor", "--json")
    assert seen.code == 3
    assert [check["hint"] for check in seen.json["checks"] if check["state"] == "bad"] == ["tito doctor --repair"]
    done = learner.tito("doctor", "--repair")
    assert done.code == 0
    assert "01_alpha" in done.out
    assert (path.with_name("progress.damaged-1.json")).read_bytes() == before[".tito/progress.json"]
    states = {row["module"]: row["state"] for row in learner.tito("status", "--json").json["modules"]}
    assert states["01_alpha"] == "complete"
    assert "nothing to repair" in learner.tito("doctor", "--repair").out


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"number": 1}', b'{"colour": 1}', b"\xff"])
def test_a_damaged_history_is_said_and_loses_nothing(learner: Learner, content: bytes) -> None:
    """Catches a traceback from `tito undo`, or a change whose number is used again."""
    learner.solve("1")
    assert learner.tito("module", "reset", "1", "--yes").code == 0
    (learner.root / ".tito/history/000001.json").write_bytes(content)
    before = files_of(learner.root)
    for words in (["history"], ["undo"], ["module", "adopt", "1", "--yes"]):
        done = learner.tito(*words)
        assert done.code == 3, words
        assert ".tito/history/000001.json is damaged" in done.err and "next: " in done.err
    assert files_of(learner.root) == before


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"other")])
def test_lost_contents_are_not_restored_as_something_else(learner: Learner, damage: object) -> None:
    """Catches an undo that puts damaged contents in place of a good file."""
    learner.solve("1")
    assert learner.tito("module", "reset", "1", "--yes").code == 0
    for path in (learner.root / ".tito/objects").iterdir():
        damage(path)  # type: ignore[operator]
    before = files_of(learner.root)
    done = learner.tito("undo")
    assert done.code == 3
    assert "cannot be taken back" in done.err
    assert files_of(learner.root) == before


def test_a_lesson_that_is_not_utf8_is_named_with_its_line(learner: Learner) -> None:
    """Catches a decoding error's traceback, and a status that breaks over one file."""
    learner.solve("1")
    path = learner.lesson("1")
    line = path.read_bytes().split(b"\n").index(b"# Doubling and negating.") + 1
    path.write_bytes(path.read_bytes().replace(b"Doubling and", b"Doubl\xefng and"))
    for words in (["module", "test", "1"], ["module", "complete", "1"], ["export", "1"], ["module", "diff", "1"]):
        done = learner.tito(*words)
        assert (done.code, done.out) == (1, "")
        assert (
            f"alpha_dev.py, line {line}: byte 0xef is not UTF-8" in done.err
            and "next: save the file as UTF-8" in done.err
        )
    assert learner.tito("status").code == 0
    assert learner.tito("test", "--all", "--json").json["lessons"][0]["verdict"] == "unreadable"


def test_a_lesson_that_is_missing_is_said_with_the_way_back(learner: Learner) -> None:
    """Catches a traceback for a deleted file."""
    learner.lesson("1").unlink()
    done = learner.tito("module", "test", "1")
    assert done.code == 1
    assert "alpha_dev.py is missing" in done.err and "next: tito module scaffold 01_alpha" in done.err
    assert learner.tito("status", "--json").json["modules"][0]["state"] == "missing"
    assert learner.tito("module", "scaffold", "1").code == 0
    assert learner.tito("status", "--json").json["modules"][0]["state"] == "not started"


def test_a_file_where_a_directory_belongs_is_said(learner: Learner) -> None:
    """Catches a traceback for a file system that is not as tito left it."""
    learner.lesson("1").unlink()
    learner.lesson("1").mkdir()
    for words in (["module", "test", "1"], ["status"], ["module", "reset", "1", "--yes"]):
        done = learner.tito(*words)
        assert done.code in (0, 1, 3), words
        assert "Traceback" not in done.err
        assert done.code == 0 or "next: " in done.err


def test_permissions_of_a_file_are_kept(learner: Learner) -> None:
    """Catches a lesson that others could read, or run, before a reset and not after it."""
    learner.solve("1")
    learner.lesson("1").chmod(0o750)
    assert learner.tito("module", "reset", "1", "--yes").code == 0
    assert learner.lesson("1").stat().st_mode & 0o777 == 0o750


def test_nothing_is_written_outside_the_root(learner: Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a file in the person's home or beside the workspace."""
    person = tmp_path / "person"
    person.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(person))
    learner.solve("1")
    for words in (["module", "complete", "1"], ["module", "notebook", "1"]):
        assert learner.child(*words).code == 0
    assert files_of(person) == {}
    assert {path.name for path in tmp_path.iterdir()} == {"course", "work", "person"}


def test_reading_needs_no_write(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a status that fails in a read-only checkout, or a test run that changes the workspace."""
    learner.solve("1")
    before = files_of(learner.root)
    monkeypatch.setattr(Workspace, "lock", _refuse)
    for words in (["status"], ["module", "list"], ["module", "test", "1"], ["history"], ["module", "path", "1"]):
        assert learner.tito(*words).code == 0, words
    assert learner.tito("test", "1").code == 0
    assert files_of(learner.root) == before


def _refuse(workspace: Workspace, command: str) -> None:
    raise EnvironmentFault(f"{command} wants to write.")


def test_the_record_is_stable_json(learner: Learner) -> None:
    """Catches a record that differs between two equal states, which git would show as a change."""
    text = (learner.root / ".tito/progress.json").read_text(encoding="utf-8")
    assert list(json.loads(text)) == ["schema", "completions", "stubs", "hints", "spoiled", "failed", "synced"]
    learner.tito("status")
    assert (learner.root / ".tito/progress.json").read_text(encoding="utf-8") == text
