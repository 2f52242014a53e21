"""Activations against the math module, closed forms and each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinytorch.core.activations import (
    GELU,
    Activation,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    erf,
    gelu,
    leaky_relu,
    relu,
    sigmoid,
    softmax,
    tanh,
)
from tinytorch.core.tensor import Tensor, observe_ops, ops

ALL = [ReLU(), LeakyReLU(), Sigmoid(), Tanh(), GELU(), GELU("tanh"), Softmax()]
SPAN = np.concatenate([np.linspace(-8, 8, 3201), [-1e300, -1e6, -745.2, -40.0, -1e-300, 0.0, 1e-300, 40.0, 1e6, 1e300]])
numbers = arrays(np.float64, array_shapes(max_dims=3, max_side=5), elements=st.floats(-1e4, 1e4))


def double(values: object) -> Tensor:
    return Tensor(values, dtype=np.float64)


def pointwise(function: Callable[[float], float], values: np.ndarray = SPAN) -> list[float]:
    return [function(value) for value in values.tolist()]


def exact_sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def exact_gelu(x: float) -> float:
    return x * math.erfc(-x / math.sqrt(2)) / 2


def tanh_gelu(x: float) -> float:
    return x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def drawn(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(9).standard_normal(shape))


def test_relu_is_the_larger_of_zero_and_x():
    """min instead of max, or a mask that loses the sign of what stays."""
    assert relu(double(SPAN)).tolist() == pointwise(lambda x: max(0.0, x))


def test_relu_lets_nan_and_infinity_through():
    """x * (x > 0) makes nan of infinity times zero; np.fmax makes zero of nan, which hides a broken network."""
    result = relu(Tensor([math.nan, math.inf, -math.inf])).tolist()
    assert math.isnan(result[0]) and result[1:] == [math.inf, 0.0]


def test_relu_compares_two_arrays(monkeypatch: pytest.MonkeyPatch):
    """np.maximum against a number takes up to three times as long as against an array of zeros."""
    others, maximum = [], np.maximum
    monkeypatch.setattr(np, "maximum", lambda x, y, **more: others.append(np.shape(y)) or maximum(x, y, **more))
    for x in (drawn(3, 4), drawn(3, 4).T, Tensor(-2.0)):
        before = x.tolist()
        result = relu(x)
        assert result.shape == x.shape and type(result.data) is np.ndarray and x.tolist() == before
    assert others == [(3, 4), (4, 3), ()]


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.5, 1.0, 1.5, -0.3])
def test_leaky_relu_for_any_slope(slope: float):
    """The larger of x and slope x is wrong for slopes above 1."""
    x = np.linspace(-4, 4, 81)
    wanted = pointwise(lambda v: v if v > 0 else slope * v, x)
    np.testing.assert_allclose(leaky_relu(double(x), slope).numpy(), wanted, rtol=1e-15)


def test_sigmoid_is_right_everywhere():
    """Computed through tanh it is 0 below -37 in float64, and its logarithm is minus infinity."""
    np.testing.assert_allclose(sigmoid(double(SPAN[1:-1])).numpy(), pointwise(exact_sigmoid, SPAN[1:-1]), rtol=1e-15)


def test_sigmoid_is_strictly_inside_for_moderate_inputs():
    """A loss that takes log(1 - p) must not meet p = 1 at x = 16, nor log(p) p = 0 at x = -80."""
    for dtype, low, high in ((np.float32, -80, 16), (np.float64, -700, 36)):
        result = sigmoid(Tensor(np.linspace(low, high, 4001), dtype=dtype)).numpy()
        assert result.dtype == dtype and result.min() > 0 and result.max() < 1


def test_tanh_is_right_everywhere():
    """The quotient of exponentials is nan above 710."""
    np.testing.assert_allclose(tanh(double(SPAN)).numpy(), pointwise(math.tanh), rtol=1e-15)


def test_erf_agrees_with_the_math_module():
    """One wrong digit in one coefficient shows as 3e-11, far below what a plot or a float32 test would tell."""
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [SPAN, rng.standard_normal(2000), 10.0 ** rng.uniform(-300, 0, 200), [1.0, np.nextafter(1, 2)]]
    )
    np.testing.assert_allclose(erf(values), pointwise(math.erf, values), rtol=1e-15)
    single = values[np.abs(values) < 1e30].astype(np.float32)
    assert erf(single).dtype == np.float32
    np.testing.assert_allclose(erf(single), pointwise(math.erf, single), atol=2e-7)


def test_erf_works_in_blocks_of_any_arrangement():
    """A last block cut short, a view with strides, no elements, no axes."""
    x = np.random.default_rng(1).standard_normal((3, 22_001)).astype(np.float32)
    np.testing.assert_array_equal(erf(x.T), erf(np.ascontiguousarray(x.T)))
    np.testing.assert_allclose(erf(x)[:, ::5000], np.vectorize(math.erf)(x[:, ::5000]), atol=2e-7)
    assert erf(np.zeros((0, 3))).shape == (0, 3)
    assert erf(np.array(0.5)).shape == () and erf(np.array(-0.5)) == -math.erf(0.5)


def test_erf_keeps_signs_infinities_and_nan():
    """erf(-0.0) is -0.0, and clipping must not make a number of nan."""
    result = erf(np.array([-0.0, math.inf, -math.inf, math.nan]))
    assert math.copysign(1, result[0]) == -1 and result[1:3].tolist() == [1.0, -1.0] and math.isnan(result[3])


def test_gelu_in_both_forms():
    """The two forms differ by up to 0.00047, so either may pass for the other at a loose tolerance."""
    x = np.linspace(-6, 6, 1201)
    np.testing.assert_allclose(gelu(double(x)).numpy(), pointwise(exact_gelu, x), atol=2e-15)
    np.testing.assert_allclose(gelu(double(x), "tanh").numpy(), pointwise(tanh_gelu, x), atol=2e-15)
    apart = np.abs(gelu(double(x)).numpy() - gelu(double(x), "tanh").numpy()).max()
    assert 0.00047 < apart < 0.00048  # as the lesson says


def test_gelu_refuses_an_unknown_form():
    """approximate=True would silently give one of the two."""
    with pytest.raises(ValueError, match=r'approximate must be "none" or "tanh", not True'):
        gelu(Tensor([1.0]), approximate=True)  # type: ignore[arg-type]


@given(numbers, st.integers(-3, 2))
def test_softmax_is_a_distribution_along_any_axis(x: np.ndarray, axis: int):
    """A sum without keepdims, or over another axis, broadcasts to something else for square arrays."""
    axis = axis % x.ndim
    result = softmax(double(x), axis).numpy()
    assert (result >= 0).all()
    np.testing.assert_allclose(result.sum(axis=axis), 1.0, atol=1e-12)
    np.testing.assert_array_equal(result.argmax(axis=axis), np.exp(x - x.max(axis, keepdims=True)).argmax(axis=axis))


@given(st.lists(st.integers(-40, 40), min_size=1, max_size=6), st.sampled_from([0, -100_000, 1000, 1_000_000]))
def test_softmax_of_logarithms_of_two(powers: list[int], shift: int):
    """Scores k ln 2 give 2^k divided by the sum of them, which fractions compute exactly; a shift changes nothing."""
    total = sum(Fraction(2) ** power for power in powers)
    wanted = [float(Fraction(2) ** power / total) for power in powers]
    scores = double([power * math.log(2) + shift for power in powers])
    np.testing.assert_allclose(softmax(scores).numpy(), wanted, rtol=1e-8)


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_of_a_large_vocabulary_sums_to_one(axis: int):
    """50,257 float32 numbers added one after the other along axis 0 are off by 6e-5."""
    x = np.random.default_rng(2).standard_normal((50_257, 4)).astype(np.float32) * 3
    result = softmax(Tensor(x if axis == 0 else x.T), axis).numpy()
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.sum(axis=axis, dtype=np.float64), 1.0, atol=1e-6)


def test_softmax_understands_pytorchs_name():
    """softmax(x, dim=0) was a TypeError, or worse, an ignored name."""
    x = drawn(2, 3)
    assert softmax(x, dim=0).tolist() == Softmax(dim=0)(x).tolist() == softmax(x, 0).tolist() != softmax(x).tolist()
    assert repr(Softmax(dim=1)) == "Softmax(axis=1)"


def test_softmax_takes_masked_scores():
    """Attention hides positions with minus infinity: their probability is 0 and no warning is given."""
    assert softmax(Tensor([0.0, -math.inf, 0.0])).tolist() == [0.5, 0.0, 0.5]


def test_softmax_refuses_an_axis_that_is_not_there():
    """Falling back to another axis would normalise the wrong rows."""
    with pytest.raises(ValueError, match="axis 2 is out of bounds for array of dimension 2"):
        softmax(Tensor([[1.0, 2.0]]), axis=2)


@pytest.mark.parametrize("activation", ALL, ids=repr)
def test_each_is_one_op_that_keeps_shape_dtype_and_input(activation: Activation):
    """Arithmetic around apply would add ops, and so tensors that are kept; an op in place would change its input."""
    seen = []
    for dtype in (np.float16, np.float32, np.float64):
        for shape in ((), (1,), (3, 4), (2, 0, 3) if not isinstance(activation, Softmax) else (2, 3, 1)):
            x = Tensor(np.full(shape, -0.75), dtype=dtype, requires_grad=True)
            with observe_ops(lambda op, inputs, params, result: seen.append(op)):
                result = activation(x)
            assert (result.shape, result.dtype) == (shape, dtype)
            assert (x.numpy() == dtype(-0.75)).all()
            assert result.requires_grad and result.origin.inputs == (x,)
    assert len(seen) == 12 and set(seen) == {ops[seen[0].name]}


@pytest.mark.parametrize("activation", ALL[1:], ids=repr)
def test_integers_become_float32(activation: Activation):
    """NumPy makes float64 of them, which doubles every array that follows."""
    result = activation(Tensor([[-2, 0, 3]], dtype=np.int64))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.numpy(), activation(Tensor([[-2.0, 0.0, 3.0]])).numpy())


def test_relu_keeps_integers():
    """Converting them would make counts inexact above 2^24."""
    assert relu(Tensor([-5, 2**24 + 1], dtype=np.int64)).tolist() == [0, 2**24 + 1]


@pytest.mark.parametrize("activation", ALL, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_warns_at_a_thousand_and_more(activation: Activation, dtype: type):
    """Every overflow on the way is a warning, and warnings are errors here; so is every floating-point flag below."""
    x = Tensor([[-1e4, -1e3, -90.0, 0.0, 90.0, 1e3, 1e4]], dtype=dtype)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(activation(x).numpy()).all()


def test_settings_are_shown_and_passed_on():
    """A class that ignores its setting works in every test with defaults."""
    assert list(map(repr, ALL)) == [
        "ReLU()",
        "LeakyReLU(negative_slope=0.01)",
        "Sigmoid()",
        "Tanh()",
        "GELU(approximate='none')",
        "GELU(approximate='tanh')",
        "Softmax(axis=-1)",
    ]
    x = Tensor([[-1.0, 2.0], [0.5, -3.0]])
    assert LeakyReLU(0.3)(x).tolist() == leaky_relu(x, 0.3).tolist()
    assert GELU("tanh")(x).tolist() == gelu(x, "tanh").tolist() != GELU()(x).tolist()
    assert Softmax(0).forward(x).tolist() == softmax(x, axis=0).tolist()


def test_numbers_in_the_lesson():
    """A lesson with a wrong number teaches it."""
    rounded = [round(value, 4) for value in pointwise(exact_gelu, np.array([-2, -1, -0.5, 0.5, 1, 2]))]
    assert rounded == [-0.0455, -0.1587, -0.1543, 0.3457, 0.8413, 1.9545]
    assert [round(v, 4) for v in softmax(double([1, 2, 3])).tolist()] == [0.09, 0.2447, 0.6652]
    assert [round(v, 4) for v in sigmoid(double([-2, 0, 2])).tolist()] == [0.1192, 0.5, 0.8808]
    assert round(tanh_gelu(1), 4) == 0.8412 and round(math.tanh(1), 4) == 0.7616
    assert sigmoid(Tensor(17.0)).item() == 1.0 > sigmoid(Tensor(16.0)).item()
    assert f"{sigmoid(Tensor(-100.0)).item():.1e}" == "3.8e-44" and f"{math.exp(-100):.1e}" == "3.7e-44"
    low, high = sigmoid(Tensor([5.0, 5.01])).tolist()
    assert f"{high - low:.2g}" == "6.6e-05"
    dip = min((exact_gelu(v / 1000), v / 1000) for v in range(-3000, 0))
    assert (round(dip[0], 2), round(dip[1], 2)) == (-0.17, -0.75)
    ones = np.full((50_257, 8), 1 / 50_257, np.float32)
    assert round(float(ones.sum(axis=0)[0]), 6) == 1.000364
    assert abs(ones.sum(axis=0, dtype=np.float64)[0] - 1) < 4e-8
    assert f"{0.25**10:.2g}" == "9.5e-07" and round(exact_sigmoid(5) * (1 - exact_sigmoid(5)), 4) == 0.0066
    assert round(math.log(np.finfo(np.float32).max), 2) == 88.72 and round(math.log(np.finfo(float).max), 2) == 709.78
    assert round(math.log(65_504), 2) == 11.09


def test_the_composed_gelu_of_the_lesson_keeps_nine_results():
    """The third reflection counts nine results of 524,288 bytes each: 4,718,592."""
    x = Tensor(np.zeros((32, 4096)), requires_grad=True)
    kept = []
    with observe_ops(lambda op, inputs, params, result: kept.append(result.numpy().nbytes)):
        0.5 * x * (1 + tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x * x * x)))
    assert (len(kept), sum(kept)) == (9, 4_718_592)
