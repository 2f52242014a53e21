"""Every op's derivative rule against central differences at float64, and against PyTorch's numbers.

An op that a module adds needs a line in CASES: the registry test fails without it.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, integer_array_indices, mutually_broadcastable_shapes

import tinytorch.core
from tinytorch.core import activations, layers, losses, normalization, spatial
from tinytorch.core.autograd import gradcheck, keep, left_gradient, times_transpose, vjp_rules
from tinytorch.core.tensor import Tensor, apply, cat, ops, stack, where

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "autograd.json").read_text(encoding="utf-8"))["cases"]
LOSSES = json.loads((Path(__file__).parents[1] / "golden" / "losses.json").read_text(encoding="utf-8"))["cases"]

Function = Callable[..., Tensor]
Shapes = Sequence[tuple[int, ...]]

ONE: list[Shapes] = [[()], [(3,)], [(2, 3)], [(0, 3)], [(2, 1, 3)]]
TWO: list[Shapes] = [
    [(2, 3), (2, 3)],
    [(), (2, 3)],
    [(2, 3), ()],
    [(3,), (2, 3)],
    [(2, 1), (1, 3)],
    [(4, 1, 3), (2, 1)],
    [(0, 3), (3,)],
    [(2, 0), (2, 1)],
    [(), ()],
]
LABELS = np.array([2, 0, 1, 2])
MASK = np.array([[True, False, True], [False, False, True]])
INDEX = np.array([[0, 2, 2], [1, -1, 0]])


def batch_norm(x: Tensor, *affine: Tensor, fixed: bool = False) -> Tensor:
    """The op, with the statistics of x, or with some that are none of x's."""
    mean, var = normalization.batch_statistics(x.numpy())
    if fixed:
        mean, var = (np.arange(start, len(mean) + start, dtype=x.dtype) for start in (1, 2))
    return apply(normalization.batch_norm_op, x, *affine, mean=mean, var=var, eps=1e-3, fixed=fixed)


def rows(x: Tensor) -> Tensor:
    """Probabilities, row by row, that stay such when an entry changes."""
    positive = x * x + 0.1
    return positive / positive.sum(axis=1, keepdims=True)


