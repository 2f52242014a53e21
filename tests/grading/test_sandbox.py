"""A submission in the sandbox: honest ones get their verdict, hostile ones theirs, and nothing is left of either."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sandboxes import LEVELS, WALLED, children, code, job, opened, outcomes
from sandboxes import graded_cell as graded
from support import ROOT

from tito.errors import EnvironmentFault
from tito.grading.sandbox import conversation
from tito.grading.sandbox.isolation import Isolation, choose
from tito.grading.sandbox.jobs import Ending, Job, JobCell, RunResult
from tito.grading.sandbox.sandbox import RESTARTS, Sandbox
from tito.report import Outcome


@pytest.fixture(scope="module", params=LEVELS, ids=lambda level: level.value)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """One warm parent for many submissions, as in grading; a level that is missing fails, with what to install."""
    with opened(choose(request.param.value)) as made:
        made.run(job("1"))
        yield made


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder of the grader's, which must be the same afterwards."""
    (tmp_path / "gradebook.db").write_bytes(b"100 points")
    before = (tmp_path.stat().st_mode, (tmp_path / "gradebook.db").stat().st_mode)
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gradebook.db"]
    assert (tmp_path / "gradebook.db").read_bytes() == b"100 points"
    assert before == (tmp_path.stat().st_mode, (tmp_path / "gradebook.db").stat().st_mode)


def between(sandbox: Sandbox, trick: str, seconds: float = 10.0) -> RunResult:
    """Run a trick between two honest tests, which both keep their verdict; then an honest submission, which has its."""
    before = children()
    result = sandbox.run(
        job("import numpy as np", graded("early"), JobCell("trick", code(trick), "", seconds), graded("late"))
    )
    assert outcomes(result)[:2] == ["passed", "passed"]
    assert outcomes(result)[3] == "passed", result
    honest = sandbox.run(job("import os\nfound = os.listdir()", graded("nothing_is_left", "assert found == []")))
    assert outcomes(honest) == ["passed", "passed"], honest
    assert len(children()) <= len(before), "a process is left"
    return result


def trick_of(result: RunResult) -> tuple[str, Ending]:
    return result.cells[2].outcome.value, result.ending


# --- honest submissions


def test_cells_share_a_namespace_and_report_in_order(sandbox: Sandbox) -> None:
    """Catches cells that run apart from each other, and a package that cannot be imported."""
    result = sandbox.run(
        job(
            "from pack.earlier import VALUE\nx = VALUE + 1",
            graded("four", "assert x == 4"),
            graded("five", "assert x == 5"),
        )
    )
    assert outcomes(result) == ["passed", "passed", "failed"]
    assert result.ending is Ending.FINISHED
    assert result.cells[2].message == "AssertionError: assert x == 5"


def test_a_traceback_names_the_cell_and_shows_the_line(sandbox: Sandbox) -> None:
    """Catches tracebacks with the sandbox's own frames, or without the student's lines."""
    result = sandbox.run(job("def half(x):\n    return x / 0", graded("half", "assert half(2) == 1")))
    detail = result.cells[1].detail
    assert 'File "lesson_dev.py[half]", line 2, in test_unit_half' in detail
    assert 'File "lesson_dev.py[cell0]", line 2, in half' in detail
    assert "return x / 0" in detail
    assert "_child" not in detail
    assert result.cells[1].message == "ZeroDivisionError: division by zero"


def test_a_cell_that_raises_does_not_stop_the_next(sandbox: Sandbox) -> None:
    """Catches one mistake that costs all later points, a syntax error among them."""
    result = sandbox.run(job("1 / 0", "def f(:", "raise KeyboardInterrupt", "import nowhere", graded("ok")))
    assert outcomes(result) == ["failed"] * 4 + ["passed"]
    assert result.cells[1].message == "SyntaxError: invalid syntax (line 1)"


def test_what_is_not_here_costs_its_own_statements(sandbox: Sandbox) -> None:
    """Catches a missing library that takes a cell's definitions along, and a mistake that does not end its cell."""
    lost = "import nowhere; a = 1; nowhere.a()\n@nowhere.b\ndef f(): pass\nx = f()\nopen('no/file'); print(x); b = 2"
    result = sandbox.run(
        job(
            lost,
            "assert (a, b) == (1, 2)",
            "y = nowhere.c\nc = 3",
            "assert c == 3",
            "import nowhere\n1 / 0\nd = 4",
            "d",
            "e = undefined\nd = 4",
            "d",
            "from nowhere import *\nanything()\nf = 5",
            "f",
        )
    )
    assert outcomes(result) == ["failed", "passed"] * 2 + ["failed"] * 4 + ["failed", "passed"]
    assert [cell.message.partition(":")[0] for cell in result.cells[4:6]] == ["ZeroDivisionError", "NameError"]


