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
# # 09 Normalization: keeping numbers the size they should be
#
# This module builds on tensors (01), layers (03) and automatic differentiation (06). A deep network multiplies its
# numbers by one weight matrix after another. If each makes them a little smaller, nothing is left after fifty; if each
# makes them a little larger, they overflow.
#
# After this module you can
#
# - choose the size of the first weights so that numbers keep their size, with four well-known rules;
# - normalize a batch, and say why training and evaluation must differ;
# - derive the gradient of a normalization, and check it;
# - build BatchNorm, LayerNorm and RMSNorm, and say which fits where and what each costs.
#
# **Build** four initialisers and three normalizations. **Use** them to carry numbers through fifty layers. **Reflect**
# on statistics that a layer remembers.
#
# **Systems reality check.** Networks for images mostly use BatchNorm, and at inference it is folded into the layer
# before it, so it costs nothing. Language models use LayerNorm or RMSNorm in every block, on every token, where it is
# a few passes over memory, so libraries run it as one fused operation, as you will.

# %%
#| default_exp core.normalization
#| export
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.core.autograd import defvjp_all
from tinytorch.core.layers import Module
from tinytorch.core.tensor import Array, Op, Parameter, Tensor, apply, as_tensor, ones, op, rand, randn, zeros


# %%
#| export
def _floating(x: Any) -> Tensor:
    """A Tensor of floats; integers become float32."""
    x = as_tensor(x)
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _checked_eps(eps: float) -> float:
    if not 0 <= eps < math.inf:
        raise ValueError(f"eps is added to a variance, and must be a number from 0 on, got {eps!r}")
    return eps


# %%
import time
from collections.abc import Callable

from tinytorch.core.activations import ReLU
from tinytorch.core.autograd import gradcheck, no_grad
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.tensor import manual_seed, observe_ops

# %% [markdown]
# ## Step 1: how large should the first weights be?
#
# An output of a layer is a sum of `n` products of an input and a weight, where `n`, the **fan-in**, is the number of
# inputs that one output looks at. If inputs have mean square 1 and weights have mean 0 and standard deviation `s`, the
# output has mean square `n * s * s`. By hand for n = 100:
#
# ```
#   s = 0.05     100 * 0.0025 = 0.25     after 50 layers  0.25^50 = 8e-31
#   s = 0.1      100 * 0.01   = 1        after 50 layers  1
#   s = 0.2      100 * 0.04   = 4        after 50 layers  4^50    = 1e30
# ```
#
# So `s = sqrt(1 / fan_in)`: Yann LeCun's rule. A ReLU behind the layer sets half of the numbers to zero and so halves
# the mean square; Kaiming He's rule makes up for that, `s = sqrt(2 / fan_in)`. Going backward, a gradient is a sum over
# the outputs that an input reaches, the **fan-out**. Xavier Glorot's rule is a compromise between both directions, `s =
# sqrt(2 / (fan_in + fan_out))`. Numbers spread evenly from -a to a have variance `a * a / 3`, so the even form of a
# rule has `a = s * sqrt(3)`.
#
# | rule | standard deviation | for (300, 100) |
# |---|---|---|
# | LeCun | sqrt(1 / fan_in) | 0.0577 |
# | He | sqrt(2 / fan_in) | 0.0816 |
# | Xavier | sqrt(2 / (fan_in + fan_out)) | 0.0707 |
#
# Our `Linear` keeps its weight as (in, out), so for two axes fan-in is the first. A convolution (module 10) keeps (out,
# in, rows, columns): one output looks at in * rows * columns numbers, and one input reaches out * rows * columns.


# %% nbgrader={"grade": false, "grade_id": "initialisers", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Fan-in and fan-out of a weight of this shape: (in, out), or (out, in, ...) for a convolution.

    TODO: return the two numbers for two axes, and for three or more.
    Example: (300, 100) has fans 300 and 100; (64, 3, 5, 5) has 3 * 25 = 75 and 64 * 25 = 1600.
    Hint: math.prod(shape[2:]) is the number of places in a kernel.
    """
    if len(shape) < 2:
        raise ValueError(f"a weight of shape {tuple(shape)} has no fan-in and fan-out: it needs two axes or more")
    ### BEGIN SOLUTION
    if len(shape) == 2:
        return shape[0], shape[1]
    places = math.prod(shape[2:])
    return shape[1] * places, shape[0] * places
    ### END SOLUTION


def _shape(given: tuple[Any, ...]) -> tuple[int, ...]:
    """he_normal(300, 100) and he_normal((300, 100)) mean the same."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], tuple | list) else given


def xavier_normal(*shape: Any, gain: float = 1.0) -> Tensor:
    """Normal numbers of standard deviation gain * sqrt(2 / (fan_in + fan_out)), of a shape with two axes or more.

    TODO: randn of the shape, times the standard deviation.
    """
    shape = _shape(shape)
    ### BEGIN SOLUTION
    return randn(*shape) * (gain * math.sqrt(2 / sum(fans(shape))))
    ### END SOLUTION


def xavier_uniform(*shape: Any, gain: float = 1.0) -> Tensor:
    """Evenly distributed numbers from -a to a, a = gain * sqrt(6 / (fan_in + fan_out)): xavier_normal's variance.

    TODO: stretch rand, which is even from 0 to 1, to the range from -a to a.
    """
    shape = _shape(shape)
    ### BEGIN SOLUTION
    return (rand(*shape) * 2 - 1) * (gain * math.sqrt(6 / sum(fans(shape))))
    ### END SOLUTION


def he_normal(*shape: Any, mode: str = "fan_in") -> Tensor:
    """Normal numbers of standard deviation sqrt(2 / fan), for layers before a ReLU; mode is "fan_in" or "fan_out".

    TODO: choose the fan, then as above.
    """
    shape = _shape(shape)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', got {mode!r}")
    ### BEGIN SOLUTION
    return randn(*shape) * math.sqrt(2 / fans(shape)[mode == "fan_out"])
    ### END SOLUTION


def lecun_normal(*shape: Any) -> Tensor:
    """Normal numbers of standard deviation sqrt(1 / fan_in), of a shape with two axes or more.

    TODO: as above.
    """
    shape = _shape(shape)
    ### BEGIN SOLUTION
    return randn(*shape) * math.sqrt(1 / fans(shape)[0])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-initialisers", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def _refusal(work: Any) -> str:
    """The message of the ValueError that work raises; the test fails if none comes."""
    try:
        work()
    except ValueError as error:
        return str(error)
    raise AssertionError("a ValueError should have been raised here, one that says what does not fit")


