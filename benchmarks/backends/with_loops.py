"""The rows by the loops that the lessons show: forward only, and only a small part of the work, scaled up.

Each function returns (run, check, times): how often that part is contained in the row, counted in multiplications.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from backends.cases import Array, Arrays, Run
from tinytorch.core.layers import matmul as matmul_loops
from tinytorch.core.spatial import conv2d_naive

Part = tuple[Run, list[Array], float]
_N = 24  # a product of this size takes a few milliseconds in loops


def _product(a: Array, b: Array, work: int) -> Part:
    a, b = a[:_N, :_N], b[:_N, :_N]
    return lambda: [matmul_loops(a, b)], [a @ b], work / math.prod((*a.shape, b.shape[1]))


def matmul(given: Arrays) -> Part:
    """A small corner of a and b."""
    return _product(given["a"], given["b"], len(given["a"]) ** 3)


def mlp(given: Arrays) -> Part:
    """The three products, for the whole batch."""
    work = sum(given[f"w{i}"].size for i in range(3)) * len(given["x"])
    return _product(given["x"], given["w0"], work)


def conv(given: Arrays) -> Part:
    """One output channel of one input channel of one image, without its padding."""
    x, kernel = given["x"][0, 0], given["w"][0, 0]
    shape = tuple(np.subtract(x.shape, 2))
    views = (x[i : i + shape[0], j : j + shape[1]] * kernel[i, j] for i in range(3) for j in range(3))
    work = given["g"].size * given["w"][0].size
    return lambda: [conv2d_naive(x, kernel)], [sum(views)], work / (math.prod(shape) * kernel.size)


KINDS: dict[str, Callable[[Arrays], Part]] = {"matmul": matmul, "mlp": mlp, "conv": conv}
