# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 Convolution and pooling: layers that know what a picture is
#
# This module builds on tensors (01), activations (02), layers (03) and automatic differentiation (06). A `Linear`
# layer treats a picture as a list of numbers: move the picture by one pixel and every weight meets another number. A
# **convolution** slides one small set of weights, a **kernel**, over the whole picture.
#
# After this module you can
#
# - compute a convolution by hand, and by four loops;
# - turn the loops inside out, so that NumPy does the work in a few large operations;
# - write the convolution of batches and channels as one matrix product, with its three gradients;
# - build max and average pooling, and say where their gradients go;
# - count the parameters, bytes and FLOPs of a convolutional network before you run it.
#
# **Build** convolution and pooling. **Use** them in a network for 32x32 colour images. **Reflect** on what sharing
# weights gains, and on what patches cost.
#
# **Systems reality check.** Phones, cars and medical scanners run convolutions on every image they take. Libraries
# turn them into matrix products, as you will, because that is what processors do best; the price is memory, since
# every pixel is copied once for each place of the kernel that meets it.

# %%
#| default_exp core.spatial
#| export
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tinytorch.core.autograd import defvjp, defvjp_all, keep
from tinytorch.core.layers import Module
from tinytorch.core.layers import flatten as flatten_axes
from tinytorch.core.tensor import Array, Parameter, Tensor, apply, as_tensor, op, randn, zeros

# %% [markdown]
# ## Step 1: one channel, four loops
#
# Lay the kernel on the top left corner of the picture. Multiply each of its numbers by the pixel under it, and add up.
# That is one output. Move one pixel to the right and do it again; at the end of a row, start one row further down.
#
# ```
#     input          kernel                    output
#   [ 1  2  3 ]     [ 1  0 ]     [ 1*1 + 2*0 + 4*0 + 5*1   2*1 + 3*0 + 5*0 + 6*1 ]     [  6   8 ]
#   [ 4  5  6 ]     [ 0  1 ]     [ 4*1 + 5*0 + 7*0 + 8*1   5*1 + 6*0 + 8*0 + 9*1 ]  =  [ 12  14 ]
#   [ 7  8  9 ]
# ```
#
# A kernel of 2 fits into a row of 3 at 3 - 2 + 1 = 2 places. In general, with `p` zeros added at both ends and steps
# of `s` pixels, a kernel of `k` fits into `n` pixels at `floor((n + 2p - k) / s) + 1` places. `output_size`, which is
# given, computes that for both axes and explains a kernel that does not fit.
#
# Mathematicians turn the kernel by 180 degrees first and call the operation without the turn cross-correlation. Deep
# learning calls it convolution all the same: the kernel is learned, so it would come out turned.


