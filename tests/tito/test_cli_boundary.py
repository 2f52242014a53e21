"""Where commands meet the terminal: streams, exit codes, one JSON document, colour, width."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import Done, Learner

COMMANDS = [
    ["status"],
    ["module", "list"],
    ["module", "status", "1"],
    ["module", "test", "1"],
    ["module", "path", "1"],
    ["module", "hint", "1"],
    ["module", "diff", "1"],
    ["module", "grade", "1"],
    ["module", "solution", "1", "--spoil"],
    ["test", "--all"],
    ["export", "--check"],
    ["history"],
    ["doctor"],
    ["config", "show", "--origin"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_answer_of_json_is_one_document_with_a_schema(learner: Learner, words: list[str]) -> None:
    """Catches a remark or a progress bar in the document, and a document without a name."""
    done = learner.tito(*words, "--json")
    assert done.json["schema"].startswith("tito.")
    assert done.err == ""
    assert learner.tito(*words).code == done.code


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nonsense"], 2, "nonsense"),
        (["module", "nonsense"], 2, "nonsense"),
        (["module", "test"], 2, "MODULE"),
        (["module", "test", "1", "--nonsense"], 2, "--nonsense"),
        (["module", "test", "99"], 2, "There is no module named '99'"),
        (["module", "test", "alpah"], 2, "There is no module named 'alpah'"),
        (["module", "test", "3"], 2, "03_gamma is not in this release"),
        (["test", "--all", "1"], 2, "one of them"),
        (["test", "-j", "0", "--all"], 2, "-j takes a number"),
        (["test", "-j", "two", "--all"], 2, "-j takes a number"),
        (["export"], 2, "--all"),
        (["undo", "7"], 2, "no change number 7"),
        (["undo", "seven"], 2, "integer"),
        (["undo"], 2, "nothing to undo"),
        (["status", "--color", "purple"], 2, "auto, always or never"),
        (["module", "test", "2"], 1, "builds on 01_alpha"),
        (["module", "why", "1"], 1, "was not completed here"),
        (["module", "solution", "1"], 1, "stays closed"),
        (["test"], 5, "No module is complete yet"),
        (["test", "--failed"], 5, "No module failed"),
        (["init", "."], 2, "not an empty directory"),
    ],
)
def test_errors_are_on_stderr_with_their_code_and_what_to_do(
    learner: Learner, words: list[str], code: int, says: str
) -> None:
    """Catches an error on stdout, a wrong exit code, an error without a way on, and JSON that is not one document."""
    done = learner.tito(*words)
    assert (done.code, done.out) == (code, ""), done
    assert says in done.err and "\nnext: " in done.err
    assert "Traceback" not in done.err
    for place in ([*words, "--json"], ["--json", *words]):
        told = learner.tito(*place)
        assert (told.code, told.err) == (code, "")
        assert (told.json["schema"], told.json["exit_code"]) == ("tito.error/1", code)
        assert says in told.json["message"] and told.json["hint"]


@pytest.mark.parametrize(
    ("words", "ways"),
    [
        (["hint", "1"], "tito module hint"),
        (["check"], "tito analyze check or tito dev check"),
        (["modul", "test", "1"], "tito --help"),
    ],
    ids=str,
)
def test_a_command_without_its_group_is_found(learner: Learner, words: list[str], ways: str) -> None:
    """Catches an answer to `tito hint` that offers `tito init`."""
    done = learner.tito(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"\nnext: {ways}\n")
    assert ("init" in done.err) is False


def test_no_command_at_all_is_help_and_a_usage_error(learner: Learner) -> None:
    """Catches an empty answer to the first thing that anybody types, and help that is no JSON under --json."""
    for words in ([], ["module"], ["config"]):
        done = learner.tito(*words)
        assert (done.code, done.out) == (2, "")
        assert "Usage: tito" in done.err
    assert learner.tito("--json").json["exit_code"] == 2


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["module", "test", "--help"], ["test", "-h"]])
def test_help_is_an_answer(learner: Learner, words: list[str]) -> None:
    """Catches help on stderr, or help that begins with something else than examples."""
    done = learner.tito(*words)
    assert (done.code, done.err) == (0, "")
    assert "tito " in done.out.partition("Options:")[0].partition("\n")[2]


def interrupted(learner: Learner, how: signal.Signals, *words: str) -> tuple[Done, list[str]]:
    """A signal to tito when a test is known to run; and what processes of this learner are left a while later."""
    note = learner.root / "running"
    learner.edit("1", "return 2 * x", f"import time; open({str(note)!r}, 'w').close(); time.sleep(1e6)")
    # What started these tests may ignore SIGHUP, as nohup does, or SIGINT, as a script's & does; children inherit it.
    start = "import os, sys; from signal import *; [signal(each, SIG_DFL) for each in (SIGHUP, SIGINT)]; "
    start += "os.execv(sys.argv[1], sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", start, *learner.command(*words)],
        cwd=learner.root,
        env=learner.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        until = time.monotonic() + 60
        while not note.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert note.exists()
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    until = time.monotonic() + (0 if how is signal.SIGINT else 20)
    while (left := running(learner)) and time.monotonic() < until:
        time.sleep(0.1)
    return Done(process.returncode, out, err), left


def running(learner: Learner) -> list[str]:
    """The command lines of the children that run tests, with this learner's temporary specification in them."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if "pytest_child" in line and str(learner.root.parent) in line]


