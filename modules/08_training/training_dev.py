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
# # Training
#
# This module builds on all before it: tensors, layers, losses, data loading, autograd and optimizers. It puts them into the
# loop that trains a network. Afterwards you can
#
# - measure accuracy, limit the norm of a gradient and change the learning rate while training goes on,
# - write one update that gives the same gradient for one large batch and for several small ones,
# - evaluate without dropout and without graphs, and stop when the network no longer improves on data it has not seen,
# - save a run so that it goes on after a crash with the identical next step, and cannot be lost while it is being saved.
#
# **Build** a trainer. **Use** it to read scanned digits, 97 of 100 of them right, in seconds. **Reflect** on what is measured
# and what is saved.
#
# Systems reality check: long runs do not end as planned; machines fail, and somebody's meter runs while they are idle. A run
# that saves its state every hour loses half an hour on average at a failure, and each save writes 12 bytes for each parameter
# with Adam: 84 GB for a model of 7 billion.

# %%
#| default_exp core.training
#| export
import importlib
import importlib.util
import json
import math
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tinytorch.core.autograd import no_grad
from tinytorch.core.layers import Module
from tinytorch.core.optimizers import Optimizer
from tinytorch.core.tensor import Tensor, as_tensor, generator

# %% [markdown]
# ## Step 1: accuracy
#
# The loss is what training lowers, and it has no unit. What people ask is how many answers are right. The answer of a
# classifier is the class with the largest logit:
#
# ```
#   logits            answer   target
#   [2, 1, 0]            0        0      right
#   [0, 3, 1]            1        1      right
#   [1, 0, 2]            2        0      wrong
#   [0, 1, 0]            1        1      right        accuracy 3 / 4 = 0.75
# ```
#
# Softmax keeps the order of the logits, so there is no need to compute it. Accuracy has no useful gradient: a small change of
# a weight changes no answer. That is why it is measured and not minimised.


# %% nbgrader={"grade": false, "grade_id": "accuracy", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def accuracy(logits: Any, target: Any) -> float:
    """The share of answers that are right.

    TODO: compare the place of the largest logit in each row with the target, and take the mean.
    Example: [[2, 1, 0], [0, 3, 1]] with the target [0, 2] gives 0.5.
    Hint: np.argmax(scores, axis=-1); the mean of an array of booleans is the share of True.
    logits (..., C), target (...) class indices or (..., C) one-hot -> number from 0 to 1. Raises ValueError for other shapes.
    """
    scores, wanted = (np.asarray(each.numpy() if isinstance(each, Tensor) else each) for each in (logits, target))
    if scores.ndim and scores.shape == wanted.shape:
        wanted = wanted.argmax(axis=-1)
    if scores.ndim == 0 or scores.shape[:-1] != wanted.shape or not wanted.size:
        raise ValueError(
            f"accuracy compares logits (..., C) with one class index for each row: logits have shape {scores.shape}, "
            f"the target has {wanted.shape}"
        )
    if np.isnan(scores).any() or not 0 <= wanted.min() <= wanted.max() < scores.shape[-1]:
        raise ValueError(
            f"accuracy takes numbers and classes from 0 to {scores.shape[-1] - 1}: the target has {wanted.min():.10g} "
            f"to {wanted.max():.10g}, and {np.isnan(scores).sum()} logits are NaN"
        )
    ### BEGIN SOLUTION
    return float((scores.argmax(axis=-1) == wanted).mean())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-accuracy", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_accuracy() -> None:
    """The table above, and one-hot targets."""
    logits = Tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    assert accuracy(logits, Tensor([0, 1, 0, 1], dtype=np.int64)) == 0.75
    assert accuracy(logits, np.eye(3)[[0, 1, 0, 1]]) == 0.75
    assert accuracy(logits, [1, 0, 1, 0]) == 0.0
    ### BEGIN HIDDEN TESTS
    assert accuracy(np.arange(12.0).reshape(2, 2, 3), [[2, 2], [0, 2]]) == 0.75
    assert accuracy(np.zeros((2, 4)), [0, 3]) == 0.5, "equal logits are one answer, the first, and not every answer"
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_accuracy()

# %% [markdown]
# ## Step 2: clipping the gradient
#
# Now and then a batch gives a gradient a hundred times as long as the others, and one step with it can undo an hour of
# training. Clipping shortens such a gradient and keeps its direction. All parameters together are one long vector, so its
# length is the root of the sum of squares over all of them, and all are scaled by the same factor:
#
# ```
#   gradients   [3, 0]  and  [[4]]         norm  sqrt(9 + 0 + 16) = 5
#   max_norm 1: times 1 / 5                [0.6, 0]  and  [[0.8]]
#   max_norm 10: unchanged, since 5 is not above 10
# ```
#
# Squares of numbers above 1.8e19 exceed what float32 can hold. `_norm`, which is given, divides by the largest number first
# where that happens. A gradient that has NaN in it has no length, and every weight would become NaN with it, so that is an error.


# %% nbgrader={"grade": false, "grade_id": "clip", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _norm(arrays: Sequence[np.ndarray]) -> float:
    """The length of all arrays as one vector; that of float16, where 65,505 ones overflow, in float32."""
    arrays = [array.astype(np.float32) if array.dtype == np.float16 else array for array in arrays]
    with np.errstate(over="ignore", invalid="ignore"):
        total = math.fsum(float(np.vdot(array, array)) for array in arrays)
    if math.isinf(total):
        largest = max(float(np.abs(array).max()) for array in arrays if array.size)
        if math.isfinite(largest):
            return largest * _norm([array / largest for array in arrays])
    return math.sqrt(total)


