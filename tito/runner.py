"""Run a lesson's graded tests in a child process: the only place, with pytest_child, that knows pytest."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tito.course import Module
from tito.errors import EnvironmentFault
from tito.export import digest
from tito.graded import GradedTest, course_notebook, graded_tests, locked_problems
from tito.notebook import Notebook, parse, quietly_parsed
from tito.report import CaseResult, Outcome, TestReport, Verdict, verdict_of
from tito.workspace import Workspace, read_lesson

LOAD_LIMIT = 60.0  # seconds for importing the lesson
GRACE = 3.0  # seconds beyond a limit after which this process ends the child itself
CHILD = Path(__file__).with_name("pytest_child.py")
INI = "[pytest]\npython_files = {file}\npython_functions = test_*\npython_classes =\nverbosity_assertions = 2\n"

_stopping = threading.Event()


def stop() -> None:
    """Make every run in this process end its child and give up: for Ctrl-C while several run in threads."""
    _stopping.set()


Listener = Callable[[str], None]  # told the name of each test that starts


def run_module(workspace: Workspace, module: Module, listener: Listener | None = None, jobs: int = 1) -> TestReport:
    """Run a module's graded tests against the file in the workspace.

    What the learner did wrong is data in the report. Raises EnvironmentFault when the run itself is not to be trusted.
    """
    text = read_lesson(workspace.lesson(module))
    tests = graded_tests(course_notebook(workspace, module))
    notebook = parse(text, workspace.lesson(module).name)
    base = TestReport(module.folder, module.lesson, digest(text), Verdict.EMPTY, _not_run(tests, notebook))
    if problems := locked_problems(notebook, tests):
        message = "the tests are not the course's: " + "; ".join(problems)
        edited = any(problem.startswith("the test cell") for problem in problems)
        hint = f"tito module reset {module.folder} --tests" if edited else "use other names for your own code"
        return replace(base, verdict=Verdict.LOCKED, message=message, hint=hint)
    if error := _syntax_error(text):
        return replace(
            base, verdict=Verdict.SYNTAX, message=f"line {error.lineno}: {error.msg}", detail=_pointed(error, module)
        )
    report = run_file(workspace.root, workspace.lesson(module), base, tests, listener, jobs)
    if digest(read_lesson(workspace.lesson(module))) != base.source_hash:
        raise EnvironmentFault(f"{module.lesson} changed while its tests ran.", f"tito module test {module.folder}")
    return report


def _not_run(tests: Sequence[GradedTest], notebook: Notebook) -> tuple[CaseResult, ...]:
    lines = {cell.grade_id: cell.line for cell in notebook.cells}
    return tuple(
        CaseResult(t.name, t.cell.grade_id, t.cell.points, Outcome.NOT_RUN, lines.get(t.cell.grade_id, 0))
        for t in tests
    )


def _syntax_error(text: str) -> SyntaxError | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text.removeprefix("\ufeff"), "lesson", "exec", dont_inherit=True)
        except SyntaxError as error:
            return error
        except (ValueError, RecursionError, MemoryError) as error:  # a null byte, or expressions nested too deeply
            return SyntaxError(str(error) or "nested too deeply", ("lesson", 1, 1, ""))
    return None


def _pointed(error: SyntaxError, module: Module) -> str:
    line = (error.text or "").rstrip("\n")
    return f"{module.lesson}:{error.lineno}\n    {line}\n    {' ' * max((error.offset or 1) - 1, 0)}^ {error.msg}"


def run_file(
    root: Path,
    file: Path,
    base: TestReport,
    tests: Sequence[GradedTest],
    listener: Listener | None = None,
    jobs: int = 1,
) -> TestReport:
    """Run tests of one file with a root first on the path, in as many child processes as hanging tests require."""
    started = time.monotonic()
    results = {case.name: case for case in base.cases}
    pending = {test.name: test.cell.timeout for test in tests}
    lines = _definitions(file)
    package = ""
    while pending:
        child = _Child(root, file, pending, lines, jobs)
        child.run(listener)
        package = child.package or package
        base = replace(base, package=package, seconds=time.monotonic() - started)
        if child.replaced:
            message = f"{', '.join(child.replaced)}: something else than the test cell had taken its name"
            return replace(base, verdict=Verdict.LOCKED, message=message, hint="take that code out")
        if child.load_error and len(pending) == len(tests):
            return _load_report(base, child.load_error)
        for name, result in child.results.items():
            results[name] = _with_result(results[name], result)
            pending.pop(name, None)
        if child.finished or not child.results:
            break
    _check_package(package, root)
    return _reported(replace(base, seconds=time.monotonic() - started), tuple(results.values()))


def _definitions(file: Path) -> dict[str, int]:
    """The first line of each function that the top level of a file defines; of one defined twice, the last."""
    nodes = quietly_parsed(read_lesson(file).removeprefix("\ufeff")).body
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef))
    return {node.name: min([node.lineno, *(d.lineno for d in node.decorator_list)]) for node in functions}


def _check_package(package: str, root: Path) -> None:
    if package and Path(package).resolve().parent != (root / "tinytorch").resolve():
        raise EnvironmentFault(f"The tests imported {package}, not the tinytorch in {root}.", "tito doctor")


def _reported(base: TestReport, cases: Sequence[CaseResult]) -> TestReport:
    """The report of tests that ran; those that did not say so."""
    missing = "it is not there when the file is loaded: something deletes it or hides it"
    told = tuple(replace(c, message=missing) if c.outcome is Outcome.NOT_RUN else c for c in cases)
    verdict = verdict_of(told)
    message = ""
    if verdict is Verdict.EMPTY:
        skipped = sum(case.outcome is Outcome.SKIPPED for case in told)
        message = (
            f"{skipped} of {len(told)} tests were skipped"
            if skipped
            else "the file has none of its tests when it is loaded"
        )
    return replace(base, verdict=verdict, cases=told, message=message)


def _with_result(case: CaseResult, result: Mapping[str, Any]) -> CaseResult:
    return replace(
        case,
        outcome=Outcome(result["outcome"]),
        seconds=result["seconds"],
        message=result["message"],
        detail=result["detail"],
        output=result["output"],
    )


def _load_report(base: TestReport, error: Mapping[str, str]) -> TestReport:
    kinds = {"TimeoutError": Verdict.TIMEOUT, "SyntaxError": Verdict.SYNTAX}
    kinds |= dict.fromkeys(("ProcessEnded", "Exit", "KeyboardInterrupt", "SystemExit"), Verdict.EXITED)
    verdict = kinds.get(error["kind"], Verdict.LOAD)
    whole = error["kind"] in ("TimeoutError", "ProcessEnded")
    named = error["message"] if whole else f"{error['kind']}: {error['message']}"
    return replace(base, verdict=verdict, message=named.split("\n")[0], detail=error["detail"])


@dataclass
class _Child:
    """One child process and what its events told."""

    root: Path
    file: Path
    tests: Mapping[str, float]  # name -> seconds
    lines: Mapping[str, int]  # name -> where it is defined
    jobs: int
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    load_error: dict[str, str] | None = None
    package: str = ""
    finished: bool = False  # the last test ended, and pytest with it
    stopped: str = ""  # what ended pytest before that
    replaced: list[str] = field(default_factory=list)  # names that something else than the test cell holds
    doing: str = "start"  # the test that runs, or "start", "load"; nothing between tests
    last: str = ""  # the last test that ran
    limit: float = LOAD_LIMIT

    def run(self, listener: Listener | None) -> None:
        """Start the child, follow its events and account for how it ends."""
        with tempfile.TemporaryDirectory(prefix="tito-", ignore_cleanup_errors=True) as folder:
            place = Path(folder)
            spec = {
                "root": str(self.root),
                "file": str(self.file),
                "tests": {name: [limit, self.lines.get(name, 0)] for name, limit in self.tests.items()},
                "load_limit": LOAD_LIMIT,
                "events": str(place / "events"),
                "stacks": str(place / "stacks"),
                "cache": str(place / "cache"),
                "ini": str(place / "pytest.ini"),
            }
            (place / "pytest.ini").write_text(INI.format(file=self.file.name), encoding="utf-8")
            (place / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
            with (place / "output").open("w+", encoding="utf-8", errors="replace") as output:
                code, late = self._follow(place, output, listener)
                if not self.finished and not self.load_error:
                    output.seek(0)
                    self._account(code, late, _read(place / "stacks"), output.read()[-4000:])

    def _follow(self, place: Path, output: Any, listener: Listener | None) -> tuple[int, bool]:
        command = [sys.executable, "-P", str(CHILD), str(place / "spec.json")]
        with child_process(command, self.root, output, self.jobs) as process:
            deadline, position = time.monotonic() + LOAD_LIMIT + GRACE, 0
            while True:
                ended = process.poll() is not None
                for event, end in _events(place / "events", position):
                    position = end
                    self._take(event, listener)
                    deadline = time.monotonic() + self.limit + GRACE
                if _stopping.is_set():
                    raise KeyboardInterrupt
                if ended or time.monotonic() > deadline:
                    return process.returncode or 0, not ended
                time.sleep(0.005)

    def _take(self, event: dict[str, Any], listener: Listener | None) -> None:
        match event.pop("event"):
            case "load":
                self.doing, self.limit = "load", event["limit"]
            case "load_failed":
                self.load_error = self.load_error or event
            case "loaded":
                self.doing = ""
                self.replaced = event["replaced"]
            case "start":
                self.doing = self.last = event["test"]
                self.limit = event["limit"]
                if listener:
                    listener(event["test"])
            case "result":
                first = self.results.get(event["test"])
                if first is None or first["outcome"] == Outcome.PASSED:
                    self.results[event["test"]] = event
                self.doing = ""
            case "finish":
                self.package, self.stopped = event["package"], event["stopped"]
                self.finished = not self.doing and not self.stopped

    def _account(self, code: int, late: bool, stacks: str, output: str) -> None:
        """Name what ended a child that did not finish."""
        hung = late or "Timeout (" in stacks
        if hung:
            message = f"still running after {self.limit:g} s: an endless loop, or work that should be vectorised"
        elif self.stopped:
            message = f"the code under test ended the run ({self.stopped})"
        else:
            message = f"the process ended {_ending(code)} {'while it ran' if self.doing else 'right after it ran'}"
        blamed = self.doing or self.last
        if blamed in ("start", "load", ""):
            message = f"loading the file: {message.replace('while it ran', 'then')}"
            kind = "TimeoutError" if hung else "ProcessEnded"
            self.load_error = {"kind": kind, "message": message, "detail": stacks or output}
            return
        self.results[blamed] = {
            "outcome": Outcome.TIMEOUT if hung else Outcome.EXITED,
            "seconds": self.limit if hung else 0.0,
            "message": message,
            "detail": _learner_frames(stacks, self.file) if hung else output,
            "output": "",
        }


@contextlib.contextmanager
def child_process(command: Sequence[str], root: Path, output: Any, jobs: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a group of its own; ended, with its own children, at exit."""
    environment = child_environment(root, os.environ)
    if jobs > 1:
        environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()


