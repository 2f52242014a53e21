"""The tensor against closed forms, the math module and plain loops. Names and docstrings say what would be caught."""

from __future__ import annotations

import copy
import gc
import itertools
import math
import pickle
import statistics
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.core import tensor as module
from tinytorch.core.tensor import (
    Op,
    Parameter,
    Tensor,
    apply,
    arange,
    as_array,
    as_tensor,
    broadcast_shape,
    cat,
    full,
    generator,
    grad_mode,
    is_grad_enabled,
    manual_seed,
    observe_ops,
    ones,
    op,
    ops,
    rand,
    randn,
    stack,
    where,
    zeros,
)

F16, F32, F64, I32, I64, BOOL = np.float16, np.float32, np.float64, np.int32, np.int64, np.bool_
NUMBERS = st.floats(-100, 100, width=32)
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def numbered(*shape: int, dtype: type = F32, requires_grad: bool = False) -> Tensor:
    return Tensor(np.arange(math.prod(shape)).reshape(shape), dtype=dtype, requires_grad=requires_grad)


# --- construction ---------------------------------------------------------------------------------------------------


def test_the_default_dtype_is_float32_whatever_comes_in():
    for data in ([1, 2], [1.0, 2.0], np.array([1.0, 2.0]), np.array([1, 2]), (1, 2), range(1, 3), Tensor([1, 2], F64)):
        made = Tensor(data)
        assert made.dtype == F32 and made.tolist() == [1.0, 2.0]
    assert Tensor([1, 2, 3], dtype=None).dtype == F32


def test_integers_and_booleans_stay_when_asked():
    assert Tensor([1, 2], dtype=I64).dtype == I64 and Tensor([1, 2], dtype="int8").dtype == np.int8
    assert Tensor([True, False], dtype=bool).tolist() == [True, False]


@pytest.mark.parametrize(
    ("data", "dtype", "said"),
    [
        ([0, 300], "uint8", "numbers from 0 to 300 do not fit into uint8, which holds 0 to 255"),
        (np.array([-1]), "uint8", "from -1 to -1"),
        (np.array([2**31]), "int32", "2147483648 do not fit into int32"),
        (256.0, "uint8", r"256\.0 do not fit"),
        ([1.0, math.nan], I64, "nan do not fit into int64"),
        ([2.0**63], I64, "do not fit into int64"),
        ([-math.inf], I64, "do not fit into int64"),
        (np.array([2**63], np.uint64), I64, "do not fit into int64"),
    ],
)
def test_integers_that_do_not_fit_are_refused(data: object, dtype: object, said: str):
    """300 became 44 in uint8, and NaN a large negative label."""
    for make in (Tensor, as_array):
        with pytest.raises(ValueError, match=said):
            make(data, dtype)


def test_integers_that_fit_are_cut_off_towards_zero():
    """PyTorch cuts off digits after the point, and so does NumPy: only what lands elsewhere is an error."""
    assert Tensor([-0.5, 255.9], dtype="uint8").tolist() == [0, 255]
    assert Tensor([-(2.0**63)], dtype=I64).tolist() == [-(2**63)] and Tensor([], dtype=I64).shape == (0,)
    assert Tensor([True, False], dtype="uint8").tolist() == [1, 0]


def test_a_tensor_owns_its_memory():
    """A shared array would change under the tensor, or the caller's array with it."""
    source = np.zeros(3, F32)
    made = Tensor(source)
    source[0] = 1.0
    assert made.tolist() == [0.0, 0.0, 0.0]
    assert not np.shares_memory(Tensor(made).data, made.data)


def test_a_list_of_tensors_is_stacked():
    assert Tensor([Tensor(1.5), Tensor(2.5)]).tolist() == [1.5, 2.5]
    assert Tensor([Tensor([1, 2]), Tensor([3, 4])]).shape == (2, 2)


@pytest.mark.parametrize("ragged", [[[1, 2], [3]], [[1.0], [2.0, 3.0]], [[[1]], [[2, 3]]], [1, [2]]])
def test_ragged_rows_are_refused_in_words(ragged: object):
    with pytest.raises(ValueError, match=r"cannot make a tensor of rows of different lengths: make every row"):
        Tensor(ragged)


@pytest.mark.parametrize("wrong", ["1.5", ["1.5"], [None], None, [object()], {"a": 1}, [1j], np.array(["x"]), [b"1"]])
def test_what_is_no_number_is_refused(wrong: object):
    """NumPy alone makes nan of None and 1.5 of '1.5'."""
    with pytest.raises(TypeError, match=r"a tensor holds floats, integers or booleans, and .* is none of these"):
        Tensor(wrong)


@pytest.mark.parametrize("dtype", [complex, str, object, "datetime64[s]"])
def test_a_dtype_that_is_no_number_is_refused_everywhere(dtype: object):
    for make in (lambda: Tensor([1], dtype), lambda: zeros(2, dtype=dtype), lambda: ones(2).astype(dtype)):
        with pytest.raises(TypeError, match="a tensor holds floats"):
            make()


@pytest.mark.parametrize("dtype", [I64, bool, np.uint8])
def test_integers_cannot_require_gradients(dtype: type):
    for make in (
        lambda: Tensor([1], dtype, requires_grad=True),
        lambda: zeros(2, dtype=dtype, requires_grad=True),
        lambda: Parameter([1], dtype),
    ):
        with pytest.raises(RuntimeError, match="only floating-point tensors can require gradients"):
            make()


def test_parameter_requires_gradients_and_keeps_the_dtype_of_a_tensor():
    assert Parameter([1, 2]).requires_grad and Parameter([1, 2]).dtype == F32
    assert Parameter(Tensor([1.0], F64)).dtype == F64
    assert not Parameter([1.0], requires_grad=False).requires_grad
    assert type(Parameter([1.0]) * 2) is Tensor


def test_as_tensor_passes_tensors_and_keeps_integer_arrays():
    x = Tensor([1.0])
    assert as_tensor(x) is x and as_tensor(x, F32) is x and as_tensor(x, F64).dtype == F64
    assert as_tensor(np.array([1, 2])).dtype == np.array([1, 2]).dtype and as_tensor(np.array([True])).dtype == BOOL
    assert as_tensor(np.array([0.5])).dtype == F32 and as_tensor([1, 2]).dtype == F32 and as_tensor(3).shape == ()
    array = np.zeros(3, F32)
    assert not np.shares_memory(as_tensor(array).data, array), "a change of the array would reach what was recorded"


