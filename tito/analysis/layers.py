"""One word of a specification as a typed layer: 'conv:64k3p1' -> Conv(out=64, kernel=(3, 3), ...)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeAlias

from tito.analysis.shapes import whole
from tito.analysis.spec import SpecError

Pair = tuple[int, int]


@dataclass(frozen=True)
class Linear:
    """y = xW + b over the last dimension; `inputs` is checked when written."""

    out: int
    inputs: int | None = None
    bias: bool = True


@dataclass(frozen=True)
class Conv:
    """Two-dimensional convolution. No `out`: depthwise, a filter of its own for each channel that comes in."""

    out: int | None
    kernel: Pair
    inputs: int | None = None
    stride: Pair = (1, 1)
    padding: Pair | None = (0, 0)  # None: the padding that keeps the size at stride 1
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True


@dataclass(frozen=True)
class Pool:
    """Largest or mean value of each window."""

    kind: str  # "maxpool" or "avgpool"
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    ceil: bool = False


@dataclass(frozen=True)
class AdaptivePool:
    """Mean over windows chosen so that the result has this size."""

    out: Pair


@dataclass(frozen=True)
class Norm:
    """bn over channels, ln and rmsnorm over the last dimension."""

    kind: str


@dataclass(frozen=True)
class Simple:
    """A layer with a kind and no numbers: activations, flatten, gap, tokens, first."""

    kind: str


@dataclass(frozen=True)
class Dropout:
    """Drops with probability p when training, passes through at inference."""

    p: float


@dataclass(frozen=True)
class Embed:
    """A table of vectors, looked up by token."""

    vocab: int
    dim: int


@dataclass(frozen=True)
class Added:
    """A learned table added to the sequence: positions (`pos`), token types, or nothing learned (`count` 0)."""

    kind: str  # "pos" or "types"
    count: int


@dataclass(frozen=True)
class ClassToken:
    """One learned vector put in front of the sequence."""


@dataclass(frozen=True)
class Attention:
    """Multi-head self-attention; `kv_heads` below `heads` is grouped-query attention."""

    dim: int | None
    heads: int
    kv_heads: int
    bias: bool = True


@dataclass(frozen=True)
class Mlp:
    """Two linear layers with GELU between, or (`gated`) the three of SwiGLU."""

    hidden: int
    gated: bool = False
    bias: bool = True


@dataclass(frozen=True)
class Block:
    """A pre-norm transformer block: res(ln attn) res(ln mlp), the hidden width 4 x dim unless written."""

    dim: int | None
    heads: int
    kv_heads: int
    hidden: int | None = None
    bias: bool = True


@dataclass(frozen=True)
class Unembed:
    """An output head that shares the embedding's table: tied weights."""


Layer: TypeAlias = (
    Linear
    | Conv
    | Pool
    | AdaptivePool
    | Norm
    | Simple
    | Dropout
    | Embed
    | Added
    | ClassToken
    | Attention
    | Mlp
    | Block
    | Unembed
)

ACTIVATIONS = [
    *("relu", "relu6", "leakyrelu", "elu", "tanh", "sigmoid", "gelu"),
    *("silu", "hardswish", "hardsigmoid", "softplus", "mish", "softmax", "identity"),
]

#: What to write, by the first letters of the word; the second part of an error.
EXPECTED = {
    "linear": "linear:OUT or linear:INxOUT, such as linear:10",
    "conv": "conv:[INx]OUTkK[sS][pP][gG], such as conv:64k3p1",
    "dwconv": "dwconv:K[sS][pP], such as dwconv:3p1",
    "pool": "poolK[sS][pP], such as pool2 or pool3s2p1",
    "avgpool": "avgpoolK[sS][pP], such as avgpool2",
    "adaptpool": "adaptpool:H or adaptpool:HxW, such as adaptpool:7",
    "dropout": "dropoutP with P from 0 to 1, such as dropout0.5",
    "embed": "embed:VxD (vocabulary x width), such as embed:50257x768",
    "attn": "attn:DhH (width, heads) or attn:DhHkvG, such as attn:768h12",
    "block": "block:DhH or block:DhHfF (width, heads, hidden width), such as block:768h12",
    "mlp": "mlp:F (hidden width), such as mlp:3072",
    "swiglu": "swiglu:F (hidden width), such as swiglu:11008",
    "pos": "pos:N for N learned positions, or pos for computed ones",
    "types": "types:N for N learned token types, such as types:2",
}

