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
# # 03 Layers: where the numbers of a network live
#
# Module 01 gave you tensors and module 02 gave you activations. Neither has anything to learn. A **layer** owns the
# numbers that training changes, its **parameters**, and knows how to use them on an input. A **network** is layers
# inside layers.
#
# After this module you can
#
# - say exactly what a matrix product computes, and what it costs;
# - write a base class that finds every parameter of a network, however deeply it is nested;
# - build `Linear`, `Dense`, `Dropout`, `Sequential` and `Flatten`;
# - save a network's numbers and load them again without a silent mistake;
# - count the parameters, bytes and FLOPs of a network before you build it.
#
# **Build** a linear layer and the class that holds it. **Use** them as the body of every network in this course.
# **Reflect** on where a network's numbers sit and what they cost.
#
# **Systems reality check.** In production the linear layer is where the work is: a transformer spends most of its
# arithmetic on products of activations with weights. What a layer costs follows from two counts: how many parameters
# must be read from memory, and how many multiplications each of them takes part in.

# %%
#| default_exp core.layers
#| export
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from reprlib import recursive_repr
from typing import Any

import numpy as np

from tinytorch.core.tensor import Array, Parameter, Tensor, apply, as_tensor, matmul_op, op, rand, randn, zeros


# %%
#| export
def _table(title: str, rows: Sequence[Sequence[str]]) -> None:
    """Print words in columns as wide as they need: the first to the left, the others, numbers, to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print(title)
    for first, *others in rows:
        cells = (f"  {cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        print(first.ljust(widths[0]) + "".join(cells))
    print()


# %%
import contextlib
import io
import time

from tinytorch.core.activations import ReLU, Softmax
from tinytorch.core.tensor import manual_seed

# %% [markdown]
# ## Step 1: the matrix product, one multiplication at a time
#
# A linear layer is one matrix product, so we start by writing that product out. Entry (i, j) of `C = A B` takes row i
# of A and column j of B, multiplies them number by number and adds up:
#
# ```
#       A             B                      C
#    [ 1  2 ]      [ 5  6 ]      [ 1*5 + 2*7   1*6 + 2*8 ]     [ 19  22 ]
#    [ 3  4 ]      [ 7  8 ]      [ 3*5 + 4*7   3*6 + 4*8 ]  =  [ 43  50 ]
# ```
#
# A row of A and a column of B must be equally long. For A of shape (m, k) and B of shape (k, n), C has m * n entries,
# and each takes k multiplications and k additions. We count one multiplication with its addition, a **MAC**, as 2
# FLOPs, so the product costs 2 * m * k * n FLOPs. The example above: 2 * 2 * 2 * 2 = 16.


# %% nbgrader={"grade": false, "grade_id": "matmul", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def matmul(A: Any, B: Any) -> Any:
    """The matrix product of A and B by three nested loops: slow on purpose, so that the work can be seen.

    TODO: check the shapes, then fill C entry by entry.
    Approach:
      1. Refuse anything that does not have two axes, and inner sizes that differ, with a ValueError.
      2. Make C full of zeros; `np.result_type(a, b)` is the dtype that NumPy would choose.
      3. For every i and j, add up a[i, k] * b[k, j] over all k, and store the sum in C.
    Example: matmul([[1, 2], [3, 4]], [[5, 6], [7, 8]]) is [[19, 22], [43, 50]].
    Hint: the message of a mismatch starts "Incompatible matrix dimensions: A is 1x2, B is 3x1".

    A (m, k), B (k, n) -> (m, n). Arrays give an array; if A or B is a Tensor, the result is one, without a gradient.
    Layers use the `@` of module 01 instead.
    """
    a, b = (x.numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (A, B))
    ### BEGIN SOLUTION
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(
            f"matmul multiplies matrices, which have two axes; A has shape {a.shape}, B has shape {b.shape}. "
            "Make a vector of n numbers a row with reshape(1, n) or a column with reshape(n, 1)."
        )
    (rows, inner), (inner_b, columns) = a.shape, b.shape
    if inner != inner_b:
        raise ValueError(
            f"Incompatible matrix dimensions: A is {rows}x{inner}, B is {inner_b}x{columns}. A row of A has {inner} "
            f"numbers and a column of B has {inner_b}; they are multiplied in pairs, so these two must be equal. "
            "Is one of the matrices transposed?"
        )
    c = np.zeros((rows, columns), dtype=np.result_type(a, b))
    for i in range(rows):
        for j in range(columns):
            total = 0
            for k in range(inner):
                total = total + a[i, k] * b[k, j]
            c[i, j] = total
    ### END SOLUTION
    return Tensor(c, dtype=c.dtype) if isinstance(A, Tensor) or isinstance(B, Tensor) else c


# %% nbgrader={"grade": true, "grade_id": "test-matmul", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
def _refusal(work: Callable[[], object]) -> str:
    """The message of the error that work raises; the test fails if none comes."""
    try:
        work()
    except (ValueError, IndexError, TypeError) as error:
        return str(error)
    raise AssertionError("an error should have been raised here, one that says what does not fit")


def test_unit_matmul() -> None:
    """The loops give the product, keep the dtype and explain a mismatch."""
    c = matmul(np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8]]))
    assert c.tolist() == [[19, 22], [43, 50]], f"expected [[19, 22], [43, 50]], got {c.tolist()}"
    assert c.dtype.kind == "i", f"whole numbers should stay whole numbers, got {c.dtype}"
    row, column = Tensor([[1.0, 2.0, 3.0]]), Tensor([[1.0], [0.5], [2.0]])
    assert isinstance(matmul(row, column), Tensor), "two Tensors should give a Tensor"
    assert matmul(row, column).tolist() == [[8.0]]
    assert matmul(column, row).shape == (3, 3), "(3, 1) times (1, 3) is (3, 3)"
    message = _refusal(lambda: matmul(np.ones((1, 2)), np.ones((3, 1))))
    assert message.startswith("Incompatible matrix dimensions: A is 1x2, B is 3x1"), message
    _refusal(lambda: matmul(np.ones(3), np.ones((3, 1))))  # a vector has one axis, not two
    ### BEGIN HIDDEN TESTS
    generator = np.random.default_rng(7)
    for m, k, n in ((1, 1, 1), (2, 5, 3), (4, 1, 2)):
        left, right = generator.normal(size=(m, k)), generator.normal(size=(k, n))
        assert np.allclose(matmul(left, right), left @ right)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_matmul()

# %% [markdown]
# ### What it costs
#
# The loops and `@` do the same number of FLOPs. `@` calls a BLAS library: compiled code that keeps small blocks of
# both matrices in the fastest memory and multiplies several numbers at once. For two 64x64 matrices, that is 2 * 64 *
# 64 * 64 = 524,288 FLOPs, how many times faster is `@` than the three loops? write your guess: ___


# %%
def _seconds(work: Callable[[], object], repeats: int) -> float:
    """The shortest time of a few runs: what the work takes when nothing else disturbs it."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def analyze_triple_loop() -> None:
    """Print the time of the loops beside the time of `@`, and what one FLOP costs in each."""
    rows = [["size", "FLOPs", "loops ms", "@ ms", "ratio", "loops ns/FLOP", "@ ns/FLOP"]]
    for size in (8, 16, 32, 64):
        a = np.ones((size, size), dtype=np.float32)
        flops = 2 * size**3
        loops, blas = _seconds(lambda a=a: matmul(a, a), 2), _seconds(lambda a=a: a @ a, 20)
        times = [f"{loops * 1e3:.3f}", f"{blas * 1e3:.4f}", f"{loops / blas:,.0f}"]
        rows.append([f"{size}x{size}", f"{flops:,}", *times, f"{loops * 1e9 / flops:.2f}", f"{blas * 1e9 / flops:.3f}"])
    _table("Three loops against @, float32", rows)


if __name__ == "__main__":
    analyze_triple_loop()

# %% [markdown]
# Look at the last two columns. A FLOP in the loops costs about the same at every size, because each one pays for
# Python: two index look-ups, a new number object, a step of the loop. A FLOP in `@` becomes cheaper as the matrices
# grow, because the fixed price of a call is shared by more of them. That is why frameworks work on batches, and why
# no layer below contains a loop over numbers.

