"""What an installation and a workspace look like from inside, and what is wrong with them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tito import __version__
from tito.config import Setting, load_settings
from tito.errors import EnvironmentFault, Exit, TitoError
from tito.facts import Facts
from tito.progress import Completion, Progress, parse_progress
from tito.workspace import STATE, Workspace, find_workspace, read_lesson

_PROBE = """
import json, sys
sys.path.insert(0, sys.argv[1])
facts = {"tinytorch": "", "blas": ""}
try:
    import numpy
    facts["blas"] = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]
except Exception as error:
    facts["blas"] = f"unknown ({error!r})"
try:
    import tinytorch
    facts["tinytorch"] = tinytorch.__file__
except Exception as error:
    facts["tinytorch"] = f"not importable ({error!r})"
print(json.dumps(facts))
"""


@dataclass(frozen=True)
class Check(Facts):
    """One thing looked at: "ok", "warn" or "bad", and what was seen."""

    name: str
    state: str
    seen: str
    hint: str = ""


@dataclass(frozen=True)
class Examination(Facts):
    """All checks."""

    schema: ClassVar[str] = "tito.doctor/1"

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> Exit:
        """3 when a check is bad."""
        return Exit.ENVIRONMENT if any(check.state == "bad" for check in self.checks) else Exit.OK


@dataclass(frozen=True)
class SettingsShown(Facts):
    """All settings."""

    schema: ClassVar[str] = "tito.config/1"

    settings: tuple[Setting, ...]
    origin: bool


def examine(start: Path) -> Examination:
    """Look at the interpreter, the packages and the workspace that a directory is in."""
    checks = [
        Check("tito", "ok", f"{__version__} in {Path(__file__).parent}"),
        _python(),
        *(_package(name) for name in ("numpy", "pytest", "jupytext", "typer", "rich")),
        _environment(),
        Check("encoding", "ok", f"stdout {sys.stdout.encoding}, files {sys.getfilesystemencoding()}"),
    ]
    try:
        workspace = find_workspace(start)
    except TitoError as error:
        return Examination((*checks, Check("workspace", "warn", error.message, error.hint)))
    return Examination((*checks, *_workspace(workspace)))


def _python() -> Check:
    seen = f"{platform.python_version()} on {platform.system()}, {sys.executable}"
    good = sys.version_info >= (3, 11)
    return Check("python", "ok" if good else "bad", seen, "" if good else "install Python 3.11 or newer")


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "bad", "not installed", "pip install tito again")


def _environment() -> Check:
    if sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ:
        return Check("environment", "ok", sys.prefix)
    return Check("environment", "warn", "not a virtual environment", "python -m venv .venv")


def _workspace(workspace: Workspace) -> Iterator[Check]:
    kind = "course repository" if workspace.is_course else "workspace"
    yield Check(kind, "ok", str(workspace.root))
    yield _imported(workspace)
    yield _writable(workspace)
    yield _space(workspace)
    try:
        workspace.progress()
        load_settings(workspace.root)
        yield Check("record and settings", "ok", "readable")
    except TitoError as error:
        yield Check("record and settings", "bad", error.message, error.hint)
    for module in workspace.course.released:
        try:
            read_lesson(workspace.lesson(module))
        except TitoError as error:
            yield Check(module.folder, "bad", error.message, error.hint)


def _imported(workspace: Workspace) -> Check:
    """Which tinytorch an interpreter started in the workspace gets, and the BLAS of its numpy."""
    command = [sys.executable, "-P", "-c", _PROBE, str(workspace.root)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=True)
        facts = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        return Check("tinytorch", "bad", f"the interpreter could not be asked: {error}", "python -c 'import numpy'")
    own = Path(facts["tinytorch"]).is_relative_to(workspace.root)
    hint = "" if own else f"remove or repair what is imported instead of {workspace.root / 'tinytorch'}"
    return Check("tinytorch", "ok" if own else "bad", f"{facts['tinytorch']}; BLAS {facts['blas']}", hint)


def _writable(workspace: Workspace) -> Check:
    places = [workspace.root, workspace.state, workspace.root / "modules", workspace.root / workspace.course.package]
    closed = [str(place) for place in places if place.exists() and not os.access(place, os.W_OK)]
    seen = f"not writable: {', '.join(closed)}" if closed else "writable"
    return Check("permissions", "bad" if closed else "ok", seen, "chmod u+w there" if closed else "")


def _space(workspace: Workspace) -> Check:
    free = shutil.disk_usage(workspace.root).free
    short = free < 20_000_000
    return Check("disk", "bad" if short else "ok", f"{free / 1e9:.1f} GB free", "free some space" if short else "")


def repair(workspace: Workspace) -> str:
    """Rebuild a damaged progress record from the history; the damaged file is kept beside it.

    Hints shown and the state of notebooks are forgotten; completions come back as the history has them.
    """
    name = f"{STATE}/progress.json"
    path = workspace.root / name
    data = path.read_bytes() if path.exists() else b""
    try:
        parse_progress(data.decode("utf-8"), name)
        return "the progress record is sound: nothing to repair"
    except (EnvironmentFault, UnicodeDecodeError):
        pass
    kept = path.with_name(f"progress.damaged-{len(list(path.parent.glob('progress.damaged-*'))) + 1}.json")
    try:
        if path.exists():
            path.replace(kept)
        progress = _from_history(workspace)
        workspace.remember(lambda _: progress)
    except OSError as error:
        raise EnvironmentFault(
            f"{error.filename} cannot be written: {error.strerror}.", "check its permissions"
        ) from None
    found = ", ".join(progress.completions) or "none"
    return f"rebuilt the record: complete are {found}; the damaged file is {kept.name}"


def _from_history(workspace: Workspace) -> Progress:
    progress = Progress()
    for entry in workspace.history():
        for folder, record in (entry.done or {}).items():
            completion = None
            with contextlib.suppress(TypeError):
                completion = Completion(**record) if record else None
            progress = progress.with_completion(folder, completion)
    return progress
