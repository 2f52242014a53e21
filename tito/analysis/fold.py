"""Fewer lines for a long model: layers without cost left out, stages and repeated blocks added up."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from tito.analysis.shapes import Shape
from tito.analysis.walk import Row

#: A table of more lines than this is folded.
LINES = 24


@dataclass(frozen=True)
class Line:
    """One line of a table: a layer, a stage, or several equal blocks in a row."""

    name: str
    rows: tuple[int, ...]  # indices into the model's rows
    input_shape: Shape
    output_shape: Shape
    kind: str = ""
    times: int = 1


@dataclass(frozen=True)
class Folded:
    """Lines to show, how many layers are not among them, and a block to show opened."""

    lines: tuple[Line, ...]
    left_out: int = 0
    opened: tuple[Line, ...] = ()


def every(rows: Sequence[Row]) -> tuple[Line, ...]:
    """One line a layer."""
    return tuple(
        Line(row.name, (number,), row.input_shape, row.output_shape, row.kind) for number, row in enumerate(rows)
    )


def fold(rows: Sequence[Row], matters: Callable[[int], bool], limit: int = LINES) -> Folded:
    """All layers when they fit; else those that matter; else stages, with equal blocks together."""
    lines = every(rows)
    if len(lines) <= limit:
        return Folded(lines)
    kept = tuple(line for line in lines if matters(line.rows[0]) or not rows[line.rows[0]].counted)
    if len(kept) <= limit:
        return Folded(kept, left_out=len(lines) - len(kept))
    stages = _stages(rows)
    merged = _merged(rows, stages)
    repeated = next((line for line in merged if line.times > 1), None)
    opened = _inside(rows, repeated, matters) if repeated else ()
    return Folded(tuple(merged), 0, opened)


def _stages(rows: Sequence[Row]) -> list[Line]:
    """Layers added up by the first part of their names."""
    stages = []
    for head, group in groupby(range(len(rows)), key=lambda number: rows[number].name.split(".")[0]):
        numbers = tuple(group)
        first, last = rows[numbers[0]], rows[numbers[-1]]
        kind = first.kind if len(numbers) == 1 else "stage"
        stages.append(Line(head, numbers, first.input_shape, last.output_shape, kind))
    return stages


def _signature(rows: Sequence[Row], line: Line) -> tuple[object, ...]:
    """Equal for blocks that are the same but for their number."""
    stem = re.sub(r"_?[0-9]+$", "", line.name)
    inside = (rows[number] for number in line.rows)
    return (stem, *((row.kind, row.input_shape, row.output_shape, row.params.value, row.macs.value) for row in inside))


def _merged(rows: Sequence[Row], stages: Sequence[Line]) -> list[Line]:
    """Equal stages that follow one another, as one line: 'block1-12'."""
    merged = []
    for _, group in groupby(stages, key=lambda line: _signature(rows, line)):
        equal = list(group)
        first, last = equal[0], equal[-1]
        if len(equal) == 1:
            merged.append(first)
            continue
        number = re.search(r"[0-9]+$", last.name)
        name = f"{first.name}-{number[0]}" if number else first.name
        together = tuple(number for line in equal for number in line.rows)
        merged.append(Line(name, together, first.input_shape, last.output_shape, first.kind, len(equal)))
    return merged


def _inside(rows: Sequence[Row], line: Line, matters: Callable[[int], bool]) -> tuple[Line, ...]:
    """The layers of the first of several equal blocks."""
    one = line.rows[: len(line.rows) // line.times]
    return tuple(
        Line(rows[number].name, (number,), rows[number].input_shape, rows[number].output_shape, rows[number].kind)
        for number in one
        if matters(number)
    )
