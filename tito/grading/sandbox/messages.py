"""What a sandboxed process sends, read by somebody who trusts nothing of it: bounded, checked, and only data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tito.grading.sandbox.arrays import Arrays, Header
from tito.report import Outcome

_LINE = 64 << 10
_OFTEN = 8 << 10  # characters of a line that is remembered
_LEAVES, _AXES, _NAME = 256, 32, 200
_DTYPE = re.compile(r"[<|]([biufc])(1|2|4|8|16|32)")
_SAID = {"passed", "failed", "time limit", "exited"}


class Malformed(Exception):
    """Something that the program in the sandbox never sends."""


@dataclass(frozen=True)
class Message:
    """One event: what kind, about which cell or probe, and what came with it."""

    kind: str  # start, cell, ask, start_probe, probe, done, fault
    index: int = 0
    outcome: Outcome = Outcome.FAILED
    message: str = ""
    detail: str = ""
    error: str = ""  # the name of an exception's class
    arrays: Arrays | None = None


@dataclass(frozen=True)
class Announced:
    """A line that says which arrays of a probe follow it."""

    index: int
    header: Header


class Reader:
    """Cuts a stream of bytes into messages; raises Malformed at the first that is none."""

    def __init__(self, room: int) -> None:
        self.room = room  # bytes of arrays that may still come
        self._line = b""
        self._due: Announced | None = None  # a probe whose bytes are still coming
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that these bytes complete."""
        at = 0
        while True:
            if self._due is not None:
                header = self._due.header
                part = data[at : at + header.size - len(self._data)]
                self._data += part
                at += len(part)
                if len(self._data) < header.size:
                    return
                message = Message("probe", self._due.index, Outcome.PASSED, arrays=Arrays(header, bytes(self._data)))
                self._due, self._data = None, bytearray()
                yield message
            end = data.find(b"\n", at)
            line = self._line + (data[at:] if end < 0 else data[at:end])
            if len(line) > _LINE:
                raise Malformed("a line is too long")
            self._line = line if end < 0 else b""
            if end < 0:
                return
            at = end + 1
            said = _often(line) if len(line) <= _OFTEN else _parsed(line)
            if isinstance(said, Announced):
                self.room -= said.header.size
                if self.room < 0:
                    raise Malformed("the arrays are too large")
                self._due = said
            else:
                yield said


def _parsed(line: bytes) -> Message | Announced:
    """What a line says."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise Malformed("a line is no JSON") from None
    if not isinstance(said, dict):
        raise Malformed("a line is no object")
    for kind in ("ask", "done"):
        if said == {kind: True}:
            return Message(kind)
    if isinstance(said.get("fault"), str):
        return Message("fault", message=plain(said["fault"], 2000))
    for kind in ("start", "start_probe", "cell", "probe"):
        if kind in said:
            return _about(kind, _number(said[kind], 1 << 20), said)
    raise Malformed("a line says nothing known")


# Submissions of one class say much the same: they begin the same parts, pass them, and announce arrays of one shape.
_often = lru_cache(maxsize=256)(_parsed)


def _about(kind: str, index: int, said: dict[str, Any]) -> Message | Announced:
    if kind.startswith("start"):
        return Message(kind, index)
    if kind == "probe" and "leaves" in said:
        return Announced(index, _header(said["leaves"]))
    outcome = said.get("outcome")
    if not isinstance(outcome, str) or outcome not in _SAID:
        raise Malformed("there is no such outcome")
    texts = [said.get(name, "") for name in ("message", "detail", "kind")]
    if not all(isinstance(text, str) for text in texts):
        raise Malformed("a text is no text")
    message, detail, error = (plain(text, size) for text, size in zip(texts, (600, 5000, 100), strict=True))
    return Message(kind, index, Outcome(outcome), message, detail, error)


def _header(said: object) -> Header:
    if not isinstance(said, list) or len(said) > _LEAVES:
        raise Malformed("too many arrays")
    header = Header(tuple(_part(each) for each in said))
    if len({name for name, _dtype, _shape in header.parts}) < len(said):
        raise Malformed("two arrays have one name")
    return header


def plain(text: str, size: int) -> str:
    """A text that any file and any database takes: no lone surrogates, no zeros, no more than so many characters."""
    return text[:size].encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _number(said: object, below: int) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or not 0 <= said < below:
        raise Malformed("a number is none, or out of range")
    return said


def _part(said: object) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    if not (isinstance(said, list) and len(said) == 3):
        raise Malformed("a header has no three parts")
    name, dtype, shape = said
    if not isinstance(name, str) or len(name) > _NAME or not isinstance(dtype, str):
        raise Malformed("a header names no array")
    if not _DTYPE.fullmatch(dtype):
        raise Malformed("arrays of that type are not taken")
    if not isinstance(shape, list) or len(shape) > _AXES:
        raise Malformed("a shape is none")
    axes = tuple(_number(axis, 1 << 40) for axis in shape)
    try:
        made = np.dtype(dtype)
        if 0 in axes:  # no bytes, and axes that no array can have
            np.empty(axes, made)
    except TypeError:
        raise Malformed("there is no such type") from None
    except ValueError:
        raise Malformed("a shape is none") from None
    return plain(name, _NAME), made, axes