def test_dataclasses_threads_and_printing_work(sandbox: Sandbox) -> None:
    """Catches a sandbox in which honest lessons fail; what they print on either stream is kept and costs nothing."""
    result = sandbox.run(
        job(
            """
            from __future__ import annotations
            import sys, threading, tempfile, dataclasses
            @dataclasses.dataclass
            class Row:
                size: int
            made = []
            thread = threading.Thread(target=lambda: made.append(Row(3)))
            thread.start(); thread.join()
            with tempfile.TemporaryFile() as file:
                file.write(b"0" * 1000)
            print("to stdout"); print("to stderr", file=sys.stderr)
            """,
            graded("row", "assert made == [Row(3)]"),
        )
    )
    assert outcomes(result) == ["passed", "passed"], result
    assert sorted(result.output.splitlines()) == ["to stderr", "to stdout"]


def test_an_import_from_the_future_holds_for_all_cells(sandbox: Sandbox) -> None:
    """Catches classes whose annotations name what comes later: they run as a file and in a notebook."""
    early = "from __future__ import annotations"
    late = "class Row:\n    def next(self) -> Row: ..."
    result = sandbox.run(job(early, late, graded("row", "def f(x: Nowhere): ...\nassert Row().next() is None")))
    assert outcomes(result) == ["passed"] * 3
    assert outcomes(sandbox.run(job(late))) == ["failed"]
    cells = (JobCell("a", early), JobCell("b", late))
    with Sandbox({}, [], sandbox.isolation, reference=Job("lesson_dev", cells), known=Job("lesson_dev", cells)) as made:
        assert outcomes(made.run(Job("lesson_dev", cells))) == ["passed"] * 2
        assert made.run(Job("lesson_dev", ())).ending is Ending.FINISHED


def test_name_is_the_lessons(sandbox: Sandbox) -> None:
    """Catches analyses that run in grading because the lesson believes it is a script."""
    result = sandbox.run(
        job("import sys", graded("name", "assert __name__ == 'lesson_dev' and sys.modules[__name__].sys is sys"))
    )
    assert outcomes(result) == ["passed", "passed"]


PROBES = """
import numpy as np
def numbers(lesson, rng):
    a = rng.normal(size=(2, 3))
    return {"twice": lesson.twice(a), "rows": [1, True, 2.5], "words": "né", "nothing": None}
def single(lesson, rng):
    return lesson.twice(rng.integers(0, 9, size=4, dtype=np.int16))
def holder(lesson, rng):
    return lesson.Holder(np.array([True, False]))
"""
TWICE = """
def twice(x):
    return x * 2
class Holder:
    def __init__(self, data):
        self.data = data
"""


def test_probes_send_back_raw_arrays(sandbox: Sandbox) -> None:
    """Catches arrays whose type, shape or values change on the way, and random inputs that are not the grader's."""
    result = sandbox.run(job(TWICE, probes=PROBES, wanted=("numbers", "single", "holder"), seed=11))
    numbers, single, holder = (probe.arrays for probe in result.probes)
    assert numbers is not None and single is not None and holder is not None
    assert list(numbers) == ["twice", "rows.0", "rows.1", "rows.2", "words:str", "nothing:none"]
    np.testing.assert_array_equal(numbers["twice"], np.random.default_rng(11).normal(size=(2, 3)) * 2)
    assert [numbers[f"rows.{i}"].dtype.kind for i in range(3)] == ["i", "b", "f"]
    assert bytes(numbers["words:str"]).decode() == "né"
    second = np.random.Generator(np.random.PCG64(11).advance(1 << 64))  # whatever the first probe drew
    wanted = second.integers(0, 9, size=4, dtype=np.int16) * 2
    assert single["result"].dtype == np.int16
    np.testing.assert_array_equal(single["result"], wanted)
    assert holder["result"].tolist() == [True, False]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one for each time that the grader wakes."""
    found: list[str] = []
    step = conversation.Conversation._step
    monkeypatch.setattr(conversation.Conversation, "_step", lambda self: (found.append("a look"), step(self)))
    monkeypatch.setattr(conversation, "_NAP", 0.05)  # so that a slow machine makes few
    return found


def test_many_parts_are_heard_at_a_few_looks(sandbox: Sandbox, looks: list[str]) -> None:
    """Catches a grader that wakes for every part, and so takes the core from the submission that it waits for."""
    result = sandbox.run(job(*(f"x{index} = {index}" for index in range(1000)), graded("last", "assert x999 == 999")))
    assert outcomes(result) == ["passed"] * 1001
    assert len(looks) < 50, "2,000 messages came"


def test_the_bell_may_be_rung_without_end(sandbox: Sandbox, looks: list[str]) -> None:
    """Catches a grader that is kept busy by a pipe whose content it does not need, and a bell that must not be full."""
    ring = """
        import os, time
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            os.set_blocking(42, False)
            try:
                os.write(42, bytes(100))
            except OSError:
                time.sleep(0.0001)
    """
    result = sandbox.run(job(ring, graded("after"), TWICE, probes=PROBES, wanted=("single",)))
    assert outcomes(result) == ["passed"] * 3 and result.ending is Ending.FINISHED
    assert result.probes[0].arrays is not None
    assert len(looks) < 150


def test_settings_of_a_last_cell_do_not_reach_the_probes(sandbox: Sandbox) -> None:
    """Catches a softmax that underflows, as it should, and is lost: an experiment had made errors of warnings."""
    last = "import numpy as np, warnings\nnp.seterr(all='raise')\nwarnings.simplefilter('error')"
    probes = """
    import numpy as np
    import warnings
    def settings(lesson, rng):
        warnings.warn("an old way", DeprecationWarning)
        return np.exp(np.array([-1e4])) + np.log(np.zeros(1))
    """
    (probe,) = sandbox.run(job(last, probes=code(probes), wanted=("settings",))).probes
    assert probe.arrays is not None and probe.arrays["result"].tolist() == [-np.inf], probe.error


def test_modules_that_a_lesson_replaced_are_themselves_for_the_probes(sandbox: Sandbox) -> None:
    """Catches probes that import what a lesson has left in sys.modules under a module's name."""
    last = "import sys\nfor name in ('json', 'json.decoder', 'random'):\n    sys.modules[name] = type(sys)(name)"
    probes = """
    import random
    def modules(lesson, rng):
        import json.decoder
        return [random.Random(1).random(), json.loads("[4]")[0], json.decoder.JSONDecoder().decode("5")]
    """
    (probe,) = sandbox.run(job(last, probes=code(probes), wanted=("modules",))).probes
    assert probe.arrays is not None, probe.error
    assert [float(each) for each in probe.arrays.values()] == [random.Random(1).random(), 4.0, 5.0]


