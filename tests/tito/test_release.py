"""Lessons made into learners' files: the same as nbgrader makes them, and nothing for a malformed one."""

from __future__ import annotations

import functools
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from support import MINI, ROOT

from tito.course import load_course
from tito.errors import Exit
from tito.notebook import Notebook, Role, parse, to_ipynb
from tito.release import ReleaseRefused, marker_problems, release

LESSONS = [
    course.source(module)
    for course in (load_course(MINI), load_course(ROOT))
    for module in course.released
    if course.source(module).exists()
]
HEADER = (MINI / "modules/01_alpha/alpha_dev.py").read_text(encoding="utf-8").partition("# %%")[0]


def meta(**changes: Any) -> str:
    import json

    facts = {"grade": False, "grade_id": "a", "locked": False, "schema_version": 3, "solution": True, "task": False}
    return "nbgrader=" + json.dumps(facts | changes)


SOLUTION = meta()
TEST = meta(grade=True, locked=True, points=1, solution=False)
MANUAL = meta(grade=True, points=2)
ODD = {
    "two regions": f"# %% {SOLUTION}\ndef f():\n    ### BEGIN SOLUTION\n    x = 1\n    ### END SOLUTION\n"
    "    def g():\n"
    "        ### BEGIN SOLUTION\n        return 2\n        ### END SOLUTION\n    return g\n",
    "no region": f"# %% {SOLUTION}\n#| export\nx = 1\n",
    "other comment signs": f"# %% {SOLUTION}\ndef f():\n    # BEGIN SOLUTION\n    return 1\n    # END SOLUTION\n",
    "empty region": f"# %% {SOLUTION}\ndef f():\n    ### BEGIN SOLUTION\n    ### END SOLUTION\n",
    "tabs": f"# %% {SOLUTION}\ndef f():\n\t### BEGIN SOLUTION\n\treturn 1\n\t### END SOLUTION\n",
    "hidden": f"# %% {TEST}\nassert True\n## BEGIN HIDDEN TESTS\nassert 1\n## END HIDDEN TESTS\n",
    "all hidden": f"# %% {TEST}\n### BEGIN HIDDEN TESTS\nassert 1\n### END HIDDEN TESTS\n",
    "answer": f"# %% [markdown] {MANUAL}\n# Because.\n#\n# And so on.\n",
    "answer with a region": f"# %% [markdown] {MANUAL}\n# Why?\n# ### BEGIN SOLUTION\n# Because.\n# ### END SOLUTION\n",
    "code answered by hand": f"# %% {MANUAL}\nx = 1\n",
    "read-only prose": f"# %% [markdown] {meta(locked=True, solution=False)}\n# Do not change.\n",
    "read-only code": f"# %% {meta(locked=True, solution=False)}\nimport os\n",
    "flags already there": f"# %% deletable=false {TEST}\nassert 1\n",
    "title": f"# %% A title {SOLUTION}\nx = 1\n",
    "unicode": f"# %% {SOLUTION}\ndef f():\n    ### BEGIN SOLUTION\n    return '→𝄞'\n    ### END SOLUTION\n    # é\n",
    "no final newline": f"# %% {SOLUTION}\nx = 1",
}


@functools.cache
def nbgraders() -> list[Any]:
    """nbgrader's own steps, in its order. Importing it costs seconds and warns about its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme, ClearSolutions, LockCells
    steps = [ClearSolutions(), LockCells(), ClearHiddenTests(), ClearMarkScheme()]
    for step in steps:
        step.log.setLevel(logging.CRITICAL)
    return steps


def by_nbgrader(notebook: Notebook) -> list[tuple[Any, ...]]:
    document = _document(notebook)
    resources: dict[str, Any] = {}
    for step in nbgraders():
        document, resources = step.preprocess(document, resources)
    return _facts(document)


def _document(notebook: Notebook) -> Any:
    import jupytext

    return jupytext.reads(to_ipynb(notebook), fmt="ipynb")


def _facts(document: Any) -> list[tuple[Any, ...]]:
    """What a person or nbgrader sees of each cell; not jupytext's own note about blank lines."""
    cells = document.cells
    return [(c.cell_type, c.source, {k: v for k, v in c.metadata.items() if k != "lines_to_next_cell"}) for c in cells]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_release_of_a_lesson_equals_nbgraders(path: Path) -> None:
    """Catches a solution, a hidden test or a lock on which this release and nbgrader's differ."""
    notebook = parse(path.read_text(encoding="utf-8"))
    assert _facts(_document(release(notebook))) == by_nbgrader(notebook)


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_release_of_odd_cells_equals_nbgraders(text: str) -> None:
    """Catches a form of cell that the course does not use yet and that this release treats in its own way."""
    notebook = parse(HEADER + text)
    assert _facts(_document(release(notebook))) == by_nbgrader(notebook)


