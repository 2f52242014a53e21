"""Runs a submission's cells, their tests and the probes in a confined process, and reports each outcome at once.

Part of the program that `zygote_child.py` starts. What runs here may change any module, so this file takes hold of what
it uses beforehand. It reports to a grader that trusts nothing of it.
"""

from __future__ import annotations
import __future__

import builtins
import json
import linecache
import marshal
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

globals()["__builtins__"] = dict(vars(builtins))  # functions below keep these whatever a lesson does to builtins

DETAIL, MESSAGE, LEAVES, DEPTH = 4000, 300, 256, 8
_FRAMES = 12
# Functions in C and this file's own: what is written in Python could be changed from below.
_write, _read, _exit, _set_blocking = os.write, os.read, os._exit, os.set_blocking
_loads = marshal.loads
_signal: Any = vars(sys.modules["_signal"])["signal"]
_setitimer, _real = getattr(signal, "setitimer", None), getattr(signal, "ITIMER_REAL", 0)
_alarm = int(getattr(signal, "SIGALRM", 0))
_scan: Any = vars(json.JSONDecoder())["scan_once"]
_quote = json.encoder.encode_basestring_ascii
_settrace, _setprofile, _set_recursion, _recursion = (
    sys.settrace,
    sys.setprofile,
    sys.setrecursionlimit,
    sys.getrecursionlimit(),
)
_format, _lines = traceback.TracebackException, linecache.cache
_NESTED, _NUMBERS = (dict, list, tuple), (bool, int, float, complex)
_AWAIT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_HERE = os.path.dirname(__file__)

FUTURE = __future__.annotations.compiler_flag
Known = list[tuple[str, dict[int, CodeType]]]  # a cell's source, and its code by flags


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
            _setitimer(_real, seconds, 0.1)

    def stop(self) -> None:
        self.armed = False
        if _setitimer is not None:
            _setitimer(_real, 0)


