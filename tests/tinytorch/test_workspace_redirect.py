"""An installed tinytorch gives way to the one of the workspace that a program runs in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "tinytorch"
SHOW = "import tinytorch, tinytorch.nn; print(tinytorch.__file__); print(tinytorch.nn.__file__)\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory on the path with tinytorch installed in it."""
    _install(tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with a package of its own and a lesson that shows what it imports."""
    return _workspace(tmp_path / "work")


def _install(root: Path) -> None:
    shutil.copytree(PACKAGE, root / "tinytorch", ignore=shutil.ignore_patterns("__pycache__"))


def _workspace(root: Path) -> Path:
    _install(root)
    (root / ".tito").mkdir()
    (root / ".tito" / "workspace.json").write_text('{"schema": "tito.workspace/1"}', encoding="utf-8")
    (root / "modules" / "03_layers").mkdir(parents=True)
    (root / "modules" / "03_layers" / "layers_dev.py").write_text(SHOW, encoding="utf-8")
    return root


def _run(arguments: Sequence[str | Path], path: Path, cwd: Path, python: str = sys.executable) -> list[str]:
    """Run an interpreter with a directory on its path; the lines it prints."""
    command = [python, "-W", "error", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _files(root: Path) -> list[str]:
    return [str(root / "tinytorch" / "__init__.py"), str(root / "tinytorch" / "nn.py")]


def test_a_lesson_run_by_path_imports_the_learners_own(site: Path, workspace: Path):
    """`python modules/03_layers/layers_dev.py` has modules/03_layers on its path, not the workspace."""
    lesson = workspace / "modules" / "03_layers" / "layers_dev.py"
    assert _run([lesson], site, cwd=site) == _files(workspace)
    assert _run([lesson.relative_to(workspace)], site, cwd=workspace) == _files(workspace)


def test_an_interpreter_without_a_script_goes_by_its_directory(site: Path, workspace: Path):
    """A notebook's kernel starts in the lesson's folder."""
    assert _run(["-c", SHOW], site, cwd=workspace / "modules" / "03_layers") == _files(workspace)


def test_a_kernel_imports_the_learners_own(site: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch):
    """IPython replaces __main__; a __file__ left in it would point into site-packages."""
    monkeypatch.setenv("IPYTHONDIR", str(site / "ipython"))
    arguments = ["-W", "ignore", "-m", "IPython", "--no-banner", "--colors=NoColor", "--simple-prompt", "-c", SHOW]
    assert _run(arguments, site, cwd=workspace / "modules" / "03_layers")[-2:] == _files(workspace)


def test_outside_a_workspace_nothing_is_redirected(site: Path, workspace: Path, tmp_path: Path):
    """A directory that merely contains a tinytorch, or the marker, is no workspace."""
    half = tmp_path / "half"
    _install(half)
    marker = tmp_path / "marker" / ".tito"
    marker.mkdir(parents=True)
    (marker / "workspace.json").write_text("{}", encoding="utf-8")
    (half / "modules").mkdir()
    for place in (half / "modules", marker.parent, tmp_path):
        assert _run(["-P", "-c", SHOW], site, cwd=place) == _files(site)


def test_a_script_elsewhere_keeps_the_installed_package(site: Path, workspace: Path):
    """Working in a workspace must not change what an unrelated program imports."""
    script = site / "script.py"
    script.write_text(SHOW, encoding="utf-8")
    assert _run([script], site, cwd=workspace) == _files(site)


def test_the_workspaces_own_package_is_left_alone(workspace: Path):
    """Redirecting a package to itself would not end."""
    assert _run([workspace / "modules" / "03_layers" / "layers_dev.py"], workspace, cwd=workspace) == _files(workspace)


def test_the_nearest_workspace_wins(site: Path, workspace: Path):
    """A workspace inside another, and one on the path beside the one that is worked in."""
    inner = _workspace(workspace / "inner")
    lesson = inner / "modules" / "03_layers" / "layers_dev.py"
    assert _run([lesson], site, cwd=site) == _files(inner)
    assert _run([lesson], workspace, cwd=workspace) == _files(inner)


def test_the_learners_init_runs_in_its_place(site: Path, workspace: Path):
    """Moving only __path__ would leave the installed __init__ and its names in front of the learner's files."""
    text = "from tinytorch import _workspace\nWHERE = [__name__, __file__, __path__[0], _workspace.__file__]\n"
    (workspace / "tinytorch" / "__init__.py").write_text(text, encoding="utf-8")
    program = "import tinytorch; print(*tinytorch.WHERE, tinytorch.__spec__.origin, sep='\\n')"
    own = workspace / "tinytorch"
    assert _run(["-c", program], site, cwd=workspace / "modules") == [
        "tinytorch",
        str(own / "__init__.py"),
        str(own),
        str(own / "_workspace.py"),
        str(own / "__init__.py"),
    ]


def test_an_error_in_the_learners_init_surfaces(site: Path, workspace: Path):
    """Falling back to the installed package would hide it, and test the wrong code."""
    (workspace / "tinytorch" / "__init__.py").write_text("1 / 0\n", encoding="utf-8")
    program = "try:\n    import tinytorch\nexcept ZeroDivisionError as error:\n    print(type(error).__name__)"
    assert _run(["-c", program], site, cwd=workspace / "modules") == ["ZeroDivisionError"]


def test_a_tool_in_the_workspaces_environment_goes_by_the_directory(site: Path, workspace: Path, tmp_path: Path):
    """With .venv in the workspace, pytest's own file lies in it: a copy under test elsewhere is not redirected."""
    python = _environment(workspace / ".venv")
    tool = workspace / ".venv" / "bin" / "tool"
    tool.write_text(SHOW, encoding="utf-8")
    assert _run([tool], site, cwd=tmp_path, python=python) == _files(site)
    assert _run([tool], site, cwd=workspace / "modules", python=python) == _files(workspace)


def test_a_workspace_inside_an_environment_is_still_one(site: Path, tmp_path: Path):
    """People keep their work in the directory that `python -m venv` made."""
    python = _environment(tmp_path / "env")
    inner = _workspace(tmp_path / "env" / "work")
    assert _run([inner / "modules" / "03_layers" / "layers_dev.py"], site, cwd=site, python=python) == _files(inner)


def _environment(folder: Path) -> str:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    if not (folder / "bin" / "python").exists():
        pytest.skip("the environment has another layout here")
    return str(folder / "bin" / "python")


def test_a_spawned_process_imports_what_its_parent_did(site: Path, workspace: Path):
    """multiprocessing runs the main script again under another name."""
    lesson = workspace / "modules" / "03_layers" / "layers_dev.py"
    lesson.write_text(
        "import multiprocessing\nimport tinytorch\n\n"
        "def where():\n    print(tinytorch.__file__, flush=True)\n\n"
        "if __name__ == '__main__':\n"
        "    child = multiprocessing.get_context('spawn').Process(target=where)\n"
        "    child.start()\n    child.join()\n",
        encoding="utf-8",
    )
    assert _run([lesson], site, cwd=site) == _files(workspace)[:1]


def test_a_directory_that_is_gone_is_no_workspace(site: Path, tmp_path: Path):
    """Path.cwd() raises there, and importing must not."""
    program = f"import os; os.mkdir({str(tmp_path / 'gone')!r}); os.chdir({str(tmp_path / 'gone')!r}); "
    program += f"os.rmdir({str(tmp_path / 'gone')!r}); " + SHOW
    if os.name == "nt":
        pytest.skip("a current directory cannot be removed here")
    assert _run(["-c", program], site, cwd=tmp_path) == _files(site)
