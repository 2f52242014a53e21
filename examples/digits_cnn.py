"""The scanned digits of digits_mlp.py, read by three convolutions that see each scan moved by up to one pixel.

python examples/digits_cnn.py [--short] [--seed 0] [--plot curves.png] [--checkpoint run.npz]

The curves go into digits_cnn.png, or another file with --plot; without matplotlib they are drawn with characters.
With --checkpoint the run is saved after each epoch, and goes on from the file if it is there.
"""

from __future__ import annotations

from digits_mlp import run  # first, since it sets how many threads NumPy takes

from tinytorch import manual_seed
from tinytorch.core.training import CosineSchedule, Trainer, WarmupSchedule
from tinytorch.data import DataLoader, RandomCrop, load_digits
from tinytorch.nn import BatchNorm2d, Conv2d, CrossEntropyLoss, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential
from tinytorch.optim import AdamW


def block(channels: int, kernels: int) -> list[Conv2d | BatchNorm2d | ReLU]:
    """A convolution that keeps rows and columns, without a bias: the normalization behind it has one."""
    return [Conv2d(channels, kernels, 3, padding=1, bias=False), BatchNorm2d(kernels), ReLU()]


def make(epochs: int, seed: int = 0) -> tuple[Trainer, DataLoader]:
    """The trainer of a network of three convolutions, (1, 8, 8) to (64, 2, 2) and 10 classes, and its batches."""
    manual_seed(seed)
    moved = RandomCrop(8, padding=1, seed=seed)  # a margin of one pixel leaves nine places for a window of 8 x 8
    loader = DataLoader(load_digits(transform=moved), 32, shuffle=True, seed=seed)
    seen = [*block(1, 32), *block(32, 32), MaxPool2d(2), *block(32, 64), MaxPool2d(2)]
    net = Sequential(*seen, Flatten(), Dropout(0.4), Linear(64 * 2 * 2, 10))
    optimizer = AdamW(net.parameters(), lr=0.003, weight_decay=0.05)
    updates = epochs * len(loader)
    schedule = WarmupSchedule(optimizer, len(loader), CosineSchedule(optimizer, updates - len(loader)))
    return Trainer(net, CrossEntropyLoss(label_smoothing=0.1), optimizer, schedule, clip=5.0), loader


if __name__ == "__main__":
    run("digits_cnn", __doc__, make, epochs=30, short=6)
