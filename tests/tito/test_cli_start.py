"""What is imported, and when; completion in three shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import Learner

from tito.cli.completion import candidates

HEAVY = ("numpy", "jupytext", "nbformat", "nbgrader", "pytest", "pydantic", "tinytorch")
PROBE = """
import sys, io, contextlib, json
from tito.__main__ import main
sys.argv = ["tito", *json.loads(sys.argv[1])]
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    code = main()
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def imported(learner: Learner, words: list[str], env: dict[str, str] | None = None) -> set[str]:
    """The top-level packages that a command imports."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(words)],
        cwd=learner.root,
        env=learner.environment(env),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    code, names = json.loads(done.stdout)
    assert code == 0, done
    return set(names)


@pytest.mark.parametrize("words", [["--version"], ["-V"]])
def test_the_version_imports_next_to_nothing(learner: Learner, words: list[str]) -> None:
    """Catches an import at the top of a file that everybody waits for."""
    assert not imported(learner, words) & {*HEAVY, "typer", "rich", "click", "tomllib", "dataclasses", "pathlib"}


def test_completion_imports_next_to_nothing(learner: Learner) -> None:
    """Catches a pause after each Tab."""
    asked = {"_TITO_COMPLETE": "complete_bash", "COMP_WORDS": "tito module test ", "COMP_CWORD": "3"}
    assert not imported(learner, [], asked) & {*HEAVY, "typer", "rich", "click", "tomllib"}


def test_the_end_looks_for_no_cycles(learner: Learner) -> None:
    """Catches an end that goes through all that was imported: a third of a second after grading."""
    program = """
import atexit, gc, sys
atexit.register(lambda: print(gc.get_freeze_count() > 10_000, file=sys.stderr))  # runs after what is registered later
from tito.__main__ import main
sys.argv = ["tito", "--help"]
sys.exit(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=learner.root,
        env=learner.environment(),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stderr == "True\n", done


@pytest.mark.parametrize("words", [["--help"], ["module", "--help"], ["module", "test", "--help"]])
def test_help_imports_nothing_that_only_work_needs(learner: Learner, words: list[str]) -> None:
    """Catches a help that takes a second."""
    assert not imported(learner, words) & {*HEAVY, "rich"} - {"pydantic"}


@pytest.mark.parametrize("words", [["status"], ["module", "list"], ["module", "path", "1"], ["history"]])
def test_looking_around_imports_nothing_that_only_work_needs(learner: Learner, words: list[str]) -> None:
    """Catches numpy, pytest or the notebook stack in a command that reads a few small files."""
    assert not imported(learner, words) & {*HEAVY}


def test_testing_does_not_import_the_learners_package(learner: Learner) -> None:
    """Catches tito running a learner's code in its own process."""
    learner.solve("1")
    assert not imported(learner, ["module", "complete", "1"]) & {
        "tinytorch",
        "numpy",
        "pytest",
        "nbformat",
        "alpha_dev",
    }


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ([], "mod", ["module"]),
        ([], "x", []),
        (["module"], "co", ["complete"]),
        (["module", "test"], "01", ["01_alpha"]),
        (["module", "test"], "be", ["02_beta"]),
        (["module", "test"], "", ["01_alpha", "02_beta", "03_gamma"]),
        (["module", "test"], "--j", ["--json", "--junit"]),
        (["module", "reset", "01_alpha"], "--y", ["--yes"]),
        (["test"], "--a", ["--all"]),
        (["nonsense", "more"], "mod", ["module"]),
    ],
)
def test_candidates(
    learner: Learner, monkeypatch: pytest.MonkeyPatch, words: list[str], incomplete: str, expected: list[str]
) -> None:
    """Catches a word that is offered where it cannot stand, or not offered where it can."""
    monkeypatch.chdir(learner.home)
    assert sorted(candidates(words, incomplete)) == sorted(expected)


def test_module_names_come_from_the_course_that_commands_use(learner: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches names of another course than the one that TITO_COURSE says."""
    monkeypatch.chdir(learner.lesson("1").parent)
    assert candidates(["module", "test"], "02") == ["02_beta"]


SHELLS = {
    "bash": {"_TITO_COMPLETE": "complete_bash", "COMP_WORDS": "tito module te", "COMP_CWORD": "2"},
    "zsh": {"_TITO_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "tito module te"},
    "fish": {"_TITO_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": "tito module te"},
}


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_is_answered_in_its_way(learner: Learner, shell: str) -> None:
    """Catches an answer that a shell cannot use, and words on stderr in the middle of a prompt."""
    done = learner.child(env=SHELLS[shell])
    assert (done.code, done.err) == (0, "")
    assert done.out.strip() == {"zsh": "_arguments '*: :((\"test\"))'"}.get(shell, "test")


def test_the_bash_script_completes_in_bash(learner: Learner, tmp_path: Path) -> None:
    """Catches a script that bash refuses, or that calls something else than tito."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    program = tmp_path / "bin" / "tito"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tito "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    shown = learner.child("completion", "bash")
    script = shown.out + "\nCOMP_WORDS=(tito module co); COMP_CWORD=2; "
    function = next(line.split("(")[0].split()[-1] for line in shown.out.splitlines() if "()" in line)
    env = learner.environment({"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"})
    done = subprocess.run(
        [bash, "-c", script + f"{function} tito; echo ${{COMPREPLY[@]}}"],
        cwd=learner.root,
        env=env,
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.stdout.strip(), done.stderr) == ("complete", "")
