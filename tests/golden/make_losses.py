"""Write losses.json: what PyTorch's losses and their gradients are, for tests that do without PyTorch.

python3.11 -m venv torch && torch/bin/pip install torch==2.13.0 numpy && torch/bin/python tests/golden/make_losses.py
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

REDUCTIONS = ("mean", "sum", "none")


def cases() -> Iterator[tuple[str, list[torch.Tensor], dict[str, Any]]]:
    """A function's name, its inputs (the first is differentiated) and its options."""
    for shape, axis in (((4,), 0), ((3, 5), 1), ((3, 5), 0), ((2, 3, 4), 1)):
        for scale in (1.0, 1e4):
            x = torch.randn(*shape, dtype=torch.float64) * scale
            yield "log_softmax", [x], {"axis": axis}
            yield "logsumexp", [x], {"axis": axis}
    for reduction, scale, smoothing in itertools.product(REDUCTIONS, (1.0, 1e4), (0.0, 0.1, 1.0)):
        logits = torch.randn(4, 6, dtype=torch.float64) * scale
        options = {"reduction": reduction, "label_smoothing": smoothing}
        yield "cross_entropy", [logits, torch.randint(6, (4,))], options
        yield "cross_entropy", [logits, torch.softmax(torch.randn(4, 6, dtype=torch.float64), 1)], options
        one_hot = F.one_hot(torch.randint(6, (4,)), 6).double()
        yield "cross_entropy", [logits, one_hot], options
    for reduction, shape in itertools.product(REDUCTIONS, ((5,), (3, 4), (2, 3, 2))):
        x, y = torch.randn(*shape, dtype=torch.float64), torch.rand(*shape, dtype=torch.float64)
        yield "mse_loss", [x * 3, y], {"reduction": reduction}
        yield "binary_cross_entropy", [torch.rand(*shape, dtype=torch.float64), y], {"reduction": reduction}
        for scale in (1.0, 1e4):
            yield "binary_cross_entropy_with_logits", [x * scale, y.round()], {"reduction": reduction}
            yield "binary_cross_entropy_with_logits", [x * scale, y], {"reduction": reduction}
    certain = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.5], dtype=torch.float64)
    answers = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    yield "binary_cross_entropy", [certain, answers], {"reduction": "none"}


def computed(name: str, inputs: list[torch.Tensor], options: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """One case with its result and the gradient of the sum of its result."""
    cast = [each.to(dtype) if each.is_floating_point() else each for each in inputs]
    x = cast[0].requires_grad_()
    renamed = {"dim" if key == "axis" else key: value for key, value in options.items()}
    function = torch.logsumexp if name == "logsumexp" else getattr(F, name)
    result = function(x, *cast[1:], **renamed)
    (gradient,) = torch.autograd.grad(result.sum(), x)
    return {
        "function": name,
        "dtype": str(dtype).removeprefix("torch."),
        "inputs": [each.tolist() for each in cast],
        "options": options,
        "result": result.tolist(),
        "gradient": gradient.tolist(),
    }


def main() -> None:
    """Compute every case at both precisions."""
    torch.manual_seed(4)
    found = [computed(*case, dtype) for case in cases() for dtype in (torch.float32, torch.float64)]
    lines = ",\n".join(json.dumps(case) for case in found)
    text = f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n'
    Path(__file__).with_name("losses.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
