"""Normalizations and first weights against PyTorch's numbers, definitions, and what people get wrong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch import nn
from tinytorch.core import normalization
from tinytorch.core.autograd import gradcheck, no_grad, vjp
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    LayerNorm,
    RMSNorm,
    batch_norm_op,
    batch_statistics,
    fans,
    he_normal,
    layer_norm_op,
    lecun_normal,
    rms_norm_op,
    xavier_normal,
    xavier_uniform,
)
from tinytorch.core.tensor import Parameter, Tensor, apply, manual_seed, observe_ops

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "normalization.json").read_text(encoding="utf-8"))["cases"]


def named(case: dict[str, Any]) -> str:
    return f"{case['layer']}-{'x'.join(map(str, np.shape(case['passes'][0]['input'])))}-{len(case['options'])}"


def double(array: Any, requires_grad: bool = False) -> Tensor:
    return Tensor(array, dtype=np.float64, requires_grad=requires_grad)


def made(case: dict[str, Any], dtype: Any) -> Any:
    """The layer of a golden case, with its parameters and buffers in a dtype."""
    layer = getattr(normalization, case["layer"])(**case["options"])
    for name, values in case["parameters"].items():
        setattr(layer, name, Parameter(values, dtype=dtype))
    for name, buffer in layer.named_buffers():
        layer.register_buffer(name, Tensor(buffer, dtype=dtype))
    return layer


@pytest.mark.parametrize("case", GOLDEN, ids=named)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_gradients_and_buffers_are_pytorchs(case: dict[str, Any], dtype: Any) -> None:
    # catches a biased variance in the buffer, an unbiased one in the batch, momentum the other way round, wrong axes
    layer = made(case, dtype)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-9, "atol": 1e-9}
    for each in case["passes"]:
        layer.train(each["training"]).zero_grad()
        x = Tensor(each["input"], dtype=dtype, requires_grad=True)
        result = layer(x)
        assert result.dtype == dtype
        np.testing.assert_allclose(result.numpy(), each["result"], **close)
        result.backward(np.array(each["weights"]))
        np.testing.assert_allclose(x.grad, each["gradient"], **close)
        for name, expected in each["parameter_gradients"].items():
            np.testing.assert_allclose(getattr(layer, name).grad, expected, err_msg=name, **close)
        for name, expected in each["buffers"].items():
            np.testing.assert_allclose(getattr(layer, name).numpy(), expected, err_msg=name, **close)


sizes = st.integers(1, 5)


@given(st.lists(sizes, min_size=2, max_size=4), st.integers(0, 2**16))
def test_batch_statistics_are_numpys(shape: list[int], seed: int) -> None:
    # catches statistics over the wrong axes, for pictures and for plain features
    x = np.random.default_rng(seed).normal(3, 2, size=shape)
    axes = (0, *range(2, len(shape)))
    mean, var = batch_statistics(x)
    np.testing.assert_allclose(mean, x.mean(axis=axes), atol=1e-12)
    np.testing.assert_allclose(var, x.var(axis=axes), atol=1e-12)


@given(st.lists(sizes, min_size=1, max_size=4), st.data())
def test_layer_and_rms_norm_are_their_definitions(shape: list[int], data: st.DataObject) -> None:
    # catches rows that are cut at the wrong axis, and weights that broadcast along another
    count = data.draw(st.integers(1, len(shape)))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    x, axes, trailing = generator.normal(size=shape), tuple(range(-count, 0)), tuple(shape[-count:])
    layer, rms = LayerNorm(trailing), RMSNorm(trailing, eps=1e-5)
    weight, bias = generator.normal(size=trailing), generator.normal(size=trailing)
    layer.weight, layer.bias, rms.weight = (Parameter(each, dtype=np.float64) for each in (weight, bias, weight))
    away = x - x.mean(axis=axes, keepdims=True)
    expected = away / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-5) * weight + bias
    np.testing.assert_allclose(layer(double(x)).numpy(), expected, atol=1e-10)
    expected = x / np.sqrt((x**2).mean(axis=axes, keepdims=True) + 1e-5) * weight
    np.testing.assert_allclose(rms(double(x)).numpy(), expected, atol=1e-10)


def trained(x: Tensor, *affine: Tensor) -> Tensor:
    mean, var = batch_statistics(x.numpy())
    return apply(batch_norm_op, x, *affine, mean=mean, var=var, eps=1e-3, fixed=False)


CHECKED: dict[str, Callable[..., Tensor]] = {
    "batch": trained,
    "batch of features": lambda x, w, b: trained(x[:, :, 0, 0], w, b),
    "batch without affine": lambda x, w, b: trained(x),
    "batch of a transposed input": lambda x, w, b: trained(x.permute(3, 1, 0, 2), w, b),
    "batch whose gradient is transposed": lambda x, w, b: trained(x, w, b).permute(3, 1, 0, 2) * 2,
    "layer": lambda x, w, b: apply(layer_norm_op, x.permute(0, 2, 3, 1), w, b, size=3, eps=1e-3),
    "layer without affine": lambda x, w, b: LayerNorm((2, 2), elementwise_affine=False)(x),
    "rms": lambda x, w, b: apply(rms_norm_op, x.permute(0, 2, 3, 1), w, size=3, eps=1e-3),
    "rms without affine": lambda x, w, b: RMSNorm((3, 2, 2), elementwise_affine=False)(x),
    "layer beside its input": lambda x, w, b: (
        apply(layer_norm_op, x.transpose(1, 3), w, b, size=3, eps=1e-3) + x.transpose(1, 3)
    ),
    "rms beside its input": lambda x, w, b: (
        apply(rms_norm_op, x.transpose(1, 3), w, size=3, eps=1e-3) + x.transpose(1, 3)
    ),
    "twice": lambda x, w, b: trained(trained(x, w, b) * x),
}


@pytest.mark.parametrize("function", CHECKED.values(), ids=CHECKED)
def test_gradients_agree_with_differences(function: Callable[..., Tensor]) -> None:
    # catches a missing term, strided memory, and a rule that changes the gradient it was given
    generator = np.random.default_rng(1)
    assert gradcheck(function, generator.normal(1, 2, size=(3, 3, 2, 2)), generator.normal(size=3), [0.5, -1.0, 2.0])


@pytest.mark.parametrize("layer", [BatchNorm1d(4), LayerNorm(4), RMSNorm(4)], ids=lambda layer: type(layer).__name__)
def test_a_layer_is_one_op_and_keeps_little(layer: Any) -> None:
    # catches a chain of Tensor operations, and an array of the input's size kept for the backward pass
    ran: list[str] = []
    with observe_ops(lambda op, inputs, params, result: ran.append(op.name)):
        y = layer(Tensor(np.random.default_rng(0).normal(size=(100, 4))))
    assert len(ran) == 1
    saved = y.origin.saved
    kept = [each for each in (saved if isinstance(saved, tuple) else (saved,)) if each is not None]
    assert sum(each.size for each in kept) <= 200


@pytest.mark.parametrize("layer", [BatchNorm1d(4), LayerNorm(4), RMSNorm(4)], ids=lambda layer: type(layer).__name__)
def test_two_backward_passes_give_twice_the_gradient(layer: Any) -> None:
    # catches a rule that writes into its inputs
    x = Tensor(np.random.default_rng(0).normal(size=(6, 4)), requires_grad=True)
    before = x.numpy().copy()
    y = layer(x) * np.arange(4.0)
    y.backward(np.arange(24.0).reshape(6, 4), retain_graph=True)
    once, weight = x.grad.copy(), layer.weight.grad.copy()
    y.backward(np.arange(24.0).reshape(6, 4))
    np.testing.assert_allclose(x.grad, 2 * once, rtol=1e-6)
    np.testing.assert_allclose(layer.weight.grad, 2 * weight, rtol=1e-6)
    np.testing.assert_array_equal(x.numpy(), before)


def test_inputs_that_need_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    # catches a first layer that fails, or computes for nobody
    layer = BatchNorm1d(2)
    with monkeypatch.context() as patched:
        patched.setattr(normalization, "through_normalization", None)
        layer(Tensor([[1.0, 2.0], [3.0, 5.0]])).sum().backward()
    assert layer.bias.grad.tolist() == [2.0, 2.0]
    layer.weight.requires_grad = layer.bias.requires_grad = False
    x = Tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    layer(x).sum().backward()
    assert np.abs(x.grad).max() < 1e-6, "the outputs sum to zero whatever x is"


# float32


def test_far_from_zero_the_variance_is_still_right() -> None:
    # catches E[x^2] - E[x]^2, which in float32 loses everything at a mean of 1000
    x = np.random.default_rng(2).normal(1000, 0.1, size=(64, 3, 8)).astype(np.float32)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(batch_statistics(x)[1], exact.var(axis=(0, 2)), rtol=1e-3)
    expected = (exact - exact.mean(axis=-1, keepdims=True)) / np.sqrt(exact.var(axis=-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(LayerNorm(8)(Tensor(x)).numpy(), expected, atol=2e-3)


def test_large_batches_lose_no_digits() -> None:
    # catches a sum in float32 that drifts with the number of values
    generator = np.random.default_rng(3)
    x = generator.normal(1, 2, size=(64, 4, 32, 32)).astype(np.float32)
    g = generator.normal(size=x.shape).astype(np.float32)
    results = []
    for dtype in (np.float32, np.float64):
        y, pull = vjp(trained, Tensor(x, dtype), Tensor(np.ones(4), dtype), Tensor(np.zeros(4), dtype))
        results.append([y.numpy(), *pull(g)])
    for single, exact in zip(*results, strict=True):
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


def test_equal_values_give_zeros_and_no_warning() -> None:
    # catches a division by zero: a dead ReLU makes features without variance
    for layer in (BatchNorm1d(3), LayerNorm(3), RMSNorm(3)):
        x = Tensor(np.zeros((4, 3)), requires_grad=True)
        y = layer(x)
        assert y.tolist() == [[0.0] * 3] * 4
        y.sum().backward()
        assert np.isfinite(x.grad).all()


def test_integers_become_floats_and_float64_stays() -> None:
    # catches statistics in integer arithmetic
    assert BatchNorm1d(1)(Tensor([[1], [2]], dtype=np.int64)).numpy()[:, 0] == pytest.approx([-1, 1], abs=1e-4)
    assert LayerNorm(2)(np.array([[1, 3]])).numpy()[0] == pytest.approx([-1, 1], abs=1e-4)
    assert RMSNorm(2)(double([[3.0, 4.0]])).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_evaluation_keeps_the_dtype_that_training_has(dtype: Any) -> None:
    # catches buffers of float32 that make float32 of float16
    x = Tensor([[1.0], [2.0]], dtype=dtype)
    for layer in (BatchNorm1d(1), BatchNorm1d(1).eval(), LayerNorm(1), RMSNorm(1)):
        assert layer(x).dtype == dtype


@pytest.mark.parametrize("make", [lambda: BatchNorm1d(4), lambda: LayerNorm(4), lambda: RMSNorm(4)])
@pytest.mark.parametrize("training", [True, False])
def test_float16_is_normalized_as_float32_is(make: Any, training: bool) -> None:
    # catches squares that overflow: a row of numbers near 200 came back as zeros, without a word
    values = (200 * np.random.default_rng(0).standard_normal((6, 4))).astype(np.float16)
    g = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float16)
    found = []
    for dtype in (np.float16, np.float32):
        layer, x = make(), Tensor(values, dtype, requires_grad=True)
        layer.train(training)
        y = layer(x)
        y.backward(g)
        assert (y.dtype, x.grad.dtype, layer.weight.grad.dtype) == (dtype, dtype, np.float32)
        found.append([y.numpy(), x.grad, layer.weight.grad, *layer.state_dict().values()])
    assert np.abs(found[0][0]).max() > 1
    for half, single in zip(*found, strict=True):
        np.testing.assert_allclose(half, single, rtol=2e-3, atol=2e-3 * np.abs(single).max())


def test_a_small_row_of_float16_gets_a_mean_square_of_one() -> None:
    # catches an eps of float16, 0.00098, where PyTorch adds 1.19e-7
    assert RMSNorm(2)(Tensor([[0.01, 0.01]], np.float16)).numpy() == pytest.approx(0.9995, abs=6e-4)


# modes and buffers


def test_evaluation_depends_on_the_buffers_only() -> None:
    # catches an evaluation that looks at its batch, or changes the averages
    layer = BatchNorm2d(2)
    pictures = np.random.default_rng(0).normal(4, 3, size=(6, 2, 3, 3))
    for _ in range(5):
        layer(Tensor(pictures))
    before = layer.state_dict()
    layer.eval()
    together = layer(Tensor(pictures)).numpy()
    alone = np.concatenate([layer(Tensor(pictures[n : n + 1])).numpy() for n in range(6)])
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    assert all(np.array_equal(before[name], value) for name, value in layer.state_dict().items())
    assert layer(Tensor(np.ones((0, 2, 3, 3)))).shape == (0, 2, 3, 3)


def test_a_graph_of_evaluation_survives_a_step_of_training() -> None:
    # catches running averages that the backward pass reads after they have changed
    layer, x = BatchNorm1d(2).eval(), Tensor([[1.0, 2.0]], requires_grad=True)
    y = layer(x).sum()
    layer.train()(Tensor([[100.0, 200.0], [300.0, 500.0]]))
    y.backward()
    np.testing.assert_allclose(x.grad, np.full((1, 2), 1 / math.sqrt(1 + 1e-5)), rtol=1e-6)


def test_statistics_are_remembered_under_no_grad_too() -> None:
    # catches averages that depend on whether gradients are recorded
    with no_grad():
        layer = BatchNorm1d(1)
        layer(Tensor([[2.0], [4.0], [4.0], [6.0]]))
    assert layer.running_mean.numpy() == pytest.approx([0.4])
    assert layer.running_var.numpy() == pytest.approx([0.9 + 0.8 / 3])


def test_buffers_are_saved_and_not_trained() -> None:
    # catches averages that an optimizer changes, or that a saved model loses
    net = Sequential(Linear(3, 2), BatchNorm1d(2))
    net(Tensor(np.random.default_rng(0).normal(5, 2, size=(8, 3))))
    assert sorted(net.state_dict()) == ["0.bias", "0.weight", "1.bias", "1.running_mean", "1.running_var", "1.weight"]
    assert len(net.parameters()) == 4
    other = Sequential(Linear(3, 2), BatchNorm1d(2))
    other.load_state_dict(net.state_dict())
    x = Tensor(np.ones((1, 3)))
    assert net.eval()(x).tolist() == other.eval()(x).tolist()
    assert net[1].running_mean.dtype == np.float32
    assert not net[1].running_mean.requires_grad


def test_normalizations_take_away_scale_and_shift() -> None:
    # catches a normalization that is none: what it is for
    x = np.random.default_rng(0).normal(size=(16, 8))
    for layer in (BatchNorm1d(8), LayerNorm(8)):
        np.testing.assert_allclose(layer(double(x)).numpy(), layer(double(50 * x + 7)).numpy(), atol=1e-4)
    rms = RMSNorm(8)
    np.testing.assert_allclose(rms(double(x)).numpy(), rms(double(50 * x)).numpy(), atol=1e-5)
    assert np.abs(rms(double(x)).numpy() - rms(double(x + 7)).numpy()).max() > 0.1


# first weights


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((300, 100), (300, 100)), ((64, 3, 5, 5), (75, 1600)), ((8, 4, 3), (12, 24)), ((1, 1), (1, 1))],
)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    # catches fan-in and fan-out exchanged: Linear keeps (in, out), a convolution (out, in, ...)
    assert fans(shape) == expected


@pytest.mark.parametrize("shape", [(200, 500), (100, 40, 5, 5)])
def test_first_weights_have_their_variance(shape: tuple[int, ...]) -> None:
    # catches a variance used as a standard deviation, and an even distribution of the wrong width
    manual_seed(1)
    inputs, outputs = fans(shape)
    for weights, variance in (
        (xavier_normal(*shape), 2 / (inputs + outputs)),
        (xavier_normal(shape, gain=3), 18 / (inputs + outputs)),
        (xavier_uniform(shape), 2 / (inputs + outputs)),
        (xavier_uniform(*shape, gain=0.5), 0.5 / (inputs + outputs)),
        (he_normal(*shape), 2 / inputs),
        (he_normal(shape, mode="fan_out"), 2 / outputs),
        (lecun_normal(shape), 1 / inputs),
    ):
        numbers = weights.numpy()
        assert numbers.shape == shape
        assert numbers.dtype == np.float32
        assert not weights.requires_grad
        assert numbers.var() == pytest.approx(variance, rel=0.03)
        assert abs(numbers.mean()) < 4 * math.sqrt(variance / numbers.size)
    limit = math.sqrt(6 / (inputs + outputs))
    even = xavier_uniform(shape).numpy()
    assert limit * 0.999 < np.abs(even).max() <= limit
    assert np.mean(np.abs(even) < limit / 2) == pytest.approx(0.5, abs=0.01)


def test_first_weights_follow_the_seed() -> None:
    # catches a source of random numbers that manual_seed does not reach
    for rule in (xavier_normal, xavier_uniform, he_normal, lecun_normal):
        manual_seed(7)
        first = rule(3, 4).tolist()
        manual_seed(7)
        assert rule(3, 4).tolist() == first
        assert rule(3, 4).tolist() != first


# errors

PICTURES = np.ones((4, 3, 2, 2))
ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "batch features": (
        lambda: BatchNorm2d(5)(PICTURES),
        "BatchNorm2d(5) takes 5 features in axis 1, got 3.*(4, 3, 2, 2)",
    ),
    "1d takes no pictures": (lambda: BatchNorm1d(3)(PICTURES), "(N, C) or (N, C, L), got (4, 3, 2, 2)"),
    "2d takes pictures only": (lambda: BatchNorm2d(3)(np.ones((4, 3))), "(N, C, H, W), got (4, 3)"),
    "one value": (lambda: BatchNorm1d(3)(np.ones((1, 3))), "two values of each feature.*(1, 3).*eval()"),
    "no values": (lambda: BatchNorm2d(3)(np.ones((0, 3, 2, 2))), "two values of each feature.*(0, 3, 2, 2)"),
    "no features": (lambda: BatchNorm1d(0), "num_features must be .* got 0"),
    "half a feature": (lambda: BatchNorm2d(1.5), "num_features must be .* got 1.5"),
    "momentum of none": (lambda: BatchNorm1d(3, momentum=None), "from 0 to 1, got None"),
    "momentum of two": (lambda: BatchNorm2d(3, momentum=2.0), "from 0 to 1, got 2.0"),
    "an eps below zero": (lambda: BatchNorm1d(3, eps=-1.0), "from 0 on, got -1.0"),
    "an eps of a layer": (lambda: RMSNorm(3, eps=-1e-5), "from 0 on, got -1e-05"),
    "trailing axes": (lambda: LayerNorm((3, 4))(PICTURES), "(..., 3, 4), got (4, 3, 2, 2): the last 2"),
    "too few axes": (lambda: LayerNorm((2, 2, 3))(np.ones((2, 3))), "got (2, 3)"),
    "rms axes": (lambda: RMSNorm(4)(np.ones((2, 3))), "RMSNorm(4.*) takes inputs of shape (..., 4), got (2, 3)"),
    "a number": (lambda: LayerNorm(1)(np.array(1.0)), "(..., 1), got ()"),
    "no shape": (lambda: LayerNorm(()), "normalized_shape must be .* got ()"),
    "a size of zero": (lambda: RMSNorm((3, 0)), "normalized_shape must be .* got (3, 0)"),
    "fans of a bias": (lambda: xavier_normal(10), "(10,) has no fan-in and fan-out"),
    "mode": (lambda: he_normal(3, 4, mode="fan"), "got 'fan'"),
}


@pytest.mark.parametrize(("work", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_name_the_shapes(work: Callable[[], object], message: str) -> None:
    # catches a silent wrong number, or NumPy's own words
    pattern = re.sub(r"[()]", lambda bracket: "\\" + bracket.group(), message)
    with pytest.raises(ValueError, match=pattern):
        work()


def test_a_refused_batch_is_not_remembered() -> None:
    # catches averages that an error leaves half changed
    layer = BatchNorm1d(2)
    with pytest.raises(ValueError, match="features"):
        layer(Tensor(np.ones((4, 3))))
    assert layer.running_mean.tolist() == [0.0, 0.0]


def test_public_names() -> None:
    # catches a helper that escapes into `from tinytorch.core.normalization import *`
    promised = {"BatchNorm1d", "BatchNorm2d", "LayerNorm", "RMSNorm"}
    rules = {"xavier_uniform", "xavier_normal", "he_normal", "lecun_normal", "fans"}
    helpers = {"batch_statistics", "through_normalization", "batch_norm_op", "layer_norm_op", "rms_norm_op"}
    assert set(normalization.__all__) == promised | rules | helpers
    assert all(getattr(nn, name) is getattr(normalization, name) for name in promised)
