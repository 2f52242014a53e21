"""From a layer's class name and settings to the same typed layer that a specification's word gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from tito.analysis.layers import (
    ACTIVATIONS,
    Added,
    Attention,
    Block,
    Conv,
    Dropout,
    Embed,
    Layer,
    Linear,
    Norm,
    Pair,
    Pool,
    Simple,
)


@dataclass(frozen=True)
class Parameter:
    """One array of parameters: its name, identity and shape."""

    name: str
    id: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Values in it."""
        return prod(self.shape)


@dataclass(frozen=True)
class Watched:
    """A layer of the learner's: what it is, and how it is counted when that is known."""

    name: str
    kind: str
    parameters: tuple[Parameter, ...]
    buffers: int
    leaf: bool
    layer: Layer | None

    @property
    def size(self) -> int:
        """Its own parameters."""
        return sum(parameter.size for parameter in self.parameters)


Settings = dict[str, Any]


def translate(seen: dict[str, Any]) -> Watched:
    """What the child told of a layer, with the rule to count it by when there is one."""
    parameters = tuple(Parameter(one["name"], one["id"], tuple(one["shape"])) for one in seen["parameters"])
    maker = _MAKERS.get(_plain(seen["class"]))
    try:
        layer = maker(seen["settings"], parameters) if maker else None
    except (KeyError, TypeError, ValueError, IndexError):
        layer = None
    return Watched(seen["name"], seen["class"], parameters, seen["buffers"], seen["leaf"], layer)


def _plain(kind: str) -> str:
    """'MaxPool2D' -> 'maxpool'."""
    return re.sub(r"[12]d$", "", kind.lower()).replace("_", "")


def _pair(value: Any, default: Any = None) -> Pair:
    """3, [3] or [3, 5] as a pair."""
    found = default if value is None else value
    if isinstance(found, list | tuple):
        return (int(found[0]), int(found[-1]))
    return (int(found), int(found))


def _has_bias(parameters: tuple[Parameter, ...]) -> bool:
    return len(parameters) > 1


def _linear(settings: Settings, parameters: tuple[Parameter, ...]) -> Layer:
    weight = max(parameters, key=lambda parameter: len(parameter.shape))
    out = settings.get("out_features") or settings.get("output_size") or weight.shape[-1]
    return Linear(int(out), bias=_has_bias(parameters))


def _conv(settings: Settings, parameters: tuple[Parameter, ...]) -> Layer:
    weight = max(parameters, key=lambda parameter: len(parameter.shape))
    padding = settings.get("padding", 0)
    return Conv(
        out=weight.shape[0],
        kernel=(weight.shape[-2], weight.shape[-1]),
        stride=_pair(settings.get("stride"), 1),
        padding=None if padding == "same" else _pair(padding),
        dilation=_pair(settings.get("dilation"), 1),
        groups=int(settings.get("groups") or 1),
        bias=_has_bias(parameters),
    )


def _pool(kind: str) -> Callable[[Settings, tuple[Parameter, ...]], Layer]:
    def make(settings: Settings, parameters: tuple[Parameter, ...]) -> Layer:
        kernel = _pair(settings.get("kernel_size", settings.get("pool_size")))
        stride = _pair(settings.get("stride"), kernel)
        return Pool(kind, kernel, stride, _pair(settings.get("padding"), 0), bool(settings.get("ceil_mode")))

    return make


def _embedding(settings: Settings, parameters: tuple[Parameter, ...]) -> Layer:
    vocab, dim = parameters[0].shape
    return Embed(vocab, dim)


def _positions(settings: Settings, parameters: tuple[Parameter, ...]) -> Layer:
    """Learned when it has a table, computed when it has none."""
    return Added("pos", max(parameters[0].shape[:-1]) if parameters else 0)


def _attention(settings: Settings, parameters: tuple[Parameter, ...]) -> Layer:
    heads = int(settings["num_heads"])
    dim = settings.get("embed_dim")
    return Attention(int(dim) if dim else None, heads, int(settings.get("num_kv_heads") or heads))


def _block(settings: Settings, parameters: tuple[Parameter, ...]) -> Layer:
    heads = int(settings["num_heads"])
    ratio = float(settings.get("mlp_ratio", 4))
    dim = int(settings["embed_dim"])
    return Block(dim, heads, heads, round(ratio * dim))


def _norm(kind: str) -> Callable[[Settings, tuple[Parameter, ...]], Layer]:
    return lambda settings, parameters: Norm(kind)


def _simple(kind: str) -> Callable[[Settings, tuple[Parameter, ...]], Layer]:
    return lambda settings, parameters: Simple(kind)


_MAKERS: dict[str, Callable[[Settings, tuple[Parameter, ...]], Layer]] = {
    "linear": _linear,
    "dense": _linear,
    "conv": _conv,
    "maxpool": _pool("maxpool"),
    "avgpool": _pool("avgpool"),
    "batchnorm": _norm("bn"),
    "layernorm": _norm("ln"),
    "rmsnorm": _norm("rmsnorm"),
    "dropout": lambda settings, parameters: Dropout(float(settings.get("p", 0.5))),
    "flatten": _simple("flatten"),
    "globalavgpool": _simple("gap"),
    "swish": _simple("silu"),
    "embedding": _embedding,
    "positionalencoding": _positions,
    "multiheadattention": _attention,
    "transformerblock": _block,
    **{kind: _simple(kind) for kind in ACTIVATIONS},
}
