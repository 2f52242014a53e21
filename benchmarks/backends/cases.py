"""The rows of the comparison: what is computed, from which numbers, and what it may cost beside PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray
Arrays = dict[str, Array]
Run = Callable[[], list[Array]]  # does the work once, and returns the arrays by which backends are compared

LEARNING_RATE = 0.001  # small, so that the numbers of the thousandth step are as ordinary as those of the first


@dataclass(frozen=True)
class Case:
    """One row: its title, the function of a backend that does it, sizes, and the target as a ratio to PyTorch."""

    title: str
    kind: str
    sizes: dict[str, Any] = field(default_factory=dict)
    target: float | None = None
    large: bool = True  # past a few thousand numbers, where the framework may cost a quarter of the arithmetic


CASES = {
    "matmul512": Case("matrix product, 512", "matmul", {"n": 512}, 1.25),
    "matmul1024": Case("matrix product, 1024", "matmul", {"n": 1024}, 1.25),
    "mlp32": Case("MLP 784-256-128-10, step, batch 32", "mlp", {"batch": 32}, 0.9),
    "mlp256": Case("MLP 784-256-128-10, step, batch 256", "mlp", {"batch": 256}, 1.2),
    "conv3": Case(
        "convolution 32x3x32x32 to 32, 3x3, no input gradient", "conv", {"channels": 3, "out": 32, "size": 32}, 1.4
    ),
    "conv32": Case("convolution 32x32x16x16 to 64, 3x3", "conv", {"channels": 32, "out": 64, "size": 16}, 3.0),
    "pool": Case("max pool 2x2 of 32x32x32x32", "pool", {}, 1.2),
    "lenet": Case("LeNet-like step, batch 32", "lenet", {}, 1.8),
    "add": Case("add of ten numbers, with gradient", "add", {}, 0.5, large=False),
    "chain": Case("chain of 1,000 ops on ten numbers", "chain", {}, 0.8, large=False),
    "layernorm": Case("LayerNorm of 4096x256", "layer_norm", {"rows": 4096, "width": 256}),
}


def arrays(case: Case) -> Arrays:
    """The float32 inputs of a row: the same numbers in every process."""
    rng = np.random.default_rng(7)

    def normal(*shape: int, scale: float = 1.0) -> Array:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    return _MAKERS[case.kind](normal, rng, **case.sizes)


def _labels(rng: np.random.Generator, count: int) -> Array:
    return rng.integers(0, 10, count)


def _matmul(normal: Any, rng: Any, n: int) -> Arrays:
    return {"a": normal(n, n), "b": normal(n, n)}


def _mlp(normal: Any, rng: Any, batch: int) -> Arrays:
    made = {"x": normal(batch, 784), "t": _labels(rng, batch)}
    for i, (rows, columns) in enumerate(((784, 256), (256, 128), (128, 10))):
        made[f"w{i}"], made[f"b{i}"] = normal(rows, columns, scale=rows**-0.5), normal(columns, scale=0.1)
    return made


def _conv(normal: Any, rng: Any, channels: int, out: int, size: int) -> Arrays:
    return {
        "x": normal(32, channels, size, size),
        "w": normal(out, channels, 3, 3, scale=(9 * channels) ** -0.5),
        "b": normal(out),
        "g": normal(32, out, size, size),
    }


def _pool(normal: Any, rng: Any) -> Arrays:
    return {"x": normal(32, 32, 32, 32), "g": normal(32, 32, 16, 16)}


def _lenet(normal: Any, rng: Any) -> Arrays:
    made = {"x": normal(32, 1, 28, 28), "t": _labels(rng, 32)}
    for i, (out, channels) in enumerate(((6, 1), (16, 6))):
        made[f"k{i}"], made[f"c{i}"] = (
            normal(out, channels, 5, 5, scale=(25 * channels) ** -0.5),
            normal(out, scale=0.1),
        )
    for i, (rows, columns) in enumerate(((400, 120), (120, 84), (84, 10))):
        made[f"w{i}"], made[f"b{i}"] = normal(rows, columns, scale=rows**-0.5), normal(columns, scale=0.1)
    return made


def _add(normal: Any, rng: Any) -> Arrays:
    return {"a": normal(10), "b": normal(10), "g": normal(10)}


def _chain(normal: Any, rng: Any) -> Arrays:
    return {"x": normal(10), "a": 1 + normal(10, scale=0.001), "b": normal(10, scale=0.01), "g": normal(10)}


def _layer_norm(normal: Any, rng: Any, rows: int, width: int) -> Arrays:
    return {"x": normal(rows, width), "w": normal(width), "b": normal(width), "g": normal(rows, width)}


_MAKERS: dict[str, Callable[..., Arrays]] = {
    "matmul": _matmul,
    "mlp": _mlp,
    "conv": _conv,
    "pool": _pool,
    "lenet": _lenet,
    "add": _add,
    "chain": _chain,
    "layer_norm": _layer_norm,
}
