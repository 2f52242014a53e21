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
# # 15 Profiling: where the work, the bytes and the time go
#
# This module builds on tensors (01), layers (03), automatic differentiation (06) and convolution (10). Your networks
# run. Now you build the instrument that says what a run costs: a `Profiler` that counts parameters, FLOPs and bytes
# exactly, and measures time honestly.
#
# After this module you can
#
# - work out the FLOPs of a network by hand, and have them counted from a real forward pass;
# - watch a program without changing it, by listening at the gate through which every op passes;
# - tell apart four numbers that are all called "memory";
# - time something so that the number means the same tomorrow.
#
# **Build** a profiler. **Use** it on a network for digits. **Reflect** on what counts explain and what they leave out.
#
# **Systems reality check.** PyTorch's profiler and its FLOP counter work as yours will: they listen where every op is
# dispatched. Teams that serve models read such tables before they change a line, because the layer with the most FLOPs
# is often not the one that takes the time.

# %%
#| default_exp perf.profiling
#| export
from __future__ import annotations

import math
import sys
import threading
import time
import tracemalloc
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from tinytorch.core.layers import Module, Sequential
from tinytorch.core.tensor import Array, Op, Parameter, Tensor, as_tensor, grad_mode, observe_ops

# %% [markdown]
# ## Step 1: what one op costs
#
# The unit of work is the **multiply-accumulate** (MAC): multiply two numbers, add the product to a sum. One MAC is 2
# FLOPs. Products of matrices and convolutions are made of MACs and of nothing else:
#
# ```
#   (32, 784) @ (784, 256) -> (32, 256)      each of 8,192 results is a sum of 784 products
#                                            8,192 * 784 = 6,422,528 MACs = 12,845,056 FLOPs
#
#   image (1, 3, 32, 32), kernels (64, 3, 3, 3) -> (1, 64, 30, 30)
#                                            each of 57,600 results is a sum of 3 * 3 * 3 = 27 products
#                                            57,600 * 27 = 1,555,200 MACs = 3,110,400 FLOPs
# ```
#
# So the rule is the same twice: the number of results times the products in each. `linear`, the op of module 03 that is a
# product and a bias in one, has the products of `matmul`.
#
# What of the rest? A ReLU compares, a pooling takes maxima, a softmax divides. Each touches a number a few times, where
# a product touches it hundreds of times. The convention of this course leaves them out of the headline and counts the
# additions of biases apart; `tito analyze` does the same. A headline that everybody counts alike is worth more than a
# complete one.
#
# `MAC_RULES` maps the name of an op to its rule. A later module that adds an op with products adds a line to it.

# %% nbgrader={"grade": false, "grade_id": "mac-rules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
MacRule = Callable[[Sequence[Tensor], Tensor], int]


def matmul_macs(inputs: Sequence[Tensor], result: Tensor) -> int:
    """Multiply-accumulates of a matrix product with any leading axes.

    TODO: the number of results times the products in each.
    Example: (2, 5) @ (5, 3) takes 6 * 5 = 30.
    Hint: each result is a sum along the last axis of the left input.
    """
    ### BEGIN SOLUTION
    return result.size * inputs[0].shape[-1]
    ### END SOLUTION


def conv2d_macs(inputs: Sequence[Tensor], result: Tensor) -> int:
    """Multiply-accumulates of a convolution; inputs are x (N, C, H, W), weight (O, C, kh, kw) and perhaps a bias.

    TODO: the number of results times the products in each.
    Example: one 32x32 image with 3 channels, 64 kernels of 3x3: 57,600 * 27 = 1,555,200.
    Hint: math.prod multiplies the numbers of a shape. Do not index a Tensor here: that would be an op, too.
    """
    ### BEGIN SOLUTION
    return result.size * math.prod(inputs[1].shape[1:])
    ### END SOLUTION


MAC_RULES: dict[str, MacRule] = {"matmul": matmul_macs, "linear": matmul_macs, "conv2d": conv2d_macs}


def macs_of(op: Op, inputs: Sequence[Tensor], result: Tensor) -> int:
    """Multiply-accumulates of an op that was run; 0 for an op without a rule."""
    rule = MAC_RULES.get(op.name)
    return 0 if rule is None else rule(inputs, result)


# %%
import contextlib
import io

from tinytorch.core.activations import ReLU, relu
from tinytorch.core.layers import Dropout, Flatten, Linear
from tinytorch.core.spatial import Conv2D, MaxPool2D
from tinytorch.core.tensor import manual_seed


# %% nbgrader={"grade": true, "grade_id": "test-mac-rules", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def _macs(work: Callable[[], object]) -> int:
    """The MACs of all ops that work runs."""
    found: list[int] = []
    with observe_ops(lambda op, inputs, params, result: found.append(macs_of(op, inputs, result))):
        work()
    return sum(found)


def test_unit_macs() -> None:
    """Products and convolutions cost what the worked examples say, and nothing else costs anything."""
    a, b = Tensor(np.ones((32, 784))), Tensor(np.ones((784, 256)))
    assert _macs(lambda: a @ b) == 6_422_528
    assert _macs(lambda: Tensor(np.ones((7, 2, 5))) @ Tensor(np.ones((5, 3)))) == 7 * 2 * 3 * 5, "leading axes count"
    image = Tensor(np.ones((1, 3, 32, 32)))
    assert _macs(lambda: Conv2D(3, 64, 3)(image)) == 1_555_200
    assert _macs(lambda: Linear(784, 256)(a)) == 6_422_528
    assert _macs(lambda: relu(a) + a.sum()) == 0
    ### BEGIN HIDDEN TESTS
    assert _macs(lambda: Tensor([1.0, 2.0, 3.0]) @ Tensor([4.0, 5.0, 6.0])) == 3
    assert _macs(lambda: Tensor(np.ones((2, 4, 3, 6))) @ Tensor(np.ones((2, 4, 6, 5)))) == 8 * 3 * 5 * 6
    strided = Conv2D(4, 6, (3, 5), stride=2, padding=1, bias=False)
    assert _macs(lambda: strided(Tensor(np.ones((3, 4, 9, 11))))) == 3 * 6 * 5 * 5 * 4 * 15
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_macs()

# %% [markdown]
# ## Step 2: who asked for it?
#
# `observe_ops` of module 01 tells a function of every op, while its `with` block lasts. It says *what* was computed,
# not *for whom*: five layers may each run a `linear`. A common answer is to replace the `forward` of each layer by one
# that takes notes. Then the program that is measured is not the program that runs.
#
# Python knows the answer already. While an op runs, every function that was called and has not returned waits on the
# **call stack**, with its variables. An observer can look at it:
#
# ```
#   the observer                           sys._getframe() starts here
#   apply(linear, x, weight, bias)
#   linear
#   Linear.forward       self = layer "0"      <- the innermost forward of a layer of this model: it asked
#   Module.__call__      self = layer "0"
#   Sequential.forward   self = the model
#   Module.__call__
#   your program
# ```
#
# A frame has `f_code.co_name`, the function's name, `f_locals`, its variables, and `f_back`, the frame that called it.
# If a `forward` calls its parent class's `forward` on the same layer, the two are one call, and we want the outer
# frame: it lasts as long as the call does, so it can tell two calls of one layer apart.


# %% nbgrader={"grade": false, "grade_id": "running-layer", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _self_of(frame: FrameType | None) -> object:
    """The object whose forward runs in this frame; None for any other function, and for no frame."""
    return frame.f_locals.get("self") if frame is not None and frame.f_code.co_name == "forward" else None