def test_a_reference_runs_once_and_its_probes_each_time() -> None:
    """Catches a reference whose cells run anew for each seed, and one whose probes differ from a submission's."""
    cells = (JobCell("c", code(TWICE) + "\nimport os\nprepared_in = os.getpid()\n"),)
    reference = Job("lesson_dev", cells)
    probes = PROBES + "\ndef where(lesson, rng):\n    import os\n    return lesson.prepared_in == os.getpid()\n"
    wanted = ("numbers", "where")
    with Sandbox({}, [], choose("auto"), reference=reference) as made:
        first = made.run(Job("lesson_dev", (), probes, wanted, 3))
        second = made.run(Job("lesson_dev", (), probes, wanted, 4))
        submitted = made.run(Job("lesson_dev", cells, probes, wanted, 3))
        with pytest.raises(EnvironmentFault, match="ZeroDivisionError"):
            Sandbox({}, [], choose("auto"), reference=Job("lesson_dev", (JobCell("c", "1 / 0"),))).run(job("1"))
    assert first.probes[0].arrays and second.probes[0].arrays and submitted.probes[0].arrays
    assert first.probes[0].arrays["twice"].tolist() == submitted.probes[0].arrays["twice"].tolist()
    assert first.probes[0].arrays["twice"].tolist() != second.probes[0].arrays["twice"].tolist()
    assert first.probes[1].arrays and not first.probes[1].arrays["result"]
    assert submitted.probes[1].arrays and submitted.probes[1].arrays["result"]


def test_cells_that_were_announced_are_compiled_once() -> None:
    """Catches a cell that is taken from the cache although the student has changed it."""
    known = job(graded("one", "assert VALUE == 1"))
    with Sandbox({}, [], choose("auto"), known=known) as made:
        same = made.run(Job("lesson_dev", (JobCell("a", "VALUE = 1"), *known.cells)))
        other = made.run(job("VALUE = 1", graded("one", "assert VALUE == 2")))
    assert outcomes(same) == ["passed", "passed"]
    assert other.cells[1].message == "AssertionError: assert VALUE == 2"


# --- hostile submissions: the trick's outcome and how the process ended


ENDS = {
    "os._exit": "import os\nos._exit(0)",
    "segfault": "import ctypes\nctypes.string_at(0)",
    "abort": "import os\nos.abort()",
    "kills itself": "import os\nos.kill(os.getpid(), 9)",
    "exit in a destructor": "import os\nclass A:\n    def __del__(self):\n        os._exit(0)\na = A()\ndel a",
    "closes all files": "import os\nos.closerange(0, 256)",
    "exit in a thread": """
        import os, threading, time
        threading.Thread(target=os._exit, args=(0,)).start()
        time.sleep(5)
        """,
    "deep recursion in C": """
        import sys
        sys.setrecursionlimit(10**9)
        def key(x):
            return sorted([x], key=key)
        key(1)
        """,
}


