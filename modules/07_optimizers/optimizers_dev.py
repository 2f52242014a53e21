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
# # Optimizers
#
# This module builds on 01 Tensor, on `Module.parameters()` from 03 Layers and on `backward` from 06 Autograd. `backward`
# leaves a gradient in the `.grad` of every parameter. An **optimizer** turns gradients into new values. Afterwards you can
#
# - say why one learning rate is too large for one direction and too small for another, with numbers,
# - write SGD with momentum, RMSprop, Adam and AdamW so that they give PyTorch's numbers,
# - change parameters in place, without new arrays, and say why that matters,
# - save what an optimizer remembers, and count its bytes.
#
# **Build** four optimizers on one base class. **Use** them to train a network on XOR. **Reflect** on memory, weight decay
# and restarts.
#
# Systems reality check: Adam remembers two float32 numbers for each parameter, so a model of 7 billion parameters carries
# 56 GB of optimizer state, twice its 28 GB of weights. An update does a dozen operations on each number and no matrix
# product: its time is the time of moving memory.

# %%
#| default_exp core.optimizers
#| export
import math
from bisect import bisect, bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate
from operator import is_
from typing import Any

import numpy as np

from tinytorch.core.tensor import Array, Parameter, Tensor

# %% [markdown]
# ## Step 1: a step, and how long it may be
#
# The gradient points to where the loss grows fastest. Gradient descent takes a step the other way, whose length is the
# gradient times the **learning rate**, lr:
#
# ```
#   w = w - lr * gradient
# ```
#
# Take a loss of two weights, (a^2 + 9 b^2) / 2. Its gradient is (a, 9b). It is a valley that is nine times as steep across as
# it is along. Start at (9, 1), where the loss is 45, with lr = 0.2:
#
# ```
#   step     a        b       gradient           loss
#    0     9        1         (9,      9)        45
#    1     7.2     -0.8       (7.2,   -7.2)      28.8
#    2     5.76     0.64      (5.76,   5.76)     18.432
#    3     4.608   -0.512     (4.608, -4.608)    11.796
# ```
#
# Each step multiplies a by 1 - 0.2 = 0.8 and b by 1 - 0.2 * 9 = -0.8. So b jumps from one side of the valley to the other
# while a creeps along it. Now change lr:
#
# ```
#   lr        factor of a     factor of b
#   0.1          0.9              0.1        b is quick, a is slow
#   0.2          0.8             -0.8        the best for the slower of the two
#   0.2222       0.7778          -1          b jumps for ever
#   0.25         0.75            -1.25       b grows without end
# ```
#
# The steepest direction limits lr to 2 / 9, and the flattest one then has to live with it. With 9 replaced by 1,000 the best
# factor is 999 / 1,001, and a thousand times smaller takes 3,454 steps. The ratio of steepest to flattest is the **condition
# number**. Everything after plain gradient descent in this module is an answer to it.
# %% [markdown]
# ## Step 2: flat memory, changed in place
#
# A network of 60 layers has about 120 parameters, half of them biases of a few numbers. Adam needs twelve NumPy operations for
# an update. Twelve calls for each parameter are 1,440 calls, and each takes about half a microsecond before it has touched a
# number. With layers of a few thousand numbers the calls would cost more than the arithmetic.
#
# So we lay the parameters of a group end to end, in thought, and give what is remembered about them one flat array. Three
# parameters of 6, 2 and 4 numbers:
#
# ```
#   weight (3, 2)         bias (2,)   weight (2, 2)
#   0  1  2  3  4  5      6  7        8  9 10 11         place in every flat array
#   |------------- one block -----------------|          gradients copied in, 12 operations, the step subtracted
# ```
#
# Large networks are cut into blocks of 65,536 numbers, 256 KiB in float32, so that the gradients, the scratch memory and the
# state of a block stay in the processor's cache between the twelve operations. A block that lies within one large parameter
# needs no copy: its gradient is read where it is.
#
# `Slab` and `Block` below do this bookkeeping and are given. Everything in a block is flat, and made once, not in every
# step. You will use, of each block,
#
# - `g` and `step`: memory for its gradients, and for what will be subtracted from the parameters;
# - `state`: by name, its stretch of each thing that the optimizer remembers;
# - `t`: the number of this update, 1 at first;
# - `parts()`: for each parameter in it, the numbers w, the gradient, and the stretches of `g` and `step` that belong to it.
#
# **In place** means that a parameter keeps its array and the numbers in it change. `w -= step` does that; `w = w - step` makes
# a new array and leaves the parameter as it was. Whoever holds the parameter's memory then sees the update, nothing has to be
# allocated, and the memory of the old values is not needed beside the new.
#
# There is one danger. An op that ran before the step noted its inputs, and its derivative would now be computed from the new
# values. So `Slab.done` adds 1 to the `version` of each parameter it has changed, and `backward` of module 06 refuses a graph
# whose inputs have changed.


# %%
#| export
BLOCK = 65_536  # numbers that are worked on at a time


class Block:
    """A stretch of a slab that is updated at once: views of its memory, laid out once and used in every step."""

    def __init__(self, slab: "Slab", start: int, stop: int, updates: int) -> None:
        self.g, self.step = slab.gradient[: stop - start], slab.scratch[: stop - start]
        self.state = {name: memory[start:stop] for name, memory in slab.state.items()}
        self.t = updates + 1  # the number of the update that comes next
        self._gradients = slab.gradients
        self._pieces: list[tuple[int, slice, Array, Array, Array]] = []
        for i in range(bisect(slab.starts, start) - 1, bisect_left(slab.starts, stop)):
            a, b = slab.starts[i : i + 2]
            first, last = max(start, a), min(stop, b)
            if first < last:
                own, place = slice(first - a, last - a), slice(first - start, last - start)
                self._pieces.append((i, own, slab.numbers[i][own], self.g[place], self.step[place]))

    def parts(self) -> list[tuple[Array, Array, Array, Array]]:
        """For each parameter in it: its numbers, to be changed in place, its gradient, its stretches of g and step."""
        return [(w, self._gradients[i][own], g, step) for i, own, w, g, step in self._pieces]