def test_unit_initialisers() -> None:
    """Fans are counted for both layouts, and every rule has its spread."""
    assert fans((300, 100)) == (300, 100), "Linear keeps (in, out)"
    assert fans((64, 3, 5, 5)) == (75, 1600), "a convolution keeps (out, in, rows, columns)"
    manual_seed(9)
    rules = {xavier_normal: 2 / 400, xavier_uniform: 2 / 400, he_normal: 2 / 300, lecun_normal: 1 / 300}
    for rule, variance in rules.items():
        numbers = rule(300, 100).numpy()
        assert numbers.shape == (300, 100) and numbers.dtype == np.float32
        assert abs(numbers.var() / variance - 1) < 0.05, f"{rule.__name__}: the variance is {numbers.var():.5f}"
        assert abs(numbers.mean()) < 0.002, f"{rule.__name__}: the mean is {numbers.mean():.5f}"
    limit = math.sqrt(6 / 400)
    even = np.abs(xavier_uniform((300, 100)).numpy())
    assert even.max() <= limit and even.max() > 0.99 * limit, "even numbers end at sqrt(6 / (fan_in + fan_out))"
    assert abs(he_normal(300, 100, mode="fan_out").numpy().var() / (2 / 100) - 1) < 0.05
    assert abs(lecun_normal(100, 30, 3, 3).numpy().var() * 270 - 1) < 0.05
    assert "(10,)" in _refusal(lambda: he_normal(10))


if __name__ == "__main__":
    test_unit_initialisers()

# %% [markdown]
# ## Step 2: normalize a batch
#
# Right first weights hold only until training changes them. Batch normalization measures instead: for every feature, it
# takes the mean and the variance over the batch, subtracts the one and divides by the root of the other. By hand, for
# one feature and a batch of four:
#
# ```
#   x          2        4     4     6        mean 4
#   x - 4     -2        0     0     2        variance (4 + 0 + 0 + 4) / 4 = 2
#   x_hat     -1.4142   0     0     1.4142   divided by sqrt(2) = 1.4142
# ```
#
# Then each feature is multiplied by a `weight` and gets a `bias` added, both learned, so that the layer can have any
# scale it needs: `y = x_hat * weight + bias`. A small `eps`, 1e-5, is added to the variance, in case a feature is the
# same in the whole batch.
#
# A picture has many pixels for each channel. All pixels of all images of the batch are values of that channel, so for
# inputs (N, C, ...) the statistics run over every axis but axis 1.
#
# We write the normalization as one op. It is given the statistics, so that evaluation can give it others.
# `_per_feature`, which is given, reshapes numbers of shape (C,) so that they stand beside axis 1.


