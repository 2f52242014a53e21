"""Submissions put beside the course: whatever happened to the cells, the student's code and the course's tests run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from grading.lessons import Page, assignment, at, course, ipynb, ipynb3, percent, released, solved
from hypothesis import given, settings
from hypothesis import strategies as st

from tito.grading.submission.course_cells import normal
from tito.grading.submission.names import names_of
from tito.grading.submission.reading import read_cells, read_submission
from tito.grading.submission.repair import Repaired, as_released, repair
from tito.notebook import Role

MODULES = [module.folder for module in course().modules if module.released]
LAYERS = assignment("03")
Write = Callable[[str], Page]


def repaired(page: Page, name: str = "03") -> Repaired:
    """What grading makes of a notebook."""
    return checked(name, ipynb(page), "layers_dev.ipynb")


def checked(name: str, data: bytes, file: str) -> Repaired:
    """A repaired submission; where it can be taken as it was handed in and all of it is Python, that is the same."""
    result = repair(assignment(name), read_submission(data, file))
    handed_in = as_released(assignment(name), read_cells(data, file))
    if handed_in is not None and all(names_of(cell.source).parses for cell in handed_in.cells):
        assert handed_in == result
    return result


def order(result: Repaired) -> list[str]:
    """The names of the job's cells that have one of the course's."""
    return [cell.name for cell in result.cells if not cell.name.startswith("cell:")]


def check_tests(result: Repaired, name: str = "03") -> None:
    """The course's tests are there, in the course's order, each once and as the course has it."""
    ran = [(cell.name, cell.source, cell.test, cell.seconds) for cell in result.cells if cell.test]
    assert ran == [(test.grade_id, test.source, test.test, test.seconds) for test in assignment(name).graded]
    assert len({cell.name for cell in result.cells}) == len(result.cells)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("write", [ipynb, ipynb3, percent])
def test_an_honest_submission_needs_no_repair(name: str, write: Callable[[Page], bytes]) -> None:
    """Catches a lesson of the course whose cells are moved, lost or reported although nothing is wrong with it."""
    page = solved(name)
    result = repair(assignment(name), read_submission(write(page), f"x.{'py' if write is percent else 'ipynb'}"))
    code = [cell for cell in assignment(name).notebook.cells if cell.kind == "code"]
    assert [cell.name for cell in result.cells if cell.name[:5] != "cell:"] == [c.grade_id for c in code if c.grade_id]
    assert len(result.cells) == len(code)
    check_tests(result, name)
    sources = [cell["source"] for cell in page if cell["cell_type"] == "code" and not _is_test(cell)]
    assert [cell.source for cell in result.cells if not cell.test] == [source.rstrip() for source in sources]
    assert [note for note in result.repairs if "older format" not in note] == []
    assert all(answer.answered for answer in result.answers)


@pytest.mark.parametrize("name", MODULES)
def test_py_and_ipynb_of_one_lesson_are_one_submission(name: str) -> None:
    """Catches a verdict that depends on the format in which a lesson is handed in."""
    page = solved(name)
    ways = [read_submission(percent(page), "x.py"), read_submission(ipynb(page), "x.ipynb")]
    assert repair(assignment(name), ways[0]) == repair(assignment(name), ways[1])


@pytest.mark.parametrize("name", MODULES)
def test_an_untouched_lesson_has_no_answers(name: str) -> None:
    """Catches a placeholder that is taken for an answer, so that somebody must read it."""
    result = repaired(released(name), name)
    assert not any(answer.answered for answer in result.answers)
    assert result.repairs == ()


def identity(cell: dict[str, Any]) -> str:
    """A cell's grade_id, or nothing."""
    nbgrader = cell["metadata"].get("nbgrader", {})
    return str(nbgrader.get("grade_id", "")) if isinstance(nbgrader, dict) else ""


def _is_test(cell: dict[str, Any]) -> bool:
    nbgrader = cell["metadata"].get("nbgrader", {})
    return bool(nbgrader.get("grade")) and not nbgrader.get("solution")


# Edits: what a student did to the notebook.


def delete_solution(page: Page) -> None:
    del page[at(page, "dropout")]