class Slab:
    """Parameters of one dtype laid end to end, with flat memory for what an optimizer remembers about them."""

    def __init__(self, parameters: list[Tensor]) -> None:
        self.parameters = parameters
        self.starts = list(accumulate((parameter.size for parameter in parameters), initial=0))
        self.dtype = parameters[0].dtype
        self.updates = [0] * len(parameters)  # how often each parameter was updated
        self.state: dict[str, Array] = {}
        self.gradient, self.scratch = np.empty((2, min(BLOCK, self.starts[-1])), self.dtype)
        self.numbers: dict[int, Array] = {}  # of each parameter that has a gradient, flat
        self.gradients: list[Array | None] = [None] * len(parameters)  # flat, from blocks() to done()
        self._blocks: list[Block] = []
        self._fits: tuple[list[Array | None], list[int]] = ([], [])  # arrays and updates that the blocks were made for
        self._copies: list[tuple[Array, Array]] = []

    def remember(self, names: Iterable[str]) -> None:
        """Make the flat arrays that are not there yet, all zeros."""
        for name in names:
            if name not in self.state:
                self.state[name] = np.zeros(self.starts[-1], self.dtype)
                self._fits = ([], [])

    def blocks(self) -> list[Block]:
        """Blocks of numbers that have a gradient and were updated equally often: those of the last step, if they fit."""
        arrays: list[Array | None] = []
        for i, parameter in enumerate(self.parameters):
            w, grad = parameter.numpy(), parameter.grad
            if grad is None:
                arrays.append(None)
                self.gradients[i] = None
                continue
            if grad.shape != w.shape or w.size != self.starts[i + 1] - self.starts[i]:
                raise ValueError(
                    f"a parameter of shape {w.shape} has a gradient of shape {grad.shape} and had "
                    f"{self.starts[i + 1] - self.starts[i]} numbers when the optimizer was made: make a new optimizer for "
                    "changed parameters"
                )
            arrays.append(w)
            self.gradients[i] = grad.ravel()
        if self.updates != self._fits[1] or not all(map(is_, arrays, self._fits[0])):
            self._fits = (arrays, list(self.updates))
            self._blocks = self._lay_out(arrays)
        for w, numbers in self._copies:
            numbers[...] = w
        return self._blocks

    def _lay_out(self, arrays: list[Array | None]) -> list[Block]:
        self._copies.clear()
        runs: list[tuple[int, int, int]] = []
        for i, w in enumerate(arrays):
            if w is None:
                continue
            start, stop, count = self.starts[i], self.starts[i + 1], self.updates[i]
            self.numbers[i] = w.ravel()
            if not w.flags.c_contiguous:  # it has no flat view: work on a copy, which done() writes back
                self._copies.append((w, self.numbers[i].reshape(w.shape)))
            if runs and runs[-1][1:] == (start, count):
                start = runs.pop()[0]
            runs.append((start, stop, count))
        return [Block(self, a, min(a + BLOCK, b), count) for start, b, count in runs for a in range(start, b, BLOCK)]

    def done(self) -> None:
        """Note that every parameter with a gradient has been changed."""
        for w, numbers in self._copies:
            w[...] = numbers
        for i, grad in enumerate(self.gradients):
            if grad is not None:
                self.parameters[i].version += 1
                self.updates[i] += 1
                self.gradients[i] = None
        for block in self._blocks:
            block.t += 1
        self._fits = (self._fits[0], list(self.updates))

    def __getstate__(self) -> dict[str, Any]:
        """What a copy starts with: it has other parameters, so the blocks do not fit it."""
        return {**vars(self), "_blocks": [], "_fits": ([], []), "_copies": [], "numbers": {}}

    def view(self, name: str, i: int) -> Array:
        """What is remembered under a name about parameter i, in the parameter's shape and in the slab's memory."""
        return self.state[name][self.starts[i] : self.starts[i + 1]].reshape(self.parameters[i].shape)


# %% [markdown]
# ## Step 3: the base class
#
# All optimizers do the same around their rule:
#
# ```
#   for every group of parameters, with its own lr and other options:
#       for every block of numbers that has gradients:
#           copy the gradients into g             a parameter whose .grad is None is left out
#           let the weights decay                 step 4
#           turn g into the step to take          the rule: SGD, RMSprop, Adam
#           subtract g from the parameters
# ```
#
# A **group** is a set of parameters with options of its own: small lr for layers that are trained already, no decay for
# biases. `SGD([{"params": body, "lr": 0.001}, {"params": head}], lr=0.1)` makes two. `param_groups` holds them as
# dictionaries, and a schedule (module 08) changes `group["lr"]` there.
#
# A parameter without a gradient took no part in the loss. It is left alone: no decay, no momentum, and its count of updates
# stays. A gradient of zeros is something else: with momentum the parameter then moves on.
#
# You write `zero_grad`, `step`, `_decay` and the two halves of `state_dict`; steps 4 and 8 come back to the last three.

# %% nbgrader={"grade": false, "grade_id": "optimizer", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
_LIMITS = {"lr": math.inf, "momentum": math.inf, "weight_decay": math.inf, "eps": math.inf, "alpha": 1.0, "betas": 1.0}


def _check_option(name: str, value: Any) -> None:
    """ValueError for an option that is negative, not a number, or not below its limit."""
    limit = _LIMITS.get(name)
    if limit is None:
        return
    try:
        numbers = tuple(value) if name == "betas" else (value,)
        fits = len(numbers) == (2 if name == "betas" else 1) and all(0 <= number < limit for number in numbers)
    except TypeError:  # no number at all
        fits = False
    if not fits:
        below = "" if limit == math.inf else f" and below {limit:g}"
        raise ValueError(
            f"{name} is {value!r}, and must be {'two numbers' if name == 'betas' else 'a number'} from 0 on{below}"
        )


def _check_parameter(value: object) -> None:
    """TypeError or ValueError for what cannot be optimized."""
    if not isinstance(value, Tensor):
        raise TypeError(f"an optimizer changes Tensors, not {type(value).__name__}: give it model.parameters()")
    if value.origin is not None:
        raise ValueError(f"this tensor was made by the op {value.origin.op.name!r}: optimize what it was made from")
    if not value.requires_grad:
        raise ValueError(f"a tensor of shape {value.shape} has requires_grad=False, so it will never have a gradient")