# name of the op: functions that use it, each with the shapes of its inputs. Values are 0.2 to 1.8, of either sign.
CASES: dict[str, list[tuple[Function, list[Shapes]]]] = {
    "add": [(lambda a, b: a + b, TWO)],
    "sub": [(lambda a, b: a - b, TWO)],
    "mul": [(lambda a, b: a * b, TWO), (lambda a: a * a, ONE)],
    "div": [(lambda a, b: a / b, TWO)],
    "neg": [(lambda x: -x, ONE)],
    "pow": [(lambda x, n=n: x.abs() ** n, ONE) for n in (0, 1, 2, 3, 4, -1, -2, 0.5, 2.5)],
    "power": [(lambda a, b: a.abs() ** b, TWO)],
    "exp": [(lambda x: x.exp(), ONE)],
    "log": [(lambda x: x.abs().log(), ONE)],
    "sqrt": [(lambda x: x.abs().sqrt(), ONE)],
    "abs": [(lambda x: x.abs(), ONE)],
    "clip": [(lambda x: x.clip(-1.0, 1.5), ONE), (lambda x: x.clip(min=0.0), ONE), (lambda x: x.clip(max=0.0), ONE)],
    "copy": [(lambda x: x.copy() * x, ONE)],
    "astype": [(lambda x: x.astype(np.float64) * x, ONE)],
    "where": [(lambda a, b: where(a > b, a, b), TWO), (lambda a, b: where(MASK, a, b), [[(2, 3), (3,)], [(), (2, 1)]])],
    "sum": [
        (lambda x: x.sum(), ONE),
        (lambda x: x.sum(axis=-1), ONE[1:]),
        (lambda x: x.sum(axis=(0, 2), keepdims=True), [[(2, 3, 2)], [(0, 3, 2)]]),
    ],
    "mean": [
        (lambda x: x.mean(), [shapes for shapes in ONE if 0 not in shapes[0]]),
        (lambda x: x.mean(axis=0), [[(3,)], [(2, 3)]]),
        (lambda x: x.mean(axis=(0, -1), keepdims=True), [[(2, 3, 2)], [(2, 0, 2)]]),
    ],
    "var": [
        (lambda x: x.var(), [[(3,)], [(2, 3)]]),
        (lambda x: x.var(axis=1), [[(2, 3)]]),
        (lambda x: x.var(axis=(0, 2), keepdims=True, correction=0), [[(2, 3, 2)]]),
    ],
    "max": [
        (lambda x: x.max(), [[()], [(2, 3)]]),
        (lambda x: x.max(axis=-1), [[(3,)], [(2, 3)], [(0, 3)]]),
        (lambda x: x.max(axis=(0, 2), keepdims=True), [[(2, 3, 2)]]),
    ],
    "min": [
        (lambda x: x.min(), [[()], [(2, 3)]]),
        (lambda x: x.min(axis=0, keepdims=True), [[(3,)], [(2, 3)], [(2, 0)]]),
        (lambda x: x.min(axis=(0, 2)), [[(2, 3, 2)]]),
    ],
    "matmul": [
        (
            lambda a, b: a @ b,
            [
                [(2, 3), (3, 4)],
                [(3,), (3,)],
                [(3,), (3, 4)],
                [(2, 3), (3,)],
                [(5, 2, 3), (3, 4)],
                [(2, 3), (5, 3, 4)],
                [(3,), (2, 3, 4)],
                [(2, 2, 3), (3,)],
                [(1, 2, 3), (5, 3, 4)],
                [(2, 1, 2, 3), (4, 3, 2)],
                [(0, 3), (3, 2)],
                [(2, 0), (0, 3)],
                [(2, 0, 3), (3, 2)],
                [(2, 3, 0), (0, 2)],
            ],
        )
    ],
    "linear": [
        (
            layers.linear,
            [[(2, 3), (3, 4), (4,)], [(3,), (3, 4), (4,)], [(5, 2, 3), (3, 4), (4,)], [(0, 3), (3, 2), (2,)]],
        )
    ],
    "reshape": [
        (lambda x: x.reshape(-1) * x.flatten(), [[()], [(2, 3)], [(0, 3)]]),
        (lambda x: x.unsqueeze(1).squeeze(), [[(2, 3)]]),
    ],
    "permute": [
        (lambda x: x.T, ONE),
        (lambda x: x.permute(2, 0, -2), [[(2, 3, 4)], [(2, 0, 4)]]),
        (lambda x: x.transpose(0, 2) * 2.0, [[(2, 3, 2)]]),
    ],
    "getitem": [
        (lambda x: x[1], [[(3,)], [(2, 3)], [(2, 0)]]),
        (lambda x: x[...], ONE),
        (lambda x: x[1:, None, ..., ::2], [[(3, 4)], [(2, 3, 4)]]),
        (lambda x: x[::-1, 0], [[(3, 4)]]),
        (lambda x: x[MASK], [[(2, 3)], [(2, 3, 2)]]),
        (lambda x: x[[0, 0, -1]], [[(3,)], [(2, 3)], [(2, 0)]]),
        (lambda x: x[INDEX], [[(3,)], [(3, 2)]]),
        (lambda x: x[INDEX, -INDEX], [[(3, 3)], [(3, 3, 2)]]),
        (lambda x: x[1, INDEX], [[(2, 3)]]),
        (lambda x: x[:, INDEX], [[(2, 3)]]),
        (lambda x: x[INDEX[0], 1:], [[(3, 3)]]),
        (lambda x: x[None, [0, 0]], [[(2, 3)]]),
        (lambda x: x[np.array(1)] * x[np.int64(0)], [[(2, 3)]]),
        (lambda x: x[np.array([], dtype=np.int64)], [[(2, 3)]]),
        (lambda x: x[True], [[(2, 3)]]),
    ],
    "cat": [
        (lambda a, b: cat([a, b, a], axis=1), [[(2, 3), (2, 1)], [(2, 0), (2, 3)]]),
        (lambda a, b: cat([b, a], axis=-2), [[(2, 3), (4, 3)]]),
    ],
    "stack": [
        (lambda a, b: stack([a, b, a], axis=-1), [[(2, 3), (2, 3)], [(), ()]]),
        (lambda a: stack([a]), [[(0, 3)]]),
    ],
    "conv2d": [
        (lambda x, w, b: spatial.conv2d(x, w, b), [[(2, 3, 4, 5), (2, 3, 3, 2), (2,)]]),
        (lambda x, w: spatial.conv2d(x, w, stride=2, padding=(1, 0)), [[(1, 2, 5, 4), (3, 2, 3, 3)]]),
    ],
    "max_pool2d": [
        (lambda x: spatial.max_pool2d(x, 2), [[(2, 2, 4, 4)]]),
        (lambda x: spatial.max_pool2d(x, (3, 2), stride=1, padding=1), [[(1, 2, 4, 5)]]),
    ],
    "avg_pool2d": [
        (lambda x: spatial.avg_pool2d(x, 2), [[(2, 2, 4, 4)]]),
        (lambda x: spatial.avg_pool2d(x, (3, 2), stride=1, padding=1), [[(1, 2, 4, 5)]]),
    ],
    "batch_norm": [
        (lambda x, w, b: batch_norm(x, w, b), [[(3, 2, 2, 3), (2,), (2,)], [(5, 3), (3,), (3,)]]),
        (lambda x, w, b: batch_norm(x, w, b, fixed=True), [[(3, 2, 4), (2,), (2,)]]),
        (lambda x: batch_norm(x), [[(4, 2)]]),
    ],
    "layer_norm": [
        (lambda x, w, b: apply(normalization.layer_norm_op, x, w, b, size=5, eps=1e-3), [[(2, 3, 5), (5,), (5,)]]),
        (lambda x: apply(normalization.layer_norm_op, x, size=6, eps=1e-3), [[(4, 2, 3)], [(0, 6)]]),
    ],
    "rms_norm": [
        (lambda x, w: apply(normalization.rms_norm_op, x, w, size=5, eps=1e-3), [[(2, 3, 5), (5,)]]),
        (lambda x: apply(normalization.rms_norm_op, x, size=6, eps=1e-3), [[(4, 2, 3)], [(0, 6)]]),
    ],
    "relu": [(activations.relu, ONE)],
    "leaky_relu": [
        (lambda x: activations.leaky_relu(x), ONE),
        (lambda x: activations.leaky_relu(x, negative_slope=2.0), [[(2, 3)]]),
    ],
    "sigmoid": [(activations.sigmoid, ONE)],
    "tanh": [(activations.tanh, ONE)],
    "gelu": [(activations.gelu, ONE)],
    "gelu_tanh": [(lambda x: activations.gelu(x, approximate="tanh"), ONE)],
    "softmax": [
        (lambda x: activations.softmax(x), [[(3,)], [(2, 3)], [(0, 3)]]),
        (lambda x: activations.softmax(x, axis=1), [[(2, 3, 2)]]),
    ],
    "logsumexp": [
        (lambda x: losses.logsumexp(x), [[(3,)], [(2, 3)]]),
        (lambda x: losses.logsumexp(x, axis=None, keepdims=True), [[(2, 3)]]),
        (lambda x: losses.logsumexp(x, axis=(0, 2)), [[(2, 3, 2)]]),
    ],
    "log_softmax": [
        (lambda x: losses.log_softmax(x), [[(3,)], [(2, 3)]]),
        (lambda x: losses.log_softmax(x, axis=0), [[(2, 3, 2)]]),
    ],
    "cross_entropy": [
        (lambda x, s=s, r=r: losses.cross_entropy(x, LABELS, r, s), [[(4, 3)]])
        for s in (0.0, 0.3)
        for r in ("mean", "none")
    ]
    + [(lambda x, t, s=s: losses.cross_entropy(x, rows(t), label_smoothing=s), [[(4, 3), (4, 3)]]) for s in (0.0, 0.3)],
    "binary_cross_entropy": [
        (
            lambda p, y: losses.binary_cross_entropy(activations.sigmoid(p), activations.sigmoid(y), "none"),
            [[(4,), (4,)], [(2, 3), (2, 3)]],
        )
    ],
    "binary_cross_entropy_with_logits": [
        (
            lambda x, y: losses.binary_cross_entropy_with_logits(x, activations.sigmoid(y)),
            [[(4,), (4,)], [(2, 3), (2, 3)]],
        )
    ],
}


