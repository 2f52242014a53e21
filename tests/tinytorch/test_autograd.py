"""The engine: order, accumulation, memory, and what it refuses. Rules are tested in test_gradients.py."""

from __future__ import annotations

import gc
import itertools
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from tinytorch.core.activations import relu, tanh
from tinytorch.core.autograd import (
    FREED,
    Recording,
    add_rows,
    backward,
    defvjp,
    defvjp_all,
    grad,
    gradcheck,
    no_grad,
    pull_back,
    spread,
    topological_order,
    unbroadcast,
    vjp,
    vjp_rules,
)
from tinytorch.core.tensor import Op, Parameter, Tensor, apply, cat, grad_mode, ops, stack, where


def leaf(*shape: int, seed: int = 0, dtype: type = np.float64) -> Tensor:
    """A tensor of random numbers that requires gradients."""
    return Tensor(np.random.default_rng(seed).standard_normal(shape), dtype, requires_grad=True)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a rule of each op has been called since."""
    counts: dict[str, int] = {}

    def counted(name: str, rule: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            counts[name] = counts.get(name, 0) + 1
            return rule(*args, **kwargs)

        return rule and noted

    for name, entry in vjp_rules.items():
        each = tuple(counted(name, rule) for rule in entry) if isinstance(entry, tuple) else counted(name, entry)
        monkeypatch.setitem(vjp_rules, name, each)
    return counts


@pytest.fixture
def own_rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rules that a test registers go again."""
    before = dict(vjp_rules)
    yield
    vjp_rules.clear()
    vjp_rules.update(before)


# Order


def test_the_example_of_the_lesson() -> None:
    """Catches a sign, a factor, or one of the two paths to a forgotten: by hand 64 and 32."""
    a, b = Tensor(2.0, requires_grad=True), Tensor(3.0, requires_grad=True)
    ((a * b + a) ** 2).backward()
    assert a.grad.tolist() == 64.0 and b.grad.tolist() == 32.0
    assert isinstance(a.grad, np.ndarray) and a.grad.shape == ()


def test_a_chain_of_ten_thousand_ops() -> None:
    """Catches recursion, in the walk, in backward and when the graph is freed, and quadratic cost."""
    x = leaf(3)
    y = x
    for _ in range(10_000):
        y = y * 1.0 + 0.0
    assert len(topological_order(y)) == 20_001
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0]
    y = x
    for _ in range(50_000):
        y = -y
    del y  # never gone through: Python has to let go of a long chain of notes by itself


@pytest.mark.parametrize("depth", [1, 30, 60])
def test_diamonds_cost_one_call_for_each_edge(depth: int, calls: dict[str, int]) -> None:
    """Catches a walk along paths: of these there are 2 ** 60."""
    x = Tensor(1.0, np.float64, requires_grad=True)
    y = x
    for _ in range(depth):
        y = y + y * 0.5
    y.backward()
    assert calls == {"add": 2 * depth, "mul": depth}
    assert x.grad == pytest.approx(1.5**depth, rel=1e-12)


@pytest.mark.parametrize("depth", [1, 30, 60])
def test_calls_grow_linearly_when_all_earlier_values_are_used(depth: int, calls: dict[str, int]) -> None:
    """Catches a tensor that hands its gradient on before it is complete: dense connections make that 2 ** depth."""
    values = [Tensor(0.01, np.float64, requires_grad=True)]
    for _ in range(depth):
        values.append(stack(values).sum())
    values[-1].backward()
    assert calls == {"stack": depth, "sum": depth}
    assert values[0].grad == pytest.approx(2.0 ** (depth - 1))


def test_an_op_of_many_inputs_is_linear_too(calls: dict[str, int]) -> None:
    """Catches a walk that looks at all inputs again for each of them: 10,000 inputs would take 50 million looks."""
    leaves = [Tensor([1.0], requires_grad=True) for _ in range(10_000)]
    (cat(leaves) * 2.0).sum().backward()
    assert calls == {"cat": 1, "mul": 1, "sum": 1}
    assert {float(each.grad[0]) for each in leaves} == {2.0}


