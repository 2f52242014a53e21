"""What is drawn, apart from how: facts become a chart, which is drawn in the terminal or into a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tito.analysis.comparing import Comparison
from tito.analysis.cost import FLOPS_PER_MAC, Cost
from tito.analysis.hardware import Point
from tito.analysis.report import Report
from tito.analysis.roof import Profile, Roofline
from tito.analysis.scaling import Scaling
from tito.errors import UsageError

MOST_BARS = 24


@dataclass(frozen=True)
class Series:
    """Named values, one for each of the chart's names (bars, stack) or x values."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Chart:
    """A drawing: bars, stack (bars on one another), lines or points.

    `names` label bars and points; `xs` place lines and points. `roof` is peak FLOP/s and bandwidth.
    """

    kind: str
    title: str
    x_label: str
    y_label: str
    names: tuple[str, ...]
    series: tuple[Series, ...]
    xs: tuple[float, ...] = ()
    log: bool = False
    roof: tuple[float, float] | None = None


def chart_of(facts: object) -> Chart:
    """The drawing that belongs to an answer. Raises UsageError when all of it would be nothing."""
    chart = _made(facts)
    values = [value for series in chart.series for value in series.values]
    if not any(values):
        raise UsageError(f"there is nothing to draw: {chart.title} is empty")
    if chart.kind == "points" and not all((*values, *chart.xs)):
        sides = zip(chart.names, chart.xs, chart.series[0].values, strict=True)
        name = next(name for name, x, y in sides if not x or not y)
        raise UsageError(f"{name} has no {chart.x_label} or no {chart.y_label}, and both axes are logarithmic")
    return chart


def _made(facts: object) -> Chart:
    match facts:
        case Report():
            return of_report(facts)
        case Comparison():
            return of_comparison(facts)
        case Scaling():
            return of_scaling(facts)
        case Roofline():
            return of_roofline(facts)
        case Profile():
            return of_profile(facts)
    raise TypeError(f"{type(facts).__name__} has no drawing")


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:37] + "..."


def _title(what: str, cost: Cost, there: int = 0) -> str:
    """The drawing's name, with how many of `there` layers are drawn when these are not all."""
    batch = f", batch {cost.batch:,}" if cost.batch > 1 else ""
    part = f", the first {MOST_BARS} of {there} layers" if there > MOST_BARS else ""
    return f"{what}: {_short(cost.model.name)}{batch}{part}"


def of_report(report: Report) -> Chart:
    """Parameter bars; parameters against FLOPs; or memory against the batch."""
    if report.topic == "memory":
        return _stack(report)
    drawn = [line for line in report.folded.lines if _shown(report, line.rows)]
    lines, there = drawn[:MOST_BARS], len(drawn)
    rows = report.cost.rows
    names = tuple(line.name for line in lines)
    held = tuple(float(sum(rows[n].params.value for n in line.rows)) for line in lines)
    if report.topic == "params":
        title = _title("Parameters", report.cost, there)
        return Chart("bars", title, "parameters", "", names, (Series("parameters", held),))
    work = tuple(float(FLOPS_PER_MAC * sum(rows[n].macs.value for n in line.rows)) for line in lines)
    shares = (_shares("parameters", held, report.cost.params), _shares("FLOPs", work, report.cost.flops))
    return Chart("bars", _title("Parameters against FLOPs", report.cost, there), "share in %", "", names, shares)


def _shown(report: Report, numbers: Sequence[int]) -> bool:
    rows = report.cost.rows
    if report.topic == "params":
        return any(rows[number].params for number in numbers)
    return any(rows[number].params or rows[number].macs for number in numbers)


def _shares(name: str, values: Sequence[float], total: int) -> Series:
    return Series(name, tuple(100 * value / total if total else 0.0 for value in values))


def _stack(report: Report) -> Chart:
    """Weights, gradients, states and activations at batches around the one asked for."""
    cost = report.cost
    memory = cost.memory()
    each = memory.kept / cost.batch
    top = max(6, cost.batch.bit_length())
    batches = [2**power for power in range(top - 6, top + 2)]
    parts = {"weights": memory.weights, "gradients": memory.gradients, "optimizer states": memory.states}
    series = [Series(name, tuple(float(size) for _ in batches)) for name, size in parts.items() if size]
    series.append(Series("activations kept", tuple(each * batch for batch in batches)))
    title = f"Training memory with {cost.options.optimizer}: {_short(cost.model.name)}"
    return Chart("stack", title, "batch", "bytes", tuple(f"{batch:,}" for batch in batches), tuple(series))


def of_comparison(found: Comparison) -> Chart:
    """Each model as a point: parameters across, FLOPs up."""
    names = tuple(entry.label for entry in found.entries)
    xs = tuple(float(entry.cost.params) for entry in found.entries)
    ys = tuple(float(entry.cost.flops) for entry in found.entries)
    return Chart(
        "points", "Parameters against FLOPs", "parameters", "FLOPs", names, (Series("FLOPs", ys),), xs, log=True
    )


def of_scaling(found: Scaling) -> Chart:
    """Parameters, MACs and training bytes against what is varied, each relative to its first value."""
    series = []
    for which, name in (("params", "parameters"), ("macs", "MACs"), ("training_bytes", "training bytes")):
        values = found.measure(which)
        growth = found.growth(which)
        if growth is not None and values[0]:
            label = f"{name} (exponent {growth.fitted:.2f})"
            series.append(Series(label, tuple(value / values[0] for value in values)))
    xs = tuple(float(value) for value in found.values)
    names = tuple(f"{value:,}" for value in found.values)
    title = f"Growth with {found.varied}: {_short(found.name)}"
    return Chart("lines", title, found.varied, "times the first", names, tuple(series), xs, log=True)


def of_roofline(found: Roofline) -> Chart:
    """Each layer with products at its intensity, on the roof; equal layers as one point, the slowest when many."""
    equal: dict[tuple[int, int], list[Point]] = {}
    for point in found.points:
        if point.flops:
            equal.setdefault((point.flops, point.moved), []).append(point)
    slowest = sorted(equal.values(), key=lambda points: -len(points) * points[0].seconds)[:MOST_BARS]
    drawn = [points for points in equal.values() if points in slowest]
    return Chart(
        "points",
        f"Roofline: {_short(found.cost.model.name)} on {found.hardware.title}",
        "FLOPs a byte",
        "FLOP/s",
        tuple(points[0].name + (f" ({len(points)}x)" if len(points) > 1 else "") for points in drawn),
        (Series("attainable", tuple(points[0].attainable for points in drawn)),),
        tuple(points[0].intensity for points in drawn),
        log=True,
        roof=(found.hardware.flops(found.cost.options.dtype), found.hardware.bandwidth),
    )


def of_profile(found: Profile) -> Chart:
    """Predicted beside measured time of each layer."""
    layers = found.layers[:MOST_BARS]
    predicted = Series("predicted", tuple(1e6 * layer.predicted for layer in layers))
    measured = Series("measured", tuple(1e6 * layer.median for layer in layers))
    names = tuple(layer.name for layer in layers)
    return Chart("bars", _title("Time", found.cost, len(found.layers)), "us", "", names, (predicted, measured))
