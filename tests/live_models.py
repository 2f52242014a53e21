"""A specification of `tito analyze` as a model of tinytorch, so that what both count can be compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.core import activations, layers, normalization, spatial
from tinytorch.core.tensor import Tensor, cat
from tito.analysis.cost import Model
from tito.analysis.layers import Conv, Dropout, Linear, Norm, Pool, Simple, read
from tito.analysis.rules import padding_of
from tito.analysis.spec import Branch, Group, Node, Repeat, Word, parse

FUNCTIONS: dict[str, Callable[[], Any]] = {
    "relu": activations.ReLU,
    "leakyrelu": activations.LeakyReLU,
    "sigmoid": activations.Sigmoid,
    "tanh": activations.Tanh,
    "gelu": activations.GELU,
    "softmax": activations.Softmax,
    "flatten": layers.Flatten,
}


class Mean(layers.Module):
    """The mean over all positions of an image: `gap`."""

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> (N, C)."""
        return x.mean(axis=(2, 3))


class Arms(layers.Module):
    """Branches that meet again: `res`, which adds two, and `cat`, which joins any number along the channels."""

    def __init__(self, kind: str, arms: Sequence[layers.Module]) -> None:
        self.kind = kind
        self.arms = list(arms)

    def forward(self, x: Tensor) -> Tensor:
        """Every arm on the same x, then the meeting."""
        ends = [arm(x) for arm in self.arms]
        return ends[0] + ends[1] if self.kind == "res" else cat(ends, axis=1)


def made(word: Word, shape: tuple[int, ...]) -> Any:
    """The layer that a word names, for an input of this shape (with the batch)."""
    layer = read(word.text, word.bias)
    if isinstance(layer, Linear):
        return layers.Linear(shape[-1], layer.out, bias=layer.bias)
    if isinstance(layer, Conv):
        assert layer.out is not None
        assert (layer.groups, layer.dilation) == (1, (1, 1)), word
        return spatial.Conv2D(shape[1], layer.out, layer.kernel, layer.stride, padding_of(layer), layer.bias)
    if isinstance(layer, Pool):
        assert not layer.ceil, word
        kind = spatial.MaxPool2D if layer.kind == "maxpool" else spatial.AvgPool2D
        return kind(layer.kernel, layer.stride, layer.padding)
    if isinstance(layer, Norm):
        if layer.kind == "bn":
            return (normalization.BatchNorm2d if len(shape) == 4 else normalization.BatchNorm1d)(shape[1])
        return (normalization.LayerNorm if layer.kind == "ln" else normalization.RMSNorm)(shape[-1])
    if isinstance(layer, Dropout):
        return layers.Dropout(layer.p)
    if isinstance(layer, Simple):
        return Mean() if layer.kind == "gap" else FUNCTIONS[layer.kind]()
    raise AssertionError(f"{word.text} has no layer in tinytorch yet")


def chain(nodes: Sequence[Node], x: Tensor) -> tuple[layers.Sequential, Tensor]:
    """The nodes as a Sequential, and what it makes of x; each layer is made for the shape that reaches it."""
    found: list[Any] = []
    for node in nodes:
        for part in parts(node):
            layer = branches(part, x) if isinstance(part, Branch) else made(part, x.shape)
            x = layer.eval()(x) if isinstance(layer, layers.Module) else layer(x)
            found.append(layer)
    return layers.Sequential(found), x


def parts(node: Node) -> list[Word | Branch]:
    """What a node stands for, without repeats and groups."""
    if isinstance(node, Repeat):
        return [part for _ in range(node.count) for inner in node.body for part in parts(inner)]
    if isinstance(node, Group):
        return [part for inner in node.body for part in parts(inner)]
    return [node]


def branches(node: Branch, x: Tensor) -> Arms:
    """A branching, each arm made for x; the second arm of a `res` passes x on when it was not written."""
    arms = node.arms if node.kind == "cat" or len(node.arms) == 2 else (*node.arms, ())
    return Arms(node.kind, [chain(arm, x)[0] for arm in arms])


def built(model: Model) -> layers.Module:
    """The live model of a counted one, for its input."""
    x = Tensor(np.zeros((1, *model.input_shape), dtype=np.float32))
    return chain(parse(model.spec), x)[0].train()
