"""Lessons as cells: byte for byte, roles, ids, metadata, and the trip through .ipynb."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import MINI

from tito.notebook import (
    MalformedNotebook,
    Role,
    from_ipynb,
    ipynb_fingerprint,
    metadata_problems,
    parse,
    to_ipynb,
)

HEADER = (MINI / "modules/01_alpha/alpha_dev.py").read_text(encoding="utf-8").partition("# %%")[0]
LESSONS = sorted((MINI / "modules").glob("*/*_dev.py"))
PIECES = [
    *("# %%", "# %% [markdown]", "# %% title", "#%%", "# text", "#", "", "x = 1", '"""', "\x0c", "\ufeff", "é→𝄞", " "),
    *("\t", "# %% [raw]", '# %% tags=["a b"]', "#| export", "def f(x):", "    return x", "\x1c", "\x85", "\u2028"),
]
pieces = st.sampled_from(PIECES)
ends = st.sampled_from(["\n", "\r\n", "\r", ""])


@given(st.lists(st.tuples(pieces, ends)))
@settings(max_examples=400, deadline=None)
def test_text_comes_back_byte_for_byte(lines: list[tuple[str, str]]) -> None:
    """Catches a line end, a final newline, a form feed or a byte-order mark that parsing loses."""
    text = "".join(piece + end for piece, end in lines)
    if re.search(r"^[ \t]+#", text, re.MULTILINE):  # an indented marker, which is refused: see below
        return
    assert parse(text).to_text() == text


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back_or_is_refused(text: str) -> None:
    """Catches text that parsing changes in silence."""
    try:
        assert parse(text).to_text() == text
    except MalformedNotebook as refused:
        assert "line" in refused.message


@pytest.mark.parametrize(
    "text", ["", "\n", "x = 1", "# %%", "# %%\n", "# %%\r\nx\r\n", "\ufeff# %%\nx\n", "# %%\n\n# %%\n"]
)
def test_small_texts_come_back(text: str) -> None:
    """Catches an empty file or an empty cell that gains or loses a line."""
    assert parse(text).to_text() == text


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_survives_the_trip_through_a_notebook(path: Path) -> None:
    """Catches a conversion that changes a lesson: py -> ipynb -> py must be the same bytes."""
    text = path.read_bytes().decode("utf-8")
    notebook = parse(text)
    page = to_ipynb(notebook)
    assert from_ipynb(page, notebook.header).to_text() == text
    assert to_ipynb(from_ipynb(page, notebook.header)) == page


def test_roles_of_the_small_course() -> None:
    """Catches a role read wrongly, which would release a solution or export a test."""
    roles = [cell.role for cell in parse(LESSONS[0].read_text(encoding="utf-8")).cells]
    assert roles == [
        Role.PROSE,
        Role.EXPORT,
        Role.SOLUTION,
        Role.TEST,
        Role.SOLUTION,
        Role.TEST,
        Role.PROSE,
        Role.MANUAL,
    ]


def test_directives_are_the_first_lines_only() -> None:
    """Catches a directive in the middle of a cell, or in prose, that changes what is exported."""
    notebook = parse("# %%\n#| default_exp core.x\n#| export\nx = 1\n#| hide\n\n# %% [markdown]\n# #| export\n")
    assert notebook.cells[0].directives == {"default_exp": "core.x", "export": ""}
    assert not notebook.cells[1].exported
    assert notebook.default_exp == "core.x"


def test_ids_are_stable_and_unique() -> None:
    """Catches ids that change when another cell is edited, or that two equal cells share."""
    text = "# %%\na\n\n# %%\na\n\n# %%\nb\n"
    ids = parse(text).ids()
    assert len(set(ids)) == 3
    assert parse("# %%\nnew\n\n" + text).ids()[1:] == ids
    document = json.loads(to_ipynb(parse(HEADER + text)))
    assert [cell["id"] for cell in document["cells"]] == list(ids)


def test_ids_in_a_notebook_are_valid_and_unique_even_for_long_grade_ids() -> None:
    """Catches nbformat's limits on cell ids (64 characters, none twice), which make JupyterLab refuse a file."""
    meta = '{"grade": false, "grade_id": "%s", "locked": false, "schema_version": 3, "solution": true, "task": false}'
    cells = "".join(f"# %% nbgrader={meta % ('x' * 70 + end)}\npass\n\n" for end in ("a", "b", "a"))
    ids = [cell["id"] for cell in json.loads(to_ipynb(parse(HEADER + cells)))["cells"]]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", identity) for identity in ids)


@pytest.mark.parametrize(
    "text",
    [
        "import os\n\n# %%\nx = 1\n",  # code before the first marker
        "x = 1\n",  # no marker at all
        '# %%\ntext = """\n# %%\n"""\n',  # a marker inside a string
        "# %%\nx = 1\n\n# In[2]:\ny = 2\n",
        "# %%\n%matplotlib inline\nx = 1\n",
        "# %% [markdown]\n# ```\n# %% no marker\n# ```\n",
        "\ufeff# %%\nx = 1\n",
        "",
    ],
)
def test_odd_scripts_become_notebooks(text: str) -> None:
    """Catches a crash, or a cell twice, where jupytext and the parser split a script differently."""
    notebook = parse(HEADER + text)
    back = from_ipynb(to_ipynb(notebook), notebook.header)
    code = [line for line in text.lstrip("\ufeff").splitlines() if line and "%%" not in line and "In[" not in line]
    for line in code:
        assert back.to_text().count(line) == text.count(line), back.to_text()
    assert from_ipynb(to_ipynb(back), back.header).to_text() == back.to_text()


