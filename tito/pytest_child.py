"""What runs inside the child process: pytest on one lesson, each event written as a line of JSON.

Started by path with a specification file; imports nothing of tito, so that a run rests on the learner's files,
numpy and pytest alone.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy  # (before the cache prefix below, so that its own compiled files are used)
import pytest

# Parts of pytest that a lesson has no use for; without them a run starts a fifth faster.
_UNUSED = [
    "cacheprovider",
    "debugging",
    "doctest",
    "faulthandler",
    "junitxml",
    "legacypath",
    "logging",
    "pastebin",
    "setuponly",
    "setupplan",
    "stepwise",
    "threadexception",
    "unittest",
    "unraisableexception",
]


class Reporter:
    """A pytest plugin that keeps the wanted tests, limits each one's time and reports what happens."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.file: str = spec["file"]
        self.limits: dict[str, float] = {name: limit for name, (limit, _) in spec["tests"].items()}
        self.lines: dict[str, int] = {name: line for name, (_, line) in spec["tests"].items()}
        self.stopped = ""
        self.load_limit: float = spec["load_limit"]
        self.events = Path(spec["events"]).open("w", encoding="utf-8")  # noqa: SIM115 (open as long as the process)
        self.stacks = Path(spec["stacks"]).open("w", encoding="utf-8")  # noqa: SIM115
        self.started = 0.0

    def send(self, event: str, **facts: Any) -> None:
        self.events.write(json.dumps({"event": event, **facts}) + "\n")
        self.events.flush()

    def watch(self, seconds: float) -> None:
        """End this process, with a stack trace on file, unless it is told otherwise in time."""
        faulthandler.dump_traceback_later(seconds, exit=True, file=self.stacks)

    def pytest_collection(self) -> None:
        self.send("load", limit=self.load_limit)
        self.watch(self.load_limit)

    def pytest_exception_interact(self, call: Any, report: Any) -> None:
        if isinstance(report, pytest.CollectReport):
            kind = call.excinfo.type.__name__ if call.excinfo else "Error"
            cause = getattr(call.excinfo.value, "__cause__", None) if call.excinfo else None
            message = str(cause or (call.excinfo.value if call.excinfo else ""))
            self.send(
                "load_failed",
                kind=type(cause).__name__ if cause else kind,
                message=_clipped(message, 2000),
                detail=_clipped(str(report.longrepr)),
            )

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        self.stopped = f"{excinfo.typename}: {excinfo.value}"

    def pytest_internalerror(self, excinfo: Any) -> None:
        self.stopped = f"{excinfo.typename}: {excinfo.value}"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.name in self.limits]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        faulthandler.cancel_dump_traceback_later()
        self.send("loaded", replaced=[item.name for item in session.items if not self._of_its_cell(item)])

    def _of_its_cell(self, item: pytest.Item) -> bool:
        """Whether a test is the very function that the file defines under its name."""
        code = getattr(getattr(item, "function", None), "__code__", None)
        place = (getattr(code, "co_filename", ""), getattr(code, "co_firstlineno", 0))
        return place == (self.file, self.lines[item.name])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        limit = self.limits[item.name]
        self.send("start", test=item.name, limit=limit)
        self.started = time.perf_counter()
        self.watch(limit)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Iterator[None]:
        report: Any = yield
        fooled = _equals_anything(item) if report.when == "call" and report.outcome == "passed" else ""
        if fooled:
            report.outcome = "failed"
            report.longrepr = (
                f"objects of class {fooled} say that they are equal to anything, so comparing them shows nothing"
            )
        if report.when == "call" or report.outcome != "passed":
            left = call.excinfo is not None and call.excinfo.type is SystemExit
            self.send(
                "result",
                test=item.name,
                outcome="exited" if left else report.outcome,
                seconds=time.perf_counter() - self.started,
                message=_clipped(_message(call, report), 2000),
                detail=_clipped(str(report.longrepr or "")),
                output=_clipped("".join(text for _, text in report.sections)),
            )
        return report  # type: ignore[no-any-return]


class _Stranger:
    """An object that has nothing in common with any other."""

    __slots__ = ()


def _equals_anything(item: pytest.Item) -> str:
    """The name of a class of the lesson or the package whose objects claim to be equal to any object."""
    own = {getattr(getattr(item, "module", None), "__name__", "")}
    queue = [object]
    seen = set(queue)
    while queue:
        fresh = [kind for kind in type.__subclasses__(queue.pop()) if kind not in seen]
        queue += fresh
        seen.update(fresh)
        for kind in fresh:
            ours = kind.__module__ in own or str(kind.__module__).partition(".")[0] == "tinytorch"
            if ours and "__eq__" in vars(kind) and _claims_to_equal(kind):
                return kind.__qualname__
    return ""


def _claims_to_equal(kind: type) -> bool:
    try:
        answer = vars(kind)["__eq__"](object.__new__(kind), _Stranger())
    except Exception:  # a proper comparison may need what the constructor sets
        return False
    return isinstance(answer, bool | numpy.bool_) and bool(answer)


def _message(call: Any, report: Any) -> str:
    if call.excinfo is None:
        return report.longrepr if isinstance(report.longrepr, str) else ""
    if report.outcome == "skipped":
        return f"skipped: {call.excinfo.value}"
    if call.excinfo.type is SystemExit:
        return f"the code under test called exit ({call.excinfo.value.code!r})"
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(call.excinfo.value)
    return str(text).strip().split("\n")[0] or call.excinfo.type.__name__


def _clipped(text: str, limit: int = 20_000) -> str:
    """The text, or its beginning and its end when it is very long."""
    half = limit // 2
    left_out = f"\n... {len(text) - limit} characters left out ...\n"
    return text if len(text) <= limit else text[:half] + left_out + text[-half:]


def import_path(root: str, path: list[str]) -> list[str]:
    """sys.path with the workspace before what is installed and behind the standard library, which nothing replaces."""
    library = [os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]

    def standard(place: str) -> bool:
        real = os.path.realpath(place)
        own = any(real == folder or real.startswith(folder + os.sep) for folder in library)
        return real.endswith(".zip") or (own and "-packages" not in real)

    return [*filter(standard, path), root, *(place for place in path if not standard(place))]


def end_with_parent(parent: int) -> None:
    """End this process and those it started once tito is gone, killed or with its terminal closed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    if hasattr(os, "killpg"):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def main(spec_file: str) -> None:
    """Run the specification's tests and end this process, with whatever threads the tests left behind."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    threading.Thread(target=end_with_parent, args=(spec["parent"],), daemon=True).start()
    sys.path[:] = import_path(spec["root"], sys.path)
    sys.pycache_prefix = spec["cache"]  # a compiled file could be older than an edit of the same second
    reporter = Reporter(spec)
    arguments = ["-c", spec["ini"], "--rootdir", spec["root"], "--noconftest", "--tb=short", "--import-mode=importlib"]
    unused = [f"-pno:{name}" for name in _UNUSED]
    try:
        pytest.main([*arguments, *unused, spec["file"]], plugins=[reporter])
    except SystemExit as stop:
        reporter.stopped = f"SystemExit: {stop.code}"
    package = getattr(sys.modules.get("tinytorch"), "__file__", None) or ""
    reporter.send("finish", package=package, stopped=reporter.stopped)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
