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

# %%
#| default_exp core.tensor
#| export
import functools
import importlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

Array = np.ndarray
Axis = int | tuple[int, ...] | None  # one axis, several, or all

# %% nbgrader={"grade": false, "grade_id": "as-array", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def as_array(data: Any, dtype: Any = np.float32) -> Array:
    """A new array of numbers made from a number, nested lists, an array or a Tensor.

    dtype None means float32. Raises ValueError for rows of different lengths and TypeError for what is not a number.
    """
    ### BEGIN SOLUTION
    wanted = np.dtype(np.float32 if dtype is None else dtype)
    try:
        array = np.asarray(data)
    except ValueError:
        raise ValueError("cannot make a tensor from rows of different lengths: every row must be as long") from None
    for kind in (array.dtype, wanted):
        if kind.kind not in "fiub":
            raise TypeError(f"a tensor holds numbers, not {kind.name}: give it floats, integers or booleans")
    return np.array(array, dtype=wanted)
    ### END SOLUTION

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
        self.saves = saves  # forward returns (result, what the derivative will need)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


ops: dict[str, Op] = {}


def op(forward: Callable[..., Any] | None = None, *, differentiable: bool = True, saves: bool = False) -> Any:
    """Decorator: make an Op of a function and register it under the function's name without a final `_op`.

    Raises ValueError for a second op of the same name; only a notebook cell that is run again replaces its op.
    """
    if forward is None:
        return functools.partial(op, differentiable=differentiable, saves=saves)
    name = forward.__name__.removesuffix("_op")
    if name in ops:
        earlier, later = ops[name].forward.__module__, forward.__module__
        if not earlier == later == "__main__":
            raise ValueError(f"there is an op {name!r} already, from {earlier}: give the one in {later} another name")
    ops[name] = Op(name, forward, differentiable, saves)
    return ops[name]