class Lesson:
    """One submission on its way."""

    def __init__(self, pipes: tuple[int, int, int], known: Known, module: ModuleType | None, parts: Any) -> None:
        self.job, self.events, self.bell = pipes
        self.known = known
        self.pristine, self.notebook = parts
        self.module = module
        self.watch = Watch()
        self.slow: set[str] = set()  # kinds of parts, code or test, of which one has reached its limit
        self.kind = "code"  # of the part that runs
        self.unsent = b""  # to the grader
        self.kept: dict[str, Any] = {}  # functions, classes and modules that a test has passed with
        self.heads: dict[tuple[Any, tuple[int, ...]], str] = {}  # how arrays of a dtype and shape are announced
        self.absent: set[str] = set()  # names of what is not here, such as a plotting library
        self.future = 0
        self.streams = (sys.stdout, sys.stderr)

    def run(self) -> None:
        """The whole conversation with the grader: cells, the request for the probes, the probes."""
        told = self.receive()
        self.slow = set(told["slow"])
        if self.module is None or told["cells"]:
            self.module = new_module(told["name"])
            vars(self.module).update(display=self.notebook.display, get_ipython=self.notebook.Shell)
        for index, name, source, test, seconds in told["cells"]:
            self.kind = "test" if test else "code"
            self.send(f'{{"start": {index}}}')
            self.report(f'"cell": {index}', self.guarded(partial(self.cell, name, source, test), seconds))
        self.send('{"ask": true}')
        told = self.receive()
        self.probes(told)
        self.send('{"done": true}')
        self.flush()

    def cell(self, name: str, written: str | int, test: str) -> None:
        """Run a cell, given as its source or as the number of a known one, then the test that it defines."""
        assert self.module is not None
        space = vars(self.module)
        source, codes = (written, {}) if isinstance(written, str) else self.known[written]
        code = codes.get(self.future) or compiled(self.module.__name__, name, source, self.future)
        self.future |= code.co_flags & FUTURE
        again = partial(compiled, self.module.__name__, name, source, self.future)
        self.notebook.run(code, source, space, again, self.absent)
        if test:
            space[test]()
            kept = self.kept
            for name, value in space.items():
                if kept.get(name) is not value and _works(value):
                    kept[name] = value

    def probes(self, told: dict[str, Any]) -> None:
        """Call each wanted probe with the lesson and fresh random inputs, and send what it returns."""
        self.kind = "test"
        space: dict[str, Any] = {}
        failed: tuple[str, ...] = ()
        code = self.exactly(told["code"])
        if told["wanted"]:
            failed = self.guarded(partial(self.load, space, code, told["seed"]), told["seconds"])
        for index, name in told["wanted"]:
            self.send(f'{{"start_probe": {index}}}')
            if failed and failed[0] != "passed":
                self.report(f'"probe": {index}', failed)
                continue
            sent: list[tuple[str, Any]] = []
            verdict = self.guarded(partial(self.probe, sent, space, name, index), told["seconds"])
            if verdict[0] != "passed":
                self.report(f'"probe": {index}', verdict)
                continue
            shapes = ", ".join([f"[{_quote(leaf)}, {self.head(array)}]" for leaf, array in sent])
            self.send(f'{{"probe": {index}, "leaves": [{shapes}]}}')
            self.unsent += b"".join([array.tobytes() for _leaf, array in sent])

    def head(self, array: Any) -> str:
        """An array's dtype and shape, in JSON."""
        found = self.heads.get((array.dtype, array.shape))
        if found is None:
            found = f"{_quote(array.dtype.str)}, [{', '.join(map(str, array.shape))}]"
            self.heads[array.dtype, array.shape] = found
        return found

    def load(self, space: dict[str, Any], code: bytes, seed: int) -> None:
        assert self.module is not None
        lesson = vars(self.module)
        for name in [*(name for name, value in lesson.items() if not _works(value)), *(self.kept.keys() - lesson)]:
            if name in self.kept:  # a later cell has used the name for a variable, or deleted it
                lesson[name] = self.kept[name]
            elif callable(self.pristine.builtins.get(name)):
                del lesson[name]
        space.update(probe_functions(_loads(code), self.module, self.pristine))
        space["rng"] = space["numpy"].random.default_rng(seed)
        space["start"] = space["rng"].bit_generator.state

    def probe(self, sent: list[tuple[str, Any]], space: dict[str, Any], name: str, index: int) -> None:
        """Append the arrays that one probe returns, from random numbers that depend on the seed and its place alone."""
        rng = space["rng"]
        rng.bit_generator.state = space["start"]  # another generator for each would take a tenth of the probes' time
        rng.bit_generator.advance(index << 64)
        collect(sent, "", space["functions"][name](self.module, rng), space["numpy"], 0)

    def guarded(self, action: Callable[[], object], seconds: float) -> tuple[str, str, str, str]:
        """Do something of the lesson's: outcome, one line, traceback, name of the exception's class."""
        self.flush()
        limit = seconds / 10 if self.kind in self.slow else seconds
        verdict = ("passed", "", "", "")
        try:
            self.watch.start(limit)
            try:
                action()
            finally:
                self.watch.stop()
        except BaseException as error:
            self.watch.stop()
            line, detail, kind = self.in_words(error)
            if isinstance(error, TimeIsUp):
                self.slow.add(self.kind)
                verdict = ("time limit", f"took longer than {limit:g} s", detail, kind)
            elif isinstance(error, SystemExit):
                verdict = ("exited", "tried to end the process", detail, kind)
            else:
                verdict = ("failed", line, detail, kind)
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
        except BaseException:  # a stream of the lesson's may raise anything; the next line puts it away
            pass
        sys.stdout, sys.stderr = self.streams

    def report(self, what: str, verdict: tuple[str, ...]) -> None:
        fields = zip(("outcome", "message", "detail", "kind"), verdict, (20, MESSAGE, DETAIL, 100), strict=True)
        texts = ", ".join(f'"{name}": {_quote(clipped(str(text), room))}' for name, text, room in fields)
        self.send(f"{{{what}, {texts}}}")

    def send(self, line: str) -> None:
        """Say something, at the latest before the next thing of the lesson's runs."""
        self.unsent += line.encode("ascii") + b"\n"

    def flush(self) -> None:
        view, self.unsent = memoryview(self.unsent), b""
        _set_blocking(self.events, True)  # a lesson may have changed that
        while view:
            view = view[_write(self.events, view) :]

    def ring(self) -> None:
        """Tell the grader that an answer is waited for: it looks at what has come only every few milliseconds."""
        try:
            _set_blocking(self.bell, False)
            _write(self.bell, b"\n")
        except OSError:  # full, so it rings already; or closed, and the answer comes a little later
            pass

    def receive(self) -> dict[str, Any]:
        """The grader's next message: eight digits of length, then JSON."""
        self.flush()
        self.ring()
        size = int(self.exactly(8), 16)
        told: dict[str, Any] = _scan(self.exactly(size).decode("ascii"), 0)[0]
        return told

    def exactly(self, size: int) -> bytes:
        parts = []
        _set_blocking(self.job, True)
        while size:
            part = _read(self.job, min(size, 1 << 20))
            if not part:
                _exit(3)
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _works(value: object) -> bool:
    """Whether a name stands for a function, a class or a module; an object such as a layer only can be called too."""
    if isinstance(value, (type, ModuleType)):
        return True
    return callable(value) and not isinstance(type(value).__call__, FunctionType)