def test_gradients_that_nobody_needs_are_not_computed(calls: dict[str, int]) -> None:
    """Catches a rule that is called for data: the first layer's product would cost twice as much."""
    needed: list[Any] = []
    entry = vjp_rules["cat"]
    vjp_rules["cat"] = lambda g, y, saved, needs, *arrays, **params: (
        needed.append(list(needs)) or entry(g, y, saved, needs, *arrays, **params)
    )
    x, w, b = Tensor(np.ones((2, 3))), leaf(3, 4, dtype=np.float32), Tensor(np.ones((1, 4)))
    cat([x @ w, b]).sum().backward()
    vjp_rules["cat"] = entry
    assert calls["matmul"] == 1 and needed == [[True, False]]


@given(st.lists(st.tuples(st.sampled_from("+*-"), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=30))
def test_any_graph_agrees_with_forward_mode(steps: list[tuple[str, int, int]]) -> None:
    """Catches any wrong order or sum: dual numbers, carried forward, are another way to the same derivatives."""
    starts = (0.5, -0.75, 1.25)
    tensors = [Tensor(each, np.float64, requires_grad=True) for each in starts]
    duals = [(value, np.eye(3)[i]) for i, value in enumerate(starts)]
    nodes = list(tensors)
    for sign, i, j in steps:
        i, j = i % len(nodes), j % len(nodes)
        (a, da), (b, db) = duals[i], duals[j]
        if sign == "+":
            nodes.append((nodes[i] + nodes[j]) * 0.5)
            duals.append(((a + b) * 0.5, (da + db) * 0.5))
        elif sign == "-":
            nodes.append(nodes[i] - nodes[j])
            duals.append((a - b, da - db))
        else:
            nodes.append(nodes[i] * nodes[j] * 0.5)
            duals.append((a * b * 0.5, (da * b + a * db) * 0.5))
    nodes[-1].backward()
    found = [0.0 if each.grad is None else float(each.grad) for each in tensors]
    np.testing.assert_allclose(found, duals[-1][1], rtol=1e-9, atol=1e-9)


# Accumulation and memory


def test_gradients_accumulate_and_leave_kept_arrays_alone() -> None:
    """Catches .grad that is overwritten, and an array in somebody's hands that changes under them."""
    x = leaf(3)
    (x * 2.0).sum().backward()
    kept = x.grad
    (x * 3.0).sum().backward()
    assert x.grad.tolist() == [5.0] * 3 and kept.tolist() == [2.0] * 3
    theirs = np.ones(3)
    x.grad = theirs
    (x * 2.0).sum().backward()
    assert x.grad.tolist() == [3.0] * 3 and theirs.tolist() == [1.0] * 3


def memory_cases() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Functions of two (2, 3) leaves whose rules hand on g, views of it, or what they were given."""
    return {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "copy": lambda a, b: a.copy() + b.copy(),
        "reshape": lambda a, b: a.reshape(3, 2) + b.reshape(3, 2),
        "permute": lambda a, b: a.T + b.T,
        "slices": lambda a, b: a[:, 1:] + b[:, :2],
        "cat": lambda a, b: cat([a, b, a]),
        "stack": lambda a, b: stack([a, b, b], axis=1),
        "sum": lambda a, b: a.sum(axis=0) + b.sum(axis=0),
        "mean": lambda a, b: a.mean() + b.mean(),
        "where": lambda a, b: where([[True], [False]], a, b),
        "shared": lambda a, b: (a + b) + a + b.reshape(2, 3) + a,
        "astype": lambda a, b: a.astype(np.float64) + b.astype(np.float64),
        "clip": lambda a, b: a.clip(-9, 9) + relu(b + 9.0),
        "leaf": lambda a, b: a,
    }


@pytest.mark.parametrize("name", memory_cases())
def test_gradients_share_memory_with_nothing(name: str) -> None:
    """Catches an alias: scaling one gradient in place, as clipping does, would change another or the caller's array."""
    a, b = leaf(2, 3, seed=1), leaf(2, 3, seed=2)
    y = memory_cases()[name](a, b)
    seed = np.ones(y.shape)
    y.backward(seed)
    grads = [each.grad for each in (a, b) if each.grad is not None]
    for one, other in itertools.combinations((*grads, seed, a.numpy(), b.numpy(), y.numpy()), 2):
        if any(one is each for each in grads):
            assert not np.shares_memory(one, other)
    for each in grads:
        assert each.flags.owndata and each.flags.writeable and each.flags.c_contiguous
    assert (seed == 1.0).all()


@pytest.mark.parametrize("name", memory_cases())
def test_backward_changes_no_values_and_can_be_repeated(name: str) -> None:
    """Catches an addition in place into a result, a saved array, or the gradient of another tensor."""
    a, b = leaf(2, 3, seed=1), leaf(2, 3, seed=2)
    y = tanh(memory_cases()[name](a, b)) * 3.0
    values = [(each, each.numpy().copy()) for each in topological_order(y)]
    found = []
    for _ in range(3):
        a.grad = b.grad = None
        y.backward(np.full(y.shape, 2.0), retain_graph=True)
        found.append([np.zeros(each.shape) if each.grad is None else each.grad for each in (a, b)])
        assert all(np.array_equal(each.numpy(), before) for each, before in values)
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


def test_a_rule_may_hand_on_what_forward_saved(own_rules: None) -> None:
    """Catches in-place sums into a saved array, which a second backward would then start from."""
    op = Op("saver", lambda x: (x.sum(), np.full_like(x, 2.0)), saves=True)
    defvjp(op, lambda g, y, saved, x: saved)
    x = leaf(3)
    y = apply(op, x)
    for times in (1, 2):
        (y + x.sum() + y).backward(retain_graph=True)
        x.grad *= 1.0
        assert y.origin.saved.tolist() == [2.0] * 3
        assert x.grad.tolist() == [3.0 * times] * 3
    x.grad = None
    y.backward(retain_graph=True)
    x.grad[0] = 9.0
    assert y.origin.saved.tolist() == [2.0] * 3


def test_intermediate_tensors_are_freed_while_backward_runs(own_rules: None) -> None:
    """Catches a tape that stays whole until the end: the peak of memory would be all activations and all gradients."""
    alive: list[bool] = []
    op = Op("witness", lambda x: x * 1.0)
    x = leaf(2)
    first = apply(op, x)
    later = first * 2.0
    seen = weakref.ref(later)
    defvjp(op, lambda g, y, x: alive.append(seen() is not None) or g)
    loss = tanh(later).sum()
    del later, first
    loss.backward()
    assert alive == [False]
    assert loss.origin is FREED


def test_memory_of_backward_stays_near_that_of_forward() -> None:
    """Catches gradients that are all kept until the end: here 40 arrays of 80 kB."""
    x = Tensor(np.ones(10_000), np.float64, requires_grad=True)
    y = x
    for _ in range(40):
        y = tanh(y)
    loss = y.sum()
    del y
    gc.collect()
    tracemalloc.start()
    loss.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 80_000


def test_weights_of_a_sequence_get_their_gradient_in_one_product() -> None:
    """Catches a gradient for each element of the batch, summed afterwards: here 64 arrays of 32 kB."""
    x, w = Tensor(np.ones((64, 2, 64)), np.float64), leaf(64, 64)
    y = x @ w
    seed = np.ones(y.shape)
    tracemalloc.start()
    y.backward(seed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * w.numpy().nbytes + 2 * seed.nbytes


def test_graph_of_a_finished_step_is_gone() -> None:
    """Catches a cycle or a cache that keeps activations alive until the collector comes."""
    gc.disable()
    try:
        x = leaf(3)
        y = x * 2.0
        seen = weakref.ref(y)
        loss = y.sum()
        del y
        loss.backward()
        assert seen() is None
    finally:
        gc.enable()


def test_only_leaves_keep_gradients() -> None:
    """Catches .grad on intermediate results, which would double the memory of a step."""
    x = leaf(2)
    y = x * 2.0
    y.sum().backward()
    assert y.grad is None and x.grad is not None


def test_a_shared_parameter_gets_the_sum_of_a_hundred_uses() -> None:
    """Catches an addition in place that starts from a borrowed array."""
    w = leaf(3)
    total = w
    for _ in range(99):
        total = total + w
    total.backward(np.array([1.0, 2.0, 3.0]))
    assert w.grad.tolist() == [100.0, 200.0, 300.0]


# Shapes and dtypes


@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0))
def test_unbroadcast_is_the_adjoint_of_broadcasting(found: Any) -> None:
    """Catches every wrong axis: <g, broadcast(x)> must be <unbroadcast(g), x>."""
    random = np.random.default_rng(0)
    x, g = random.standard_normal(found.input_shapes[0]), random.standard_normal(found.result_shape)
    result = unbroadcast(g, x.shape)
    assert result.shape == x.shape
    assert np.vdot(g, np.broadcast_to(x, g.shape)) == pytest.approx(np.vdot(result, x), abs=1e-9)


