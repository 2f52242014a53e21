"""Rules that read a lesson without running it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tito.course import Course, Module
from tito.graded import graded_tests
from tito.notebook import Cell, Notebook, Role, from_ipynb, metadata_problems, to_ipynb
from tito.release import marker_problems, release

Problem = tuple[str, int, str]  # code, line, sentence


@dataclass(frozen=True)
class Lesson:
    """A lesson under examination."""

    course: Course
    module: Module
    notebook: Notebook

    def trees(self, exported: bool = False) -> Iterator[tuple[Cell, ast.Module]]:
        """The code cells that parse, with their syntax trees."""
        for cell in self.notebook.cells:
            if cell.kind == "code" and (cell.exported or not exported):
                yield cell, ast.parse(cell.source)


def check(lesson: Lesson) -> Iterator[Problem]:
    """Every static rule; a lesson whose cells do not parse is told only that."""
    for cell in lesson.notebook.cells:
        if cell.kind == "code":
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                yield "T20", cell.line + (error.lineno or 1), f"syntax error: {error.msg}"
                return
    for rule in RULES:
        yield from rule(lesson)


def _metadata(lesson: Lesson) -> Iterator[Problem]:
    yield from (("T01", line, text) for line, text in metadata_problems(lesson.notebook))


def _markers(lesson: Lesson) -> Iterator[Problem]:
    yield from (("T02", line, text) for line, text in marker_problems(lesson.notebook))


def _points(lesson: Lesson) -> Iterator[Problem]:
    for role, wanted in ((Role.TEST, lesson.module.automatic_points), (Role.MANUAL, lesson.module.manual_points)):
        found = sum(cell.points for cell in lesson.notebook.of_role(role))
        if found != wanted:
            yield "T03", 1, f"{role} cells have {found} points, the manifest says {wanted}"


def _target(lesson: Lesson) -> Iterator[Problem]:
    wanted = lesson.module.exports.partition(".")[2]
    if lesson.notebook.default_exp != wanted:
        yield "T04", 1, f"#| default_exp is {lesson.notebook.default_exp or 'missing'}, the manifest says {wanted}"


def _tests(lesson: Lesson) -> Iterator[Problem]:
    for cell in lesson.notebook.of_role(Role.TEST):
        tree = ast.parse(cell.source)
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
        if len(names) != 1:
            yield "T05", cell.line, f"{cell.grade_id} defines {len(names)} tests, expected one"
        elif names[0] not in _called_as_script(tree):
            yield "T05", cell.line, f"{cell.grade_id} does not run {names[0]} under if __name__ == '__main__'"
        if not any(isinstance(node, ast.Assert | ast.Raise | ast.With) for node in ast.walk(tree)):
            yield "T05", cell.line, f"{cell.grade_id} asserts nothing"


def _called_as_script(tree: ast.Module) -> set[str]:
    called: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            calls = (leaf for leaf in ast.walk(node) if isinstance(leaf, ast.Call))
            called |= {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    return called


def _test_names(lesson: Lesson) -> Iterator[Problem]:
    tests = graded_tests(lesson.notebook)
    for test in tests:
        if not test.name.startswith(("test_unit_", "test_module_")):
            yield "T06", test.cell.line, f"{test.name} is called neither test_unit_* nor test_module_*"
    integration = [test.name for test in tests if test.integration]
    if len(integration) != 1:
        yield "T06", 1, f"{len(integration)} tests are called test_module_*, expected one"


def _questions(lesson: Lesson) -> Iterator[Problem]:
    manual = [cell for cell in lesson.notebook.of_role(Role.MANUAL) if cell.kind == "markdown"]
    if len(manual) != 3:
        yield "T07", 1, f"{len(manual)} reflection questions, expected 3"
    for cell in manual:
        before = lesson.notebook.cells[lesson.notebook.cells.index(cell) - 1]
        points = [int(number) for number in re.findall(r"^- \((\d+) points?\)", before.source, re.MULTILINE)]
        if sum(points) != cell.points:
            yield (
                "T08",
                before.line,
                f"the rubric of {cell.grade_id} adds up to {sum(points)}, its points are {cell.points}",
            )


def _hints(lesson: Lesson) -> Iterator[Problem]:
    path = lesson.course.hints_file(lesson.module)
    try:
        ladder: Mapping[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        yield "T09", 1, f"{path.name}: {error}"
        return
    names = [test.name for test in graded_tests(lesson.notebook)]
    for name in names:
        rungs = ladder.get(name)
        if not isinstance(rungs, list) or not 3 <= len(rungs) <= 5 or not all(isinstance(r, str) and r for r in rungs):
            yield "T09", 1, f"{path.name}: {name} needs three to five hints"
    yield from (
        ("T09", 1, f"{path.name}: {name} is no test of this lesson") for name in sorted(set(ladder) - set(names))
    )


def _imports(lesson: Lesson) -> Iterator[Problem]:
    allowed = {each.exports for each in lesson.course.needed(lesson.module)}
    for cell, tree in lesson.trees():
        for node in ast.walk(tree):
            line = cell.line + getattr(node, "lineno", 0)
            names = _imported(node)
            for name in names:
                if not _allowed(name, lesson.course.package, allowed):
                    yield "T10", line, f"imports {name}, which is neither numpy nor something this module needs"
            if isinstance(node, ast.Try) and any(_imported(inner) for inner in ast.walk(node)):
                yield "T10", line, "an import inside try: a missing part must be an error, not a silent change"
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path":
                yield "T10", line, "touches sys.path"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "."] if node.level == 0 else ["." * node.level]
    return []


def _allowed(name: str, package: str, exports: set[str]) -> bool:
    top = name.partition(".")[0]
    return name in exports or top == "numpy" or (top in sys.stdlib_module_names and top != package)


def _data(lesson: Lesson) -> Iterator[Problem]:
    """`.data` cuts the graph silently; it may stand in an op, in Tensor itself, and on a line that says why."""
    for cell, tree in lesson.trees(exported=True):
        lines = cell.source.split("\n")
        for node in _outside_ops(tree):
            reads = isinstance(node, ast.Attribute) and node.attr == "data" and isinstance(node.ctx, ast.Load)
            if reads and "# no gradient:" not in lines[getattr(node, "lineno", 1) - 1]:
                yield "T11", cell.line + getattr(node, "lineno", 0), "reads .data; say why with `# no gradient: ...`"


def _outside_ops(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and (node.name == "apply" or any(map(_is_op, node.decorator_list))):
            continue
        if isinstance(node, ast.ClassDef) and node.name in ("Tensor", "Parameter"):
            continue
        yield node
        yield from _outside_ops(node)


def _is_op(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Name) and called.id in ("op", "no_grad")


def _leaks(lesson: Lesson) -> Iterator[Problem]:
    if marker_problems(lesson.notebook) or metadata_problems(lesson.notebook):
        return
    kept = {line.strip() for line in release(lesson.notebook).to_text().split("\n")}
    for cell in lesson.notebook.of_role(Role.SOLUTION):
        for region in _regions(cell.source):
            telling = [line for line in region if len(line) > 12 and not line.startswith("#")]
            if telling and all(line in kept or f"# {line}" in kept for line in telling):
                yield "T12", cell.line, f"all of a solution of {cell.grade_id} also stands outside its markers"


def _regions(source: str) -> Iterator[list[str]]:
    region: list[str] | None = None
    for line in source.split("\n"):
        if "### BEGIN SOLUTION" in line:
            region = []
        elif "### END SOLUTION" in line and region is not None:
            yield region
            region = None
        elif region is not None and line.strip():
            region.append(line.strip())


def _round_trip(lesson: Lesson) -> Iterator[Problem]:
    text = lesson.notebook.to_text()
    back = from_ipynb(to_ipynb(lesson.notebook), lesson.notebook.header).to_text()
    if back != text:
        pairs = zip(text.split("\n"), back.split("\n"), strict=False)
        line = next((n for n, (a, b) in enumerate(pairs, start=1) if a != b), 1)
        yield "T13", line, "changes on its way through .ipynb"


def _analyses(lesson: Lesson) -> Iterator[Problem]:
    names = [n.name for _, tree in lesson.trees() for n in tree.body if isinstance(n, ast.FunctionDef)]
    analyses = [name for name in names if name.startswith("analyze_")]
    guesses = sum(
        "write your guess" in cell.source.lower() for cell in lesson.notebook.cells if cell.kind == "markdown"
    )
    if len(analyses) < 2:
        yield "T14", 1, f"{len(analyses)} analyze_* functions, expected two or more"
    if guesses < 1:
        yield "T14", 1, "no cell asks the reader to write a guess before an analysis"


def _docstrings(lesson: Lesson) -> Iterator[Problem]:
    for cell, tree in lesson.trees(exported=True):
        for node in tree.body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):  # type: ignore[arg-type]
                yield "T15", cell.line + node.lineno, f"{node.name} has no docstring"  # type: ignore[attr-defined]


RULES: tuple[Callable[[Lesson], Iterator[Problem]], ...] = (
    _metadata,
    _markers,
    _points,
    _target,
    _tests,
    _test_names,
    _questions,
    _hints,
    _imports,
    _data,
    _leaks,
    _round_trip,
    _analyses,
    _docstrings,
)
