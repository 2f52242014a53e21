"""Write autograd.json: PyTorch's values and gradients of every op, for tests that do without PyTorch.

python3.11 -m venv torch && torch/bin/pip install torch==2.13.0 numpy && torch/bin/python tests/golden/make_autograd.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Case = tuple[str, Callable[..., Tensor], list[Tensor]]
INDEX = torch.tensor([[0, 2, 2], [1, 2, 0]])


def draw(*shape: int) -> Tensor:
    """Normal numbers that float32 holds exactly."""
    return torch.randn(shape).double()


def positive(*shape: int) -> Tensor:
    """Numbers from 0.5 to 2 that float32 holds exactly."""
    return (torch.rand(shape) * 1.5 + 0.5).double()


def numbers(*values: float) -> Tensor:
    """These numbers at float64."""
    return torch.tensor(values, dtype=torch.float64)


def elementwise() -> Iterator[Case]:
    """Each op on its own, broadcast, and at the points where its derivative jumps or is infinite."""
    kinks = numbers(-1.0, -0.0, 0.0, 0.5, 1.0, 2.0)
    yield "add", torch.add, [draw(2, 1, 3), draw(4, 1)]
    yield "sub", torch.sub, [draw(3), draw(2, 3)]
    yield "mul", torch.mul, [draw(2, 3), draw()]
    yield "div", torch.div, [draw(1, 3), positive(2, 1)]
    yield "neg", torch.neg, [draw(3)]
    for n in (0, 1, 2, 3, 2.5, -1, 0.5):
        yield f"pow {n}", lambda x, n=n: x**n, [positive(2, 3)]
    yield "pow 2", lambda x: x**2, [kinks]
    yield "pow 0.5", lambda x: x**0.5, [kinks.abs()]
    yield "power", torch.pow, [positive(2, 3), draw(3)]
    yield "power", torch.pow, [numbers(0.0, 0.0, 0.0, 2.0), numbers(0.0, 1.0, 2.0, 0.0)]
    yield "exp", torch.exp, [draw(2, 3)]
    yield "log", torch.log, [positive(2, 3)]
    yield "sqrt", torch.sqrt, [kinks.abs()]
    yield "abs", torch.abs, [kinks]
    yield "clip", lambda x: x.clamp(0.0, 1.0), [kinks]
    yield "clip below", lambda x: x.clamp(min=0.5), [kinks]
    yield "clip above", lambda x: x.clamp(max=0.5), [kinks]
    mask = torch.tensor([[True, False, True], [False, False, True]])
    yield "where", lambda a, b: torch.where(mask, a, b), [draw(2, 3), draw(3)]
    yield "sqrt of relu", lambda x: F.relu(x).sqrt(), [kinks]
    for name in ("relu", "sigmoid", "tanh", "gelu", "leaky_relu"):
        yield name, getattr(F if name in ("relu", "gelu", "leaky_relu") else torch, name), [draw(2, 5) * 3]
        yield name, getattr(F if name in ("relu", "gelu", "leaky_relu") else torch, name), [kinks]
    yield "gelu tanh", lambda x: F.gelu(x, approximate="tanh"), [draw(2, 5) * 3]
    yield "astype", lambda x: x.to(torch.float32).double() * x, [draw(3)]


def reductions() -> Iterator[Case]:
    """Over one axis, several and all; with ties."""
    ties = torch.tensor([[1.0, 3.0, 3.0], [3.0, 0.0, 0.0]], dtype=torch.float64)
    yield "sum", torch.sum, [draw(2, 3)]
    yield "sum 1", lambda x: x.sum(1), [draw(2, 3)]
    yield "sum 0 2 keep", lambda x: x.sum((0, 2), keepdim=True), [draw(2, 3, 2)]
    yield "mean", torch.mean, [draw(2, 3)]
    yield "mean -1", lambda x: x.mean(-1), [draw(2, 3)]
    yield "var", torch.var, [draw(2, 3)]
    yield "var 0", lambda x: x.var(0), [draw(4, 3)]
    yield "var 1 0", lambda x: x.var(1, correction=0, keepdim=True), [draw(2, 3)]
    for x in (ties, draw(2, 3)):
        for name in ("max", "min"):
            yield name, getattr(torch, name), [x]
            yield f"{name} 1", lambda x, name=name: getattr(x, name)(1).values, [x]
            yield f"{name} 0 keep", lambda x, name=name: getattr(x, name)(0, keepdim=True).values, [x]
            yield f"{name} 0 1", lambda x, name=name: getattr(x, f"a{name}")((0, 1)), [x]
    yield "softmax", lambda x: x.softmax(-1), [draw(2, 3) * 3]
    yield "softmax 0", lambda x: x.softmax(0), [draw(2, 3, 2) * 100]
    yield "log_softmax", lambda x: x.log_softmax(-1), [draw(2, 3) * 30]
    yield "logsumexp", lambda x: x.logsumexp(-1), [draw(2, 3) * 30]
    yield "logsumexp all", lambda x: x.logsumexp((0, 1), keepdim=True), [draw(2, 3)]


def moves() -> Iterator[Case]:
    """Ops that move elements, indices that repeat among them."""
    yield "reshape", lambda x: x.reshape(3, 4) * x.reshape(4, 3).T, [draw(2, 6)]
    yield "permute", lambda x: x.permute(2, 0, 1), [draw(2, 3, 4)]
    yield "slices", lambda x: x[1:, :, None, 0] * x[0, 1:2, 3], [draw(3, 2, 4)]
    yield "rows", lambda x: x[INDEX], [draw(3, 2)]
    yield "pairs", lambda x: x[INDEX, -INDEX], [draw(3, 4)]
    yield "columns", lambda x: x[:, INDEX[0]], [draw(2, 3)]
    yield "mask", lambda x: x[INDEX > 0], [draw(2, 3, 2)]
    yield "cat", lambda a, b: torch.cat([a, b, a], 1), [draw(2, 3), draw(2, 1)]
    yield "stack", lambda a, b: torch.stack([a, b, a], -1), [draw(2, 3), draw(2, 3)]
    for a, b in (
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((1, 2, 3), (5, 3, 4)),
        ((2, 1, 2, 3), (4, 3, 2)),
    ):
        yield "matmul", torch.matmul, [draw(*a), draw(*b)]
    for a, b in (((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,))):
        yield "matmul", torch.matmul, [draw(*a), draw(*b)]


def networks() -> Iterator[Case]:
    """Losses, and graphs with shared nodes."""
    labels = torch.tensor([2, 0, 1, 2])
    yield "cross_entropy", lambda x: F.cross_entropy(x, labels), [draw(4, 3) * 5]
    yield "cross_entropy none", lambda x: F.cross_entropy(x, labels, reduction="none"), [draw(4, 3) * 1e4]
    yield "cross_entropy smooth", lambda x: F.cross_entropy(x, labels, label_smoothing=0.2), [draw(4, 3)]
    rows = positive(4, 3)
    yield "cross_entropy rows", F.cross_entropy, [draw(4, 3), rows / rows.sum(1, keepdim=True)]
    yield "mse_loss", F.mse_loss, [draw(4, 3), draw(4, 3)]
    answers = torch.rand(4, 3).double()
    yield "binary_cross_entropy", lambda p, y: F.binary_cross_entropy(p, y), [torch.rand(4, 3).double(), answers]
    yield "binary_cross_entropy logits", F.binary_cross_entropy_with_logits, [draw(4, 3) * 20, answers]
    yield (
        "mlp",
        lambda x, w, b, v: F.cross_entropy(F.relu(x @ w + b) @ v, labels),
        [draw(4, 5), draw(5, 6), draw(6), draw(6, 3)],
    )
    yield "attention", attention, [draw(2, 4, 6), draw(6, 6), draw(6, 6), draw(6, 6)]
    yield "residual", residual, [draw(3, 4), draw(4, 4) / 2]
    for leading in ((4,), (), (2, 3)):
        yield "linear", lambda x, w, b: F.linear(x, w.T, b), [draw(*leading, 5), draw(5, 3), draw(3)]


def attention(x: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One head with a causal mask."""
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    scores = torch.where(mask, (x @ q) @ (x @ k).transpose(-2, -1) / 6**0.5, -1e9)
    return scores.softmax(-1) @ (x @ v)


def residual(x: Tensor, w: Tensor) -> Tensor:
    """Six blocks that share one matrix."""
    for _ in range(6):
        x = x + torch.tanh(x @ w)
    return x


def computed(name: str, function: Callable[..., Tensor], inputs: list[Tensor]) -> dict[str, Any]:
    """One case: the result, a gradient of the result, and the gradients of the inputs."""
    leaves = [each.clone().requires_grad_() for each in inputs]
    result = function(*leaves)
    gradient = torch.rand(result.shape).double() + 0.5
    found = torch.autograd.grad(result, leaves, gradient, allow_unused=True)
    given = [torch.zeros_like(leaf) if each is None else each for leaf, each in zip(leaves, found, strict=True)]
    return {
        "name": name,
        "inputs": [each.tolist() for each in inputs],
        "result": result.tolist(),
        "gradient": gradient.tolist(),
        "gradients": [each.tolist() for each in given],
    }


def main() -> None:
    """Compute every case at float64, from inputs that float32 holds exactly."""
    torch.manual_seed(6)
    cases = (*elementwise(), *reductions(), *moves(), *networks())
    lines = ",\n".join(json.dumps(computed(*case)) for case in cases)
    text = f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n'
    Path(__file__).with_name("autograd.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