# %%
#| export
def _table(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print words in columns as wide as they need."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    print(title, *lines, "", sep="\n")


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """The shortest time of a few runs: what the work takes when nothing else disturbs it."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _pair(name: str, value: Any, least: int) -> tuple[int, int]:
    """3 as (3, 3), a pair as it is; ValueError unless both are whole numbers of at least `least`."""
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    whole = all(isinstance(each, int | np.integer) and not isinstance(each, bool) for each in pair)
    if len(pair) != 2 or not whole or min(pair) < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, or a pair of them; got {value!r}")
    return int(pair[0]), int(pair[1])


def output_size(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int] = (1, 1), padding: Sequence[int] = (0, 0)
) -> tuple[int, int]:
    """At how many places a kernel fits into an input, down and across; all four are (rows, columns)."""
    room = [n + 2 * p - k for n, p, k in zip(size, padding, kernel, strict=True)]
    if min(room) < 0:
        (height, width), (kh, kw), (top, left) = size, kernel, padding
        raise ValueError(
            f"a kernel of {kh}x{kw} does not fit into an input of {height}x{width} with padding {(top, left)}, which "
            f"makes {height + 2 * top}x{width + 2 * left}. Use a smaller kernel, a larger input or more padding."
        )
    return room[0] // stride[0] + 1, room[1] // stride[1] + 1


# %%
import contextlib
import io

from tinytorch.core.activations import ReLU
from tinytorch.core.autograd import gradcheck
from tinytorch.core.layers import Flatten, Linear, Sequential
from tinytorch.core.tensor import manual_seed, observe_ops


# %% nbgrader={"grade": false, "grade_id": "conv2d-naive", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def conv2d_naive(input: Any, kernel: Any) -> Any:
    """The convolution of one channel by four nested loops: slow on purpose, so that the work can be seen.

    TODO: fill the output, one number at a time.
    Approach:
      1. Make y full of zeros, of shape (height, width). Its dtype is x's when that is a float, else
         `np.result_type(x, k)`.
      2. For every row and column of y, add up x[row + i, column + j] * k[i, j] over the kernel's rows i and columns j.
    Example: [[1,2,3],[4,5,6],[7,8,9]] with the kernel [[1,0],[0,1]] gives [[6,8],[12,14]].
    Hint: y[0, 0] uses x[0, 0] to x[kh - 1, kw - 1].

    input (H, W), kernel (kh, kw) -> (H - kh + 1, W - kw + 1). Arrays and lists give an array; if one of them is a
    Tensor, the result is one, without a gradient.
    """
    x, k = (each.numpy() if isinstance(each, Tensor) else np.asarray(each) for each in (input, kernel))
    if x.ndim != 2 or k.ndim != 2:
        raise ValueError(
            f"conv2d_naive takes one channel, so input and kernel have two axes each; got input {x.shape} and kernel "
            f"{k.shape}. conv2d takes batches and channels."
        )
    height, width = output_size(x.shape, k.shape)
    ### BEGIN SOLUTION
    y = np.zeros((height, width), dtype=x.dtype if x.dtype.kind == "f" else np.result_type(x, k))
    for row in range(height):
        for column in range(width):
            total = 0
            for i in range(k.shape[0]):
                for j in range(k.shape[1]):
                    total = total + x[row + i, column + j] * k[i, j]
            y[row, column] = total
    ### END SOLUTION
    return Tensor(y, dtype=y.dtype) if isinstance(input, Tensor) or isinstance(kernel, Tensor) else y


# %% nbgrader={"grade": true, "grade_id": "test-conv2d-naive", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
def _refusal(work: Callable[[], object]) -> str:
    """The message of the ValueError that work raises; the test fails if none comes."""
    try:
        work()
    except ValueError as error:
        return str(error)
    raise AssertionError("a ValueError should have been raised here, one that says what does not fit")


def test_unit_conv2d_naive() -> None:
    """The loops give the output worked by hand, for any sizes, and keep the dtype."""
    x = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    y = conv2d_naive(x, np.array([[1, 0], [0, 1]]))
    assert y.tolist() == [[6, 8], [12, 14]], f"expected [[6, 8], [12, 14]], got {y.tolist()}"
    assert y.dtype == x.dtype, f"whole numbers stay whole numbers, got {y.dtype}"
    small = conv2d_naive(x.astype(np.float32), np.ones((2, 3), dtype=np.float32))
    assert small.tolist() == [[21.0], [39.0]], "a kernel of 2x3 fits twice down and once across"
    assert small.dtype == np.float32, f"float32 stays float32, got {small.dtype}"
    assert conv2d_naive(x, [[1]]).tolist() == x.tolist(), "a kernel of one 1 changes nothing"
    assert conv2d_naive(x, [[0.5]]).tolist() == (x / 2).tolist(), "whole numbers times floats are floats"
    assert conv2d_naive(small, np.ones((1, 1))).dtype == np.float32, "the dtype is x's, when that is a float"
    assert isinstance(conv2d_naive(Tensor(x), Tensor([[1.0]])), Tensor), "Tensors give a Tensor"
    message = _refusal(lambda: conv2d_naive(x, np.ones((4, 2))))
    assert "4x2" in message and "3x3" in message, message
    ### BEGIN HIDDEN TESTS
    generator = np.random.default_rng(10)
    for height, width, kh, kw in ((5, 7, 3, 2), (4, 4, 4, 4), (6, 3, 1, 3)):
        picture, kernel = generator.normal(size=(height, width)), generator.normal(size=(kh, kw))
        windows = np.lib.stride_tricks.sliding_window_view(picture, (kh, kw))
        assert np.allclose(conv2d_naive(picture, kernel), np.einsum("abij,ij->ab", windows, kernel))
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_conv2d_naive()

# %% [markdown]
# ## Step 2: turn the loops inside out, and learn the kernel
#
# The outer two loops run over outputs, of which there are many; the inner two over the kernel, which is small. Swap
# them. For each place in the kernel, all the pixels that it ever meets form a slice of the picture:
#
# ```
#   1 * [ 1  2 ]  +  0 * [ 2  3 ]  +  0 * [ 4  5 ]  +  1 * [ 5  6 ]  =  [  6   8 ]
#       [ 4  5 ]         [ 5  6 ]         [ 7  8 ]         [ 8  9 ]     [ 12  14 ]
#
#      place 0,0        place 0,1        place 1,0        place 1,1
# ```
#
# Four products of whole slices, in place of sixteen of single numbers. The slices and products can be Tensor
# operations, so module 06 follows them, and the kernel can be learned. Its gradient, worked by hand for an output
# gradient of ones: each kernel entry was multiplied by its slice, so it gets the sum of that slice:
#
# ```
#   [ 1+2+4+5   2+3+5+6 ]     [ 12  16 ]
#   [ 4+5+7+8   5+6+8+9 ]  =  [ 24  28 ]
# ```


# %% nbgrader={"grade": false, "grade_id": "simple-conv2d", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class SimpleConv2D(Module):
    """The convolution of single-channel pictures with one kernel that is learned: `kernel`, of shape (kh, kw)."""

    def __init__(self, kernel_size: Any) -> None:
        """Make the kernel.

        TODO: set `self.kernel` to a Parameter of normal random numbers with standard deviation sqrt(2 / (kh * kw)).
        Hint: `randn(kh, kw)` gives a Tensor of standard deviation 1; Parameter takes a Tensor.
        """
        self.kernel_size = _pair("kernel_size", kernel_size, 1)
        ### BEGIN SOLUTION
        kh, kw = self.kernel_size
        self.kernel = Parameter(randn(kh, kw) * math.sqrt(2 / (kh * kw)))
        ### END SOLUTION

    def forward(self, x: Any) -> Tensor:
        """x (H, W) or (N, H, W) -> (H - kh + 1, W - kw + 1), with N in front if x had it.

        TODO: for each place i, j of the kernel, multiply self.kernel[i, j] by its slice of x; return the sum.
        Approach: Tensor operations only; two loops, over the kernel's rows and columns; no `.numpy()`.
        Example: the kernel [[1, 0], [0, 1]] and [[1,2,3],[4,5,6],[7,8,9]] give [[6, 8], [12, 14]].
        Hint: x[..., i : i + height, j : j + width] slices the last two axes and leaves those before as they are.
        """
        x = as_tensor(x)
        if x.ndim not in (2, 3):
            raise ValueError(f"SimpleConv2D takes a picture (H, W) or a batch (N, H, W), got shape {x.shape}")
        height, width = output_size(x.shape[-2:], self.kernel_size)
        ### BEGIN SOLUTION
        total: Any = 0
        for i in range(self.kernel_size[0]):
            for j in range(self.kernel_size[1]):
                total = total + self.kernel[i, j] * x[..., i : i + height, j : j + width]
        return total
        ### END SOLUTION

    def extra_repr(self) -> str:
        """The size of the kernel."""
        return f"kernel_size={self.kernel_size}"


# %% nbgrader={"grade": true, "grade_id": "test-simple-conv2d", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
def test_unit_simple_conv2d() -> None:
    """One kernel, of the right scale; outputs and the kernel's gradient are those worked by hand."""
    layer = SimpleConv2D((2, 2))
    assert [parameter.shape for parameter in layer.parameters()] == [(2, 2)]
    layer.kernel = Parameter([[1.0, 0.0], [0.0, 1.0]])
    x = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    y = layer(x)
    assert y.tolist() == [[6.0, 8.0], [12.0, 14.0]], y.tolist()
    y.sum().backward()
    assert layer.kernel.grad is not None, "use Tensor operations only, or nothing can be learned"
    assert layer.kernel.grad.tolist() == [[12.0, 16.0], [24.0, 28.0]], layer.kernel.grad.tolist()
    batch = Tensor(np.stack([x.numpy(), 10 * x.numpy()]))
    assert layer(batch).tolist() == [[[6.0, 8.0], [12.0, 14.0]], [[60.0, 80.0], [120.0, 140.0]]]
    manual_seed(1)
    spread = float(SimpleConv2D(40).kernel.numpy().std())
    assert abs(spread - math.sqrt(2 / 1600)) < 0.003, f"the standard deviation is {spread}, not sqrt(2 / 1600)"
    assert "(1, 1, 3, 3)" in _refusal(lambda: layer(Tensor(np.ones((1, 1, 3, 3)))))
    ### BEGIN HIDDEN TESTS
    picture = np.random.default_rng(2).normal(size=(6, 5))
    wide = SimpleConv2D((2, 3))
    wide.kernel = Parameter([[1.0, -2.0, 3.0], [0.5, 0.0, 1.0]])
    assert np.allclose(wide(Tensor(picture)).numpy(), conv2d_naive(picture, wide.kernel.numpy()), atol=1e-5)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_simple_conv2d()

# %% [markdown]
# ## Step 3: channels
#
# A colour picture has three channels, and a layer should look for more than one thing. So a real layer has one kernel
# for every pair of an output and an input channel: `weight` has shape (out, in, kh, kw). An output channel adds up the
# convolutions of all input channels, each with its own kernel, and then its bias. By hand, for two input channels, one
# output channel and a bias of 0.5:
#
# ```
#   channel 0   [ 1  2 ]  with  [ 1  0 ]   gives  1 + 4 =  5
#               [ 3  4 ]        [ 0  1 ]
#
#   channel 1   [ 5  6 ]  with  [ 0  1 ]   gives  6 + 7 = 13       5 + 13 + 0.5 = 18.5
#               [ 7  8 ]        [ 1  0 ]
# ```
#
# A batch has one axis more: inputs are (N, C, H, W), outputs (N, out, height, width). First by loops over what you
# have; the fast version will be tested against it.


# %% nbgrader={"grade": false, "grade_id": "conv2d-by-loops", "locked": false, "schema_version": 3, "solution": true, "task": false}
def conv2d_by_loops(x: Array, weight: Array, bias: Array) -> Array:
    """The convolution of a batch with channels, by loops over conv2d_naive.

    TODO: for every image n and output channel o, add up conv2d_naive(x[n, c], weight[o, c]) over the input channels c,
    and then the bias of o.
    Example: the two channels drawn above give 18.5.
    Hint: y starts as zeros, and y[n, o] += ... adds a whole picture.
    x (N, C, H, W), weight (O, C, kh, kw), bias (O,) -> (N, O, height, width).
    """
    y = np.zeros((len(x), len(weight), *output_size(x.shape[2:], weight.shape[2:])), dtype=x.dtype)
    ### BEGIN SOLUTION
    for n in range(len(x)):
        for o in range(len(weight)):
            for c in range(x.shape[1]):
                y[n, o] += conv2d_naive(x[n, c], weight[o, c])
            y[n, o] += bias[o]
    ### END SOLUTION
    return y


# %% nbgrader={"grade": true, "grade_id": "test-conv2d-by-loops", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def test_unit_conv2d_by_loops() -> None:
    """Every output channel adds up all input channels, and its bias once."""
    x = np.array([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]])
    weight = np.array([[[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]])
    assert conv2d_by_loops(x, weight, np.array([0.5])).tolist() == [[[[18.5]]]]
    both = conv2d_by_loops(np.concatenate([x, -x]), np.concatenate([weight, 2 * weight]), np.array([0.0, 1.0]))
    assert both.tolist() == [[[[18.0]], [[37.0]]], [[[-18.0]], [[-35.0]]]]


if __name__ == "__main__":
    test_unit_conv2d_by_loops()

# %% [markdown]
# ## Step 4: patches
#
# The slices of step 2 again, now written as rows, one row for each place in the kernel. A column of this matrix is a
# **patch**: what the kernel covers at one position. The convolution is then one product:
#
# ```
#                       patches (4, 4)
#                   [ 1  2  4  5 ]   place 0,0
#   [ 1  0  0  1 ]  [ 2  3  5  6 ]   place 0,1
#                @  [ 4  5  7  8 ]   place 1,0   =  [ 6  8  12  14 ]
#                   [ 5  6  8  9 ]   place 1,1
# ```
#
# With C input channels there are C * kh * kw rows. With O output channels the kernels are O rows on the left. One
# matrix product computes all output channels of an image, and the result, of shape (O, height * width), needs only to
# be read as (O, height, width).
#
# With a **stride** of 2 the kernel moves two pixels at a time, so the slices take every second pixel. **Padding** puts
# zeros around the picture first. Both only change the slices.
#
# You write three functions. `kernel_views` lists the slices, which in NumPy are views: no number is copied. `gather`
# copies them into the matrix of patches. `scatter` goes back: it adds each row of such a matrix to the slice it came
# from. A pixel that four windows cover is in four slices, so it receives four numbers.


# %% nbgrader={"grade": false, "grade_id": "patches", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def kernel_views(x: Array, kernel: Sequence[int], stride: Sequence[int] = (1, 1)) -> list[Array]:
    """For each place in the kernel, row by row, the pixels that it meets: a view of x.

    TODO: return a list of kh * kw slices of the last two axes of x.
    Approach: place i, j meets the rows i, i + down, ..., i + down * (height - 1), and columns in the same way.
    Example: of [[1,2,3],[4,5,6],[7,8,9]] with a kernel of (2, 2), the first is [[1,2],[4,5]], the last [[5,6],[8,9]].
    Hint: a slice a : b : step stops before b, so b is one more than the last row wanted.
    x (..., H, W), padded already -> views (..., height, width).
    """
    height, width = output_size(x.shape[-2:], kernel, stride)
    down, right = stride
    ### BEGIN SOLUTION
    last_row, last_column = down * (height - 1), right * (width - 1)
    return [
        x[..., i : i + last_row + 1 : down, j : j + last_column + 1 : right]
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]
    ### END SOLUTION


def gather(x: Array, patches: Array, kernel: Sequence[int], stride: Sequence[int]) -> None:
    """Copy the pixels that each place in the kernel meets into patches.

    TODO: write view number p into patches[:, :, p], for all views of x.
    x (N, C, H, W), patches (N, C, kh * kw, height, width).
    """
    ### BEGIN SOLUTION
    for place, view in enumerate(kernel_views(x, kernel, stride)):
        patches[:, :, place] = view
    ### END SOLUTION


def scatter(patches: Array, x: Array, kernel: Sequence[int], stride: Sequence[int]) -> None:
    """Add patches to the pixels that they were gathered from: gather the other way round.

    TODO: add patches[:, :, p] to view number p of x, in place.
    Hint: `view += ...` changes x itself, because a view shares its memory.
    patches (N, C, kh * kw, height, width), x (N, C, H, W).
    """
    ### BEGIN SOLUTION
    for place, view in enumerate(kernel_views(x, kernel, stride)):
        view += patches[:, :, place]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-patches", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def test_unit_patches() -> None:
    """The views are those drawn above; gather copies them, scatter counts how often each pixel is met."""
    x = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    views = kernel_views(x, (2, 2))
    assert [view[0, 0].tolist() for view in views[:2]] == [[[1.0, 2.0], [4.0, 5.0]], [[2.0, 3.0], [5.0, 6.0]]]
    assert all(np.shares_memory(view, x) for view in views), "slices, not copies"
    assert kernel_views(x, (1, 1), (2, 2))[0][0, 0].tolist() == [[1.0, 3.0], [7.0, 9.0]], "a stride of 2"
    patches = np.zeros((1, 1, 4, 2, 2))
    gather(x, patches, (2, 2), (1, 1))
    rows = [[1.0, 2.0, 4.0, 5.0], [2.0, 3.0, 5.0, 6.0], [4.0, 5.0, 7.0, 8.0], [5.0, 6.0, 8.0, 9.0]]
    assert patches.reshape(4, 4).tolist() == rows
    met = np.zeros((1, 1, 3, 3))
    scatter(np.ones((1, 1, 4, 2, 2)), met, (2, 2), (1, 1))
    assert met[0, 0].tolist() == [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    ### BEGIN HIDDEN TESTS
    wide = np.arange(35.0).reshape(1, 1, 5, 7)
    views = kernel_views(wide, (3, 2), (2, 3))
    assert len(views) == 6 and views[0].shape == (1, 1, 2, 2)
    assert views[5][0, 0].tolist() == [[15.0, 18.0], [29.0, 32.0]]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_patches()

# %% [markdown]
# ## Step 5: convolution as an op
#
# Patches hold each pixel up to kh * kw times. For a batch of 32 images of 32 channels and 32x32 pixels and a padded 3x3
# kernel, that is 32 * 32 * 9 * 1,024 numbers: 37,748,736 bytes in float32, nine times the input. So we do not make them
# all at once. `patch_blocks`, which is given, lends one buffer of about 4 MB again and again, for a few images at a
# time. It yields pairs: which images, and the buffer for their patches. `gathered`, given too, pads the batch and fills
# each buffer with your gather.


# %%
#| export
_BLOCK_BYTES = 2**22  # of patches at a time


def pad(x: Array, padding: Sequence[int], value: float = 0) -> Array:
    """x with rows of a value above and below and columns left and right of the last two axes; x itself for (0, 0)."""
    top, left = padding
    if top == left == 0:
        return x
    height, width = x.shape[-2:]
    padded = np.full((*x.shape[:-2], height + 2 * top, width + 2 * left), value, dtype=x.dtype)
    padded[..., top : top + height, left : left + width] = x
    return padded


def patch_blocks(x: Array, kernel: Sequence[int], stride: Sequence[int]) -> Iterator[tuple[slice, Array]]:
    """Pairs (slice of the batch, memory for the patches of these images); the memory is the same every time.

    x (N, C, H, W), padded already -> memory (images, C, kh * kw, height, width), to be filled.
    """
    shape = (x.shape[1], kernel[0] * kernel[1], *output_size(x.shape[-2:], kernel, stride))
    images = min(len(x), max(1, _BLOCK_BYTES // (x.itemsize * max(1, math.prod(shape)))))
    memory = np.empty((images, *shape), dtype=x.dtype)
    for start in range(0, len(x), max(1, images)):
        stop = min(start + images, len(x))
        yield slice(start, stop), memory[: stop - start]


def gathered(
    x: Array, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Iterator[tuple[slice, Array]]:
    """Pairs (slice of the batch, patches of these images, gathered); the next pair overwrites the patches."""
    x = pad(x, padding)
    for block, patches in patch_blocks(x, kernel, stride):
        gather(x[block], patches, kernel, stride)
        yield block, patches


# %% nbgrader={"grade": false, "grade_id": "conv2d-op", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op(saves=True)
def conv2d_op(
    x: Array, weight: Array, *bias: Array, stride: Sequence[int] = (1, 1), padding: Sequence[int] = (0, 0)
) -> tuple[Array, Array | None]:
    """The convolution of a batch: one matrix product for each block of images.

    TODO: fill `outputs`, which is y with its last two axes made one.
    Approach: for each block and its patches, read the patches as (images, C * kh * kw, height * width); multiply
    `kernels` by them with np.matmul and its `out=outputs[block]`. Afterwards add the bias, if there is one.
    Example: the two channels of step 3 give [[[[18.5]]]].
    Hint: bias is a tuple, empty or with one array (O,); bias[0][:, None] stands as a column beside outputs (N, O, ...).
    x (N, C, H, W), weight (O, C, kh, kw), bias (O,) -> (N, O, height, width), and all patches if they are one block.
    """
    kernel, patches = weight.shape[2:], None
    height, width = output_size(x.shape[2:], kernel, stride, padding)
    kernels = weight.reshape(len(weight), -1)  # (O, C * kh * kw)
    y = np.empty((len(x), len(weight), height, width), dtype=x.dtype)
    outputs = y.reshape(len(x), len(weight), height * width)
    ### BEGIN SOLUTION
    for block, patches in gathered(x, kernel, stride, padding):
        np.matmul(kernels, patches.reshape(len(patches), -1, height * width), out=outputs[block])
    if bias:
        outputs += bias[0][:, None]
    ### END SOLUTION
    return y, patches if patches is not None and len(patches) == len(x) else None


# %%
#| export
def _same_floats(*tensors: Tensor) -> list[Tensor]:
    """The tensors in one floating-point dtype: integers become float32, and of two dtypes the larger wins."""
    wanted = np.result_type(*(t.dtype if t.dtype.kind == "f" else np.float32 for t in tensors))
    return [tensor if tensor.dtype == wanted else tensor.astype(wanted) for tensor in tensors]


def conv2d(x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0) -> Tensor:
    """The convolution of x with the kernels in weight, plus a bias for each output channel.

    x (N, C, H, W) or (C, H, W), weight (O, C, kh, kw), bias (O,) or None -> (N, O, height, width) or (O, height,
    width). stride and padding are one number or (rows, columns). Raises ValueError when shapes do not fit.
    """
    x, weight = as_tensor(x), as_tensor(weight)
    stride, padding = _pair("stride", stride, 1), _pair("padding", padding, 0)
    if weight.ndim != 4 or 0 in weight.shape:
        raise ValueError(f"weight must have shape (out_channels, in_channels, kh, kw), got {weight.shape}")
    channels = weight.shape[1]
    if x.ndim not in (3, 4):
        shapes = f"({channels}, H, W) for one image or (N, {channels}, H, W) for a batch, got {x.shape}"
        grey = " Give a grey picture its channel axis: x.unsqueeze(0)." if x.ndim == 2 else ""
        raise ValueError(f"a convolution takes inputs of shape {shapes}.{grey}")
    if x.shape[-3] != channels:
        order = ("2, 0, 1", "0, 3, 1, 2")[x.ndim - 3]
        last = f" Are the channels last? x.permute({order}) puts them first." if x.shape[-1] == channels else ""
        raise ValueError(
            f"Expected {channels} input channels, got {x.shape[-3]}: the input has shape {x.shape}, and the weight "
            f"{weight.shape} takes (..., {channels}, H, W).{last}"
        )
    output_size(x.shape[-2:], weight.shape[2:], stride, padding)  # explains a kernel that does not fit
    inputs = [x if x.ndim == 4 else x.unsqueeze(0), weight]
    if bias is not None:
        inputs.append(as_tensor(bias))
        if inputs[2].shape != weight.shape[:1]:
            raise ValueError(f"bias must have shape {weight.shape[:1]}, one for each kernel, got {inputs[2].shape}")
    y = apply(conv2d_op, *_same_floats(*inputs), stride=stride, padding=padding)
    return y if x.ndim == 4 else y.reshape(y.shape[1:])


# %% nbgrader={"grade": true, "grade_id": "test-conv2d", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_conv2d() -> None:
    """The product over patches gives what the loops give, with strides and padding too."""
    generator = np.random.default_rng(4)
    x, weight, bias = (generator.normal(size=shape) for shape in ((3, 2, 6, 5), (4, 2, 3, 2), (4,)))
    expected = conv2d_by_loops(x, weight, bias)
    tensors = [Tensor(each, dtype=np.float64) for each in (x, weight, bias)]
    assert np.allclose(conv2d(*tensors).numpy(), expected)
    assert np.allclose(conv2d(*tensors, stride=2).numpy(), expected[:, :, ::2, ::2]), "a stride of 2 skips outputs"
    assert np.allclose(conv2d(*tensors[:2]).numpy(), expected - bias[:, None, None]), "without a bias"
    assert conv2d(tensors[0][0], *tensors[1:]).shape == (4, 4, 4), "one image without a batch axis"
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)))
    assert np.allclose(conv2d(*tensors, padding=(1, 2)).numpy(), conv2d_by_loops(padded, weight, bias))
    assert conv2d(Tensor(np.ones((0, 2, 6, 5))), Tensor(weight)).shape == (0, 4, 4, 4), "an empty batch has a shape"
    ### BEGIN HIDDEN TESTS
    ran: list[tuple[int, ...]] = []
    with observe_ops(lambda op, inputs, params, result: ran.append(result.shape)):
        many = conv2d(Tensor(np.ones((9, 8, 66, 66))), Tensor(np.ones((1, 8, 3, 3))))  # more than one block
    assert ran == [(9, 1, 64, 64)], "one op"
    assert (many.numpy() == 72.0).all()
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_conv2d()

# %% [markdown]
# ## Step 6: the three gradients
#
# For one image the op computes `Y = W P + b`, with W (O, C * kh * kw), patches P (C * kh * kw, L) and L = height *
# width positions. Let G be the gradient of Y. Module 06 has the rules of a product:
#
# ```
#   gradient of W  =  G P^T      added up over the images
#   gradient of b  =  the sum of G over positions and images
#   gradient of P  =  W^T G      and then back to the pixels: scatter, and the padding cut off
# ```
#
# By hand for step 1's picture and kernel, and G of ones. G P^T adds up each row of P: [12 16 24 28], as in step 2. For
# the pixels, W^T G is a matrix whose rows are the kernel's entries, and each pixel gets the sum of the entries that
# ever met it. The corner pixel 1 met only the top left entry, 1; the pixel 5 met all four, 1 + 0 + 0 + 1 = 2:
#
# ```
#   [ 1  1  0 ]
#   [ 1  2  1 ]
#   [ 0  1  1 ]
# ```
#
# When all patches of a batch are one block, at most about 4 MB, the op has saved them for the first of these. When
# there are more, they are gathered again: that is a small part of the time, and keeping them would take nine times the
# input. And the first layer of a network has images as its input, which need no gradient: `needs[0]` is then False, and
# we skip the most expensive of the three.


# %% nbgrader={"grade": false, "grade_id": "conv2d-rule", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _weight_gradient(g: Array, blocks: Iterable[tuple[slice, Array]], weight: Array) -> Array:
    """The sum over all images of g times the transposed patches.

    TODO: for each block, read the patches as (images, C * kh * kw, L); multiply g[block] by them with their last two
    axes swapped; sum over the images of the block; add to total.
    Hint: `.swapaxes(1, 2)`, and `.sum(axis=0)` of the product.
    g (N, O, L), patches (images, C, kh * kw, height, width) -> (O, C * kh * kw).
    """
    total = np.zeros((len(weight), math.prod(weight.shape[1:])), dtype=g.dtype)
    ### BEGIN SOLUTION
    for block, patches in blocks:
        columns = patches.reshape(len(patches), -1, g.shape[2])
        total += (g[block] @ columns.swapaxes(1, 2)).sum(axis=0)
    ### END SOLUTION
    return total


def _input_gradient(g: Array, total: Array, weight: Array, stride: Sequence[int]) -> None:
    """Add to total, the gradient of the padded input, what goes back to each pixel.

    TODO: for each block, W^T g into the memory of the patches, and scatter it to total[block].
    Hint: np.matmul(kernels.T, g[block], out=...) with the memory read as (images, C * kh * kw, L).
    g (N, O, L), total (N, C, H, W) zeros.
    """
    kernel, kernels = weight.shape[2:], weight.reshape(len(weight), -1)
    ### BEGIN SOLUTION
    for block, patches in patch_blocks(total, kernel, stride):
        np.matmul(kernels.T, g[block], out=patches.reshape(len(patches), -1, g.shape[2]))
        scatter(patches, total[block], kernel, stride)
    ### END SOLUTION


def _conv2d_rule(
    g: Array, y: Array, saved: Array | None, needs: Sequence[bool], x: Array, weight: Array, *bias: Array, **sizes: Any
) -> list[Array | None]:
    """The gradients of x, weight and bias: those of them that are needed."""
    stride, (top, left), (height, width) = sizes["stride"], sizes["padding"], x.shape[2:]
    g = g.reshape(*g.shape[:2], y.shape[2] * y.shape[3])
    grads: list[Array | None] = [None] * len(needs)
    if needs[0]:
        total = np.zeros((*x.shape[:2], height + 2 * top, width + 2 * left), dtype=g.dtype)
        _input_gradient(g, total, weight, stride)
        grads[0] = total[..., top : top + height, left : left + width]
    if needs[1]:
        again = gathered(x, weight.shape[2:], stride, (top, left))
        blocks = again if saved is None else [(slice(None), saved)]
        grads[1] = _weight_gradient(g, blocks, weight).reshape(weight.shape)
    if bias and needs[2]:
        grads[2] = (g @ np.ones(g.shape[2], g.dtype)).sum(axis=0)  # a product adds faster than g.sum(axis=2)
    return grads


defvjp_all(conv2d_op, _conv2d_rule)


# %% nbgrader={"grade": true, "grade_id": "test-conv2d-gradients", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_conv2d_gradients() -> None:
    """The gradients are those worked by hand, and agree with differences for strides, padding and channels."""
    x = Tensor(np.arange(1.0, 10.0).reshape(1, 1, 3, 3), requires_grad=True)
    weight, bias = Parameter([[[[1.0, 0.0], [0.0, 1.0]]]]), Parameter([0.0])
    conv2d(x, weight, bias).sum().backward()
    assert weight.grad.tolist() == [[[[12.0, 16.0], [24.0, 28.0]]]], weight.grad.tolist()
    assert x.grad.tolist() == [[[[1.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 1.0]]]], x.grad.tolist()
    assert bias.grad.tolist() == [4.0], "the bias is added to all four outputs"
    generator = np.random.default_rng(5)
    arrays = [generator.normal(size=shape) for shape in ((2, 2, 5, 4), (3, 2, 3, 2), (3,))]
    assert gradcheck(lambda x, w, b: conv2d(x, w, b, stride=(2, 1), padding=(1, 0)), *arrays)
    image = Tensor(np.ones((1, 1, 3, 3)))
    conv2d(image, weight).sum().backward()
    assert image.grad is None, "an image that requires no gradient gets none"
    ### BEGIN HIDDEN TESTS
    assert gradcheck(lambda x, w, b: conv2d(x, w, b, stride=3, padding=2), *arrays)
    assert gradcheck(lambda x, w: conv2d(x, w), *arrays[:2])
    pictures = generator.normal(size=(9, 8, 66, 66))  # their patches are more than one block
    many, kernels = Tensor(pictures, requires_grad=True), Parameter(generator.normal(size=(1, 8, 3, 3)))
    factors = np.arange(9.0).reshape(9, 1, 1, 1)
    (conv2d(many, kernels) * factors).sum().backward()
    assert np.allclose(many.grad, factors * many.grad[1], atol=1e-3), "image n has factor n: each block is its own"
    corners = (pictures[:, :, :64, :64] * factors).sum(axis=(0, 2, 3))
    assert np.allclose(kernels.grad[0, :, 0, 0], corners, rtol=1e-3, atol=0.1), "and the sum is over all images"
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_conv2d_gradients()

# %% [markdown]
# ## Step 7: the layer
#
# `Conv2D` holds `weight` and `bias`. How large should the weights be at the start? An output adds up `in * kh * kw`
# products. Kaiming He's rule takes a variance of `2 / (in * kh * kw)`: the 2 makes up for the ReLU that follows, which
# sets half of the numbers to zero. For `Conv2D(3, 64, (3, 3))` the standard deviation is sqrt(2 / 27) = 0.2722.
#
# **Parameters.** 64 * 3 * 3 * 3 = 1,728 weights and 64 biases: 1,792, whatever the size of the picture.


# %% nbgrader={"grade": false, "grade_id": "conv2d-layer", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Conv2D(Module):
    """A convolution with `weight` (out_channels, in_channels, kh, kw) and `bias` (out_channels,) or None.

    kernel_size, stride and padding are one number or (rows, columns). Inputs (N, C, H, W) or (C, H, W). Weights start
    normal with standard deviation sqrt(2 / (in_channels * kh * kw)), biases zero.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        bias: bool = True,
    ) -> None:
        """Make the parameters.

        TODO: set `self.weight` to a Parameter of normal random numbers of the scale above, and `self.bias` to a
        Parameter of zeros, or to None without bias.
        Hint: as in Linear of module 03, with four sizes for randn.
        """
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        self.in_channels, self.out_channels = int(in_channels), int(out_channels)
        self.kernel_size = _pair("kernel_size", kernel_size, 1)
        self.stride = _pair("stride", stride, 1)
        self.padding = _pair("padding", padding, 0)
        ### BEGIN SOLUTION
        kh, kw = self.kernel_size
        scale = math.sqrt(2 / (in_channels * kh * kw))
        self.weight = Parameter(randn(out_channels, in_channels, kh, kw) * scale)
        self.bias = Parameter(zeros(out_channels)) if bias else None
        ### END SOLUTION

    def forward(self, x: Any) -> Tensor:
        """x (N, in_channels, H, W) -> (N, out_channels, height, width), and the same without N.

        TODO: call conv2d with all that this layer holds.
        """
        ### BEGIN SOLUTION
        return conv2d(x, self.weight, self.bias, self.stride, self.padding)
        ### END SOLUTION

    def extra_repr(self) -> str:
        """The sizes."""
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        return f"{sizes}, stride={self.stride}, padding={self.padding}, bias={self.bias is not None}"


Conv2d = Conv2D  # PyTorch's spelling


# %% nbgrader={"grade": true, "grade_id": "test-conv2d-layer", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_conv2d_layer() -> None:
    """The layer has the right parameters at the right scale, uses them, and says which channels it wants."""
    layer = Conv2D(3, 64, (3, 3))
    assert [parameter.shape for parameter in layer.parameters()] == [(64, 3, 3, 3), (64,)]
    assert sum(parameter.size for parameter in layer.parameters()) == 1_792
    bare = Conv2d(3, 32, (3, 3), bias=False)
    assert bare.bias is None and sum(parameter.size for parameter in bare.parameters()) == 864
    assert layer(Tensor(np.ones((2, 3, 32, 32)))).shape == (2, 64, 30, 30)
    assert layer(Tensor(np.ones((3, 32, 32)))).shape == (64, 30, 30)
    assert Conv2D(1, 2, 3, stride=2, padding=1)(Tensor(np.ones((1, 1, 7, 8)))).shape == (1, 2, 4, 4)
    assert Conv2D(1, 2, 3, stride=(1, 2), padding=(0, 1))(Tensor(np.ones((1, 1, 7, 8)))).shape == (1, 2, 5, 4)
    manual_seed(3)
    spread = float(Conv2D(16, 64, 3).weight.numpy().std())
    assert abs(spread - math.sqrt(2 / 144)) < 0.003, f"the standard deviation is {spread}, not sqrt(2 / 144)"
    message = _refusal(lambda: layer(Tensor(np.ones((1, 4, 8, 8)))))
    assert message.startswith("Expected 3 input channels, got 4"), message
    assert "stride" in _refusal(lambda: Conv2D(3, 8, 3, stride=0))
    assert "5x5" in _refusal(lambda: Conv2D(3, 8, 5)(Tensor(np.ones((1, 3, 4, 4)))))


if __name__ == "__main__":
    test_unit_conv2d_layer()

# %% [markdown]
# ### What it costs
#
# The loops and the patches do the same FLOPs. `Conv2D(3, 8, 3)` on one image of 12x12 takes 2 * 8 * 27 * 100 = 43,200
# of them for its products. How many times faster are the patches? write your guess: ___


# %%
def analyze_loops_against_patches() -> None:
    """Print the time of conv2d_by_loops beside that of conv2d, and what one FLOP costs in each."""
    manual_seed(0)
    rows = [["image", "FLOPs", "loops ms", "patches ms", "ratio", "loops ns/FLOP", "patches ns/FLOP"]]
    for size in (6, 12, 18):
        x = np.ones((1, 3, size, size), dtype=np.float32)
        layer = Conv2D(3, 8, 3)
        flops = 2 * layer.weight.size * (size - 2) ** 2
        loops = _seconds(lambda x=x, layer=layer: conv2d_by_loops(x, layer.weight.numpy(), layer.bias.numpy()), 1)
        fast = _seconds(lambda x=x, layer=layer: layer(Tensor(x)), 20)
        times = [f"{loops * 1e3:.2f}", f"{fast * 1e3:.4f}", f"{loops / fast:,.0f}"]
        each = [f"{loops * 1e9 / flops:.1f}", f"{fast * 1e9 / flops:.2f}"]
        rows.append([f"{size}x{size}", f"{flops:,}", *times, *each])
    _table("Conv2D(3, 8, 3) on one image, by loops and by patches", rows)


if __name__ == "__main__":
    analyze_loops_against_patches()

# %% [markdown]
# A FLOP in the loops costs about the same at every size: each pays for Python. With patches it becomes cheaper as the
# image grows, because the calls stay nine copies and one product. On a 12x12 image they are several hundred times
# faster.
#
# ## Step 8: pooling
#
# Pooling makes pictures smaller: it keeps one number of each window, the largest or the mean. A window of 2x2 with a
# stride of 2, the usual choice, halves both sides and leaves a quarter of the numbers. It has nothing to learn.
#
# ```
#   [ 1  3 | 2  2 ]
#   [ 4  4 | 0  1 ]      max  [ 4  2 ]      mean  [ 3.0  1.25 ]
#   ---------------           [ 9  8 ]            [ 4.0  6.5  ]
#   [ 9  2 | 5  6 ]
#   [ 5  0 | 7  8 ]
# ```
#
# The views of step 4 do it: the largest of four views, element by element, is three calls of `np.maximum`, whatever the
# size of the picture.
#
# **Gradients.** A mean of four hands a quarter of its gradient to each. A maximum depends on the largest number only,
# so that one gets everything. The window with two 4s is a tie; the first of them, row by row, gets all of the
# gradient, as in PyTorch. For a gradient of ones:
#
# ```
#   [ 0  0 | 1  0 ]      the 4 on the left; the 2 on the left
#   [ 1  0 | 0  0 ]
#   ---------------
#   [ 1  0 | 0  0 ]
#   [ 0  0 | 0  1 ]
# ```
#
# **Padding.** For a maximum, the smallest number of the dtype is put around the picture, so that it never wins. For a
# mean, zeros, which count in the mean, as in PyTorch.


# %% nbgrader={"grade": false, "grade_id": "max-pool", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _pad_lowest(x: Array, padding: Sequence[int]) -> Array:
    """x with the smallest value of its dtype around it."""
    if x.dtype.kind == "f":
        return pad(x, padding, -np.inf)
    return pad(x, padding, np.iinfo(x.dtype).min if x.dtype.kind in "iu" else 0)


@op
def max_pool2d_op(x: Array, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> Array:
    """The largest number of each window.

    TODO: pad x with `_pad_lowest`, list its views, and return the largest of them, element by element.
    Approach: np.maximum of the first and the last view makes a new array; compare the other views into it with `out=`.
    Example: the picture above gives [[4, 2], [9, 8]].
    x (..., H, W) -> (..., height, width), of the same dtype.
    """
    ### BEGIN SOLUTION
    views = kernel_views(_pad_lowest(x, padding), kernel, stride)
    y = np.maximum(views[0], views[-1])
    for view in views[1:-1]:
        np.maximum(y, view, out=y)
    return y
    ### END SOLUTION


def _max_pool2d_rule(
    g: Array, y: Array, x: Array, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Array:
    """The gradient of x: g at the first largest number of each window.

    TODO: for each view of x and the same view of total, add g where the view equals y and no earlier view did.
    Approach: `free` says where the maximum has not been met yet. hit = (view == y) & free; take the hits out of free;
    add g where hit to the view of total.
    Hint: `part += keep(g, hit)` with part a view of total; keep is module 06's g * hit, for infinite g too. Windows may
    overlap, so add, do not assign.
    """
    (top, left), (height, width) = padding, x.shape[-2:]
    x = pad(x, padding, np.nan)  # which equals nothing, so that no gradient goes to the padding
    total, free = np.zeros(x.shape, dtype=g.dtype), np.ones(y.shape, dtype=bool)
    ### BEGIN SOLUTION
    apart = stride[0] >= kernel[0] and stride[1] >= kernel[1]  # no pixel is in two windows: assigning saves a pass
    for view, part in zip(kernel_views(x, kernel, stride), kernel_views(total, kernel, stride), strict=True):
        hit = view == y
        hit &= free
        free ^= hit
        if apart:
            keep(g, hit, out=part)
        else:
            part += keep(g, hit)
    ### END SOLUTION
    return total[..., top : top + height, left : left + width] if top or left else total


defvjp(max_pool2d_op, _max_pool2d_rule)


# %%
#| export
def _pooled(op_: Any, x: Any, kernel_size: Any, stride: Any, padding: Any) -> Tensor:
    """Check the sizes and apply a pooling op."""
    x = as_tensor(x)
    kernel = _pair("kernel_size", kernel_size, 1)
    stride = kernel if stride is None else _pair("stride", stride, 1)
    padding = _pair("padding", padding, 0)
    if x.ndim not in (2, 3, 4):
        raise ValueError(f"pooling takes inputs of shape (H, W), (C, H, W) or (N, C, H, W), got {x.shape}")
    if padding[0] > kernel[0] // 2 or padding[1] > kernel[1] // 2:
        raise ValueError(
            f"padding {padding} is more than half of the window {kernel}: some windows would hold no pixel"
        )
    output_size(x.shape[-2:], kernel, stride, padding)  # explains a window that does not fit
    return apply(op_, x, kernel=kernel, stride=stride, padding=padding)


def max_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """The largest number of each window; x (..., H, W) with two to four axes -> (..., height, width), dtype kept.

    stride None means the window's own size. In the gradient of a tie, the first of the largest gets everything. Raises
    ValueError for a window that does not fit, and for padding of more than half of it.
    """
    return _pooled(max_pool2d_op, x, kernel_size, stride, padding)


class MaxPool2D(Module):
    """max_pool2d as a layer. `kernel_size` is PyTorch's word for `pool_size`."""

    def __init__(
        self, pool_size: Any = (2, 2), stride: Any = None, padding: Any = 0, *, kernel_size: Any = None
    ) -> None:
        """Remember the sizes."""
        self.pool_size = _pair("pool_size", pool_size if kernel_size is None else kernel_size, 1)
        self.stride = self.pool_size if stride is None else _pair("stride", stride, 1)
        self.padding = _pair("padding", padding, 0)

    def forward(self, x: Any) -> Tensor:
        """x (H, W), (C, H, W) or (N, C, H, W) -> the same with fewer rows and columns."""
        return max_pool2d(x, self.pool_size, self.stride, self.padding)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"pool_size={self.pool_size}, stride={self.stride}, padding={self.padding}"


MaxPool2d = MaxPool2D  # PyTorch's spelling


# %% nbgrader={"grade": true, "grade_id": "test-max-pool", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
_PICTURE = np.array([[1, 3, 2, 2], [4, 4, 0, 1], [9, 2, 5, 6], [5, 0, 7, 8]])


def test_unit_max_pool() -> None:
    """The largest number of each window; its gradient goes to the first of them."""
    assert MaxPool2D()(Tensor(_PICTURE, dtype=np.int64)).tolist() == [[4, 2], [9, 8]]
    assert MaxPool2D()(Tensor(_PICTURE, dtype=np.int64)).dtype == np.int64, "the dtype is kept"
    x = Tensor(_PICTURE, requires_grad=True)
    max_pool2d(x, 2).sum().backward()
    expected = [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    assert x.grad.tolist() == expected, x.grad.tolist()
    assert MaxPool2d(2)(Tensor(np.ones((2, 3, 5, 6)))).shape == (2, 3, 2, 3), (
        "a last row that fits no window is left out"
    )
    assert max_pool2d(Tensor(-_PICTURE), 2, padding=1)[0, 0].item() == -1.0, "padding never wins, not even at -1"
    values = np.random.default_rng(8).permutation(60).reshape(1, 2, 5, 6) / 10.0
    assert gradcheck(lambda x: max_pool2d(x, 3, stride=1, padding=1), values), "overlapping windows add up"
    assert "stride" in _refusal(lambda: max_pool2d(x, 2, stride=0))
    ### BEGIN HIDDEN TESTS
    assert gradcheck(lambda x: max_pool2d(x, (2, 3), stride=(1, 3)), values)
    assert gradcheck(lambda x: max_pool2d(x, (2, 3), stride=(2, 1)), values), "windows may overlap along one axis"
    windows = np.lib.stride_tricks.sliding_window_view(values, (3, 2), axis=(2, 3))[:, :, ::2]
    assert np.allclose(max_pool2d(Tensor(values), (3, 2), stride=(2, 1)).numpy(), windows.max(axis=(4, 5)))
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_max_pool()


# %% nbgrader={"grade": false, "grade_id": "avg-pool", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def avg_pool2d_op(x: Array, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> Array:
    """The mean of each window, padding included; of integers, rounded towards zero.

    TODO: add up the views of x, which is padded already. The division follows.
    Example: the picture above gives [[3, 1.25], [4, 6.5]].
    Hint: views[0].copy(), then `y += view` for the others.
    x (..., H, W) -> (..., height, width), of the same dtype.
    """
    whole = x.dtype.kind != "f"  # integers are added up in 64 bits: four bytes of 200 do not fit into one
    wide = np.int64 if whole else np.promote_types(x.dtype, np.float32)  # nor four numbers of 30,000 into float16
    dtype, x = x.dtype, pad(x.astype(wide, copy=False), padding)
    ### BEGIN SOLUTION
    views = kernel_views(x, kernel, stride)
    y = views[0].copy()
    for view in views[1:]:
        y += view
    ### END SOLUTION
    y = y / (kernel[0] * kernel[1])
    return (np.trunc(y) if whole else y).astype(dtype, copy=False)


def _avg_pool2d_rule(
    g: Array, y: Array, x: Array, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Array:
    """The gradient of x: an equal share of g for every number of the window.

    TODO: add g / (kh * kw) to every view of total.
    """
    (top, left), (height, width) = padding, x.shape[-2:]
    total = np.zeros((*x.shape[:-2], height + 2 * top, width + 2 * left), dtype=g.dtype)
    ### BEGIN SOLUTION
    share = g / (kernel[0] * kernel[1])
    for part in kernel_views(total, kernel, stride):
        part += share
    ### END SOLUTION
    return total[..., top : top + height, left : left + width]


defvjp(avg_pool2d_op, _avg_pool2d_rule)


def avg_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0) -> Tensor:
    """The mean of each window; x (..., H, W) with two to four axes -> (..., height, width), dtype kept.

    stride None means the window's own size. Zeros of the padding count in the mean. Raises ValueError for a window that
    does not fit, and for padding of more than half of it.
    """
    return _pooled(avg_pool2d_op, x, kernel_size, stride, padding)


class AvgPool2D(MaxPool2D):
    """avg_pool2d as a layer, with the sizes of MaxPool2D."""

    def forward(self, x: Any) -> Tensor:
        """x (H, W), (C, H, W) or (N, C, H, W) -> the same with fewer rows and columns."""
        return avg_pool2d(x, self.pool_size, self.stride, self.padding)


AvgPool2d = AvgPool2D  # PyTorch's spelling


# %% nbgrader={"grade": true, "grade_id": "test-avg-pool", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_avg_pool() -> None:
    """The mean of each window; every number of it gets an equal share of the gradient."""
    x = Tensor(_PICTURE, requires_grad=True)
    y = AvgPool2D()(x)
    assert y.tolist() == [[3.0, 1.25], [4.0, 6.5]] and y.dtype == np.float32
    y.sum().backward()
    assert x.grad.tolist() == [[0.25] * 4] * 4
    assert avg_pool2d(x, 2, padding=1)[0, 0].item() == 0.25, "zeros of the padding count: (0 + 0 + 0 + 1) / 4"
    assert AvgPool2d(3)(Tensor(np.ones((2, 3, 7, 6)))).shape == (2, 3, 2, 2)
    values = np.random.default_rng(9).normal(size=(2, 5, 6))
    assert gradcheck(lambda x: avg_pool2d(x, (3, 2), stride=(2, 1), padding=1), values)


if __name__ == "__main__":
    test_unit_avg_pool()

# %% [markdown]
# ## Step 9: from pictures to classes
#
# A convolutional network ends in a linear layer, which wants one row of numbers for each image. `flatten`, from module
# 03, folds channels, rows and columns into one axis. For CIFAR-10, colour images of 32x32 pixels in ten classes:
#
# ```
#                          shape          numbers   parameters
#   image                  (3, 32, 32)      3,072
#   Conv2D(3, 32, 3)       (32, 30, 30)    28,800          896     32 - 3 + 1 = 30
#   ReLU
#   MaxPool2D()            (32, 15, 15)     7,200                  30 / 2 = 15
#   Conv2D(32, 64, 3)      (64, 13, 13)    10,816       18,496     15 - 3 + 1 = 13
#   ReLU
#   MaxPool2D()            (64, 6, 6)       2,304                  13 / 2 = 6.5: the last row and column are left out
#   Flatten()              (2304,)          2,304
#   Linear(2304, 10)       (10,)               10       23,050
# ```
#
# Together 42,442 parameters. Each pooling halves the sides; the second convolution has twice the channels. More kinds
# of things are looked for, in fewer places.

# %%
#| export
flatten = (
    flatten_axes  # module 03's: (N, C, H, W) -> (N, C * H * W); offered here too, since every such network ends in it
)


# %% nbgrader={"grade": false, "grade_id": "cifar-network", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cifar_network() -> Sequential:
    """The network drawn above.

    TODO: a Sequential of its eight layers.
    Hint: `Flatten()` is module 03's layer around flatten.
    (N, 3, 32, 32) -> (N, 10).
    """
    ### BEGIN SOLUTION
    body = [Conv2D(3, 32, 3), ReLU(), MaxPool2D(), Conv2D(32, 64, 3), ReLU(), MaxPool2D()]
    return Sequential(*body, Flatten(), Linear(2304, 10))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-cifar-network", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
def test_unit_cifar_network() -> None:
    """The shapes are those of the drawing, flattening keeps the order of the numbers, and parameters add up."""
    net = cifar_network()
    x = Tensor(np.random.default_rng(0).normal(size=(2, 3, 32, 32)))
    shapes = []
    for layer in net:
        x = layer(x)
        shapes.append(x.shape[1:])
    drawn = [(32, 30, 30), (32, 30, 30), (32, 15, 15), (64, 13, 13), (64, 13, 13), (64, 6, 6), (2304,), (10,)]
    assert shapes == drawn, shapes
    assert x.shape == (2, 10), "the batch stays the first axis"
    assert sum(parameter.size for parameter in net.parameters()) == 42_442
    maps = Tensor(np.arange(48).reshape(2, 2, 3, 4))
    assert flatten(maps).tolist() == [list(range(24)), list(range(24, 48))], "channel by channel, row by row"
    assert all(parameter.grad is None for parameter in net.parameters())


if __name__ == "__main__":
    test_unit_cifar_network()

# %% [markdown]
# ## Step 10: count before you run
#
# Worked for `Conv2D(1, 6, (5, 5))` on one grey image of 28x28, the first layer of many digit readers:
#
# ```
#   parameters      6 * 1 * 5 * 5 + 6                   =     156
#   output          6 * 24 * 24                         =   3,456 numbers, 13,824 bytes
#   product FLOPs   2 * (1 * 5 * 5) for each output     = 172,800
#   bias FLOPs      1 for each output                   =   3,456
#   patches         (1 * 5 * 5) * (24 * 24) numbers     =  57,600 bytes
# ```
#
# **Your turn**, on paper: `Conv2D(3, 64, (3, 3))` on one colour image of 32x32, no padding, float32. Count the same
# five, and, as a sixth, the weights (no biases) of a linear layer between the same input and output: every input number
# to every output number.


# %% nbgrader={"grade": false, "grade_id": "count-convolution", "locked": false, "schema_version": 3, "solution": true, "task": false}
def count_convolution() -> dict[str, int]:
    """The counts of Conv2D(3, 64, (3, 3)) on one image of 32x32.

    TODO: assign your six numbers to parameters, output_bytes, product_flops, bias_flops, patch_bytes, linear_weights.
    Example: for Conv2D(1, 6, (5, 5)) on 28x28 they are 156, 13824, 172800, 3456, 57600 and 784 * 3456 = 2709504.
    """
    ### BEGIN SOLUTION
    outputs = 64 * 30 * 30
    parameters = 64 * 3 * 3 * 3 + 64
    output_bytes = 4 * outputs
    product_flops = 2 * 27 * outputs
    bias_flops = outputs
    patch_bytes = 4 * 27 * 30 * 30
    linear_weights = 3 * 32 * 32 * outputs
    ### END SOLUTION
    counts = {"parameters": parameters, "output_bytes": output_bytes, "product_flops": product_flops}
    return {**counts, "bias_flops": bias_flops, "patch_bytes": patch_bytes, "linear_weights": linear_weights}


# %% nbgrader={"grade": true, "grade_id": "test-count-convolution", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
def test_unit_count_convolution() -> None:
    """The numbers on paper are those of the real layer."""
    counts = count_convolution()
    layer, x = Conv2D(3, 64, (3, 3)), np.ones((1, 3, 32, 32), dtype=np.float32)
    y = layer(Tensor(x)).numpy()
    assert counts["parameters"] == sum(p.size for p in layer.parameters()), "parameters: weights and biases"
    assert counts["output_bytes"] == y.nbytes, "output_bytes: 4 for each of 64 * 30 * 30 numbers"
    assert counts["product_flops"] == 2 * layer.weight[0].size * y.size, "product_flops: 2 * 27 for each output number"
    assert counts["bias_flops"] == y.size, "bias_flops: 1 for each output number"
    _, patches = next(patch_blocks(x, (3, 3), (1, 1)))
    assert counts["patch_bytes"] == patches.nbytes, "patch_bytes: 27 rows of 900 numbers"
    assert counts["linear_weights"] == x.size * y.size, "linear_weights: 3,072 inputs times 57,600 outputs"


if __name__ == "__main__":
    test_unit_count_convolution()

# %% [markdown]
# The linear layer would need nearly 100,000 times the parameters. Double the sides of the image, and it needs 17 times as
# many as before, for 4 times the inputs and 62 * 62 / (30 * 30) = 4.3 times the outputs. The convolution keeps its 1,792,
# and takes 4.3 times the FLOPs.
#
# ## Step 11: a profiler for convolutions
#
# Two questions come up whenever such a network is designed: what does another kernel size cost, and where does the
# memory go as images grow? The profiler answers both by running real layers and counting real bytes. MB are 10^6 bytes.


# %% nbgrader={"grade": false, "grade_id": "profiler", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class ConvolutionProfiler:
    """What convolutions cost: time, FLOPs and bytes by kernel size, and bytes by image size.

    Every method returns what it found and, unless the profiler was made with show=False, prints a table.
    """

    def __init__(self, show: bool = True, repeats: int = 5) -> None:
        """Remember whether to print, and how often to run what is timed."""
        self.show = show
        self.repeats = repeats

    def _with_kernel(self, layer: Module, size: tuple[int, int]) -> Module:
        """A layer like this one, but with kernels of another size."""
        if isinstance(layer, SimpleConv2D):
            return SimpleConv2D(size)
        if isinstance(layer, Conv2D):
            channels = (layer.in_channels, layer.out_channels)
            return Conv2D(*channels, size, layer.stride, layer.padding, layer.bias is not None)
        raise TypeError(f"the profiler knows Conv2D and SimpleConv2D, this is a {type(layer).__name__}")

    def _measure(self, layer: Module, x: Tensor) -> dict[str, Any]:
        """Run a layer on x, and count.

        TODO: fill in the dictionary below.
        Approach: y = layer(x) shows the output. `flops` is 2 for each MAC, and every output number takes as many MACs
        as `kernel` has weights; `bias_flops` is 1 for each output number, or 0 without a bias. `parameters` counts
        weights and biases. `total_memory_mb` is input, output and parameters, from nbytes. `time_ms` comes from
        `_seconds(work, self.repeats)`; `throughput_mflops` is flops and bias_flops, in millions, for each second.
        Example: Conv2D(3, 64, 3) on one 32x32 image has 3,110,400 flops, 57,600 bias_flops, 1,792 parameters.
        """
        y = layer(x)
        counts: dict[str, Any] = {"kernel_size": layer.kernel_size, "output_shape": y.shape}
        parameters = layer.parameters()
        kernel = layer.kernel if isinstance(layer, SimpleConv2D) else layer.weight[0]
        ### BEGIN SOLUTION
        counts["flops"] = 2 * kernel.size * y.size
        counts["bias_flops"] = y.size if len(parameters) > 1 else 0
        counts["parameters"] = sum(parameter.size for parameter in parameters)
        counts["total_memory_mb"] = sum(each.numpy().nbytes for each in (x, y, *parameters)) / 1e6
        seconds = _seconds(lambda: layer(x), self.repeats)
        counts["time_ms"] = seconds * 1e3
        counts["throughput_mflops"] = (counts["flops"] + counts["bias_flops"]) / 1e6 / seconds
        ### END SOLUTION
        return counts

    def profile_convolution_operation(
        self, conv_layer: Module, input_tensor: Any, kernel_sizes: Sequence[Any] = ((3, 3), (5, 5), (7, 7))
    ) -> dict[str, Any]:
        """Time a convolution of each kernel size, with the channels, stride and padding of conv_layer.

        Returns detailed_results, by '3x3': time_ms, throughput_mflops, total_memory_mb, flops, bias_flops, parameters;
        analysis, a dictionary of comparisons; recommendations, a list of sentences.
        """
        x = as_tensor(input_tensor)
        sizes = [_pair("kernel_size", size, 1) for size in kernel_sizes]
        if not sizes:
            raise ValueError("kernel_sizes is empty: give at least one, such as [(3, 3), (5, 5)]")
        results = {f"{kh}x{kw}": self._measure(self._with_kernel(conv_layer, (kh, kw)), x) for kh, kw in sizes}
        rows = [["kernel", "parameters", "MFLOPs", "MB", "ms", "MFLOP/s"]]
        for name, found in results.items():
            shown = [f"{found['flops'] / 1e6:.2f}", f"{found['total_memory_mb']:.3f}", f"{found['time_ms']:.3f}"]
            rows.append([name, f"{found['parameters']:,}", *shown, f"{found['throughput_mflops']:,.0f}"])
        self._show(f"Kernel sizes on an input of {x.shape}", rows)
        return {"detailed_results": results, **self._conclude(results)}

    def _conclude(self, results: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """Which kernel size is fastest and slowest, how far they are apart, and what follows."""
        by_time = sorted(results, key=lambda name: results[name]["time_ms"])
        fast, slow = by_time[0], by_time[-1]
        ratios = {key: results[slow][key] / results[fast][key] for key in ("time_ms", "flops", "parameters")}
        analysis = {"fastest": fast, "slowest": slow, **{f"{key}_ratio": ratio for key, ratio in ratios.items()}}
        lines = [
            f"{slow} takes {ratios['time_ms']:.1f} times as long as {fast} for {ratios['flops']:.1f} times the FLOPs: "
            f"use {fast} unless a wider view is worth it."
        ]
        for name, (kh, kw) in ((name, found["kernel_size"]) for name, found in results.items()):
            if kh == kw and kh > 3 and kh % 2:
                lines.append(
                    f"{kh // 2} layers of 3x3 see as far as one of {name}, with {9 * (kh // 2)} weights for each pair "
                    f"of channels in place of {kh * kw}."
                )
        return {"analysis": analysis, "recommendations": lines}

    def analyze_memory_patterns(
        self, input_sizes: Sequence[Any] = ((32, 32), (64, 64), (128, 128)), conv_layer: Any = None
    ) -> list[dict[str, Any]]:
        """The bytes that one image takes on its way through a convolution, Conv2D(3, 16, 3) unless another is given.

        Returns for each size a dictionary: input_size, input_memory_mb, output_memory_mb, parameter_memory_mb and
        total_memory_mb, all from real arrays.
        """
        layer = Conv2D(3, 16, 3) if conv_layer is None else conv_layer
        leading = () if isinstance(layer, SimpleConv2D) else (1, layer.in_channels)
        rows, found = [["image", "input MB", "output MB", "parameters MB", "total MB"]], []
        for size in (_pair("input_size", each, 1) for each in input_sizes):
            x = zeros(*leading, *size)
            weights = sum(parameter.numpy().nbytes for parameter in layer.parameters())
            sizes = [x.numpy().nbytes / 1e6, layer(x).numpy().nbytes / 1e6, weights / 1e6]
            sizes.append(sum(sizes))
            keys = ("input_memory_mb", "output_memory_mb", "parameter_memory_mb", "total_memory_mb")
            found.append({"input_size": size, **dict(zip(keys, sizes, strict=True))})
            rows.append([f"{size[0]}x{size[1]}", *(f"{each:.4f}" for each in sizes)])
        self._show(f"Bytes of one image through {layer!r}", rows)
        return found

    def _show(self, title: str, rows: list[list[str]]) -> None:
        if self.show:
            _table(title, rows)


# %% nbgrader={"grade": true, "grade_id": "test-profiler", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
def test_unit_profiler() -> None:
    """The profiler runs a layer of every kernel size, and counts what real arrays hold."""
    profiler = ConvolutionProfiler(show=False)
    x = Tensor(np.ones((1, 3, 32, 32)))
    found = profiler.profile_convolution_operation(Conv2D(3, 64, (3, 3)), x, kernel_sizes=[(3, 3), (5, 5)])
    small, large = (found["detailed_results"][name] for name in ("3x3", "5x5"))
    assert small["flops"] == 3_110_400 and small["bias_flops"] == 57_600 and small["parameters"] == 1_792
    assert large["flops"] == 2 * 75 * 64 * 28 * 28 and large["parameters"] == 75 * 64 + 64, "5x5 is really run as 5x5"
    assert small["total_memory_mb"] == (4 * 3_072 + 4 * 57_600 + 4 * 1_792) / 1e6
    for each in (small, large):
        rate = (each["flops"] + each["bias_flops"]) / 1e6 / (each["time_ms"] / 1e3)
        assert each["time_ms"] > 0 and math.isclose(each["throughput_mflops"], rate)
    assert found["analysis"]["fastest"] in ("3x3", "5x5") and found["recommendations"]
    sizes = profiler.analyze_memory_patterns([(32, 32), (64, 48)])
    assert [each["input_size"] for each in sizes] == [(32, 32), (64, 48)]
    assert sizes[1]["input_memory_mb"] == 4 * 3 * 64 * 48 / 1e6
    assert sizes[1]["output_memory_mb"] == 4 * 16 * 62 * 46 / 1e6
    one = profiler.profile_convolution_operation(SimpleConv2D(2), Tensor(np.ones((8, 8))), kernel_sizes=[2])
    assert one["detailed_results"]["2x2"]["flops"] == 2 * 4 * 49
    assert one["detailed_results"]["2x2"]["bias_flops"] == 0
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        ConvolutionProfiler().analyze_memory_patterns([8])
    assert "8x8" in printed.getvalue()


if __name__ == "__main__":
    test_unit_profiler()

# %% [markdown]
# `Conv2D(16, 16, 3)` on 64x64 images against the same with 7x7 kernels: 49 / 9 = 5.4 times the weights. How many times
# the time? And which is larger when a 128x128 image passes `Conv2D(3, 16, 3)`, the bytes of its output or those of its
# input, by which factor? write your guess: ___


# %%
def analyze_kernels_and_images() -> None:
    """Print time by kernel size and bytes by image size."""
    manual_seed(0)
    profiler = ConvolutionProfiler()
    found = profiler.profile_convolution_operation(Conv2D(16, 16, 3), Tensor(np.ones((1, 16, 64, 64))))
    print(*found["recommendations"], "", sep="\n")
    profiler.analyze_memory_patterns()


if __name__ == "__main__":
    analyze_kernels_and_images()

# %% [markdown]
# The 7x7 kernels have 5.4 times the weights and 4.8 times the FLOPs, since they fit into fewer places. Time grows by
# more, 5 to 8 times where these lines were written: the patches of an image are 10.5 MB in place of 2.2 and leave the
# cache before the product reads them. The output of `Conv2D(3, 16, 3)` has 16 channels where the input has 3, so it is
# about 5 times as large, while its parameters take 1,792 bytes at every size. In a convolutional network the memory is in
# the activations, in a network of linear layers it is in the weights.
#
# ## All together
#
# Pictures of 6x6 with one bar, upright or lying, at any place, and some noise. A linear layer would have to learn every
# place by itself. A convolution with two kernels, a maximum over the picture, and a linear layer with two inputs can
# tell them apart. 23 parameters, trained with plain steps against the gradient.


# %% nbgrader={"grade": true, "grade_id": "test-module-spatial", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
def _bars(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy 6x6 pictures of one bar each, (count, 1, 6, 6), and +1 for upright or -1 for lying, (count, 1)."""
    generator = np.random.default_rng(seed)
    pictures = generator.normal(scale=0.1, size=(count, 1, 6, 6))
    upright = generator.integers(2, size=count)
    for picture, up, place in zip(pictures[:, 0], upright, generator.integers(6, size=count), strict=True):
        (picture.T if up else picture)[place] += 1
    return Tensor(pictures), Tensor(2.0 * upright[:, None] - 1)


def test_module_spatial() -> None:
    """Convolution, pooling, flattening and a linear layer learn to tell upright bars from lying ones, at any place."""
    manual_seed(1)
    net = Sequential(Conv2D(1, 2, 3, padding=1), MaxPool2D((6, 6)), Flatten(), Linear(2, 1))
    assert sum(parameter.size for parameter in net.parameters()) == 2 * 9 + 2 + 2 + 1
    x, target = _bars(64, seed=2)
    losses = []
    for _ in range(60):
        net.zero_grad()
        loss = ((net(x) - target) ** 2).mean()
        loss.backward()
        losses.append(loss.item())
        for parameter in net.parameters():
            assert parameter.grad is not None and np.isfinite(parameter.grad).all()
            parameter.numpy()[...] -= 0.1 * parameter.grad
    assert losses[-1] < 0.3 * losses[0], f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f}"
    fresh, truth = _bars(200, seed=3)
    right = float((np.sign(net.eval()(fresh).numpy()) == truth.numpy()).mean())
    assert right > 0.9, f"{right:.0%} of new pictures are told right"


if __name__ == "__main__":
    test_module_spatial()

# %% [markdown]
# ## Reflection 1: what sharing weights assumes (10 points)
#
# A team replaces the first layer of a network for 32x32 colour images, `Linear(3072, 57600)`, by `Conv2D(3, 64, 3)`,
# which has as many outputs. Compare weights and FLOPs of the two. Then say what the convolution assumes about images,
# what happens to its output when the image moves by one pixel, and name data for which the assumption is wrong. Write
# 150 to 300 words.
#
# - (3 points) right counts for both, weights and FLOPs
# - (3 points) nearby pixels belong together, and the same thing can be anywhere: locality and shared weights
# - (2 points) the output moves with the image; pooling then makes small moves matter less
# - (2 points) data that breaks the assumption, with the reason

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-sharing", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# The linear layer has 3,072 * 57,600 = 176,947,200 weights, 708 MB in float32, and needs 353,894,400 FLOPs for an
# image. The convolution has 1,728 weights, 6,912 bytes, and needs 2 * 27 * 57,600 = 3,110,400 FLOPs. So it has 102,400
# times fewer weights but only about 114 times fewer FLOPs: each weight is used at 900 positions, while in the linear
# layer each is used once for an image.
#
# Two assumptions are built in. First, an output depends on 3x3 neighbouring pixels only, so what belongs together is
# near together. Second, the same 27 weights are used everywhere, so what is worth finding in one corner is worth
# finding in every other. A linear layer could learn both, but would need examples of every thing at every place.
#
# When the image moves by one pixel, the output moves by one pixel and is otherwise the same, apart from the border. The
# class should not depend on the place at all. Max pooling helps: a move inside a window changes nothing. With windows
# of 2x2 a move by one pixel can still change half of the maxima, so the network is only roughly indifferent to moves,
# and a stride makes that worse.
#
# The assumption fails when place carries meaning. A table with age in column 0 and income in column 1 has no
# neighbourhoods: swapping two columns changes nothing about the data but everything for a convolution. Faces that are
# always cropped alike are a milder case: the eyes are always at the top, and separate weights for each region could use
# that.

# %% [markdown]
# ## Reflection 2: what patches cost (10 points)
#
# Your convolution copies pixels into patches, some images at a time. For `Conv2D(64, 64, 3, padding=1)` on a batch of
# 32 images of 56x56, work out the bytes of the input and of all patches, and the bytes of the patches of one image.
# Explain why copying pays all the same, what the blocks change, and what it would cost to keep the patches for the
# backward pass instead of gathering them again. Write 150 to 300 words.
#
# - (3 points) right bytes for input, all patches, one image
# - (3 points) why copies pay: one large product, memory read in order, against many small steps
# - (2 points) blocks: bounded memory, patches that are still in the cache when the product reads them
# - (2 points) keeping against gathering again: bytes held against copies made twice

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-patches", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# The input has 32 * 64 * 56 * 56 = 6,422,528 numbers, 25,690,112 bytes. With padding 1 there are as many positions as
# pixels, and each position takes 9 pixels from every channel, so all patches are nine times that: 231,211,008 bytes.
# One image takes 64 * 9 * 3,136 * 4 = 7,225,344 bytes.
#
# Copying pays because of what follows it. The product of a (64, 576) and a (576, 3136) matrix is 231,211,008 FLOPs in
# one call of a library that keeps blocks of both matrices in the cache and multiplies several numbers at once. Each
# copied number is used 64 times, once for each output channel, so copying is a small part of the work. Without patches
# the same arithmetic would be many small steps, each with its own price. With one output channel and one input channel
# copying would not pay: the copies would be as many as the multiplications.
#
# Blocks bound the extra memory. One buffer is used again and again, so the convolution of a thousand images needs no
# more of it than that of a few, and the patches just written are, as far as the cache is large enough, still in it when
# the product reads them. Here one image is already larger than 4 MB, so a block is one image.
#
# The backward pass needs the patches again for the weights' gradient. Keeping them would hold 231 MB for this one layer
# from its forward to its backward pass, in addition to the input of 26 MB, which is held anyway. Gathering again costs
# a second round of copies, a few hundredths to a tenth of the layer's time. In a network of ten such layers, 2.3 GB are
# the worse price.

# %% [markdown]
# ## Reflection 3: seeing further (10 points)
#
# A network must see 7x7 pixels around each position. Compare one `Conv2D(64, 64, 7)` with three `Conv2D(64, 64, 3)` in
# a chain, with ReLU between them, on an input of 64x64 without padding: weights, product FLOPs, activations that must
# be kept for the backward pass. Say which you would choose for a phone, and how pooling or a stride changes the answer.
# Write 150 to 300 words.
#
# - (3 points) right weights and FLOPs for both
# - (3 points) activations: three outputs in place of one, and why they are kept
# - (2 points) a choice for the phone with a reason, including that three layers can compute more than one
# - (2 points) pooling or stride: a wider view for less, and what is lost

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-view", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# One 7x7 layer has 64 * 64 * 49 = 200,704 weights. Three 3x3 layers have 3 * 64 * 64 * 9 = 110,592, 55% of that. Both
# turn 64x64 pixels into 58x58: the small ones pass through 62x62 and 60x60.
#
# FLOPs are 2 for each weight and position. The large layer: 2 * 200,704 * 3,364 = 1,350,336,512. The small ones: 2 *
# 36,864 * (3,844 + 3,600 + 3,364) = 796,852,224, 59% of that.
#
# In training the input of every layer must be kept, since the gradient of its weights is made of it. The large layer
# leaves one output of 64 * 3,364 = 215,296 numbers, 861,184 bytes an image. The small ones leave 64 * 10,808 = 691,712
# numbers, 2,766,848 bytes, and the results of the ReLUs between them come on top. So three small layers need fewer
# weights and FLOPs, and more than three times the memory for activations in training.
#
# A phone only runs the network. It keeps each activation until the next layer has used it, so the memory argument
# disappears, and I would choose the three small layers: fewer bytes of weights to read, fewer FLOPs, and two ReLUs
# more, so that they can compute functions that one layer cannot. Their price is three steps that must wait for each
# other.
#
# After a pooling of 2x2, a 3x3 kernel covers 6x6 of the original pixels, and a layer has a quarter of the positions.
# The view then grows by a factor with each pooling, not by two pixels with each layer. What is lost is where exactly
# things were, which matters little for a class and much for drawing an outline.

# %% [markdown]
# ## Summary
#
# You built
#
# - `conv2d_naive`, four loops, and `SimpleConv2D`, the same loops turned inside out so that a kernel can be learned;
# - `conv2d` and `Conv2D`: patches gathered into a matrix, one product, three gradients;
# - `max_pool2d`, `avg_pool2d` and their layers;
# - a network for CIFAR-10, counted by hand, and `ConvolutionProfiler`, which counts and times.
#
# You can now train networks that see. Module 11 turns to text: how characters become the numbers a network can read.
#
# next: `tito module test 10_spatial`, then `tito module complete 10_spatial`
