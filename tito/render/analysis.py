"""Views of what `tito analyze` finds: facts become tables and sentences."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tito.analysis import convention, shapes
from tito.analysis.cost import FLOPS_PER_MAC
from tito.analysis.expr import grouped
from tito.analysis.units import both, byte_unit, rate, seconds
from tito.render.blocks import Block, Table, Text
from tito.render.sheet import Column, sheet

if TYPE_CHECKING:
    from tito.analysis.cost import Cost
    from tito.analysis.fold import Line
    from tito.analysis.insights import Insight
    from tito.analysis.report import Report
    from tito.analysis.walk import Row


def paragraph(text: str, kind: str = "", indent: str = "") -> Iterator[Text]:
    """A sentence, broken between words at the terminal's width and at most 80."""
    width = max(20, min(80, shutil.get_terminal_size((80, 24)).columns) - 1)
    for line in textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False):
        yield Text(line, kind)


def bullet(text: str) -> Iterator[Text]:
    """A remark, with its later lines set in."""
    return paragraph(f"- {text}", indent="  ")


def heading(cost: Cost) -> Iterator[Block]:
    """Which model this is and what it is fed."""
    model = cost.model
    yield from paragraph(_short(model.title or model.name), "head")
    fed = f"input {shapes.text(model.input_shape)}, batch {grouped(cost.batch)}, {cost.options.dtype}"
    yield from paragraph(fed + (f"; {model.source}" if model.source else ""))


def _short(name: str) -> str:
    return name if len(name) <= 300 else name[:297] + "..."


def ending(report: Report, conventions: Sequence[str]) -> Iterator[Block]:
    """Notes, remarks and the convention."""
    notes = [note for note in report.cost.notes if report.topic == "memory" or not note.startswith("Activations")]
    for note in (*notes, *report.cost.not_counted):
        yield from bullet(note)
    if report.cost.not_counted:
        yield from bullet("The totals are therefore lower bounds.")
    if report.folded.left_out:
        yield from bullet(
            f"{report.folded.left_out} layers that count nothing here are left out of the table; --all shows them."
        )
    yield from remarks(report.remarks)
    yield Text("")
    for line in conventions:
        yield from paragraph(line, "wait")


def remarks(found: Iterable[Insight]) -> Iterator[Block]:
    """What was noticed."""
    for insight in found:
        yield from bullet(insight.text)


def _layers(lines: Sequence[Line], total: str = "total") -> list[Column]:
    names = [line.name if line.times == 1 else f"{line.name} ({line.times}x)" for line in lines]
    kinds = ["" if line.name.startswith(line.kind) or line.kind == "stage" else line.kind for line in lines]
    found = [Column("layer", names, "text", total)]
    if any(kinds):
        found.append(Column("kind", kinds, "text", "", spare=3))
    return [*found, Column("output", [shapes.text(line.output_shape) for line in lines], "text", "", spare=1)]


def _sums(lines: Sequence[Line], numbers: Sequence[int]) -> list[int]:
    return [sum(numbers[number] for number in line.rows) for line in lines]


def _tables(report: Report, columns: Iterable[tuple[str, str, Sequence[int], bool]]) -> Iterator[Block]:
    """The table, and the first of several equal blocks opened below it.

    Each column: name, kind, one number a layer, and whether it may be left out of a narrow table.
    """
    listed, folded = list(columns), report.folded

    def drawn(lines: Sequence[Line], title: str, footer: bool) -> Table:
        body = [
            Column(name, _sums(lines, numbers), kind, sum(numbers), spare=2 if spare else 0)
            for name, kind, numbers, spare in listed
        ]
        return sheet(title, [*_layers(lines), *body], footer=footer, units=report.shown.units)

    yield drawn(folded.lines, "", footer=True)
    if folded.opened:
        yield drawn(folded.opened, f"inside one: {folded.opened[0].name.split('.')[0]}", footer=False)
    if report.shown.explain:
        yield from explanations(report)


def explanations(report: Report) -> Iterator[Block]:
    """The arithmetic of each layer of the table, of equal blocks once, and of the total."""
    single = [line for line in report.folded.lines if line.times == 1]
    numbers = [number for line in (*single, *report.folded.opened) for number in line.rows]
    for number in sorted(set(numbers)):
        row = report.cost.rows[number]
        yield Text(f"{row.name}: {shapes.text(row.input_shape)} → {shapes.text(row.output_shape)}", "head")
        yield from explanation(report.topic, report.cost, row)
    yield Text("")
    yield from _explained_totals(report)