def values(shapes: Shapes, seed: int = 0) -> list[np.ndarray]:
    """Numbers of either sign, all of different size and none near 0 or each other: derivatives jump there."""
    random = np.random.default_rng(seed)
    total = sum(int(np.prod(shape)) for shape in shapes)
    sizes = random.permutation(np.linspace(0.213, 1.879, total) if total > 1 else np.full(total, 0.7))
    numbers = sizes * random.choice([-1.0, 1.0], total)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(numbers, ends), shapes, strict=True)]


def turned(function: Function) -> Function:
    """The function on views whose axes are in reverse order in memory."""
    return lambda *inputs: function(*(each.T for each in inputs))


def strided(function: Function) -> Function:
    """The function on views of every second element along each axis."""
    return lambda *inputs: function(*(each[(slice(None, None, 2),) * each.ndim] for each in inputs))


def import_all() -> None:
    """Import every module of the package that is built: each registers its ops and rules."""
    for package in (tinytorch.core, *([importlib.import_module("tinytorch.perf")] if has_perf() else [])):
        for found in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{found.name}")


def has_perf() -> bool:
    return importlib.util.find_spec("tinytorch.perf") is not None


def own_ops() -> dict[str, Any]:
    """The ops of the package, without those that tests have made."""
    import_all()
    return {
        name: op for name, op in ops.items() if (op.forward.__module__ or "").startswith(("tinytorch", "_operator"))
    }


def test_every_op_has_a_rule_and_a_case() -> None:
    """Catches an op whose rule, or whose gradient check, somebody forgot; and a rule for what has no derivative."""
    differentiable = {name for name, op in own_ops().items() if op.differentiable}
    assert len(differentiable) > 35, "the registry is not what this test takes it for"
    without_rule = sorted(differentiable - set(vjp_rules))
    assert not without_rule, f"no derivative rule for {without_rule}: call defvjp beside the op"
    without_case = sorted(differentiable - set(CASES))
    assert not without_case, f"no gradient check for {without_case}: add them to CASES in {Path(__file__).name}"
    without_shapes = sorted(differentiable - set(DRAWN))
    assert not without_shapes, f"no shapes are drawn for {without_shapes}: add them to DRAWN in {Path(__file__).name}"
    assert set(CASES) <= set(ops), "a case for an op that does not exist"
    constant = {name for name, op in own_ops().items() if not op.differentiable}
    assert constant >= {"eq", "ne", "lt", "le", "gt", "ge", "argmax", "discretize"}
    assert not constant & set(vjp_rules)