class Optimizer:
    """Parameters in groups, and a rule that changes them by their gradients; subclasses define the rule.

    params is a list of parameters, or of dictionaries {"params": [...], option: value} with options of their own.
    """

    def __init__(self, params: Iterable[Any], **defaults: Any) -> None:
        """Make the groups."""
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(
                f"params must be a list of Tensors, not a {type(params).__name__}: give it model.parameters()"
            )
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._slabs: list[tuple[dict[str, Any], Slab]] = []
        given = list(params)
        if not given:
            raise ValueError("there are no parameters to optimize: does the model have any?")
        for group in given if isinstance(given[0], Mapping) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take more parameters, with options of their own where the group has any."""
        self._check_options(group)
        if "params" not in group:
            raise ValueError(f"a group needs its parameters: {{'params': ...}} beside {', '.join(group) or 'nothing'}")
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        held = {id(each) for other in self.param_groups for each in other["params"]}
        for parameter in params:
            _check_parameter(parameter)
            if id(parameter) in held:
                raise ValueError(
                    f"a parameter of shape {parameter.shape} is given twice, and would take two steps at a time"
                )
            held.add(id(parameter))
        made = {**self.defaults, **group, "params": params}
        for name in self.defaults:
            _check_option(name, made[name])
        if made.get("nesterov") and not made["momentum"]:
            raise ValueError("nesterov looks ahead along the velocity, and needs a momentum above 0, such as 0.9")
        self.param_groups.append(made)
        for dtype in dict.fromkeys(parameter.dtype for parameter in params):
            self._slabs.append((made, Slab([parameter for parameter in params if parameter.dtype == dtype])))

    def _check_options(self, group: Mapping[str, Any]) -> None:
        """ValueError for an option that this optimizer does not have, or cannot have this value."""
        unknown = set(group) - {"params", *self.defaults}
        if unknown:
            raise ValueError(f"{type(self).__name__} has no option {min(unknown)!r}: it has {', '.join(self.defaults)}")
        for name, value in group.items():
            _check_option(name, value)

    def _names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """What the rule remembers about each number."""
        return ()

    def _rule(self, g: Array, state: Mapping[str, Array], step: Array, t: int, group: Mapping[str, Any]) -> None:
        """Write into step what will be subtracted from the parameters; the gradient g is only read.

        g, step and the arrays in state are flat and equally long; t is 1 in the first update, 2 in the second.
        """
        raise NotImplementedError(f"{type(self).__name__} has no rule: define _rule(self, g, state, step, t, group)")

    def _decay(self, w: Array, g: Array, scratch: Array, group: Mapping[str, Any]) -> None:
        """Add weight_decay * w to g, in place.

        TODO: put weight_decay * w into scratch, then add scratch to g. Change neither w nor the size of anything.
        Example: w = [10], g = [1] and a weight_decay of 0.1 make g [2].
        Hint: np.multiply(a, b, out=scratch) writes into scratch.
        """
        ### BEGIN SOLUTION
        np.multiply(w, group["weight_decay"], out=scratch)
        g += scratch
        ### END SOLUTION

    def zero_grad(self) -> None:
        """Forget all gradients; without this, the next backward adds to them.

        TODO: set `grad` to None for every parameter of every group.
        """
        ### BEGIN SOLUTION
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        ### END SOLUTION

    def _ready(self) -> list[tuple[dict[str, Any], Slab, list[Block]]]:
        """Each group with its slab and its blocks; what is wrong is found here, before anything has changed."""
        for group, slab in self._slabs:
            slab.remember(self._names(group))
        return [(group, slab, slab.blocks()) for group, slab in self._slabs]

    def step(self) -> None:
        """Change every parameter that has a gradient, in place.

        TODO: the loop over blocks.
        Approach: for each (group, slab, blocks) of self._ready() and each block of blocks:
          1. For each (w, grad, g, step) of block.parts(), copy grad into g; if the group has a weight_decay other than 0,
             call self._decay(w, g, step, group). With a single part and no decay nothing need be copied: the gradient of
             the block is then grad itself, and otherwise block.g.
          2. Call self._rule with that gradient, block.state, block.step, block.t and group.
          3. Subtract step from w, in place, for each of the parts.
        After the blocks of a slab, call slab.done().
        Hint: keep what parts() gave in a variable: it is needed twice. `g[...] = grad` copies, `w -= ...` is in place.
        """
        ### BEGIN SOLUTION
        for group, slab, blocks in self._ready():
            decay = group.get("weight_decay")
            for block in blocks:
                parts, gradient = block.parts(), block.g
                if len(parts) == 1 and not decay:
                    gradient = parts[0][1]
                else:
                    for w, grad, g, step in parts:
                        g[...] = grad
                        if decay:
                            self._decay(w, g, step, group)
                self._rule(gradient, block.state, block.step, block.t, group)
                for w, _, _, step in parts:
                    w -= step
            slab.done()
        ### END SOLUTION

    def _numbered(self) -> list[tuple[Slab, int]]:
        """Slab and place in it of each parameter, in the order of the groups."""
        where = {id(p): (slab, i) for _, slab in self._slabs for i, p in enumerate(slab.parameters)}
        return [where[id(parameter)] for group in self.param_groups for parameter in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, apart from parameters and gradients: copies, no references.

        "state" maps the number of a parameter to {"step": updates so far, name: array in its shape}, and leaves out
        what was never updated; "param_groups" has the options, with numbers in place of parameters.
        """
        return {
            "state": {n: self._saved(*at) for n, at in enumerate(self._numbered()) if at[0].updates[at[1]]},
            "param_groups": self._saved_groups(),
        }

    def _saved_groups(self) -> list[dict[str, Any]]:
        numbers = iter(range(len(self._numbered())))
        return [{**group, "params": [next(numbers) for _ in group["params"]]} for group in self.param_groups]

    def _saved(self, slab: Slab, i: int) -> dict[str, Any]:
        """What slab remembers about its parameter i.

        TODO: a dictionary with slab.updates[i] as "step", and a copy of slab.view(name, i) for each name in slab.state.
        """
        ### BEGIN SOLUTION
        return {"step": slab.updates[i], **{name: slab.view(name, i).copy() for name in slab.state}}
        ### END SOLUTION

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what state_dict gave: all of it, or with a ValueError nothing."""
        if not {"state", "param_groups"} <= set(state):
            raise ValueError(
                f"this is no state of an optimizer: it has {', '.join(map(str, state)) or 'nothing'} in it"
            )
        groups, own = state["param_groups"], self._numbered()
        for group in groups:
            self._check_options(group)
        sizes = [len(group["params"]) for group in groups], [len(group["params"]) for group in self.param_groups]
        if sizes[0] != sizes[1]:
            raise ValueError(f"the saved groups have {sizes[0]} parameters, this optimizer's have {sizes[1]}")
        saved = {int(n): entry for n, entry in state["state"].items()}
        for n, entry in saved.items():
            for name, value in entry.items():
                shape = own[n][0].parameters[own[n][1]].shape if n < len(own) else None
                if name != "step" and np.shape(value) != shape:
                    raise ValueError(
                        f"{name} of parameter {n} was saved with shape {np.shape(value)}, and must be {shape}"
                    )
        for group, options in zip(self.param_groups, groups, strict=True):
            group.update({name: value for name, value in options.items() if name != "params"})
        for n, (slab, i) in enumerate(own):
            self._restore(slab, i, saved.get(n, {"step": 0}))

    def _restore(self, slab: Slab, i: int, entry: Mapping[str, Any]) -> None:
        """Make slab remember about its parameter i what entry says, as _saved gave it.

        TODO: set slab.updates[i]; fill each slab.view(name, i) with zeros, or with the entry's array where it has one.
        Approach: the names are those in slab.state and those in entry, without "step"; slab.remember(names) makes the
        flat arrays that are missing.
        Hint: view[...] = value writes into the view.
        """
        ### BEGIN SOLUTION
        slab.updates[i] = int(entry["step"])
        slab.remember(name for name in entry if name != "step")
        for name in slab.state:
            slab.view(name, i)[...] = entry.get(name, 0.0)
        ### END SOLUTION

    def __repr__(self) -> str:
        groups = [
            f"{len(group['params'])} parameters, " + ", ".join(f"{name}={group[name]}" for name in self.defaults)
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(groups)})"


# %%
import time
import tracemalloc

from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.tensor import manual_seed


# %% nbgrader={"grade": true, "grade_id": "test-step", "locked": true, "points": 11, "schema_version": 3, "solution": false, "task": false}
class _Half(Optimizer):
    """An optimizer for the tests: the step is half the gradient."""

    def _rule(self, g: Array, state: Mapping[str, Array], step: Array, t: int, group: Mapping[str, Any]) -> None:
        np.multiply(g, 0.5, out=step)


def _parameter(values: Any, gradient: Any = None) -> Parameter:
    """A parameter with a gradient, for the tests."""
    parameter = Parameter(values)
    parameter.grad = None if gradient is None else np.array(gradient, dtype=parameter.dtype)
    return parameter


def test_unit_step() -> None:
    """A step changes what has a gradient, in place, notes the change, and allocates nothing."""
    first, skipped = _parameter([[1.0, 2.0], [3.0, 4.0]], [[2.0, 0.0], [4.0, -2.0]]), _parameter([5.0])
    last = _parameter(7.0, 1.0)
    optimizer = _Half([first, skipped, last])
    memory, gradient = first.numpy(), first.grad
    optimizer.step()
    assert first.tolist() == [[0.0, 2.0], [1.0, 5.0]], f"expected w - 0.5 * gradient, got {first.tolist()}"
    assert skipped.tolist() == [5.0], "a parameter without a gradient stays as it is"
    assert last.item() == 6.5, "a parameter may be a single number"
    assert first.numpy() is memory, "the array must stay the same, with other numbers in it"
    assert gradient.tolist() == [[2.0, 0.0], [4.0, -2.0]], "the gradient itself must not change"
    assert (first.version, skipped.version) == (1, 0), (
        "a change in place counts, so that backward can refuse old graphs"
    )
    optimizer.zero_grad()
    assert first.grad is None and last.grad is None
    large = _parameter(np.ones(200_000), np.ones(200_000))
    optimizer = _Half([large])
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000, f"a step on 800,000 bytes of parameters allocated {peak} bytes"
    assert large.numpy().min() == large.numpy().max() == 0.0, "every block must be updated, exactly once"
    ### BEGIN HIDDEN TESTS
    turned = Parameter(np.arange(6.0).reshape(2, 3).T)
    turned.grad = np.array([[0.0, 6.0], [2.0, 8.0], [4.0, 10.0]], dtype=np.float32)
    _Half([turned]).step()
    assert turned.tolist() == [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    double = Parameter([1.0], dtype=np.float64)
    double.grad = np.array([1e-9])
    _Half([{"params": [large]}, {"params": [double]}]).step()
    assert double.item() == 1.0 - 0.5e-9
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_step()

# %% [markdown]
# ## Step 4: weight decay
#
# Weights that are larger than they need be often mean that a network follows its training data too closely. Add
# (weight_decay / 2) * w^2 to the loss for each weight, and the gradient grows by `weight_decay * w`: every step pulls each
# weight a little towards zero. That term, L2, needs no op and no graph; `_decay` adds it to the gradient.
#
# ```
#   w = 10, gradient 1, weight_decay 0.1:        g = 1 + 0.1 * 10 = 2
# ```


# %% nbgrader={"grade": true, "grade_id": "test-decay", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_decay() -> None:
    """weight_decay * w joins the gradient, of groups that have one."""
    w, g, scratch = (np.array(values) for values in ([10.0, -4.0], [1.0, 0.0], [0.0, 0.0]))
    assert _Half([_parameter([1.0])])._decay(w, g, scratch, {"weight_decay": 0.1}) is None, "it works in place"
    np.testing.assert_allclose(g, [2.0, -0.4])
    assert w.tolist() == [10.0, -4.0], "this decay changes the gradient, not the weights"
    one, other = _parameter([10.0], [1.0]), _parameter([10.0], [1.0])
    optimizer = _Half([{"params": [one]}, {"params": [other], "weight_decay": 0.1}], weight_decay=0)
    optimizer.step()
    np.testing.assert_allclose([one.item(), other.item()], [9.5, 9.0])


if __name__ == "__main__":
    test_unit_decay()

# %% [markdown]
# ## Step 5: SGD, and momentum
#
# **Stochastic gradient descent** is the step of the beginning, with a gradient that comes from a batch of the data and not
# from all of it. In the valley, one direction's gradient changes its sign in each step and the other one's stays. **Momentum**
# uses that: it sums gradients up, and lets the sum fade.
#
# ```
#   velocity = momentum * velocity + gradient              w = w - lr * velocity
# ```
#
# By hand, with momentum 0.9, lr 0.1 and w = 1:
#
# ```
#   gradients  1, 1, 1                          gradients  1, -1, 1
#   velocity   1    1.9    2.71                 velocity   1    -0.1    0.91
#   w          0.9  0.71   0.439                w          0.9   0.91   0.819
# ```
#
# With gradients that agree the velocity approaches 1 / (1 - 0.9) = 10 times the gradient. With ones that alternate it stays
# between -1 and 1. **Nesterov** momentum uses gradient + momentum * velocity instead, which looks one step ahead:
#
# ```
#   gradients  1, 1          velocity  1     1.9        g + 0.9 * velocity   1.9     2.71        w   0.81     0.539
# ```


# %% nbgrader={"grade": false, "grade_id": "sgd", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class SGD(Optimizer):
    """Gradient descent, with momentum, Nesterov's momentum and weight decay where they are wanted."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        momentum: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    def _names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        return ("velocity",) if group["momentum"] else ()

    def _rule(self, g: Array, state: Mapping[str, Array], step: Array, t: int, group: Mapping[str, Any]) -> None:
        """Write lr * g into step, or with momentum lr * velocity.

        TODO: three cases: without momentum, with it, with Nesterov's.
        Approach: without momentum one call of np.multiply. Otherwise update state["velocity"] in place; then step is lr *
        velocity, or for nesterov lr * (momentum * velocity + g), made in step bit by bit.
        Example: lr 0.1, momentum 0.9, velocity [1], g [1] give velocity [1.9], and step [0.19], or [0.271] with nesterov.
        Hint: `v = v * momentum` makes a new array, and the slab would never see it; `v *= momentum` is in place, and
        np.multiply(a, b, out=step) writes a product into step.
        """
        lr, momentum = float(group["lr"]), float(group["momentum"])
        ### BEGIN SOLUTION
        if not momentum:
            np.multiply(g, lr, out=step)
            return
        velocity = state["velocity"]
        velocity *= momentum
        velocity += g
        if group["nesterov"]:
            np.multiply(velocity, momentum, out=step)
            step += g
            step *= lr
        else:
            np.multiply(velocity, lr, out=step)
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-sgd", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def _follow(
    optimizer_class: type[Optimizer], gradients: list[float], start: float = 1.0, **options: Any
) -> list[float]:
    """The values of one weight after each of some gradients."""
    w = Parameter([start], dtype=np.float64)
    optimizer = optimizer_class([w], **options)
    path = []
    for gradient in gradients:
        w.grad = np.array([gradient])
        optimizer.step()
        path.append(w.item())
    return path


