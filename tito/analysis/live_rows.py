"""Rows from calls: each known layer counted by its rule, parameters by their identity, the rest named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from tito.analysis.cost import Cost, Model, Options, add_up
from tito.analysis.expr import ZERO, Expr
from tito.analysis.layers import ACTIVATIONS, Attention, Block
from tito.analysis.live_layers import Watched
from tito.analysis.rules import activation, apply, batched
from tito.analysis.shapes import Shape
from tito.analysis.walk import Flow, Row, Walk
from tito.errors import UsageError

#: Operations that move or rename values and keep them, so that what comes out is the same array to count.
_VIEWS = {"reshape", "permute", "transpose", "unsqueeze", "squeeze", "getitem", "copy", "cast"}

#: Operations between layers that are counted, by the kind of row they give.
_FUNCTIONS = {
    **{kind: kind for kind in ACTIVATIONS},
    "leaky_relu": "leakyrelu",
    "matmul": "matmul",
    "linear": "linear",
    "add": "add",
    "sub": "add",
    "mul": "product",
}

#: Layers that only call others: nothing of their own to count.
_CONTAINERS = {"sequential", "modulelist", "moduledict"}


@dataclass(frozen=True)
class Seen:
    """The layers, the calls of one forward pass, and the operations that the framework's observer saw."""

    layers: Sequence[Watched]
    calls: Sequence[dict[str, Any]]
    ops: Sequence[dict[str, Any]] = ()
    observed: bool = False


