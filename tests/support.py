"""What the tests of tito share: a learner at a keyboard, with a workspace of the small course."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tito.cli.app import app
from tito.cli.boundary import run
from tito.course import Course, Module, load_course
from tito.lifecycle.setup import stub
from tito.notebook import Notebook, Role, parse
from tito.release import unmarked
from tito.workspace import Workspace, find_workspace

ROOT = Path(__file__).parents[1]
MINI = ROOT / "tests" / "tito" / "mini"
FOLDERS = {"01": "01_alpha", "02": "02_beta"}


_PREPARED: dict[str, dict[str, bytes]] = {}


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Learner:
    """A directory in which somebody works, and the course that tito finds."""

    root: Path
    home: Path

    @property
    def course(self) -> Course:
        return load_course(self.home)

    @property
    def workspace(self) -> Workspace:
        return find_workspace(self.root)

    def module(self, name: str) -> Module:
        return self.course.resolve(name)

    def lesson(self, name: str) -> Path:
        return self.root / self.module(name).lesson

    def notebook(self, name: str) -> Path:
        return self.lesson(name).with_suffix(".ipynb")

    def package(self, name: str) -> Path:
        return self.root / self.module(name).package_file

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the one occurrence of a text in a lesson."""
        text = self.lesson(name).read_bytes().decode("utf-8")
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        self.lesson(name).write_bytes(text.replace(old, new).encode("utf-8"))

    def append(self, name: str, code: str) -> None:
        """Add a code cell at the end of a lesson."""
        with self.lesson(name).open("a", encoding="utf-8", newline="") as stream:
            stream.write(f"\n# %%\n{code}\n")

    def solve(self, name: str) -> None:
        """Write the course's own solution into a lesson, as somebody who worked it out."""
        source = self.course.source(self.module(name))
        solved = {cell.grade_id: unmarked(cell.source) for cell in parse(source.read_text(encoding="utf-8")).cells}
        first = stub(self.course, self.module(name))
        cells = (
            c.with_source(solved[c.grade_id]) if c.role in (Role.SOLUTION, Role.MANUAL) else c for c in first.cells
        )
        text = Notebook(first.header, tuple(cells)).to_text()
        self.lesson(name).write_bytes(text.encode("utf-8"))

    def tito(self, *words: str, cwd: Path | None = None, typed: str | None = None, encoding: str = "utf-8") -> Done:
        """Run a command in this process; `typed` is what the person answers on a terminal."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2))
        streams = (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err))
        before, sys.stdin = sys.stdin, _Terminal(typed) if typed is not None else io.StringIO()
        try:
            with streams[0], streams[1], contextlib.chdir(cwd or self.root):
                code = run(app, list(words))
        finally:
            sys.stdin = before
        return Done(code, *(stream.buffer.getvalue().decode(encoding) for stream in (out, err)))  # type: ignore[attr-defined]

    def prepare(self, *words: str) -> None:
        """Bring about what a command does; on the same files a second time from memory, because runs take a second."""
        before = {place: files_of(place, (".tito/lock",)) for place in (self.root, self.home)}
        key = hashlib.sha256(repr([words, sorted(map(repr, before.values()))]).encode()).hexdigest()
        if key not in _PREPARED:
            done = self.tito(*words)
            assert done.code == 0, done
            _PREPARED[key] = files_of(self.root, (".tito/lock",))
        for name in before[self.root].keys() - _PREPARED[key].keys():
            (self.root / name).unlink()
        for name, data in _PREPARED[key].items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(data)

    def complete(self, *names: str) -> None:
        """Solve and complete modules, where that is not what is tested."""
        for name in names:
            self.solve(name)
            self.prepare("module", "complete", name)

    def child(self, *words: str, cwd: Path | None = None, env: Mapping[str, str | None] | None = None) -> Done:
        """Run a command in a process of its own, with some variables set or (None) unset."""
        done = subprocess.run(
            self.command(*words),
            cwd=cwd or self.root,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=120,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tito", *words]

    def environment(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """The environment of a child: this one's, the small course, and some changes."""
        wanted = {**os.environ, "TITO_COURSE": str(self.home), **(changes or {})}
        return {key: value for key, value in wanted.items() if value is not None}


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def copy_course(place: Path) -> Path:
    """A copy of the small course that a test may change."""
    return Path(shutil.copytree(MINI, place, ignore=shutil.ignore_patterns("__pycache__")))


def files_of(root: Path, ignored: tuple[str, ...] = (".tito/lock", ".tito/objects/")) -> dict[str, bytes]:
    """Every file below a directory, by relative path, apart from what two equal states may differ in."""
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if not name.startswith(ignored) and "__pycache__" not in name
    }