def test_unit_sgd() -> None:
    """The steps worked by hand: plain, with momentum, with Nesterov's, with decay."""
    np.testing.assert_allclose(_follow(SGD, [1, 1]), [0.99, 0.98])
    np.testing.assert_allclose(_follow(SGD, [1, 1, 1], lr=0.1, momentum=0.9), [0.9, 0.71, 0.439])
    np.testing.assert_allclose(_follow(SGD, [1, -1, 1], lr=0.1, momentum=0.9), [0.9, 0.91, 0.819])
    np.testing.assert_allclose(_follow(SGD, [1, 1], lr=0.1, momentum=0.9, nesterov=True), [0.81, 0.539])
    np.testing.assert_allclose(_follow(SGD, [1], 10.0, lr=0.1, weight_decay=0.1), [9.8])
    for wrong in ({"lr": -1}, {"momentum": float("nan")}, {"nesterov": True}):
        try:
            SGD([Parameter([1.0])], **wrong)
        except ValueError:
            continue
        raise AssertionError(f"SGD must refuse {wrong}")
    ### BEGIN HIDDEN TESTS
    np.testing.assert_allclose(_follow(SGD, [2, 0, 0], lr=0.5, momentum=0.5), [0.0, -0.5, -0.75])
    np.testing.assert_allclose(_follow(SGD, [2, 0], lr=0.5, momentum=0.5, nesterov=True), [-0.5, -0.75])
    np.testing.assert_allclose(_follow(SGD, [0, 0], lr=1, momentum=0.5, weight_decay=0.5), [0.5, 0.0])
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_sgd()

