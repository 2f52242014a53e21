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
# # Automatic differentiation
#
# Training changes each parameter in the direction that lowers the loss, so it needs the derivative of the loss by every
# parameter: 235,146 numbers for a small digit classifier. Nobody works these out by hand. Module 01 has left a note on
# every result, its `origin`, that says which op made it from which inputs. In this module you write down the derivative
# of each op once, and a walk back through those notes that puts them together.
#
# It builds on the ops of 01 Tensor, on 02 Activations and 04 Losses for theirs, and on 03 Layers for a network to test.
#
# Afterwards you can
#
# - work a gradient out by hand, op by op, without ever writing down a Jacobian matrix,
# - write the derivative rule of a new op, broadcasting included, and check it against numbers,
# - go through a graph of 10,000 ops and of shared nodes in time linear in its size, without recursion,
# - say what a graph keeps in memory, for how long, and what backward costs beside forward.
#
# **Build** the rules and `backward`. **Use** them for the gradients of a network. **Reflect** on memory, on modes of
# differentiation, and on how to trust a gradient.
#
# Systems reality check: PyTorch's autograd, JAX and TensorFlow do this same walk for every training step of every model.
# What it costs there is memory more than time: backward takes about twice as long as forward, but every activation has
# to stay until its turn comes, and that decides which batch fits on a device.

# %%
#| default_exp core.autograd
#| export
from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinytorch.core.activations import (
    gelu_op,
    gelu_tanh_op,
    leaky_relu_op,
    relu_op,
    sigmoid_op,
    softmax_op,
    tanh_op,
)
from tinytorch.core.layers import linear_op
from tinytorch.core.losses import (
    binary_cross_entropy_op,
    binary_cross_entropy_with_logits_op,
    cross_entropy_op,
    log_softmax_op,
    logsumexp_op,
)
from tinytorch.core.tensor import (
    MANY_ROWS,
    Array,
    Axis,
    Op,
    Origin,
    Tensor,
    abs_op,
    add_op,
    add_rows_up,
    as_array,
    as_tensor,
    astype_op,
    cat_op,
    clip_op,
    copy_op,
    div_op,
    exp_op,
    getitem_op,
    grad_mode,
    log_op,
    matmul_op,
    max_op,
    mean_op,
    min_op,
    mul_op,
    neg_op,
    permute_op,
    pow_op,
    power_op,
    reshape_op,
    sqrt_op,
    stack_op,
    sub_op,
    sum_op,
    var_op,
    where_op,
)

# %% [markdown]
# ## Step 1: one gradient by hand
#
# Let L = (a b + a)^2 with a = 2 and b = 3. Forward, op by op, every value gets a name:
#
# ```
#   a = 2 ----+-------------------+
#             |                   |
#             v                   v
#   b = 3 -> [mul] -> y = 6 -> [add] -> z = 8 -> [pow 2] -> L = 64
# ```
#
# Backward we ask of each value: by how much does L change when this value changes a little? Start at the end, where the
# answer is 1, and go from each result to the inputs of its op. All an op has to know is its own derivative:
#
# ```
#   L            1
#   z            1 x 2 z   = 16        pow:  d z^2 / dz = 2 z
#   y           16 x 1     = 16        add:  1 for both inputs
#   a           16 x 1     = 16        add, the other input
#   a, again    16 x b     = 48        mul:  the other factor
#   b           16 x a     = 32
# ```
#
# `a` was used twice, so L depends on it in two ways, and the two answers add up: 16 + 48 = 64. Check: dL/da is
# 2 (a b + a)(b + 1) = 2 x 8 x 4 = 64. That is all of the chain rule that we need: **multiply along a path, add where
# paths meet**.
#
# ### From numbers to arrays
#
# With arrays the derivative of an op is a Jacobian matrix, one row for each output and one column for each input. Nobody
# can store it: the first layer of that classifier takes 32 x 784 numbers to 32 x 256, and its Jacobian would have
# 8,192 x 25,088 = 205,520,896 entries, 822 MB. But we only ever need its product with one vector, the gradient `g` of
# the result. An op's rule computes that **vector-Jacobian product** (vjp) directly. For y = x W:
#
# ```
#   x = [1, 2]     W = [[1, 2],      y = [1x1 + 2x3, 1x2 + 2x4] = [7, 10]
#                       [3, 4]]
#   g = [1, 10]    one unit of y[0] is worth 1, one unit of y[1] is worth 10
#
#   x[0] feeds y[0] with 1 and y[1] with 2:    1x1 + 2x10 = 21
#   x[1] feeds y[0] with 3 and y[1] with 4:    3x1 + 4x10 = 43       the gradient of x is g W^T = [21, 43]
#
#   W[i, j] feeds y[j] with x[i]:              x[i] g[j]             the gradient of W is x^T g = [[1, 10], [2, 20]]
# ```
#
# Two matrix products, no Jacobian. A gradient always has the shape of the thing that it is the gradient of.
#
# ### A table of rules
#
# The rules stand in a table beside the ops, not inside them. A rule takes `g`, the result `y` and the op's inputs, all as
# arrays, with the op's parameters as keywords, and returns the gradient of one input. So module 01 can stay as it is, an
# op added later brings its rule along, and an op without a rule is an error that can name it. For ops whose inputs share
# work, or come in any number, one rule may answer for all; it is told which of the gradients anybody needs.


# %%
#| export
Rule = Callable[..., Any]

vjp_rules: dict[str, tuple[Rule | None, ...] | Rule] = {}  # by the op's name


def defvjp(op: Op, *rules: Rule | None) -> None:
    """Register the derivative of an op: a rule for each of its inputs, None for an input that has no gradient.

    rule(g, y, *inputs, **params) -> the gradient of that input, of its shape; for an op with saves=True it is
    rule(g, y, saved, *inputs, **params). All of them are arrays, and a rule writes into none of them.
    """
    if not rules:
        raise ValueError(f"defvjp of op {op.name!r} got no rule: give one for each of its inputs")
    _register(op, rules)


def defvjp_all(op: Op, rule: Rule) -> None:
    """Register one rule for all inputs of an op.

    rule(g, y, saved, needs, *inputs, **params) -> one gradient for each input, None where needs[i] is False. No array
    may be returned twice.
    """
    _register(op, rule)


def _register(op: Op, entry: tuple[Rule | None, ...] | Rule) -> None:
    if not op.differentiable:
        raise ValueError(f"op {op.name!r} was declared with differentiable=False, so it cannot have a derivative")
    there = vjp_rules.get(op.name)
    if there is not None and _home(there) != _home(entry):  # running a notebook's cell again is fine
        raise ValueError(f"op {op.name!r} has a derivative already, from {_home(there)}")
    vjp_rules[op.name] = entry


def _home(entry: tuple[Rule | None, ...] | Rule) -> str:
    """The module that a rule comes from."""
    rules = entry if isinstance(entry, tuple) else (entry,)
    return next((rule.__module__ for rule in rules if rule is not None), "nowhere")


# %% [markdown]
# What the tests and analyses below use besides:

# %%
import itertools
import time

from tinytorch.core.activations import relu
from tinytorch.core.layers import Linear, linear
from tinytorch.core.losses import cross_entropy
from tinytorch.core.tensor import Parameter, cat, manual_seed, randn

# %% [markdown]
# ## Step 2: broadcasting, backward
#
# In `x + b` with shapes (2, 3) and (3,), the row `b` is used twice, once for each row of `x`. Where a value was used
# several times its gradients add up, so the gradient of `b` is the sum over the rows:
#
# ```
#   g = [[1, 2, 3],        b had shape (3,)      ->  [5, 7, 9]         summed over axis 0
#        [4, 5, 6]]        a had shape (2, 1)    ->  [[6], [15]]       summed over axis 1, which stays with length 1
#                          c had shape ()        ->  21                summed over both
# ```
#
# Broadcasting copies, so its opposite sums. Every rule of an op that broadcasts ends with this function.


# %% nbgrader={"grade": false, "grade_id": "unbroadcast", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an input of this shape that was broadcast to the shape of g.

    TODO: sum g over the axes along which the input was repeated.
    Approach: equal shapes need nothing. Otherwise g may have more axes than shape: those in front. Of the others, the
    ones where shape has 1. One np.add.reduce over all of them, then reshape.
    Example: unbroadcast(np.ones((2, 3)), (3,)) is [2, 2, 2], and with (2, 1) it is [[3], [3]].
    Hint: with lead = g.ndim - len(shape), axis i of shape is axis i + lead of g.
    g of any shape that shape broadcasts to -> shape. When the shapes are equal, g itself and not a copy.
    """
    ### BEGIN SOLUTION
    if g.shape == shape:
        return g
    if g.shape[1:] == shape:  # a bias, added to each row: the most frequent case
        return np.add.reduce(g) if len(g) <= MANY_ROWS else add_rows_up(g)
    lead = g.ndim - len(shape)
    repeated = (i for i, n in enumerate(shape, start=lead) if n == 1)
    total = np.add.reduce(g, axis=(*range(lead), *repeated))
    return total if total.shape == shape else np.reshape(total, shape)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-unbroadcast", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_unbroadcast() -> None:
    """Whatever was copied by broadcasting is summed, and nothing else."""
    g = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert unbroadcast(g, (3,)).tolist() == [5.0, 7.0, 9.0]
    assert unbroadcast(g, (2, 1)).tolist() == [[6.0], [15.0]]
    assert unbroadcast(g, ()).tolist() == 21.0
    assert unbroadcast(g, (2, 3)) is g, "equal shapes: hand g on, without a copy"
    ### BEGIN HIDDEN TESTS
    assert unbroadcast(g, (1, 3)).tolist() == [[5.0, 7.0, 9.0]]
    assert unbroadcast(g, (1, 1, 1)[:2]).tolist() == [[21.0]]
    assert unbroadcast(np.ones((4, 1, 3)), (1, 3)).tolist() == [[4.0, 4.0, 4.0]]
    assert unbroadcast(np.ones((2, 0, 3)), (2, 1, 3)).tolist() == [[[0.0] * 3]] * 2
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_unbroadcast()

# %% [markdown]
# ## Step 3: rules of elementwise ops
#
# Where each output element depends on one element of each input, the Jacobian is diagonal and the vjp an elementwise
# product: `g` times the derivative. With y the result:
#
# | op | gradients |
# |---|---|
# | y = a + b | g for both |
# | y = a - b | g, -g |
# | y = a b | g b, g a |
# | y = a / b | g / b, -g y / b |
# | y = x^n | g n x^(n-1) |
# | y = e^x | g y |
# | y = log x | g / x |
# | y = sqrt x | g / (2 y) |
#
# The derivative of e^x is the result itself: take the `y` that is there, do not compute it again. Likewise -a / b^2 is
# -y / b. What forward has computed, backward need not.


# %% nbgrader={"grade": false, "grade_id": "elementwise-rules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _mul_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    """The gradient of a in y = a b.

    TODO: g times the other factor, and broadcasting undone.
    Example: g = [1, 1], a = [2, 2], b = [3, 4] give [3, 4]; with a = 2, of shape (), they give 7.
    g and y of one shape -> the shape of a.
    """
    ### BEGIN SOLUTION
    return unbroadcast(g * b, a.shape)
    ### END SOLUTION


def _mul_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    """The gradient of b in y = a b.

    TODO: the same for the other factor.
    g and y of one shape -> the shape of b.
    """
    ### BEGIN SOLUTION
    return unbroadcast(g * a, b.shape)
    ### END SOLUTION


def _div_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    """The gradient of a in y = a / b.

    TODO: see the table. Example: g = [1], a = [6], b = [2] give [0.5].
    g and y of one shape -> the shape of a.
    """
    ### BEGIN SOLUTION
    return unbroadcast(g / b, a.shape)
    ### END SOLUTION


def _div_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    """The gradient of b in y = a / b.

    TODO: see the table; it needs y, but not a. Example: g = [1], a = [6], b = [2] give [-1.5].
    g and y of one shape -> the shape of b.
    """
    ### BEGIN SOLUTION
    return -unbroadcast(g * y / b, b.shape)
    ### END SOLUTION


def _pow(g: Array, y: Array, x: Array, exponent: float) -> Array:
    """The gradient of x in y = x^exponent, exponent a number.

    TODO: see the table. The exponents 0 and 2 go by themselves: zeros, and a sum in place of a power.
    Example: g = [1], x = [3] give [6] for the exponent 2 and [27] for the exponent 3.
    Hint: pow_op.forward(x, n) is x^n. NumPy would warn of 0 to a negative power, where an infinite slope is right.
    g of the shape of x -> the same.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ### BEGIN SOLUTION
        if exponent == 0:
            return np.zeros_like(x)
        if exponent == 2:
            return g * (x + x)
        return g * (float(exponent) * pow_op.forward(x, exponent - 1))
        ### END SOLUTION