@given(array_shapes(min_dims=1, max_dims=3, max_side=3), st.data())
def test_spread_is_the_adjoint_of_a_sum(shape: tuple[int, ...], data: st.DataObject) -> None:
    """Catches a gradient that is copied along another axis than was summed."""
    axis = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    keepdims = data.draw(st.booleans())
    random = np.random.default_rng(0)
    x = random.standard_normal(shape)
    y = np.asarray(x.sum(axis=axis, keepdims=keepdims))
    g = random.standard_normal(y.shape)
    assert np.vdot(g, y) == pytest.approx(np.vdot(spread(g, shape, axis, keepdims), x), abs=1e-9)


@given(st.lists(st.integers(0, 4), max_size=12), st.integers(0, 3))
def test_add_rows_is_add_at(index: list[int], width: int) -> None:
    """Catches repeated rows that overwrite each other."""
    places = np.array(index, dtype=np.int64)
    rows = np.random.default_rng(0).standard_normal((len(index), width))
    wanted = np.zeros((5, width))
    np.add.at(wanted, places, rows)
    np.testing.assert_allclose(add_rows(5, places, rows), wanted, atol=1e-12)


def test_gradients_have_the_dtype_of_their_tensor() -> None:
    """Catches float64 gradients of float32 parameters, which double memory and drift through an optimizer."""
    x = Tensor([1.0, 2.0], requires_grad=True)
    h = Tensor([1.0, 2.0], np.float16, requires_grad=True)
    d = Tensor([1.0, 2.0], np.float64, requires_grad=True)
    ((x * d + x * np.float64(3.0)) * h.astype(np.float32)).sum().backward()
    assert (x.grad.dtype, h.grad.dtype, d.grad.dtype) == (np.float32, np.float16, np.float64)
    assert x.grad.tolist() == [4.0, 10.0]


