"""What tinytorch costs beside NumPy by hand, PyTorch, HIPS autograd and loops: CPU-time ratios to PyTorch.

`python benchmarks/ops.py [--threads N] [--rounds N] [--rows NAME ...]` prints a table in Markdown. Each backend is a
process that lives as long as the run; every round asks each of them for a few runs of every row, and the table has
ratios of the medians. Before that, what they compute is compared. Run it on an idle machine. What tinytorch is compared
with comes with `pip install -e '.[bench]'`, and is left out where it is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from backends.cases import CASES

HERE = Path(__file__).parent
BACKENDS = {
    "with_torch": "PyTorch",
    "with_tinytorch": "tinytorch",
    "with_numpy": "NumPy by hand",
    "with_autograd": "HIPS autograd",
    "with_loops": "the lessons' loops",
}
SLICE = 0.03  # CPU seconds that a backend gets for one row in one round, at least


class Child:
    """A backend's process."""

    def __init__(self, name: str, threads: int) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[variable] = str(threads)
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self.greeting = self._answer()
        self.repeats: dict[str, int] = {}
        self.times: dict[str, float] = {}
        self.seen: dict[str, list[float]] = {}

    def _answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended: its error stands above")
        return json.loads(line)

    def ask(self, **request: Any) -> dict[str, Any]:
        """What the process answers."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()

    def calibrate(self, row: str) -> None:
        """Choose how often the row is run in a round."""
        seconds = self.ask(do="time", row=row, repeats=3)["seconds"]
        self.repeats[row] = max(1, round(SLICE / max(seconds, 1e-7)))
        self.seen[row] = []

    def measure(self, row: str) -> None:
        """Note the CPU time of one run."""
        self.seen[row].append(self.ask(do="time", row=row, repeats=self.repeats[row])["seconds"] * self.times[row])


def _load(path: Path) -> list[np.ndarray]:
    with np.load(path) as saved:
        return [saved[name] for name in saved.files]


def check(children: list[Child], row: str, folder: Path) -> None:
    """Let every backend compute the row once; ValueError when two of them disagree."""
    reference: list[np.ndarray] | None = None
    for child in children:
        path = folder / f"{row}-{child.name}.npz"
        answer = child.ask(do="check", row=row, path=str(path))
        if not answer["able"]:
            continue
        child.times[row] = answer["times"]
        found, wanted = _load(path), _load(Path(f"{path}.wanted.npz")) or reference
        if reference is None:
            reference = wanted = found
        if len(found) != len(wanted):
            raise ValueError(f"{row}: {child.name} gives {len(found)} arrays, {len(wanted)} are wanted")
        for place, (a, b) in enumerate(zip(found, wanted, strict=True)):
            scale = float(np.abs(b).max()) or 1.0
            if a.shape != b.shape or a.dtype != b.dtype or not np.allclose(a, b, rtol=1e-3, atol=1e-4 * scale):
                raise ValueError(
                    f"{row}: array {place} of {child.name} is wrong: {a.dtype} {a.shape} beside {b.dtype} {b.shape}, "
                    f"apart by {np.abs(a - b).max() if a.shape == b.shape else 'a shape'}"
                )


def measured(children: list[Child], rows: list[str], rounds: int) -> None:
    """Fill `seen` of each child: every child runs every row in every round, and a different one begins each time."""
    for child in children:
        for row in child.times:
            child.calibrate(row)
    for number in range(rounds):
        for row in rows:
            able = [child for child in children if row in child.times]
            turn = number % len(able)
            for child in able[turn:] + able[:turn]:
                child.measure(row)


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def table(children: list[Child], rows: list[str], threads: int) -> str:
    """The ratios in Markdown: of every backend to the first one, and of tinytorch to NumPy by hand.

    The targets are for one thread and PyTorch.
    """
    base, *others = children
    heads = [f"{BACKENDS[child.name]} / {BACKENDS[base.name]}" for child in others]
    lines = [
        "| | " + f"{BACKENDS[base.name]}, ms | " + " | ".join(heads) + " | target | tinytorch / NumPy by hand |",
        "|---|" + "---:|" * (len(others) + 3),
    ]
    for row in rows:
        medians = {child.name: statistics.median(child.seen[row]) for child in children if row in child.seen}
        cells = [f"{medians[base.name] * 1000:.3g}"]
        cells += [_ratio(medians[c.name] / medians[base.name]) if c.name in medians else "-" for c in others]
        target = CASES[row].target if base.name == "with_torch" and threads == 1 else None
        cells += ["-" if target is None else f"{target:g}"]
        cells += [_ratio(medians["with_tinytorch"] / medians["with_numpy"])]
        lines.append(f"| {CASES[row].title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Check, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="of the matrix products and of PyTorch")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rows", nargs="*", choices=[*CASES], default=[*CASES], metavar="ROW", help=", ".join(CASES))
    parser.add_argument("--without", nargs="*", choices=[*BACKENDS], default=[], metavar="BACKEND")
    given = parser.parse_args()
    children: list[Child] = []
    try:
        for name in BACKENDS:
            if name in given.without:
                continue
            child = Child(name, given.threads)
            if "missing" in child.greeting:
                print(f"{BACKENDS[name]} is left out: there is no package {child.greeting['missing']}\n")
                child.close()
            else:
                children.append(child)
        with tempfile.TemporaryDirectory() as folder:
            for row in given.rows:
                check(children, row, Path(folder))
        measured(children, given.rows, given.rounds)
        named = {"with_torch": "PyTorch", "with_numpy": "NumPy", "with_autograd": "HIPS autograd"}
        versions = [f"{named[c.name]} {c.greeting['version']}" for c in children if c.name in named]
        print(f"Threads: {given.threads}. Rounds: {given.rounds}. {', '.join(versions)}.\n")
        print(table(children, given.rows, given.threads))
    finally:
        for child in children:
            child.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