def test_the_registry_test_sees_a_forgotten_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a registry test that passes whatever happens."""
    monkeypatch.delitem(vjp_rules, "tanh")
    with pytest.raises(AssertionError, match="tanh"):
        test_every_op_has_a_rule_and_a_case()


@pytest.mark.parametrize("name", CASES)
def test_rule_agrees_with_central_differences(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches any wrong term, sign, factor, axis or shape: broadcast, empty, 0-d and non-contiguous inputs included."""
    called = []
    entry = vjp_rules[name]

    def noted(rule: Any) -> Any:
        return rule and (lambda *args, **kwargs: called.append(1) or rule(*args, **kwargs))

    monkeypatch.setitem(vjp_rules, name, tuple(map(noted, entry)) if isinstance(entry, tuple) else noted(entry))
    for function, examples in CASES[name]:
        for shapes in examples:
            inputs = values(shapes)
            assert gradcheck(function, *inputs), shapes
            assert gradcheck(turned(function), *(each.T for each in inputs)), f"{shapes}, transposed in memory"
            spread_out = [np.kron(each, np.eye(1)) if each.ndim == 0 else _doubled(each) for each in inputs]
            spread_out = [
                each.reshape(()) if shape == () else each for each, shape in zip(spread_out, shapes, strict=True)
            ]
            assert gradcheck(strided(function), *spread_out), f"{shapes}, strided in memory"
    assert called, f"no case of {name} uses its rule"


def _doubled(x: np.ndarray) -> np.ndarray:
    """x with every element repeated along each axis, so that every second one is x."""
    for axis in range(x.ndim):
        x = np.repeat(x, 2, axis=axis)
    return x


def flipped(function: Function) -> Function:
    """The function on views whose strides are negative."""
    return lambda *inputs: function(*(each[(slice(None, None, -1),) * each.ndim] for each in inputs))


# How an input may lie in memory: what makes it of an array of the wanted values, and the function that undoes that.
LAYOUTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[Function], Function]]] = {
    "as it is": (lambda x: x, lambda function: function),
    "transposed": (lambda x: x.T, turned),
    "strided": (lambda x: _doubled(x), strided),
    "backwards": (lambda x: np.flip(x), flipped),
}


def _any(low: int = 0, dims: tuple[int, int] = (0, 3)) -> st.SearchStrategy[tuple[int, ...]]:
    return array_shapes(min_dims=dims[0], max_dims=dims[1], min_side=low, max_side=3)


def _one(*functions: Function, low: int = 0) -> Callable[[Any], tuple[Function, Shapes]]:
    """An op of one input of any shape."""
    return lambda draw: (draw(st.sampled_from(functions)), [draw(_any(low))])


def _two(function: Function) -> Callable[[Any], tuple[Function, Shapes]]:
    """An op of two inputs, broadcast."""
    pairs = mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)
    return lambda draw: (function, draw(pairs).input_shapes)


def _along(name: str, several: bool = True, **options: Any) -> Callable[[Any], tuple[Function, Shapes]]:
    """A reduction over one axis, several, or all."""

    def choose(draw: Any) -> tuple[Function, Shapes]:
        shape = draw(_any(1, (1, 3)))
        axes = draw(st.lists(st.integers(-len(shape), len(shape) - 1), unique_by=lambda a: a % len(shape), min_size=1))
        axis = draw(st.sampled_from((None, axes[0], tuple(axes))))
        keep = draw(st.booleans())
        call = losses.logsumexp if name == "logsumexp" else lambda x, **given: getattr(x, name)(**given, **options)
        return lambda x: call(x, axis=axis, keepdims=keep), [shape]

    return choose


def _axis(function: Callable[..., Tensor]) -> Callable[[Any], tuple[Function, Shapes]]:
    """An op along one axis that keeps the shape."""

    def choose(draw: Any) -> tuple[Function, Shapes]:
        shape = draw(_any(1, (1, 3)))
        axis = draw(st.integers(-len(shape), len(shape) - 1))
        return lambda x: function(x, axis), [shape]

    return choose


def _joined(draw: Any, join: Callable[..., Tensor]) -> tuple[Function, Shapes]:
    shape = list(draw(_any(1, (1, 3))))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)) if join is cat else [shape[axis]] * 2
    shapes = [(*shape[: axis % len(shape)], n, *shape[axis % len(shape) + 1 :]) for n in lengths]
    return lambda *parts: join([*parts, parts[0]], axis=axis), shapes  # the first is used twice


def _key(draw: Any) -> tuple[Function, Shapes]:
    shape = draw(_any(1, (1, 3)))
    count = draw(st.integers(1, len(shape)))
    arrays = integer_array_indices(shape[:count], result_shape=array_shapes(max_dims=2, max_side=4))
    key = draw(st.one_of(basic_indices(shape, allow_newaxis=True), arrays))
    return lambda x: x[key] * 1.0, [shape]


def _stacks(draw: Any) -> tuple[Function, Shapes]:
    m, k, n = (draw(st.integers(0, 3)) for _ in range(3))
    lead = draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)).input_shapes
    left, right = (draw(st.sampled_from(pair)) for pair in (((*lead[0], m, k), (k,)), ((*lead[1], k, n), (k,))))
    return lambda a, b: a @ b, [left, right]


def _layer(draw: Any) -> tuple[Function, Shapes]:
    leading, inner, outer = draw(_any(0, (0, 3))), draw(st.integers(0, 4)), draw(st.integers(1, 4))
    return layers.linear, [(*leading, inner), (inner, outer), (outer,)]


def _reshaped(draw: Any) -> tuple[Function, Shapes]:
    shape = draw(_any())
    other = draw(st.permutations(shape))
    return lambda x: x.reshape(tuple(other)) * x.reshape(tuple(other)), [shape]


