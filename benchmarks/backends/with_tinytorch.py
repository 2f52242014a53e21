"""The rows in this course's package, as a reader of the lessons would write them."""

from __future__ import annotations

from collections.abc import Callable

from backends.cases import LEARNING_RATE, Array, Arrays, Run
from tinytorch import Tensor
from tinytorch.core.normalization import LayerNorm
from tinytorch.functional import conv2d, cross_entropy, max_pool2d
from tinytorch.nn import Conv2d, Flatten, Linear, MaxPool2d, Module, Parameter, ReLU, Sequential
from tinytorch.optim import SGD


def _leaf(array: Array) -> Tensor:
    return Tensor(array, requires_grad=True)


def _grads(*tensors: Tensor) -> list[Array]:
    return [tensor.grad for tensor in tensors]


def matmul(given: Arrays) -> Run:
    """a b."""
    a, b = Tensor(given["a"]), Tensor(given["b"])
    return lambda: [(a @ b).numpy()]


def _training(given: Arrays, model: Callable[[Tensor], Tensor], named: dict[str, Parameter]) -> Run:
    x, t = Tensor(given["x"]), Tensor(given["t"], dtype=given["t"].dtype)
    parameters = [named[name] for name in given if name not in "xt"]
    optimizer = SGD(parameters, lr=LEARNING_RATE)

    def run() -> list[Array]:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        return [loss.numpy(), *(each.numpy() for each in parameters)]

    return run


def _fill(given: Arrays, layers: dict[str, Module]) -> dict[str, Parameter]:
    """The given numbers in the layers, and all parameters by the names of the given numbers."""
    named = {}
    for names, layer in layers.items():
        layer.weight, layer.bias = Parameter(given[names[:2]]), Parameter(given[names[2:]])
        named[names[:2]], named[names[2:]] = layer.weight, layer.bias
    return named


def mlp(given: Arrays) -> Run:
    """A step of SGD."""
    model = Sequential(Linear(784, 256), ReLU(), Linear(256, 128), ReLU(), Linear(128, 10))
    return _training(given, model, _fill(given, {"w0b0": model[0], "w1b1": model[2], "w2b2": model[4]}))


def lenet(given: Arrays) -> Run:
    """A step of SGD."""
    first, second = Conv2d(1, 6, 5, padding=2), Conv2d(6, 16, 5)
    dense = Linear(400, 120), Linear(120, 84), Linear(84, 10)
    layers = {"k0c0": first, "k1c1": second, "w0b0": dense[0], "w1b1": dense[1], "w2b2": dense[2]}
    model = Sequential(
        *(first, ReLU(), MaxPool2d(2), second, ReLU(), MaxPool2d(2), Flatten()),
        *(dense[0], ReLU(), dense[1], ReLU(), dense[2]),
    )
    return _training(given, model, _fill(given, layers))


def conv(given: Arrays) -> Run:
    """Forward and backward from g; no input gradient for three channels."""
    first = given["x"].shape[1] == 3
    x, w, b = Tensor(given["x"], requires_grad=not first), _leaf(given["w"]), _leaf(given["b"])
    leaves = [w, b] if first else [w, b, x]

    def run() -> list[Array]:
        for leaf in leaves:
            leaf.grad = None
        y = conv2d(x, w, b, padding=1)
        y.backward(given["g"])
        return [y.numpy(), *_grads(*leaves)]

    return run


def pool(given: Arrays) -> Run:
    """Forward and backward from g."""
    x = _leaf(given["x"])

    def run() -> list[Array]:
        x.grad = None
        y = max_pool2d(x, 2)
        y.backward(given["g"])
        return [y.numpy(), *_grads(x)]

    return run


def add(given: Arrays) -> Run:
    """a + b, backward from g."""
    a, b = _leaf(given["a"]), _leaf(given["b"])

    def run() -> list[Array]:
        a.grad = b.grad = None
        y = a + b
        y.backward(given["g"])
        return [y.numpy(), *_grads(a, b)]

    return run


def chain(given: Arrays) -> Run:
    """y * a + b five hundred times, backward from g."""
    x, a, b = _leaf(given["x"]), Tensor(given["a"]), Tensor(given["b"])

    def run() -> list[Array]:
        x.grad, y = None, x
        for _ in range(500):
            y = y * a
            y = y + b
        y.backward(given["g"])
        return [y.numpy(), *_grads(x)]

    return run


def layer_norm(given: Arrays) -> Run:
    """Forward and backward from g."""
    norm, x = LayerNorm(given["x"].shape[1]), _leaf(given["x"])
    norm.weight, norm.bias = Parameter(given["w"]), Parameter(given["b"])

    def run() -> list[Array]:
        norm.weight.grad = norm.bias.grad = x.grad = None
        y = norm(x)
        y.backward(given["g"])
        return [y.numpy(), *_grads(norm.weight, norm.bias, x)]

    return run
