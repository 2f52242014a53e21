"""Numbers with units: bytes in powers of ten and of two, thousands to trillions, and back from text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tito.errors import UsageError

SI = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
IEC = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
COUNT = ("", "k", "M", "G", "T", "P", "E")
UNITS = ("si", "iec", "both")


@dataclass(frozen=True)
class Unit:
    """A unit and how much it is."""

    name: str
    size: int

    def text(self, number: float, digits: int = 2) -> str:
        """The number in this unit, without its name: '0.81'; whole when the unit is one."""
        if self.size == 1:
            return f"{round(number):,}"
        return f"{number / self.size:,.{digits}f}"

    def with_name(self, number: float, digits: int = 2) -> str:
        """'0.81 MB'."""
        return f"{self.text(number, digits)} {self.name}".rstrip()


def _chosen(largest: float, names: tuple[str, ...], base: int) -> Unit:
    power = 0
    while power < len(names) - 1 and largest >= base ** (power + 1):
        power += 1
    return Unit(names[power], base**power)


def byte_unit(numbers: Iterable[float], iec: bool = False) -> Unit:
    """The unit for a column of bytes: the largest in which its largest number is at least 1."""
    return _chosen(max(numbers, default=0), IEC if iec else SI, 1024 if iec else 1000)


def count_unit(numbers: Iterable[float]) -> Unit:
    """The unit for a column of counts: none, k, M, G, ..."""
    return _chosen(max(numbers, default=0), COUNT, 1000)


def both(number: float, units: str = "both") -> str:
    """'814.12 kB = 795.04 KiB', or one of the two."""
    si, iec = byte_unit([number]).with_name(number), byte_unit([number], iec=True).with_name(number)
    if units == "si" or si == iec:
        return si
    return iec if units == "iec" else f"{si} = {iec}"


def rate(number: float, what: str = "FLOP/s") -> str:
    """'2.61 TFLOP/s'."""
    unit = count_unit([number])
    return f"{unit.text(number) if unit.size > 1 else f'{number:.2f}'} {unit.name}{what}"


def seconds(number: float) -> str:
    """A time with three significant digits: '12.4 us', '3.1 ms', '2.5 s'."""
    for size, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if number >= size:
            return f"{number / size:.3g} {name}" if number < 1000 else f"{number:,.0f} s"
    return f"{number / 1e-9:.3g} ns"


def ratio(number: float) -> str:
    """How many times as much: '98,775', '12.5', '1.04'."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def percent(part: float, whole: float) -> str:
    """'98.7%'; nothing of nothing is 0.0%, and a little is never shown as nothing."""
    share = 100 * part / whole if whole else 0.0
    return "<0.1%" if 0 < share < 0.05 else f"{share:.1f}%"


def parse_bytes(written: str, option: str) -> int:
    """'16GiB' -> 17,179,869,184; '500 MB'; a number alone is bytes. Raises UsageError."""
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kmgtp]?)(i?)(b?)\s*", written.lower())
    if not match or (match[3] and not match[2]):
        raise UsageError(f"{option} {written}: expected a size", f"for example {option} 16GiB or {option} 500MB")
    power = "kmgtp".index(match[2]) + 1 if match[2] else 0
    amount = float(match[1]) * (1024 if match[3] else 1000) ** power
    if amount < 1:
        raise UsageError(f"{option} {written}: that is no memory at all")
    return int(amount)