# %% nbgrader={"grade": false, "grade_id": "batch-norm-op", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _per_feature(values: Array, x: Array) -> Array:
    """Numbers (C,) as (C, 1, ...), to be combined with x (N, C, ...)."""
    return values.reshape(-1, *(1,) * (x.ndim - 2))


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and variance of each feature over the batch.

    TODO: the mean over all axes but axis 1, then the mean squared distance from it.
    Approach: reshape x to (N, C, the rest); subtract the mean as a column; np.einsum("ncl,ncl->c", d, d) adds up
    squares without an array of them; divide by the count of values of a feature.
    Example: [[2], [4], [4], [6]] gives [4] and [2].
    x (N, C, ...) -> two arrays (C,) of the dtype of x.
    """
    flat = x.reshape(len(x), x.shape[1], math.prod(x.shape[2:]))
    ### BEGIN SOLUTION
    mean = flat.mean(axis=(0, 2))
    away = flat - mean[:, None]
    return mean, np.einsum("ncl,ncl->c", away, away) / flat.dtype.type(flat.shape[0] * flat.shape[2])
    ### END SOLUTION


@op
def batch_norm_op(x: Array, *affine: Array, mean: Array, var: Array, eps: float, fixed: bool) -> Array:
    """Each feature minus its mean, divided by sqrt(var + eps); then times weight and plus bias, if affine holds these
    two.

    TODO: compute it in place in one new array.
    Approach: y = x - mean, with the mean reshaped by _per_feature; multiply y by 1 / sqrt(var + eps), or by weight /
    sqrt(var + eps) when there is a weight: a product of C numbers, not of all; add the bias.
    Example: [[2], [4], [4], [6]] with mean 4 and variance 2 gives -1.4142, 0, 0, 1.4142.
    x (N, C, ...), the others (C,) -> the shape of x. `fixed` matters in the gradient only.
    """
    ### BEGIN SOLUTION
    scale = 1 / np.sqrt(var + eps)
    y = x - _per_feature(mean, x)
    y *= _per_feature(scale * affine[0] if affine else scale, x)
    if affine:
        y += _per_feature(affine[1], x)
    return y
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-batch-norm-op", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_batch_norm_op() -> None:
    """The numbers are those worked by hand, for each channel by itself, over batch and pixels."""
    x = np.array([[2.0], [4.0], [4.0], [6.0]])
    mean, var = batch_statistics(x)
    assert mean.tolist() == [4.0] and var.tolist() == [2.0], (mean, var)
    y = batch_norm_op.forward(x, mean=mean, var=var, eps=0.0, fixed=False)
    assert np.allclose(y[:, 0], [-math.sqrt(2), 0, 0, math.sqrt(2)]), y
    y = batch_norm_op.forward(x, np.array([10.0]), np.array([1.0]), mean=mean, var=var, eps=0.0, fixed=False)
    assert np.allclose(y[:, 0], [1 - 10 * math.sqrt(2), 1, 1, 1 + 10 * math.sqrt(2)]), "weight, then bias"
    assert x.tolist() == [[2.0], [4.0], [4.0], [6.0]], "the input must not change"
    pictures = np.random.default_rng(1).normal(3.0, 2.0, size=(4, 3, 5, 6))
    pictures[:, 1] *= 100
    mean, var = batch_statistics(pictures)
    assert mean.shape == var.shape == (3,)
    assert batch_statistics(np.float32(pictures))[1].dtype == np.float32, "float32 stays float32"
    y = batch_norm_op.forward(pictures, mean=mean, var=var, eps=1e-5, fixed=False)
    assert np.allclose(y.mean(axis=(0, 2, 3)), 0) and np.allclose(y.var(axis=(0, 2, 3)), 1, atol=1e-4)
    ### BEGIN HIDDEN TESTS
    far = np.random.default_rng(2).normal(1000.0, 0.1, size=(500, 2)).astype(np.float32)
    assert np.allclose(batch_statistics(far)[1], far.astype(np.float64).var(axis=0), rtol=1e-3), (
        "subtract before squaring"
    )
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_batch_norm_op()

# %% [markdown]
# ## Step 3: the gradient of a normalization
#
# Mean and variance depend on x, so a change of one value moves them too, and with them every other output. Work it
# through and three terms are left. With `g` the gradient of x_hat, and means over the same values as the statistics:
#
# ```
#   gradient of x = ( g  -  mean(g)  -  x_hat * mean(g * x_hat) ) / sqrt(var + eps)
# ```
#
# Read it like this. Adding a constant to all values changes no output, so the part of `g` that pushes all values alike,
# its mean, must go. Stretching all values changes no output either, so the part along x_hat must go. By hand for step
# 2's batch and g = [1, 0, 0, 0]: mean(g) = 0.25, mean(g * x_hat) = -1.4142 / 4 = -0.3536:
#
# ```
#   first    (1 - 0.25 - (-1.4142) * (-0.3536)) / 1.4142  =  (0.75 - 0.5) / 1.4142   =   0.1768
#   second   (0 - 0.25 -    0                 ) / 1.4142                             =  -0.1768
#   fourth   (0 - 0.25 - ( 1.4142) * (-0.3536)) / 1.4142  =  (-0.25 + 0.5) / 1.4142  =   0.1768
# ```
#
# The third is like the second, and the four add up to zero, as they must. LayerNorm and RMSNorm below use the same law
# with other axes, so you write it once. x_hat is computed again from x: two passes over memory now, in place of a whole
# array kept since the forward pass.


# %% nbgrader={"grade": false, "grade_id": "normalization-gradient", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def through_normalization(g: Array, x_hat: Array, mean_g: Array | None, mean_gx: Array, scale: Array) -> Array:
    """The gradient of x from g, that of x_hat: (g - mean_g - x_hat * mean_gx) * scale, in the memory of x_hat.

    TODO: compute it in place, and return x_hat. mean_g is None where no mean was subtracted (RMSNorm): leave the term
    out.
    Approach: x_hat *= mean_gx; np.subtract(g, x_hat, out=x_hat); then `-=` and `*=`. No new array is made: memory that
    was just used is still in the cache. g must not change.
    All broadcast against g.
    """
    ### BEGIN SOLUTION
    x_hat *= mean_gx
    np.subtract(g, x_hat, out=x_hat)
    if mean_g is not None:
        x_hat -= mean_g
    x_hat *= scale
    return x_hat
    ### END SOLUTION


def _batch_norm_rule(
    g: Array,
    y: Array,
    saved: None,
    needs: Sequence[bool],
    x: Array,
    *affine: Array,
    mean: Array,
    var: Array,
    eps: float,
    fixed: bool,
) -> list[Array | None]:
    """The gradients of x, weight and bias. With fixed statistics (evaluation) x only meets a constant factor.

    TODO: the sums over each feature of g, and of g * x_hat, are the gradients of bias and weight; then x.
    Approach: sum_g over all axes but 1; sum_gx with np.einsum("ncl,ncl->c", ...) on g and x_hat reshaped to (N, C, the
    rest). When fixed, x gets g * scale; otherwise through_normalization(g, x_hat, the two sums divided by count,
    scale).
    Hint: _per_feature for everything that meets g. `needs` tells which gradients are wanted; x's is the expensive one.
    """
    inverse = 1 / np.sqrt(var + eps)
    scale = _per_feature(inverse * affine[0] if affine else inverse, x)
    flat = (len(x), x.shape[1], math.prod(x.shape[2:]))
    count = g.dtype.type(max(flat[0] * flat[2], 1))
    x_hat = x - _per_feature(mean, x)
    x_hat *= _per_feature(inverse, x)
    dx = None
    ### BEGIN SOLUTION
    sum_g = g.reshape(flat).sum(axis=(0, 2))
    sum_gx = np.einsum("ncl,ncl->c", g.reshape(flat), x_hat.reshape(flat))
    if needs[0]:
        mean_g, mean_gx = _per_feature(sum_g / count, x), _per_feature(sum_gx / count, x)
        dx = g * scale if fixed else through_normalization(g, x_hat, mean_g, mean_gx, scale)
    ### END SOLUTION
    return [dx, sum_gx, sum_g][: 1 + len(affine)]


defvjp_all(batch_norm_op, _batch_norm_rule)


# %% nbgrader={"grade": true, "grade_id": "test-normalization-gradient", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_normalization_gradient() -> None:
    """The gradient is the one worked by hand, and agrees with differences, for moving and for fixed statistics."""

    def normalized(x: Tensor, *affine: Tensor) -> Tensor:
        mean, var = batch_statistics(x.numpy())
        return apply(batch_norm_op, x, *affine, mean=mean, var=var, eps=0.0, fixed=False)

    x = Tensor([[2.0], [4.0], [4.0], [6.0]], dtype=np.float64, requires_grad=True)
    normalized(x).backward([[1.0], [0.0], [0.0], [0.0]])
    assert np.allclose(x.grad[:, 0], np.array([1, -1, -1, 1]) / math.sqrt(32)), x.grad
    generator = np.random.default_rng(3)
    arrays = [generator.normal(size=shape) for shape in ((3, 2, 2, 3), (2,), (2,))]
    assert gradcheck(normalized, *arrays)
    constants = {"mean": np.array([0.5, -1.0]), "var": np.array([2.0, 0.3]), "eps": 1e-5, "fixed": True}
    assert gradcheck(lambda *inputs: apply(batch_norm_op, *inputs, **constants), *arrays)
    ### BEGIN HIDDEN TESTS
    assert gradcheck(normalized, generator.normal(size=(5, 3)))
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_normalization_gradient()

# %% [markdown]
# ## Step 4: BatchNorm, which remembers
#
# In use there may be one image and no batch, and the answer for it must not depend on which others came along. So in
# training the layer keeps running averages of what it saw, and in evaluation it uses those. After each training batch,
# with `momentum` 0.1:
#
# ```
#   running = 0.9 * running + 0.1 * of this batch
#
#   running_mean    0.9 * 0 + 0.1 * 4       = 0.4        starts at 0
#   running_var     0.9 * 1 + 0.1 * 2.6667  = 1.1667     starts at 1
# ```
#
# The 2.6667 is 8 / 3, not 8 / 4. The batch is a sample, and distances from its own mean are on average too small by the
# factor (n - 1) / n, so for the average that stands for all data we divide by n - 1, the **unbiased** variance. The
# batch itself is still normalized with 8 / 4. PyTorch does the same.
#
# The averages are **buffers**: saved with the layer, not trained. `register_buffer` of module 03 says so.


# %% nbgrader={"grade": false, "grade_id": "batch-norm", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class BatchNorm1d(Module):
    """Normalize each feature over the batch: (N, C) or (N, C, L). Parameters weight and bias (C,), unless affine is
    False.

    In training with the batch's own statistics, which it also averages into the buffers running_mean and running_var;
    in evaluation with these.
    """

    shapes = {2: "(N, C)", 3: "(N, C, L)"}  # noqa: RUF012 (never written to)

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True) -> None:
        """Make the parameters and the buffers.

        TODO: self.weight, a Parameter of ones, and self.bias, one of zeros, or None twice without affine. Register the
        buffers "running_mean", zeros, and "running_var", ones.
        Hint: self.register_buffer(name, tensor). All have shape (num_features,).
        """
        if isinstance(num_features, bool) or not isinstance(num_features, int | np.integer) or num_features < 1:
            raise ValueError(f"num_features must be a whole number of at least 1, got {num_features!r}")
        if not isinstance(momentum, float | int | np.number) or not 0 <= momentum <= 1:
            raise ValueError(
                f"momentum is the share of the new batch in the running averages, from 0 to 1, got {momentum!r}"
            )
        self.num_features, self.eps, self.momentum = num_features, _checked_eps(eps), momentum
        ### BEGIN SOLUTION
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None
        self.register_buffer("running_mean", zeros(num_features))
        self.register_buffer("running_var", ones(num_features))
        ### END SOLUTION

    def _remember(self, mean: Array, var: Array, count: int) -> None:
        """Average the statistics of a batch, of count values of each feature, into the buffers.

        TODO: change both buffers by the formula above, with the unbiased variance var * count / (count - 1).
        Hint: `self.running_mean[:] = array` writes into the buffer; its old values are self.running_mean.numpy().
        """
        ### BEGIN SOLUTION
        keep, take = 1 - self.momentum, self.momentum
        self.running_mean[:] = keep * self.running_mean.numpy() + take * mean
        self.running_var[:] = keep * self.running_var.numpy() + take * var * (count / (count - 1))
        ### END SOLUTION

    def forward(self, x: Any) -> Tensor:
        """x (N, C, ...) -> the same shape.

        TODO: choose mean and var, then apply batch_norm_op.
        Approach: in training, batch_statistics of x.numpy(), which are also remembered; in evaluation, copies of the
        buffers' arrays in the dtype of x, because a later training step will change the buffers in place.
        Hint: affine is [self.weight, self.bias] or []; fixed is True in evaluation.
        """
        x = _floating(x)
        self._check(x)
        if x.dtype == np.float16:  # squares above 65,504 are infinite in float16
            return self.forward(x.astype(np.float32)).astype(np.float16)
        affine = [] if self.weight is None else [self.weight, self.bias]
        ### BEGIN SOLUTION
        if self.training:
            mean, var = batch_statistics(x.numpy())
            self._remember(mean, var, x.size // self.num_features)
        else:
            mean, var = (each.numpy().astype(x.dtype) for each in (self.running_mean, self.running_var))
        return apply(batch_norm_op, x, *affine, mean=mean, var=var, eps=self.eps, fixed=not self.training)
        ### END SOLUTION

    def _check(self, x: Tensor) -> None:
        name = f"{type(self).__name__}({self.num_features})"
        if x.ndim not in self.shapes:
            raise ValueError(f"{name} takes inputs of shape {' or '.join(self.shapes.values())}, got {x.shape}")
        if x.shape[1] != self.num_features:
            raise ValueError(
                f"{name} takes {self.num_features} features in axis 1, got {x.shape[1]}: the input has shape "
                f"{x.shape}. Use {type(self).__name__}({x.shape[1]}) here, or move the features to axis 1."
            )
        if self.training and x.size // self.num_features < 2:
            raise ValueError(
                f"{name} in training needs two values of each feature to measure a variance, the input has shape "
                f"{x.shape}. Use a larger batch, or call eval() first."
            )

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.weight is not None}"


class BatchNorm2d(BatchNorm1d):
    """BatchNorm1d for pictures: inputs (N, C, H, W), statistics of each channel over batch, rows and columns."""

    shapes = {4: "(N, C, H, W)"}  # noqa: RUF012


# %% nbgrader={"grade": true, "grade_id": "test-batch-norm", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def test_unit_batch_norm() -> None:
    """Training normalizes and remembers, evaluation uses what was remembered, and the buffers are saved."""
    layer = BatchNorm1d(1, eps=0.0)
    x = Tensor([[2.0], [4.0], [4.0], [6.0]])
    assert np.allclose(layer(x).numpy()[:, 0], [-math.sqrt(2), 0, 0, math.sqrt(2)])
    assert np.allclose(layer.running_mean.numpy(), [0.4]), layer.running_mean
    assert np.allclose(layer.running_var.numpy(), [0.9 + 0.1 * 8 / 3]), "the buffer gets the unbiased variance"
    layer.eval()
    assert np.allclose(layer(Tensor([[4.0]])).numpy(), [[3.6 / math.sqrt(0.9 + 0.8 / 3)]]), "one example, evaluated"
    assert np.allclose(layer.running_mean.numpy(), [0.4]), "evaluation does not change the buffers"
    net = BatchNorm2d(3)
    assert [parameter.shape for parameter in net.parameters()] == [(3,), (3,)]
    assert set(net.state_dict()) == {"weight", "bias", "running_mean", "running_var"}
    pictures = Tensor(np.random.default_rng(0).normal(5.0, 3.0, size=(8, 3, 4, 4)), requires_grad=True)
    for _ in range(200):
        trained = net(pictures)
    assert np.allclose(trained.numpy().mean(axis=(0, 2, 3)), 0, atol=1e-5)
    evaluated = net.eval()(pictures).numpy()
    assert np.allclose(evaluated, trained.numpy() * math.sqrt(127 / 128), atol=1e-3), "the averages have arrived"
    assert trained.requires_grad, "use apply, or nothing can be learned"
    assert BatchNorm1d(4, affine=False).parameters() == []
    assert "(8, 3, 4, 4)" in _refusal(lambda: BatchNorm2d(4)(pictures))
    assert "eval()" in _refusal(lambda: BatchNorm1d(2)(Tensor([[1.0, 2.0]])))
    assert gradcheck(net, np.random.default_rng(8).normal(size=(2, 3, 2, 2))), "evaluated, the statistics are fixed"


if __name__ == "__main__":
    test_unit_batch_norm()

# %% [markdown]
# ## Step 5: LayerNorm
#
# Batch statistics are awkward where batches are small or sentences have different lengths. Layer normalization takes
# mean and variance over the features of each example by itself. Nothing is remembered, and training and evaluation are
# the same.
#
# ```
#   [  1   3 ]    mean  2, variance   1     ->   [ -1  1 ]
#   [ 10  30 ]    mean 20, variance 100     ->   [ -1  1 ]      the scale of an example does not matter
# ```
#
# `normalized_shape` names the trailing axes that count as features: LayerNorm(512) for (batch, time, 512). Weight and
# bias have that shape: one for each feature, though the statistics run over the features. So in the gradient `g *
# weight` comes first, then the law of step 3 along each row.


# %% nbgrader={"grade": false, "grade_id": "layer-norm", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _rows(x: Array, size: int) -> Array:
    """x as a matrix whose rows are examples of size features."""
    return x.reshape(x.size // size, size)


def _row_means(rows: Array) -> Array:
    """The mean of each row, as a column: a matrix product adds three times as fast as np.mean."""
    size = rows.shape[1]
    return rows @ np.full((size, 1), 1 / size, rows.dtype)


@op(saves=True)
def layer_norm_op(x: Array, *affine: Array, size: int, eps: float) -> tuple[Array, tuple[Array, Array]]:
    """Each row minus its mean, divided by the root of its variance plus eps; then times weight and plus bias.

    TODO: return y, of the shape of x, and the pair (mean, inverse), which are columns.
    Approach: y = rows - mean is the only large array; the variance is np.einsum("rf,rf->r", y, y) / size; inverse is 1
    / sqrt(variance + eps) as a column; the rest is in place. affine is empty or holds weight and bias: read them as
    flat.
    Example: [[1, 3]] gives [[-1, 1]] with mean [[2]] and inverse [[1]], for eps 0.
    Hint: _row_means(rows) is a column, as rows.mean(axis=1, keepdims=True) would be.
    """
    rows = _rows(x, size)
    ### BEGIN SOLUTION
    mean = _row_means(rows)
    y = rows - mean
    variance = np.einsum("rf,rf->r", y, y) / x.dtype.type(size)
    inverse = (1 / np.sqrt(variance + eps))[:, None]
    y *= inverse
    if affine:
        y *= affine[0].reshape(-1)
        y += affine[1].reshape(-1)
    ### END SOLUTION
    return y.reshape(x.shape), (mean, inverse)


def _layer_norm_rule(
    g: Array,
    y: Array,
    saved: tuple[Array, Array],
    needs: Sequence[bool],
    x: Array,
    *affine: Array,
    size: int,
    eps: float,
) -> list[Array | None]:
    """The gradients of x, weight and bias.

    TODO: those of bias and weight are the sums over the rows of g and of g * x_hat; that of x follows the law of step
    3.
    Approach: np.einsum("rf,rf->f", g, x_hat) for the weight; then multiply g by the weight, take its row means and
    those of g * x_hat as columns, and call through_normalization with the scale `inverse`.
    Hint: g * weight is a new array; the g that came in must not change.
    """
    (mean, inverse), g = saved, _rows(g, size)
    x_hat = _rows(x, size) - mean
    x_hat *= inverse
    dw = db = None
    ### BEGIN SOLUTION
    if affine:
        dw, db = np.einsum("rf,rf->f", g, x_hat), g.sum(axis=0)
        g = g * affine[0].reshape(-1)
    mean_gx = np.einsum("rf,rf->r", g, x_hat)[:, None] / g.dtype.type(size)
    dx = through_normalization(g, x_hat, _row_means(g), mean_gx, inverse)
    ### END SOLUTION
    return [dx.reshape(x.shape), *(each.reshape(affine[0].shape) for each in (dw, db) if each is not None)]


defvjp_all(layer_norm_op, _layer_norm_rule)


# %%
#| export
class LayerNorm(Module):
    """Normalize each example over its trailing axes, of shape normalized_shape, a number or a tuple.

    Parameters weight and bias of that shape, unless elementwise_affine is False. The same in training and evaluation.
    """

    def __init__(self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True) -> None:
        """Make the parameters: ones and zeros."""
        shape = tuple(normalized_shape) if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
        if not shape or not all(isinstance(n, int | np.integer) and n > 0 and n is not True for n in shape):
            raise ValueError(
                f"normalized_shape must be a whole number of at least 1 or a tuple, got {normalized_shape!r}"
            )
        self.normalized_shape, self.eps = shape, None if eps is None else _checked_eps(eps)
        self.weight = Parameter(ones(*shape)) if elementwise_affine else None
        self.bias = self._first_bias() if elementwise_affine else None

    def _first_bias(self) -> Parameter | None:
        return Parameter(zeros(*self.normalized_shape))

    def _apply(self, op_: Op, x: Any, **options: Any) -> Tensor:
        """Check the shape of x, and apply the op to it and the parameters."""
        x, shape = _floating(x), self.normalized_shape
        if x.shape[max(x.ndim - len(shape), 0) :] != shape:
            wanted = ", ".join(["...", *map(str, shape)])
            raise ValueError(
                f"{type(self).__name__}({self.extra_repr()}) takes inputs of shape ({wanted}), got {x.shape}: the last "
                f"{len(shape)} must agree"
            )
        if x.dtype == np.float16:  # as above: four numbers of 200 have squares of 160,000
            return self._apply(op_, x.astype(np.float32), **options).astype(np.float16)
        affine = [each for each in (self.weight, self.bias) if each is not None]
        return apply(op_, x, *affine, size=math.prod(shape), **options)

    def forward(self, x: Any) -> Tensor:
        """x (..., *normalized_shape) -> the same shape."""
        return self._apply(layer_norm_op, x, eps=self.eps)

    def extra_repr(self) -> str:
        """The normalized shape."""
        shape = self.normalized_shape
        return f"{shape[0] if len(shape) == 1 else shape}, eps={self.eps}"


# %% nbgrader={"grade": true, "grade_id": "test-layer-norm", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
def test_unit_layer_norm() -> None:
    """Each example is normalized by itself, over one or more trailing axes, with the right gradients."""
    y = LayerNorm(2, eps=0.0)(Tensor([[1.0, 3.0], [10.0, 30.0]]))
    assert y.tolist() == [[-1.0, 1.0], [-1.0, 1.0]], y.tolist()
    layer = LayerNorm((3, 4))
    assert [parameter.shape for parameter in layer.parameters()] == [(3, 4), (3, 4)]
    x = Tensor(np.random.default_rng(4).normal(7.0, 5.0, size=(2, 6, 3, 4)))
    y = layer(x).numpy()
    assert y.shape == x.shape
    assert np.allclose(y.mean(axis=(2, 3)), 0, atol=1e-5) and np.allclose(y.var(axis=(2, 3)), 1, atol=1e-3)
    assert np.array_equal(layer.eval()(x).numpy(), y), "evaluation does the same"
    layer.weight, layer.bias = Parameter(np.arange(12.0).reshape(3, 4)), Parameter(np.full((3, 4), 5.0))
    assert np.allclose(layer(x).numpy(), y * np.arange(12).reshape(3, 4) + 5, atol=1e-4)
    generator = np.random.default_rng(5)
    arrays = [generator.normal(size=shape) for shape in ((2, 3, 5), (5,), (5,))]
    assert gradcheck(lambda *inputs: apply(layer_norm_op, *inputs, size=5, eps=1e-5), *arrays)
    assert "(2, 6, 3, 4)" in _refusal(lambda: LayerNorm(3)(x))
    ### BEGIN HIDDEN TESTS
    assert gradcheck(lambda x: LayerNorm((3, 5), elementwise_affine=False)(x), arrays[0])
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_layer_norm()

# %% [markdown]
# ## Step 6: RMSNorm
#
# Zhang and Sennrich (2019) left out the mean: an example is divided by the root of the mean of its squares, and there
# is no bias. It is cheaper by a pass or two, and many large language models use it. By hand for [3, 4]: the mean of the
# squares is (9 + 16) / 2 = 12.5, its root 3.5355, and the result [0.8485, 1.1314], whose mean square is 1.
#
# In the gradient, adding a constant now does change the output, so the term mean(g) goes, and the rest of the law
# stays.


# %% nbgrader={"grade": false, "grade_id": "rms-norm", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op(saves=True)
def rms_norm_op(x: Array, *affine: Array, size: int, eps: float) -> tuple[Array, Array]:
    """Each row divided by sqrt(mean of its squares + eps), then times weight.

    TODO: return y, of the shape of x, and inverse, the column that the rows were multiplied by.
    Example: [[3, 4]] gives [[0.8485, 1.1314]] and [[0.2828]].
    Hint: as in layer_norm_op, without a mean; affine is empty or holds the weight.
    """
    rows = _rows(x, size)
    ### BEGIN SOLUTION
    inverse = (1 / np.sqrt(np.einsum("rf,rf->r", rows, rows) / x.dtype.type(size) + eps))[:, None]
    y = rows * inverse
    if affine:
        y *= affine[0].reshape(-1)
    ### END SOLUTION
    return y.reshape(x.shape), inverse


def _rms_norm_rule(
    g: Array, y: Array, inverse: Array, needs: Sequence[bool], x: Array, *affine: Array, size: int, eps: float
) -> list[Array | None]:
    """The gradients of x and weight.

    TODO: as in _layer_norm_rule, without bias and mean. through_normalization takes None for mean_g.
    """
    g, x_hat = _rows(g, size), _rows(x, size) * inverse
    dw = None
    ### BEGIN SOLUTION
    if affine:
        dw = np.einsum("rf,rf->f", g, x_hat)
        g = g * affine[0].reshape(-1)
    mean_gx = np.einsum("rf,rf->r", g, x_hat)[:, None] / g.dtype.type(size)
    dx = through_normalization(g, x_hat, None, mean_gx, inverse)
    ### END SOLUTION
    return [dx.reshape(x.shape), *([] if dw is None else [dw.reshape(affine[0].shape)])]


defvjp_all(rms_norm_op, _rms_norm_rule)


class RMSNorm(LayerNorm):
    """Divide each example by the root of the mean of its squares, over trailing axes; then times weight. There is no
    bias.

    eps None means the smallest step of the dtype that is computed in, 1.19e-7 for float32 and float16, as in PyTorch.
    """

    def __init__(self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True) -> None:
        """Make the weight: ones."""
        super().__init__(normalized_shape, eps, elementwise_affine)  # type: ignore[arg-type]

    def _first_bias(self) -> Parameter | None:
        return None

    def forward(self, x: Any) -> Tensor:
        """x (..., *normalized_shape) -> the same shape."""
        x = _floating(x)
        smallest = float(np.finfo(np.promote_types(x.dtype, np.float32)).eps)
        return self._apply(rms_norm_op, x, eps=smallest if self.eps is None else self.eps)


# %% nbgrader={"grade": true, "grade_id": "test-rms-norm", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_rms_norm() -> None:
    """Each example gets a mean square of 1, keeps its direction, and has the right gradients."""
    layer = RMSNorm(2)
    y = layer(Tensor([[3.0, 4.0], [-30.0, 40.0]])).numpy()
    root = math.sqrt(12.5)
    assert np.allclose(y, [[3 / root, 4 / root], [-3 / root, 4 / root]]), y
    assert [name for name, _ in layer.named_parameters()] == ["weight"], "no bias"
    generator = np.random.default_rng(6)
    arrays = [generator.normal(size=(4, 3, 5)), generator.normal(size=5)]
    assert gradcheck(lambda *inputs: apply(rms_norm_op, *inputs, size=5, eps=1e-5), *arrays)
    wide = RMSNorm((3, 5))(Tensor(arrays[0])).numpy()
    assert np.allclose((wide**2).mean(axis=(1, 2)), 1, atol=1e-5)
    assert layer(Tensor([[0.0, 0.0]])).tolist() == [[0.0, 0.0]], "eps keeps zeros from being divided by zero"


if __name__ == "__main__":
    test_unit_rms_norm()

# %% [markdown]
# ## Step 7: count
#
# Worked for `BatchNorm2d(16)` on (8, 16, 10, 10): 16 weights and 16 biases are 32 parameters; two buffers of 16 are 32
# numbers; each channel's statistics are taken over 8 * 10 * 10 = 800 values; parameters and buffers take 4 * 64 = 256
# bytes. For `LayerNorm(64)` on (2, 10, 64): 128 parameters, and a mean and a variance for each of 20 rows, 40
# statistics. `RMSNorm(64)` has 64 parameters.
#
# **Your turn**, on paper: `BatchNorm2d(64)` on (32, 64, 16, 16), `LayerNorm(512)` and `RMSNorm(512)` on (8, 128, 512).


# %% nbgrader={"grade": false, "grade_id": "count-normalization", "locked": false, "schema_version": 3, "solution": true, "task": false}
def count_normalization() -> dict[str, int]:
    """The counts of the three layers.

    TODO: assign your six numbers to batch_parameters, batch_bytes (parameters and buffers), batch_values (for each
    channel), layer_parameters, layer_statistics and rms_parameters.
    Example: for the layers worked above they are 32, 256, 800, 128, 40 and 64.
    """
    ### BEGIN SOLUTION
    batch_parameters = 2 * 64
    batch_bytes = 4 * (2 * 64 + 2 * 64)
    batch_values = 32 * 16 * 16
    layer_parameters = 2 * 512
    layer_statistics = 2 * 8 * 128
    rms_parameters = 512
    ### END SOLUTION
    counts = {"batch_parameters": batch_parameters, "batch_bytes": batch_bytes, "batch_values": batch_values}
    layers = {"layer_parameters": layer_parameters, "layer_statistics": layer_statistics}
    return {**counts, **layers, "rms_parameters": rms_parameters}


# %% nbgrader={"grade": true, "grade_id": "test-count-normalization", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_count_normalization() -> None:
    """The numbers on paper are those of real layers."""
    counts, batch, layer = count_normalization(), BatchNorm2d(64), LayerNorm(512)
    assert counts["batch_parameters"] == sum(p.size for p in batch.parameters()), "batch_parameters: weight and bias"
    assert counts["batch_bytes"] == sum(array.nbytes for array in batch.state_dict().values()), (
        "batch_bytes: and two buffers"
    )
    assert counts["batch_values"] == 32 * 16 * 16, "batch_values: images times rows times columns"
    assert counts["layer_parameters"] == sum(p.size for p in layer.parameters()), "layer_parameters: weight and bias"
    _, saved = layer_norm_op.forward(np.ones((8, 128, 512), dtype=np.float32), size=512, eps=1e-5)
    assert counts["layer_statistics"] == sum(each.size for each in saved), (
        "layer_statistics: two for each of 8 * 128 rows"
    )
    assert counts["rms_parameters"] == sum(p.size for p in RMSNorm(512).parameters()), "rms_parameters: no bias"


if __name__ == "__main__":
    test_unit_count_normalization()

# %% [markdown]
# ### Fifty layers
#
# Fifty layers of 100 neurons with ReLU. With weights of standard deviation 0.1, which is LeCun's rule, what is the
# variance of the numbers after the last layer, if it is 1 before the first? And with LayerNorm before each ReLU? write
# your guess: ___


# %%
def _variances(
    first: Callable[..., Tensor], norm: Callable[[int], Module] | None, depth: int, width: int
) -> list[float]:
    """The variance of the numbers after each of depth layers."""
    manual_seed(0)
    x, found = randn(256, width), []
    for _ in range(depth):
        layer = Linear(width, width)
        layer.weight = Parameter(first(width, width))
        x = layer(x) if norm is None else norm(width)(layer(x))
        x = ReLU()(x)
        found.append(float(x.numpy().var()))
    return found


def analyze_fifty_layers(depth: int = 50, width: int = 100) -> None:
    """Print the variance of the numbers on their way through fifty layers, with and without normalization."""

    def small(*shape: int) -> Tensor:
        return randn(*shape) * 0.05

    shown = [layer for layer in (1, 2, 5, 10, 20, 50) if layer <= depth]
    print(f"variance after layer {' '.join(f'{layer:>9}' for layer in shown)}")
    rules = {"0.05": small, "LeCun (0.1)": lecun_normal, "Xavier": xavier_normal, "He (0.141)": he_normal}
    norms = {"": None, " BatchNorm1d": BatchNorm1d, " LayerNorm": LayerNorm, " RMSNorm": RMSNorm}
    pairs = [(rule, "") for rule in rules] + [("0.05", norm) for norm in norms if norm]
    with no_grad():
        for rule, norm in pairs:
            found = _variances(rules[rule], norms[norm], depth, width)
            print(f"{rule + norm:<20} {' '.join(f'{found[layer - 1]:9.1e}' for layer in shown)}")
    print()


if __name__ == "__main__":
    analyze_fifty_layers()

# %% [markdown]
# Without normalization the variance halves with each ReLU under LeCun's and Xavier's rules, which are the same for a
# square layer, so fifty layers leave something like 2^-50 = 9e-16 of it. With 0.05 only an eighth is left after each
# layer, and 8^-50 = 7e-46 is less than float32 can hold: zero. He's factor 2 keeps the size, up to the chance of the
# draw. With a normalization the first weights hardly matter: even 0.05 gives the same numbers in layer 50 as in layer
# 1.
#
# ### Fused or composed
#
# LayerNorm could be written with Tensor operations: mean, subtraction, square, mean, plus eps, root, division, product,
# sum. Each leaves a result and a note for the backward pass. How many times as long does that take, forward and backward,
# as the one op? write your guess: ___


# %%
def analyze_fused_norm() -> None:
    """Print time, ops and bytes kept for LayerNorm as one op and as a chain of Tensor operations."""
    layer, x = LayerNorm(128), Tensor(np.random.default_rng(0).normal(size=(1024, 128)), requires_grad=True)

    def composed(x: Tensor) -> Tensor:
        away = x - x.mean(axis=-1, keepdims=True)
        return away / ((away * away).mean(axis=-1, keepdims=True) + 1e-5).sqrt() * layer.weight + layer.bias

    upstream = np.ones(x.shape, dtype=np.float32)
    print("LayerNorm(128) on (1024, 128)   ops   result MB   forward ms   with backward ms")
    for name, work in (("composed", composed), ("fused", layer)):
        sizes: list[int] = []
        with observe_ops(lambda op, inputs, params, result, sizes=sizes: sizes.append(result.numpy().nbytes)):
            y = work(x)
        assert np.allclose(y.numpy(), layer(x).numpy(), atol=1e-5)
        times = []
        for run in (lambda work=work: work(x), lambda work=work: work(x).backward(upstream)):
            best = math.inf
            for _ in range(15):
                start = time.perf_counter()
                run()
                best = min(best, time.perf_counter() - start)
            times.append(best * 1e3)
        print(f"{name:<30} {len(sizes):>5} {sum(sizes) / 1e6:>11.2f} {times[0]:>12.3f} {times[1]:>18.3f}")
    print()


if __name__ == "__main__":
    analyze_fused_norm()

# %% [markdown]
# The chain makes nine results, five of them of 0.5 MB, where the op makes one, and its backward pass goes through all
# of them. Each of these passes does little arithmetic and waits for memory.
#
# ## All together
#
# Thirty narrow layers with weights that are far too small. Without normalization neither numbers nor gradients get
# through, so nothing can be learned. With BatchNorm behind each layer a few plain steps against the gradient bring the
# loss down. Then the network is saved, loaded into another, and evaluated one example at a time.


# %% nbgrader={"grade": true, "grade_id": "test-module-normalization", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_module_normalization() -> None:
    """Normalized, a deep network with bad first weights has gradients, learns, and can be saved and evaluated."""

    def network(norm: bool) -> Sequential:
        manual_seed(3)
        layers: list[Any] = []
        for inputs in (4, *[16] * 29):
            linear = Linear(inputs, 16)
            linear.weight = Parameter(randn(inputs, 16) * 0.02)
            layers += [linear, BatchNorm1d(16), ReLU()] if norm else [linear, ReLU()]
        return Sequential(*layers, Linear(16, 1))

    generator = np.random.default_rng(7)
    x = Tensor(generator.normal(size=(64, 4)))
    target = Tensor(np.sign(x.numpy()[:, :1]))
    plain, net = network(False), network(True)
    ((plain(x) - target) ** 2).mean().backward()
    ((net(x) - target) ** 2).mean().backward()
    assert np.abs(plain[0].weight.grad).max() < 1e-20, "without normalization no gradient arrives"
    assert np.abs(net[0].weight.grad).max() > 1e-6, "with normalization one does"
    losses = []
    for _ in range(30):
        net.zero_grad()
        loss = ((net(x) - target) ** 2).mean()
        loss.backward()
        losses.append(loss.item())
        for parameter in net.parameters():
            parameter.numpy()[...] -= 0.02 * parameter.grad
    assert losses[-1] < 0.8 * losses[0], f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f}"
    other = network(True)
    other.load_state_dict(net.state_dict())
    together = net.eval()(x).numpy()
    one_by_one = np.concatenate([other.eval()(x[n : n + 1]).numpy() for n in range(64)])
    assert np.allclose(together, one_by_one, rtol=1e-3, atol=1e-4), (
        "evaluation does not depend on the company in a batch"
    )


if __name__ == "__main__":
    test_module_normalization()

# %% [markdown]
# ## Reflection 1: two modes (10 points)
#
# A network with BatchNorm reaches 98% in training and on test data. In the product it is called on one image at a time
# and is wrong most of the time; somebody forgot `eval()`. Explain what BatchNorm2d computes then, and why it raises no
# error. Say what else goes wrong when the mode is left at training, and how the same mistake would show with
# BatchNorm1d and with LayerNorm. Write 150 to 300 words.
#
# - (3 points) the image is normalized with its own statistics, and the layer cannot know that this was not meant
# - (3 points) the running averages keep changing with every image, and the results depend on their order
# - (2 points) BatchNorm1d on one example: no variance, an error, or zeros without the check
# - (2 points) LayerNorm is the same in both modes, and why

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-modes", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# In training mode BatchNorm2d measures mean and variance of each channel over all values it is given. For one image
# these are the values of that image's pixels, say 16x16 = 256 of them, so there is a variance and no reason for an
# error. But the image is now normalized with its own statistics. A dark image and a bright one become alike, and a
# channel that found something everywhere looks like one that found nothing. The layers behind it were trained on
# numbers normalized over a batch of many images, in which such differences survive, so they meet numbers they never
# saw.
#
# A second thing happens silently: every call changes the running averages. With momentum 0.1 they are mostly made of
# the last thirty or so images, since 0.9^30 is 0.04. When somebody then does call `eval()`, the network uses the
# averages of whatever came last, not those of the training data. Answers depend on the order of requests, and the saved
# file no longer describes the model that was tested. The repair is to load the saved state again.
#
# With BatchNorm1d on (1, C) each feature has a single value. Its distance from its own mean is zero, so every output
# would be the bias, whatever the input. Our layer refuses that with an error, as PyTorch's does, and the mistake is
# found on the first call.
#
# LayerNorm takes its statistics from one example at a time, in training too. There is nothing to remember and nothing
# that depends on the company, so it has no modes to confuse. Dropout beside it still has, so `eval()` remains
# necessary.

# %% [markdown]
# ## Reflection 2: which axis, which cost (10 points)
#
# A language model runs on (8, 1024, 512): batch, time, features. Compare BatchNorm1d(512) over batch and time with
# LayerNorm(512): how many values go into each mean, how many statistics there are, what each has to remember, and what
# happens when the model writes one token at a time, or is trained on several machines that each hold a part of the
# batch. Write 150 to 300 words.
#
# - (3 points) right counts: values for each mean, number of statistics, parameters and buffers
# - (3 points) one token at a time: LayerNorm unchanged, BatchNorm depends on its averages
# - (2 points) several machines: statistics of a part, or communication in every layer
# - (2 points) where BatchNorm is the better choice, with a reason such as folding

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-axes", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# BatchNorm takes each of its means over 8 * 1024 = 8,192 values and has 512 means and 512 variances. LayerNorm takes
# each mean over 512 values and has 8,192 means and 8,192 variances. Both have 1,024 parameters, 4,096 bytes. BatchNorm
# also has 1,024 numbers in its buffers, which must be saved with the model; LayerNorm has none.
#
# When the model writes one token at a time, the input is (1, 1, 512). LayerNorm computes exactly what it computed in
# training for a token with these features. BatchNorm must use its running averages. Positions early in a text and late
# ones have different statistics, sentences have different lengths and are padded, and all of this went into one
# average, so training and use differ. In training it is worse: statistics over time let the features of later tokens
# influence earlier ones, which a model that is to predict the next token must not see.
#
# With the batch spread over four machines, each holds two sentences. LayerNorm needs nothing from the others. BatchNorm
# either uses the statistics of its own part, so that the result changes with the number of machines, or exchanges 1,024
# sums in every layer, forward and backward, and waits for the slowest machine each time.
#
# For images in large batches BatchNorm is often the better choice. Channels mean the same at every pixel and in every
# image, so there are many values for a good average. And in use its statistics are constants: `y = x * scale + shift`
# can be folded into the weights of the convolution before it, so it costs no time at all. LayerNorm must measure every
# time.

# %% [markdown]
# ## Reflection 3: first weights, or normalization (10 points)
#
# Your table shows two ways to carry numbers through fifty layers: He's rule, and a normalization in every layer.
# Explain why each works, why He's rule drifts from layer to layer all the same, and what can break it during training.
# Then argue whether a network with normalization still needs a rule for its first weights. Write 150 to 300 words.
#
# - (3 points) He: variance kept on average, fan-in times variance times one half is one; normalization: measured
# - (2 points) drift: a random draw, errors that multiply over depth
# - (3 points) training changes the weights; other activations need other factors; residual connections add variances
# - (2 points) a reasoned position on the last question

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-first-weights", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# With He's rule an output has mean square n * (2 / n) = 2 times the mean square of its inputs, and the ReLU, which sets
# half of the numbers to zero, brings it back to 1. So the size is kept on average, without anything being measured. A
# normalization measures mean and variance in every layer and divides, so the size is right whatever the weights are.
# That is why 0.05, which loses everything without it, is no trouble with it.
#
# He's factor holds for the average over all draws of the weights. One draw of 100x100 weights gives a layer whose
# factor is a few per cent above or below 1, and the factors of fifty layers multiply, so the product wanders. The
# inputs of a layer are not independent either, all examples having passed the same layers, which makes the wandering
# larger.
#
# The rule speaks about the first step only. Training moves the weights, a large learning rate moves them far, and
# nothing brings the sizes back. The 2 is also right for ReLU only: with tanh or GELU another factor is needed. And when
# a layer's output is added to its input, as in residual networks, variances add up: a layer that keeps the size then
# doubles the variance, and fifty of them make it 2^50, about 1e15, times as large.
#
# I would still use a rule with normalization. The last layer usually has none behind it, so its scale decides the first
# losses. A layer with weights near zero in front of a normalization has its noise and rounding errors enlarged. And the
# gradient of such a layer's weights is proportional to one over their size, so too small weights take huge first steps,
# too large ones hardly move. The choice matters less, but it costs one multiplication.

# %% [markdown]
# ## Summary
#
# You built
#
# - `xavier_uniform`, `xavier_normal`, `he_normal` and `lecun_normal`, from fan-in and fan-out;
# - `BatchNorm1d` and `BatchNorm2d`, with statistics that are measured in training and remembered for use;
# - `LayerNorm` and `RMSNorm`, which measure each example by itself;
# - one law for the gradients of all of them.
#
# Deep networks can now be trained. Module 10 builds the layers that BatchNorm2d was made for: convolutions.
#
# next: `tito module test 09_normalization`, then `tito module complete 09_normalization`
