"""Starting a module: files that pass every check from the first minute, to be replaced piece by piece."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from tito.course import MANIFEST, Module
from tito.errors import UsageError
from tito.workspace import Workspace

_TEMPLATES = Path(__file__).parent.parent / "templates" / "lesson"
_NAME = re.compile(r"^\d\d_[a-z][a-z0-9_]*$")


def new_module(workspace: Workspace, folder: str) -> list[str]:
    """Write a new module's lesson, hints and probes, and its manifest entry unless it has one; the paths written.

    Raises UsageError when the name is malformed, out of order or taken.
    """
    if not _NAME.match(folder):
        raise UsageError(f"{folder!r} is not two digits, _ and a lower-case name.", "tito dev new 21_audio")
    course = workspace.course
    known = next((module for module in course.modules if module.folder == folder), None)
    files: dict[str, bytes | None] = {}
    if known is None:
        clash = [m.folder for m in course.modules if m.number == folder[:2] or m.name == folder[3:]]
        if clash:
            raise UsageError(f"{folder} clashes with {clash[0]}.", "choose another number and name")
        if course.modules and folder < course.modules[-1].folder:
            raise UsageError(
                f"{folder} would not be the last module.", f"add it to {MANIFEST} by hand, in teaching order"
            )
        title, exports = folder[3:].replace("_", " ").capitalize(), f"{course.package}.core.{folder[3:]}"
        known = Module(folder, title, exports, (), 10, 30, 60, False)
        files[MANIFEST] = (workspace.root / MANIFEST).read_bytes() + _entry(known).encode()
    if (workspace.root / known.lesson).exists():
        raise UsageError(f"{known.lesson} exists already.", f"tito dev check {folder}")
    words = {
        "folder": folder,
        "title": known.title,
        "target": known.exports.partition(".")[2],
        "points": str(known.automatic_points),
        "question_points": str(known.manual_points // 3),
    }
    beside = f"modules/{folder}"
    for name, path in (
        ("lesson.py.txt", known.lesson),
        ("hints.toml.txt", f"{beside}/hints.toml"),
        ("probes.py.txt", f"{beside}/probes.py"),
    ):
        text = (_TEMPLATES / name).read_text(encoding="utf-8")
        files[path] = Template(text).substitute(words).encode()
    workspace.change(f"dev new {folder}", files)
    return list(files)


def _entry(module: Module) -> str:
    needs = ", ".join(f'"{name}"' for name in module.needs)
    return (
        f'\n[[module]]\nfolder = "{module.folder}"\ntitle = "{module.title}"\nexports = "{module.exports}"\n'
        f"needs = [{needs}]\npoints = {{ automatic = {module.automatic_points}, manual = {module.manual_points} }}\n"
        f"minutes = {module.minutes}\nreleased = false\n"
    )