def test_a_slip_in_an_attribute_is_an_error():
    with pytest.raises(AttributeError):
        Tensor([1.0]).require_grad = True  # type: ignore[attr-defined]


# --- the gate -------------------------------------------------------------------------------------------------------


def test_origin_records_op_inputs_params_and_versions():
    x, w = Tensor([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad=True)
    x[0] = 5.0
    y = x * w
    assert y.requires_grad and y.grad is None
    assert y.origin.op is ops["mul"] and y.origin.inputs[0] is x
    assert y.origin.inputs[1] is w and list(y.origin.versions) == [1, 0] and y.origin.saved is None
    assert y.sum(axis=0, keepdims=True).origin.params == {"axis": 0, "keepdims": True}


@pytest.mark.parametrize("other", [np.zeros(2, F32), np.float32(1), [1.0], None, "x", 2.0])
def test_an_op_says_that_it_takes_tensors(other: object):
    """An AttributeError of 'data' or 'requires_grad' says nothing to somebody who gave relu an array."""
    with pytest.raises(TypeError, match=rf"copy takes Tensors, and was given a {type(other).__name__}: make it one"):
        apply(ops["copy"], other)


def test_nothing_is_recorded_without_need():
    """An origin that nobody needs keeps every intermediate array alive."""
    x, w = Tensor([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad=True)
    assert (x * x).origin is None and not (x * x).requires_grad
    assert w.detach().origin is None and not w.detach().requires_grad and w.argmax().origin is None
    for compared in (w == w, w != w, w < w, w <= w, w > w, w >= w, w.astype(I64), w.astype(bool)):
        assert compared.origin is None and not compared.requires_grad


def test_intermediate_tensors_are_freed_when_no_gradient_is_wanted():
    x = ones(3)
    middle = x * 2
    seen = weakref.ref(middle)
    end = middle + 1
    del middle
    gc.collect()
    assert seen() is None and end.tolist() == [3.0, 3.0, 3.0]


def test_recording_is_switched_off_for_one_thread_only():
    w = Tensor([1.0], requires_grad=True)
    there: list[bool] = []
    grad_mode.enabled = False
    try:
        assert not is_grad_enabled() and (w * 2).origin is None
        thread = threading.Thread(target=lambda: there.append((w * 2).requires_grad))
        thread.start()
        thread.join()
    finally:
        grad_mode.enabled = True
    assert there == [True] and (w * 2).requires_grad


def test_results_are_arrays_even_without_axes():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for result in (x.sum(), x.mean(), x.var(), x.max(), x.min(), x[0], x @ x, x.sum() * 2, x.sum() > 1, x.argmax()):
        assert type(result.data) is np.ndarray and result.shape == ()
    for of_number in (-x.sum(), x.sum().exp(), x.sum() ** 2, x.sum() ** 0.5, x.sum().clip(0, 1), abs(x.sum())):
        assert type(of_number.data) is np.ndarray and of_number.dtype == F32


def test_saved_goes_to_the_origin_and_not_to_the_result():
    split = Op("split", lambda x: (x * 2, x > 1), saves=True)
    w = Tensor([1.0, 2.0], requires_grad=True)
    assert apply(split, w).tolist() == [2.0, 4.0] and apply(split, w).origin.saved.tolist() == [False, True]
    assert apply(split, w.detach()).tolist() == [2.0, 4.0]


def test_observers_nest_and_end_with_their_block():
    outer, inner = [], []
    x = ones(2)
    with observe_ops(lambda op, inputs, params, result: outer.append((op.name, inputs, params, result))):
        first = x + x
        with observe_ops(lambda op, *rest: inner.append(op.name)), pytest.raises(ZeroDivisionError):
            with observe_ops(lambda op, *rest: inner.append(op.name)):
                x.sum(axis=0)
            raise ZeroDivisionError
    x * x
    assert [name for name, *_ in outer] == ["add", "sum"] and inner == ["sum", "sum"]
    assert outer[0][1][0] is x and outer[0][3] is first and outer[1][2] == {"axis": 0, "keepdims": False}


def test_a_second_op_of_the_same_name_is_refused():
    def add_op(x, y):
        return x

    with pytest.raises(ValueError, match="there is an op 'add' already"):
        op(add_op)
    assert (ones(1) + ones(1)).item() == 2.0


RELOADING = """
import importlib
import numpy as np
from tinytorch.core import activations, layers, tensor
importlib.reload(activations)
importlib.reload(layers)
assert activations.relu(tensor.Tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
for module in (tensor, activations, layers):
    importlib.reload(module)
w = tensor.Parameter([[-1.0, 2.0]])
y = activations.relu(layers.Linear(2, 2)(w)).sum(axis=0)
assert y.origin.op is tensor.ops["sum"] and y.origin.inputs[0].origin.op is tensor.ops["relu"]
"""


def test_a_module_may_be_loaded_again():
    """importlib.reload, and %autoreload in a notebook, ended with "there is an op 'relu' already"."""
    done = subprocess.run([sys.executable, "-c", RELOADING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_op_decorator_takes_options_and_registers_under_the_plain_name():
    try:

        @op(differentiable=False, saves=True)
        def only_here_op(x):
            return x, None

        assert ops["only_here"] is only_here_op and repr(only_here_op) == "<op only_here>"
        assert only_here_op.saves and not only_here_op.differentiable
    finally:
        ops.pop("only_here", None)


def test_backward_says_which_module_builds_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(module.sys.modules, "tinytorch.core.autograd", None)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotImplementedError, match=r"built in 06_autograd(.|\n)*next: tito module test 06_autograd"):
        Tensor([1.0], requires_grad=True).sum().backward()


def test_backward_is_handed_to_the_autograd_module(monkeypatch: pytest.MonkeyPatch):
    calls = []

    class Autograd:
        backward = staticmethod(lambda *given: calls.append(given))

    monkeypatch.setitem(module.sys.modules, "tinytorch.core.autograd", Autograd)
    loss = Tensor([1.0], requires_grad=True).sum()
    loss.backward(gradient=None, retain_graph=True)
    assert calls[0][0] is loss and calls[0][1:] == (None, True)


# --- element by element ---------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=8))
def test_arithmetic_is_that_of_each_pair_of_elements(pairs: list[tuple[float, float]]):
    x, y = Tensor([a for a, _ in pairs], F64), Tensor([b for _, b in pairs], F64)
    assert (x + y).tolist() == [a + b for a, b in pairs]
    assert (x - y).tolist() == [a - b for a, b in pairs]
    assert (x * y).tolist() == [a * b for a, b in pairs]
    assert (-x).tolist() == [-a for a, _ in pairs]
    assert abs(x).tolist() == x.abs().tolist() == [abs(a) for a, _ in pairs]
    assert (x**2).tolist() == [a * a for a, _ in pairs] and (x**3).tolist() == [a * a * a for a, _ in pairs]
    assert (x <= y).tolist() == [a <= b for a, b in pairs] and (x == y).tolist() == [a == b for a, b in pairs]
    assert (x < y).tolist() == [a < b for a, b in pairs] and (x != y).tolist() == [a != b for a, b in pairs]
    assert (x > y).tolist() == [a > b for a, b in pairs] and (x >= y).tolist() == [a >= b for a, b in pairs]


@given(st.floats(0.01, 50), st.floats(0.01, 50))
def test_functions_agree_with_the_math_module(a: float, b: float):
    x, y = Tensor([a], F64), Tensor([b], F64)
    assert (x / y).item() == a / b
    for mine, theirs in (
        (x.exp(), math.exp(a)),
        (x.log(), math.log(a)),
        (x.sqrt(), math.sqrt(a)),
        (x**0.5, math.sqrt(a)),
        (x**-1.5, a**-1.5),
        (x**4, a**4),
        (x**-1, 1 / a),
        (2.0**y, 2.0**b),
        ((x + 1) ** (y / 50), (a + 1) ** (b / 50)),
    ):
        assert mine.item() == pytest.approx(theirs, rel=1e-12)


def test_numbers_and_arrays_stand_on_both_sides():
    """An array on the left would otherwise make an array of objects."""
    x = Tensor([1.0, 2.0])
    for other in (3, 3.0, True, np.float32(3), np.float64(3), np.int64(3), np.array([3.0, 3.0]), np.array(3)):
        n = float(np.asarray(other).ravel()[0])
        for result, wanted in (
            (x + other, [1 + n, 2 + n]),
            (other + x, [1 + n, 2 + n]),
            (x - other, [1 - n, 2 - n]),
            (other - x, [n - 1, n - 2]),
            (x * other, [n, 2 * n]),
            (other * x, [n, 2 * n]),
            (other / x, [n, n / 2]),
            (other**x, [n, n * n]),
            (other > x, [n > 1, n > 2]),
            (other == x, [n == 1, n == 2]),
        ):
            assert type(result) is Tensor and result.tolist() == wanted
    assert (np.array([[1.0, 2.0]]) @ x).tolist() == [5.0]


@pytest.mark.parametrize("dtype", [F16, F32, F64])
def test_a_number_or_array_takes_the_dtype_of_the_tensor(dtype: type):
    """A float64 constant must not double the memory of what follows; 0-d tensors are the hard case in NumPy 1.26."""
    for x in (Tensor([1.0, 2.0], dtype), Tensor(2.0, dtype)):
        for other in (2, 0.5, np.float64(0.5), np.float32(0.5), np.int64(2), np.ones(2), np.array([1, 2])):
            for result in (x + other, other * x, x / other, other - x, x > 1):
                assert result.dtype in (dtype, BOOL)
        for result in (x**2, x**3, x**0.5, x**2.5, x.exp(), x.log(), x.sqrt(), x.clip(0, 1), x.mean(), x.sum(), -x):
            assert result.dtype == dtype
        assert x.var(correction=0).dtype == dtype
    assert (Tensor([0.1], F64) * 0.1).item() == 0.1 * 0.1


def test_integers_meet_floats():
    whole = Tensor([1, 2], dtype=I64)
    assert (whole * 2).dtype == I64 and (whole + np.int32(1)).dtype == I64 and (Tensor([1], I32) * 2).dtype == I32
    for result in (
        whole * 0.5,
        whole / 2,
        1 / whole,
        whole / whole,
        whole**0.5,
        whole.exp(),
        whole.mean(),
        whole * F64(1),
    ):
        assert result.dtype == F32
    assert (whole * Tensor([0.5, 0.5])).dtype == F32 and (whole * Tensor([0.5], F64)).dtype == F64
    assert (Tensor([1.0]) + Tensor([1.0], F64)).dtype == F64
    assert (whole**2).tolist() == [1, 4] and (whole**3).tolist() == [1, 8] and (whole**5).tolist() == [1, 32]
    mask = Tensor([True, False], dtype=bool)
    assert (mask * 2).tolist() == [2, 0] and (mask * 0.5).dtype == F32 and mask.sum().item() == 1
    assert (mask * Tensor([3.0, 4.0])).tolist() == [3.0, 0.0]


@pytest.mark.parametrize(
    ("dtype", "values", "number"),
    [
        (np.uint8, [200, 100], 456),
        (np.uint8, [200, 100], 300),
        (np.uint8, [200, 100], -1),
        (np.int8, [100, -100], 100),
        (np.int8, [100, -100], 156),
        (np.int32, [5, -5], 2**32 + 5),
        (np.int64, [5, -5], 2**63),
        (np.uint64, [5, 2**64 - 1], -1),
    ],
)
def test_an_integer_that_does_not_fit_is_not_cut_off(dtype: type, values: list[int], number: int):
    """456 became 200 beside uint8, so that Tensor([200, 100]) == 456 was [True, False]."""
    x = Tensor(np.array(values, dtype), dtype=dtype)
    for other in (number, np.asarray(number), np.asarray(number)[()]):
        assert (x == other).tolist() == [v == number for v in values]
        assert (x > other).tolist() == [v > number for v in values]
        assert (other > x).tolist() == (x < other).tolist() == [v < number for v in values]
    if abs(number) < 2**32 and dtype is not np.uint64:
        assert (x - number).dtype == (dtype if np.iinfo(dtype).min <= number <= np.iinfo(dtype).max else I64)


@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "min", "argmax"])
def test_reductions_understand_pytorchs_names(name: str):
    """x.sum(dim=1, keepdim=True) is what somebody who knows PyTorch writes."""
    x = numbered(2, 3)
    reduce = getattr(x, name)
    assert reduce(dim=0).tolist() == reduce(axis=0).tolist() == reduce(0).tolist()
    assert reduce(dim=-1, keepdim=True).tolist() == reduce(axis=-1, keepdims=True).tolist() == reduce(1, True).tolist()
    assert reduce(dim=1, keepdim=True).shape == (2, 1) and reduce(dim=None).shape == reduce().shape == ()
    w = Parameter([[1.0, 2.0]]).sum(dim=1, keepdim=True)
    assert w.origin.params == {"axis": 1, "keepdims": True}
    with pytest.raises(TypeError, match="unexpected keyword"):
        reduce(dims=1)


@pytest.mark.parametrize("other", [None, "a", [1, 2], {}, object(), 1j, np.array(["a", "b"])])
def test_strange_operands_give_pythons_own_error(other: object):
    with pytest.raises(TypeError):
        Tensor([1.0, 2.0]) + other
    with pytest.raises(TypeError):
        other * Tensor([1.0, 2.0])


def test_comparing_with_none_is_false():
    assert (Tensor([1.0]) == None) is False and (Tensor([1.0]) != None) is True  # noqa: E711


def test_a_square_is_a_product_and_not_a_power(monkeypatch: pytest.MonkeyPatch):
    """np.power is an order of magnitude slower."""
    monkeypatch.setattr(module.np, "power", None)
    assert (Tensor([3.0]) ** 2).item() == 9.0 and (Tensor([3.0]) ** 3).item() == 27.0


def test_clip_keeps_what_is_inside():
    x = Tensor([-2.0, 0.5, 3.0])
    assert x.clip(0, 1).tolist() == [0.0, 0.5, 1.0]
    with pytest.raises(ValueError, match="clip needs a min, a max or both"):
        x.clip()
    assert x.clip(min=0).tolist() == [0.0, 0.5, 3.0] and x.clip(max=1).tolist() == [-2.0, 0.5, 1.0]


def test_clip_takes_numbers_and_keeps_their_kind():
    """A bound of 0.5 was cut off to 0 beside integers; a tensor as a bound got no gradient, without a word."""
    x = Tensor([0, 1, 2], dtype=I64)
    assert x.clip(0.5, 1.5).tolist() == [0.5, 1.0, 1.5] and x.clip(0.5, 1.5).dtype == F32
    assert x.clip(1, 5).tolist() == [1, 1, 2] and x.clip(1, 5).dtype == I64
    for bound in (Tensor([1.0], requires_grad=True), np.ones(3), "1", [1]):
        with pytest.raises(TypeError, match="clip takes numbers as min and max, not a"):
            Tensor([1.0, 2.0, 3.0]).clip(bound)


def test_tensors_are_hashed_by_identity():
    """== compares elements, so equal parameters must still be two keys."""
    a, b = Parameter([1.0]), Parameter([1.0])
    assert len({a, b}) == 2 and {a: "a"}[a] == "a"


# --- broadcasting ---------------------------------------------------------------------------------------------------


def by_the_rule(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...] | None:
    found = []
    for a, b in itertools.zip_longest(reversed(left), reversed(right), fillvalue=1):
        if 1 not in (a, b) and a != b:
            return None
        found.insert(0, a if b == 1 else b)
    return tuple(found)


@given(SHAPES, SHAPES)
def test_broadcast_shape_is_the_rule_and_numpys(left: tuple[int, ...], right: tuple[int, ...]):
    wanted = by_the_rule(left, right)
    if wanted is None:
        with pytest.raises(ValueError) as caught:
            broadcast_shape(left, right)
        assert f"cannot broadcast shapes {left} and {right}: the lengths " in str(caught.value)
    else:
        assert broadcast_shape(left, right) == wanted == np.broadcast_shapes(left, right)


@given(SHAPES, SHAPES)
def test_every_elementwise_operator_broadcasts_or_names_both_shapes(left: tuple[int, ...], right: tuple[int, ...]):
    x, y = full(left, 2), full(right, 3)
    wanted = by_the_rule(left, right)
    cases = (
        ("add", lambda: x + y, 5),
        ("subtract", lambda: x - y, -1),
        ("multiply", lambda: x * y, 6),
        ("divide", lambda: x / y, np.float32(2) / np.float32(3)),
        ("raise", lambda: x**y, 8),
        ("compare", lambda: x < y, True),
        ("compare", lambda: x == y, False),
    )
    for verb, compute, value in cases:
        if wanted is None:
            with pytest.raises(ValueError) as caught:
                compute()
            assert str(caught.value).startswith(f"cannot {verb} shapes {left} and {right}: ")
            assert caught.value.__suppress_context__
        else:
            assert compute().shape == wanted and (compute().data == value).all()


def test_the_broadcasting_error_in_full():
    with pytest.raises(ValueError) as caught:
        zeros(2, 3) + zeros(4)
    assert str(caught.value) == (
        "cannot add shapes (2, 3) and (4,): the lengths 3 and 4 meet in axis -1, and they must be equal or one of them "
        "1. Is one of the two to be transposed, reshaped or unsqueezed?"
    )


def test_an_error_that_is_not_about_shapes_stays_what_it_is():
    with pytest.raises(ValueError, match="negative integer powers"):
        Tensor([2], dtype=I64) ** Tensor([-1], dtype=I64)


# --- reductions -----------------------------------------------------------------------------------------------------


@given(st.lists(NUMBERS, min_size=2, max_size=30))
def test_reductions_agree_with_pythons_statistics(numbers: list[float]):
    x = Tensor(numbers, F64)
    assert x.sum().item() == pytest.approx(math.fsum(numbers), rel=1e-9, abs=1e-9)
    assert x.mean().item() == pytest.approx(statistics.fmean(numbers), rel=1e-9, abs=1e-9)
    assert x.var().item() == pytest.approx(statistics.variance(numbers), rel=1e-6, abs=1e-9)
    assert x.var(correction=0).item() == pytest.approx(statistics.pvariance(numbers), rel=1e-6, abs=1e-9)
    assert x.max().item() == max(numbers) and x.min().item() == min(numbers)
    assert x.argmax().item() == numbers.index(max(numbers))


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (1, -1), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_over_every_kind_of_axis(axis, keepdims: bool):
    x = Tensor(np.random.default_rng(0).normal(size=(2, 3, 4)), F64)
    for name in ("sum", "mean", "max", "min"):
        mine, theirs = getattr(x, name)(axis, keepdims), getattr(np, name)(x.data, axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(mine.data, theirs, rtol=1e-12)
        assert mine.shape == theirs.shape
    mine = x.var(axis, keepdims, correction=1)
    np.testing.assert_allclose(mine.data, np.var(x.data, axis=axis, ddof=1, keepdims=keepdims), rtol=1e-12)
    if not isinstance(axis, tuple):
        assert x.argmax(axis, keepdims).tolist() == np.argmax(x.data, axis=axis, keepdims=keepdims).tolist()
        assert x.argmax(axis).dtype.kind == "i"


def test_variance_of_too_few_numbers_is_an_error_and_not_a_warning():
    with pytest.raises(ValueError, match=r"cannot divide by n - correction = 1 - 1: var needs more numbers"):
        Tensor([3.0]).var()
    assert Tensor([3.0]).var(correction=0).item() == 0.0


@pytest.mark.parametrize("name", ["mean", "var", "max", "min", "argmax"])
def test_what_has_no_numbers_is_not_reduced(name: str):
    """The mean of an empty batch was NaN beside NumPy's warning, and NumPy's own errors name no shape."""
    for tensor, axis, place in (
        (zeros(0, 3), None, ""),
        (zeros(0, 3), 0, " along axis 0"),
        (zeros(2, 0), -1, " along axis -1"),
    ):
        with pytest.raises(
            ValueError, match=rf"shape \({tensor.shape[0]}, {tensor.shape[1]}\) has no numbers{place} to reduce"
        ):
            getattr(tensor, name)(axis=axis)
    if name != "var":
        assert getattr(zeros(0, 3), name)(axis=1).shape == (0,)


def test_means_of_many_numbers_of_float16():
    """A sum above 65,504 is infinite in float16, and so is a count: a batch of 100,000 ones had the mean NaN."""
    x = Tensor(np.full(100_000, 3.0), F16, requires_grad=True)
    x.mean().backward()
    assert (x.mean().item(), x.mean().dtype, x.var().dtype) == (3.0, F16, F16)
    np.testing.assert_allclose(x.grad, 1e-5, rtol=5e-3)
    assert Tensor(np.tile([-100.0, 100.0], 50_000), F16).var(correction=0).item() == 10_000


def test_means_of_empty_results_do_not_divide_by_zero():
    assert zeros(0, 3).mean(axis=1).shape == (0,) and zeros(0, 3).sum(axis=0).tolist() == [0.0, 0.0, 0.0]


def test_the_mean_of_a_large_float32_tensor_keeps_its_digits():
    """A running sum in float32 would stop growing at 2 ** 24."""
    assert full((20_000_000,), 1.0).mean().item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("count", [1025, 70_000, 1_000_000])
def test_sums_of_many_rows_keep_their_digits(count: int):
    """Rows added one after the other round each time: over axis 0 the mean of 20,000,000 rows of ones was 0.84."""
    x = Tensor(np.full((count, 2), 0.1, F32))
    exact = np.float64(np.float32(0.1))
    for axis, keepdims, shape in ((0, False, (2,)), (-2, True, (1, 2))):
        assert x.mean(axis, keepdims).shape == x.sum(axis, keepdims).shape == shape
        np.testing.assert_allclose(x.mean(axis, keepdims).numpy(), np.full(shape, exact), rtol=1e-6)
        np.testing.assert_allclose(x.sum(axis, keepdims).numpy(), np.full(shape, count * exact), rtol=1e-6)
    assert Tensor(np.ones((5000, 2, 3)), F64).sum(axis=0).tolist() == [[5000.0] * 3] * 2
    assert Tensor(np.ones((5000, 2)), I64).sum(axis=0).dtype == I64


# --- matrix products ------------------------------------------------------------------------------------------------


def test_the_worked_products():
    a = Tensor([[1, 2], [3, 4]])
    assert (
        (a @ Tensor([[5, 6], [7, 8]])).tolist() == a.matmul(Tensor([[5, 6], [7, 8]])).tolist() == [[19, 22], [43, 50]]
    )
    assert (Tensor([1, 1]) @ a).tolist() == [4.0, 6.0] and (a @ Tensor([1, 1])).tolist() == [3.0, 7.0]


@given(st.integers(0, 4), st.integers(1, 4), st.integers(0, 4), st.sampled_from([(), (2,), (1,), (3, 1)]))
def test_products_are_sums_over_the_inner_axis(m: int, k: int, n: int, batch: tuple[int, ...]):
    x, y = numbered(*batch, m, k), numbered(2, k, n)
    result = x @ y
    wanted = (x.data[..., :, :, None] * y.data[..., None, :, :]).sum(axis=-2)
    assert result.shape == (*np.broadcast_shapes(batch, (2,)), m, n) and (result.data == wanted).all()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(0, 3), st.integers(0, 3))
def test_leading_axes_are_folded_into_one_product(lead: list[int], k: int, n: int):
    """A batch times one matrix was as many small products as the batch is long."""
    shapes, matmul = [], np.matmul
    x, y = numbered(*lead, k), numbered(k, n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.np, "matmul", lambda *arrays: shapes.append(arrays[0].shape) or matmul(*arrays))
        result = x @ y
    assert shapes == [(math.prod(lead), k) if len(lead) > 1 else (*lead, k)]
    assert result.shape == (*lead, n) and (result.data == matmul(x.data, y.data)).all()
    turned = x.T.copy().T
    assert (turned @ y).tolist() == result.tolist()


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        ((2, 3), (4, 5), "inner sizes 3 and 4 differ, and they must be equal"),
        ((3,), (4,), "inner sizes 3 and 4 differ"),
        ((2, 3), (2,), "inner sizes 3 and 2 differ"),
        ((7, 2, 3), (7, 2, 3), "inner sizes 3 and 2 differ"),
        ((2, 3, 4), (5, 4, 6), "the batch axes (2,) and (5,) do not broadcast"),
        ((), (2, 2), "a matrix product needs an axis on each side; use * for a number"),
        ((2, 2), (), "use * for a number"),
    ],
)
def test_a_product_that_does_not_fit_names_both_shapes(left, right, reason: str):
    with pytest.raises(ValueError) as caught:
        zeros(*left) @ zeros(*right)
    assert str(caught.value).startswith(f"cannot multiply {left} by {right}: ") and reason in str(caught.value)
    assert caught.value.__suppress_context__


