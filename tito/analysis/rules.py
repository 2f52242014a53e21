"""What each layer costs, given the shape it meets. One function a layer; the transformer's are in sequence.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch

from tito.analysis import shapes
from tito.analysis.expr import ZERO, Expr
from tito.analysis.layers import (
    ACTIVATIONS,
    AdaptivePool,
    Conv,
    Dropout,
    Layer,
    Linear,
    Norm,
    Pair,
    Pool,
    Simple,
)
from tito.analysis.shapes import Shape
from tito.analysis.spec import SpecError
from tito.analysis.walk import Flow, Row, Walk

#: Activations whose derivative is written in terms of their result; the others keep their input.
_FROM_OUTPUT = {"relu", "relu6", "leakyrelu", "elu", "tanh", "sigmoid", "softmax"}

OUTPUT = -1  # in Row.keeps: the row's own output


@singledispatch
def rule(layer: Layer, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    """Count one layer: add its rows to the walk and return what comes out."""
    raise SpecError(f"{token} has no rule to count it by")


def apply(walk: Walk, layer: Layer, flow: Flow, token: str, label: str = "") -> Flow:
    """Count one layer, whatever it is. Rules of both files are registered when this is first called."""
    from tito.analysis import sequence  # noqa: F401

    return rule(layer, walk, flow, token, label)


def batched(walk: Walk, *factors: int) -> Expr:
    """A product with the batch in front, which is left out when it is 1."""
    return Expr.product(*((walk.batch, *factors) if walk.batch > 1 else factors))


def linear(walk: Walk, layer: Linear, flow: Flow, name: str, note: str = "") -> Flow:
    """y = xW + b over the last dimension, at each position before it."""
    inputs, positions = flow.shape[-1], shapes.size(flow.shape[:-1])
    many = (positions,) if positions > 1 else ()
    return walk.add(
        flow,
        Row(
            name,
            "linear",
            weights=Expr.product(layer.out, inputs),
            biases=Expr.product(layer.out) if layer.bias else ZERO,
            macs=batched(walk, *many, layer.out, inputs),
            bias_adds=batched(walk, *many, layer.out) if layer.bias else ZERO,
            keeps=(flow.tensor,),
            words=("out·in", "positions·out·in" if many else "out·in"),
            note=note,
        ),
        (*flow.shape[:-1], layer.out),
        learns=True,
    )


@rule.register
def _linear(layer: Linear, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    name = token if token[:1].isalpha() else f"linear:{token}"
    origin = flow.folded or flow.shape
    sizes = shapes.text(origin)
    counted = f"{sizes} = {shapes.size(origin)}" if len(origin) > 1 and flow.folded else sizes
    if len(flow.shape) == 3:
        flat = shapes.size(flow.shape)
        raise SpecError(
            f"{name} after {flow.after} gets the image {sizes}; a linear layer takes one row of numbers",
            f"put flatten before it, which makes {sizes} = {flat} inputs",
            token,
        )
    if layer.inputs is not None and layer.inputs != flow.shape[-1]:
        own = f"linear:{layer.out}"
        raise SpecError(
            f"{own} after {flow.after} gets {counted} inputs; you wrote {token}",
            f"write {own}, or linear:{flow.shape[-1]}x{layer.out}",
            token,
        )
    return linear(walk, layer, flow, label or walk.name("linear"))


def image(flow: Flow, token: str, what: str) -> tuple[int, int, int]:
    """The channels, height and width that reach a layer. Raises SpecError when it is no image."""
    if len(flow.shape) == 3:
        return flow.shape[0], flow.shape[1], flow.shape[2]
    raise SpecError(
        f"{token} after {flow.after} gets the shape {shapes.text(flow.shape)}; {what} needs channels x height x width",
        "it comes after flatten: move it before" if flow.folded else "such as --input 3x32x32",
        token,
    )


def output_size(
    size: Pair, kernel: Pair, stride: Pair, added: Pair, dilation: Pair = (1, 1), ceil: bool = False
) -> Pair:
    """Height and width of a windowed layer's result: (size + added - span)/stride + 1, rounded down.

    `added` is the padding of both sides, `span` is dilation·(kernel - 1) + 1. With `ceil`, rounded up, and a
    last window that would start beyond the input and its padding is left out (as PyTorch's ceil_mode).
    """

    def one(n: int, k: int, s: int, more: int, d: int) -> int:
        room = n + more - d * (k - 1) - 1
        if room < 0:
            return 0
        steps = -(-room // s) if ceil else room // s
        return steps if ceil and steps * s >= n + more // 2 else steps + 1

    h, w = (one(*numbers) for numbers in zip(size, kernel, stride, added, dilation, strict=True))
    return h, w


def _fits(flow: Flow, token: str, result: Pair, kernel: Pair, added: Pair) -> None:
    """Raises SpecError when the window is larger than the image with its padding."""
    if min(result) < 1:
        least = shapes.text((max(1, kernel[0] - added[0]), max(1, kernel[1] - added[1])))
        raise SpecError(
            f"{token} after {flow.after} gets {shapes.text(flow.shape)}; its window needs at least {least}",
            "use padding (p1), a smaller window, or fewer layers that shrink the image",
            token,
        )


def added_rows(layer: Conv) -> Pair:
    """Rows and columns of zeros on both sides together: twice the padding written, or what keeps the size."""
    if layer.padding is not None:
        return (2 * layer.padding[0], 2 * layer.padding[1])
    (height, width), (down, across) = layer.kernel, layer.dilation
    return (down * (height - 1), across * (width - 1))


@rule.register
def _conv(layer: Conv, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    channels, height, width = image(flow, token, "a convolution")
    if layer.inputs is not None and layer.inputs != channels:
        raise SpecError(
            f"{token} after {flow.after} gets {channels} channel{'s' if channels > 1 else ''} "
            f"({shapes.text(flow.shape)}); you wrote {layer.inputs}",
            "leave the input channels out: conv:OUTkK",
            token,
        )
    out = layer.out or channels
    groups = layer.groups if layer.out else channels
    if channels % groups or out % groups:
        raise SpecError(
            f"{token} after {flow.after} gets {channels} channels and makes {out}; {groups} groups must divide both",
            f"{shapes.text(flow.shape)} is the shape here",
            token,
        )
    added = added_rows(layer)
    result = output_size((height, width), layer.kernel, layer.stride, added, layer.dilation)
    _fits(flow, token, result, _span(layer), added)
    filters = (out, channels // groups, *layer.kernel)
    per = "in/groups" if groups > 1 else "in"
    return walk.add(
        flow,
        Row(
            label or walk.name("conv" if layer.out else "dwconv"),
            "conv",
            weights=Expr.product(*filters),
            biases=Expr.product(out) if layer.bias else ZERO,
            macs=batched(walk, *result, *filters),
            bias_adds=batched(walk, *result, out) if layer.bias else ZERO,
            keeps=(flow.tensor,),
            words=(f"out·{per}·kernel", f"height·width·out·{per}·kernel"),
        ),
        (out, *result),
        learns=True,
    )


def _span(layer: Conv) -> Pair:
    """How much of the image one window covers."""
    return (layer.dilation[0] * (layer.kernel[0] - 1) + 1, layer.dilation[1] * (layer.kernel[1] - 1) + 1)


@rule.register
def _pool(layer: Pool, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    channels, height, width = image(flow, token, "pooling")
    if layer.padding[0] * 2 > layer.kernel[0] or layer.padding[1] * 2 > layer.kernel[1]:
        raise SpecError(
            f"{token}: the padding may be at most half of the window",
            f"the shape here is {shapes.text(flow.shape)}",
            token,
        )
    added = (2 * layer.padding[0], 2 * layer.padding[1])
    result = output_size((height, width), layer.kernel, layer.stride, added, ceil=layer.ceil)
    _fits(flow, token, result, layer.kernel, added)
    keeps = (flow.tensor,) if layer.kind == "maxpool" else ()
    return walk.add(flow, Row(label or walk.name(layer.kind), layer.kind, keeps=keeps), (channels, *result))


@rule.register
def _adaptive(layer: AdaptivePool, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    channels, _, _ = image(flow, token, "pooling")
    return walk.add(flow, Row(label or walk.name("adaptpool"), "avgpool"), (channels, *layer.out))


@rule.register
def _norm(layer: Norm, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    if layer.kind == "bn" and len(flow.shape) == 2:
        raise SpecError(
            f"{token} after {flow.after} gets the sequence {shapes.text(flow.shape)}; "
            "batch norm needs features or an image",
            "use ln, which normalises each position",
            token,
        )
    width = flow.shape[0] if layer.kind == "bn" else shapes.size(_normalised(flow.shape))
    return walk.add(
        flow,
        Row(
            label or walk.name(layer.kind),
            layer.kind,
            weights=Expr.product(width),
            biases=ZERO if layer.kind == "rmsnorm" else Expr.product(width),
            buffers=2 * width if layer.kind == "bn" else 0,
            keeps=(flow.tensor,),
            words=("width", ""),
        ),
        flow.shape,
    )


def _normalised(shape: Shape) -> Shape:
    """What a layer norm runs over: the last dimension of a sequence, all of an image."""
    return shape if len(shape) == 3 else shape[-1:]


def activation(walk: Walk, kind: str, flow: Flow, name: str) -> Flow:
    """An element-wise function (softmax too): no parameters, nothing in the headline."""
    keeps = (OUTPUT,) if kind in _FROM_OUTPUT else (flow.tensor,)
    return walk.add(flow, Row(name, kind, keeps=keeps), flow.shape)


@rule.register
def _simple(layer: Simple, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    name = label or walk.name(layer.kind)
    if layer.kind == "identity":
        return walk.add(flow, Row(name, "identity"), flow.shape, view=True)
    if layer.kind in ACTIVATIONS:
        return activation(walk, layer.kind, flow, name)
    return _SHAPED[layer.kind](walk, flow, token, name)


def _flatten(walk: Walk, flow: Flow, token: str, name: str) -> Flow:
    after = walk.add(flow, Row(name, "flatten"), (shapes.size(flow.shape),), view=True)
    return Flow(after.shape, after.tensor, after.learned, after.after, flow.folded or flow.shape)


def _gap(walk: Walk, flow: Flow, token: str, name: str) -> Flow:
    if len(flow.shape) == 1:
        raise SpecError(
            f"{token} after {flow.after} gets {shapes.text(flow.shape)}; there is nothing left to average",
            "gap takes an image (channels x height x width) or a sequence (tokens x width)",
            token,
        )
    shape = flow.shape[:1] if len(flow.shape) == 3 else flow.shape[1:]
    return walk.add(flow, Row(name, "gap"), shape)


def _tokens(walk: Walk, flow: Flow, token: str, name: str) -> Flow:
    channels, height, width = image(flow, token, "tokens")
    return walk.add(flow, Row(name, "tokens"), (height * width, channels), view=True)


def _first(walk: Walk, flow: Flow, token: str, name: str) -> Flow:
    if len(flow.shape) != 2:
        raise SpecError(
            f"{token} after {flow.after} gets {shapes.text(flow.shape)}; first takes a sequence of tokens",
            "",
            token,
        )
    return walk.add(flow, Row(name, "first"), flow.shape[1:], view=True)


_SHAPED: dict[str, Callable[[Walk, Flow, str, str], Flow]] = {
    "flatten": _flatten,
    "gap": _gap,
    "tokens": _tokens,
    "first": _first,
}


@rule.register
def _dropout(layer: Dropout, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    mask = walk.tensor(shapes.size(flow.shape), 1)
    row = Row(label or walk.name("dropout"), "dropout", keeps=(mask,) if layer.p > 0 else (), idle=True)
    return walk.add(flow, row, flow.shape)
