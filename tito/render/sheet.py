"""Columns of numbers that fit a width: one unit to a column, digits aligned, no number cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tito.analysis.units import COUNT, IEC, SI, Unit, byte_unit, percent
from tito.render.blocks import Table

WIDTH = 80
ONE = Unit("", 1)
_BETWEEN = 3  # what a column takes beside its text


@dataclass(frozen=True)
class Column:
    """A named column.

    `kind`: text, word (a number already written), number, count, bytes or share (of the
    column's own total), science (a count beyond all units).

    `total` stands below it; a column with `spare` above 0 may be left out of a narrow table, the highest first.
    """

    head: str
    values: Sequence[float] | Sequence[str]
    kind: str = "count"
    total: float | str = ""
    spare: int = 0
    unit: Unit = ONE
    digits: int = 1  # after the point, of a number

    def cells(self) -> list[str]:
        """Each value as text, with the total last."""
        return [self._cell(value) for value in (*self.values, self.total)]

    def _cell(self, value: float | str) -> str:
        if isinstance(value, str):
            return value
        if self.kind == "science":
            return f"{value:.3e}"
        if self.kind == "number":
            return f"{value:,.{self.digits}f}"
        if self.kind == "share":
            return percent(value, float(self.total or 1))
        return self.unit.text(value)

    @property
    def title(self) -> str:
        """The name with its unit."""
        return f"{self.head} {self.unit.name}".strip() if self.kind in ("count", "bytes") else self.head

    @property
    def width(self) -> int:
        """The widest cell or the title."""
        return max(len(self.title), *map(len, self.cells()), 0)


def times(head: str, values: Sequence[float], total: float | str = "") -> Column:
    """A column of seconds in the unit of its middle one: s, ms or us."""
    ordered = sorted(value for value in values if value > 0)
    middle = ordered[len(ordered) // 2] if ordered else 1.0
    size, name = next(((s, n) for s, n in ((1.0, "s"), (1e-3, "ms")) if middle >= s), (1e-6, "us"))
    scaled = total / size if not isinstance(total, str) else total
    return Column(f"{head} {name}", [value / size for value in values], "number", scaled, digits=2)


def in_bytes(column: Column, iec: bool) -> Column:
    """A column of bytes in the unit of its middle number, so that the small ones do not vanish."""
    numbers = sorted(value for value in column.values if not isinstance(value, str) and value > 0)
    middle = numbers[len(numbers) // 2] if numbers else 0
    return replace(column, unit=byte_unit([middle], iec))


def fitted(columns: Sequence[Column], width: int = WIDTH, units: str = "both") -> list[Column]:
    """The columns that fit: spare ones are left out first, then the widest counts take a larger unit."""
    kept = [in_bytes(column, units == "iec") if column.kind == "bytes" else column for column in columns]
    while _width(kept) > width and any(column.spare for column in kept):
        kept.remove(max(kept, key=lambda column: column.spare))
    while _width(kept) > width:
        wide = [column for column in kept if column.kind in ("count", "bytes")]
        if not wide:
            break
        widest = max(wide, key=lambda column: column.width)
        for number, column in enumerate(kept):
            if column in wide and column.unit == widest.unit and column.width > widest.width - 4:
                kept[number] = _larger(column)
    return kept


def _larger(column: Column) -> Column:
    """The column in the next larger unit; beyond the last one, in powers of ten."""
    names = next(names for names in (COUNT, SI, IEC) if column.unit.name in names)
    power = names.index(column.unit.name) + 1
    if power == len(names):
        return replace(column, kind="science", head=column.title, unit=ONE)
    return replace(column, unit=Unit(names[power], (1024 if names is IEC else 1000) ** power))


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + _BETWEEN * len(columns) - 1


def sheet(
    title: str, columns: Sequence[Column], *, footer: bool = True, width: int = WIDTH, units: str = "both"
) -> Table:
    """A table of the columns that fit, with the totals as its footer."""
    kept = fitted(columns, width, units)
    cells = [column.cells() for column in kept]
    rows = list(zip(*(column[:-1] for column in cells), strict=True))
    last = [column[-1] for column in cells]
    right = frozenset(number for number, column in enumerate(kept) if column.kind != "text")
    return Table([column.title for column in kept], rows, title, right, last if footer else ())
