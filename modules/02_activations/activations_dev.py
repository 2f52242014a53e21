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
# # Activations
#
# This module builds on 01 Tensor: `Tensor`, `op` and `apply`. Afterwards you can
#
# - say what a network gains from a function that is not linear, and show it on numbers,
# - write ReLU, leaky ReLU, sigmoid, tanh, GELU and softmax as ops on arrays,
# - keep `exp` from overflowing, in sigmoid and in softmax, without changing the result,
# - say what an activation costs, in time and in bytes, and what it does to small differences.
#
# **Build** six activations. **Use** them in a network that computes XOR. **Reflect** on saturation, stability and
# cost.
#
# Systems reality check: GPT-2 small applies GELU to 4 x 768 = 3,072 numbers for every token in every one of its 12
# blocks, and softmax to all its attention scores. An activation does little arithmetic per number, so much of its time
# goes into reading and writing memory, and every result it leaves behind is kept until the gradients are computed.

# %%
#| default_exp core.activations
#| export
import numpy as np

from tinytorch.core.tensor import Array, Tensor, apply, op

# %% [markdown]
# ## Why a network needs them
#
# Take two layers of one number each, y = 2x + 1 and z = 3y - 4. Put the first into the second:
#
# ```
#   z = 3(2x + 1) - 4 = 6x - 1
# ```
#
# Two linear layers are one linear layer. So are a hundred, also with matrices in place of numbers. Some things no
# linear layer can do. XOR is one: with z = ax + by + c the four rows of its table would ask for
#
# ```
#   x y  z
#   0 0  0     c = 0
#   1 0  1     a = 1
#   0 1  1     b = 1
#   1 1  0     a + b + c = 0, but it is 2
# ```
#
# Put something bent between two layers and they no longer collapse. At the end of this module two layers with a ReLU
# between them compute XOR exactly.

# %% [markdown]
# ## Step 1: ReLU
#
# The rectified linear unit keeps what is positive and makes the rest zero.
#
# ```
#   relu(x)                       x     -2   -0.5    0    1.5
#    2 |         /             relu(x)   0     0     0    1.5
#    1 |       /
#    0 |_____/
#      -2    0   2
# ```
#
# Each activation here is one op: a function from an array to an array, which `apply` runs on a tensor's array and
# notes on the result. It could be put together from ops that `Tensor` has, but then every intermediate result would
# become a tensor of its own. As one op it leaves one result and one note. Such an op is called fused.
#
# For each activation there are two things to call, as in PyTorch: a function, `relu(x)`, and a class, `ReLU()`, which
# is made once, put between layers, and then called. For ReLU both are given. You write the op.


# %%
#| export
class Activation:
    """Something between two layers: made once, then called on a tensor. It has nothing to learn."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


# %% nbgrader={"grade": false, "grade_id": "relu", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def relu_op(x: Array) -> Array:
    """The larger of 0 and each element.

    TODO: compute it for the whole array at once, without a loop.
    Approach: make an array of zeros like x; np.maximum keeps the larger of each pair, and can write it into the zeros.
    Example: [-2, -0.5, 0, 1.5] gives [0, 0, 0, 1.5].
    Hint: np.maximum(x, 0) is right too; NumPy takes up to three times as long to compare an array with one number.
    x of any shape -> the same shape and dtype; integers stay integers.
    """
    ### BEGIN SOLUTION
    larger = np.zeros(x.shape, x.dtype)
    return np.maximum(x, larger, out=larger)
    ### END SOLUTION


def relu(x: Tensor) -> Tensor:
    """max(0, x) of each element; the same shape and dtype."""
    return apply(relu_op, x)


class ReLU(Activation):
    """max(0, x)."""

    def forward(self, x: Tensor) -> Tensor:
        """The larger of 0 and each element."""
        return relu(x)


# %% nbgrader={"grade": true, "grade_id": "test-relu", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_relu() -> None:
    """Negative elements become zero, the others stay, and so do shape and dtype."""
    assert relu(Tensor([-2.0, -0.5, 0.0, 1.5])).tolist() == [0.0, 0.0, 0.0, 1.5]
    assert relu(Tensor([[-3, 4]], dtype=np.int64)).tolist() == [[0, 4]]
    assert relu(Tensor([[-3, 4]], dtype=np.int64)).dtype == np.int64
    x = Tensor([-1.0, 2.0], requires_grad=True)
    assert relu(x).origin.op is relu_op, "relu must go through apply, which notes how the result was made"
    assert x.tolist() == [-1.0, 2.0], "the input itself must not change"
    ### BEGIN HIDDEN TESTS
    values = np.random.default_rng(2).standard_normal((3, 4, 5))
    result = ReLU()(Tensor(values, dtype=np.float64))
    assert result.dtype == np.float64
    assert result.tolist() == [[[max(0.0, v) for v in row] for row in block] for block in values.tolist()]
    assert relu(Tensor(-3.0)).tolist() == 0.0
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_relu()

# %% [markdown]
# ## Step 2: Leaky ReLU
#
# A unit whose input is negative for every sample outputs zero for every sample, and a small change of its weights
# changes nothing: it is called dead. Leaky ReLU lets a little through, by default a hundredth.
#
# ```
#       x            -2    -0.5     0    1.5
#   leaky_relu(x)  -0.02  -0.005    0    1.5
# ```
#
# With x < 0 the product 0.01x is the larger of x and 0.01x, with x > 0 it is x. So one comparison does it, as long as
# the slope is at most 1. With a slope of 2 it is the other way round: the smaller of x and 2x is wanted.
#
# ```
#   slope 0.01:  x = -2: max(-2, -0.02) = -0.02     x = 3: max(3, 0.03) = 3
#   slope 2:     x = -2: min(-2, -4)    = -4        x = 3: min(3, 6)    = 3
# ```
#
# A hundredth of an integer is no integer, so this op, like all that follow, makes float32 of integers first.


# %%
#| export
def _floating(x: Array) -> Array:
    return x if x.dtype.kind == "f" else x.astype(np.float32)


# %% nbgrader={"grade": false, "grade_id": "leaky-relu", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def leaky_relu_op(x: Array, negative_slope: float) -> Array:
    """x where it is positive, negative_slope times x elsewhere.

    TODO: multiply by the slope, then keep the larger of the two for slopes up to 1, the smaller for greater ones.
    Approach: make x floating, compute the product once, choose between np.maximum and np.minimum.
    Example: [-2, 1.5] with slope 0.01 gives [-0.02, 1.5], with slope 2 it gives [-4, 1.5].
    Hint: _floating(x) leaves floats as they are.
    x of any shape -> the same shape; float dtypes are kept.
    """
    ### BEGIN SOLUTION
    x = _floating(x)
    scaled = x * negative_slope
    return np.maximum(x, scaled) if negative_slope <= 1 else np.minimum(x, scaled)
    ### END SOLUTION


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, negative_slope times x elsewhere; the same shape."""
    return apply(leaky_relu_op, x, negative_slope=negative_slope)


