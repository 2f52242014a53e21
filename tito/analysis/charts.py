"""What is drawn, apart from how: facts become a chart, which is drawn in the terminal or into a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tito.analysis.comparing import Comparison
from tito.analysis.cost import FLOPS_PER_MAC, Cost
from tito.analysis.report import Report
from tito.analysis.roof import Profile, Roofline
from tito.analysis.scaling import Scaling

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
    """The drawing that belongs to an answer."""
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


def _title(what: str, cost: Cost) -> str:
    batch = f", batch {cost.batch:,}" if cost.batch > 1 else ""
    return f"{what}: {_short(cost.model.name)}{batch}"


def of_report(report: Report) -> Chart:
    """Parameter bars; parameters against FLOPs; or memory against the batch."""
    if report.topic == "memory":
        return _stack(report)
    lines = [line for line in report.folded.lines if _shown(report, line.rows)][:MOST_BARS]
    rows = report.cost.rows
    names = tuple(line.name for line in lines)
    held = tuple(float(sum(rows[n].params.value for n in line.rows)) for line in lines)
    if report.topic == "params":
        title = _title("Parameters", report.cost)
        return Chart("bars", title, "parameters", "", names, (Series("parameters", held),))
    work = tuple(float(FLOPS_PER_MAC * sum(rows[n].macs.value for n in line.rows)) for line in lines)
    shares = (_shares("parameters", held, report.cost.params), _shares("FLOPs", work, report.cost.flops))
    return Chart("bars", _title("Parameters against FLOPs", report.cost), "share in %", "", names, shares)


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
    """Each layer with products at its intensity, on the roof."""
    points = [point for point in found.points if point.flops][:MOST_BARS]
    return Chart(
        "points",
        f"Roofline: {_short(found.cost.model.name)} on {found.hardware.title}",
        "FLOPs a byte",
        "FLOP/s",
        tuple(point.name for point in points),
        (Series("attainable", tuple(point.attainable for point in points)),),
        tuple(point.intensity for point in points),
        log=True,
        roof=(found.hardware.flops(found.cost.options.dtype), found.hardware.bandwidth),
    )


def of_profile(found: Profile) -> Chart:
    """Predicted beside measured time of each layer."""
    layers = found.layers[:MOST_BARS]
    predicted = Series("predicted", tuple(1e6 * layer.predicted for layer in layers))
    measured = Series("measured", tuple(1e6 * layer.median for layer in layers))
    names = tuple(layer.name for layer in layers)
    return Chart("bars", _title("Time", found.cost), "us", "", names, (predicted, measured))
