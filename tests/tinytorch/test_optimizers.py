"""Optimizers against PyTorch's paths (tests/golden/make_optimizers.py), closed forms, and their promises on memory."""

from __future__ import annotations

import copy
import json
import math
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tinytorch import optim
from tinytorch.core import optimizers
from tinytorch.core.layers import Linear
from tinytorch.core.optimizers import BLOCK, SGD, Adam, AdamW, Optimizer, RMSprop, Slab
from tinytorch.core.tensor import Parameter, Tensor

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "optimizers.json").read_text(encoding="utf-8"))
ALL: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (SGD, {}),
    (SGD, {"momentum": 0.9}),
    (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (RMSprop, {"weight_decay": 0.1}),
    (Adam, {"weight_decay": 0.1}),
    (AdamW, {}),
]
each_optimizer = pytest.mark.parametrize(("kind", "options"), ALL, ids=lambda value: getattr(value, "__name__", None))


def parameter(values: Any, gradient: Any = None, dtype: Any = np.float32) -> Parameter:
    made = Parameter(values, dtype=dtype)
    made.grad = None if gradient is None else np.array(gradient, dtype=dtype)
    return made


def several(seed: int = 0, shapes: tuple[tuple[int, ...], ...] = ((3, 2), (4,), (), (0, 3), (5,))) -> list[Parameter]:
    draw = np.random.default_rng(seed)
    return [parameter(draw.standard_normal(shape), draw.standard_normal(shape)) for shape in shapes]


# paths


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['optimizer']}-{c['dtype']}-{c['options']}")
def test_a_hundred_steps_end_where_pytorch_ends(case: dict[str, Any]) -> None:
    # catches any slip in a formula: eps inside the root, correction left out, decay after the step, shared counts
    dtype = np.dtype(case["dtype"])
    problem = {name: [np.array(v, dtype) for v in values] for name, values in GOLDEN["problem"].items()}
    phase = [np.array(v) for v in GOLDEN["problem"]["phase"]]
    params = [Parameter(start, dtype=dtype) for start in problem["start"]]
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in case["options"].items()}
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.5 * options.get("lr", 0.001)}]
    optimizer = getattr(optim, case["optimizer"])(groups, **options)
    path = iter(case["path"])
    for t in range(1, 101):
        for i, w in enumerate(params):
            force = np.asarray(np.sin(t + phase[i]), dtype)
            gradient = np.asarray(problem["curvature"][i] * (w.numpy() - problem["target"][i]) + force)
            w.grad = None if i == GOLDEN["skipped"] and t % 3 == 0 else gradient
        optimizer.step()
        if t in GOLDEN["steps"]:
            for w, wanted in zip(params, next(path), strict=True):
                assert_allclose(w.numpy(), wanted, rtol=0, atol=1e-6 if dtype == np.float32 else 1e-12)
    assert next(path, None) is None


@given(st.floats(0.01, 0.3), st.floats(0, 0.95), st.integers(1, 20))
def test_momentum_on_a_constant_gradient_is_a_geometric_series(lr: float, momentum: float, steps: int) -> None:
    # catches velocity scaled by lr or by 1 - momentum, which one step does not show
    w = parameter([0.0], dtype=np.float64)
    optimizer = SGD([w], lr=lr, momentum=momentum)
    for _ in range(steps):
        w.grad = np.ones(1)
        optimizer.step()
    velocities = [sum(momentum**k for k in range(t)) for t in range(1, steps + 1)]
    assert_allclose(w.item(), -lr * sum(velocities), rtol=1e-10)


def test_descent_on_a_quadratic_is_a_power() -> None:
    # catches a sign or a factor: each step multiplies w by 1 - lr * curvature
    w = parameter([9.0, 1.0], dtype=np.float64)
    optimizer = SGD([w], lr=0.2)
    for _ in range(3):
        w.grad = np.array([1.0, 9.0]) * w.numpy()
        optimizer.step()
    assert_allclose(w.numpy(), [4.608, -0.512])


