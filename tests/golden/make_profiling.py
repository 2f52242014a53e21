"""Write profiling.json: FLOPs of some models by PyTorch's own counter, for tests that do without PyTorch.

python3.11 -m venv torch && torch/bin/pip install torch==2.13.0 numpy && torch/bin/python tests/golden/make_profiling.py
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

CASES = {
    "mlp": (nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)), (32, 784)),
    "sequence": (nn.Sequential(nn.Linear(16, 48, bias=False), nn.GELU(), nn.Linear(48, 16)), (2, 9, 16)),
    "convolutions": (
        nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, (1, 3), bias=False),
            nn.Flatten(),
            nn.Linear(12 * 5 * 3, 7),
        ),
        (4, 3, 21, 19),
    ),
    "one image": (nn.Conv2d(2, 5, (3, 2), stride=(1, 3), padding=(0, 2)), (1, 2, 10, 11)),
}


def main() -> None:
    """Count each model, and write the counts."""
    found = {}
    for name, (model, shape) in CASES.items():
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(shape))
        flops, params = counter.get_total_flops(), sum(each.numel() for each in model.parameters())
        found[name] = {"shape": list(shape), "flops": flops, "params": params}
    path = Path(__file__).with_name("profiling.json")
    path.write_text(json.dumps({"torch": torch.__version__, "cases": found}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
