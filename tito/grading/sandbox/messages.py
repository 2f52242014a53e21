"""What a sandboxed process sends, read by somebody who trusts nothing of it: bounded, checked, and only data."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tito.report import Outcome

_LINE = 64 << 10
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
    arrays: dict[str, np.ndarray] | None = None


@dataclass
class _Leaf:
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    data: bytearray = field(default_factory=bytearray)

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class Reader:
    """Cuts a stream of bytes into messages; raises Malformed at the first that is none."""

    def __init__(self, room: int) -> None:
        self.room = room  # bytes of arrays that may still come
        self._line = bytearray()
        self._probe = 0
        self._leaves: list[_Leaf] | None = None  # those of a probe whose bytes are still coming
        self._filling = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that these bytes complete."""
        at = 0
        while True:
            if self._leaves is not None:
                at = self._fill(self._leaves, data, at)
                if self._filling < len(self._leaves):
                    return
                arrays = {leaf.name: _array(leaf) for leaf in self._leaves}
                self._leaves = None
                yield Message("probe", self._probe, Outcome.PASSED, arrays=arrays)
            end = data.find(b"\n", at)
            part = data[at:] if end < 0 else data[at:end]
            if len(self._line) + len(part) > _LINE:
                raise Malformed("a line is too long")
            self._line += part
            if end < 0:
                return
            at = end + 1
            line, self._line = bytes(self._line), bytearray()
            message = self._parsed(line)
            if message is not None:
                yield message

    def _fill(self, leaves: list[_Leaf], data: bytes, at: int) -> int:
        """Give the arrays their bytes, and say where those end."""
        while self._filling < len(leaves):
            leaf = leaves[self._filling]
            part = data[at : at + leaf.size - len(leaf.data)]
            leaf.data += part
            at += len(part)
            if len(leaf.data) < leaf.size:
                break
            self._filling += 1
        return at

    def _parsed(self, line: bytes) -> Message | None:
        """The message on a line; None for the header of arrays that follow."""
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
                return self._about(kind, _number(said[kind], 1 << 20), said)
        raise Malformed("a line says nothing known")

    def _about(self, kind: str, index: int, said: dict[str, Any]) -> Message | None:
        if kind.startswith("start"):
            return Message(kind, index)
        if kind == "probe" and "leaves" in said:
            self._probe, self._filling = index, 0
            self._leaves = self._headers(said["leaves"])
            return None
        outcome = said.get("outcome")
        if not isinstance(outcome, str) or outcome not in _SAID:
            raise Malformed("there is no such outcome")
        texts = [said.get(name, "") for name in ("message", "detail", "kind")]
        if not all(isinstance(text, str) for text in texts):
            raise Malformed("a text is no text")
        message, detail, error = (plain(text, size) for text, size in zip(texts, (600, 5000, 100), strict=True))
        return Message(kind, index, Outcome(outcome), message, detail, error)

    def _headers(self, said: object) -> list[_Leaf]:
        if not isinstance(said, list) or len(said) > _LEAVES:
            raise Malformed("too many arrays")
        leaves = [_leaf(each) for each in said]
        if len({leaf.name for leaf in leaves}) < len(leaves):
            raise Malformed("two arrays have one name")
        self.room -= sum(leaf.size for leaf in leaves)
        if self.room < 0:
            raise Malformed("the arrays are too large")
        return leaves


def plain(text: str, size: int) -> str:
    """A text that any file and any database takes: no lone surrogates, no zeros, no more than so many characters."""
    return text[:size].encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _number(said: object, below: int) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or not 0 <= said < below:
        raise Malformed("a number is none, or out of range")
    return said


def _leaf(said: object) -> _Leaf:
    if not (isinstance(said, list) and len(said) == 3):
        raise Malformed("a header has no three parts")
    name, dtype, shape = said
    if not isinstance(name, str) or len(name) > _NAME or not isinstance(dtype, str):
        raise Malformed("a header names no array")
    if not _DTYPE.fullmatch(dtype):
        raise Malformed("arrays of that type are not taken")
    if not isinstance(shape, list) or len(shape) > _AXES:
        raise Malformed("a shape is none")
    try:
        return _Leaf(plain(name, _NAME), np.dtype(dtype), tuple(_number(axis, 1 << 40) for axis in shape))
    except TypeError:
        raise Malformed("there is no such type") from None


def _array(leaf: _Leaf) -> np.ndarray:
    array = np.frombuffer(bytes(leaf.data), leaf.dtype)
    if leaf.dtype.kind == "b":  # a byte that is neither 0 nor 1 would be a truth that equals nothing
        array = np.frombuffer(bytes(leaf.data), np.uint8) != 0
    try:
        return array.reshape(leaf.shape)
    except ValueError:  # no bytes, and axes that no array can have
        raise Malformed("a shape is none") from None
