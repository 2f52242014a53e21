"""Losses against PyTorch's numbers, against exact arithmetic, and against what people get wrong."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal, getcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinytorch.core import losses
from tinytorch.core.losses import (
    BCEWithLogitsLoss,
    BinaryCrossEntropyLoss,
    CrossEntropyLoss,
    MSELoss,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    cross_entropy_op,
    log_softmax,
    logsumexp,
    mse_loss,
)
from tinytorch.core.tensor import Tensor, observe_ops

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "losses.json").read_text(encoding="utf-8"))["cases"]
FUNCTIONS = sorted({case["function"] for case in GOLDEN})
getcontext().prec = 50

numbers = st.floats(-50, 50, width=32)
large = st.floats(-(2.0**20), 2.0**20, width=32)


def matrices(elements: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6), elements=elements)


def double(array: Any) -> Tensor:
    return Tensor(array, dtype=np.float64)


def exact_logsumexp(values: list[float]) -> Decimal:
    return sum((Decimal(value).exp() for value in values), Decimal(0)).ln()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_values_are_pytorchs(function: str) -> None:
    """Catches any formula, reduction, cut-off or smoothing that differs from PyTorch's by more than 1e-6."""
    chosen = [case for case in GOLDEN if case["function"] == function]
    assert len(chosen) >= 10
    for case in chosen:
        dtype = np.dtype(case["dtype"])
        arrays_ = [np.array(each) for each in case["inputs"]]
        inputs = [Tensor(each, dtype=dtype if each.dtype.kind == "f" else np.int64) for each in arrays_]
        result = getattr(losses, function)(*inputs, **case["options"])
        assert result.dtype == dtype and result.shape == np.shape(case["result"])
        np.testing.assert_allclose(result.numpy(), case["result"], rtol=1e-6, atol=1e-6, err_msg=str(case["options"]))


@given(matrices(large))
def test_logsumexp_lies_between_the_maximum_and_the_maximum_plus_log_n(x: np.ndarray) -> None:
    """Catches overflow and a shift by anything but the maximum."""
    for axis in (0, 1):
        result, top = logsumexp(double(x), axis=axis).numpy(), x.max(axis=axis).astype(np.float64)
        assert (result >= top).all() and (result <= top + math.log(x.shape[axis]) + 1e-9).all()


@given(st.lists(numbers, min_size=1, max_size=8))
def test_logsumexp_and_log_softmax_are_right_to_the_last_digits(values: list[float]) -> None:
    """Catches lost digits: the source is decimal arithmetic with fifty of them."""
    exact = exact_logsumexp(values)
    assert math.isclose(logsumexp(double(values)).item(), float(exact), rel_tol=1e-14, abs_tol=1e-14)
    wanted = [float(Decimal(value) - exact) for value in values]
    np.testing.assert_allclose(log_softmax(double(values)).numpy(), wanted, rtol=1e-13, atol=1e-14)


@given(matrices(large), st.integers(0, 5))
def test_the_loss_does_not_depend_on_a_common_summand(x: np.ndarray, label: int) -> None:
    """Catches a maximum that is added back: float32 would lose digits by it."""
    x = np.round(x)  # so that x + 2**20 is exact in float32
    labels = [label % x.shape[1]] * len(x)
    near, far = cross_entropy(Tensor(x), labels, "none"), cross_entropy(Tensor(x + 2.0**20), labels, "none")
    assert near.tolist() == far.tolist()
    assert log_softmax(Tensor(x)).tolist() == log_softmax(Tensor(x + 2.0**20)).tolist()


@given(matrices(large), st.data())
def test_cross_entropy_is_finite_and_not_negative(x: np.ndarray, data: st.DataObject) -> None:
    """Catches NaN, infinity and a negative loss at logits of any size; warnings are errors here."""
    labels = data.draw(st.lists(st.integers(0, x.shape[1] - 1), min_size=len(x), max_size=len(x)))
    for smoothing in (0.0, 0.1, 1.0):
        result = cross_entropy(Tensor(x), labels, "none", smoothing).numpy()
        assert np.isfinite(result).all() and (result >= -1e-6).all()


