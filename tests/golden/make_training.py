"""Write training.json: PyTorch's schedules and clipped gradients, for tests that do without PyTorch.

python3.11 -m venv torch && torch/bin/pip install torch==2.13.0 numpy
torch/bin/python tests/golden/make_training.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, SequentialLR, StepLR


def rates(make: Callable[[torch.optim.Optimizer], LRScheduler], count: int) -> list[list[float]]:
    """The learning rates of two groups at each update."""
    params = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.03}], lr=0.4)
    schedule, found = make(optimizer), []
    for _ in range(count):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return found


def warmup(optimizer: torch.optim.Optimizer) -> LRScheduler:
    """Five updates up, then a cosine of ten."""
    up = LambdaLR(optimizer, lambda t: (t + 1) / 5)
    return SequentialLR(optimizer, [up, CosineAnnealingLR(optimizer, 10, eta_min=0.01)], milestones=[5])


def clipped(scale: float, max_norm: float) -> dict[str, Any]:
    """Gradients of three parameters before and after clipping."""
    draw = np.random.default_rng(5)
    gradients = [(draw.standard_normal(shape) * scale).astype(np.float32) for shape in ((3, 2), (4,), ())]
    params = [torch.zeros(g.shape, requires_grad=True) for g in gradients]
    for w, g in zip(params, gradients, strict=True):
        w.grad = torch.tensor(g)
    norm = torch.nn.utils.clip_grad_norm_(params, max_norm)
    before = [g.tolist() for g in gradients]
    return {"max_norm": max_norm, "before": before, "norm": norm.item(), "after": [w.grad.tolist() for w in params]}


def main() -> None:
    """Compute every case."""
    found = {
        "torch": torch.__version__,
        "step": rates(lambda o: StepLR(o, 3, gamma=0.2), 10),
        "cosine": rates(lambda o: CosineAnnealingLR(o, 12, eta_min=0.005), 13),
        "warmup": rates(warmup, 16),
        "clip": [clipped(scale, max_norm) for scale, max_norm in ((1.0, 0.5), (1.0, 100.0), (1e-3, 1e-4), (1e6, 1.0))],
    }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in found.items())
    Path(__file__).with_name("training.json").write_text(f"{{{lines}}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