@given(st.floats(1e-3, 1e3), st.booleans())
def test_adam_s_first_step_is_lr_for_any_gradient(size: float, negative: bool) -> None:
    # catches a missing or swapped bias correction
    w = parameter([1.0], [-size if negative else size], np.float64)
    Adam([w], lr=0.01).step()
    assert_allclose(w.item(), 1.01 if negative else 0.99, rtol=1e-6)


@pytest.mark.parametrize("kind", [Adam, AdamW, RMSprop])
def test_a_gradient_of_zero_is_no_division_by_zero(kind: type[Optimizer]) -> None:
    # catches eps left out: 0 / 0 warns, and makes every weight NaN
    w = parameter([1.0, 2.0], [0.0, 0.0])
    optimizer = kind([w], weight_decay=0)
    optimizer.step()
    assert w.tolist() == [1.0, 2.0]


# memory


@each_optimizer
def test_updates_are_in_place_and_noted(kind: type[Optimizer], options: dict[str, Any]) -> None:
    # catches w = w - step, a gradient used as scratch memory, and a forgotten version
    params = several()
    arrays, gradients = [w.numpy() for w in params], [w.grad.copy() for w in params]
    before = [w.numpy().copy() for w in params]
    kind(params, **options).step()
    for w, array, gradient, old in zip(params, arrays, gradients, before, strict=True):
        assert w.numpy() is array
        assert_array_equal(w.grad, gradient)
        assert w.version == 1
        assert w.size == 0 or not np.array_equal(w.numpy(), old)


@each_optimizer
def test_a_step_allocates_no_arrays(kind: type[Optimizer], options: dict[str, Any]) -> None:
    # catches one expression such as lr * g, which is a new array of the parameter's size in every step
    w = parameter(np.ones(300_000), np.ones(300_000))
    optimizer = kind([w], **options)
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000, f"{peak} bytes for a parameter of {w.numpy().nbytes}"


@pytest.mark.parametrize(
    ("kind", "options", "numbers"), [(SGD, {}, 0), (SGD, {"momentum": 0.9}, 1), (RMSprop, {}, 1), (Adam, {}, 2)]
)
def test_state_is_what_the_lesson_says(kind: type[Optimizer], options: dict[str, Any], numbers: int) -> None:
    # catches state that nobody reads, such as a velocity for plain SGD
    w = parameter(np.ones((50, 3)), np.ones((50, 3)))
    optimizer = kind([w], **options)
    optimizer.step()
    ((_, slab),) = optimizer._slabs
    assert sum(array.nbytes for array in slab.state.values()) == 4 * 150 * numbers


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.data())
def test_blocks_change_nothing(sizes: list[int], data: st.DataObject) -> None:
    # catches numbers left out or updated twice where a parameter spans blocks, and neighbours that were skipped
    having = data.draw(st.lists(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)), max_size=4))
    draw = np.random.default_rng(len(sizes))
    start = [draw.standard_normal(n) for n in sizes]
    together = [parameter(values, dtype=np.float64) for values in start]
    alone = [parameter(values, dtype=np.float64) for values in start]
    gradients: list[list[Any]] = []
    many = [Adam([w], lr=0.1, weight_decay=0.1) for w in alone]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizers, "BLOCK", 7)
        one = Adam(together, lr=0.1, weight_decay=0.1)
        for row in having:
            for w, present in zip(together, row, strict=True):
                w.grad = draw.standard_normal(w.shape) if present else None
            gradients.append([w.grad for w in together])
            one.step()
    for row in gradients:
        for w, each, gradient in zip(alone, many, row, strict=True):
            w.grad = gradient
            each.step()
    for a, b in zip(together, alone, strict=True):
        assert_array_equal(a.numpy(), b.numpy())


def test_a_parameter_longer_than_a_block_is_updated_once_everywhere() -> None:
    # catches a last block that is left out, at the real block size
    for size in (BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5):
        w, after = parameter(np.zeros(size), np.ones(size)), parameter([0.0], [1.0])
        SGD([w, after], lr=1.0).step()
        assert (w.numpy() == -1).all() and after.item() == -1