# %% nbgrader={"grade": true, "grade_id": "test-leaky-relu", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_leaky_relu() -> None:
    """Negative elements are scaled by the slope, whatever the slope is."""
    np.testing.assert_allclose(leaky_relu(Tensor([-2.0, -0.5, 0.0, 1.5])).numpy(), [-0.02, -0.005, 0.0, 1.5])
    np.testing.assert_allclose(leaky_relu(Tensor([-2.0, 3.0]), 2.0).numpy(), [-4.0, 3.0])
    assert leaky_relu(Tensor([-2.0])).dtype == np.float32
    ### BEGIN HIDDEN TESTS
    for slope in (0.0, 0.2, 1.0, 5.0, -1.0):
        x = np.array([-3.0, -0.25, 0.0, 0.25, 7.0])
        wanted = [v if v > 0 else slope * v for v in x]
        np.testing.assert_allclose(leaky_relu(Tensor(x, dtype=np.float64), slope).numpy(), wanted)
    assert leaky_relu(Tensor([-4], dtype=np.int64), 0.5).tolist() == [-2.0]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_leaky_relu()

# %% [markdown]
# ## Step 3: Sigmoid
#
# The sigmoid maps every number into (0, 1), where it can be read as a probability.
#
# ```
#   sigmoid(x) = 1 / (1 + e^-x)
#
#    1 |             ________          x        -2       0       2
#      |          .                sigmoid(x)  0.1192   0.5    0.8808
#   0.5|        .
#      |      .
#    0 |______
#       -6       0        6
# ```
#
# Written like that, it overflows: the largest float32 is about e^88.72, so for x = -100 `np.exp(100)` is infinity and
# NumPy warns. Multiply numerator and denominator by e^x where x is negative, and no exponent is ever positive:
#
# ```
#   x >= 0:    1  / (1 + e^-x)           x < 0:   e^x / (e^x + 1)
#
#   both:   e^min(x, 0) / (1 + e^-|x|)
# ```
#
# By hand for x = -2: e^-2 = 0.1353, so 0.1353 / 1.1353 = 0.1192. For x = -100: e^-100 / 1 is about 3.7e-44, which
# float32 can just hold. For x = 17 the true value differs from 1 by 4e-8. The result is then exactly 1: 1 + e^-17
# already rounds to 1 in float32. Up to 16 the result stays below 1.


