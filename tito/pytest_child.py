"""What runs inside the child process: pytest on one lesson, each event written as a line of JSON.

Started by path with a specification file; imports nothing of tito, so that a run rests on the learner's files,
numpy and pytest alone.
"""

from __future__ import annotations

import faulthandler
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy  # noqa: F401  (before the cache prefix below, so that its own compiled files are used)
import pytest


class Reporter:
    """A pytest plugin that keeps the wanted tests, limits each one's time and reports what happens."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.limits: dict[str, float] = spec["tests"]
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
                message=message,
                detail=str(report.longrepr),
            )

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.name in self.limits]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        faulthandler.cancel_dump_traceback_later()
        package = sys.modules.get("tinytorch")
        where = getattr(package, "__file__", None) or ""
        self.send("loaded", tests=[item.name for item in session.items], package=where)

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
        if report.when == "call" or report.outcome != "passed":
            left = call.excinfo is not None and call.excinfo.type is SystemExit
            self.send(
                "result",
                test=item.name,
                outcome="exited" if left else report.outcome,
                seconds=time.perf_counter() - self.started,
                message=_message(call, report),
                detail=str(report.longrepr or ""),
                output="".join(text for _, text in report.sections),
            )
        return report  # type: ignore[no-any-return]


def _message(call: Any, report: Any) -> str:
    if call.excinfo is None:
        return ""
    if report.outcome == "skipped":
        return f"skipped: {call.excinfo.value}"
    if call.excinfo.type is SystemExit:
        return f"the code under test called exit ({call.excinfo.value.code!r})"
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(call.excinfo.value)
    return str(text).strip().split("\n")[0] or call.excinfo.type.__name__


def main(spec_file: str) -> int:
    """Run the specification's tests."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    sys.path.insert(0, spec["root"])
    sys.pycache_prefix = spec["cache"]  # a compiled file could be older than an edit of the same second
    reporter = Reporter(spec)
    arguments = ["-c", spec["ini"], "--rootdir", spec["root"], "--noconftest", "--tb=short", "-p", "no:cacheprovider"]
    try:
        code = pytest.main([*arguments, spec["file"]], plugins=[reporter])
    except SystemExit as stop:
        reporter.send(
            "load_failed",
            kind="SystemExit",
            message=f"the file called exit ({stop.code!r}) while it was loaded",
            detail="",
        )
        return 1
    reporter.send("finish", code=int(code))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