# --- shapes, indexing, joining --------------------------------------------------------------------------------------


@given(st.permutations([2, 3, 4]), st.permutations(range(3)))
def test_permute_moves_each_element_to_the_permuted_place(shape, axes):
    x = numbered(*shape)
    moved = x.permute(*axes)
    assert moved.shape == tuple(shape[a] for a in axes) == x.permute(tuple(axes)).shape
    for index in itertools.product(*map(range, shape)):
        assert moved.data[tuple(index[a] for a in axes)] == x.data[index]


def test_transposes_are_views():
    x = numbered(2, 3, 4)
    assert x.T.shape == (4, 3, 2) and x.transpose().shape == (2, 4, 3) and x.transpose(0, -1).shape == (4, 3, 2)
    assert numbered(2, 3).T.tolist() == [[0, 3], [1, 4], [2, 5]] and numbered(3).T.shape == (3,)
    for view in (x.T, x.transpose(), x.reshape(6, 4), x.flatten(), x.unsqueeze(1), x[0], x[:, ::2], x.detach()):
        assert np.shares_memory(view.data, x.data)
    for own in (x.copy(), x[[0, 1]], x + 0):
        assert not np.shares_memory(own.data, x.data)


def test_shapes_in_all_spellings():
    x = numbered(2, 1, 3, 1)
    assert x.reshape(3, 2).shape == x.reshape((3, 2)).shape == x.reshape([3, -1]).shape == (3, 2)
    assert x.flatten().shape == (6,) and x.flatten(1).shape == (2, 3) and x.flatten(-2).shape == (2, 1, 3)
    assert zeros(0, 3).flatten(1).shape == (0, 3) and Tensor(1.0).flatten().shape == (1,)
    assert x.squeeze().shape == (2, 3) and x.squeeze(1).shape == (2, 3, 1) and x.squeeze(0).shape == x.shape
    assert x.squeeze(-1).shape == (2, 1, 3) and Tensor(1.0).squeeze().shape == ()
    assert numbered(2, 3).unsqueeze(0).shape == (1, 2, 3) and numbered(2, 3).unsqueeze(-1).shape == (2, 3, 1)
    assert numbered(2, 3).unsqueeze(2).shape == (2, 3, 1) and Tensor(1.0).unsqueeze(0).shape == (1,)


