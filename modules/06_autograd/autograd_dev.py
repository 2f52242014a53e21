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

# %%
#| default_exp core.autograd
#| export
import inspect
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from typing import Any

import numpy as np

from tinytorch.core.tensor import (
    Array,
    Op,
    Origin,
    Tensor,
    abs_op,
    add_op,
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

# %%
#| export
Rule = Callable[..., Array | None]
vjp_rules: dict[str, tuple[Rule | None, ...] | Callable[..., Sequence[Array | None]]] = {}


def defvjp(op: Op, *rules: Rule | None) -> None:
    """Register the derivative of an op: one rule for each input, None for an input that has no gradient.

    rule(g, y, *inputs, **params) -> gradient of that input, of its shape; of an op that saves, the rule is
    rule(g, y, saved, *inputs, **params). All are arrays; a rule must not write into any of them.
    """
    if not rules:
        raise ValueError(f"defvjp({op.name}) needs a rule for each input of the op")
    _register(op, rules)


def defvjp_all(op: Op, rule: Callable[..., Sequence[Array | None]]) -> None:
    """Register one rule for all inputs of an op, for inputs that share work or whose number varies.

    rule(g, y, saved, needs, *inputs, **params) -> a gradient for each input, None where needs[i] is False.
    """
    _register(op, rule)


def _register(op: Op, entry: Any) -> None:
    if not op.differentiable:
        raise ValueError(f"op {op.name!r} is declared differentiable=False: it cannot have a derivative")
    if op.name in vjp_rules and _home(vjp_rules[op.name]) != _home(entry):
        raise ValueError(f"op {op.name!r} has a derivative already, from {_home(vjp_rules[op.name])}")
    vjp_rules[op.name] = entry


def _home(entry: Any) -> str:
    """The module whose code a rule is."""
    rules = entry if isinstance(entry, tuple) else (entry,)
    return next((rule.__module__ for rule in rules if rule is not None), "nowhere")


# %% nbgrader={"grade": false, "grade_id": "unbroadcast", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def unbroadcast(g: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an input of this shape that was broadcast to the shape of g: g, summed over the copies."""
    ### BEGIN SOLUTION
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    stretched = (i for i, n in enumerate(shape, start=lead) if n == 1 and g.shape[i] != 1)
    total = np.add.reduce(g, axis=(*range(lead), *stretched))
    return total if total.shape == shape else total.reshape(shape)
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "elementwise-rules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _mul_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    ### BEGIN SOLUTION
    return unbroadcast(g * b, a.shape)
    ### END SOLUTION


def _mul_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    ### BEGIN SOLUTION
    return unbroadcast(g * a, b.shape)
    ### END SOLUTION


def _div_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    ### BEGIN SOLUTION
    return unbroadcast(g / b, a.shape)
    ### END SOLUTION


def _div_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    ### BEGIN SOLUTION
    return -unbroadcast(g * y / b, b.shape)
    ### END SOLUTION


def _pow(g: Array, y: Array, x: Array, exponent: float) -> Array:
    ### BEGIN SOLUTION
    if exponent == 0:
        return np.zeros_like(x)
    with np.errstate(divide="ignore", invalid="ignore"):  # the slope of sqrt at 0 is infinite
        return g * (exponent * pow_op.forward(x, exponent - 1))
    ### END SOLUTION


defvjp(mul_op, _mul_a, _mul_b)
defvjp(div_op, _div_a, _div_b)
defvjp(pow_op, _pow)

# %%
#| export
defvjp(add_op, lambda g, y, a, b: unbroadcast(g, a.shape), lambda g, y, a, b: unbroadcast(g, b.shape))
defvjp(sub_op, lambda g, y, a, b: unbroadcast(g, a.shape), lambda g, y, a, b: -unbroadcast(g, b.shape))
defvjp(neg_op, lambda g, y, x: -g)
defvjp(exp_op, lambda g, y, x: g * y)
defvjp(log_op, lambda g, y, x: g / x)
defvjp(abs_op, lambda g, y, x: g * np.sign(x))
defvjp(clip_op, lambda g, y, x, min, max: g * (y == x))
defvjp(copy_op, lambda g, y, x: g)
defvjp(astype_op, lambda g, y, x, dtype: g.astype(x.dtype))
defvjp(
    where_op,
    None,
    lambda g, y, condition, a, b: unbroadcast(np.where(condition, g, g.dtype.type(0)), a.shape),
    lambda g, y, condition, a, b: unbroadcast(np.where(condition, g.dtype.type(0), g), b.shape),
)


def _sqrt(g: Array, y: Array, x: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):  # infinite at 0, as it should be
        return g / (y + y)


def _power_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(b == 0, y.dtype.type(0), b * np.power(a, b - 1))
    return unbroadcast(g * slope, a.shape)


def _power_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where((a == 0) & (b >= 0), y.dtype.type(0), y * np.log(a))
    return unbroadcast(g * slope, b.shape)


defvjp(sqrt_op, _sqrt)
defvjp(power_op, _power_a, _power_b)


# %% nbgrader={"grade": false, "grade_id": "reduction-rules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def spread(g: Array, shape: tuple[int, ...], axis: Any = None, keepdims: bool = False) -> Array:
    """The opposite of a sum over axis: g copied along the axes that the sum removed, in memory of its own."""
    ### BEGIN SOLUTION
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    full = np.empty(shape, g.dtype)
    full[...] = g
    return full
    ### END SOLUTION


def _mean(g: Array, y: Array, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    ### BEGIN SOLUTION
    count = x.size // max(y.size, 1)
    return spread(g / g.dtype.type(max(count, 1)), x.shape, axis, keepdims)
    ### END SOLUTION


defvjp(sum_op, lambda g, y, x, axis=None, keepdims=False: spread(g, x.shape, axis, keepdims))
defvjp(mean_op, _mean)


# %%
#| export
def _var(g: Array, y: Array, x: Array, axis: Any = None, keepdims: bool = False, correction: int = 1) -> Array:
    count = x.size // max(y.size, 1) - correction
    if axis is not None and not keepdims:
        g = np.expand_dims(g, axis)
    return (x - x.mean(axis=axis, keepdims=True)) * (g * g.dtype.type(2 / count))


def _extreme(g: Array, y: Array, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """Of max and min. Ties: over one axis the first takes all, over several or all axes they share evenly."""
    if axis is not None and not keepdims:
        g, y = np.expand_dims(g, axis), np.expand_dims(y, axis)
    best = x == y
    if isinstance(axis, int | np.integer):
        place = np.expand_dims(best.argmax(axis=axis), axis)
        full = np.zeros_like(x)
        np.put_along_axis(full, place, g, axis)
        return full
    count = np.add.reduce(best, axis=axis, keepdims=True, dtype=x.dtype)
    return best * (g / np.maximum(count, 1))


defvjp(var_op, _var)
defvjp(max_op, _extreme)
defvjp(min_op, _extreme)


# %% nbgrader={"grade": false, "grade_id": "shape-rules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def add_rows(count: int, index: Array, rows: Array) -> Array:
    """Zeros of shape (count, width) to which rows[i] is added at index[i]; an index may occur many times.

    index (n,) integers from 0 to count - 1, rows (n, width). Sorted first, so that equal indices lie side by side and
    one reduceat sums them.
    """
    full = np.zeros((count, *rows.shape[1:]), rows.dtype)
    if index.size:
        order = np.argsort(index, kind="stable")
        index = index[order]
        starts = np.flatnonzero(np.concatenate(([True], index[1:] != index[:-1])))
        full[index[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return full


def _getitem(g: Array, y: Array, x: Array, key: Any) -> Array:
    ### BEGIN SOLUTION
    parts = key if isinstance(key, tuple) else (key,)
    parts = [np.asarray(part) if isinstance(part, list) else part for part in parts]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    full = np.zeros_like(x)
    if all(part.dtype == bool for part in arrays):  # numbers, slices and masks take every element at most once
        full[key] = g
    elif all(isinstance(part, np.ndarray | int | np.integer) and np.asarray(part).dtype != bool for part in parts):
        sizes = x.shape[: len(parts)]
        index = np.ravel_multi_index([np.asarray(p) % n for p, n in zip(parts, sizes, strict=True)], sizes)
        rows = g.reshape(index.size, -1) if g.size else g.reshape(index.size, 0)
        full = add_rows(int(np.prod(sizes)), index.reshape(-1), rows).reshape(x.shape)
    else:
        np.add.at(full, key, g)  # arrays mixed with slices: rare, and slow
    return full
    ### END SOLUTION


defvjp(getitem_op, _getitem)

# %%
#| export
defvjp(reshape_op, lambda g, y, x, shape: g.reshape(x.shape))
defvjp(permute_op, lambda g, y, x, axes: g.transpose(np.argsort([axis % x.ndim for axis in axes])))


def _cat(g: Array, y: Array, saved: None, needs: Sequence[bool], *arrays: Array, axis: int = 0) -> list[Array | None]:
    ends = np.cumsum([array.shape[axis] for array in arrays])[:-1]
    return [part if need else None for part, need in zip(np.split(g, ends, axis), needs, strict=True)]


def _stack(g: Array, y: Array, saved: None, needs: Sequence[bool], *arrays: Array, axis: int = 0) -> list[Array | None]:
    return [part if need else None for part, need in zip(np.moveaxis(g, axis, 0), needs, strict=True)]


defvjp_all(cat_op, _cat)
defvjp_all(stack_op, _stack)


# %% nbgrader={"grade": false, "grade_id": "matmul-rules", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def _matmul_a(g: Array, y: Array, a: Array, b: Array) -> Array:
    """g (..., m, n), b (..., k, n) -> a (..., m, k)."""
    ### BEGIN SOLUTION
    if b.ndim == 2 and a.ndim > 1:
        return (g.reshape(-1, g.shape[-1]) @ b.T).reshape(a.shape) if a.ndim > 2 else g @ b.T
    if b.ndim == 1:
        return unbroadcast(g[..., None] * b, a.shape)
    if a.ndim == 1:
        g = g[..., None, :]
    return unbroadcast(g @ b.swapaxes(-1, -2), (1,) * (2 - a.ndim) + a.shape).reshape(a.shape)
    ### END SOLUTION


def _matmul_b(g: Array, y: Array, a: Array, b: Array) -> Array:
    """a (..., m, k), g (..., m, n) -> b (..., k, n)."""
    ### BEGIN SOLUTION
    if b.ndim == 2 and a.ndim > 1:  # one product over all leading axes
        return a.reshape(-1, a.shape[-1]).T @ g.reshape(-1, g.shape[-1])
    if a.ndim == 1:
        return unbroadcast(a[:, None] * g[..., None, :], b.shape) if b.ndim > 1 else a * g
    if b.ndim == 1:
        return unbroadcast(a * g[..., None], b.shape)
    return unbroadcast(a.swapaxes(-1, -2) @ g, b.shape)
    ### END SOLUTION


defvjp(matmul_op, _matmul_a, _matmul_b)


# %%
#| export
FREED = Origin(Op("freed", lambda: None), (), {}, None, [])  # what the origin of a tensor becomes when its graph goes


def _no_rule(origin: Origin) -> Exception:
    if origin is FREED:
        return RuntimeError(
            "cannot go backward through this graph a second time: the first backward has freed it. Run the forward "
            "pass again, or call backward(retain_graph=True) the first time."
        )
    name = origin.op.name
    return NotImplementedError(
        f"op {name!r} has no derivative rule, so no gradient can flow through it. Register one beside the op: "
        f"defvjp({name}_op, lambda g, y, x: ...)"
    )


def _changed(origin: Origin, tensor: Tensor) -> Exception:
    which = next((f"input {i}" for i, each in enumerate(origin.inputs) if each is tensor), "result")
    return RuntimeError(
        f"cannot go backward through op {origin.op.name!r}: its {which}, of shape {tensor.shape}, was changed in place "
        "after the op had run. Change it after backward, or give the op a copy()."
    )


# %% nbgrader={"grade": false, "grade_id": "topological-order", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def topological_order(root: Tensor) -> list[Tensor]:
    """The tensors that root was made from and that require gradients, each after its inputs; root comes last."""
    ### BEGIN SOLUTION
    order: list[Tensor] = []
    seen: set[Tensor] = set()
    stack: list[Tensor | None] = [root]
    while stack:
        node = stack.pop()
        if node is None:  # all that the next one was made from is listed
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
        if node.version:
            raise _changed(origin, node)
        stack += (node, None)
        for tensor, version in zip(origin.inputs, origin.versions):  # noqa: B905 (strict= costs 0.1 us for each op)
            if tensor.version != version:
                raise _changed(origin, tensor)
            if tensor.requires_grad and tensor not in seen:
                stack.append(tensor)
    return order
    ### END SOLUTION


# %%
#| export
def _fitted(grad: Any, x: Array, op: Op) -> Array:
    """A gradient that a rule gave for x, as an array of x's dtype; an error when it has another shape."""
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
    held = [tensor.data for tensor in origin.inputs]  # no gradient: only compared by identity
    held += origin.saved if isinstance(origin.saved, tuple | list) else [origin.saved]
    return all(grad is not each for each in held)


# %% nbgrader={"grade": false, "grade_id": "pull-back", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def pull_back(root: Tensor, gradient: Array, retain_graph: bool = False) -> dict[Tensor, Array]:
    """The gradient of each leaf that root was made from and that requires one, in memory that nobody else holds."""
    ### BEGIN SOLUTION
    order = topological_order(root)
    gradients = {root: gradient}
    ours: set[Tensor] = set()  # whose entry in gradients is an array made here, to be added to in place
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
        arrays = [tensor.data for tensor in inputs]  # no gradient: rules take arrays
        rules = vjp_rules[op.name]
        given = None
        if rules.__class__ is not tuple:
            needs = [tensor.requires_grad for tensor in inputs]
            given = rules(g, y, origin.saved, needs, *arrays, **params)
        elif op.saves:
            arrays.insert(0, origin.saved)
        for place, tensor in enumerate(inputs):
            if not tensor.requires_grad:
                continue
            if given is not None:
                grad = given[place]
            elif rules[place] is not None:
                grad = rules[place](g, y, *arrays, **params)
            else:
                continue
            if grad is None:
                continue
            x = tensor.data  # no gradient: only its shape and dtype are read
            if grad.__class__ is not np.ndarray or grad.shape != x.shape or grad.dtype is not x.dtype:
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
    """Add to the .grad of every leaf under tensor the gradient of tensor, or of (tensor * gradient).sum()."""
    ### BEGIN SOLUTION
    for leaf, grad in pull_back(tensor, seed_gradient(tensor, gradient), retain_graph).items():
        if leaf.grad is not None:
            grad += leaf.grad  # into the new array: who kept the old one keeps its values
        leaf.grad = grad
    ### END SOLUTION


def seed_gradient(tensor: Tensor, gradient: Any) -> Array:
    """The gradient that backward starts with, checked: of the tensor's shape and dtype, 1 for a single number."""
    if not tensor.requires_grad:
        if tensor.dtype.kind != "f":
            raise RuntimeError(f"a tensor of {tensor.dtype} has no gradient: only floating-point numbers do")
        raise RuntimeError(
            "this tensor does not require gradients, so there is nothing to go back to: none of the tensors it was made "
            "from has requires_grad=True, or it was made under no_grad or from detach()"
        )
    if gradient is None:
        if tensor.size != 1:
            raise RuntimeError(
                f"backward without a gradient needs a single number, this tensor has shape {tensor.shape}: reduce it with "
                "sum() or mean(), or pass backward a gradient of that shape"
            )
        seed = np.empty(tensor.shape, tensor.dtype)
        seed.fill(1)
        return seed
    seed = as_array(gradient, tensor.dtype)
    if seed.shape != tensor.shape:
        raise ValueError(f"the gradient has shape {seed.shape}, and must have the tensor's: {tensor.shape}")
    return seed


# %% nbgrader={"grade": false, "grade_id": "no-grad", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
class Recording(ContextDecorator):
    """A context, or a decorator of functions, in which origins are recorded or not."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.before: list[bool] = []  # a list: the same object may be entered again while it is open

    def __enter__(self) -> None:
        ### BEGIN SOLUTION
        self.before.append(grad_mode.enabled)
        grad_mode.enabled = self.enabled
        ### END SOLUTION

    def __exit__(self, *error: object) -> None:
        ### BEGIN SOLUTION
        grad_mode.enabled = self.before.pop()
        ### END SOLUTION

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, run in this context."""
        if inspect.isgeneratorfunction(function):
            raise TypeError(f"{function.__name__} is a generator: use `with no_grad():` in it, around what it computes")
        return super().__call__(function)


def no_grad() -> Recording:
    """`with no_grad():` or `@no_grad()`: results do not remember how they were made, and require no gradients."""
    return Recording(False)


# %% nbgrader={"grade": false, "grade_id": "vjp", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def vjp(function: Callable[..., Tensor], *inputs: Any) -> tuple[Tensor, Callable[..., tuple[Array, ...]]]:
    """function(*inputs), and the pullback: from a gradient of the result to a gradient of each input.

    No .grad is touched. The pullback can be called many times; without an argument its gradient is 1, for a scalar.
    """
    leaves = [_leaf(each) for each in inputs]
    with Recording(True):
        result = function(*leaves)
    if not isinstance(result, Tensor):
        raise TypeError(f"vjp needs a function that returns a Tensor, this one returned {type(result).__name__}")

    def pullback(gradient: Any = None) -> tuple[Array, ...]:
        found = pull_back(result, seed_gradient(result, gradient), retain_graph=True) if result.requires_grad else {}
        return tuple(found[leaf] if leaf in found else np.zeros(leaf.shape, leaf.dtype) for leaf in leaves)

    return result, pullback


def _leaf(value: Any) -> Tensor:
    tensor = as_tensor(value)
    return Tensor(tensor.numpy(), tensor.dtype, requires_grad=tensor.dtype.kind == "f")


def grad(function: Callable[..., Tensor], place: int = 0) -> Callable[..., Array]:
    """The function that computes the gradient of a scalar function by one of its inputs, the first unless told."""

    def gradient(*inputs: Any) -> Array:
        return vjp(function, *inputs)[1]()[place]

    return gradient


# %% nbgrader={"grade": false, "grade_id": "gradcheck", "locked": false, "schema_version": 3, "solution": true, "task": false}
#| export
def numerical_gradient(function: Callable[[Array], float], x: Array, eps: float = 1e-6) -> Array:
    """The gradient of a scalar function of one array, by central differences: (f(x + eps) - f(x - eps)) / (2 eps)."""
    ### BEGIN SOLUTION
    x = x.copy()
    slopes = np.empty_like(x)
    for place in np.ndindex(x.shape):
        middle = x[place]
        x[place] = middle + eps
        above = function(x)
        x[place] = middle - eps
        below = function(x)
        x[place] = middle
        slopes[place] = (above - below) / (2 * eps)
    return slopes
    ### END SOLUTION


def gradcheck(
    function: Callable[..., Tensor], *inputs: Any, eps: float = 1e-6, atol: float = 1e-6, rtol: float = 1e-5
) -> bool:
    """True when the rules agree with central differences at float64, for every floating-point input.

    The result is weighed with fixed random numbers, so that every element of it counts, and counts differently.
    Raises AssertionError that names the input and the entry that differs most.
    """
    inputs = [as_tensor(each) if isinstance(each, Tensor) else Tensor(each, np.asarray(each).dtype) for each in inputs]
    inputs = [each.astype(np.float64).detach() if each.dtype.kind == "f" else each for each in inputs]
    result, pullback = vjp(function, *inputs)
    if result.dtype != np.float64:
        raise TypeError(f"gradcheck computes at float64, and the function returned {result.dtype}: it casts on the way")
    weights = np.random.default_rng(0).uniform(0.5, 1.5, result.shape)
    for place, (each, analytic) in enumerate(
        zip(inputs, pullback(weights) if result.requires_grad else (0,) * len(inputs), strict=True)
    ):
        if each.dtype.kind != "f":
            continue

        def weighed(x: Array, place: int = place) -> float:
            changed = [Tensor(x, x.dtype) if i == place else other for i, other in enumerate(inputs)]
            with no_grad():
                return float(np.sum(function(*changed).numpy() * weights))

        numeric = numerical_gradient(weighed, each.numpy(), eps)
        wrong = ~np.isclose(analytic, numeric, rtol=rtol, atol=atol)
        if wrong.any():
            entry = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(analytic - numeric) * wrong), wrong.shape))
            raise AssertionError(
                f"the gradient of input {place} is wrong at entry {entry}: the rules give {analytic[entry]:.8g}, "
                f"central differences {numeric[entry]:.8g} ({wrong.sum()} of {wrong.size} entries differ)"
            )
    return True