# %% [markdown]
# ## Step 2: Module, the class that knows what it holds
#
# A network is a tree. Here is one with two layers, one of them inside a list:
#
# ```
# Net                         name of each parameter
# |-- embed: Linear           embed.weight, embed.bias
# `-- blocks: list
#     `-- 0: Linear           blocks.0.weight, blocks.0.bias
# ```
#
# An optimizer needs all four parameters, whoever holds them, so the base class must find them. There are two ways:
#
# - **Record** each parameter when it is assigned. PyTorch does this, in `__setattr__`. The record must then be kept
#   right when an attribute is re-assigned, deleted or set to `None`, and a plain list of layers stays unseen.
# - **Look** at what the object holds now, each time somebody asks. There is no record that could be wrong.
#
# We look. There is one thing that only a look at the assignment can tell: `layer.weight = layer.weight * 0.5` puts a
# plain Tensor where a Parameter was, and the weight would silently be trained no more. So the class refuses that, as
# PyTorch's does: wrap the Tensor in `Parameter(...)`, or assign `None` first. The walk goes through attributes, lists, tuples and dictionaries, depth first, and gives each thing a
# dotted name. It remembers the identity of what it has seen, so that a parameter used in two places counts once, and
# a cycle ends.
#
# By hand, for `Net`: start at `Net` itself (its name is ""), go into `embed` (a module), find `embed.weight` and
# `embed.bias`; go into `blocks` (a list: part of the names, but no member), find `blocks.0`, `blocks.0.weight` and
# `blocks.0.bias`. Seven members, three of them modules and four of them parameters.
#
# A module may also have **buffers**: tensors that are saved with it but not trained, such as the running averages of
# batch normalization in module 09. `register_buffer` names them.


# %% nbgrader={"grade": false, "grade_id": "module", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _held(value: object) -> list[tuple[str, Any]]:
    """The named things directly inside a module, a dictionary, a list or a tuple; nothing for any other value."""
    if isinstance(value, Module):
        return value._members()
    if isinstance(value, dict):
        return [(str(key), inner) for key, inner in value.items()]
    return [(str(index), inner) for index, inner in enumerate(value)] if isinstance(value, (list, tuple)) else []


def _walk(value: object, name: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every module and parameter in value, itself included, depth first and each once, with its dotted name.

    TODO: yield value if it is a Module or a Parameter, then everything in it.
    Approach:
      1. Stop unless value is a Module, Parameter, list, tuple or dict. Stop if `id(value)` is in seen; else add it.
      2. Yield (name, value) if value is a Module or a Parameter.
      3. For every (key, inner) of `_held(value)`, yield everything that the walk of inner gives, under its longer name.
    Example: a module with a Linear called `out` gives "" (itself), "out", "out.weight", "out.bias".
    Hint: `yield from` passes on what an inner walk gives; the name of inner is "name.key", or "key" when name is "".
    """
    ### BEGIN SOLUTION
    if not isinstance(value, (Module, Parameter, list, tuple, dict)) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, (Module, Parameter)):
        yield name, value
    for key, inner in _held(value):
        yield from _walk(inner, f"{name}.{key}" if name else key, seen)
    ### END SOLUTION


class Module:
    """A piece of a network: parameters, other modules, and a forward pass that uses them.

    Subclasses assign parameters and modules to attributes, also inside lists, tuples and dictionaries, and define
    `forward`. What counts is what the attributes hold at the moment of asking.
    """

    training: bool = True  # a new module is in training mode; train() and eval() change it
    _buffers: tuple[str, ...] = ()  # names given to register_buffer

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(vars(self).get(name), Parameter) and not isinstance(value, (Parameter, type(None))):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter, and a {type(value).__name__} in its place would not be "
                f"trained or saved: wrap it in Parameter(...), or assign None or delete {name} first"
            )
        super().__setattr__(name, value)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward pass: define forward(self, x) in the class")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """`module(x)` is `module.forward(x)`."""
        return self.forward(*inputs, **options)

    def _members(self) -> list[tuple[str, Any]]:
        """What this module holds directly, by name."""
        return list(vars(self).items())

    def named_modules(self) -> list[tuple[str, "Module"]]:
        """This module, called "", and every module inside it, with dotted names."""
        return [(name, member) for name, member in _walk(self, "", set()) if isinstance(member, Module)]

    def modules(self) -> list["Module"]:
        """This module and every module inside it, each once."""
        return [module for _, module in self.named_modules()]

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """Every parameter with its dotted name, each once, under the first name it is met.

        TODO: keep the parameters of the walk. Hint: named_modules does the same for modules.
        """
        ### BEGIN SOLUTION
        return [(path, found) for path, found in _walk(self, "", set()) if isinstance(found, Parameter)]
        ### END SOLUTION

    def parameters(self) -> list[Parameter]:
        """Every parameter, each once: what an optimizer takes."""
        return [parameter for _, parameter in self.named_parameters()]

    def train(self, mode: bool = True) -> "Module":
        """Set training mode here and in every module inside, and return this module.

        TODO: set `training` of all modules, this one included. Hint: modules() lists them.
        """
        ### BEGIN SOLUTION
        for module in self.modules():
            module.training = bool(mode)
        return self
        ### END SOLUTION

    def eval(self) -> "Module":
        """Set evaluation mode here and in every module inside, and return this module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget every gradient.

        TODO: set `grad` of every parameter to None.
        """
        ### BEGIN SOLUTION
        for parameter in self.parameters():
            parameter.grad = None
        ### END SOLUTION

    def register_buffer(self, name: str, value: Any) -> None:
        """Hold a tensor that state_dict saves and no optimizer trains, under the attribute `name`."""
        setattr(self, name, as_tensor(value))
        self._buffers = (*(each for each in self._buffers if each != name), name)

    def named_buffers(self) -> list[tuple[str, Tensor]]:
        """Every buffer with its dotted name; one that was deleted or is None is left out."""
        found = []
        for path, module in self.named_modules():
            for name in module._buffers:
                value, name = getattr(module, name, None), f"{path}.{name}" if path else name
                if value is not None and not isinstance(value, Tensor):
                    raise TypeError(
                        f"the buffer {name} is now a {type(value).__name__}, which is not saved: assign a Tensor"
                    )
                if value is not None and not isinstance(value, Parameter):
                    found.append((name, value))
        return found

    def _state(self) -> dict[str, Tensor]:
        """All that is saved: parameters, then buffers."""
        pairs = [*self.named_parameters(), *self.named_buffers()]
        state = dict(pairs)
        if len(state) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two tensors are called {twice}: rename a key that has a dot, or is 1 beside '1'")
        return state

    def state_dict(self) -> dict[str, np.ndarray]:
        """A copy of every parameter and buffer, by name: training on does not change it.

        TODO: copy the array of every tensor in `self._state()`. Hint: `tensor.numpy().copy()`.
        """
        ### BEGIN SOLUTION
        return {name: tensor.numpy().copy() for name, tensor in self._state().items()}
        ### END SOLUTION

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Write saved numbers into this module's tensors: all of them or, with a ValueError, none.

        TODO: list what is wrong, raise if anything is, then copy.
        Approach: collect one line for each name that is missing, unexpected or has another shape or kind of number
        (`np.can_cast(a, b, "same_kind")`); the error contains them all. `_fill` copies an array into a tensor.
        """
        own, saved = self._state(), {name: np.asarray(value) for name, value in state.items()}
        ### BEGIN SOLUTION
        problems = [f"missing: {name}, of shape {tensor.shape}" for name, tensor in own.items() if name not in saved]
        problems += [f"unexpected: {name}, of shape {array.shape}" for name, array in saved.items() if name not in own]
        for name, tensor in own.items():
            array = saved.get(name)
            if array is not None and array.shape != tensor.shape:
                problems.append(f"misshaped: {name} has shape {array.shape}, the module needs {tensor.shape}")
            elif array is not None and not np.can_cast(array.dtype, tensor.dtype, "same_kind"):
                problems.append(f"wrong kind: {name} holds {array.dtype}, the module needs {tensor.dtype}")
        if problems:
            listed = "".join(f"\n  {problem}" for problem in problems)
            raise ValueError(f"{type(self).__name__} cannot load this state; nothing was changed.{listed}")
        for name, tensor in own.items():
            _fill(tensor, saved[name])
        ### END SOLUTION

    def extra_repr(self) -> str:
        """What stands in the brackets of the repr."""
        return ""

    def _children(self) -> list[tuple[str, Any]]:
        """The parts that the repr shows: modules directly inside, also in lists and dictionaries."""
        return [pair for name, value in self._members() for pair in _nearest(name, value)]

    @recursive_repr("...")
    def __repr__(self) -> str:
        parts = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._children()]
        inside = "".join(f"\n  {part}" for part in parts) + "\n" if parts else ""
        return f"{type(self).__name__}({self.extra_repr()}{inside})"


def _nearest(name: str, value: object) -> list[tuple[str, Any]]:
    """The modules in a value, not looking into them, with dotted names."""
    if isinstance(value, Module):
        return [(name, value)]
    return [pair for key, inner in _held(value) for pair in _nearest(f"{name}.{key}", inner)]


