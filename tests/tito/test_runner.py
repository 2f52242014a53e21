"""The verdict: what a learner's file can do to a run of its tests, and what is said about it."""

from __future__ import annotations

import os
import py_compile
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from support import Learner

from tito import runner
from tito.report import CaseResult, Outcome, Verdict, verdict_of

CORRECT = "return 2 * x"


@pytest.fixture
def solver(learner: Learner) -> Learner:
    """Somebody who solved module 01 and spoils it in one place."""
    learner.solve("1")
    return learner


@pytest.fixture
def quick(home: Path) -> None:
    """Give every test of module 01 one second."""
    lesson = home / "modules/01_alpha/alpha_dev.py"
    text = lesson.read_text(encoding="utf-8")
    lesson.write_text(
        re.sub(r'("solution": false, "task": false\})', r'\1 tito={"timeout": 1}', text), encoding="utf-8"
    )


def verdict(learner: Learner, code: int) -> Any:
    """The report of module 01, which is one JSON document and agrees with the exit code."""
    done = learner.tito("module", "test", "1", "--json")
    assert (done.code, done.err) == (code, ""), (done.out, done.err)
    assert done.json["schema"] == "tito.test/1"
    assert done.json["exit_code"] == code
    return done.json


def outcomes(report: Any) -> dict[str, str]:
    return {case["name"]: case["outcome"] for case in report["cases"]}


def test_a_solution_passes_and_says_on_what_that_rests(solver: Learner) -> None:
    """Catches a pass that does not name the file, its hash and the counts."""
    report = verdict(solver, 0)
    assert outcomes(report) == {"test_unit_double": "passed", "test_module_alpha": "passed"}
    assert (report["file"], report["collected"], report["passed"]) == ("modules/01_alpha/alpha_dev.py", 2, 2)
    assert (report["points"], report["points_possible"]) == (15, 15)
    import hashlib

    assert report["source_hash"] == hashlib.sha256(solver.lesson("1").read_bytes()).hexdigest()


def test_a_stub_fails_and_earns_nothing(learner: Learner) -> None:
    """Catches a test that passes on NotImplementedError."""
    report = verdict(learner, 1)
    assert (report["verdict"], report["points"]) == ("failed", 0)
    assert "NotImplementedError" in report["cases"][0]["message"]


def test_the_first_failure_is_in_full_and_the_others_in_one_line(solver: Learner) -> None:
    """Catches a failure without its values, or with a page for each test that follows from it."""
    solver.edit("1", CORRECT, "print('seen', x); return 3 * x")
    done = solver.tito("module", "test", "1")
    assert done.code == 1
    assert "assert 6 == 4" in done.out
    assert "it printed:\nseen 2" in done.out
    assert len([line for line in done.out.splitlines() if line.startswith("test_module_alpha failed: ")]) == 1
    assert done.out.count("Error") <= 2 + done.out.count("AssertionError")


def broken(learner: Learner, code: str) -> None:
    learner.edit("1", CORRECT, code)


@pytest.mark.parametrize(
    ("body", "outcome", "says"),
    [
        ("import sys; sys.exit(0)", "exited", r"called exit \(0\)"),
        ("raise SystemExit", "exited", r"called exit \(None\)"),
        ("import os; os._exit(0)", "exited", "exit code 0"),
        ("import os; os._exit(3)", "exited", "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "exited", "SIGSEGV"),
        ("import os; os.abort()", "exited", "SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exited", "SIGKILL"),
        ("raise KeyboardInterrupt", "exited", "KeyboardInterrupt"),
        ("import pytest; pytest.exit('bye')", "exited", "Exit: bye"),
        ("import pytest; pytest.exit('bye', returncode=0)", "exited", "Exit: bye"),
        ("import pytest; pytest.skip('not now')", "skipped", "not now"),
        ("import pytest; pytest.xfail('later')", "skipped", "later"),
        ("return double(x)", "failed", "RecursionError"),
        ("raise MemoryError('all of it')", "failed", "MemoryError"),
        ("raise BaseException('base')", "failed", "BaseException"),
        ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})", "failed", "Odd"),
    ],
)
def test_one_test_that_goes_wrong_costs_that_test_alone(solver: Learner, body: str, outcome: str, says: str) -> None:
    """Catches an end of the process, of pytest or of the stack that passes, or that hides the other tests."""
    broken(solver, f"if x == 2:\n        {body}\n    return 2 * x")
    report = verdict(solver, 1)
    assert outcomes(report) == {"test_unit_double": outcome, "test_module_alpha": "passed"}
    assert re.search(says, report["cases"][0]["message"]), report["cases"][0]
    assert report["points"] == 5


