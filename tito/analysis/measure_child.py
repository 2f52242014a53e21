"""What runs in the child process of `--hw this`: one matrix product and one copy, the best of several rounds.

Started by path with a result file and a number of BLAS threads; imports nothing of tito.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

SIZE = 1024  # of the square matrices: 2·1024³ = 2.1 GFLOP
COPIED = 1 << 25  # bytes, larger than most caches


def main(result: str, threads: str) -> int:
    """Measure and write {"flops": per second, "bandwidth": bytes per second}."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = threads
    import numpy as np

    rng = np.random.default_rng(0)
    a = rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    b = rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    out = np.empty_like(a)
    source = np.ones(COPIED // 4, dtype=np.float32)
    target = np.empty_like(source)
    product: list[float] = []
    copy: list[float] = []
    stop = time.perf_counter() + 0.6
    while len(product) < 3 or time.perf_counter() < stop:
        started = time.perf_counter()
        np.matmul(a, b, out=out)
        product.append(time.perf_counter() - started)
        started = time.perf_counter()
        np.copyto(target, source)
        copy.append(time.perf_counter() - started)
    found = {"flops": 2 * SIZE**3 / min(product), "bandwidth": 2 * COPIED / min(copy), "numpy": np.__version__}
    Path(result).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