def running_layer(frame: FrameType | None, layers: dict[int, Any]) -> tuple[int | None, FrameType | None]:
    """The innermost layer whose forward is running, by its id, and the frame of that call; (None, None) without one.

    TODO: go outwards from frame until the id of `_self_of(frame)` is among the keys of layers; then go on outwards as
    long as the next frame is a forward of the same object.
    Approach: a while loop over frame.f_back ends with None; a second one for the frames of the same call.
    Hint: compare objects with `is`. `_self_of` takes None, too.
    """
    ### BEGIN SOLUTION
    while frame is not None and id(_self_of(frame)) not in layers:
        frame = frame.f_back
    if frame is None:
        return None, None
    layer = _self_of(frame)
    while _self_of(frame.f_back) is layer:
        frame = frame.f_back
    return id(layer), frame
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-running-layer", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
class _TwoOps(Linear):
    """A Linear that is a product and a sum, so that a call has two ops, whichever way module 03 was written."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out)."""
        return x @ self.weight + self.bias


class _Residual(Module):
    """x + relu(inner(x)): ops of a layer inside, and two ops of its own."""

    def __init__(self, size: int) -> None:
        self.inner = _TwoOps(size, size)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, size) -> the same shape."""
        return x + relu(self.inner(x))


class _Louder(_TwoOps):
    """A layer whose forward asks its parent's, and then does something of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out)."""
        return super().forward(x) * 2


def test_unit_running_layer() -> None:
    """Every op is attributed to the innermost layer that is running, and calls of one layer can be told apart."""
    net = Sequential(_Residual(3), _Louder(3, 2))
    names = {id(layer): name for name, layer in net.named_modules()}
    seen: list[tuple[str, str]] = []
    frames: list[object] = []

    def note(op: Op, inputs: Sequence[Tensor], params: dict[str, Any], result: Tensor) -> None:
        layer, frame = running_layer(sys._getframe(), names)
        seen.append(("nobody" if layer is None else names[layer], op.name))
        frames.append(frame)

    x = Tensor(np.ones((1, 3)))
    with observe_ops(note):
        net(x)
        x + x
    inner = [("0.inner", "matmul"), ("0.inner", "add")]
    assert seen[:4] == [*inner, ("0", "relu"), ("0", "add")], seen
    assert seen[4:7] == [("1", "matmul"), ("1", "add"), ("1", "mul")], seen
    assert frames[4] is frames[5] is frames[6], "a forward that calls its parent's forward is one call"
    assert frames[0] is frames[1] and frames[0] is not frames[2]
    assert seen[7] == ("nobody", "add") and frames[7] is None
    ### BEGIN HIDDEN TESTS
    layer, seen[:], frames[:] = _TwoOps(3, 3), [], []
    names = {id(layer): "layer"}
    with observe_ops(note):
        layer(layer(x))
    assert frames[0] is frames[1] and frames[2] is frames[3] and frames[1] is not frames[2], "two calls, two frames"
    assert running_layer(None, names) == (None, None)
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_running_layer()

# %% [markdown]
# ## Step 3: the watch
#
# Now the observer itself. For every op it writes an `OpRun`: who asked, what it cost, which memory it read and made.
# Three details matter, and are given; read them.
#
# - **Memory, not tensors.** `flatten` gives a new Tensor and copies nothing: both share one block of memory. A block is
#   known by the array that owns it, which `.base` leads to. Block 0 is the input. The watch keeps no array alive, or
#   memory could not be used again and the run would be slower than it is; a weak reference tells it when one is gone.
# - **Bias additions** are recognised by what they are: an `add` of a `Parameter` to the result of a product. The `add`
#   of a residual connection has no Parameter, so it is none. A convolution with three inputs adds its bias itself.
# - **Time** is taken when the observer is entered and when it is left. What lies between one leaving and the next entry
#   belongs to the op; what the observer does itself belongs to nobody.
#
# And `inference` puts a model into evaluation mode for the time of a count, and everything back afterwards. A profiler
# that changed a running average by looking at it would be a poor instrument.


# %% nbgrader={"grade": false, "grade_id": "watch", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@dataclass(frozen=True)
class OpRun:
    """One op of a forward pass, by whom it was asked for, and what it cost. Blocks of memory are numbered."""

    op: str
    layer: str  # the dotted name of the layer that asked; "" for the model itself
    kind: str  # that layer's class, or the op's name when the layer holds other layers
    call: int  # ops of one call of a layer without layers inside have the same number
    shape: tuple[int, ...]  # of the result
    macs: int
    bias_adds: int
    reads: tuple[int, ...]  # blocks: 0 is the input, the others are results of earlier ops
    makes: int  # the block of the result; one of `reads` for a view
    parameters: tuple[Parameter, ...]
    seconds: float


