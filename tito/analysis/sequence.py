"""Rules of the layers for sequences: embeddings, attention, transformer blocks."""

from __future__ import annotations

from tito.analysis import shapes
from tito.analysis.expr import ZERO, Expr
from tito.analysis.layers import Added, Attention, Block, ClassToken, Embed, Layer, Linear, Mlp, Norm, Unembed
from tito.analysis.rules import activation, apply, batched, linear, rule
from tito.analysis.spec import SpecError
from tito.analysis.walk import Flow, Row, Walk


def sequence(flow: Flow, token: str) -> tuple[int, int]:
    """The tokens and the width that reach a layer. Raises SpecError when it is no sequence."""
    if len(flow.shape) == 2:
        return flow.shape[0], flow.shape[1]
    raise SpecError(
        f"{token} after {flow.after} gets the shape {shapes.text(flow.shape)}; it needs a sequence, tokens x width",
        "embed:VxD makes one from token numbers, tokens makes one from an image",
        token,
    )


@rule.register
def _embed(layer: Embed, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    if len(flow.shape) != 1 or flow.folded:
        raise SpecError(
            f"{token} after {flow.after} gets the shape {shapes.text(flow.shape)}; it needs token numbers",
            "an embedding comes first, with --seq for the number of tokens",
            token,
        )
    name = label or walk.name("embed")
    walk.table = (name, layer.vocab, layer.dim)
    row = Row(
        name,
        "embed",
        weights=Expr.product(layer.vocab, layer.dim),
        keeps=(flow.tensor,),
        words=("vocabulary·width", ""),
    )
    return walk.add(flow, row, (flow.shape[0], layer.dim))


@rule.register
def _added(layer: Added, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    tokens, width = sequence(flow, token)
    if layer.kind == "pos" and 0 < layer.count < tokens:
        walk.notes.append(
            f"{tokens:,} tokens are more than the {layer.count:,} positions that {token} holds: "
            "counted as if the table were re-used"
        )
    weights = Expr.product(layer.count, width) if layer.count else ZERO
    words = ("positions·width" if layer.kind == "pos" else "types·width", "")
    row = Row(label or walk.name(layer.kind), layer.kind, weights=weights, words=words)
    return walk.add(flow, row, flow.shape)


@rule.register
def _class_token(layer: ClassToken, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    tokens, width = sequence(flow, token)
    row = Row(label or walk.name("cls"), "cls", weights=Expr.product(width), words=("width", ""))
    return walk.add(flow, row, (tokens + 1, width))


@rule.register
def _unembed(layer: Unembed, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    if walk.table is None:
        raise SpecError(
            f"{token} shares the table of an embedding, and there is none before it (the shape here is "
            f"{shapes.text(flow.shape)})",
            "put embed:VxD first, or write linear:V for a head of its own",
            token,
        )
    name, vocab, width = walk.table
    if flow.shape[-1] != width:
        raise SpecError(
            f"{token} after {flow.after} gets width {flow.shape[-1]} ({shapes.text(flow.shape)}); "
            f"the table of {name} has width {width}",
            "",
            token,
        )
    positions = shapes.size(flow.shape[:-1])
    row = Row(
        label or walk.name("unembed"),
        "linear",
        macs=batched(walk, positions, vocab, width),
        keeps=(flow.tensor,),
        words=("", "positions·vocabulary·width"),
        note=f"weights shared with {name}",
    )
    return walk.add(flow, row, (*flow.shape[:-1], vocab), learns=True)


@rule.register
def _attention(layer: Attention, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    tokens, width = sequence(flow, token)
    if layer.dim not in (None, width):
        raise SpecError(
            f"{token} after {flow.after} gets width {width} ({shapes.text(flow.shape)}); you wrote {layer.dim}",
            f"write attn:{width}h{layer.heads}",
            token,
        )
    if width % layer.heads or layer.heads % layer.kv_heads:
        raise SpecError(
            f"{token} after {flow.after} gets {shapes.text(flow.shape)}; "
            + (
                f"width {width} cannot be shared by {layer.heads} heads"
                if width % layer.heads
                else f"{layer.heads} heads cannot be shared by {layer.kv_heads} key-value heads"
            ),
            "the number of heads must divide the width, and that of key-value heads the heads",
            token,
        )
    with walk.scoped(label or walk.name("attn")):
        return _heads(walk, layer, flow, tokens, width)


def _heads(walk: Walk, layer: Attention, flow: Flow, tokens: int, width: int) -> Flow:
    """Projections, scores, softmax, mixing of the values, output projection: dense, whatever the mask."""
    head = width // layer.heads
    kv_width = layer.kv_heads * head
    name = walk.member
    query = linear(walk, Linear(width, bias=layer.bias), flow, name("q"))
    key = linear(walk, Linear(kv_width, bias=layer.bias), flow, name("k"))
    value = linear(walk, Linear(kv_width, bias=layer.bias), flow, name("v"))
    products = batched(walk, layer.heads, tokens, tokens, head)
    words = ("", "heads·tokens·tokens·head width")
    scores = walk.add(
        query,
        Row(
            name("scores"),
            "attention",
            macs=products,
            reads=(query.tensor, key.tensor),
            keeps=(query.tensor, key.tensor),
            words=words,
        ),
        (layer.heads, tokens, tokens),
        operands=2,
    )
    probabilities = activation(walk, "softmax", scores, name("softmax"))
    mixed = walk.add(
        probabilities,
        Row(
            name("mix"),
            "attention",
            macs=products,
            reads=(probabilities.tensor, value.tensor),
            keeps=(probabilities.tensor, value.tensor),
            words=words,
        ),
        (tokens, width),
        operands=2,
    )
    return linear(walk, Linear(width, bias=layer.bias), mixed, name("out"))


@rule.register
def _mlp(layer: Mlp, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    if len(flow.shape) == 3:
        raise SpecError(
            f"{token} after {flow.after} gets the image {shapes.text(flow.shape)}", "put flatten before it", token
        )
    width = flow.shape[-1]
    with walk.scoped(label or walk.name("swiglu" if layer.gated else "mlp")):
        name = walk.member
        wide, back = Linear(layer.hidden, bias=layer.bias), Linear(width, bias=layer.bias)
        if not layer.gated:
            hidden = activation(walk, "gelu", linear(walk, wide, flow, name("up")), name("gelu"))
            return linear(walk, back, hidden, name("down"))
        gate = activation(walk, "silu", linear(walk, wide, flow, name("gate")), name("silu"))
        up = linear(walk, wide, flow, name("up"))
        both = (gate.tensor, up.tensor)
        product = walk.add(up, Row(name("product"), "product", reads=both, keeps=both), up.shape)
        return linear(walk, back, product, name("down"))


@rule.register
def _block(layer: Block, walk: Walk, flow: Flow, token: str, label: str) -> Flow:
    _, width = sequence(flow, token)
    if layer.dim not in (None, width):
        raise SpecError(
            f"{token} after {flow.after} gets width {width} ({shapes.text(flow.shape)}); you wrote {layer.dim}",
            f"write block:{width}h{layer.heads}",
            token,
        )
    with walk.scoped(label or walk.name("block")):
        attention = Attention(width, layer.heads, layer.kv_heads, layer.bias)
        mlp = Mlp(layer.hidden or 4 * width, bias=layer.bias)
        inside: tuple[Layer, Layer] = (attention, mlp)
        for number, inner in enumerate(inside, 1):
            normed = apply(walk, Norm("ln"), flow, token, walk.member(f"ln{number}"))
            own = "attn" if number == 1 else "mlp"
            body = apply(walk, inner, normed, token, walk.member(own))
            row = Row(walk.member(f"add{number}"), "add", reads=(body.tensor, flow.tensor))
            flow = walk.add(body, row, flow.shape)
    return flow