def _permuted(draw: Any) -> tuple[Function, Shapes]:
    shape = draw(_any(0, (1, 3)))
    back = draw(st.sampled_from((0, len(shape))))  # counted from the end, too
    axes = [axis - back for axis in draw(st.permutations(range(len(shape))))]
    return lambda x: x.permute(*axes) * 2.0, [shape]


def _window(draw: Any, name: str) -> tuple[Function, Shapes]:
    """A convolution or a pooling with any kernel, stride and padding that fit."""
    kernel, stride = (draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    padding = tuple(draw(st.integers(0, n // 2)) for n in kernel)
    size = tuple(draw(st.integers(max(1, n - 2 * p), 4)) for n, p in zip(kernel, padding, strict=True))
    batch, channels, kernels = (draw(st.integers(1, 2)) for _ in range(3))
    lead = draw(st.sampled_from(((batch, channels), (channels,))))
    if name == "conv2d":
        bias = draw(st.sampled_from(([], [(kernels,)])))
        shapes = [(*lead, *size), (kernels, channels, *kernel), *bias]
        return lambda *inputs: spatial.conv2d(*inputs, stride=stride, padding=padding), shapes
    return lambda x: getattr(spatial, name)(x, kernel, stride, padding), [(*lead, *size)]


def _normed(draw: Any, name: str) -> tuple[Function, Shapes]:
    batch, features, rest = draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(_any(1, (0, 2)))
    if name == "batch_norm":
        fixed = draw(st.booleans())
        affine = draw(st.sampled_from(([], [(features,)] * 2)))
        return lambda *inputs: batch_norm(*inputs, fixed=fixed), [(batch, features, *rest), *affine]
    affine = draw(st.sampled_from(([], [(features,)] * (2 if name == "layer_norm" else 1))))
    op = getattr(normalization, f"{name}_op")
    return lambda *inputs: apply(op, *inputs, size=features, eps=1e-3), [(*rest, batch, features), *affine]


def _classified(draw: Any) -> tuple[Function, Shapes]:
    n, c = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    reduction, smoothing = draw(st.sampled_from(("mean", "sum", "none"))), draw(st.sampled_from((0.0, 0.3, 1.0)))
    if draw(st.booleans()):
        return lambda x, t: losses.cross_entropy(x, rows(t), reduction, smoothing), [(n, c)] * 2
    labels = np.array(draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n)))
    return lambda x: losses.cross_entropy(x, labels, reduction, smoothing), [(n, c)]


def _binary(function: Callable[..., Tensor], prepare: Function) -> Callable[[Any], tuple[Function, Shapes]]:
    def choose(draw: Any) -> tuple[Function, Shapes]:
        reduction = draw(st.sampled_from(("mean", "sum", "none")))
        return lambda x, y: function(prepare(x), activations.sigmoid(y), reduction), [draw(_any(1))] * 2

    return choose


# name of the op: what draws a function that uses it, and the shapes of its inputs
DRAWN: dict[str, Callable[[Any], tuple[Function, Shapes]]] = {
    "add": _two(lambda a, b: a + b),
    "sub": _two(lambda a, b: a - b),
    "mul": _two(lambda a, b: a * b),
    "div": _two(lambda a, b: a / b),
    "power": _two(lambda a, b: a.abs() ** b),
    "where": _two(lambda a, b: where(a > b, a, b)),
    "neg": _one(lambda x: -x),
    "pow": _one(*(lambda x, n=n: x.abs() ** n for n in (0, 1, 2, 3, -1, 0.5, 2.5))),
    "exp": _one(lambda x: x.exp()),
    "log": _one(lambda x: x.abs().log()),
    "sqrt": _one(lambda x: x.abs().sqrt()),
    "abs": _one(lambda x: x.abs()),
    "clip": _one(lambda x: x.clip(-1.00001, 1.50001)),
    "copy": _one(lambda x: x.copy() * x),
    "astype": _one(lambda x: x.astype(x.dtype) * x),
    "relu": _one(activations.relu),
    "leaky_relu": _one(activations.leaky_relu),
    "sigmoid": _one(activations.sigmoid),
    "tanh": _one(activations.tanh),
    "gelu": _one(activations.gelu),
    "gelu_tanh": _one(lambda x: activations.gelu(x, approximate="tanh")),
    "sum": _along("sum"),
    "mean": _along("mean"),
    "var": _along("var", correction=0),
    "max": _along("max"),
    "min": _along("min"),
    "logsumexp": _along("logsumexp"),
    "softmax": _axis(activations.softmax),
    "log_softmax": _axis(losses.log_softmax),
    "matmul": _stacks,
    "linear": _layer,
    "reshape": _reshaped,
    "permute": _permuted,
    "getitem": _key,
    "cat": lambda draw: _joined(draw, cat),
    "stack": lambda draw: _joined(draw, stack),
    **{name: lambda draw, name=name: _window(draw, name) for name in ("conv2d", "max_pool2d", "avg_pool2d")},
    **{name: lambda draw, name=name: _normed(draw, name) for name in ("batch_norm", "layer_norm", "rms_norm")},
    "cross_entropy": _classified,
    "binary_cross_entropy": _binary(losses.binary_cross_entropy, activations.sigmoid),
    "binary_cross_entropy_with_logits": _binary(losses.binary_cross_entropy_with_logits, lambda x: x),
}


@pytest.mark.parametrize("name", CASES)
@given(st.data())
@settings(max_examples=40)
def test_rule_is_right_for_any_shape_layout_and_dtype(name: str, data: st.DataObject) -> None:
    """Catches a rule that is right only for the shapes somebody thought of, or for arrays in one piece.

    A node is used twice. In float32 the same numbers come, in float32, within its digits.
    """
    function, shapes = DRAWN[name](data.draw)
    arrays = values(shapes, data.draw(st.integers(0, 99)))
    lay, undo = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))]
    arrays, function = [lay(each) for each in arrays], undo(function)
    assert gradcheck(lambda *inputs: (lambda y: y * y + y)(function(*inputs)), *arrays)
    found = {}
    for dtype in (np.float64, np.float32):
        inputs = [Tensor(each, dtype, requires_grad=True) for each in arrays]
        result = function(*inputs)
        assert result.dtype == dtype, "the dtype is kept"
        result.backward(np.ones(result.shape))
        assert all(each.grad is None or each.grad.dtype == dtype for each in inputs)
        grads = [np.zeros(each.shape) if each.grad is None else each.grad for each in inputs]
        found[dtype] = [result.numpy(), *grads]
    for exact, single in zip(found[np.float64], found[np.float32], strict=True):
        np.testing.assert_allclose(single, exact, rtol=2e-4, atol=2e-4)