def owner(array: Array) -> Array:
    """The array whose memory this one shows: itself, or what it is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class Watch:
    """An observer that writes down every op of one forward pass: `runs`, and `sizes`, the bytes of each block."""

    def __init__(self, model: Any, x: Tensor, clock: Callable[[], float]) -> None:
        named = model.named_modules() if isinstance(model, Module) else []
        self.layers = {id(layer): (name, layer, self.whole(layer)) for name, layer in named}
        self.blocks: dict[int, int] = {}  # the id of the array that owns a block -> its number, as long as it lives
        self.ends: list[Any] = []  # what forgets an id when its array is gone, since another may get the same
        self.sizes: list[int] = []
        self.products: set[int] = set()  # blocks that a product made
        self.runs: list[OpRun] = []
        self.calls, self.frame = 0, None
        self.thread, self.clock = threading.get_ident(), clock
        self.block(x)
        self.left = clock()

    def whole(self, layer: Module) -> bool:
        """Whether a layer is one row: it holds no other layers, and is not a chain of functions."""
        return len(layer.modules()) == 1 and not isinstance(layer, Sequential)

    def block(self, tensor: Tensor) -> int:
        """The number of the block that a tensor shows, a new one if it was not met before."""
        array = owner(tensor.numpy())
        key = id(array)
        if key not in self.blocks:
            self.blocks[key] = len(self.sizes)
            self.ends.append(weakref.ref(array, lambda _: self.blocks.pop(key)))
            self.sizes.append(array.nbytes)
        return self.blocks[key]

    def known(self, tensor: Tensor) -> bool:
        """Whether a tensor shows the input or an earlier result."""
        return id(owner(tensor.numpy())) in self.blocks

    def bias_adds(self, op: Op, inputs: Sequence[Tensor], result: Tensor) -> int:
        """Additions of a bias: one for each number of the result, if the op adds one."""
        if op.name in ("conv2d", "linear"):
            return result.size if len(inputs) == 3 else 0
        if op.name != "add" or not any(isinstance(each, Parameter) for each in inputs):
            return 0
        return result.size if any(self.known(each) and self.block(each) in self.products for each in inputs) else 0

    def called_by(self, op: Op) -> tuple[str, str]:
        """The name of the layer that asked, and the kind of work; counts calls on the way."""
        found, frame = running_layer(sys._getframe(2), self.layers)
        name, layer, whole = self.layers.get(found, ("", None, False)) if found is not None else ("", None, False)
        if not whole or frame is not self.frame:
            self.calls += 1
        self.frame = frame if whole else None
        return name, type(layer).__name__ if whole else op.name

    def __call__(self, op: Op, inputs: Sequence[Tensor], params: dict[str, Any], result: Tensor) -> None:
        """Note one op.

        TODO: append an OpRun to self.runs.
        Approach:
          1. `layer` and `kind` come from self.called_by(op); `call` is self.calls afterwards.
          2. `reads` are the blocks of those inputs that are known. `makes` is the block of the result.
          3. `macs` comes from macs_of; if it is not 0, add the made block to self.products. `bias_adds` has a method.
          4. `parameters` are the inputs that are Parameters; `seconds` is the time of entry minus self.left.
        Hint: list what is read before you ask for the block of the result, which makes a new one.
        """
        entered = self.clock()
        if threading.get_ident() != self.thread:  # another thread's op, such as a loader's
            return
        layer, kind = self.called_by(op)
        ### BEGIN SOLUTION
        reads = tuple(self.block(each) for each in inputs if self.known(each))
        adds = self.bias_adds(op, inputs, result)
        macs, makes = macs_of(op, inputs, result), self.block(result)
        if macs:
            self.products.add(makes)
        parameters = tuple(each for each in inputs if isinstance(each, Parameter))
        seconds = entered - self.left
        run = OpRun(op.name, layer, kind, self.calls, result.shape, macs, adds, reads, makes, parameters, seconds)
        self.runs.append(run)
        ### END SOLUTION
        self.left = self.clock()


@contextmanager
def inference(model: Any, gradients: bool = False) -> Iterator[None]:
    """Within it the model is in evaluation mode, and origins are noted with gradients=True only; then it is as before."""
    modes = [(module, module.training) for module in model.modules()] if isinstance(model, Module) else []
    enabled = grad_mode.enabled
    try:
        grad_mode.enabled = gradients
        for module, _ in modes:
            module.training = False
        yield
    finally:
        grad_mode.enabled = enabled
        for module, training in modes:
            module.training = training


def fed(given: Any) -> Tensor:
    """What a model is fed: a Tensor or array as it is; for a shape, a tuple, the same random numbers every time."""
    if isinstance(given, tuple):
        return Tensor(np.random.default_rng(0).standard_normal(given))
    return as_tensor(given)


def watch(model: Any, x: Tensor, clock: Callable[[], float] = time.perf_counter) -> tuple[Watch, Any]:
    """Run a model once on x, in evaluation mode; what was seen, and what came out."""
    with inference(model):
        seen = Watch(model, x, clock)
        with observe_ops(seen):
            result = model(x)
    return seen, result


# %% nbgrader={"grade": true, "grade_id": "test-watch", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def test_unit_watch() -> None:
    """Each op is written down with its owner, its cost, its memory and its time, and the model is left as it was."""
    net = Sequential(_TwoOps(4, 3), ReLU(), Dropout(0.5), Flatten(), Linear(3, 2, bias=False))
    ticks = iter(range(1000))
    seen, result = watch(net, fed((5, 4)), clock=lambda: float(next(ticks)))
    assert [(run.layer, run.op) for run in seen.runs] == [
        ("0", "matmul"), ("0", "add"), ("", "relu"), ("3", "reshape"), ("4", "matmul"),
    ], "dropout does nothing in evaluation mode"  # fmt: skip
    product, bias, clipped, view, last = seen.runs
    assert (product.macs, product.bias_adds, bias.macs, bias.bias_adds) == (5 * 3 * 4, 0, 0, 5 * 3)
    assert (last.macs, last.bias_adds, last.kind, last.shape) == (5 * 2 * 3, 0, "Linear", (5, 2))
    assert product.call == bias.call != clipped.call, "the two ops of a layer are one call"
    assert (product.reads, product.makes, bias.reads, bias.makes, clipped.makes) == ((0,), 1, (1,), 2, 3)
    assert view.reads == (3,) and view.makes == 3, "flatten copies nothing: it shows the same block"
    assert seen.sizes == [80, 60, 60, 60, 40]
    assert product.parameters == (net[0].weight,) and bias.parameters == (net[0].bias,)
    assert all(run.seconds == 1 for run in seen.runs), "from leaving the observer to entering it again is one tick"
    assert all(module.training for module in net.modules()) and result.origin is None and grad_mode.enabled
    ### BEGIN HIDDEN TESTS
    block = _Residual(3)
    seen, _ = watch(block, fed((2, 3)))
    assert [(run.layer, run.kind, run.bias_adds) for run in seen.runs] == [
        ("inner", "_TwoOps", 0), ("inner", "_TwoOps", 6), ("", "relu", 0), ("", "add", 0),
    ], "x + relu(...) adds no bias"  # fmt: skip
    assert set(seen.runs[3].reads) == {0, 3}
    same = _TwoOps(3, 3)
    seen, _ = watch(Sequential(same, same), fed((2, 3)))
    assert [run.call for run in seen.runs] == [1, 1, 2, 2] and {run.layer for run in seen.runs} == {"0"}
    seen, _ = watch(Conv2D(2, 3, 3), fed((1, 2, 5, 5)))
    assert sum(run.bias_adds for run in seen.runs) == 27
    seen, _ = watch(Linear(4, 3), fed((5, 4)))
    assert sum(run.macs for run in seen.runs) == 60 and sum(run.bias_adds for run in seen.runs) == 15
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_watch()

# %% [markdown]
# ## Step 4: from ops to layers
#
# Ten layers may run thirty ops. A reader wants a row for each layer. So the ops of one call become one row, and their
# counts are added up. An op that a layer with other layers inside runs itself, such as the `+` of a residual
# connection, is a row of its own. So is an activation of module 02, which is a function and holds nothing.
#
# Memory needs thought. A layer that computes `x @ W + b` makes two blocks, the product and the sum with the bias, but
# only the second leaves the layer. A row's **outputs** are the blocks that somebody outside reads later, or that the
# model returns:
#
# ```
#     x ----> [ matmul --> product --> add --> sum ] ----> relu
#   read                     inside              output
# ```
#
# Parameters that two rows share (tied weights) count in the first.


# %% nbgrader={"grade": false, "grade_id": "rows", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@dataclass(frozen=True)
class Row:
    """One call of a layer, or one op between layers."""

    name: str
    kind: str
    shape: tuple[int, ...]
    params: int
    macs: int
    bias_adds: int
    reads: tuple[int, ...]  # blocks that were made outside
    outputs: tuple[int, ...]  # new blocks that are read outside, or returned
    output_bytes: int
    seconds: float

    @property
    def flops(self) -> int:
        """The headline: 2 for each MAC."""
        return 2 * self.macs


def returned(result: Any) -> list[Tensor]:
    """The tensors in what a model returned: one, or those in a tuple, list or dictionary."""
    if isinstance(result, Tensor):
        return [result]
    values = result.values() if isinstance(result, dict) else result if isinstance(result, (tuple, list)) else ()
    return [tensor for value in values for tensor in returned(value)]


def row_of(runs: Sequence[OpRun], wanted: set[int], sizes: Sequence[int], counted: set[int]) -> Row:
    """One row from the ops of one call.

    `wanted` are the blocks that other calls read, or that are returned; `counted` are ids of parameters that earlier
    rows have, to which this one's are added.

    TODO: work out params, macs, bias_adds, made, reads, outputs and seconds.
    Approach:
      1. Put every parameter of the runs whose id is not in counted into `fresh`, by id; add the ids to counted.
      2. `made` is a list of the blocks that these runs made and did not read first: makes that are not in reads of that
         run, each once.
      3. `reads` are the blocks that the runs read and did not make. `outputs` are those of made that are wanted; if
         none is, the last one made.
    Hint: dict.fromkeys(...) keeps the order and drops what comes twice.
    """
    ### BEGIN SOLUTION
    fresh = {id(each): each for run in runs for each in run.parameters if id(each) not in counted}
    counted.update(fresh)
    params = sum(each.size for each in fresh.values())
    macs, bias_adds = sum(run.macs for run in runs), sum(run.bias_adds for run in runs)
    made = list(dict.fromkeys(run.makes for run in runs if run.makes not in run.reads))
    reads = tuple(dict.fromkeys(block for run in runs for block in run.reads if block not in made))
    outputs = tuple(block for block in made if block in wanted) or tuple(made[-1:])
    seconds = sum(run.seconds for run in runs)
    ### END SOLUTION
    first, last = runs[0], runs[-1]
    name = first.layer if first.kind != first.op else f"{first.layer}.{first.op}".strip(".")
    total = sum(sizes[block] for block in outputs)
    return Row(name or first.kind, first.kind, last.shape, params, macs, bias_adds, reads, outputs, total, seconds)


def rows_of(seen: Watch, result: Any) -> list[Row]:
    """The rows of a forward pass, in its order."""
    calls: dict[int, list[OpRun]] = {}
    for run in seen.runs:
        calls.setdefault(run.call, []).append(run)
    final = {seen.block(tensor) for tensor in returned(result)}
    readers: dict[int, set[int]] = {}
    for run in seen.runs:
        for block in run.reads:
            readers.setdefault(block, set()).add(run.call)
    counted: set[int] = set()
    rows = []
    for call, runs in calls.items():
        wanted = final | {block for block, who in readers.items() if who - {call}}
        rows.append(row_of(runs, wanted, seen.sizes, counted))
    return rows


# %% nbgrader={"grade": true, "grade_id": "test-rows", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def _rows(model: Any, shape: tuple[int, ...]) -> list[Row]:
    return rows_of(*watch(model, fed(shape)))


def test_unit_rows() -> None:
    """One row for each call, what leaves it is its output, and shared parameters count once."""
    rows = _rows(Sequential(_TwoOps(4, 3), ReLU(), Flatten(), Linear(3, 2)), (5, 4))
    assert [(row.name, row.kind) for row in rows] == [
        ("0", "_TwoOps"),
        ("relu", "relu"),
        ("2", "Flatten"),
        ("3", "Linear"),
    ]
    assert [(row.params, row.macs, row.bias_adds) for row in rows] == [(15, 60, 15), (0, 0, 0), (0, 0, 0), (8, 30, 10)]
    assert [row.output_bytes for row in rows] == [60, 60, 0, 40], (
        "the product before its bias stays inside; a view is free"
    )
    assert [row.reads for row in rows] == [(0,), (2,), (3,), (3,)] and rows[0].outputs == (2,)
    assert rows[0].flops == 120
    ### BEGIN HIDDEN TESTS
    same = Linear(3, 3)
    rows = _rows(Sequential(same, ReLU(), same), (2, 3))
    assert [row.params for row in rows] == [12, 0, 0] and [row.macs for row in rows] == [18, 0, 18]
    rows = _rows(_Residual(3), (2, 3))
    assert [row.name for row in rows] == ["inner", "relu", "add"]
    assert set(rows[2].reads) == {0, *rows[1].outputs} and rows[2].output_bytes == 24
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_rows()

# %% [markdown]
# ## Step 5: four numbers called memory
#
# "How much memory does it need?" has several right answers. For our network with the sizes 4, 3, 2, a ReLU between, and
# a batch of 5:
#
# - **All outputs**, `activation_bytes`: the output of every row once. 60 + 60 + 40 = 160 bytes.
# - **Largest live**, `live_bytes`: what must exist at the same time when everything is freed as soon as nobody reads it
#   again. While a row runs, its reads and its outputs exist, and whatever a later row will read:
#
# ```
#   row       block 0 (80)   block 1 (60)   block 2 (60)   block 3 (40)    together
#   Linear    read           written                                       140   <- the largest
#   ReLU                     read           written                        120
#   Linear                                  read           written         100
# ```
#
# - **The tape**, `tape_bytes`: what the origins hold for a backward pass. Every input of every op and every result, and
#   what ops saved for their derivatives. Nothing is freed until backward.
# - **The peak**, `peak_bytes`: measured. NumPy reports what it allocates to Python's `tracemalloc`, which remembers the
#   highest point. The peak is at least the largest live: it sees what is made inside a layer, such as the patches of
#   a convolution or a product before its bias, and whatever a variable keeps for longer than it has to.
#
# The first two are properties of the network and the same in every framework; `tito analyze memory` gives the same
# numbers for them. The last two are properties of ours. What `tito analyze` calls "kept for backward" is the least that
# any framework must keep; our tape also keeps inputs of ReLUs, patches, and products to which a bias was added in an op
# of its own. And since we count in evaluation mode, dropout has neither an output nor a mask here.
#
# You write the second. The walk over the tape is given: it goes from the result to the inputs as `backward` does, and
# adds up each block once, without the parameters, which exist anyway.


# %% nbgrader={"grade": false, "grade_id": "memory", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def largest_live(rows: Sequence[Row], sizes: Sequence[int]) -> int:
    """The largest number of bytes that exist at once when each block is freed after the last row that touches it.

    TODO: walk over the rows with the set of blocks that are alive.
    Approach:
      1. For each block, note the last row that has it among its reads or outputs.
      2. Start with block 0, the input, alive. For each row: add its reads and outputs; the bytes of all that is alive
         are a candidate for the largest; then drop the blocks whose last row this is.
    Example: the table above gives 140.
    """
    ### BEGIN SOLUTION
    last = {0: -1}
    for number, row in enumerate(rows):
        for block in (*row.reads, *row.outputs):
            last[block] = number
    alive, largest = {0}, 0
    for number, row in enumerate(rows):
        alive |= {*row.reads, *row.outputs}
        largest = max(largest, sum(sizes[block] for block in alive))
        alive = {block for block in alive if last[block] > number}
    return largest
    ### END SOLUTION


def _arrays(value: Any) -> list[Array]:
    """The arrays in a value, also inside tuples, lists and dictionaries."""
    if isinstance(value, np.ndarray):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return [array for each in inside for array in _arrays(each)]


def tape_bytes(result: Any, parameters: Sequence[Tensor]) -> int:
    """Bytes that origins keep for a backward pass from result: inputs, results and what ops saved, each block once."""
    waiting, seen = returned(result), set()
    blocks: dict[int, Array] = {}
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        arrays = [tensor.numpy()]
        if tensor.origin is not None:
            waiting += tensor.origin.inputs
            arrays += _arrays(tensor.origin.saved) + _arrays(tensor.origin.params)
        blocks.update((id(owner(array)), owner(array)) for array in arrays)
    own = {id(owner(parameter.numpy())) for parameter in parameters}
    return sum(array.nbytes for key, array in blocks.items() if key not in own)


def peak_bytes(work: Callable[[], object]) -> int:
    """The most bytes that existed at once, of those that work allocated; NumPy tells tracemalloc of its arrays."""
    work()  # once unwatched: what the first run caches is not part of it
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not tracing:
            tracemalloc.stop()


# %% nbgrader={"grade": true, "grade_id": "test-memory", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_memory() -> None:
    """The largest live is that of the table; a residual connection keeps its input alive for longer."""

    def live(model: Any, shape: tuple[int, ...]) -> int:
        seen, result = watch(model, fed(shape))
        return largest_live(rows_of(seen, result), seen.sizes)

    assert live(Sequential(Linear(4, 3), ReLU(), Linear(3, 2)), (5, 4)) == 140
    assert live(_Residual(100), (1, 100)) == 1200, "x waits for the sum while relu reads one block and writes another"
    assert live(Sequential(Linear(100, 100), ReLU()), (1, 100)) == 800
    assert live(Flatten(), (2, 3, 4)) == 96, "a view takes nothing"
    deep = Sequential([Linear(10, 10) for _ in range(30)])
    assert live(deep, (1, 10)) == 80, "depth costs nothing at inference"
    ### BEGIN HIDDEN TESTS
    assert live(Sequential(Linear(10, 40), Linear(40, 20), Linear(20, 1)), (3, 10)) == 3 * 4 * 60
    nested = Sequential(_Residual(8), _Residual(8))
    assert live(nested, (1, 8)) == 96
    net = Sequential(_TwoOps(4, 3), ReLU())
    y = net(fed((5, 4)))
    assert tape_bytes(y, net.parameters()) == 80 + 3 * 60, "the input, the product, the sum, the result"
    assert 4_000_000 <= peak_bytes(lambda: np.ones(1_000_000, dtype=np.float32)) < 4_100_000
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_memory()

# %% [markdown]
# ## Step 6: a time that means something
#
# Run the same forward pass twenty times and you get twenty numbers: the first is large, since memory is fetched and
# caches are cold, and now and then one is large because the machine did something else. The mean follows the accident:
#
# ```
#   samples in ms    9.0   1.0   1.1   1.0   1.2   1.1   8.0   1.0   1.1
#   mean 2.72        without the first: 1.94
#   median 1.1       half of the samples are at or below it
#   quartiles 1.0 and 1.2:  the middle half of the samples lies between them; their distance, 0.2, is the spread
# ```
#
# So: **warm up**, runs that are not counted; **repeat**; report the **median** and the **interquartile range** (IQR).
# Both ignore up to a quarter of wild samples on either side. A difference between two programs that is smaller than the
# spread is not a difference yet.
#
# The clock is `time.perf_counter`, which never goes backwards. It is an argument, so that a test can put a clock of its
# own in its place: no verdict about a program should come from a real clock.


# %% nbgrader={"grade": false, "grade_id": "latency", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def spread_of(samples: Sequence[float]) -> dict[str, float]:
    """Median, interquartile range, smallest and largest of samples that are in seconds.

    TODO: return them, in milliseconds, in a dictionary with the keys median_ms, iqr_ms, min_ms and max_ms.
    Example: 0.001, 0.002, 0.003, 0.004, 0.005 seconds have the median 3 and the IQR 2.
    Hint: np.percentile(samples, [25, 50, 75]) gives the three quartiles. Make NumPy's numbers Python floats.
    """
    ### BEGIN SOLUTION
    low, median, high = (float(each) * 1e3 for each in np.percentile(samples, [25, 50, 75]))
    return {"median_ms": median, "iqr_ms": high - low, "min_ms": min(samples) * 1e3, "max_ms": max(samples) * 1e3}
    ### END SOLUTION


def time_runs(work: Callable[[], object], warmup: int, iterations: int, clock: Callable[[], float]) -> list[float]:
    """Seconds of each of some runs of work, after a warm-up.

    TODO: run work `warmup` times; then `iterations` times, each between two readings of the clock.
    Hint: read the clock right before and right after work() and nowhere else.
    Raises ValueError for fewer than one iteration, or a negative warm-up.
    """
    if iterations < 1 or warmup < 0:
        raise ValueError(
            f"timing needs iterations of at least 1 and a warmup of at least 0, got {iterations}, {warmup}"
        )
    ### BEGIN SOLUTION
    for _ in range(warmup):
        work()
    samples = []
    for _ in range(iterations):
        start = clock()
        work()
        samples.append(clock() - start)
    return samples
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-latency", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_latency() -> None:
    """Warm-up runs are not counted, each iteration is timed alone, and one accident does not change the median."""
    now, durations = [0.0], iter([50.0, 9.0, 1.0, 5.0, 3.0, 2.0, 400.0])

    def work() -> None:
        now[0] += next(durations)

    samples = time_runs(work, warmup=2, iterations=5, clock=lambda: now[0])
    assert samples == [1.0, 5.0, 3.0, 2.0, 400.0]
    found = spread_of(samples)
    assert (found["median_ms"], found["iqr_ms"], found["min_ms"], found["max_ms"]) == (3000, 3000, 1000, 400_000)
    ### BEGIN HIDDEN TESTS
    assert spread_of([0.002]) == {"median_ms": 2.0, "iqr_ms": 0.0, "min_ms": 2.0, "max_ms": 2.0}
    runs: list[int] = []
    time_runs(lambda: runs.append(1), warmup=0, iterations=3, clock=lambda: 0.0)
    assert len(runs) == 3
    for wrong in ((0, 0), (-1, 5)):
        try:
            time_runs(work, *wrong, clock=lambda: 0.0)
        except ValueError as error:
            assert "at least" in str(error)
        else:
            raise AssertionError(f"warmup and iterations {wrong} should be refused")
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_latency()

# %% [markdown]
# ## Step 7: the profiler
#
# The pieces are there; the class puts them behind names. A model is fed a Tensor, or you give the shape of one as a
# tuple, batch first. Results are dictionaries of plain numbers, which can be written as JSON.


# %% nbgrader={"grade": false, "grade_id": "profiler", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Profiler:
    """What a model costs: counts, which are exact, and times, which have a spread.

    Every forward pass is in evaluation mode. Methods return what they found; the two profiles also print it, unless the
    profiler was made with show=False.
    """

    def __init__(self, show: bool = True, clock: Callable[[], float] = time.perf_counter) -> None:
        """Remember whether to print, and which clock to read."""
        self.show = show
        self.clock = clock

    def count_parameters(self, model: Module) -> int:
        """Numbers that training changes; shared ones count once.

        TODO: add up the sizes. Hint: parameters() of module 03 lists each once.
        """
        ### BEGIN SOLUTION
        return sum(parameter.size for parameter in model.parameters())
        ### END SOLUTION

    def count_flops(self, model: Any, input_shape: Any) -> int:
        """FLOPs of a forward pass: 2 for each MAC of products and convolutions, and nothing else.

        TODO: watch the model run on fed(input_shape), and add up.
        Example: Linear(128, 64) on (1, 128) takes 16,384.
        input_shape has the batch first; a Tensor in its place is fed as it is.
        """
        ### BEGIN SOLUTION
        seen, _ = watch(model, fed(input_shape))
        return 2 * sum(run.macs for run in seen.runs)
        ### END SOLUTION

    def count_bias_adds(self, model: Any, input_shape: Any) -> int:
        """Additions of biases in a forward pass, which are not in the FLOPs."""
        seen, _ = watch(model, fed(input_shape))
        return sum(run.bias_adds for run in seen.runs)

    def measure_memory(self, model: Module, x: Any) -> dict[str, int]:
        """Bytes of a forward pass, by name.

        Counted: param_bytes, buffer_bytes, activation_bytes (all outputs), live_bytes (largest live), inference_bytes
        (parameters, buffers and largest live). Of this framework: tape_bytes (what origins keep for a backward pass),
        peak_bytes (the input, and the most that was allocated at once, measured).
        """
        x = fed(x)
        seen, result = watch(model, x)
        rows = rows_of(seen, result)
        parameters = model.parameters()
        bytes_of = {
            "param_bytes": sum(parameter.numpy().nbytes for parameter in parameters),
            "buffer_bytes": sum(buffer.numpy().nbytes for _, buffer in model.named_buffers()),
            "activation_bytes": sum(row.output_bytes for row in rows),
            "live_bytes": largest_live(rows, seen.sizes),
        }
        bytes_of["inference_bytes"] = sum(bytes_of[each] for each in ("param_bytes", "buffer_bytes", "live_bytes"))
        del seen, result, rows
        with inference(model, gradients=True):
            bytes_of["tape_bytes"] = tape_bytes(model(x), parameters)
        with inference(model):
            bytes_of["peak_bytes"] = owner(x.numpy()).nbytes + peak_bytes(lambda: model(x))
        return bytes_of

    def measure_latency(self, model: Any, x: Any, warmup: int = 3, iterations: int = 20) -> dict[str, float]:
        """Milliseconds of a forward pass: median_ms, iqr_ms, min_ms and max_ms, with warmup and iterations as asked.

        TODO: time model(x) with time_runs, inside `inference(model)`, and give the samples to spread_of.
        """
        x = fed(x)
        ### BEGIN SOLUTION
        with inference(model):
            found = spread_of(time_runs(lambda: model(x), warmup, iterations, self.clock))
        ### END SOLUTION
        return {**found, "warmup": warmup, "iterations": iterations}

    def profile_layer(self, layer: Module, x: Any, warmup: int = 3, iterations: int = 20) -> dict[str, Any]:
        """One layer, or any model, as a whole: counts, latency, and what these two give together.

        Keys: kind, input_shape, output_shape, params, param_bytes, macs, flops, bias_adds, output_bytes, the keys of
        measure_latency, and gflops_per_s, 0 where the median is 0.
        """
        x = fed(x)
        seen, result = watch(layer, x)
        tensors = returned(result)
        macs = sum(run.macs for run in seen.runs)
        found: dict[str, Any] = {
            "kind": type(layer).__name__,
            "input_shape": x.shape,
            "output_shape": tensors[0].shape if tensors else (),
            "params": self.count_parameters(layer),
            "param_bytes": sum(parameter.numpy().nbytes for parameter in layer.parameters()),
            "macs": macs,
            "flops": 2 * macs,
            "bias_adds": sum(run.bias_adds for run in seen.runs),
            "output_bytes": sum(tensor.numpy().nbytes for tensor in tensors),
            **self.measure_latency(layer, x, warmup, iterations),
        }
        found["gflops_per_s"] = _rate(found["flops"], found["median_ms"])
        if self.show:
            print(f"{found['kind']} on {found['input_shape']} -> {found['output_shape']}")
            print(
                f"  {found['params']:,} parameters, {found['flops']:,} FLOPs and {found['bias_adds']:,} bias additions"
            )
            print(f"  {found['median_ms']:.3f} ms (IQR {found['iqr_ms']:.3f}), {found['gflops_per_s']:.2f} GFLOP/s\n")
        return found

    def profile_forward(self, model: Any, x: Any, warmup: int = 2, iterations: int = 10) -> dict[str, Any]:
        """A forward pass taken apart, row by row.

        Returns `layers`, a list of dictionaries in the order of the pass (name, kind, output_shape, params, macs,
        flops, bias_adds, output_bytes, median_ms, iqr_ms); `totals` of the four counts; `latency` of the whole,
        unwatched.
        """
        x = fed(x)
        latency = self.measure_latency(model, x, warmup, iterations)
        passes = [rows_of(*watch(model, x, self.clock)) for _ in range(iterations)]
        if len({len(rows) for rows in passes}) > 1:
            raise RuntimeError(
                "the model ran another number of ops each time: profile it on an input where it does not"
            )
        layers = []
        for same in zip(*passes, strict=True):
            row, found = same[0], spread_of([each.seconds for each in same])
            layers.append(
                {
                    "name": row.name,
                    "kind": row.kind,
                    "output_shape": row.shape,
                    "params": row.params,
                    "macs": row.macs,
                    "flops": row.flops,
                    "bias_adds": row.bias_adds,
                    "output_bytes": row.output_bytes,
                    "median_ms": found["median_ms"],
                    "iqr_ms": found["iqr_ms"],
                }
            )
        totals = {key: sum(each[key] for each in layers) for key in ("params", "macs", "flops", "bias_adds")}
        if isinstance(model, Module):
            totals["params"] = self.count_parameters(model)  # also those that this pass did not use
        if self.show:
            _print_profile(layers, totals, latency)
        return {"layers": layers, "totals": totals, "latency": latency}


def _rate(flops: int, milliseconds: float) -> float:
    """GFLOP/s."""
    return flops / milliseconds / 1e6 if milliseconds else 0.0


def _print_profile(layers: Sequence[dict[str, Any]], totals: dict[str, int], latency: dict[str, float]) -> None:
    """A table of layers with their shares of FLOPs and time."""
    time_of = sum(each["median_ms"] for each in layers)
    rows = [["layer", "kind", "output", "params", "FLOPs", "share", "ms", "share", "GFLOP/s"]]
    for each in layers:
        shares = [part / whole if whole else 0 for part, whole in
                  ((each["flops"], totals["flops"]), (each["median_ms"], time_of))]  # fmt: skip
        shape = "x".join(map(str, each["output_shape"]))
        numbers = [f"{each['params']:,}", f"{each['flops']:,}", f"{shares[0]:.1%}", f"{each['median_ms']:.3f}"]
        numbers += [f"{shares[1]:.1%}", f"{_rate(each['flops'], each['median_ms']):.2f}"]
        rows.append([each["name"], each["kind"], shape, *numbers])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if n < 3 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells))
    print(f"{totals['params']:,} parameters, {totals['flops']:,} FLOPs and {totals['bias_adds']:,} bias additions")
    print(f"whole pass: {latency['median_ms']:.3f} ms (IQR {latency['iqr_ms']:.3f})\n")


# %% nbgrader={"grade": true, "grade_id": "test-profiler", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
def test_unit_profiler() -> None:
    """Counts are exact for any batch, and latency is the median of the runs that were asked for."""
    now, calls = [0.0], []

    class Slow(Linear):
        """A layer that takes 1, 2, 3, ... seconds on the clock of this test."""

        def forward(self, x: Tensor) -> Tensor:
            """x (..., in) -> (..., out)."""
            calls.append(x.shape)
            now[0] += len(calls)
            return super().forward(x)

    profiler = Profiler(show=False, clock=lambda: now[0])
    assert profiler.count_parameters(Sequential(Linear(784, 256), ReLU(), Linear(256, 10))) == 203_530
    assert profiler.count_flops(Linear(128, 64), (1, 128)) == 16_384
    assert profiler.count_flops(Linear(128, 64), (32, 128)) == 32 * 16_384
    assert profiler.count_flops(Conv2D(3, 64, 3), (1, 3, 32, 32)) == 3_110_400
    assert profiler.count_bias_adds(Conv2D(3, 64, 3), (1, 3, 32, 32)) == 57_600
    slow = Slow(3, 3)
    found = profiler.measure_latency(slow, (1, 3), warmup=2, iterations=5)
    assert len(calls) == 7, "two runs to warm up, five to measure"
    assert found["median_ms"] == 5000 and (found["min_ms"], found["max_ms"]) == (3000, 7000)
    assert slow.training, "the model is left in the mode it had"
    ### BEGIN HIDDEN TESTS
    tied = Sequential(slow, slow)
    assert profiler.count_parameters(tied) == 12 and profiler.count_flops(tied, (4, 3)) == 2 * 2 * 4 * 9
    assert found["warmup"] == 2 and found["iterations"] == 5 and found["iqr_ms"] == 2000
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_profiler()

# %% [markdown]
# ## Step 8: count before you measure
#
# A network for grey images of 28x28, in the manner of LeNet. Float32, a batch of one:
#
# ```
#   layer                   output        MACs                        bias additions   parameters
#   Conv2D(1, 6, 5)         (6, 24, 24)   3,456 * 25   =  86,400               3,456          156
#   ReLU, MaxPool2D(2)      (6, 12, 12)
#   Conv2D(6, 16, 5)        (16, 8, 8)    1,024 * 150  =      ?                    ?            ?
#   ReLU, MaxPool2D(2)      (16, 4, 4)
#   Flatten                 (256,)
#   Linear(256, 120)        (120,)        120 * 256    =  30,720                 120       30,840
#   ReLU
#   Linear(120, 10)         (10,)         10 * 120     =   1,200                  10        1,210
# ```
#
# **Your turn**, on paper: the MACs, bias additions and parameters of the second convolution; the FLOPs of the whole
# network; the bytes of its parameters; the largest live bytes, at the row where they are largest; and the share of the
# FLOPs, in whole per cent, of the layer that holds most of the parameters.


# %% nbgrader={"grade": false, "grade_id": "count-lenet", "locked": false, "schema_version": 3, "solution": true, "task": false}
def digit_network() -> Sequential:
    """The network of the table."""
    body = [Conv2D(1, 6, 5), ReLU(), MaxPool2D((2, 2)), Conv2D(6, 16, 5), ReLU(), MaxPool2D((2, 2))]
    return Sequential(*body, Flatten(), Linear(256, 120), ReLU(), Linear(120, 10))


def count_digit_network() -> dict[str, int]:
    """Seven numbers of the network in the table.

    TODO: assign them to macs, bias_adds, params, flops, param_bytes, live_bytes, share.
    Example: for the first convolution macs, bias_adds and params are 86400, 3456 and 156.
    Hint: which row reads and writes the largest blocks?
    """
    ### BEGIN SOLUTION
    macs = 16 * 8 * 8 * (6 * 5 * 5)
    bias_adds = 16 * 8 * 8
    params = 16 * 6 * 5 * 5 + 16
    flops = 2 * (86_400 + macs + 30_720 + 1_200)
    param_bytes = 4 * (156 + params + 30_840 + 1_210)
    live_bytes = 2 * 4 * 3_456
    share = round(100 * 2 * 30_720 / flops)
    ### END SOLUTION
    counts = {"macs": macs, "bias_adds": bias_adds, "params": params, "flops": flops}
    return {**counts, "param_bytes": param_bytes, "live_bytes": live_bytes, "share": share}


# %% nbgrader={"grade": true, "grade_id": "test-count-lenet", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_unit_count_digit_network() -> None:
    """The numbers on paper are those of the real network."""
    counts, net, profiler = count_digit_network(), digit_network(), Profiler(show=False)
    rows = _rows(net, (1, 1, 28, 28))
    second = rows[3]
    assert counts["macs"] == second.macs, "macs: 1,024 results, each a sum of 6 * 5 * 5 products"
    assert counts["bias_adds"] == second.bias_adds, "bias_adds: one for each result"
    assert counts["params"] == second.params, "params: 16 kernels of 6x5x5, and 16 biases"
    assert counts["flops"] == profiler.count_flops(net, (1, 1, 28, 28)), "flops: 2 for each MAC, without biases"
    memory = profiler.measure_memory(net, (1, 1, 28, 28))
    assert counts["param_bytes"] == memory["param_bytes"], "param_bytes: 4 for each parameter"
    assert counts["live_bytes"] == memory["live_bytes"], (
        "live_bytes: the first ReLU reads 3,456 numbers and writes 3,456"
    )
    linear = max(rows, key=lambda row: row.params)
    assert counts["share"] == round(100 * linear.flops / counts["flops"]), "share: of Linear(256, 120)"


if __name__ == "__main__":
    test_unit_count_digit_network()

# %% [markdown]
# The layer with 89% of the parameters does 11% of the work, and the two convolutions, with 7% of the parameters, do
# 88%. Whoever wants a smaller file looks at one layer, whoever wants a faster network at others.
#
# ## Where the time goes
#
# The table of this network on a batch of 32. ReLU and pooling have no FLOPs in our count. Which share of the time do
# they take together? And which of the four layers with products reaches the most GFLOP/s? write your guess: ___


# %%
def analyze_digit_network() -> None:
    """Print the profile of the network, and what rows without FLOPs take of the time."""
    manual_seed(0)
    found = Profiler().profile_forward(digit_network(), (32, 1, 28, 28))
    whole = sum(each["median_ms"] for each in found["layers"])
    rest = sum(each["median_ms"] for each in found["layers"] if not each["flops"])
    print(f"rows without FLOPs take {rest / whole:.0%} of the time")


if __name__ == "__main__":
    analyze_digit_network()

# %% [markdown]
# Where this was written they took a fifth of the time, the first pooling alone a tenth: it goes through 442,368 bytes
# in four passes, each over every second pixel. `Linear(256, 120)` reached 60 GFLOP/s, the convolutions 20 and 28, since
# they also gather patches, and `Linear(120, 10)` only 8: it is over before it has begun. So FLOPs predict the time of a
# large product and little else. Where a row's share of the time is far above its share of the FLOPs, one pays for
# memory or for overhead, and fewer bytes or fewer calls help more than less arithmetic.
#
# ## Which memory grows with what
#
# Four numbers called memory, for batches of 1, 8 and 64. Which of them grow with the batch? By which factor is the tape
# larger than all outputs? And does the peak of inference grow with the depth? write your guess: ___


# %%
def analyze_memory_of_batches() -> None:
    """Print the numbers of step 5 by batch and by depth."""
    manual_seed(0)
    profiler, net = Profiler(show=False), digit_network()
    keys = ("param_bytes", "activation_bytes", "live_bytes", "peak_bytes", "tape_bytes")
    print(f"{'network':<22}" + "".join(f"{key:>18}" for key in keys))
    for batch in (1, 8, 64):
        found = profiler.measure_memory(net, (batch, 1, 28, 28))
        print(f"{f'digits, batch {batch}':<22}" + "".join(f"{found[key]:>18,}" for key in keys))
    for depth in (2, 8, 32):
        layers = [layer for _ in range(depth) for layer in (Linear(64, 64), ReLU())]
        found = profiler.measure_memory(Sequential(*layers), (64, 64))
        print(f"{f'linear, depth {depth}':<22}" + "".join(f"{found[key]:>18,}" for key in keys))
    print()


if __name__ == "__main__":
    analyze_memory_of_batches()

# %% [markdown]
# Everything but the parameters grows with the batch. The tape of the digit network is 3.4 times all outputs: it also
# holds the input and the patches of each convolution, 25 numbers for every position and input channel. In the chain of
# depth d it is 1 + 2 d blocks of 16,384 bytes: the input, and for each layer the sum with the bias and the ReLU. (If
# your `Linear` is `x @ W + b`, the product before the bias is a third.) At inference the largest live, 2 blocks, stays
# what it is at any depth, and so does the peak, 4 blocks: the model's input, the layer's input, its result, and another
# that NumPy has for a moment while it adds one bias to many rows. That is the difference between running a model and
# training it.
#
# ## What watching costs
#
# The observer takes time for every op: it walks up the call stack and looks up arrays. It does so outside the times it
# reports, but the program runs slower all the same. By which factor, for a chain of small layers and for the network
# above? And what does the gate cost when nobody watches? write your guess: ___


# %%
def analyze_cost_of_watching() -> None:
    """Print the time of a forward pass with and without the watch, for small and for larger layers."""
    manual_seed(0)
    profiler = Profiler(show=False)
    small = Sequential([Linear(8, 8) for _ in range(50)])
    print(f"{'model':<24}{'ops':>6}{'unwatched ms':>14}{'watched ms':>12}{'us per op':>11}")
    for name, model, shape in (("50 small layers", small, (1, 8)), ("digits", digit_network(), (32, 1, 28, 28))):
        x = fed(shape)
        plain = profiler.measure_latency(model, x, iterations=30)["median_ms"]
        seen, _ = watch(model, x)
        watched = spread_of(time_runs(lambda m=model, x=x: watch(m, x), 3, 30, time.perf_counter))["median_ms"]
        each = (watched - plain) / len(seen.runs) * 1e3
        print(f"{name:<24}{len(seen.runs):>6}{plain:>14.3f}{watched:>12.3f}{each:>11.1f}")
    print()


if __name__ == "__main__":
    analyze_cost_of_watching()

# %% [markdown]
# Where this was written, 17 microseconds for each op of the chain, which made it eight times slower; the digit network
# took 1.4 times as long. That is why `profile_forward` takes the latency of the whole from runs that nobody watches,
# and the rows from others. When no one watches, the gate asks one question for each op: is the list of observers empty?
#
# ## All together
#
# The profiler on a network that has everything: convolutions, pooling, a residual connection, a layer used twice. Its
# rows add up to its totals, what is measured contains what is counted, and the model computes the same afterwards.


# %% nbgrader={"grade": true, "grade_id": "test-module-profiling", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
def test_module_profiling() -> None:
    """Rows add up to totals, counts scale with the batch, memory is ordered, and the model is left as it was."""
    manual_seed(0)

    class Residual(Module):
        """x + relu(inner(x))."""

        def __init__(self) -> None:
            self.inner = Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            """x (N, 8) -> the same shape."""
            return x + relu(self.inner(x))

    shared = Residual()
    net = Sequential(Conv2D(1, 4, 3), ReLU(), MaxPool2D((2, 2)), Flatten(), Linear(36, 8), shared, shared, Linear(8, 2))
    net.layers.append(Dropout(0.5))
    x = fed((6, 1, 8, 8))
    before, state = net.eval()(x).tolist(), net.train().state_dict()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        profiler = Profiler()
        found = profiler.profile_forward(net, x, warmup=0, iterations=2)
        one = profiler.profile_layer(net, x, warmup=0, iterations=2)
    layers, totals = found["layers"], found["totals"]
    macs = 6 * (4 * 36 * 9 + 36 * 8 + 2 * 64 + 16)
    assert totals["macs"] == macs and totals["flops"] == one["flops"] == profiler.count_flops(net, x) == 2 * macs
    assert profiler.count_flops(net, (12, 1, 8, 8)) == 4 * macs, "FLOPs are linear in the batch"
    assert totals["bias_adds"] == one["bias_adds"] == 6 * (4 * 36 + 8 + 2 * 8 + 2)
    assert totals["params"] == sum(each["params"] for each in layers) == profiler.count_parameters(net) == 426
    assert [each["kind"] for each in layers[4:8]] == ["Linear", "Linear", "relu", "add"]
    assert "5.inner" in printed.getvalue() and "GFLOP/s" in printed.getvalue()
    memory = profiler.measure_memory(net, x)
    assert (
        memory["param_bytes"] == 4 * 426 and memory["inference_bytes"] == memory["param_bytes"] + memory["live_bytes"]
    )
    assert memory["live_bytes"] <= memory["peak_bytes"] and memory["activation_bytes"] <= memory["tape_bytes"]
    assert all(module.training for module in net.modules()) and grad_mode.enabled
    assert net.eval()(x).tolist() == before
    assert all((array == net.state_dict()[name]).all() for name, array in state.items())


if __name__ == "__main__":
    test_module_profiling()

# %% [markdown]
# ## Reflection 1: the wrong layer (10 points)
#
# A colleague shows you a profile: `Linear(9216, 4096)` holds 60% of the parameters of a network and takes 35% of the
# time at batch 1. At batch 64 it takes 8%. He wants to replace it by a convolution "because it has the most FLOPs per
# parameter". Explain the numbers: count FLOPs and bytes of weights at both batches, say what limits the layer at each,
# and judge his plan. Write 150 to 300 words.
#
# - (3 points) right counts: weights and their bytes, FLOPs at batch 1 and 64
# - (3 points) at batch 1 reading the weights limits it, at batch 64 the arithmetic; FLOPs for each byte read
# - (2 points) a linear layer has the fewest FLOPs per parameter (2 for each example); a convolution uses each at every
#   position
# - (2 points) a plan that fits the use: fewer or smaller weights for batch 1, nothing at batch 64

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-layer", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# The layer has 9,216 * 4,096 = 37,748,736 weights, 151 MB in float32. For one example it does as many MACs, 75.5
# MFLOPs. Each weight is read from memory and used once: 2 FLOPs for 4 bytes, half a FLOP for each byte. A machine that
# reads 20 GB/s needs 7.5 ms for the weights alone, while 75.5 MFLOPs take it about a millisecond. So at batch 1 the
# layer waits for memory, and its time says nothing of its FLOPs.
#
# At batch 64 the FLOPs are 4.83 G, but the weights are read once for all examples, so there are 32 FLOPs for each byte.
# Now arithmetic is the limit, the processor works at its full rate, and the layer takes about as large a share of the
# time as of the FLOPs. The convolutions before it grew by 64 in both, since they were limited by arithmetic from the
# start.
#
# The reason he gives is the wrong way round. A linear layer uses each parameter once for an example, 2 FLOPs, which is
# the fewest possible. A convolution uses each at every position, often a thousand times, so it has far more FLOPs for
# each parameter.
#
# What to do depends on the use. If the network serves single requests, the bytes are the problem: store the weights in
# 1 byte each, prune them, or put a pooling in front so that there are fewer inputs; a convolution with few weights
# would help, too, because it reads less, not because it computes less. If it runs in batches of 64, I would leave the
# layer and look at the other 92% of the time.

# %% [markdown]
# ## Reflection 2: an honest benchmark (10 points)
#
# A report says: "Our new kernel is 12% faster: 1.76 ms against 2.00 ms, measured as the mean of 5 runs each, first the
# old one, then the new one." Name what could be wrong with this measurement, and describe one that you would believe:
# what is run, how often, in which order, what is reported, and what would make you say that there is no difference.
# Write 150 to 300 words.
#
# - (3 points) faults: no warm-up, a mean of few samples, the order, no spread
# - (3 points) a design: warm-up, interleaved runs, enough of them, the same inputs, checked results
# - (2 points) median with a spread, and a rule for "no difference"
# - (2 points) conditions to write down: machine, threads, versions, sizes

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-benchmark", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# The old kernel ran first, so it paid for whatever happens once: importing, allocating, filling caches, a processor
# that has not raised its clock rate. One such run of 3 ms among five of 1.75 ms makes a mean of 2.0. Five samples and a
# mean cannot tell such an accident from a difference, and since no spread is given, the reader cannot either. The order
# hides more: if the machine got less busy, or another program ended, the second kernel profits. Nothing is said about
# whether both kernels compute the same.
#
# I would first compare the results of both on the same inputs. Then warm both up, and run them in turn, old, new, old,
# new, so that slow changes of the machine hit both alike, for at least 30 pairs, and repeat the whole in fresh
# processes, because the place of arrays in memory differs between processes and can make a few per cent. One thread,
# nothing else running, and several sizes, small and large, since a kernel that wins on 64 numbers may lose on a
# million.
#
# I would report the median of each, the interquartile range, and the median of the ratios of neighbouring pairs with
# its own range. If that range contains 1, or the difference of the medians is smaller than the spread of either, I
# would write "no difference was found". The minimum is worth adding: disturbances only ever make a run longer.
#
# Beside the numbers stand the processor, the number of threads, the versions of Python, NumPy and its BLAS, the sizes
# and dtypes, and the command that repeats it all.

# %% [markdown]
# ## Reflection 3: counted, measured, left out (10 points)
#
# Your profiler counts a `tanh` as 0 FLOPs, a mask of dropout as no memory, and the patches of a convolution only in the
# tape and the peak. Choose two of the conventions of this module and argue for and against each. Say for which question
# the count is right, for which it misleads, and what should stand beside it. Write 150 to 300 words.
#
# - (4 points) two conventions, each with a case for and a case against, with numbers
# - (3 points) the question that each count answers, and one that it does not
# - (3 points) what a measured number adds, and why it cannot replace the count

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-conventions", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# First, only products count. For a `Linear(1024, 1024)` followed by tanh, an example costs 2,097,152 FLOPs in the
# product and 1,024 values of tanh. Even at 20 operations each that is 1%, and nobody agrees on whether it is 20.
# Leaving them out gives a number that two people get alike and that predicts the time of large layers. It misleads for
# small or narrow layers: in our table of the digit network the rows without FLOPs take a fifth of the time,
# because they read and write as many bytes as their neighbours. So the headline answers "how much arithmetic does this
# architecture ask for?", and not "what shall I make faster?". For that a time by row has to stand beside it.
#
# Second, the largest live leaves out what is inside a layer. A convolution of 5x5 over 6 channels gathers 150 numbers
# for each position: in the digit network 9,600, where its input has 864 and its output 1,024. For comparing
# architectures that is right: patches are a choice of our implementation, and a library that gathers block by block
# needs hardly any. For the question whether the model fits into 2 GB here, on this framework, it is wrong, and the
# measured peak is the answer.
#
# Measured numbers are true of one machine, one version and one input. They contain accidents, need the model to exist,
# and do not say why. Counts can be made on paper before anything is built, are the same for everybody, and scale: twice
# the batch, twice the FLOPs. A difference between the two is where the interesting work begins.

# %% [markdown]
# ## Summary
#
# You built
#
# - rules for the MACs of an op, and a watch that hears of every op and asks the call stack who wanted it;
# - rows for layers, all outputs, the largest live, the tape and the peak;
# - times as median and spread;
# - `Profiler`, whose counts are those of `tito analyze`, from a real forward pass.
#
# The modules that follow make models faster and smaller. Each of them will be judged by this instrument.
#
# next: `tito module test 15_profiling`, then `tito module complete 15_profiling`
