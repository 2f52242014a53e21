"""This machine's own roof, measured in a child process: numpy's best matrix product and best copy."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from tito.analysis.hardware import Hardware
from tito.errors import EnvironmentFault

CHILD = Path(__file__).with_name("measure_child.py")
LIMIT = 60.0


def this_machine() -> Hardware:
    """Peak and bandwidth measured now, with one BLAS thread unless OPENBLAS_NUM_THREADS says otherwise.

    Raises EnvironmentFault when the child cannot measure.
    """
    import subprocess
    import sys

    from tito.runner import child_process

    threads = os.environ.get("OPENBLAS_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="tito-", ignore_cleanup_errors=True) as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-P", str(CHILD), str(result), threads]
        with child_process(command, Path(folder), 2) as process:
            try:
                process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                raise EnvironmentFault(f"measuring this machine took more than {LIMIT:.0f} s") from None
        try:
            found = json.loads(result.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            raise EnvironmentFault("this machine could not be measured", "name hardware instead: --hw laptop") from None
    how = "thread" if threads == "1" else "threads"
    return Hardware(
        "this",
        f"this machine (numpy, {threads} BLAS {how})",
        {"fp32": found["flops"]},
        found["bandwidth"],
        0,
        f"measured now: product of 1024x1024 matrices, copy of 32 MiB, numpy {found['numpy']}",
    )