def delete_test(page: Page) -> None:
    del page[at(page, "test-matmul")]


def edit_test(page: Page) -> None:
    page[at(page, "test-matmul")]["source"] = "def test_unit_matmul() -> None:\n    pass"


def empty_test(page: Page) -> None:
    page[at(page, "test-matmul")]["source"] = ""


def copy_test(page: Page) -> None:
    cell = page[at(page, "test-matmul")]
    page.insert(at(page, "matmul"), {**cell, "metadata": {"nbgrader": {"grade_id": "mine"}}})


def lose_test_id(page: Page) -> None:
    page[at(page, "test-matmul")]["metadata"] = {}


def help_in_test(page: Page) -> None:
    page[at(page, "test-matmul")]["source"] += "\n\n\ndef mine():\n    return 1"
    page.append({"cell_type": "code", "source": "mine()", "metadata": {}})


def repeat_test(page: Page) -> None:
    page.append(page[at(page, "test-matmul")])


def repeat_solution(page: Page) -> None:
    page.append(page[at(page, "matmul")])


def repeat_with_stub(page: Page) -> None:
    stub = next(cell for cell in released("03") if cell["metadata"].get("nbgrader", {}).get("grade_id") == "matmul")
    page.insert(at(page, "matmul"), stub)


def other_copy(page: Page) -> None:
    cell = page[at(page, "matmul")]
    page.insert(at(page, "matmul"), {**cell, "source": "def matmul(A, B):\n    return None"})


def retype_markdown(page: Page) -> None:
    page[at(page, "matmul")]["cell_type"] = "markdown"


def retype_raw(page: Page) -> None:
    page[at(page, "matmul")]["cell_type"] = "raw"


def retype_without_id(page: Page) -> None:
    page[at(page, "matmul")] |= {"cell_type": "markdown", "metadata": {}}


def retype_test(page: Page) -> None:
    page[at(page, "test-matmul")]["cell_type"] = "markdown"


def lose_id(page: Page) -> None:
    page[at(page, "matmul")]["metadata"] = {}


def rename_id(page: Page) -> None:
    page[at(page, "matmul")]["metadata"]["nbgrader"]["grade_id"] = "my-matmul"


def lose_all_metadata(page: Page) -> None:
    for cell in page:
        cell["metadata"] = {}


def split_in_function(page: Page) -> None:
    split(page, at(page, "matmul"), 23)


def split_in_docstring(page: Page) -> None:
    split(page, at(page, "matmul"), 6)


def split_apart(page: Page) -> None:
    split_in_function(page)
    page.insert(at(page, "matmul") + 1, {"cell_type": "code", "source": "mine = 1", "metadata": {}})


def split_off_the_head(page: Page) -> None:
    split(page, at(page, "matmul"), 1)


def split_off_the_head_keeping_ids(page: Page) -> None:
    split_off_the_head(page)
    page[at(page, "matmul") + 1]["metadata"] = page[at(page, "matmul")]["metadata"]


def split_off_the_bare_head(page: Page) -> None:
    lose_id(page)
    split(page, 5, 1)


def split_between_functions(page: Page) -> None:
    lines = page[at(page, "module")]["source"].split("\n")
    split(page, at(page, "module"), next(i for i, line in enumerate(lines) if line.startswith("class ")))


def split_keeping_ids(page: Page) -> None:
    here = at(page, "matmul")
    split(page, here, 23)
    page[here + 1]["metadata"] = page[here]["metadata"]


def split(page: Page, here: int, line: int) -> None:
    lines = page[here]["source"].split("\n")
    page[here : here + 1] = [
        {**page[here], "source": "\n".join(lines[:line])},
        {"cell_type": "code", "source": "\n".join(lines[line:]), "metadata": {}},
    ]


def merge_with_test(page: Page) -> None:
    here = at(page, "matmul")
    page[here]["source"] += "\n\n\n" + page.pop(here + 1)["source"]


def merge_into_test(page: Page) -> None:
    here = at(page, "matmul")
    first = page.pop(here)
    page[here]["source"] = first["source"] + "\n\n\n" + page[here]["source"]


def swap_cells(page: Page) -> None:
    one, two = at(page, "dropout"), at(page, "flatten")
    page[one], page[two] = page[two], page[one]


