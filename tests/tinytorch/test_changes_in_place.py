"""Changes in place, end to end: backward refuses what module 01 has counted, and computes what it recorded."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tinytorch.core.activations import gelu
from tinytorch.core.autograd import backward, no_grad
from tinytorch.core.layers import Linear
from tinytorch.core.tensor import Parameter, Tensor, cat, where


def write_view(x: Tensor) -> None:
    v = x[:1]
    v[0] = 9.0


def write_detached(x: Tensor) -> None:
    x.detach()[0] = 9.0


def write(x: Tensor) -> None:
    x[0] = 9.0


@pytest.mark.parametrize("change", [write_view, write_detached, write])
@pytest.mark.parametrize("use", [lambda x, w: x * w, lambda x, w: x.reshape(2, 1) * w, lambda x, w: x.detach() * w])
def test_backward_notices_a_change_through_shared_memory(change: Callable, use: Callable) -> None:
    # gave a gradient made of the new numbers
    w, x = Parameter([1.0, 1.0]), Tensor([1.0, 2.0])
    y = use(x, w).sum()
    change(x)
    with pytest.raises(RuntimeError, match="changed in place"):
        backward(y)


@pytest.mark.parametrize(
    "use",
    [
        lambda w, a: w * a,
        lambda w, a: a * w,
        lambda w, a: w @ a,
        lambda w, a: cat([w * a]),
        lambda w, a: where(a > 0, w, a),
    ],
)
def test_a_callers_array_may_change_after_recording(use: Callable) -> None:
    # gave w.grad = [7, 7, 7]
    a, w = np.ones(3, np.float32), Parameter([1.0, 2.0, 3.0])
    y = use(w, a).sum()
    a[:] = 7.0
    backward(y)
    assert w.grad.tolist() == [1.0, 1.0, 1.0]


def test_a_layers_input_may_change_after_recording() -> None:
    a, layer = np.ones((1, 2), np.float32), Linear(2, 1)
    y = layer(a).sum()
    a[:] = 7.0
    backward(y)
    assert layer.weight.grad.tolist() == [[1.0], [1.0]]


def test_views_of_a_parameter_after_a_step() -> None:
    # a view of a parameter that an optimizer has changed must not look changed since it was made
    w = Parameter([[1.0, 2.0]])
    for _ in range(2):
        backward((w.T @ w.reshape(1, 2)).sum())
        with no_grad():
            w[...] = w - 0.1
    y = (w.T * 2.0).sum()
    with no_grad():
        w[...] = 0.0
    with pytest.raises(RuntimeError, match="changed in place"):
        backward(y)


def test_gelu_needs_no_second_erf() -> None:
    x = np.array([-30.0, -6.0, -1.0, -1e-9, 0.0, 1e-300, 0.5, 3.0, 30.0])
    w = Parameter(x, dtype=np.float64)
    backward(gelu(w).sum())
    wanted = [math.erfc(-v / 2**0.5) / 2 + v * math.exp(-v * v / 2) / (2 * math.pi) ** 0.5 for v in x]
    np.testing.assert_allclose(w.grad, wanted, atol=2e-15)