def test_every_released_module_is_among_the_lessons() -> None:
    """Catches the comparison above passing because the course was not there."""
    course = load_course(ROOT)
    assert len(LESSONS) >= 2
    if (ROOT / "modules").is_dir():
        assert [module.folder for module in course.released if course.source(module) not in LESSONS] == []


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_release_leaves_what_is_not_graded_and_nothing_of_a_solution(path: Path) -> None:
    """Catches a marker left in a learner's file, and prose or code that release changes."""
    text = path.read_text(encoding="utf-8")
    released = release(parse(text))
    for word in ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS"):
        assert word not in released.to_text()
    pairs = list(zip(parse(text).cells, released.cells, strict=True))
    assert all(old == new for old, new in pairs if old.role in (Role.PROSE, Role.CODE, Role.EXPORT))


REFUSED = {
    "END without BEGIN": (f"# %% {SOLUTION}\n### END SOLUTION\n", 2),
    "without END": (f"# %% {SOLUTION}\nx = 1\n### BEGIN SOLUTION\n", 3),
    "inside the region": (f"# %% {SOLUTION}\n### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION\n", 3),
    "in a export cell": ("# %%\n#| export\n### BEGIN SOLUTION\n### END SOLUTION\n", 3),
    "in a prose cell": ("# %% [markdown]\n# BEGIN SOLUTION\n# END SOLUTION\n", 2),
    "in a solution cell": (f"# %% {SOLUTION}\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS\n", 2),
    "in a test cell": (f"# %% {TEST}\n### BEGIN SOLUTION\n### END SOLUTION\n", 2),
    "in a manual cell": (f"# %% [markdown] {MANUAL}\n# === BEGIN MARK SCHEME ===\n# === END MARK SCHEME ===\n", 2),
    "HIDDEN TESTS without": (f"# %% {TEST}\n### BEGIN HIDDEN TESTS\n", 2),
    "must be locked": (f"# %% {meta(grade=True, points=1, solution=False)}\npass\n", 1),
    "is used in line": (f"# %% {SOLUTION}\npass\n\n# %% {SOLUTION}\npass\n", 4),
}


@pytest.mark.parametrize("says", REFUSED)
def test_malformed_lessons_are_refused_with_their_line(says: str) -> None:
    """Catches a lesson that is released wrongly because a marker is missing, nested or in the wrong place."""
    text, line = REFUSED[says]
    with pytest.raises(ReleaseRefused) as caught:
        release(parse(text), "x_dev.py")
    assert f"x_dev.py, line {line}: " in caught.value.message
    assert says.removesuffix(" without") in caught.value.message.replace("without BEGIN", "END without BEGIN")
    assert caught.value.exit_code == Exit.FAILED


@pytest.mark.parametrize("says", [name for name in REFUSED if "locked" not in name and "is used" not in name])
def test_what_nbgrader_refuses_is_refused(says: str) -> None:
    """Catches a marker error that only the instructor's tools would find, after the lesson is with the learners."""
    text, _ = REFUSED[says]
    assert marker_problems(parse(text))
    # nbgrader drops a lone END, and a solution cell without a region of its own is replaced before it looks further.
    if says not in ("END without BEGIN", "in a solution cell", "in a manual cell"):
        with pytest.raises(RuntimeError):
            by_nbgrader(parse(HEADER + text))


def test_nothing_is_written_when_one_lesson_is_malformed(home: Path, tmp_path: Path) -> None:
    """Catches a workspace made of the lessons before the malformed one."""
    from tito.lifecycle import setup

    lesson = home / "modules/02_beta/beta_dev.py"
    lesson.write_text(lesson.read_text(encoding="utf-8").replace("    ### END SOLUTION\n", ""), encoding="utf-8")
    with pytest.raises(ReleaseRefused, match=r"beta_dev\.py, line \d+: BEGIN SOLUTION without END SOLUTION"):
        setup.init(tmp_path / "work")
    assert not (tmp_path / "work").exists()
