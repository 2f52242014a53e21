"""What tito costs beside bare Python and beside pytest: CPU-time ratios of medians from interleaved rounds.

`python benchmarks/startup.py [--rounds N]` prints a table in Markdown. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def cpu_seconds(command: list[str], where: Path, extra: dict[str, str]) -> float:
    """User and system time of a command and its children, in seconds."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TITO", "_TITO", "PYTEST"))} | extra
    before = os.times()
    subprocess.run(
        command, cwd=where, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def interleaved(commands: dict[str, tuple[list[str], Path, dict[str, str]]], rounds: int) -> dict[str, float]:
    """The median CPU time of each command, all of them run once in every round."""
    seen: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, (command, where, extra) in commands.items():
            seconds = cpu_seconds(command, where, extra)
            if number:  # the first round warms the file cache
                seen[name].append(seconds)
    return {name: statistics.median(values) for name, values in seen.items()}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    tito = [str(Path(sys.executable).with_name("tito"))]
    complete = {"_TITO_COMPLETE": "complete_bash", "COMP_WORDS": "tito module te", "COMP_CWORD": "2"}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lesson = ROOT / "modules/03_layers/layers_dev.py"
        pytest = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-o",
            "addopts=",
            "-o",
            "python_files=*_dev.py",
            "-p",
            "no:cacheprovider",
            str(lesson),
        ]
        subprocess.run([*tito, "init", "w"], cwd=place, check=True, stdout=subprocess.DEVNULL)
        commands: dict[str, tuple[list[str], Path, dict[str, str]]] = {
            "python -c pass": ([sys.executable, "-c", "pass"], place, {}),
            "tito --version": ([*tito, "--version"], place, {}),
            "completion": (tito, place, complete),
            "tito --help": ([*tito, "--help"], place, {}),
            "tito status": ([*tito, "status"], place / "w", {}),
            "tito analyze params 784 256 10": ([*tito, "analyze", "params", "784", "256", "10"], place, {}),
            "pytest layers_dev.py": (pytest, ROOT, {}),
            "pytest layers_dev.py, no plugins": (pytest, ROOT, {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
            "tito module test 03_layers": ([*tito, "module", "test", "03_layers"], ROOT, {}),
        }
        found = interleaved(commands, rounds)
    print("| command | CPU ms | beside | ratio |\n|---|---:|---|---:|")
    for name, seconds in found.items():
        base = "pytest layers_dev.py, no plugins" if name.startswith("tito module test") else "python -c pass"
        print(f"| `{name}` | {seconds * 1000:.0f} | `{base}` | {seconds / found[base]:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