@pytest.mark.skipif(os.name == "nt", reason="needs signals and ps")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGHUP"])
def test_a_killed_tito_leaves_no_test_running(learner: Learner, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an endless loop that goes on when the terminal in which it was started is closed."""
    (learner.root.parent / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(learner.root.parent / "tmp"))  # which is part of the child's command line
    learner.solve("1")
    done, left = interrupted(learner, signal.Signals[how], "module", "test", "1")
    assert (done.code, left) == (-signal.Signals[how], [])


@pytest.mark.skipif(os.name == "nt", reason="needs SIGINT and ps")
@pytest.mark.parametrize("words", [["module", "test", "1"], ["test", "--all", "-j", "2"], ["module", "complete", "1"]])
@pytest.mark.parametrize("as_json", [False, True])
def test_an_interruption_ends_everything_and_says_so(
    learner: Learner, words: list[str], as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a test that goes on computing after Ctrl-C, a traceback, and JSON that breaks off."""
    (learner.root.parent / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(learner.root.parent / "tmp"))  # which is part of the child's command line
    learner.solve("1")
    done, left = interrupted(learner, signal.SIGINT, *words, *(["--json"] if as_json else []))
    assert (done.code, left) == (130, [])
    assert "Traceback" not in done.err
    if as_json:
        assert (done.json["schema"], done.json["exit_code"]) == ("tito.error/1", 130)
    else:
        assert "interrupted" in done.err
        assert done.out == ""


def test_a_broken_pipe_is_quiet_and_no_success(learner: Learner) -> None:
    """Catches a traceback after `| head`, and a verdict that nobody read passing for 0."""
    for words in (["status"], ["module", "test", "1"], ["nonsense"], ["status", "--json"]):
        script = f"{sys.executable} -m tito {' '.join(words)} 2>&1 | :; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=learner.root, env=learner.environment(), capture_output=True, encoding="utf-8"
        )
        assert done.stderr == ""
        assert int(done.stdout) in (141, 2 if words == ["nonsense"] else 141)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["status"], ["status", "--json"], ["module", "test", "1", "--json"]])
