"""Write spatial.json: PyTorch's convolutions and poolings with their gradients, for tests that do without PyTorch.

python3.11 -m venv torch && torch/bin/pip install torch==2.13.0 numpy && torch/bin/python tests/golden/make_spatial.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

CONVOLUTIONS = (  # input, weight, stride, padding
    ((2, 1, 3, 3), (1, 1, 2, 2), 1, 0),
    ((2, 3, 6, 7), (4, 3, 3, 3), 1, 0),
    ((2, 3, 6, 7), (4, 3, 3, 3), 1, 1),
    ((2, 3, 6, 7), (4, 3, 3, 3), 2, 1),
    ((2, 2, 7, 5), (3, 2, 3, 2), (2, 1), (1, 0)),
    ((2, 2, 7, 5), (3, 2, 2, 3), (1, 3), (0, 2)),
    ((1, 2, 8, 8), (3, 2, 5, 5), 3, 2),
    ((3, 4, 4, 4), (2, 4, 1, 1), 1, 0),
    ((2, 4, 5, 5), (2, 4, 1, 1), 2, 0),
    ((2, 2, 3, 4), (2, 2, 3, 4), 1, 0),
    ((1, 1, 1, 1), (2, 1, 3, 3), 1, 1),
    ((2, 2, 4, 4), (3, 2, 2, 2), 3, 4),
    ((3, 5, 6), (2, 3, 3, 3), 1, 1),
)
POOLINGS = (  # input, kernel, stride, padding
    ((2, 2, 4, 6), 2, None, 0),
    ((2, 2, 5, 7), 2, None, 0),
    ((2, 2, 5, 7), 3, 2, 1),
    ((1, 2, 6, 6), 3, 1, 1),
    ((2, 1, 7, 6), (3, 2), (2, 1), (1, 0)),
    ((2, 1, 7, 6), (2, 3), (3, 1), (1, 1)),
    ((1, 1, 3, 3), 3, None, 0),
    ((1, 2, 4, 4), 1, None, 0),
    ((1, 2, 5, 5), 2, 3, 1),
    ((2, 5, 6), 2, None, 1),
)


def numbers(*shape: int) -> torch.Tensor:
    """Random numbers that are short as text: multiples of 1/64."""
    return (torch.randn(*shape, dtype=torch.float64) * 64).round() / 64


def cases() -> Iterator[tuple[str, list[torch.Tensor], dict[str, Any]]]:
    """A function's name, its inputs and its options."""
    for x, weight, stride, padding in CONVOLUTIONS:
        inputs = [numbers(*x), numbers(*weight)]
        yield "conv2d", [*inputs, numbers(weight[0])], {"stride": stride, "padding": padding}
    yield "conv2d", inputs, {"stride": 1, "padding": 0}
    for x, kernel, stride, padding in POOLINGS:
        options = {"kernel_size": kernel, "stride": stride, "padding": padding}
        for name in ("max_pool2d", "avg_pool2d"):
            yield name, [numbers(*x)], options
        yield "max_pool2d", [torch.randint(3, x).double()], options  # many ties


def rounded(tensor: torch.Tensor) -> Any:
    """Nested lists of numbers with twelve digits."""
    return json.loads(json.dumps(tensor.tolist()), parse_float=lambda text: float(f"{float(text):.12g}"))


def computed(name: str, inputs: list[torch.Tensor], options: dict[str, Any]) -> dict[str, Any]:
    """One case with its result, a weight for each output, and the gradients of the weighed sum."""
    leaves = [each.requires_grad_() for each in inputs]
    result = getattr(F, name)(*leaves, **options)
    weights = numbers(*result.shape)
    gradients = torch.autograd.grad((result * weights).sum(), leaves)
    return {
        "function": name,
        "options": options,
        "inputs": [rounded(each) for each in inputs],
        "result": rounded(result),
        "weights": rounded(weights),
        "gradients": [rounded(each) for each in gradients],
    }


def main() -> None:
    """Compute every case at float64."""
    torch.manual_seed(10)
    lines = ",\n".join(json.dumps(computed(*case), separators=(",", ":")) for case in cases())
    text = f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n'
    Path(__file__).with_name("spatial.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