@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_broadcasting_is_undone_for_any_two_shapes(found: Any, seed: int) -> None:
    """Catches an axis that unbroadcast forgets, sums twice or puts back in the wrong place."""
    a, b = values(found.input_shapes, seed)
    assert gradcheck(lambda a, b: a * b + a / b - b, a, b)


@given(array_shapes(min_dims=1, max_dims=4, max_side=3), st.data())
@settings(max_examples=60, deadline=None)
def test_reductions_over_any_axes(shape: tuple[int, ...], data: st.DataObject) -> None:
    """Catches gradients that are spread along the wrong axis, and a wrong number of elements in a mean."""
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), unique_by=lambda a: a % len(shape), min_size=1))
    axis = data.draw(st.sampled_from((None, axes[0], tuple(axes))))
    keepdims = data.draw(st.booleans())
    (x,) = values([shape])
    for name in ("sum", "mean", "max", "min"):
        assert gradcheck(lambda x, name=name: getattr(x, name)(axis=axis, keepdims=keepdims) ** 2, x)
    assert gradcheck(lambda x: x.var(axis=axis, keepdims=keepdims, correction=0), x)


@given(array_shapes(min_dims=1, max_dims=3, max_side=4), st.data())
@settings(max_examples=80, deadline=None)
def test_getitem_by_any_key(shape: tuple[int, ...], data: st.DataObject) -> None:
    """Catches repeated indices that overwrite each other, and negative ones that land elsewhere."""
    count = data.draw(st.integers(1, len(shape)))
    arrays = integer_array_indices(shape[:count], result_shape=array_shapes(max_dims=2, max_side=4))
    key = data.draw(st.one_of(basic_indices(shape, allow_newaxis=True), arrays))
    (x,) = values([shape])
    tensor = Tensor(x, np.float64, requires_grad=True)
    result = tensor[key]
    weights = np.random.default_rng(1).standard_normal(result.shape)
    result.backward(weights)
    wanted = np.zeros(shape)
    np.add.at(wanted, key, weights)
    np.testing.assert_allclose(tensor.grad, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint64])
@pytest.mark.parametrize("more", [(), (np.array([1, 0, 1]),), (1,)])
def test_an_index_may_be_of_narrow_integers(dtype: type[np.integer[Any]], more: tuple[Any, ...]) -> None:
    """Catches arithmetic with the number of rows in the index's own dtype: 300 is no uint8, and backward overflowed."""
    x = Tensor(np.zeros((300, 2)), np.float64, requires_grad=True)
    rows = np.array([3, 100, 3], dtype)
    more = tuple(np.asarray(part, dtype)[()] for part in more)
    x[(rows, *more)].sum().backward()
    wanted = np.zeros((300, 2))
    np.add.at(wanted, (rows.astype(int), *more), 1.0)
    assert np.array_equal(x.grad, wanted)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_matmul_of_any_stacks(data: st.DataObject) -> None:
    """Catches a product that is transposed, not summed over a broadcast stack, or of the wrong factor."""
    sides = st.integers(1, 3)
    m, k, n = data.draw(sides), data.draw(sides), data.draw(sides)
    found = data.draw(mutually_broadcastable_shapes(num_shapes=2, max_dims=2, max_side=3)).input_shapes
    left = data.draw(st.sampled_from(((*found[0], m, k), (k,))))
    right = data.draw(st.sampled_from(((*found[1], k, n), (k,))))
    assert gradcheck(lambda a, b: a @ b, *values([left, right]))


