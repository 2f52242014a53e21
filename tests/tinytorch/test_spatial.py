"""Convolution and pooling against PyTorch's numbers, against plain loops, and against what people get wrong."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytorch.functional as F
from tinytorch import nn
from tinytorch.core import layers, spatial
from tinytorch.core.autograd import gradcheck, no_grad, vjp
from tinytorch.core.layers import Linear
from tinytorch.core.spatial import (
    AvgPool2D,
    AvgPool2d,
    Conv2D,
    Conv2d,
    ConvolutionProfiler,
    MaxPool2D,
    MaxPool2d,
    SimpleConv2D,
    avg_pool2d,
    conv2d,
    conv2d_naive,
    flatten,
    max_pool2d,
)
from tinytorch.core.tensor import Parameter, Tensor, manual_seed

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "spatial.json").read_text(encoding="utf-8"))["cases"]


def named(case: dict[str, Any]) -> str:
    shapes = "-".join("x".join(map(str, np.shape(each))) for each in case["inputs"])
    return f"{case['function']}-{shapes}-{'-'.join(map(str, case['options'].values()))}".replace(" ", "")


def double(array: Any, requires_grad: bool = False) -> Tensor:
    return Tensor(array, dtype=np.float64, requires_grad=requires_grad)


@pytest.mark.parametrize("case", GOLDEN, ids=named)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_and_gradients_are_pytorchs(case: dict[str, Any], dtype: Any) -> None:
    # catches a turned kernel, a stride for the wrong axis, ties sent to the last maximum, a mean without padding
    leaves = [Tensor(each, dtype=dtype, requires_grad=True) for each in case["inputs"]]
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in case["options"].items()}
    result = getattr(spatial, case["function"])(*leaves, **options)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-9, "atol": 1e-9}
    assert result.dtype == dtype
    np.testing.assert_allclose(result.numpy(), case["result"], **close)
    result.backward(np.array(case["weights"]))
    for leaf, gradient in zip(leaves, case["gradients"], strict=True):
        assert leaf.grad is not None
        assert leaf.grad.dtype == dtype
        np.testing.assert_allclose(leaf.grad, gradient, **close)


# plain loops


def looped_conv(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: tuple[int, int], pad: tuple[int, int]
) -> np.ndarray:
    """One number at a time, from the definition."""
    x = np.pad(x, ((0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2))
    kh, kw = w.shape[2:]
    height, width = ((n - k) // s + 1 for n, k, s in zip(x.shape[2:], (kh, kw), stride, strict=True))
    y = np.empty((len(x), len(w), height, width))
    for n, o, r, c in np.ndindex(y.shape):
        top, left = r * stride[0], c * stride[1]
        y[n, o, r, c] = (x[n, :, top : top + kh, left : left + kw] * w[o]).sum() + b[o]
    return y


def looped_pool(
    x: np.ndarray, g: np.ndarray | None, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The maxima, and a gradient of x that goes to the first of them; None for a gradient of ones."""
    padded = np.pad(x, ((pad[0],) * 2, (pad[1],) * 2), constant_values=-np.inf)
    height, width = ((n - k) // s + 1 for n, k, s in zip(padded.shape, kernel, stride, strict=True))
    y, dx = np.empty((height, width)), np.zeros(padded.shape)
    for r, c in np.ndindex(height, width):
        places = list(product(range(kernel[0]), range(kernel[1])))
        best = max(places, key=lambda p: padded[r * stride[0] + p[0], c * stride[1] + p[1]])  # max returns the first
        place = (r * stride[0] + best[0], c * stride[1] + best[1])
        y[r, c] = padded[place]
        dx[place] += 1 if g is None else g[r, c]
    return y, dx[pad[0] : pad[0] + x.shape[0], pad[1] : pad[1] + x.shape[1]]


small = st.integers(1, 3)
pairs = st.tuples(small, small)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[list[np.ndarray], tuple[int, int], tuple[int, int]]:
    """x, weight and bias of fitting shapes, a stride and a padding."""
    kernel, stride, pad = draw(pairs), draw(pairs), draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    size = [max(1, k - 2 * p) + draw(st.integers(0, 4)) for k, p in zip(kernel, pad, strict=True)]
    images, inputs, outputs = draw(st.integers(0, 3)), draw(small), draw(small)
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    shapes = ((images, inputs, *size), (outputs, inputs, *kernel), (outputs,))
    return [generator.normal(size=shape) for shape in shapes], stride, pad


@given(convolutions())
def test_convolution_is_its_definition(drawn: Any) -> None:
    # catches any shape, stride, padding or empty batch for which the patches are not those of the definition
    arrays, stride, pad = drawn
    before = [each.copy() for each in arrays]
    y = conv2d(*map(double, arrays), stride=stride, padding=pad)
    np.testing.assert_allclose(y.numpy(), looped_conv(*arrays, stride, pad), atol=1e-12)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))