@given(matrices(numbers), st.data())
def test_indices_and_one_hot_rows_mean_the_same(x: np.ndarray, data: st.DataObject) -> None:
    """Catches two code paths that disagree, with smoothing too."""
    labels = data.draw(st.lists(st.integers(0, x.shape[1] - 1), min_size=len(x), max_size=len(x)))
    smoothing = data.draw(st.sampled_from((0.0, 0.25)))
    rows = np.eye(x.shape[1])[labels]
    by_index = cross_entropy(double(x), labels, "none", smoothing).numpy()
    np.testing.assert_allclose(by_index, cross_entropy(double(x), double(rows), "none", smoothing).numpy(), atol=1e-12)


@given(matrices(numbers))
def test_reductions_agree_with_each_other(x: np.ndarray) -> None:
    """Catches a mean over the wrong count, and a sum that is none."""
    y = (x > 0).astype(np.float64)
    labels = np.zeros(len(x), dtype=np.int64)
    calls = [
        lambda how: mse_loss(double(x), double(y), how),
        lambda how: binary_cross_entropy_with_logits(double(x), double(y), how),
        lambda how: binary_cross_entropy(double(1 / (1 + np.exp(-x.astype(float)))), double(y), how),
        lambda how: cross_entropy(double(x), labels, how),
    ]
    for call in calls:
        each = call("none").numpy()
        assert math.isclose(call("sum").item(), math.fsum(each.flat), rel_tol=1e-12, abs_tol=1e-12)
        assert math.isclose(call("mean").item(), math.fsum(each.flat) / each.size, rel_tol=1e-12, abs_tol=1e-12)


@given(matrices(numbers))
def test_binary_from_logits_is_cross_entropy_of_two_classes(x: np.ndarray) -> None:
    """Catches a wrong sign and a formula that holds for one sign of x only."""
    for label in (0, 1):
        binary = binary_cross_entropy_with_logits(double(x), np.full(x.shape, label), "none").numpy()
        two = np.stack([np.zeros(x.size), x.ravel().astype(float)], axis=1)
        pair = cross_entropy(double(two), [label] * x.size, "none").numpy().reshape(x.shape)
        np.testing.assert_allclose(binary, pair, rtol=1e-12, atol=1e-15)


@given(st.fractions(0, 1), st.fractions(0, 1))
@settings(max_examples=50)
def test_binary_from_probabilities_is_exact(p: Fraction, y: Fraction) -> None:
    """Catches log(1 - p) where log1p(-p) is wanted, and a missing cut at -100."""
    p_, y_ = float(p), float(y)

    def log(value: Decimal) -> Decimal:
        return max(value.ln(), Decimal(-100)) if value else Decimal(-100)

    exact = -(Decimal(y_) * log(Decimal(p_)) + (1 - Decimal(y_)) * log(1 - Decimal(p_)))
    assert math.isclose(binary_cross_entropy(double([p_]), double([y_])).item(), float(exact), rel_tol=1e-12)
    np.testing.assert_allclose(binary_cross_entropy([1e-9], [0]).item(), 1e-9, rtol=1e-6)


def test_long_sums_keep_their_digits_in_any_memory_order() -> None:
    """Catches a float32 sum along the first axis, or of strided rows: off by 4e-5 after 50,000 terms."""
    count = 50_000
    flat = np.full((count, 2), -1.1, dtype=np.float32)
    flat[0] = 0.0
    exact = math.log(1 + (count - 1) * math.exp(flat[1, 0]))
    np.testing.assert_allclose(logsumexp(Tensor(flat), axis=0).numpy(), exact, rtol=2e-7)
    np.testing.assert_allclose(log_softmax(Tensor(flat), axis=0).numpy()[0], -exact, rtol=2e-7)
    rows = Tensor(flat.T)
    assert not rows.numpy().flags.c_contiguous
    np.testing.assert_allclose(cross_entropy(rows, [0, 0], "none").numpy(), exact, rtol=2e-7)


