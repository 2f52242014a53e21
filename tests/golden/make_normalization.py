"""Write normalization.json: PyTorch's normalizations with gradients and buffers, for tests that do without PyTorch.

python3.11 -m venv torch && torch/bin/pip install torch==2.13.0 numpy
torch/bin/python tests/golden/make_normalization.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

LAYERS: tuple[tuple[str, dict[str, Any], tuple[int, ...]], ...] = (
    ("BatchNorm1d", {"num_features": 3}, (5, 3)),
    ("BatchNorm1d", {"num_features": 3, "eps": 0.1, "momentum": 0.3}, (4, 3, 6)),
    ("BatchNorm1d", {"num_features": 2, "affine": False}, (2, 2)),
    ("BatchNorm2d", {"num_features": 3}, (4, 3, 2, 5)),
    ("BatchNorm2d", {"num_features": 2, "affine": False, "momentum": 1.0}, (1, 2, 3, 3)),
    ("LayerNorm", {"normalized_shape": [6]}, (4, 6)),
    ("LayerNorm", {"normalized_shape": [6]}, (2, 3, 6)),
    ("LayerNorm", {"normalized_shape": [3, 6], "eps": 0.1}, (2, 3, 6)),
    ("LayerNorm", {"normalized_shape": [2, 3, 4], "elementwise_affine": False}, (3, 2, 3, 4)),
    ("LayerNorm", {"normalized_shape": [5]}, (5,)),
    ("LayerNorm", {"normalized_shape": [1]}, (3, 1)),
    ("RMSNorm", {"normalized_shape": [6]}, (4, 6)),
    ("RMSNorm", {"normalized_shape": [3, 6], "eps": 0.1}, (2, 3, 6)),
    ("RMSNorm", {"normalized_shape": [4], "elementwise_affine": False}, (2, 3, 4)),
)


def numbers(*shape: int) -> torch.Tensor:
    """Random numbers that are short as text: multiples of 1/64."""
    return (torch.randn(*shape, dtype=torch.float64) * 64).round() / 64


def rounded(tensor: torch.Tensor) -> Any:
    """Nested lists of numbers with twelve digits."""
    return json.loads(json.dumps(tensor.tolist()), parse_float=lambda text: float(f"{float(text):.12g}"))


def passes(layer: torch.nn.Module, shape: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Three passes in training, with other numbers each time, and one in evaluation."""
    for training in (True, True, True, False):
        layer.train(training)
        layer.zero_grad()
        x = (numbers(*shape) * 3 + 2).requires_grad_()
        result = layer(x)
        weights = numbers(*shape)
        (result * weights).sum().backward()
        yield {
            "training": training,
            "input": rounded(x),
            "result": rounded(result),
            "weights": rounded(weights),
            "gradient": rounded(x.grad),
            "parameter_gradients": {name: rounded(each.grad) for name, each in layer.named_parameters()},
            "buffers": {name: rounded(each) for name, each in layer.named_buffers() if name.startswith("running")},
        }


def main() -> None:
    """Compute every layer at float64."""
    torch.manual_seed(9)
    lines = []
    for name, options, shape in LAYERS:
        layer = getattr(torch.nn, name)(**options).double()
        for each in layer.parameters():
            each.data = numbers(*each.shape)
        parameters = {key: rounded(each) for key, each in layer.named_parameters()}
        case = {"layer": name, "options": options, "parameters": parameters, "passes": list(passes(layer, shape))}
        lines.append(json.dumps(case, separators=(",", ":")))
    text = f'{{"torch": "{torch.__version__}", "cases": [\n' + ",\n".join(lines) + "\n]}\n"
    Path(__file__).with_name("normalization.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
