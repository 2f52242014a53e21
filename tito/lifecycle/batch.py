"""Testing many modules at once: the verdict of `tito test`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from tito.course import Module
from tito.errors import EnvironmentFault, Exit, IntegrityError, LearnerError, NothingRan
from tito.facts import Facts
from tito.lifecycle.exporting import Exported, check_exports, check_in_package, package_copy
from tito.lifecycle.standing import unmet_needs
from tito.lifecycle.sync import synchronise
from tito.report import TestReport, Verdict
from tito.runner import run_module, stop
from tito.workspace import Workspace, read_lesson

Tell = Callable[[str, bool], None]
_WORST_FIRST = (Exit.INTEGRITY, Exit.LIMIT, Exit.NOTHING_RAN, Exit.FAILED, Exit.STALE)


@dataclass(frozen=True)
class Batch(Facts):
    """The tests of several modules; in the course repository also their exports and integration tests."""

    schema: ClassVar[str] = "tito.batch/1"

    lessons: tuple[TestReport, ...]
    package: tuple[TestReport, ...]
    exports: Exported | None
    jobs: int

    @property
    def exit_code(self) -> Exit:
        """The gravest of all verdicts; 5 when nothing ran."""
        codes = {report.exit_code for report in (*self.lessons, *self.package)}
        if self.exports is not None:
            codes.add(self.exports.exit_code)
        if not self.lessons:
            return Exit.NOTHING_RAN
        return next((code for code in _WORST_FIRST if code in codes), Exit.OK)

    def to_json(self) -> dict[str, Any]:
        """Each module's report as `tito module test --json` gives it."""
        return {
            "schema": self.schema,
            "lessons": [report.to_json() for report in self.lessons],
            "package": [report.to_json() for report in self.package],
            "exports": self.exports.to_json() if self.exports else None,
            "jobs": self.jobs,
            "exit_code": int(self.exit_code),
        }


def jobs_from(setting: str) -> int:
    """How many modules to test at the same time: "auto" is one for each processor that this process may use."""
    if setting != "auto":
        return int(setting)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose(workspace: Workspace, names: Sequence[str], every: bool, failed: bool) -> list[Module]:
    """The modules that a command line means; NothingRan when that is none."""
    if names:
        return [workspace.course.resolve_released(name) for name in names]
    progress = workspace.progress()
    released = workspace.course.released
    if failed:
        found = [module for module in released if module.folder in progress.failed]
        if not found:
            raise NothingRan("No module failed in the last run.", "tito test --all")
        return found
    if every or workspace.is_course:
        return list(released)
    found = [module for module in released if module.folder in progress.completions]
    if not found:
        raise NothingRan("No module is complete yet, so there is nothing to test again.", "tito test --all")
    return found


def run(workspace: Workspace, modules: Sequence[Module], jobs: int, tell: Tell) -> Batch:
    """Test modules in parallel, each in a process of its own."""
    for module in modules:
        with contextlib.suppress(LearnerError, IntegrityError):  # told in the module's own report
            synchronise(workspace, module)
    work: list[tuple[str, Callable[[], TestReport]]] = []
    work += [(module.folder, partial(_lesson, workspace, module, jobs)) for module in modules]
    exports = check_exports(workspace, modules) if workspace.is_course else None
    if workspace.is_course:
        work += [(f"{module.folder} from the package", partial(_package, workspace, module)) for module in modules]
    reports = _parallel(work, jobs, tell)
    lessons, package = tuple(reports[: len(modules)]), tuple(reports[len(modules) :])
    failed = tuple(report.module for report in (*lessons, *package) if report.verdict is not Verdict.PASSED)
    with contextlib.suppress(EnvironmentFault):  # a read-only checkout can be tested too
        workspace.remember(lambda progress: progress.with_failed(tuple(dict.fromkeys(failed))))
    return Batch(lessons, package, exports, jobs)


def _parallel(work: Sequence[tuple[str, Callable[[], TestReport]]], jobs: int, tell: Tell) -> list[TestReport]:
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = {pool.submit(task): label for label, task in work}
        try:
            for done in as_completed(futures):
                tell(f"{futures[done]}: {done.result().verdict}", True)
        except BaseException:
            stop()
            pool.shutdown(cancel_futures=True)
            raise
        return [future.result() for future in futures]


def _lesson(workspace: Workspace, module: Module, jobs: int) -> TestReport:
    unmet = unmet_needs(workspace, module, workspace.progress())
    if unmet:
        needs = ", ".join(need.folder for need in unmet)
        message, hint = f"builds on {needs}: not complete", f"tito module test {unmet[0].folder}"
        return TestReport(module.folder, module.lesson, "", Verdict.BLOCKED, message=message, hint=hint)
    try:
        synchronise(workspace, module)
        return run_module(workspace, module, jobs=jobs)
    except IntegrityError as error:
        return TestReport(module.folder, module.lesson, "", Verdict.LOCKED, message=error.message, hint=error.hint)
    except LearnerError as error:
        return TestReport(module.folder, module.lesson, "", Verdict.UNREADABLE, message=error.message, hint=error.hint)


def _package(workspace: Workspace, module: Module) -> TestReport:
    """The integration tests on the package file as it is."""
    try:
        text = read_lesson(workspace.package_file(module))
    except LearnerError as error:
        return TestReport(
            module.folder, module.package_file, "", Verdict.UNREADABLE, message=error.message, hint="tito export --all"
        )
    with package_copy(workspace, module, text) as copy:
        return check_in_package(copy, workspace, module)