def _exp(g: Array, y: Array, x: Array) -> Array:
    """The gradient of x in y = e^x.

    TODO: see the table. g of the shape of x -> the same.
    """
    ### BEGIN SOLUTION
    return g * y
    ### END SOLUTION


defvjp(mul_op, _mul_a, _mul_b)
defvjp(div_op, _div_a, _div_b)
defvjp(pow_op, _pow)
defvjp(exp_op, _exp)


# %% nbgrader={"grade": true, "grade_id": "test-elementwise-rules", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_elementwise_rules() -> None:
    """Each rule gives the product of g and the derivative, in the shape of its input."""
    g, a, b = np.array([1.0, 10.0]), np.array([6.0, 8.0]), np.array([2.0, 4.0])
    assert _mul_a(g, a * b, a, b).tolist() == [2.0, 40.0]
    assert _mul_b(g, a * b, a, b).tolist() == [6.0, 80.0]
    assert _div_a(g, a / b, a, b).tolist() == [0.5, 2.5]
    assert _div_b(g, a / b, a, b).tolist() == [-1.5, -5.0]
    assert _pow(g, a**2, a, exponent=2).tolist() == [12.0, 160.0]
    assert _pow(g, b**3, b, exponent=3).tolist() == [12.0, 480.0]
    assert np.allclose(_exp(g, np.exp(b), b), g * np.exp(b))
    scale = np.array(3.0)
    assert _mul_a(g, scale * b, scale, b).tolist() == 42.0, "the factor was broadcast: its gradient is a sum"
    ### BEGIN HIDDEN TESTS
    assert _mul_b(np.ones((2, 2)), None, np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]])).tolist() == [
        [4.0, 6.0]
    ]
    assert _div_b(np.ones((2, 2)), np.array([[1.0, 2.0], [3.0, 4.0]]), None, np.array([2.0, 4.0])).tolist() == [
        -2.0,
        -1.5,
    ]
    assert _div_a(np.ones((2, 1)), None, np.array([1.0]), np.array([[2.0], [4.0]])).tolist() == [0.75]
    assert _pow(g, a**0, a, exponent=0).tolist() == [0.0, 0.0]
    assert np.allclose(_pow(g, b**0.5, b, exponent=0.5), [0.5 / 2**0.5, 2.5])
    assert _pow(np.ones(1), np.zeros(1), np.zeros(1), exponent=0.5)[0] == np.inf
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_elementwise_rules()

# %% [markdown]
# The other elementwise ops are given. Three of them choose rather than compute, and hand `g` on where they chose an input:
# `where`, `clip`, and later ReLU. A product with the mask, 1 or 0, does that, and is up to 20 times as fast as `np.where`; but
# where `g` is infinite it goes wrong, since infinity times 0 is not a number. So `keep` reads the bits of each number as an
# integer and multiplies that: times 1 all bits stay, and times 0 all are 0, which are the bits of 0.0.
#
# Where a derivative does not exist we do what PyTorch does: |x| has slope 0 at 0, `clip` has slope 1 on its limits.


# %%
#| export
_BITS = {2: np.int16, 4: np.int32, 8: np.int64}  # integers as wide as a float of so many bytes


def keep(g: Array, mask: Array, out: Array | None = None) -> Array:
    """g where the mask of booleans holds, and 0 elsewhere, also in place of infinity; both of one shape.

    out: an array of g's shape and dtype that the result is written into.
    """
    bits = _BITS.get(g.itemsize)
    if out is None:
        return np.where(mask, g, g.dtype.type(0)) if bits is None else (g.view(bits) * mask).view(g.dtype)
    if bits is None:  # np.longdouble
        out[...] = np.where(mask, g, g.dtype.type(0))
    else:
        np.multiply(g.view(bits), mask, out=out.view(bits))
    return out


def _sqrt(g: Array, y: Array, x: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):  # at 0 the slope is infinite
        return g / (y + y)


def _power_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(b == 0, y.dtype.type(0), b * np.power(a, b - 1))
    return unbroadcast(g * slope, a.shape)


def _power_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where((a == 0) & (b >= 0), y.dtype.type(0), y * np.log(a))
    return unbroadcast(g * slope, b.shape)


defvjp(add_op, lambda g, y, a, b: unbroadcast(g, a.shape), lambda g, y, a, b: unbroadcast(g, b.shape))
defvjp(sub_op, lambda g, y, a, b: unbroadcast(g, a.shape), lambda g, y, a, b: -unbroadcast(g, b.shape))
defvjp(neg_op, lambda g, y, x: -g)
defvjp(log_op, lambda g, y, x: g / x)
defvjp(sqrt_op, _sqrt)
defvjp(power_op, _power_a, _power_b)
defvjp(abs_op, lambda g, y, x: g * np.sign(x))
defvjp(clip_op, lambda g, y, x, min=None, max=None: keep(g, y == x))
defvjp(copy_op, lambda g, y, x: g)
defvjp(astype_op, lambda g, y, x, dtype: g)  # backward itself gives it the dtype of x
defvjp(
    where_op,
    None,
    lambda g, y, condition, a, b: unbroadcast(keep(g, condition.astype(bool, copy=False)), a.shape),
    lambda g, y, condition, a, b: unbroadcast(keep(g, np.logical_not(condition)), b.shape),
)

# %% [markdown]
# ## Step 4: rules of reductions
#
# A sum uses each element once, with weight 1: `g` goes to every element that went into it. Forward removed an axis, so
# backward has to put it back and copy along it. The opposite of a sum is a spread, as the opposite of broadcasting is a
# sum:
#
# ```
#   x (2, 3), y = x.sum(axis=1) of shape (2,)      g = [1, 10]   ->   [[ 1,  1,  1],
#                                                                      [10, 10, 10]]
#   y = x.mean(axis=1)                             the same, divided by 3
# ```


# %% nbgrader={"grade": false, "grade_id": "reduction-rules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def spread(g: Array, shape: tuple[int, ...], axis: Axis = None, keepdims: bool = False) -> Array:
    """The opposite of a sum over axis: g copied along the axes that the sum took away.

    TODO: put the axes back with length 1, unless they were kept, and copy g into a new array of the shape.
    Approach: np.expand_dims takes the same axis as the sum did. With axis None no axis is left, and any shape fits.
    Example: spread([1, 10], (2, 3), axis=1) is [[1, 1, 1], [10, 10, 10]].
    Hint: full[...] = g broadcasts g into an array that np.empty made. np.broadcast_to would need no memory, but has
    strides of 0, which a matrix product further down cannot hand to BLAS.
    """
    ### BEGIN SOLUTION
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    full = np.empty(shape, g.dtype)
    full[...] = g
    return full
    ### END SOLUTION