_PLAIN = [*ACTIVATIONS, "flatten", "gap", "tokens", "first", "cls", "bn", "ln", "rmsnorm", "unembed"]

_ALIASES = {
    "fc": "linear",
    "dense": "linear",
    "maxpool": "pool",
    "batchnorm": "bn",
    "layernorm": "ln",
    "rms": "rmsnorm",
    "swish": "silu",
    "embedding": "embed",
    "attention": "attn",
    "depthwise": "dwconv",
    "adaptiveavgpool": "adaptpool",
    "globalavgpool": "gap",
    "drop": "dropout",
    "lrelu": "leakyrelu",
}

_WORD = re.compile(r"(?P<head>[a-z_]+)(?:2d)?(?::(?P<colon>.+)|(?P<direct>[0-9.].*|same.*)?)")
_NUMBER = r"[0-9]+(?:x[0-9]+)?"


class _Mismatch(Exception):
    """The arguments of a word are not of its form."""


def _options(rest: str, *allowed: str) -> dict[str, str]:
    """'k3s2p1' -> {'k': '3', 's': '2', 'p': '1'}; each letter at most once, in any order."""
    found: dict[str, str] = {}
    while rest:
        match = re.match(rf"({'|'.join(allowed)})({_NUMBER}|same|)", rest)
        if not match or match[1] in found or (not match[2] and match[1] != "c"):
            raise _Mismatch
        found[match[1]] = match[2]
        rest = rest[match.end() :]
    return found


def _pair(written: str, token: str, least: int = 1) -> Pair:
    """'3' -> (3, 3); '3x5' -> (3, 5). Raises UsageError for a number below `least`."""
    if written == "same":
        raise _Mismatch
    parts = [0 if part.strip("0") == "" and least == 0 else whole(part, token) for part in written.split("x")]
    return (parts[0], parts[-1])


def _linear(args: str, token: str) -> Layer:
    match = re.fullmatch(r"(?:([0-9]+)x)?([0-9]+)", args)
    if not match:
        raise _Mismatch
    return Linear(whole(match[2], token), whole(match[1], token) if match[1] else None)


def _conv(args: str, token: str) -> Layer:
    match = re.match(r"(?:([0-9]+)x)?([0-9]+)(?=k)", args)
    if not match:
        raise _Mismatch
    options = _options(args[match.end() :], *"kspgd")
    inputs = whole(match[1], token) if match[1] else None
    conv = _windowed(Conv(whole(match[2], token), (1, 1), inputs), options, token)
    return replace(conv, groups=_single(options.get("g", "1"), token))


def _dwconv(args: str, token: str) -> Layer:
    options = _options(args if args.startswith("k") else f"k{args}", *"kspd")
    return _windowed(Conv(None, (1, 1)), options, token)


def _single(written: str, token: str) -> int:
    if not re.fullmatch("[0-9]+", written):
        raise _Mismatch
    return whole(written, token)


def _windowed(conv: Conv, options: dict[str, str], token: str) -> Conv:
    if "k" not in options:
        raise _Mismatch
    padding = options.get("p", "0")
    return replace(
        conv,
        kernel=_pair(options["k"], token),
        stride=_pair(options.get("s", "1"), token),
        padding=None if padding == "same" else _pair(padding, token, least=0),
        dilation=_pair(options.get("d", "1"), token),
    )


def _pool(kind: str) -> Callable[[str, str], Layer]:
    def read(args: str, token: str) -> Layer:
        options = _options(args if args.startswith("k") else f"k{args or '2'}", *"kspc")
        if options.get("c"):
            raise _Mismatch
        kernel = _pair(options["k"], token)
        stride = _pair(options["s"], token) if "s" in options else kernel
        return Pool(kind, kernel, stride, _pair(options.get("p", "0"), token, least=0), "c" in options)

    return read


def _dropout(args: str, token: str) -> Layer:
    if not args:
        return Dropout(0.5)
    if not re.fullmatch(r"[0-9]*\.?[0-9]+|[0-9]+\.", args) or len(args) > 20 or float(args) > 1:
        raise _Mismatch
    return Dropout(float(args))


