"""The graded tests of a lesson as the course has them, and whether a learner's copy still has the same."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from tito.course import Module
from tito.notebook import Cell, Notebook, Role, parse
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
    names = {test.name for test in tests}
    for cell in learner.cells:
        if cell.kind == "code" and cell.role is not Role.TEST:
            again = sorted(names & _defined(cell.source))
            problems += [f"{name} is defined again outside its test cell (line {cell.line})" for name in again]
    return problems


def _normal(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().split("\n"))


def _defined(source: str) -> set[str]:
    try:
        nodes = ast.parse(source).body
    except SyntaxError:
        return set()
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def course_notebook(workspace: Workspace, module: Module) -> Notebook:
    """The course's own lesson of a module."""
    path = workspace.course.source(module)
    return parse(read_lesson(path), path.name)