# %% [markdown]
# ## Step 6: RMSprop
#
# Another answer to the valley: give each weight a learning rate of its own. A weight whose gradients are large takes small
# steps. RMSprop keeps a running average v of the squared gradient, and divides by its root:
#
# ```
#   v = alpha * v + (1 - alpha) * g * g                    w = w - lr * g / (sqrt(v) + eps)
# ```
#
# By hand, with alpha 0.99, lr 0.01 and the gradient 2 twice:
#
# ```
#   v    0.01 * 4 = 0.04                       0.99 * 0.04 + 0.04 = 0.0796
#   step 0.01 * 2 / 0.2 = 0.1                  0.01 * 2 / 0.28213 = 0.070888
# ```
#
# With a gradient of 2,000 the steps would be the same: the size of the gradient has gone, its sign stays. `eps` keeps a weight
# whose gradients are all zero from dividing 0 by 0. The first step is ten times lr, because v starts at 0 and is too small
# for a long time. Adam repairs that.
#
# Write products. NumPy turns `g**2` into one, but `g**3` calls a general power function for each number, and takes many times
# as long as `g * g * g`.


# %% nbgrader={"grade": false, "grade_id": "rmsprop", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _average(mean: Array, new: Array, keep: float, scratch: Array) -> None:
    """mean = keep * mean + (1 - keep) * new, in place in mean; scratch may be new itself, if that is not needed again.

    TODO: three operations: (1 - keep) * new into scratch, mean in place, and their sum into mean.
    Example: mean [1], new [2] and keep 0.9 make mean [1.1].
    """
    ### BEGIN SOLUTION
    np.multiply(new, 1 - keep, out=scratch)
    mean *= keep
    mean += scratch
    ### END SOLUTION


class RMSprop(Optimizer):
    """Steps divided by the root of a running average of the squared gradient."""

    def __init__(
        self, params: Iterable[Any], lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0
    ) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay)

    def _names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        return ("v",)

    def _rule(self, g: Array, state: Mapping[str, Array], step: Array, t: int, group: Mapping[str, Any]) -> None:
        """Write lr * g / (sqrt(v) + eps) into step.

        TODO: put g * g into step and average it into v; put sqrt(v) + eps into step; g divided by it, times lr.
        Example: lr 0.01, alpha 0.99, v [0], g [2] give v [0.04] and step [0.1].
        Hint: np.multiply, np.sqrt and np.divide take out=step, also when step is one of what they read.
        """
        lr, alpha, eps, v = float(group["lr"]), float(group["alpha"]), float(group["eps"]), state["v"]
        ### BEGIN SOLUTION
        np.multiply(g, g, out=step)
        _average(v, step, alpha, step)
        np.sqrt(v, out=step)
        step += eps
        np.divide(g, step, out=step)
        step *= lr
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-rmsprop", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_rmsprop() -> None:
    """The steps worked by hand, for a gradient of any size."""
    mean, new = np.array([1.0]), np.array([2.0])
    assert _average(mean, new, 0.9, np.zeros(1)) is None, "it works in place"
    assert abs(mean[0] - 1.1) < 1e-12 and new[0] == 2.0, "the average belongs into mean itself, and new stays"
    for gradient in (2, 2000):
        np.testing.assert_allclose(_follow(RMSprop, [gradient] * 2), [0.9, 0.829112], rtol=1e-6)
    np.testing.assert_allclose(_follow(RMSprop, [0, 0]), [1.0, 1.0])
    ### BEGIN HIDDEN TESTS
    np.testing.assert_allclose(_follow(RMSprop, [3, -4], lr=0.5, alpha=0.5, eps=0), [0.29289322, 0.91758827], rtol=1e-6)
    np.testing.assert_allclose(_follow(RMSprop, [1], lr=0.5, alpha=0, eps=1.0), [0.75])
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_rmsprop()

# %% [markdown]
# ## Step 7: Adam and AdamW
#
# **Adam** puts both together: m is a running average of the gradient, as momentum, v one of its square, as in RMSprop. Both
# start at 0, so after t updates they hold only 1 - beta^t of what they should. Adam divides by exactly that:
#
# ```
#   m = beta1 * m + (1 - beta1) * g            v = beta2 * v + (1 - beta2) * g * g
#   w = w - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
# ```
#
# By hand, with betas (0.9, 0.999) and the gradients 2 and -2:
#
# ```
#   t = 1    m = 0.2     / 0.1   =  2            v = 0.004      / 0.001     = 4         step = lr *  2      / 2 =  lr
#   t = 2    m = -0.02   / 0.19  = -0.105263     v = 0.007996   / 0.001999  = 4         step = lr * -0.1053 / 2 = -0.0526 lr
# ```
#
# The first step is lr for every weight, whatever its gradient. That makes lr easy to choose: it is how far a weight moves.
#
# **Decay** needs care here. L2 adds `weight_decay * w` to g, and Adam then divides by the size of g. Take two weights, 10 and
# 0.1, no gradient from the loss, lr = 0.1 and weight_decay = 0.1:
#
# ```
#              g = 0.1 * w        first step          new weights
#   Adam       1       0.01       0.1     0.1         9.9     0.0         both lose lr, whatever their size
#   AdamW      0       0          0       0           9.9     0.099       both lose one hundredth: lr * weight_decay
# ```
#
# **AdamW** leaves g alone and multiplies the weights by 1 - lr * weight_decay before the step. That is what decay was meant
# to be, and nearly every large language model is trained with it.


