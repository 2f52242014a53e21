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
# # Tensor
#
# A tensor is a block of numbers with a shape: a loss is one number, a sentence is a row of them, a batch of 32 colour
# images of 224 by 224 pixels is an array of shape (32, 3, 224, 224). Everything in this course, from a single layer to
# a language model, is computed on tensors and on nothing else. This module builds that one class.
#
# It builds on no earlier module, only on NumPy. You should know Python functions and classes, and have seen a NumPy
# array.
#
# Afterwards you can
#
# - say how many bytes a tensor takes and where each of its elements lies in memory,
# - write operations as pure functions behind a single gate, so that derivatives can be added later without a change,
# - work out by hand which shapes broadcast, and give an error that tells its reader what to do,
# - tell a view from a copy, and predict which walk through memory is slow.
#
# **Build** a `Tensor` on NumPy arrays. **Use** it for a small network's forward pass. **Reflect** on what layout, dtype
# and the gate cost.
#
# Systems reality check: PyTorch, JAX and TensorFlow have this same core, an array with a shape and a dtype, and one place
# through which every operation passes. Outside large matrix products it is not arithmetic that takes the time in
# production, but moving numbers to the processor and the fixed cost of each call; this module measures both.

# %%
#| default_exp core.tensor
#| export
from __future__ import annotations

import functools
import importlib
import importlib.util
import math
import operator
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray
Axis = int | tuple[int, ...] | None  # one axis, several, or all

# %% [markdown]
# ## Step 1: numbers of one kind
#
# A Python list holds references to objects that lie anywhere in memory; each float object takes 24 bytes, and the list
# another 8 for the reference. An array holds the bare numbers side by side. Its **dtype** says what each of them is:
#
# ```
# np.array([[1, 2, 3], [4, 5, 6]], dtype=float32)
#
#   shape (2, 3)           memory: 6 numbers of 4 bytes = 24 bytes, row after row
#   +---+---+---+          +---+---+---+---+---+---+
#   | 1 | 2 | 3 |          | 1 | 2 | 3 | 4 | 5 | 6 |
#   | 4 | 5 | 6 |          +---+---+---+---+---+---+
#   +---+---+---+          0   4   8   12  16  20     byte
# ```
#
# As lists of floats the six would take 6 x (24 + 8) = 192 bytes, the lists not counted.
#
# We take float32 unless we are told otherwise. It keeps about 7 decimal digits, which is plenty for training, and takes
# half the bytes of Python's and NumPy's float64. Integers (class labels, positions, token numbers) and booleans (masks)
# keep their own dtypes when asked.
#
# Not everything can be a tensor. NumPy takes strings, `None` and rows of different lengths and makes something of
# them: `np.array([None], dtype=np.float32)` is `[nan]`, which would surface much later as a loss that is not a number.
# So this first function refuses what is not a block of numbers, and says why.


# %% nbgrader={"grade": false, "grade_id": "as-array", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _number_dtype(dtype: Any) -> np.dtype:
    """The dtype that is meant, float32 for None; TypeError when it is not one of numbers."""
    wanted = np.dtype(np.float32 if dtype is None else dtype)
    if wanted.kind not in "fiub":  # float, signed integer, unsigned integer, boolean
        raise TypeError(f"a tensor holds floats, integers or booleans, and {wanted.name} is none of these")
    return wanted


def _check_fits(data: Any, wanted: np.dtype) -> None:
    """ValueError for numbers beyond an integer dtype, where a conversion would make 44 of 300 in uint8."""
    if wanted.kind not in "iu":
        return
    try:
        found = np.asarray(data)
    except ValueError:
        return  # rows of different lengths, of which as_array speaks
    if found.dtype == wanted or found.dtype.kind not in "fiu" or not found.size:
        return
    low, high, limits = found.min().item(), found.max().item(), np.iinfo(wanted)
    if not limits.min - 1 < low <= high < limits.max + 1:
        raise ValueError(
            f"numbers from {low} to {high} do not fit into {wanted.name}, which holds {limits.min} to {limits.max}: give "
            "another dtype"
        )


def as_array(data: Any, dtype: Any = np.float32) -> Array:
    """A new array made from a number, nested lists, an array or a Tensor.

    TODO: convert data to an array of the dtype, always as a copy, and refuse what is not a block of numbers.
    Approach: let np.asarray look at data first, without a dtype. Turn its ValueError for rows of different lengths into
    one in plain words. Give the dtype that it found, and the dtype that is wanted, to _number_dtype, which raises
    TypeError for strings, None and other objects. Then make the copy.
    Example: as_array([[1, 2], [3, 4]]) is a float32 array of shape (2, 2); as_array([1, 2], np.int64) stays integer.
    Hint: np.array copies, np.asarray does not if it need not.
    data of any shape -> an array of the same shape. Raises ValueError for ragged rows, TypeError for what is no number.
    """
    _check_fits(data, _number_dtype(dtype))
    ### BEGIN SOLUTION
    wanted = _number_dtype(dtype)
    try:
        found = np.asarray(data)
    except ValueError:
        raise ValueError("cannot make a tensor of rows of different lengths: make every row equally long") from None
    _number_dtype(found.dtype)
    return np.array(found, dtype=wanted)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-as-array", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def _refusal(work: Callable[[], object]) -> str:
    """The message of the error that work raises; the test fails if none comes."""
    try:
        work()
    except (ValueError, TypeError) as error:
        return str(error)
    raise AssertionError("an error should have been raised here, one that says what does not fit")


def test_unit_as_array() -> None:
    """The dtype is the one asked for, the array is a copy, and what is not numbers is refused."""
    array = as_array([[1, 2], [3, 4]])
    assert array.dtype == np.float32 and array.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert as_array([1, 2], np.int64).dtype == np.int64
    assert as_array(3.5).shape == ()
    source = np.zeros(3, dtype=np.float32)
    as_array(source)[0] = 7.0
    assert source[0] == 0.0, "as_array must copy: the caller's array was changed"
    for ragged in ([[1, 2], [3]], [[1.0], [2.0, 3.0]]):
        message = _refusal(lambda ragged=ragged: as_array(ragged))
        assert "different lengths" in message, "the message should say that the rows differ in length"
    ### BEGIN HIDDEN TESTS
    assert as_array(np.float64([0.1])).dtype == np.float32
    assert as_array([True, False], bool).dtype == np.bool_
    for wrong in (["1.5"], [None], None, "text", [object()]):
        assert "none of these" in _refusal(lambda wrong=wrong: as_array(wrong)), f"{wrong!r} is no number"
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_as_array()

# %% [markdown]
# ## Step 2: an operation is a name and a pure function
#
# Training needs derivatives, and module 06 will compute them. To do so it must know, for each number in the program,
# which operation made it from which inputs. We prepare for that now with two small classes, and add nothing later.
#
# - An `Op` is a name and a *pure* function: arrays in, a new array out, nothing else read or changed.
# - An `Origin` is a note on a result: this op, these input tensors, these parameters.
#
# For `loss = (x * w).sum()` with x = [1, 2] and w = [3, 4] the notes form a chain that can be walked back from the end:
#
# ```
#   x [1, 2] ---+
#               +--> mul --> [3, 8] --> sum --> 11
#   w [3, 4] ---+
#
#   11 has the origin      (op sum, inputs ([3, 8],))
#   [3, 8] has the origin  (op mul, inputs (x, w))
# ```
#
# The decorator `@op` makes an `Op` of a function and enters it in the registry `ops` under the function's name, without
# the final `_op` that keeps the name `sum_op` apart from Python's `sum`. A second op of a name, from another module, would
# make the registry ambiguous, so that is an error. This code is given; read it.


# %%
#| export
class Op:
    """One primitive: a name and a pure function from arrays, and keyword parameters, to an array."""

    __slots__ = ("differentiable", "forward", "name", "saves")

    def __init__(
        self, name: str, forward: Callable[..., Any], differentiable: bool = True, saves: bool = False
    ) -> None:
        self.name = name
        self.forward = forward
        self.differentiable = differentiable
        self.saves = saves  # forward returns a pair: the result, and what its derivative will need

    def __repr__(self) -> str:
        return f"<op {self.name}>"


ops: dict[str, Op] = {}


def op(forward: Callable[..., Any] | None = None, *, differentiable: bool = True, saves: bool = False) -> Any:
    """Decorator: make an Op of a function and register it under the function's name, without a final `_op`.

    Raises ValueError for an op of the same name from another module. One that is loaded again replaces its own.
    """
    if forward is None:
        return functools.partial(op, differentiable=differentiable, saves=saves)
    name = forward.__name__.removesuffix("_op")
    if name in ops and ops[name].forward is not forward:
        earlier, later = ops[name].forward.__module__, forward.__module__
        if earlier != later:
            raise ValueError(f"there is an op {name!r} already, from {earlier}: give the one in {later} another name")
    ops[name] = Op(name, forward, differentiable, saves)
    return ops[name]


