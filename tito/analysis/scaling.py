"""One number of a model varied, and how fast its costs grow with it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tito.analysis import shapes
from tito.analysis.cost import Cost, Options
from tito.analysis.models import Given, count, is_object, is_sizes
from tito.analysis.shown import SHOWN, Shown
from tito.errors import UsageError

SCHEMA = "tito.analyze.scaling/1"
MOST = 64  # values
MEASURES = ("params", "macs", "saved_bytes", "training_bytes")


@dataclass(frozen=True)
class Growth:
    """A cost that grows as value^exponent: fitted over all values, and over the last two alone."""

    fitted: float
    last: float


@dataclass(frozen=True)
class Scaling:
    """The costs of a model at each value of what is varied."""

    name: str
    varied: str
    values: tuple[int, ...]
    costs: tuple[Cost, ...]
    shown: Shown = SHOWN

    def measure(self, which: str) -> list[int]:
        """One cost at each value."""
        return [int(getattr(cost, which)) for cost in self.costs]

    def growth(self, which: str) -> Growth | None:
        """The exponent; nothing when fewer than two values have this cost."""
        points = [(x, y) for x, y in zip(self.values, self.measure(which), strict=True) if y > 0]
        if len(points) < 2:
            return None
        return Growth(exponent(points), exponent(points[-2:]))

    def to_json(self) -> dict[str, Any]:
        """Values, costs and exponents."""
        points = [
            {"value": value, **{name: int(getattr(cost, name)) for name in (*MEASURES, "flops", "training_flops")}}
            for value, cost in zip(self.values, self.costs, strict=True)
        ]
        growth = {name: self.growth(name) for name in MEASURES}
        return {
            "schema": SCHEMA,
            "model": self.name,
            "varied": self.varied,
            "batch": self.costs[0].batch,
            "dtype": self.costs[0].options.dtype,
            "points": points,
            "exponents": {name: {"fitted": g.fitted, "last": g.last} if g else None for name, g in growth.items()},
        }


def exponent(points: Sequence[tuple[int, int]]) -> float:
    """The slope of log y against log x by least squares: y grows as x to this power."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread


def values(written: str) -> tuple[int, ...]:
    """'64:2048:x2' doubles, '1:9:+2' or '1:9:2' adds, '1:9' adds one, '64,96,128' is a list. Raises UsageError."""
    if re.fullmatch(r"[0-9]+(,[0-9]+)+", written):
        found = [shapes.whole(part, f"--vary {written}") for part in written.split(",")]
        return _checked(sorted(set(found)), written)
    match = re.fullmatch(r"([0-9]+):([0-9]+)(?::([x+]?)([0-9]+))?", written)
    if not match:
        raise UsageError(
            f"--vary {written}: expected FROM:TO:xFACTOR, FROM:TO:+STEP or a list",
            "for example --vary width 64:2048:x2",
        )
    first, last = (shapes.whole(match[n], f"--vary {written}") for n in (1, 2))
    step = shapes.whole(match[4], f"--vary {written}") if match[4] else 1
    if last <= first or (match[3] == "x" and step < 2):
        raise UsageError(f"--vary {written}: it does not grow", "for example 64:2048:x2 or 64:512:+64")
    found, value = [], first
    while value <= last and len(found) <= MOST:
        found.append(value)
        value = value * step if match[3] == "x" else value + step
    return _checked(found, written)


def _checked(found: Sequence[int], written: str) -> tuple[int, ...]:
    if len(found) > MOST:
        raise UsageError(f"--vary {written}: more than {MOST} values", "take larger steps, such as :x2")
    if len(found) < 2:
        raise UsageError(f"--vary {written}: one value does not show growth", "such as 64:2048:x2")
    return tuple(found)


Counter = Callable[[str, Options, Given], Cost]


def vary(
    written: str, name: str, range_text: str, options: Options, given: Given, shown: Shown, counter: Counter = count
) -> Scaling:
    """Count the model once for each value. Raises UsageError for what this model cannot vary."""
    found = values(range_text)
    made = _varier(written, name, options, given)
    costs = tuple(counter(*made(value)) for value in found)
    label = "-".join(re.findall("[0-9]+", written)) if is_sizes(written) else written
    return Scaling(label, name, found, costs, shown)


def _varier(written: str, name: str, options: Options, given: Given) -> Callable[[int], tuple[str, Options, Given]]:
    """What to count for a value."""
    if f"{{{name}}}" in written:
        return lambda value: (re.sub(r"\{" + re.escape(name) + r"\}", str(value), written), options, given)
    if "{" in written:
        inside = re.findall(r"\{(\w*)\}", written)
        raise UsageError(f"--vary {name}: the specification has {', '.join(inside)} in braces, not {name}")
    if name == "batch":
        return lambda value: (written, replace(options, batch=value), given)
    if name == "seq":
        return lambda value: (written, options, replace(given, seq=value))
    if name in ("image", "input"):
        return _image(written, options, given)
    if name in ("width", "depth") and is_sizes(written):
        return _sizes(written, name, options, given)
    raise UsageError(f"--vary {name} has no meaning for {written}", _hint(written, name))


def _hint(written: str, name: str) -> str:
    if written.startswith("@") or is_object(written):
        return "a model that is given can vary in batch, seq or image"
    return f"put {{{name}}} where the number stands, such as 'linear:{{{name}}} relu linear:10'"


def _image(written: str, options: Options, given: Given) -> Callable[[int], tuple[str, Options, Given]]:
    shape = given.input
    if shape is None and written.startswith("@"):
        from tito.analysis.presets import find

        shape = find(written.split()[0]).input_shape
    if shape is None or len(shape) != 3:
        raise UsageError("--vary image needs an image to vary", "for example --input 3x32x32 --vary image 16:128:x2")
    channels = shape[0]
    return lambda value: (written, options, replace(given, input=(channels, value, value)))


def _sizes(written: str, name: str, options: Options, given: Given) -> Callable[[int], tuple[str, Options, Given]]:
    found = re.findall("[0-9]+", written)
    if len(found) < 3:
        raise UsageError(f"--vary {name}: {written} has no hidden layer", "such as 784 256 10")
    first, hidden, last = found[0], found[1:-1], found[-1]

    def sizes(value: int) -> str:
        inside = [str(value)] * len(hidden) if name == "width" else [hidden[0]] * value
        return " ".join([first, *inside, last])

    return lambda value: (sizes(value), options, given)