def test_a_target_row_that_rounds_to_a_little_more_than_1_is_taken_as_it_is() -> None:
    """Catches a weight of 1 where the sum of the row belongs, as PyTorch has it."""
    x, q = np.array([[1.0, 2.0, 4.0]]), np.array([[0.2, 0.3, 0.5005]])
    exact = float(exact_logsumexp([1.0, 2.0, 4.0]))
    wanted = sum(weight * (exact - value) for weight, value in zip(q[0], x[0], strict=True))
    assert math.isclose(cross_entropy(double(x), double(q)).item(), wanted, rel_tol=1e-12)


def test_classes_ruled_out_by_minus_infinity() -> None:
    """Catches NaN and warnings from masked logits, also under one-hot targets."""
    masked = Tensor([[-np.inf, 0.0, 0.0], [1.0, -np.inf, 1.0]])
    wanted = [math.log(2), math.log(2)]
    np.testing.assert_allclose(cross_entropy(masked, [1, 2], "none").numpy(), wanted, rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(masked, np.eye(3)[[1, 2]], "none").numpy(), wanted, rtol=1e-6)
    assert cross_entropy(masked, [0, 2], "none").tolist()[0] == math.inf
    assert logsumexp(Tensor([-np.inf, -np.inf])).item() == -math.inf
    assert logsumexp(Tensor([np.inf, 1e4])).item() == math.inf
    assert math.isnan(logsumexp(Tensor([np.nan, 1.0])).item()), "NaN in a prediction is seen, not hidden"


def test_what_cross_entropy_saves_is_the_softmax() -> None:
    """Catches a change of what module 06 relies on."""
    x = np.random.default_rng(1).standard_normal((5, 7)) * 30
    result, (exponentials, sums) = cross_entropy_op.forward(x, np.arange(5))
    softmax = np.exp(x - x.max(axis=1, keepdims=True))
    softmax /= softmax.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(exponentials / sums[:, None], softmax, rtol=1e-13)
    assert result.shape == sums.shape == (5,) and exponentials.shape == (5, 7)
    _, saved = cross_entropy_op.forward(x.astype(np.float32), np.arange(5))
    assert [each.dtype for each in saved] == [np.float32, np.float32]


def test_cross_entropy_is_one_op_and_a_reduction() -> None:
    """Catches a loss put together from many ops, which would keep an array of logits' size for each."""
    seen: list[str] = []
    with observe_ops(lambda op, inputs, params, result: seen.append(op.name)):
        cross_entropy(Tensor(np.zeros((2, 3))), Tensor([0, 1], dtype=np.int64))
    assert seen == ["cross_entropy", "mean"]


