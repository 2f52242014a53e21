"""The doors: PyTorch's names, as far as they are built, and a sentence for those that are not."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tinytorch"
DOORS = ("tinytorch", "tinytorch.nn", "tinytorch.functional", "tinytorch.optim", "tinytorch.data")
TENSOR = "class Tensor:\n    pass\n\nclass Parameter(Tensor):\n    pass\n"
Run = Callable[..., str]


@pytest.fixture
def learner(tmp_path: Path) -> Path:
    """A package as `tito init` makes it: the hand-written files, and nothing built."""
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE)
        if name.as_posix().removesuffix(".py").replace("/", ".") not in _builders():
            (tmp_path / "tinytorch" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, tmp_path / "tinytorch" / name)
    return tmp_path


@pytest.fixture
def run(learner: Path) -> Run:
    """Run a program against the learner's package; what it prints, or the last line of its error."""

    def run(*lines: str, fails: bool = False) -> str:
        command = [sys.executable, "-W", "error", "-c", "\n".join(lines)]
        done = subprocess.run(command, cwd=learner, capture_output=True, text=True, encoding="utf-8", check=False)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr.strip().splitlines()[-1] if fails else done.stdout.strip()

    return run


def _builders() -> dict[str, str]:
    return importlib.import_module("tinytorch._doors").BUILDERS


def _places() -> list[tuple[str, str, str, str, str]]:
    """Every name of every door: (door, name, package file, builder, name in the file)."""
    return [
        (door, name, *place)
        for door in (*DOORS, "tinytorch.core", "tinytorch.perf")
        for name, place in importlib.import_module(door)._TABLE.items()
    ]


def test_builders_are_those_of_the_manifest():
    """A renamed module would send learners to one that does not exist."""
    course = tomllib.loads((ROOT / "course.toml").read_text(encoding="utf-8"))
    assert {f"tinytorch.{file}": builder for file, builder in _builders().items()} == {
        module["exports"]: module["folder"] for module in course["module"]
    }


@pytest.mark.parametrize(("door", "name", "file", "builder", "target"), _places())
def test_every_name_is_there_or_says_who_builds_it(door: str, name: str, file: str, builder: str, target: str):
    """A misspelt row of a table would be found only by the learner who needs it."""
    module = importlib.import_module(door)
    if importlib.util.find_spec(f"tinytorch.{file}") is None:
        with pytest.raises(ImportError, match=f"{door}.{name} is built in {builder}, which is not built yet"):
            getattr(module, name)
    else:
        built = importlib.import_module(f"tinytorch.{file}")
        assert getattr(module, name) is (getattr(built, target) if target else built)


def test_an_unbuilt_name_says_which_module_builds_it(run: Run):
    """`from ... import` turns an AttributeError into "cannot import name", which says nothing of modules."""
    assert run("from tinytorch.nn import Conv2d", fails=True) == (
        "ImportError: tinytorch.nn.Conv2d is built in 10_spatial, which is not built yet. "
        "next: tito module test 10_spatial"
    )
    assert run("from tinytorch import Tensor", fails=True) == (
        "ImportError: tinytorch.Tensor is built in 01_tensor, which is not built yet. next: tito module test 01_tensor"
    )


def test_an_unknown_name_is_an_attribute_error_with_a_suggestion(run: Run):
    """An ImportError here would break hasattr(tinytorch, "anything")."""
    line = "AttributeError: tinytorch.nn has no {}."
    assert run("import tinytorch; tinytorch.nn.Lineer", fails=True) == line.format("Lineer") + " did you mean Linear?"
    assert run("import tinytorch; tinytorch.nn.lstm_cell", fails=True) == line.format("lstm_cell")
    assert run("import tinytorch; print(hasattr(tinytorch, '__wrapped__'), hasattr(tinytorch, 'xyzzy'))") == (
        "False False"
    )


def test_an_empty_package_imports_without_numpy(run: Run):
    """A door that imported what it lists would fail on the learner's first day."""
    doors = ", ".join((*DOORS, "tinytorch.core", "tinytorch.perf", "tinytorch.nn.functional as F"))
    assert run(f"import sys, {doors}", "print('numpy' in sys.modules, 'tito' in sys.modules)") == "False False"