def clip_grad_norm(parameters: Tensor | Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients, in place, so that their common norm is at most max_norm; the norm that they had.

    TODO: if the norm is above max_norm, multiply each gradient in place by the one factor that makes it max_norm.
    Example: gradients [3, 0] and [[4]] with max_norm 1 become [0.6, 0] and [[0.8]], and 5.0 is returned.
    Hint: `gradient *= factor` is in place; compute the factor once, from the norm of all.
    Parameters without a gradient are left out. Raises ValueError where the norm is not a finite number.
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm is {max_norm}, and must be above 0")
    if isinstance(parameters, Module):
        raise TypeError(f"parameters is a {type(parameters).__name__}: give it model.parameters()")
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = _norm(gradients)
    if not math.isfinite(norm):
        raise ValueError(
            f"the gradient's norm is {norm}: the loss or an op has overflowed. Lower lr, or scale the inputs"
        )
    ### BEGIN SOLUTION
    if norm > max_norm:
        factor = max_norm / norm
        for gradient in gradients:
            gradient *= factor
    return norm
    ### END SOLUTION


# %% [markdown]
# The tests use layers and optimizers of the modules before.

# %%
import io
import tempfile
from contextlib import redirect_stdout
from itertools import pairwise

from tinytorch.core.activations import ReLU
from tinytorch.core.dataloader import DataLoader, TensorDataset, load_digits
from tinytorch.core.layers import Dropout, Flatten, Linear, Sequential
from tinytorch.core.losses import CrossEntropyLoss, MSELoss
from tinytorch.core.optimizers import SGD, Adam
from tinytorch.core.tensor import Parameter, manual_seed


# %% nbgrader={"grade": true, "grade_id": "test-clip", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def _with_gradients(*gradients: Any) -> list[Parameter]:
    """Parameters with the given gradients, for the tests."""
    parameters = []
    for gradient in gradients:
        parameters.append(Parameter(np.zeros(np.shape(gradient))))
        parameters[-1].grad = np.array(gradient, np.float32)
    return parameters


def test_unit_clip_grad_norm() -> None:
    """One factor for all gradients, in place, and only where the norm is too large."""
    first, second = _with_gradients([3.0, 0.0], [[4.0]])
    memory = first.grad
    assert clip_grad_norm([first, Parameter([1.0]), second], 10.0) == 5.0, "the norm over all gradients is 5"
    assert first.grad.tolist() == [3.0, 0.0], "5 is not above 10"
    assert clip_grad_norm([first, second], 1.0) == 5.0, "the norm from before clipping is returned"
    assert np.allclose(first.grad, [0.6, 0.0]) and np.allclose(second.grad, [[0.8]])
    assert first.grad is memory, "scale in place"
    ### BEGIN HIDDEN TESTS
    many = _with_gradients(*np.random.default_rng(0).standard_normal((5, 7)))
    before = [w.grad.copy() for w in many]
    norm = clip_grad_norm((w for w in many), 0.5)
    assert abs(norm - np.linalg.norm(before)) < 1e-5
    assert all(np.allclose(w.grad, old * 0.5 / norm) for w, old in zip(many, before, strict=True))
    (huge,) = _with_gradients([3e30, 4e30])
    clip_grad_norm([huge], 1.0)
    assert np.allclose(huge.grad, [0.6, 0.8])
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_clip_grad_norm()

# %% [markdown]
# ## Step 3: schedules
#
# A large learning rate is good at first, when everything is wrong, and too large at the end, when the weights should settle. A
# schedule says what lr is at update t. Three are enough for nearly everything, here for lr = 0.1:
#
# ```
#   t                       0        1        2        3        4
#   StepSchedule(size 2)    0.1      0.1      0.01     0.01     0.001       lr * gamma^(t // size), gamma = 0.1
#   CosineSchedule(4)       0.1      0.0854   0.05     0.0146   0           lr * (1 + cos(pi t / 4)) / 2
#   WarmupSchedule(4)       0.025    0.05     0.075    0.1      0.1         lr * (t + 1) / 4, then what comes after
# ```
#
# The cosine may end above 0: with `min_lr` it goes from lr to min_lr, so the curve is scaled by lr - min_lr and lifted by min_lr.
# After its last update it stays there. Warmup is for the start of Adam: its averages know only a few gradients then, and steps
# of full length in a direction that is mostly chance do harm. It can hand over to another schedule, which then begins at its own
# t = 0.
#
# t counts **updates**, not epochs: `schedule.step()` belongs after every `optimizer.step()`. Each group keeps its own lr as its base.


# %% nbgrader={"grade": false, "grade_id": "schedules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Schedule:
    """What lr is at each update, for every group of an optimizer; subclasses define rate."""

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"a schedule changes the lr of an optimizer, not of a {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.bases = [float(group["lr"]) for group in optimizer.param_groups]
        self.count = 0
        self._apply()

    def rate(self, base: float, t: int) -> float:
        """The learning rate of update t, counted from 0, for a group whose own is base."""
        raise NotImplementedError(f"{type(self).__name__} has no rate: define rate(self, base, t)")

    def _apply(self) -> None:
        if len(self.bases) != len(self.optimizer.param_groups):
            raise ValueError("the optimizer has got new groups: make the schedule after the last of them")
        for base, group in zip(self.bases, self.optimizer.param_groups, strict=True):
            group["lr"] = self.rate(base, self.count)

    def step(self) -> None:
        """Go on to the next update."""
        self.count += 1
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """Which kind it is, how far it is, and from which learning rates it began."""
        return {"kind": type(self).__name__, "count": self.count, "bases": list(self.bases)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where state_dict was taken; ValueError for that of another kind of schedule."""
        if state.get("kind", type(self).__name__) != type(self).__name__:
            raise ValueError(f"the saved schedule is a {state['kind']}, this one a {type(self).__name__}")
        if len(state["bases"]) != len(self.bases):
            raise ValueError(f"the saved schedule has {len(state['bases'])} groups, this one {len(self.bases)}")
        self.count, self.bases = int(state["count"]), [float(base) for base in state["bases"]]
        self._apply()


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is {value!r}, and must be a whole number of at least 1")


def _check_rate(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value}, and must be a number from 0 on: lr would be below 0")


class StepSchedule(Schedule):
    """lr times gamma after every `size` updates."""

    def __init__(self, optimizer: Optimizer, size: int, gamma: float = 0.1) -> None:
        _check_count("size", size)
        _check_rate("gamma", gamma)
        self.size, self.gamma = size, gamma
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """base * gamma^(t // size). TODO: one line."""
        ### BEGIN SOLUTION
        return base * self.gamma ** (t // self.size)
        ### END SOLUTION


class CosineSchedule(Schedule):
    """Half a wave of the cosine, from lr to min_lr in `total` updates, and min_lr from then on."""

    def __init__(self, optimizer: Optimizer, total: int, min_lr: float = 0.0) -> None:
        _check_count("total", total)
        _check_rate("min_lr", min_lr)
        self.total, self.min_lr = total, min_lr
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """min_lr + (base - min_lr) * (1 + cos(pi t / total)) / 2.

        TODO: one line, and t no larger than total. Hint: math.cos, math.pi.
        """
        ### BEGIN SOLUTION
        return self.min_lr + (base - self.min_lr) * (1 + math.cos(math.pi * min(t, self.total) / self.total)) / 2
        ### END SOLUTION


class WarmupSchedule(Schedule):
    """A straight line up to lr in `steps` updates, then the schedule `after`, or lr as it is."""

    def __init__(self, optimizer: Optimizer, steps: int, after: Schedule | None = None) -> None:
        _check_count("steps", steps)
        if after is not None and getattr(after, "optimizer", None) is not optimizer:
            raise ValueError("the schedule after the warm-up must be a schedule of the same optimizer")
        self.steps, self.after = steps, after
        super().__init__(optimizer)
        if after is not None:  # making it may have changed lr already: what it began with is the lr to warm up to
            self.bases = list(after.bases)
            self._apply()

    def rate(self, base: float, t: int) -> float:
        """base * (t + 1) / steps, then what self.after says, with its own count from 0.

        TODO: the line for t below steps; then self.after.rate(base, t - steps), or base where there is no self.after.
        """
        ### BEGIN SOLUTION
        if t < self.steps:
            return base * (t + 1) / self.steps
        return base if self.after is None else self.after.rate(base, t - self.steps)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-schedules", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
def _rates(make: Callable[[SGD], Schedule], count: int, lr: float = 0.1) -> list[float]:
    """The learning rates of the first updates."""
    optimizer = SGD([Parameter([1.0])], lr=lr)
    schedule, found = make(optimizer), []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    return found


def test_unit_schedules() -> None:
    """The table above, and a warmup that hands over to a cosine."""
    assert np.allclose(_rates(lambda o: StepSchedule(o, 2), 5), [0.1, 0.1, 0.01, 0.01, 0.001])
    cosine = _rates(lambda o: CosineSchedule(o, 4), 7)
    assert np.allclose(cosine, [0.1, 0.08535534, 0.05, 0.01464466, 0, 0, 0], atol=1e-8), cosine
    assert np.allclose(_rates(lambda o: WarmupSchedule(o, 4), 6), [0.025, 0.05, 0.075, 0.1, 0.1, 0.1])
    both = _rates(lambda o: WarmupSchedule(o, 2, CosineSchedule(o, 4, min_lr=0.02)), 7)
    assert np.allclose(both, [0.05, 0.1, 0.1, 0.08828427, 0.06, 0.03171573, 0.02]), both
    ### BEGIN HIDDEN TESTS
    assert np.allclose(_rates(lambda o: StepSchedule(o, 3, gamma=0.5), 7, lr=8), [8, 8, 8, 4, 4, 4, 2])
    assert np.allclose(_rates(lambda o: CosineSchedule(o, 2, min_lr=1), 4, lr=3), [3, 2, 1, 1])
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_schedules()

# %% [markdown]
# ## Step 4: what is written down
#
# Three small parts are given. `Tally` adds up loss and right answers over the batches of an epoch; the last batch may be
# smaller, so it counts samples and not batches. `History` keeps one number for each epoch and draws curves: a picture where
# matplotlib is installed and a path is given, characters otherwise. `_Bar` shows progress, on a terminal only, so that files
# and notebooks do not fill with half-drawn bars.


# %%
#| export
class Tally:
    """The mean loss over samples, and the share of right answers where targets are classes."""

    def __init__(self) -> None:
        self.samples = self.answers = 0
        self.losses = self.right = 0.0

    def add(self, loss: float, output: Tensor, target: Tensor) -> None:
        """Count one batch with its mean loss."""
        self.samples += len(target)
        self.losses += loss * len(target)
        if target.dtype.kind in "iu" and output.shape[:-1] == target.shape:
            self.answers += target.size
            self.right += accuracy(output, target) * target.size

    @property
    def loss(self) -> float:
        """The mean loss of a sample."""
        return self.losses / self.samples

    @property
    def accuracy(self) -> float | None:
        """The share of right answers, or None where there are none to judge."""
        return round(self.right) / self.answers if self.answers else None


def _sketch(title: str, values: Sequence[float], width: int = 60, height: int = 8) -> str:
    """A curve drawn with characters: one column for each value, or for the nearest of them where there are too many."""
    picked = (
        [values[round(i * (len(values) - 1) / (width - 1))] for i in range(width)] if len(values) > width else values
    )
    low, high = min(picked), max(picked)
    rows = [round((value - low) / ((high - low) or 1) * (height - 1)) for value in picked]
    lines = ["".join("*" if row == level else " " for row in rows).rstrip() for level in range(height - 1, -1, -1)]
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"]
    return "\n".join([title, *(f"{label:>10} |{line}" for label, line in zip(labels, lines, strict=True))])


@dataclass
class History:
    """One number for each epoch; None where there was nothing to measure."""

    loss: list[float] = field(default_factory=list)
    accuracy: list[float | None] = field(default_factory=list)
    valid_loss: list[float | None] = field(default_factory=list)
    valid_accuracy: list[float | None] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.loss)

    def add(self, **numbers: float | None) -> None:
        """Append the numbers of an epoch."""
        for name, values in vars(self).items():
            values.append(numbers[name])

    def plot(self, path: str | os.PathLike[str] | None = None) -> Path | None:
        """Draw the curves: into the file `path` where matplotlib is installed, and return it; else as characters."""
        curves = {
            name: [v for v in values if v is not None] for name, values in vars(self).items() if name != "seconds"
        }
        curves = {name: values for name, values in curves.items() if values}
        if path is None or importlib.util.find_spec("matplotlib") is None:
            print("\n\n".join(_sketch(f"{name}, {len(v)} epochs", v) for name, v in curves.items()))
            return None
        figure = importlib.import_module("matplotlib.figure").Figure(figsize=(10, 3.2), layout="constrained")
        for axes, kind in zip(figure.subplots(1, 3), ("loss", "accuracy", "lr"), strict=True):
            for name in (name for name in curves if name.removeprefix("valid_") == kind):
                axes.plot(range(1, len(curves[name]) + 1), curves[name], label=name)
            axes.set(title=kind, xlabel="epoch")
            if len(axes.lines) > 1:
                axes.legend()
        figure.savefig(path)
        return Path(path)


class _Bar:
    """A line that shows how far an epoch is; nothing where the output is not a terminal."""

    def __init__(self, title: str, total: int | None) -> None:
        self.title, self.total, self.done = title, total, 0
        self.shown = sys.stdout is not None and sys.stdout.isatty()

    def advance(self, count: int, loss: float) -> None:
        """Draw the line anew."""
        self.done += count
        if self.shown:
            full = 20 * self.done // self.total if self.total else 0
            bar = f" [{'#' * full}{'.' * (20 - full)}]" if self.total else ""
            print(f"\r{self.title}{bar} {self.done}/{self.total or '?'} loss {loss:.4f}", end="", flush=True)

    def close(self, words: str) -> None:
        """Replace the line by what the epoch has come to."""
        if self.shown:
            print(f"\r{f'{self.title}  {words}':<79}", flush=True)


# %% [markdown]
# ## Step 5: the update
#
# One update is forward, backward, step, as in the last test of module 07, with three additions.
#
# **Accumulation.** A batch of 128 that does not fit into memory can be gone through as four of 32, because gradients add up
# in `.grad`. They must be weighted. Take two batches of 3 and 1 samples whose mean gradients are 2 and 6:
#
# ```
#   mean over all 4 samples     (3 * 2 + 1 * 6) / 4           = 3
#   weighted                    3/4 * 2  +  1/4 * 6           = 3          what backward(share) adds up
#   mean of the two means       (2 + 6) / 2                   = 4          the single sample counts three times
# ```
#
# `loss.backward(share)` starts the backward pass with that factor in place of 1, and all gradients are multiplied by it.
#
# **Clipping** comes when all gradients are there, before the step. **The schedule** comes after the step.
#
# A loss that is NaN or infinite stops training with an error, since every later weight would be NaN.
#
# ## Step 6: evaluation and early stopping
#
# To evaluate means to run the model as it will be used: `eval()` turns dropout off, `no_grad()` keeps no graph, so that memory
# does not grow with depth. Afterwards each module gets its own mode back.
#
# A network can learn its training data by heart. The loss on other data, the **validation** data, then rises while the
# training loss still falls. Early stopping ends training when the validation loss has not fallen below its best for `patience`
# epochs in a row, and takes the best weights back. With patience 2:
#
# ```
#   epoch               1      2      3      4
#   validation loss     0.9    0.7    0.8    0.75
#   epochs waited       0      0      1      2  -> stop, and take back the weights of epoch 2
# ```
#
# You write `update`, `evaluate` and the decision of `Patience`.


# %% nbgrader={"grade": false, "grade_id": "trainer", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Patience:
    """Remembers the best weights, and says when the loss has not fallen for too long."""

    def __init__(self, model: Module, limit: int) -> None:
        _check_count("patience", limit)
        self.model, self.limit = model, limit
        self.best, self.waited = math.inf, 0
        self.weights: dict[str, np.ndarray] | None = None

    def used_up(self, loss: float) -> bool:
        """Take note of an epoch's loss; True when it is time to stop.

        TODO: if loss is below self.best, keep it as the best, keep self.model.state_dict() as self.weights, and begin to
        wait anew; otherwise wait one epoch more. Return whether self.waited has reached self.limit.
        """
        ### BEGIN SOLUTION
        if loss < self.best:
            self.best, self.waited, self.weights = loss, 0, self.model.state_dict()
        else:
            self.waited += 1
        return self.waited >= self.limit
        ### END SOLUTION


def _pair(batch: Any) -> tuple[Tensor, Tensor]:
    """Inputs and targets of a batch, as Tensors of equally many samples."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ValueError(f"a batch must be a pair (inputs, targets), this one is a {type(batch).__name__}")
    x, y = (each if isinstance(each, Tensor) else as_tensor(np.asarray(each)) for each in batch)
    if not x.ndim or not y.ndim or len(x) != len(y) or not len(y):
        raise ValueError(
            f"a batch has inputs of shape {x.shape} and targets of shape {y.shape}: one target for each input"
        )
    return x, y


class Trainer:
    """A model, its loss, its optimizer, and the loop around them.

    loss(output, target) gives the mean over a batch. The schedule takes a step after each update, and gradients are
    clipped to the norm `clip` before it. `epoch` and `step` count what is done, `history` has the numbers of each epoch.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: Optimizer,
        schedule: Schedule | None = None,
        clip: float | None = None,
    ) -> None:
        if clip is not None and not clip > 0:
            raise ValueError(f"clip is {clip}, and must be above 0, or None for no clipping")
        if schedule is not None and schedule.optimizer is not optimizer:
            raise ValueError("the schedule is of another optimizer, so this one's lr would stay: make it from this one")
        held = {id(parameter) for parameter in model.parameters()}
        if not any(id(each) in held for group in optimizer.param_groups for each in group["params"]):
            raise ValueError(
                "the optimizer has no parameter of this model, which would not change: make it from model.parameters()"
            )
        self.model, self.loss, self.optimizer, self.schedule, self.clip = model, loss, optimizer, schedule, clip
        self.epoch = self.step = 0
        self.history = History()

    def _loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch, one finite number."""
        loss = self.loss(output, target)
        if not isinstance(loss, Tensor):
            raise TypeError(
                f"the loss is a {type(loss).__name__}, and must be a Tensor, which gradients can go back through"
            )
        if loss.size != 1:
            raise ValueError(f"the loss has shape {loss.shape}, and must be one number: use reduction='mean'")
        if not math.isfinite(loss.item()):
            raise ValueError(
                f"the loss is {loss.item()} in epoch {self.epoch + 1}, at update {self.step + 1}: lower lr, clip the "
                "gradient, or look for NaN in the data"
            )
        return loss

    def update(self, batches: Iterable[Any], tally: Tally | None = None) -> float:
        """Change the parameters once, by the mean gradient over all samples of some batches; the mean loss.

        TODO: the update of step 5.
        Approach: after zero_grad, for each (x, y) of pairs:
          1. output = self.model(x), loss = self._loss(output, y), and share = len(y) / total.
          2. loss.backward(share). Add share * loss.item() to the mean.
          3. If there is a tally: tally.add(loss.item(), output, y).
        Then clip where self.clip is not None (self._parameters() has what to clip), step, step of the schedule if there is
        one, and one more on self.step.
        """
        pairs = [_pair(batch) for batch in batches]
        total = sum(len(y) for _, y in pairs)
        mean = 0.0
        ### BEGIN SOLUTION
        self.optimizer.zero_grad()
        for x, y in pairs:
            output = self.model(x)
            loss = self._loss(output, y)
            share = len(y) / total
            loss.backward(share)
            mean += share * loss.item()
            if tally is not None:
                tally.add(loss.item(), output, y)
        if self.clip is not None:
            clip_grad_norm(self._parameters(), self.clip)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        self.step += 1
        ### END SOLUTION
        return mean

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def evaluate(self, loader: Iterable[Any]) -> Tally:
        """Loss and accuracy over a loader, with nothing changed.

        TODO: set eval mode; under no_grad, add each batch's loss and output to the tally; restore the modes.
        Approach: note (module, module.training) for all of self.model.modules() first, and give each its mode back in a
        `finally`, so that an error in the middle leaves them right too.
        Example: tally.loss and tally.accuracy of the result are the means over all samples.
        """
        tally = Tally()
        ### BEGIN SOLUTION
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            with no_grad():
                for x, y in map(_pair, loader):
                    output = self.model(x)
                    tally.add(self._loss(output, y).item(), output, y)
        finally:
            for module, mode in modes:
                module.training = mode
        ### END SOLUTION
        if not tally.samples:
            raise ValueError("there is nothing to evaluate: the loader gave no batches")
        return tally

    def _run_epoch(self, loader: Iterable[Any], accumulate: int, bar: _Bar) -> tuple[Tally, float]:
        """All updates of an epoch, and the learning rate of the last."""
        tally, lr = Tally(), 0.0
        if hasattr(loader, "epoch"):
            loader.epoch = self.epoch  # the order of the samples depends on the epoch, also when a run goes on
        batches = iter(loader)
        while together := list(islice(batches, accumulate)):
            lr = self.optimizer.param_groups[0]["lr"]
            self.update(together, tally)
            bar.advance(len(together), tally.loss)
        if not tally.samples:
            raise ValueError("the loader gave no batches: a generator runs only once, use a list or a DataLoader")
        return tally, lr

    def fit(
        self,
        loader: Iterable[Any],
        epochs: int,
        valid: Iterable[Any] | None = None,
        patience: int | None = None,
        accumulate: int = 1,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train for some more epochs, and return the history.

        valid: evaluated after each epoch. patience: stop when its loss has not fallen for so many epochs, and end with the
        best weights. accumulate: batches for each update. checkpoint: a file that is saved after each epoch.
        """
        _check_count("epochs", epochs)
        _check_count("accumulate", accumulate)
        if patience is not None and valid is None:
            raise ValueError("patience watches the validation loss: give fit valid=... as well")
        waiting = None if patience is None else Patience(self.model, patience)
        last = self.epoch + epochs
        while self.epoch < last:
            start = time.perf_counter()
            bar = _Bar(f"epoch {self.epoch + 1}/{last}", len(loader) if hasattr(loader, "__len__") else None)
            self.model.train()
            tally, lr = self._run_epoch(loader, accumulate, bar)
            checked = None if valid is None else self.evaluate(valid)
            numbers = {
                "loss": tally.loss,
                "accuracy": tally.accuracy,
                "valid_loss": None if checked is None else checked.loss,
                "valid_accuracy": None if checked is None else checked.accuracy,
                "lr": lr,
            }
            self.history.add(**numbers, seconds=time.perf_counter() - start)
            bar.close(", ".join(f"{name} {value:.4g}" for name, value in numbers.items() if value is not None))
            self.epoch += 1
            if checkpoint is not None:
                self.save(checkpoint)
            if waiting is not None and waiting.used_up(checked.loss):
                break
        if waiting is not None and waiting.weights is not None:
            self.model.load_state_dict(waiting.weights)
        return self.history

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save all that the next step depends on; see save_checkpoint."""
        done = {"epoch": self.epoch, "step": self.step, "history": asdict(self.history)}
        save_checkpoint(path, self.model, self.optimizer, self.schedule, **done)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on from what save wrote, with the identical next step; ValueError, and nothing changed, for other files."""
        content = _read(Path(path))
        done = content["extra"]
        if not {"epoch", "step", "history"} <= done.keys() or done["history"].keys() != asdict(History()).keys():
            raise ValueError(
                f"{path} does not say how far training was: Trainer.save writes what Trainer.load reads, and "
                "load_checkpoint reads what save_checkpoint wrote"
            )
        _restore(path, content, self.model, self.optimizer, self.schedule)
        self.epoch, self.step, self.history = done["epoch"], done["step"], History(**done["history"])


# %% nbgrader={"grade": true, "grade_id": "test-update", "locked": true, "points": 9, "schema_version": 3, "solution": false, "task": false}
def _line(**options: Any) -> Trainer:
    """A trainer of y = w x with w = 0, mean squared error and lr = 0.1, for the tests."""
    net = Linear(1, 1, bias=False)
    net.weight = Parameter([[0.0]])
    return Trainer(net, MSELoss(), SGD(net.parameters(), lr=0.1), **options)


def test_unit_update() -> None:
    """One batch, the same samples in two batches, clipping and the schedule."""
    x, y = np.array([[1.0], [2.0], [3.0], [4.0]], np.float32), np.array([[2.0], [4.0], [6.0], [8.0]], np.float32)
    trainer = _line()
    assert trainer.update([(x, y)]) == 30.0, "the mean of 4, 16, 36 and 64"
    whole = trainer.model.weight.item()
    assert abs(whole - 3.0) < 1e-6, f"the gradient is -30 and lr 0.1, so w becomes 3, not {whole}"
    assert trainer.step == 1
    parts, tally = _line(), Tally()
    assert abs(parts.update([(x[:3], y[:3]), (x[3:], y[3:])], tally) - 30.0) < 1e-5
    assert abs(parts.model.weight.item() - 3.0) < 1e-6, "batches of 3 and 1 must weigh 3/4 and 1/4"
    assert tally.samples == 4 and abs(tally.loss - 30.0) < 1e-5
    clipped = _line(clip=2.0)
    clipped.update([(x, y)])
    assert abs(clipped.model.weight.item() - 0.2) < 1e-6, "a gradient of -30, clipped to -2, times 0.1"
    trainer = _line()
    trainer.schedule = StepSchedule(trainer.optimizer, 1, gamma=0.5)
    trainer.update([(x, y)])
    assert abs(trainer.model.weight.item() - 3.0) < 1e-6, "the schedule changes lr after the step, not before it"
    assert trainer.optimizer.param_groups[0]["lr"] == 0.05
    trainer.update([(x, y)])
    assert abs(trainer.model.weight.item() - 2.25) < 1e-6, "old gradients must be forgotten before each update"
    ### BEGIN HIDDEN TESTS
    thirds = _line()
    thirds.update([(x[:1], y[:1]), (x[1:2], y[1:2]), (x[2:], y[2:])])
    assert abs(thirds.model.weight.item() - 3.0) < 1e-6
    broken = _line()
    broken.loss = lambda output, target: MSELoss()(output, target) * math.inf
    try:
        broken.update([(x, y)])
    except ValueError:
        return
    raise AssertionError("an infinite loss must stop training")
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_update()


# %% nbgrader={"grade": true, "grade_id": "test-fit", "locked": true, "points": 9, "schema_version": 3, "solution": false, "task": false}
def test_unit_fit() -> None:
    """Evaluation changes nothing, fit counts and records, and early stopping takes the best weights back."""
    manual_seed(1)
    x = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
    labels = (x[:, 0] > 0).astype(np.int64)
    net = Sequential(Linear(4, 8), Dropout(0.5), Linear(8, 2))
    net[0].eval()
    trainer = Trainer(net, CrossEntropyLoss(), SGD(net.parameters(), lr=0.5))
    before = net.state_dict()
    first, again = trainer.evaluate([(x, labels)]), trainer.evaluate([(x[:5], labels[:5]), (x[5:], labels[5:])])
    assert abs(first.loss - again.loss) < 1e-6, "without dropout, and over samples, not batches, both must agree"
    assert first.accuracy == again.accuracy == accuracy(net.eval()(Tensor(x)), labels)
    net.train()
    net[0].eval()
    trainer.evaluate([(x, labels)])
    assert net[1].training and not net[0].training, "each module gets back the mode it had"
    try:
        trainer.evaluate([(x, labels), "no batch"])
    except ValueError:
        assert net[1].training and not net[0].training, "after an error too: restore the modes in a finally"
    recorded = []

    def noting(output: Tensor, target: Tensor) -> Tensor:
        recorded.append(output.requires_grad)
        return CrossEntropyLoss()(output, target)

    Trainer(net, noting, trainer.optimizer).evaluate([(x, labels)])
    assert recorded == [False], "evaluation keeps no graph: use no_grad"
    assert all(np.array_equal(before[name], array) for name, array in net.state_dict().items())
    printed = io.StringIO()
    with redirect_stdout(printed):
        history = trainer.fit([(x[:8], labels[:8]), (x[8:], labels[8:])], epochs=3, valid=[(x, labels)], accumulate=2)
    assert printed.getvalue() == "", "no bar where the output is not a terminal"
    assert len(history) == 3 and trainer.epoch == 3 and trainer.step == 3, "two batches for each update, three epochs"
    assert history.valid_loss[-1] < first.loss and len(history.seconds) == 3

    waiting, stops = Patience(net, 2), []
    for weight, loss in enumerate([0.9, 0.7, 0.8, 0.75]):
        net[2].bias.numpy()[...] = weight
        stops.append(waiting.used_up(loss))
    assert stops == [False, False, False, True], f"the table above stops after epoch 4, got {stops}"
    assert waiting.weights["2.bias"].tolist() == [1.0, 1.0], "the best weights are those of epoch 2"
    ### BEGIN HIDDEN TESTS
    assert Patience(net, 1).used_up(1.0) is False
    far = _line()
    far.optimizer.param_groups[0]["lr"] = 0.12
    data = [(np.full((1, 1), 3.0, np.float32), np.full((1, 1), 6.0, np.float32))]
    far.fit(data, epochs=9, valid=data, patience=2)
    assert far.epoch == 3, "every step goes too far, so the first epoch is the best and two more are waited for"
    assert abs(far.model.weight.item() - 4.32) < 1e-5, "fit ends with the best weights"
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_fit()

# %% [markdown]
# ## Step 7: checkpoints
#
# A file must hold everything the next step depends on: parameters and buffers, what the optimizer remembers, how far the
# schedule is, how many epochs and updates are done, and the state of the random generator, from which dropout draws. The order
# of the samples depends on the loader's seed and on the epoch alone (module 05), so nothing of it needs saving.
#
# **Form.** `pickle` would save any object in one line. It stores programs, and loading runs them: a checkpoint from somebody
# else could do anything on your machine. It also stops working when classes move. So we take the state apart: arrays go into an
# `.npz` file as they are, and everything else, with numbers in place of arrays, into a text of JSON beside them:
#
# ```
#   {"lr": 0.1, "m": array([1., 2.])}    ->    {"lr": 0.1, "m": {"__array__": 0}}     and     arr_0 = [1., 2.]
# ```
#
# JSON writes a float with as many digits as it takes to read the same float again, and whole numbers of any size exactly.
#
# **Atomic.** If the machine stops while the file is being written, the old file is gone and the new one half there. So we
# write to another name in the same folder and rename it at the end. Renaming is one operation of the file system: whoever opens
# the path finds the old file or the new one, both complete.


# %% nbgrader={"grade": false, "grade_id": "checkpoint", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
FORMAT = "tinytorch.checkpoint/1"


def pack(value: Any, arrays: list[np.ndarray]) -> Any:
    """value with each array replaced by {"__array__": its place in arrays}, to which it is appended.

    TODO: treat an array; a Mapping, with str(key) for keys; a list or tuple, which both become a list. The last lines,
    for numbers and text, are given.
    Example: pack({"a": (x, 1)}, arrays) is {"a": [{"__array__": 0}, 1]}, and arrays is [x].
    Hint: the function calls itself for what is inside.
    """
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        raise TypeError("an array of Python objects cannot be saved: use one of numbers")
    ### BEGIN SOLUTION
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"__array__": len(arrays) - 1}
    if isinstance(value, Mapping):
        return {str(key): pack(inner, arrays) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [pack(inner, arrays) for inner in value]
    ### END SOLUTION
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint holds arrays, numbers, text, lists and dictionaries, not {type(value).__name__}")


def unpack(value: Any, arrays: Sequence[np.ndarray]) -> Any:
    """What pack took apart, with lists for tuples.

    TODO: the way back, for dictionaries with the one key "__array__", other dictionaries, and lists.
    Example: unpack({"a": [{"__array__": 0}, 1]}, [x]) is {"a": [x, 1]}.
    """
    ### BEGIN SOLUTION
    if isinstance(value, dict):
        if value.keys() == {"__array__"}:
            return arrays[value["__array__"]]
        return {key: unpack(inner, arrays) for key, inner in value.items()}
    return [unpack(inner, arrays) for inner in value] if isinstance(value, list) else value
    ### END SOLUTION


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], None]) -> None:
    """Let write(file) fill a file that appears at path when it is complete, and not before.

    TODO: write to the path `part`, then rename it.
    Approach: open part with "wb" in a `with`; call write; file.flush() and os.fsync(file.fileno()) bring the bytes to the
    disk. After the `with`, part.replace(path) renames. If anything fails, part.unlink(missing_ok=True), and raise.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    ### BEGIN SOLUTION
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    ### END SOLUTION


def save_checkpoint(
    path: str | os.PathLike[str],
    model: Module,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
    **extra: Any,
) -> None:
    """Save model, optimizer, schedule, the random generator and anything plain, such as epoch=3, in one .npz file.

    Raises TypeError for an extra that holds more than arrays, numbers, text, lists and dictionaries.
    """
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    content: dict[str, Any] = {name: part.state_dict() for name, part in parts.items() if part is not None}
    arrays: list[np.ndarray] = []
    packed = pack({**content, "random": generator().bit_generator.state, "extra": extra}, arrays)
    text = json.dumps({"format": FORMAT, "content": packed})
    write_atomically(path, lambda file: np.savez(file, *arrays, text=np.frombuffer(text.encode(), np.uint8)))


# What reading such a file raises. zipfile takes a damaged entry for one that is encrypted, or of a later version, and
# raises RuntimeError then.
_DAMAGE = (zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, EOFError, IndexError, RuntimeError)


def _read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint; ValueError for any other file."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            meta = json.loads(saved["text"].tobytes())
            arrays = [saved[f"arr_{number}"] for number in range(len(saved.files) - 1)]
        if meta["format"] != FORMAT:
            raise ValueError(f"its format is {meta['format']}")
        content = unpack(meta["content"], arrays)
        for name in ("model", "random", "extra"):
            content[name].keys()  # each a dictionary, and there
        return content
    except _DAMAGE as error:
        raise ValueError(
            f"{path} is not a checkpoint that save_checkpoint wrote, or only a part of one: {error}"
        ) from None


def load_checkpoint(
    path: str | os.PathLike[str],
    model: Module,
    optimizer: Optimizer | None = None,
    schedule: Schedule | None = None,
) -> dict[str, Any]:
    """Restore what save_checkpoint saved, all of it or nothing, and return what was given as extra.

    Raises ValueError for a file that is no checkpoint, lacks a part that is asked for, or does not fit.
    """
    return _restore(path, _read(Path(path)), model, optimizer, schedule)


def _restore(
    path: str | os.PathLike[str],
    content: Mapping[str, Any],
    model: Module,
    optimizer: Optimizer | None,
    schedule: Schedule | None,
) -> dict[str, Any]:
    """What load_checkpoint does with the content of a file."""
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    wanted = {name: part for name, part in parts.items() if part is not None}
    for name in wanted:
        if name not in content:
            raise ValueError(f"{path} has no {name}: it was saved without one")
    before = [(part, part.state_dict()) for part in wanted.values()]
    try:
        for name, part in wanted.items():
            part.load_state_dict(content[name])
        generator().bit_generator.state = content["random"]
    except Exception:
        for part, state in before:
            part.load_state_dict(state)
        raise
    return content["extra"]


# %% nbgrader={"grade": true, "grade_id": "test-checkpoint", "locked": true, "points": 9, "schema_version": 3, "solution": false, "task": false}
def _dropping() -> Trainer:
    """A trainer whose next step depends on everything: random numbers, averages, schedule and the order of samples."""
    net = Sequential(Linear(3, 6), Dropout(0.3), Linear(6, 2))
    optimizer = Adam(net.parameters(), lr=0.05)
    return Trainer(net, CrossEntropyLoss(), optimizer, CosineSchedule(optimizer, 20), clip=1.0)


def test_unit_checkpoint() -> None:
    """Values come back as they were, files appear whole, and a run goes on with the identical next step."""
    arrays: list[np.ndarray] = []
    value = {"a": (np.arange(3), 1), "b": {"c": [0.1, None, "text"]}, 4: np.float32(0.5)}
    packed = pack(value, arrays)
    assert packed == {"a": [{"__array__": 0}, 1], "b": {"c": [0.1, None, "text"]}, "4": 0.5}, packed
    back = unpack(json.loads(json.dumps(packed)), arrays)
    assert back["a"][0].tolist() == [0, 1, 2] and back["b"] == {"c": [0.1, None, "text"]}

    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError("the disk is full")

    numbers, synced, fsync = [], [], os.fsync

    def first(file: BinaryIO) -> None:
        numbers.append(os.fstat(file.fileno()).st_ino)
        file.write(b"first")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.npz"
        os.fsync = lambda number: synced.append(fsync(number))
        try:
            write_atomically(path, first)
        finally:
            os.fsync = fsync
        assert path.stat().st_ino == numbers[0], "rename the file that was written: copying can stop half-way"
        assert synced, "without os.fsync the new name may be on the disk before the bytes are"
        try:
            write_atomically(path, fail)
        except OSError:
            pass
        else:
            raise AssertionError("the error must not be swallowed")
        assert path.read_bytes() == b"first", "a write that fails must leave the old file"
        assert [each.name for each in Path(folder).iterdir()] == ["run.npz"], "and nothing beside it"

        x = np.random.default_rng(1).standard_normal((20, 3)).astype(np.float32)
        loader = DataLoader(TensorDataset(x, (x[:, 0] > 0).astype(np.int64)), batch_size=8, shuffle=True, seed=3)
        manual_seed(4)
        one = _dropping()
        one.fit(loader, epochs=2, checkpoint=path)
        one.fit(loader, epochs=2)
        manual_seed(99)
        other = _dropping()
        other.load(path)
        assert (other.epoch, other.step, len(other.history)) == (2, 6, 2)
        other.fit(loader, epochs=2)
    wanted, found = one.model.state_dict(), other.model.state_dict()
    assert all(np.array_equal(wanted[name], found[name]) for name in wanted), "every bit must be the same"
    assert one.history.loss == other.history.loss


if __name__ == "__main__":
    test_unit_checkpoint()

# %% [markdown]
# ## Question: counting a run
#
# The digits of module 05 have 1,437 training samples of 8 x 8 pixels. A network 64-128-10 is trained on them with Adam, in batches
# of 32, for 20 epochs. How many batches has an epoch? How many updates has the run? How many with accumulate = 4, where the last
# update of an epoch may have fewer batches? And how many bytes have the float32 arrays in a checkpoint: parameters, m and v?


# %% nbgrader={"grade": false, "grade_id": "count-run", "locked": false, "schema_version": 3, "solution": true, "task": false}
def count_run() -> dict[str, int]:
    """The numbers of the run described above.

    TODO: assign the four numbers. Hint: -(-a // b) divides and rounds up; 64-128-10 has weights and biases.
    """
    ### BEGIN SOLUTION
    batches = -(-1_437 // 32)
    updates = 20 * batches
    accumulated = 20 * -(-batches // 4)
    checkpoint_bytes = 3 * 4 * (64 * 128 + 128 + 128 * 10 + 10)
    ### END SOLUTION
    return {
        "batches": batches,
        "updates": updates,
        "accumulated": accumulated,
        "checkpoint_bytes": checkpoint_bytes,
    }


# %% nbgrader={"grade": true, "grade_id": "test-count-run", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_count_run() -> None:
    """The four numbers, from a loader and a network as described."""
    counted = count_run()
    batches = len(DataLoader(load_digits(), batch_size=32))
    parameters = sum(p.size for p in Sequential(Linear(64, 128), Linear(128, 10)).parameters())
    assert counted["batches"] == batches, "the last batch is smaller, and counts"
    assert counted["updates"] == 20 * batches
    assert counted["accumulated"] == 20 * len(range(0, batches, 4)), "each epoch ends with an update of its own"
    assert counted["checkpoint_bytes"] == 12 * parameters, "parameters, m and v, 4 bytes each"


if __name__ == "__main__":
    test_unit_count_run()

# %% [markdown]
# ## What it costs: one update
#
# Forward, backward, clipping and Adam's step, for 64-128-10 and a batch of 32. Products take 2 * 32 * 9,472 = 606,208 FLOPs forward
# and, since nobody needs the gradient of the pixels, 2 * 606,208 - 524,288 = 688,128 backward. Which share of the time does Adam's
# step take? write your guess: ___


# %%
def _table(title: str, rows: list[list[str]]) -> None:
    """Print words in columns, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(title)
    for first, *others in rows:
        print(first.ljust(widths[0]), *(cell.rjust(width + 1) for cell, width in zip(others, widths[1:], strict=True)))
    print()


def _digits_trainer() -> Trainer:
    net = Sequential(Flatten(), Linear(64, 128), ReLU(), Linear(128, 10))
    return Trainer(net, CrossEntropyLoss(), Adam(net.parameters(), lr=0.003))


def analyze_update() -> None:
    """Print how the time of an update divides among its parts."""
    trainer = _digits_trainer()
    x, y = next(iter(DataLoader(load_digits(), batch_size=32)))
    names = ["forward", "backward", "clip", "Adam's step"]
    times: list[list[float]] = [[] for _ in names]
    for _ in range(100):
        stamps = [time.perf_counter()]
        loss = trainer.loss(trainer.model(x), y)
        stamps.append(time.perf_counter())
        loss.backward()
        stamps.append(time.perf_counter())
        clip_grad_norm(trainer.model.parameters(), 1.0)
        stamps.append(time.perf_counter())
        trainer.optimizer.step()
        stamps.append(time.perf_counter())
        trainer.optimizer.zero_grad()
        for each, (start, end) in zip(times, pairwise(stamps), strict=True):
            each.append(end - start)
    middle = [sorted(each)[50] * 1e6 for each in times]
    rows = [[name, f"{us:.0f}", f"{us / sum(middle):.0%}"] for name, us in zip(names, middle, strict=True)]
    _table("One update of 64-128-10, batch 32", [["part", "us", "share"], *rows])


if __name__ == "__main__":
    analyze_update()

# %% [markdown]
# In a network as small as this each part costs about what its Python calls cost, and the update of 9,610 parameters takes a share
# that nobody would guess from FLOPs. The share falls as the batch grows: products grow with the batch, the update does not.
#
# ## What it costs: a checkpoint
#
# How many bytes does the file have beyond its arrays, and how long does saving take? write your guess: ___


# %%
def analyze_checkpoint() -> None:
    """Print the size of a checkpoint, and the time to save and load it, by the width of the network."""
    rows = [["network", "array bytes", "file bytes", "overhead", "save ms", "load ms"]]
    with tempfile.TemporaryDirectory() as folder:
        for width in (16, 128, 1024):
            net = Sequential(Linear(64, width), Linear(width, 10))
            optimizer = Adam(net.parameters())
            for parameter in net.parameters():
                parameter.grad = np.zeros(parameter.shape, np.float32)
            optimizer.step()
            path, stamps = Path(folder) / f"{width}.npz", [time.perf_counter()]
            save_checkpoint(path, net, optimizer, epoch=1)
            stamps.append(time.perf_counter())
            load_checkpoint(path, net, optimizer)
            stamps.append(time.perf_counter())
            size, arrays = path.stat().st_size, 12 * sum(p.size for p in net.parameters())
            times = [f"{(end - start) * 1e3:.1f}" for start, end in pairwise(stamps)]
            rows.append([f"64-{width}-10", f"{arrays:,}", f"{size:,}", f"{size - arrays:,}", *times])
    _table("Checkpoints with Adam, float32", rows)


if __name__ == "__main__":
    analyze_checkpoint()

# %% [markdown]
# The overhead stays almost the same: names, the text of JSON, and a header for each array. Saving waits until the disk has the
# bytes, which is what makes it safe.

# %% [markdown]
# ## All together
#
# Scanned digits: 1,437 to learn from, 360 to be tested on.


# %% nbgrader={"grade": true, "grade_id": "test-module-training", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_module_training() -> None:
    """A network with one hidden layer reads digits, and gives the same answers after it was saved and loaded."""

    def digits_trainer() -> Trainer:
        net = Sequential(Flatten(), Linear(64, 128), ReLU(), Linear(128, 10))
        return Trainer(net, CrossEntropyLoss(), Adam(net.parameters(), lr=0.003))

    manual_seed(0)
    trainer = digits_trainer()
    trainer.schedule = CosineSchedule(trainer.optimizer, 12 * 45)
    train, test = DataLoader(load_digits(), 32, shuffle=True, seed=0), DataLoader(load_digits(train=False), 360)
    history = trainer.fit(train, epochs=12, valid=test)
    assert history.loss[0] > 5 * history.loss[-1], f"the loss should fall by far more: {history.loss}"
    assert history.valid_accuracy[-1] >= 0.96, f"{history.valid_accuracy[-1]:.3f} of the test digits are right"
    with tempfile.TemporaryDirectory() as folder:
        trainer.save(Path(folder) / "digits.npz")
        other = digits_trainer()
        other.schedule = CosineSchedule(other.optimizer, 1)
        other.load(Path(folder) / "digits.npz")
    assert other.evaluate(test).loss == history.valid_loss[-1]


if __name__ == "__main__":
    test_module_training()
# %% [markdown]
# ## Reflection 1: the best of 60 runs (10 points)
#
# A colleague tunes lr, width and the number of epochs on the 360 test digits and reports the best of 60 runs: 98.3%. Say why that
# number is too good to be true of new digits, and how large the effect may be with so few samples. Then describe how you would
# split the data, which part early stopping may look at, and what you would report. Write 150 to 300 words.
#
# - (3 points) choosing by the test data makes it part of the training; the best of many runs is partly luck
# - (3 points) a figure for the luck: one digit is 0.28 points, the standard deviation near 97.5% is about 0.8 points
# - (2 points) three parts, and which decisions use which; early stopping uses validation data
# - (2 points) what is reported: one evaluation on the test data, several seeds, mean and spread

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-validation", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Each run that is judged by the test digits, and kept or dropped by the result, uses them to choose. The choice is a kind of
# training: after 60 runs the settings fit those 360 digits, and nothing is left that the network has not seen in some way.
#
# The luck can be estimated. One digit of 360 is 0.28 percentage points. If a network reads 97.5% of all digits, the number it gets
# right in a sample of 360 has a standard deviation of sqrt(360 * 0.975 * 0.025) = 2.96 digits, which is 0.8 points. Among 60 runs
# of equal quality, if their errors were independent, the best would lie about 2.3 standard deviations above the mean. They share
# the test digits, so the spread among them is smaller, but 98.3% as the best of 60 is no evidence that any of them is better
# than 97.5%.
#
# I would split in three. Of the 1,437 training digits 1,200 are learned from and 237 are for validation. Width, lr and the number
# of epochs are chosen by validation loss, and early stopping looks at it as well, because stopping is a choice too. The 360 test
# digits are used once, at the end, with the settings that were chosen. Since 237 is few, I could split anew five times and choose by
# the mean.
#
# I would report the test accuracy of those settings for several seeds, say ten, with mean and spread, the number of test digits, and
# how many settings were tried. If possible the test digits should come from other people than the training digits: otherwise the
# number says how well the network reads handwriting that it knows.

# %% [markdown]
# ## Reflection 2: the same large batch (10 points)
#
# Training with batches of 256 does not fit into memory, so you use batches of 32 and accumulate = 8. Say what is the same as with
# 256 and what is not: gradient, time, memory, and layers that compute something over the batch. Explain why the shares matter for
# the last update of an epoch, and how lr and a schedule that counts updates must change if you use 32 without accumulation
# instead. Write 150 to 300 words.
#
# - (3 points) same gradient up to rounding; less memory for activations, about the same products, more calls
# - (2 points) what differs: batch statistics, dropout draws, rounding
# - (2 points) shares: the last group is smaller, a mean of means would overweigh its samples
# - (3 points) without accumulation: eight times the updates, noisier gradients, smaller lr, a schedule eight times as long

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-accumulation", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# The loss is a mean over samples, so its gradient is the mean of their gradients. Eight backward passes of 32 samples, each with a
# share of 1/8, add up to the same mean as one pass of 256. Only rounding differs, because the sums are formed in another
# order. Activations are needed for 32 samples at a time, an eighth of the memory; parameters, gradients and optimizer state are as
# before. The products cost as many FLOPs together, but in smaller pieces with eight times as many calls, so it takes somewhat
# longer, most of all for small networks.
#
# What looks at a whole batch changes. Batch normalization computes mean and variance over 32 samples and not over 256, and
# dropout draws its masks in another order. So the runs are equal in expectation but not bit by bit.
#
# The shares matter at the end of an epoch. 1,437 digits are 44 batches of 32 and one of 29. Groups of eight leave five batches for
# the last update, the smallest of them with 29 samples. Dividing each mean by eight would make the last gradient too small by
# three eighths, and dividing by five would weigh the 29 samples more than others. With len(y) / total every sample counts
# the same.
#
# Without accumulation there are eight times as many updates in an epoch, each by a gradient from 32 samples, which is noisier:
# its standard deviation is about sqrt(8) = 2.8 times as large. So lr should be smaller, by a factor between 2.8 and 8 as a first
# guess. Schedules count updates: a cosine over 1,000 updates must be given 8,000, and warmup as well, or lr would be 0 after an
# eighth of the epochs.

# %% [markdown]
# ## Reflection 3: what a checkpoint must hold (10 points)
#
# A run with dropout, Adam, a cosine schedule and shuffled batches is saved after each epoch. For each of these parts, say what goes
# wrong after loading if it is left out of the file: optimizer state, schedule, random state, epoch. Then compare the format of
# this module with pickle, and say what renaming protects against and what it does not. Write 150 to 300 words.
#
# - (4 points) one consequence for each of the four parts
# - (3 points) pickle: runs code when loading, depends on classes; npz and JSON: only data, but everything must be taken apart
# - (3 points) renaming protects from half-written files, not from a lost disk, a wrong state or too few copies

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-checkpoint", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Without the optimizer's state Adam begins with m and v at zero and t at 1. Its first step is then lr for nearly every weight,
# whatever the size of the gradient, and a network that had settled is thrown out of its minimum. Without the schedule lr is
# back at its start, which is large, and the cosine runs again from the beginning. Without the random state dropout draws other
# masks: training goes on well, but the run cannot be repeated, and a failure that appears at update 9,000 may not come again.
# Without the epoch the loader gives the order of epoch 0 once more, the network sees the same batches in the same order as before,
# and `epochs` counts from the wrong number.
#
# Pickle saves nearly any object in one line. It stores instructions for building it, and loading follows them, whatever they
# are, so a file from somebody else is a program. It also names classes, and fails when one is moved or renamed. Our file has arrays
# and a text, and reading it can produce nothing but arrays, numbers, text, lists and dictionaries. The price is that each object
# must say how it is taken apart, as state_dict does, that tuples come back as lists, and that numbers used as keys come
# back as text.
#
# Renaming makes saving all or nothing: a crash or a full disk in the middle leaves the last complete file. It does not help when
# the disk is lost, so copies belong elsewhere. It does not notice that the state itself is bad, for instance when the weights
# have gone wrong an epoch ago and each save has replaced the last good one. I would keep several files, and the best by
# validation loss.

# %% [markdown]
# ## Summary
#
# You built `accuracy`, `clip_grad_norm`, three schedules, `Trainer` with accumulation, evaluation and early stopping, and
# checkpoints from which a run goes on with the identical next step.
#
# From here on networks change and the loop stays. Module 09 keeps activations in a good range through many layers, module 10
# builds layers for images, and both are trained by this trainer.
#
# next: `tito module test 08_training`, then `tito module complete 08_training`