@pytest.mark.parametrize(
    ("compute", "kind", "message"),
    [
        (lambda x: x.reshape(4, 2), ValueError, "cannot reshape (2, 3) into (4, 2): 6 elements do not fill it exactly"),
        (lambda x: x.reshape(4, -1), ValueError, "cannot reshape (2, 3) into (4, -1): 6 elements"),
        (lambda x: x.permute(0, 0), ValueError, "cannot permute (2, 3) by (0, 0): name each of its 2 axes once"),
        (lambda x: x.permute(0), ValueError, "cannot permute (2, 3) by (0,)"),
        (lambda x: x.transpose(0, 2), IndexError, "there is no axis 2 among 2: use -2 to 1"),
        (lambda x: x.squeeze(2), IndexError, "there is no axis 2 among 2"),
        (lambda x: x.unsqueeze(4), IndexError, "there is no axis 4 among 3"),
        (lambda x: x.flatten(2), IndexError, "there is no axis 2 among 2"),
        (lambda x: x[5], IndexError, "index 5 is out of bounds"),
        (lambda x: x[Tensor([0, 1])], IndexError, "an index holds integers or booleans, this one is float32"),
        (lambda x: x.sum(axis=2), ValueError, "axis 2 is out of bounds"),
    ],
)
def test_errors_of_shapes_and_indices(compute, kind: type, message: str):
    with pytest.raises(kind) as caught:
        compute(numbered(2, 3))
    assert message in str(caught.value)


