"""The examples, in their short form, as a person would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(name: str, folder: Path, *words: str, seconds: float = 60, first: Path = ROOT) -> str:
    """What an example prints when it runs in a folder, where it may leave a picture; a warning is an error."""
    path = os.pathsep.join([str(first), str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py"), *words],
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        cwd=folder,
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
    tested = set(re.findall(r'"(\w+)"', Path(__file__).read_text(encoding="utf-8")))
    assert {"xor", "spiral", "digits_mlp", "digits_cnn"} <= names <= tested


def test_xor_is_learned(tmp_path: Path) -> None:
    """Catches an engine or optimizer that no longer lowers a loss."""
    printed = run("xor", tmp_path, "--short")
    assert printed.endswith("4 of 4 right\n")
    assert "loss, 100 epochs" in printed, "the curve is drawn with characters"


def test_the_spiral_is_learned(tmp_path: Path) -> None:
    """Catches clipping, decay or a schedule that stops learning: a straight line gets about half of the points."""
    assert share(run("spiral", tmp_path, "--short")) >= 97


@pytest.mark.parametrize("name", ["digits_mlp", "digits_cnn"])
def test_digits_are_read_after_a_few_epochs(tmp_path: Path, name: str) -> None:
    """Catches gradients that are a little wrong, on real scans that were not trained on.

    The CNN ends near 94% when the rows and columns of the kernels' gradient are exchanged, or when the gradient takes a
    batch's mean and variance for constants; and at 38% when the running statistics are not kept.
    """
    printed = run(name, tmp_path, "--short")
    assert share(printed) >= 97
    assert "\r" not in printed, "no progress bar off a terminal"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "wanted", "seconds"), [("digits_mlp", 97, 20), ("digits_cnn", 98.5, 120)])
def test_digits_reach_what_is_promised(tmp_path: Path, name: str, wanted: float, seconds: float) -> None:
    """Catches a slip in the accuracy that the lessons promise, or a run that takes far longer than it used to."""
    assert share(run(name, tmp_path, seconds=seconds)) >= wanted


@pytest.mark.parametrize("name", ["digits_mlp", pytest.param("digits_cnn", marks=pytest.mark.slow)])
def test_digits_go_on_after_an_interruption(tmp_path: Path, name: str) -> None:
    """Catches a checkpoint that loads and yet trains on otherwise: the result must be the same to the last digit.

    The CNN adds statistics of batches, and images that are moved at random in each epoch.
    """
    whole = run(name, tmp_path, "--short")
    (tmp_path / f"{name}.png").unlink()
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
sys.path.insert(0, {str(ROOT / "examples")!r})
sys.argv = ["{name}.py", "--short", "--checkpoint", {str(place)!r}]
try:
    runpy.run_path({str(ROOT / "examples" / f"{name}.py")!r}, run_name="__main__")
except KeyboardInterrupt:
    pass
"""
    subprocess.run([sys.executable, "-c", interrupted], check=True, cwd=ROOT, timeout=60)
    assert [each.name for each in tmp_path.iterdir()] == ["run.npz"]
    printed = run(name, tmp_path, "--short", "--checkpoint", str(place))
    assert printed.startswith("going on after epoch 4\n")
    assert printed.rpartition(", trained")[0].endswith(whole.rpartition(", trained")[0])


def test_curves_are_saved_where_matplotlib_is(tmp_path: Path) -> None:
    """Catches a plot that fails only where matplotlib is installed."""
    assert "curves in digits_mlp.png" in run("digits_mlp", tmp_path, "--short")
    printed = run("digits_mlp", tmp_path, "--short", "--plot", "curves.png")
    assert "curves in curves.png" in printed
    for name in ("curves.png", "digits_mlp.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_curves_are_drawn_with_characters_where_matplotlib_is_not(tmp_path: Path) -> None:
    """Catches an example that cannot end without matplotlib, or says nothing about the curves then."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        """
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name.startswith("matplotlib") else find(name, *more)
""",
        encoding="utf-8",
    )
    printed = run("digits_mlp", tmp_path, "--short", first=hidden)
    assert "loss, 10 epochs" in printed and "accuracy, 10 epochs" in printed and "curves in" not in printed
    assert not list(tmp_path.glob("*.png"))