@pytest.mark.parametrize("trick", ENDS)
def test_a_process_that_ends_itself(sandbox: Sandbox, trick: str) -> None:
    """Catches an exit that counts as success, or takes the verdicts before and after it along."""
    if trick == "deep recursion in C" and sys.version_info >= (3, 12):
        assert between(sandbox, ENDS[trick]).cells[2].outcome is not Outcome.PASSED
        return
    assert trick_of(between(sandbox, ENDS[trick])) == ("exited", Ending.EXITED)


def test_leaving_by_exception(sandbox: Sandbox) -> None:
    """Catches SystemExit or atexit that end the run, and a status of 0 that counts as success."""
    result = between(sandbox, "import atexit, os, sys\natexit.register(os._exit, 9)\nsys.exit(0)")
    assert trick_of(result) == ("exited", Ending.FINISHED)
    assert result.cells[2].message == "tried to end the process"


HANGS = {
    "sleeps": "import time\ntime.sleep(600)",
    "loops": "while True: pass",
    "catches everything": """
        while True:
            try:
                while True: pass
            except BaseException:
                pass
        """,
    "ignores the alarm": "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
    "stops itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "hangs in C": "sum(range(10**12))",
    "waits for a lock": "import threading\nthreading.Event().wait()",
}


@pytest.mark.parametrize("trick", HANGS)
def test_a_cell_that_never_ends(sandbox: Sandbox, trick: str) -> None:
    """Catches a hang that waits for the whole job's limit, or that a handler of signals can hold open."""
    assert trick_of(between(sandbox, HANGS[trick], seconds=0.5)) == ("time limit", Ending.TIME)


def test_after_one_time_limit_the_next_are_short(sandbox: Sandbox) -> None:
    """Catches a submission of many endless loops that takes its limit for each."""
    loop = "while True: pass"
    result = sandbox.run(
        job("1", JobCell("a", loop, "", 0.5), *(JobCell(f"b{i}", loop, "", 10.0) for i in range(2)), graded("ok"))
    )
    assert outcomes(result) == ["passed", "time limit", "time limit", "time limit", "passed"]
    assert result.cells[2].message == "took longer than 1 s"


def test_a_loop_beside_the_task_leaves_tests_their_time(sandbox: Sandbox) -> None:
    """Catches a student's experiment without an end that makes a slow but right solution fail."""
    loop, slow = "while True: pass", "import time\ntime.sleep(0.6)"
    test = "def test_hangs():\n    while True: pass\n"
    cells = (JobCell("a", loop, "", 0.5), graded("slow", slow, 4.0), JobCell("b", test, "test_hangs", 0.5))
    result = sandbox.run(job("1", *cells, JobCell("c", slow, "", 4.0), graded("late", slow, 4.0)))
    assert outcomes(result) == ["passed", "time limit", "passed", "time limit", "time limit", "time limit"]
    assert [cell.message for cell in result.cells[4:]] == ["took longer than 0.4 s"] * 2


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.value)
def test_the_wall_ends_everything(level: Isolation) -> None:
    """Catches a job that outlives the whole time allowed; what had finished before keeps its outcome."""
    with opened(level, wall=1.5) as made:
        result = made.run(job(graded("early"), "import time\ntime.sleep(600)", graded("late")))
        assert outcomes(result) == ["passed", "time limit", "not run"]
        assert result.ending is Ending.TIME
        assert outcomes(made.run(job("1"))) == ["passed"]


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.value)
def test_processor_time_is_limited(level: Isolation) -> None:
    """Catches threads that use the machine beside a sleeping main thread."""
    with opened(level, cpu=1.0) as made:
        result = made.run(
            job(
                graded("early"),
                "import time\nbegun = time.process_time()\nwhile time.process_time() < begun + 20: pass",
            )
        )
        assert outcomes(result) == ["passed", "time limit"]
        assert result.ending is Ending.TIME


def test_a_memory_bomb(sandbox: Sandbox) -> None:
    """Catches a submission that takes the machine's memory, by Python objects or by arrays."""
    result = between(sandbox, "hoard = []\nwhile True: hoard.append(bytearray(8 << 20))")
    assert trick_of(result) == ("failed", Ending.MEMORY)
    assert result.peak_bytes < 512 << 20
    assert trick_of(between(sandbox, "import numpy as np\nnp.ones(1 << 33)")) == ("failed", Ending.MEMORY)


def test_a_bomb_of_threads(sandbox: Sandbox) -> None:
    """Catches threads with small stacks, which by their memory alone could take all numbers of processes there are."""
    trick = """
    import threading, time
    threading.stack_size(32768)
    for _ in range(1500):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    time.sleep(60)
    """
    assert trick_of(between(sandbox, trick, 5.0))[0] == "failed"  # and not "time limit"