def test_softmax_and_losses_stay_finite_for_large_numbers() -> None:
    """Catches a rule that takes an exponential of its own, or divides by a probability that has rounded to 0."""
    logits = Tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], requires_grad=True)
    probabilities = activations.softmax(logits)
    for loss in (
        losses.cross_entropy(logits, [1, 0]),
        losses.log_softmax(logits).sum(),
        losses.logsumexp(logits).sum(),
        probabilities.max(),
        losses.binary_cross_entropy_with_logits(logits, np.ones((2, 3))),
        losses.binary_cross_entropy(activations.sigmoid(logits), np.ones((2, 3))),
        activations.gelu(logits).sum(),
        activations.tanh(logits).sum(),
    ):
        logits.grad = None
        loss.backward(retain_graph=True)
        assert np.isfinite(logits.grad).all()


def test_infinite_gradients_do_not_leak_through_a_mask() -> None:
    """Catches infinity times 0 in relu, clip and where: the slope of sqrt at 0 must not make the rest NaN."""
    x = Tensor([-1.0, 4.0], requires_grad=True)
    for masked in (activations.relu(x), x.clip(min=0.0), where([False, True], x, 0.0)):
        x.grad = None
        masked.sqrt().sum().backward()
        assert x.grad.tolist() == [0.0, 0.25]


def test_the_gradient_of_a_bias_of_many_rows_keeps_its_digits() -> None:
    """Catches rows that are added one after the other in float32: of 70,000 of them, four digits were right."""
    bias = Tensor([0.0, 0.0], requires_grad=True)
    y = Tensor(np.zeros((70_000, 2))) + bias
    y.backward(np.full((70_000, 2), 0.1, np.float32))
    np.testing.assert_allclose(bias.grad, 70_000 * np.float64(np.float32(0.1)), rtol=1e-6)


def test_infinite_gradients_of_a_largest_number_stay_with_it() -> None:
    """Catches infinity times 0 in max over several axes, which made the gradient of every other number NaN."""
    x = Tensor([[-1.0, 0.0], [-4.0, -2.0]], requires_grad=True)
    x.max().sqrt().backward()
    assert x.grad.tolist() == [[0.0, np.inf], [0.0, 0.0]]


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_of_large_numbers_in_float16(approximate: str) -> None:
    """Catches squares and cubes above 65,504 in float16: warnings, and NaN where the slope is 0 or 1."""
    x = Tensor([-6e4, -300.0, -3.0, 0.0, 1.0, 50.0, 300.0, 6e4], np.float16, requires_grad=True)
    y = activations.gelu(x, approximate)
    y.backward(np.ones(8, np.float16))
    np.testing.assert_allclose(y.numpy(), [0, 0, -0.0040, 0, 0.8413, 50, 300, 6e4], rtol=1e-3, atol=5e-4)
    np.testing.assert_allclose(x.grad, [0, 0, -0.0119, 0.5, 1.0833, 1, 1, 1], atol=1e-3)