def child_environment(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what could change a verdict: settings of pytest, of Python, and the workspace as a place
    from which Python imports its start-up files (sitecustomize) and, before its own, the standard library."""
    dropped = ("PYTHONOPTIMIZE", "PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONPATH", "PYTHONSAFEPATH")
    kept = {key: value for key, value in environment.items() if not key.startswith("PYTEST") and key not in dropped}
    places = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    others = [place for place in places if not Path(place).resolve().is_relative_to(root.resolve())]
    path = {"PYTHONPATH": os.pathsep.join(others)} if others else {}
    return {**kept, **path, "PYTHONIOENCODING": "utf-8", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _events(path: Path, position: int) -> Iterator[tuple[dict[str, Any], int]]:
    """The whole lines written since a position, each with the position after it."""
    try:
        with path.open("rb") as stream:
            stream.seek(position)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                position += len(line)
                yield json.loads(line), position
    except FileNotFoundError:
        return


def _ending(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"with exit code {code} (os._exit?)"


def _learner_frames(stacks: str, file: Path) -> str:
    """Where a hanging test was, from the innermost call outwards, in the learner's files only."""
    frames = [line.strip() for line in stacks.splitlines() if line.strip().startswith("File ")]
    own = [line for line in frames if file.parent.parent.parent.as_posix() in line.replace("\\", "/")]
    return "it was here, innermost first:\n" + "\n".join(f"  {line}" for line in own or frames[:3])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