def test_inputs_are_not_changed() -> None:
    """Catches exponentials taken in place of the logits themselves."""
    x, y = Tensor(np.arange(6.0).reshape(2, 3)), Tensor([[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    for call in (cross_entropy, mse_loss, binary_cross_entropy_with_logits):
        call(x, y)
    logsumexp(x), log_softmax(x)
    assert x.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] and y.tolist() == [[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_of_the_prediction_is_kept(dtype: type) -> None:
    """Catches a float64 sum that leaks into the result."""
    x = Tensor([[0.25, 0.5], [0.75, 0.5]], dtype=dtype)
    for result in (
        logsumexp(x),
        log_softmax(x),
        cross_entropy(x, [0, 1]),
        cross_entropy(x, [[1, 0], [0.5, 0.5]], "none", 0.1),
        mse_loss(x, Tensor(np.ones((2, 2)), dtype=dtype)),
        binary_cross_entropy(x, np.ones((2, 2))),
        binary_cross_entropy_with_logits(x, np.ones((2, 2)), "none"),
    ):
        assert result.dtype == dtype


def test_targets_of_float64_keep_their_digits() -> None:
    """Catches a target that passes through float32: 0.1 is 1.5e-9 away there, and so was every loss in float64."""
    x, y = Tensor([[0.3, 0.9]], dtype=np.float64), np.array([[0.1, 0.9]])
    assert mse_loss(x, y).item() == pytest.approx(0.02, abs=1e-15)
    for loss in (binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy):
        for target in (y, y.tolist()):
            assert loss(x, target).item() == loss(x, Tensor(y, dtype=np.float64)).item()


def test_dim_is_pytorchs_word_for_axis() -> None:
    """Catches `F.log_softmax(x, dim=1)`, as every PyTorch program writes it, that fails or goes along another axis."""
    x = Tensor([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]])
    assert log_softmax(x, dim=0).tolist() == log_softmax(x, 0).tolist() != log_softmax(x).tolist()
    assert logsumexp(x, dim=0, keepdim=True).tolist() == logsumexp(x, 0, keepdims=True).tolist()
    assert log_softmax(Tensor(np.zeros((0, 3)))).shape == (0, 3)


def test_integers_become_floats_before_they_are_subtracted() -> None:
    """Catches unsigned integers that wrap round: 1 - 3 is 254 in uint8."""
    one, three = (Tensor([value], dtype=np.uint8) for value in (1, 3))
    assert mse_loss(one, three).item() == 4.0
    assert cross_entropy(Tensor([[1, 2]], dtype=np.uint8), Tensor([1], dtype=np.uint8)).dtype == np.float32


def test_labels_may_be_lists_arrays_or_tensors_of_any_number_type() -> None:
    """Catches a loss that takes labels in one form only."""
    x = Tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    wanted = cross_entropy(x, Tensor([2, 0], dtype=np.int64)).item()
    for labels in ([2, 0], (2, 0), np.array([2, 0], dtype=np.uint8), Tensor([2.0, 0.0]), np.array([2, 0])[::1]):
        assert cross_entropy(x, labels).item() == wanted
    assert cross_entropy(x[:, :2], np.array([True, False])).item() == cross_entropy(x[:, :2], [1, 0]).item()


X = np.zeros((2, 3))
NAN = math.nan
REFUSED = [
    # call, what the message must say
    (lambda: cross_entropy(X, [0, 3]), r"label 3 at index 1 .* classes 0 to 2"),
    (lambda: cross_entropy(X, np.array([-1, 0])), "label -1 at index 0"),
    (lambda: cross_entropy(X, [0, 1.5]), r"label 1\.5 at index 1"),
    (lambda: cross_entropy(X, [0, NAN]), r"NaN at index \(1,\)"),
    (lambda: cross_entropy(X, [[0, 1, NAN], [0, 1, 0]]), r"NaN at index \(0, 2\)"),
    (lambda: cross_entropy(X, [[0, 1, 0], [1, 1, 0]]), "row 1 .* sum 2"),
    (lambda: cross_entropy(X, [[0, 1, 0], [-1, 1, 1]]), "row 1 .* smallest number is -1"),
    (lambda: cross_entropy(X, [[0, 1, 0], [math.inf, 1, 1]]), "row 1 .* sum inf"),
    (lambda: cross_entropy(X, [0, 1, 2]), r"\(2, 3\), target \(3,\).*\(2,\).*\(2, 3\)"),
    (lambda: cross_entropy(X, [[0], [1]]), r"\(2, 3\), target \(2, 1\)"),
    (lambda: cross_entropy(np.zeros((2, 4, 3)), np.zeros((2, 4))), r"\(2, 4, 3\), and target \(2, 4\).*reshape"),
    (lambda: cross_entropy(np.zeros(3), 1), r"shape \(N, C\), these have \(3,\)"),
    (lambda: cross_entropy(np.zeros((0, 3)), []), r"empty batch.*\(0, 3\)"),
    (lambda: cross_entropy(np.zeros((2, 0)), [0, 0]), r"empty batch.*\(2, 0\)"),
    (lambda: log_softmax(np.zeros((2, 0))), r"shape \(2, 0\) has no number along axis -1"),
    (lambda: logsumexp(np.zeros((0, 3)), axis=0), r"shape \(0, 3\) has no number along axis 0"),
    (lambda: cross_entropy(X, [0, 1], "average"), "reduction is 'average'"),
    (lambda: cross_entropy(X, [0, 1], label_smoothing=1.5), "label_smoothing is 1.5"),
    (lambda: CrossEntropyLoss(label_smoothing=-0.1), "label_smoothing is -0.1"),
    (lambda: CrossEntropyLoss(label_smoothing=NAN), "label_smoothing is nan"),
    (lambda: mse_loss(np.zeros((4, 1)), np.zeros(4)), r"\(4, 1\), target \(4,\).*target\.reshape\(4, 1\)"),
    (lambda: mse_loss(X, np.zeros((3, 2))), r"\(2, 3\), target \(3, 2\)"),
    (lambda: mse_loss(X, 0.0), r"\(2, 3\), target \(\)\. Check which"),
    (lambda: mse_loss([1.0, 2.0], [1.0, NAN]), r"NaN at index \(1,\)"),
    (lambda: mse_loss(1.0, NAN), r"NaN at index \(\)"),
    (lambda: mse_loss([], []), r"empty batch.*\(0,\)"),
    (lambda: mse_loss([1.0], [1.0], "avg"), "reduction is 'avg'"),
    (lambda: binary_cross_entropy([0.5], [2]), "from 2 to 2.*from 0 to 1"),
    (lambda: binary_cross_entropy([0.5, 1.5], [0, 1]), r"from 0\.5 to 1\.5.*with_logits"),
    (lambda: binary_cross_entropy([NAN], [1]), "from nan to nan"),
    (lambda: binary_cross_entropy([0.5], [NAN]), "target is NaN"),
    (lambda: binary_cross_entropy([[0.5]], [1]), r"\(1, 1\), target \(1,\)"),
    (lambda: binary_cross_entropy([], []), "empty batch"),
    (lambda: binary_cross_entropy_with_logits([3.0], [-1]), "from -1 to -1"),
    (lambda: binary_cross_entropy_with_logits([[3.0]], [1]), r"\(1, 1\), target \(1,\)"),
    (lambda: BinaryCrossEntropyLoss("no"), "reduction is 'no'"),
    (lambda: BCEWithLogitsLoss(reduction=None), "reduction is None"),
    (lambda: MSELoss("MEAN"), "reduction is 'MEAN'"),
]


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_bad_input_is_refused_with_shapes_and_a_fix(call: Any, said: str) -> None:
    """Catches a wrong number where an error is due, and an error that does not say what to do."""
    with pytest.raises(ValueError) as caught:
        call()
    assert re.search(said, str(caught.value), re.DOTALL), str(caught.value)


def test_modules_say_what_functions_say() -> None:
    """Catches a class that forgets its settings, or has something to learn."""
    x, y = Tensor([[0.2, 0.9], [0.4, 0.6]]), Tensor([[0.0, 1.0], [1.0, 0.0]])
    for reduction in ("mean", "sum", "none"):
        pairs = [
            (MSELoss(reduction), mse_loss(x, y, reduction)),
            (CrossEntropyLoss(reduction, label_smoothing=0.2), cross_entropy(x, y, reduction, 0.2)),
            (BinaryCrossEntropyLoss(reduction), binary_cross_entropy(x, y, reduction)),
            (BCEWithLogitsLoss(reduction), binary_cross_entropy_with_logits(x, y, reduction)),
        ]
        for module, wanted in pairs:
            assert module(x, y).tolist() == wanted.tolist()
            assert module.parameters() == []


def test_gradients_are_wanted_of_what_requires_them() -> None:
    """Catches a graph that is cut, which would train nothing and say nothing."""
    x = Tensor([[0.2, 0.9]], requires_grad=True)
    for loss in (
        cross_entropy(x, [1]),
        mse_loss(x, [[0, 1]]),
        binary_cross_entropy(x, [[0, 1]]),
        binary_cross_entropy_with_logits(x, [[0, 1]]),
        logsumexp(x),
        log_softmax(x),
    ):
        assert loss.requires_grad and loss.origin is not None
    assert cross_entropy(Tensor([[0.2, 0.9]]), [1]).origin is None
