"""Views of the other commands of `tito analyze`: comparisons, growth, roofs, profiles, presets, the quiz."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tito.analysis import convention, shapes
from tito.analysis.expr import grouped
from tito.analysis.fold import LINES
from tito.analysis.report import Report, backward
from tito.analysis.units import both, percent, rate, ratio
from tito.render.analysis import bullet, explanation, explanations, heading, paragraph, remarks
from tito.render.blocks import Block, Mark, Next, Table, Text, Verbatim
from tito.render.sheet import WIDTH, Column, sheet, times

if TYPE_CHECKING:
    from tito.analysis.catalogue import Catalogue, Famous
    from tito.analysis.comparing import Comparison
    from tito.analysis.convolution import Convolution
    from tito.analysis.cost import Cost
    from tito.analysis.hardware import Hardware, Point
    from tito.analysis.quiz import Question, Score, Verdict
    from tito.analysis.roof import Profile, Roofline
    from tito.analysis.scaling import Scaling
    from tito.analysis.transformer import Transformer
    from tito.analysis.walk import Row


def _conventions(*lines: str) -> Iterator[Block]:
    yield Text("")
    for line in lines:
        yield from paragraph(line, "wait")


def comparison(found: Comparison) -> Iterator[Block]:
    """Models side by side, those that nothing beats marked."""
    for entry in found.entries:
        if entry.label != entry.cost.model.name:
            yield from paragraph(f"{entry.label}: {entry.cost.model.name}", indent="   ")
    entries = found.entries
    columns = [
        Column("model", [entry.label for entry in entries], "text"),
        Column("params", [entry.cost.params for entry in entries]),
        Column("FLOPs", [entry.cost.flops for entry in entries]),
        Column("inference", [entry.cost.inference_bytes for entry in entries], "bytes"),
        Column("training", [entry.cost.training_bytes for entry in entries], "bytes", spare=2),
    ]
    if found.with_accuracy:
        columns.append(Column("top-1 %", [f"{entry.top1:.1f}" for entry in entries], "word"))
    beaten = [found.beaten_by(entry) for entry in entries]
    words = ["beaten" if other else "Pareto" for other in beaten]
    room = WIDTH - 2  # for the mark's symbol
    table = sheet("", [*columns, Column("mark", words, "text")], footer=False, width=room, units=found.shown.units)
    rows = [
        (*row[:-1], Mark(str(row[-1]), "wait" if other else "ok"))
        for row, other in zip(table.rows, beaten, strict=True)
    ]
    yield Table(table.columns, rows, table.title, table.right)
    criteria = "parameters, FLOPs and bytes at inference" + (" and accuracy" if found.with_accuracy else "")
    yield from bullet(f"Pareto: no other model here is as good in {criteria} and better in one.")
    for entry, other in zip(entries, beaten, strict=True):
        if other:
            yield from bullet(f"{entry.label} is beaten by {other.label}.")
    yield from remarks(found.remarks)
    for entry in entries:
        for text in (*entry.cost.not_counted, *entry.cost.notes):
            yield from bullet(f"{entry.label}: {text}")
    first = entries[0].cost
    batch = f"batch {grouped(first.batch)}, {first.options.dtype}, training with {first.options.optimizer}"
    yield from _conventions(batch, *convention.COUNTING, convention.UNITS)


_HEADS = {"params": "params", "macs": "MACs", "saved_bytes": "kept", "training_bytes": "training"}


def scaling(found: Scaling) -> Iterator[Block]:
    """The costs at each value, and the exponents they grow with."""
    yield from paragraph(f"{found.name}, {found.varied} varied", "head")
    columns = [Column(found.varied, [f"{value:,}" for value in found.values], "word")]
    for which in _HEADS:
        kind = "bytes" if which.endswith("bytes") else "count"
        columns.append(Column(_HEADS[which], found.measure(which), kind))
    yield sheet("", columns, footer=False, units=found.shown.units)
    rows = []
    for which in _HEADS:
        growth = found.growth(which)
        if growth:
            last = f"{2**growth.last:.2f}"
            rows.append((_HEADS[which], f"{growth.fitted:.2f}", f"{growth.last:.2f}", last))
    columns_of = ["cost", "fitted exponent", "last step", f"times per doubled {found.varied}"]
    yield Table(columns_of, rows, "growth", frozenset({1, 2, 3}))
    yield from bullet(
        f"A cost with exponent p grows as {found.varied}^p: 0 stays, 1 is linear, 2 is quadratic. The fit is by "
        "least squares over all values; the last step shows where it is heading."
    )
    first = found.costs[0]
    yield from _conventions(
        f"batch {grouped(first.batch)}, {first.options.dtype}, training with {first.options.optimizer}",
        *convention.COUNTING,
    )


def _machine(hardware: Hardware, dtype: str) -> Iterator[Block]:
    yield from paragraph(
        f"{hardware.title}: {rate(hardware.flops(dtype))} in {dtype}, {rate(hardware.bandwidth, 'B/s')}, "
        f"ridge {hardware.ridge(dtype):.1f} FLOPs a byte"
    )
    yield from paragraph(f"({hardware.source})", "wait")


def _listed(found: Roofline) -> tuple[list[Point], str]:
    """The layers to show: all, or those with products, or the slowest of these; and what the others are."""
    moving = [point for point in found.points if point.moved]
    if len(moving) <= LINES or found.shown.every:
        return moving, "that move nothing"
    working = [point for point in moving if point.flops]
    if len(working) <= LINES:
        return working, "without products"
    slowest = sorted(working, key=lambda point: point.seconds, reverse=True)[:LINES]
    return [point for point in working if point in slowest], "without products, or faster than these,"


def roofline(found: Roofline) -> Iterator[Block]:
    """Each layer against the roof."""
    points, others = _listed(found)
    hidden = len(found.points) - len(points)
    yield from heading(found.cost)
    yield from _machine(found.hardware, found.cost.options.dtype)
    yield sheet(
        "",
        [
            Column("layer", [point.name for point in points], "text", "total"),
            Column("FLOPs", [point.flops for point in points], "count", sum(point.flops for point in found.points), 1),
            Column("moved", [point.moved for point in points], "bytes", sum(point.moved for point in found.points), 2),
            Column("FLOP/B", [point.intensity for point in points], "number", digits=2),
            Column("GFLOP/s", [point.attainable / 1e9 for point in points], "number"),
            times("at least", [point.seconds for point in points], found.seconds),
            Column("bound by", [point.bound for point in points], "text"),
        ],
        units=found.shown.units,
    )
    if hidden:
        yield from bullet(f"{hidden} layers {others} are left out of the table; --all shows them.")
    yield from _bound(found)
    yield from _conventions(
        "A layer can reach min(peak, FLOPs a byte x bandwidth). It moves its parameters, inputs and output once, "
        "forward, without caches between layers.",
        *convention.COUNTING[:1],
    )


def _bound(found: Roofline) -> Iterator[Block]:
    for bound in ("memory", "arithmetic"):
        share = sum(point.seconds for point in found.points if point.bound == bound)
        if share:
            yield from bullet(f"{percent(share, found.seconds)} of the least time is bound by {bound}.")


def profile(found: Profile) -> Iterator[Block]:
    """Predicted beside measured, layer by layer."""
    yield from heading(found.cost)
    yield from _machine(found.hardware, found.cost.options.dtype)
    layers = found.layers
    whole = found.median
    yield sheet(
        f"{len(found.whole)} runs of a batch of {grouped(found.cost.batch)}",
        [
            Column("layer", [layer.name for layer in layers], "text", "forward pass"),
            Column("FLOPs", [layer.flops for layer in layers], "count", found.cost.flops),
            times("predicted", [layer.predicted for layer in layers], found.predicted),
            times("median", [layer.median for layer in layers], whole),
            Column(
                "spread", [f"±{100 * layer.spread:.1f}%" for layer in layers], "word", f"±{100 * found.spread:.1f}%"
            ),
            Column("GFLOP/s", [layer.rate / 1e9 for layer in layers], "number", found.rate / 1e9, digits=2),
        ],
    )
    slow = max((layer for layer in layers if layer.predicted), key=lambda one: one.median / one.predicted, default=None)
    if slow:
        yield from bullet(
            f"{slow.name} is furthest from its prediction: {ratio(slow.median / slow.predicted)} times the least time."
        )
    between = whole - sum(layer.median for layer in layers)
    if between > 0:
        yield from bullet(f"{percent(between, whole)} of the forward pass is spent between layers.")
    for text in found.cost.not_counted:
        yield from bullet(f"{text}; the total of FLOPs is a lower bound.")
    yield from _conventions(
        "Predicted is the least time on the roofline of the machine; measured is the median, with half the distance "
        "between the quartiles as its spread.",
        *convention.COUNTING[:1],
    )


def convolution(found: Convolution) -> Iterator[Block]:
    """One convolution with its arithmetic and what could stand in its place."""
    cost, row = found.cost, found.cost.rows[0]
    yield from heading(cost)
    yield from paragraph(f"{shapes.text(row.input_shape)} → {shapes.text(row.output_shape)}", "head")
    height, width = found.sizes
    yield Text(f"  height: {height}")
    yield Text(f"  width: {width}")
    yield from paragraph(f"  weights: {row.words[0]} = {row.weights.equation}", indent="    ")
    if row.biases:
        yield Text(f"  parameters: {row.params.equation}")
    batch = "batch·" if cost.batch > 1 else ""
    yield from paragraph(f"  MACs: {batch}{row.words[1]} = {row.macs.equation}", indent="    ")
    yield Text(f"  FLOPs: 2·{grouped(row.macs.value)} = {grouped(2 * row.macs.value)}")
    yield Text(f"  bias additions: {row.bias_adds.equation}")
    yield from paragraph(
        f"  as one matrix product: patches of {both(found.patch_bytes, found.shown.units)} "
        f"({grouped(found.patch_values)} values), the input {ratio(found.patch_values / _values(found))} times over",
        indent="    ",
    )
    if found.shown.explain:
        yield from explanation("memory", cost, row)
        yield from paragraph(f"  backward: {backward(row)}", indent="    ")
    first = found.instead[0]
    yield sheet(
        "",
        [
            Column("between these shapes", [one.name for one in found.instead], "text"),
            Column("params", [one.params for one in found.instead]),
            Column("times", [ratio(one.params / first.params) for one in found.instead], "word"),
            Column("MACs", [one.macs for one in found.instead]),
            Column("times ", [ratio(one.macs / first.macs) for one in found.instead], "word"),
        ],
        footer=False,
    )
    yield from _conventions(*convention.COUNTING)


def _values(found: Convolution) -> int:
    return found.cost.batch * shapes.size(found.cost.model.input_shape)


def transformer(found: Transformer) -> Iterator[Block]:
    """A transformer by its parts."""
    cost, parts = found.cost, found.parts
    yield from heading(cost)
    yield sheet(
        "",
        [
            Column("part", [part.name for part in parts], "text", "total"),
            Column("params", [part.params for part in parts], "count", cost.params),
            Column("share", [part.params for part in parts], "share", cost.params),
            Column("MACs", [part.macs for part in parts], "count", cost.macs),
            Column("share ", [part.macs for part in parts], "share", cost.macs),
        ],
    )
    batch = f" for a batch of {grouped(cost.batch)}" if cost.batch > 1 else ""
    units = found.shown.units
    if found.shown.explain:
        yield from explanations(Report("flops", cost, found.shown))
    yield from bullet(f"Forward: {grouped(round(found.flops_per_token))} FLOPs a token.")
    exact = cost.training_flops
    yield from bullet(
        f"Training step{batch}: {grouped(exact)} FLOPs, exact. The rule of 6 x parameters x tokens says "
        f"{grouped(found.six_n)} ({percent(found.six_n, exact)} of it): it leaves out attention's products and takes "
        "every parameter for a product with each token."
    )
    yield from bullet(
        f"Keys and values kept while generating {grouped(found.tokens)} tokens{batch}: "
        f"{both(found.cache_bytes, units)} in {cost.options.dtype}; "
        f"the parameters take {both(cost.param_bytes, units)}."
    )
    yield from remarks(found.remarks)
    for text in cost.notes:
        yield from bullet(text)
    yield from _conventions(*convention.COUNTING, convention.PARAMETERS)


def catalogue(found: Catalogue) -> Iterator[Block]:
    """All presets."""
    models = found.models
    yield sheet(
        "",
        [
            Column("preset", [f"@{one.preset.name}" for one in models], "text"),
            Column("year", [str(one.preset.year) for one in models], "text"),
            Column("params", [one.params for one in models]),
            Column("MACs M", [one.macs / 1e6 for one in models], "number"),
            Column("source", [one.preset.cited for one in models], "text"),
        ],
        footer=False,
    )
    yield from paragraph(
        "Counted from their layers, not stored; MACs of one forward pass at the input of the variant. "
        "`tito analyze famous NAME` shows its variant, full source, bytes and layers."
    )
    yield from _conventions(*convention.COUNTING)
    yield Next("tito analyze famous resnet18")


def preset(found: Famous) -> Iterator[Block]:
    """One preset: where it comes from, and its specification to copy."""
    about = found.preset
    yield Text(f"@{about.name}: {about.title} ({about.year})", "head")
    yield from paragraph(f"variant: {about.variant}", indent="  ")
    yield from paragraph(f"source: {about.source}", indent="  ")
    counted = f"parameters: {grouped(found.params)} counted"
    if about.published is not None:
        counted += f", {grouped(about.published)} published"
    yield from paragraph(counted + (f" ({about.rounded})" if about.rounded else ""), indent="  ")
    yield from paragraph(f"fp32 {both(4 * found.params)}, fp16 {both(2 * found.params)}")
    yield from paragraph(f"forward MACs: {grouped(found.macs)} at input {shapes.text(about.input_shape)}")
    if about.top1 is not None:
        yield Text(f"ImageNet top-1: {about.top1:.1f}% (torchvision's first weights)")
    yield Text("")
    yield Verbatim(about.spec)
    yield Text("")
    yield Next(f"tito analyze params @{about.name}")


def hidden(cost: Cost, column: str, asked: Sequence[Question]) -> Iterator[Block]:
    """The layers that are asked for, with the column to fill in."""
    names = {question.layer for question in asked}
    rows = [row for row in cost.rows if row.name in names]
    yield from heading(cost)
    yield sheet(
        "",
        [
            Column("layer", [row.name for row in rows], "text"),
            Column("kind", [row.kind for row in rows], "text"),
            Column("input", [shapes.text(row.input_shape) for row in rows], "text"),
            Column("output", [shapes.text(row.output_shape) for row in rows], "text"),
            Column("kernel", [_kernel(row) for row in rows], "text"),
            Column(column, ["?"] * len(rows), "word"),
        ],
        footer=False,
    )


def _kernel(row: Row) -> str:
    """A convolution's sides, and the channels that one filter sees."""
    if row.kind != "conv":
        return ""
    _, channels, height, width = row.weights.terms[0]
    return f"{height}x{width}" + (f" of {channels}" if channels != row.input_shape[0] else "")


def verdict(found: Verdict) -> Iterator[Block]:
    """One answer, right or wrong and why."""
    question = found.question
    unit = " B" if question.in_bytes else ""
    if found.right:
        yield Text(f"right: {question.arithmetic}", "ok")
        return
    why = f": {found.slip}" if found.slip else ""
    yield from paragraph(f"wrong{why}", "bad")
    yield from paragraph(f"it is {grouped(question.answer)}{unit}: {question.arithmetic}", indent="  ")


def score(found: Score) -> Iterator[Block]:
    """The end of a quiz."""
    asked, answered = len(found.questions), len(found.verdicts)
    kind = "ok" if found.right == asked else "warn"
    missing = f"; {asked - answered} not answered" if answered < asked else ""
    yield Text(f"{found.right} of {asked} right{missing}", kind)