# %% nbgrader={"grade": false, "grade_id": "adam", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Adam(Optimizer):
    """Running averages of the gradient and of its square, corrected for their start at 0; weight_decay is L2."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _names(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        return ("m", "v")

    def _rule(self, g: Array, state: Mapping[str, Array], step: Array, t: int, group: Mapping[str, Any]) -> None:
        """Write Adam's step into step.

        TODO: average g * g into v, and g into m; divide.
        Approach:
          1. g * g into step, _average it into v. Then _average g into m, with step as scratch.
          2. sqrt(v), divided by the root of (1 - beta2^t), plus eps, in step.
          3. m / step into step, times lr / (1 - beta1^t).
        Example: lr 0.1, t 1, m and v [0], g [2] give m [0.2], v [0.004] and step [0.1].
        Hint: beta**t and math.sqrt(1 - beta**t) are plain numbers: work them out once, not for each weight.
        """
        lr, eps, (beta1, beta2), m, v = float(group["lr"]), float(group["eps"]), group["betas"], state["m"], state["v"]
        ### BEGIN SOLUTION
        np.multiply(g, g, out=step)
        _average(v, step, beta2, step)
        _average(m, g, beta1, step)
        np.sqrt(v, out=step)
        step /= math.sqrt(1 - beta2**t)
        step += eps
        np.divide(m, step, out=step)
        step *= lr / (1 - beta1**t)
        ### END SOLUTION


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights themselves and stays out of the averages."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def _decay(self, w: Array, g: Array, scratch: Array, group: Mapping[str, Any]) -> None:
        """Shrink w in place, and leave g as it is.

        TODO: one operation. Example: w [10], lr 0.1 and weight_decay 0.1 make w [9.9].
        """
        ### BEGIN SOLUTION
        w *= 1 - group["lr"] * group["weight_decay"]
        ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-adam", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def test_unit_adam() -> None:
    """Adam's steps worked by hand, with both corrections, counted for each parameter by itself."""
    np.testing.assert_allclose(_follow(Adam, [2, -2], lr=0.1), [0.9, 0.9 + 0.1 * 0.105263 / 2], rtol=1e-6)
    for gradient in (1e-3, 1.0, 1e3):
        path = _follow(Adam, [gradient] * 3)
        assert np.allclose(path, [0.999, 0.998, 0.997], rtol=1e-6), f"steps of lr for any gradient: {path}"
    early, late = Parameter([1.0], dtype=np.float64), Parameter([1.0], dtype=np.float64)
    optimizer = Adam([early, late], lr=0.1)
    early.grad = np.array([2.0])
    optimizer.step()
    early.grad, late.grad = np.array([-2.0]), np.array([5.0])
    optimizer.step()
    np.testing.assert_allclose([early.item(), late.item()], [0.9 + 0.1 * 0.105263 / 2, 0.9], rtol=1e-6)
    ### BEGIN HIDDEN TESTS
    wanted, w, m, v = [], 1.0, 0.0, 0.0
    for t, g in enumerate([0.3, -0.2, 0.5, 0.1], start=1):
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        w -= 0.05 * (m / (1 - 0.8**t)) / ((v / (1 - 0.9**t)) ** 0.5 + 0.1)
        wanted.append(w)
    np.testing.assert_allclose(_follow(Adam, [0.3, -0.2, 0.5, 0.1], lr=0.05, betas=(0.8, 0.9), eps=0.1), wanted)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_adam()


# %% nbgrader={"grade": true, "grade_id": "test-adamw", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_adamw() -> None:
    """AdamW shrinks weights by their size, Adam with L2 all alike."""
    ends = [[_follow(each, [0], w, lr=0.1, weight_decay=0.1)[0] for w in (10.0, 0.1)] for each in (Adam, AdamW)]
    assert np.allclose(ends, [[9.9, 0.0], [9.9, 0.099]], atol=1e-6), f"the two weights of the table: {ends}"
    np.testing.assert_allclose(_follow(AdamW, [2], 10.0, lr=0.1, weight_decay=0.1), [9.8])
    np.testing.assert_allclose(_follow(AdamW, [0], 1.0, lr=1.0), [0.99])
    ### BEGIN HIDDEN TESTS
    slow, fast = _parameter([10.0], [0.0]), _parameter([10.0], [0.0])
    AdamW([{"params": [slow]}, {"params": [fast], "lr": 0.5, "weight_decay": 0.2}], lr=0.1, weight_decay=0.1).step()
    np.testing.assert_allclose([slow.item(), fast.item()], [9.9, 9.0], err_msg="each group has its own lr and decay")
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_adamw()

# %% [markdown]
# ## Step 8: stopping and going on
#
# A run of days will be interrupted. If only the weights are saved, Adam begins again with m and v at 0 and t at 1, its next
# steps are as large as the first ones, and the loss jumps. `state_dict` gives all that the next step depends on. Parameters
# have numbers in it, in the order of the groups, since the objects themselves will not exist in the next process:
#
# ```
#   {"state": {0: {"step": 1, "m": [0.2], "v": [0.004]}},  "param_groups": [{"lr": 0.1, ..., "params": [0]}]}
# ```
#
# `_saved` and `_restore`, in the base class above, are yours.


# %% nbgrader={"grade": true, "grade_id": "test-state", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_state() -> None:
    """A second optimizer that has loaded the state of the first takes the identical next step."""
    w, idle = _parameter([1.0, 2.0], [2.0, 1.0]), _parameter([3.0])
    first = Adam([w, idle], lr=0.1)
    first.step()
    state = first.state_dict()
    assert list(state["state"]) == [0], "a parameter that was never updated has no state"
    assert state["state"][0]["step"] == 1 and state["param_groups"][0]["params"] == [0, 1]
    np.testing.assert_allclose(state["state"][0]["m"], [0.2, 0.1], rtol=1e-6)
    copied = _parameter(w.numpy(), [-2.0, 5.0])
    w.grad = np.array([-2.0, 5.0], dtype=np.float32)
    first.step()
    np.testing.assert_allclose(state["state"][0]["m"], [0.2, 0.1], rtol=1e-6, err_msg="the state must be a copy")
    second = Adam([copied, _parameter([3.0])])
    second.load_state_dict(state)
    second.step()
    assert copied.tolist() == w.tolist(), "the step after loading must be the same to the last bit"
    assert second.param_groups[0]["lr"] == 0.1
    ### BEGIN HIDDEN TESTS
    second.load_state_dict(Adam([_parameter([0.0, 0.0]), idle], lr=0.1).state_dict())
    copied.grad = np.array([1.0, 1.0], dtype=np.float32)
    before = copied.numpy().copy()
    second.step()
    np.testing.assert_allclose(before - copied.numpy(), 0.1, rtol=1e-5, err_msg="loading nothing means starting anew")
    try:
        second.load_state_dict(Adam([_parameter([0.0])]).state_dict())
    except ValueError:
        return
    raise AssertionError("the state of one parameter does not fit two")
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_state()

# %% [markdown]
# ## Question: bytes
#
# GPT-2 small has 124,439,808 parameters. Training in float32 holds the weights, one gradient for each, and the state of the
# optimizer. Work out, in bytes: the weights; the state of SGD without and with momentum; the state of Adam; and all of
# training with Adam, without activations.


# %% nbgrader={"grade": false, "grade_id": "count-bytes", "locked": false, "schema_version": 3, "solution": true, "task": false}
def count_bytes() -> dict[str, int]:
    """Bytes for GPT-2 small in float32.

    TODO: assign the five numbers. Hint: 4 bytes for each number; let Python multiply.
    """
    ### BEGIN SOLUTION
    weights = 4 * 124_439_808
    state_sgd = 0
    state_momentum = weights
    state_adam = 2 * weights
    training_adam = weights + weights + state_adam
    ### END SOLUTION
    return {
        "weights": weights,
        "state_sgd": state_sgd,
        "state_momentum": state_momentum,
        "state_adam": state_adam,
        "training_adam": training_adam,
    }