def test_rules_get_arrays_also_without_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches NumPy's scalars, which have no in-place operations and no item assignment."""
    kinds = set()
    entry = vjp_rules["mul"]

    def noted(rule: Any) -> Any:
        return lambda *args: kinds.update(map(type, args)) or rule(*args)

    monkeypatch.setitem(vjp_rules, "mul", tuple(map(noted, entry)))
    x = Tensor(2.0, requires_grad=True)
    y = x * x
    (y * y * 2.0 + y * 3.0).backward()
    assert kinds == {np.ndarray} and x.grad.tolist() == 76.0


# Not recording


def test_no_grad_nests_and_survives_errors() -> None:
    """Catches a state that is set to on, rather than put back."""
    w = Parameter([1.0])
    with no_grad():
        with pytest.raises(KeyError), no_grad():
            raise KeyError("inside")
        assert not (w * 2.0).requires_grad
        with Recording(True):
            assert (w * 2.0).requires_grad
        assert not grad_mode.enabled
    assert grad_mode.enabled and (w * 2.0).requires_grad


def test_no_grad_decorates_functions() -> None:
    """Catches a decorator that loses the name, the arguments, or its state in recursion and threads."""

    @no_grad()
    def power(w: Tensor, n: int) -> Tensor:
        """w to the n."""
        assert not grad_mode.enabled
        return w if n == 1 else w * power(w, n=n - 1)

    assert power.__name__ == "power" and power.__doc__ == "w to the n."
    assert not power(Parameter([2.0]), 3).requires_grad and grad_mode.enabled
    assert not no_grad(lambda: Parameter([1.0]) * 2.0)().requires_grad


def test_no_grad_decorates_functions_that_threads_share() -> None:
    """Catches a state that is kept with the decorator: two calls at a time would put back each other's."""
    inside, leave = threading.Event(), threading.Event()

    @no_grad()
    def shared(action: Callable[[], object]) -> None:
        action()

    def wait() -> None:
        inside.set()
        leave.wait(5)

    def finish() -> None:
        leave.set()
        thread.join()

    thread = threading.Thread(target=shared, args=(wait,))
    thread.start()
    inside.wait(5)
    with no_grad():
        shared(finish)
        assert not grad_mode.enabled
    assert grad_mode.enabled


def test_no_grad_refuses_what_runs_later() -> None:
    """Catches a generator that looks decorated and records all the same."""

    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> None: ...

    for function in (numbers, later):
        with pytest.raises(TypeError, match="with no_grad"):
            no_grad(function)


# Functions