def swap_ids(page: Page) -> None:
    one, two = at(page, "dropout"), at(page, "flatten")
    page[one]["metadata"], page[two]["metadata"] = page[two]["metadata"], page[one]["metadata"]


def change_points(page: Page) -> None:
    for cell in page:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"] |= {"points": 1000, "grade": True, "locked": False, "solution": True}


def break_metadata(page: Page) -> None:
    for cell in page:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"] = ["no", "object"]


def delete_helper(page: Page) -> None:
    del page[next(i for i, cell in enumerate(page) if cell["source"].startswith("#| export\ndef _table"))]


def delete_imports(page: Page) -> None:
    del page[next(i for i, cell in enumerate(page) if "default_exp" in cell["source"])]


def shorten_imports(page: Page) -> None:
    cell = next(cell for cell in page if "default_exp" in cell["source"])
    cell["source"] = (
        cell["source"]
        .replace("import numpy as np", "import numpy as np\nMINE = 1")
        .replace(
            "from collections.abc import Callable, Iterator, Mapping, Sequence", "from collections.abc import Sequence"
        )
    )


def delete_prose(page: Page) -> None:
    page[:] = [cell for cell in page if cell["cell_type"] == "code" or cell["metadata"].get("nbgrader")]


def base_class_last(page: Page) -> None:
    page.append(page.pop(at(page, "module")))


def reverse(page: Page) -> None:
    page.reverse()


def one_cell(page: Page) -> None:
    code = "\n\n\n".join(cell["source"] for cell in page if cell["cell_type"] == "code" and not _is_test(cell))
    page[:] = [{"cell_type": "code", "source": code, "metadata": {}}]


def add_free_cells(page: Page) -> None:
    page.insert(at(page, "matmul"), {"cell_type": "code", "source": "mine = 1", "metadata": {}})
    page.append({"cell_type": "code", "source": "print(mine)", "metadata": {}})


# The edit, what must be said of it (in this order; empty: nothing), and the solutions that are the stub afterwards.
EDITS: list[tuple[Callable[[Page], None], list[str], set[str]]] = [
    (delete_solution, ["The cell dropout is missing; the cell as it was released was run"], {"dropout"}),
    (delete_test, ["The test test-matmul was missing; the course's test is run all the same."], set()),
    (edit_test, ["The test test-matmul had been edited; the course's test is run."], set()),
    (empty_test, ["The test test-matmul was missing"], set()),
    (copy_test, ["is a copy of the test test-matmul; it was left out."], set()),
    (lose_test_id, ["The test test-matmul had lost the id; the course's test is run."], set()),
    (help_in_test, ["The test test-matmul had been edited; the course's test is run."], set()),
    (
        lose_all_metadata,
        ["The tests test-matmul, ", "The cells matmul, ", *["The answer"] * 3],
        set(),
    ),
    (
        break_metadata,
        ["The tests test-matmul, ", "The cells matmul, ", *["The answer"] * 3],
        set(),
    ),
    (repeat_test, ["The test test-matmul was there more than once"], set()),
    (repeat_solution, ["The cell matmul was there 2 times; it was run once."], set()),
    (repeat_with_stub, ["The cell matmul was there 2 times; it was run once."], set()),
    (other_copy, ["The cell matmul was there 2 times with different code; all were run, so the last counts."], set()),
    (retype_markdown, ["The cell matmul had been made a markdown cell; it was run as code."], set()),
    (retype_raw, ["The cell matmul had been made a raw cell; it was run as code."], set()),
    (
        retype_without_id,
        ["which holds code, had been made a markdown cell", "The cell matmul had lost its id"],
        set(),
    ),
    (retype_test, ["The test test-matmul had been made a markdown cell; the course's test is run."], set()),
    (lose_id, ["The cell matmul had lost its id; cell 6 was taken for it."], set()),
    (rename_id, ["The cell matmul had lost its id; cell 6 was taken for it."], set()),
    (split_in_function, ["The cell matmul had been cut in 2; the pieces were put together again."], set()),
    (split_in_docstring, ["The cell matmul had been cut in 2; the pieces were put together again."], set()),
    (split_keeping_ids, ["The cell matmul had been cut in 2; the pieces were put together again."], set()),
    (split_apart, ["The cell matmul had been cut in 2; the pieces were put together again."], set()),
    (split_off_the_head, ["The cell matmul had been split in 2; all pieces were run."], set()),
    (split_off_the_head_keeping_ids, ["The cell matmul had been split in 2; all pieces were run."], set()),
    (split_off_the_bare_head, ["The cell matmul had lost its id; cell 6 was taken for it."], set()),
    (split_between_functions, ["The cell module had been split in 2; all pieces were run."], set()),
    (merge_with_test, ["Cell 6 also holds the test test-matmul; the course's test is run after it."], set()),
    (merge_into_test, ["Cell 6 also holds the test test-matmul", "The cell matmul had lost its id"], set()),
    (swap_cells, [], set()),
    (change_points, [], set()),
    (delete_helper, ["The course's cell that defines _table is missing or shorter; it was put back."], set()),
    (delete_imports, ["The course's cell that defines"], set()),
    (shorten_imports, ["The course's cell that defines Callable"], set()),
    (delete_prose, [], set()),
    (base_class_last, ["stood before the definition of Linear and Module, needed at once; moved behind it."], set()),
    (add_free_cells, [], set()),
]