def _mean(g: Array, y: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The gradient of x in y = x.mean(axis).

    TODO: divide g by how many elements went into each mean, then spread it.
    Hint: that is x.size // y.size, where y is not empty. Divide before spreading: g is the smaller array.
    Example: a mean over 4 elements hands on a quarter of g.
    """
    if g.dtype == np.float16:  # which holds no count above 65,504
        g = g.astype(np.float32)
    ### BEGIN SOLUTION
    count = x.size // max(y.size, 1)
    return spread(g / g.dtype.type(max(count, 1)), x.shape, axis, keepdims)
    ### END SOLUTION


defvjp(sum_op, lambda g, y, x, axis=None, keepdims=False: spread(g, x.shape, axis, keepdims))
defvjp(mean_op, _mean)


# %% nbgrader={"grade": true, "grade_id": "test-reduction-rules", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_reduction_rules() -> None:
    """The gradient of a sum is copied to all that was summed, that of a mean divided by their number."""
    x = np.zeros((2, 3))
    g = np.array([1.0, 10.0])
    assert spread(g, (2, 3), axis=1).tolist() == [[1.0] * 3, [10.0] * 3]
    assert spread(g[:, None], (2, 3), axis=1, keepdims=True).tolist() == [[1.0] * 3, [10.0] * 3]
    assert spread(np.array(5.0), (2, 2)).tolist() == [[5.0, 5.0], [5.0, 5.0]]
    assert _mean(np.array(6.0), x.mean(), x).tolist() == [[1.0] * 3] * 2
    assert _mean(g, x.mean(axis=1), x, axis=1).tolist() == [[1.0 / 3] * 3, [10.0 / 3] * 3]
    ### BEGIN HIDDEN TESTS
    assert spread(np.array([1.0, 2.0]), (3, 2, 2), axis=(0, 2)).tolist() == [[[1.0] * 2, [2.0] * 2]] * 3
    assert spread(np.array([1.0, 2.0, 3.0]), (2, 3), axis=-2).tolist() == [[1.0, 2.0, 3.0]] * 2
    spread(g, (2, 3), axis=1)[0, 0] = 7.0
    assert g.tolist() == [1.0, 10.0], "the result must have memory of its own"
    assert _mean(np.ones((1, 3)), np.zeros((1, 3)), x, axis=0, keepdims=True).tolist() == [[0.5] * 3] * 2
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_reduction_rules()

# %% [markdown]
# Variance, and the largest and smallest element, are given. A maximum hands `g` to the element that was chosen. When several
# are equally large we follow PyTorch: over one axis, `x.max(axis=1)`, the first takes all; over all axes or several,
# `x.max()`, they share evenly. Both are right, in the sense that the directional derivatives at a tie lie in between, but a
# framework has to say which it is.


# %%
#| export
def _var(g: Array, y: Array, x: Array, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> Array:
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    away = x - mean_op.forward(x, axis=axis, keepdims=True)
    away *= g * g.dtype.type(2 / max(x.size // max(y.size, 1) - correction, 1))
    return away


def _extreme(g: Array, y: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """Of max and min."""
    if axis is not None and not keepdims:
        g, y = np.expand_dims(g, axis), np.expand_dims(y, axis)
    chosen = x == y
    if isinstance(axis, int | np.integer):
        full = np.zeros_like(x)
        np.put_along_axis(full, chosen.argmax(axis=axis, keepdims=True), g, axis=axis)
        return full
    count = np.add.reduce(chosen, axis=axis, keepdims=True, dtype=x.dtype)
    return keep(np.broadcast_to(g / np.maximum(count, 1), x.shape), chosen)  # infinity times 0 is no 0


defvjp(var_op, _var)
defvjp(max_op, _extreme)
defvjp(min_op, _extreme)

# %% [markdown]
# ## Step 5: rules of ops that move elements
#
# Reshaping and permuting put each element somewhere else, so the rule puts each gradient back: `reshape` to the shape that
# was, `permute` by the inverse permutation. Indexing takes some of the elements; the others had no influence and get 0.
#
# ```
#   x = [a, b, c]    y = x[[0, 0, 2]] = [a, a, c]     g = [1, 10, 100]    ->    [11, 0, 100]
# ```
#
# Index 0 occurs twice, so its gradients add up, and `full[key] = g` would be wrong: it keeps the last one and gives
# [10, 0, 100]. NumPy's `np.add.at(full, key, g)` adds, but element by element. Only arrays of integers can repeat an
# element, so only they need more than an assignment. The function below sorts the indices, so that equal ones lie side by
# side and one `reduceat` sums each group.


# %% nbgrader={"grade": false, "grade_id": "shape-rules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def add_rows(count: int, index: Array, rows: Array) -> Array:
    """Zeros of shape (count, width), with rows[i] added at index[i]; an index may occur many times.

    index (n,) integers from 0 to count - 1, rows (n, width) -> (count, width).
    """
    full = np.zeros((count, *rows.shape[1:]), rows.dtype)
    if rows.size:
        order = index.argsort(kind="stable")
        index = index[order]
        starts = np.flatnonzero(np.concatenate(([True], index[1:] != index[:-1])))
        full[index[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return full


def _picks(key: Any) -> tuple[list[Any], bool, bool]:
    """The parts of a key, whether any is an array of integers, and whether all are integers or arrays of them.

    Integers come back as int64: a size of 300 rows does not fit into uint8, which may well number the first 256.
    """
    parts = [
        np.asarray(part) if isinstance(part, list) else part for part in (key if key.__class__ is tuple else (key,))
    ]
    arrays = [isinstance(part, np.ndarray) and part.dtype.kind in "iu" for part in parts]
    numbers = [isinstance(part, int | np.integer) and not isinstance(part, bool) for part in parts]
    whole = list(map(max, arrays, numbers))
    parts = [np.asarray(part, np.int64) if each else part for part, each in zip(parts, whole, strict=True)]
    return parts, any(arrays), all(whole)


def _getitem(g: Array, y: Array, x: Array, key: Any) -> Array:
    """The gradient of x in y = x[key].

    TODO: zeros of x's shape, and g at the key. Three cases: without an array of integers in the key no element occurs
    twice, and an assignment will do. With nothing but integers and arrays of them, the first axes of x become one, and
    add_rows sums. The rest, arrays mixed with slices, goes to np.add.at.
    Approach: parts, repeats, pure = _picks(key). In the second case np.ravel_multi_index makes one index of several, for
    the sizes x.shape[: len(parts)]; negative indices must be made positive first (index % size).
    Example: x of shape (3,), key [0, 0, 2], g = [1, 10, 100] give [11, 0, 100].
    Hint: g.reshape(index.size, -1) has one row for each element picked; of an empty g, NumPy cannot work out the -1.
    """
    ### BEGIN SOLUTION
    parts, repeats, pure = _picks(key)
    if repeats and pure and g.size:
        sizes = x.shape[: len(parts)]
        index = np.ravel_multi_index([np.asarray(i) % n for i, n in zip(parts, sizes, strict=True)], sizes)
        rows = g.reshape(index.size, -1)
        return add_rows(int(np.prod(sizes)), index.reshape(-1), rows).reshape(x.shape)
    full = np.zeros(x.shape, g.dtype)
    if repeats:
        np.add.at(full, key, g)
    else:
        full[key] = g
    return full
    ### END SOLUTION


def _permute(g: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
    """The gradient of x in y = x.permute(axes): the axes in their old order.

    TODO: transpose g by the inverse permutation.
    Example: axes (2, 0, 1) are undone by (1, 2, 0).
    Hint: np.argsort of a permutation is its inverse. Axes may be negative: -1 % ndim is the last.
    """
    ### BEGIN SOLUTION
    return g.transpose(np.argsort([axis % x.ndim for axis in axes]))
    ### END SOLUTION


defvjp(getitem_op, _getitem)
defvjp(permute_op, _permute)


# %% nbgrader={"grade": true, "grade_id": "test-shape-rules", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_shape_rules() -> None:
    """Each gradient goes back to where its element came from, and adds up where an element was taken twice."""
    g = np.array([1.0, 10.0, 100.0])
    assert _getitem(g, None, np.zeros(3), key=[0, 0, 2]).tolist() == [11.0, 0.0, 100.0]
    assert _getitem(g[:2], None, np.zeros(3), key=slice(1, None)).tolist() == [0.0, 1.0, 10.0]
    assert _getitem(g[0], None, np.zeros((2, 2)), key=(0, -1)).tolist() == [[0.0, 1.0], [0.0, 0.0]]
    assert _getitem(g, None, np.zeros((2, 2)), key=(np.array([1, 1, 1]), np.array([0, 1, 0]))).tolist() == [
        [0, 0],
        [101, 10],
    ]
    x = np.arange(24.0).reshape(2, 3, 4)
    assert np.array_equal(_permute(x.transpose(2, 0, 1), None, x, axes=(2, 0, 1)), x)
    ### BEGIN HIDDEN TESTS
    assert np.array_equal(_permute(x.transpose(-1, 0, 1), None, x, axes=(-1, 0, 1)), x)
    assert _getitem(g[:2], None, np.zeros(3), key=np.array([True, False, True])).tolist() == [1.0, 0.0, 10.0]
    assert _getitem(g, None, np.zeros(3), key=[-1, 2, 0]).tolist() == [100.0, 0.0, 11.0]
    assert _getitem(np.ones((2, 3)), None, np.zeros((2, 2)), key=(slice(None), [0, 0, 1])).tolist() == [[2.0, 1.0]] * 2
    assert _getitem(np.ones((3, 2)), None, np.zeros((2, 2)), key=np.array([1, 1, 1])).tolist() == [
        [0.0, 0.0],
        [3.0, 3.0],
    ]
    assert (
        _getitem(np.ones((0, 2)), None, np.zeros((3, 2)), key=np.array([], dtype=np.int64)).tolist() == [[0.0] * 2] * 3
    )
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_shape_rules()

# %% [markdown]
# `cat` and `stack` take any number of tensors, so one rule answers for all of them. It cuts `g` where forward glued. The
# pieces are views: nothing is copied.


# %%
#| export
def _cat(g: Array, y: Array, saved: None, needs: Sequence[bool], *arrays: Array, axis: int = 0) -> list[Array | None]:
    ends = np.cumsum([array.shape[axis] for array in arrays])[:-1]
    return [part if need else None for part, need in zip(np.split(g, ends, axis), needs, strict=True)]


def _stack(g: Array, y: Array, saved: None, needs: Sequence[bool], *arrays: Array, axis: int = 0) -> list[Array | None]:
    return [part if need else None for part, need in zip(np.moveaxis(g, axis, 0), needs, strict=True)]


defvjp(reshape_op, lambda g, y, x, shape: g.reshape(x.shape))
defvjp_all(cat_op, _cat)
defvjp_all(stack_op, _stack)

# %% [markdown]
# ## Step 6: the rule of the matrix product
#
# Step 1 worked it out for a vector and a matrix; it holds for whole matrices. For y = a b with a (m, k), b (k, n):
#
# ```
#   gradient of a     g b^T     (m, n) (n, k) -> (m, k)
#   gradient of b     a^T g     (k, m) (m, n) -> (k, n)
# ```
#
# If you forget which factor goes where, the shapes leave one choice. Each of the two products costs as many FLOPs as
# forward did, 2 m k n, and that is why backward takes about twice as long as forward.
#
# With stacks of matrices the products are taken matrix by matrix, and a stack that was broadcast is summed. One case is
# worth a shortcut: a batch of sequences (B, T, k) times one weight matrix (k, n). The general form computes B gradients
# of shape (k, n) and then adds them up. But B x T rows are rows: as one matrix of shape (B T, k) they need a single
# product and no sum.
#
# And one fact about BLAS. It rearranges both factors before it multiplies, and a transposed one takes it longer. g b^T
# transposes the weights b; (b g^T)^T has the same numbers and transposes g, which in a batch of few rows is much smaller.
# In one measurement, with OpenBLAS and one thread, 32 rows and weights of (784, 256) took 168 us in place of 233, and 8 rows
# and (1024, 1024) took 366 in place of 828; the copy that puts the result into rows is in it. `times_transpose` chooses
# between the two, and is given.


# %% nbgrader={"grade": false, "grade_id": "matmul-rules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _rows(x: Array) -> Array:
    """All leading axes as one: (..., k) -> (rows, k)."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def times_transpose(g: Array, b: Array) -> Array:
    """g b^T of two matrices, by way of (b g^T)^T when g has few rows; g (m, n), b (k, n) -> (m, k), row by row."""
    if b.size < 16_384 or 4 * len(g) > min(b.shape):
        return g @ b.T
    return np.ascontiguousarray((b @ g.T).T)


def left_gradient(g: Array, a: Array, b: Array) -> Array:
    """The gradient of a in y = a b, for matrices and stacks of them.

    TODO: g times the transpose of b. When b is one matrix, one product of rows, in a's shape. Otherwise the product matrix
    by matrix, with what was broadcast summed.
    Approach: times_transpose(_rows(g), b) is the product of rows; reshape it if a has more than two axes.
    Example: g = [[1, 10]], a = [[1, 2]], b = [[1, 2], [3, 4]] give [[21, 43]].
    Hint: swapaxes(-1, -2) transposes the last two axes only; .T would reverse all.
    g (..., m, n), a (..., m, k), b (..., k, n) -> the shape of a.
    """
    ### BEGIN SOLUTION
    if b.ndim == 2:
        gradient = times_transpose(_rows(g), b)
        return gradient if a.ndim == 2 else gradient.reshape(a.shape)
    return unbroadcast(g @ b.swapaxes(-1, -2), a.shape)
    ### END SOLUTION


def right_gradient(g: Array, a: Array, b: Array) -> Array:
    """The gradient of b in y = a b, for matrices and stacks of them.

    TODO: the transpose of a times g. When b is one matrix, one product of rows. Otherwise the product matrix by matrix,
    with what was broadcast summed.
    Example: g = [[1, 10]], a = [[1, 2]] and b of shape (2, 2) give [[1, 10], [2, 20]].
    Hint: _rows(x) makes rows of all leading axes, and leaves a matrix as it is.
    g (..., m, n), a (..., m, k), b (..., k, n) -> the shape of b.
    """
    ### BEGIN SOLUTION
    if b.ndim == 2:
        return _rows(a).T @ _rows(g)
    return unbroadcast(a.swapaxes(-1, -2) @ g, b.shape)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-matmul-rules", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_matmul_rules() -> None:
    """Both gradients for two matrices, for a stack with one matrix, and for two stacks."""
    a, b, g = np.array([[1.0, 2.0]]), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 10.0]])
    assert left_gradient(g, a, b).tolist() == [[21.0, 43.0]]
    assert right_gradient(g, a, b).tolist() == [[1.0, 10.0], [2.0, 20.0]]
    stack = np.stack([a, 2 * a])
    assert left_gradient(np.stack([g, g]), stack, b).tolist() == [[[21.0, 43.0]], [[21.0, 43.0]]]
    assert right_gradient(np.stack([g, g]), stack, b).tolist() == [[3.0, 30.0], [6.0, 60.0]]
    ### BEGIN HIDDEN TESTS
    draw = np.random.default_rng(0).standard_normal
    for left, right in (
        ((3, 2), (2, 4)),
        ((5, 3, 2), (2, 4)),
        ((3, 2), (5, 2, 4)),
        ((1, 3, 2), (5, 2, 4)),
        ((6, 1, 3, 2), (5, 2, 4)),
    ):
        a, b = draw(left), draw(right)
        g = draw((a @ b).shape)
        for gradient, x, vary in (
            (left_gradient(g, a, b), a, lambda z, b=b: z @ b),
            (right_gradient(g, a, b), b, lambda z, a=a: a @ z),
        ):
            step = draw(x.shape)
            assert gradient.shape == x.shape
            assert np.isclose((gradient * step).sum(), (vary(step) * g).sum()), "the product is linear in each factor"
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_matmul_rules()