@pytest.mark.parametrize("rows", [0, 1, 3, 32, 33, 200])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_with_few_rows_takes_the_other_way_to_the_same_numbers(rows: int, turned: bool) -> None:
    """Catches a result left transposed, which slows down whatever reads it, and one factor taken for the other."""
    draw = np.random.default_rng(rows)
    g, b = draw.standard_normal((rows, 128)), draw.standard_normal((128, 256)).T if turned else draw.random((256, 128))
    found = times_transpose(g, b)
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, np.einsum("mn,kn->mk", g, b), atol=1e-9)
    stack = left_gradient(np.stack([g, -g]), np.empty((2, rows, 256)), b)
    np.testing.assert_allclose(stack, [found, -found], atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_a_mask_keeps_numbers_of_every_width(dtype: type[np.floating[Any]]) -> None:
    """Catches bits read as integers of another width, strides that get lost, and a masked NaN that comes through."""
    g = np.array([[1.5, -2.0, np.inf], [np.nan, -np.inf, 0.25]], dtype).T
    mask = np.array([[True, False, True], [False, False, True]]).T
    kept = keep(g, mask)
    assert kept.dtype == dtype
    assert kept.tolist() == [[1.5, 0.0], [0.0, 0.0], [np.inf, 0.25]]
    assert not np.signbit(kept[1]).any()
    around = np.full((6, 4), dtype(7))
    written = keep(g, mask, out=around[::2, ::2])
    assert np.array_equal(written, kept) and np.array_equal(around[::2, ::2], kept) and (around[1::2] == 7).all()
    assert keep(np.array(3.0, dtype), np.bool_(True)) == 3.0


def functions() -> dict[str, Function]:
    """What tests/golden/make_autograd.py computed, in the words of this framework."""
    unary = {
        name: lambda x, name=name: getattr(x, name)() for name in ("exp", "log", "sqrt", "abs", "sum", "mean", "var")
    }
    powers = {f"pow {n:g}": lambda x, n=n: x**n for n in (0, 1, 2, 3, 2.5, -1, 0.5)}
    chosen = {name: getattr(activations, name) for name in ("relu", "sigmoid", "tanh", "gelu", "leaky_relu")}
    ends: dict[str, Function] = {}
    for name in ("max", "min"):
        ends[name] = lambda x, name=name: getattr(x, name)()
        ends[f"{name} 1"] = lambda x, name=name: getattr(x, name)(axis=1)
        ends[f"{name} 0 keep"] = lambda x, name=name: getattr(x, name)(axis=0, keepdims=True)
        ends[f"{name} 0 1"] = lambda x, name=name: getattr(x, name)(axis=(0, 1))
    index = np.array([[0, 2, 2], [1, 2, 0]])
    mask = np.tril(np.ones((4, 4), dtype=bool))

    def attention(x: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = where(mask, (x @ q) @ (x @ k).transpose() / 6**0.5, -1e9)
        return activations.softmax(scores) @ (x @ v)

    def residual(x: Tensor, w: Tensor) -> Tensor:
        for _ in range(6):
            x = x + activations.tanh(x @ w)
        return x

    return {
        **unary,
        **powers,
        **chosen,
        **ends,
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "neg": lambda x: -x,
        "power": lambda a, b: a**b,
        "clip": lambda x: x.clip(0.0, 1.0),
        "clip below": lambda x: x.clip(min=0.5),
        "clip above": lambda x: x.clip(max=0.5),
        "where": lambda a, b: where(MASK, a, b),
        "sqrt of relu": lambda x: activations.relu(x).sqrt(),
        "gelu tanh": lambda x: activations.gelu(x, approximate="tanh"),
        "astype": lambda x: x.astype(np.float32).astype(x.dtype) * x,
        "sum 1": lambda x: x.sum(axis=1),
        "sum 0 2 keep": lambda x: x.sum(axis=(0, 2), keepdims=True),
        "mean -1": lambda x: x.mean(axis=-1),
        "var 0": lambda x: x.var(axis=0),
        "var 1 0": lambda x: x.var(axis=1, correction=0, keepdims=True),
        "softmax": lambda x: activations.softmax(x),
        "softmax 0": lambda x: activations.softmax(x, axis=0),
        "log_softmax": lambda x: losses.log_softmax(x),
        "logsumexp": lambda x: losses.logsumexp(x),
        "logsumexp all": lambda x: losses.logsumexp(x, axis=(0, 1), keepdims=True),
        "reshape": lambda x: x.reshape(3, 4) * x.reshape(4, 3).T,
        "permute": lambda x: x.permute(2, 0, 1),
        "slices": lambda x: x[1:, :, None, 0] * x[0, 1:2, 3],
        "rows": lambda x: x[index],
        "pairs": lambda x: x[index, -index],
        "columns": lambda x: x[:, index[0]],
        "mask": lambda x: x[index > 0],
        "cat": lambda a, b: cat([a, b, a], axis=1),
        "stack": lambda a, b: stack([a, b, a], axis=-1),
        "matmul": lambda a, b: a @ b,
        "cross_entropy": lambda x: losses.cross_entropy(x, LABELS),
        "cross_entropy none": lambda x: losses.cross_entropy(x, LABELS, reduction="none"),
        "cross_entropy smooth": lambda x: losses.cross_entropy(x, LABELS, label_smoothing=0.2),
        "cross_entropy rows": losses.cross_entropy,
        "mse_loss": losses.mse_loss,
        "binary_cross_entropy": losses.binary_cross_entropy,
        "binary_cross_entropy logits": losses.binary_cross_entropy_with_logits,
        "mlp": lambda x, w, b, v: losses.cross_entropy(activations.relu(x @ w + b) @ v, LABELS),
        "attention": attention,
        "residual": residual,
        "linear": layers.linear,
    }


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", sorted({case["name"] for case in GOLDEN}))
def test_values_and_gradients_are_pytorchs(name: str, dtype: type) -> None:
    """Catches whatever differs from PyTorch: ties, kinks, infinite slopes, repeated indices, shared nodes."""
    function = functions()[name]
    close = {"rtol": 1e-9, "atol": 1e-9} if dtype is np.float64 else {"rtol": 2e-6, "atol": 1e-6}
    for case in (case for case in GOLDEN if case["name"] == name):
        inputs = [Tensor(np.array(each), dtype, requires_grad=True) for each in case["inputs"]]
        with np.errstate(
            invalid="ignore", divide="ignore"
        ):  # of roots of negative numbers, which PyTorch takes silently
            result = function(*inputs)
        np.testing.assert_allclose(result.numpy(), case["result"], **close)
        result.backward(case["gradient"])
        for tensor, gradient in zip(inputs, case["gradients"], strict=True):
            found = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad
            assert found.shape == np.shape(gradient) and (tensor.grad is None or found.dtype == dtype)
            largest = max(1.0, np.abs(np.nan_to_num(gradient, posinf=1.0)).max())  # sums of float32 lose digits to it
            np.testing.assert_allclose(found, gradient, close["rtol"], close["atol"] * largest)


@pytest.mark.parametrize("function", sorted({case["function"] for case in LOSSES}))
def test_gradients_of_losses_are_pytorchs(function: str) -> None:
    """Catches reductions, smoothing and soft targets that the rules of losses get wrong, at logits of 1e4 too."""
    for case in (case for case in LOSSES if case["function"] == function):
        dtype = np.dtype(case["dtype"])
        arrays = [np.array(each) for each in case["inputs"]]
        inputs = [Tensor(each, dtype=dtype if each.dtype.kind == "f" else np.int64) for each in arrays]
        inputs[0].requires_grad = True
        getattr(losses, function)(*inputs, **case["options"]).sum().backward()
        np.testing.assert_allclose(inputs[0].grad, case["gradient"], rtol=1e-5, atol=1e-6, err_msg=str(case["options"]))