def _fill(tensor: Tensor, array: np.ndarray) -> None:
    """Overwrite a tensor's numbers in place, so that whoever shares its memory sees them, and note the change."""
    np.copyto(tensor.data, array, casting="same_kind")  # no gradient: loading replaces values
    tensor.version += 1


Layer = Module


# %% nbgrader={"grade": true, "grade_id": "test-module-registry", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def _leaf(*shape: int) -> Module:
    """A module with one parameter, for the tests."""
    module = Module()
    module.weight = Parameter(np.ones(shape))
    return module


def test_unit_module_registry() -> None:
    """The walk finds parameters in attributes, lists and dictionaries, once each, as they are now."""
    net = Module()
    net.scale = Parameter(np.ones(3))
    net.name = "net"
    net.blocks = [_leaf(2, 2), _leaf(4)]
    net.heads = {"a": _leaf(5), "b": None}
    names = [name for name, _ in net.named_parameters()]
    assert names == ["scale", "blocks.0.weight", "blocks.1.weight", "heads.a.weight"], names
    assert sum(parameter.size for parameter in net.parameters()) == 3 + 4 + 4 + 5
    assert net.modules() == [net, *net.blocks, net.heads["a"]]
    net.tied = net.blocks[0].weight
    assert len(net.parameters()) == 4, "a parameter that is used in two places counts once"
    _refusal(lambda: setattr(net, "scale", net.scale * 0.5))  # a plain Tensor would not be trained
    net.scale = None
    assert "scale" not in dict(net.named_parameters()), "an attribute that is now None holds no parameter"
    del net.heads
    net.blocks.append(_leaf(6))
    assert [p.size for p in net.parameters()] == [4, 4, 6], "what counts is what the attributes hold now"
    for parameter in net.parameters():
        parameter.grad = np.ones(parameter.shape)
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())
    assert net.training and net.eval() is net, "eval() returns the module"
    assert not any(module.training for module in net.modules()), "eval() reaches the modules inside"
    assert all(module.training for module in net.train().modules())
    ### BEGIN HIDDEN TESTS
    net.parent, net.deep = net, ({"x": [_leaf(7)]},)
    assert [name for name, _ in net.named_parameters()][-1] == "deep.0.x.0.weight", "a cycle must end"
    net.blocks = _leaf(1)
    assert sorted(p.size for p in net.parameters()) == [1, 4, 7]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_module_registry()


# %% nbgrader={"grade": true, "grade_id": "test-module-state", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_module_state() -> None:
    """Saved numbers are copies, load back in place, and are refused whole when one does not fit."""
    net = Module()
    net.first, net.second = _leaf(2, 3), _leaf(4)
    net.register_buffer("seen", np.zeros(1))
    state = net.state_dict()
    assert sorted(state) == ["first.weight", "second.weight", "seen"], sorted(state)
    memory = net.first.weight.numpy()
    memory[...] = 7.0
    assert state["first.weight"].tolist() == [[1.0] * 3] * 2, "training on must not change what was saved"
    net.load_state_dict(state)
    assert net.first.weight.tolist() == [[1.0] * 3] * 2
    assert np.shares_memory(net.first.weight.numpy(), memory), "load in place: an optimizer may hold this memory"
    message = _refusal(
        lambda: net.load_state_dict({"first.weight": np.zeros((3, 2)), "seen": np.ones(1), "third.weight": np.zeros(1)})
    )
    for words in ("second.weight", "third.weight", "(3, 2)", "(2, 3)"):
        assert words in message, f"the error should mention {words}: {message}"
    assert net.seen.tolist() == [0.0], "a state that does not fit must change nothing"


if __name__ == "__main__":
    test_unit_module_state()

# %% [markdown]
# ### What it costs
#
# The walk visits every attribute. It runs when an optimizer is made, when gradients are cleared, when the mode
# changes and when a network is saved, never inside the forward pass. `state_dict` copies: while you hold the result,
# the parameters are in memory twice. PyTorch's does not copy, and people who keep the "best" state of a training run
# that way find that it has changed with the network.

# %% [markdown]
# ## Step 3: Linear
#
# A linear layer computes `y = x W + b`. Each of its `out` columns of weights is one neuron that looks at all `in`
# inputs:
#
# ```
#       x               W                 b                    y
#    [ 1  2 ]   @   [ 1  0  2 ]   +   [ 0  10  -1 ]   =   [ 1*1 + 2*3 + 0    1*0 + 2*1 + 10    1*2 + 2*0 - 1 ]
#                   [ 3  1  0 ]                       =   [ 7  12  1 ]
#     (1, 2)          (2, 3)              (3,)              (1, 3)
# ```
#
# **How many parameters?** `in * out` weights and `out` biases. `Linear(784, 512)` has 784 * 512 + 512 = 401,920.
#
# **Which numbers at the start?** Not zeros: all neurons would compute the same and learn the same. Random, and of the
# right size. An output is a sum of `in` products. If inputs are independent with mean 0 and variance 1, and weights
# have mean 0 and standard deviation s, that sum has variance `in * s * s`. So `s = sqrt(1 / in)` gives outputs of
# variance 1, and the next layer gets numbers of the size this one got. For 784 inputs s is 0.0357. Biases start at
# zero.
#
# **Other shapes.** A batch of 8 sentences of 16 words of 784 numbers has shape (8, 16, 784). Only the last axis
# matters to the layer, and the `@` of module 01 folds the others into one, for a single large product.
#
# **One op or two.** Written as `x @ W + b`, the layer is two ops, and each makes an array: for a batch of 32 and 256
# outputs, 32 * 256 * 4 = 32,768 bytes for the product and as many for the sum. Training keeps both until the gradients
# are known (module 06). An op of our own can do better. The product is new and nobody else has seen it, so the bias may
# be added to it in place, and one array is left. That is **fusion**; PyTorch's `addmm` does the same. You write
# `linear_op`. `linear` is given: it goes back to two ops where it must, since numbers of two dtypes need another array.