# %% [markdown]
# A vector on either side is a matrix with one row or one column, for as long as the product takes. `linear_op` of module
# 03 is a product and a sum in one op. Neither rule needs the result, so its rules are those of the two, side by side.


# %%
#| export
def _matrices(g: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
    if b.ndim == 1:
        g, b = g[..., None], b[:, None]
    if a.ndim == 1:
        g, a = g[..., None, :], a[None, :]
    return g, a, b


def _matmul_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    if a.ndim > 1 and b.ndim > 1:
        return left_gradient(g, a, b)
    return left_gradient(*_matrices(g, a, b)).reshape(a.shape)


def _matmul_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    if a.ndim > 1 and b.ndim > 1:
        return right_gradient(g, a, b)
    return right_gradient(*_matrices(g, a, b)).reshape(b.shape)


defvjp(matmul_op, _matmul_a, _matmul_b)
defvjp(
    linear_op,
    lambda g, y, x, weight, bias: _matmul_a(g, y, x, weight),
    lambda g, y, x, weight, bias: _matmul_b(g, y, x, weight),
    lambda g, y, x, weight, bias: unbroadcast(g, bias.shape),
)

# %% [markdown]
# ## Step 7: in which order
#
# A tensor may hand its gradient on only when it has all of it, that is, after everything that used it. In the example of
# step 1, `a` has to wait for `add` **and** `mul`. An order in which each tensor comes after all of its inputs is a
# **topological order**, and backward goes through it from the end.
#
# Why not simply follow each note back and hand on whatever arrives? The sum would be right, but each *path* would be walked
# by itself. A residual network computes x + f(x) in each block, so the number of paths doubles with every block:
#
# ```
#   x -+-> f -> [add] -+-> f -> [add] -+-> ...      blocks     ops          paths
#      |          ^    |          ^    |                 2        4              4
#      +----------+    +----------+                     20       40      1,048,576
#                                                       60      120   about 1.15 x 10^18
# ```
#
# In topological order each op is visited once: 120 visits for 60 blocks.
#
# The usual way to find the order is a depth-first walk: go to the inputs first, then list the tensor itself. Written as a
# recursive function it fails at Python's limit of 1,000 calls, and a recurrent network of a few hundred steps is there
# already. So keep the stack yourself, in a list. A tensor is pushed twice: once to be looked at, and then, followed by the
# marker `None`, to be listed when everything above it has gone:
#
# ```
#   a -> y -> z, z also from a       stack (top on the right)         listed
#   push z                           z
#   look at z                        z None y a
#   a is a leaf: list it             z None y                         a
#   look at y; a was seen            z None y None                    a
#   None: list y                     z None                           a y
#   None: list z                                                      a y z
# ```
#
# The walk sees each note exactly once, so it is also the place to refuse a graph that cannot be gone through, before any
# gradient is computed: an op without a rule, a graph that an earlier backward has freed, and numbers that changed after an
# op had used them. A tensor counts its changes in `version`, and a note keeps the versions its op has seen.


# %%
#| export
FREED = Origin(Op("freed", lambda: None), (), {}, None, [])  # takes the place of an origin that backward let go


def _no_rule(origin: Origin) -> Exception:
    if origin is FREED:
        return RuntimeError(
            "cannot go backward through this graph a second time: the first backward has freed it. Run the forward "
            "pass again, or call backward(retain_graph=True) the first time."
        )
    return NotImplementedError(
        f"op {origin.op.name!r} has no derivative rule, so no gradient can flow through it. Register one beside the op: "
        f"defvjp({origin.op.name}_op, lambda g, y, x: ...)"
    )


def _changed(origin: Origin, tensor: Tensor) -> Exception:
    which = next((f"input {place}" for place, each in enumerate(origin.inputs) if each is tensor), "result")
    return RuntimeError(
        f"cannot go backward through op {origin.op.name!r}: its {which}, of shape {tensor.shape}, was changed in place "
        "after the op had run. Change it after backward, or give the op a copy()."
    )


# %% nbgrader={"grade": false, "grade_id": "topological-order", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def topological_order(root: Tensor) -> list[Tensor]:
    """The tensors that root was made from and that require gradients, each after its inputs; root comes last.

    TODO: the walk drawn above, with a stack and a set of the tensors seen, and three checks on the way.
    Approach: pop a node. None: the next one on the stack is finished, list it. Seen before: skip it. A leaf (its origin is
    None): list it. Otherwise check the origin, push the node and None, then the inputs that require gradients and have
    not been seen.
    Checks: raise _no_rule(origin) when the op's name is not in vjp_rules, raise _changed(origin, node) when node.version
    is not 0, and raise _changed(origin, tensor) when an input's version is not the one that origin.versions notes.
    Example: for y = a * b; z = y + a the order ends in y, z, and has a and b before y.
    Hint: FREED has no inputs and its op no rule: the first check meets it too.
    """
    ### BEGIN SOLUTION
    order: list[Tensor] = []
    seen: set[Tensor] = set()
    stack: list[Tensor | None] = [root]
    while stack:
        node = stack.pop()
        if node is None:
            order.append(stack.pop())
            continue
        if node in seen:
            continue
        seen.add(node)
        origin = node.origin
        if origin is None:
            order.append(node)
            continue
        if origin.op.name not in vjp_rules:
            raise _no_rule(origin)
        if node._changes and node.version:  # most have no counter: a look at it is faster than asking for the version
            raise _changed(origin, node)
        stack.append(node)
        stack.append(None)
        for tensor in origin.inputs:
            if tensor._changes and tensor.version != origin.noted.get(tensor, 0):
                raise _changed(origin, tensor)
            if tensor.requires_grad and tensor not in seen:
                stack.append(tensor)
    return order
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-topological-order", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_topological_order() -> None:
    """Inputs come first, each tensor once, however deep the graph; a graph that is broken is refused."""
    a, b, c = Tensor(2.0, requires_grad=True), Tensor(3.0, requires_grad=True), Tensor(5.0)
    y = a * b
    z = y + a
    total = z * c
    order = topological_order(total)
    place = {tensor: i for i, tensor in enumerate(order)}
    assert len(order) == 5 and c not in place, "a, b, y, z and total, each once; c requires no gradient"
    assert place[a] < place[y] and place[b] < place[y] and place[y] < place[z] and order[-1] is total
    deep = Tensor(0.0, requires_grad=True)
    for _ in range(10_000):
        deep = deep + deep
    assert len(topological_order(deep)) == 10_001, "no recursion, and each shared tensor once"
    c[...] = 7.0
    try:
        topological_order(total)
    except RuntimeError as error:
        assert "in place" in str(error) and "mul" in str(error)
    else:
        raise AssertionError("c was changed after total had been computed from it")
    result = a.exp()
    result.version += 1  # as `result[...] = 0` does; the rule of exp reads the result
    try:
        topological_order(result)
    except RuntimeError as error:
        assert "in place" in str(error) and "exp" in str(error)
    else:
        raise AssertionError("result was changed after exp had made it")
    ### BEGIN HIDDEN TESTS
    assert topological_order(a) == [a]
    diamond = a * b
    for _ in range(60):
        diamond = diamond * b + diamond
    order = topological_order(diamond)
    place = {tensor: i for i, tensor in enumerate(order)}
    assert len(order) == 2 + 1 + 120
    for tensor in order:
        assert tensor.origin is None or all(place[each] < place[tensor] for each in tensor.origin.inputs)
    orphan = Tensor(1.0, requires_grad=True) * 2.0
    orphan.origin = Origin(Op("mystery", lambda x: x), (a,), {}, None, [0])
    try:
        topological_order(orphan)
    except NotImplementedError as error:
        assert "mystery" in str(error) and "defvjp" in str(error)
    else:
        raise AssertionError("an op without a rule must be an error that names it")
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_topological_order()

# %% [markdown]
# ## Step 8: backward
#
# Now the walk itself. Start with the gradient of the root. Take the tensors from the end of the order; for each, the
# gradient it has collected is complete. Call its op's rules, and hand each input its share: stored if it is the first,
# added if there is one.
#
# ```
#   order          a   b   y   z   L          gradients
#   take L                                    {z: 16}
#   take z                                    {y: 16, a: 16}
#   take y                                    {a: 16 + 48, b: 32}
#   take b, a      leaves                     b 32, a 64
# ```
#
# Whose memory is it? A rule may return a new array (g * b), or `g` itself (add), or a view of it (reshape). Two rules follow:
#
# - **Add in place only to an array made here.** `before += grad` would otherwise write into the gradient of another tensor,
#   or into an array of the caller. So the first sum of two makes a new array, and later ones add to it.
# - **A leaf keeps its gradient, so it gets memory of its own.** `_is_new` tells whether the rule has just made the array;
#   otherwise it is copied. The gradient of a weight matrix is new, and none of the big ones is copied.
#
# Then the graph is let go. As soon as a tensor has handed on its gradient, its origin becomes `FREED`, and the activations
# that only this note held are freed while backward is still on its way: the peak of memory is at its start, not its end.
# With `retain_graph=True` everything stays, for a second time.
#
# At last `backward` adds to each leaf's `.grad`. It **adds**: two losses, or four small batches in place of a large one,
# sum up by themselves, and an optimizer has to clear `.grad` before the next step.


# %%
#| export
def _fitted(grad: Any, x: Array, op: Op) -> Array:
    """What a rule gave for x as an array of x's dtype; ValueError when it has another shape."""
    if x.dtype.kind != "f":
        raise RuntimeError(f"a tensor of {x.dtype} has no gradient: leave its requires_grad False, or make it floats")
    grad = np.asarray(grad, x.dtype)
    if grad.shape != x.shape:
        raise ValueError(
            f"the derivative rule of op {op.name!r} gave a gradient of shape {grad.shape} for an input of shape {x.shape}: "
            "a rule sums over what was broadcast, with unbroadcast(g, x.shape)"
        )
    return grad


def _is_new(grad: Array, g: Array, y: Array, origin: Origin) -> bool:
    """Whether a rule has made this array, and not handed on one that others hold."""
    if grad is g or grad is y or grad.base is not None:
        return False
    for tensor in origin.inputs:
        if grad is tensor.data:  # no gradient: arrays are compared by identity
            return False
    saved = origin.saved
    if saved is None:
        return True
    return all(grad is not each for each in (saved if isinstance(saved, tuple | list) else (saved,)))


def seed_gradient(tensor: Tensor, gradient: Any) -> Array:
    """The gradient that backward starts with: of the tensor's shape and dtype; by default 1, for a single number."""
    if not tensor.requires_grad:
        if tensor.dtype.kind != "f":
            raise RuntimeError(f"a tensor of {tensor.dtype} has no gradient: only floating-point numbers have one")
        raise RuntimeError(
            "this tensor requires no gradients, so there is nothing to go back to: no tensor it was made from has "
            "requires_grad=True, or it was made under no_grad, or from detach()"
        )
    if gradient is None:
        if tensor.size != 1:
            raise RuntimeError(
                f"backward without a gradient starts from a single number, and this tensor has shape {tensor.shape}: "
                "reduce it with sum() or mean(), or pass a gradient of that shape"
            )
        seed = np.empty(tensor.shape, tensor.dtype)
        seed.fill(1)
        return seed
    if tensor.origin is not None and gradient.__class__ is Array and gradient.dtype == tensor.dtype:
        seed = gradient  # rules only read it; a leaf would keep it
    else:
        seed = as_array(gradient, tensor.dtype)
    if seed.shape != tensor.shape:
        raise ValueError(f"the gradient has shape {seed.shape}, the tensor {tensor.shape}: they must be the same")
    return seed


# %% nbgrader={"grade": false, "grade_id": "backward", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def pull_back(root: Tensor, gradient: Array, retain_graph: bool = False) -> dict[Tensor, Array]:
    """The gradient of each leaf that root was made from and that requires one, in memory that nobody else holds.

    TODO: the walk drawn above.
    Approach: keep a dictionary of gradients, {root: gradient} at first, and a set of the tensors whose entry is an array
    made here by adding. Pop the tensors from the end of topological_order(root), and each one's gradient g with it.
    - A leaf goes to the result, if a gradient has reached it.
    - Otherwise read its origin, and put FREED in its place unless retain_graph. No g: nothing to hand on.
    - vjp_rules has a tuple with a rule for each input, called as rule(g, y, *arrays, **params), with the op's saved value
      after y if op.saves; or one function, called as rule(g, y, saved, needs, *arrays, **params), for all of them.
    - Call no rule for an input that requires no gradient, or whose rule is None. Skip a gradient that is None.
    - A gradient that is no array, or of another shape or dtype than its input, goes through _fitted.
    - First gradient of a tensor: store it, and for a leaf store a copy unless _is_new. Later ones: add, in place only if
      the entry was made here.
    Example: for L = (a b + a)^2 of step 1 it returns {a: 64, b: 32}.
    Hint: np.asarray(before + grad) keeps the sum of two 0-d arrays an array.
    """
    ### BEGIN SOLUTION
    order = topological_order(root)
    gradients = {root: gradient}
    ours: set[Tensor] = set()
    leaves: dict[Tensor, Array] = {}
    while order:
        node = order.pop()
        g = gradients.pop(node, None)
        origin = node.origin
        if origin is None:
            if g is not None:
                leaves[node] = g
            continue
        if not retain_graph:
            node.origin = FREED
        if g is None:
            continue
        op, inputs, params, y = origin.op, origin.inputs, origin.params, node.data  # no gradient: rules take arrays
        rules = vjp_rules[op.name]
        args = [g, y, origin.saved] if op.saves else [g, y]
        if rules.__class__ is tuple:
            for tensor in inputs:
                args.append(tensor.data)  # no gradient: rules take arrays
            if len(inputs) > len(rules) and any(tensor.requires_grad for tensor in inputs[len(rules) :]):
                raise TypeError(
                    f"op {op.name!r} was given {len(inputs)} inputs, and has derivative rules for {len(rules)}"
                )
            found = rules
        else:
            needs = [tensor.requires_grad for tensor in inputs]
            arrays = [tensor.data for tensor in inputs]  # no gradient: rules take arrays
            found = rules(g, y, origin.saved, needs, *arrays, **params)
        for tensor, grad in zip(inputs, found):  # noqa: B905 (there may be more rules than inputs)
            if not tensor.requires_grad or grad is None:
                continue
            if found is rules:
                grad = grad(*args, **params) if params else grad(*args)
            if grad is None:
                continue
            x = tensor.data  # no gradient: its shape and dtype are compared
            if grad.__class__ is not Array or grad.shape != x.shape or grad.dtype is not x.dtype:
                grad = _fitted(grad, x, op)
            before = gradients.get(tensor)
            if before is None:
                if tensor.origin is None and not _is_new(grad, g, y, origin):
                    grad = grad.copy()
                gradients[tensor] = grad
            elif tensor in ours:
                before += grad
            else:
                gradients[tensor] = np.asarray(before + grad)
                ours.add(tensor)
    return leaves
    ### END SOLUTION


def backward(tensor: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """Add to the .grad of each leaf that tensor was made from the gradient of tensor, or of (tensor * gradient).sum().

    TODO: pull back seed_gradient(tensor, gradient), and add what comes to each leaf's .grad.
    Approach: a leaf without a .grad gets the new array. Otherwise add the old .grad into the new array and store that, so
    that whoever kept the old array keeps its values.
    Example: after backward(L) of step 1, a.grad is 64; after a second forward and backward it is 128.
    Raises RuntimeError for a tensor without gradients, for one that is no single number when gradient is None, and for a
    graph that was freed or changed; ValueError for a gradient of another shape. Then no .grad has changed.
    """
    ### BEGIN SOLUTION
    for leaf, grad in pull_back(tensor, seed_gradient(tensor, gradient), retain_graph).items():
        if leaf.grad is not None:
            grad += leaf.grad
        leaf.grad = grad
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-backward", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def test_unit_backward() -> None:
    """The example of step 1, accumulation, shared nodes, memory of one's own, and what cannot work."""
    a, b = Tensor(2.0, requires_grad=True), Tensor(3.0, requires_grad=True)
    loss = (a * b + a) ** 2
    backward(loss, retain_graph=True)
    assert a.grad.tolist() == 64.0 and b.grad.tolist() == 32.0
    backward(loss)
    assert a.grad.tolist() == 128.0, "gradients accumulate"
    try:
        backward(loss)
    except RuntimeError as error:
        assert "freed" in str(error)
    else:
        raise AssertionError("the graph was freed: a third backward must say so")
    x, w = Tensor([[1.0, 2.0]], requires_grad=True), Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    backward(x @ w, [[1.0, 10.0]])
    assert x.grad.tolist() == [[21.0, 43.0]] and w.grad.tolist() == [[1.0, 10.0], [2.0, 20.0]]
    p, q, mine = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True), np.ones(1, np.float32)
    backward(p + q, mine)
    p.grad[0] = 7.0
    assert q.grad.tolist() == [1.0] and mine.tolist() == [1.0], "p and q share memory: copy what is not new"
    p.grad = q.grad = None
    left, right = p * 1.0, q * 1.0
    backward((left + right + left).sum())  # add hands the same g to both of its inputs
    assert p.grad.tolist() == [2.0] and q.grad.tolist() == [1.0], "add in place only to an array that you made"
    q.grad[...] = 1.0
    try:
        backward(x @ w)
    except RuntimeError as error:
        assert "(1, 2)" in str(error)
    else:
        raise AssertionError("[[7, 10]] is no single number: backward must ask for a gradient")
    ### BEGIN HIDDEN TESTS
    calls = []
    rule = vjp_rules["neg"]
    vjp_rules["neg"] = (lambda g, y, x: calls.append(1) or -g,)
    try:
        z = a
        for _ in range(60):
            z = z + (-z) * 0.5
        a.grad = None
        backward(z)
        assert len(calls) == 60, "each op hands its gradient on once, when it is complete"
        assert np.isclose(a.grad, 0.5**60, rtol=1e-5)
        vjp_rules["neg"] = (lambda g, y, x: g[:1],)
        backward((-Tensor([1.0, 2.0], requires_grad=True)).sum())
    except ValueError as error:
        assert "neg" in str(error) and "(2,)" in str(error)
    else:
        raise AssertionError("a rule whose gradient has another shape than its input must be an error")
    finally:
        vjp_rules["neg"] = rule
    a.grad = None
    backward(a)
    assert a.grad.tolist() == 1.0, "a leaf may be the root: its derivative by itself is 1"
    kept = q.grad
    backward((q + q + q).sum())
    assert q.grad.tolist() == [4.0] and kept.tolist() == [1.0], "the array that someone kept must not change"
    half = Tensor([1.0, 2.0], dtype=np.float16, requires_grad=True)
    backward((half.astype(np.float64) * 3.0).sum())
    assert half.grad.dtype == np.float16 and half.grad.tolist() == [3.0, 3.0]
    held = q * 2.0
    backward((held + held.reshape(1)).sum())
    assert held.origin is FREED and held.grad is None, "the graph is let go, and only leaves keep gradients"
    for wrong, gradient in ((Tensor([1, 2], dtype=np.int64), None), (Tensor(1.0), None), (q * 1.0, [1.0, 2.0])):
        try:
            backward(wrong, gradient)
        except (RuntimeError, ValueError):
            continue
        raise AssertionError(f"backward of {wrong} must be an error")
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_backward()

# %% [markdown]
# Once this module is complete, `loss.backward()` calls your function: that method of module 01 looks for the engine and
# finds it.
#
# ## Step 9: not recording
#
# Recording costs memory and time, and sometimes it would be wrong: an optimizer changes parameters, and that change is not
# part of the function that is differentiated. `with no_grad():` turns `grad_mode.enabled` off, and puts back **what was
# there before**, also when an error is raised inside. Blocks can be nested, so "before" may well have been off.


# %% nbgrader={"grade": false, "grade_id": "no-grad", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Recording:
    """A context, and a decorator, in which results note how they were made, or do not."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.before: list[bool] = []  # a list, since the same object may be entered again inside itself

    def __enter__(self) -> None:
        """TODO: note grad_mode.enabled at the end of self.before, then set it to self.enabled."""
        ### BEGIN SOLUTION
        self.before.append(grad_mode.enabled)
        grad_mode.enabled = self.enabled
        ### END SOLUTION

    def __exit__(self, *error: object) -> None:
        """TODO: put back what was noted last. Return nothing, so that an error goes on its way."""
        ### BEGIN SOLUTION
        grad_mode.enabled = self.before.pop()
        ### END SOLUTION

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, each call of it in a context of its own."""
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__name__} does not run when it is called: use `with no_grad():` inside it")

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with Recording(self.enabled):
                return function(*args, **kwargs)

        return wrapped


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """`with no_grad():`, `@no_grad()` or `@no_grad`: results require no gradients and do not note how they were made."""
    return Recording(False) if function is None else Recording(False)(function)