@each_optimizer
def test_transposed_parameters_are_updated_in_their_own_memory(kind: type[Optimizer], options: dict[str, Any]) -> None:
    # catches reshape(-1) on an array that is not contiguous: it copies, and the update is lost
    values, gradient = np.random.default_rng(1).standard_normal((2, 3, 4)).astype(np.float32)
    turned = Parameter(values.T)
    assert not turned.numpy().flags.c_contiguous
    straight = parameter(values.T.copy(), gradient.T)
    turned.grad = gradient.T
    memory = turned.numpy()
    first, second = kind([turned], **options), kind([straight], **options)
    for _ in range(3):
        first.step()
        second.step()
    assert turned.numpy() is memory
    assert_array_equal(turned.numpy(), straight.numpy())


def test_parameters_keep_their_precision() -> None:
    # catches one flat array for parameters of two dtypes
    half, full = parameter([1.0], [1.0]), parameter([1.0], [1e-12], np.float64)
    SGD([half, full], lr=1.0).step()
    assert half.dtype == np.float32 and half.item() == 0.0
    assert full.dtype == np.float64 and full.item() == 1 - 1e-12


# skipping, groups


@each_optimizer
def test_a_parameter_without_a_gradient_is_left_alone(kind: type[Optimizer], options: dict[str, Any]) -> None:
    # catches decay, momentum or a count of updates on a parameter that took no part in the loss
    w, other = parameter([1.0], [2.0]), parameter([1.0], [2.0])
    optimizer = kind([w, other], **options)
    optimizer.step()
    w.grad = None
    value, state, version = w.item(), optimizer.state_dict()["state"][0], w.version
    optimizer.step()
    assert (w.item(), w.version) == (value, version)
    assert optimizer.state_dict()["state"][0] == state
    assert optimizer.state_dict()["state"][1]["step"] == 2


def test_a_gradient_of_zero_is_not_a_missing_one() -> None:
    # catches `if not grad.any()`: a velocity carries on
    w = parameter([0.0], [1.0])
    optimizer = SGD([w], lr=1.0, momentum=0.5)
    optimizer.step()
    w.grad = np.zeros(1, np.float32)
    optimizer.step()
    assert w.item() == -1.5


def test_groups_have_options_of_their_own_and_follow_changes() -> None:
    # catches options read once, in the constructor: a schedule could not change lr
    slow, fast, late = parameter([0.0], [1.0]), parameter([0.0], [1.0]), parameter([0.0], [1.0])
    optimizer = SGD([{"params": [slow], "lr": 0.1}, {"params": fast}], lr=1.0)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.2
    optimizer.add_param_group({"params": (each for each in [late]), "momentum": 0.5})
    optimizer.step()
    assert_allclose([slow.item(), fast.item(), late.item()], [-0.3, -2.0, -1.0])
    optimizer.param_groups[0]["momentum"] = 0.5  # no velocity so far
    optimizer.step()
    optimizer.step()
    assert_allclose(slow.item(), -0.3 - 0.2 - 0.2 * 1.5, rtol=1e-6)


def test_zero_grad_reaches_every_group() -> None:
    # catches gradients that add up in the second group
    params = several()
    optimizer = SGD([{"params": params[:1]}, {"params": params[1:]}])
    optimizer.zero_grad()
    assert [w.grad for w in params] == [None] * len(params)
    optimizer.step()
    assert [w.version for w in params] == [0] * len(params)


def test_a_graph_from_before_the_step_is_refused() -> None:
    # catches a step that is not noted: backward would mix old results with new weights
    w = Parameter([2.0])
    y = w * 3.0
    z = (y * w).sum()
    w.grad = np.ones(1, np.float32)
    SGD([w], lr=1.0).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        z.backward()


# state


