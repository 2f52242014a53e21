"""Charts drawn into PNG, SVG or PDF files with matplotlib (the extra `plot`), which is imported only here and late."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tito.analysis.charts import Chart
from tito.errors import EnvironmentFault, UsageError

KINDS = (".png", ".svg", ".pdf")
HATCHES = ("", "//", "..", "xx", "--")  # so that series differ without colour


def check(file: Path) -> None:
    """Raise UsageError for a file of another kind, EnvironmentFault when there is no place or no matplotlib for it."""
    from importlib.util import find_spec

    if file.suffix.lower() not in KINDS:
        raise UsageError(f"--plot={file}: the name ends in {', '.join(KINDS)}", "--plot alone draws bars here")
    if not file.parent.is_dir():
        raise EnvironmentFault(f"--plot={file}: there is no directory {file.parent}")
    if find_spec("matplotlib") is None:
        raise EnvironmentFault(
            "drawing into a file needs matplotlib", "pip install 'tito[plot]'; --plot alone draws bars here"
        )


def save(chart: Chart, file: Path) -> None:
    """Draw a chart into a file, whose ending chooses its kind."""
    check(file)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    rows = len(chart.names) * len(chart.series) if chart.kind == "bars" else 0
    figure = Figure(figsize=(7.5, max(4.0, 0.9 + 0.22 * rows)), dpi=144, layout="constrained")
    axes = figure.add_subplot()
    {"bars": _bars, "stack": _stack, "lines": _lines, "points": _points}[chart.kind](axes, chart)
    axes.set_title(chart.title, fontsize=10)
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    axes.grid(visible=True, alpha=0.3)
    axes.set_axisbelow(True)
    if len(chart.series) > 1:
        axes.legend(fontsize=8)
    figure.savefig(file, metadata={"Date": None} if file.suffix.lower() in (".svg",) else None)


def _bars(axes: Any, chart: Chart) -> None:
    height = 0.8 / len(chart.series)
    for number, series in enumerate(chart.series):
        places = [index + number * height for index in range(len(chart.names))]
        axes.barh(places, series.values, height=height, label=series.name, hatch=HATCHES[number % len(HATCHES)])
    axes.set_yticks([index + 0.4 - height / 2 for index in range(len(chart.names))], chart.names, fontsize=7)
    axes.invert_yaxis()
    if max(max(series.values) for series in chart.series) >= 1e4:
        from matplotlib.ticker import EngFormatter

        axes.xaxis.set_major_formatter(EngFormatter())


def _stack(axes: Any, chart: Chart) -> None:
    from matplotlib.ticker import EngFormatter

    base = [0.0] * len(chart.names)
    for number, series in enumerate(chart.series):
        axes.bar(chart.names, series.values, bottom=base, label=series.name, hatch=HATCHES[number % len(HATCHES)])
        base = [low + value for low, value in zip(base, series.values, strict=True)]
    axes.yaxis.set_major_formatter(EngFormatter(unit="B"))


def _lines(axes: Any, chart: Chart) -> None:
    for series, style in zip(chart.series, ("o-", "s--", "^:"), strict=False):
        axes.plot(chart.xs, series.values, style, label=series.name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(chart.xs, chart.names, fontsize=7)
    axes.minorticks_off()


def _points(axes: Any, chart: Chart) -> None:
    series = chart.series[0]
    if chart.roof:
        _roof(axes, chart)
    axes.plot(chart.xs, series.values, "o")
    turned = -40 if chart.roof or len(chart.names) > 6 else 0
    for name, x, y in _apart(chart):
        axes.annotate(name, (x, y), textcoords="offset points", xytext=(3, -6), fontsize=6, rotation=turned, va="top")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(0.1)  # room for the names of the outermost points


def _apart(chart: Chart) -> list[tuple[str, float, float]]:
    """Labels with room between them: points at nearly the same place share one, as 'conv1 +2'."""
    found: list[tuple[str, float, float, int]] = []
    for name, x, y in sorted(
        zip(chart.names, chart.xs, chart.series[0].values, strict=True), key=lambda point: point[1]
    ):
        if found and abs(math.log10(x / found[-1][1])) < 0.06 and abs(math.log10(y / found[-1][2])) < 0.1:
            found[-1] = (*found[-1][:3], found[-1][3] + 1)
        else:
            found.append((name, x, y, 0))
    return [(f"{name} +{more}" if more else name, x, y) for name, x, y, more in found]


def _roof(axes: Any, chart: Chart) -> None:
    peak, bandwidth = chart.roof or (1.0, 1.0)
    ridge = peak / bandwidth
    low, high = min(*chart.xs, ridge) / 4, max(*chart.xs, ridge) * 4
    axes.plot([low, ridge, high], [low * bandwidth, peak, peak], color="black", linewidth=1)
    axes.annotate(f"ridge {ridge:.1f}", (ridge, peak), textcoords="offset points", xytext=(0, 4), fontsize=7)