def explanation(topic: str, cost: Cost, row: Row) -> Iterator[Block]:
    """The arithmetic of one layer."""
    from tito.analysis.report import backward, explained

    for name, arithmetic in explained(topic, cost, row):
        yield Text(f"  {name}: {arithmetic}")
    if topic == "flops" and row.macs:
        yield from paragraph(f"  backward: {backward(row)}", indent="    ")
    if row.note:
        yield Text(f"  {row.note}")


def _explained_totals(report: Report) -> Iterator[Block]:
    cost = report.cost
    if report.topic == "params":
        parts = [row.params.value for row in cost.rows if row.params]
        yield from paragraph(f"total: {_sum(parts)} = {grouped(cost.params)} parameters", indent="  ")
    elif report.topic == "flops":
        parts = [row.macs.value for row in cost.rows if row.macs]
        yield from paragraph(f"total: {_sum(parts)} = {grouped(cost.macs)} MACs", indent="  ")
        yield from paragraph(
            f"FLOPs: 2·{grouped(cost.macs)} = {grouped(cost.flops)}; with bias adds "
            f"{grouped(cost.flops)} + {grouped(cost.bias_adds)} = {grouped(cost.flops + cost.bias_adds)}",
            indent="  ",
        )


def _sum(parts: Sequence[int]) -> str:
    shown = [grouped(part) for part in parts]
    return " + ".join(shown if len(shown) <= 12 else [*shown[:4], "...", *shown[-2:]])


def params(report: Report) -> Iterator[Block]:
    """Where the parameters are."""
    cost = report.cost
    each = [row.params.value for row in cost.rows]
    yield from heading(cost)
    yield from _tables(
        report,
        [
            ("weights", "count", [row.weights.value for row in cost.rows], True),
            ("biases", "count", [row.biases.value for row in cost.rows], True),
            ("params", "count", each, False),
            ("share", "share", each, False),
        ],
    )
    at_least = "at least " if cost.not_counted else ""
    stored = f"{grouped(cost.param_bytes)} bytes in {cost.options.dtype}"
    yield from paragraph(
        f"{at_least}{grouped(cost.params)} parameters, {stored} ({both(cost.param_bytes, report.shown.units)})"
        + (f", and {grouped(cost.buffers)} buffers" if cost.buffers else "")
    )
    yield _stored(cost.params, report.shown.units)
    yield from _least_time(report)
    yield from ending(report, (convention.COUNTING[0], convention.PARAMETERS, convention.UNITS))


def _stored(params: int, units: str) -> Table:
    """What the parameters take in each type, in the units asked for."""
    families = {"MB": 10**6} if units == "si" else {"MiB": 2**20} if units == "iec" else {"MB": 10**6, "MiB": 2**20}
    sizes = [(dtype, bits * params / 8) for dtype, bits in (("fp32", 32), ("fp16", 16), ("int8", 8), ("int4", 4))]
    rows = [(dtype, *(f"{size / unit:,.3f}" for unit in families.values())) for dtype, size in sizes]
    return Table(["stored as", *families], rows, "", frozenset({1, 2}))


def flops(report: Report) -> Iterator[Block]:
    """Where the work is, forward or in a training step."""
    cost, train = report.cost, report.shown.mode == "train"
    forward = [FLOPS_PER_MAC * row.macs.value for row in cost.rows]
    step = [FLOPS_PER_MAC * (row.macs.value + row.backward_macs) for row in cost.rows]
    columns: list[tuple[str, str, Sequence[int], bool]] = [("FLOPs", "count", forward, False)]
    if train:
        columns.append(("for weights", "count", [FLOPS_PER_MAC * row.weight_macs for row in cost.rows], False))
        columns.append(("for input", "count", [FLOPS_PER_MAC * row.input_macs for row in cost.rows], False))
        columns.append(("training", "count", step, False))
    else:
        columns.insert(0, ("MACs", "count", [row.macs.value for row in cost.rows], False))
        columns.append(("bias adds", "count", [row.bias_adds.value for row in cost.rows], False))
    yield from heading(cost)
    yield from _tables(report, [*columns, ("share", "share", step if train else forward, True)])
    yield from _flop_totals(report)
    yield from ending(report, (*convention.COUNTING, convention.TRAINING))