@pytest.mark.parametrize(("edit", "said", "stubs"), EDITS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_edit_is_put_right_and_said(edit: Callable[[Page], None], said: list[str], stubs: set[str]) -> None:
    """Catches a repair that loses the student's code, takes a test of the student's, or goes without a word."""
    page = solved("03")
    whole = {
        cell["metadata"]["nbgrader"]["grade_id"]: cell["source"] for cell in page if "nbgrader" in cell["metadata"]
    }
    edit(page)
    result = repaired(page)
    check_tests(result)
    empty = {cell.grade_id: cell.source for cell in LAYERS.released.of_role(Role.SOLUTION)}
    for name, source in result.sources:
        wanted = normal(empty[name] if name in stubs else whole[name])
        assert wanted in normal(source)
        assert any(wanted in normal(cell.source) or normal(source) == wanted for cell in result.cells)
    assert len(result.repairs) == len(said), result.repairs
    for text, repair_said in zip(said, result.repairs, strict=False):
        assert text in repair_said


def test_helpers_in_an_edited_test_stay() -> None:
    """Catches code of a student's that is lost because it stood in a cell of the course's."""
    page = solved("03")
    help_in_test(page)
    sources = [cell.source for cell in repaired(page).cells]
    assert "def mine():\n    return 1" in sources and "mine()" in sources


def test_helpers_in_an_own_version_of_a_test_stay() -> None:
    """Catches a solution that fails because a helper of it stood beside the student's own test, without an id."""
    page = solved("03")
    source = "def mine():\n    return 1\n\n\ndef test_unit_matmul():\n    assert mine() == 1"
    page.insert(at(page, "matmul"), {"cell_type": "code", "source": source, "metadata": {}})
    page[at(page, "matmul")]["source"] += "\n\n\nmine()"
    result = repaired(page)
    check_tests(result)
    sources = [cell.source for cell in result.cells]
    helper = sources.index("def mine():\n    return 1")
    assert helper < next(i for i, text in enumerate(sources) if text.endswith("mine()"))
    assert not any("assert mine()" in text for text in sources)


@pytest.mark.parametrize("first", [solved, released])
@pytest.mark.parametrize("second", [solved, released])
def test_a_lesson_that_is_there_twice_is_run_once(first: Write, second: Write) -> None:
    """Catches a table of the course's own code that is emptied after the solutions have filled it."""
    once = repaired(solved("01") if solved in (first, second) else released("01"), "01")
    result = repaired(first("01") + second("01"), "01")
    assert [cell.source for cell in result.cells] == [cell.source for cell in once.cells]


def test_cells_that_came_apart_stay_near() -> None:
    """Catches a test that runs before the code that it tests, or a base class after what is derived from it."""
    page = solved("03")
    reverse(page)
    result = repaired(page)
    check_tests(result)
    names = order(result)
    assert names.index("module") < names.index("linear") < names.index("dense")
    assert all(names.index(test.removeprefix("test-")) < names.index(test) for test in ("test-matmul", "test-flatten"))


def test_the_end_of_a_split_cell_runs_before_its_test() -> None:
    """Catches a last line without a definition that runs too late when it stands in a cell of its own."""
    page = solved("06")
    here = at(page, "elementwise-rules")
    split(page, here, page[here]["source"].count("\n"))
    assert page[here + 1]["source"].startswith("defvjp(")
    result = repaired(page, "06")
    check_tests(result, "06")
    sources = [cell.source for cell in result.cells]
    assert sources.index(page[here + 1]["source"]) < [cell.name for cell in result.cells].index(
        "test-elementwise-rules"
    )


def test_a_helper_that_is_put_back_does_not_replace_the_students() -> None:
    """Catches the course's cell run after the student's shorter one, whose meaning of a name it would take away."""
    page = solved("03")
    here = next(i for i, cell in enumerate(page) if cell["source"].startswith("import contextlib"))
    page[here]["source"] = "import io\nimport time\n\nfrom tinytorch.core.activations import ReLU\n\nSoftmax = print"
    page.insert(0, page.pop(here))
    here = 0
    sources = [cell.source for cell in repaired(page).cells]
    given = next(i for i, source in enumerate(sources) if source.startswith("import contextlib"))
    assert given == sources.index(page[here]["source"]) - 1


def test_cells_that_need_each_other_stay_where_they_are() -> None:
    """Catches an order in which nothing runs, where one cell needs another and is needed by it."""
    page = solved("03")
    page[at(page, "module")]["source"] += "\n\nprint(Linear(2, 3))"
    assert order(repaired(page)) == order(repaired(solved("03")))
    page[at(page, "module")]["source"] += "\nprint(Dense(2, 3))"
    page[at(page, "linear")]["source"] += "\nprint(Dense(2, 3))"
    result = repaired(page)
    assert (order(result), result.repairs) == (order(repaired(solved("03"))), ())


def test_an_older_version_put_aside_as_raw_text_stays_there() -> None:
    """Catches a first attempt, kept as a raw cell with the id of the copied one, that would count as the last."""
    page = solved("03")
    attempt = json.loads(json.dumps(page[at(page, "dropout")]))
    attempt |= {"cell_type": "raw", "source": "class Dropout(Module):\n    pass"}
    page.insert(at(page, "dropout") + 1, attempt)
    page.append({"cell_type": "code", "source": "x = 1", "metadata": {}})
    result = repaired(page)
    assert not any(attempt["source"] == cell.source for cell in result.cells)
    assert (dict(result.sources), result.repairs) == (dict(repaired(solved("03")).sources), ())


def test_a_helper_with_the_name_of_a_tests_own_is_kept() -> None:
    """Catches a student's function that is left out as a copy of a test, which has a helper of that name."""
    page = solved("03")
    mine = {"cell_type": "code", "source": "def _leaf(x):\n    return max(x.ndim, 1)", "metadata": {}}
    page.insert(at(page, "flatten"), mine)
    result = repaired(page)
    assert mine["source"] in [cell.source for cell in result.cells]
    assert result.repairs == ()
    check_tests(result)


def test_an_indented_trial_is_not_put_into_the_class_above() -> None:
    """Catches a method tried in a cell of its own, which a notebook runs as a function, that replaces the right one."""
    page = solved("03")
    trial = "    def forward(self, x, training=None):\n        return x"
    page.insert(at(page, "dropout") + 1, {"cell_type": "code", "source": trial, "metadata": {}})
    result = repaired(page)
    assert dict(result.sources) == dict(repaired(solved("03")).sources)
    assert [note.partition(" was ")[2] for note in result.repairs] == [
        "indented as a whole; the indentation was left out."
    ]


# Property: random sequences of edits.

SOLUTIONS = [cell.grade_id for cell in LAYERS.notebook.of_role(Role.SOLUTION)]
TESTS = [test.grade_id for test in LAYERS.graded]
ACTIONS = ["repeat", "delete", "split", "markdown", "raw", "bare", "junk", "edit test", "delete test", "prose", "swap"]
actions = st.tuples(st.sampled_from(ACTIONS), st.sampled_from(SOLUTIONS), st.integers(0, 200), st.sampled_from(TESTS))


def apply(page: Page, action: str, name: str, number: int, test: str, deleted: set[str]) -> None:
    """Do one thing to a notebook."""
    mine = [i for i, cell in enumerate(page) if cell.get("of") == name]
    tests = [i for i, cell in enumerate(page) if identity(cell) == test]
    if action == "delete":
        deleted.add(name)
        page[:] = [cell for cell in page if cell.get("of") != name]
    elif action == "split" and len(mine) == 1 and "\n" in page[mine[0]]["source"]:
        line = 1 + number % page[mine[0]]["source"].count("\n")
        kind = page[mine[0]]["cell_type"]
        split(page, mine[0], line)
        page[mine[0] + 1] |= {"of": name, "cell_type": kind if number % 2 else "code"}
        if kind != "code" and number % 2:  # both halves are found only if they are told from prose
            page[mine[0] + 1]["metadata"] = page[mine[0]]["metadata"]
    elif action == "repeat" and len(mine) == 1:
        page.insert(mine[0] + 1 + number % 2, dict(page[mine[0]]))
    elif action in ("markdown", "raw") and len(mine) == 1:
        page[mine[0]]["cell_type"] = action
    elif action == "bare" and len(mine) == 1:
        page[mine[0]]["metadata"] = {}
    elif action == "junk":
        junk = ["mine = 1", "raise ValueError", "def broken(:", "matmul", "", "print(1)\n\n"][number % 6]
        cell_type = ("code", "markdown", "raw")[number % 3]
        page.insert(number % (len(page) + 1), {"cell_type": cell_type, "source": junk, "metadata": {}})
    elif action == "edit test" and tests:
        page[tests[0]]["source"] = page[tests[0]]["source"].replace("assert", "assert True or", 1)
    elif action == "delete test" and tests:
        del page[tests[0]]
    elif action == "prose":
        place = next((i for i, cell in enumerate(page) if i >= number and cell["cell_type"] == "markdown"), None)
        if place is not None and not identity(page[place]):
            page.insert(0, page.pop(place))
    elif action == "swap" and page:
        moved = page[number % len(page)].get("of")
        if sum(cell.get("of") == moved for cell in page) == 1 or not moved:  # the halves of a cell stay together
            page.append(page.pop(number % len(page)))


FORMS: list[Callable[[Page], tuple[bytes, str]]] = [
    lambda page: (ipynb(page), "x.ipynb"),
    lambda page: (ipynb3(page), "x.ipynb"),
    lambda page: (b"\xef\xbb\xbf" + ipynb(page), "x.ipynb"),
    lambda page: (percent(page), "x.py"),
    lambda page: (percent(page).replace(b"\n", b"\r\n"), "x.py"),
    lambda page: (b"\xef\xbb\xbf" + percent(page).replace(b"\n", b"\r"), "x.py"),
    lambda page: (percent(page).decode().encode("utf-16"), "x.py"),
]


@given(st.lists(actions, max_size=8), st.sampled_from(FORMS))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_whatever_is_done_to_the_cells(
    edits: list[tuple[str, str, int, str]], write: Callable[[Page], tuple[bytes, str]]
) -> None:
    """Catches a sequence of edits that loses code of the student's, lets a test of theirs run, or raises."""
    page = [{**cell, "of": identity(cell)} for cell in solved("03")]
    whole = {cell["of"]: cell["source"] for cell in page}
    deleted: set[str] = set()
    for action, name, number, test in edits:
        apply(page, action, name, number, test, deleted)
    for cell in page:
        cell.pop("of", None)
    result = checked("03", *write(page))
    check_tests(result)
    empty = {cell.grade_id: cell.source for cell in LAYERS.released.of_role(Role.SOLUTION)}
    assert [name for name, _ in result.sources] == SOLUTIONS
    for name, source in result.sources:
        wanted = set(normal(empty[name] if name in deleted else whole[name]).split("\n"))
        assert wanted <= set(normal(source).split("\n")), name
        ran = {line for cell in result.cells for line in normal(cell.source).split("\n")}
        assert wanted <= ran