# %% nbgrader={"grade": false, "grade_id": "sigmoid", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def sigmoid_op(x: Array) -> Array:
    """1 / (1 + e^-x) of each element, for x of any size.

    TODO: compute e^min(x, 0) / (1 + e^-|x|).
    Approach: make x floating; two calls of np.exp, neither with a positive exponent; one division.
    Example: [-2, 0, 2] gives [0.1192, 0.5, 0.8808], and [-1000, 1000] gives [0, 1] without a warning.
    Hint: np.minimum(x, 0) and -np.abs(x) work on whole arrays.
    x of any shape -> the same shape; float dtypes are kept.
    """
    ### BEGIN SOLUTION
    x = _floating(x)
    top = np.exp(np.minimum(x, 0))
    top /= 1 + np.exp(-np.abs(x))
    return top
    ### END SOLUTION


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x) of each element: from 0 to 1; the same shape."""
    return apply(sigmoid_op, x)


class Sigmoid(Activation):
    """1 / (1 + e^-x)."""

    def forward(self, x: Tensor) -> Tensor:
        """The sigmoid of each element."""
        return sigmoid(x)


# %% nbgrader={"grade": true, "grade_id": "test-sigmoid", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_sigmoid() -> None:
    """Right to seven digits, strictly between 0 and 1 for moderate inputs, no overflow for large ones."""
    np.testing.assert_allclose(sigmoid(Tensor([-2.0, 0.0, 2.0])).numpy(), [0.11920292, 0.5, 0.88079708], rtol=1e-6)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert sigmoid(Tensor([-1000.0, 1000.0])).tolist() == [0.0, 1.0]
    moderate = Sigmoid()(Tensor(np.linspace(-16, 16, 1001))).numpy()
    assert moderate.dtype == np.float32
    assert moderate.min() > 0 and moderate.max() < 1
    ### BEGIN HIDDEN TESTS
    x = np.random.default_rng(3).uniform(-40, 40, 1000)
    exact = np.array([1 / (1 + np.exp(-v)) for v in x])
    np.testing.assert_allclose(sigmoid(Tensor(x, dtype=np.float64)).numpy(), exact, rtol=1e-13)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert 0 < sigmoid(Tensor(-80.0)).item() < 2e-35
        assert sigmoid(Tensor([-10000], dtype=np.int64)).tolist() == [0.0]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_sigmoid()

# %% [markdown]
# ## Step 4: Tanh
#
# The hyperbolic tangent has the same shape, from -1 to 1 and through zero, so its outputs are not all positive.
#
# ```
#   tanh(x) = (e^x - e^-x) / (e^x + e^-x) = 2 sigmoid(2x) - 1          tanh(1) = 0.7616
# ```
#
# The formula overflows above 88.72 as the sigmoid's did, and then divides infinity by infinity. `np.tanh` does not.


# %% nbgrader={"grade": false, "grade_id": "tanh", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def tanh_op(x: Array) -> Array:
    """The hyperbolic tangent of each element.

    TODO: make x floating, then let NumPy compute it.
    Example: [-1, 0, 1] gives [-0.7616, 0, 0.7616].
    x of any shape -> the same shape; float dtypes are kept.
    """
    ### BEGIN SOLUTION
    return np.tanh(_floating(x))
    ### END SOLUTION


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent of each element: from -1 to 1; the same shape."""
    return apply(tanh_op, x)