@each_optimizer
def test_going_on_from_saved_state_is_the_same_to_the_last_bit(kind: type[Optimizer], options: dict[str, Any]) -> None:
    # catches a count, an average or an option that is not saved
    params, options = several(shapes=((3, 2), (4,), (), (5,))), {"lr": 0.05, **options}
    first = kind([{"params": params[:2]}, {"params": params[2:], "lr": 0.01}], **options)
    first.step()
    params[1].grad = None
    first.step()
    resumed = copy.deepcopy(params)
    second = kind([{"params": resumed[:2]}, {"params": resumed[2:]}])
    second.load_state_dict(json_and_back(first.state_dict()))
    for w, other in zip(params, resumed, strict=True):
        w.grad = np.full(w.shape, 0.3, np.float32)
        other.grad = w.grad.copy()
    first.step()
    second.step()
    for w, other in zip(params, resumed, strict=True):
        assert_array_equal(w.numpy(), other.numpy())


def json_and_back(state: dict[str, Any]) -> Any:
    """What a file format without Python objects makes of it: text for keys, lists for tuples and arrays."""
    return json.loads(json.dumps(state, default=lambda array: array.tolist()))


def test_saved_state_is_a_copy() -> None:
    # catches views of the flat memory, which change with the next step
    w = parameter([1.0], [1.0])
    optimizer = Adam([w])
    optimizer.step()
    state = optimizer.state_dict()
    kept = copy.deepcopy(state)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 7.0
    assert state == kept
    other = Adam([parameter([1.0], [1.0])])
    other.load_state_dict(state)
    other.step()
    assert state == kept


def test_state_that_does_not_fit_changes_nothing() -> None:
    # catches half a load: options taken over before the shapes are compared
    w = parameter([1.0, 2.0], [1.0, 1.0])
    optimizer = Adam([w], lr=0.5)
    optimizer.step()
    before = copy.deepcopy(optimizer.state_dict())
    state = {"state": {0: {"step": 1, "m": np.zeros(3), "v": np.zeros(2)}}, "param_groups": [{"lr": 9, "params": [0]}]}
    with pytest.raises(ValueError, match=r"m of parameter 0 was saved with shape \(3,\), and must be \(2,\)"):
        optimizer.load_state_dict(state)
    with pytest.raises(ValueError, match=r"the saved groups have \[1, 1\] parameters, this optimizer's have \[1\]"):
        optimizer.load_state_dict({"state": {}, "param_groups": [{"params": [0]}, {"params": [1]}]})
    with pytest.raises(ValueError, match="parameter 1"):
        optimizer.load_state_dict({"state": {1: {"step": 1, "m": [1.0]}}, "param_groups": [{"params": [0]}]})
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert_array_equal(after["state"][0]["m"], before["state"][0]["m"])


def test_state_of_another_optimizer_is_refused() -> None:
    # catches Adam going on from SGD's count with averages of zero, and a rate that walks uphill
    adam, sgd = Adam([parameter([1.0], [1.0])]), SGD([parameter([1.0], [1.0])], lr=0.5, momentum=0.9)
    adam.step()
    sgd.step()
    with pytest.raises(ValueError, match="SGD has no option 'betas'"):
        sgd.load_state_dict(adam.state_dict())
    with pytest.raises(ValueError, match="Adam has no option 'momentum'"):
        adam.load_state_dict(sgd.state_dict())
    with pytest.raises(ValueError, match="lr is -1, and must be a number from 0 on"):
        sgd.load_state_dict({"state": {}, "param_groups": [{"params": [0], "lr": -1}]})
    for wrong in ({}, {"weight": np.zeros(1)}):
        with pytest.raises(ValueError, match=r"no state of an optimizer: it has (nothing|weight) in it"):
            sgd.load_state_dict(wrong)
    assert sgd.param_groups[0]["lr"] == 0.5 and sgd.state_dict()["state"][0]["velocity"].tolist() == [1.0]


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_fresh_state_makes_an_old_optimizer_fresh(kind: type[Optimizer]) -> None:
    # catches averages that stay where the saved state has none
    options = {"momentum": 0.9} if kind is SGD else {}
    used, new = parameter([1.0], [5.0]), parameter([1.0], [5.0])
    optimizer, fresh = kind([used], lr=0.1, **options), kind([new], lr=0.1, **options)
    optimizer.step()
    optimizer.load_state_dict(fresh.state_dict())
    used.data[...] = 1.0
    for w, each in ((used, optimizer), (new, fresh)):
        w.grad = np.array([-2.0], np.float32)
        each.step()
    assert used.item() == new.item()


