"""Scanned digits, read by a network with one hidden layer: 1,437 to learn from, 360 to be tested on.

python examples/digits_mlp.py [--short] [--seed 0] [--plot curves.png] [--checkpoint run.npz]

The curves go into digits_mlp.png, or another file with --plot; without matplotlib they are drawn with characters.
With --checkpoint the run is saved after each epoch, and goes on from the file if it is there.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # products as small as these are slower on several threads

from tinytorch import manual_seed
from tinytorch.core.training import CosineSchedule, Trainer, WarmupSchedule
from tinytorch.data import DataLoader, load_digits
from tinytorch.nn import CrossEntropyLoss, Dropout, Flatten, Linear, ReLU, Sequential
from tinytorch.optim import AdamW

Make = Callable[[int, int], tuple[Trainer, DataLoader]]  # of the number of epochs, and a seed


def make(epochs: int, seed: int = 0) -> tuple[Trainer, DataLoader]:
    """The trainer of a network 64-256-10, and its batches."""
    manual_seed(seed)
    loader = DataLoader(load_digits(), 32, shuffle=True, seed=seed)
    net = Sequential(Flatten(), Linear(64, 256), ReLU(), Dropout(0.3), Linear(256, 10))
    optimizer = AdamW(net.parameters(), lr=0.004, weight_decay=0.05)
    updates = epochs * len(loader)
    schedule = WarmupSchedule(optimizer, len(loader), CosineSchedule(optimizer, updates - len(loader)))
    return Trainer(net, CrossEntropyLoss(), optimizer, schedule, clip=5.0), loader


def run(name: str, description: str | None, make: Make, epochs: int, short: int) -> None:
    """Read the command line, train for so many epochs, show the curves, print the accuracy on the test digits."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help=f"{short} epochs, not {epochs}, as the tests run it")
    parser.add_argument("--seed", type=int, default=0, help="another start, and another order of the samples")
    parser.add_argument("--plot", type=Path, metavar="FILE", default=Path(f"{name}.png"), help="where the curves go")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="save each epoch, and go on from there")
    wanted = parser.parse_args()
    epochs = short if wanted.short else epochs
    trainer, loader = make(epochs, wanted.seed)
    if wanted.checkpoint and wanted.checkpoint.exists():
        trainer.load(wanted.checkpoint)
        print(f"going on after epoch {trainer.epoch}")
    start = time.perf_counter()
    if trainer.epoch < epochs:
        trainer.fit(loader, epochs - trainer.epoch, checkpoint=wanted.checkpoint)
    seconds = time.perf_counter() - start
    saved = trainer.history.plot(wanted.plot)
    if saved:
        print(f"curves in {saved}")
    right = trainer.evaluate(DataLoader(load_digits(train=False), 360)).accuracy
    print(f"{right:.2%} of 360 test digits right, trained in {seconds:.1f} s")


if __name__ == "__main__":
    run("digits_mlp", __doc__, make, epochs=40, short=10)