# %% nbgrader={"grade": true, "grade_id": "test-no-grad", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_no_grad() -> None:
    """Nothing is recorded inside, and afterwards it is as it was before, after an error too."""
    w = Parameter([1.0])
    with no_grad():
        y = w * 2.0
        with no_grad():
            pass
        assert not (w * 2.0).requires_grad, "the inner block must put back what was before it: off"
    assert y.origin is None and not y.requires_grad and (w * 2.0).requires_grad
    try:
        with no_grad():
            raise KeyError("stop")
    except KeyError:
        pass
    else:
        raise AssertionError("an error inside must come out")
    assert (w * 2.0).requires_grad, "after an error recording must be on again"
    ### BEGIN HIDDEN TESTS
    again = no_grad()
    with again, again:
        pass
    assert grad_mode.enabled
    for decorated in (no_grad()(lambda: w * 2.0), no_grad(lambda: w * 2.0)):
        assert not decorated().requires_grad and grad_mode.enabled
    with no_grad(), Recording(True):
        assert (w * 2.0).requires_grad
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_no_grad()

# %% [markdown]
# ## Step 10: gradients of functions, and how to check them
#
# `backward` writes into `.grad`, which is what training wants. To look at one function by itself it is handier to get the
# gradients back: `vjp` runs a function and returns its result with a **pullback**, a function from a gradient of the result to
# gradients of the inputs. `grad` is the special case of a scalar. Both leave every `.grad` alone.