class Tanh(Activation):
    """The hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """The hyperbolic tangent of each element."""
        return tanh(x)


# %% nbgrader={"grade": true, "grade_id": "test-tanh", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_tanh() -> None:
    """Odd, between -1 and 1, and a sigmoid stretched to that range."""
    np.testing.assert_allclose(tanh(Tensor([-1.0, 0.0, 1.0])).numpy(), [-0.76159416, 0.0, 0.76159416], rtol=1e-6)
    with np.errstate(over="raise", invalid="raise"):
        assert Tanh()(Tensor([-1000.0, 1000.0])).tolist() == [-1.0, 1.0]
    ### BEGIN HIDDEN TESTS
    x = np.random.default_rng(4).standard_normal((5, 7))
    stretched = 2 / (1 + np.exp(-2 * x)) - 1
    np.testing.assert_allclose(tanh(Tensor(x, dtype=np.float64)).numpy(), stretched, atol=1e-15)
    assert tanh(Tensor([1], dtype=np.int32)).dtype == np.float32
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_tanh()

# %% [markdown]
# ## Step 5: GELU
#
# The Gaussian error linear unit multiplies x by the probability that a normally distributed number is below x. That
# probability is written Phi(x), and it comes from the error function erf:
#
# ```
#   gelu(x) = x Phi(x),     Phi(x) = (1 + erf(x / sqrt 2)) / 2
#
#       x      -2       -1       -0.5      0     0.5      1        2
#     gelu   -0.0455  -0.1587  -0.1543     0    0.3457   0.8413   1.9545
# ```
#
# By hand: a normal number is below 1 with probability 0.8413, so gelu(1) = 0.8413 and gelu(-1) = -(1 - 0.8413) =
# -0.1587. Between the two ReLU branches runs a smooth curve that dips to -0.17 at x = -0.75.
#
# NumPy has no erf. The next cell gives you one, from the Cephes library of S. L. Moshier (`ndtr.c`): a quotient of two
# polynomials up to 1, another times e^(-x^2) above. You need not know how such numbers are found. Two things in it are
# worth a look. It computes both parts for every element, since sorting elements into two groups costs more than the
# arithmetic does. And it works in blocks, so that its many passes run over memory that is still in the cache.

# %%
#| export
# fmt: off
_ERF_TOP = (9.604973739870516, 90.02601972038427, 2232.005345946843, 7003.325141128051, 55592.30130103949)
_ERF_BOTTOM = (1.0, 33.56171416475031, 521.3579497801527, 4594.323829709801, 22629.000061389095, 49267.39426086359)
_ERFC_TOP = (
    2.461969814735305e-10, 0.5641895648310689, 7.463210564422699, 48.63719709856814, 196.5208329560771,
    526.4451949954773, 934.5285271719576, 1027.5518868951572, 557.5353353693994
)
_ERFC_BOTTOM = (
    1.0, 13.228195115474499, 86.70721408859897, 354.9377788878199, 975.7085017432055,
    1823.9091668790973, 2246.3376081871097, 1656.6630919416134, 557.5353408177277
)
# fmt: on
_BLOCK = 32_768  # elements: as float32 128 KiB


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result *= x
        result += coefficient
    return result


def _erf_block(x: Array) -> Array:
    size = np.abs(x)
    low = np.minimum(size, 1)
    square = low * low
    low *= _polynomial(_ERF_TOP, square)
    low /= _polynomial(_ERF_BOTTOM, square)  # erf(min(|x|, 1))
    high = np.clip(size, 1, 6)  # erf(6) is 1 to 16 digits
    rest = np.exp(-high * high)
    rest *= _polynomial(_ERFC_TOP, high)
    rest /= _polynomial(_ERFC_BOTTOM, high)  # 1 - erf(max(|x|, 1))
    near = size <= 1
    return np.copysign(low * near + (1 - rest) * ~near, x)


def erf(x: Array) -> Array:
    """The error function of each element: to 4e-16 in float64, 2e-7 in float32; the same shape and dtype."""
    flat = x.reshape(-1)
    result = np.empty_like(flat)
    for start in range(0, flat.size, _BLOCK):
        result[start : start + _BLOCK] = _erf_block(flat[start : start + _BLOCK])
    return result.reshape(x.shape)


# %% [markdown]
# Before good erf functions were everywhere, GELU was approximated by a tanh. GPT-2 was trained with that form, so its
# weights want it still:
#
# ```
#   gelu_tanh(x) = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2           gelu_tanh(1) = 0.8412
# ```
#
# The two are nowhere further apart than 0.00048. Write the cube as `x * x * x`: for `x**3` NumPy calls a general power
# function, which takes many times as long.


# %% nbgrader={"grade": false, "grade_id": "gelu", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def gelu_op(x: Array) -> Array:
    """x Phi(x) of each element, by erf.

    TODO: compute x (1 + erf(x / sqrt 2)) / 2.
    Approach: make x floating; 1 / sqrt 2 is 0.5 ** 0.5; erf is in the cell above.
    Example: [-1, 0, 1] gives [-0.1587, 0, 0.8413].
    x of any shape -> the same shape; float dtypes are kept.
    """
    if x.dtype == np.float16:  # which has too few digits for 1 + erf, and no square above 65,504
        return gelu_op.forward(x.astype(np.float32)).astype(np.float16)
    ### BEGIN SOLUTION
    x = _floating(x)
    return 0.5 * x * (1 + erf(x * 0.5**0.5))
    ### END SOLUTION


@op
def gelu_tanh_op(x: Array) -> Array:
    """GELU of each element, approximated by tanh.

    TODO: compute x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.
    Approach: make x floating, compute the argument of tanh first; never x**3.
    Example: [-1, 0, 1] gives [-0.1588, 0, 0.8412].
    Hint: after the cube, changing the array in place (bent *= 0.044715) saves a new array for every step.
    x of any shape -> the same shape; float dtypes are kept.
    """
    if x.dtype == np.float16:  # in which the cube of 41 is infinite
        return gelu_tanh_op.forward(x.astype(np.float32)).astype(np.float16)
    ### BEGIN SOLUTION
    x = _floating(x)
    bent = x * x * x
    bent *= 0.044715
    bent += x
    bent *= (2 / np.pi) ** 0.5
    bent = np.tanh(bent)
    bent += 1
    bent *= x
    bent *= 0.5
    return bent
    ### END SOLUTION


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the probability that a normal number is below x; approximate="tanh" is the form of GPT-2.

    The same shape. Raises ValueError for any other word.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f'approximate must be "none" or "tanh", not {approximate!r}')
    return apply(gelu_tanh_op if approximate == "tanh" else gelu_op, x)


# %% nbgrader={"grade": true, "grade_id": "test-gelu", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_gelu() -> None:
    """The exact form agrees with erf, the other with tanh, and both are as good as their dtype allows."""
    x = Tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
    exact = [-0.04550026, -0.15865525, -0.15426877, 0.0, 0.34573123, 0.84134475, 1.9544997]
    np.testing.assert_allclose(gelu(x).numpy(), exact, atol=3e-7)
    np.testing.assert_allclose(gelu(x, approximate="tanh").numpy(), exact, atol=5e-4)
    assert gelu(x).dtype == np.float32 and gelu(x, "tanh").dtype == np.float32
    assert abs(gelu(Tensor(1.0, dtype=np.float64), "tanh").item() - 0.8411919906082768) < 1e-14
    try:
        gelu(x, approximate="quick")
    except ValueError as error:
        assert "quick" in str(error)
    else:
        raise AssertionError("an unknown approximation must be a ValueError")
    ### BEGIN HIDDEN TESTS
    import math

    values = np.random.default_rng(5).normal(0, 3, 500)
    wanted = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in values]
    np.testing.assert_allclose(gelu(Tensor(values, dtype=np.float64)).numpy(), wanted, atol=2e-15)
    curve = [v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3))) / 2 for v in values]
    np.testing.assert_allclose(gelu(Tensor(values, dtype=np.float64), "tanh").numpy(), curve, atol=1e-14)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_gelu()

# %% [markdown]
# ## Step 6: Softmax
#
# Softmax makes probabilities of a row of scores: each score's exponential, divided by the sum of them all.
#
# ```
#   scores          1         2         3        sum
#   e^score       2.7183    7.3891   20.0855   30.1929
#   divided       0.0900    0.2447    0.6652    1
# ```
#
# A score of 1000 would overflow, also in float64, whose largest number is about e^709.78. Subtract the row's largest
# score first. Every exponential is divided by the same e^max, so the quotients stay what they were:
#
# ```
#   scores - 3     -2        -1         0
#   e^...         0.1353    0.3679    1        1.5032
#   divided       0.0900    0.2447    0.6652    1          the same for scores 1001, 1002, 1003
# ```
#
# Now no exponent is positive, the largest term is 1 and the sum is at least 1: nothing overflows, nothing is divided
# by zero.
#
# "A row" is whatever lies along `axis`. With `keepdims=True` the maximum and the sum keep that axis, with length 1, so
# that they broadcast against the scores.
#
# ```
#   x (2, 3)          x.max(axis=-1, keepdims=True) (2, 1)        x.max(axis=0, keepdims=True) (1, 3)
#   | 1  2  3 |       | 3 |                                       | 4  2  6 |
#   | 4  0  6 |       | 6 |
# ```
#
# One more thing about the sum. NumPy adds float32 numbers along the first axis one after the other, and each addition
# rounds: 50,257 numbers of 1/50,257 come to 1.000364. Summed as float64 they come to 1 within 4e-8. The sum is a small
# array, so this costs little memory. Convert it back afterwards, so that the result has the dtype of x.


# %% nbgrader={"grade": false, "grade_id": "softmax", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def softmax_op(x: Array, axis: int) -> Array:
    """The exponentials along an axis, divided by their sum.

    TODO: subtract the largest, take exponentials, divide by their sum.
    Approach: max and sum with axis=axis and keepdims=True; the sum with dtype=np.float64, then .astype(x.dtype).
    Example: [1, 2, 3] gives [0.0900, 0.2447, 0.6652], and so does [1001, 1002, 1003].
    Hint: nothing here depends on the number of axes.
    x of any shape -> the same shape; float dtypes are kept; sums along axis are 1.
    """
    ### BEGIN SOLUTION
    x = _floating(x)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    powers /= powers.sum(axis=axis, keepdims=True, dtype=np.float64).astype(x.dtype)
    return powers
    ### END SOLUTION


def softmax(x: Tensor, axis: int = -1, *, dim: int | None = None) -> Tensor:
    """Probabilities along an axis (or dim), in proportion to e^x; finite for scores of any size; the same shape."""
    return apply(softmax_op, x, axis=axis if dim is None else dim)


# %% nbgrader={"grade": true, "grade_id": "test-softmax", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
def test_unit_softmax() -> None:
    """Rows of probabilities, along any axis, for scores of any size."""
    wanted = [0.09003057, 0.24472847, 0.66524096]
    np.testing.assert_allclose(softmax(Tensor([1.0, 2.0, 3.0])).numpy(), wanted, rtol=1e-6)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_allclose(softmax(Tensor([1001.0, 1002.0, 1003.0])).numpy(), wanted, rtol=1e-6)
        assert softmax(Tensor([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.0, 1.0]
    x = Tensor(np.random.default_rng(6).standard_normal((4, 5, 6)) * 1000)
    for axis in (0, 1, 2, -1):
        np.testing.assert_allclose(softmax(x, axis=axis).numpy().sum(axis=axis), 1.0, atol=1e-6)
    ### BEGIN HIDDEN TESTS
    tall = softmax(Tensor(np.random.default_rng(7).standard_normal((50_257, 2))), axis=0).numpy()
    assert tall.dtype == np.float32
    np.testing.assert_allclose(tall.sum(axis=0, dtype=np.float64), 1.0, atol=1e-6)
    far = softmax(Tensor([[0.0, 1.0], [1000.0, 1001.0]])).numpy()
    np.testing.assert_allclose(far, [[0.26894142, 0.73105858]] * 2, rtol=1e-6)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_softmax()

# %% [markdown]
# ## Step 7: Activations with settings
#
# Three activations have a setting: the slope of LeakyReLU, the form of GELU, the axis of Softmax. The class keeps it
# as an attribute, and `forward` passes it on to the function. `Activation` does the rest: calling, and showing the
# settings.
#
# ```
#   LeakyReLU(0.2)           shows as  LeakyReLU(negative_slope=0.2)
#   LeakyReLU(0.2)(x)        is        leaky_relu(x, 0.2)
# ```


# %% nbgrader={"grade": false, "grade_id": "settings", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class LeakyReLU(Activation):
    """x where it is positive, negative_slope times x elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """TODO: leaky_relu of x, with this slope."""
        ### BEGIN SOLUTION
        return leaky_relu(x, self.negative_slope)
        ### END SOLUTION


