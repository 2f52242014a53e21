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

# %%
#| default_exp core.losses
#| export
from typing import Any

import numpy as np

from tinytorch.core.layers import Module
from tinytorch.core.tensor import Array, Axis, Tensor, apply, as_tensor, op


# %% nbgrader={"grade": false, "grade_id": "logsumexp", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def shifted(x: Array, axis: Axis) -> Array:
    """x minus its largest element along axis, which is then 0; a row without a finite maximum stays as it is."""
    ### BEGIN SOLUTION
    largest = x.max(axis=axis, keepdims=True)
    return x - np.where(np.isfinite(largest), largest, x.dtype.type(0))
    ### END SOLUTION


@op
def logsumexp_op(x: Array, axis: Axis = -1, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) along axis, for x of any size."""
    ### BEGIN SOLUTION
    away = shifted(x, axis)
    largest = x.max(axis=axis, keepdims=True)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        result = np.log(np.exp(away).sum(axis=axis, keepdims=True))
        result += np.where(np.isfinite(largest), largest, x.dtype.type(0))
    return result if keepdims else result.squeeze(axis)
    ### END SOLUTION


def logsumexp(x: Tensor, axis: Axis = -1, keepdims: bool = False) -> Tensor:
    """The logarithm of the sum of exponentials along an axis, several, or all (None); finite for values of any size."""
    return apply(logsumexp_op, _floats(x), axis=axis, keepdims=keepdims)


def _floats(value: Any) -> Tensor:
    """A Tensor of floating-point numbers: integers, lists and arrays become float32."""
    tensor = as_tensor(value)
    return tensor if tensor.dtype.kind == "f" else tensor.astype(np.float32)


# %% nbgrader={"grade": false, "grade_id": "log-softmax", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def log_softmax_op(x: Array, axis: int = -1) -> Array:
    """log(softmax(x)) along axis: x - logsumexp(x), computed from the shifted x."""
    ### BEGIN SOLUTION
    away = shifted(x, axis)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return away - np.log(np.exp(away).sum(axis=axis, keepdims=True))
    ### END SOLUTION


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """The logarithm of softmax along an axis, as one op: never log(0)."""
    return apply(log_softmax_op, _floats(x), axis=axis)


# %%
#| export
REDUCTIONS = ("mean", "sum", "none")


def _check_reduction(reduction: str) -> str:
    """The reduction itself; ValueError when it is none of the three."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}, and must be one of 'mean', 'sum' and 'none'")
    return reduction


def _check_pair(loss: str, prediction: Tensor, target: Tensor) -> None:
    """ValueError unless prediction and target have one shape, are not empty, and no target is NaN."""
    if prediction.shape != target.shape:
        fix = "Check which of the two is wrong."
        if prediction.size == target.size:
            fix = f"They hold as many numbers: target.reshape{prediction.shape} may be what you want."
        raise ValueError(
            f"{loss} compares number with number: prediction has shape {prediction.shape}, target {target.shape}. {fix}"
        )
    _check_target(loss, target)


def _check_target(loss: str, target: Tensor) -> None:
    """ValueError for a batch of nothing and for a target that is NaN."""
    if target.size == 0:
        raise ValueError(f"{loss} of an empty batch: target has shape {target.shape}. Leave out batches of no samples.")
    values = target.numpy()
    if values.dtype.kind == "f" and np.isnan(values).any():
        place = tuple(int(index) for index in np.argwhere(np.isnan(values))[0])
        raise ValueError(f"{loss}: target is NaN at index {place}. Clean the data, or leave those samples out.")


# %% nbgrader={"grade": false, "grade_id": "mse-loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def reduced(losses: Tensor, reduction: str) -> Tensor:
    """The losses' mean, their sum, or the losses as they are ('none')."""
    ### BEGIN SOLUTION
    _check_reduction(reduction)
    if reduction == "mean":
        return losses.mean()
    return losses.sum() if reduction == "sum" else losses
    ### END SOLUTION


