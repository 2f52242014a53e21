"""Runs a submission's cells, their tests and the probes in a confined process, and reports each outcome at once.

Part of the program that `zygote_child.py` starts. What runs here may change any module, so this file takes hold of what
it uses beforehand. It reports to a grader that trusts nothing of it.
"""

from __future__ import annotations

import builtins
import json
import linecache
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from types import CodeType, FrameType, ModuleType
from typing import Any

globals()["__builtins__"] = dict(vars(builtins))  # functions below keep these whatever a lesson does to builtins

DETAIL, MESSAGE, LEAVES, DEPTH = 4000, 300, 256, 8
_FRAMES = 12
_write, _read, _exit, _signal = os.write, os.read, os._exit, signal.signal
_loads, _quote = json.loads, json.encoder.encode_basestring_ascii
_format, _lines = traceback.TracebackException, linecache.cache
_setitimer, _alarm, _default_alarm = getattr(signal, "setitimer", None), getattr(signal, "SIGALRM", 0), signal.SIG_DFL
_recursion, _set_recursion, _settrace, _setprofile = (
    sys.getrecursionlimit(),
    sys.setrecursionlimit,
    sys.settrace,
    sys.setprofile,
)
_HERE = __file__


class TimeIsUp(BaseException):
    """The limit of one cell; not an Exception, so that a lesson's `except Exception` lets it pass."""


class Watch:
    """Raises TimeIsUp in the running cell when its time is over, and again while it goes on."""

    def __init__(self) -> None:
        self.armed = False

    def ring(self, _number: int, _frame: FrameType | None) -> None:
        if self.armed:
            raise TimeIsUp

    def start(self, seconds: float) -> None:
        _signal(_alarm, self.ring)
        self.armed = True
        if _setitimer is not None:
            _setitimer(signal.ITIMER_REAL, seconds, 0.1)

    def stop(self) -> None:
        self.armed = False
        if _setitimer is not None:
            _setitimer(signal.ITIMER_REAL, 0)