@given(convolutions(), st.integers(0, 2**16))
def test_gradients_of_a_convolution_are_its_adjoints(drawn: Any, seed: int) -> None:
    # catches a gradient that is right for some shapes only: the sum of dx * x' must be that of g * conv(x') for any x'
    (x, w, b), stride, pad = drawn
    generator = np.random.default_rng(seed)
    y, pullback = vjp(lambda *inputs: conv2d(*inputs, stride=stride, padding=pad), *map(double, (x, w, b)))
    g = generator.normal(size=y.shape)
    dx, dw, db = pullback(g)
    none = np.zeros_like(b)
    for grad, other, moved in (
        (dx, generator.normal(size=x.shape), lambda v: looped_conv(v, w, none, stride, pad)),
        (dw, generator.normal(size=w.shape), lambda v: looped_conv(x, v, none, stride, pad)),
    ):
        np.testing.assert_allclose((grad * other).sum(), (g * moved(other)).sum(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(db, g.sum(axis=(0, 2, 3)), atol=1e-12)


@st.composite
def poolings(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, tuple[int, int]]]:
    """A picture with many ties, and the options of a pooling."""
    kernel, stride = draw(pairs), draw(pairs)
    pad = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    size = [max(1, k - 2 * p) + draw(st.integers(0, 4)) for k, p in zip(kernel, pad, strict=True)]
    picture = np.random.default_rng(draw(st.integers(0, 2**16))).integers(-2, 2, size=size).astype(np.float64)
    return picture, {"kernel": kernel, "stride": stride, "pad": pad}


@given(poolings())
def test_max_pooling_sends_ties_to_the_first(drawn: Any) -> None:
    # catches a gradient that is shared or doubled in a tie, and padding that wins against negative numbers
    x, options = drawn
    y, expected = looped_pool(x, None, **options)
    leaf = double(x, requires_grad=True)
    result = max_pool2d(leaf, options["kernel"], options["stride"], options["pad"])
    np.testing.assert_array_equal(result.numpy(), y)
    result.sum().backward()
    np.testing.assert_array_equal(leaf.grad, expected)


@given(poolings())
def test_average_pooling_is_a_convolution_with_equal_weights(drawn: Any) -> None:
    # catches a mean over the wrong count, in the value and in the gradient
    x, options = drawn
    kernel = options["kernel"]
    weight = np.full((1, 1, *kernel), 1 / (kernel[0] * kernel[1]))
    pooled, pull = vjp(lambda t: avg_pool2d(t, kernel, options["stride"], options["pad"]), double(x))
    convolved, pull_too = vjp(
        lambda t: conv2d(t.unsqueeze(0), double(weight), None, options["stride"], options["pad"])[0], double(x)
    )
    np.testing.assert_allclose(pooled.numpy(), convolved.numpy(), atol=1e-12)
    g = np.random.default_rng(0).normal(size=pooled.shape)
    np.testing.assert_allclose(pull(g)[0], pull_too(g)[0], atol=1e-12)


CHECKED: dict[str, Callable[..., Tensor]] = {
    "conv": lambda x, w, b: conv2d(x, w, b, stride=(2, 1), padding=(1, 2)),
    "conv of one image": lambda x, w, b: conv2d(x[0], w, b, padding=1),
    "conv of a transposed input": lambda x, w, b: conv2d(x.transpose(2, 3), w, b),
    "conv whose gradient is transposed": lambda x, w, b: conv2d(x, w, b).permute(3, 0, 2, 1) * 2,
    "conv that uses x twice": lambda x, w, b: conv2d(x, w, b, padding=1).sum() * x,
    "average": lambda x, w, b: avg_pool2d(x, 3, stride=2, padding=1),
    "maximum apart": lambda x, w, b: max_pool2d(x, (2, 3)),
    "maximum overlapping": lambda x, w, b: max_pool2d(x, 3, stride=1, padding=1),
    "a small network": lambda x, w, b: flatten(max_pool2d(conv2d(x, w, b), 2)).sum(axis=1),
}


@pytest.mark.parametrize("function", CHECKED.values(), ids=CHECKED)
def test_gradients_agree_with_differences(function: Callable[..., Tensor]) -> None:
    # catches rules that need contiguous memory, or write into what they are given
    generator = np.random.default_rng(1)
    x = generator.permutation(120).reshape(2, 2, 5, 6) / 10
    assert gradcheck(function, x, generator.normal(size=(3, 2, 3, 3)), generator.normal(size=3))


def test_simple_convolution_learns_its_kernel() -> None:
    # catches a forward pass that reads arrays, and so cuts the graph
    layer = SimpleConv2D((2, 3))
    x = np.random.default_rng(0).normal(size=(4, 5, 6))
    expected = np.stack([conv2d_naive(picture.astype(np.float32), layer.kernel.numpy()) for picture in x])
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), expected, atol=1e-5)
    (g,) = vjp(lambda k: conv2d(double(x[:, None]), k.reshape(1, 1, 2, 3)).sum(), layer.kernel)[1]()
    layer(Tensor(x)).sum().backward()
    np.testing.assert_allclose(layer.kernel.grad, g, rtol=1e-5)


