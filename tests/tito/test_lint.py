"""Each rule for modules finds the breach it is for, in a lesson that otherwise keeps them all."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from support import Learner

from tito.course import load_course
from tito.lint import dynamic, static
from tito.lint.findings import RULES
from tito.lint.new_module import new_module
from tito.notebook import parse
from tito.workspace import Workspace, find_workspace

Change = Callable[[str], str]


@pytest.fixture
def author_of_delta(author: Learner) -> Workspace:
    """A course repository with a module that `tito dev new` has just written and that is exported."""
    new_module(find_workspace(author.root), "04_delta")
    assert author.tito("export", "4").code == 0
    return find_workspace(author.root)


def lesson(workspace: Workspace, change: Change = str) -> static.Lesson:
    module = workspace.course.resolve("4")
    path = workspace.lesson(module)
    text = change(path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    return static.Lesson(load_course(workspace.root), module, parse(text, path.name))


def replaced(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


STATIC: list[tuple[str, Change]] = [
    ("T01", replaced('"grade_id": "test-double"', '"grade_id": "double-solution"')),
    ("T01", replaced('"locked": true', '"locked": false')),
    ("T02", replaced("    ### END SOLUTION\n", "")),
    ("T02", replaced("    ### BEGIN HIDDEN TESTS\n", "")),
    ("T03", replaced('"points": 10', '"points": 9')),
    ("T04", replaced("core.delta", "core.other")),
    ("T05", replaced('if __name__ == "__main__":\n    test_module_double()\n', "")),
    ("T05", replaced("    test_module_double()\n", "    pass\n")),
    ("T06", replaced("def test_module_double", "def test_unit_double")),
    ("T07", lambda text: text[: text.index("# ## Reflection 3")]),
    ("T08", replaced("- (10 points)", "- (9 points)")),
    ("T09", replaced("def test_module_double", "def test_module_twice")),
    ("T10", replaced("import numpy as np", "import numpy as np\nimport tinytorch.core.beta")),
    ("T10", replaced("import numpy as np", "import numpy as np\nimport pytest")),
    ("T10", replaced("import numpy as np", "import sys\n\nimport numpy as np\n\nsys.path.append('.')")),
    ("T10", replaced("import numpy as np", "try:\n    import numpy as np\nexcept ImportError:\n    np = None")),
    ("T11", replaced("    return x + x\n", "    return x.data + x.data\n")),
    ("T12", lambda text: text.replace("x + x", "np.add(x, x)").replace("3 is 6.", "3 is 6.\n# return np.add(x, x)")),
    ("T14", replaced("analyze_element_size", "show_element_size")),
    ("T14", replaced("write your guess: ___", "")),
    ("T13", replaced("# %%\n#| default_exp", "#%%\n#| default_exp")),
    ("T15", lambda text: re.sub(r'    """Twice x.*?"""\n', "", text, flags=re.DOTALL)),
]

PROBES: list[Change] = [
    replaced('"test-double"', '"test-triple"'),
    replaced("[doubles, doubles_keep_dtypes]", "[doubles]"),
    replaced("[doubles, doubles_keep_dtypes]", "[doubles, doubles_keep_dtypes, triples]"),
    replaced("[doubles, doubles_keep_dtypes]", "[doubles, doubles_keep_dtypes, doubles]"),
    replaced("[doubles, doubles_keep_dtypes]", "list((doubles, doubles_keep_dtypes))"),
    replaced('{"test-double": [doubles, doubles_keep_dtypes]}', "[doubles, doubles_keep_dtypes]"),
    replaced('    """Twice whole numbers, and float32."""\n', ""),
    replaced("doubles_keep_dtypes(lesson, rng)", "doubles_keep_dtypes(lesson)"),
    replaced("TOLERANCES = {}", 'TOLERANCES = {"halves": {"rtol": 0.1}}'),
    replaced("TOLERANCES = {}", 'TOLERANCES = {"doubles": {"atol": "much"}}'),
    replaced("TOLERANCES = {}", 'TOLERANCES = {"doubles": {"dtype": "any"}}'),
    replaced("PARTIAL = []", 'PARTIAL = ["test-triple"]'),
    replaced("import numpy as np", "import numpy as np\nimport tinytorch.core.beta"),
    replaced("import numpy as np", "import numpy as np\nimport pytest"),
    replaced("return [lesson", "return [lesson.)"),
]

DYNAMIC: list[tuple[str, Change]] = [
    ("T20", replaced("    return x + x\n", "    return x\n")),
    ("T21", replaced("### END SOLUTION\n", "### END SOLUTION\n\n\nTWO = double(np.array(1))\n")),
    ("T22", replaced("    assert double(np.array([1, 2])).tolist() == [2, 4]\n", "    assert callable(double)\n")),
    ("T23", replaced("    analyze_element_size()\n", "    raise RuntimeError\n")),
    ("T24", replaced("import numpy as np", "import numpy as np\n\nprint('hello')")),
    ("T25", replaced("# %% [markdown]", "# %% [markdown]\n# More words.")),
    ("T27", replaced("    assert double(np", "    assert analyze_element_size\n    assert double(np")),
]


@pytest.mark.parametrize("change", PROBES)
def test_probes_that_cannot_be_used_are_found(author_of_delta: Workspace, change: Change) -> None:
    """Catches a graded cell without probes, and tables whose mistakes would show first while a class is graded."""
    module = author_of_delta.course.resolve("4")
    path = author_of_delta.course.probes_file(module)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert {code for code, _, _ in static.check(lesson(author_of_delta))} == {"T16"}


def test_a_module_without_probes_is_found(author_of_delta: Workspace) -> None:
    """Catches a module that is graded by its visible tests alone."""
    author_of_delta.course.probes_file(author_of_delta.course.resolve("4")).unlink()
    assert [code for code, _, _ in static.check(lesson(author_of_delta))] == ["T16"]


@pytest.mark.parametrize(("code", "change"), STATIC, ids=[f"{code}-{n}" for n, (code, _) in enumerate(STATIC)])
def test_a_static_rule_finds_its_breach(author_of_delta: Workspace, code: str, change: Change) -> None:
    """Catches a rule that no lesson can break."""
    found = static.check(lesson(author_of_delta, change))
    assert code in {each for each, _, _ in found}


@pytest.mark.parametrize(("code", "change"), DYNAMIC, ids=[code for code, _ in DYNAMIC])
def test_a_dynamic_rule_finds_its_breach(author_of_delta: Workspace, code: str, change: Change) -> None:
    """Catches a rule that is satisfied by whatever runs."""
    found = dynamic.check(author_of_delta, lesson(author_of_delta, change))
    assert code in {each for each, _, _ in found}


def test_a_test_that_passes_with_an_empty_package_is_found(author: Learner) -> None:
    """Catches a check of the empty package that looks at nothing: this lesson needs alpha and does not use it."""
    path = author.lesson("2")
    text = path.read_text(encoding="utf-8").replace("from tinytorch.core.alpha import double", "double = (2).__mul__")
    path.write_text(text, encoding="utf-8")
    module = author.module("2")
    found = static.Lesson(author.course, module, parse(text, path.name))
    assert [code for code, _, _ in dynamic.check_without_package(author.workspace, found)] == ["T26"]


def test_every_rule_is_broken_here_once() -> None:
    """Catches a new rule without a lesson that breaks it."""
    assert {code for code, _ in [*STATIC, *DYNAMIC]} | {"T16", "T26"} == set(RULES)


def test_what_dev_new_writes_keeps_every_rule(author_of_delta: Workspace) -> None:
    """Catches a template that an author would have to mend before starting."""
    found = lesson(author_of_delta)
    assert list(static.check(found)) == []
    assert list(dynamic.check(author_of_delta, found)) == []
    assert list(dynamic.check_without_package(author_of_delta, found)) == []