class Lesson:
    """One submission on its way."""

    def __init__(
        self, job: int, events: int, known: dict[tuple[str, str], CodeType], module: ModuleType | None
    ) -> None:
        self.job, self.events, self.known = job, events, known
        self.module = module
        self.watch = Watch()
        self.slow = False
        self.streams = (sys.stdout, sys.stderr)

    def run(self) -> None:
        """The whole conversation with the grader: cells, the request for the probes, the probes."""
        told = self.receive()
        self.slow = bool(told["slow"])
        if self.module is None or told["cells"]:
            self.module = new_module(told["name"])
        for index, name, source, test, seconds in told["cells"]:
            self.send(f'{{"start": {index}}}')
            self.report(f'"cell": {index}', self.guarded(partial(self.cell, name, source, test), seconds))
        self.send('{"ask": true}')
        told = self.receive()
        self.probes(told)
        self.send('{"done": true}')

    def cell(self, name: str, source: str, test: str) -> None:
        """Run a cell, then the test that it defines."""
        assert self.module is not None
        space = vars(self.module)
        code = self.known.get((name, source)) or compiled(self.module.__name__, name, source)
        exec(code, space)
        if test:
            space[test]()

    def probes(self, told: dict[str, Any]) -> None:
        """Call each wanted probe with the lesson and fresh random inputs, and send what it returns."""
        space: dict[str, Any] = {}
        failed: tuple[str, ...] = ()
        if told["wanted"]:
            failed = self.guarded(partial(self.load, space, told["source"]), told["seconds"])
        for index, name in told["wanted"]:
            self.send(f'{{"start_probe": {index}}}')
            if failed and failed[0] != "passed":
                self.report(f'"probe": {index}', failed)
                continue
            sent: list[tuple[str, Any]] = []
            verdict = self.guarded(partial(self.probe, sent, space, name, told["seed"], index), told["seconds"])
            if verdict[0] != "passed":
                self.report(f'"probe": {index}', verdict)
                continue
            shapes = ", ".join(
                f"[{_quote(leaf)}, {_quote(array.dtype.str)}, [{', '.join(map(str, array.shape))}]]"
                for leaf, array in sent
            )
            self.send(f'{{"probe": {index}, "leaves": [{shapes}]}}')
            for _leaf, array in sent:
                self.push(array.tobytes())

    def load(self, space: dict[str, Any], source: str) -> None:
        space.update(probe_functions(source))

    def probe(self, sent: list[tuple[str, Any]], space: dict[str, Any], name: str, seed: int, index: int) -> None:
        """Append the arrays that one probe returns."""
        rng = space["default_rng"]([seed, index])
        collect(sent, "", space["functions"][name](self.module, rng), space["numpy"], 0)

    def guarded(self, action: Callable[[], object], seconds: float) -> tuple[str, str, str, str]:
        """Do something of the lesson's: outcome, one line, traceback, name of the exception's class."""
        limit = seconds / 10 if self.slow else seconds
        verdict = ("passed", "", "", "")
        try:
            self.watch.start(limit)
            try:
                action()
            finally:
                self.watch.stop()
        except TimeIsUp as error:
            self.watch.stop()
            self.slow = True
            verdict = ("time limit", f"took longer than {limit:g} s", explained(error)[1], "TimeIsUp")
        except SystemExit as error:
            verdict = ("exited", "tried to end the process", explained(error)[1], "SystemExit")
        except BaseException as error:
            verdict = ("failed", *self.in_words(error))
        self.tidy()
        return verdict

    def in_words(self, error: BaseException) -> tuple[str, str, str]:
        """An exception as one line, a traceback and its class; its own methods may do anything, but not for long."""
        words = (type(error).__name__, "", type(error).__name__)
        try:
            self.watch.start(1.0)
            try:
                words = (*explained(error), type(error).__name__)
            finally:
                self.watch.stop()
        except BaseException:
            self.watch.stop()
        return words

    def tidy(self) -> None:
        """Put back what a cell may have changed of the interpreter."""
        try:
            _settrace(None)
            _setprofile(None)
            _set_recursion(_recursion)
            for stream in (sys.stdout, *self.streams):
                stream.flush()
        except BaseException:
            pass
        sys.stdout, sys.stderr = self.streams

    def report(self, what: str, verdict: tuple[str, ...]) -> None:
        fields = zip(("outcome", "message", "detail", "kind"), verdict, (20, MESSAGE, DETAIL, 100), strict=True)
        texts = ", ".join(f'"{name}": {_quote(clipped(str(text), room))}' for name, text, room in fields)
        self.send(f"{{{what}, {texts}}}")

    def send(self, line: str) -> None:
        self.push(line.encode("ascii") + b"\n")

    def push(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[_write(self.events, view) :]

    def receive(self) -> dict[str, Any]:
        """The grader's next message: eight digits of length, then JSON."""
        size = int(self.exactly(8), 16)
        told: dict[str, Any] = _loads(self.exactly(size))
        return told

    def exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = _read(self.job, min(size, 1 << 20))
            if not part:
                _exit(3)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def new_module(name: str) -> ModuleType:
    """The module in which a lesson's cells run; registered, since dataclasses look their module up."""
    module = ModuleType(name)
    module.__file__ = f"{name}.py"
    vars(module)["__builtins__"] = builtins  # not this file's own
    sys.modules[name] = module
    return module


def compiled(lesson: str, name: str, source: str) -> CodeType:
    """A cell's code, whose tracebacks name the cell and show its lines."""
    file = f"{lesson}.py[{name}]"
    _lines[file] = (len(source), None, source.splitlines(keepends=True), file)
    return compile(source, file, "exec", dont_inherit=True)


def probe_functions(source: str) -> dict[str, Any]:
    """The functions of a probes.py, and what calling them takes."""
    import numpy

    module = new_module("probes")
    exec(compile(source, "probes.py", "exec", dont_inherit=True), vars(module))
    return {"functions": vars(module), "numpy": numpy, "default_rng": numpy.random.default_rng}


def collect(found: list[tuple[str, Any]], name: str, value: Any, numpy: Any, depth: int) -> None:
    """Append what a probe returned as named arrays: "loss", "rows.0", "text:str"; a bare value is "result"."""
    if depth > DEPTH or len(found) >= LEAVES:
        raise ValueError("the result is nested too deeply, or has too many parts")
    if isinstance(value, dict | list | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in pairs:
            collect(found, f"{name}.{key}" if name else str(key), part, numpy, depth + 1)
        return
    name = name or "result"
    if value is None:
        array = numpy.zeros(0, numpy.uint8)
        name += ":none"
    elif isinstance(value, str):
        array = numpy.frombuffer(value.encode("utf-8", "surrogatepass"), numpy.uint8)
        name += ":str"
    else:
        array = numeric(value, numpy)
    found.append((name[:200], array))


def numeric(value: Any, numpy: Any) -> Any:
    """A number, an array or something that holds one, as a plain array of numbers; TypeError for anything else."""
    if not isinstance(value, numpy.ndarray | numpy.generic | bool | int | float | complex):
        inner = getattr(value, "data", None)
        value = inner if isinstance(inner, numpy.ndarray) else value.numpy() if hasattr(value, "numpy") else value
    array = numpy.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"a result of type {type(value).__name__} is no array of numbers")
    return array


def explained(error: BaseException) -> tuple[str, str]:
    """An exception as one line and as the traceback of the lesson's own frames."""
    shown = _format(type(error), error, error.__traceback__, limit=-_FRAMES - 4, compact=True)
    at: Any = shown
    for _ in range(8):
        at.stack[:] = [frame for frame in at.stack if frame.filename != _HERE][-_FRAMES:]
        last = at
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
        if at is None:
            break
    else:
        last.__cause__ = last.__context__ = None
    words = (str(shown).splitlines() or [""])[0]
    if isinstance(error, SyntaxError):
        words = f"{error.msg} (line {error.lineno})"
    elif isinstance(error, AssertionError) and not words and shown.stack:
        words = str(shown.stack[-1].line)
    line = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return line, "".join(shown.format())


def clipped(text: str, room: int) -> str:
    """A text's beginning and end when it is longer than there is room."""
    return text if len(text) <= room else f"{text[: room // 2 - 3]}\n...\n{text[len(text) - room // 2 + 3 :]}"


def begin(job: int, events: int, known: dict[tuple[str, str], CodeType], module: ModuleType | None) -> None:
    """Run a submission in this process."""
    threading.excepthook = lambda _args: None
    Lesson(job, events, known, module).run()
