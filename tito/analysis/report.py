"""What one command of `tito analyze` answers about one model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tito.analysis.cost import Cost
from tito.analysis.document import document
from tito.analysis.expr import grouped
from tito.analysis.fold import Folded, every, fold
from tito.analysis.hardware import Hardware, roofline
from tito.analysis.insights import Insight, insights
from tito.analysis.shown import SHOWN, Shown
from tito.analysis.walk import Row


@dataclass(frozen=True)
class Fit:
    """How many examples fit in a memory, for training and for inference; 0 when not even the model does."""

    limit: int
    training: int
    inference: int


@dataclass(frozen=True)
class Report:
    """The facts of `params`, `flops` and `memory`: one model, seen from one side."""

    topic: str
    cost: Cost
    shown: Shown = SHOWN
    hardware: Hardware | None = None
    limit: int | None = None

    @cached_property
    def insights(self) -> tuple[Insight, ...]:
        """Everything that can be said."""
        return insights(self.cost, self.hardware)

    @property
    def remarks(self) -> tuple[Insight, ...]:
        """What belongs to this topic, and not to training when only inference was asked for."""
        hidden = ("activations-overtake", "training-step") if self.shown.mode == "infer" else ()
        return tuple(one for one in self.insights if self.topic in one.topics and one.id not in hidden)

    @cached_property
    def folded(self) -> Folded:
        """The lines of the table."""
        if self.shown.every:
            return Folded(every(self.cost.rows))
        return fold(self.cost.rows, self._matters)

    def _matters(self, number: int) -> bool:
        row = self.cost.rows[number]
        if self.topic == "params":
            return bool(row.params)
        if self.topic == "flops":
            return bool(row.macs)
        return bool(row.params) or self.cost.output_bytes(row) > 0

    @property
    def fit(self) -> Fit | None:
        """The largest batches that fit the limit; both kinds of activations are linear in the batch."""
        return None if self.limit is None else fit(self.cost, self.limit)

    def to_json(self) -> dict[str, Any]:
        """The document of `tito.analyze/1`; what was asked for beyond it stands under a key of its own."""
        found = document(self.cost, self.insights)
        if self.topic == "memory":
            found["memory"] = _memory(self.cost)
        if self.fit:
            found["fit"] = {"limit": self.fit.limit, "training": self.fit.training, "inference": self.fit.inference}
        if self.hardware:
            found["time"] = _time(self.cost, self.hardware)
        return with_explanations(found, self.topic, self.cost) if self.shown.explain else found


def fit(cost: Cost, limit: int) -> Fit:
    """The largest batches whose training step and whose inference fit in `limit` bytes."""
    memory = cost.memory()
    kept, live = memory.kept // cost.batch, cost.live_bytes // cost.batch
    room, still = limit - memory.per_model, limit - cost.param_bytes - cost.buffer_bytes
    return Fit(limit, max(0, room // kept) if kept else 0, max(0, still // live) if live else 0)


def _memory(cost: Cost) -> dict[str, Any]:
    parts = cost.memory()
    return {
        "training": {
            "optimizer": cost.options.optimizer,
            "weight_bytes": parts.weights,
            "gradient_bytes": parts.gradients,
            "state_bytes": parts.states,
            "buffer_bytes": parts.buffers,
            "saved_bytes": parts.kept,
            "total_bytes": parts.total,
        },
        "inference": {
            "param_bytes": cost.param_bytes,
            "buffer_bytes": cost.buffer_bytes,
            "live_bytes": cost.live_bytes,
            "total_bytes": cost.inference_bytes,
        },
    }


def _time(cost: Cost, hardware: Hardware) -> dict[str, Any]:
    return {
        "hardware": hardware.name,
        "title": hardware.title,
        "peak_flops": hardware.flops(cost.options.dtype),
        "bandwidth": hardware.bandwidth,
        "forward_seconds_at_least": least_seconds(cost, hardware),
        "training_seconds_at_least": least_training_seconds(cost, hardware),
    }


def least_seconds(cost: Cost, hardware: Hardware) -> float:
    """The forward pass at the roof, layer after layer."""
    return sum(point.seconds for point in roofline(cost, hardware))


def least_training_seconds(cost: Cost, hardware: Hardware) -> float:
    """The forward pass at the roof, and the backward pass as if memory were no limit."""
    return least_seconds(cost, hardware) + (cost.training_flops - cost.flops) / hardware.flops(cost.options.dtype)


def explained(topic: str, cost: Cost, row: Row) -> list[tuple[str, str]]:
    """Each cell of a row as the arithmetic behind it, with its numbers put in."""
    if topic == "params":
        cells = [
            ("weights", _with_words(row.words[0], row.weights.equation)),
            ("biases", row.biases.equation),
            ("params", row.params.equation),
        ]
        return [cell for cell in cells if cell[1] != "0"] or [("params", "0")]
    if topic == "flops":
        macs = row.macs.value
        batch = "batch·" if cost.batch > 1 and row.words[1] else ""
        cells = [
            ("MACs", _with_words(batch + row.words[1], row.macs.equation)),
            ("FLOPs", f"2·{grouped(macs)} = {grouped(2 * macs)}" if macs else "0"),
            ("bias adds", row.bias_adds.equation),
        ]
        return cells if macs else [("FLOPs", "0 in the headline")]
    return _explained_bytes(cost, row)


def with_explanations(found: dict[str, Any], topic: str, cost: Cost) -> dict[str, Any]:
    """A document whose layers say how they were counted."""
    for layer, row in zip(found["layers"], cost.rows, strict=True):
        layer["explain"] = dict(explained(topic, cost, row))
    return found


def backward(row: Row) -> str:
    """The exact backward pass of one layer in words and MACs."""
    weights, inputs = grouped(row.weight_macs), grouped(row.input_macs)
    if not row.input_macs:
        return f"weights' gradient {weights} MACs; nothing before it learns, so no input gradient"
    if not row.weight_macs:
        return f"gradients of both factors {inputs} MACs"
    return f"weights' gradient {weights} + input's gradient {inputs} = {grouped(row.backward_macs)} MACs"


def _explained_bytes(cost: Cost, row: Row) -> list[tuple[str, str]]:
    bits = cost.dtype.weight_bits
    size = grouped(bits // 8) if bits % 8 == 0 else f"{bits}/8"
    held = -(-row.params.value * bits // 8)
    cells = [("params", f"{grouped(row.params.value)}·{size} = {grouped(held)} B" if row.params else "0")]
    if cost.output_bytes(row):
        factors = [cost.batch] if cost.batch > 1 else []
        factors += [*row.output_shape, cost.dtype.activation_bytes]
        cells.append(("output", f"{'·'.join(map(grouped, factors))} = {grouped(cost.output_bytes(row))} B"))
    else:
        cells.append(("output", "a view of its input: 0"))
    return cells


def _with_words(words: str, equation: str) -> str:
    return f"{words} = {equation}" if words and equation != "0" else equation