# %%
#| export
def vjp(function: Callable[..., Tensor], *inputs: Any) -> tuple[Tensor, Callable[..., tuple[Array, ...]]]:
    """function(*inputs), and its pullback: from a gradient of the result to one for each input.

    The pullback can be called many times; without an argument it starts from 1, for a scalar. No .grad is touched. Inputs
    that the result does not depend on get zeros, integers too.
    """
    leaves = [_leaf(each) for each in inputs]
    with Recording(True):
        result = function(*leaves)
    if not isinstance(result, Tensor):
        raise TypeError(f"vjp takes a function that returns a Tensor, this one returned {type(result).__name__}")

    def pullback(gradient: Any = None) -> tuple[Array, ...]:
        found = pull_back(result, seed_gradient(result, gradient), retain_graph=True) if result.requires_grad else {}
        return tuple(found[leaf] if leaf in found else np.zeros(leaf.shape, leaf.dtype) for leaf in leaves)

    return result, pullback


def _leaf(value: Any) -> Tensor:
    """A copy that requires gradients, if it is of floats."""
    tensor = as_tensor(value)
    return Tensor(tensor.numpy(), tensor.dtype, requires_grad=tensor.dtype.kind == "f")


def grad(function: Callable[..., Tensor], place: int = 0) -> Callable[..., Array]:
    """The function that computes the gradient of a scalar function by one of its inputs: the first, unless told."""

    def gradient(*inputs: Any) -> Array:
        return vjp(function, *inputs)[1]()[place]

    return gradient


# %% [markdown]
# How do you know that a rule is right? Move one input a little and look: the slope between two points is near the derivative.
# Between x - eps and x + eps (**central differences**) the error of the slope shrinks with eps^2. For f(x) = x^3 at 2, where
# the derivative is 12:
#
# ```
#   eps = 0.001    (2.001^3 - 1.999^3) / 0.002 = 12.000001      off by eps^2 = 0.000001
#                  (2.001^3 - 2^3) / 0.001     = 12.006001      one-sided: off by about 6 eps
# ```
#
# Smaller is not always better. The two values agree in nearly all digits, and rounding spoils what is left: the float32
# numbers next to 8 are 7.9999995 and 8.000001, and with eps = 0.000001 the slope comes out as 11.44 in place of 12. So
# `gradcheck` computes at float64, where eps = 0.000001 leaves about ten digits.
#
# One number cannot check an output of many elements, and a plain sum of them can hide errors that cancel. So the outputs are
# weighed with fixed random numbers, and those weights are the gradient that the pullback starts from.


# %% nbgrader={"grade": false, "grade_id": "gradcheck", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def numerical_gradient(function: Callable[[Array], float], x: Array, eps: float = 1e-6) -> Array:
    """The gradient of a scalar function of one array, by central differences.

    TODO: for each entry of x, the slope of function between x[entry] - eps and x[entry] + eps.
    Approach: work on a copy of x. np.ndindex(x.shape) goes through the indices; change an entry, call, and put it back.
    Example: for lambda x: (x**2).sum() at [1, 2] it is near [2, 4].
    x of any shape -> the same shape. The function is called twice for each entry.
    """
    ### BEGIN SOLUTION
    x = x.copy()
    slopes = np.empty_like(x)
    for entry in np.ndindex(x.shape):
        middle = x[entry]
        x[entry] = middle + eps
        above = function(x)
        x[entry] = middle - eps
        slopes[entry] = (above - function(x)) / (2 * eps)
        x[entry] = middle
    return slopes
    ### END SOLUTION


def gradcheck(
    function: Callable[..., Tensor], *inputs: Any, eps: float = 1e-6, atol: float = 1e-6, rtol: float = 1e-5
) -> bool:
    """True when rules and central differences agree at float64, for each input of floats.

    Raises AssertionError that names the input and the entry that differs most.
    """
    arrays = [np.asarray(each) for each in inputs]
    arrays = [each.astype(np.float64) if each.dtype.kind == "f" else each for each in arrays]
    result, pullback = vjp(function, *(Tensor(each, each.dtype) for each in arrays))
    if result.dtype != np.float64:
        raise TypeError(f"gradcheck computes at float64, and the function returned {result.dtype}: it casts on the way")
    weights = np.random.default_rng(0).uniform(0.5, 1.5, result.shape)
    analytic = pullback(weights)
    for place, x in enumerate(arrays):
        if x.dtype.kind != "f":
            continue

        def weighed(changed: Array, place: int = place) -> float:
            tensors = [Tensor(changed if i == place else each, each.dtype) for i, each in enumerate(arrays)]
            with no_grad():
                return float((function(*tensors).numpy() * weights).sum())

        _compare(place, analytic[place], numerical_gradient(weighed, x, eps), atol, rtol)
    return True


def _compare(place: int, analytic: Array, numeric: Array, atol: float, rtol: float) -> None:
    wrong = ~np.isclose(analytic, numeric, rtol=rtol, atol=atol)
    if wrong.any():
        away = np.where(wrong, np.nan_to_num(np.abs(analytic - numeric), nan=np.inf), -1.0)
        entry = tuple(int(i) for i in np.unravel_index(away.argmax(), away.shape))
        raise AssertionError(
            f"the gradient of input {place} is wrong at {entry}: the rules give {analytic[entry]:.8g}, central "
            f"differences {numeric[entry]:.8g}; {wrong.sum()} of {wrong.size} entries differ"
        )


# %% nbgrader={"grade": true, "grade_id": "test-gradcheck", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_gradcheck() -> None:
    """Numerical gradients are right, rules pass, and a wrong rule is found and named."""
    x = np.array([1.0, 2.0])
    assert np.allclose(numerical_gradient(lambda x: float((x**2).sum()), x), [2.0, 4.0], atol=1e-8)
    assert x.tolist() == [1.0, 2.0], "x must be as it was"
    assert gradcheck(lambda a, b: (a @ b).exp() / (a.sum() + b[0]), [[0.1, 0.2], [0.3, 0.4]], [[1.0], [2.0]])
    assert grad(lambda x: (x**3).sum())(np.float32([2.0])).tolist() == [12.0]
    rule = vjp_rules["exp"]
    vjp_rules["exp"] = (lambda g, y, x: g * x,)
    try:
        gradcheck(lambda x: x.exp(), [0.5])
    except AssertionError as error:
        assert "input 0" in str(error)
    else:
        raise AssertionError("the derivative of e^x is not x")
    finally:
        vjp_rules["exp"] = rule
    ### BEGIN HIDDEN TESTS
    assert np.allclose(
        numerical_gradient(lambda x: float((x**3).sum()), np.array([[2.0], [-1.0]])), [[12.0], [3.0]], atol=1e-7
    )
    assert abs(numerical_gradient(lambda x: float(x**3), np.array(2.0), eps=1e-3) - 12.000001) < 1e-9
    assert numerical_gradient(lambda x: 0.0, np.ones((0, 3))).shape == (0, 3)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_gradcheck()

# %% [markdown]
# ## Step 11: rules of activations and losses
#
# The ops of modules 02 and 04 are built from several steps, and yet their derivatives are short. Softmax, along one axis:
# raising one score raises its own probability and lowers all others, dy_i/dx_j = y_i (1 - y_j) for i = j and -y_i y_j
# otherwise. Put together with `g`:
#
# ```
#   gradient of x  =  y (g - sum(g y))             the sum along the axis
#
#   y = [0.5, 0.25, 0.25], g = [1, 0, 0]:  sum(g y) = 0.5,  gradient [0.25, -0.125, -0.125], which adds up to 0
# ```
#
# It has to add up to 0: a number added to all scores changes nothing. Cross-entropy, -log of the probability of the right
# class, comes out shorter still: **the probabilities, minus 1 at the right class**. Logits [1, 2, 3] with the class 2 give
# [0.0900, 0.2447, 0.6652 - 1]. This is one reason to fuse softmax, logarithm and choice into one op; the other is that the
# composed form divides by probabilities that may have rounded to 0. Forward has saved e^(logits - largest) and its row sums,
# so backward needs no exponential.


# %% nbgrader={"grade": false, "grade_id": "network-rules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _softmax(g: Array, y: Array, x: Array, axis: int = -1) -> Array:
    """The gradient of x in y = softmax(x) along axis.

    TODO: the formula above.
    Example: the numbers above. Hint: sum with keepdims=True.
    g and y of one shape -> the same shape.
    """
    ### BEGIN SOLUTION
    return y * (g - (g * y).sum(axis=axis, keepdims=True))
    ### END SOLUTION