# %% nbgrader={"grade": true, "grade_id": "test-count-bytes", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_count_bytes() -> None:
    """The answers, for each of the 124,439,808 parameters, are those of real optimizers of a few parameters."""
    counted = count_bytes()
    per_parameter = {name: number / 124_439_808 for name, number in counted.items()}
    small = _parameter(np.ones(10), np.ones(10))
    for name, optimizer in {
        "state_sgd": SGD([small]),
        "state_momentum": SGD([small], momentum=0.9),
        "state_adam": Adam([small]),
    }.items():
        optimizer.step()
        kept = [value for entry in optimizer.state_dict()["state"].values() for value in entry.values()]
        held = sum(value.nbytes for value in kept if isinstance(value, np.ndarray)) / 10
        assert per_parameter[name] == held, (
            f"{name}: {per_parameter[name]} bytes for each parameter, and {held} are held"
        )
    weight, gradient = small.numpy().nbytes / 10, small.grad.nbytes / 10
    assert per_parameter["weights"] == weight, "float32 takes 4 bytes"
    assert per_parameter["training_adam"] == weight + gradient + per_parameter["state_adam"], (
        "weights, gradients and state"
    )


if __name__ == "__main__":
    test_unit_count_bytes()

# %% [markdown]
# ## What it costs: memory
#
# You have counted state by hand. The network 784-256-128-10 has 235,146 parameters, 940,584 bytes. Beside the state, every
# optimizer here holds two blocks of scratch memory of at most 65,536 numbers. Is that more or less than the state of SGD
# with momentum, and by what factor? write your guess: ___


# %%
def _table(title: str, rows: list[list[str]]) -> None:
    """Print words in columns, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(title)
    for first, *others in rows:
        print(first.ljust(widths[0]), *(cell.rjust(width + 1) for cell, width in zip(others, widths[1:], strict=True)))
    print()


def analyze_state_bytes() -> None:
    """Print what each optimizer holds for 784-256-128-10, from the arrays themselves."""
    rows = [["optimizer", "state bytes", "bytes/parameter", "scratch bytes"]]
    for name, make in (
        ("SGD", lambda p: SGD(p)),
        ("SGD, momentum 0.9", lambda p: SGD(p, momentum=0.9)),
        ("RMSprop", lambda p: RMSprop(p)),
        ("Adam", lambda p: Adam(p)),
        ("AdamW", lambda p: AdamW(p)),
    ):
        net = Sequential(Linear(784, 256), Linear(256, 128), Linear(128, 10))
        for parameter in net.parameters():
            parameter.grad = np.zeros(parameter.shape, np.float32)
        optimizer = make(net.parameters())
        optimizer.step()
        slabs = [slab for _, slab in optimizer._slabs]
        held = sum(array.nbytes for slab in slabs for array in slab.state.values())
        scratch = sum(slab.gradient.nbytes + slab.scratch.nbytes for slab in slabs)
        rows.append([name, f"{held:,}", f"{held / 235_146:.1f}", f"{scratch:,}"])
    _table("784-256-128-10, float32", rows)


if __name__ == "__main__":
    analyze_state_bytes()

# %% [markdown]
# Scratch is 524,288 bytes, 0.56 of the 940,584 bytes of velocity, and does not grow with the network. State does: SGD 0,
# momentum and RMSprop 4, Adam 8 bytes for each parameter.
#
# ## What it costs: steps
#
# The valley again, with condition numbers up to 1,000: how many steps until the distance to the minimum is a thousandth of
# what it was? SGD and momentum get the best lr for each valley, Adam always the same. Adam divides each direction by its own
# size, so it should not care. But what if the valley runs diagonally, between the axes? write your guess: ___


# %%
def _steps(make: Any, curvature: Array, limit: int = 5000) -> str:
    """Steps until the distance from the minimum of w . curvature w / 2 is below a thousandth of the start's."""
    w = Parameter([1.0, 1.0], dtype=np.float64)
    optimizer = make([w])
    for count in range(1, limit + 1):
        w.grad = curvature @ w.numpy()
        optimizer.step()
        if math.hypot(*w.numpy()) < 1e-3 * math.sqrt(2):
            return f"{count:,}"
    return f"over {limit:,}"


def analyze_valley() -> None:
    """Print how many steps each optimizer needs, by condition number and direction of the valley."""
    rows = [["condition number", "SGD", "momentum", "Adam", "Adam, diagonal"]]
    turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / math.sqrt(2)
    for k in (1, 10, 100, 1000):
        root = math.sqrt(k)
        lr, momentum = 4 / (root + 1) ** 2, ((root - 1) / (root + 1)) ** 2
        makers = (
            lambda p, k=k: SGD(p, lr=2 / (k + 1)),
            lambda p, lr=lr, momentum=momentum: SGD(p, lr=lr, momentum=momentum),
            lambda p: Adam(p, lr=0.03, betas=(0.9, 0.99)),
        )
        straight, diagonal = np.diag([1.0, float(k)]), turn @ np.diag([0.3, 0.3 * k]) @ turn.T
        rows.append([f"{k:,}", *(_steps(make, straight) for make in makers), _steps(makers[2], diagonal)])
    _table("Steps to a thousandth of the distance", rows)


if __name__ == "__main__":
    analyze_valley()
# %% [markdown]
# Plain descent needs steps in proportion to the condition number, momentum in proportion to its root, and Adam does not care
# as long as the valley runs along an axis. Turned by 45 degrees each weight sees both curvatures, and dividing by the size of
# the gradient no longer separates them. Networks are somewhere between.
#
# ## What it costs: time
#
# A network of 60 small layers: 120 parameters, 64x64 weights and 64 biases, together 249,600 numbers. How many times as fast as
# the formula, written parameter by parameter with new arrays, is the same Adam in blocks? write your guess: ___


# %%
def analyze_step_time() -> None:
    """Print the time of one update by the formula with new arrays, and in place on blocks."""
    params = [Parameter(np.full(shape, 0.5)) for _ in range(60) for shape in ((64, 64), (64,))]
    for parameter in params:
        parameter.grad = np.ones(parameter.shape, np.float32)
    averages = [(np.zeros(p.shape, np.float32), np.zeros(p.shape, np.float32)) for p in params]
    adam = Adam(params)

    def formula(t: int) -> None:
        for i, parameter in enumerate(params):
            g, (m, v) = parameter.grad, averages[i]
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            averages[i] = m, v
            w = parameter.numpy()
            w[...] = w - 0.001 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)

    seconds: list[list[float]] = [[], []]
    for t in range(1, 31):
        for place, work in enumerate((lambda t=t: formula(t), lambda t=t: adam.step())):
            start = time.perf_counter()
            work()
            seconds[place].append(time.perf_counter() - start)
    slow, fast = (min(times) * 1e3 for times in seconds)
    rows = [["way", "ms"], ["formula, new arrays", f"{slow:.3f}"], ["in place, blocks", f"{fast:.3f}"]]
    _table(f"Adam on 120 small parameters: {slow / fast:.1f} times as fast", rows)


if __name__ == "__main__":
    analyze_step_time()

# %% [markdown]
# ## All together
#
# XOR, the table of module 02 that no linear layer can compute, learned from its four rows: layers, autograd and optimizer.
# The loss is the mean squared difference, written out, and so is the ReLU between the layers. A network that always answers 0.5 has a loss of 0.25.