def test_vjp_touches_no_grad_and_can_be_pulled_back_again() -> None:
    """Catches a pullback that writes into .grad, frees its graph, or forgets an input that has no influence."""
    w = Parameter([1.0, 2.0])
    x = leaf(2)
    with no_grad():
        result, pullback = vjp(lambda x, n, i: (x * w)[i] * 3.0, x, np.float32([1.0]), np.array([1, 1]))
    assert result.requires_grad
    for _ in range(2):
        dx, dn, di = pullback([1.0, 10.0])
        assert dx.tolist() == [0.0, 66.0] and dn.tolist() == [0.0] and di.tolist() == [0, 0]
    assert w.grad is None and x.grad is None and x.requires_grad
    assert vjp(lambda x: x.detach(), x)[1]([1.0, 1.0])[0].tolist() == [0.0, 0.0]
    with pytest.raises(TypeError, match="returns a Tensor"):
        vjp(lambda x: 1.0, x)


def test_grad_is_the_gradient_by_one_input() -> None:
    """Catches the gradient of the wrong input."""
    function = lambda a, b: (a * a * b).sum()  # noqa: E731
    assert grad(function)([3.0], [5.0]).tolist() == [30.0]
    assert grad(function, 1)([3.0], [5.0]).tolist() == [9.0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda g, y, x: g * y * 1.001,
        lambda g, y, x: y,
        lambda g, y, x: np.zeros_like(x),
        lambda g, y, x: g.mean() * y,
        lambda g, y, x: (g * y)[::-1].copy(),
        lambda g, y, x: None,
        lambda g, y, x: g * np.nan,
    ],
    ids=["factor", "without g", "zero", "mean of g", "wrong place", "none", "nan"],
)
def test_gradcheck_finds_a_wrong_rule(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a check that starts from a gradient of ones, or looks at sums only."""
    monkeypatch.setitem(vjp_rules, "exp", (wrong,))
    with pytest.raises(AssertionError, match=r"input 1 is wrong at \(\d,\)"):
        gradcheck(lambda a, x: x.exp() + a, [1.0], [0.1, 0.2, 0.3])


def test_gradcheck_leaves_integers_alone_and_needs_float64() -> None:
    """Catches indices that are moved by eps, and a check that is lost in the rounding of float32."""
    assert gradcheck(lambda x, i: x[i] * x[i], leaf(3), np.array([0, 0, 2]))
    assert gradcheck(lambda x: x * x, leaf(2, dtype=np.float32))
    assert gradcheck(lambda x: x.sum(), np.ones((0, 2)))
    with pytest.raises(TypeError, match="float32"):
        gradcheck(lambda x: x.astype(np.float32), [1.0])


# What is refused


def refused(error: type[Exception], *words: str) -> Any:
    """An error whose message has all of these words."""
    return pytest.raises(error, match="(?s)" + "".join(f"(?=.*{word})" for word in words))


def test_a_missing_rule_names_the_op_and_changes_nothing(own_rules: None) -> None:
    """Catches a silent zero gradient; and a .grad that was half written, or a graph freed, when the error came."""
    op = Op("mystery", lambda x: x * 2.0)
    x = leaf(2)
    loss = (apply(op, x) * 3.0 + x).sum()
    with refused(NotImplementedError, "'mystery'", "defvjp"):
        loss.backward()
    assert x.grad is None
    defvjp(op, lambda g, y, x: g * 2.0)
    loss.backward()
    assert x.grad.tolist() == [7.0, 7.0]


def test_backward_needs_a_number_or_a_gradient() -> None:
    """Catches an implied sum, and a gradient that is broadcast or of another shape."""
    x = leaf(2, 3)
    with refused(RuntimeError, r"\(2, 3\)", "sum"):
        (x * 2.0).backward()
    for gradient in (1.0, np.ones(3), np.ones((3, 2))):
        with refused(ValueError, r"\(2, 3\)", "same"):
            (x * 2.0).backward(gradient)
    with pytest.raises(ValueError, match="length"):
        (x * 2.0).backward([[1.0, 2.0], [3.0]])
    assert x.grad is None
    (x * 2.0).backward(Tensor(np.ones((2, 3), np.float32)))
    (x.sum().reshape(1, 1)).backward()
    x.backward([[1, 1, 1], [1, 1, 1]])
    assert x.grad.tolist() == [[4.0] * 3] * 2


def test_tensors_without_gradients_are_refused() -> None:
    """Catches a backward that does nothing, silently."""
    x = leaf(3)
    with no_grad():
        unrecorded = x.sum()
    for tensor in (Tensor(1.0), unrecorded, x.detach().sum()):
        with refused(RuntimeError, "requires no gradients", "no_grad"):
            tensor.backward()
    for tensor in (Tensor(1, np.int64), x.argmax(), (x > 0.0)[0]):
        with refused(RuntimeError, "int64|bool", "floating-point"):
            tensor.backward()
    with pytest.raises((RuntimeError, TypeError), match="float"):
        Tensor([1], np.int64, requires_grad=True)


def test_an_integer_made_to_require_gradients_later_gets_none() -> None:
    """Catches a gradient of 2.5 that is cut to the integer 2."""
    x = Tensor([1, 2], np.int64)
    x.requires_grad = True
    with refused(RuntimeError, "int64 has no gradient"):
        (x * Tensor([2.5, 2.5])).sum().backward()
    assert x.grad is None


def test_a_second_backward_is_refused_and_a_retained_one_is_not() -> None:
    """Catches a freed graph whose tensors pass for leaves, also when two losses share a part of it."""
    x = leaf(3)
    shared = x * 2.0
    one, two = shared.sum(), (shared * shared).sum()
    one.backward(retain_graph=True)
    one.backward()
    for again in (one, two, shared):
        with refused(RuntimeError, "second time", "retain_graph"):
            again.backward(np.ones(again.shape))
    assert x.grad.tolist() == [4.0] * 3 and shared.grad is None


def test_changes_in_place_are_refused() -> None:
    """Catches derivatives at values that are no longer there: of a parameter, of data, and of a result."""
    for victim, words in (
        ("w", "'mul'.*input 1"),
        ("x", "'mul'.*input 0"),
        ("y", "'exp'.*input 0"),
        ("z", "'exp'.*result"),
    ):
        x, w = Tensor([1.0, 2.0], np.float64), leaf(2)
        y = x * w
        z = y.exp()
        with no_grad():
            {"x": x, "w": w, "y": y, "z": z}[victim][0] = 5.0
        with refused(RuntimeError, "in place", words, r"\(2,\)"):
            z.backward([1.0, 1.0])
        assert w.grad is None


def test_changes_after_backward_or_before_recording_are_fine() -> None:
    """Catches a check that forbids an optimizer's step."""
    x, w = Tensor([1.0, 2.0], np.float64), leaf(2)
    for _ in range(3):
        x[0] = 3.0
        w.grad = None
        (x * w).sum().backward()
        with no_grad():
            w[...] = w - 0.1 * w.grad
        assert w.grad.tolist() == [3.0, 2.0]


def test_rules_that_do_not_fit_are_refused(own_rules: None) -> None:
    """Catches a rule without unbroadcast, one that is missing for an input, and rules that overwrite each other."""
    op = Op("scale", lambda x, s: x * s)
    x, s = leaf(2, 3), leaf(3)
    defvjp(op, lambda g, y, x, s: g * s, lambda g, y, x, s: g * x)
    with refused(ValueError, "'scale'", r"\(2, 3\)", r"\(3,\)", "unbroadcast"):
        apply(op, x, s).sum().backward()
    assert x.grad is None and s.grad is None
    defvjp(op, lambda g, y, x, s: g * s)
    with refused(TypeError, "'scale'", "2 inputs", "1"):
        apply(op, x, s).sum().backward()
    with refused(ValueError, "'add'", "tinytorch.core.autograd"):
        defvjp_all(ops["add"], lambda *args: [])
    with refused(ValueError, "'argmax'", "differentiable"):
        defvjp(ops["argmax"], lambda g, y, x: g)
    with refused(ValueError, "'scale'", "rule"):
        defvjp(op)


def test_an_input_without_a_rule_gets_no_gradient(own_rules: None) -> None:
    """Catches None that is called, or that stops the walk for the other inputs."""
    op = Op("first", lambda x, weight: x * weight)
    defvjp(op, lambda g, y, x, weight: g * weight, None)
    x, w = leaf(2), leaf(2, seed=1)
    apply(op, x, tanh(w)).sum().backward()
    assert np.allclose(x.grad, np.tanh(w.numpy())) and w.grad is None


def test_pull_back_returns_gradients_and_writes_none() -> None:
    """Catches a walk that writes into .grad by itself."""
    x = leaf(2)
    found = pull_back((x * 3.0).sum(), np.array(1.0))
    assert list(found) == [x] and found[x].tolist() == [3.0, 3.0] and x.grad is None
    backward((x * 3.0).sum())
    assert x.grad.tolist() == [3.0, 3.0]
