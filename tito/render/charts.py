"""Charts in the terminal: bars of characters, which differ without colour and survive ASCII."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence

from tito.analysis.charts import Chart
from tito.analysis.units import byte_unit, count_unit
from tito.render.blocks import Block, Text, Verbatim

FILLS = ("█", "░", "▒", "▓")
MARKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LINES = 14


def chart(found: Chart) -> Iterator[Block]:
    """A chart as lines of text."""
    yield Text("")
    yield Text(found.title, "head")
    drawers = {"bars": _bars, "stack": _stack, "lines": _lines, "points": _points}
    yield Verbatim("\n".join(drawers[found.kind](found)))


def _width(names: Sequence[str], beside: int) -> int:
    columns = min(100, shutil.get_terminal_size((80, 24)).columns)
    return max(8, columns - max(map(len, names), default=0) - beside - 6)


def _amount(value: float, label: str) -> str:
    if label.endswith("%"):
        return f"{value:.1f}%"
    if label == "us":
        return f"{value:,.1f} us"
    if label == "bytes":
        return byte_unit([value]).with_name(value)
    unit = count_unit([value])
    return f"{value:,.0f}" if value < 1e7 else f"{unit.text(value)} {unit.name}"


def _legend(found: Chart) -> Iterator[str]:
    for number, series in enumerate(found.series):
        if len(found.series) > 1:
            yield f"{FILLS[number % 4]} {series.name}"


def _bars(found: Chart) -> Iterator[str]:
    """One line a name and series."""
    largest = max((value for series in found.series for value in series.values), default=0) or 1
    amounts = [[_amount(value, found.x_label) for value in series.values] for series in found.series]
    beside = max((len(text) for column in amounts for text in column), default=0)
    width, names = _width(found.names, beside), max(map(len, found.names), default=0)
    yield from _legend(found)
    for index, name in enumerate(found.names):
        for number, series in enumerate(found.series):
            length = round(width * series.values[index] / largest)
            bar = FILLS[number % 4] * (length or (1 if series.values[index] else 0))
            shown = name if number == 0 else ""
            yield f"{shown:<{names}}  {amounts[number][index]:>{beside}} {bar}"


def _stack(found: Chart) -> Iterator[str]:
    """One line a name, its parts one behind the other."""
    totals = [sum(series.values[index] for series in found.series) for index in range(len(found.names))]
    amounts = [_amount(total, found.y_label) for total in totals]
    beside = max(map(len, amounts))
    width, names = _width(found.names, beside), max(*map(len, found.names), len(found.x_label))
    largest = max(totals) or 1
    yield from _legend(found)
    yield found.x_label
    for index, name in enumerate(found.names):
        ends = [0.0]
        for series in found.series:
            ends.append(ends[-1] + width * series.values[index] / largest)
        bar = "".join(
            FILLS[number % 4] * (round(ends[number + 1]) - round(ends[number])) for number in range(len(found.series))
        )
        yield f"{name:>{names}}  {amounts[index]:>{beside}} {bar}"


def _lines(found: Chart) -> Iterator[str]:
    """One line a value and series, on a logarithmic scale."""
    largest = max((value for series in found.series for value in series.values), default=1)
    top = math.log(max(largest, 2))
    width, names = _width(found.names, 10), max(*map(len, found.names), len(found.x_label))
    yield from _legend(found)
    yield f"{found.x_label:>{names}}  {found.y_label}, logarithmic"
    for index, name in enumerate(found.names):
        for number, series in enumerate(found.series):
            value = series.values[index]
            bar = FILLS[number % 4] * max(1, round(width * math.log(max(value, 1)) / top))
            times = f"{value:,.1f}x" if value < 1e6 else f"{value:.1e}x"
            yield f"{name if number == 0 else '':>{names}}  {times:>9} {bar}"


def _points(found: Chart) -> Iterator[str]:
    """A grid with a letter for each point, both scales logarithmic; under it what the letters are."""
    xs, ys = [max(x, 1e-9) for x in found.xs], [max(y, 1e-9) for y in found.series[0].values]
    ridge = found.roof[0] / found.roof[1] if found.roof else None
    across = _Scale([*xs, *([ridge / 4, ridge * 4] if ridge else [])], _width([""], 14))
    up = _Scale([*ys, *([found.roof[0]] if found.roof else [])], LINES)
    grid = [[" "] * across.steps for _ in range(up.steps)]
    if found.roof:
        for column in range(across.steps):
            reach = min(found.roof[0], across.value(column) * found.roof[1])
            grid[up.step(reach)][column] = "─" if reach == found.roof[0] else "·"
    for number, (x, y) in enumerate(zip(xs, ys, strict=True)):
        grid[up.step(y)][across.step(x)] = MARKS[number % len(MARKS)]
    yield found.y_label
    for line in range(up.steps - 1, -1, -1):
        label = _amount(up.value(line), "") if line in (0, up.steps - 1) else ""
        yield f"{label:>10} │{''.join(grid[line]).rstrip()}"
    yield " " * 11 + "└" + "─" * across.steps
    low, high = (_small(across.value(end)) for end in (0, across.steps - 1))
    yield " " * 12 + low + f"{high:>{max(1, across.steps - len(low))}}"
    yield f"{found.x_label:>{12 + across.steps}}"
    for number, (name, x, y) in enumerate(zip(found.names, xs, ys, strict=True)):
        yield f"{MARKS[number % len(MARKS)]}  {name}: {found.x_label} {_small(x)}, {found.y_label} {_amount(y, '')}"


def _small(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else _amount(value, "")


class _Scale:
    """A logarithmic axis of so many steps over these values."""

    def __init__(self, values: Sequence[float], steps: int) -> None:
        self.steps = steps
        self.low, self.high = math.log(min(values)), math.log(max(values))
        if self.high - self.low < 1e-9:
            self.low, self.high = self.low - 1, self.high + 1

    def step(self, value: float) -> int:
        """Where a value lies."""
        place = round((math.log(value) - self.low) / (self.high - self.low) * (self.steps - 1))
        return min(self.steps - 1, max(0, place))

    def value(self, step: int) -> float:
        """The value at a step."""
        return math.exp(self.low + (self.high - self.low) * step / (self.steps - 1))
