"""Lessons into the package: what is current, what is stale, and writing it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from tito.course import Module
from tito.errors import Exit, IntegrityError, LearnerError
from tito.export import digest, edited_by_hand, export
from tito.facts import Facts
from tito.graded import GradedTest, course_notebook, graded_tests
from tito.lifecycle.standing import require_needs
from tito.lifecycle.sync import synchronise
from tito.notebook import Cell, Notebook, parse, quietly_parsed
from tito.report import CaseResult, Outcome, TestReport, Verdict
from tito.runner import run_file
from tito.workspace import Workspace, read_lesson


class ExportState(StrEnum):
    """How a package file compares with what its lesson would give now."""

    CURRENT = "current"
    WRITTEN = "written"
    STALE = "stale"
    MISSING = "missing"
    EDITED = "edited by hand"


@dataclass(frozen=True)
class Exported(Facts):
    """The package files of some modules."""

    schema: ClassVar[str] = "tito.export/1"

    rows: tuple[tuple[str, str, ExportState], ...]  # folder, package file, state

    @property
    def exit_code(self) -> Exit:
        """7 when a file is not what its lesson gives."""
        good = (ExportState.CURRENT, ExportState.WRITTEN)
        return Exit.OK if all(state in good for _, _, state in self.rows) else Exit.STALE

    def to_json(self) -> dict[str, Any]:
        """One object a module."""
        rows = [{"module": module, "file": file, "state": state} for module, file, state in self.rows]
        return {"schema": self.schema, "exports": rows, "exit_code": int(self.exit_code)}


def candidate(workspace: Workspace, module: Module) -> str:
    """The package file that the lesson gives now; LearnerError when it names another file than the manifest."""
    text = read_lesson(workspace.lesson(module))
    notebook = parse(text, workspace.lesson(module).name)
    wanted = module.exports.partition(".")[2]
    if notebook.default_exp != wanted:
        raise LearnerError(
            f"{module.lesson} says `#| default_exp {notebook.default_exp}`, the course says {wanted}.",
            f"write `#| default_exp {wanted}` in the first code cell",
        )
    return export(notebook, module.lesson, text)


def refuse_hand_edit(workspace: Workspace, module: Module) -> None:
    """IntegrityError when the package file holds something that no export wrote."""
    path = workspace.package_file(module)
    if path.exists() and edited_by_hand(read_lesson(path)):
        raise IntegrityError(
            f"{module.package_file} was edited by hand, and an export would overwrite that.",
            f"move the change into {module.lesson}, then: tito export {module.folder} --force",
        )


def check_exports(workspace: Workspace, modules: Sequence[Module]) -> Exported:
    """Compare package files with their lessons; in a workspace only those that are there or recorded."""
    done = workspace.progress().completions
    rows = []
    for module in modules:
        state = _state(workspace, module)
        if state is ExportState.MISSING and not workspace.is_course and module.folder not in done:
            continue
        rows.append((module.folder, module.package_file, state))
    return Exported(tuple(rows))


def _state(workspace: Workspace, module: Module) -> ExportState:
    path = workspace.package_file(module)
    if not path.exists():
        return ExportState.MISSING
    text = read_lesson(path)
    if edited_by_hand(text):
        return ExportState.EDITED
    return ExportState.CURRENT if text == candidate(workspace, module) else ExportState.STALE


def export_modules(workspace: Workspace, modules: Sequence[Module], force: bool = False) -> Exported:
    """Export modules in course order, each imported from a copy of the package before it replaces its file."""
    rows = []
    for module in modules:
        synchronise(workspace, module)
        require_needs(workspace, module, "exported")
        text = candidate(workspace, module)
        path = workspace.package_file(module)
        if path.exists() and read_lesson(path) == text:
            rows.append((module.folder, module.package_file, ExportState.CURRENT))
            continue
        if not force:
            refuse_hand_edit(workspace, module)
        with package_copy(workspace, module, text) as copy:
            report = check_in_package(copy, workspace, module, integration=False)
        if report.verdict is not Verdict.PASSED:
            raise LearnerError(
                f"{module.package_file} was not written: it cannot be imported. {_why(report)}",
                f"correct {module.lesson}, then: tito export {module.folder}",
            )
        workspace.change(f"export {module.folder}", {module.package_file: text.encode()})
        rows.append((module.folder, module.package_file, ExportState.WRITTEN))
    return Exported(tuple(rows))


def _why(report: TestReport) -> str:
    first = report.first_failure
    return report.message or (first.message if first else "")


@contextlib.contextmanager
def package_copy(workspace: Workspace, module: Module, text: str) -> Iterator[Workspace]:
    """A temporary workspace with a copy of the package in which one file is new."""
    with tempfile.TemporaryDirectory(prefix="tito-", ignore_cleanup_errors=True) as folder:
        copy = replace(workspace, root=Path(folder).resolve(), is_course=False)
        name = workspace.course.package
        shutil.copytree(workspace.root / name, copy.root / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        target = copy.package_file(module)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="")
        yield copy


_IMPORT_TEST = '''
def test_import() -> None:
    """Every name that the package file promises is there."""
    import importlib

    module = importlib.import_module("{exports}")
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing, f"{exports} lacks {{missing}}"
'''


def check_in_package(copy: Workspace, workspace: Workspace, module: Module, integration: bool = True) -> TestReport:
    """Import a module from a copy of the package and run its integration tests on what was imported."""
    tests = graded_tests(course_notebook(workspace, module)) if integration else ()
    wanted = [test for test in tests if test.integration]
    own = Cell("# %%", "", "code", {"nbgrader": {"grade_id": "import"}}, 1)
    chosen = [GradedTest("test_import", own), *wanted]
    lesson = parse(read_lesson(workspace.lesson(module)), module.lesson) if wanted else Notebook("", ())
    imports = _import_lines(lesson)
    parts = [*imports, f"from {module.exports} import *", _IMPORT_TEST.format(exports=module.exports)]
    file = copy.root / f"{module.name}_from_package.py"
    file.write_text("\n".join([*parts, *(test.cell.source for test in wanted)]), encoding="utf-8")
    cases = tuple(CaseResult(t.name, t.cell.grade_id, t.cell.points, Outcome.NOT_RUN) for t in chosen)
    base = TestReport(
        module.folder, module.package_file, digest(file.read_text(encoding="utf-8")), Verdict.EMPTY, cases
    )
    return run_file(copy.root, file, base, chosen)


def _import_lines(notebook: Notebook) -> list[str]:
    """The import statements of a lesson's top level, which its tests may rely on."""
    import ast

    statements = quietly_parsed(notebook.to_text().removeprefix("\ufeff")).body
    lines = [ast.unparse(node) for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    return sorted(lines, key=lambda line: not line.startswith("from __future__"))