# errors


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (SGD, {"lr": -0.1}, r"lr is -0\.1, and must be a number from 0 on$"),
        (SGD, {"lr": math.nan}, "lr is nan"),
        (SGD, {"lr": math.inf}, "lr is inf"),
        (SGD, {"momentum": -1}, "momentum is -1"),
        (SGD, {"weight_decay": -1}, "weight_decay is -1"),
        (SGD, {"nesterov": True}, "needs a momentum above 0"),
        (Adam, {"betas": (0.9, 1.0)}, r"betas is \(0\.9, 1\.0\), and must be two numbers from 0 on and below 1$"),
        (Adam, {"betas": (0.9,)}, "two numbers"),
        (Adam, {"betas": 0.9}, r"betas is 0\.9, and must be two numbers"),
        (SGD, {"lr": "0.1"}, r"lr is '0\.1', and must be a number"),
        (SGD, {"lr": None}, "lr is None, and must be a number"),
        (Adam, {"eps": -1e-8}, "eps is"),
        (RMSprop, {"alpha": 1.0}, r"alpha is 1\.0, and must be a number from 0 on and below 1"),
    ],
)
def test_options_out_of_range_are_refused(kind: type[Optimizer], options: dict[str, Any], message: str) -> None:
    # catches an option that makes every weight NaN or the loss grow, a hundred lines later
    with pytest.raises(ValueError, match=message):
        kind([Parameter([1.0])], **options)
    with pytest.raises(ValueError, match=message):  # of one group
        kind([{"params": [Parameter([1.0])], **options}])


def test_what_cannot_be_optimized_is_refused() -> None:
    # catches a model passed in place of its parameters, and tensors that will never have a gradient
    w = Parameter([1.0, 2.0])
    with pytest.raises(TypeError, match=r"not a Parameter: give it model\.parameters\(\)"):
        SGD(w)  # iterating over it would give tensors
    with pytest.raises(TypeError, match=r"not a Linear: give it model\.parameters\(\)"):
        SGD(Linear(2, 2))
    with pytest.raises(TypeError, match="not ndarray"):
        SGD([np.ones(2)])
    with pytest.raises(ValueError, match="no parameters"):
        SGD([])
    with pytest.raises(ValueError, match="made by the op 'mul'"):
        SGD([w * 2.0])
    with pytest.raises(ValueError, match="requires_grad=False"):
        SGD([Tensor([1.0])])
    with pytest.raises(ValueError, match="given twice"):
        SGD([w, w])
    with pytest.raises(ValueError, match="given twice"):
        SGD([{"params": [w]}, {"params": [w]}])
    with pytest.raises(ValueError, match=r"a group needs its parameters: \{'params': \.\.\.\} beside lr"):
        SGD([{"lr": 1.0}])
    with pytest.raises(ValueError, match="SGD has no option 'beta': it has lr, momentum, weight_decay, nesterov"):
        SGD([{"params": [w], "beta": 1}])


def test_a_refused_group_leaves_the_others_as_they_were() -> None:
    # catches a group appended before it is checked
    optimizer = SGD([Parameter([1.0])])
    with pytest.raises(ValueError, match="lr is -1"):
        optimizer.add_param_group({"params": [Parameter([1.0])], "lr": -1})
    assert len(optimizer.param_groups) == 1