def new_module(name: str) -> ModuleType:
    """The module in which a lesson's cells run; registered, since dataclasses look their module up."""
    module = ModuleType(name)
    module.__file__ = f"{name}.py"
    vars(module)["__builtins__"] = builtins  # not this file's own
    sys.modules[name] = module
    return module


def compiled(lesson: str, name: str, source: str, future: int, part: Any = None) -> CodeType:
    """A cell's code or a part's, whose tracebacks name the cell and show lines; __future__ holds for later cells."""
    file = f"{lesson}.py[{name}]"
    _lines[file] = (len(source), None, source.splitlines(keepends=True), file)
    code: CodeType = compile(source if part is None else part, file, "exec", future | _AWAIT, dont_inherit=True)
    return code


def probe_functions(code: CodeType, lesson: ModuleType, pristine: Any) -> dict[str, Any]:
    """The functions of a probes.py, and what calling them takes, none of it changed by the lesson.

    A lesson with a class of its own where the probes import the package's, such as a Tensor that was pasted in, is
    asked with its own: what it computes with that is compared all the same.
    """
    pristine.restore()
    numpy = pristine.modules["numpy"]
    probes: dict[str, Any] = {"__name__": "probes", "__builtins__": pristine.builtins}
    exec(code, probes)
    imported = {name for name, value in probes.items() if getattr(value, "__module__", "probes") != "probes"}
    same = [(name, vars(lesson)[name]) for name in imported & vars(lesson).keys()]
    own = {name: value for name, value in same if getattr(value, "__module__", "") == lesson.__name__}
    if any(isinstance(value, type) for value in own.values()):
        probes.update(own)
    return {"functions": probes, "numpy": numpy}


def collect(found: list[tuple[str, Any]], name: str, value: Any, numpy: Any, depth: int) -> None:
    """Append what a probe returned as named arrays: "loss", "rows.0", "text:str"; a bare value is "result"."""
    if depth > DEPTH or len(found) >= LEAVES:
        raise ValueError("the result is nested too deeply, or has too many parts")
    if isinstance(value, _NESTED):
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
    if not isinstance(value, (numpy.ndarray, numpy.generic, *_NUMBERS)):
        inner = getattr(value, "data", None)
        value = inner if isinstance(inner, numpy.ndarray) else value.numpy() if hasattr(value, "numpy") else value
    array = numpy.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"a result of type {type(value).__name__} is no array of numbers")
    if array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="))  # the order of bytes is no part of a result


def explained(error: BaseException) -> tuple[str, str]:
    """An exception as one line and as the traceback of the lesson's own frames."""
    shown = _format(type(error), error, error.__traceback__, limit=-_FRAMES - 4, compact=True)
    at: Any = shown
    for _ in range(8):
        at.stack[:] = [frame for frame in at.stack if not frame.filename.startswith(_HERE)][-_FRAMES:]
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


def begin(pipes: tuple[int, int, int], known: Known, module: ModuleType | None, parts: Any) -> None:
    """Run a submission in this process."""
    threading.excepthook = lambda _args: None
    Lesson(pipes, known, module, parts).run()
