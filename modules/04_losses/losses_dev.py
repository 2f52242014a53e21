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
# # Losses
#
# This module builds on 01 Tensor, on softmax from 02 Activations and on `Module` from 03 Layers. Afterwards you can
#
# - compute log(sum(exp(x))) and log(softmax(x)) for numbers of any size, without overflow and without losing digits,
# - write mean squared error, cross-entropy for classes and cross-entropy for yes and no,
# - say why a classifier's loss takes logits and not probabilities,
# - choose between mean, sum and none, and say what a loss over a large vocabulary costs.
#
# **Build** four losses. **Use** them on the output of a small network. **Reflect** on stability, reductions and memory.
#
# Systems reality check: GPT-2 scores 50,257 tokens at every position. For 8 texts of 1,024 tokens the scores that the
# loss reads take 1.65 GB in float32, more than three times the 0.5 GB of the model's 124 million weights.

# %%
#| default_exp core.losses
#| export
from typing import Any

import numpy as np

from tinytorch.core.layers import Module
from tinytorch.core.tensor import Array, Axis, Tensor, apply, as_tensor, op

# %% [markdown]
# ## What a loss is
#
# A loss is one number that says how wrong a prediction is: 0 or little when it is right, more when it is worse. Training
# changes the weights so that this number falls. Everything a network learns, it learns through it.
#
# ```
#   input -> layers -> prediction --+
#                                   +--> loss: one number
#                        target  ---+
# ```
#
# The last layer of a classifier gives one score for each class. Such scores are called logits: they may be any number,
# and softmax makes probabilities of them. Module 02 did that by dividing exponentials by their sum. A loss wants the
# *logarithm* of a probability, and that is where this module begins.

# %% [markdown]
# ## Step 1: log-sum-exp
#
# Softmax divides e^x by the sum of all e^x. Its logarithm is a subtraction, and what is subtracted has a name:
#
# ```
#   log softmax(x)_i = log( e^x_i / sum of e^x ) = x_i - log( sum of e^x )
#                                                        ---------------
#                                                        logsumexp(x)
# ```
#
# By hand for the logits 1, 2, 3:
#
# ```
#   e^x          2.7183    7.3891   20.0855       sum 30.1929      log 3.4076
# ```
#
# Now add 1000 to each. e^1000 is infinite in float32 and in float64, and so would be the result. It should be
# 1003.4076, since a common summand can be taken out of the sum:
#
# ```
#   log( e^x1 + e^x2 + e^x3 ) = m + log( e^(x1-m) + e^(x2-m) + e^(x3-m) )
#
#   m = 3:       e^-2       e^-1       e^0
#               0.1353     0.3679      1          sum 1.5032      log 0.4076      + 3 = 3.4076
# ```
#
# With m the largest of the x no exponent is positive and the sum is between 1 and the number of terms. Its logarithm is
# finite whatever x is.
#
# One case is left. A score of minus infinity is the usual way to rule a class out, and a row may hold nothing else. Then
# m is minus infinity too, and minus infinity less itself is not a number. `_largest` below is the maximum, kept within
# the finite numbers of its dtype. The sum of such a row is 0 and its logarithm minus infinity, which is right, but NumPy
# warns. So the cell that you write stands under `np.errstate(divide="ignore")`.
#
# As in softmax, sum as float64 and convert back: NumPy adds float32 numbers along the first axis one after the other.


# %%
#| export
def _largest(x: Array, axis: Axis) -> Array:
    """The largest element along axis, which is kept with length 1; infinities become the largest finite numbers."""
    limits = np.finfo(x.dtype)
    try:
        largest = np.maximum.reduce(x, axis=axis, keepdims=True)  # what x.max calls, two Python calls later
    except ValueError:
        if x.size:
            raise
        raise ValueError(f"shape {x.shape} has no number along axis {axis}: it needs one class or more") from None
    return np.minimum(np.maximum(largest, limits.min), limits.max)


def _floats(value: Any) -> Tensor:
    """A Tensor of floating-point numbers: integers, lists and arrays become float32."""
    tensor = as_tensor(value)
    return tensor if tensor.dtype.kind == "f" else tensor.astype(np.float32)


def _target(target: Any, prediction: Tensor) -> Tensor:
    """A target as a Tensor: integers in an array stay integers, what has no dtype yet gets that of the prediction."""
    if isinstance(target, Tensor) or (isinstance(target, np.ndarray) and target.dtype.kind in "iub"):
        return as_tensor(target)
    return as_tensor(target, prediction.dtype)


