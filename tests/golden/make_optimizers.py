"""Write optimizers.json: the paths that PyTorch's optimizers take, for tests that do without PyTorch.

python3.11 -m venv torch && torch/bin/pip install torch==2.13.0 numpy
torch/bin/python tests/golden/make_optimizers.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

STEPS = 100
KEPT = (1, 2, 3, 10, 50, 100)
SHAPES = ((3, 2), (4,), ())
SKIPPED = 1  # this parameter has no gradient in every third step

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.5, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": [0.8, 0.95], "eps": 1e-3}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}),
]


def problem() -> dict[str, Any]:
    """Start, target and curvature of each parameter, and one phase each for a force that changes with time."""
    draw = np.random.default_rng(7)
    return {
        "start": [draw.standard_normal(shape).tolist() for shape in SHAPES],
        "target": [draw.standard_normal(shape).tolist() for shape in SHAPES],
        "curvature": [draw.uniform(0.1, 3, shape).tolist() for shape in SHAPES],
        "phase": [draw.uniform(0, 6, shape).tolist() for shape in SHAPES],
    }


def path(case: tuple[str, dict[str, Any]], given: dict[str, Any], dtype: torch.dtype) -> list[list[Any]]:
    """The parameters after each step in KEPT; the gradient is curvature * (w - target) + sin(t + phase)."""
    start, target, curvature, phase = (
        [torch.tensor(values, dtype=dtype) for values in given[name]]
        for name in ("start", "target", "curvature", "phase")
    )
    params = [each.clone().requires_grad_() for each in start]
    name, options = case
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.5 * options.get("lr", 0.001)}]
    optimizer = getattr(torch.optim, name)(groups, **options)
    kept = []
    for t in range(1, STEPS + 1):
        for i, w in enumerate(params):
            force = torch.sin(t + phase[i].double()).to(dtype)
            w.grad = None if i == SKIPPED and t % 3 == 0 else curvature[i] * (w.detach() - target[i]) + force
        optimizer.step()
        if t in KEPT:
            kept.append([w.tolist() for w in params])
    return kept


def main() -> None:
    """Compute every case at both precisions."""
    given = problem()
    cases = [
        {"optimizer": case[0], "options": case[1], "dtype": name, "path": path(case, given, getattr(torch, name))}
        for case in CASES
        for name in ("float32", "float64")
    ]
    lines = ",\n".join(json.dumps(case) for case in cases)
    head = f'"torch": "{torch.__version__}", "steps": {json.dumps(KEPT)}, "skipped": {SKIPPED}'
    text = f'{{{head},\n"problem": {json.dumps(given)},\n"cases": [\n{lines}\n]}}\n'
    Path(__file__).with_name("optimizers.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
