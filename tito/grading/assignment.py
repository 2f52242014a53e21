"""An assignment as the grader holds it: the course's cells, tests, probes, and the package a submission may import."""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tito.course import Course, Module
from tito.errors import EnvironmentFault
from tito.graded import graded_tests
from tito.lifecycle.setup import package_skeleton
from tito.notebook import Notebook, Role, parse
from tito.release import release, unhidden
from tito.workspace import read_lesson


@dataclass(frozen=True)
class GradedCell:
    """A locked test of the course, in the form in which it may enter the sandbox."""

    grade_id: str
    test: str  # the function's name
    points: int
    seconds: float
    source: str  # without its hidden tests
    probes: tuple[str, ...]  # names of functions in probes.py
    partial: bool  # whether some probes earn some points


@dataclass(frozen=True)
class Question:
    """A reflection question, graded by a person."""

    grade_id: str
    points: int


@dataclass(frozen=True)
class Assignment:
    """All that grading one module takes; nothing of it but `package` and the visible tests enters a sandbox."""

    module: str  # the folder
    lesson: str  # the course's lesson, solutions and all
    probes_source: str
    tolerances: dict[str, dict[str, Any]]
    graded: tuple[GradedCell, ...]
    questions: tuple[Question, ...]
    package: dict[str, bytes]  # relative path -> file: the doors and the modules that this one needs

    @cached_property
    def notebook(self) -> Notebook:
        """The course's lesson as cells."""
        return parse(self.lesson, self.module)

    @cached_property
    def released(self) -> Notebook:
        """The student version."""
        return release(self.notebook, self.module)

    @property
    def name(self) -> str:
        """The lesson's name without its ending: layers_dev."""
        return f"{self.module.partition('_')[2]}_dev"

    @cached_property
    def hash(self) -> str:
        """What a verdict depends on besides the submission and the grader, as a SHA-256."""
        package = [[path, hashlib.sha256(data).hexdigest()] for path, data in sorted(self.package.items())]
        text = json.dumps([self.module, self.lesson, self.probes_source, package])
        return hashlib.sha256(text.encode()).hexdigest()


def load_assignment(course: Course, module: Module) -> Assignment:
    """Read an assignment from the course; EnvironmentFault when its probes cannot be used."""
    lesson = read_lesson(course.source(module))
    notebook = parse(lesson, course.source(module).name)
    probes_source = _probes_source(course, module)
    named = _tables(probes_source, module)
    graded = tuple(
        GradedCell(
            test.cell.grade_id,
            test.name,
            test.cell.points,
            test.cell.timeout,
            unhidden(test.cell),
            tuple(named["PROBES"].get(test.cell.grade_id, ())),
            test.cell.grade_id in named["PARTIAL"],
        )
        for test in graded_tests(notebook)
    )
    questions = tuple(Question(cell.grade_id, cell.points) for cell in notebook.of_role(Role.MANUAL))
    return Assignment(
        module.folder, lesson, probes_source, named["TOLERANCES"], graded, questions, _package(course, module)
    )


def _probes_source(course: Course, module: Module) -> str:
    path = course.home / "modules" / module.folder / "probes.py"
    return read_lesson(path) if path.exists() else ""


def _tables(source: str, module: Module) -> dict[str, Any]:
    """The tables PROBES, TOLERANCES and PARTIAL of a probes.py, read without running it: names stand for themselves."""
    found: dict[str, Any] = {"PROBES": {}, "TOLERANCES": {}, "PARTIAL": ()}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in found:
            try:
                found[node.targets[0].id] = ast.literal_eval(_Quoted().visit(node.value))
            except ValueError as error:
                raise EnvironmentFault(
                    f"modules/{module.folder}/probes.py, line {node.lineno}: {error}.",
                    "write the table with names, strings and numbers alone; see docs/grading.md",
                ) from None
    return found


class _Quoted(ast.NodeTransformer):
    """Turns names of functions into strings."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(node.id)


def _package(course: Course, module: Module) -> dict[str, bytes]:
    """The files of the package that a submission of this module may import."""
    paths = [*package_skeleton(course), *(needed.package_file for needed in course.needed(module))]
    return {path: (course.package_root / path).read_bytes() for path in sorted(paths)}