class GELU(Activation):
    """x times the probability that a normal number is below x."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """TODO: gelu of x, in this form."""
        ### BEGIN SOLUTION
        return gelu(x, self.approximate)
        ### END SOLUTION


class Softmax(Activation):
    """Probabilities along an axis; dim is PyTorch's name for it."""

    def __init__(self, axis: int = -1, *, dim: int | None = None) -> None:
        self.axis = axis if dim is None else dim

    def forward(self, x: Tensor) -> Tensor:
        """TODO: softmax of x, along this axis."""
        ### BEGIN SOLUTION
        return softmax(x, self.axis)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-settings", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_settings() -> None:
    """Each class passes its setting on."""
    x = Tensor([[-1.0, 2.0], [3.0, -4.0]])
    np.testing.assert_allclose(LeakyReLU()(x).numpy(), [[-0.01, 2.0], [3.0, -0.04]])
    np.testing.assert_allclose(LeakyReLU(0.5)(x).numpy(), [[-0.5, 2.0], [3.0, -2.0]])
    assert GELU()(x).origin is None and GELU()(x).tolist() == gelu(x).tolist()
    assert GELU("tanh")(x).tolist() == gelu(x, "tanh").tolist() != gelu(x).tolist()
    np.testing.assert_allclose(Softmax(axis=0)(x).numpy().sum(axis=0), 1.0, atol=1e-6)
    np.testing.assert_allclose(Softmax()(x).numpy().sum(axis=1), 1.0, atol=1e-6)
    assert repr(LeakyReLU(0.2)) == "LeakyReLU(negative_slope=0.2)"
    ### BEGIN HIDDEN TESTS
    y = Tensor([[-10.0, 0.5, 6.0]])
    np.testing.assert_allclose(LeakyReLU(0.1)(y).numpy(), [[-1.0, 0.5, 6.0]])
    assert Softmax(0)(y).tolist() == [[1.0, 1.0, 1.0]]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_settings()