def test_outputs_are_kept_for_cells_that_did_not_change() -> None:
    """Catches a refreshed notebook that throws away the learner's outputs."""
    notebook = parse(HEADER + "# %%\nprint(1)\n\n# %%\nprint(2)\n")
    page = json.loads(to_ipynb(notebook))
    for cell, text in zip(page["cells"], ("1\n", "2\n"), strict=True):
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": [text]}]
    edited = parse(notebook.to_text().replace("print(2)", "print(3)"))
    cells = json.loads(to_ipynb(edited, json.dumps(page)))["cells"]
    assert cells[0]["outputs"][0]["text"] == ["1\n"]
    assert cells[1]["outputs"] == []


def test_a_broken_notebook_before_does_not_matter() -> None:
    """Catches a notebook that cannot be made again because the old one is damaged."""
    assert json.loads(to_ipynb(parse(HEADER + "# %%\nx = 1\n"), "{"))["cells"][0]["source"] == ["x = 1"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"cells": 1}', '{"cells": [{}]}', '{"cells": [1]}', "null", "[" * 10**5]
)
def test_a_broken_notebook_is_refused(text: str) -> None:
    """Catches a traceback for a half-written .ipynb."""
    with pytest.raises(MalformedNotebook, match=r"n\.ipynb is not a valid notebook"):
        ipynb_fingerprint(text, "n.ipynb")
    with pytest.raises(MalformedNotebook, match=r"n\.ipynb is not a valid notebook"):
        from_ipynb(text, HEADER, "n.ipynb")


def test_the_fingerprint_sees_what_a_person_wrote_and_nothing_else() -> None:
    """Catches a run cell taken for an edit, and an edit taken for nothing."""
    page = json.loads(to_ipynb(parse(HEADER + "# %%\nprint(1)\n")))
    before = ipynb_fingerprint(json.dumps(page))
    page["cells"][0] |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}], "execution_count": 7}
    page["cells"][0]["source"] = "print(1)"
    assert ipynb_fingerprint(json.dumps(page)) == before
    page["cells"][0]["cell_type"] = "markdown"
    assert ipynb_fingerprint(json.dumps(page)) != before


META = '{"grade": true, "grade_id": "t", "locked": true, "points": 3, "schema_version": 3, "solution": false}'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"grade": true, ', "", "'grade' as bool"),
        ('"grade": true', '"grade": "yes"', "'grade' as bool"),
        ('"locked": true', '"locked": false', "must be locked"),
        ('"points": 3, ', "", "points"),
        ('"points": 3', '"points": -1', "points"),
        ('"points": 3', '"points": 2.5', "points"),
        ('"points": 3', '"points": true', "points"),
        ('"schema_version": 3', '"schema_version": 2', "schema_version"),
        ('"grade_id": "t"', '"grade_id": "a b"', "may only have"),
        ('"grade_id": "t"', '"grade_id": ""', "may only have"),
        ('"solution": false', '"solution": false, "task": true', "task"),
    ],
)
def test_wrong_metadata_is_named(old: str, new: str, says: str) -> None:
    """Catches metadata that nbgrader would refuse, or would read as something else."""
    assert metadata_problems(parse(f"# %% nbgrader={META}\npass\n")) == []
    problems = metadata_problems(parse(f"# %%\n\n# %% nbgrader={META.replace(old, new)}\npass\n"))
    assert problems and problems[0][0] == 3
    assert says in " ".join(text for _, text in problems)


def test_an_id_used_twice_and_metadata_that_is_no_table_are_named() -> None:
    """Catches two cells that nbgrader would take for one."""
    twice = metadata_problems(parse(f"# %% nbgrader={META}\npass\n\n# %% nbgrader={META}\npass\n"))
    assert [line for line, _ in twice] == [4]
    assert metadata_problems(parse("# %% nbgrader=3\npass\n"))


def test_markers_that_cannot_be_read_name_their_line() -> None:
    """Catches an error about metadata that does not say where."""
    with pytest.raises(MalformedNotebook, match="line 3: the metadata of nbgrader is not valid JSON"):
        parse('# %%\n\n# %% nbgrader={"grade": }\n')
    with pytest.raises(MalformedNotebook, match="line 2: a cell marker is indented"):
        parse("def f():\n    # %% inner\n    pass\n")


def test_a_title_with_an_equals_sign_is_no_metadata() -> None:
    """Catches a learner's own cell title that is refused as broken metadata."""
    cell = parse("# %% try lr=fast and n=5\nx = 1\n").cells[0]
    assert cell.nbgrader == {}


def test_time_limits_come_from_the_cell() -> None:
    """Catches a limit in the metadata that nothing reads."""
    assert parse('# %% tito={"timeout": 2.5}\npass\n').cells[0].timeout == 2.5
    assert parse("# %%\npass\n").cells[0].timeout == 60