# %% nbgrader={"grade": false, "grade_id": "logsumexp", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def logsumexp_op(x: Array, axis: Axis = -1, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) along axis, for x of any size.

    TODO: compute m + log(sum(exp(x - m))), with m = _largest(x, axis).
    Approach: keep the axis (keepdims=True) until the end; sum with dtype=np.float64, then .astype(x.dtype).
    Example: [1, 2, 3] gives 3.4076, and [1001, 1002, 1003] gives 1003.4076.
    Hint: array.squeeze(axis) takes out what keepdims kept; it takes the same axis, None included.
    x of any shape -> that shape without axis, or with length 1 there when keepdims.
    """
    with np.errstate(divide="ignore"):
        ### BEGIN SOLUTION
        m = _largest(x, axis)
        total = np.exp(x - m).sum(axis=axis, keepdims=True, dtype=np.float64)
        result = m + np.log(total).astype(x.dtype)
        return result if keepdims else result.squeeze(axis)
        ### END SOLUTION


def logsumexp(x: Tensor, axis: Axis = -1, keepdims: bool = False, *, dim: Axis = None, keepdim: bool = False) -> Tensor:
    """The logarithm of the sum of exponentials along an axis (or dim), several, or all (axis=None)."""
    return apply(logsumexp_op, _floats(x), axis=axis if dim is None else dim, keepdims=keepdims or keepdim)


# %% nbgrader={"grade": true, "grade_id": "test-logsumexp", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def test_unit_logsumexp() -> None:
    """Right for small numbers, finite for large ones, along any axis."""
    assert abs(logsumexp(Tensor([1.0, 2.0, 3.0])).item() - 3.4076059) < 1e-6
    with np.errstate(over="raise", invalid="raise"):
        assert abs(logsumexp(Tensor([1001.0, 1002.0, 1003.0])).item() - 1003.4076) < 1e-3
        assert logsumexp(Tensor([-10_000.0, 10_000.0])).item() == 10_000.0
    x = Tensor([[0.0, 1.0], [2.0, 3.0]])
    assert logsumexp(x, axis=0).shape == (2,) and logsumexp(x, axis=1, keepdims=True).shape == (2, 1)
    assert logsumexp(x, axis=None).shape == () and logsumexp(x[:1]).shape == (1,), "only the axis summed over goes"
    assert logsumexp(Tensor([-np.inf, 0.0])).item() == 0.0
    assert logsumexp(Tensor([-np.inf, -np.inf])).item() == -np.inf
    assert logsumexp(x).dtype == np.float32
    ### BEGIN HIDDEN TESTS
    values = np.random.default_rng(1).standard_normal((3, 4, 5))
    for axis in (0, 1, -1, None):
        wanted = np.log(np.exp(values).sum(axis=axis))
        np.testing.assert_allclose(logsumexp(Tensor(values, dtype=np.float64), axis=axis).numpy(), wanted, rtol=1e-13)
    tall = np.full((50_000, 2), -17.0)  # e^-17 is 4.1e-8: added to 1 in float32 it is lost, each time
    tall[0] = 0.0
    np.testing.assert_allclose(logsumexp(Tensor(tall), axis=0).numpy(), np.log1p(49_999 * np.exp(-17)), rtol=1e-5)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_logsumexp()

# %% [markdown]
# The tests from here on compare with modules 02 and 03.

# %%
from tinytorch.core.activations import ReLU, softmax
from tinytorch.core.layers import Linear, Sequential

# %% [markdown]
# ## Step 2: log-softmax
#
# `log_softmax(x)` is x - logsumexp(x). For the logits 1, 2, 3:
#
# ```
#   x                 1         2         3
#   - 3.4076      -2.4076   -1.4076   -0.4076        e^ of these: 0.0900  0.2447  0.6652, the softmax
# ```
#
# Two ways to compute it lose something.
#
# Taking the logarithm of the softmax loses small probabilities. For the logits 0 and 200 the first probability is e^-200,
# about 1e-87. Float32 holds nothing below 1.4e-45, so it becomes 0 and its logarithm minus infinity. The answer is -200.
#
# Subtracting `logsumexp(x)` from x loses digits. Float32 has about seven, and near 10,000 its numbers are 0.001 apart.
# For the logits 10,001, 10,002, 10,003 the result is 10,003.4076 and is stored as 10,003.4072. What is left for the last
# class is -0.4072. It should be -0.4076. Nothing is lost when the maximum is never added back:
#
# ```
#   x - m               -2        -1         0       exact
#   log(sum) = 0.4076
#   difference      -2.4076   -1.4076   -0.4076
# ```


# %% nbgrader={"grade": false, "grade_id": "log-softmax", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def log_softmax_op(x: Array, axis: int = -1) -> Array:
    """log(softmax(x)) along axis.

    TODO: shift x by its maximum, then subtract the logarithm of the sum of exponentials of the shifted x.
    Approach: as in logsumexp_op, but the maximum is not added back; np.exp, .sum and np.log once each.
    Example: [1, 2, 3] gives [-2.4076, -1.4076, -0.4076], and so does [10001, 10002, 10003].
    x of any shape -> the same shape and dtype.
    """
    ### BEGIN SOLUTION
    away = x - _largest(x, axis)
    total = np.exp(away).sum(axis=axis, keepdims=True, dtype=np.float64)
    return away - np.log(total).astype(x.dtype)
    ### END SOLUTION


def log_softmax(x: Tensor, axis: int = -1, *, dim: int | None = None) -> Tensor:
    """The logarithm of softmax along an axis (or dim), finite where softmax itself rounds to 0; the same shape."""
    return apply(log_softmax_op, _floats(x), axis=axis if dim is None else dim)


# %% nbgrader={"grade": true, "grade_id": "test-log-softmax", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_log_softmax() -> None:
    """The logarithm of softmax, where softmax is 0 too, and to the last digit for large logits."""
    x = Tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(np.exp(log_softmax(x).numpy()), softmax(x).numpy(), rtol=1e-6)
    np.testing.assert_allclose(log_softmax(Tensor([0.0, 200.0])).numpy(), [-200.0, 0.0])
    wanted = [-2.4076059, -1.4076059, -0.40760596]
    np.testing.assert_allclose(log_softmax(Tensor([10001.0, 10002.0, 10003.0])).numpy(), wanted, rtol=1e-6)
    assert log_softmax(x).dtype == np.float32 and log_softmax(x).shape == (2, 3)
    far = log_softmax(Tensor([[0.0, 1.0], [1000.0, 1001.0]])).numpy()
    np.testing.assert_allclose(far, [[-1.3132617, -0.3132617]] * 2, rtol=1e-6, err_msg="each row has its own maximum")
    assert x.tolist() == [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], "x itself must not change"
    ### BEGIN HIDDEN TESTS
    values = np.random.default_rng(2).standard_normal((4, 3, 5))
    for axis in (0, 1, 2):
        wanted = values - np.log(np.exp(values).sum(axis=axis, keepdims=True))
        np.testing.assert_allclose(log_softmax(Tensor(values, dtype=np.float64), axis).numpy(), wanted, atol=1e-13)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(log_softmax(Tensor([-1e4, 1e4, 1e30])).numpy()).all()
    tall = np.full((50_000, 2), -17.0)
    tall[0] = 0.0
    np.testing.assert_allclose(log_softmax(Tensor(tall), 0).numpy()[0], -np.log1p(49_999 * np.exp(-17)), rtol=1e-5)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_log_softmax()

# %% [markdown]
# ## Step 3: mean squared error, and reductions
#
# For predictions that are quantities, such as a price, the error is the squared distance from the target.
#
# ```
#   prediction     2.5     0.0     2.0
#   target         3.0    -0.5     2.0
#   difference    -0.5     0.5     0.0
#   squared        0.25    0.25    0.0        none: these three     sum: 0.5     mean: 0.5 / 3 = 0.1667
# ```
#
# Each loss here has a setting `reduction`. `"mean"` does not depend on the batch size, and is the default. `"sum"` does,
# and sums of parts add up. `"none"` keeps one loss for each sample, for weighting them or for finding the worst.
#
# A shape that is nearly right is the commonest mistake with this loss. A layer with one output gives (4, 1), the targets
# are (4,), and broadcasting makes 16 differences of the 4 pairs:
#
# ```
#   prediction (4, 1)  1 2 3 4 downwards          1-1  1-2  1-3  1-4
#   target     (4,)    1 2 3 4 across             2-1  2-2  2-3  2-4      mean of the squares: 40 / 16 = 2.5
#                                                 3-1  3-2  3-3  3-4      it should be 0: all four are right
#                                                 4-1  4-2  4-3  4-4
# ```
#
# A network trained on that learns to predict the mean. So the checks below, which are given, refuse two different shapes.
# They also refuse targets that are NaN, since one of them would make every weight NaN one step later, and batches of
# nothing.


# %%
#| export
def _check_reduction(reduction: str) -> str:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}, and must be one of 'mean', 'sum' and 'none'")
    return reduction


def _check_pair(loss: str, prediction: Tensor, target: Tensor) -> None:
    """ValueError unless prediction and target have one shape, hold something, and no target is NaN."""
    if prediction.shape != target.shape:
        fix = "Check which of the two is wrong."
        if prediction.size == target.size:
            fix = f"They hold as many numbers: target.reshape{prediction.shape} may be what you want."
        raise ValueError(
            f"{loss} compares number with number: prediction has shape {prediction.shape}, target {target.shape}. {fix}"
        )
    _check_target(loss, target)


def _check_target(loss: str, target: Tensor) -> None:
    if target.size == 0:
        raise ValueError(f"{loss} of an empty batch: target has shape {target.shape}. Leave out batches of no samples.")
    values = target.numpy()
    if values.dtype.kind == "f" and np.isnan(values).any():
        place = tuple(int(index) for index in np.argwhere(np.isnan(values))[0])
        raise ValueError(f"{loss}: target is NaN at index {place}. Clean the data, or leave those samples out.")


# %% nbgrader={"grade": false, "grade_id": "mse-loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def reduced(losses: Tensor, reduction: str) -> Tensor:
    """The losses' mean, their sum, or the losses as they are.

    TODO: one line for each of "mean", "sum" and "none".
    Hint: Tensor has mean() and sum().
    losses of any shape -> scalar, or the same tensor for "none".
    """
    _check_reduction(reduction)
    ### BEGIN SOLUTION
    if reduction == "mean":
        return losses.mean()
    return losses.sum() if reduction == "sum" else losses
    ### END SOLUTION


def mse_loss(prediction: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Squared differences of prediction and target.

    TODO: after the checks, square the difference of the two tensors and reduce it.
    Approach: tensors, not arrays: three ops of module 01 that module 06 can differentiate, so no new one is needed.
    Example: [2.5, 0, 2] and [3, -0.5, 2] give 0.1667, with "sum" 0.5.
    Hint: (a - b) ** 2 on tensors.
    Both of one shape -> scalar, or that shape for "none". Raises ValueError for two shapes.
    """
    prediction = _floats(prediction)
    target = _floats(_target(target, prediction))
    _check_pair("mse_loss", prediction, target)
    ### BEGIN SOLUTION
    return reduced((prediction - target) ** 2, reduction)
    ### END SOLUTION