# %% [markdown]
# ## Step 8: Count
#
# Two layers of real models, in float32 (4 bytes a number), with a multiplication and an addition as 2 FLOPs:
#
# - a hidden layer 4,096 wide, after `Linear(4096, 4096)`, at batch 32, with a ReLU,
# - the output of GPT-2: 1,024 tokens, 50,257 scores each, with a softmax over the scores.
#
# By hand for a smaller one: a layer 10 wide at batch 2 has 20 numbers, 80 bytes; its ReLU reads 80 bytes and writes
# 80.


# %% nbgrader={"grade": false, "grade_id": "counts", "locked": false, "schema_version": 3, "solution": true, "task": false}
def activation_counts() -> dict[str, int]:
    """Five numbers, by name.

    TODO: assign each of them, as a number or as a product.
    hidden_bytes: bytes of the hidden layer's outputs.
    relu_traffic_bytes: bytes that its ReLU reads and writes, together.
    linear_flops_per_number: FLOPs that Linear(4096, 4096) spends on one number of its output, without the bias.
    softmax_exponentials: how often the softmax takes an exponential.
    probability_bytes: bytes of the softmax's result.
    """
    ### BEGIN SOLUTION
    hidden_bytes = 32 * 4096 * 4
    relu_traffic_bytes = 2 * hidden_bytes
    linear_flops_per_number = 2 * 4096
    softmax_exponentials = 1024 * 50_257
    probability_bytes = 4 * softmax_exponentials
    ### END SOLUTION
    return {
        "hidden_bytes": hidden_bytes,
        "relu_traffic_bytes": relu_traffic_bytes,
        "linear_flops_per_number": linear_flops_per_number,
        "softmax_exponentials": softmax_exponentials,
        "probability_bytes": probability_bytes,
    }


# %% nbgrader={"grade": true, "grade_id": "test-counts", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_counts() -> None:
    """The five numbers of step 8."""
    counts = activation_counts()
    assert counts["hidden_bytes"] % (32 * 4096) == 0, "so many bytes for each of the 32 x 4,096 numbers"
    assert counts["probability_bytes"] == 4 * counts["softmax_exponentials"], "one exponential for each probability"
    ### BEGIN HIDDEN TESTS
    assert counts == {
        "hidden_bytes": 524_288,
        "relu_traffic_bytes": 1_048_576,
        "linear_flops_per_number": 8_192,
        "softmax_exponentials": 51_463_168,
        "probability_bytes": 205_852_672,
    }
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_counts()

# %% [markdown]
# ## Together: XOR
#
# Two layers with a ReLU between them, with weights chosen by hand. The hidden layer has two units: the first counts
# the ones, the second is 1 only when both are there.
#
# ```
#   h = relu(x W + b)     W = | 1  1 |   b = | 0  -1 |          z = h v     v = |  1 |
#                             | 1  1 |                                          | -2 |
#
#   x       x W + b     h        z
#   0 0     0  -1      0  0      0
#   1 0     1   0      1  0      1
#   0 1     1   0      1  0      1
#   1 1     2   1      2  1      2 - 2 = 0
# ```
#
# Without the ReLU the last row would be 0, but the first 0 - 2(-1) = 2.


# %% nbgrader={"grade": true, "grade_id": "test-module-activations", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_module_activations() -> None:
    """With tensors of module 01: two layers and a ReLU compute XOR, and every op is noted for the gradients."""
    x = Tensor([[0, 0], [1, 0], [0, 1], [1, 1]])
    weight, bias = Tensor([[1.0, 1.0], [1.0, 1.0]], requires_grad=True), Tensor([0.0, -1.0])
    hidden = relu(x @ weight + bias)
    scores = hidden @ Tensor([[1.0], [-2.0]])
    assert scores.reshape(4).tolist() == [0.0, 1.0, 1.0, 0.0]
    assert hidden.requires_grad and hidden.origin.op.name == "relu"
    probabilities = softmax(scores, axis=0)
    np.testing.assert_allclose(probabilities.sum().item(), 1.0, atol=1e-6)
    names = []
    for activation in (ReLU(), LeakyReLU(), Sigmoid(), Tanh(), GELU(), GELU("tanh"), Softmax()):
        result = activation(scores)
        assert result.shape == scores.shape and result.dtype == scores.dtype
        assert result.origin.inputs == (scores,), f"{activation} must be one op on its input"
        names.append(result.origin.op.name)
    assert names == ["relu", "leaky_relu", "sigmoid", "tanh", "gelu", "gelu_tanh", "softmax"]


if __name__ == "__main__":
    test_module_activations()