class Origin:
    """How a tensor was made: the op, its input tensors, its parameters, what forward saved, the inputs' versions."""

    __slots__ = ("inputs", "op", "params", "saved", "versions")

    def __init__(
        self, op: Op, inputs: "tuple[Tensor, ...]", params: dict[str, Any], saved: Any, versions: list[int]
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.params = params
        self.saved = saved
        self.versions = versions


class GradMode(threading.local):
    """Whether origins are recorded, for each thread by itself."""

    enabled = True


grad_mode = GradMode()


def is_grad_enabled() -> bool:
    """Whether results remember how they were made."""
    return grad_mode.enabled

# %%
#| export
class Tensor:
    """An array of numbers that remembers how it was made."""

    __slots__ = ("__weakref__", "data", "grad", "origin", "requires_grad", "version")
    __array_ufunc__ = None  # array + tensor is then our __radd__, not an array of tensors

    def __init__(self, data: Any, dtype: Any = np.float32, requires_grad: bool = False) -> None:
        self.data = as_array(data, dtype)
        self.grad: Array | None = None
        self.requires_grad = requires_grad
        self.origin: Origin | None = None
        self.version = 0  # how often the values were changed in place
        if requires_grad and self.data.dtype.kind != "f":
            raise RuntimeError(
                f"only floating-point tensors can require gradients, this one is {self.dtype}: give dtype=np.float32"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.data.shape

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        """The type of every element."""
        return self.data.dtype

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

    def __iter__(self) -> "Iterator[Tensor]":
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

    def detach(self) -> "Tensor":
        """The same values, in the same memory, without the history."""
        return _wrap(self.data)

    def copy(self) -> "Tensor":
        """The same values in new memory; gradients flow through."""
        return apply(copy_op, self)

    def astype(self, dtype: Any) -> "Tensor":
        """The values as another dtype; gradients flow through when that is a floating-point one."""
        wanted = np.dtype(dtype)
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

    def __add__(self, other: Any) -> "Tensor":
        return combine(add_op, self, other)

    def __radd__(self, other: Any) -> "Tensor":
        return combine(add_op, other, self)

    def __sub__(self, other: Any) -> "Tensor":
        return combine(sub_op, self, other)

    def __rsub__(self, other: Any) -> "Tensor":
        return combine(sub_op, other, self)

    def __mul__(self, other: Any) -> "Tensor":
        return combine(mul_op, self, other)

    def __rmul__(self, other: Any) -> "Tensor":
        return combine(mul_op, other, self)

    def __truediv__(self, other: Any) -> "Tensor":
        return combine(div_op, self, other)

    def __rtruediv__(self, other: Any) -> "Tensor":
        return combine(div_op, other, self)

    def __pow__(self, exponent: Any) -> "Tensor":
        if isinstance(exponent, int | float | np.number):
            return apply(pow_op, self, exponent=exponent)
        return combine(power_op, self, exponent)

    def __rpow__(self, base: Any) -> "Tensor":
        return combine(power_op, base, self)

    def __matmul__(self, other: Any) -> "Tensor":
        return combine(matmul_op, self, other)

    def __rmatmul__(self, other: Any) -> "Tensor":
        return combine(matmul_op, other, self)

    def matmul(self, other: Any) -> "Tensor":
        """The matrix product: rows of this tensor times columns of the other, over any leading axes."""
        return self @ other

    def __neg__(self) -> "Tensor":
        return apply(neg_op, self)

    def __abs__(self) -> "Tensor":
        return apply(abs_op, self)

    def __eq__(self, other: Any) -> "Tensor":  # type: ignore[override]
        return combine(eq_op, self, other)

    def __ne__(self, other: Any) -> "Tensor":  # type: ignore[override]
        return combine(ne_op, self, other)

    def __lt__(self, other: Any) -> "Tensor":
        return combine(lt_op, self, other)

    def __le__(self, other: Any) -> "Tensor":
        return combine(le_op, self, other)

    def __gt__(self, other: Any) -> "Tensor":
        return combine(gt_op, self, other)

    def __ge__(self, other: Any) -> "Tensor":
        return combine(ge_op, self, other)

    __hash__ = object.__hash__  # by identity: == compares element by element

    def exp(self) -> "Tensor":
        """e to the power of each element."""
        return apply(exp_op, self)

    def log(self) -> "Tensor":
        """The natural logarithm of each element."""
        return apply(log_op, self)

    def sqrt(self) -> "Tensor":
        """The square root of each element."""
        return apply(sqrt_op, self)

    def abs(self) -> "Tensor":
        """Each element without its sign."""
        return apply(abs_op, self)

    def clip(self, min: float | None = None, max: float | None = None) -> "Tensor":
        """Each element, but not below min and not above max."""
        return apply(clip_op, self, min=min, max=max)

    def sum(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The sum over an axis, several, or all."""
        return apply(sum_op, self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The mean over an axis, several, or all."""
        return apply(mean_op, self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> "Tensor":
        """The variance over an axis, several, or all: squared distances from the mean, divided by n - correction."""
        return apply(var_op, self, axis=axis, keepdims=keepdims, correction=correction)

    def max(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The largest element over an axis, several, or all."""
        return apply(max_op, self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The smallest element over an axis, several, or all."""
        return apply(min_op, self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> "Tensor":
        """Where the first largest element is, along an axis or in the flattened tensor."""
        return apply(argmax_op, self, axis=axis, keepdims=keepdims)

    @property
    def T(self) -> "Tensor":
        """The axes in reverse order: rows become columns."""
        return apply(permute_op, self, axes=tuple(range(self.ndim))[::-1])

    def permute(self, *axes: Any) -> "Tensor":
        """The axes in another order: permute(2, 0, 1) makes the last axis the first."""
        return apply(permute_op, self, axes=_sizes(axes))

    def transpose(self, axis0: int = -2, axis1: int = -1) -> "Tensor":
        """Two axes exchanged, the last two unless told otherwise."""
        axes = list(range(self.ndim))
        try:
            axes[axis0], axes[axis1] = axes[axis1], axes[axis0]
        except IndexError:
            raise IndexError(f"cannot exchange axes {axis0} and {axis1} of shape {self.shape}") from None
        return apply(permute_op, self, axes=tuple(axes))

    def reshape(self, *shape: Any) -> "Tensor":
        """The same elements in the same order with other axes; one length may be -1, to be worked out."""
        return apply(reshape_op, self, shape=_sizes(shape))

    def flatten(self, start_axis: int = 0) -> "Tensor":
        """All axes from one on made into a single one."""
        kept = self.shape[:start_axis] if self.ndim else ()
        return apply(reshape_op, self, shape=(*kept, -1))

    def squeeze(self, axis: int | None = None) -> "Tensor":
        """Without the axes of length 1, or without one of them; an axis that is longer stays."""
        chosen = range(self.ndim) if axis is None else (range(self.ndim)[axis],)
        shape = tuple(n for i, n in enumerate(self.shape) if n != 1 or i not in chosen)
        return apply(reshape_op, self, shape=shape)

    def unsqueeze(self, axis: int) -> "Tensor":
        """With a new axis of length 1."""
        place = range(self.ndim + 1)[axis]
        return apply(reshape_op, self, shape=(*self.shape[:place], 1, *self.shape[place:]))

    def __getitem__(self, key: Any) -> "Tensor":
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


class Parameter(Tensor):
    """A tensor that training changes: it requires gradients, and modules find it by its class."""

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = True) -> None:
        if dtype is None and isinstance(data, Tensor):
            dtype = data.dtype
        super().__init__(data, dtype, requires_grad)


def _wrap(array: Array) -> Tensor:
    """A Tensor around an array, without a copy or a question."""
    result = Tensor.__new__(Tensor)
    result.data = array
    result.grad = None
    result.requires_grad = False
    result.origin = None
    result.version = 0
    return result


def as_tensor(value: Any, dtype: Any = None) -> Tensor:
    """A Tensor as it is; anything else wrapped, without a copy where none is needed.

    With dtype None an array of integers or booleans keeps its dtype, and everything else becomes float32.
    """
    if isinstance(value, Tensor):
        return value if dtype is None or value.dtype == dtype else value.astype(dtype)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        if dtype is None:
            dtype = np.float32 if value.dtype.kind == "f" else value.dtype
        return _wrap(value.astype(dtype, copy=False))
    return _wrap(as_array(value, dtype))


def _sizes(given: tuple[Any, ...]) -> tuple[int, ...]:
    """reshape(2, 3) and reshape((2, 3)) mean the same."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], tuple | list) else given


def _plain(key: Any) -> Any:
    """An index in which tensors are arrays."""
    if isinstance(key, tuple):
        return tuple(_plain(part) for part in key)
    if not isinstance(key, Tensor):
        return key
    if key.dtype.kind == "f":
        raise IndexError(f"an index holds integers or booleans, this one is {key.dtype}: give it dtype=np.int64")
    return key.data  # no gradient: an index has none

# %% nbgrader={"grade": false, "grade_id": "apply", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
_observers: list[Callable[[Op, tuple[Tensor, ...], dict[str, Any], Tensor], None]] = []


@contextmanager
def observe_ops(callback: Callable[[Op, tuple[Tensor, ...], dict[str, Any], Tensor], None]) -> Iterator[None]:
    """Within `with observe_ops(f):` every op that is applied is told to f(op, inputs, params, result)."""
    _observers.append(callback)
    try:
        yield
    finally:
        _observers.remove(callback)


def apply(op: Op, *inputs: Tensor, **params: Any) -> Tensor:
    """Compute op on the inputs' arrays, and note on the result how it was made when gradients are wanted."""
    ### BEGIN SOLUTION
    array = op.forward(*[tensor.data for tensor in inputs], **params)
    saved = None
    if op.saves:
        array, saved = array
    if array.__class__ is not np.ndarray:  # NumPy makes 0-d results scalars
        array = np.asarray(array)
    result = _wrap(array)
    for tensor in inputs:
        if tensor.requires_grad:
            if op.differentiable and grad_mode.enabled:
                result.requires_grad = True
                result.origin = Origin(op, inputs, params, saved, [each.version for each in inputs])
            break
    if _observers:
        for callback in tuple(_observers):
            callback(op, inputs, params, result)
    return result
    ### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "broadcast-shape", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def broadcast_shape(left: tuple[int, ...], right: tuple[int, ...], verb: str = "broadcast") -> tuple[int, ...]:
    """The shape that two shapes broadcast to; ValueError when they do not fit."""
    ### BEGIN SOLUTION
    ndim = max(len(left), len(right))
    padded = ((1,) * (ndim - len(left)) + left, (1,) * (ndim - len(right)) + right)
    for place, (a, b) in enumerate(zip(*padded, strict=True)):
        if a != b and a != 1 and b != 1:
            raise ValueError(
                f"cannot {verb} shapes {left} and {right}: sizes {a} and {b} meet in axis {place - ndim}, "
                "and must be equal or one of them 1. Check the shapes, or reshape or unsqueeze one of the two."
            )
    return tuple(b if a == 1 else a for a, b in zip(*padded, strict=True))
    ### END SOLUTION


# %%
#| export
VERBS = {"sub": "subtract", "mul": "multiply", "div": "divide", "eq": "compare"}


def combine(op: Op, left: Any, right: Any) -> Tensor:
    """Apply an op of two operands, of which one may be a number or an array.

    A number or array takes the tensor's dtype, except that a float beside integers makes float32. Integers beside
    floats become floats of their dtype. Raises ValueError that names both shapes when they do not fit.
    """
    if not isinstance(right, Tensor):
        right = _operand(right, left.dtype)
    elif not isinstance(left, Tensor):
        left = _operand(left, right.dtype)
    if left is None or right is None:
        return NotImplemented
    if left.data.dtype is not right.data.dtype:  # no gradient: only dtypes are read
        left, right = same_kind(left, right)
    try:
        return apply(op, left, right)
    except ValueError:
        if op.name != "matmul":
            broadcast_shape(left.shape, right.shape, VERBS.get(op.name, op.name))
        raise


def _operand(value: Any, dtype: np.dtype) -> Tensor | None:
    """A number or array as a Tensor that is to meet one of a dtype; None for anything else."""
    if not isinstance(value, int | float | np.generic | np.ndarray):
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        return None
    if dtype.kind == "f" or (array.ndim == 0 and array.dtype.kind in "iu" and dtype.kind in "iu"):
        return _wrap(array.astype(dtype, copy=False))
    return _wrap(array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array)


def same_kind(*tensors: Tensor) -> Sequence[Tensor]:
    """The tensors, integers made floats where others are: float32 beside int64 stays float32."""
    floats = {tensor.dtype for tensor in tensors if tensor.dtype.kind == "f"}
    if not floats:
        return tensors
    wanted = np.result_type(*floats)
    return [tensor if tensor.dtype.kind == "f" else tensor.astype(wanted) for tensor in tensors]


# %%
#| export
def _floating(x: Array) -> Array:
    return x if x.dtype.kind == "f" else x.astype(np.float32)


@op
def add_op(x: Array, y: Array) -> Array:
    """x + y."""
    return x + y


@op
def sub_op(x: Array, y: Array) -> Array:
    """x - y."""
    return x - y


@op
def mul_op(x: Array, y: Array) -> Array:
    """x times y."""
    return x * y


@op
def div_op(x: Array, y: Array) -> Array:
    """x divided by y; integers give float32."""
    return _floating(x) / _floating(y)


@op
def neg_op(x: Array) -> Array:
    """-x."""
    return -x


@op
def pow_op(x: Array, exponent: float) -> Array:
    """x to the power of a number; squares and cubes as products, which are far faster."""
    if exponent == 2:
        return x * x
    if exponent == 3:
        return x * x * x
    if x.dtype.kind == "f" or isinstance(exponent, float | np.floating):
        x = _floating(x)
        return np.power(x, x.dtype.type(exponent))
    return np.power(x, exponent)


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
def abs_op(x: Array) -> Array:
    """x without its sign."""
    return np.abs(x)


@op
def clip_op(x: Array, min: float | None, max: float | None) -> Array:
    """x, but not below min and not above max."""
    if min is not None:
        x = np.maximum(x, x.dtype.type(min))
    if max is not None:
        x = np.minimum(x, x.dtype.type(max))
    return x


@op(differentiable=False)
def eq_op(x: Array, y: Array) -> Array:
    """Where x equals y."""
    return x == y


@op(differentiable=False)
def ne_op(x: Array, y: Array) -> Array:
    """Where x differs from y."""
    return x != y


@op(differentiable=False)
def lt_op(x: Array, y: Array) -> Array:
    """Where x is less than y."""
    return x < y


@op(differentiable=False)
def le_op(x: Array, y: Array) -> Array:
    """Where x is at most y."""
    return x <= y


@op(differentiable=False)
def gt_op(x: Array, y: Array) -> Array:
    """Where x is greater than y."""
    return x > y


@op(differentiable=False)
def ge_op(x: Array, y: Array) -> Array:
    """Where x is at least y."""
    return x >= y


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
    """x as integers or booleans, which have no derivative."""
    return x.astype(dtype)

# %% nbgrader={"grade": false, "grade_id": "reductions", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def sum_op(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The sum over axis."""
    ### BEGIN SOLUTION
    return np.add.reduce(x, axis=axis, keepdims=keepdims)  # what x.sum calls, two Python calls later
    ### END SOLUTION


@op
def mean_op(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean over axis; integers give float32."""
    ### BEGIN SOLUTION
    x = _floating(x)
    total = np.add.reduce(x, axis=axis, keepdims=keepdims)
    return total / x.dtype.type(x.size // max(total.size, 1))
    ### END SOLUTION


@op
def var_op(x: Array, axis: Axis = None, keepdims: bool = False, correction: int = 1) -> Array:
    """The variance over axis; divides by n - correction."""
    ### BEGIN SOLUTION
    x = _floating(x)
    away = x - mean_op.forward(x, axis, keepdims=True)
    total = np.add.reduce(away * away, axis=axis, keepdims=keepdims)
    count = x.size // max(total.size, 1) - correction
    if count <= 0:
        raise ValueError(f"cannot take var of {count + correction} element with correction={correction}: n - correction is {count}")
    return total / x.dtype.type(count)
    ### END SOLUTION


@op
def max_op(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest over axis."""
    return x.max(axis=axis, keepdims=keepdims)


@op
def min_op(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """The smallest over axis."""
    return x.min(axis=axis, keepdims=keepdims)


@op(differentiable=False)
def argmax_op(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the first largest element."""
    return x.argmax(axis=axis, keepdims=keepdims)

# %% nbgrader={"grade": false, "grade_id": "matmul", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def matmul_op(x: Array, y: Array) -> Array:
    """The matrix product over the last two axes."""
    ### BEGIN SOLUTION
    try:
        return np.matmul(x, y)
    except ValueError:
        what = f"cannot multiply {x.shape} by {y.shape}"
        if x.ndim == 0 or y.ndim == 0:
            raise ValueError(f"{what}: a matrix product needs at least one axis on each side; use * to scale") from None
        inner = x.shape[-1], y.shape[max(y.ndim - 2, 0)]
        if inner[0] != inner[1]:
            raise ValueError(
                f"{what}: inner sizes {inner[0]} and {inner[1]} differ, and must be equal. Transpose one of the two, "
                "or give the layer the size of its input."
            ) from None
        raise ValueError(f"{what}: batch axes {x.shape[:-2]} and {y.shape[:-2]} do not broadcast") from None
    ### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "shape-ops", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
@op
def reshape_op(x: Array, shape: tuple[int, ...]) -> Array:
    """The same elements with other axes."""
    ### BEGIN SOLUTION
    try:
        return x.reshape(shape)
    except ValueError:
        raise ValueError(
            f"cannot reshape {x.shape} into {tuple(shape)}: the elements, {x.size} of them, do not fill it exactly"
        ) from None
    ### END SOLUTION


@op
def permute_op(x: Array, axes: tuple[int, ...]) -> Array:
    """The axes in another order."""
    ### BEGIN SOLUTION
    try:
        return x.transpose(axes)
    except ValueError:
        raise ValueError(f"cannot permute {x.shape} by {axes}: name each axis from 0 to {x.ndim - 1} once") from None
    ### END SOLUTION


@op
def getitem_op(x: Array, key: Any) -> Array:
    """The elements at key."""
    ### BEGIN SOLUTION
    return x[key]
    ### END SOLUTION


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
    """Tensors one after another along an axis; their other axes must agree."""
    tensors = _alike("cat", tensors)
    shapes = [tensor.shape for tensor in tensors]
    try:
        return apply(cat_op, *tensors, axis=axis)
    except ValueError as error:
        raise ValueError(f"cannot cat shapes {_listed(shapes)} along axis {axis}: {error}") from None


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis."""
    tensors = _alike("stack", tensors)
    try:
        return apply(stack_op, *tensors, axis=axis)
    except ValueError as error:
        raise ValueError(f"cannot stack shapes {_listed([t.shape for t in tensors])}: {error}") from None


def where(condition: Any, x: Any, y: Any) -> Tensor:
    """x where the condition holds and y elsewhere, each broadcast against the others."""
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        x = as_tensor(x)
    if not isinstance(x, Tensor):
        x = _operand(x, y.dtype)
    elif not isinstance(y, Tensor):
        y = _operand(y, x.dtype)
    x, y = same_kind(x, y)
    condition = condition if isinstance(condition, Tensor) else as_tensor(condition, bool)
    try:
        return apply(where_op, condition, x, y)
    except ValueError:
        broadcast_shape(condition.shape, broadcast_shape(x.shape, y.shape, "choose between"), "choose by")
        raise


def _alike(verb: str, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    if not tensors:
        raise ValueError(f"cannot {verb} nothing: give it at least one tensor")
    return same_kind(*(as_tensor(tensor) for tensor in tensors))


def _listed(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes[:-1])) + f" and {shapes[-1]}" if len(shapes) > 1 else str(shapes[0])


# %% nbgrader={"grade": false, "grade_id": "constructors", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def full(shape: Any, value: float, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of a shape with one value everywhere."""
    ### BEGIN SOLUTION
    return _made(np.full(shape, value, dtype=dtype), requires_grad)
    ### END SOLUTION


def zeros(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: zeros(2, 3) or zeros((2, 3))."""
    ### BEGIN SOLUTION
    return _made(np.zeros(_sizes(shape), dtype=dtype), requires_grad)
    ### END SOLUTION


def ones(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of ones: ones(2, 3) or ones((2, 3))."""
    ### BEGIN SOLUTION
    return _made(np.ones(_sizes(shape), dtype=dtype), requires_grad)
    ### END SOLUTION


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """The numbers start, start + step, ... below stop; from 0 when only one is given. Integers give int64."""
    ### BEGIN SOLUTION
    if stop is None:
        start, stop = 0, start
    if dtype is None:
        dtype = np.int64 if all(isinstance(n, int | np.integer) for n in (start, stop, step)) else np.float32
    return _made(np.arange(start, stop, step).astype(dtype), requires_grad)
    ### END SOLUTION


def randn(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Random numbers of mean 0 and variance 1, normally distributed."""
    ### BEGIN SOLUTION
    return _made(generator().standard_normal(_sizes(shape), dtype=_drawn(dtype)).astype(dtype), requires_grad)
    ### END SOLUTION


def rand(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """Random numbers from 0 to below 1, evenly distributed."""
    ### BEGIN SOLUTION
    return _made(generator().random(_sizes(shape), dtype=_drawn(dtype)).astype(dtype), requires_grad)
    ### END SOLUTION


# %%
#| export
_generators = [np.random.default_rng()]


def manual_seed(seed: int) -> None:
    """Start the random numbers anew: the same seed gives the same numbers."""
    _generators[0] = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    """The source of all random numbers here: randn and rand draw from it, and so should later modules."""
    return _generators[0]


def _drawn(dtype: Any) -> Any:
    return np.float32 if np.dtype(dtype) == np.float32 else np.float64


def _made(array: Array, requires_grad: bool) -> Tensor:
    return Tensor(array, array.dtype, requires_grad)
