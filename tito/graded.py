"""The graded tests of a lesson as the course has them, and whether a learner's copy still has the same."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tito.course import Module
from tito.notebook import Cell, Notebook, Role, parse, quietly_parsed
from tito.release import unhidden
from tito.workspace import Workspace, read_lesson


@dataclass(frozen=True)
class GradedTest:
    """A test function that a locked cell of the course defines."""

    name: str
    cell: Cell

    @property
    def integration(self) -> bool:
        """Whether it tests the module together with earlier ones."""
        return self.name.startswith("test_module_")


def graded_tests(course_notebook: Notebook) -> tuple[GradedTest, ...]:
    """The tests of the course's lesson in order; a cell's points belong to the first test it defines."""
    found = []
    for cell in course_notebook.of_role(Role.TEST):
        functions = [node for node in ast.parse(cell.source).body if isinstance(node, ast.FunctionDef)]
        found += [GradedTest(node.name, cell) for node in functions if node.name.startswith("test_")][:1]
    return tuple(found)


def probe_tables(source: str) -> dict[str, Any]:
    """The tables PROBES, TOLERANCES and PARTIAL of a probes.py, read without running it: names stand for themselves.

    Raises SyntaxError for what is no Python, and ValueError for a table that would have to be computed.
    """
    found: dict[str, Any] = {"PROBES": {}, "TOLERANCES": {}, "PARTIAL": []}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in found:
            try:
                table = ast.literal_eval(_Quoted().visit(node.value))
            except ValueError as error:
                raise ValueError(f"line {node.lineno}: {error}") from None
            if not isinstance(table, type(found[node.targets[0].id])):
                raise ValueError(f"line {node.lineno}: {node.targets[0].id} is a {type(table).__name__}")
            found[node.targets[0].id] = table
    return found


class _Quoted(ast.NodeTransformer):
    """Turns names of functions into strings."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(node.id)


def locked_problems(learner: Notebook, tests: Sequence[GradedTest]) -> list[str]:
    """How the locked test cells differ from the course's, one sentence each."""
    problems = []
    for test in tests:
        copies = [cell for cell in learner.cells if cell.grade_id == test.cell.grade_id]
        wanted = {_normal(test.cell.source), _normal(unhidden(test.cell))}
        if not copies:
            problems.append(f"the test cell {test.cell.grade_id} was deleted")
        elif len(copies) > 1:
            problems.append(f"the test cell {test.cell.grade_id} is there {len(copies)} times (line {copies[1].line})")
        elif _normal(copies[0].source) not in wanted:
            problems.append(f"the test cell {test.cell.grade_id} was edited (line {copies[0].line})")
    names, locked = {test.name for test in tests}, {test.cell.grade_id for test in tests}
    for cell in learner.cells:
        if cell.kind == "code" and cell.grade_id not in locked:
            again = sorted(names & _bound(cell.source))
            problems += [f"{name} is given another meaning outside its test cell (line {cell.line})" for name in again]
    return problems


def _normal(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().split("\n"))


def _bound(source: str) -> set[str]:
    """The names to which some code may give a meaning, or take it: definitions, assignments, imports, del."""
    try:
        nodes = list(ast.walk(quietly_parsed(source)))
    except SyntaxError:
        return set()
    defined = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    assigned = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    return defined | assigned | {n.asname or n.name for n in nodes if isinstance(n, ast.alias)}


def course_notebook(workspace: Workspace, module: Module) -> Notebook:
    """The course's own lesson of a module."""
    path = workspace.course.source(module)
    return parse(read_lesson(path), path.name)
