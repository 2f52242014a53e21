"""The benchmarks compare right answers: what they time is checked here, and so is their own check."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROWS = ["matmul512", "mlp32", "mlp256", "conv3", "conv32", "pool", "lenet", "add", "chain", "layernorm"]


@pytest.fixture
def ops(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The driver of the benchmarks."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("ops")
    sys.modules.pop("ops")


def results(backend: str, row: str, runs: int) -> list[np.ndarray]:
    cases = importlib.import_module("backends.cases")
    made = importlib.import_module(f"backends.{backend}")
    run = getattr(made, cases.CASES[row].kind)(cases.arrays(cases.CASES[row]))
    for _ in range(runs - 1):
        run()
    return [np.array(each) for each in run()]


@pytest.mark.parametrize("row", ROWS)
def test_numpy_by_hand_computes_what_the_package_computes(ops: ModuleType, row: str) -> None:
    """Catches a floor that leaves out a part of the work, or whose buffers are dirty in the second run."""
    ours, floor = results("with_tinytorch", row, 2), results("with_numpy", row, 2)
    assert len(ours) == len(floor)
    for a, b in zip(ours, floor, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


@pytest.mark.parametrize("kind", ["matmul", "mlp", "conv"])
def test_the_loops_are_a_part_of_their_row(ops: ModuleType, kind: str) -> None:
    """Catches loops that compute something else, and a wrong count of how often they fit into the row."""
    cases, loops = importlib.import_module("backends.cases"), importlib.import_module("backends.with_loops")
    row = {"matmul": "matmul512", "mlp": "mlp32", "conv": "conv3"}[kind]
    run, wanted, times = loops.KINDS[kind](cases.arrays(cases.CASES[row]))
    np.testing.assert_allclose(run()[0], wanted[0], rtol=1e-4, atol=1e-4)
    multiplications = {"matmul": 512**3, "mlp": 32 * (784 * 256 + 256 * 128 + 128 * 10), "conv": 32 * 32 * 3 * 9 * 1024}
    done = {"matmul": 24**3, "mlp": 24**3, "conv": 30 * 30 * 9}
    assert times == pytest.approx(multiplications[kind] / done[kind])


class _Stand:
    """A backend's process that gives what it is told to."""

    def __init__(self, name: str, found: list[np.ndarray]) -> None:
        self.name, self.found = name, found
        self.times: dict[str, float] = {}

    def ask(self, do: str, row: str, path: str) -> dict[str, Any]:
        np.savez(path, *self.found)
        np.savez(f"{path}.wanted.npz")
        return {"able": True, "times": 1.0}


@pytest.mark.parametrize(
    "wrong",
    [[np.ones(3, np.float32) * 1.01], [np.ones(4, np.float32)], [np.ones(3)], [], [np.full(3, np.nan, np.float32)]],
)
def test_a_backend_that_is_wrong_is_not_timed(ops: ModuleType, tmp_path: Path, wrong: list[np.ndarray]) -> None:
    """Catches a check that lets another value, shape, dtype, count or NaN through."""
    right = [np.ones(3, np.float32)]
    ops.check([_Stand("one", right), _Stand("two", right)], "add", tmp_path)
    with pytest.raises(ValueError, match=r"add: .*\btwo\b"):
        ops.check([_Stand("one", right), _Stand("two", wrong)], "add", tmp_path)


def test_the_script_prints_a_table_without_the_packages_that_are_missing(tmp_path: Path) -> None:
    """Catches a script that needs PyTorch or HIPS autograd, and one whose child processes cannot be started."""
    for name in ("torch", "autograd"):
        missing = f"raise ModuleNotFoundError('there is none', name={name!r})\n"
        (tmp_path / f"{name}.py").write_text(missing, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "ops.py", "--rounds", "1", "--rows", "add"],
        cwd=BENCHMARKS,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert "PyTorch is left out: there is no package torch" in done.stdout
    assert "HIPS autograd is left out: there is no package autograd" in done.stdout
    assert "| add of ten numbers, with gradient |" in done.stdout
