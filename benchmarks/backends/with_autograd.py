"""The rows in HIPS autograd, with a convolution by patches and the pooling of its own examples."""

from __future__ import annotations

from collections.abc import Callable

import autograd.numpy as np
from autograd import make_vjp, value_and_grad

from backends.cases import LEARNING_RATE, Array, Arrays, Run


def matmul(given: Arrays) -> Run:
    """a b."""
    return lambda: [np.dot(given["a"], given["b"])]


def _pulled(function: Callable[..., Array], given: Arrays, names: str) -> Run:
    """Forward and backward from g, for the inputs of these one-letter names."""
    inputs = tuple(given[name] for name in names)
    vjp = make_vjp(lambda all_: function(*all_))

    def run() -> list[Array]:
        pull, y = vjp(inputs)
        return [y, *pull(given["g"])]

    return run


def _training(given: Arrays, forward: Callable[[Array, Arrays], Array]) -> Run:
    x, t = given["x"], given["t"]
    parameters = {name: array.copy() for name, array in given.items() if name not in "xt"}
    rows = np.arange(len(x))

    def loss(p: Arrays) -> Array:
        y = forward(x, p)
        away = y - np.max(y, axis=1, keepdims=True)
        return np.mean(np.log(np.sum(np.exp(away), axis=1)) - away[rows, t])

    pull = value_and_grad(loss)

    def run() -> list[Array]:
        value, grads = pull(parameters)
        for name, parameter in parameters.items():
            parameter -= np.float32(LEARNING_RATE) * grads[name]
        return [value, *parameters.values()]

    return run


def _dense(h: Array, p: Arrays) -> Array:
    h = np.maximum(np.dot(h, p["w0"]) + p["b0"], 0)
    h = np.maximum(np.dot(h, p["w1"]) + p["b1"], 0)
    return np.dot(h, p["w2"]) + p["b2"]


def mlp(given: Arrays) -> Run:
    """A step of SGD."""
    return _training(given, _dense)


def _conv(x: Array, w: Array, b: Array, padding: int) -> Array:
    """A convolution by patches and one product: its own `convolve` takes some thirty times as long."""
    if padding:
        x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), "constant")
    o, c, kh, kw = w.shape
    rows, columns = x.shape[2] - kh + 1, x.shape[3] - kw + 1
    views = [x[:, :, None, i : i + rows, j : j + columns] for i in range(kh) for j in range(kw)]
    patches = np.reshape(np.concatenate(views, axis=2), (len(x), c * kh * kw, rows * columns))
    y = np.matmul(np.reshape(w, (o, c * kh * kw)), patches) + b[:, None]
    return np.reshape(y, (len(x), o, rows, columns))


def _pool(x: Array) -> Array:
    n, c, height, width = x.shape
    windows = np.reshape(x, (n, c, height // 2, 2, width // 2, 2))
    return np.max(np.max(windows, axis=3), axis=4)


def conv(given: Arrays) -> Run:
    """Forward and backward from g; no input gradient for three channels."""
    if given["x"].shape[1] == 3:
        return _pulled(lambda w, b: _conv(given["x"], w, b, 1), given, "wb")
    return _pulled(lambda w, b, x: _conv(x, w, b, 1), given, "wbx")


def pool(given: Arrays) -> Run:
    """Forward and backward from g."""
    return _pulled(_pool, given, "x")


def _lenet(x: Array, p: Arrays) -> Array:
    h = _pool(np.maximum(_conv(x, p["k0"], p["c0"], 2), 0))
    h = _pool(np.maximum(_conv(h, p["k1"], p["c1"], 0), 0))
    return _dense(np.reshape(h, (len(h), 400)), p)


def lenet(given: Arrays) -> Run:
    """A step of SGD."""
    return _training(given, _lenet)


def add(given: Arrays) -> Run:
    """a + b, backward from g."""
    return _pulled(lambda a, b: a + b, given, "ab")


def chain(given: Arrays) -> Run:
    """y * a + b five hundred times, backward from g."""
    a, b = given["a"], given["b"]

    def forward(y: Array) -> Array:
        for _ in range(500):
            y = y * a
            y = y + b
        return y

    return _pulled(forward, given, "x")


def layer_norm(given: Arrays) -> Run:
    """Forward and backward from g."""

    def forward(w: Array, b: Array, x: Array) -> Array:
        away = x - np.mean(x, axis=1, keepdims=True)
        variance = np.mean(away * away, axis=1, keepdims=True)
        return away / np.sqrt(variance + np.float32(1e-5)) * w + b

    return _pulled(forward, given, "wbx")
