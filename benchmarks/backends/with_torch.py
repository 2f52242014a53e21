"""The rows in PyTorch on the CPU, in its ordinary eager mode."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from backends.cases import LEARNING_RATE, Array, Arrays, Run


def threads(count: int) -> None:
    """Compute with this many threads."""
    torch.set_num_threads(count)


def _leaf(array: Array) -> torch.Tensor:
    return torch.tensor(array, requires_grad=True)


def _grads(*tensors: torch.Tensor) -> list[Array]:
    return [tensor.grad.numpy() for tensor in tensors]


def matmul(given: Arrays) -> Run:
    """a b."""
    a, b = torch.tensor(given["a"]), torch.tensor(given["b"])
    return lambda: [(a @ b).numpy()]


def _training(given: Arrays, forward: object) -> Run:
    x, t = torch.tensor(given["x"]), torch.tensor(given["t"])
    parameters = {name: _leaf(array) for name, array in given.items() if name not in "xt"}
    optimizer = torch.optim.SGD(parameters.values(), lr=LEARNING_RATE)

    def run() -> list[Array]:
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(x, parameters), t)
        loss.backward()
        optimizer.step()
        return [loss.detach().numpy(), *(each.detach().numpy() for each in parameters.values())]

    return run


def _dense(h: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    h = F.relu(torch.addmm(p["b0"], h, p["w0"]))
    h = F.relu(torch.addmm(p["b1"], h, p["w1"]))
    return torch.addmm(p["b2"], h, p["w2"])


def mlp(given: Arrays) -> Run:
    """A step of SGD."""
    return _training(given, _dense)


def _lenet(x: torch.Tensor, p: dict[str, torch.Tensor]) -> torch.Tensor:
    h = F.max_pool2d(F.relu(F.conv2d(x, p["k0"], p["c0"], padding=2)), 2)
    h = F.max_pool2d(F.relu(F.conv2d(h, p["k1"], p["c1"])), 2)
    return _dense(h.flatten(1), p)


def lenet(given: Arrays) -> Run:
    """A step of SGD."""
    return _training(given, _lenet)


def conv(given: Arrays) -> Run:
    """Forward and backward from g; no input gradient for three channels."""
    x, w, b, g = torch.tensor(given["x"]), _leaf(given["w"]), _leaf(given["b"]), torch.tensor(given["g"])
    x.requires_grad_(x.shape[1] > 3)
    leaves = [w, b, x] if x.requires_grad else [w, b]

    def run() -> list[Array]:
        for leaf in leaves:
            leaf.grad = None
        y = F.conv2d(x, w, b, padding=1)
        y.backward(g)
        return [y.detach().numpy(), *_grads(*leaves)]

    return run


def pool(given: Arrays) -> Run:
    """Forward and backward from g."""
    x, g = _leaf(given["x"]), torch.tensor(given["g"])

    def run() -> list[Array]:
        x.grad = None
        y = F.max_pool2d(x, 2)
        y.backward(g)
        return [y.detach().numpy(), *_grads(x)]

    return run


def add(given: Arrays) -> Run:
    """a + b, backward from g."""
    a, b, g = _leaf(given["a"]), _leaf(given["b"]), torch.tensor(given["g"])

    def run() -> list[Array]:
        a.grad = b.grad = None
        y = a + b
        y.backward(g)
        return [y.detach().numpy(), *_grads(a, b)]

    return run


def chain(given: Arrays) -> Run:
    """y * a + b five hundred times, backward from g."""
    x, a, b, g = _leaf(given["x"]), *(torch.tensor(given[name]) for name in "abg")

    def run() -> list[Array]:
        x.grad, y = None, x
        for _ in range(500):
            y = y * a
            y = y + b
        y.backward(g)
        return [y.detach().numpy(), *_grads(x)]

    return run


def layer_norm(given: Arrays) -> Run:
    """Forward and backward from g."""
    x, w, b, g = _leaf(given["x"]), _leaf(given["w"]), _leaf(given["b"]), torch.tensor(given["g"])

    def run() -> list[Array]:
        x.grad = w.grad = b.grad = None
        y = F.layer_norm(x, w.shape, w, b)
        y.backward(g)
        return [y.detach().numpy(), *_grads(w, b, x)]

    return run