def _flop_totals(report: Report) -> Iterator[Block]:
    cost, mode = report.cost, report.shown.mode
    least = ", at least" if cost.not_counted else ""
    rows = [
        ("forward MACs", grouped(cost.macs)),
        ("forward FLOPs", grouped(cost.flops)),
        ("bias additions", grouped(cost.bias_adds)),
        ("FLOPs and bias additions", grouped(cost.flops + cost.bias_adds)),
    ]
    if mode != "infer":
        rows.append(("training step, exact", grouped(cost.training_flops)))
        rows.append(("training step, 3x rule", grouped(3 * cost.flops)))
    title = (f"for a batch of {grouped(cost.batch)}" if cost.batch > 1 else "for one example") + least
    yield Table(["in all", "count"], rows, title, frozenset({1}))
    yield from _least_time(report)


def _least_time(report: Report) -> Iterator[Block]:
    """How fast the hardware that was named could be."""
    if report.hardware is None:
        return
    from tito.analysis.report import least_seconds, least_training_seconds

    cost, machine = report.cost, report.hardware
    peak, bandwidth = rate(machine.flops(cost.options.dtype)), rate(machine.bandwidth, "B/s")
    yield from paragraph(
        f"On {machine.title} ({peak}, {bandwidth}): forward at least {seconds(least_seconds(cost, machine))}, "
        f"a training step at least {seconds(least_training_seconds(cost, machine))}."
    )


def memory(report: Report) -> Iterator[Block]:
    """Bytes at inference and in training."""
    cost = report.cost
    bits = cost.dtype.weight_bits
    columns: list[tuple[str, str, Sequence[int], bool]] = [
        ("params", "bytes", [-(-row.params.value * bits // 8) for row in cost.rows], False),
        ("outputs", "bytes", [cost.output_bytes(row) for row in cost.rows], False),
    ]
    if report.shown.mode != "infer":
        columns.append(("kept", "bytes", cost.saved_by_row, False))
    yield from heading(cost)
    yield from _tables(report, columns)
    if report.shown.mode != "train":
        yield _bytes_table(
            "inference",
            [
                ("parameters", cost.param_bytes),
                ("buffers", cost.buffer_bytes),
                ("largest live activations", cost.live_bytes),
                ("in all", cost.inference_bytes),
            ],
            report.shown.units,
        )
    if report.shown.mode != "infer":
        yield _training_table(report)
    yield from _fit(report)
    yield from _least_time(report)
    yield from ending(report, (convention.ACTIVATIONS, convention.memory_line(cost), convention.UNITS))


def _training_table(report: Report) -> Table:
    cost = report.cost
    parts = cost.memory()
    master = ", master weights" if cost.dtype.training[2] else ""
    return _bytes_table(
        f"a training step with {cost.options.optimizer}",
        [
            ("weights", parts.weights),
            ("gradients", parts.gradients),
            (f"optimizer states{master}", parts.states),
            ("buffers", parts.buffers),
            ("activations kept", parts.kept),
            ("in all", parts.total),
        ],
        report.shown.units,
    )


def _bytes_table(title: str, parts: Sequence[tuple[str, int]], units: str) -> Table:
    """Parts in bytes and in one unit of each family; the last is the total. Parts of nothing are left out."""
    shown = [part for part in parts[:-1] if part[1]] or list(parts[:1])
    names, numbers = [part[0] for part in shown], [part[1] for part in shown]
    total = parts[-1][1]
    columns = [Column(title, names, "text", parts[-1][0]), Column("bytes", numbers, "count", total, spare=0)]
    if units != "iec":
        columns.append(Column("", numbers, "count", total, unit=byte_unit([total])))
    if units != "si":
        columns.append(Column("", numbers, "count", total, unit=byte_unit([total], iec=True)))
    columns.append(Column("share", numbers, "share", total, spare=1))
    return sheet("", columns)


def _fit(report: Report) -> Iterator[Block]:
    fit = report.fit
    if fit is None:
        return
    limit = both(fit.limit, report.shown.units)
    for what, batch, mode in (("training", fit.training, "train"), ("inference", fit.inference, "infer")):
        if report.shown.mode in ("", mode):
            largest = f"the largest batch for {what} is {grouped(batch)}" if batch else f"{what} does not fit"
            yield from paragraph(f"In {limit}, {largest}.", "ok" if batch else "bad")