def test_indexing_as_in_numpy_with_tensors_as_indices():
    x = numbered(3, 4)
    assert x[1].tolist() == [4, 5, 6, 7] and x[1, 2].item() == 6 and x[-1, -1].item() == 11
    assert (
        x[:, 1].tolist() == [1, 5, 9] and x[..., None].shape == (3, 4, 1) and x[::2, 1:3].tolist() == [[1, 2], [9, 10]]
    )
    assert x[Tensor([2, 0], dtype=I64)].tolist() == [[8, 9, 10, 11], [0, 1, 2, 3]]
    assert x[arange(3), Tensor([3, 2, 1], dtype=I64)].tolist() == [3, 6, 9]
    assert x[x > 8].tolist() == [9, 10, 11] and [row.tolist() for row in x] == x.tolist() and len(x) == 3


def test_assignment_changes_values_and_counts():
    x = numbered(2, 3)
    x[0, 1] = 9.0
    x[Tensor([False, True], dtype=bool)] = Tensor([7.0, 7.0, 7.0])
    assert x.tolist() == [[0, 9, 2], [7, 7, 7]] and x.version == 2


def test_assignment_that_would_lose_a_gradient_is_refused():
    w, x = Parameter([1.0, 2.0]), Tensor([1.0, 2.0])
    for assign in (lambda: w.__setitem__(0, 5.0), lambda: x.__setitem__(0, (w * 2)[0])):
        with pytest.raises(RuntimeError, match="no gradient would flow through the assignment"):
            assign()
    assert w.tolist() == x.tolist() == [1.0, 2.0] and w.version == x.version == 0
    grad_mode.enabled = False
    try:
        w[0] = 5.0
    finally:
        grad_mode.enabled = True
    assert w.tolist() == [5.0, 2.0] and w.version == 1


