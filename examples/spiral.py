"""Three spirals: points in the plane whose classes no straight line can part. Early stopping on points not trained on.

python examples/spiral.py [--short]
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # products as small as these are slower on several threads

import numpy as np

from tinytorch import Tensor, manual_seed
from tinytorch.core.training import CosineSchedule, Trainer
from tinytorch.data import DataLoader, TensorDataset, random_split
from tinytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
from tinytorch.optim import AdamW

CLASSES = 3


def spiral(points: int, seed: int) -> TensorDataset:
    """points in each of three arms, with a little noise: positions (3 * points, 2) and classes (3 * points,)."""
    draw = np.random.default_rng(seed)
    radius = np.tile(np.linspace(0.05, 1, points), CLASSES)
    arm = np.repeat(np.arange(CLASSES), points)
    angle = 4.5 * radius + arm * 2 * np.pi / CLASSES + draw.normal(0, 0.15, radius.shape)
    places = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    return TensorDataset(places.astype(np.float32), arm)


def train(epochs: int) -> tuple[Trainer, float]:
    """A trained network 2-64-64-3, and its accuracy on points that it has not seen."""
    manual_seed(0)
    learned, valid = random_split(spiral(200, seed=1), [0.8, 0.2], seed=2)
    net = Sequential(Linear(2, 64), ReLU(), Linear(64, 64), ReLU(), Linear(64, CLASSES))
    optimizer = AdamW(net.parameters(), lr=0.01)
    loader = DataLoader(learned, 32, shuffle=True, seed=3)
    schedule = CosineSchedule(optimizer, epochs * len(loader))
    trainer = Trainer(net, CrossEntropyLoss(), optimizer, schedule, clip=1.0)
    trainer.fit(loader, epochs, valid=DataLoader(valid, 120), patience=15)
    accuracy = trainer.evaluate(DataLoader(spiral(200, seed=9), 600)).accuracy
    assert accuracy is not None
    return trainer, accuracy


def picture(trainer: Trainer, width: int = 60, height: int = 26) -> str:
    """The plane, drawn with the class that the network gives to each place."""
    x, y = np.meshgrid(np.linspace(-1.1, 1.1, width), np.linspace(1.1, -1.1, height))
    places = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    classes = trainer.model(Tensor(places)).numpy().argmax(axis=1).reshape(height, width)
    return "\n".join("".join(".o#"[each] for each in row) for row in classes)


def main() -> None:
    """Train, draw the plane, and print the accuracy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer epochs, as the tests run it")
    trainer, accuracy = train(epochs=20 if parser.parse_args().short else 60)
    print(picture(trainer))
    print(f"{trainer.epoch} epochs, {accuracy:.1%} of 600 new points right")


if __name__ == "__main__":
    main()