def _embed(args: str, token: str) -> Layer:
    match = re.fullmatch(r"([0-9]+)x([0-9]+)", args)
    if not match:
        raise _Mismatch
    return Embed(whole(match[1], token), whole(match[2], token))


def _heads(args: str, token: str, *allowed: str) -> tuple[int | None, int, int, dict[str, str]]:
    match = re.match(r"([0-9]*)(?=h)", args)
    if not match:
        raise _Mismatch
    options = _options(args[match.end() :], *allowed)
    heads = _single(options.get("h", ""), token)
    kv = _single(options["kv"], token) if "kv" in options else heads
    return (whole(match[1], token) if match[1] else None), heads, kv, options


def _attention(args: str, token: str) -> Layer:
    dim, heads, kv, _ = _heads(args, token, "h", "kv")
    return Attention(dim, heads, kv)


def _block(args: str, token: str) -> Layer:
    dim, heads, kv, options = _heads(args, token, "h", "kv", "f")
    return Block(dim, heads, kv, _single(options["f"], token) if "f" in options else None)


def _added(kind: str) -> Callable[[str, str], Layer]:
    def read(args: str, token: str) -> Layer:
        if not args and kind == "pos":
            return Added(kind, 0)
        return Added(kind, _single(args, token))

    return read


_READERS: dict[str, Callable[[str, str], Layer]] = {
    "linear": _linear,
    "conv": _conv,
    "dwconv": _dwconv,
    "pool": _pool("maxpool"),
    "avgpool": _pool("avgpool"),
    "adaptpool": lambda args, token: AdaptivePool(_pair(args, token)),
    "dropout": _dropout,
    "embed": _embed,
    "attn": _attention,
    "block": _block,
    "mlp": lambda args, token: Mlp(_single(args, token)),
    "swiglu": lambda args, token: Mlp(_single(args, token), gated=True),
    "pos": _added("pos"),
    "types": _added("types"),
}


def _plain(kind: str) -> Layer:
    if kind in ("bn", "ln", "rmsnorm"):
        return Norm(kind)
    if kind == "cls":
        return ClassToken()
    return Unembed() if kind == "unembed" else Simple(kind)


def _unknown(word: str, head: str) -> SpecError:
    """The error for a word that is no layer, with the nearest one that is."""
    from difflib import get_close_matches

    known = [*_READERS, *_PLAIN, *_ALIASES, "nobias", "res", "cat"]
    near = get_close_matches(head, known, n=1, cutoff=0.6)
    if re.fullmatch("[0-9]+", word):
        hint = f"sizes stand alone (784 256 10); among layers write linear:{word}"
    elif near:
        written = EXPECTED.get(_ALIASES.get(near[0], near[0]), near[0])
        hint = f"did you mean {written}?"
    else:
        hint = "layers: " + " ".join([*_READERS, "relu", "flatten", "gap", "bn", "ln", "res(...)", "3*(...)"])
    shown = word if len(word) <= 40 else word[:37] + "..."
    return SpecError(f"{shown} is not a layer", hint, word)


@lru_cache(maxsize=4096)
def read(word: str, bias: bool = True) -> Layer:
    """The layer that a word names; `bias` is False when `nobias` stands behind it.

    Raises SpecError that says what the word should look like.
    """
    text = word.lower()
    if text.endswith("nobias") and text != "nobias":
        text, bias = text.removesuffix("nobias").rstrip(":-_"), False
    match = _WORD.fullmatch(text)
    head = _ALIASES.get(match["head"], match["head"]) if match else text
    args = (match["colon"] or match["direct"] or "") if match else ""
    if head == "relu" and args == "6":
        head, args = "relu6", ""
    layer = _layer(word, head, args)
    if bias:
        return layer
    if not isinstance(layer, Linear | Conv | Attention | Mlp | Block):
        raise SpecError(
            f"{word} nobias: {head} has no bias to leave out",
            "nobias follows linear, conv, dwconv, attn, block or mlp",
            word,
        )
    return replace(layer, bias=False)


def _layer(word: str, head: str, args: str) -> Layer:
    if head in _PLAIN:
        if args:
            raise SpecError(f"{word}: {head} takes no numbers", f"write {head}", word)
        return _plain(head)
    if head not in _READERS:
        raise _unknown(word, head)
    try:
        return _READERS[head](args, word)
    except _Mismatch:
        raise SpecError(f"{word}: expected {EXPECTED[head]}", "", word) from None
