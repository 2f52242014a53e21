"""Shapes of one example, without the batch: (784,), (tokens, width) or (channels, height, width)."""

from __future__ import annotations

import re
from math import prod

from tito.errors import UsageError

Shape = tuple[int, ...]

#: No size is larger than this: the widest layers built so far are below 10^6.
LARGEST = 10**12


def size(shape: Shape) -> int:
    """How many values a shape holds."""
    return prod(shape)


def text(shape: Shape) -> str:
    """(3, 32, 32) -> '3x32x32'."""
    return "x".join(map(str, shape))


def whole(digits: str, token: str) -> int:
    """A size written in digits, at least 1.

    Raises UsageError that names the token when the number is zero or larger than 10^12.
    """
    number = int(digits) if len(digits) <= 13 else LARGEST + 1
    if number < 1:
        raise UsageError(f"{token}: a size must be at least 1, not {digits}")
    if number > LARGEST:
        shown = digits if len(digits) <= 20 else f"a number of {len(digits)} digits"
        raise UsageError(f"{token}: {shown} is larger than 10^12, which no layer is")
    return number


def parse(written: str) -> Shape:
    """'3x32x32' -> (3, 32, 32). Raises UsageError when it is not sizes joined by x."""
    plain = written.strip().lower().replace("×", "x")
    if not re.fullmatch(r"[0-9]+(x[0-9]+)*", plain):
        raise UsageError(
            f"--input {written}: expected sizes joined by x, without the batch",
            "for example --input 784, or --input 3x32x32 for channels, height, width",
        )
    shape = tuple(whole(part, f"--input {written}") for part in plain.split("x"))
    if len(shape) > 3:
        raise UsageError(
            f"--input {written}: {len(shape)} dimensions; expected at most 3 (channels, height, width)",
            "the batch is not part of the shape: --batch 32 --input 3x32x32",
        )
    return shape
