"""Checking modules against all rules, in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tito.course import Module
from tito.errors import LearnerError, TitoError, UsageError
from tito.lint import dynamic, static
from tito.lint.findings import RULES, Finding, Findings
from tito.notebook import parse
from tito.workspace import Workspace, read_lesson


def require_course(workspace: Workspace) -> None:
    """UsageError outside a course repository: these commands are for authors."""
    if not workspace.is_course:
        raise UsageError("This is a learner's workspace; tito dev is for the course repository.", "tito module test")


def check(
    workspace: Workspace,
    modules: Sequence[Module],
    jobs: int,
    empty_package: bool = False,
    tell: Callable[[str, bool], None] = lambda what, finished: None,
) -> Findings:
    """Every finding in some modules, in course order; with empty_package only that one rule."""
    require_course(workspace)
    found: list[Finding] = []
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        for module, findings in zip(
            modules, pool.map(lambda each: _module(workspace, each, empty_package), modules), strict=True
        ):
            tell(f"{module.folder}: {len(findings)} findings", True)
            found += findings
    codes = ("T26",) if empty_package else tuple(code for code in RULES if code != "T26")
    return Findings(tuple(module.folder for module in modules), codes, tuple(found))


def _module(workspace: Workspace, module: Module, empty_package: bool) -> list[Finding]:
    try:
        path = workspace.course.source(module)
        lesson = static.Lesson(workspace.course, module, parse(read_lesson(path), path.name))
        if empty_package:
            problems = list(dynamic.check_without_package(workspace, lesson))
        else:
            problems = list(static.check(lesson))
            if not any(code in ("T01", "T02") for code, _, _ in problems):
                problems += dynamic.check(workspace, lesson)
    except LearnerError as error:
        problems = [("T20", 1, error.message)]
    except TitoError as error:
        problems = [("T02", 1, error.message)]
    return [Finding(code, module.folder, line, text) for code, line, text in problems]