# %% nbgrader={"grade": false, "grade_id": "linear", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def linear_op(x: Array, weight: Array, bias: Array) -> Array:
    """x W + b as one op, in the memory of the product.

    TODO: the product, and the bias added to it in place.
    Approach: `matmul_op.forward(x, weight)` is `@` for arrays, with any leading axes; `y += bias` changes y.
    Example: x [[1, 2]], weight [[1, 0, 2], [3, 1, 0]], bias [0, 10, -1] -> [[7, 12, 1]].
    Hint: `y = y + bias` gives the same numbers in a second array.
    x (..., in), weight (in, out), bias (out,), all of one dtype -> (..., out).
    """
    ### BEGIN SOLUTION
    y = matmul_op.forward(x, weight)
    y += bias
    return y
    ### END SOLUTION


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b: one op for one dtype and a bias of shape (out,), else a product and a sum, which fit them together."""
    if x.dtype == weight.dtype == bias.dtype and bias.shape == weight.shape[1:]:
        return apply(linear_op, x, weight, bias)
    return x @ weight + bias


def _check_size(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


class Linear(Module):
    """y = x W + b, with a weight of shape (in_features, out_features) and a bias of shape (out_features,) or None.

    Inputs have shape (..., in_features), outputs (..., out_features). Weights start normal with standard deviation
    sqrt(1 / in_features), biases zero.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        """Make the parameters.

        TODO: set `self.weight` to a Parameter of normal random numbers times `self._scale()`, and `self.bias` to a
        Parameter of zeros, or to None without bias.
        Hint: `randn(rows, columns)` and `zeros(n)` give Tensors; Parameter takes one.
        Shapes: weight (in_features, out_features), bias (out_features,).
        """
        _check_size("in_features", in_features)
        _check_size("out_features", out_features)
        self.in_features = in_features
        self.out_features = out_features
        ### BEGIN SOLUTION
        self.weight = Parameter(randn(in_features, out_features) * self._scale())
        self.bias = Parameter(zeros(out_features)) if bias else None
        ### END SOLUTION

    def _scale(self) -> float:
        """The standard deviation of the weights at the start."""
        return math.sqrt(1 / self.in_features)

    def forward(self, x: Any) -> Tensor:
        """x (..., in_features) -> (..., out_features).

        TODO: x W and, if there is a bias, x W + b, with Tensor operations only: module 06 must follow them.
        Approach: multiply with `@`, which takes any leading axes, if the bias is None. Otherwise call `linear`.
        Example: weight [[1, 0, 2], [3, 1, 0]], bias [0, 10, -1], x [[1, 2]] -> [[7, 12, 1]].
        """
        x = as_tensor(x)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(self._misfit(x.shape))
        ### BEGIN SOLUTION
        return x @ self.weight if self.bias is None else linear(x, self.weight, self.bias)
        ### END SOLUTION

    def _misfit(self, shape: tuple[int, ...]) -> str:
        """What to do about an input that does not fit."""
        size, name = self.in_features, type(self).__name__
        message = f"{name}({size}, {self.out_features}) takes inputs of shape (..., {size}), got {shape}."
        for start in range(1, len(shape) - 1):
            if math.prod(shape[start:]) == size:
                return f"{message} Flatten it first: flatten(x, start_dim={start}) has shape {(*shape[:start], size)}."
        if len(shape) == 2 and shape[0] == size:
            return f"{message} Its first axis has {size} numbers: is it transposed? x.T has shape {shape[::-1]}."
        if not shape:
            return f"{message} A single number has no axes."
        return f"{message} Its last axis has {shape[-1]} numbers: use {name}({shape[-1]}, ...) here."

    def extra_repr(self) -> str:
        """The sizes, and whether there is a bias."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


# %% nbgrader={"grade": true, "grade_id": "test-linear", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_linear() -> None:
    """Linear has the right parameters at the right scale, and computes x W + b for any leading shape."""
    layer = Linear(2, 3)
    layer.weight = Parameter([[1.0, 0.0, 2.0], [3.0, 1.0, 0.0]])
    layer.bias = Parameter([0.0, 10.0, -1.0])
    assert layer(Tensor([[1.0, 2.0]])).tolist() == [[7.0, 12.0, 1.0]]
    assert layer(Tensor([1.0, 2.0])).tolist() == [7.0, 12.0, 1.0], "one example without a batch axis"
    assert linear(Tensor([[1.0, 2.0]]), layer.weight, layer.bias).tolist() == [[7.0, 12.0, 1.0]]
    assert layer.bias.tolist() == [0.0, 10.0, -1.0], "linear_op changes its own result, and nothing that it was given"
    assert layer(Tensor(np.ones((4, 5, 2)))).shape == (4, 5, 3)
    assert layer(Tensor(np.ones((4, 5, 2)))).requires_grad, "use Tensor operations only, or nothing can be trained"
    manual_seed(0)
    big = Linear(784, 16)
    assert [parameter.shape for parameter in big.parameters()] == [(784, 16), (16,)]
    assert sum(parameter.size for parameter in big.parameters()) == 12_560
    spread = float(big.weight.numpy().std())
    assert abs(spread - math.sqrt(1 / 784)) < 0.001, f"the weights' standard deviation is {spread}, not sqrt(1/784)"
    assert not big.bias.numpy().any(), "biases start at zero"
    bare = Linear(4, 2, bias=False)
    assert bare.bias is None and len(bare.parameters()) == 1
    assert bare(Tensor(np.zeros((3, 4)))).tolist() == [[0.0, 0.0]] * 3
    message = _refusal(lambda: big(Tensor(np.zeros((2, 28, 28)))))
    assert "784" in message and "(2, 28, 28)" in message, message
    ### BEGIN HIDDEN TESTS
    manual_seed(3)
    wide = Linear(50, 40)
    x = np.random.default_rng(3).normal(size=(2, 3, 50)).astype(np.float32)
    assert np.allclose(wide(Tensor(x)).numpy(), x @ wide.weight.numpy(), atol=1e-5)
    assert abs(float(wide.weight.numpy().std()) - math.sqrt(1 / 50)) < 0.01
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_linear()

# %% [markdown]
# ## Step 4: Dense, the same layer with other words
#
# Keras calls this layer Dense and the switch for its bias `use_bias`, and starts it after Glorot and Bengio (2010),
# whose rule is named Xavier after the first author. They wanted the forward pass to keep its variance, which asks for
# `1 / in`, and the backward pass to keep its own, which asks for `1 / out`. They took the mean of `in` and `out`:
# variance `2 / (in + out)`. For `Dense(784, 512)` the standard deviation is sqrt(2 / 1296) = 0.0393, against 0.0357
# for `Linear`. With `in` equal to `out` the two agree.


# %% nbgrader={"grade": false, "grade_id": "dense", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Dense(Linear):
    """Linear under Keras-like names: `weights` is another name of `weight`; Xavier scale sqrt(2 / (in + out))."""

    def __init__(self, input_size: int, output_size: int, use_bias: bool = True) -> None:
        """Make the parameters, as Linear does."""
        super().__init__(input_size, output_size, bias=use_bias)
        self.input_size = input_size
        self.output_size = output_size

    def _scale(self) -> float:
        """The standard deviation of the weights at the start.

        TODO: Xavier's, from `self.in_features` and `self.out_features`. Example: 1 for in 1 and out 1.
        """
        ### BEGIN SOLUTION
        return math.sqrt(2 / (self.in_features + self.out_features))
        ### END SOLUTION

    @property
    def weights(self) -> Parameter:
        """The parameter `weight`."""
        return self.weight

    @weights.setter
    def weights(self, value: Parameter) -> None:
        self.weight = value

    def extra_repr(self) -> str:
        """The sizes, and whether there is a bias."""
        return f"input_size={self.input_size}, output_size={self.output_size}, use_bias={self.bias is not None}"


# %% nbgrader={"grade": true, "grade_id": "test-dense", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def test_unit_dense() -> None:
    """Dense is Linear with Xavier's scale, and `weights` is no second parameter."""
    manual_seed(1)
    layer = Dense(100, 300)
    spread = float(layer.weights.numpy().std())
    assert abs(spread - math.sqrt(2 / 400)) < 0.002, f"the standard deviation is {spread}, not sqrt(2/400)"
    assert layer.weights is layer.weight
    assert len(layer.parameters()) == 2, "weights and weight are one parameter"
    assert Dense(3, 4, use_bias=False).bias is None
    assert layer(Tensor(np.zeros((2, 100)))).shape == (2, 300)


if __name__ == "__main__":
    test_unit_dense()

# %% [markdown]
# ## Step 5: Dropout
#
# A network that is large for its data can learn the examples by heart. Dropout makes that harder: in training, each
# number is set to zero with probability p, newly drawn for each forward pass, so that no neuron can rely on one
# other.
#
# The ones that stay are multiplied by `1 / (1 - p)`. By hand, with p = 0.5 and four ones, of which two fall:
#
# ```
# x           1    1    1    1      sum 4
# kept        1    0    0    1
# times 2     2    0    0    2      sum 4
# ```
#
# The sum stays 4 **on average**, so the next layer sees numbers of the size it will see later, and in evaluation
# dropout has nothing to do: it returns x itself. (The first paper scaled at evaluation instead. Scaling in training
# costs the same and leaves the deployed network alone.)


