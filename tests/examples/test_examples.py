"""The examples, in their short form, as a person would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(name: str, *words: str, seconds: float = 60) -> str:
    """What an example prints; a warning is an error."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py"), *words],
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def share(printed: str) -> float:
    """The percentage in the last line."""
    (found,) = re.findall(r"([\d.]+)% of", printed.splitlines()[-1])
    return float(found)


def test_every_example_is_run_here() -> None:
    """Catches an example that is added and never run."""
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    tested = set(re.findall(r'run\("(\w+)"', Path(__file__).read_text(encoding="utf-8")))
    assert {"xor", "spiral", "digits_mlp"} <= names & tested


def test_xor_is_learned() -> None:
    """Catches an engine or optimizer that no longer lowers a loss."""
    printed = run("xor", "--short")
    assert printed.endswith("4 of 4 right\n")
    assert "loss, 100 epochs" in printed, "the curve is drawn with characters"


def test_the_spiral_is_learned() -> None:
    """Catches clipping, decay or a schedule that stops learning: a straight line gets about half of the points."""
    assert share(run("spiral", "--short")) >= 97


def test_digits_reach_97_percent() -> None:
    """Catches a slip in the accuracy that the README promises, on real scans that were not trained on."""
    printed = run("digits_mlp", "--short", seconds=20)
    assert share(printed) >= 97
    assert "\r" not in printed, "no progress bar off a terminal"


def test_digits_go_on_after_an_interruption(tmp_path: Path) -> None:
    """Catches a checkpoint that loads and yet trains on otherwise: the result must be the same to the last digit."""
    whole = run("digits_mlp", "--short")
    place = tmp_path / "run.npz"
    interrupted = f"""
import runpy, sys
from tinytorch.core.training import Trainer
save = Trainer.save
def save_and_stop(self, path):
    save(self, path)
    if self.epoch == 4:
        raise KeyboardInterrupt
Trainer.save = save_and_stop
sys.argv = ["digits_mlp.py", "--short", "--checkpoint", {str(place)!r}]
try:
    runpy.run_path({str(ROOT / "examples" / "digits_mlp.py")!r}, run_name="__main__")
except KeyboardInterrupt:
    pass
"""
    subprocess.run([sys.executable, "-c", interrupted], check=True, cwd=ROOT, timeout=60)
    assert [each.name for each in tmp_path.iterdir()] == ["run.npz"]
    printed = run("digits_mlp", "--short", "--checkpoint", str(place))
    assert printed.startswith("going on after epoch 4\n")
    assert printed.rpartition(", trained")[0].endswith(whole.rpartition(", trained")[0])


def test_curves_are_saved_where_matplotlib_is(tmp_path: Path) -> None:
    """Catches a plot that fails only where matplotlib is installed."""
    printed = run("digits_mlp", "--short", "--plot", str(tmp_path / "curves.png"))
    assert f"curves in {tmp_path / 'curves.png'}" in printed
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
