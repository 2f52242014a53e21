"""The bytes that a training step needs at its highest point, beside NumPy written by hand for the same step."""

from __future__ import annotations

import gc
import importlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The benchmark that measures it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("memory")


@pytest.mark.parametrize("row", ["mlp32", "mlp256", "lenet"])
def test_a_step_needs_at_most_half_more_than_numpy_by_hand(memory: ModuleType, row: str) -> None:
    """Catches activations that are kept too long, patches that are copied, and gradients that are held twice."""
    ours, floor = memory.peak("with_tinytorch", row), memory.peak("with_numpy", row)
    assert floor > 1_000_000, "the floor itself is implausible"
    assert ours <= 1.5 * floor, f"{ours:,} bytes beside {floor:,}"


def test_a_step_is_measured_without_what_came_before(memory: ModuleType) -> None:
    """Catches a peak that another row or an earlier measurement has left behind."""
    gc.collect()
    assert not tracemalloc.is_tracing()
    first = memory.peak("with_tinytorch", "mlp32")
    memory.peak("with_tinytorch", "lenet")
    assert abs(memory.peak("with_tinytorch", "mlp32") - first) < 0.02 * first
