"""Models made from a model: one layer halved, to count what it would save."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tito.analysis.cost import Cost
from tito.analysis.expr import grouped
from tito.analysis.layers import Block, Mlp, read
from tito.analysis.models import walked
from tito.analysis.spec import Branch, Group, Node, Repeat, SpecError, Word, parse
from tito.analysis.walk import Row, Walk
from tito.errors import UsageError


@dataclass(frozen=True)
class Smaller:
    """A changed model, and what was changed, in words."""

    what: str
    cost: Cost


def rewritten(nodes: Sequence[Node], change: Callable[[Word], Word]) -> tuple[Node, ...]:
    """The same tree with each word changed."""

    def one(node: Node) -> Node:
        if isinstance(node, Word):
            return change(node)
        if isinstance(node, Repeat | Group):
            return replace(node, body=rewritten(node.body, change))
        return Branch(node.kind, tuple(rewritten(arm, change) for arm in node.arms))

    return tuple(one(node) for node in nodes)


def halved(cost: Cost, number: int) -> Smaller | None:
    """The model with half the outputs of this row's layer (what feeds the last layer, or the vocabulary of a table).

    A feed-forward layer gets half its hidden width, in every block that is written with the same word.

    Nothing when the model cannot be written down again so, as with a residual sum that must keep its width.
    """
    if not cost.model.spec:
        return None
    nodes = parse(cost.model.spec)
    walk = Walk(cost.model.input_shape, cost.batch)
    try:
        walk.run(nodes)
    except UsageError:
        return None
    words = [word for word in walk.words if word is not None]
    with_weights = [word for row, word in zip(walk.rows, walk.words, strict=True) if row.weights and word]
    target = walk.words[number]
    if target is None:
        return None
    if re.search(r"\.(up|down|gate)$", walk.rows[number].name):
        return _halved_hidden(cost, nodes, target, walk.rows[number])
    if target is with_weights[-1] and walk.rows[number].kind == "linear":
        earlier = [word for word in with_weights if word is not target and _width(word)]
        if not earlier or not _unique(earlier[-1], words):
            return None
        target = earlier[-1]
    return _halved_word(cost, nodes, target, walk)


def _unique(word: Word, words: Sequence[Word]) -> bool:
    return sum(1 for other in words if other is word) == 1


def _width(word: Word) -> re.Match[str] | None:
    """Where a word writes its number of outputs (a table: its vocabulary)."""
    return re.fullmatch(
        r"(?P<head>(?:linear|fc|dense|conv):(?:[0-9]+x)?|embed(?:ding)?:)(?P<out>[0-9]+)(?P<rest>(?:k|x).*|nobias)?",
        word.text.lower(),
    )


def _halved_hidden(cost: Cost, nodes: Sequence[Node], target: Word, row: Row) -> Smaller | None:
    """Half the hidden width of a feed-forward layer, which stands alone or in a block."""
    layer = read(target.text, target.bias)
    if isinstance(layer, Block):
        hidden = layer.hidden or 4 * min(*row.input_shape[-1:], *row.output_shape[-1:])
        dim = "" if layer.dim is None else layer.dim
        smaller = f"block:{dim}h{layer.heads}kv{layer.kv_heads}f{hidden // 2}"
    elif isinstance(layer, Mlp):
        hidden = layer.hidden
        smaller = f"{'swiglu' if layer.gated else 'mlp'}:{hidden // 2}"
    else:
        return None
    if hidden < 2:
        return None
    changed = rewritten(nodes, lambda word: Word(smaller, layer.bias) if word is target else word)
    what = f"the hidden width of each of its kind ({grouped(hidden)} to {grouped(hidden // 2)})"
    return Smaller(what, walked(replace(cost.model, spec=""), changed, cost.options))


def _halved_word(cost: Cost, nodes: Sequence[Node], target: Word, walk: Walk) -> Smaller | None:
    written = _width(target)
    if written is None or int(written["out"]) < 2:
        return None
    out = int(written["out"])
    head = re.sub(r"[0-9]+x$", "", written["head"])

    def change(word: Word) -> Word:
        if word is target:
            return Word(f"{head}{out // 2}{written['rest'] or ''}", word.bias)
        text = re.sub(r"^((?:linear|fc|dense|conv):)[0-9]+x(?=[0-9])", r"\1", word.text.lower())
        return Word(text, word.bias)

    row = next(row for row, word in zip(walk.rows, walk.words, strict=True) if word is target)
    noun = "the vocabulary" if head.startswith("embed") else "the outputs"
    try:
        model = replace(cost.model, spec="")
        smaller = walked(model, rewritten(nodes, change), cost.options)
    except (SpecError, UsageError):
        return None
    return Smaller(f"{noun} of {row.name} ({grouped(out)} to {grouped(out // 2)})", smaller)