def test_dir_lists_what_is_built_and_grows(run: Run, learner: Path):
    """A completion that offers Conv2d on day one, or misses Tensor after 01, misleads."""
    show = "import json, tinytorch; print(json.dumps([dir(tinytorch), dir(tinytorch.nn), dir(tinytorch.core)]))"
    parts = ["core", "data", "functional", "nn", "optim", "perf"]
    assert json.loads(run(show)) == [parts, ["functional"], []]
    (learner / "tinytorch" / "core" / "tensor.py").write_text(TENSOR, encoding="utf-8")
    top, nn, core = json.loads(run(show))
    assert {*parts, "Tensor", "randn"} < set(top) and "no_grad" not in top
    assert (nn, core) == (["Parameter", "functional"], ["tensor"])


def test_star_import_takes_what_is_built(run: Run, learner: Path):
    """Without __all__ a star import takes the machinery and none of the names."""
    (learner / "tinytorch" / "core" / "tensor.py").write_text(TENSOR, encoding="utf-8")
    assert run("from tinytorch.nn import *", "print(sorted(n for n in globals() if n[0] != '_'))") == (
        "['Parameter', 'functional']"
    )


def test_a_name_that_is_built_while_the_program_runs_is_found(run: Run):
    """A notebook stays open while the learner completes the next module."""
    program = ["import pathlib, tinytorch", "try:", "    tinytorch.Tensor", "except ImportError:", "    pass"]
    write = f"pathlib.Path('tinytorch/core/tensor.py').write_text({TENSOR!r}, encoding='utf-8')"
    assert run(*program, write, "print(tinytorch.Tensor.__module__)") == "tinytorch.core.tensor"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("raise ImportError('a real one')\n", "ImportError: a real one"),
        ("import no_such_package\n", "ModuleNotFoundError: No module named 'no_such_package'"),
        (
            "import math\nmath.no_such_name\n",
            "ImportError: tinytorch.core.tensor cannot be imported: "
            "AttributeError: module 'math' has no attribute 'no_such_name'",
        ),
        ("class Tensor(:\n", "SyntaxError: invalid syntax"),
        ("from tinytorch.core.layers import Linear\n", "ModuleNotFoundError: No module named 'tinytorch.core.layers'"),
    ],
)
def test_a_real_error_in_a_built_file_surfaces_as_itself(run: Run, learner: Path, text: str, error: str):
    """Told "not built yet", a learner would look for a fault in the wrong place."""
    (learner / "tinytorch" / "core" / "tensor.py").write_text(text, encoding="utf-8")
    assert run("from tinytorch import Tensor", fails=True) == error


def test_a_built_file_without_the_name_says_so(run: Run, learner: Path):
    """An export from an older course is neither "not built" nor "cannot import name"."""
    file = learner / "tinytorch" / "core" / "tensor.py"
    file.write_text(TENSOR, encoding="utf-8")
    assert run("import tinytorch; tinytorch.randn", fails=True) == (
        f"ImportError: tinytorch.randn is built in 01_tensor, but {file} does not define randn. "
        "next: tito module complete 01_tensor"
    )


def test_names_of_pytorch_reach_the_course_s_own(run: Run, learner: Path):
    """PyTorch spells MultiheadAttention and BCELoss; the lessons do not."""
    (learner / "tinytorch" / "core" / "losses.py").write_text("class BinaryCrossEntropyLoss: ...\n", encoding="utf-8")
    assert run("from tinytorch import nn", "print(nn.BCELoss is nn.BinaryCrossEntropyLoss)") == "True"


def test_functional_is_reached_by_both_of_its_pytorch_names(run: Run):
    """`import torch.nn.functional as F` is how everybody writes it."""
    lines = ["import tinytorch.nn.functional as F", "import tinytorch.functional as G"]
    assert run(*lines, "from tinytorch.nn import functional as H", "print(F is G is H)") == "True"