def test_a_gradient_of_another_shape_stops_the_step_before_anything_moves() -> None:
    # catches a gradient that is broadcast, and half a step
    good, bad = parameter([1.0], [1.0]), parameter([[1.0, 2.0]], [1.0, 2.0])
    optimizer = SGD([{"params": [good]}, {"params": [bad]}])
    with pytest.raises(ValueError, match=r"shape \(1, 2\) has a gradient of shape \(2,\)"):
        optimizer.step()
    assert good.item() == 1.0 and good.version == 0
    bad.data, bad.grad = np.ones(3, np.float32), np.ones(3, np.float32)
    with pytest.raises(ValueError, match="make a new optimizer"):
        optimizer.step()


def test_the_base_class_says_what_is_missing() -> None:
    # catches a subclass without a rule that trains nothing, silently
    with pytest.raises(NotImplementedError, match="Optimizer has no rule"):
        Optimizer([parameter([1.0], [1.0])]).step()


def test_repr_shows_options() -> None:
    assert repr(SGD([Parameter([1.0])], lr=0.5)) == (
        "SGD(1 parameters, lr=0.5, momentum=0, weight_decay=0, nesterov=False)"
    )


def test_an_empty_parameter_without_a_gradient_is_in_nobody_s_way() -> None:
    # catches a block that looks for the gradient of a parameter of no numbers that lies within it
    params = [parameter([1.0], [1.0]), Parameter(np.ones((0, 3))), parameter([1.0], [1.0])]
    SGD(params, lr=1.0).step()
    assert [w.tolist() for w in params] == [[0.0], [], [0.0]]


def test_a_slab_counts_what_it_lays_end_to_end() -> None:
    # catches a gradient kept from a step that was not taken, and counts of parameters that had none
    slab = Slab(several())
    assert slab.starts == [0, 6, 10, 11, 11, 16]
    assert [(block.step.size, block.t) for block in slab.blocks()] == [(16, 1)]
    slab.parameters[1].grad = None
    assert [(block.step.size, block.t) for block in slab.blocks()] == [(6, 1), (6, 1)]
    slab.done()
    assert slab.updates == [1, 0, 1, 1, 1]
    slab.parameters[1].grad = np.zeros(4, np.float32)
    assert [(block.step.size, block.t) for block in slab.blocks()] == [(6, 2), (4, 1), (6, 2)]


@each_optimizer
def test_a_parameter_that_got_another_array_is_updated_there(kind: type[Optimizer], options: dict[str, Any]) -> None:
    # catches blocks laid out once, and steps taken in an array that the parameter has no more
    (w, beside), (same, other) = several(shapes=((3, 2), (4,))), several(shapes=((3, 2), (4,)))
    first, second = kind([w, beside], **options), kind([same, other], **options)
    for _ in range(2):
        w.data = w.numpy().copy()
        first.step()
        second.step()
    assert_array_equal(w.numpy(), same.numpy())
    assert_array_equal(beside.numpy(), other.numpy())


@each_optimizer
def test_a_transposed_parameter_may_change_between_steps(kind: type[Optimizer], options: dict[str, Any]) -> None:
    # catches a copy made for the first step, which overwrites what was loaded since
    turned, straight = Parameter(np.ones((3, 2)).T), parameter(np.ones((2, 3)))
    optimizers_ = [kind([w], **options) for w in (turned, straight)]
    for value in (1.0, 5.0):
        for w, optimizer in zip((turned, straight), optimizers_, strict=True):
            w.numpy()[...] = value
            w.grad = np.arange(6, dtype=np.float32).reshape(2, 3)
            optimizer.step()
    assert_array_equal(turned.numpy(), straight.numpy())


@each_optimizer
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copied_optimizer_changes_its_own_parameters(
    kind: type[Optimizer], options: dict[str, Any], copied: Callable[[Any], Any]
) -> None:
    # catches blocks that were copied apart from the parameters they lead to: steps that change nothing
    w = parameter([[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [1.0, 2.0]])
    optimizer = kind([w], **options)
    optimizer.step()
    other, (twin,) = copied((optimizer, [w]))
    twin.grad, before = w.grad.copy(), w.numpy().copy()
    other.step()
    assert_array_equal(w.numpy(), before)
    optimizer.step()
    assert_array_equal(twin.numpy(), w.numpy())
