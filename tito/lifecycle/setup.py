"""Making a workspace, and putting a lesson's first text in place."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tito import __version__
from tito.course import Course, Module, course_home, load_course
from tito.errors import EnvironmentFault, UsageError
from tito.export import digest
from tito.facts import Facts
from tito.graded import course_notebook, graded_tests, locked_problems
from tito.lifecycle.sync import rewrite, synchronise
from tito.notebook import Cell, Notebook, Role, from_ipynb, parse
from tito.progress import Progress
from tito.release import release
from tito.workspace import MARKER, MARKER_SCHEMA, STATE, Workspace, read_lesson

_SETTINGS = Path(__file__).parent.parent / "templates" / "workspace"


@dataclass(frozen=True)
class Initialised(Facts):
    """A workspace that was made or brought up to date."""

    schema: ClassVar[str] = "tito.init/1"

    root: str
    modules: tuple[str, ...]
    written: tuple[str, ...]
    updated: bool
    next: str


def stub(course: Course, module: Module) -> Notebook:
    """The learner's version of a lesson."""
    path = course.source(module)
    return release(parse(read_lesson(path), path.name), path.name)


def initial_files(course: Course) -> dict[str, bytes]:
    """Every file of a new workspace, by relative path, apart from tito's own state."""
    files: dict[str, bytes] = {}
    for path in sorted(_SETTINGS.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = path.relative_to(_SETTINGS).as_posix().replace("dot_", ".")
            files[name] = path.read_bytes()
    files |= {name: (course.package_root / name).read_bytes() for name in package_skeleton(course)}
    for module in course.released:
        files[module.lesson] = stub(course, module).to_text().encode()
    return files


def package_skeleton(course: Course) -> list[str]:
    """The package's files that a learner starts from: code that no module exports, and data sets (*.npz)."""
    exported = {module.package_file for module in course.modules}
    package = course.package_root / course.package
    found = (path.relative_to(course.package_root) for kind in ("*.py", "*.npz") for path in package.rglob(kind))
    return sorted(
        path.as_posix() for path in found if path.as_posix() not in exported and "__pycache__" not in path.parts
    )


def init(directory: Path) -> Initialised:
    """Make a workspace in a directory that does not exist yet or is empty; all of it or nothing.

    Raises UsageError when the directory has something in it.
    """
    root = directory.expanduser().absolute()
    _refuse_occupied(root, directory)
    course = load_course(course_home())
    files = initial_files(course)
    progress = Progress()
    for module in course.released:
        progress = progress.with_stub(module.folder, digest(files[module.lesson].decode()))
    marker = json.dumps({"schema": MARKER_SCHEMA, "tito": __version__}, indent=2) + "\n"
    state = {f"{STATE}/progress.json": progress.to_text().encode(), f"{STATE}/{MARKER}": marker.encode()}
    _build(root, {**files, **state}, lambda: _refuse_occupied(root, directory), course)
    names = tuple(module.folder for module in course.released)
    return Initialised(
        str(root), names, tuple(files), False, f"cd {shlex.quote(str(directory))} && tito module test {names[0][:2]}"
    )


def _refuse_occupied(root: Path, directory: Path) -> None:
    """UsageError when a directory holds anything but what a `tito init` that was killed left behind."""
    if root.is_dir() and all(path.is_dir() or _is_leftover(path, root) for path in root.rglob("*")):
        return
    if root.exists() or root.is_symlink():
        hint = f"tito init {directory} --update" if (root / STATE / MARKER).exists() else "tito init another-directory"
        raise UsageError(f"{root} exists and is not an empty directory.", hint)


def _is_leftover(path: Path, root: Path) -> bool:
    state = root / STATE
    return path in (state / "lock", state / "prepare.json") or path.name.endswith(".tito-new")


def _build(root: Path, files: dict[str, bytes], check: Callable[[], None], course: Course) -> None:
    """Write a tree as one change; when that fails, leave nothing of it."""
    new = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        Workspace(root, course, is_course=False).create(files, check)
    except (OSError, EnvironmentFault):
        if not (root / STATE / "journal.json").exists():
            _clear(root, files, new)
        raise


def _clear(root: Path, files: dict[str, bytes], new: bool) -> None:
    """Remove the empty directories that the files would have been in, and the directory itself when it is new."""
    (root / STATE / "lock").unlink(missing_ok=True)
    folders = {parent for name in files for parent in (root / name).parents if parent.is_relative_to(root)}
    for folder in sorted(folders - ({root} if not new else set()), key=lambda path: -len(path.parts)):
        with contextlib.suppress(OSError):
            folder.rmdir()


def update(workspace: Workspace) -> Initialised:
    """Bring a workspace up to date with the installed course: new modules and doors; no lesson is touched."""
    if workspace.is_course:
        raise UsageError("This is the course repository, not a workspace.", "tito init mytorch")
    files = initial_files(workspace.course)
    lessons = {module.lesson: module for module in workspace.course.released}
    skeleton = package_skeleton(workspace.course)
    new = {name: data for name, data in files.items() if name in skeleton or not (workspace.root / name).exists()}
    changed = {name: data for name, data in new.items() if _contents(workspace.root / name) != data}

    def record(progress: Progress) -> Progress:
        for name in changed:
            if name in lessons:
                progress = progress.with_stub(lessons[name].folder, digest(changed[name].decode()))
        return progress

    workspace.change("init --update", changed, update=record)
    names = tuple(module.folder for module in workspace.course.released)
    return Initialised(str(workspace.root), names, tuple(changed), True, "tito status")


def _contents(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def scaffold(workspace: Workspace, module: Module) -> bool:
    """Put a lesson in place when its file is missing: its notebook's cells, else the stub; whether it was."""
    refuse_in_course(workspace, "scaffold")
    if workspace.lesson(module).exists():
        return False
    first = stub(workspace.course, module)
    page = workspace.notebook(module)
    lesson = from_ipynb(read_lesson(page), first.header, page.name) if page.exists() else first
    _replace(workspace, module, lesson.to_text(), f"module scaffold {module.folder}")
    return True


def reset(workspace: Workspace, module: Module) -> None:
    """Put the stub of a lesson in place of what is there."""
    refuse_in_course(workspace, "reset")
    _replace(workspace, module, stub(workspace.course, module).to_text(), f"module reset {module.folder}")


def _replace(workspace: Workspace, module: Module, text: str, command: str) -> None:
    files, agree = rewrite(workspace, module, text)
    first = digest(stub(workspace.course, module).to_text())
    workspace.change(command, files, update=lambda progress: agree(progress.with_stub(module.folder, first)))


def restore_tests(workspace: Workspace, module: Module) -> int:
    """Put the course's locked test cells back into a lesson and leave the rest; how many were restored."""
    refuse_in_course(workspace, "reset")
    synchronise(workspace, module)
    text = read_lesson(workspace.lesson(module))
    mine, course = parse(text, workspace.lesson(module).name), stub(workspace.course, module)
    tests = graded_tests(course_notebook(workspace, module))
    wrong = {
        test.cell.grade_id
        for test in tests
        if any(problem.startswith("the test cell") for problem in locked_problems(mine, [test]))
    }
    repaired = _with_tests(mine, course, wrong).to_text()
    if repaired != text:
        files, agree = rewrite(workspace, module, repaired)
        workspace.change(f"module reset {module.folder} --tests", files, update=agree)
    return len(wrong)


def _with_tests(mine: Notebook, course: Notebook, wrong: set[str]) -> Notebook:
    """The learner's cells with some test cells as the course has them, in their place or after the cell before them."""
    tests = {cell.grade_id: cell for cell in course.of_role(Role.TEST) if cell.grade_id in wrong}
    cells: list[Cell] = []
    placed: set[str] = set()
    for cell in mine.cells:
        if cell.grade_id not in tests:
            cells.append(cell)
        elif cell.grade_id not in placed:
            placed.add(cell.grade_id)
            blank = cell.body[len(cell.body.rstrip()) :]
            cells.append(replace(tests[cell.grade_id], body=tests[cell.grade_id].body.rstrip() + (blank or "\n")))
    previous = ""
    for cell in course.cells:
        if cell.grade_id in tests and cell.grade_id not in placed:
            at = next((i for i, own in enumerate(cells) if previous and own.grade_id == previous), len(cells) - 1)
            cells.insert(at + 1, cell)
        previous = cell.grade_id or previous
    closed = [c if c.body.endswith("\n") else replace(c, body=c.body + "\n\n") for c in cells[:-1]]
    header = mine.header if not mine.header or mine.header.endswith("\n") else mine.header + "\n\n"
    return Notebook(header, (*closed, *cells[-1:]))


def refuse_in_course(workspace: Workspace, verb: str) -> None:
    """UsageError in the course repository, where a lesson is the solution itself."""
    if workspace.is_course:
        raise UsageError(
            f"{verb} would overwrite a lesson with solutions: this is the course repository.",
            "tito init ../mytorch, and work there",
        )