def _cross_entropy(
    g: Array, y: Array, saved: tuple[Array, Array], logits: Array, target: Array, label_smoothing: float = 0.0
) -> Array:
    """The gradient of the logits.

    TODO: for class indices the probabilities, minus the wanted ones, times g of the row.
    Approach: saved is (exponentials, sums); each row of exponentials times g / sums is the first part. From the column of
    each row's target subtract (1 - label_smoothing) g. The rest is given.
    Example: g = [1], exponentials [[1, 2, 1]], sums [4] and the target [1] give [[0.25, -0.5, 0.25]].
    Hint: full[np.arange(rows), target] is one element of each row, and may be changed in place.
    g (N,), logits (N, C), target (N,) of int64 or (N, C) of probabilities -> (N, C).
    """
    exponentials, sums = saved
    wanted = (1 - label_smoothing) * g if label_smoothing else g
    if target.ndim == 2:  # their sum, which weighs log(sums), is 1 only nearly
        weight = wanted * target.sum(axis=1) + label_smoothing * g
        full = exponentials * (weight / sums)[:, None] - target * wanted[:, None]
    else:
        ### BEGIN SOLUTION
        full = exponentials * (g / sums)[:, None]
        full[np.arange(len(full)), target] -= wanted
        ### END SOLUTION
    if label_smoothing:
        full -= (g * (label_smoothing / logits.shape[1]))[:, None]
    return full


defvjp(softmax_op, _softmax)


# %% nbgrader={"grade": true, "grade_id": "test-network-rules", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_network_rules() -> None:
    """Softmax and cross-entropy, by the numbers of the lesson."""
    y, g = np.array([0.5, 0.25, 0.25]), np.array([1.0, 0.0, 0.0])
    assert _softmax(g, y, None, axis=0).tolist() == [0.25, -0.125, -0.125]
    columns = _softmax(np.array([g, g]).T, np.array([y, y]).T, None, axis=0)
    assert columns.T.tolist() == [[0.25, -0.125, -0.125]] * 2, "sum along the axis, which need not be the last"
    saved = np.array([[1.0, 2.0, 1.0]]), np.array([4.0])
    assert _cross_entropy(np.array([1.0]), None, saved, np.zeros((1, 3)), np.array([1])).tolist() == [
        [0.25, -0.5, 0.25]
    ]
    assert saved[0].tolist() == [[1.0, 2.0, 1.0]], "what forward has saved must stay as it is"
    smoothed = _cross_entropy(np.array([1.0]), None, saved, np.zeros((1, 3)), np.array([1]), label_smoothing=0.3)
    assert np.allclose(smoothed, [[0.15, -0.3, 0.15]]), "with smoothing the target's column loses (1 - s) g"
    ### BEGIN HIDDEN TESTS
    two = _softmax(np.array([g, 2 * g]), np.array([y, y]), None, axis=1)
    assert two.tolist() == [[0.25, -0.125, -0.125], [0.5, -0.25, -0.25]]
    saved = np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([4.0, 4.0])
    rows = _cross_entropy(np.array([2.0, 4.0]), None, saved, np.zeros((2, 2)), np.array([0, 1]))
    assert rows.tolist() == [[-1.5, 1.5], [2.0, -2.0]]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_network_rules()

# %% [markdown]
# The others are given:
#
# | op | gradient of x |
# |---|---|
# | relu | g where y > 0; at 0 the slope is 0 |
# | leaky_relu | g where x > 0, slope g elsewhere |
# | sigmoid | g y (1 - y) |
# | tanh | g (1 - y^2) |
# | gelu | g (Phi(x) + x phi(x)), with Phi and phi the normal distribution and its density |
# | logsumexp | g softmax(x) |
# | log_softmax | g - softmax(x) sum(g) |
# | binary cross-entropy, of p | g (p - target) / (p (1 - p)) |
# | the same, of logits | g (sigmoid(x) - target) |


# %%
#| export
def _gelu(g: Array, y: Array, x: Array) -> Array:
    if x.dtype == np.float16:  # the square of 300 is infinite in float16
        y, x = y.astype(np.float32), x.astype(np.float32)
    share = np.full_like(x, 0.5)  # Phi(x) is y / x: no second erf; at 0 it is 1/2
    np.divide(y, x, out=share, where=np.abs(x) > np.finfo(x.dtype).eps)
    density = np.exp(x * x * -0.5) * (0.5 / np.pi) ** 0.5
    return g * (share + x * density)


def _gelu_tanh(g: Array, y: Array, x: Array) -> Array:
    if x.dtype == np.float16:  # infinity times 0 is NaN
        x = x.astype(np.float32)
    square = x * x
    bent = np.tanh((2 / np.pi) ** 0.5 * x * (1 + 0.044715 * square))
    slope = (0.5 / np.pi) ** 0.5 * x * (1 + 3 * 0.044715 * square)
    return g * (0.5 * (1 + bent) + slope * (1 - bent * bent))


def _logsumexp(g: Array, y: Array, x: Array, axis: Axis = -1, keepdims: bool = False) -> Array:
    if axis is not None and not keepdims:
        g, y = np.expand_dims(g, axis), np.expand_dims(y, axis)
    with np.errstate(invalid="ignore"):  # of scores that are all minus infinity there is no gradient
        return g * np.exp(x - y)


def _cross_entropy_target(
    g: Array, y: Array, saved: tuple[Array, Array], logits: Array, target: Array, label_smoothing: float = 0.0
) -> Array:
    away = logits - logits.max(axis=1, keepdims=True)
    return ((1 - label_smoothing) * g)[:, None] * (np.log(saved[1])[:, None] - away)


def _binary(g: Array, y: Array, p: Array, target: Array) -> Array:
    return g * (p - target) / np.maximum(p * (1 - p), 1e-12)  # at p = 0 and 1 PyTorch divides by 1e-12 too


def _binary_target(g: Array, y: Array, p: Array, target: Array) -> Array:
    with np.errstate(divide="ignore"):
        return g * (np.maximum(np.log1p(-p), -100) - np.maximum(np.log(p), -100))


defvjp(relu_op, lambda g, y, x: keep(g, y > 0))
defvjp(leaky_relu_op, lambda g, y, x, negative_slope=0.01: np.where(x > 0, g, g * negative_slope))
defvjp(sigmoid_op, lambda g, y, x: g * (y * (1 - y)))
defvjp(tanh_op, lambda g, y, x: g * (1 - y * y))
defvjp(gelu_op, _gelu)
defvjp(gelu_tanh_op, _gelu_tanh)
defvjp(logsumexp_op, _logsumexp)
defvjp(log_softmax_op, lambda g, y, x, axis=-1: g - np.exp(y) * g.sum(axis=axis, keepdims=True))
defvjp(cross_entropy_op, _cross_entropy, _cross_entropy_target)
defvjp(binary_cross_entropy_op, _binary, _binary_target)
defvjp(
    binary_cross_entropy_with_logits_op,
    lambda g, y, x, target: g * (sigmoid_op.forward(x) - target),
    lambda g, y, x, target: -g * x,
)


# %% nbgrader={"grade": true, "grade_id": "test-module-autograd", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def test_module_autograd() -> None:
    """Layers, activations and a loss: gradients as by hand, and a step against them lowers the loss."""
    manual_seed(0)
    x, labels = randn(8, 5), np.arange(8) % 3
    first, second = Linear(5, 6), Linear(6, 3)
    parameters = [first.weight, first.bias, second.weight, second.bias]

    def hidden_and_loss() -> tuple[Tensor, Tensor]:
        hidden = (first(x)).exp() / 10.0
        return hidden, cross_entropy(second(hidden), labels)

    hidden, loss = hidden_and_loss()
    probabilities = np.exp(second(hidden).numpy())
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    delta = (probabilities - np.eye(3)[labels]) / 8
    backward(loss)
    assert x.grad is None, "the data requires no gradient"
    assert np.allclose(second.weight.grad, hidden.numpy().T @ delta, atol=1e-6)
    assert np.allclose(second.bias.grad, delta.sum(axis=0), atol=1e-6)
    before = delta @ second.weight.numpy().T * hidden.numpy()
    assert np.allclose(first.weight.grad, x.numpy().T @ before, atol=1e-6)
    with no_grad():
        for parameter in parameters:
            parameter[...] = parameter - 0.1 * parameter.grad
    assert hidden_and_loss()[1].item() < loss.item()
    rows = cat([x, x])[[0, 0, 9]].reshape(-1)
    assert gradcheck(lambda w: cross_entropy((rows.reshape(3, 5) @ w).max(axis=1).reshape(1, 3), [2]), first.weight)


if __name__ == "__main__":
    test_module_autograd()

# %% [markdown]
# ## A question with numbers
#
# The classifier 784-256-128-10 of module 03 runs on a batch of 32 images, in float32: three times `x @ weight + bias`, with
# a ReLU after the first two, then the cross-entropy and its mean. The images require no gradient. Work out
#
# - `hidden_bytes`: the bytes of the three results of the first layer, product, sum and ReLU, each (32, 256), which the
#   graph keeps until backward has passed;
# - `gradient_bytes`: the bytes of the gradients of all parameters (the network has 235,146);
# - `rule_calls`: how many times a rule is called in one backward. Count one for each input that requires a gradient: two
#   for most products and every bias sum, one for a ReLU, the cross-entropy and the mean;
# - `forward_flops`: of the three matrix products, two FLOPs for each multiplication with its addition;
# - `backward_flops`: of the matrix products in backward. Mind the first layer.


# %% nbgrader={"grade": false, "grade_id": "tape-numbers", "locked": false, "schema_version": 3, "solution": true, "task": false}
def tape_numbers() -> dict[str, int]:
    """What one training step of 784-256-128-10 at batch 32 keeps and computes.

    TODO: assign the five numbers.
    """
    ### BEGIN SOLUTION
    hidden_bytes = 3 * 32 * 256 * 4
    gradient_bytes = 235_146 * 4
    rule_calls = (1 + 2 + 2) + 3 * 2 + 2 + 1 + 1
    forward_flops = 2 * 32 * (784 * 256 + 256 * 128 + 128 * 10)
    backward_flops = forward_flops + 2 * 32 * (256 * 128 + 128 * 10)
    ### END SOLUTION
    return {
        "hidden_bytes": hidden_bytes,
        "gradient_bytes": gradient_bytes,
        "rule_calls": rule_calls,
        "forward_flops": forward_flops,
        "backward_flops": backward_flops,
    }


# %% nbgrader={"grade": true, "grade_id": "test-tape-numbers", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def test_unit_tape_numbers() -> None:
    """The numbers on paper are those of a real graph of this network."""
    numbers, sizes = tape_numbers(), (784, 256, 128, 10)
    layers = [Linear(*pair) for pair in itertools.pairwise(sizes)]
    x = Tensor(np.zeros((32, 784)))
    for layer in layers:
        x = x @ layer.weight + layer.bias
        x = relu(x) if layer is not layers[-1] else x
    loss = cross_entropy(x, np.zeros(32, np.int64))
    results = [each for each in topological_order(loss) if each.origin is not None]
    hidden = [each.numpy().nbytes for each in results if each.shape == (32, 256)]
    assert numbers["hidden_bytes"] == sum(hidden), "product, sum and ReLU, 4 bytes for each number"
    needs = {each: [tensor.requires_grad for tensor in each.origin.inputs] for each in results}
    assert numbers["rule_calls"] == sum(map(sum, needs.values())), "one for each input that requires a gradient"
    products = [each for each in results if each.origin.op is matmul_op]
    flops = [2 * each.size * each.origin.inputs[1].shape[0] for each in products]
    assert numbers["forward_flops"] == sum(flops), "2 m k n for each of three products"
    both = (count * sum(needs[each]) for count, each in zip(flops, products, strict=True))
    assert numbers["backward_flops"] == sum(both), "a product for each factor that requires a gradient"
    backward(loss)
    gradients = sum(each.grad.nbytes for layer in layers for each in layer.parameters())
    assert numbers["gradient_bytes"] == gradients, "4 bytes for each parameter"