# %% nbgrader={"grade": false, "grade_id": "dropout", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Dropout(Module):
    """In training, set each number to zero with probability p and multiply the others by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5) -> None:
        """Remember p, which must lie in [0, 1]."""
        if not 0 <= p <= 1:
            raise ValueError(f"p is the probability of dropping a number, from 0 to 1; got {p}")
        self.p = p

    def forward(self, x: Any, training: bool | None = None) -> Tensor:
        """x of any shape -> the same shape. training=None follows train() and eval().

        TODO: return x as it is when nothing is to be dropped; otherwise multiply x by a mask.
        Approach:
          1. `training` is None: take `self.training`.
          2. Not training, or p is 0: return x.
          3. Draw one number in [0, 1) for each of x's with `rand`, keep x where it is at least p.
          4. Multiply x by the mask times the scale. With p = 1 the scale would divide by zero: the result is zeros.
        Example: p = 0.5 makes each 1 a 0 or a 2.
        Hint: a comparison of Tensors is a Tensor of booleans; `astype(x.dtype)` makes it 0 and 1.
        """
        x = as_tensor(x)
        ### BEGIN SOLUTION
        if training is None:
            training = self.training
        if not training or self.p == 0:
            return x
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        kept = rand(*x.shape) >= self.p
        return x * (kept.astype(x.dtype) * scale)
        ### END SOLUTION

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


# %% nbgrader={"grade": true, "grade_id": "test-dropout", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_dropout() -> None:
    """Dropout drops the right share, keeps the mean, follows the mode and the seed."""
    x = Tensor(np.ones((100, 100)))
    drop = Dropout(0.25)
    manual_seed(5)
    y = drop(x).numpy()
    zeros_share = float((y == 0).mean())
    assert abs(zeros_share - 0.25) < 0.02, f"{zeros_share:.3f} of the numbers fell, expected 0.25"
    assert np.allclose(y[y != 0], 1 / 0.75), "what stays is multiplied by 1 / (1 - p)"
    assert y.dtype == np.float32, f"float32 should stay float32, got {y.dtype}"
    x = Tensor(np.ones((20, 30)))
    manual_seed(5)
    y = drop(x).numpy()
    manual_seed(5)
    assert np.array_equal(drop(x).numpy(), y), "the same seed gives the same mask"
    assert not np.array_equal(drop(x).numpy(), y), "every forward pass draws a new mask"
    assert np.array_equal(drop.eval()(x).numpy(), x.numpy()), "in evaluation nothing changes"
    assert (drop(x, training=True).numpy() == 0).any(), "training=True overrides the mode"
    assert np.array_equal(drop.train()(x, training=False).numpy(), x.numpy()), "training=False overrides the mode"
    assert np.array_equal(Dropout(0)(x).numpy(), x.numpy()), "p=0 drops nothing"
    assert not Dropout(1.0)(x).numpy().any(), "p=1 drops everything"
    for wrong in (-0.1, 1.5):
        assert str(wrong) in _refusal(lambda p=wrong: Dropout(p))
    ### BEGIN HIDDEN TESTS
    assert drop(Tensor(np.ones(3), requires_grad=True)).requires_grad, "use Tensor operations only"
    assert abs(float(Dropout(0.8)(Tensor(np.ones((200, 200)))).numpy().mean()) - 1.0) < 0.05
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_dropout()

# %% [markdown]
# ## Step 6: Sequential
#
# Most networks are a chain: the output of one layer is the input of the next.
#
# ```
# x (32, 784) -> Linear(784, 256) -> (32, 256) -> ReLU -> (32, 256) -> Linear(256, 10) -> (32, 10)
# ```
#
# `Sequential` holds the chain and is a Module itself, so chains can stand inside chains. Its links may be anything
# that can be called: the activations of module 02 are no Modules, have nothing to learn, and fit as they are.


# %% nbgrader={"grade": false, "grade_id": "sequential", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Sequential(Module):
    """Layers in a chain, each called on what the one before returned.

    Made from layers or from one list of them. `len`, iteration, indexing and slices work; a slice is a Sequential that
    shares its layers. Parameters are called "0.weight", "0.bias", "2.weight" and so on, after the layer's place.
    """

    def __init__(self, *layers: Any) -> None:
        """Take the layers in order."""
        self.layers: list[Callable[..., Any]] = []
        for layer in layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers:
            self.add(layer)

    def add(self, layer: Callable[..., Any]) -> "Sequential":
        """Append a layer, and return this chain."""
        if not callable(layer):
            raise TypeError(f"layer {len(self.layers)} of a Sequential must be callable, got {layer!r}")
        self.layers.append(layer)
        return self

    def forward(self, x: Any) -> Any:
        """Pass x through all layers.

        TODO: call every layer on the result so far. Without layers x comes back.
        Example: Sequential(Linear(784, 256), ReLU(), Linear(256, 10)) takes (32, 784) to (32, 10).
        """
        ### BEGIN SOLUTION
        for layer in self.layers:
            x = layer(x)
        return x
        ### END SOLUTION

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter(self.layers)

    def __getitem__(self, index: int | slice) -> Any:
        """The layer at a place, counted from the end when negative, or a part of the chain.

        TODO: a slice gives a Sequential of those layers, anything else one layer.
        """
        ### BEGIN SOLUTION
        picked = self.layers[index]
        return Sequential(*picked) if isinstance(index, slice) else picked
        ### END SOLUTION

    def _members(self) -> list[tuple[str, object]]:
        others = [(name, value) for name, value in super()._members() if name != "layers"]
        return [*_held(self.layers), *others]

    def _children(self) -> list[tuple[str, object]]:
        others = [pair for pair in super()._children() if pair[1] not in self.layers]
        return [*_held(self.layers), *others]  # also layers that are no modules


# %% nbgrader={"grade": true, "grade_id": "test-sequential", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_sequential() -> None:
    """The chain calls its layers in order and finds their parameters under the number of their place."""
    first, last = Linear(6, 4), Linear(4, 2)
    net = Sequential(first, ReLU(), last)
    x = Tensor(np.random.default_rng(0).normal(size=(5, 6)))
    hidden = np.maximum(x.numpy() @ first.weight.numpy(), 0)
    assert np.allclose(net(x).numpy(), hidden @ last.weight.numpy(), atol=1e-6), "each layer takes the output before it"
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(net) == 3 and net[0] is first and net[-1] is last and list(net)[2] is last
    assert isinstance(net[:2], Sequential) and len(net[:2]) == 2
    assert net[:2](x).shape == (5, 4)
    assert len(Sequential([first, last])) == 2, "one list of layers works too"
    net.add(Dropout(0.5))
    assert len(net) == 4 and not net.eval()[3].training, "eval() reaches the layers of the chain"
    assert Sequential()(x) is x
    ### BEGIN HIDDEN TESTS
    outer = Sequential(Sequential(Linear(6, 3)), Linear(3, 1))
    assert [name for name, _ in outer.named_parameters()] == ["0.0.weight", "0.0.bias", "1.weight", "1.bias"]
    assert outer(x).shape == (5, 1)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_sequential()

# %% [markdown]
# ## Step 7: Flatten
#
# A linear layer wants one axis of numbers for each example; an image has three (channels, height, width). Flattening
# keeps the axes before `start_dim` and folds the others into one. The batch axis is axis 0, so `start_dim` is 1
# unless we say otherwise:
#
# ```
# (32, 64, 8, 8)  ->  (32, 64 * 8 * 8)  =  (32, 4096)
# ```
#
# No number moves: the same memory is read with other strides, unless the tensor was transposed before.


# %% nbgrader={"grade": false, "grade_id": "flatten", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def flatten(x: Any, start_dim: int = 1, end_dim: int = -1) -> Any:
    """Fold the axes start_dim to end_dim, both included, into one.

    TODO: work out the new shape and reshape.
    Approach: count negative axes from the end; the new shape is the axes before, the product of the folded, the axes after.
    Example: (32, 64, 8, 8) -> (32, 4096); with start_dim=0 -> (131072,); with end_dim=2 -> (32, 512, 8).
    Hint: `math.prod(shape[a:b])`. A -1 for reshape to work out fails on an empty batch.

    A Tensor gives a Tensor, an array an array. Raises NumPy's AxisError, which is a ValueError and an IndexError, when
    an axis is not there or the two are out of order.
    """
    x = x if isinstance(x, np.ndarray) else as_tensor(x)
    ### BEGIN SOLUTION
    axes = max(x.ndim, 1)
    start, end = (axis + axes if axis < 0 else axis for axis in (start_dim, end_dim))
    if not 0 <= start <= end < axes:
        raise np.exceptions.AxisError(
            f"cannot flatten axes {start_dim} to {end_dim} of shape {x.shape}: it has {x.ndim} axes, and the first to "
            "fold must not come after the last."
        )
    return x.reshape(*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :])
    ### END SOLUTION


class Flatten(Module):
    """`flatten` as a layer, for a Sequential."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        """Remember which axes to fold."""
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Any) -> Any:
        """x (N, ...) -> (N, product of the other axes), unless other axes were named."""
        return flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


# %% nbgrader={"grade": true, "grade_id": "test-flatten", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_flatten() -> None:
    """Flatten folds the right axes and keeps the order of the numbers."""
    x = Tensor(np.arange(24).reshape(2, 3, 4))
    assert flatten(x).shape == (2, 12)
    assert flatten(x).tolist() == x.numpy().reshape(2, 12).tolist(), "the order of the numbers stays"
    assert flatten(x, start_dim=0).shape == (24,)
    assert flatten(x, start_dim=-2).shape == (2, 12), "negative axes count from the end"
    assert flatten(Tensor(np.zeros((2, 64, 8, 8)))).shape == (2, 4096)
    assert flatten(Tensor(np.zeros((0, 3, 4)))).shape == (0, 12), "an empty batch has no numbers, but a shape"
    assert flatten(Tensor(np.zeros((5, 7)))).shape == (5, 7)
    assert Sequential(Flatten(), Linear(12, 2))(x).shape == (2, 2)
    assert flatten(Tensor(np.ones((2, 2, 2)), requires_grad=True)).requires_grad, "use Tensor operations only"
    assert "(2, 3, 4)" in _refusal(lambda: flatten(x, start_dim=3)), "axis 3 of three is not there: name the shape"
    ### BEGIN HIDDEN TESTS
    assert flatten(x, start_dim=2).shape == (2, 3, 4)
    assert flatten(Tensor(np.zeros((2, 3, 4, 5))), 1, 2).shape == (2, 12, 5)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_flatten()

# %% [markdown]
# ## Step 8: count before you build
#
# Everything a chain of linear layers costs follows from its sizes. Worked for 4-3-2, that is `Linear(4, 3)` and
# `Linear(3, 2)`, on a batch of 5 examples:
#
# ```
#                weights     biases   parameters   bytes   product FLOPs            bias FLOPs
# Linear(4, 3)   4*3 = 12       3         15          60   2 * 5 * 4 * 3 = 120      5 * 3 = 15
# Linear(3, 2)   3*2 =  6       2          8          32   2 * 5 * 3 * 2 =  60      5 * 2 = 10
# all                18         5         23          92                    180             25
# ```
#
# A float32 takes 4 bytes. A bias costs one addition for each output, which we show apart from the products. The
# forward pass takes 180 + 25 = 205 FLOPs.
#
# **Your turn**, on paper: the network 784-256-128-10 for the 28x28 images of handwritten digits. Count the parameters
# of each of its three layers, all its parameters, their bytes in float32, and the FLOPs of a forward pass of 32
# images, with bias additions.


# %% nbgrader={"grade": false, "grade_id": "count-network", "locked": false, "schema_version": 3, "solution": true, "task": false}
def count_network() -> dict[str, int]:
    """The counts of 784-256-128-10.

    TODO: assign your six numbers to layer_1, layer_2, layer_3, total, total_bytes and forward_flops.
    Example: for 4-3-2 and 5 examples, layer_1 is 15, layer_2 is 8, total 23, total_bytes 92, forward_flops 205.
    """
    ### BEGIN SOLUTION
    layer_1 = 784 * 256 + 256
    layer_2 = 256 * 128 + 128
    layer_3 = 128 * 10 + 10
    total = layer_1 + layer_2 + layer_3
    total_bytes = 4 * total
    forward_flops = 2 * 32 * (784 * 256 + 256 * 128 + 128 * 10) + 32 * (256 + 128 + 10)
    ### END SOLUTION
    counts = {"layer_1": layer_1, "layer_2": layer_2, "layer_3": layer_3}
    return {**counts, "total": total, "total_bytes": total_bytes, "forward_flops": forward_flops}


# %% nbgrader={"grade": true, "grade_id": "test-count-network", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_count_network() -> None:
    """The numbers on paper follow from the sizes of the layers."""
    counts = count_network()
    sizes = [(784, 256), (256, 128), (128, 10)]
    parameters = [rows * columns + columns for rows, columns in sizes]
    for number, expected in enumerate(parameters, start=1):
        assert counts[f"layer_{number}"] == expected, (
            f"layer_{number}: one weight for each pair, one bias for each output"
        )
    assert counts["total"] == sum(parameters), "total: add up the layers"
    assert counts["total_bytes"] == 4 * sum(parameters), "total_bytes: 4 for each"
    per_example = sum(2 * rows * columns + columns for rows, columns in sizes)
    assert counts["forward_flops"] == 32 * per_example, "forward_flops: 2 for each MAC, 1 for each bias, 32 images"


if __name__ == "__main__":
    test_unit_count_network()

# %% [markdown]
# ## Step 9: a profiler for architectures
#
# What you did on paper, as a tool. It needs the sizes only, so it can judge a network that would not fit into this
# machine. MB are 10^6 bytes, and a FLOP count is for one example.


# %% nbgrader={"grade": false, "grade_id": "profiler", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class LayerArchitectureProfiler:
    """Parameters, bytes and FLOPs of chains of linear layers, from their sizes alone.

    Every method returns what it found as a dictionary and, unless the profiler was made with show=False, prints it.
    """

    BYTES_PER_PARAMETER = 4  # float32

    def __init__(self, show: bool = True) -> None:
        """Remember whether to print."""
        self.show = show

    def _layer(self, input_size: int, output_size: int) -> dict[str, Any]:
        """The counts of one Linear(input_size, output_size) with bias.

        TODO: fill in the dictionary below: weight_parameters, bias_parameters, total_parameters, memory_bytes,
        memory_mb and flops (of one example: products and bias additions).
        Example: Linear(784, 512) has 401,408 + 512 = 401,920 parameters, 1,607,680 bytes, 803,328 FLOPs.
        """
        _check_size("input_size", input_size)
        _check_size("output_size", output_size)
        counts: dict[str, Any] = {"input_size": input_size, "output_size": output_size}
        ### BEGIN SOLUTION
        counts["weight_parameters"] = input_size * output_size
        counts["bias_parameters"] = output_size
        counts["total_parameters"] = input_size * output_size + output_size
        counts["memory_bytes"] = self.BYTES_PER_PARAMETER * counts["total_parameters"]
        counts["memory_mb"] = counts["memory_bytes"] / 1e6
        counts["flops"] = 2 * input_size * output_size + output_size
        ### END SOLUTION
        return counts

    def _network(self, sizes: Sequence[int]) -> dict[str, Any]:
        """The counts of a chain: its layers one by one, and all together.

        TODO: add up the layers' weight_parameters, bias_parameters, total_parameters, memory_bytes and flops.
        """
        details = [self._layer(*pair) for pair in pairwise(sizes)]
        counts: dict[str, Any] = {"network_architecture": list(sizes), "num_layers": len(details)}
        ### BEGIN SOLUTION
        for key in ("weight_parameters", "bias_parameters", "total_parameters", "memory_bytes", "flops"):
            counts[key] = sum(layer[key] for layer in details)
        ### END SOLUTION
        megabytes = counts["memory_bytes"] / 1e6
        return {**counts, "memory_mb": megabytes, "total_memory_mb": megabytes, "layer_details": details}

    def analyze_layer_parameters(self, input_size: int, hidden_size: int, output_size: int) -> dict[str, Any]:
        """A network with one hidden layer: where its parameters are."""
        return self.analyze_network_scaling(input_size, [hidden_size], output_size)

    def analyze_network_scaling(self, input_size: int, hidden_sizes: Sequence[int], output_size: int) -> dict[str, Any]:
        """A network with any number of hidden layers, layer by layer."""
        network = self._network([input_size, *hidden_sizes, output_size])
        rows = [["layer", "weights", "biases", "parameters", "MB", "share"]]
        for layer in (*network["layer_details"], network):
            name = f"Linear({layer['input_size']}, {layer['output_size']})" if layer is not network else "all"
            counts = [f"{layer[key]:,}" for key in ("weight_parameters", "bias_parameters", "total_parameters")]
            share = layer["total_parameters"] / network["total_parameters"]
            rows.append([name, *counts, f"{layer['memory_mb']:.3f}", f"{share:.1%}"])
        self._print(f"Network {_chain(network)}", rows)
        return network

    def compare_architectures(
        self, input_size: int, architectures: Mapping[str, Sequence[int]], output_size: int
    ) -> dict[str, dict[str, Any]]:
        """Networks by name, each given by its hidden sizes, side by side."""
        named = {name: self._network([input_size, *hidden, output_size]) for name, hidden in architectures.items()}
        smallest = min((network["total_parameters"] for network in named.values()), default=1)
        rows = [["name", "layers", "parameters", "MB", "ratio", "network"]]
        for name, network in named.items():
            total, megabytes = network["total_parameters"], network["memory_mb"]
            counts = [f"{total:,}", f"{megabytes:.3f}", f"{total / smallest:.2f}"]
            rows.append([name, str(network["num_layers"]), *counts, _chain(network)])
        self._print("Architectures, with parameters as a ratio to the smallest", rows)
        return named

    def analyze_depth_vs_width_tradeoffs(
        self,
        input_size: int = 784,
        output_size: int = 10,
        wide: Sequence[int] = (512, 512),
        deep: Sequence[int] = (128, 128, 128, 128),
    ) -> dict[str, dict[str, Any]]:
        """A wide and a deep network between the same input and output."""
        both = [self._network([input_size, *hidden, output_size]) for hidden in (wide, deep)]
        rows = [["", "wide", "deep"], ["hidden units", *(f"{sum(hidden):,}" for hidden in (wide, deep))]]
        for key in ("num_layers", "total_parameters", "memory_bytes", "flops"):
            rows.append([key.replace("_", " "), *(f"{network[key]:,}" for network in both)])
        self._print("Wide against deep: " + " and ".join(map(_chain, both)), rows)
        return {"wide": both[0], "deep": both[1]}

    def _print(self, title: str, rows: list[list[str]]) -> None:
        if self.show:
            _table(title, rows)


def _chain(network: Mapping[str, Any]) -> str:
    """784-256-128-10; a long one is shortened."""
    sizes = "-".join(map(str, network["network_architecture"]))
    return sizes if len(sizes) <= 28 else f"{sizes[:12]}...{sizes[-12:]}"


# %% nbgrader={"grade": true, "grade_id": "test-profiler", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_profiler() -> None:
    """The profiler counts what real layers hold."""
    profiler = LayerArchitectureProfiler(show=False)
    one = profiler.analyze_layer_parameters(784, 128, 10)
    assert one["weight_parameters"] == 784 * 128 + 128 * 10 and one["bias_parameters"] == 138
    assert one["memory_bytes"] == 4 * one["total_parameters"] and one["memory_mb"] == one["memory_bytes"] / 1e6
    network = profiler.analyze_network_scaling(6, [5, 4], 3)
    real = Sequential(Linear(6, 5), Linear(5, 4), Linear(4, 3))
    assert network["total_parameters"] == sum(parameter.size for parameter in real.parameters())
    assert network["num_layers"] == 3 and network["network_architecture"] == [6, 5, 4, 3]
    assert [layer["total_parameters"] for layer in network["layer_details"]] == [35, 24, 15]
    assert network["flops"] == 2 * (30 + 20 + 12) + (5 + 4 + 3)
    both = profiler.compare_architectures(784, {"wide": [512, 512], "deep": [128] * 4}, 10)
    assert both == profiler.analyze_depth_vs_width_tradeoffs(784, 10)
    assert both["wide"]["total_parameters"] == 669_706 and both["deep"]["total_parameters"] == 151_306
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        LayerArchitectureProfiler().analyze_network_scaling(784, [512], 10)
    assert "401,920" in printed.getvalue(), "the table shows the parameters of Linear(784, 512)"


if __name__ == "__main__":
    test_unit_profiler()

# %% [markdown]
# ### What it costs: parameters
#
# 1. Which share of the parameters of 784-256-128-10 is in its first layer? write your guess: ___
# 2. 784-512-512-10 has twice the hidden units of 784-128-128-128-128-10. How many times its parameters? write your
#    guess: ___


# %%
def analyze_network_costs() -> None:
    """Print the parameters of the digit network and of a wide and a deep relative."""
    profiler = LayerArchitectureProfiler()
    profiler.analyze_network_scaling(784, [256, 128], 10)
    hidden = {"small": [128], "digits": [256, 128], "wide": [512, 512], "deep": [128] * 4}
    profiler.compare_architectures(784, hidden, 10)
    profiler.analyze_depth_vs_width_tradeoffs()


if __name__ == "__main__":
    analyze_network_costs()

# %% [markdown]
# The first layer holds 85.5% of the digit network: 784 inputs are many, and each of them has a weight to every
# neuron. Between two layers of equal width the weights grow with the square of the width, so the wide network, with 2
# times the hidden units, has 4.43 times the parameters. Convolutions (module 10) exist because a first layer like
# this one does not scale to photographs.
#
# ### What it costs: time
#
# A batch of 32 takes 32 times the FLOPs of one example, but reads the same 940,584 bytes of parameters. How many
# times the time of one example does it take? write your guess: ___


# %%
def analyze_batch_reuse() -> None:
    """Print how FLOPs, FLOPs for each byte of parameters, and time grow with the batch."""
    manual_seed(0)
    net = Sequential(Linear(784, 256), ReLU(), Linear(256, 128), ReLU(), Linear(128, 10))
    linear = [layer for layer in net if isinstance(layer, Linear)]
    macs, biases = sum(layer.weight.size for layer in linear), sum(layer.out_features for layer in linear)
    held = sum(parameter.numpy().nbytes for parameter in net.parameters())
    rows = [["batch", "product FLOPs", "bias FLOPs", "FLOPs/byte", "ms", "us/example", "GFLOP/s"]]
    for batch in (1, 8, 32, 128, 512):
        x = Tensor(np.ones((batch, 784)))
        flops = batch * (2 * macs + biases)
        seconds = _seconds(lambda x=x: net(x), 10)
        times = [f"{seconds * 1e3:.3f}", f"{seconds * 1e6 / batch:.2f}", f"{flops / seconds / 1e9:.1f}"]
        rows.append([f"{batch:>5}", f"{2 * batch * macs:,}", f"{batch * biases:,}", f"{flops / held:.1f}", *times])
    _table("Forward pass of 784-256-128-10, float32", rows)


if __name__ == "__main__":
    analyze_batch_reuse()

# %% [markdown]
# Look at the time of one example. With a batch of 1 every weight is fetched for one MAC, 0.5 FLOPs for each byte, and
# the time goes into fetching weights and into the calls, not into arithmetic. With 32 rows each weight that was
# fetched is used 32 times, 16 FLOPs for each byte. The 32 examples cost 15,024,128 FLOPs in products and 12,608 in
# bias additions, 15,036,736 together. Beyond some batch size time grows as FLOPs do: then arithmetic is the limit,
# and larger batches gain nothing more.
#
# ## Step 10: famous architectures
#
# The same counting, done for published networks. Each number is added up from the layer sizes of the paper, and of
# the released vocabulary for BERT (30,522 words and word pieces), except GPT-3's, for which the paper gives a round
# number. LeNet-5 is counted as it is built today, on 32x32 images: its third layer, C3, sees all six maps, and the
# output is a dense layer. (In the paper C3 sees some of them, and with trained pooling and fixed output weights the sum
# is 60,000.) Nothing in the table is a guess: models whose makers published no number are not in it. The sources, by
# first author:
#
# - LeCun 1998, Gradient-based learning applied to document recognition
# - Krizhevsky 2012, ImageNet classification with deep convolutional neural networks
# - Simonyan 2014, Very deep convolutional networks for large-scale image recognition
# - He 2015, Deep residual learning for image recognition
# - Devlin 2018, BERT: pre-training of deep bidirectional transformers
# - Radford 2019, Language models are unsupervised multitask learners
# - Brown 2020, Language models are few-shot learners
#
# GPT-3 has about 175 billion parameters. How many accelerators with 80 GB of memory does it take to hold its weights
# in float16, and nothing else? write your guess: ___

# %%
#| export
_FAMOUS: dict[str, tuple[int, int, bool, str]] = {  # name: year, parameters, counted exactly, source
    "LeNet-5": (1998, 61_706, True, "LeCun"),
    "AlexNet": (2012, 60_965_224, True, "Krizhevsky"),
    "VGG-16": (2014, 138_357_544, True, "Simonyan"),
    "ResNet-50": (2015, 25_557_032, True, "He"),
    "BERT-base": (2018, 109_482_240, True, "Devlin"),
    "GPT-2 small": (2019, 124_439_808, True, "Radford"),
    "GPT-2": (2019, 1_557_611_200, True, "Radford"),
    "GPT-3": (2020, 175_000_000_000, False, "Brown"),
}


def analyze_famous_architectures() -> dict[str, dict[str, Any]]:
    """Print and return the parameters of well-known networks, with their bytes in float32 and float16.

    Of each name: year, parameters, fp32_bytes, fp16_bytes, exact (counted from the published sizes; otherwise the
    source's own round number) and source. Only weights: no gradients, activations or optimizer state.
    """
    rows = [["network", "year", "parameters", "fp32 MB", "fp16 MB", "source"]]
    found = {}
    for name, (year, parameters, exact, source) in _FAMOUS.items():
        sizes = {"fp32_bytes": 4 * parameters, "fp16_bytes": 2 * parameters}
        found[name] = {"year": year, "parameters": parameters, **sizes, "exact": exact, "source": source}
        megabytes = [f"{size / 1e6:,.2f}" for size in sizes.values()]
        rows.append([name, str(year), f"{'' if exact else '~'}{parameters:,}", *megabytes, source])
    _table("Counted from published layer sizes; ~ is the paper's own round number", rows)
    return found


# %%
if __name__ == "__main__":
    analyze_famous_architectures()

# %% [markdown]
# 175 billion parameters of 2 bytes are 350 GB: five accelerators of 80 GB, before one activation is stored. In
# float32 they are 700 GB: nine. ResNet-50 has fewer parameters than AlexNet and far better accuracy; AlexNet holds
# 58,631,144 of its 60,965,224 parameters, 96.2%, in three linear layers at its end. Counts move a little with what is
# counted: the common library version of AlexNet is one wide chain where the paper's is two narrow ones, and has
# 61,100,840.

# %% [markdown]
# ## All together
#
# A network of layers and activations, small enough for the calculation to be followed by hand. For the first example,
# [1, 2]:
#
# ```
# Linear   [1*1 + 2*2 + 0,  1*(-2) + 2*(-1) + 1]  =  [5, -3]
# ReLU     [5, 0]
# Linear   [5*0.2 + 0*0,  5*0 + 0*1]              =  [1, 0]
# Softmax  [e / (e + 1),  1 / (e + 1)]            =  [0.7311, 0.2689]
# ```


# %% nbgrader={"grade": true, "grade_id": "test-module-layers", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_module_layers() -> None:
    """Tensors, activations and layers make a network that gives the numbers worked by hand, and can be saved."""
    net = Sequential(Flatten(), Linear(2, 2), ReLU(), Dropout(0.5), Linear(2, 2, bias=False), Softmax())
    net[1].weight = Parameter([[1.0, -2.0], [2.0, -1.0]])
    net[1].bias = Parameter([0.0, 1.0])
    net[4].weight = Parameter([[0.2, 0.0], [0.0, 1.0]])
    x = Tensor([[[1.0, 2.0]], [[-1.0, 1.0]]])
    expected = [[0.731059, 0.268941], [0.141851, 0.858149]]
    y = net.eval()(x)
    assert y.shape == (2, 2), f"expected two rows of two, got {y.shape}"
    assert np.allclose(y.numpy(), expected, atol=1e-5), y.numpy()
    assert y.requires_grad, "the result must remember how it was made"
    assert sum(parameter.size for parameter in net.parameters()) == 4 + 2 + 4
    other = Sequential(Flatten(), Linear(2, 2), ReLU(), Dropout(0.5), Linear(2, 2, bias=False), Softmax()).eval()
    other.load_state_dict(net.state_dict())
    assert np.array_equal(other(x).numpy(), y.numpy()), "a loaded network computes the same"
    many = Tensor(np.ones((50, 1, 2)))
    first, second = net.train()(many).numpy(), net(many).numpy()
    assert not np.array_equal(first, second), "in training, dropout draws anew"
    assert np.allclose(first.sum(axis=-1), 1, atol=1e-6), "each row of a softmax sums to 1"


if __name__ == "__main__":
    test_module_layers()

# %% [markdown]
# ## Reflection 1: deep or wide (10 points)
#
# A team classifies 28x28 images into 10 classes on a device with 1 MB (10^6 bytes) for float32 weights. One engineer
# proposes 784-512-512-10, another 784-128-128-128-128-10. Compare parameters and bytes, say where the weights of each
# sit, say which fits, and propose a change to the one that does not. Then name one thing about depth and width that
# the counts do not tell. Write 150 to 300 words.
#
# - (3 points) right parameters and bytes for both networks
# - (3 points) names the layers that hold the weights, and why: products of neighbouring sizes
# - (2 points) says which fits, and a change that makes the other fit, with numbers
# - (2 points) something that counts do not decide: accuracy, ease of training, time in sequence

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-depth-width", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# The wide network has 784 * 512 + 512 = 401,920 parameters in its first layer, 512 * 512 + 512 = 262,656 in the
# second and 5,130 in the last: 669,706, or 2,678,824 bytes. The deep one has 100,480 in the first, 16,512 in each of
# the three next and 1,290 in the last: 151,306, or 605,224 bytes. So the deep one fits into 1 MB and the wide one
# needs 2.7 times what there is.
#
# A layer's weights are the product of its two sizes. The input is the largest size in both networks, so the first
# layer dominates: 60% of the wide network, 66% of the deep one. In the wide network the product 512 * 512 is the
# second large block; each 128 * 128 in the deep one is 16 times smaller, which is why three of them cost so little.
#
# To make the wide one fit, I would cut its width rather than drop a layer: dropping the second leaves 784-512-10 with
# 407,050 parameters, 1.63 MB, still too many, because the first layer stays. With 784-256-128-10 there are 235,146
# parameters, 0.94 MB, which fits. Averaging 2x2 pixels first, to 196 inputs, would shrink the first layer itself by
# four.
#
# The counts do not say which network is more accurate; that has to be measured. They also hide that layers run one
# after the other: five small products may take longer than three larger ones with more FLOPs, because each pays for
# its call. And depth makes training harder, since gradients pass through more products, so starting scales matter
# more.

# %% [markdown]
# ## Reflection 2: from weights to a training run (10 points)
#
# Holding a model's weights is not training it. In plain float32 training with Adam, each parameter needs its value,
# its gradient and two running averages. Work out the bytes for 784-256-128-10 and for GPT-3, say what else must be
# stored for the backward pass and what it grows with, and say what you would change first to fit a model that is
# twice too large for training. Write 150 to 300 words.
#
# - (3 points) 16 bytes for each parameter, and both totals right
# - (3 points) activations: what they are, why they are kept, that they grow with the batch and not with the weights
#   alone
# - (2 points) why inference needs less, with numbers
# - (2 points) a change that fits the numbers given, and what it costs

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-training-memory", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# Value, gradient and two averages are four float32 numbers, 16 bytes for each parameter. The digit network has
# 235,146 parameters: 3,762,336 bytes, under 4 MB. GPT-3 has about 175 billion: 2.8 * 10^12 bytes, 2,800 GB, or 35
# accelerators of 80 GB before any data is seen.
#
# The backward pass needs more. The gradient of a weight is the input of its layer times the gradient of its output,
# so every layer's input must be kept from the forward pass until the backward pass reaches it. These activations grow
# with the batch and with the number of layers. For the digit network at batch 32 each example has 1,168 layer inputs,
# and 32 of them are 37,376 numbers or 149,504 bytes, small against the weights. At batch 4,096 they are 19,136,512
# bytes, five times all parameter state. ReLU and dropout masks come on top.
#
# Inference keeps no gradients, no averages, and each activation only until the next layer has used it. So it needs 4
# bytes for each parameter, or 2 in float16: GPT-3 takes 700 GB or 350 GB instead of 2,800 GB.
#
# What to change first depends on which part is large. If it is activations, I would halve the batch and add up the
# gradients of two half batches: the same update, a little slower because the products are smaller. If it is parameter
# state, the batch does not help. Plain SGD needs 8 bytes for each parameter instead of 16, exactly half, but often
# takes more steps and more tuning. Otherwise the state must be spread over several machines, which costs
# communication.

# %% [markdown]
# ## Reflection 3: finding parameters (10 points)
#
# Your `Module` looks for parameters whenever it is asked. PyTorch records them when an attribute is assigned. Compare
# the two: which mistakes does each allow, what does each cost, and how does each treat a plain list of layers? Then
# explain what would go wrong in training if a parameter that is used in two places were counted twice. Write 150 to
# 300 words.
#
# - (3 points) a mistake that each design allows or prevents, with an example
# - (2 points) cost: when each does its work, and why it does not matter in the forward pass
# - (2 points) plain lists: found by the walk, invisible to a record at assignment
# - (3 points) counting twice: two updates in a step, wrong sizes, or wrong gradient norms

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-registry", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# A record must be kept equal to the truth. If it is made at assignment, then re-assigning an attribute, setting it to
# `None` and deleting it must each correct it, and a class that forgets to call its parent's constructor has no record
# to write to. A walk has nothing to keep, so it cannot go stale. It has its own weakness: it believes whatever is held
# now. If I write `layer.weight = layer.weight * 0.5`, a plain Tensor would take the parameter's place, drop out of
# `parameters()` and be trained no more. Our class looks at the old value and raises a TypeError, as PyTorch does. But in
# a list, `self.scales[0] = self.scales[0] * 0.5` assigns no attribute: no class can refuse it, and the walk loses it.
#
# The record costs work at every assignment and makes listing cheap. The walk costs one look at assignment and visits
# every attribute when asked. Both are far from the forward pass: an optimizer asks once, `zero_grad` once for
# each step.
#
# A plain list of layers is the clearest difference. `self.blocks = [...]` is one assignment of a list; later appends
# assign no attribute, so a record misses the layers, and PyTorch needs `ModuleList`. The walk goes into the list and
# finds them.
#
# If a shared parameter appeared twice, as with an embedding that is also the output layer, an optimizer would update
# it twice in a step, with twice the learning rate in effect and, in Adam, two sets of averages for one weight. The
# parameter count and the bytes reported would be too high, and a gradient norm would count its gradient twice, so
# clipping would start too early. None of these raises an error, which is why identity is checked in the walk.

# %% [markdown]
# ## Summary
#
# You built
#
# - `matmul`, to see that a product of (m, k) and (k, n) is 2 * m * k * n FLOPs;
# - `Module`, which finds what it holds, switches modes, saves and loads;
# - `Linear` and `Dense`, `Dropout`, `Sequential`, `flatten` and `Flatten`;
# - `LayerArchitectureProfiler`, which counts a network before it exists.
#
# A network now maps inputs to outputs, and nothing says yet how good they are. Module 04 builds the losses: one
# number for how wrong a prediction is. Module 06 then works out how each parameter you registered here should change.
#
# next: `tito module test 03_layers`, then `tito module complete 03_layers`
