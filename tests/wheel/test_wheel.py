"""The wheel in an empty environment, away from the checkout: a learner takes every module from stub to package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of a new environment into which the wheel, and nothing of the checkout, was installed."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(ROOT)]
    subprocess.run(build, check=True)
    venv.create(place / "env", with_pip=True)
    bin_dir = place / "env" / ("Scripts" if os.name == "nt" else "bin")
    wheel = next(place.glob("tito-*.whl"))
    subprocess.run([bin_dir / "python", "-m", "pip", "install", "--quiet", str(wheel)], check=True, cwd=place)
    return bin_dir


def test_the_wheel_has_lessons_and_hints_but_no_probes(installed: Path) -> None:
    """Catches probes that reach learners, who could then write down what graders ask for."""
    with zipfile.ZipFile(next(installed.parents[1].glob("tito-*.whl"))) as wheel:
        names = wheel.namelist()
    assert "tito/_course/modules/03_layers/hints.toml" in names
    assert [name for name in names if name.endswith("probes.py")] == []


def run(bin_dir: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "TITO", "VIRTUAL", "PYTEST"))}
    environment["PATH"] = f"{bin_dir}{os.pathsep}{environment['PATH']}"
    program = str(bin_dir / words[0])
    return subprocess.run(
        [program, *words[1:]], cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=300
    )


def test_a_learner_goes_from_stub_to_package_with_the_wheel_alone(installed: Path, tmp_path: Path) -> None:
    """Catches a wheel without the lessons, doors or templates, and a workspace that imports the installed package."""
    made = run(installed, tmp_path, "tito", "init", "mytorch")
    assert made.returncode == 0, made.stderr
    root = tmp_path / "mytorch"
    early = run(installed, root, "tito", "module", "test", "03_layers")
    assert early.returncode == 1
    assert "01_tensor" in early.stderr and "02_activations" in early.stderr
    released = [
        m
        for m in json.loads(run(installed, root, "tito", "status", "--json").stdout)["modules"]
        if m["state"] != "not in this release"
    ]
    assert len(released) >= 3
    for row in released:
        folder, name = row["module"], row["module"].partition("_")[2]
        lesson = root / "modules" / folder / f"{name}_dev.py"
        stubbed = run(installed, root, "tito", "module", "test", folder, "--json")
        assert stubbed.returncode == 1, (folder, stubbed.stdout, stubbed.stderr)
        assert json.loads(stubbed.stdout)["passed"] == 0
        shutil.copyfile(ROOT / "modules" / folder / f"{name}_dev.py", lesson)
        done = run(installed, root, "tito", "module", "complete", folder)
        assert done.returncode == 0, (folder, done.stdout, done.stderr)
    seen = run(installed, root, "python", "-c", "import tinytorch; print(tinytorch.__file__)")
    assert Path(seen.stdout.strip()).is_relative_to(root), (seen.stdout, seen.stderr)
    assert run(installed, root, "tito", "test", "--all").returncode == 0
    assert run(installed, root, "tito", "export", "--check").returncode == 0
    assert run(installed, root, "tito", "doctor").returncode == 0


def test_every_interpreter_start_below_the_workspace_gets_the_learners_package(installed: Path, tmp_path: Path) -> None:
    """Catches a lesson run as a script, or a notebook kernel in its folder, that imports the installed reference."""
    assert run(installed, tmp_path, "tito", "init", "w").returncode == 0
    root = tmp_path / "w"
    folder = root / "modules" / "01_tensor"
    inside = run(installed, folder, "python", "-c", "import tinytorch; print(tinytorch.__file__)")
    script = folder / "which.py"
    script.write_text("import tinytorch\nprint(tinytorch.__file__)\n", encoding="utf-8")
    by_path = run(installed, tmp_path, "python", str(script))
    for answer in (inside, by_path):
        assert Path(answer.stdout.strip()).is_relative_to(root), (answer.stdout, answer.stderr)


def test_analyze_works_anywhere(installed: Path, tmp_path: Path) -> None:
    """Catches an analysis that needs a workspace or the checkout."""
    answer = run(installed, tmp_path, "tito", "analyze", "params", "784", "256", "10", "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["totals"]["params"] == 203_530