# %%
#| export
class MSELoss(Module):
    """Mean squared error as a module: see mse_loss."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = _check_reduction(reduction)

    def forward(self, prediction: Tensor, target: Any) -> Tensor:
        """Both of one shape -> scalar, or that shape for "none"."""
        return mse_loss(prediction, target, self.reduction)


# %% nbgrader={"grade": true, "grade_id": "test-mse", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def test_unit_mse() -> None:
    """The hand-worked example under each reduction, and an error where broadcasting would hide a mistake."""
    prediction, target = Tensor([2.5, 0.0, 2.0]), Tensor([3.0, -0.5, 2.0])
    assert mse_loss(prediction, target, "none").tolist() == [0.25, 0.25, 0.0]
    assert mse_loss(prediction, target, "sum").item() == 0.5
    assert abs(MSELoss()(prediction, target).item() - 0.5 / 3) < 1e-7
    assert MSELoss("sum")(prediction, [2.5, 0.0, 1.0]).item() == 1.0
    learned = mse_loss(Tensor([1.0], requires_grad=True), [3.0])
    assert learned.requires_grad and learned.item() == 4.0, "use tensors, or no gradient can flow"
    wrong = (Tensor([[1.0], [2.0]]), Tensor([1.0, 2.0])), (Tensor([1.0]), Tensor([np.nan])), (Tensor([]), Tensor([]))
    for pair in wrong:
        try:
            mse_loss(*pair)
        except ValueError:
            continue
        raise AssertionError(f"mse_loss must refuse {pair}")
    ### BEGIN HIDDEN TESTS
    a, b = np.random.default_rng(3).standard_normal((2, 4, 3))
    squares = [[(u - v) ** 2 for u, v in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)]
    pair = Tensor(a, dtype=np.float64), Tensor(b, dtype=np.float64)
    np.testing.assert_allclose(mse_loss(*pair, "none").numpy(), squares)
    np.testing.assert_allclose(mse_loss(*pair).item(), sum(map(sum, squares)) / 12)
    assert mse_loss(Tensor([1], dtype=np.uint8), Tensor([3], dtype=np.uint8)).item() == 4.0
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_mse()

# %% [markdown]
# ## Step 4: cross-entropy
#
# For classes the loss is minus the logarithm of the probability that the network gives to the right class. 1 costs
# nothing, one half costs 0.693, one in a thousand costs 6.9, and 0 would cost infinitely much.
#
# ```
#   logits              1         2         3
#   log_softmax     -2.4076   -1.4076   -0.4076
#                       |         |         |
#   if the class is 0: 2.4076  if 1: 1.4076  if 2: 0.4076
# ```
#
# A network that knows nothing gives each of C classes 1/C, and its loss is log C: 2.3026 for ten digits. Compare the
# first loss of every training with that number. A first loss of 50 says that the weights start too large.
#
# The target may also be a probability for each class, q. The loss is then -(q . log softmax), and a one-hot row such as
# [0, 0, 1] gives what the index 2 gives.
#
# **Label smoothing** moves a part s of the target from the right class to all C classes alike, so that no logit has to
# grow for ever. With s = 0.1 and C = 3 the row [0, 0, 1] becomes [0.0333, 0.0333, 0.9333]:
#
# ```
#   0.0333 x 2.4076 + 0.0333 x 1.4076 + 0.9333 x 0.4076 = 0.5076
# ```
#
# All of it is one op. Written with the logits less their maximum, called away, with q the target and t its sum (1 for an
# index):
#
# ```
#   loss = t log( sum of e^away ) - q . away
#
#   q . away    index:           away at that index                  [-2, -1, 0], class 2:  0
#               probabilities:   sum of q times away, where q is not 0
#   smoothed    (1 - s) (q . away) + s (mean of away)                0.9 x 0 + 0.1 x (-1) = -0.1
#               (1 - s) t + s                                        1
#   together    1 x 0.4076 - (-0.1) = 0.5076
# ```
#
# Module 06 will need the softmax for the derivative, which is softmax - q. Its parts have just been computed, so the op
# hands them over: `@op(saves=True)` means that the function returns its result and whatever the derivative wants. Here
# that is e^away and its row sums. Dividing one by the other is left to the one who needs it.


# %% nbgrader={"grade": false, "grade_id": "cross-entropy-op", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op(saves=True)
def cross_entropy_op(logits: Array, target: Array, label_smoothing: float = 0.0) -> tuple[Array, tuple[Array, Array]]:
    """-log(softmax(logits)) at the target of each row.

    TODO: compute the losses as worked out above, and return (losses, (exponentials, sums)).
    Approach: away = logits - _largest(logits, 1); then q . away and t for the two kinds of target; smooth both if asked;
    exponentials, and their sums over axis 1 with dtype=np.float64; at last t log(sums) - q . away.
    Example: [[1, 2, 3]] with [2] gives [0.4076], with [0] it gives [2.4076], with [2] smoothed by 0.1 [0.5076].
    Hint: away[np.arange(len(away)), target] takes one number from each row.
    Hint: away may be minus infinity where a class is ruled out, and 0 times that is NaN: where q is 0, add nothing.
    Hint: np.exp(away, out=away) needs no second array, once away has served.
    logits (N, C); target (N,) class indices, or (N, C) probabilities -> losses (N,); exponentials (N, C), sums (N,).
    """
    ### BEGIN SOLUTION
    away = logits - _largest(logits, 1)
    if target.ndim == 1:
        picked = away[np.arange(len(away)), target]
    else:  # where: a class of probability 0 costs nothing, even when its logit is minus infinity
        picked = np.multiply(away, target, out=np.zeros_like(away), where=target != 0).sum(axis=1)
    if label_smoothing:
        picked = (1 - label_smoothing) * picked + label_smoothing * away.mean(axis=1)
    exponentials = np.exp(away, out=away)
    sums = exponentials.sum(axis=1, dtype=np.float64)
    losses = np.log(sums)
    if target.ndim == 2:  # probabilities, whose sum t is 1 only nearly
        losses *= (1 - label_smoothing) * target.sum(axis=1) + label_smoothing
    losses -= picked
    return losses.astype(logits.dtype), (exponentials, sums.astype(logits.dtype))
    ### END SOLUTION


# %% [markdown]
# What goes into the op is checked first. The check is given, and so is the function that the op is for. Labels may come
# as floats, since `Tensor([0, 2])` makes floats of them, but 1.5 is no class. Rows of probabilities must add up to 1.


# %%
#| export
def _class_targets(logits: Tensor, target: Any) -> Tensor:
    """The target as cross_entropy_op takes it, checked: int64 indices (N,), or probabilities (N, C)."""
    target = _target(target, logits)
    if logits.ndim != 2:
        raise ValueError(
            f"cross_entropy takes logits of shape (N, C), these have {logits.shape}, and target {target.shape}. "
            "For a sequence (B, T, C): logits.reshape(-1, C) and target.reshape(-1)."
        )
    rows, classes = logits.shape
    if target.shape not in ((rows,), (rows, classes)):
        raise ValueError(
            f"cross_entropy: logits have shape {logits.shape}, target {target.shape}. "
            f"Give one class index for each row, ({rows},), or one probability for each class, ({rows}, {classes})."
        )
    if logits.size == 0:
        raise ValueError(f"cross_entropy of an empty batch: logits have shape {logits.shape}. Leave out empty batches.")
    _check_target("cross_entropy", target)
    if target.ndim == 1:
        _check_labels(target.numpy(), classes)
        return target if target.dtype == np.int64 else target.astype(np.int64)
    _check_probabilities(target.numpy())
    return target if target.dtype == logits.dtype else target.astype(logits.dtype)


def _check_labels(values: Array, classes: int) -> None:
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() < classes:
        return
    wrong = (values < 0) | (values >= classes) | (values != np.floor(values))
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(
            f"cross_entropy: label {values[place]:.10g} at index {place} is no class: logits with {classes} columns "
            f"have the classes 0 to {classes - 1}. Check the labels, or the size of the last layer."
        )


def _check_probabilities(values: Array) -> None:
    sums = values.sum(axis=1)
    wrong = (values < 0).any(axis=1) | ~(np.abs(sums - 1) <= 1e-3)
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(
            f"cross_entropy: row {place} of target is no probability distribution: its smallest number is "
            f"{values[place].min():g}, its sum {sums[place]:g}. Give rows that are not negative and add up to 1."
        )


def _check_smoothing(label_smoothing: float) -> float:
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is {label_smoothing}, and must be from 0 to 1")
    return label_smoothing


def cross_entropy(logits: Tensor, target: Any, reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:
    """Negative log-likelihood of the target classes, from logits; finite for finite logits of any size.

    logits (N, C); target (N,) class indices, or (N, C) one-hot rows or probabilities -> scalar, or (N,) for "none".
    Raises ValueError for a label outside 0..C-1, NaN in the target, shapes that do not fit and an empty batch.
    """
    _check_smoothing(label_smoothing)
    logits = _floats(logits)
    losses = apply(cross_entropy_op, logits, _class_targets(logits, target), label_smoothing=label_smoothing)
    return reduced(losses, reduction)


class CrossEntropyLoss(Module):
    """Cross-entropy from logits as a module: see cross_entropy."""

    def __init__(self, reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.reduction = _check_reduction(reduction)
        self.label_smoothing = _check_smoothing(label_smoothing)

    def forward(self, logits: Tensor, target: Any) -> Tensor:
        """logits (N, C), target (N,) or (N, C) -> scalar, or (N,) for "none"."""
        return cross_entropy(logits, target, self.reduction, self.label_smoothing)


# %% nbgrader={"grade": true, "grade_id": "test-cross-entropy", "locked": true, "points": 12, "schema_version": 3, "solution": false, "task": false}
def test_unit_cross_entropy() -> None:
    """The hand-worked examples, both kinds of target, smoothing, large logits, and what is handed to the derivative."""
    logits = Tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    np.testing.assert_allclose(cross_entropy(logits, [2, 1], "none").numpy(), [0.40760596, 1.4076059], rtol=1e-6)
    assert abs(CrossEntropyLoss()(logits, [2, 1]).item() - 0.90760596) < 1e-6
    one_hot = Tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    assert abs(cross_entropy(logits, one_hot).item() - cross_entropy(logits, [2, 1]).item()) < 1e-6
    assert abs(cross_entropy(logits, [2, 0], label_smoothing=0.1).item() - 0.50760596) < 1e-6
    assert abs(cross_entropy(logits, [[0.5, 0.5, 0.0]] * 2, "sum").item() - (1.9076059 + 0.90760596)) < 1e-6
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        large = cross_entropy(Tensor([[1e4, -1e4, 0.0], [1e4 + 1, 1e4 + 2, 1e4 + 3]]), [1, 2], "none").numpy()
    np.testing.assert_allclose(large, [20_000.0, 0.40760596], rtol=1e-6)
    assert large.dtype == np.float32
    ruled_out = cross_entropy(Tensor([[1.0, -np.inf, 2.0]]), [[0.5, 0.0, 0.5]]).item()
    assert abs(ruled_out - 0.8132617) < 1e-6, "a class of probability 0 costs nothing, even when its logit is -inf"
    _, (exponentials, sums) = cross_entropy_op.forward(np.array([[1.0, 2.0, 3.0]]), np.array([2]))
    np.testing.assert_allclose(exponentials / sums[:, None], [[0.09003057, 0.24472847, 0.66524096]], rtol=1e-6)
    for labels in ([0, 3], [-1, 0], [0, 1.5], [0, np.nan], [0], [[1, 1, 0], [0, 0, 1]]):
        try:
            cross_entropy(logits, Tensor(labels))
        except ValueError:
            continue
        raise AssertionError(f"cross_entropy must refuse the labels {labels}")
    ### BEGIN HIDDEN TESTS
    random = np.random.default_rng(4)
    scores, labels = random.standard_normal((8, 5)), random.integers(5, size=8)
    q = random.dirichlet(np.ones(5), size=8)
    logs = np.array([[v - np.log(sum(np.exp(u) for u in row)) for v in row] for row in scores])
    x = Tensor(scores, dtype=np.float64)
    np.testing.assert_allclose(
        cross_entropy(x, labels, "none").numpy(), [-r[k] for r, k in zip(logs, labels, strict=True)]
    )
    np.testing.assert_allclose(cross_entropy(x, Tensor(q, dtype=np.float64)).item(), -(q * logs).sum() / 8)
    smooth = 0.7 * q + 0.3 / 5
    result = cross_entropy(x, Tensor(q, dtype=np.float64), "sum", label_smoothing=0.3)
    np.testing.assert_allclose(result.item(), -(smooth * logs).sum())
    assert np.array_equal(x.numpy(), scores), "the logits themselves must not change"
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_cross_entropy()

# %% [markdown]
# ## Step 5: yes or no
#
# With two answers one number is enough: p, the probability of yes. With y = 1 for yes and y = 0 for no the loss is
#
# ```
#   -( y log p + (1 - y) log(1 - p) )           p = 0.8:   y = 1   -log 0.8 = 0.2231
#                                                          y = 0   -log 0.2 = 1.6094
# ```
#
# `BinaryCrossEntropyLoss` takes p. At p = 0 or 1 one of the logarithms is minus infinity, and 0 times that is not a
# number. Like PyTorch, cut both logarithms off at -100. For small p, log(1 - p) is exact as `np.log1p(-p)`: 1 - 1e-9 is 1
# in float32.
#
# `BCEWithLogitsLoss` takes the logit x instead, with p = sigmoid(x), and needs no cut. Put the sigmoid into the formula:
#
# ```
#   -log p       = log(1 + e^-x)
#   -log(1 - p)  = log(1 + e^x)  = x + log(1 + e^-x)
#
#   loss = (1 - y) x + log(1 + e^-x)                   x = 2:   y = 1   log(1 + e^-2)     = 0.1269
#        = max(x, 0) - x y + log(1 + e^-|x|)                    y = 0   2 + 0.1269        = 2.1269
# ```
#
# The last line says the same for both signs of x and has no positive exponent. Where does the difference show? Take x =
# 20 for a sample whose answer is no. sigmoid(20) is 1 in float32, so from p the loss would be 100, which is the cut. From
# the logit it is 20.


# %% nbgrader={"grade": false, "grade_id": "binary", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def binary_cross_entropy_op(p: Array, y: Array) -> Array:
    """-(y log p + (1 - y) log(1 - p)), with logarithms of at least -100.

    TODO: two logarithms, each cut off at -100, then the formula.
    Approach: np.log(p) and np.log1p(-p) are -inf at 0 and 1; np.maximum with -100 mends that.
    Example: p = [0.8, 0.8, 0] and y = [1, 0, 1] give [0.2231, 1.6094, 100].
    p and y of one shape -> losses of that shape.
    """
    with np.errstate(divide="ignore"):
        ### BEGIN SOLUTION
        yes, no = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
        return -(y * yes + (1 - y) * no)
        ### END SOLUTION


@op
def binary_cross_entropy_with_logits_op(x: Array, y: Array) -> Array:
    """The same for p = sigmoid(x), without computing p.

    TODO: max(x, 0) - x y + log(1 + e^-|x|).
    Hint: np.log1p(z) is log(1 + z), exact also for tiny z.
    Example: x = [2, 2, 20] and y = [1, 0, 0] give [0.1269, 2.1269, 20].
    x and y of one shape -> losses of that shape.
    """
    ### BEGIN SOLUTION
    return np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))
    ### END SOLUTION


# %%
#| export
def _binary_target(loss: str, prediction: Tensor, target: Any) -> Tensor:
    """The target as floats of the prediction's dtype, checked: one shape, and from 0 to 1."""
    target = _floats(_target(target, prediction))
    _check_pair(loss, prediction, target)
    values = target.numpy()
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"{loss}: targets run from {values.min():g} to {values.max():g}, and must be from 0 to 1. "
            "For several classes use cross_entropy."
        )
    return target if target.dtype == prediction.dtype else target.astype(prediction.dtype)