# %% nbgrader={"grade": true, "grade_id": "test-module-optimizers", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_module_optimizers() -> None:
    """A network of two layers learns XOR, with Adam and with SGD, and old graphs are refused after a step."""
    x, y = Tensor([[0, 0], [0, 1], [1, 0], [1, 1]]), Tensor([[0], [1], [1], [0]])
    for make in (lambda p: Adam(p, lr=0.05), lambda p: SGD(p, lr=0.2, momentum=0.9)):
        manual_seed(3)
        net = Sequential(Linear(2, 16), lambda hidden: hidden.clip(min=0), Linear(16, 1))
        optimizer = make(net.parameters())
        for _ in range(300):
            optimizer.zero_grad()
            loss = ((net(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.01, f"after 300 steps the loss is {loss.item():.4f}; always answering 0.5 has 0.25"
        assert (net(x).numpy().round() == y.numpy()).all()
    loss = ((net(x) - y) ** 2).mean()
    optimizer.step()
    try:
        loss.backward()
    except RuntimeError:
        return
    raise AssertionError("a graph from before the step has other weights: backward must refuse it")


if __name__ == "__main__":
    test_module_optimizers()

# %% [markdown]
# ## Reflection 1: choosing by memory (10 points)
#
# You train a model of 1.5 billion parameters in float32 on an accelerator with 24 GB (24 * 10^9 bytes). Activations need 3 GB.
# Work out what training takes with SGD, with momentum and with Adam, and say which fit. Then propose two ways to train it with
# Adam all the same, and what each costs. Write 150 to 300 words.
#
# - (4 points) 8, 12 and 16 bytes for each parameter, the three totals with activations, and which of them fit
# - (4 points) two ways that fit by their numbers, such as state in fewer bits, state on several machines, fewer trained weights
# - (2 points) what each way costs: precision, communication, flexibility

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-memory", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Weights and gradients take 4 bytes each for every parameter. SGD adds nothing: 8 bytes, 12 GB, with activations 15 GB.
# Momentum adds one number: 12 bytes, 18 GB, 21 GB together. Adam adds two: 16 bytes, 24 GB, 27 GB together. So SGD and
# momentum fit into 24 GB, the second with 3 GB to spare, and Adam misses by 3 GB.
#
# The first way is to keep Adam's averages in 16 bits. m and v then take 4 bytes for each parameter in place of 8, which is 6 GB
# less: 21 GB. The cost is precision. v is a mean over about a thousand steps, so a new value changes it by about a thousandth,
# and a format with eight significant bits rounds such a change away. It has to be stored with care, for instance with a
# scale for each block of numbers, or with random rounding.
#
# The second way is to divide the state among machines. With two accelerators that see different data, each can hold m and v of
# half of the parameters, update that half, and send its new weights to the other. That saves 6 GB on each: 21 GB again.
# The cost is communication, 3 GB of new weights in each direction in every step, and a second machine.
#
# If the model is already trained and only has to be adapted, a third way is to train a small part of it. Frozen weights need
# neither gradient nor state, 4 bytes in place of 16. That is by far the cheapest, but what the frozen part cannot do stays
# as it is.

# %% [markdown]
# ## Reflection 2: two kinds of decay (10 points)
#
# A colleague replaces Adam with weight_decay = 0.01 by AdamW with the same number and finds that the network behaves
# differently. Explain with an example of two weights why it must, and for which optimizer decay is a term of the loss. Say why
# one would leave biases out of it, and how to set that up with parameter groups. Write 150 to 300 words.
#
# - (4 points) an example with numbers: under L2 the decay is divided by the size of the gradient, under AdamW it is not
# - (2 points) plain SGD: both are the same; L2 is a term of the loss, AdamW's decay is none
# - (2 points) biases: few, and they do not make the function steeper
# - (2 points) two groups, with the options of each

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-decay", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Take lr = 0.001, weight_decay = 0.01 and two weights that both are 1. The gradients of the first are about 10, those of the
# second about 0.001, with changing signs. L2 adds 0.01 to both gradients. Adam then divides by the root of the mean square,
# 10 for the first weight and about 0.01 for the second. So the pull on the first is about 0.001 * 0.01 / 10 = 0.000001 in a step
# and on the second about 0.001 * 0.01 / 0.01 = 0.001: a thousand times as strong, because the decay itself is most of its
# gradient. AdamW takes 0.001 * 0.01 = 0.00001 from each. The same number therefore means something else in the two rules, and
# has to be tuned anew.
#
# Under plain SGD both are the same: w - lr * (g + d * w) is (1 - lr * d) * w - lr * g. There L2 really is a term of the loss,
# d / 2 times the sum of squares. The decay of AdamW is no such term. It is a property of the step, and where training comes
# to rest depends on Adam's scaling as well.
#
# Weights multiply inputs, so large weights make the function steep and let it follow noise. A bias only shifts a result, and
# there are few of them, so decaying them restricts the network without making it smoother. I would make two groups:
# `AdamW([{"params": weights, "weight_decay": 0.01}, {"params": biases, "weight_decay": 0.0}], lr=0.001)`, with the biases
# picked by their number of axes, which is one.

# %% [markdown]
# ## Reflection 3: in place (10 points)
#
# Your optimizers change parameters in place. Say what would go wrong, or cost more, if `step` gave each parameter a new
# array instead. Then describe a mistake that updates in place make possible, how `version` turns it into an error, and in which
# order forward, backward and step must run for it never to come up. Write 150 to 300 words.
#
# - (3 points) new arrays: others that hold the old memory keep old numbers; allocation and peak memory, with a figure
# - (3 points) the mistake: a graph recorded before the step, gone through backward after it, with an example of a wrong result
# - (2 points) how versions are noted and compared
# - (2 points) the order forward, backward, step, and when a second forward pass is needed

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-in-place", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# A new array for each parameter means that whoever holds the old one keeps the old numbers. A view of a weight that was taken
# for a plot, or a thread that reads the weights, would silently stay behind. It also costs memory. While the new array is
# filled the old one is still there, so the peak grows by up to 4 bytes for each parameter, 28 GB for 7 billion of them if all
# are replaced at once. Fresh memory must be set up by the system in every step, for something that is thrown away one step
# later.
#
# The mistake that updates in place allow is to go backward through a graph that was recorded before the update. For y = w * x
# and z = y * w, with w = 2 and x = 3, the gradient of z by w is 2 * w * x = 12. If a step has made w 1 in the meantime, the
# rule of the product reads the new w for one part and the old y for the other: 1 * 3 + 6 = 9. That belongs to no value of w, and
# nothing in the number shows it.
#
# So each tensor counts its changes in `version`. An op notes the versions of its inputs when it runs, and `backward` compares:
# when one has changed it raises an error that names the op. `step` raises the count by one for each parameter it changes.
#
# In the order forward, backward, step the error cannot come up, because the graph has been used when the weights change. Two
# losses on one forward pass must both go backward before the step. Whoever needs another gradient after it runs the
# forward pass again.

# %% [markdown]
# ## Summary
#
# You built `SGD`, `RMSprop`, `Adam` and `AdamW` on one base class that holds groups, changes parameters in place by blocks,
# counts updates for each parameter, and saves what it remembers. In 100 steps they stay within 0.000001 of PyTorch's.
#
# The loop of the last test, forward, backward, step, again and again, is what training is. Module 08 makes a trainer of it:
# with batches, a learning rate that changes over time, gradients that are clipped, and checkpoints.
#
# next: `tito module test 07_optimizers`, then `tito module complete 07_optimizers`
