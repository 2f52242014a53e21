"""The course: its modules in teaching order, read from course.toml. Pure apart from reading that file."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tito.errors import EnvironmentFault, UsageError

MANIFEST = "course.toml"
SCHEMA = "tito.course/1"


@dataclass(frozen=True)
class Module:
    """One module of the course, as the manifest describes it."""

    folder: str  # "03_layers"
    title: str
    exports: str  # "tinytorch.core.layers"
    needs: tuple[str, ...]  # folders of the modules it builds on
    automatic_points: int
    manual_points: int
    minutes: int
    released: bool

    @property
    def number(self) -> str:
        """The two digits that begin the folder's name."""
        return self.folder.partition("_")[0]

    @property
    def name(self) -> str:
        """The folder's name without its number: "layers"."""
        return self.folder.partition("_")[2]

    @property
    def lesson(self) -> str:
        """The lesson file, relative to the root, with forward slashes."""
        return f"modules/{self.folder}/{self.name}_dev.py"

    @property
    def package_file(self) -> str:
        """The exported file, relative to the root, with forward slashes."""
        return self.exports.replace(".", "/") + ".py"


@dataclass(frozen=True)
class Course:
    """All modules in teaching order, and where their sources are."""

    home: Path  # the directory that holds course.toml and modules/
    title: str
    package: str
    modules: tuple[Module, ...]
    grading: Mapping[str, Any] = field(default_factory=dict, hash=False)  # as written; the grader reads it

    @property
    def released(self) -> tuple[Module, ...]:
        """The modules that this release contains."""
        return tuple(module for module in self.modules if module.released)

    @property
    def package_root(self) -> Path:
        """The directory that holds the package: a checkout's own, or where the wheel has put it beside tito."""
        return self.home if (self.home / self.package).is_dir() else Path(__file__).parent.parent

    def source(self, module: Module) -> Path:
        """The module's lesson with solutions."""
        return self.home / module.lesson

    def hints_file(self, module: Module) -> Path:
        """The module's ladder of hints."""
        return self.home / "modules" / module.folder / "hints.toml"

    def named(self, folder: str) -> Module:
        """The module with exactly this folder name."""
        return next(module for module in self.modules if module.folder == folder)

    def resolve(self, text: str) -> Module:
        """The module that "3", "03", "layers" or "03_layers" names; UsageError with a suggestion otherwise."""
        wanted = text.strip().strip("/").lower().removeprefix("modules/")
        for module in self.modules:
            by_number = wanted.isascii() and wanted.isdigit() and wanted.lstrip("0") == module.number.lstrip("0")
            if by_number or wanted in (module.folder, module.name):
                return module
        raise UsageError(f"There is no module named {text!r}.", self._suggestion(wanted))

    def resolve_released(self, text: str) -> Module:
        """Like resolve, and UsageError when the module is not part of this release."""
        module = self.resolve(text)
        if not module.released:
            raise UsageError(
                f"{module.folder} is not in this release.",
                f"this release has {self._released_numbers()}; see: tito module list",
            )
        return module

    def _released_numbers(self) -> str:
        """The modules of this release by their numbers, neighbours as a range: "01 to 10 and 15"."""
        runs: list[list[Module]] = [[]]
        for module in self.modules:
            if module.released:
                runs[-1].append(module)
            elif runs[-1]:
                runs.append([])
        spans = [" to ".join(dict.fromkeys((run[0].number, run[-1].number))) for run in runs if run]
        return " and ".join([", ".join(spans[:-1]), *spans[-1:]]).removeprefix(" and ") or "no module"

    def users_of(self, module: Module) -> tuple[Module, ...]:
        """The released modules that name this one among their needs."""
        return tuple(other for other in self.released if module.folder in other.needs)

    def needed(self, module: Module) -> tuple[Module, ...]:
        """The modules that one builds on, directly or not, in teaching order."""
        found = set(module.needs)
        for earlier in reversed(self.modules):
            if earlier.folder in found:
                found |= set(earlier.needs)
        return tuple(each for each in self.modules if each.folder in found)

    def _suggestion(self, wanted: str) -> str:
        import difflib

        names = {key: m.folder for m in self.modules for key in (m.folder, m.name, m.number)}
        close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
        return f"did you mean {names[close[0]]}?" if close else "see: tito module list"


def load_course(home: Path) -> Course:
    """Read and check the manifest in a directory.

    Raises EnvironmentFault when the file is missing, is not TOML or breaks the schema.
    """
    path = home / MANIFEST
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EnvironmentFault(f"{path} is missing.", "install tito again, or run it in a course repository") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvironmentFault(f"{path} cannot be read: {error}.", "correct that line of the manifest") from None
    return _course(home, data, path)


def _course(home: Path, data: dict[str, Any], path: Path) -> Course:
    if data.get("schema") != SCHEMA:
        raise EnvironmentFault(f"{path} has schema {data.get('schema')!r}.", f"this tito reads {SCHEMA}")
    try:
        modules = tuple(_module(entry) for entry in data["module"])
        course = Course(home, str(data["title"]), str(data["package"]), modules, data.get("grading", {}))
    except KeyError as error:
        raise EnvironmentFault(f"{path} lacks {error}.", "compare it with docs/architecture.md") from None
    except (TypeError, ValueError) as error:
        raise EnvironmentFault(
            f"{path} is not a valid manifest: {error!r}.", "compare it with docs/architecture.md"
        ) from None
    if not isinstance(course.grading, dict):
        raise EnvironmentFault(f"{path}: grading is {course.grading!r}.", "write it as a table: [grading]")
    _check_order(course, path)
    return course


def _module(entry: dict[str, Any]) -> Module:
    folder = str(entry["folder"])
    if not re.fullmatch(r"[0-9]{2}_[a-z0-9_]+", folder):
        raise ValueError(f"folder {folder!r} does not look like 01_name")
    kinds = {"needs": list, "points": dict, "minutes": int, "released": bool}
    for key, kind in kinds.items():
        if not isinstance(entry[key], kind):
            raise ValueError(f"{key} of {folder} is {entry[key]!r}")
    return Module(
        folder=folder,
        title=str(entry["title"]),
        exports=str(entry["exports"]),
        needs=tuple(entry["needs"]),
        automatic_points=int(entry["points"]["automatic"]),
        manual_points=int(entry["points"]["manual"]),
        minutes=int(entry["minutes"]),
        released=bool(entry["released"]),
    )


def _check_order(course: Course, path: Path) -> None:
    seen: set[str] = set()
    for module in course.modules:
        unknown = [need for need in module.needs if need not in seen]
        if unknown:
            raise EnvironmentFault(
                f"{path}: {module.folder} needs {', '.join(unknown)}, which does not come before it.",
                "list modules in teaching order",
            )
        waiting = [need for need in module.needs if module.released and not course.named(need).released]
        if waiting:
            raise EnvironmentFault(
                f"{path}: {module.folder} is released and needs {', '.join(waiting)}, which is not.",
                "set released = true there, or false here",
            )
        if module.folder in seen:
            raise EnvironmentFault(f"{path}: {module.folder} is listed twice.", "remove one of the entries")
        seen.add(module.folder)


def course_home() -> Path:
    """Where the course is: $TITO_COURSE if set, else inside the installed wheel, or the checkout tito runs from."""
    if named := os.environ.get("TITO_COURSE"):
        return Path(named)
    inside = Path(__file__).parent / "_course"
    return inside if inside.is_dir() else Path(__file__).parent.parent
