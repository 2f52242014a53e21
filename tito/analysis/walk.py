"""Carries the shape through a model's tree and writes down one row a layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tito.analysis import shapes
from tito.analysis.expr import ZERO, Expr
from tito.analysis.layers import read
from tito.analysis.shapes import Shape
from tito.analysis.spec import LONGEST, Branch, Group, Node, Repeat, SpecError, Word

#: Values in one array: what the largest sizes of an image make, and few enough for every sum to have a logarithm.
MOST_VALUES = shapes.LARGEST**3


@dataclass(frozen=True, slots=True)
class Flow:
    """What reaches the next layer: a shape, the tensor that carries it, whether a gradient will be asked of it."""

    shape: Shape
    tensor: int
    learned: bool = False  # something before it has parameters, so its gradient is needed
    after: str = ""  # the token that made it
    folded: Shape | None = None  # its shape before flatten


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array that exists while the model runs: how many values, and bytes a value when not the dtype's."""

    numbers: int
    bytes_each: int | None = None


@dataclass(slots=True)
class Row:
    """One layer and its cost for the whole batch; what the flow decides is filled in when it is added to a walk.

    `weights` and `biases` are parameters; `macs` are multiply-accumulates of the forward pass;
    `weight_macs` and `input_macs` those of the backward pass for the gradients of the weights and of the
    input. `reads`, `output` and `keeps` are tensors by number; a view makes no tensor of its own.
    """

    name: str
    kind: str
    input_shape: Shape = ()
    output_shape: Shape = ()
    weights: Expr = ZERO
    biases: Expr = ZERO
    macs: Expr = ZERO
    bias_adds: Expr = ZERO
    weight_macs: int = 0
    input_macs: int = 0
    buffers: int = 0
    reads: tuple[int, ...] = ()
    output: int = 0
    keeps: tuple[int, ...] = ()
    idle: bool = False  # does nothing at inference
    words: tuple[str, str] = ("", "")  # what the factors of weights and macs are
    note: str = ""
    counted: bool = True

    @property
    def params(self) -> Expr:
        """Weights and biases."""
        return self.weights + self.biases

    @property
    def backward_macs(self) -> int:
        """Products of the exact backward pass."""
        return self.weight_macs + self.input_macs


