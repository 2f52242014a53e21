"""Testing, completing and adopting a module."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tito import __version__
from tito.course import Module
from tito.errors import LearnerError, TitoError
from tito.export import digest
from tito.facts import Facts
from tito.lifecycle.exporting import candidate, check_in_package, package_copy, refuse_hand_edit
from tito.lifecycle.setup import refuse_in_course
from tito.lifecycle.standing import next_after, require_needs, tests_hash, unmet_needs
from tito.lifecycle.sync import rewrite, synchronise
from tito.notebook import Cell, Notebook, Role, parse
from tito.progress import Completion, Progress
from tito.release import unhidden
from tito.report import Outcome, TestReport, Verdict
from tito.runner import Listener, run_module
from tito.workspace import Workspace, now, read_lesson


@dataclass(frozen=True)
class Completed(Facts):
    """A module that was completed (or adopted), with what that rests on."""

    schema: ClassVar[str] = "tito.complete/1"

    module: str
    record: Completion
    next: str


class TestsFail(TitoError):
    """A module that cannot be completed because its tests do not pass; carries their report."""

    def __init__(self, report: TestReport) -> None:
        super().__init__(f"{report.module} is not complete: {report.verdict}.", f"tito module test {report.module}")
        self.report = report
        self.exit_code = report.exit_code


def test(workspace: Workspace, module: Module, listener: Listener | None = None, jobs: int = 1) -> TestReport:
    """Run a module's tests on the lesson as it is now; LearnerError when it comes before what it builds on."""
    require_needs(workspace, module, "tested")
    synchronise(workspace, module)
    return run_module(workspace, module, listener, jobs)


def complete(workspace: Workspace, module: Module, listener: Listener | None = None) -> Completed:
    """Test a module, export it, test it again from the package and record it: all of that or none.

    Raises TestsFail with the report when a test does not pass.
    """
    require_needs(workspace, module, "completed")
    synchronise(workspace, module)
    refuse_hand_edit(workspace, module)
    report = run_module(workspace, module, listener)
    text, record = _prove(workspace, module, report, "complete")
    if digest(read_lesson(workspace.lesson(module))) != record.source_hash:
        raise LearnerError(f"{module.lesson} changed while it was completed.", f"tito module complete {module.folder}")
    workspace.change(
        f"module complete {module.folder}",
        {module.package_file: text.encode()},
        update=lambda progress: progress.with_completion(module.folder, record),
        modules=[module.folder],
    )
    return Completed(module.folder, record, next_after(workspace, module))


def why(workspace: Workspace, module: Module) -> Completed:
    """The record that a module's completion rests on; LearnerError when there is none."""
    record = workspace.progress().completions.get(module.folder)
    if record is None:
        raise LearnerError(f"{module.folder} was not completed here.", f"tito module test {module.folder}")
    return Completed(module.folder, record, next_after(workspace, module))


def _prove(workspace: Workspace, module: Module, report: TestReport, kind: str) -> tuple[str, Completion]:
    """The package file and the record that a passing report and a passing package earn."""
    if report.verdict is not Verdict.PASSED:
        raise TestsFail(report)
    text = candidate(workspace, module)
    with package_copy(workspace, module, text) as copy:
        integration = check_in_package(copy, workspace, module)
    if integration.verdict is not Verdict.PASSED:
        message = "the lesson passes, but the exported file does not: a cell it needs lacks #| export"
        raise TestsFail(replace(integration, message=integration.message or message))
    return text, Completion(
        kind=kind,
        at=now(),
        source=module.lesson,
        source_hash=report.source_hash,
        tests_hash=tests_hash(workspace, module),
        export=module.package_file,
        export_hash=digest(text),
        collected=len(report.cases),
        passed=report.count(Outcome.PASSED),
        skipped=report.count(Outcome.SKIPPED),
        integration=integration.count(Outcome.PASSED),
        points=report.points,
        points_possible=report.points_possible,
        tito=__version__,
    )


def adopt(workspace: Workspace, module: Module) -> list[Completed]:
    """Fill a module, and what it builds on, from the course's own solutions; modules already done are left alone."""
    refuse_in_course(workspace, "adopt")
    missing = unmet_needs(workspace, module, workspace.progress())
    return [_adopt_one(workspace, each) for each in [*missing, module]]


def _adopt_one(workspace: Workspace, module: Module) -> Completed:
    refuse_hand_edit(workspace, module)
    source = workspace.course.source(module)
    lesson = reference(parse(read_lesson(source), source.name)).to_text()
    with _lesson_copy(workspace, module, lesson) as copy:
        text, record = _prove(copy, module, run_module(copy, module), "reference")
    files, agree = rewrite(workspace, module, lesson)
    files[module.package_file] = text.encode()

    def update(progress: Progress) -> Progress:
        return agree(progress.with_completion(module.folder, record))

    workspace.change(f"module adopt {module.folder}", files, update=update, modules=[module.folder])
    return Completed(module.folder, record, next_after(workspace, module))


def reference(notebook: Notebook) -> Notebook:
    """The course's lesson as a learner may have it: with solutions, without hidden tests."""

    def shown(cell: Cell) -> Cell:
        return cell.with_source(unhidden(cell)) if cell.role is Role.TEST else cell

    return Notebook(notebook.header, tuple(shown(cell) for cell in notebook.cells))


@contextlib.contextmanager
def _lesson_copy(workspace: Workspace, module: Module, lesson: str) -> Iterator[Workspace]:
    """A temporary workspace with the package as it is and one lesson."""
    with tempfile.TemporaryDirectory(prefix="tito-", ignore_cleanup_errors=True) as folder:
        copy = replace(workspace, root=Path(folder).resolve())
        name = workspace.course.package
        shutil.copytree(workspace.root / name, copy.root / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        copy.lesson(module).parent.mkdir(parents=True)
        copy.lesson(module).write_text(lesson, encoding="utf-8", newline="")
        yield copy