def test_an_answer_that_cannot_be_written_is_an_error(learner: Learner, words: list[str]) -> None:
    """Catches exit code 0 for an answer that went nowhere."""
    script = f"{sys.executable} -m tito {' '.join(words)} > /dev/full"
    done = subprocess.run(
        ["bash", "-c", script], cwd=learner.root, env=learner.environment(), capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 3
    assert "could not be written" in done.stderr or "No space left" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_crash(learner: Learner, closed: str) -> None:
    """Catches a traceback where a service manager starts tito without streams."""
    for words, code in ((["status"], 0), (["module", "reset", "1"], 2)):
        script = f"{sys.executable} -m tito {' '.join(words)} {closed}"
        done = subprocess.run(["bash", "-c", script], cwd=learner.root, env=learner.environment(), capture_output=True)
        assert done.returncode == code, (words, done)
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "encoding"),
    [*((words, "ascii") for words in COMMANDS), (["status"], "latin-1"), (["module", "test", "1"], "cp1252")],
)
def test_a_stream_that_cannot_carry_symbols_gets_words(learner: Learner, encoding: str, words: list[str]) -> None:
    """Catches a UnicodeEncodeError, or rows of question marks, on an old terminal."""
    done = learner.tito(*words, encoding=encoding)
    assert done.out.isascii() and done.err.isascii()
    assert "Traceback" not in done.err
    assert done.out.count("?") <= 6  # unanswered points