def recorded(tensor: Tensor) -> list[Tensor]:
    """All that a tensor was made from."""
    return [] if tensor.origin is None else [part for x in tensor.origin.inputs for part in (x, *recorded(x))]


def changed(tensor: Tensor) -> bool:
    """Whether an input of any op on the way to a tensor was changed after the op had run; module 06 asks so too."""
    origins = [x.origin for x in (tensor, *recorded(tensor)) if x.origin is not None]
    return any([x.version for x in origin.inputs] != list(origin.versions) for origin in origins) or any(
        x.version for x in (tensor, *recorded(tensor)) if x.origin is not None
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.__setitem__(0, 9.0),
        lambda x: x[:1].__setitem__(0, 9.0),
        lambda x: x[:2][1:].__setitem__(0, 9.0),
        lambda x: x.detach().__setitem__(0, 9.0),
        lambda x: x.reshape(2, 1).detach().__setitem__(0, 9.0),
        lambda x: x.T.unsqueeze(0).squeeze().__setitem__(0, 9.0),
    ],
)
@pytest.mark.parametrize(
    "use", [lambda x, w: x * w, lambda x, w: x.reshape(2, 1) * w, lambda x, w: x.detach()[:2] * w, lambda x, w: w @ x.T]
)
def test_a_change_through_shared_memory_is_counted(write, use):
    """A write through a view or detach() left the version of its base alone, and backward used the new numbers."""
    x, w = Tensor([1.0, 2.0]), Parameter([1.0, 1.0])
    y = use(x, w).sum()
    assert not changed(y)
    write(x)
    assert changed(y) and x.version == 1


