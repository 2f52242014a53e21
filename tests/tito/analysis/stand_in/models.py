"""Models that the tests name."""

import sys
import time

import numpy as np

from tinytorch.core.layers import (
    BatchNorm2d,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    MaxPool2D,
    Module,
    MultiHeadAttention,
    ReLU,
    Sequential,
)
from tinytorch.core.tensor import Parameter, apply, mystery, relu, wrap


def mlp():
    print("a learner prints this")
    return Sequential(Linear(784, 256), ReLU(), Dropout(0.5), Dense(256, 128), ReLU(), Linear(128, 10, bias=False))


def cnn():
    return Sequential(
        Conv2D(3, 32, (3, 3)),
        ReLU(),
        MaxPool2D((2, 2)),
        Conv2D(32, 64, 3, padding=1, bias=False),
        BatchNorm2d(64),
        ReLU(),
        MaxPool2D((2, 2)),
        Flatten(),
        Linear(64 * 7 * 7, 10),
    )


def transformer():
    return Sequential(Embedding(100, 16), LayerNorm(16), MultiHeadAttention(16, 4), Linear(16, 100))


class Tied(Module):
    """The head multiplies by the embedding's own table."""

    def __init__(self):
        super().__init__()
        self.embed = Embedding(50, 8)
        self.body = Linear(8, 8)

    def forward(self, ids):
        return self.body(self.embed(ids)) @ self.embed.weight.T


class Functional(Module):
    """Functions between layers, and a residual sum."""

    def __init__(self):
        super().__init__()
        self.first, self.body, self.last = Linear(6, 6), Linear(6, 6), Linear(6, 3)

    def forward(self, x):
        x = self.first(x)
        x = x + apply(relu, self.body(x))
        return self.last(x.reshape(x.shape[0], 6))


class Odd(Module):
    """A function that nobody knows between two layers."""

    def __init__(self):
        super().__init__()
        self.first, self.last = Linear(6, 6), Linear(6, 3)

    def forward(self, x):
        return self.last(apply(mystery, self.first(x)))


class Twice(Module):
    """One layer used twice."""

    def __init__(self):
        super().__init__()
        self.same = Linear(6, 6)

    def forward(self, x):
        return self.same(self.same(x))


class Mystery(Module):
    """A layer that nobody knows, with a parameter of its own."""

    def __init__(self):
        super().__init__()
        self.scale = Parameter(np.ones(5))

    def forward(self, x):
        return wrap(x.data * self.scale.data)


def with_mystery():
    return Sequential(Linear(4, 5), Mystery(), Linear(5, 3))


class Unused(Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = Linear(4, 2), Linear(7, 3)

    def forward(self, x):
        return self.used(x)


class NoBase:
    """A model of a learner who has not built Module yet, on bare arrays."""

    class ReLU:
        def forward(self, x):
            return np.maximum(x, 0)

    class Linear:
        def __init__(self, inputs, outputs):
            self.in_features, self.out_features = inputs, outputs
            self.weight, self.bias = np.zeros((inputs, outputs), np.float32), np.zeros(outputs, np.float32)

        def forward(self, x):
            return x @ self.weight + self.bias

    def __init__(self):
        self.layers = [self.Linear(4, 3), self.ReLU(), self.Linear(3, 2)]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x


shared = Twice()
number = 3


def needs(width):
    return Linear(width, 1)


def nothing():
    return None


def broken():
    return Sequential(Linear(4, 5), Linear(6, 3))


def leaves():
    sys.exit(7)


def interrupts():
    raise KeyboardInterrupt


def leaves_without_a_word():
    sys.exit()


def hangs():
    time.sleep(600)