@pytest.mark.skipif(os.name == "nt", reason="needs a way to block without Python code")
@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "import time; time.sleep(1e6)",
        "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
        "import re; re.match('(a+)+$', 'a' * 60 + 'b')",  # inside C code that never looks for signals
        "import faulthandler, time; faulthandler.cancel_dump_traceback_later(); time.sleep(1e6)",
    ],
)
def test_an_endless_loop_is_ended_and_the_other_tests_run(
    quick: None, solver: Learner, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    """Catches a run that hangs, and a hang that is reported as a plain failure."""
    monkeypatch.setattr(runner, "GRACE", 0.5)
    broken(solver, f"if x == 2:\n        {body}\n    return 2 * x")
    report = verdict(solver, 6)
    assert outcomes(report) == {"test_unit_double": "time limit", "test_module_alpha": "passed"}
    assert "still running after 1 s" in report["cases"][0]["message"]
    if "cancel" not in body:
        assert "alpha_dev.py" in report["cases"][0]["detail"]


LOADING = {
    "import sys\nsys.exit(0)": (1, "exited", "SystemExit: 0"),
    "import os\nos._exit(0)": (1, "exited", "exit code 0"),
    "import os\nos._exit(3)": (1, "exited", "exit code 3"),
    "import os\nos.abort()": (1, "exited", "SIGABRT"),
    "raise KeyboardInterrupt": (1, "exited", "KeyboardInterrupt"),
    "import pytest\npytest.exit('bye')": (1, "exited", "Exit: bye"),
    "import nowhere_to_be_found": (1, "import failed", "nowhere_to_be_found"),
    "1 / 0": (1, "import failed", "ZeroDivisionError"),
    "raise BaseException('base')": (1, "import failed", "base"),
    "x = = 1": (1, "syntax error", "invalid syntax"),
    "x = '\0'": (1, "syntax error", "null byte"),
    "x = " + "(" * 500: (1, "syntax error", "nested"),
    "x = " + "-" * 200_000 + "1": (1, "syntax error", "line"),
    "__test__ = False": (5, "nothing ran", "none of its tests"),
    "import pytest\npytest.skip('all of it', allow_module_level=True)": (5, "nothing ran", "none of its tests"),
    "import pytest\npytestmark = pytest.mark.skip": (5, "nothing ran", "skipped"),
    "import pytest\npytestmark = pytest.mark.parametrize('x', [])": (1, "import failed", "uses no argument"),
    "for name in [n for n in globals() if n.startswith('test_')]:\n    del globals()[name]": (
        5,
        "nothing ran",
        "none of its tests",
    ),
}


@pytest.mark.parametrize("code", LOADING, ids=[code[:40].replace("\0", "NUL") for code in LOADING])
def test_a_file_that_cannot_be_loaded_has_its_own_verdict(solver: Learner, code: str) -> None:
    """Catches a file whose tests never ran and that passes, or fails without saying why."""
    expected, name, says = LOADING[code]
    solver.append("1", code)
    report = verdict(solver, expected)
    assert (report["verdict"], report["passed"], report["points"]) == (name, 0, 0)
    assert says in report["message"]


def test_an_endless_loop_at_import_is_ended(solver: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a file that hangs before the first test, where no test's limit holds."""
    monkeypatch.setattr(runner, "LOAD_LIMIT", 1.0)
    solver.append("1", "while True:\n    pass")
    report = verdict(solver, 6)
    assert "loading the file: still running after 1 s" in report["message"]
    assert "alpha_dev.py" in report["detail"]


def test_one_test_that_is_gone_at_run_time_is_no_pass(solver: Learner) -> None:
    """Catches "all tests passed" when one of them was deleted while the file was loaded."""
    solver.append("1", "globals().pop('test_unit_double')")
    report = verdict(solver, 1)
    assert outcomes(report) == {"test_unit_double": "not run", "test_module_alpha": "passed"}
    assert "not there" in report["cases"][0]["message"]


@pytest.mark.parametrize(
    "code",
    [
        "globals()['test_unit_double'] = lambda: None",
        "globals()['test_unit_' + 'double'] = type(test_module_alpha)(test_module_alpha.__code__, globals())",
        "setattr(__import__('sys').modules[__name__], 'test_unit_double', print)",
    ],
)
def test_a_test_replaced_at_run_time_is_an_integrity_fault(solver: Learner, code: str) -> None:
    """Catches a function of the learner's own that passes under a test's name."""
    broken(solver, "return 3 * x")
    solver.append("1", code)
    report = verdict(solver, 4 if "print" not in code else 1)
    assert report["cases"][0]["outcome"] == "not run"


@pytest.mark.parametrize(
    "code",
    [
        "def test_unit_double():\n    pass",
        "test_unit_double = lambda: None",
        "if True:\n    from os import getcwd as test_unit_double",
        "class test_unit_double:\n    pass",
        "del test_unit_double",
        "try:\n    async def test_unit_double(): pass\nfinally:\n    pass",
    ],
)
def test_a_test_defined_again_is_an_integrity_fault(solver: Learner, code: str) -> None:
    """Catches a second definition, which Python prefers to the locked one."""
    solver.append("1", code)
    report = verdict(solver, 4)
    assert "test_unit_double is given another meaning" in report["message"]
    assert "--tests" not in report["hint"]


def test_a_graded_cell_of_the_learners_own_may_not_redefine_a_test(solver: Learner) -> None:
    """Catches a second definition that hides in a cell with a test cell's metadata."""
    meta = '{"grade": true, "grade_id": "mine", "locked": true, "points": 9, "schema_version": 3, "solution": false}'
    with solver.lesson("1").open("a", encoding="utf-8") as stream:
        stream.write(f"\n# %% nbgrader={meta}\ndef test_unit_double():\n    pass\n")
    assert "another meaning" in verdict(solver, 4)["message"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("assert double(2) == 4", "assert True", "test-double was edited (line 34)"),
        ('    """Doubling works for both signs."""\n', "", "test-double was edited (line 34)"),
        ('"grade_id": "test-double"', '"grade_id": "test-other"', "test-double was deleted"),
        ('"grade_id": "negate"', '"grade_id": "test-double"', "test-double is there 2 times"),
    ],
)
def test_an_edited_test_cell_is_an_integrity_fault(solver: Learner, old: str, new: str, says: str) -> None:
    """Catches a learner's test in place of the course's."""
    solver.edit("1", old, new)
    report = verdict(solver, 4)
    assert report["verdict"] == "locked tests changed"
    assert says in report["message"]
    assert report["hint"] == "tito module reset 01_alpha --tests"
    assert report["passed"] == 0


@pytest.mark.parametrize(("old", "new"), [("\n", "\r\n"), ("assert double(2) == 4\n", "assert double(2) == 4   \n")])
def test_white_space_that_an_editor_changes_is_no_edit(solver: Learner, old: str, new: str) -> None:
    """Catches line ends of Windows, or spaces at a line's end, that lock a learner out."""
    path = solver.lesson("1")
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    assert verdict(solver, 0)["passed"] == 2


def test_a_byte_order_mark_is_no_syntax_error(solver: Learner) -> None:
    """Catches a file that Python imports and tito refuses, because an editor of Windows saved it."""
    path = solver.lesson("1")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert verdict(solver, 0)["passed"] == 2
    assert solver.tito("module", "complete", "1").code == 0


def test_prints_are_captured_and_cut(solver: Learner) -> None:
    """Catches learner's prints in the answer of --json, and output without bounds in memory and on screen."""
    broken(solver, "print('word ' * 2_000_000); import os; os.write(1, b'raw\\n'); return 3 * x")
    report = verdict(solver, 1)
    assert "characters left out" in report["cases"][0]["output"]
    assert len(report["cases"][0]["output"]) < 25_000


def test_a_value_that_is_huge_does_not_make_a_huge_report(solver: Learner) -> None:
    """Catches an assertion on a long list that prints all of it."""
    broken(solver, "return 'x' * 3_000_000")
    assert len(str(verdict(solver, 1))) < 60_000


def test_output_that_is_not_utf8_does_not_break_the_report(solver: Learner) -> None:
    """Catches a decoding error in the tool for bytes that the learner printed."""
    broken(solver, "import os; os.write(1, bytes(range(256))); print('\\udcff', '\\x00'); return 3 * x")
    assert verdict(solver, 1)["cases"][0]["outcome"] == "failed"


EVIL = "raise SystemExit('this file must not be loaded')\n"


BESIDE = {
    **dict.fromkeys(("conftest.py", "modules/conftest.py", "modules/01_alpha/conftest.py"), EVIL),
    **dict.fromkeys(
        ("sitecustomize.py", "usercustomize.py", "pytest.py", "numpy.py", "random.py", "statistics.py"), EVIL
    ),
    **dict.fromkeys(("modules/01_alpha/numpy.py", "modules/01_alpha/tinytorch/__init__.py"), EVIL),
    "pytest.ini": "[pytest]\naddopts = --collect-only\npython_functions = nothing\n",
    "modules/pytest.ini": "[pytest]\naddopts = -k nothing\n",
    "tox.ini": "[pytest]\naddopts = -k nothing\n",
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-k nothing -p evil"\n',
}


def test_files_beside_the_lesson_do_not_change_the_verdict(solver: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a run that rests on a learner's settings, or on a file with the name of a library."""
    monkeypatch.setenv("PYTHONPATH", ".")
    broken(solver, "import random, statistics; return 2 * x")
    for name, content in BESIDE.items():
        (solver.root / name).parent.mkdir(parents=True, exist_ok=True)
        (solver.root / name).write_text(content, encoding="utf-8")
    assert verdict(solver, 0)["passed"] == 2
    solver.edit("1", "statistics; return 2 * x", "statistics; return 3 * x")
    assert verdict(solver, 1)["passed"] == 0


def test_variables_do_not_change_the_verdict(solver: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a verdict that depends on whose shell it is; -O would take the assertions out."""
    set_to = {"PYTEST_ADDOPTS": "-k nothing", "PYTEST_PLUGINS": "nowhere", "PYTHONOPTIMIZE": "2", "PYTHONINSPECT": "1"}
    for name, value in {**set_to, "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "ascii"}.items():
        monkeypatch.setenv(name, value)
    broken(solver, "import warnings; warnings.warn('é'); print('é'); return 3 * x if __debug__ else 0")
    report = verdict(solver, 1)
    assert "assert 6 == 4" in report["cases"][0]["detail"]


def test_another_tinytorch_earlier_on_the_path_is_not_used(
    solver: Learner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a run against an installed package in place of the learner's own."""
    solver.complete("1")
    other = tmp_path / "other" / "tinytorch"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise SystemExit('the wrong package')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(other.parent))
    solver.solve("2")
    done = solver.tito("module", "test", "2", "--json")
    assert done.code == 0, done.out
    assert Path(done.json["package"]).parent == solver.root / "tinytorch"


def test_a_lesson_that_brings_its_own_package_is_found_out(solver: Learner, tmp_path: Path) -> None:
    """Catches a run against another package, which the file itself put in place."""
    other = tmp_path / "other" / "tinytorch"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("", encoding="utf-8")
    solver.append("1", f"import sys\nsys.path.insert(0, {str(other.parent)!r})\nimport tinytorch")
    done = solver.tito("module", "test", "1", "--json")
    assert (done.code, done.json["error"]) == (3, "EnvironmentFault")
    assert "tinytorch" in done.json["message"]


def test_a_forged_compiled_file_is_not_used(solver: Learner, tmp_path: Path) -> None:
    """Catches a stale .pyc in place of the file that is there: same size, same time, other code."""
    solver.complete("1")
    solver.solve("2")
    package = solver.package("1")
    stamp = package.stat()
    cached = Path(package.parent / "__pycache__" / f"alpha.{sys.implementation.cache_tag}.pyc")
    good = package.read_bytes()
    package.write_bytes(good.replace(b"2 * x", b"9 * x"))
    os.utime(package, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    py_compile.compile(str(package), str(cached))
    shutil.copyfile(cached, cached.with_name(f"alpha.{sys.implementation.cache_tag}-pytest-{pytest.__version__}.pyc"))
    package.write_bytes(good)
    os.utime(package, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert solver.tito("module", "test", "2").code == 0


def test_an_edit_within_the_same_second_is_seen(solver: Learner) -> None:
    """Catches a verdict on the version before: same size, same time."""
    assert verdict(solver, 0)["passed"] == 2
    stamp = solver.lesson("1").stat()
    solver.edit("1", CORRECT, "return 3 * x")
    os.utime(solver.lesson("1"), ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert verdict(solver, 1)["passed"] == 0


def test_a_file_that_changes_while_it_is_tested_has_no_verdict(solver: Learner) -> None:
    """Catches a verdict on something else than the file that is there."""
    broken(solver, "open(__file__, 'a').write('#\\n'); return 2 * x")
    done = solver.tito("module", "test", "1", "--json")
    assert (done.code, done.json["error"]) == (3, "EnvironmentFault")
    assert "changed while its tests ran" in done.json["message"]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"


def _gone(process: int) -> bool:
    """Whether a killed process goes away: the system needs a moment to do it."""
    until = time.monotonic() + 20
    while _alive(process) and time.monotonic() < until:
        time.sleep(0.01)
    return not _alive(process)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_threads_and_processes_left_behind_end_with_the_run(solver: Learner, tmp_path: Path) -> None:
    """Catches a run that waits for a learner's thread, and a process that goes on computing after it."""
    note = tmp_path / "process"
    broken(
        solver,
        "import subprocess, sys, threading, time, pathlib\n"
        "    threading.Thread(target=time.sleep, args=(1e6,)).start()\n"
        "    threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()\n"
        "    process = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1e6)'])\n"
        f"    pathlib.Path({str(note)!r}).write_text(str(process.pid))\n"
        "    import atexit; atexit.register(lambda: time.sleep(1e6))\n"
        "    return 2 * x",
    )
    report = verdict(solver, 0)
    assert report["passed"] == 2
    assert report["seconds"] < 50, "the run waited for the thread until the test's limit of a minute"
    assert _gone(int(note.read_text(encoding="ascii")))


def test_a_process_that_dies_between_two_tests_is_no_pass(solver: Learner) -> None:
    """Catches a pass of a test whose thread ended the process right after it."""
    broken(solver, "import os, threading; threading.Timer(0.2, os._exit, (0,)).start(); return 2 * x")
    solver.append("1", "def teardown_function():\n    import time\n    time.sleep(1)")
    report = verdict(solver, 1)
    assert "exited" in outcomes(report).values()
    assert "right after it ran" in report["cases"][0]["message"] + report["cases"][1]["message"]


ALWAYS = "class Always:\n        def __eq__(self, other): return {}\n    return Always()"


@pytest.mark.parametrize("answer", ["True", "__import__('numpy').True_", "other is not None"])
def test_an_object_that_equals_everything_does_not_pass(solver: Learner, answer: str) -> None:
    """Catches a pass that rests on a learner's own idea of equality."""
    broken(solver, ALWAYS.format(answer))
    report = verdict(solver, 1)
    assert report["cases"][0]["outcome"] == "failed"
    assert "Always" in report["cases"][0]["message"]
    assert "equal to anything" in report["cases"][0]["message"]


@pytest.mark.parametrize(
    "answer", ["self.x == other.x", "NotImplemented", "vars(self) == getattr(other, '__dict__', 0)"]
)
def test_an_honest_equality_is_not_taken_for_one(solver: Learner, answer: str) -> None:
    """Catches a learner's proper class that is refused."""
    solver.append("1", f"class Fine:\n    def __eq__(self, other): return {answer}\n    def __hash__(self): return 1")
    assert verdict(solver, 0)["passed"] == 2


def test_junit_is_well_formed_whatever_the_learner_printed(solver: Learner, tmp_path: Path) -> None:
    """Catches characters that XML cannot carry, and failures that a build server would not count."""
    broken(solver, "print('\\x1b[31m<&]]>\\x00\\ufffe'); raise ValueError('<&\\x00\\x1b')")
    target = tmp_path / "out.xml"
    assert solver.tito("module", "test", "1", "--junit", str(target)).code == 1
    suite = ElementTree.parse(target).getroot()[0]
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("01_alpha", "2", "2")
    assert suite[0].find("failure") is not None


def test_junit_counts_what_did_not_run_as_failed(solver: Learner, tmp_path: Path) -> None:
    """Catches a green build for a file that could not be loaded."""
    solver.append("1", "1 / 0")
    target = tmp_path / "out.xml"
    assert solver.tito("module", "test", "1", "--junit", str(target)).code == 1
    assert ElementTree.parse(target).getroot()[0].get("failures") == "2"


def test_a_report_that_cannot_be_written_is_said_before_the_tests_run(solver: Learner, tmp_path: Path) -> None:
    """Catches minutes of tests whose answer is lost because the folder of the report does not exist."""
    done = solver.tito("module", "test", "1", "--json", "--junit", str(tmp_path / "nowhere" / "out.xml"))
    assert (done.code, done.json["error"]) == (3, "EnvironmentFault")


def test_hidden_tests_stay_with_the_course(solver: Learner) -> None:
    """Catches a learner's copy that fails because it lacks the hidden tests, and one that has them and is refused."""
    source = solver.course.source(solver.module("1"))
    assert "HIDDEN" not in solver.lesson("1").read_text(encoding="utf-8")
    solver.lesson("1").write_bytes(source.read_bytes())
    assert verdict(solver, 0)["passed"] == 2


def test_time_limits_come_from_the_course_and_not_from_the_learner(solver: Learner) -> None:
    """Catches a learner who gives a test more time, or none."""
    path = solver.lesson("1")
    path.write_text(path.read_text(encoding="utf-8").replace("# %% ", '# %% tito={"timeout": 0} '), encoding="utf-8")
    assert verdict(solver, 0)["passed"] == 2


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], Verdict.EMPTY),
        ([Outcome.SKIPPED, Outcome.NOT_RUN], Verdict.EMPTY),
        ([Outcome.PASSED, Outcome.SKIPPED], Verdict.FAILED),
        ([Outcome.PASSED, Outcome.NOT_RUN], Verdict.FAILED),
        ([Outcome.PASSED, Outcome.PASSED], Verdict.PASSED),
        ([Outcome.FAILED, Outcome.TIMEOUT], Verdict.TIMEOUT),
        ([Outcome.PASSED, Outcome.EXITED], Verdict.EXITED),
    ],
)
def test_nothing_that_did_not_run_counts_as_passed(found: list[Outcome], expected: Verdict) -> None:
    """Catches a verdict that overlooks what was skipped or not run."""
    assert verdict_of([CaseResult("t", "t", 1, outcome) for outcome in found]) is expected


def test_signals_have_names() -> None:
    """Catches a number where a person looks for SIGSEGV."""
    assert runner._ending(-signal.SIGSEGV) == "by SIGSEGV"
    assert runner._ending(-250) == "with exit code -250 (os._exit?)"
