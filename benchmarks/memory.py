"""The most bytes that tinytorch and NumPy by hand hold during a step, as tracemalloc counts them: exact, no clock.

`python benchmarks/memory.py` prints a table in Markdown. Parameters, gradients, activations and buffers count, and
the batch itself does not.
"""

from __future__ import annotations

import gc
import importlib
import sys
import tracemalloc

from backends.cases import CASES, arrays

ROWS = ("mlp32", "mlp256", "conv3", "conv32", "lenet", "layernorm")


def peak(backend: str, row: str) -> int:
    """Bytes at the highest point of a step, the second: the first makes what is kept for all others."""
    make, given = getattr(importlib.import_module(f"backends.{backend}"), CASES[row].kind), arrays(CASES[row])
    batch = [given[name] for name in "xt" if name in given]
    make(given)()  # whatever is made once in a process
    gc.collect()
    tracemalloc.start()
    try:
        run = make(given)
        run()
        tracemalloc.reset_peak()
        run()
        copied = sum(array.nbytes for array in batch) if backend == "with_tinytorch" else 0  # a Tensor owns its numbers
        return tracemalloc.get_traced_memory()[1] - copied
    finally:
        tracemalloc.stop()


def main() -> int:
    """Measure and print."""
    print("| | NumPy by hand, MB | tinytorch, MB | ratio |\n|---|---:|---:|---:|")
    for row in ROWS:
        floor, ours = peak("with_numpy", row), peak("with_tinytorch", row)
        print(f"| {CASES[row].title} | {floor / 1e6:.2f} | {ours / 1e6:.2f} | {ours / floor:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
