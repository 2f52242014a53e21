"""Making a workspace, and putting a lesson's first text in place."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tito import __version__
from tito.course import Course, Module, course_home, load_course
from tito.errors import EnvironmentFault, UsageError
from tito.export import digest
from tito.facts import Facts
from tito.lifecycle.sync import lesson_files
from tito.notebook import Notebook, Role, parse
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
    files |= {name: (course.home / name).read_bytes() for name in package_skeleton(course)}
    for module in course.released:
        files[module.lesson] = stub(course, module).to_text().encode()
    return files


def package_skeleton(course: Course) -> list[str]:
    """The package's files that a learner starts from: code that no module exports, and data sets (*.npz)."""
    exported = {module.package_file for module in course.modules}
    package = course.home / course.package
    found = (path.relative_to(course.home) for kind in ("*.py", "*.npz") for path in package.rglob(kind))
    return sorted(
        path.as_posix() for path in found if path.as_posix() not in exported and "__pycache__" not in path.parts
    )


def init(directory: Path) -> Initialised:
    """Make a workspace in a directory that does not exist yet or is empty; all of it or nothing.

    Raises UsageError when the directory has something in it.
    """
    root = directory.expanduser().absolute()
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        hint = f"tito init {directory} --update" if (root / STATE / MARKER).exists() else "tito init another-directory"
        raise UsageError(f"{root} exists and is not an empty directory.", hint)
    course = load_course(course_home())
    files = initial_files(course)
    progress = Progress()
    for module in course.released:
        progress = progress.with_stub(module.folder, digest(files[module.lesson].decode()))
    marker = json.dumps({"schema": MARKER_SCHEMA, "tito": __version__}, indent=2) + "\n"
    state = {f"{STATE}/progress.json": progress.to_text().encode(), f"{STATE}/{MARKER}": marker.encode()}
    _build(root, {**files, **state})
    names = tuple(module.folder for module in course.released)
    return Initialised(str(root), names, tuple(files), False, f"cd {directory} && tito module test {names[0][:2]}")


def _build(root: Path, files: dict[str, bytes]) -> None:
    """Write a tree beside its place and move it there; the marker, which makes it a workspace, comes last."""
    building: Path | None = None
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{root.name}.tito-", dir=root.parent))
        building.chmod(0o755)
        for name, data in files.items():
            path = building / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if root.exists():
            for child in sorted(building.iterdir(), key=lambda path: path.name == STATE):
                child.rename(root / child.name)
            building.rmdir()
        else:
            building.rename(root)
    except OSError as error:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)
        where = error.filename or root
        raise EnvironmentFault(
            f"{where} cannot be written: {error.strerror or error}. No workspace was made.",
            "choose a directory that you may write to",
        ) from error


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
    """Put the stub of a lesson in place when its file is missing; whether it was."""
    refuse_in_course(workspace, "scaffold")
    if workspace.lesson(module).exists():
        return False
    _replace(workspace, module, stub(workspace.course, module).to_text(), f"module scaffold {module.folder}")
    return True


def reset(workspace: Workspace, module: Module) -> None:
    """Put the stub of a lesson in place of what is there."""
    refuse_in_course(workspace, "reset")
    _replace(workspace, module, stub(workspace.course, module).to_text(), f"module reset {module.folder}")


def _replace(workspace: Workspace, module: Module, text: str, command: str) -> None:
    def record(progress: Progress) -> Progress:
        return without_sync(progress.with_stub(module.folder, digest(text)), module.folder)

    workspace.change(command, lesson_files(workspace, module, text), update=record)


def without_sync(progress: Progress, folder: str) -> Progress:
    """The record once a lesson and its notebook were written together: the next use compares them afresh."""
    return progress.with_sync(folder, "", "")


def restore_tests(workspace: Workspace, module: Module) -> int:
    """Put the course's locked test cells back into a lesson and leave the rest; how many were restored."""
    refuse_in_course(workspace, "reset")
    text = read_lesson(workspace.lesson(module))
    mine, course = parse(text, workspace.lesson(module).name), stub(workspace.course, module)
    repaired = _with_tests(mine, course)
    restored = sum(cell not in mine.cells for cell in repaired.of_role(Role.TEST))
    if repaired.to_text() != text:
        command = f"module reset {module.folder} --tests"
        forget: Callable[[Progress], Progress] = lambda progress: without_sync(progress, module.folder)  # noqa: E731
        workspace.change(command, lesson_files(workspace, module, repaired.to_text()), update=forget)
    return restored


def _with_tests(mine: Notebook, course: Notebook) -> Notebook:
    """The learner's cells with each test cell as the course has it, in its place or after the cell before it."""
    tests = {cell.grade_id: cell for cell in course.of_role(Role.TEST)}
    cells = []
    placed: set[str] = set()
    for cell in mine.cells:
        test = tests.get(cell.grade_id)
        if test is None:
            cells.append(cell)
        elif test.grade_id not in placed:
            placed.add(test.grade_id)
            cells.append(test)
    previous = ""
    for cell in course.cells:
        if cell.grade_id in tests and cell.grade_id not in placed:
            at = next((i for i, own in enumerate(cells) if previous and own.grade_id == previous), len(cells) - 1)
            cells.insert(at + 1, cell)
        previous = cell.grade_id or previous
    return Notebook(mine.header, tuple(cells))


def refuse_in_course(workspace: Workspace, verb: str) -> None:
    """UsageError in the course repository, where a lesson is the solution itself."""
    if workspace.is_course:
        raise UsageError(
            f"{verb} would overwrite a lesson with solutions: this is the course repository.",
            "tito init ../mytorch, and work there",
        )
