"""The shape of the code, which docs/architecture.md describes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from support import ROOT

FILES = sorted((ROOT / "tito").rglob("*.py"))

# A part imports only parts with a lower number, and its own package.
LAYERS = {
    "tito": 0,  # the version
    "errors": 0,
    "facts": 0,
    "course": 1,
    "notebook": 1,
    "release": 2,
    "export": 3,
    "config": 2,
    "progress": 2,
    "report": 2,
    "editor": 2,
    "junit": 3,
    "workspace": 3,
    "graded": 4,
    "runner": 5,
    "lifecycle": 6,
    "analysis": 6,
    "lint": 7,
    "doctor": 7,
    "grading": 8,
    "render": 9,
    "cli": 10,
    "__main__": 11,
    "course_in_wheel": 11,
    "pytest_child": 11,
}
ALONE = {  # package -> the only files that may import it
    "rich": ["tito/render/"],
    "pytest": ["tito/pytest_child.py"],
    "jupytext": ["tito/notebook.py"],
    "nbformat": [],
    "nbgrader": ["tito/grading/books/"],
    "dask": ["tito/grading/cluster.py"],
    "distributed": ["tito/grading/cluster.py"],
    "sqlalchemy": ["tito/grading/books/"],
    "alembic": ["tito/grading/books/"],
    "typer": ["tito/cli/"],
    "click": [],
    "numpy": ["tito/pytest_child.py", "tito/analysis/", "tito/grading/"],
    "hatchling": ["tito/course_in_wheel.py"],
    "tinytorch": ["tito/analysis/live_child.py"],
}
POSIX = {
    *("fork", "killpg", "sched_getaffinity", "getuid", "geteuid", "setsid", "nice", "mkfifo", "wait4", "getpgid"),
    *("SIGKILL", "SIGALRM", "SIGHUP", "alarm", "setitimer"),
}
# Programs that tito.grading.sandbox.isolation starts where it has found os.fork, and nowhere else.
POSIX_PROGRAMS = (
    "tito/grading/sandbox/zygote_child.py",
    "tito/grading/sandbox/confine_child.py",
    "tito/grading/sandbox/lesson_child.py",
)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too, but not for type checkers alone."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped |= {inner for statement in node.body for inner in ast.walk(statement)}
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)} has a relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "tito")


def part(module: str) -> str:
    """The part of tito that a module belongs to."""
    words = module.split(".")
    return words[1] if len(words) > 1 else "tito"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_go_down(path: Path) -> None:
    """Catches a layer that reaches up, from which a tangle grows."""
    own = part(name(path).removesuffix(".py").replace("/", "."))
    own = "tito" if own == "__init__" else own
    assert own in LAYERS, f"{own} is new: give it a place in LAYERS, and in docs/architecture.md"
    for module in imports(path):
        if module == "tito" or not module.startswith("tito."):
            continue
        used = part(module)
        if used == "__version__":
            continue
        assert used == own or LAYERS[used] < LAYERS[own], f"{name(path)} imports {module}"


# What the folders of grading import of it: data flows from left to right, and nothing flows back.
GRADING = {
    "sandbox": ("sandbox",),
    "submission": ("submission", "sandbox.jobs", "assignment", "records"),
    "intake": ("intake", "submission.reading", "place"),
    "books": ("books", "intake.students", "assignment", "journal", "place", "records"),
}


@pytest.mark.parametrize("folder", GRADING)
def test_the_folders_of_grading_keep_apart(folder: str) -> None:
    """Catches a sandbox that knows of gradebooks, or a reader of submissions that runs them."""
    allowed = tuple(f"tito.grading.{part}" for part in GRADING[folder])
    for path in (ROOT / "tito" / "grading" / folder).glob("*.py"):
        used = [module for module in imports(path) if module.startswith("tito.grading")]
        assert [module for module in used if not module.startswith(allowed)] == [], name(path)


@pytest.mark.parametrize("package", ALONE)
def test_one_place_knows_each_library(package: str) -> None:
    """Catches a second place that depends on a library's ways, and tito running a learner's package."""
    users = [name(path) for path in FILES if package in {module.partition(".")[0] for module in imports(path)}]
    allowed = tuple(ALONE[package])
    assert [user for user in users if not user.startswith(allowed or ("nowhere",))] == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_childs_run_on_the_learners_side_alone(path: Path) -> None:
    """Catches a child process that imports tito, whose settings it would bring along."""
    if path.name.endswith("_child.py"):
        assert [module for module in imports(path) if module.partition(".")[0] == "tito"] == []


def test_tinytorch_never_imports_tito() -> None:
    """Catches a framework that cannot be used without the course's tool."""
    for path in (ROOT / "tinytorch").rglob("*.py"):
        assert not [module for module in imports(path) if module.partition(".")[0] == "tito"], name(path)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_calls_of_posix_are_guarded(path: Path) -> None:
    """Catches what crashes on Windows where nobody of us tries it."""
    if name(path) in POSIX_PROGRAMS:
        return
    parents = {child: node for node in ast.walk(tree(path)) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree(path)):
        used = isinstance(node, ast.Attribute) and node.attr in POSIX and isinstance(node.value, ast.Name)
        imported = isinstance(node, ast.Import) and any(
            alias.name in ("fcntl", "resource", "pwd") for alias in node.names
        )
        if not (used or imported):
            continue
        at: ast.AST | None = node
        tests = []
        while at is not None:
            tests += [ast.unparse(at.test)] if isinstance(at, ast.If | ast.IfExp) else []
            at = parents.get(at)
        assert any("hasattr" in test or "os.name" in test for test in tests), f"{name(path)}, line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_text_file_is_opened_as_utf8(path: Path) -> None:
    """Catches a file that reads as something else on Windows."""
    for node in ast.walk(tree(path)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        if called not in ("open", "read_text", "write_text"):
            continue
        if ast.unparse(node.func) in ("os.open", "tarfile.open", "self._zip.open", "opener.open"):
            continue
        given = [ast.unparse(argument) for argument in node.args] + [ast.unparse(k.value) for k in node.keywords]
        encoded = any(k.arg == "encoding" for k in node.keywords) or "'utf-8'" in given
        binary = called == "open" and any("b" in text.strip("'") and len(text) <= 5 for text in given if text[0] == "'")
        assert encoded or binary, f"{name(path)}, line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_and_functions_stay_readable(path: Path) -> None:
    """Catches a file of more than 400 lines, a function of more than 60, and a module without a docstring."""
    lines = 500 if path.name.endswith("_child.py") else 400  # a child runs by itself, so it cannot be divided
    assert len(path.read_text(encoding="utf-8").splitlines()) <= lines
    assert ast.get_docstring(tree(path))
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{name(path)}: {node.name}"