def test_an_output_bomb(sandbox: Sandbox) -> None:
    """Catches output that fills the grader's memory."""
    result = between(sandbox, "while True: print('x' * 1000)")
    assert trick_of(result) == ("failed", Ending.OUTPUT)
    assert len(result.output) <= sandbox.limits.output
    loud = sandbox.run(job(f"print('y' * {sandbox.limits.output * 2})", graded("ok")))
    assert outcomes(loud) == ["passed", "passed"]
    assert loud.output == "y" * sandbox.limits.output
    assert loud.ending is Ending.FINISHED


def test_a_thread_that_prints_for_ever(sandbox: Sandbox) -> None:
    """Catches a grader that waits until a pipe is empty, which somebody keeps full."""
    flood = """
        import os, threading
        def flood():
            while True: os.write(1, b"x" * 4096)
        threading.Thread(target=flood, daemon=True).start()
        """
    result = sandbox.run(job(graded("early"), flood, probes=HOSTILE_PROBES, wanted=("second",)))
    assert outcomes(result)[0] == "passed"
    assert len(result.output) <= sandbox.limits.output


DISK = {
    "one file": "with open('big', 'wb') as file:\n    while True: file.write(bytes(1 << 20))",
    "many files": """
        import time
        for index in range(100000):
            open(str(index), "wb").write(bytes(1 << 16))
            if index > 100: time.sleep(0.02)
        """,
}


@pytest.mark.parametrize("trick", DISK)
def test_a_disk_bomb(sandbox: Sandbox, trick: str) -> None:
    """Catches files that fill the grader's disk, or that the next submission pays for."""
    assert trick_of(between(sandbox, DISK[trick], seconds=30.0)) == ("failed", Ending.DISK)


def test_blocks_that_the_system_took_beforehand_are_not_written_files(tmp_path: Path) -> None:
    """Catches an innocent test that is ended over a file which grew, for which ext4 takes more blocks than it needs."""
    with (tmp_path / "data.bin").open("wb") as file:
        file.write(bytes(1000))
        file.flush()
        keep_size = 1
        ctypes.CDLL(None).fallocate(file.fileno(), keep_size, ctypes.c_long(0), ctypes.c_long(1 << 20))
        assert 1000 <= conversation._usage(tmp_path, 1 << 30) <= 1 << 18  # a quarter at least: blocks are no free gift


def test_trees_and_links_are_wiped(sandbox: Sandbox, outside: Path) -> None:
    """Catches a folder too deep or too locked to be removed, and a link through which something else is."""
    result = between(
        sandbox,
        f"""
        import os
        os.symlink({str(outside)!r}, "folder"); os.symlink({str(outside / "gradebook.db")!r}, "results.txt")
        os.mkfifo("pipe")
        os.mkdir("locked"); open("locked/file", "w").close(); os.mkdir("locked/inner", 0)
        for _ in range(300):
            os.mkdir("deeper than any path" * 2); os.chdir("deeper than any path" * 2)
        """,
    )
    assert trick_of(result) == ("passed", Ending.FINISHED)
    after = sandbox.run(job("open('results.txt', 'w').write('0 points')\nopen('folder', 'w').close()", graded("ok")))
    assert outcomes(after) == ["passed", "passed"]


def test_a_locked_folder_to_work_in(sandbox: Sandbox) -> None:
    """Catches a student who makes every grading of theirs a fault of the grader, and never gets a score."""
    trick = """
    import contextlib, os
    open("file", "w").close()
    with contextlib.suppress(OSError):
        os.chmod(".", 0)
    """
    assert trick_of(between(sandbox, trick)) == ("passed", Ending.FINISHED)


def test_the_folder_says_nothing_of_whoever_was_there_before(sandbox: Sandbox) -> None:
    """Catches words for a student's second run, or another student, in attributes, and rights that keep files shut."""
    left = """
    import contextlib, os, struct
    with contextlib.suppress(OSError):
        os.setxattr(".", "user.probes", b"secret")
    with contextlib.suppress(OSError):
        shut = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", who, 0, 0xFFFFFFFF) for who in (1, 4, 0x20))
        os.setxattr(".", "system.posix_acl_default", shut)
    with contextlib.suppress(OSError):
        os.utime(".", (1, 123456789))
    """
    found = """
    import os
    assert os.stat(".").st_mtime == 0, os.stat(".")
    assert os.listxattr(".") == [], os.listxattr(".")
    open("file", "w").close()
    assert open("file").read() == ""
    """
    assert trick_of(between(sandbox, left)) == ("passed", Ending.FINISHED)
    assert trick_of(between(sandbox, found)) == ("passed", Ending.FINISHED)