def binary_cross_entropy(prediction: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood of yes (1) and no (0) under predicted probabilities; at most 100 for a sample.

    Both of one shape, from 0 to 1 -> scalar, or that shape for "none". Raises ValueError for other numbers.
    """
    prediction = _floats(prediction)
    target = _binary_target("binary_cross_entropy", prediction, target)
    values = prediction.numpy()
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"binary_cross_entropy takes probabilities, and these run from {values.min():g} to {values.max():g}. "
            "Apply sigmoid first, or better, use binary_cross_entropy_with_logits."
        )
    return reduced(apply(binary_cross_entropy_op, prediction, target), reduction)


def binary_cross_entropy_with_logits(logits: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood of yes (1) and no (0), from logits; exact where sigmoid rounds to 0 or 1.

    Both of one shape, target from 0 to 1 -> scalar, or that shape for "none". Raises ValueError for other targets.
    """
    logits = _floats(logits)
    target = _binary_target("binary_cross_entropy_with_logits", logits, target)
    return reduced(apply(binary_cross_entropy_with_logits_op, logits, target), reduction)


class BinaryCrossEntropyLoss(Module):
    """Cross-entropy of yes and no, from probabilities: see binary_cross_entropy."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = _check_reduction(reduction)

    def forward(self, prediction: Tensor, target: Any) -> Tensor:
        """Both of one shape, from 0 to 1 -> scalar, or that shape for "none"."""
        return binary_cross_entropy(prediction, target, self.reduction)


class BCEWithLogitsLoss(Module):
    """Cross-entropy of yes and no, from logits: see binary_cross_entropy_with_logits."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = _check_reduction(reduction)

    def forward(self, logits: Tensor, target: Any) -> Tensor:
        """Both of one shape, target from 0 to 1 -> scalar, or that shape for "none"."""
        return binary_cross_entropy_with_logits(logits, target, self.reduction)


# %% nbgrader={"grade": true, "grade_id": "test-binary", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def test_unit_binary() -> None:
    """The hand-worked numbers, certainty that is wrong, and agreement of the two forms."""
    p, y = Tensor([0.8, 0.8, 0.0, 1.0, 0.0]), Tensor([1.0, 0.0, 1.0, 0.0, 0.0])
    wanted = [0.22314353, 1.6094379, 100.0, 100.0, 0.0]
    np.testing.assert_allclose(binary_cross_entropy(p, y, "none").numpy(), wanted, rtol=1e-6)
    assert binary_cross_entropy(p, y, "none").dtype == np.float32
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        losses = binary_cross_entropy_with_logits(Tensor([2.0, 2.0, 20.0, 1e4, -1e4]), [1, 0, 0, 0, 0], "none")
    np.testing.assert_allclose(losses.numpy(), [0.12692801, 2.126928, 20.0, 1e4, 0.0], rtol=1e-6)
    assert abs(BinaryCrossEntropyLoss()(Tensor([0.5, 0.5]), [1, 0]).item() - 0.6931472) < 1e-6
    assert abs(BCEWithLogitsLoss("sum")(Tensor([0.0, 0.0]), [1, 0]).item() - 1.3862944) < 1e-6
    ### BEGIN HIDDEN TESTS
    random = np.random.default_rng(5)
    x, target = random.normal(0, 3, (4, 6)), random.random((4, 6))
    p = 1 / (1 + np.exp(-x))
    wanted = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    y = Tensor(target, dtype=np.float64)
    np.testing.assert_allclose(binary_cross_entropy(Tensor(p, dtype=np.float64), y, "none").numpy(), wanted)
    np.testing.assert_allclose(binary_cross_entropy_with_logits(Tensor(x, dtype=np.float64), y).item(), wanted.mean())
    tiny = binary_cross_entropy(Tensor([1e-9]), [0])
    np.testing.assert_allclose(tiny.item(), 1e-9, rtol=1e-6)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_binary()

# %% [markdown]
# ## Step 6: Count
#
# GPT-2 reads a batch of 8 texts, 1,024 tokens each, and scores 50,257 tokens at each position, in float32 (4 bytes a
# number).
#
# By hand for a smaller one: 2 texts of 3 tokens over a vocabulary of 10 have 2 x 3 = 6 rows and 60 logits, 240 bytes. The
# op saves as many exponentials, and 6 sums. A network that knows nothing has the loss log 10 = 2.3026.


# %% nbgrader={"grade": false, "grade_id": "counts", "locked": false, "schema_version": 3, "solution": true, "task": false}
def loss_counts() -> dict[str, float]:
    """Five numbers, by name.

    TODO: assign each of them, as a number or as a product.
    rows: how many predictions the loss judges.
    logits_bytes: bytes of the logits.
    saved_bytes: bytes that cross_entropy_op saves: exponentials and sums.
    exponentials: how often it takes an exponential.
    first_loss: the mean loss of a network that gives each token the same probability.
    """
    ### BEGIN SOLUTION
    rows = 8 * 1024
    logits_bytes = rows * 50_257 * 4
    saved_bytes = logits_bytes + rows * 4
    exponentials = rows * 50_257
    first_loss = float(np.log(50_257))
    ### END SOLUTION
    return {
        "rows": rows,
        "logits_bytes": logits_bytes,
        "saved_bytes": saved_bytes,
        "exponentials": exponentials,
        "first_loss": first_loss,
    }


# %% nbgrader={"grade": true, "grade_id": "test-counts", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_counts() -> None:
    """The five numbers of step 6."""
    counts = loss_counts()
    assert counts["logits_bytes"] == 4 * counts["exponentials"], "one exponential for each logit of 4 bytes"
    assert counts["saved_bytes"] - counts["logits_bytes"] == 4 * counts["rows"], "one sum for each row"
    ### BEGIN HIDDEN TESTS
    assert counts["rows"] == 8_192
    assert counts["exponentials"] == 411_705_344
    assert counts["logits_bytes"] == 1_646_821_376
    assert abs(counts["first_loss"] - 10.8249) < 1e-3
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_counts()

# %% [markdown]
# ## Together: a network and its first loss
#
# Three samples go through two layers, and the loss judges what comes out. It notes how it was made: the mean of what
# `cross_entropy_op` gave. Along these notes module 06 will walk back.
#
# ```
#   x (3, 4) -> Linear(4, 8) -> ReLU -> Linear(8, 5) -> logits (3, 5) -> cross_entropy_op -> (3,) -> mean -> ()
#                                                       labels (3,) ----'
# ```


# %% nbgrader={"grade": true, "grade_id": "test-module", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_module_losses() -> None:
    """Losses judge a network of modules 02 and 03, agree with its softmax, and note how they were made."""
    network = Sequential(Linear(4, 8), ReLU(), Linear(8, 5))
    x, labels = Tensor(np.random.default_rng(6).standard_normal((3, 4))), [0, 4, 2]
    logits = network(x)
    loss = CrossEntropyLoss()(logits, labels)
    probabilities = softmax(logits).numpy()
    np.testing.assert_allclose(loss.item(), -np.log(probabilities[[0, 1, 2], labels]).mean(), rtol=1e-5)
    assert loss.shape == () and loss.requires_grad and loss.origin is not None
    assert loss.origin.op.name == "mean" and loss.origin.inputs[0].origin.op is cross_entropy_op
    assert MSELoss("none")(logits, np.zeros((3, 5))).shape == (3, 5)
    assert CrossEntropyLoss().parameters() == [] and MSELoss().parameters() == []
    for loss_module in (CrossEntropyLoss, MSELoss, BinaryCrossEntropyLoss, BCEWithLogitsLoss):
        try:
            loss_module(reduction="average")
        except ValueError as error:
            assert "average" in str(error)
        else:
            raise AssertionError(f"{loss_module.__name__} must refuse an unknown reduction")
    ### BEGIN HIDDEN TESTS
    knows_nothing = Tensor(np.full((6, 10), 7.5))
    assert abs(cross_entropy(knows_nothing, range(6)).item() - np.log(10)) < 1e-6
    yes_no = BCEWithLogitsLoss()(Linear(4, 1)(x), [[1], [0], [1]])
    assert yes_no.origin.inputs[0].origin.op is binary_cross_entropy_with_logits_op
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_module_losses()

# %% [markdown]
# ## What it costs
#
# First the range. From which whole number x on does `np.exp(x)` overflow in float32? write your guess: ___
#
# And how wrong is a float32 loss at logits near 10,000 if the maximum is added back before the label's logit is
# subtracted? write your guess: ___


# %%
def analyze_log_sum_exp_range() -> None:
    """Print where exp ends, and three ways to the loss of class 2 for the logits c + 1, c + 2, c + 3."""
    print("dtype      largest number   exp overflows above")
    for dtype in (np.float16, np.float32, np.float64):
        largest = np.finfo(dtype).max
        print(f"{np.dtype(dtype).name:<9} {largest:>15.4g} {np.log(np.float64(largest)):>21.2f}")
    print("\n         c   log(softmax)   logsumexp - x   log_softmax      (exact: 0.407606)")
    for c in (0, 80, 100, 1_000, 10_000, 1_000_000):
        x = np.array([c + 1, c + 2, c + 3], dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            naive = -np.log(np.exp(x) / np.exp(x).sum())[2]
        added_back = logsumexp(Tensor(x)).item() - float(x[2])
        print(f"{c:>10,} {naive:>14.6f} {added_back:>15.6f} {-log_softmax(Tensor(x)).tolist()[2]:>13.6f}")


if __name__ == "__main__":
    analyze_log_sum_exp_range()

# %% [markdown]
# The first column ends in NaN above 88.72. The second stays finite and loses digits: at 10,000 it is off by 0.0004, at a
# million by 0.03, and training on it would see steps where there is a slope. The third is right everywhere.
#
# Now the vocabulary. A loss over 50,257 classes has 5,026 times as many logits as one over 10. Does it also take about
# 5,026 times as long, for 64 rows? write your guess: ___


# %%
def analyze_vocabulary_cost() -> None:
    """Print bytes and time of the loss of 64 rows, by vocabulary size, beside the product that makes the logits."""
    from time import perf_counter

    rows, width = 64, 768
    random = np.random.default_rng(0)
    print(f"{rows} rows, layer {width} wide")
    print("   classes   logits (MB)   loss (ms)   ns per logit   FLOPs of the layer before it")
    for classes in (10, 1_000, 10_000, 50_257):
        logits = Tensor(random.standard_normal((rows, classes), dtype=np.float32))
        labels = Tensor(random.integers(classes, size=rows), dtype=np.int64)
        seconds = []
        for _ in range(4):
            begin = perf_counter()
            cross_entropy(logits, labels)
            seconds.append(perf_counter() - begin)
        best = min(seconds)
        megabytes, each = rows * classes * 4 / 1e6, best * 1e9 / (rows * classes)
        flops = 2 * rows * width * classes
        print(f"{classes:>10,} {megabytes:>13.3f} {best * 1e3:>11.3f} {each:>14.2f} {flops:>30,}")


if __name__ == "__main__":
    analyze_vocabulary_cost()

# %% [markdown]
# With 10 classes nearly all the time goes into the checks and calls, which cost the same for any size. From some
# thousands of classes on, time follows the logits: the op walks over them four times (maximum, subtraction, exponential,
# sum). The matrix product that makes the logits does 2 x 768 = 1,536 FLOPs for each of them. So a large vocabulary costs
# time in that layer, and memory in the loss: the logits, and their exponentials, which are kept until the gradients are
# computed.

# %% [markdown]
# ## Reflection 1
#
# A colleague computes the loss from probabilities: `p = softmax(logits)`, then `-log(clip(p, 1e-7, 1))` at the label. "It
# never gives NaN either, and I can print p." Compare it with `cross_entropy`. What happens to a sample whose label has a
# logit 200 below the largest, to the value and to the slope that training follows? When does it matter? 150 to 300 words.
#
# - (4 points) the value is right only down to p = 1e-7, a loss of 16.1, where the true one is 200
# - (4 points) below the clip the slope is zero, so the worst samples teach nothing; from logits it is softmax - one-hot
# - (2 points) says when this happens in practice, or what to do when probabilities are wanted for printing

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-1", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Both agree as long as the label's probability stays above 1e-7. Below that they part. With the label's logit 200 below
# the largest, the true probability is e^-200, about 1e-87. Float32 holds nothing under 1.4e-45, so softmax gives exactly
# 0, the clip makes 1e-7 of it, and the loss is -log(1e-7) = 16.1. From logits it is 200. So the colleague's curve looks
# harmless just where the network is most wrong, and a mean over a batch hides such samples.
#
# The slope is worse. A clipped number does not change when the logit changes a little, so its derivative is zero: the
# sample that is most wrong does not move any weight. Fused with softmax the derivative is softmax - one-hot. For that
# sample it is -1 at the label and +1 at the class the network believed in, which is the largest it can be. The badly
# wrong samples are then the ones that teach most.
#
# This happens with a bad initialisation, whose logits are in the hundreds, after a step with too large a learning rate,
# and with mislabelled samples late in training, when the network is sure of itself. In float16 it begins much earlier:
# the smallest number above zero is about 6e-8.
#
# Printing probabilities is fine. Compute them beside the loss, from the same logits, and do not let the loss depend on
# them. The price of doing it right is nothing: the fused op is also the faster one, since it computes the exponentials
# once and leaves one array behind.

# %% [markdown]
# ## Reflection 2
#
# You train with batches of 64 and the mean as reduction. Then memory runs short, and you sum up the gradients of four
# batches of 16 before each step. The last batch of an epoch has 10 samples. What must be done about the loss so that a
# step stays what it was? Compare mean and sum, also for the last batch. 150 to 300 words.
#
# - (4 points) four means add up to four times the mean over 64, so each is divided by 4; four sums add up by themselves
# - (4 points) a mean weights a sample of the short batch by 1/10 and others by 1/16; a sum weights all alike
# - (2 points) the price of sum: the step grows with the batch size, so the learning rate depends on it

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-2", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Gradients add up, so what has to be right is the sum of the losses that the gradients come from. A mean over 64 samples
# weights each by 1/64. Four means over 16 weight each by 1/16, so their sum is four times too large, and with plain SGD
# the step is four times too long. Dividing each of the four losses by 4 gives 1/64 again. With the sum as reduction
# nothing is wrong at first sight, since sums of parts add up: four times 16 losses are 64 losses. To have the old step,
# divide the total by 64 once.
#
# The last batch shows the difference. Say the last step of the epoch sees batches of 16, 16 and 10. The mean of the short
# batch weights each of its samples by 1/10 where the others have 1/16, so a sample counts 1.6 times as much because of
# where the shuffle put it. Divided by the number of batches the result is a mean of means, and not the mean over 42
# samples. With sums, and one division by 42, every sample counts alike. Dropping the short batch avoids the question. As
# the shuffle is another one in each epoch, no sample is left out for ever.
#
# The sum has its price. Its gradient grows with the batch size, so a learning rate that was found for 64 is wrong for
# 128, and losses of different batches cannot be compared in a plot. That is why the mean is the default: it keeps the
# meaning of the learning rate and of the curve. For accumulating gradients I would take sums and divide by the number of
# samples at the end.

# %% [markdown]
# ## Reflection 3
#
# Your language model has a vocabulary of 50,257, and its loss does not fit into memory: 8 x 1,024 rows of logits take
# 1.65 GB, and the op saves as much again. Propose two ways to need less, and say for each what it costs in time,
# precision or meaning. 150 to 300 words.
#
# - (4 points) a first way that works, with a number for the memory it saves
# - (4 points) a second one of another kind, with a number
# - (2 points) says for each what is paid

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-3", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Logits and saved exponentials together take 3.29 GB, and both are needed only because the derivative is computed later
# than the loss.
#
# The first way is to work through the rows in parts. Each row's loss depends on that row alone, so take 512 rows at a
# time: compute their logits from the hidden states, their loss, and at once the derivative for the hidden states and the
# output weights. Then throw the logits away. 512 rows need 512 x 50,257 x 4 = 103 MB of logits, and as much for the
# exponentials, one sixteenth of before. The result is the same up to rounding. Paid is some speed, because sixteen
# smaller matrix products run less efficiently than one, and clarity: the last layer and the loss become one piece. If
# only the loss is computed in parts and the derivative later, logits have to be computed a second time, which adds one
# more product, 2 x 768 FLOPs for each logit.
#
# The second way is fewer bytes a number. Logits in float16 take half, 0.82 GB. Float16 ends at 65,504 and has three to
# four digits, so the maximum should be subtracted and the sum taken in float32, part by part. The losses are then right
# to about three digits, and small probabilities are rounded to zero in the derivative, which usually harms little.
#
# A smaller vocabulary is a third way. With 10,000 tokens, logits take 0.33 GB, but the same text becomes longer in
# tokens, so there are more rows and more attention. It is another model, while the first two compute the same one.

# %% [markdown]
# ## Summary
#
# You built log-sum-exp and log-softmax, and on them the losses of nearly every network: mean squared error for
# quantities, cross-entropy for classes, binary cross-entropy for yes and no. Each takes logits where it can, refuses
# targets that make no sense, and notes how it was made. In PyTorch's words they are in `tinytorch.nn` and
# `tinytorch.functional`.
#
# What is missing are data to compute a loss on. Module 05 reads them, shuffles them and hands them over in batches.
# Module 06 then asks of each loss how it changes with every weight.