class Walk:
    """One walk through a model: `rows` in order, and the tensors they name. `batch` multiplies all but parameters.

    With `folding`, equal rounds of a repeat are walked once: a row then counts `times` times, which is
    enough for parameters and MACs (and not for memory).
    """

    def __init__(self, shape: Shape, batch: int = 1, token_ids: bool = False, folding: bool = False) -> None:
        self.folding = folding
        self.times: list[int] = []
        self._factor = 1
        self.batch = batch
        self.rows: list[Row] = []
        self.tensors: list[Tensor] = []
        self.words: list[Word | None] = []  # the word that each row came from; none for a sum of branches
        self.notes: list[str] = []
        self.table: tuple[str, int, int] | None = None  # the last embedding: name, vocabulary, width
        self._scope: list[str] = []
        self._seen: Counter[str] = Counter()
        source = self.tensor(shapes.size(shape), 8 if token_ids else None)
        self.start = Flow(shape, source, after="the input")

    def run(self, nodes: Sequence[Node]) -> Flow:
        """Walk a whole model from its input."""
        return self.nodes(nodes, self.start)

    def tensor(self, numbers: int, bytes_each: int | None = None) -> int:
        """A new tensor of so many values for one example."""
        self.tensors.append(Tensor(self.batch * numbers, bytes_each))
        return len(self.tensors) - 1

    def name(self, kind: str) -> str:
        """'conv2' for the second convolution in this scope, with the scope in front."""
        scope = ".".join(self._scope)
        self._seen[f"{scope}.{kind}"] += 1
        number = self._seen[f"{scope}.{kind}"]
        return f"{scope}.{kind}{number}" if scope else f"{kind}{number}"

    def label(self, written: str) -> str:
        """A label of the model's author: 'layer1', and 'layer1_2' when it comes again in this scope."""
        scope = ".".join(self._scope)
        self._seen[f"{scope}={written}"] += 1
        number = self._seen[f"{scope}={written}"]
        own = written if number == 1 else f"{written}_{number}"
        return f"{scope}.{own}" if scope else own

    @contextmanager
    def scoped(self, name: str) -> Iterator[None]:
        """Layers named inside carry this name, which is given in full."""
        outer = "".join(f"{part}." for part in self._scope)
        self._scope.append(name.removeprefix(outer))
        try:
            yield
        finally:
            self._scope.pop()

    def member(self, own: str) -> str:
        """A name in this scope as it stands: 'block3.attn.q'."""
        return ".".join((*self._scope, own))

    def add(
        self,
        flow: Flow,
        row: Row,
        shape: Shape,
        *,
        learns: bool = False,
        operands: int = 1,
        view: bool = False,
    ) -> Flow:
        """Write a row whose output has this shape, and go on from there.

        The row comes with name, kind, its expressions for the batch, and `keeps`; `learns` says that its
        products use parameters, so a backward pass has the weights' gradient as well as the input's
        (`operands` of them).
        """
        if len(self.rows) >= LONGEST:
            raise SpecError(f"more than {LONGEST:,} layers", "use fewer repeats")
        if shapes.size(shape) > MOST_VALUES:
            raise SpecError(f"{row.name} would give more than 10^36 values", "use fewer or smaller layers", row.name)
        macs = row.macs.value
        learned = flow.learned or learns or bool(row.weights.terms) or bool(row.biases.terms)
        output = flow.tensor if view else self.tensor(shapes.size(shape))
        row.input_shape, row.output_shape = flow.shape, shape
        row.weight_macs = macs if learns else 0
        row.input_macs = operands * macs if flow.learned else 0
        row.reads = row.reads or (flow.tensor,)
        row.output = output
        row.keeps = tuple(output if kept < 0 else kept for kept in row.keeps) if learned else ()
        self.rows.append(row)
        self.times.append(self._factor)
        return Flow(shape, output, learned, flow.after)

    def nodes(self, nodes: Sequence[Node], flow: Flow) -> Flow:
        """One after the other."""
        for node in nodes:
            flow = self.node(node, flow)
        return flow

    def node(self, node: Node, flow: Flow, repeated: bool = False) -> Flow:
        """One node and all that is in it."""
        if isinstance(node, Word):
            return self.word(node, flow, "")
        if isinstance(node, Repeat):
            return self.repeat(node, flow)
        if isinstance(node, Group):
            return self.group(node, flow, repeated)
        with self.scoped(self.name(node.kind)):
            return self.branch(node, flow)

    def repeat(self, node: Repeat, flow: Flow) -> Flow:
        """The body as often as it says; when folding, a round that keeps its shape stands for all that follow."""
        for step in range(node.count):
            first, before = len(self.rows), flow.shape
            rounds = node.count - step if self.folding else 1
            self._factor *= rounds
            for inner in node.body:
                flow = self.node(inner, flow, node.count > 1)
            self._factor //= rounds
            if rounds > 1:
                if flow.shape == before:
                    return flow
                self.times[first:] = [times // rounds for times in self.times[first:]]
        return flow

    def group(self, node: Group, flow: Flow, repeated: bool) -> Flow:
        """A body under its label, which is numbered when it is repeated; one word takes the label as its name."""
        if not node.label:
            for inner in node.body:
                flow = self.node(inner, flow, repeated)
            return flow
        name = self.name(node.label) if repeated else self.label(node.label)
        if len(node.body) == 1 and isinstance(node.body[0], Word):
            return self.word(node.body[0], flow, name)
        with self.scoped(name):
            return self.nodes(node.body, flow)

    def word(self, word: Word, flow: Flow, label: str) -> Flow:
        """One layer: read it, then let its rule count it."""
        from tito.analysis.rules import apply

        try:
            layer = read(word.text, word.bias)
        except SpecError as error:
            here = f"{error.message} (the shape here is {shapes.text(flow.shape)})"
            raise SpecError(here, error.hint, error.token) from None
        first = len(self.rows)
        after = apply(self, layer, flow, word.text, label)
        self.words += [word] * (len(self.rows) - first)
        return Flow(after.shape, after.tensor, after.learned, word.text, after.folded)

    def branch(self, node: Branch, flow: Flow) -> Flow:
        """Arms that meet again, added or joined along the channels."""
        arms = node.arms if node.kind == "cat" or len(node.arms) == 2 else (*node.arms, ())
        ends = [self.nodes(arm, flow) for arm in arms]
        kind = "add" if node.kind == "res" else "concat"
        shape = _added(ends) if node.kind == "res" else _joined(ends)
        meeting = replace(flow, learned=any(end.learned for end in ends), after=f"{node.kind}(...)")
        prefix = ".".join(self._scope)
        row = Row(f"{prefix}.{kind}", kind, reads=tuple(end.tensor for end in ends))
        self.words.append(None)
        return self.add(meeting, row, shape)


def _added(ends: Sequence[Flow]) -> Shape:
    """The shape of a sum, which both arms must have."""
    body, way = (end.shape for end in ends)
    if body != way:
        raise SpecError(
            f"res(...): the body gives {shapes.text(body)} and the shortcut {shapes.text(way)}; "
            "they must be the same to be added",
            _shortcut(body, way),
            "res",
        )
    return body


def _shortcut(body: Shape, way: Shape) -> str:
    """A layer that would make the shortcut's shape the body's, when there is one."""
    if len(body) == len(way) == 3:
        stride = -(-way[1] // body[1])
        if tuple(-(-side // stride) for side in way[1:]) == body[1:]:
            return f"give the shortcut a layer: res(... | conv:{body[0]}k1{f's{stride}' if stride > 1 else ''})"
        return "padding keeps the size: p1 for a 3x3 window, psame for any"
    if len(body) == len(way) and body[:-1] == way[:-1]:
        return f"give the shortcut a layer: res(... | linear:{body[-1]})"
    return "the body must give back the shape that it gets"


def _joined(ends: Sequence[Flow]) -> Shape:
    """The shape of arms joined along the channels, all else being the same."""
    found = [end.shape for end in ends]
    rest = {shape[1:] if len(shape) == 3 else shape[:-1] for shape in found}
    if len({len(shape) for shape in found}) > 1 or len(rest) > 1:
        raise SpecError(
            f"cat(...): the branches give {' and '.join(map(shapes.text, found))}; "
            "all but the channels must be the same",
            "padding keeps the size: p1 for a 3x3 window, psame for any",
            "cat",
        )
    if len(found[0]) == 3:
        return (sum(shape[0] for shape in found), *found[0][1:])
    return (*found[0][:-1], sum(shape[-1] for shape in found))