PROCESSES = {
    "forks": "import os, time\nfor _ in range(20):\n    if os.fork() == 0: time.sleep(600); os._exit(0)",
    "a daemon": """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 64)
                time.sleep(600)
            os._exit(0)
        os.wait()
        """,
    "a program": "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)",
}


@pytest.mark.parametrize("trick", PROCESSES)
def test_other_processes(sandbox: Sandbox, trick: str) -> None:
    """Catches processes that a submission leaves behind; `between` counts them."""
    outcome, ending = trick_of(between(sandbox, PROCESSES[trick]))
    assert (outcome, ending) == ("failed" if sandbox.isolation in WALLED else "passed", Ending.FINISHED)


REPORTS = {
    "garbage": """
        import os
        for fd in range(3, 64):
            try: os.write(fd, b'\\0\\xff garbage\\n')
            except OSError: pass
        """,
    "no line ever ends": """
        import os
        while True:
            for fd in range(3, 64):
                try: os.write(fd, b'x' * 4096)
                except OSError: pass
        """,
    "deep nesting": "import os\nos.write(41, b'[' * 30000 + b'\\n')",
    "the end before its time": "import os\nos.write(41, b'{\"done\": true}\\n')",
    "probes before their time": "import os\nos.write(41, b'{\"ask\": true}\\n')",
    "a fault of the grader": 'import os\nos.write(41, b\'{"fault": "the disk is broken"}\\n\')',
    "results of other cells": 'import os\nos.write(41, b\'{"cell": 3, "outcome": "passed"}\\n\')',
}


@pytest.mark.parametrize("trick", REPORTS)
def test_a_disturbed_report(sandbox: Sandbox, trick: str) -> None:
    """Catches an exception in the grader, or a forged fault that leaves a submission without a verdict."""
    result = between(sandbox, code(REPORTS[trick]) + "\nimport time\ntime.sleep(600)", seconds=30.0)
    assert trick_of(result) == ("failed", Ending.EXITED)
    assert result.cells[2].message == "disturbed the report on its own run"


INNER = {
    "modules": "import sys, json, builtins\njson.dumps = json.loads = None\nsys.modules.clear()",
    "builtins": """
        import builtins
        for name in ("len", "str", "int", "map", "zip", "isinstance", "print", "open"):
            setattr(builtins, name, None)
        """,
    "os": """
        import os, signal, traceback, linecache
        os.write = os.read = os._exit = signal.signal = traceback.TracebackException = None
        linecache.cache.clear()
        """,
    "streams": "import sys\nsys.stdout = sys.stderr = None",
    "a stream that raises": """
        import sys
        class Stream:
            def flush(self): raise SystemExit
            write = flush
        sys.stdout = Stream()
        """,
    "limits of recursion": "import sys\nsys.setrecursionlimit(60)",
    "tracing": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)",
    "arrays": "import numpy as np\nnp.asarray = np.allclose = np.array_equal = lambda *a, **k: True",
    "pipes that do not wait": "import os\nfor fd in (1, 40, 41):\n    os.set_blocking(fd, False)",
    "garbage": "import gc\ngc.disable()\ngc.set_threshold(0)",
}


@pytest.mark.parametrize("trick", INNER)
def test_a_changed_interpreter(sandbox: Sandbox, trick: str) -> None:
    """Catches a report that rests on what a lesson can change."""
    assert trick_of(between(sandbox, INNER[trick])) == ("passed", Ending.FINISHED)


def test_exceptions_that_fight_back(sandbox: Sandbox) -> None:
    """Catches an exception whose text is endless, hangs or raises, and one that claims to be none."""
    for body in ("while True: pass", "raise SystemExit", "return 'x' * 10**7", "return '\\ud800\\0'", "return 3"):
        result = between(
            sandbox, f"class E(BaseException):\n    def __str__(self):\n        {body}\nraise E", seconds=2.0
        )
        assert trick_of(result) == ("failed", Ending.FINISHED)
        assert len(result.cells[2].detail) <= 4100
        (result.cells[2].message + result.cells[2].detail).encode("utf-8")


def test_walking_up_the_stack_gives_no_verdict(sandbox: Sandbox) -> None:
    """Catches a verdict that a student can set where it is kept: in the grader only what was sent counts."""
    result = between(
        sandbox,
        """
        import sys
        frame = sys._getframe()
        while frame:
            for value in list(frame.f_locals.values()):
                if hasattr(value, "watch"):
                    value.slow, value.outcome = set(), 'passed'
            frame = frame.f_back
        raise ValueError("still a failure")
        """,
    )
    assert trick_of(result)[0] == "failed"


