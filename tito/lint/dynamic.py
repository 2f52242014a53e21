"""Rules that run a lesson: its solution, its stub, and both without the package they build on."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tito.course import Module
from tito.lifecycle.exporting import ExportState, candidate, check_exports, check_in_package, package_copy
from tito.lifecycle.setup import package_skeleton, stub
from tito.lint.static import Lesson, Problem
from tito.report import Outcome, TestReport, Verdict
from tito.runner import child_process, run_module
from tito.workspace import Workspace

SCRIPT_LIMIT = 120.0  # seconds for a lesson run from top to bottom


def check(workspace: Workspace, lesson: Lesson) -> Iterator[Problem]:
    """Every rule that needs the lesson to run."""
    module = lesson.module
    yield from _failures("T20", run_module(workspace, module), "does not pass on the solution")
    with package_copy(workspace, module, candidate(workspace, module)) as place:
        yield from _failures("T27", check_in_package(place, workspace, module), "does not pass on the package")
    with copy(workspace, module, needs_of(workspace, module), stub(workspace.course, module).to_text()) as place:
        report = run_module(place, module)
        if report.verdict in (Verdict.LOAD, Verdict.SYNTAX, Verdict.EXITED, Verdict.EMPTY):
            yield "T21", 1, f"the stub cannot be imported: {report.verdict}: {report.message}"
        yield from _passes("T22", report, "passes on the stub")
        yield from _silence("T21", place, module)
    yield from _silence("T24", workspace, module)
    yield from _script(workspace, module)
    for _, file, state in check_exports(workspace, [module]).rows:
        if state is not ExportState.CURRENT:
            yield "T25", 1, f"{file} is {state}"


def check_without_package(workspace: Workspace, lesson: Lesson) -> Iterator[Problem]:
    """With nothing in the package, no test may pass: not on the stub, and on the solution only if it needs nothing."""
    module = lesson.module
    with copy(workspace, module, (), stub(workspace.course, module).to_text()) as place:
        yield from _passes("T26", run_module(place, module), "passes on the stub with an empty package")
    if module.needs:
        with copy(workspace, module, (), lesson.notebook.to_text()) as place:
            yield from _passes("T26", run_module(place, module), "passes with an empty package")


def needs_of(workspace: Workspace, module: Module) -> tuple[Module, ...]:
    """The modules before this one: its stub must not find its own solution in the package."""
    modules = workspace.course.modules
    return modules[: modules.index(module)]


@contextlib.contextmanager
def copy(workspace: Workspace, module: Module, built: Sequence[Module], text: str) -> Iterator[Workspace]:
    """A temporary workspace with one lesson, and a package in which only the named modules are built."""
    with tempfile.TemporaryDirectory(prefix="tito-", ignore_cleanup_errors=True) as folder:
        place = replace(workspace, root=Path(folder).resolve(), is_course=False)
        files = [*package_skeleton(workspace.course), *(each.package_file for each in built)]
        for name in files:
            if (workspace.root / name).exists():
                (place.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(workspace.root / name, place.root / name)
        place.lesson(module).parent.mkdir(parents=True)
        place.lesson(module).write_text(text, encoding="utf-8", newline="")
        yield place


def _failures(code: str, report: TestReport, what: str) -> Iterator[Problem]:
    if report.message:
        yield code, 1, f"{report.verdict}: {report.message}"
        return
    for case in report.cases:
        if case.outcome is not Outcome.PASSED:
            yield code, case.line, f"{case.name} {what}: {case.outcome}: {case.message}"


def _passes(code: str, report: TestReport, what: str) -> Iterator[Problem]:
    for case in report.cases:
        if case.outcome is Outcome.PASSED:
            yield code, case.line, f"{case.name} {what}"


def _silence(code: str, workspace: Workspace, module: Module) -> Iterator[Problem]:
    """Importing the lesson as a module must print nothing."""
    ended, output = _run(workspace, module, "lesson")
    if ended != 0:
        yield code, 1, f"importing it fails: {output.strip().splitlines()[-1] if output.strip() else ended}"
    elif output:
        yield code, 1, f"importing it prints {output.strip().splitlines()[0]!r}"


def _script(workspace: Workspace, module: Module) -> Iterator[Problem]:
    ended, output = _run(workspace, module, "__main__")
    if ended != 0:
        yield "T23", 1, f"running it as a script fails: {output.strip().splitlines()[-1] if output.strip() else ended}"


def _run(workspace: Workspace, module: Module, name: str) -> tuple[int, str]:
    """Run a lesson under a module name, with the workspace's own package first on the path."""
    program = "import runpy, sys; sys.path.insert(0, sys.argv[2]); runpy.run_path(sys.argv[1], run_name=sys.argv[3])"
    words = [str(workspace.lesson(module)), str(workspace.root), name]
    command = [sys.executable, "-P", "-W", "error", "-c", program, *words]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        with child_process(command, workspace.root, output) as process:
            try:
                ended = process.wait(SCRIPT_LIMIT)
            except subprocess.TimeoutExpired:
                return 1, f"still running after {SCRIPT_LIMIT:g} s"
        output.seek(0)
        return ended, output.read()