if __name__ == "__main__":
    test_unit_tape_numbers()

# %% [markdown]
# ## What it costs: memory
#
# Layers of width 256, each a product, a bias sum and a ReLU, at batch 32: one array of results has
# 32 x 256 x 4 = 32,768 bytes. How many bytes of results does the graph hold with 1 layer, how many with 16, and how many
# are there under `no_grad`, when nothing is noted? How many are they when product and sum are one op, as in `linear` of
# module 03? write your guess: ___


# %%
def two_ops(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b as a product and a sum."""
    return x @ weight + bias


def deep_network(
    depth: int, width: int = 256, form: Callable[[Tensor, Tensor, Tensor], Tensor] = linear
) -> Callable[[Tensor], Tensor]:
    """That many layers of x W + b, each followed by ReLU."""
    layers = [Linear(width, width) for _ in range(depth)]

    def network(x: Tensor) -> Tensor:
        for layer in layers:
            x = relu(form(x, layer.weight, layer.bias))
        return x

    return network


def analyze_tape_memory() -> None:
    """Print the bytes of the results that the graph of a network keeps, by depth, with two ops in a layer and with one."""
    x = randn(32, 256)
    print("layers   held, x @ W + b   per layer   held, linear   per layer   under no_grad   parameters")
    for depth in (1, 2, 4, 8, 16):
        row = f"{depth:>6}"
        for form, width in ((two_ops, 18), (linear, 15)):
            network = deep_network(depth, form=form)
            held = sum(each.numpy().nbytes for each in topological_order(network(x)) if each.origin is not None)
            row += f"{held:>{width},} {held // depth:>11,}"
        with no_grad():
            result = network(x)
        parameters = depth * (256 * 256 + 256) * 4
        print(f"{row} {result.numpy().nbytes:>15,} {parameters:>12,}")


if __name__ == "__main__":
    analyze_tape_memory()

# %% [markdown]
# Memory grows with depth, and with the batch, while without recording it does not. Each layer in two ops keeps three arrays,
# though its rules need only one: the layer's input, which is the ReLU before it. The bias sum needs no values at all, only
# shapes, so fusing it with the product saves a third. Frameworks save more by noting what a rule needs in place of the whole
# input.
#
# ## What it costs: time
#
# Each matrix product of forward becomes two in backward, one for each factor. What is the ratio of backward to forward in
# FLOPs for eight equal layers, when the data requires a gradient, and when it does not? Will the measured time be above
# or below it? write your guess: ___


# %%
def analyze_backward_cost() -> None:
    """Print the time of forward and backward, and the ratio of their FLOPs."""
    network = deep_network(8)
    print("data requires gradients   forward ms   backward ms   ratio   ratio of FLOPs")
    for wanted, flops in ((True, 16 / 8), (False, 15 / 8)):
        x = Tensor(randn(256, 256).numpy(), requires_grad=wanted)
        forward, back = [], []
        for _ in range(12):
            start = time.perf_counter()
            loss = network(x).sum()
            middle = time.perf_counter()
            backward(loss)
            forward.append(middle - start)
            back.append(time.perf_counter() - middle)
        ahead, behind = 1000 * min(forward), 1000 * min(back)
        print(f"{wanted!s:>23} {ahead:>12.2f} {behind:>13.2f} {behind / ahead:>7.2f} {flops:>16.3f}")


def analyze_shared_nodes() -> None:
    """Print the rule calls for residual blocks, and the paths that a walk without an order would go."""
    print("blocks   rule calls   paths from the end to the start")
    for blocks in (1, 10, 20, 60):
        calls = 0
        z = Tensor([1.0], requires_grad=True)
        for _ in range(blocks):
            z = z + z * 0.5
        for tensor in topological_order(z):
            if tensor.origin is not None:
                calls += sum(each.requires_grad for each in tensor.origin.inputs)
        print(f"{blocks:>6} {calls:>12} {2**blocks:>33,}")


if __name__ == "__main__":
    analyze_backward_cost()
    analyze_shared_nodes()

# %% [markdown]
# The ratio of times lies near the ratio of FLOPs as long as the products are large. For small arrays it is the fixed cost of
# each op, a microsecond or so, that counts in both directions, and no FLOP at all.
#
# ## Reflection 1: what the graph keeps
#
# A network of 48 equal layers does not fit into memory for training at the batch size that you want, though it runs under
# `no_grad` without trouble. Explain what the graph keeps and why, and which of it the rules really need. Then weigh two ways
# out: smaller batches whose gradients accumulate, and keeping only every few layers' results, computing the others again
# in backward. Give orders of magnitude. 150 to 300 words.
#
# - (4 points) says what is kept, until when, and which rules need values and which only shapes
# - (3 points) accumulation: why the gradients add up to those of the large batch, and what it costs
# - (3 points) recomputation: memory and time as a function of the number of layers kept

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-memory", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Every result notes its op and inputs, so all activations stay alive from the moment they are made until backward has
# passed them; the peak is at the end of forward. Without recording each array goes as soon as the next layer has used it:
# about two are alive at a time, against two or three for each of the 48 here. Not all of it is needed. A matrix product needs
# its inputs, a ReLU or an exponential its own result; sums, reshapes and the bias addition need shapes only. An engine that
# saved just what the rules read could do with about one array for each layer, a third or a half.
#
# Gradients add, because a sum of losses has the sum of their gradients. Four batches of a quarter of the size, each loss
# divided by four, leave the same `.grad` as the large batch, with a quarter of the activations. The FLOPs are the same; small
# products use the processor less well, and the fixed costs come four times. It is not quite the same for layers that look at
# the whole batch, such as batch normalization.
#
# With recomputation we keep the inputs of segments. Of 48 layers in 7 segments of about 7 layers we hold 7 inputs and, while
# a segment is gone through backward, the results of its 7 layers: about 14 in place of 48, in general 2 sqrt(n). The price is
# one more forward pass. With backward at twice the cost of forward, a step of 3 units becomes 4: a third more time for under
# a third of the memory. Accumulation should be tried first, since it is simpler; recomputation is left when even a batch of
# one does not fit.

# %% [markdown]
# ## Reflection 2: the two directions
#
# The chain rule can be applied from the loss to the parameters (reverse mode, as here) or from the inputs to the outputs
# (forward mode: carry with each value its derivative by one chosen input). Compare what each costs for a function of n
# inputs and m outputs. Why is reverse mode the right choice for training, what does it pay for that, and when would you take
# forward mode? Why do rules compute vector-Jacobian products and not Jacobians? 150 to 300 words.
#
# - (4 points) the cost of both in passes, as a function of n and m, and what follows for training
# - (3 points) what reverse mode pays: memory, and the order of the walk; a case for forward mode
# - (3 points) why no Jacobian is ever formed, with the size of one as an example

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-modes", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# One pass in reverse gives the derivatives of one output by all inputs; one pass forward gives those of all outputs by one
# input, or along one direction. So a full Jacobian takes m passes in reverse or n passes forward, each at a small multiple of
# the function's own cost, about two. Training has one output, the loss, and n parameters: 235,146 even in our small
# classifier. One backward pass does in reverse mode what would take 235,146 forward ones. Central differences have the
# same fault, with two evaluations for each parameter; we use them only to check.
#
# The price is memory. Forward mode needs a value and its derivative at each moment and can forget them as it goes. Reverse
# mode needs the values in the opposite order to that in which they were computed, so it must keep them, or compute them
# again, and it has to find an order in which each gradient is complete before it is handed on. Forward mode is better when
# there are few inputs and many outputs: how a simulated trajectory depends on one initial speed, or the product of a Jacobian
# with one direction, as in Newton methods that need only Hessian times vector.
#
# A Jacobian has an entry for each pair of output and input. For one layer of 32 x 784 to 32 x 256 numbers that is 205,520,896
# entries, 822 MB, nearly all of them zero, because one image does not influence another. We only want its product with one
# vector, which for the layer is two matrix products. For elementwise ops the saving is still more plain: a diagonal matrix
# is a product of arrays.

# %% [markdown]
# ## Reflection 3: can this gradient be trusted?
#
# A colleague has added an op of their own with a rule. Training works, the loss falls, but it stays higher than with an older
# implementation. Describe how you would find out whether the rule is at fault. What does `gradcheck` show, under which
# conditions does it deceive you, and which faults can it not find at all? Which of the engine's own errors would have spoken
# up, and which faults stay silent? 150 to 300 words.
#
# - (4 points) a plan: isolate the op, float64, shapes that tell, comparison with a second source
# - (3 points) where central differences deceive: eps, kinks and ties, inputs that are too simple
# - (3 points) what the engine reports by itself, and what stays silent

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-trust", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# A wrong gradient rarely crashes: a factor of two, or a missing term, still points downhill most of the time, so training
# works a little worse. I would take the op out of the network and run `gradcheck` on it alone, at float64, with random inputs
# of several shapes: all axes of different length, so that a transposition shows; a broadcast input; one that is not
# contiguous; an empty one; each parameter at other values than its default. Then I would compose it with itself, so that the
# incoming gradient is not all ones, and compare with the older implementation or with PyTorch on the same numbers.
#
# Central differences deceive when eps is too large (the error grows as eps squared) or too small (rounding), and at float32
# they nearly always do. At a kink, such as ReLU at 0 or a tie of two maxima, they average both sides, and a correct rule
# seems wrong. Zeros, ones or symmetric matrices let wrong rules pass. And the check compares the rule with the forward
# function: if forward computes the wrong thing, both agree. Faults that show only at large values, overflow for example, are
# outside the points that were tried.
#
# By itself the engine reports a missing rule, a gradient of the wrong shape, numbers changed in place through a tensor, a
# graph used twice, and integers. It stays silent about wrong factors, about a `detach` or a computation on bare arrays,
# which cuts the graph, about changes made to the array behind a tensor's back, and about gradients that nobody cleared before
# the next step.

# %% [markdown]
# ## Summary
#
# A gradient is computed op by op, backward: multiply along a path, add where paths meet. Each op needs one rule, a
# vector-Jacobian product, and the rules stand in a table beside the ops. `backward` finds a topological order without
# recursion, refuses a graph that it could only get wrong, hands each gradient on once, and lets the graph go as it passes. Its
# time is about twice that of forward; its price is that every activation has to wait for it. Modules that add an op from now
# on register its rule right there, and `gradcheck` tells whether it is right.
#
# Next, 07 Optimizers: what to do with a gradient once you have it.