class Origin:
    """How a tensor was made: the op, its input tensors, its parameters, what forward saved, the inputs' versions."""

    __slots__ = ("inputs", "noted", "op", "params", "saved")

    def __init__(
        self, op: Op, inputs: tuple[Tensor, ...], params: dict[str, Any], saved: Any, versions: Sequence[int]
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.params = params
        self.saved = saved
        self.noted = dict(zip(inputs, versions, strict=True))  # an input that is not in it was at version 0

    @property
    def versions(self) -> list[int]:
        """The version that each input had when the op ran."""
        return [self.noted.get(tensor, 0) for tensor in self.inputs]


class GradMode(threading.local):
    """Whether origins are recorded; each thread has its own."""

    enabled = True


grad_mode = GradMode()


def is_grad_enabled() -> bool:
    """Whether results remember how they were made."""
    return grad_mode.enabled


# %% [markdown]
# ## Step 3: the class
#
# A `Tensor` has `data`, the array; `grad`, an array or `None`, filled by module 06; `requires_grad`, whether anyone wants
# that gradient; `origin`, the note of step 2; and `version`, which counts changes made in place. `__slots__` lists what
# is stored, so that a tensor has no dictionary of its own: it is smaller, made faster, and a slip such as
# `x.require_grad = True` is an error.
#
# Nearly every method is one line and says the same thing: *apply this op*. Four kinds of line are worth a look.
#
# - `x * 2.0` calls `x.__mul__(2.0)`; `2.0 * x` first asks the float, which knows no tensors, and then calls
#   `x.__rmul__(2.0)`. `_infix("mul")` makes both methods, so that the operators are a short table.
# - A NumPy array on the left would take the job and multiply element by element, giving an array of objects. The line
#   `__array_ufunc__ = None` tells it not to.
# - `==` compares element by element, so a tensor's hash must go by identity: two equal parameters are still two.
# - `x[0] = 5` changes numbers that an origin may refer to. It adds one to `version`, so that module 06 can notice, and
#   refuses where a gradient would be lost. Tensors that share memory, as `x` and `x[:1]` do, share the count.
#
# An integer has no neighbours at a small distance, so it has no derivative: an integer tensor that requires gradients is
# an error. The methods name ops that the next steps define; Python looks a name up when the method runs. The class is
# given; read it once, and come back as each step fills in a part.


# %%
#| export
def _infix(name: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """The two methods of an operator: for a tensor on its left, and for one on its right."""
    return lambda self, other: _combine(ops[name], self, other), lambda self, other: _combine(ops[name], other, self)


def _elementwise(name: str, doc: str) -> Callable[[Tensor], Tensor]:
    """The method of an op that takes nothing but the tensor."""

    def method(self: Tensor) -> Tensor:
        return apply(ops[name], self)

    method.__doc__ = doc
    return method


def _reduction(name: str, doc: str) -> Callable[..., Tensor]:
    """The method of an op that reduces over an axis, several, or all; dim and keepdim are PyTorch's names for the two."""

    def method(
        self: Tensor, axis: Axis = None, keepdims: bool = False, *, dim: Axis = None, keepdim: bool = False
    ) -> Tensor:
        return apply(ops[name], self, axis=axis if dim is None else dim, keepdims=keepdims or keepdim)

    method.__doc__ = doc
    return method


class Tensor:
    """An array of numbers that remembers how it was made."""

    __slots__ = ("__weakref__", "_before", "_changes", "data", "grad", "origin", "requires_grad")
    __array_ufunc__ = None  # array + tensor is then our __radd__, not an array of tensors

    def __init__(self, data: Any, dtype: Any = np.float32, requires_grad: bool = False) -> None:
        self.data = as_array(data, dtype)
        self.grad: Array | None = None
        self.requires_grad = requires_grad
        self.origin: Origin | None = None
        self._changes: list[int] | None = None  # one number, which all tensors that share this memory hold
        if requires_grad:
            _check_float(self.data.dtype)

    shape = property(lambda self: self.data.shape, doc="The length of each axis.")
    size = property(lambda self: self.data.size, doc="The number of elements.")
    ndim = property(lambda self: self.data.ndim, doc="The number of axes.")
    dtype = property(lambda self: self.data.dtype, doc="The type of every element.")

    @property
    def version(self) -> int:
        """How often the values were changed in place since this tensor was made, through it or what shares its memory."""
        return self._changes[0] - self._before if self._changes else 0

    @version.setter
    def version(self, version: int) -> None:
        if self._changes is None:
            self._changes, self._before = [0], 0
        self._changes[0] = self._before + version

    def numpy(self) -> Array:
        """The array itself, not a copy; no gradient flows through what is done to it."""
        return self.data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.data, dtype=dtype) if copy else np.asarray(self.data, dtype=dtype)

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.data.tolist()

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.data.size != 1:
            raise RuntimeError(f"a Tensor with {self.data.size} elements cannot be converted to Scalar")
        return self.data.item()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.data.size != 1:
            values = "more than one value" if self.data.size else "no values"
            raise RuntimeError(f"Boolean value of Tensor with {values} is ambiguous")
        return bool(self.data.item())

    def __len__(self) -> int:
        if self.data.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        if self.data.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[index] for index in range(len(self.data)))

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec and self.data.ndim == 0 else str(self), spec)

    def __repr__(self) -> str:
        name = type(self).__name__
        text = np.array2string(self.data, precision=4, separator=", ", prefix=f"{name}(")
        notes = "" if self.dtype == np.float32 else f", dtype={self.dtype}"
        if self.origin is not None:
            notes += f", origin={self.origin.op.name}"
        elif self.requires_grad:
            notes += ", requires_grad=True"
        return f"{name}({text}{notes})"

    def detach(self) -> Tensor:
        """The same values, in the same memory, without the history."""
        return _share_version(_wrap(self.data), self)

    def copy(self) -> Tensor:
        """The same values in new memory; gradients flow through."""
        return apply(copy_op, self)

    def astype(self, dtype: Any) -> Tensor:
        """The values as another dtype; gradients flow through when that is a floating-point one."""
        wanted = _number_dtype(dtype)
        return apply(astype_op if wanted.kind == "f" else discretize_op, self, dtype=wanted)

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Gradients of this tensor for every tensor it was made from that requires them, added to their `.grad`."""
        autograd = sys.modules.get("tinytorch.core.autograd")
        if autograd is None:
            if importlib.util.find_spec("tinytorch.core.autograd") is None:
                raise NotImplementedError(
                    "Tensor.backward is built in 06_autograd, which is not complete yet.\n"
                    "next: tito module test 06_autograd"
                )
            autograd = importlib.import_module("tinytorch.core.autograd")
        autograd.backward(self, gradient, retain_graph)

    __add__, __radd__ = _infix("add")
    __sub__, __rsub__ = _infix("sub")
    __mul__, __rmul__ = _infix("mul")
    __truediv__, __rtruediv__ = _infix("div")
    __matmul__, __rmatmul__ = _infix("matmul")
    __lt__, __gt__ = _infix("lt")[0], _infix("gt")[0]
    __le__, __ge__ = _infix("le")[0], _infix("ge")[0]
    __eq__, __ne__ = _infix("eq")[0], _infix("ne")[0]
    __hash__ = object.__hash__  # by identity, because == compares element by element

    def __pow__(self, exponent: Any) -> Tensor:
        if isinstance(exponent, _NUMBERS):
            return apply(pow_op, self, exponent=exponent)
        return _combine(power_op, self, exponent)

    __rpow__ = _infix("power")[1]

    def matmul(self, other: Any) -> Tensor:
        """The matrix product: rows of this tensor times columns of the other, over any leading axes."""
        return self @ other

    __neg__ = _elementwise("neg", "Each element with the other sign.")
    __abs__ = abs = _elementwise("abs", "Each element without its sign.")
    exp = _elementwise("exp", "e to the power of each element.")
    log = _elementwise("log", "The natural logarithm of each element.")
    sqrt = _elementwise("sqrt", "The square root of each element.")

    def clip(self, min: float | None = None, max: float | None = None) -> Tensor:
        """Each element, but not below min and not above max."""
        return apply(clip_op, self, min=min, max=max)

    sum = _reduction("sum", "The sum.")
    mean = _reduction("mean", "The mean.")
    max = _reduction("max", "The largest element.")
    min = _reduction("min", "The smallest element.")
    argmax = _reduction("argmax", "Where the first largest element is, along an axis or in the flattened tensor.")

    def var(
        self,
        axis: Axis = None,
        keepdims: bool = False,
        correction: int = 1,
        *,
        dim: Axis = None,
        keepdim: bool = False,
    ) -> Tensor:
        """The variance: squared distances from the mean, divided by n - correction."""
        axis, keepdims = axis if dim is None else dim, keepdims or keepdim
        return apply(var_op, self, axis=axis, keepdims=keepdims, correction=correction)

    @property
    def T(self) -> Tensor:
        """The axes in reverse order: rows become columns."""
        return apply(permute_op, self, axes=tuple(range(self.ndim))[::-1])

    def permute(self, *axes: Any) -> Tensor:
        """The axes in another order: permute(2, 0, 1) makes the last axis the first."""
        return apply(permute_op, self, axes=_sizes(axes))

    def transpose(self, axis0: int = -2, axis1: int = -1) -> Tensor:
        """Two axes exchanged, the last two unless told otherwise."""
        first, second = _place(axis0, self.ndim), _place(axis1, self.ndim)
        axes = list(range(self.ndim))
        axes[first], axes[second] = second, first
        return apply(permute_op, self, axes=tuple(axes))

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in the same order with other axes; one length may be -1, to be worked out."""
        return apply(reshape_op, self, shape=_sizes(shape))

    def flatten(self, start_axis: int = 0) -> Tensor:
        """All axes from one on made into a single one."""
        start = _place(start_axis, self.ndim) if self.ndim else 0
        return apply(reshape_op, self, shape=(*self.shape[:start], math.prod(self.shape[start:])))

    def squeeze(self, axis: int | None = None) -> Tensor:
        """Without the axes of length 1, or without one of them; an axis that is longer stays."""
        chosen = range(self.ndim) if axis is None else (_place(axis, self.ndim),)
        shape = tuple(n for place, n in enumerate(self.shape) if n != 1 or place not in chosen)
        return apply(reshape_op, self, shape=shape)

    def unsqueeze(self, axis: int) -> Tensor:
        """With a new axis of length 1, which will be number axis."""
        place = _place(axis, self.ndim + 1)
        return apply(reshape_op, self, shape=(*self.shape[:place], 1, *self.shape[place:]))

    def __getitem__(self, key: Any) -> Tensor:
        return apply(getitem_op, self, key=_plain(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        tensor = isinstance(value, Tensor)
        if grad_mode.enabled and (self.requires_grad or (tensor and value.requires_grad)):
            raise RuntimeError(
                "cannot assign into or from a tensor that requires gradients while they are recorded: no gradient "
                "would flow through the assignment. Build the result with where or cat, or assign under no_grad."
            )
        self.data[_plain(key)] = value.data if tensor else value
        self.version += 1


_NUMBERS = (int, float, np.number, np.bool_)


class Parameter(Tensor):
    """A tensor that training changes: it requires gradients, and modules find it by its class."""

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = True) -> None:
        if dtype is None and isinstance(data, Tensor):
            dtype = data.dtype
        super().__init__(data, dtype, requires_grad)


_new = object.__new__


def _wrap(array: Array) -> Tensor:
    """A Tensor around an array, without a copy or a question."""
    result = _new(Tensor)
    result.data = array
    result.grad = None
    result.requires_grad = False
    result.origin = None
    result._changes = None
    return result


def _share_version(result: Tensor, *tensors: Tensor) -> Tensor:
    """The result, counting changes with the one of the tensors whose memory it shares, if there is one."""
    base = result.data.base  # no gradient: the array that owns the memory
    for tensor in tensors:
        array = tensor.data  # no gradient: only its owner is asked for
        if array is base or array.base is base:
            if tensor._changes is None:
                tensor.version = 0  # it counts from now on
            result._changes, result._before = tensor._changes, tensor._changes[0]
            break
    return result


def as_tensor(value: Any, dtype: Any = None) -> Tensor:
    """A Tensor as it is; anything else copied into one, so that a later change of it reaches no origin.

    With dtype None an array of integers or booleans keeps its dtype, and everything else becomes float32.
    """
    if isinstance(value, Tensor):
        return value if dtype is None or value.dtype == dtype else value.astype(dtype)
    if dtype is None and isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        dtype = value.dtype
    return _wrap(as_array(value, dtype))


def _check_float(dtype: np.dtype) -> None:
    if dtype.kind != "f":
        raise RuntimeError(f"only floating-point tensors can require gradients, not {dtype}: give it dtype=np.float32")


def _sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    """reshape(2, 3) and reshape((2, 3)) mean the same."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], tuple | list) else given


def _place(axis: int, ndim: int) -> int:
    """An axis counted from the start, as -1 counts from the end."""
    if not -ndim <= axis < ndim:
        raise IndexError(f"there is no axis {axis} among {ndim}: use {-ndim} to {ndim - 1}")
    return axis % ndim


def _plain(key: Any) -> Any:
    """An index in which tensors are arrays, and which nobody else can change."""
    if isinstance(key, tuple):
        return tuple(_plain(part) for part in key)
    if isinstance(key, (list, np.ndarray)):
        return key.copy()
    if not isinstance(key, Tensor):
        return key
    if key.dtype.kind == "f":
        raise IndexError(f"an index holds integers or booleans, this one is {key.dtype}: give it dtype=np.int64")
    return key.data.copy()  # no gradient: an index has none


# %% [markdown]
# ## Step 4: the gate
#
# Every operation on tensors passes through one function, `apply`. It does four things:
#
# ```
#   tensors --.data--> arrays --op.forward--> array --wrap--> tensor
#                                                       |
#            an input requires gradients, the op has a derivative, recording is on?
#                                                       |
#                                       result.requires_grad = True
#                                       result.origin = Origin(op, inputs, params, saved, versions)
# ```
#
# By hand: `w` holds [1, 2] and requires gradients; `apply(double, w)` calls `double.forward` on the array [1, 2], gets
# [2, 4], and returns a tensor with `requires_grad` True and the origin (double, (w,)). Had `w` not required gradients,
# the origin would be `None`, and `w` could be freed as soon as nobody else uses it.
#
# Some details matter later. NumPy turns a result without axes into a scalar, `np.float32(11.0)`, which is not an array;
# we always keep an array, so that no later code has to ask. An op with `saves` returns a pair, the result and something
# its derivative will need (which elements were dropped, say). And observers, functions that are told of each op, let
# module 15 count operations without touching a single method.

# %% nbgrader={"grade": false, "grade_id": "apply", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
Observer = Callable[[Op, tuple[Tensor, ...], dict[str, Any], Tensor], None]

_observers: list[Observer] = []


_NO_PARAMS: dict[str, Any] = {}  # of nearly all ops
_NO_CHANGES: dict[Tensor, int] = {}  # of most


@contextmanager
def observe_ops(callback: Observer) -> Iterator[None]:
    """Within `with observe_ops(f):` each op is told to f(op, inputs, params, result) once it is done."""
    _observers.append(callback)
    try:
        yield
    finally:
        _observers.remove(callback)


def _no_tensor(op: Op, inputs: tuple[Any, ...]) -> TypeError:
    other = next(type(each).__name__ for each in inputs if not isinstance(each, Tensor))
    return TypeError(f"{op.name} takes Tensors, and was given a {other}: make it one with Tensor(...)")


def apply(op: Op, /, *inputs: Tensor, **params: Any) -> Tensor:
    """Compute an op on tensors, and note on the result how it was made when gradients are wanted.

    TODO: run op.forward on the inputs' arrays, wrap the result, record its origin. The rest is given.
    Approach: call op.forward with the .data of each input and with params. When op.saves is set, what comes back is a
    pair (result, saved); otherwise saved is None. Make a scalar an array and give it to _wrap. If an input requires
    gradients, op.differentiable holds and grad_mode.enabled holds, set result.requires_grad and result.origin; versions
    is the list of the inputs' versions.
    Example: apply(Op("double", lambda x: x + x), Tensor([1.0, 2.0])).tolist() == [2.0, 4.0]
    Hint: np.asarray makes an array of a NumPy scalar.
    """
    ### BEGIN SOLUTION
    arrays, wanted, changed = [], False, False
    try:
        for tensor in inputs:  # this function runs once for every op: it is written for speed
            arrays.append(tensor.data)
            if tensor.requires_grad:
                wanted = True
            if tensor._changes:
                changed = True
    except AttributeError:
        raise _no_tensor(op, inputs) from None
    array = op.forward(*arrays, **params) if params else op.forward(*arrays)
    saved = None
    if op.saves:
        array, saved = array
    if array.__class__ is not Array:  # a result without axes: NumPy made it a scalar
        array = np.asarray(array)
    result = _new(Tensor)  # _wrap(array), without the call
    result.data = array
    result.grad = result._changes = None
    if wanted and op.differentiable and grad_mode.enabled:
        result.requires_grad = True
        origin = result.origin = _new(Origin)  # Origin(op, inputs, params, saved, versions), without the call
        origin.op = op
        origin.inputs = inputs
        origin.params = params or _NO_PARAMS
        origin.saved = saved
        origin.noted = {tensor: tensor.version for tensor in inputs if tensor._changes} if changed else _NO_CHANGES
    else:
        result.requires_grad = False
        result.origin = None
    ### END SOLUTION
    if result.data.base is not None:  # perhaps a view of an input's memory
        _share_version(result, *inputs)
    if _observers:
        for callback in tuple(_observers):
            callback(op, inputs, params, result)
    return result


# %% nbgrader={"grade": true, "grade_id": "test-apply", "locked": true, "points": 10, "schema_version": 3, "solution": false, "task": false}
def test_unit_apply() -> None:
    """The result is right, and its origin is noted exactly when somebody wants a gradient."""
    double = Op("double", lambda x: x + x)
    plain = apply(double, Tensor([1.0, 2.0]))
    assert plain.tolist() == [2.0, 4.0]
    assert plain.origin is None and not plain.requires_grad, "nobody asked for a gradient of this one"

    w = Tensor([1.0, 2.0], requires_grad=True)
    y = apply(double, w)
    assert y.requires_grad and y.origin is not None, "w requires gradients, so what is made from it does"
    assert y.origin.op is double and y.origin.inputs[0] is w and list(y.origin.versions) == [0]

    halve = Op("halve", lambda x, by: (x / by, "a note"), saves=True)
    z = apply(halve, w, by=2.0)
    assert z.tolist() == [0.5, 1.0] and z.origin.saved == "a note" and z.origin.params == {"by": 2.0}

    total = apply(Op("total", lambda x: x.sum()), w)
    assert type(total.data) is np.ndarray and total.shape == (), "a result without axes must still be an array"

    grad_mode.enabled = False
    try:
        assert apply(double, w).origin is None, "nothing is recorded while grad_mode.enabled is False"
    finally:
        grad_mode.enabled = True

    seen: list[str] = []
    with observe_ops(lambda op, inputs, params, result: seen.append(op.name)):
        apply(double, w)
    apply(double, w)
    assert seen == ["double"], "an observer hears of each op inside its with block, and of none outside"
    ### BEGIN HIDDEN TESTS
    x = Tensor([5.0, 5.0])
    x[0] = 6.0
    both = apply(Op("join", lambda x, y: x - y), x, w)
    assert both.tolist() == [5.0, 3.0] and both.requires_grad
    assert both.origin.inputs[0] is x and both.origin.inputs[1] is w and list(both.origin.versions) == [1, 0]
    fixed = apply(Op("fixed", lambda x: x > 1, differentiable=False), w)
    assert fixed.origin is None and not fixed.requires_grad
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_apply()

# %% [markdown]
# ## Step 5: element by element
#
# With the gate in place an operation is a function of two or three lines. `add_op` and `sub_op` show the pattern. Yours
# are the product, the quotient and the power.
#
# Two of them need a thought. Dividing integers gives fractions: `Tensor([1, 2], dtype=np.int64) / 2` is [0.5, 1.0], here
# in float32 (NumPy alone would choose float64). And `np.power` is slow, since it must work for any exponent: it took
# seven times as long as two products where this was written (the last analysis measures it). The square and the cube are
# nearly all the powers in this course, so compute them as x * x and x * x * x: [1, 2, 3] gives [1, 4, 9] and [1, 8, 27].
#
# What about a number beside a tensor, as in `x * 0.1`? A Python float is a float64, and a float32 tensor times a float64
# array is a float64 array: a single forgotten constant would double the memory of everything after it. So a number or
# an array takes the dtype of the tensor it meets, except that a float that meets integers makes float32, and an integer
# that does not fit, as 456 beside uint8, stays as it is. The helper `_combine`, given, sees to that.


# %% nbgrader={"grade": false, "grade_id": "elementwise", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _floating(x: Array) -> Array:
    """x as it is when it holds floats, else as float32."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)


@op
def add_op(x: Array, y: Array) -> Array:
    """x + y, element by element."""
    return x + y


@op
def sub_op(x: Array, y: Array) -> Array:
    """x - y, element by element."""
    return x - y


@op
def mul_op(x: Array, y: Array) -> Array:
    """x times y, element by element.

    TODO: the product of two arrays. Example: [1, 2] and [3, 4] give [3, 8].
    """
    ### BEGIN SOLUTION
    return x * y
    ### END SOLUTION


@op
def div_op(x: Array, y: Array) -> Array:
    """x divided by y, element by element; integers give float32.

    TODO: the quotient of two arrays, floats kept as they are and integers made float32 first.
    Example: float32 [1, 2] by [4, 4] gives [0.25, 0.5], and so do integers.
    Hint: _floating does nothing to an array of floats.
    """
    ### BEGIN SOLUTION
    return _floating(x) / _floating(y)
    ### END SOLUTION


@op
def pow_op(x: Array, exponent: float) -> Array:
    """x to the power of one number; x keeps its dtype, except that a fractional power of integers is float32.

    TODO: squares and cubes as products, other powers with np.power.
    Approach: treat the exponents 2 and 3 first. For the others, x may be integers: when exponent is a float, make it
    floats. np.power(x, x.dtype.type(exponent)) then stays in the dtype of x.
    Example: [1, 2, 3] to the power of 3 is [1, 8, 27]; [4, 9] to the power of 0.5 is [2, 3].
    """
    ### BEGIN SOLUTION
    if exponent == 2:
        return x * x
    if exponent == 3:
        return x * x * x
    if isinstance(exponent, float | np.floating):
        x = _floating(x)
    return np.power(x, x.dtype.type(exponent))
    ### END SOLUTION


# %% [markdown]
# The other operations of this kind are given; Python's `operator` module has some of them as functions already.
# Comparisons, and a conversion to integers, have no derivative and are marked so: their results never ask for one.

# %%
#| export
neg_op, abs_op = op(operator.neg), op(operator.abs)
eq_op, ne_op, lt_op, le_op, gt_op, ge_op = (
    op(compare, differentiable=False)
    for compare in (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
)


@op
def power_op(x: Array, y: Array) -> Array:
    """x to the power of y, element by element."""
    return np.power(x, y)


@op
def exp_op(x: Array) -> Array:
    """e to the power of x."""
    return np.exp(_floating(x))


@op
def log_op(x: Array) -> Array:
    """The natural logarithm of x."""
    return np.log(_floating(x))


@op
def sqrt_op(x: Array) -> Array:
    """The square root of x."""
    return np.sqrt(_floating(x))


@op
def clip_op(x: Array, min: float | None, max: float | None) -> Array:
    """x, but not below min and not above max."""
    if min is None and max is None:
        raise ValueError("clip needs a min, a max or both")
    for bound in (min, max):
        if bound is not None and not isinstance(bound, _NUMBERS):
            raise TypeError(
                f"clip takes numbers as min and max, not a {type(bound).__name__}, which would get no gradient: use "
                "where(x < low, low, x)"
            )
        if isinstance(bound, float | np.floating):
            x = _floating(x)  # 0.5 is no integer
    if min is not None:
        x = np.maximum(x, x.dtype.type(min))
    return x if max is None else np.minimum(x, x.dtype.type(max))


@op
def copy_op(x: Array) -> Array:
    """x in new memory."""
    return x.copy()


@op
def astype_op(x: Array, dtype: np.dtype) -> Array:
    """x as another floating-point dtype."""
    return x.astype(dtype)


@op(differentiable=False)
def discretize_op(x: Array, dtype: np.dtype) -> Array:
    """x as integers or booleans."""
    return x.astype(dtype)


def _combine(op: Op, left: Any, right: Any) -> Tensor:
    """Apply an op to two operands, one of which may be a number or an array; ValueError when the shapes do not fit."""
    if not isinstance(right, Tensor):
        right = _operand(right, left)
    elif not isinstance(left, Tensor):
        left = _operand(left, right)
    if left is None or right is None:
        return NotImplemented  # Python then raises its own TypeError, which names both types
    if left.data.dtype is not right.data.dtype:  # no gradient: only the dtypes are compared
        left, right = _same_kind(left, right)
    try:
        return apply(op, left, right)
    except ValueError as error:
        raise _shape_error(op, left, right, error) from None


def _operand(value: Any, beside: Tensor) -> Tensor | None:
    """A number or array as a Tensor that is to meet another; None for anything else."""
    dtype = beside.dtype
    if value.__class__ in (float, int) and dtype.kind == "f":  # x * 2.0, by far the most frequent
        return _wrap(np.array(value, dtype))
    if not isinstance(value, (*_NUMBERS, np.ndarray)):
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        return None
    if dtype.kind != "f":
        if array.dtype.kind == "f":
            dtype = np.float32
        elif array.ndim or dtype.kind == "b" or array.astype(dtype).item() != array.item():
            dtype = array.dtype  # it does not fit: 456 beside uint8 stays as it is, and NumPy finds a dtype for both
    return _wrap(array.astype(dtype, copy=beside.requires_grad and grad_mode.enabled))  # what is recorded is ours


def _same_kind(*tensors: Tensor) -> Sequence[Tensor]:
    """The tensors, integers made floats where others are: float32 beside int64 stays float32."""
    floats = {tensor.dtype for tensor in tensors if tensor.dtype.kind == "f"}
    if not floats:
        return tensors
    wanted = np.result_type(*floats)
    return [tensor if tensor.dtype.kind == "f" else tensor.astype(wanted) for tensor in tensors]


# %% nbgrader={"grade": true, "grade_id": "test-elementwise", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_elementwise() -> None:
    """Products, quotients and powers are right, and float32 stays float32."""
    x, y = Tensor([1.0, 2.0, 3.0]), Tensor([4.0, 4.0, 8.0])
    assert (x * y).tolist() == [4.0, 8.0, 24.0]
    assert (x / y).tolist() == [0.25, 0.5, 0.375]
    assert (x**2).tolist() == [1.0, 4.0, 9.0] and (x**3).tolist() == [1.0, 8.0, 27.0]
    assert np.allclose((y**0.5).numpy(), [2.0, 2.0, 8**0.5])
    for result in (x * 2, 2.0 * x, x / 2, 1 / x, x**2, x**0.5, x * np.float64(0.1), np.ones(3) * x):
        assert isinstance(result, Tensor) and result.dtype == np.float32, "float32 must stay float32"
    whole = Tensor([1, 2], dtype=np.int64)
    assert (whole * 2).dtype == np.int64 and (whole * 0.5).dtype == np.float32
    assert (whole / 2).dtype == np.float32 and (whole / 2).tolist() == [0.5, 1.0]
    ### BEGIN HIDDEN TESTS
    assert (Tensor([-2.0, 10.0]) ** 3).tolist() == [-8.0, 1000.0] and (whole**3).tolist() == [1, 8]
    assert (whole**3).dtype == np.int64 and (whole**0.5).dtype == np.float32 and (whole**4).tolist() == [1, 16]
    assert (Tensor([0.1], dtype=np.float64) * 0.1).tolist() == [0.1 * 0.1], "float64 must stay float64"
    assert (Tensor([3.0]) / Tensor([4], dtype=np.int64)).tolist() == [0.75]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_elementwise()

# %% [markdown]
# ## Step 6: broadcasting
#
# Adding a bias to each row of a batch should not need a loop, nor a bias copied 32 times. *Broadcasting* repeats an axis
# of length 1 as often as the other operand asks, without storing the repetitions:
#
# ```
#   (3, 1)      (1, 4)               (3, 4)
#     10        1  2  3  4        11 12 13 14
#     20    +                  =  21 22 23 24
#     30                          31 32 33 34
# ```
#
# The rule compares the two shapes from the right. Missing axes count as 1. Two lengths fit when they are equal or one
# of them is 1, and the result takes the other.
#
# ```
#     8  1  6          2  3
#        7  1             4      3 meets 4, and neither is 1:
#   -> 8 7  6          -> error  cannot add shapes (2, 3) and (4,)
# ```
#
# The second case is the most frequent error in this field, and NumPy's text for it, "operands could not be broadcast
# together with shapes (2,3) (4,)", does not say where to look. Yours names both shapes, the two lengths that do not
# fit and their axis, and suggests what to do.


# %% nbgrader={"grade": false, "grade_id": "broadcast-shape", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def broadcast_shape(left: tuple[int, ...], right: tuple[int, ...], verb: str = "broadcast") -> tuple[int, ...]:
    """The shape that two shapes broadcast to.

    TODO: apply the rule, and raise a ValueError in plain words when two lengths do not fit.
    Approach: put 1s before the shorter shape until both have as many axes. Go through the pairs of lengths.
    Example: broadcast_shape((8, 1, 6), (7, 1)) == (8, 7, 6). The message for (2, 3) and (4,) with the verb "add"
    starts "cannot add shapes (2, 3) and (4,): " and names the lengths 3 and 4.
    Hint: a length 0 fits 1, and gives 0, so max() is not the rule.
    """
    ### BEGIN SOLUTION
    ndim = max(len(left), len(right))
    pairs = list(zip((1,) * (ndim - len(left)) + left, (1,) * (ndim - len(right)) + right, strict=True))
    for place, (a, b) in enumerate(pairs):
        if a != b and a != 1 and b != 1:
            raise ValueError(
                f"cannot {verb} shapes {left} and {right}: the lengths {a} and {b} meet in axis {place - ndim}, and "
                "they must be equal or one of them 1. Is one of the two to be transposed, reshaped or unsqueezed?"
            )
    return tuple(b if a == 1 else a for a, b in pairs)
    ### END SOLUTION


_VERBS = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "power": "raise"}


def _shape_error(op: Op, left: Tensor, right: Tensor, error: ValueError) -> ValueError:
    """The error that explains why two operands do not fit, or the one that NumPy gave when they do."""
    if op.name == "matmul":
        return error
    try:
        broadcast_shape(left.shape, right.shape, _VERBS.get(op.name, "compare"))
    except ValueError as explained:
        return explained
    return error


# %% nbgrader={"grade": true, "grade_id": "test-broadcast-shape", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def test_unit_broadcast_shape() -> None:
    """Shapes that fit give the right shape; shapes that do not give an error that names both."""
    assert broadcast_shape((3, 1), (1, 4)) == (3, 4)
    assert broadcast_shape((8, 1, 6), (7, 1)) == (8, 7, 6)
    assert broadcast_shape((), (2, 3)) == (2, 3)
    column, row = Tensor([[10.0], [20.0], [30.0]]), Tensor([[1.0, 2.0, 3.0, 4.0]])
    assert (column + row).tolist()[2] == [31.0, 32.0, 33.0, 34.0]
    message = _refusal(lambda: Tensor(np.zeros((2, 3))) + Tensor(np.zeros(4)))
    assert message.startswith("cannot add shapes (2, 3) and (4,): ") and "3 and 4" in message
    ### BEGIN HIDDEN TESTS
    assert broadcast_shape((0,), (1,)) == (0,) and broadcast_shape((1,), (5, 0)) == (5, 0)
    assert broadcast_shape((4, 1, 3), (5, 1)) == (4, 5, 3)
    for left, right in (((5,), (6,)), ((2, 1, 3), (3, 3, 3)), ((0,), (2,))):
        message = _refusal(lambda left=left, right=right: broadcast_shape(left, right))
        assert str(left) in message and str(right) in message
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_broadcast_shape()

# %% [markdown]
# ## Step 7: many numbers into one
#
# A reduction removes an axis by combining what lies along it. The axis you name is the one that goes:
#
# ```
#              axis 1 -->          sum(axis=0)       down the columns:  [5, 7, 9]
#   axis 0   1   2   3             sum(axis=1)       along the rows:    [6, 15]
#     |      4   5   6             sum()             everything:        21
#     v                            sum(axis=1, keepdims=True)           [[6], [15]]
# ```
#
# With `keepdims=True` the axis stays with length 1, so that the result broadcasts against what it came from: `x -
# x.mean(axis=1, keepdims=True)` centres each row.
#
# The variance by hand, for [1, 2, 3, 4]: the mean is 2.5, the distances from it are -1.5, -0.5, 0.5 and 1.5, their
# squares add up to 5. Divided by n = 4 that is 1.25, the variance of these four numbers. Divided by n - 1 = 3 it is
# 1.667, the unbiased estimate for the population they were drawn from. PyTorch's `var` gives the second, and so does
# ours: it divides by n - `correction`, which is 1 unless told otherwise. Normalisation layers use correction 0.


# %% nbgrader={"grade": false, "grade_id": "reductions", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
MANY_ROWS = 1024
_TOGETHER = 64  # rows that are added one after the other


def add_rows_up(x: Array) -> Array:
    """The sum over the first axis of floats, by sums of 64 rows, and sums of these.

    NumPy adds rows one after the other, and each addition rounds: the mean of 20,000,000 rows of ones was 0.84.
    """
    whole = len(x) // _TOGETHER * _TOGETHER
    if not whole:
        return np.add.reduce(x)
    blocks = np.add.reduce(x[:whole].reshape(whole // _TOGETHER, _TOGETHER, *x.shape[1:]), axis=1)
    return add_rows_up(blocks) + np.add.reduce(x[whole:])


def _many_rows(x: Array, axis: Axis) -> bool:
    return x.ndim > 1 and len(x) > MANY_ROWS and axis in (0, -x.ndim) and x.dtype.kind == "f"


@op
def sum_op(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum over an axis, several, or all.

    TODO: one call of NumPy. Example: [[1, 2, 3], [4, 5, 6]] over axis 0 gives [5, 7, 9].
    """
    if _many_rows(x, axis):
        return add_rows_up(x)[None] if keepdims else add_rows_up(x)
    ### BEGIN SOLUTION
    return x.sum(axis=axis, keepdims=keepdims)
    ### END SOLUTION


_HALF = np.dtype(np.float16)


def _check_some(x: Array, axis: Axis) -> None:
    """ValueError for a result that would be made of no numbers."""
    if not x.size and np.add.reduce(x, axis=axis).size:
        place = "" if axis is None else f" along axis {axis}"
        raise ValueError(f"shape {x.shape} has no numbers{place} to reduce: leave out batches of no samples")


@op
def mean_op(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean over an axis, several, or all; integers give float32.

    TODO: the sum divided by the number of elements that went into each result.
    Approach: each result element has x.size / total.size elements in it. Convert that count with x.dtype.type, so that
    float32 stays float32.
    Example: [[1, 2, 3], [4, 5, 6]] over axis 1 gives [2, 5].
    Hint: an empty axis can make total.size 0; divide by max(total.size, 1).
    """
    _check_some(x, axis)
    if x.dtype is _HALF:  # which holds no sum and no count above 65,504
        return mean_op.forward(x.astype(np.float32), axis, keepdims).astype(np.float16)
    if _many_rows(x, axis):
        return sum_op.forward(x, axis, keepdims) / x.dtype.type(len(x))
    ### BEGIN SOLUTION
    x = _floating(x)
    total = np.add.reduce(x, axis=axis, keepdims=keepdims)  # what x.sum calls, one Python call later
    return total / x.dtype.type(x.size // max(total.size, 1))
    ### END SOLUTION


@op
def var_op(x: Array, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> Array:
    """The variance over an axis, several, or all: squared distances from the mean, divided by n - correction.

    TODO: the mean with its axes kept, the distances, the sum of their squares, the quotient.
    Example: [1, 2, 3, 4] gives 5 / 3; with correction 0 it gives 5 / 4.
    Hint: mean_op.forward is the function you have just written. A square is a product.
    Raises ValueError when n - correction is not positive: one number alone has no unbiased variance.
    """
    if x.dtype is _HALF:
        return var_op.forward(x.astype(np.float32), axis, keepdims, correction).astype(np.float16)
    ### BEGIN SOLUTION
    x = _floating(x)
    away = x - mean_op.forward(x, axis=axis, keepdims=True)
    total = (away * away).sum(axis=axis, keepdims=keepdims)
    count = x.size // max(total.size, 1)
    if count <= correction:
        raise ValueError(f"cannot divide by n - correction = {count} - {correction}: var needs more numbers")
    return total / x.dtype.type(count - correction)
    ### END SOLUTION


@op
def max_op(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest element over an axis, several, or all."""
    _check_some(x, axis)
    return x.max(axis=axis, keepdims=keepdims)


@op
def min_op(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest element over an axis, several, or all."""
    _check_some(x, axis)
    return x.min(axis=axis, keepdims=keepdims)


@op(differentiable=False)
def argmax_op(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """Where the first largest element is."""
    _check_some(x, axis)
    return x.argmax(axis=axis, keepdims=keepdims)


# %% nbgrader={"grade": true, "grade_id": "test-reductions", "locked": true, "points": 6, "schema_version": 3, "solution": false, "task": false}
def test_unit_reductions() -> None:
    """Sums, means and variances over any axis, in the tensor's dtype."""
    x = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert x.sum().item() == 21.0 and x.sum(axis=0).tolist() == [5.0, 7.0, 9.0]
    assert x.sum(axis=1, keepdims=True).tolist() == [[6.0], [15.0]]
    assert x.mean().item() == 3.5 and x.mean(axis=1).tolist() == [2.0, 5.0]
    assert abs(Tensor([1.0, 2.0, 3.0, 4.0]).var().item() - 5 / 3) < 1e-6
    assert Tensor([1.0, 2.0, 3.0, 4.0]).var(correction=0).item() == 1.25
    assert x.mean(axis=0).dtype == np.float32 and x.var(axis=0).dtype == np.float32
    ### BEGIN HIDDEN TESTS
    cube = Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert cube.mean(axis=(0, 2)).tolist() == [7.5, 11.5, 15.5] and cube.mean(axis=-1).shape == (2, 3)
    assert np.allclose(cube.var(axis=(0, 1, 2), keepdims=True, correction=0).numpy(), [[[575 / 12]]])
    whole = Tensor([1, 2], dtype=np.int64)
    assert whole.mean().item() == 1.5 and whole.mean().dtype == np.float32 and whole.sum().dtype == np.int64
    _refusal(lambda: Tensor([3.0]).var())  # one number has no unbiased variance
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_reductions()

# %% [markdown]
# ## Step 8: the matrix product
#
# Nearly all arithmetic of a neural network is in this one operation. Element (i, j) of the product is row i of the left
# matrix times column j of the right one, added up:
#
# ```
#              5  6          1*5 + 2*7 = 19    1*6 + 2*8 = 22
#              7  8          3*5 + 4*7 = 43    3*6 + 4*8 = 50
#   1  2
#   3  4                     (2, 2) @ (2, 2) -> (2, 2)
#
#   (m, k) @ (k, n) -> (m, n)        m * n results of k multiply-adds each: 2 * m * k * n FLOPs
#        \___/  the inner lengths must be equal
# ```
#
# A multiply-add (MAC) counts as 2 FLOPs throughout this course. (32, 784) @ (784, 256), the first layer of a digit
# classifier on a batch of 32, takes 2 x 32 x 784 x 256 = 12,845,056 FLOPs.
#
# Leading axes are a batch of matrices and broadcast as in step 6: (8, 1, 2, 3) @ (5, 3, 4) gives (8, 5, 2, 4). NumPy
# hands the work to BLAS, a library that has been tuned for decades. We add two things that it leaves out. A batch
# times one matrix, (8, 16, 784) @ (784, 512), is 8 products for NumPy; folded to (128, 784) it is a single large one,
# which is faster. And an error should be one that a person can act on.


# %% nbgrader={"grade": false, "grade_id": "matmul", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def matmul_op(x: Array, y: Array) -> Array:
    """The matrix product over the last two axes; axes before them are a batch and broadcast.

    TODO: np.matmul, with the leading axes of x folded when y has two axes, and its ValueError in words.
    Approach: to fold, reshape x to (math.prod(x.shape[:-1]), x.shape[-1]), and give the product the leading axes again.
    When NumPy raises ValueError, find out which case it is: an operand without axes; inner lengths that differ, which
    are x.shape[-1] and y.shape[-2], or y.shape[0] when y has one axis; or batch axes that do not broadcast. Start each
    message "cannot multiply (2, 3) by (4, 5): ", with the real shapes.
    Example: (2, 3) by (4, 5) gives "cannot multiply (2, 3) by (4, 5): inner sizes 3 and 4 differ ...".
    Hint: asking only after the failure keeps the successful path fast. `raise ... from None` hides NumPy's text.
    x (..., m, k), y (..., k, n) -> (..., m, n).
    """
    ### BEGIN SOLUTION
    try:
        if x.ndim > 2 and y.ndim == 2:
            rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
            return np.matmul(rows, y).reshape(*x.shape[:-1], y.shape[1])
        return np.matmul(x, y)
    except ValueError:
        what = f"cannot multiply {x.shape} by {y.shape}"
        if x.ndim == 0 or y.ndim == 0:
            raise ValueError(f"{what}: a matrix product needs an axis on each side; use * for a number") from None
        inner, other = x.shape[-1], y.shape[max(y.ndim - 2, 0)]
        if inner != other:
            raise ValueError(
                f"{what}: inner sizes {inner} and {other} differ, and they must be equal. Is one of the two to be "
                "transposed, or does a layer have the wrong input size?"
            ) from None
        raise ValueError(f"{what}: the batch axes {x.shape[:-2]} and {y.shape[:-2]} do not broadcast") from None
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "test-matmul", "locked": true, "points": 8, "schema_version": 3, "solution": false, "task": false}
def test_unit_matmul() -> None:
    """Products of matrices, vectors and batches, and errors that name both shapes."""
    a, b = Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([[5.0, 6.0], [7.0, 8.0]])
    assert (a @ b).tolist() == [[19.0, 22.0], [43.0, 50.0]]
    assert (a @ Tensor([1.0, 1.0])).tolist() == [3.0, 7.0]
    assert (Tensor(np.ones((8, 1, 2, 3))) @ Tensor(np.ones((5, 3, 4)))).shape == (8, 5, 2, 4)
    message = _refusal(lambda: Tensor(np.zeros((2, 3))) @ Tensor(np.zeros((4, 5))))
    assert message.startswith("cannot multiply (2, 3) by (4, 5): ") and "3 and 4" in message
    ### BEGIN HIDDEN TESTS
    batch = Tensor(np.arange(12.0).reshape(2, 2, 3))
    assert (batch @ Tensor(np.eye(3))).tolist() == batch.tolist()
    assert (Tensor(np.zeros((0, 2, 3))) @ Tensor(np.eye(3))).shape == (0, 2, 3)
    for left, right, names in (((5, 2), (3,), "2 and 3"), ((2, 3, 4), (5, 4, 6), "(2,) and (5,)"), ((2, 2), (), "()")):
        message = _refusal(lambda left=left, right=right: Tensor(np.zeros(left)) @ Tensor(np.zeros(right)))
        assert f"cannot multiply {left} by {right}: " in message and names in message
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_matmul()

# %% [markdown]
# ## Step 9: other shapes of the same memory
#
# An array knows where its elements are by its **strides**: how many bytes to go for the next element along each axis.
# For the 2 by 3 float32 array of step 1 they are (12, 4): 12 bytes to the next row, 4 to the next column. Element (i, j)
# lies at byte 12 i + 4 j; element (1, 2) at byte 20.
#
# Exchanging the axes needs no copy. Only shape and strides are exchanged, and the same 24 bytes are read in another
# order:
#
# ```
#   memory     1  2  3  4  5  6
#
#   x          shape (2, 3)  strides (12, 4)      1 2 3
#                                                 4 5 6
#
#   x.T        shape (3, 2)  strides (4, 12)      1 4
#                                                 2 5
#                                                 3 6
# ```
#
# Such a result is a **view**: a write through it changes the original. `reshape` gives a view when the elements already
# lie in the right order and copies otherwise; `x.T.reshape(6)` must copy, because 1, 4, 2, 5, 3, 6 is no regular walk
# through the memory above. A slice is a view; picking elements by a list or a mask copies.


# %% nbgrader={"grade": false, "grade_id": "shape-ops", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def reshape_op(x: Array, shape: tuple[int, ...]) -> Array:
    """The same elements in the same order with other axes; one length may be -1, to be worked out.

    TODO: NumPy's reshape, and its ValueError in words.
    Example: six elements of shape (2, 3) into (3, -1) give (3, 2). Into (4, 2) they raise
    "cannot reshape (2, 3) into (4, 2): ...", with the number of elements in the message.
    """
    ### BEGIN SOLUTION
    try:
        return x.reshape(shape)
    except ValueError:
        raise ValueError(f"cannot reshape {x.shape} into {shape}: {x.size} elements do not fill it exactly") from None
    ### END SOLUTION


@op
def permute_op(x: Array, axes: tuple[int, ...]) -> Array:
    """The axes in another order.

    TODO: NumPy's transpose with these axes, and its ValueError in words.
    Example: shape (2, 3, 4) with the axes (2, 0, 1) becomes (4, 2, 3). With (0, 0, 1) it raises "cannot permute ...".
    """
    ### BEGIN SOLUTION
    try:
        return x.transpose(axes)
    except ValueError:
        raise ValueError(f"cannot permute {x.shape} by {axes}: name each of its {x.ndim} axes once") from None
    ### END SOLUTION


@op
def getitem_op(x: Array, key: Any) -> Array:
    """The elements at a key: an index, a slice, a mask, a list of indices, or a tuple of these."""
    return x[key]


# %% nbgrader={"grade": true, "grade_id": "test-shape-ops", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_shape_ops() -> None:
    """Reshaping and permuting move no numbers, and say what is wrong when they cannot."""
    x = Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert x.reshape(3, -1).tolist() == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert x.T.tolist() == [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
    assert x.unsqueeze(0).permute(2, 0, 1).shape == (3, 1, 2)
    assert np.shares_memory(x.T.numpy(), x.numpy()), "a transpose is a view, not a copy"
    view = x.reshape(6)
    x[0, 0] = 1.0
    assert view.version == x.version == 1, "a change of the memory counts for all tensors that share it"
    assert _refusal(lambda: x.reshape(4, 2)).startswith("cannot reshape (2, 3) into (4, 2): ")
    assert _refusal(lambda: x.permute(0, 0)).startswith("cannot permute (2, 3) by (0, 0): ")
    ### BEGIN HIDDEN TESTS
    cube = Tensor(np.arange(24.0).reshape(2, 3, 4))
    assert cube.permute(1, 2, 0)[2, 3].tolist() == [11.0, 23.0]
    assert cube.transpose(0, 2).shape == (4, 3, 2) and cube.flatten(1).shape == (2, 12)
    assert cube.reshape((4, 6))[1].tolist() == [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_shape_ops()

# %% [markdown]
# ## Step 10: joining, choosing, making
#
# `cat` puts tensors one after another along an axis that they have, `stack` side by side along a new one, and `where`
# picks from two tensors element by element. They are given.


# %%
#| export
@op
def cat_op(*arrays: Array, axis: int = 0) -> Array:
    """The arrays one after another along an axis."""
    return np.concatenate(arrays, axis=axis)


@op
def stack_op(*arrays: Array, axis: int = 0) -> Array:
    """The arrays side by side along a new axis."""
    return np.stack(arrays, axis=axis)


@op
def where_op(condition: Array, x: Array, y: Array) -> Array:
    """x where the condition holds, y elsewhere."""
    return np.where(condition, x, y)


def cat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors one after another along an axis; their other axes must agree, or ValueError names the shapes."""
    return _join("cat", cat_op, tensors, axis)


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis; ValueError names the shapes that differ."""
    return _join("stack", stack_op, tensors, axis)


def _join(verb: str, op: Op, tensors: Sequence[Tensor], axis: int) -> Tensor:
    tensors = _same_kind(*map(as_tensor, tensors))
    if not tensors:
        raise ValueError(f"cannot {verb} no tensors at all: give it one or more")
    try:
        return apply(op, *tensors, axis=axis)
    except ValueError as error:
        shapes = ", ".join(str(tensor.shape) for tensor in tensors)
        raise ValueError(f"cannot {verb} the shapes {shapes} along axis {axis}: {error}") from None


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """x where the condition holds and y elsewhere, broadcast against each other."""
    if not isinstance(x, Tensor):
        x = _operand(x, y) if isinstance(y, Tensor) else as_tensor(x)
    if not isinstance(y, Tensor):
        y = _operand(y, x)
    if x is None or y is None:
        raise TypeError("where chooses between tensors, arrays or numbers")
    chosen = as_tensor(condition, bool)
    x, y = _same_kind(x, y)
    try:
        return apply(where_op, chosen, x, y)
    except ValueError:
        shape = broadcast_shape(x.shape, y.shape, "choose between")
        broadcast_shape(chosen.shape, shape, "choose by")
        raise


# %% [markdown]
# Last, the constructors. A shape may be given as `zeros(2, 3)` or `zeros((2, 3))`. Random numbers come from one generator,
# and `manual_seed` starts it anew, so that a run can be repeated exactly. For float32 we ask the generator for
# float32 numbers: drawing float64 and converting takes longer, and 8 bytes for each number on the way to 4.
#
# `arange` follows its arguments: three integers give int64, because such a tensor is mostly used as an index, and
# anything else gives float32. `arange(2, 8, 3)` is [2, 5]: the end is not included.

# %% nbgrader={"grade": false, "grade_id": "constructors", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
_generators = [np.random.default_rng()]


def manual_seed(seed: int) -> None:
    """Start the random numbers anew: the same seed gives the same numbers."""
    _generators[0] = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """The source of all random numbers: randn and rand draw from it, and so do later modules."""
    return _generators[0]


def _made(array: Array, requires_grad: bool) -> Tensor:
    """A Tensor around a new array."""
    result = _wrap(array)
    if requires_grad:
        _check_float(result.dtype)
        result.requires_grad = True
    return result


def full(shape: Any, value: float, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor with one value everywhere.

    TODO: an array of the shape, value and dtype, given to _made. Example: full((2,), 0.5) holds [0.5, 0.5].
    """
    ### BEGIN SOLUTION
    return _made(np.full(shape, value, dtype=_number_dtype(dtype)), requires_grad)
    ### END SOLUTION


def zeros(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return _made(np.zeros(_sizes(shape), dtype=_number_dtype(dtype)), requires_grad)


def ones(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return full(_sizes(shape), 1, dtype, requires_grad)


def arange(
    start: float, stop: float | None = None, step: float = 1, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """The numbers start, start + step, ... below stop; from 0 up when only one number is given.

    TODO: sort out start and stop, choose the dtype when it is None, make the array with np.arange.
    Example: arange(3) is int64 [0, 1, 2]; arange(0, 1, 0.25) is float32 [0, 0.25, 0.5, 0.75].
    Hint: isinstance(n, int | np.integer) asks whether n is a whole number by its type.
    """
    ### BEGIN SOLUTION
    if stop is None:
        start, stop = 0, start
    if dtype is None:
        whole = all(isinstance(number, int | np.integer) for number in (start, stop, step))
        dtype = np.int64 if whole else np.float32
    return _made(np.arange(start, stop, step).astype(_number_dtype(dtype)), requires_grad)
    ### END SOLUTION


def randn(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Normally distributed random numbers of mean 0 and variance 1.

    TODO: draw them with generator().standard_normal(size, dtype=...), which knows float32 and float64 only, and convert.
    Example: after manual_seed(0), randn(2, 3) is the same each time.
    Hint: _sizes(shape) is the shape as a tuple, _drawn(dtype) the dtype to draw, astype(..., copy=False) the conversion.
    """
    ### BEGIN SOLUTION
    numbers = generator().standard_normal(_sizes(shape), dtype=_drawn(dtype))
    return _made(numbers.astype(_number_dtype(dtype), copy=False), requires_grad)
    ### END SOLUTION


def rand(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Evenly distributed random numbers from 0 to just below 1."""
    drawn = generator().random(size=_sizes(shape), dtype=_drawn(dtype))
    return _made(drawn.astype(_number_dtype(dtype), copy=False), requires_grad)


def _drawn(dtype: Any) -> Any:
    return np.float32 if _number_dtype(dtype) == np.float32 else np.float64


# %% nbgrader={"grade": true, "grade_id": "test-constructors", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_constructors() -> None:
    """Shapes, values and dtypes are as asked for, and a seed repeats the random numbers."""
    assert full((2,), 0.5).tolist() == [0.5, 0.5] and ones(2, 3).shape == zeros((2, 3)).shape == (2, 3)
    assert arange(3).tolist() == [0, 1, 2] and arange(3).dtype == np.int64
    assert arange(0, 1, 0.25).tolist() == [0.0, 0.25, 0.5, 0.75] and arange(0, 1, 0.25).dtype == np.float32
    manual_seed(0)
    first = randn(2, 3)
    second = randn(2, 3)
    manual_seed(0)
    assert first.dtype == np.float32 and first.tolist() == randn(2, 3).tolist() != second.tolist()
    ### BEGIN HIDDEN TESTS
    assert arange(2, 8, 3).tolist() == [2, 5] and arange(4, dtype=np.float32).dtype == np.float32
    assert full((3, 1), 7, dtype=np.int64).tolist() == [[7], [7], [7]] and full((), 2).item() == 2.0
    many = randn(200, 200, dtype=np.float64, requires_grad=True)
    assert many.requires_grad and many.dtype == np.float64
    assert abs(many.mean().item()) < 0.03 and abs(many.var().item() - 1) < 0.05
    ### END HIDDEN TESTS


if __name__ == "__main__":
    test_unit_constructors()

# %% [markdown]
# ## Bytes and strides, by you
#
# A batch of 32 colour images of 224 by 224 pixels, float32, contiguous, in the order (images, channels, rows, columns):
# shape (32, 3, 224, 224). Work the numbers out with paper or with Python, and assign them.
#
# Remember that a stride is in bytes, that the last axis of a contiguous array has the stride of one element, and that
# 1 MB is 10^6 bytes (1 MiB, 2^20 bytes, is another unit).


# %% nbgrader={"grade": false, "grade_id": "image-batch-numbers", "locked": false, "schema_version": 3, "solution": true, "task": false}
def image_batch_numbers() -> dict[str, float]:
    """The numbers of a float32 batch of shape (32, 3, 224, 224).

    TODO: assign
    elements          how many numbers the batch holds
    nbytes            how many bytes they take
    megabytes         the same in MB
    row_stride        bytes from one row of pixels to the next in the same channel
    channel_stride    bytes from one channel to the next in the same image
    image_stride      bytes from one image to the next
    copied_by_permute bytes that permute(0, 2, 3, 1) copies
    """
    ### BEGIN SOLUTION
    elements = 32 * 3 * 224 * 224
    nbytes = 4 * elements
    megabytes = nbytes / 10**6
    row_stride = 224 * 4
    channel_stride = 224 * row_stride
    image_stride = 3 * channel_stride
    copied_by_permute = 0
    ### END SOLUTION
    return {
        "elements": elements,
        "nbytes": nbytes,
        "megabytes": megabytes,
        "row_stride": row_stride,
        "channel_stride": channel_stride,
        "image_stride": image_stride,
        "copied_by_permute": copied_by_permute,
    }


# %% nbgrader={"grade": true, "grade_id": "test-image-batch-numbers", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
def test_unit_image_batch_numbers() -> None:
    """The numbers are those of the array itself."""
    numbers = image_batch_numbers()
    batch = np.zeros((32, 3, 224, 224), dtype=np.float32)
    assert numbers["elements"] == batch.size, "multiply the lengths of the four axes"
    assert numbers["nbytes"] == batch.nbytes, "float32 takes 4 bytes"
    assert abs(numbers["megabytes"] - batch.nbytes / 1e6) < 1e-3, "1 MB is 10^6 bytes"
    strides = [numbers[name] for name in ("image_stride", "channel_stride", "row_stride")]
    assert strides == list(batch.strides[:3]), "a stride is the bytes of everything inside that axis"
    view = batch.transpose(0, 2, 3, 1)
    assert (numbers["copied_by_permute"] == 0) == np.shares_memory(view, batch), "is the permuted batch a view?"


if __name__ == "__main__":
    test_unit_image_batch_numbers()

# %% [markdown]
# ## All of it together
#
# A network of two layers, 2 inputs, 2 hidden units and 1 output, by hand. The hidden units keep what is positive:
#
# ```
#   x = [[1, 2], [3, -1]]     w1 = [[1, -1], [2, 1]]    b1 = [0.5, 0]    w2 = [[2], [1]]
#
#   x @ w1               [[5, 1], [1, -4]]
#   + b1                 [[5.5, 1], [1.5, -4]]
#   keep the positive    [[5.5, 1], [1.5, 0]]
#   @ w2                 [[12], [3]]
#   mean                 7.5
# ```


# %% nbgrader={"grade": true, "grade_id": "test-module-tensor", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
def test_module_tensor() -> None:
    """A small network computes what the lesson computed by hand, and its result knows how it was made."""
    x = Tensor([[1, 2], [3, -1]])
    w1, b1 = Parameter([[1, -1], [2, 1]]), Parameter([0.5, 0])
    w2 = Parameter([[2], [1]])
    before = x @ w1 + b1
    hidden = where(before > 0, before, 0.0)
    loss = (hidden @ w2).mean()
    assert hidden.tolist() == [[5.5, 1.0], [1.5, 0.0]] and loss.item() == 7.5

    made_by, queue = [], [loss]
    while queue:
        tensor = queue.pop()
        if tensor.origin is not None:
            made_by.append(tensor.origin.op.name)
            queue += tensor.origin.inputs
    assert made_by == ["mean", "matmul", "where", "add", "matmul"], "the origins lead back from the loss to the leaves"
    assert loss.requires_grad and not (before > 0).requires_grad and loss.detach().origin is None


if __name__ == "__main__":
    test_module_tensor()

# %% [markdown]
# ## What it costs: layout
#
# `x` is a contiguous float32 matrix of 1,000 by 2,000, which is 8 MB. Which of `x.T`, `x[:, ::2]`, `x[5]`,
# `x.reshape(2000, 1000)`, `x.T.reshape(1000, 2000)`, `x[[0, 1, 2]]` and `x + 0` share memory with `x`, and which copy?
#
# For each of the seven, view or copy, write your guess: ___


# %%
def analyze_layout() -> None:
    """Print shape, strides and whether memory is shared, for results of shape operations."""
    x = zeros(1000, 2000)
    cases = {
        "x": x,
        "x.T": x.T,
        "x[:, ::2]": x[:, ::2],
        "x[5]": x[5],
        "x.reshape(2000, 1000)": x.reshape(2000, 1000),
        "x.T.reshape(1000, 2000)": x.T.reshape(1000, 2000),
        "x[[0, 1, 2]]": x[[0, 1, 2]],
        "x + 0": x + 0,
    }
    print(f"{'result':<25}{'shape':<15}{'strides':<15}{'contiguous':<12}{'memory':<8}{'new bytes':>10}")
    for name, tensor in cases.items():
        array = tensor.numpy()
        shared = np.shares_memory(array, x.numpy())
        print(
            f"{name:<25}{array.shape!s:<15}{array.strides!s:<15}{array.flags.c_contiguous!s:<12}"
            f"{'shared' if shared else 'own':<8}{0 if shared else array.nbytes:>10,}"
        )


if __name__ == "__main__":
    analyze_layout()

# %% [markdown]
# A view costs a few hundred bytes for the new array object, whatever its size. The price comes later, when the elements
# are read in an order that is not the order of memory.
#
# ## What it costs: walking with strides
#
# Memory reaches the processor in cache lines of 64 bytes, 16 numbers of float32. A walk that takes every 16th number
# uses 4 bytes of each line and still fetches all 64. We add up 250,000 numbers that lie 1, 2, 4, 8, 16 and 32 elements
# apart. How many times longer than the first does the walk with stride 16 take? And how many times longer than a
# straight copy of a 2,048 by 2,048 matrix is a copy of its transpose? Write your guess: ___

# %%
import time


def best_seconds(work: Callable[[], Any], repeats: int = 5) -> float:
    """The shortest of some runs: what the work takes when nothing else disturbs it."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def analyze_strided_walks() -> None:
    """Print the time of sums over numbers further and further apart, and of a straight and a transposed copy."""
    count = 250_000
    memory = np.ones(32 * count, dtype=np.float32)
    print(f"{'stride':>10}{'bytes apart':>14}{'lines touched':>16}{'ns per number':>16}{'ratio':>8}")
    first = 0.0
    for stride in (1, 2, 4, 8, 16, 32):
        walk = memory[: stride * count : stride]
        seconds = best_seconds(walk.sum)
        first = first or seconds
        lines = count * min(4 * stride, 64) // 64
        print(f"{stride:>10}{4 * stride:>14}{lines:>16,}{seconds / count * 1e9:>16.2f}{seconds / first:>8.1f}")
    matrix = np.ones((2048, 2048), dtype=np.float32)
    straight = best_seconds(matrix.copy)
    turned = best_seconds(lambda: np.ascontiguousarray(matrix.T))
    print(f"copy of 2048 x 2048: {straight * 1e3:.1f} ms; of its transpose: {turned * 1e3:.1f} ms")
    print(f"ratio: {turned / straight:.1f}")


if __name__ == "__main__":
    analyze_strided_walks()

# %% [markdown]
# From stride 16 on each number needs a line of its own. The transposed copy is worse: one of its two sides goes down a
# column in steps of 8,192 bytes, and lines that lie a power of two apart compete for the same few places in the cache.
#
# ## What it costs: broadcasting
#
# `x` has shape (1000, 1000). We add a tensor of the same shape, a row (1000,), a column (1000, 1) and one number, and
# also a row to a column. The arithmetic is the same each time, a million additions. What changes is how many bytes are
# read: 8 MB with the full matrix, half of that with the row. By what factor is adding the row faster? Write your
# guess: ___


# %%
def analyze_broadcasting() -> None:
    """Print bytes read and written, and time, for additions that broadcast in different ways."""
    x = ones(1000, 1000)
    row, column, number = ones(1000), ones(1000, 1), ones()
    cases = (("x + matrix", x, ones(1000, 1000)), ("x + row", x, row), ("x + column", x, column))
    print(f"{'sum':<14}{'bytes read':>12}{'bytes written':>15}{'us':>8}")
    for name, left, right in (*cases, ("x + number", x, number), ("column + row", column, row)):
        seconds = best_seconds(lambda left=left, right=right: left + right, repeats=20)
        read = left.numpy().nbytes + right.numpy().nbytes
        print(f"{name:<14}{read:>12,}{4 * 1000 * 1000:>15,}{seconds * 1e6:>8.0f}")
    stored = np.ascontiguousarray(np.broadcast_to(row.numpy(), (1000, 1000))).nbytes
    print(f"a row repeated 1000 times in memory would be {stored:,} bytes; broadcast it is {row.numpy().nbytes:,}")


if __name__ == "__main__":
    analyze_broadcasting()

# %% [markdown]
# Where this was written, it was not faster at all. These matrices fit into the processor's cache, so bytes cost little,
# and NumPy enters its inner loop 1,000 times, once for each row, instead of once. Broadcasting saves memory first.
#
# The trap is in the line column + row: 4,000 bytes and 4,000 bytes give 4,000,000. Two vectors of 100,000 numbers, one
# of them made a column by a slip, ask for 40 GB. A subtraction of predictions (n, 1) and targets (n,) is the usual way
# to get there, and no error is raised.
#
# ## What it costs: the gate
#
# `apply` wraps each result and may note its origin. That takes a fixed time for each op, however many elements there
# are. From how many elements on does the gate cost less than a tenth of the addition itself? And how much slower than
# `x * x * x` is `np.power(x, 3)`? Write your guess: ___


# %%
def analyze_gate() -> None:
    """Print the time of an addition by NumPy alone, through the gate, and with the origin noted."""
    print(f"{'elements':>10}{'NumPy us':>12}{'Tensor us':>12}{'with origin us':>16}{'overhead':>10}")
    for count in (10, 1_000, 100_000, 1_000_000):
        plain, wanted = ones(count), ones(count, requires_grad=True)
        array, turns = plain.numpy(), max(1, 20_000 // count)
        times = [
            best_seconds(lambda x=x, n=turns: [x + x for _ in range(n)], repeats=7) / turns * 1e6
            for x in (array, plain, wanted)
        ]
        print(f"{count:>10,}{times[0]:>12.2f}{times[1]:>12.2f}{times[2]:>16.2f}{times[2] / times[0] - 1:>10.0%}")
    x = ones(100_000).numpy() * np.float32(1.5)
    cube, power = best_seconds(lambda: x * x * x), best_seconds(lambda: np.power(x, np.float32(3)))
    print(f"the cube of 100,000 numbers: {cube * 1e6:.0f} us as a product, {power * 1e6:.0f} us as a power")


if __name__ == "__main__":
    analyze_gate()

# %% [markdown]
# The fixed cost, about one microsecond for each op, is most of the time for ten numbers and nothing for a million. It is
# why real frameworks fuse several operations into one, and why a loop over elements in Python has no place here.
#
# ## Reflection 1: the order of the axes
#
# Image files store pixels as (rows, columns, channels). Your convolution wants (channels, rows, columns). A colleague
# writes `batch.permute(0, 3, 1, 2)` in the data loader, and the training step becomes slower although "a permute is
# free". Explain what happens and what you would do. Answer in 150 to 300 words.
#
# - (4 points) says that permute changes shape and strides only, and that the cost arises where elements are read
# - (3 points) explains the slow reads with cache lines and strides, with numbers
# - (3 points) proposes where a copy should be made and weighs it against the reads it saves

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-layout", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# `permute` is free only at the moment it is called. It makes a new array object with another shape and other strides and
# copies none of the pixels, so a batch of 32 images of 224 by 224 pixels still lies in memory as it came from the files:
# for float32 the three channels of one pixel are neighbours, 4 bytes apart, and two neighbouring pixels of one channel
# are 12 bytes apart.
#
# The convolution walks along a row of one channel. In the permuted view each step is 12 bytes. A cache line of 64
# bytes then brings 5 or 6 useful numbers instead of 16, so about three times as many lines must be fetched, and the
# processor cannot load a whole vector of neighbours with one instruction. A library for matrix products may refuse
# such an array and make a contiguous copy of its own, silently and in every call. If the batch is read once for each
# of several operations, or once again in the backward pass, the price is paid each time.
#
# I would make one contiguous copy where the data enters: either the loader stores each sample in (channels, rows,
# columns), or it copies the batch right after the permute. That copy reads and writes 19.3 MB once, a few milliseconds
# at worst, and it can be made in the loader's thread while the previous step computes. It would not pay if the batch
# were read only once, or if the convolution were written for channels last, which is the order that some processors
# prefer. So I would measure both before deciding: the time of the whole step, with and without the copy.

# %% [markdown]
# ## Reflection 2: one gate
#
# All operations pass through `apply`, and an op does not know what a gradient is. Another design gives `Tensor` a
# method for each operation that computes the result and also stores a function for its derivative. Compare the two.
# What does each recorded origin keep alive in memory, and for how long? Answer in 150 to 300 words.
#
# - (4 points) names advantages of the gate: one place for recording, observing and switching off; ops that are testable
#   as pure functions; derivatives added later without changing the class
# - (3 points) names a cost or limit of the gate, such as time for each op or the discipline not to go around it
# - (3 points) says what an origin keeps alive and until when, and what `requires_grad=False` or `detach` change

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-gate", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# With the gate, recording is written once. Switching it off, counting operations, or measuring memory are changes in one
# function and apply to every op, also to those that a later module adds. An op is a pure function of arrays, so it can
# be tested alone against a formula, used without tensors, and replaced by a faster one. Derivatives live in a table of
# their own, and a missing one can be reported by name. If each method stored its own derivative function, forward and
# backward code would be interleaved, every new operation would repeat the recording logic, and forgetting it in one
# method would give silently wrong gradients.
#
# The gate has costs. Each op pays about a microsecond for wrapping and noting, which dominates for ten numbers and
# vanishes for a million. And it works only if nobody goes around it: code that reads `.data`, computes with NumPy and
# wraps the result cuts the chain without an error. That must be forbidden by convention and checked by a tool.
#
# An origin refers to its input tensors, and each of those to its own origin. So as long as the loss is alive, the whole
# forward pass is: every intermediate array, even those no derivative will need. In training that is the largest part of
# memory, and it grows with the batch size and the depth. It is freed when the loss is dropped or when backward
# releases the origins. A list that collects loss tensors over an epoch keeps every step's arrays; collecting
# `loss.item()` does not. Without `requires_grad`, or after `detach`, no origin is made, and each array can go as soon
# as the next one is computed.

# %% [markdown]
# ## Reflection 3: four bytes
#
# The default dtype is float32. Name a computation in this course's field where float32 is too little, one where 2 bytes
# or 1 byte are enough, and explain how a float64 constant in the wrong place can slow a program down without an error.
# Answer in 150 to 300 words.
#
# - (3 points) a case where float32 loses needed digits, with the reason and a number
# - (3 points) a case where fewer bytes are enough, with what is gained
# - (4 points) explains dtype promotion and its cost in memory and time, and how the rule of step 5 prevents it

# %% [markdown] nbgrader={"grade": true, "grade_id": "reflection-dtype", "locked": false, "points": 10, "schema_version": 3, "solution": true, "task": false}
# A float32 has a fraction of 24 bits, about 7 decimal digits. Above 2^24 = 16,777,216 it cannot represent every
# integer: adding 1 to 16,777,216 gives the same number again. A counter or a running sum kept in float32 therefore stops
# growing there, and adding many small losses one by one loses digits long before. Checking derivatives by finite
# differences needs float64 as well: of two losses near 1 that differ by 1e-6, each has a rounding error of up to 6e-8 in
# float32, so one digit of the difference is left.
#
# Weights of a trained network are at the other end. Predictions hardly change when each weight is rounded to 2 bytes, or
# to 1 byte with a scale for each channel. The gain is two or four times less memory, and for a model that is limited by
# reading its weights, as a language model is when it writes token by token, nearly as much time. Pixels come as 1 byte
# each and should be stored so until they are used.
#
# When arrays of two dtypes meet, NumPy's result takes the wider one. A float64 array in the middle of a float32 network,
# perhaps a mask made by `np.ones` or a mean computed outside, makes every later result float64. Nothing fails and the
# numbers even get a little better, but every array takes twice the bytes, and since a vector register holds half as
# many of them, matrix products take about twice as long. The rule of step 5 prevents it: a number or an array takes
# the dtype of the tensor it meets. Only two tensors, where somebody chose both dtypes, are promoted.

# %% [markdown]
# ## Summary
#
# You have built the type on which everything else stands: an array with a dtype, a gate through which every operation
# passes and which notes where results come from, and pure functions with errors that say what to do. You have measured
# that a transpose costs nothing until it is read, that broadcasting saves memory and not arithmetic, and what the gate
# costs. Module 06 will find all the notes it needs for `tensor.backward()`. Next, module 02 adds the functions between
# the layers. Each of them is one `@op`.
