"""Named arrays as they came out of a sandbox: what they are, and one run of bytes, read only when somebody looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Header:
    """The names, dtypes and shapes of arrays that follow each other."""

    parts: tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Where the bytes of each array end."""
        ends, end = [], 0
        for _name, dtype, shape in self.parts:
            count = dtype.itemsize
            for axis in shape:
                count *= axis
            end += count
            ends.append(end)
        return tuple(ends)

    @property
    def size(self) -> int:
        """Bytes of all arrays."""
        return self.ends[-1] if self.ends else 0


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of one probe, by name and in order. Two can be compared as bytes without making any array."""

    def __init__(self, header: Header, data: bytes) -> None:
        self.header, self.data = header, data

    @cached_property
    def _made(self) -> dict[str, np.ndarray]:
        made, at = {}, 0
        for (name, dtype, shape), end in zip(self.header.parts, self.header.ends, strict=True):
            part = self.data[at:end]
            truths = dtype.kind == "b"  # a byte that is neither 0 nor 1 would be a truth that equals nothing
            array = np.frombuffer(part, np.uint8) != 0 if truths else np.frombuffer(part, dtype)
            made[name] = array.reshape(shape)
            at = end
        return made

    def same_bytes(self, other: object) -> bool:
        """Whether the other has the same names, dtypes, shapes and bytes."""
        return isinstance(other, Arrays) and self.data == other.data and self.header == other.header

    def __getitem__(self, name: str) -> np.ndarray:
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(name for name, _dtype, _shape in self.header.parts)

    def __len__(self) -> int:
        return len(self.header.parts)