def test_every_restart_is_counted(sandbox: Sandbox) -> None:
    """Catches a submission that is started again and again; those after the last restart were not run."""
    crash = "import os\nos._exit(0)"
    result = sandbox.run(job("1", *(graded(f"t{i}", crash) for i in range(RESTARTS + 3)), graded("late")))
    assert outcomes(result) == ["passed"] + ["exited"] * (RESTARTS + 1) + ["not run"] * 3
    assert result.ending is Ending.EXITED


@pytest.mark.parametrize("end", ["", "import os\nos._exit(0)"])
def test_helpers_of_tests_are_there_after_a_crash(end: str, sandbox: Sandbox) -> None:
    """Catches later tests that lack what an earlier test's cell defines, because an experiment ended the process."""
    first = graded("first", end or "assert True")
    helped = replace(first, source=f"def helper():\n    return 3\n\n\n{first.source}")
    result = sandbox.run(job(helped, "import os\nos._exit(0)", graded("second", "assert helper() == 3")))
    assert outcomes(result) == ["exited" if end else "passed", "exited", "passed"]


def test_code_cells_run_again_after_a_crash(sandbox: Sandbox) -> None:
    """Catches later tests and probes that fail only because an earlier test ended the process."""
    crash = graded("crash", "print('in between', flush=True)\nimport os\nos._exit(0)")
    result = sandbox.run(
        job(
            TWICE + "\nprint('once')",
            crash,
            "y = twice(2)",
            graded("four", "assert y == 4"),
            probes=PROBES,
            wanted=("single",),
        )
    )
    assert outcomes(result) == ["passed", "exited", "passed", "passed"]
    assert result.output.splitlines() == ["once", "in between"]
    assert result.probes[0].arrays is not None


# --- probes


HOSTILE_PROBES = """
import numpy as np
SECRET = "the words of a probe"
def first(lesson, rng):
    return lesson.f(1)
def second(lesson, rng):
    return np.arange(3)
"""
BAD_RESULTS = {
    "an array of objects": ("import numpy as np\ndef f(x): return np.array([{}, 1], dtype=object)", "raised TypeError"),
    "dates": (
        "import numpy as np\ndef f(x): return np.array(['2020-01-01'], dtype='datetime64[D]')",
        "raised TypeError",
    ),
    "records": ("import numpy as np\ndef f(x): return np.zeros(2, dtype=[('a', 'f8')])", "raised TypeError"),
    "a set": ("def f(x): return {1, 2}", "raised TypeError"),
    "too much": ("import numpy as np\ndef f(x): return np.zeros(1 << 20)", "disturbed the report on its own run"),
    "too many": ("def f(x): return list(range(5000))", "raised ValueError"),
    "a loop": ("loop = []\nloop.append(loop)\ndef f(x): return loop", "raised ValueError"),
    "a crash": ("import os\ndef f(x): os._exit(0)", "ended the process with status 0"),
    "its own exception": ("class Hidden(Exception): pass\ndef f(x): raise Hidden", "raised an exception of its own"),
    "an exit": ("def f(x): raise SystemExit", "exited"),
    "nothing there": ("def g(x): return 1", "raised AttributeError"),
}


@pytest.mark.parametrize("trick", BAD_RESULTS)
def test_a_probe_that_fails_leaves_the_next_alone(sandbox: Sandbox, trick: str) -> None:
    """Catches results that are more than numbers, and one bad result that costs the other probes."""
    source, error = BAD_RESULTS[trick]
    result = sandbox.run(job(source, graded("ok"), probes=HOSTILE_PROBES, wanted=("first", "second")))
    assert outcomes(result) == ["passed", "passed"]
    assert (result.probes[0].arrays, result.probes[0].error) == (None, error)
    assert result.probes[1].arrays is not None, result
    assert result.probes[1].arrays["result"].tolist() == [0, 1, 2]


def test_probes_stay_secret(sandbox: Sandbox) -> None:
    """Catches a probe's source that comes out by printing, by an exception's words or class, or by a later cell."""
    leak = """
        import sys, os
        def f(x):
            text = str(sys._getframe(1).f_code.co_consts) + sys._getframe(1).f_globals["SECRET"]
            print(text); print(text, file=sys.stderr); os.write(1, text.encode()); open("kept", "w").write(text)
            raise type(text.replace(" ", "_"), (ValueError,), {})(text)
        """
    result = sandbox.run(job(leak, probes=HOSTILE_PROBES, wanted=("first",)))
    assert "secret" not in repr(result).lower() and "the words" not in repr(result)
    assert result.probes[0].error == "raised an exception of its own"
    early = """
        import os, time
        os.write(41, b'{"cell": 0, "outcome": "passed"}\\n{"ask": true}\\n')
        time.sleep(0.2)
        os.set_blocking(40, False)
        text = os.read(40, 1 << 16).decode()
        os.write(41, b'{"start": 0}\\n')
        raise ValueError(text)
        """
    result = sandbox.run(job(early, probes=HOSTILE_PROBES, wanted=("first",)))
    assert "the words" not in repr(result)


