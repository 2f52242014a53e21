"""XOR, the smallest thing that no linear layer can compute: four rows, one hidden layer, full-batch training.

python examples/xor.py [--short]
"""

from __future__ import annotations

import argparse

import numpy as np

from tinytorch import Tensor, manual_seed
from tinytorch.core.training import Trainer
from tinytorch.nn import BCEWithLogitsLoss, Linear, Sequential, Tanh
from tinytorch.optim import Adam

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
TARGETS = np.array([[0], [1], [1], [0]], dtype=np.float32)


def train(epochs: int) -> Trainer:
    """A trained network 2-8-1 with its history."""
    manual_seed(0)
    net = Sequential(Linear(2, 8), Tanh(), Linear(8, 1))
    trainer = Trainer(net, BCEWithLogitsLoss(), Adam(net.parameters(), lr=0.05))
    trainer.fit([(INPUTS, TARGETS)], epochs)
    return trainer


def main() -> None:
    """Train, draw the loss, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer epochs, as the tests run it")
    trainer = train(epochs=100 if parser.parse_args().short else 400)
    trainer.history.plot()
    answers = trainer.model(Tensor(INPUTS)).numpy() > 0
    print("\n x  y  xor")
    for (x, y), answer in zip(INPUTS.astype(int), answers[:, 0].astype(int), strict=True):
        print(f" {x}  {y}   {answer}")
    right = int((answers == TARGETS).sum())
    print(f"loss {trainer.history.loss[-1]:.4f}, {right} of 4 right")


if __name__ == "__main__":
    main()