@dataclass
class _Counter:
    """Goes through the calls, keeping which arrays are which tensors and whose parameters are counted."""

    seen: Seen
    walk: Walk
    tensors: dict[str, int] = field(default_factory=dict)
    learned: dict[int, bool] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)  # parameter -> the layer it was counted in
    children: dict[int | None, list[int]] = field(default_factory=dict)
    own_ops: dict[int | None, list[dict[str, Any]]] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)  # layers whose parameters were looked at
    spans: dict[int, range] = field(default_factory=dict)  # call -> its rows
    missed: dict[str, None] = field(default_factory=dict)  # functions between layers that are not counted

    def all(self) -> None:
        """Every call from the outermost, then parameters of layers that were never called."""
        for number, call in enumerate(self.seen.calls):
            self.children.setdefault(call["parent"], []).append(number)
        for op in self.seen.ops:
            self.own_ops.setdefault(op["call"], []).append(op)
        if self.seen.calls and self.seen.calls[0]["inputs"]:
            self.tensors[self.seen.calls[0]["inputs"][0]["tensor"]] = self.walk.start.tensor
        for number in self.children.get(None, []):
            self.call(number)
        for number, layer in enumerate(self.seen.layers):
            if number not in self.done and self.fresh(layer):
                self.own(layer, "not used in this forward pass", counted=True)

    def call(self, number: int) -> None:
        """One call: by its layer's rule, or through the calls inside it."""
        call = self.seen.calls[number]
        index = call["layer"]
        layer = self.seen.layers[index]
        first = len(self.walk.rows)
        if layer.layer is not None and call["inputs"] and call["output"] and self.by_rule(layer, number):
            self.spans[number] = range(first, len(self.walk.rows))
            self.finish(number)
            return
        inside = self.children.get(number, [])
        self.done.add(index)
        if inside:
            self.through(layer, number)
        if self.fresh(layer) or (not inside and layer.kind.lower() not in _CONTAINERS):
            self.own(layer, f"not counted: {layer.kind}", counted=False, call=call)
            if not inside:
                self.spans[number] = range(len(self.walk.rows) - 1, len(self.walk.rows))

    def through(self, layer: Watched, number: int) -> None:
        """A layer made of layers: its calls and its own operations, in the order in which they happened."""
        if not self.seen.observed and layer.kind.lower() not in _CONTAINERS:
            self.missed["relu(x), x + y"] = None
        ops = self.own_ops.get(number, [])
        if any(op["op"] in ("matmul", "linear") for op in ops) and self.fresh(layer):
            self.own(layer, "parameters of its own products", counted=True)
        events: list[tuple[int, int | dict[str, Any]]] = [(op["order"], op) for op in ops]
        events += [(self.seen.calls[inner]["order"], inner) for inner in self.children[number]]
        for _, event in sorted(events, key=lambda pair: pair[0]):
            if isinstance(event, int):
                self.call(event)
            else:
                self.function(layer, event)

    def function(self, layer: Watched, op: dict[str, Any]) -> None:
        """A function between layers: an activation, a sum, a product, or a view; others are named as missed."""
        inputs, output = op["inputs"], op["output"]
        if not inputs or not output or op["op"] in _VIEWS:
            return
        shapes = [self.shape(note) for note in inputs]
        kind = _FUNCTIONS.get(op["op"])
        if kind is None:
            self.missed[op["op"]] = None
            return
        flow = self.flow(inputs[0], shapes[0])
        name = self.walk.name(f"{layer.name}.{kind}" if layer.name else kind)
        if kind in ACTIVATIONS:
            after = activation(self.walk, kind, flow, name)
        elif kind in ("matmul", "linear"):
            after = self.product(kind, name, flow, inputs, output)
        else:
            reads = tuple(self.flow(note, shape).tensor for note, shape in zip(inputs, shapes, strict=True))
            keeps = reads if kind == "product" else ()
            after = self.walk.add(flow, Row(name, kind, reads=reads, keeps=keeps), self.shape(output))
        self.tensors[output["tensor"]] = after.tensor
        self.learned[after.tensor] = after.learned

    def product(
        self, kind: str, name: str, flow: Flow, inputs: Sequence[dict[str, Any]], output: dict[str, Any]
    ) -> Flow:
        """A matrix product outside of any layer: with a table of parameters, perhaps a bias, or of two activations."""
        (left, right), biases = (each["shape"] for each in inputs[:2]), inputs[2:]
        macs = batched(self.walk, prod(output["shape"]), left[-1])
        adds = batched(self.walk, prod(output["shape"])) if biases else ZERO
        table = len(right) == 2
        keeps = [flow.tensor]
        if not table:
            keeps.append(self.flow(inputs[1], self.shape(inputs[1])).tensor)
        row = Row(name, kind, macs=macs, bias_adds=adds, keeps=tuple(keeps), words=("", "outputs·inner"))
        return self.walk.add(flow, row, self.shape(output), learns=table, operands=1 if table else 2)

    def finish(self, number: int) -> None:
        """Everything inside a call that was counted whole is done."""
        self.done.add(self.seen.calls[number]["layer"])
        for inner in self.children.get(number, []):
            self.finish(inner)

    def parameters(self, number: int) -> list[Any]:
        """Parameters of a call's layer and of all layers called inside it."""
        found = list(self.seen.layers[self.seen.calls[number]["layer"]].parameters)
        for inner in self.children.get(number, []):
            found += self.parameters(inner)
        return list({parameter.id: parameter for parameter in found}.values())

    def by_rule(self, layer: Watched, number: int) -> bool:
        """Count by rule, unless the rule's parameters or output are not what was seen."""
        call = self.seen.calls[number]
        held = self.parameters(number)
        trial = Walk((1,), 1)
        inputs, output = self.shape(call["inputs"][0]), self.shape(call["output"])
        known = layer.layer
        assert known is not None
        if isinstance(known, Attention | Block) and sum(p.size for p in held) != self.trial(known, inputs):
            known = replace(known, bias=False)
        try:
            ended = apply(trial, known, Flow(inputs, 0), layer.kind)
        except UsageError:
            return False
        if sum(row.params.value for row in trial.rows) != sum(p.size for p in held) or ended.shape != output:
            return False
        first = len(self.walk.rows)
        flow = self.flow(call["inputs"][0], inputs)
        after = apply(self.walk, known, flow, layer.kind, _label(layer))
        self.tensors[call["output"]["tensor"]] = after.tensor
        self.learned[after.tensor] = after.learned
        self.share(first, held, layer.name or layer.kind)
        return True

    def trial(self, known: Attention | Block, shape: Shape) -> int:
        """Parameters that the rule would count."""
        walk = Walk((1,), 1)
        try:
            apply(walk, known, Flow(shape, 0), "")
        except UsageError:
            return -1
        return sum(row.params.value for row in walk.rows)

    def flow(self, note: dict[str, Any], shape: Shape) -> Flow:
        """What reaches a layer: a known tensor, or one that a function between layers made."""
        key = note["tensor"]
        if key not in self.tensors:
            self.tensors[key] = self.walk.tensor(prod(shape))
            self.learned[self.tensors[key]] = bool(self.owners)
        tensor = self.tensors[key]
        return Flow(shape, tensor, self.learned.get(tensor, False))

    def shape(self, note: dict[str, Any]) -> Shape:
        """Without the batch of one that was fed; a layer that folded the batch away keeps its shape."""
        shape = tuple(note["shape"])
        return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape

    def share(self, first: int, held: Sequence[Any], name: str) -> None:
        """Parameters that were counted before are not counted again."""
        known = [parameter for parameter in held if parameter.id in self.owners]
        for parameter in held:
            self.owners.setdefault(parameter.id, name)
        if not known:
            return
        before = self.owners[known[0].id]
        gone = {parameter.size for parameter in known}
        for number in range(first, len(self.walk.rows)):
            row = self.walk.rows[number]
            weights = ZERO if row.weights.value in gone else row.weights
            biases = ZERO if row.biases.value in gone and len(known) > 1 else row.biases
            if (weights, biases) != (row.weights, row.biases):
                note = f"weights shared with {before}"
                self.walk.rows[number] = replace(row, weights=weights, biases=biases, note=note)

    def fresh(self, layer: Watched) -> list[Any]:
        """A layer's own parameters that no row has."""
        return [parameter for parameter in layer.parameters if parameter.id not in self.owners]

    def own(self, layer: Watched, note: str, *, counted: bool, call: dict[str, Any] | None = None) -> None:
        """A row for parameters alone: of a layer without a rule, or one that was not called."""
        held = self.fresh(layer)
        for parameter in held:
            self.owners[parameter.id] = layer.name or layer.kind
        inputs = self.shape(call["inputs"][0]) if call and call["inputs"] else ()
        output = self.shape(call["output"]) if call and call["output"] else ()
        flow = self.flow(call["inputs"][0], inputs) if inputs and call else Flow((), self.walk.start.tensor, False)
        weights = Expr(tuple(parameter.shape or (1,) for parameter in held))
        row = Row(
            layer.name or layer.kind,
            "not counted" if not counted else "unused",
            weights=weights,
            note=note,
            counted=counted,
            buffers=layer.buffers,
        )
        after = self.walk.add(flow, row, output, view=not output)
        if call and call["output"]:
            self.tensors[call["output"]["tensor"]] = after.tensor
            self.learned[after.tensor] = after.learned


def _label(layer: Watched) -> str:
    """The name that a row takes: the attribute's, or a numbered one for a member of a Sequential."""
    last = layer.name.rpartition(".")[2]
    return "" if last.isdigit() and "." not in layer.name else layer.name


def counted(seen: Seen, model: Model, options: Options, tokens: bool) -> tuple[Cost, dict[int, range]]:
    """The cost of what was seen, for the batch of the options; and which rows each counted call gave."""
    walk = Walk(model.input_shape, options.batch, token_ids=tokens)
    counter = _Counter(seen, walk)
    counter.all()
    notes = [
        f"Activations are those of layers: results of functions between them ({', '.join(counter.missed)}) "
        "are not counted."
    ]
    return add_up(model, walk, options, notes if counter.missed else ()), counter.spans