# blocks, memory, work that is skipped


@pytest.mark.parametrize("size", [1, 4000, 10_000])
def test_blocks_do_not_change_the_result(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # catches patches of an earlier block left in the memory of a shorter last one, and a last block taken for all
    generator = np.random.default_rng(3)
    arrays = [double(generator.normal(size=shape)) for shape in ((5, 2, 6, 6), (3, 2, 3, 3), (3,))]
    whole, pull = vjp(lambda *inputs: conv2d(*inputs, padding=1), *arrays)
    monkeypatch.setattr(spatial, "_BLOCK_BYTES", size)
    blocks, pull_blocks = vjp(lambda *inputs: conv2d(*inputs, padding=1), *arrays)
    g = generator.normal(size=whole.shape)
    np.testing.assert_allclose(blocks.numpy(), whole.numpy(), atol=1e-12)
    for one, other in zip(pull(g), pull_blocks(g), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_memory_is_that_of_input_and_output() -> None:
    # catches patches of the whole batch, nine times the input, in forward, kept by the graph, or in backward
    layer, x = Conv2D(16, 16, 3, padding=1), Tensor(np.ones((64, 16, 32, 32)), requires_grad=True)
    held = x.numpy().nbytes  # 4 MB
    tracemalloc.start()
    y = layer(x)
    forward = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    y.sum().backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert forward[0] < 1.1 * held, "after forward only the output is there"
    assert forward[1] < 2.3 * held + 2**22, "and in it the padded input and one block"
    assert peak < 4.5 * held + 2**22, "backward: output, its gradient, the padded input, and its gradient"


def test_gradients_nobody_needs_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    # catches a first layer that computes a gradient for its images, and a frozen layer one for its weights
    def never(*_: Any) -> None:
        raise AssertionError("computed for nobody")

    x, weight = Tensor(np.ones((1, 1, 4, 4))), Parameter(np.ones((1, 1, 2, 2)))
    with monkeypatch.context() as patched:
        patched.setattr(spatial, "_input_gradient", never)
        conv2d(x, weight).sum().backward()
        assert weight.grad is not None
    monkeypatch.setattr(spatial, "_weight_gradient", never)
    x = Tensor(np.ones((1, 1, 4, 4)), requires_grad=True)
    conv2d(x, weight.detach()).sum().backward()
    assert x.grad is not None


def test_patches_of_a_small_batch_are_not_gathered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # catches a backward pass that copies what the forward pass has saved
    layer = Conv2D(1, 2, 3)
    y = layer(Tensor(np.ones((2, 1, 6, 6))))
    monkeypatch.setattr(spatial, "gather", None)
    y.sum().backward()
    assert layer.weight.grad.tolist() == [[[[32.0] * 3] * 3]] * 2


def test_two_backward_passes_give_twice_the_gradient() -> None:
    # catches a rule that changes its inputs, or the gradient it was given
    x = Tensor(np.random.default_rng(0).normal(size=(2, 1, 5, 5)), requires_grad=True)
    y = max_pool2d(Conv2D(1, 2, 2)(x), 2).sum()
    y.backward(retain_graph=True)
    once = x.grad.copy()
    y.backward()
    np.testing.assert_allclose(x.grad, 2 * once, rtol=1e-6)


def test_without_gradients_nothing_is_recorded() -> None:
    # catches an inference pass that holds its inputs
    with no_grad():
        y = MaxPool2D()(Conv2D(1, 2, 3)(Tensor(np.ones((1, 1, 8, 8)))))
    assert y.origin is None


# layers


def test_the_layers_of_the_course() -> None:
    # catches biases left out of the count, and another way of rounding odd sizes
    assert sum(p.size for p in Conv2D(3, 64, (3, 3)).parameters()) == 1_792
    assert Conv2D(3, 32, (3, 3)).weight.size == 864
    assert Conv2D(3, 32, 3, bias=False).bias is None
    assert Conv2D(3, 32, (3, 3), bias=False).state_dict().keys() == {"weight"}
    x = Tensor(np.ones((2, 3, 32, 32)))
    x = MaxPool2D()(Conv2D(3, 32, 3)(x))
    assert x.shape == (2, 32, 15, 15)
    x = MaxPool2D((2, 2))(Conv2D(32, 64, 3)(x))
    assert x.shape == (2, 64, 6, 6)
    assert Linear(2304, 10)(flatten(x)).shape == (2, 10)


def test_names_are_those_of_the_doors() -> None:
    # catches a second flatten, or two classes where one is meant
    assert flatten is layers.flatten
    assert nn.Conv2d is nn.Conv2D is Conv2d is Conv2D
    assert nn.MaxPool2d is MaxPool2d is MaxPool2D
    assert nn.AvgPool2d is AvgPool2d is AvgPool2D
    assert (F.conv2d, F.max_pool2d, F.avg_pool2d) == (conv2d, max_pool2d, avg_pool2d)
    assert MaxPool2d(kernel_size=3, stride=2).pool_size == (3, 3)


def test_weights_start_at_hes_scale() -> None:
    # catches fan-out in place of fan-in, and a kernel's area left out
    manual_seed(0)
    layer = Conv2D(8, 200, (3, 5))
    assert layer.weight.numpy().std() == pytest.approx((2 / 120) ** 0.5, rel=0.02)
    assert not layer.bias.numpy().any()
    assert layer.weight.dtype == np.float32


def test_a_kernel_of_one_pixel_is_a_linear_layer_over_channels() -> None:
    # catches kernels that are read with their axes in another order
    generator = np.random.default_rng(5)
    x, w = generator.normal(size=(2, 4, 3, 5)), generator.normal(size=(6, 4))
    y = conv2d(double(x), double(w[:, :, None, None])).numpy()
    np.testing.assert_allclose(y, np.moveaxis(np.moveaxis(x, 1, -1) @ w.T, -1, 1), atol=1e-12)


def test_the_gradient_of_pooling_never_goes_to_the_padding() -> None:
    """Catches a padding of minus infinity that ties with the numbers of a masked picture and takes their gradient."""
    for stride in (3, 1):
        x = Tensor(np.full((3, 3), -np.inf), requires_grad=True)
        y = max_pool2d(x, 3, stride=stride, padding=1)
        y.backward(np.ones(y.shape, np.float32))
        assert x.grad.sum() == y.size


@pytest.mark.parametrize("stride", [2, 1])
def test_an_infinite_gradient_of_pooling_stays_with_the_largest(stride: int) -> None:
    """Catches infinity times 0: the slope of sqrt at 0 made the gradient of every other number of the window NaN."""
    x = Tensor([[-1.0, 0.0], [-4.0, -2.0]], requires_grad=True)
    max_pool2d(x, 2, stride=stride).sqrt().backward(np.ones((1, 1), np.float32))
    assert x.grad.tolist() == [[0.0, np.inf], [0.0, 0.0]]


def test_the_mean_of_large_float16_numbers_is_finite() -> None:
    """Catches a sum in float16, which ends at 65,504."""
    y = avg_pool2d(Tensor(np.full((2, 2), 30000.0), np.float16), 2)
    assert (y.tolist(), y.dtype) == ([[30000.0]], np.float16)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int32, np.uint8, np.int8])