def test_a_write_is_not_counted_where_memory_is_not_shared():
    """A false alarm would stop a training loop that fills a buffer."""
    x, w = Tensor([1.0, 2.0]), Parameter([1.0, 1.0])
    x[0] = 0.0
    view = x[:1]
    assert (view.version, x.version, view[:].version) == (0, 1, 0), "counted from when the tensor was made"
    view[0] = 3.0
    assert (view.version, x.version) == (1, 2)
    y = (view * w + x.copy() * w + (x + 0) * w + x[[0, 1]] * w).sum()
    assert not changed(y)
    for own in (x.copy(), x + 0, x[[0, 1]], x.astype(F64), x * 2, Tensor(x), w.T.detach() + 1):
        own[0] = 5.0
    assert not changed(y) and x.version == 2


def test_a_view_of_a_changed_parameter_is_as_new():
    """After a step of an optimizer, w.T would look as if it had been changed since it was made."""
    w = Parameter([[1.0, 2.0]])
    w.version += 1
    y = (w.T @ w).sum()
    assert not changed(y)
    w.version += 1
    assert changed(y) and w.version == 2


def test_copies_and_pickles_count_for_themselves():
    x = Tensor([1.0, 2.0])
    x[:1][0] = 5.0
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        other[0] = 6.0
        assert other.version == 2 and x.version == 1


@pytest.mark.parametrize(
    "use",
    [
        lambda w, a: w * a,
        lambda w, a: a * w,
        lambda w, a: a @ w,
        lambda w, a: where(a > 0, w, a) * a,
        lambda w, a: cat([w * 0, w * a]),
        lambda w, a: as_tensor(a) * w,
    ],
)
def test_an_array_beside_a_tensor_is_recorded_as_it_was(use):
    """The caller's own array stood in the origin: changed before backward, it changed the gradient."""
    a, w = np.ones(3, F32), Parameter([1.0, 2.0, 3.0])
    y = use(w, a)
    before = [x.tolist() for x in recorded(y)]
    a[:] = 7.0
    assert [x.tolist() for x in recorded(y)] == before


def test_an_index_is_recorded_as_it_was():
    """The gradient would go to the wrong row."""
    w = Parameter([1.0, 2.0])
    for key in (np.array([0]), [0], Tensor([0], dtype=I64)):
        y = w[key]
        key[0] = 1
        assert list(y.origin.params["key"]) == [0]
    mask = w > 1
    y = w[mask, ...]
    mask[0] = True
    assert y.origin.params["key"][0].tolist() == [False, True]


def test_an_array_is_not_copied_where_nothing_is_recorded():
    """Evaluation would move every mask twice."""
    seen, mask = [], np.ones(3, F32)
    with observe_ops(lambda op, inputs, params, result: seen.append(inputs[1].numpy())):
        ones(3) + mask
        grad_mode.enabled = False
        try:
            Parameter([1.0, 2.0, 3.0]) + mask
        finally:
            grad_mode.enabled = True
    assert [np.shares_memory(array, mask) for array in seen] == [True, True]


def test_joining():
    x, y = numbered(2, 3), ones(2, 3)
    assert cat([x, y]).shape == (4, 3) and cat([x, y], axis=1).tolist()[0] == [0, 1, 2, 1, 1, 1]
    assert stack([x, y]).shape == (2, 2, 3) and stack([x, y], axis=-1)[1, 2].tolist() == [5, 1]
    assert cat([x, Tensor([[1, 2, 3]], dtype=I64)]).dtype == F32 and cat([arange(2), arange(2)]).dtype == I64
    w = Parameter([1.0])
    assert cat([w, w]).origin.inputs[1] is w and cat([w, w]).origin.params == {"axis": 0}
    with pytest.raises(ValueError, match=r"cannot cat the shapes \(2, 3\), \(2, 4\) along axis 0"):
        cat([x, zeros(2, 4)])
    with pytest.raises(ValueError, match=r"cannot stack the shapes \(2, 3\), \(4,\) along axis 0"):
        stack([x, zeros(4)])
    with pytest.raises(ValueError, match="cannot cat no tensors at all"):
        cat([])