def test_probes_stay_secret_over_a_restart(open_to_all: Path) -> None:
    """Catches probes that one fork writes down where only limits bind, and the next one prints."""
    kept = str(open_to_all / "kept")
    thief = f"""
        import os, sys
        if os.path.exists({kept!r}):
            print(open({kept!r}).read())
            raise ValueError(open({kept!r}).read())
        def f(x):
            open({kept!r}, "w").write(sys._getframe(1).f_globals["SECRET"])
            os._exit(0)
        """
    with opened(Isolation.LIMITS) as made:
        result = made.run(job(thief, probes=HOSTILE_PROBES, wanted=("first", "second")))
    assert Path(kept).read_text(encoding="utf-8") == "the words of a probe"
    assert outcomes(result) == ["passed"]
    assert "the words" not in repr(result)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder into which everybody may write."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


# --- the grader's side


def test_nothing_of_the_grader_is_inside(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches environment variables, open files and the course in the process of a submission."""
    monkeypatch.setenv("TITO_SECRET", "expected values")
    kept = os.open(ROOT / "course.toml", os.O_RDONLY)
    os.set_inheritable(kept, True)
    sandbox.close()
    try:
        result = sandbox.run(
            job(
                """
                import importlib.util, os, sys
                others = ("tito", "pytest", "rich", "tinytorch")
                open_files = []
                for fd in range(1024):
                    try: os.fstat(fd); open_files.append(fd)
                    except OSError: pass
                """,
                graded("environment", "assert 'TITO_SECRET' not in os.environ"),
                graded("files", "assert open_files == [0, 1, 2, 40, 41, 42], open_files"),
                graded("modules", "assert not [m for m in sys.modules if m.partition('.')[0] in others]"),
                graded(
                    "installed",
                    "assert not any(importlib.util.find_spec(name) for name in others)",
                ),
            )
        )
    finally:
        os.close(kept)
    assert outcomes(result) == ["passed"] * 5, result


def test_closing_leaves_no_process_and_no_file(sandbox: Sandbox) -> None:
    """Catches a grader that piles up warm parents or temporary folders."""
    with opened(sandbox.isolation) as made:
        before = children()
        made.run(job("open('file', 'w').close()"))
        assert made._folder is not None
        root = made._folder.root
        assert root.is_dir() and children() > before
    assert not root.exists()
    assert children() == before


def test_a_warm_parent_that_dies_is_replaced(sandbox: Sandbox) -> None:
    """Catches one killed process that ends the batch, or that costs a student points."""
    assert sandbox._zygote is not None
    sandbox._zygote.process.kill()
    sandbox._zygote.process.wait()
    assert outcomes(sandbox.run(job("1", graded("ok")))) == ["passed", "passed"]


def test_a_thread_that_ends_takes_no_sandbox_along(sandbox: Sandbox) -> None:
    """Catches the kernel's habit of ending children with the thread that started them, read as a submission's fault."""
    with opened(sandbox.isolation) as made:
        results: list[RunResult] = []
        thread = threading.Thread(target=lambda: results.append(made.run(job("1"))))
        thread.start()
        thread.join()
        results.append(made.run(job("1", graded("ok"))))
    assert [result.ending for result in results] == [Ending.FINISHED] * 2
    assert outcomes(results[1]) == ["passed", "passed"]


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.value)
def test_a_killed_grader_leaves_no_process(level: Isolation, tmp_path: Path) -> None:
    """Catches warm parents, submissions and folders that outlive `kill -9` of the grader."""
    script = tmp_path / "grader.py"
    script.write_text(
        code(
            f"""
            import sys, threading, time
            sys.path.insert(0, {str(ROOT / "tests")!r})
            from sandboxes import children, job, opened
            from tito.grading.sandbox.isolation import Isolation
            sandbox = opened(Isolation({level.value!r}))
            few = []
            def work():
                sandbox.run(job("1"))
                few.append(len(children()))
                sandbox.run(job("import time\\ntime.sleep(600)"))
            threading.Thread(target=work, daemon=True).start()
            while not few or len(children()) == few[0]:
                time.sleep(0.01)
            print(*children(), sandbox._folder.root, flush=True)
            time.sleep(600)
            """
        ),
        encoding="utf-8",
    )
    grader = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=ROOT
    )
    assert grader.stdout is not None
    *pids, root = grader.stdout.readline().split()
    assert len(pids) >= 2
    grader.send_signal(signal.SIGKILL)
    grader.wait()
    grader.stdout.close()
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
        time.sleep(0.01)
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    with opened(level) as made:
        made.run(job("1"))
        assert not Path(root).exists(), "the next grader removes what a killed one has left"
        assert made._folder is not None and made._folder.root.is_dir()