def test_pooling_keeps_the_dtype(dtype: Any) -> None:
    # catches integers that become floats, and padding that does not fit the dtype or wins
    x = Tensor(np.arange(1, 17).reshape(4, 4), dtype=dtype)
    for result, expected in (
        (max_pool2d(x, 2), [[6, 8], [14, 16]]),
        (max_pool2d(x, 3, 3, 1), [[6, 8], [14, 16]]),
        (avg_pool2d(x, 4), [[136 // 16 if np.dtype(dtype).kind != "f" else 8.5]]),
    ):
        assert result.dtype == dtype
        assert result.tolist() == expected
    if np.dtype(dtype).kind == "i":
        assert max_pool2d(Tensor([[-5, -3]], dtype=dtype), (2, 1), padding=(1, 0)).tolist() == [[-5, -3]]
    if np.dtype(dtype).kind == "u":
        assert avg_pool2d(Tensor(np.full((2, 2), 200), dtype=dtype), 2).tolist() == [[200]], "the sum is above 255"


@pytest.mark.parametrize("shape", [(4, 6), (3, 4, 6), (2, 3, 4, 6)])
def test_pooling_takes_two_to_four_axes(shape: tuple[int, ...]) -> None:
    # catches a batch axis that is demanded or swallowed
    x = np.random.default_rng(0).normal(size=shape)
    assert MaxPool2D()(Tensor(x)).shape == (*shape[:-2], 2, 3)
    blocks = x.reshape(*shape[:-2], 2, 2, 3, 2)
    np.testing.assert_allclose(AvgPool2D()(double(x)).numpy(), blocks.mean(axis=(-3, -1)))


def test_a_maximum_hands_nan_and_infinity_on() -> None:
    # catches a comparison that loses NaN, so that a diverged network looks healthy
    x = Tensor([[np.nan, 1.0, -np.inf, -np.inf], [0.0, 2.0, -np.inf, -np.inf]])
    y = max_pool2d(x, 2).tolist()
    assert np.isnan(y[0][0])
    assert y[0][1] == -np.inf


def test_dtypes_meet() -> None:
    # catches float64 that is lost, and bytes of an image that are multiplied as bytes
    image = np.full((1, 1, 2, 2), 200, dtype=np.uint8)
    assert conv2d(image, Parameter(np.ones((1, 1, 2, 2)))).tolist() == [[[[800.0]]]]
    assert conv2d(double(image), Parameter(np.ones((1, 1, 2, 2)))).dtype == np.float64
    weight = Parameter(np.ones((1, 1, 2, 2)))
    conv2d(double(image), weight).sum().backward()
    assert weight.grad.dtype == np.float32
    assert conv2d_naive(np.ones((2, 2), dtype=np.float32), [[1, 0], [0, 1]]).dtype == np.float32
    assert conv2d_naive([[1, 2], [3, 4]], [[0.5]]).tolist() == [[0.5, 1.0], [1.5, 2.0]]
    assert isinstance(conv2d_naive(Tensor([[1.0]]), [[2.0]]), Tensor)


# errors

CONV = Conv2D(3, 8, 3)
ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "channels": (lambda: CONV(np.ones((1, 4, 8, 8))), "^Expected 3 input channels, got 4: .*(1, 4, 8, 8)"),
    "channels last": (lambda: CONV(np.ones((1, 8, 9, 3))), "^Expected 3 input channels, got 8.*permute"),
    "one image": (lambda: CONV(np.ones((4, 8, 8))), "^Expected 3 input channels, got 4"),
    "no channels": (lambda: CONV(np.ones((8, 8))), r"(3, H, W).*got (8, 8).*unsqueeze(0)"),
    "five axes": (lambda: CONV(np.ones((1, 1, 3, 8, 8))), "got (1, 1, 3, 8, 8)"),
    "kernel too large": (lambda: CONV(np.ones((1, 3, 2, 9))), "3x3 does not fit .* 2x9"),
    "even with padding": (lambda: Conv2D(1, 1, 9, padding=1)(np.ones((1, 1, 5, 5))), "padding (1, 1).* 7x7"),
    "stride 0": (lambda: Conv2D(3, 8, 3, stride=0), "stride must be a whole number of at least 1.* got 0"),
    "stride of a function": (lambda: conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 1, 1)), stride=(1, 0)), "got (1, 0)"),
    "negative padding": (lambda: Conv2D(3, 8, 3, padding=-1), "padding must be .* at least 0.* got -1"),
    "a word": (lambda: Conv2D(3, 8, 3, padding="same"), "padding must be .* got 'same'"),
    "three sizes": (lambda: Conv2D(3, 8, (3, 3, 3)), "kernel_size must be .* got (3, 3, 3)"),
    "half a pixel": (lambda: Conv2D(3, 8, 2.5), "kernel_size must be .* got 2.5"),
    "a boolean": (lambda: Conv2D(True, 8, 3), "in_channels must be .* got True"),
    "a pair of channels": (lambda: Conv2D((3, 3), 8, 3), "in_channels must be a whole number .* got (3, 3)"),
    "no kernels": (lambda: Conv2D(3, 0, 3), "out_channels must be .* got 0"),
    "bias": (lambda: conv2d(np.ones((1, 1, 3, 3)), np.ones((2, 1, 1, 1)), np.ones(3)), r"bias must have shape (2,)"),
    "weight": (lambda: conv2d(np.ones((1, 1, 3, 3)), np.ones((3, 3))), "weight must have shape .* got (3, 3)"),
    "naive axes": (lambda: conv2d_naive(np.ones((1, 3, 3)), np.ones((2, 2))), "(1, 3, 3) and kernel (2, 2)"),
    "naive kernel": (lambda: conv2d_naive(np.ones((3, 3)), np.ones((2, 4))), "2x4 does not fit .* 3x3"),
    "simple axes": (lambda: SimpleConv2D(2)(np.ones((1, 1, 3, 3))), "(1, 1, 3, 3)"),
    "simple kernel": (lambda: SimpleConv2D(4)(np.ones((3, 3))), "4x4 does not fit"),
    "pool axes": (lambda: MaxPool2D()(np.ones(4)), "got (4,)"),
    "pool too large": (lambda: AvgPool2D(5)(np.ones((4, 4))), "5x5 does not fit .* 4x4"),
    "pool stride": (lambda: max_pool2d(np.ones((4, 4)), 2, stride=0), "stride must be .* got 0"),
    "pool size": (lambda: MaxPool2D(0), "pool_size must be .* got 0"),
    "pool padding": (
        lambda: avg_pool2d(np.ones((4, 4)), 2, padding=2),
        r"padding (2, 2) is more than half of .* (2, 2)",
    ),
    "pool padding of rows": (
        lambda: max_pool2d(np.ones((4, 4)), 3, padding=(2, 0)),
        "padding (2, 0) is more than half",
    ),
    "no kernel sizes": (
        lambda: ConvolutionProfiler(False).profile_convolution_operation(CONV, np.ones((3, 8, 8)), []),
        "empty",
    ),
}