def test_ascii_in_a_process_of_its_own(learner: Learner) -> None:
    """Catches what only the interpreter's own streams do: help, errors and JSON included."""
    for words in (["--help"], ["module", "test", "1"], ["status", "--json"], ["module", "test", "é"]):
        done = learner.child(*words, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
        assert done.code in (0, 1, 2) and (done.out + done.err).isascii(), words
        assert "Traceback" not in done.err


def test_a_path_that_is_no_text_does_not_break_the_answer(learner: Learner, home: Path, tmp_path: Path) -> None:
    """Catches an answer lost to a byte in a path, and JSON that is not UTF-8."""
    root = tmp_path / os.fsdecode(b"by\xffte")
    learner.root.rename(root)
    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    assert Learner(root, home).child("status", env=strict).code == 0
    done = Learner(root, home).child("status", "--json", env=strict)
    done.out.encode("utf-8")
    assert os.fsencode(done.json["root"]) == os.fsencode(root)


@pytest.mark.parametrize("words", [["status"], ["module", "test", "1"], ["module", "list"], ["test", "--all"]])
@pytest.mark.parametrize("width", ["20", "40"])
def test_narrow_terminals_cut_no_word_and_no_number(
    learner: Learner, words: list[str], width: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a table that loses its last columns, or a name that is cut."""
    wide = learner.tito(*words, "--plain").out
    monkeypatch.setenv("COLUMNS", width)
    narrow = learner.tito(*words).out
    assert "…" not in narrow
    for word in ("01_alpha", "02_beta"):
        assert (word in narrow) == (word in wide)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_plain_answers_have_no_tables_colours_or_symbols(learner: Learner, words: list[str]) -> None:
    """Catches a screen reader that reads out boxes."""
    done = learner.tito(*words, "--plain")
    assert not set(done.out) & set("─│┃━╭╮✓✗→·\x1b")


@pytest.mark.parametrize(
    ("words", "env", "colored"),
    [
        ([], {}, False),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--color", "always"], {}, True),
        (["--color=always"], {"NO_COLOR": "1"}, True),
        (["--color", "always"], {"TERM": "dumb"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        (["--color", "auto"], {"TITO_COLOR": "always"}, False),
        ([], {"TITO_COLOR": "always"}, True),
        ([], {"TITO_COLOR": "never", "FORCE_COLOR": "1"}, False),
        (["--plain", "--color", "always"], {}, False),
        (["--json", "--color", "always"], {}, False),
    ],
)
def test_colour_is_where_it_is_wanted(
    learner: Learner, monkeypatch: pytest.MonkeyPatch, words: list[str], env: dict[str, str], colored: bool
) -> None:
    """Catches escape codes in a file, and a variable that wins over a flag."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    learner.solve("1")
    out = learner.tito("status", *words).out
    assert ("\x1b[3" in out) is colored
    if not colored and "NO_COLOR" not in env:  # which leaves bold as it is
        assert "\x1b" not in out


def test_a_setting_that_cannot_be_used_costs_no_work(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a completion that succeeds and exits with an error because of how it would have been drawn."""
    learner.solve("1")
    monkeypatch.setenv("TITO_COLOR", "purple")
    done = learner.tito("module", "complete", "1")
    assert done.code == 0
    assert "purple" in done.err and "TITO_COLOR" in done.err
    assert learner.tito("config", "show").code == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tool.tito]\njobs = 'many'\n", "jobs"),
        ("[tool.tito]\njbos = 2\n", "jbos"),
        ("[tool\n", "pyproject"),
        ("tool.tito = 3\n", "table"),
        ("tool = 3\n", ""),
    ],
)
def test_wrong_settings_in_a_file_are_named(learner: Learner, text: str, says: str) -> None:
    """Catches a slip in pyproject.toml that is silently ignored, or that ends in a traceback."""
    (learner.root / "pyproject.toml").write_text(text, encoding="utf-8")
    done = learner.tito("config", "show")
    assert (done.code, "Traceback" in done.err) == (3 if says else 0, False)
    assert says in done.err


def test_settings_come_from_the_nearest_place(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an order in which a file wins over a variable, or nothing says where a value came from."""
    (learner.root / "pyproject.toml").write_text("[tool.tito]\njobs = 3\nplain = true\n", encoding="utf-8")
    monkeypatch.setenv("TITO_JOBS", "5")
    rows = {row["name"]: row for row in learner.tito("config", "show", "--origin", "--json").json["settings"]}
    assert (rows["jobs"]["value"], rows["jobs"]["origin"]) == ("5", "TITO_JOBS")
    assert (rows["plain"]["value"], rows["plain"]["origin"]) == ("true", "pyproject.toml [tool.tito]")
    assert rows["color"]["origin"] == "default"


def test_each_change_of_state_ends_with_what_is_next(learner: Learner) -> None:
    """Catches a command after which a learner does not know how to go on."""
    learner.solve("1")
    for words in (
        ["module", "complete", "1"],
        ["export", "--all"],
        ["module", "reset", "1", "--yes"],
        ["undo"],
        ["status"],
    ):
        lines = learner.tito(*words, "--plain").out.strip().splitlines()
        assert [line for line in lines if line.startswith("next: ")] == lines[-1:], words


@pytest.mark.parametrize(
    ("editor", "code"),
    [("true", 0), ("true --wait", 0), ("false", 3), ("nowhere-to-be-found", 3), ("'unbalanced", 3), ("", 3)],
)
def test_opening_a_lesson(learner: Learner, monkeypatch: pytest.MonkeyPatch, editor: str, code: int) -> None:
    """Catches a traceback for an editor that is not there."""
    monkeypatch.setenv("EDITOR", editor)
    done = learner.tito("module", "open", "1")
    assert (done.code, "Traceback" in done.err) == (code, False)
    assert code == 0 or "next: " in done.err


def test_the_path_of_a_lesson_is_for_other_programs(learner: Learner) -> None:
    """Catches a path that `$(tito module path 1)` cannot use."""
    assert learner.tito("module", "path", "1").out == f"{learner.lesson('1')}\n"
    os.environ["COLUMNS"] = "20"
    try:
        assert learner.tito("module", "path", "1").out == f"{learner.lesson('1')}\n"
    finally:
        del os.environ["COLUMNS"]


def test_json_of_status_has_what_a_script_asks_for(learner: Learner) -> None:
    """Catches a change in the names that scripts rely on."""
    learner.solve("1")
    learner.tito("module", "complete", "1")
    document = learner.tito("status", "--json").json
    assert (document["complete"], document["released"], document["next"]) == (1, 2, "tito module test 02_beta")
    assert json.dumps(document["modules"][2]["state"]) == '"not in this release"'


def test_status_says_how_many_modules_are_still_to_come(learner: Learner) -> None:
    """Catches "1 more modules are"."""
    assert "1 more module is not in this release: tito module list" in learner.tito("status").out