# %% [markdown]
# ## What it costs: time
#
# ReLU is one comparison per number. A sigmoid takes two exponentials, the exact GELU some sixty passes over a block.
# How many times as long as ReLU do they take, for 100,000 float32 numbers? sigmoid, write your guess: ___ GELU, write
# your guess: ___

# %%
import time
from collections.abc import Callable

from tinytorch.core.tensor import observe_ops


def seconds(run: Callable[[], object], repeats: int = 7) -> float:
    """The shortest of some runs: the others were disturbed."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def analyze_time_per_number() -> None:
    """Print what each activation takes for one number, and how many times as long as ReLU."""
    x = Tensor(np.random.default_rng(0).standard_normal((1_000, 100)))
    kinds = (ReLU(), LeakyReLU(), Sigmoid(), Tanh(), GELU("tanh"), GELU(), Softmax())
    nanoseconds = [seconds(lambda kind=kind: kind(x)) / x.size * 1e9 for kind in kinds]
    print(f"{'activation':32} {'ns per number':>14} {'x ReLU':>8}")
    for kind, took in zip(kinds, nanoseconds, strict=True):
        print(f"{kind!r:32} {took:14.2f} {took / nanoseconds[0]:8.1f}")


if __name__ == "__main__":
    analyze_time_per_number()

# %% [markdown]
# NumPy computes tanh for up to 16 float32 numbers at a time where the processor can. Written `np.maximum(x, 0)`, ReLU
# takes as long on some machines, because NumPy compares an array with a single number less well than with another
# array. What counts is how the work is done, not how hard it looks.
#
# ## What it costs: memory
#
# Here is the tanh form of GELU once more, put together from tanh and the ops of module 01. Counted on a million float32
# numbers, 4 MB: how many MB do its ops read and write, and how many MB of results are kept until the gradients are
# computed? read and written, write your guess: ___ kept, write your guess: ___


# %%
def composed_gelu(x: Tensor) -> Tensor:
    """The tanh form of GELU, one op at a time."""
    return 0.5 * x * (1 + tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x * x * x)))


def analyze_memory_traffic() -> None:
    """Print what passes through `apply` for GELU as one op and as many; every op is observed as it runs."""
    x = Tensor(np.random.default_rng(0).standard_normal(1_000_000), requires_grad=True)
    print(f"{'GELU (tanh form)':18} {'ops':>4} {'MB read':>8} {'MB written':>11} {'MB kept':>8} {'ms':>6}")
    for name, run in (("one op", lambda: gelu(x, "tanh")), ("composed", lambda: composed_gelu(x))):
        seen = []
        with observe_ops(lambda op, inputs, params, result, seen=seen: seen.append((inputs, result))):
            run()
        read = sum(tensor.numpy().nbytes for inputs, _ in seen for tensor in inputs) / 1e6
        written = sum(result.numpy().nbytes for _, result in seen) / 1e6
        kept = sum(result.numpy().nbytes for _, result in seen if result.requires_grad) / 1e6
        took = seconds(run, repeats=3) * 1e3
        print(f"{name:18} {len(seen):4} {read:8.0f} {written:11.0f} {kept:8.0f} {took:6.1f}")


if __name__ == "__main__":
    analyze_memory_traffic()

# %% [markdown]
# Inside the one op NumPy still makes arrays and passes over them several times: a compiled kernel would read each
# number once and write it once. What the one op saves for certain is what is kept. Its intermediate arrays are gone
# when it returns, where each tensor of the composed form stays, for the gradients.
#
# ## What it does: saturation
#
# Take two inputs that differ by 0.01. At 0 the sigmoid's outputs differ by 0.0025. By how much do they differ at 5,
# and at 17? at 5, write your guess: ___ at 17, write your guess: ___


# %%
def analyze_saturation() -> None:
    """Print how far apart the outputs are for two inputs that differ by 0.01, in float32."""
    kinds = (ReLU(), Sigmoid(), Tanh(), GELU())
    print(f"{'x':>5} " + " ".join(f"{kind.__class__.__name__:>12}" for kind in kinds))
    for x in (-17.0, -5.0, -2.0, 0.0, 2.0, 5.0, 10.0, 17.0):
        differences = []
        for kind in kinds:
            low, high = kind(Tensor([x, x + 0.01])).tolist()
            differences.append(high - low)
        print(f"{x:5.0f} " + " ".join(f"{difference:12.2e}" for difference in differences))


if __name__ == "__main__":
    analyze_saturation()

# %% [markdown]
# At 5 the sigmoid turns 0.01 into 0.000066. At 17 nothing is left, since both outputs round to 1. ReLU passes 0.01 on
# at every positive x and nothing at every negative one. Below 0 GELU is not monotonic: at -2 a larger input gives a
# smaller output.

# %% [markdown]
# ## Reflection 1: Saturation
#
# A network of ten layers uses the sigmoid everywhere and hardly learns; with ReLU it learns. Explain it from the table
# above and from the slope of the sigmoid, which is s(1 - s), where s is the sigmoid's value. What can go wrong with
# ReLU in its turn, and what do LeakyReLU and GELU do about it? Write 150 to 300 words.
#
# - (4 points) the slope is at most 0.25, and what ten such factors make of a signal, in numbers
# - (2 points) what large inputs add to that
# - (2 points) how a ReLU unit dies
# - (2 points) what LeakyReLU and GELU change, and what they cost

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-1", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# A small change of an input reaches the output multiplied by the slope of every activation on its way, and by the
# weights between them. The sigmoid's slope s(1 - s) is greatest at x = 0, where s = 0.5 and the slope is 0.25. With
# weights that neither shrink nor enlarge, ten layers multiply the change by at most 0.25^10, about 0.00000095. The
# gradient, which goes the same way backwards, shrinks by the same factors, so the first layers hardly move.
#
# Large inputs make it worse. At x = 5 the slope is 0.0066. In the table a difference of 0.01 comes out as 0.000066
# there, and at 17 as exactly 0, because both results round to 1 in float32. Such a unit is saturated: no small step
# changes its output.
#
# ReLU has slope 1 for every positive input, so it passes changes on undiminished however many layers there are. For
# negative inputs its slope is 0. If a large step makes a unit's input negative for every sample, its output is always
# 0, no gradient reaches its weights, and it stays like that. It is dead.
#
# LeakyReLU leaves a slope of 0.01 there, so the unit can come back, at the price of one multiplication. GELU is smooth
# and has a slope other than zero for moderate negative inputs, but far below zero it also fades, and it costs many
# times as much time as ReLU in NumPy.

# %% [markdown]
# ## Reflection 2: Stability
#
# A colleague writes softmax as `np.exp(x) / np.exp(x).sum()` and sees `nan` now and then. A second one repairs it by
# subtracting the largest number of the whole array. A third clips the scores to [-50, 50]. What exactly happens in
# each of the three, when, and why is the largest of each row the right thing to subtract? What changes in float16,
# whose largest number is 65,504? Write 150 to 300 words.
#
# - (3 points) where the first version fails, and how inf becomes nan
# - (2 points) what is wrong with the maximum of the whole array
# - (2 points) what clipping changes
# - (3 points) why the row's maximum changes no result and always suffices, and what holds for float16

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-2", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# In float32 `np.exp` gives infinity above about 88.7. With one such score the sum is infinite too. The other scores
# become finite / inf = 0, but the large one becomes inf / inf, which is nan. So the first version fails just for the
# score that should have won. It also adds up the whole array instead of each row, which is a different error.
#
# Subtracting the maximum of the whole array stops the overflow, but it can empty another row. With the rows (0, 1) and
# (1000, 1001) the first becomes (-1001, -1000). Both exponentials are 0 in float32, their sum is 0, and 0 / 0 is nan.
# The failure has moved to rows that lie far below the largest.
#
# Clipping to [-50, 50] never overflows, but it changes the answer: the scores 60 and 100 both become 50, and two very
# different scores get the same probability.
#
# Subtracting m from every score of a row divides every exponential, and the sum of them, by e^m. The quotients stay
# the same, whatever m is. With m the row's own maximum no exponent is positive, so nothing overflows, and one term is
# exactly 1, so the sum is never 0. Terms that underflow to 0 belong to scores whose probability is too small to be
# stored anyway.
#
# In float16 `exp` overflows above 11.09 already, where a trained network's scores often lie. The shift is needed there
# for everyday inputs.

# %% [markdown]
# ## Reflection 3: Cost
#
# You choose between ReLU and the exact GELU for a hidden layer 4,096 wide, after `Linear(4096, 4096)` at batch 32, on
# the machine you sit at. Estimate from your table and from step 8 what share of the layer's time each would take, if
# the product runs at 50 GFLOP/s. Does the choice matter there? When does it matter more: for wider layers or narrower
# ones? And what about memory during training? Write 150 to 300 words.
#
# - (4 points) time of the product and of both activations, with the arithmetic shown
# - (3 points) how the share changes with the width, and why
# - (3 points) what is kept for the gradients, in bytes, and what fusing changes

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-3", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# The product costs 2 x 32 x 4096 x 4096 = 1,073,741,824 FLOPs, at 50 GFLOP/s about 21.5 ms. The layer has 32 x 4096 =
# 131,072 outputs. My table says 0.1 ns per number for ReLU and 6 ns for the exact GELU. That makes 0.01 ms for ReLU
# and 0.8 ms for GELU: 0.06% and 3.5% of the layer. If GELU trains to a better model, the time is no reason against it
# here.
#
# One output of `Linear(n, n)` costs 2n FLOPs, and one activation whatever n is. So the share falls as 1/n. At width
# 4,096 there are 8,192 FLOPs to pay for each activation. At width 64 there are 128, 2.6 ns at the same speed, and then
# GELU takes longer than the product. Activations matter in narrow layers, in convolutions with few channels, and
# wherever the product is fast and memory is slow, as on GPUs: ReLU does one comparison for 8 bytes read and written,
# so there it is the memory that limits it. That is why kernels there apply the activation to the product before it is
# written.
#
# For the gradients the layer keeps its output: 524,288 bytes after ReLU. GELU's rule needs its input as well, another
# 524,288 bytes. As one op nothing else is kept. The tanh form, composed of nine ops, keeps nine results, 4,718,592
# bytes, per layer.

# %% [markdown]
# ## Summary
#
# You wrote six activations as ops on arrays: ReLU, leaky ReLU, sigmoid, tanh, GELU in two forms, and softmax. Sigmoid
# and softmax take exponentials only of numbers that are not positive, so they never overflow, and their results are
# those of the textbook formulas. Each op leaves one result and one note. Module 06 will add a rule to each of them.
#
# Next, module 03 builds layers: `Linear`, which multiplies by weights, and `Sequential`, which puts layers and
# activations in a row.