def test_where_chooses_and_keeps_the_dtype():
    x = Tensor([1.0, -2.0], requires_grad=True)
    chosen = where(x > 0, x, 0.1)
    assert chosen.dtype == F32 and chosen.tolist() == [1.0, np.float32(0.1)] and chosen.origin.inputs[1] is x
    assert where(np.array([True, False]), -np.inf, x).tolist() == [-np.inf, -2.0]
    assert where([True, False], 1, 2).tolist() == [1.0, 2.0] and where(Tensor([1, 0]), x, x * 2).tolist() == [1.0, -4.0]
    assert where(x > 0, Tensor([[1.0], [2.0]]), x).shape == (2, 2)
    assert where(x > 0, x, Tensor([7, 8], dtype=I64)).dtype == F32 and where(x > 0, arange(2), 5).dtype == I64
    with pytest.raises(ValueError, match=r"cannot choose between shapes \(3,\) and \(2,\)"):
        where(x > 0, zeros(3), x)
    with pytest.raises(ValueError, match=r"cannot choose by shapes \(2,\) and \(3,\)"):
        where(x > 0, zeros(3), ones(3))
    with pytest.raises(TypeError, match="where chooses between"):
        where(x > 0, x, None)


# --- constructors ---------------------------------------------------------------------------------------------------


def test_constructors():
    assert zeros(2, 3).tolist() == [[0] * 3] * 2 == zeros((2, 3)).tolist() and zeros().shape == ()
    assert ones(2, dtype=I64).dtype == I64 and ones(2, requires_grad=True).requires_grad
    assert full((2, 1), 7).tolist() == [[7.0], [7.0]] and full(2, 0.5).tolist() == [0.5, 0.5]
    assert arange(5).tolist() == [0, 1, 2, 3, 4] and arange(5).dtype == I64 and arange(5, 2, -1).tolist() == [5, 4, 3]
    assert arange(0, 1, 0.25).dtype == F32 and arange(3, dtype=F32).dtype == F32
    assert arange(3.0, requires_grad=True).requires_grad


@pytest.mark.parametrize("dtype", [F16, F32, F64])
def test_random_numbers_repeat_with_their_seed(dtype: type):
    for draw in (randn, rand):
        manual_seed(3)
        first, second = draw(2, 3, dtype=dtype), draw((2, 3), dtype=dtype)
        manual_seed(3)
        assert draw(2, 3, dtype=dtype).tolist() == first.tolist() != second.tolist()
        assert first.dtype == dtype and draw(dtype=dtype).shape == () and type(draw(dtype=dtype).data) is np.ndarray


def test_random_numbers_have_their_distributions():
    manual_seed(0)
    normal, even = randn(100_000), rand(100_000)
    inside = (abs(normal) < 1).mean().item()
    assert abs(normal.mean().item()) < 0.02 and abs(normal.var().item() - 1) < 0.03
    assert inside == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.01)
    assert even.min().item() >= 0 and even.max().item() < 1 and abs(even.var().item() - 1 / 12) < 0.002
    assert isinstance(generator(), np.random.Generator)


# --- Python's protocols ---------------------------------------------------------------------------------------------


def test_what_python_asks_of_one_number():
    x = Tensor([[3.5]])
    assert x.item() == 3.5 and type(x.item()) is float and float(x) == 3.5 and int(x) == 3 and bool(x)
    assert type(Tensor(3, dtype=I64).item()) is int and not Tensor([0.0]) and f"{Tensor(2.0):.2f}" == "2.00"
    assert math.log(Tensor(1.0)) == 0.0


@pytest.mark.parametrize(
    ("compute", "kind", "message"),
    [
        (lambda: Tensor([1, 2]).item(), RuntimeError, "a Tensor with 2 elements cannot be converted to Scalar"),
        (lambda: float(Tensor([1, 2])), RuntimeError, "a Tensor with 2 elements cannot be converted to Scalar"),
        (lambda: bool(Tensor([1, 2])), RuntimeError, "Boolean value of Tensor with more than one value is ambiguous"),
        (lambda: bool(Tensor([])), RuntimeError, "Boolean value of Tensor with no values is ambiguous"),
        (lambda: len(Tensor(1.0)), TypeError, "len() of a 0-d tensor"),
        (lambda: iter(Tensor(1.0)), TypeError, "iteration over a 0-d tensor"),
    ],
)
def test_errors_of_pythons_protocols_are_pytorchs(compute, kind: type, message: str):
    with pytest.raises(kind) as caught:
        compute()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (lambda: Tensor([1, 2.5]), "Tensor([1. , 2.5])"),
        (lambda: Tensor(math.pi), "Tensor(3.1416)"),
        (lambda: Tensor([1, 2], dtype=I64), "Tensor([1, 2], dtype=int64)"),
        (lambda: Tensor([1.0], requires_grad=True), "Tensor([1.], requires_grad=True)"),
        (lambda: Parameter([1.0]) + 1, "Tensor([2.], origin=add)"),
        (lambda: Parameter([[1.0], [2.0]]), "Parameter([[1.],\n           [2.]], requires_grad=True)"),
        (lambda: Tensor([True], dtype=bool), "Tensor([ True], dtype=bool)"),
        (lambda: Tensor([]), "Tensor([])"),
    ],
)
def test_repr(tensor, text: str):
    assert repr(tensor()) == str(tensor()) == f"{tensor()}" == text


def test_numpy_reads_a_tensor_without_a_copy():
    x = Tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), x.data) and not np.shares_memory(np.array(x), x.data)
    assert np.asarray(x, dtype=F64).dtype == F64 and x.numpy() is x.data
    with pytest.raises(TypeError):
        np.exp(x)


def test_copies_and_pickles_are_independent_leaves():
    w = Parameter([1.0, 2.0])
    for other in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert type(other) is Parameter and other.requires_grad and other.tolist() == [1.0, 2.0]
        assert not np.shares_memory(other.data, w.data)
    assert w.copy().origin.op is ops["copy"] and w.astype(F64).origin.op is ops["astype"]


def test_as_array_is_what_the_constructor_uses():
    assert as_array([[1, 2]]).dtype == F32 and as_array(3).shape == ()