@pytest.mark.parametrize(("work", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_name_the_shapes(work: Callable[[], object], message: str) -> None:
    # catches a silent wrong number, or NumPy's own words
    pattern = re.sub(r"[()]", lambda bracket: "\\" + bracket.group(), message)
    with pytest.raises(ValueError, match=pattern):
        work()


def test_the_profiler_refuses_other_layers() -> None:
    # catches an AttributeError deep inside
    with pytest.raises(TypeError, match="Linear"):
        ConvolutionProfiler(False).profile_convolution_operation(Linear(2, 2), np.ones((2, 2)))


# the profiler


def test_the_profiler_runs_every_kernel_size(capsys: pytest.CaptureFixture[str]) -> None:
    # catches one convolution that is timed three times, padded shapes, and bytes that are estimated
    layer = Conv2D(3, 4, 3, stride=2, padding=1, bias=False)
    found = ConvolutionProfiler().profile_convolution_operation(layer, np.ones((2, 3, 9, 9)), [(3, 3), 5, (1, 3)])
    results = found["detailed_results"]
    outputs = {"3x3": 2 * 4 * 5 * 5, "5x5": 2 * 4 * 4 * 4, "1x3": 2 * 4 * 6 * 5}
    assert list(results) == list(outputs)
    for name, facts in results.items():
        weights = 3 * int(name[0]) * int(name[2])
        assert facts["flops"] == 2 * weights * outputs[name]
        assert facts["bias_flops"] == 0
        assert facts["parameters"] == 4 * weights
        assert facts["total_memory_mb"] == pytest.approx(4 * (2 * 3 * 81 + outputs[name] + 4 * weights) / 1e6)
        assert facts["time_ms"] > 0
        assert facts["throughput_mflops"] == pytest.approx(facts["flops"] / 1e3 / facts["time_ms"])
    assert {found["analysis"]["fastest"], found["analysis"]["slowest"]} <= set(outputs)
    assert any("2 layers of 3x3 see as far as one of 5x5" in line for line in found["recommendations"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert max(map(len, lines)) < 80


def test_memory_patterns_are_of_real_arrays() -> None:
    # catches sizes that forget the border, or take MB for MiB
    (first, second) = ConvolutionProfiler(show=False).analyze_memory_patterns([32, (16, 20)])
    assert first["input_size"] == (32, 32)
    assert first["input_memory_mb"] == 4 * 3 * 32 * 32 / 1e6
    assert first["output_memory_mb"] == 4 * 16 * 30 * 30 / 1e6
    assert second["total_memory_mb"] == pytest.approx(4 * (3 * 16 * 20 + 16 * 14 * 18 + 448) / 1e6)


def test_public_names() -> None:
    # catches a helper that escapes into `from tinytorch.core.spatial import *`
    promised = {
        *("conv2d_naive", "SimpleConv2D", "Conv2D", "Conv2d", "conv2d", "flatten", "ConvolutionProfiler"),
        *("max_pool2d", "avg_pool2d", "MaxPool2D", "MaxPool2d", "AvgPool2D", "AvgPool2d"),
    }
    helpers = {"output_size", "kernel_views", "gather", "scatter", "pad", "patch_blocks", "gathered"}
    ops = {"conv2d_op", "max_pool2d_op", "avg_pool2d_op"}
    assert set(spatial.__all__) == promised | helpers | ops
