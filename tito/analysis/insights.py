"""Remarks computed from a model's cost, each with the numbers it rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tito.analysis import shapes
from tito.analysis.cost import Cost
from tito.analysis.expr import grouped
from tito.analysis.hardware import DEFAULT, Hardware, find, roofline
from tito.analysis.rewrite import halved
from tito.analysis.units import both, percent, ratio


@dataclass(frozen=True)
class Insight:
    """A sentence about this model, the numbers in it, and the commands it belongs to."""

    id: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)
    topics: tuple[str, ...] = ("params",)

    def to_json(self) -> dict[str, Any]:
        """Id, sentence, numbers."""
        return {"id": self.id, "text": self.text, "facts": self.facts}


def insights(cost: Cost, hardware: Hardware | None = None) -> tuple[Insight, ...]:
    """All that can be said about a model; nothing about one without parameters or products."""
    machine = hardware or find(DEFAULT)
    makers: tuple[Callable[[], Iterator[Insight]], ...] = (
        lambda: _heaviest(cost),
        lambda: _most_work(cost),
        lambda: _training(cost),
        lambda: _overtaking(cost),
        lambda: _convolution(cost),
        lambda: _attention(cost),
        lambda: _bound(cost, machine),
    )
    return tuple(insight for maker in makers for insight in maker())


def _heaviest(cost: Cost) -> Iterator[Insight]:
    """Which layer holds the parameters, and what halving it saves."""
    if not cost.params:
        return
    number, row = max(enumerate(cost.rows), key=lambda pair: pair[1].params.value)
    held = row.params.value
    others = sum(1 for other in cost.rows if other.params.value == held) - 1
    text = (
        f"{row.name} holds {grouped(held)} of the {grouped(cost.params)} parameters "
        f"({', '.join(filter(None, (percent(held, cost.params), _as_do(others))))})"
    )
    facts: dict[str, Any] = {"layer": row.name, "params": held, "total": cost.params, "equal_layers": others}
    smaller = halved(cost, number)
    if smaller is not None:
        saved = cost.params - smaller.cost.params
        facts |= {"halved": smaller.what, "saved": saved, "params_after": smaller.cost.params}
        text += (
            f"; halving {smaller.what} saves {grouped(saved)} in the whole model "
            f"({percent(saved, cost.params)}), which leaves {grouped(smaller.cost.params)}"
        )
    yield Insight("heaviest-layer", text + ".", facts)


def _as_do(others: int) -> str:
    """That the largest layer is one of several."""
    return f"as {others} more layer{'s' if others > 1 else ''} do{'' if others > 1 else 'es'}" if others else ""


def _most_work(cost: Cost) -> Iterator[Insight]:
    """Which layer does most of the work, beside its share of the parameters."""
    if not cost.macs or len([row for row in cost.rows if row.macs]) < 2:
        return
    row = max(cost.rows, key=lambda row: row.macs.value)
    others = sum(1 for other in cost.rows if other.macs.value == row.macs.value) - 1
    equal = f" ({_as_do(others)})" if others else ""
    yield Insight(
        "most-work",
        f"{row.name} does {percent(row.macs.value, cost.macs)} of the MACs{equal} with "
        f"{percent(row.params.value, cost.params)} of the parameters.",
        {"layer": row.name, "macs": row.macs.value, "total": cost.macs, "params": row.params.value},
        ("flops",),
    )


def _training(cost: Cost) -> Iterator[Insight]:
    """The exact training step beside the rule of three."""
    if not cost.flops or not cost.params:
        return
    rule = 3 * cost.flops
    text = f"A training step is {cost.training_flops / cost.flops:.3g} x the forward FLOPs"
    if cost.training_flops < rule:
        spared = rule - cost.training_flops
        text += f", {grouped(spared)} less than the rule of 3 x: nobody needs the gradient of the model's input"
    else:
        text += ", as the rule says: an embedding learns in front of every product"
    yield Insight(
        "training-step",
        text + ".",
        {"training_flops": cost.training_flops, "rule_of_three": rule, "forward_flops": cost.flops},
        ("flops",),
    )


def _overtaking(cost: Cost) -> Iterator[Insight]:
    """The batch at which activations take more than weights, gradients and optimizer states."""
    memory = cost.memory()
    if not memory.kept or not memory.per_model:
        return
    fixed = memory.weights + memory.gradients + memory.states
    each = memory.kept // cost.batch
    batch = fixed // each + 1
    states = "weights and gradients" if not memory.states else "weights, gradients and optimizer states"
    when = "at every batch" if batch == 1 else f"from batch {grouped(batch)} on"
    yield Insight(
        "activations-overtake",
        f"Activations kept for backward ({both(each, 'si')} an example) take more than {states} "
        f"({both(fixed, 'si')} with {cost.options.optimizer}) {when}.",
        {"batch": batch, "bytes_per_example": each, "bytes_per_model": fixed},
        ("memory", "params"),
    )


def _convolution(cost: Cost) -> Iterator[Insight]:
    """A convolution against a linear layer between the same shapes."""
    found = [row for row in cost.rows if row.kind == "conv" and row.weights]
    if not found:
        return
    row = max(found, key=lambda row: row.macs.value)
    inputs, outputs = shapes.size(row.input_shape), shapes.size(row.output_shape)
    params, macs = inputs * outputs + (outputs if row.biases else 0), inputs * outputs * cost.batch
    more, work = ratio(params / row.params.value), ratio(macs / row.macs.value)
    yield Insight(
        "convolution-against-linear",
        f"A linear layer between the shapes of {row.name} ({shapes.text(row.input_shape)} to "
        f"{shapes.text(row.output_shape)}) would take {grouped(params)} parameters and {grouped(macs)} MACs: "
        f"{more} and {work} times the {grouped(row.params.value)} and {grouped(row.macs.value)} of the convolution.",
        {"layer": row.name, "linear_params": params, "linear_macs": macs},
        ("params", "flops"),
    )


def _attention(cost: Cost) -> Iterator[Insight]:
    """The sequence length at which attention's products take more than its projections."""
    scores = next((row for row in cost.rows if row.kind == "attention"), None)
    if scores is None:
        return
    prefix = scores.name.rpartition(".")[0]
    inside = [row for row in cost.rows if row.name.rpartition(".")[0] == prefix]
    products = sum(row.macs.value for row in inside if row.kind == "attention")
    projections = sum(row.macs.value for row in inside if row.kind == "linear")
    tokens = scores.output_shape[-1]
    if not products or not projections:
        return
    crossing = projections * tokens // products  # products grow with T², projections with T
    total = sum(row.macs.value for row in cost.rows if row.kind == "attention")
    yield Insight(
        "attention-overtakes",
        f"The products of attention take {percent(total, cost.macs)} of the MACs at {grouped(tokens)} tokens; "
        f"beyond {grouped(crossing)} tokens they take more than the q, k, v and out projections.",
        {"tokens": tokens, "crossing": crossing, "attention_macs": total},
        ("flops",),
    )


def _names(rows: list[str]) -> str:
    shown = ", ".join(rows[:4])
    return f"{shown} and {len(rows) - 4} more" if len(rows) > 4 else shown


def _bound(cost: Cost, hardware: Hardware) -> Iterator[Insight]:
    """Which layers with products are bound by memory."""
    if not cost.macs:
        return
    points = [point for point in roofline(cost, hardware) if point.flops]
    bound = [point.name for point in points if point.bound == "memory"]
    ridge = hardware.ridge(cost.options.dtype)
    where = f"on {hardware.title} (ridge {ridge:.1f} FLOPs a byte) at batch {grouped(cost.batch)}"
    if not bound:
        text = f"No layer with products is bound by memory {where}."
    elif len(bound) == len(points):
        text = f"Every layer with products is bound by memory {where}."
    else:
        verb = "is" if len(bound) == 1 else "are"
        text = f"{len(bound)} of {len(points)} layers with products {verb} bound by memory {where}: {_names(bound)}."
    facts = {"hardware": hardware.name, "ridge": ridge, "bound_by_memory": bound, "layers": len(points)}
    yield Insight("memory-bound", text, facts, ("flops",))