def mse_loss(prediction: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Squared differences of prediction and target, which have one shape."""
    _check_reduction(reduction)
    prediction, target = _floats(prediction), _floats(target)
    _check_pair("mse_loss", prediction, target)
    ### BEGIN SOLUTION
    return reduced((prediction - target) ** 2, reduction)
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "cross-entropy-op", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op(saves=True)
def cross_entropy_op(logits: Array, target: Array, label_smoothing: float = 0.0) -> tuple[Array, tuple[Array, Array]]:
    """-log(softmax(logits)) at the target of each row.

    logits (N, C); target (N,) class indices, or (N, C) probabilities -> losses (N,).
    Saved for the derivative: exp(logits - maximum), (N, C), and its row sums, (N,); their quotient is the softmax.
    """
    ### BEGIN SOLUTION
    exps = shifted(logits, 1)  # one array of (N, C), overwritten by its exponentials below
    weight: Any = 1
    if target.ndim == 1:
        picked = exps[np.arange(len(exps)), target]
    else:  # where: a class of probability 0 counts nothing, even with a logit of -inf
        picked = np.multiply(exps, target, out=np.zeros_like(exps), where=target != 0).sum(axis=1)
        weight = target.sum(axis=1)
    if label_smoothing:
        picked = (1 - label_smoothing) * picked + label_smoothing * exps.mean(axis=1)
        weight = (1 - label_smoothing) * weight + label_smoothing
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        np.exp(exps, out=exps)
        sums = exps.sum(axis=1)
        return np.log(sums) * weight - picked, (exps, sums)
    ### END SOLUTION


# %%
#| export
def _class_targets(logits: Tensor, target: Any) -> Tensor:
    """The target as cross_entropy_op takes it, checked: int64 indices (N,), or probabilities (N, C)."""
    target = as_tensor(target)
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
    _check_target("cross_entropy", target)
    if target.ndim == 1:
        return _labels(target, classes)
    target = _floats(target).astype(logits.dtype) if target.dtype != logits.dtype else target
    _check_probabilities(target.numpy())
    return target


def _labels(target: Tensor, classes: int) -> Tensor:
    values = target.numpy()
    wrong = (values < 0) | (values >= classes) | (values != np.floor(values))
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(
            f"cross_entropy: label {values[place]} at index {place} is no class: logits with {classes} columns "
            f"have the classes 0 to {classes - 1}. Check the labels, or the size of the last layer."
        )
    return target if target.dtype == np.int64 else target.astype(np.int64)


def _check_probabilities(values: Array) -> None:
    sums = values.sum(axis=1)
    wrong = (values < 0).any(axis=1) | (np.abs(sums - 1) > 1e-3)
    if wrong.any():
        place = int(wrong.argmax())
        raise ValueError(
            f"cross_entropy: row {place} of target is no probability distribution: its smallest number is "
            f"{values[place].min():g} and its sum {sums[place]:g}. Give rows that are not negative and add up to 1."
        )


# %% nbgrader={"grade": false, "grade_id": "cross-entropy", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def cross_entropy(logits: Tensor, target: Any, reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:
    """Negative log-likelihood of the target classes, from logits.

    logits (N, C); target (N,) class indices, or (N, C) one-hot rows or probabilities -> scalar, or (N,) for 'none'.
    """
    _check_reduction(reduction)
    _check_smoothing(label_smoothing)
    logits = _floats(logits)
    target = _class_targets(logits, target)
    ### BEGIN SOLUTION
    return reduced(apply(cross_entropy_op, logits, target, label_smoothing=label_smoothing), reduction)
    ### END SOLUTION


def _check_smoothing(label_smoothing: float) -> float:
    """The label smoothing itself; ValueError when it is not in [0, 1]."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is {label_smoothing}, and must be from 0 to 1")
    return label_smoothing


# %% nbgrader={"grade": false, "grade_id": "binary", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def binary_cross_entropy_op(p: Array, y: Array) -> Array:
    """-(y log p + (1 - y) log(1 - p)), each logarithm at least -100."""
    ### BEGIN SOLUTION
    with np.errstate(divide="ignore"):
        yes, no = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
    return -(y * yes + (1 - y) * no)
    ### END SOLUTION


@op
def binary_cross_entropy_with_logits_op(x: Array, y: Array) -> Array:
    """The same for p = sigmoid(x), without ever computing p: max(x, 0) - x y + log(1 + exp(-|x|))."""
    ### BEGIN SOLUTION
    return np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))
    ### END SOLUTION


# %%
#| export
def _check_binary(loss: str, prediction: Tensor, target: Tensor) -> None:
    """ValueError unless the shapes agree and every target is a probability."""
    _check_pair(loss, prediction, target)
    values = target.numpy()
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"{loss}: targets run from {values.min():g} to {values.max():g}, and must be from 0 to 1. "
            "For several classes use cross_entropy."
        )


def binary_cross_entropy(prediction: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood of yes (1) and no (0) under predicted probabilities."""
    _check_reduction(reduction)
    prediction, target = _floats(prediction), _floats(target)
    _check_binary("binary_cross_entropy", prediction, target)
    values = prediction.numpy()
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"binary_cross_entropy takes probabilities, and these run from {values.min():g} to {values.max():g}. "
            "Apply sigmoid first, or better, use binary_cross_entropy_with_logits."
        )
    return reduced(apply(binary_cross_entropy_op, prediction, target), reduction)


def binary_cross_entropy_with_logits(logits: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """Negative log-likelihood of yes (1) and no (0), from logits: exact where sigmoid rounds to 0 or 1."""
    _check_reduction(reduction)
    logits, target = _floats(logits), _floats(target)
    _check_binary("binary_cross_entropy_with_logits", logits, target)
    return reduced(apply(binary_cross_entropy_with_logits_op, logits, target), reduction)


# %%
#| export
class MSELoss(Module):
    """Mean squared error as a module: see mse_loss."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = _check_reduction(reduction)

    def forward(self, prediction: Tensor, target: Any) -> Tensor:
        """prediction and target of one shape -> scalar, or that shape for 'none'."""
        return mse_loss(prediction, target, self.reduction)


class CrossEntropyLoss(Module):
    """Cross-entropy from logits as a module: see cross_entropy."""

    def __init__(self, reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.reduction = _check_reduction(reduction)
        self.label_smoothing = _check_smoothing(label_smoothing)

    def forward(self, logits: Tensor, target: Any) -> Tensor:
        """logits (N, C), target (N,) or (N, C) -> scalar, or (N,) for 'none'."""
        return cross_entropy(logits, target, self.reduction, self.label_smoothing)


class BinaryCrossEntropyLoss(Module):
    """Cross-entropy of yes and no, from probabilities: see binary_cross_entropy."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = _check_reduction(reduction)

    def forward(self, prediction: Tensor, target: Any) -> Tensor:
        """prediction and target of one shape, from 0 to 1 -> scalar, or that shape for 'none'."""
        return binary_cross_entropy(prediction, target, self.reduction)


class BCEWithLogitsLoss(Module):
    """Cross-entropy of yes and no, from logits: see binary_cross_entropy_with_logits."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = _check_reduction(reduction)

    def forward(self, logits: Tensor, target: Any) -> Tensor:
        """logits and target of one shape, target from 0 to 1 -> scalar, or that shape for 'none'."""
        return binary_cross_entropy_with_logits(logits, target, self.reduction)
