"""Bytes that were handed in: what can be read as a lesson is, with a note; what is none says why."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from grading.lessons import Page, assignment, ipynb, ipynb3, percent, released, solved
from hypothesis import given, settings
from hypothesis import strategies as st

from tito.grading.submission.course_cells import normal
from tito.grading.submission.reading import MAX_BYTES, Unreadable, read_submission
from tito.grading.submission.repair import repair

PAGE = solved("03")
PY, NOTEBOOK = percent(PAGE), ipynb(PAGE)
TEXT = PY.decode()
CELL = {"cell_type": "code", "source": ["x = 1"], "metadata": {}}


def notebook(**more: object) -> bytes:
    return json.dumps({"cells": [CELL], "nbformat": 4, **more}).encode()


def changed(old: str, new: str) -> bytes:
    assert old in TEXT
    return TEXT.replace(old, new, 1).encode()


def ipynb2(page: Page) -> bytes:
    """A notebook of nbformat 2, whose cells have no metadata."""
    cells = [
        {"cell_type": "code", "input": cell["source"], "language": "python"}
        if cell["cell_type"] == "code"
        else {"cell_type": "markdown", "source": cell["source"]}
        for cell in page
    ]
    return json.dumps({"worksheets": [{"cells": cells}], "nbformat": 2}).encode()


def nbconverted(page: Page) -> bytes:
    """What `jupyter nbconvert --to script` writes."""
    words = ["#!/usr/bin/env python\n# coding: utf-8"]
    for cell in page:
        if cell["cell_type"] == "code":
            words.append(f"# In[3]:\n\n\n{cell['source']}\n")
        else:
            words.append("\n".join(f"# {line}" for line in cell["source"].split("\n")) + "\n")
    return "\n\n".join(words).encode()


def script(page: Page) -> bytes:
    """The code of a lesson without a cell marker."""
    return "\n\n\n".join(cell["source"] for cell in page if cell["cell_type"] == "code").encode()


LATIN = changed("# After this module you can", "# Caf\xe9").replace("\xe9".encode(), b"\xe9")
LOOP = "    for i in range(rows):\n        for j in range(columns):\n"
TABS = changed(LOOP, LOOP.replace("        for", "\tfor"))
MARKER = '"grade_id": "matmul", '

# What was handed in, under which name, and what must be said of it; the student's solutions all count.
READABLE: list[tuple[str, bytes, str, list[str]]] = [
    ("as it should be", PY, "layers_dev.py", []),
    ("a notebook", NOTEBOOK, "layers_dev.ipynb", []),
    ("BOM", b"\xef\xbb\xbf" + PY, "layers_dev.py", []),
    ("BOM before JSON", b"\xef\xbb\xbf" + NOTEBOOK, "layers_dev.ipynb", []),
    ("CRLF", PY.replace(b"\n", b"\r\n"), "layers_dev.py", []),
    ("CR", PY.replace(b"\n", b"\r"), "layers_dev.py", []),
    ("CRLF inside JSON", NOTEBOOK.replace(b'\\n"', b'\\r\\n"'), "layers_dev.ipynb", []),
    ("UTF-16", TEXT.encode("utf-16"), "layers_dev.py", ["UTF-16; a lesson is UTF-8"]),
    ("UTF-16 without BOM", TEXT.encode("utf-16-be"), "layers_dev.py", ["UTF-16 without a mark"]),
    ("UTF-32", TEXT.encode("utf-32"), "layers_dev.py", ["UTF-32"]),
    ("Latin-1", LATIN, "layers_dev.py", ["not UTF-8; the file was read as cp1252"]),
    ("declared", b"# -*- coding: iso-8859-15 -*-\n" + LATIN, "layers_dev.py", ["was read as iso8859-15"]),
    ("a byte of no encoding", LATIN.replace(b"\xe9", b"\x81"), "layers_dev.py", ["was read as latin-1"]),
    ("NUL bytes", changed("# After this", "\0\0# After this"), "layers_dev.py", ["2 NUL bytes, which were left out"]),
    ("Ctrl-Z", PY + b"\x1a", "layers_dev.py", ["ended with a Ctrl-Z"]),
    ("no-break spaces", changed("    total = 0", "    total\xa0=\u200b 0"), "layers_dev.py", ["invisible characters"]),
    ("tabs", TABS, "layers_dev.py", ["tabs and spaces are mixed in its indentation"]),
    ("a wrong name", NOTEBOOK, "layers_dev.py", ["holds a notebook (JSON)"]),
    ("the other wrong name", PY, "layers_dev.ipynb", ["holds Python and not a notebook"]),
    ("format 3", ipynb3(PAGE), "layers_dev.ipynb", ["older format (nbformat 3)"]),
    ("garbage at the end", NOTEBOOK + b"\n}}", "layers_dev.ipynb", ["goes on after the end of the notebook"]),
    ("a header", b"# ---\n# jupyter:\n# ---\n\n" + PY, "layers_dev.py", []),
    ("NaN", ipynb(PAGE, metadata={"x": float("nan")}), "layers_dev.ipynb", []),
    ("a huge number", ipynb(PAGE)[:-1] + b', "n": ' + b"9" * 9999 + b"}", "layers_dev.ipynb", []),
    (
        "said twice",
        NOTEBOOK.replace(b'{"cells"', b'{"cells": [], "cells"', 1),
        "layers_dev.ipynb",
        ["cells more than once"],
    ),
    (
        "an indented comment with %%",
        changed("    total = 0", "    # %% a title\n                total = 0").replace(
            b"            # %%", b"            # %%"
        ),
        "layers_dev.py",
        ["an indented # %% comment was read as a comment"],
    ),
    (
        "an indented marker",
        changed("# %% deletable", "  # %% deletable"),
        "layers_dev.py",
        ["a cell marker is indented"],
    ),
    ("broken metadata", changed('{"grade": false, ' + MARKER, "{" + MARKER), "layers_dev.py", []),
    ("damaged metadata", changed(MARKER, MARKER.replace(",", ";")), "layers_dev.py", ["metadata of the cell marker"]),
]


@pytest.mark.parametrize(("data", "name", "said"), [row[1:] for row in READABLE], ids=[row[0] for row in READABLE])
def test_what_can_be_read_is_read(data: bytes, name: str, said: list[str]) -> None:
    """Catches a submission that is lost, or read differently, because of an editor's or a system's habits."""
    reading = read_submission(data, name)
    result = repair(assignment("03"), reading)
    wanted = repair(assignment("03"), read_submission(PY, "layers_dev.py"))
    assert [cell.name for cell in result.cells if cell.test] == [cell.name for cell in wanted.cells if cell.test]
    for (grade_id, mine), (_, whole) in zip(result.sources, wanted.sources, strict=True):
        if name.startswith("layers") and mine != whole:
            assert plain(mine) == plain(whole), grade_id
    assert len(result.repairs) == len(said), result.repairs
    for text, note in zip(said, result.repairs, strict=True):
        assert text in note


def plain(source: str) -> str:
    """A source without what the rows of the table put in."""
    return re.sub(r"\s|# %+ ?a title", "", source)


@pytest.mark.parametrize(
    ("write", "name", "said"),
    [
        (script, "layers_dev.py", "no cell markers"),
        (nbconverted, "layers_dev.py", "exported by nbconvert"),
        (ipynb2, "layers_dev.ipynb", "older format (nbformat 2)"),
    ],
)
def test_a_lesson_without_ids_counts(write: Callable[[Page], bytes], name: str, said: str) -> None:
    """Catches full work that earns nothing because it came as a script, or in a format without metadata."""
    result = repair(assignment("03"), read_submission(write(PAGE), name))
    assert said in result.repairs[0]
    code = "\n".join(normal(cell.source) for cell in result.cells)
    for cell in PAGE:
        if cell["metadata"].get("nbgrader", {}).get("solution") and cell["cell_type"] == "code":
            assert normal(cell["source"]) in code
    assert not any("is missing; the cell" in text for text in result.repairs)
    assert [cell.name for cell in result.cells if cell.test] == [test.grade_id for test in assignment("03").graded]


deep = "[" * 100_000 + "]" * 100_000
UNREADABLE: list[tuple[str, bytes, str, str]] = [
    ("nothing", b"", "x.py", "is empty"),
    ("blank", b" \n\t\n\n", "x.py", "is empty"),
    ("a notebook without cells", notebook(cells=[]), "x.ipynb", "is empty"),
    ("JSON of something else", b'{"a": 1}', "x.ipynb", "JSON without cells"),
    ("cells that are none", notebook(cells={"a": 1}), "x.ipynb", "JSON without cells"),
    ("half a notebook", NOTEBOOK[:5000], "x.ipynb", "is a damaged notebook"),
    ("a conflict", b'{"cells": [\n<<<<<<< HEAD\n1\n=======\n2\n>>>>>>> main\n]}', "x.ipynb", "Git merge conflict"),
    ("deep JSON", f'{{"cells": {deep}}}'.encode(), "x.ipynb", "nested too deeply"),
    ("text as a notebook", b"I did it, see attachment.", "x.ipynb", "is not a notebook"),
    ("a ZIP", b"PK\x03\x04rest", "x.ipynb", "ZIP archive or an office document"),
    ("a PDF", b"%PDF-1.7 ...", "x.py", "PDF"),
    ("a web page", b"<!DOCTYPE html><html></html>", "x.py", "web page"),
    ("binary data", bytes(range(256)) * 4 + b"\0" * 500, "x.py", "binary data"),
    ("a program", b"\x7fELF\x02\x01", "x.py", "a program"),
    ("too large", b"#" * (MAX_BYTES + 1), "x.py", "a lesson has at most"),
    ("too much code", b"x = 1\n" * 400_000, "x.py", "characters in its cells"),
    ("too many cells", b"# %%\nx\n" * 5_001, "x.py", "5,001 cells"),
]


@pytest.mark.parametrize(
    ("data", "name", "reason"), [row[1:] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE]
)
def test_what_is_no_lesson_says_why(data: bytes, name: str, reason: str) -> None:
    """Catches a crash, or a silent 0, for a file that is no lesson."""
    with pytest.raises(Unreadable) as refused:
        read_submission(data, name)
    assert reason in refused.value.reason
    assert name in refused.value.reason


ODD_CELLS: list[tuple[object, str, str]] = [
    ({"cell_type": "code", "source": "a\nb", "metadata": {}}, "a\nb", ""),
    ({"cell_type": "code", "source": ["a\n", "b"], "metadata": None}, "a\nb", ""),
    ({"cell_type": "code", "source": ["a", 7, None]}, "a", "a source that is no text"),
    ({"cell_type": "code", "source": 7, "metadata": {}}, "", "a source that is no text"),
    ({"cell_type": "heading", "level": 2, "source": "Title", "metadata": {}}, "## Title", ""),
    ({"cell_type": "poem", "source": "words", "metadata": {}}, "words", "unknown type 'poem'"),
    ({"cell_type": ["code"], "source": "words", "metadata": {}}, "words", "unknown type list"),
    ({"cell_type": "code", "source": "x = '\ud800'", "metadata": {}}, "x = '?'", "no Unicode text"),
    ({"cell_type": "code", "source": "%matplotlib inline\nx = 1"}, "# %matplotlib inline\nx = 1", "commands of the"),
    ({"cell_type": "code", "source": "!pip install x\nx?\nx = 1"}, "# !pip install x\n# x?\nx = 1", "commands of the"),
    ({"cell_type": "code", "source": "%%time\nx = 1"}, "# %%time\nx = 1", "commands of the"),
    ({"cell_type": "code", "source": "%%bash\nrm -r x"}, "# %%bash\n# rm -r x", "commands of the"),
    ({"cell_type": "code", "source": "if x:\n    %time f()"}, "if x:\n    f()", "commands of the"),
    ({"cell_type": "code", "source": "x = (5\n% 3)"}, "x = (5\n% 3)", ""),
    ({"cell_type": "code", "source": "def f(:\n%x"}, "def f(:\n%x", ""),
]


@pytest.mark.parametrize(("cell", "source", "said"), ODD_CELLS)
def test_odd_cells_of_a_notebook(cell: object, source: str, said: str) -> None:
    """Catches a notebook that is refused or misread because of one cell, and a magic that breaks good code."""
    reading = read_submission(json.dumps({"cells": [cell, CELL]}).encode(), "x.ipynb")
    assert reading.cells[0].source == source
    assert (len(reading.notes) == 1 and said in reading.notes[0]) if said else reading.notes == ()


def test_what_is_no_cell_is_left_out() -> None:
    """Catches a crash on a list of cells that holds something else."""
    reading = read_submission(json.dumps({"cells": [3, None, CELL]}).encode(), "x.ipynb")
    assert [cell.source for cell in reading.cells] == ["x = 1"]
    assert len(reading.notes) == 2


@pytest.mark.parametrize(
    ("bent", "said"),
    [
        (">>> def f(x):\n...     if x:\n...         return x", ["prompts"]),
        ("In [3]: def f(x):\n   ...:     if x:\n   ...:         return x", ["prompts"]),
        ("%%time\ndef f(x):\n    if x:\n\treturn x", ["commands", "tabs"]),
        ("!pip install numpy\ndef f(x):\n    if\u200b x:\n\u00a0       return x", ["commands", "invisible"]),
        ("%time\n>>> def f(x):\n...     if\u200b x:\n... \treturn x", ["commands", "invisible", "prompts", "tabs"]),
    ],
)
def test_several_bends_of_one_cell(bent: str, said: list[str]) -> None:
    """Catches a cell with a command and tabs of which neither repair alone makes Python."""
    reading = read_submission(notebook(cells=[{**CELL, "source": bent}]), "x.ipynb")
    space: dict[str, Any] = {}
    exec(reading.cells[0].source, space)
    assert space["f"](2) == 2
    assert all(word in reading.notes[0] for word in said), reading.notes


def test_markdown_of_a_py_file() -> None:
    """Catches prose that keeps its comment signs or quotes, and code that a changed marker strips of its comments."""
    marker = "# %% [markdown]\n"
    text = f'{marker}# # Title\n#\n# text\n\n{marker}"""\nquoted\n"""\n\n{marker}#| export\nx = 1\n'
    sources = [cell.source for cell in read_submission(text.encode(), "x.py").cells]
    assert sources == ["# Title\n\ntext", "quoted", "#| export\nx = 1"]


def test_code_before_the_first_marker_is_a_cell() -> None:
    """Catches imports above the first marker that are dropped."""
    reading = read_submission(b"# ---\n# jupyter:\n# ---\n\nimport math\n\n# %%\nx = math.pi\n", "x.py")
    assert [cell.source for cell in reading.cells] == ["import math", "x = math.pi"]


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Catches an exception of another kind, which would be taken for a fault of the grader."""
    for name in ("x.py", "x.ipynb"):
        try:
            reading = read_submission(data, name)
        except Unreadable:
            continue
        repair(assignment("01"), reading)
        assert all("\r" not in cell.source and "\0" not in cell.source for cell in reading.cells)


def test_a_wide_object_is_read_in_one_pass() -> None:
    """Catches a look at keys that were given twice that takes the square of their number: hours for one megabyte."""
    keys = b",".join(b'"key %d": 1' % number for number in range(60_000))
    reading = read_submission(notebook(metadata={})[:-1] + b', "metadata": {"a": 1, "a": 2, ' + keys + b"}}", "x.ipynb")
    assert "says metadata more than once" in " ".join(reading.notes)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.ipynb", b'{"cells": [' + b"1, " * 400_000 + b"1]}", "400,001 cells"),
        ("x.ipynb", b'{"cells": [' + b"{}," * 1_000_000 + b"{}]}", "values in its JSON"),
        ("x.ipynb", notebook()[:-1] + b', "x": [' + b"[]," * 1_000_000 + b"[]]}", "values in its JSON"),
        ("x.py", b"# %%\n" * 600_000, "600,000 cells"),
        ("x.py", b"\n" * 10_000_000 + b"x = 1", "characters"),
    ],
)
def test_a_file_of_many_small_parts_takes_no_memory(name: str, data: bytes, reason: str) -> None:
    """Catches a file of a few megabytes that becomes gigabytes of cells and notes in the grader's own process."""
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match=reason):
            read_submission(data, name)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(data) + (1 << 20), peak


def test_commas_in_outputs_are_no_values() -> None:
    """Catches a notebook with a plot's whole program among its outputs that is refused for its commas."""
    output = {"output_type": "display_data", "data": {"text/html": 'a, "b", [c], {d}\\' * 200_000}}
    cell = {**CELL, "outputs": [output]}
    assert read_submission(json.dumps({"cells": [cell]}).encode(), "x.ipynb").cells[0].source == "x = 1"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["code", "markdown", "matmul"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["cell_type", "source", "metadata", "nbgrader", "grade_id", "input"]), inner)
    ),
    max_leaves=12,
)


@given(st.lists(values, max_size=4), st.sampled_from(["cells", "worksheets"]))
@settings(max_examples=300, deadline=None)
def test_any_json_is_read_or_refused(cells: list[object], key: str) -> None:
    """Catches a notebook whose values have other types than a notebook's, on which reading or repair falls over."""
    data = json.dumps({key: cells if key == "cells" else [{"cells": cells}, *cells]}).encode()
    try:
        reading = read_submission(data, "x.ipynb")
    except Unreadable:
        return
    result = repair(assignment("03"), reading)
    assert [cell.name for cell in result.cells if cell.test] == [test.grade_id for test in assignment("03").graded]


def test_hostile_code_is_only_looked_at() -> None:
    """Catches a parser that a deep expression brings down in the grader's own process."""
    for source in (
        "(" * 5000,
        "-" * 50_000 + "1",
        "a" + ".a" * 50_000,
        "[" * 150 + "]" * 150,
        "x = " + "1+" * 30_000 + "1",
    ):
        reading = read_submission(json.dumps({"cells": [{**CELL, "source": source}]}).encode(), "x.ipynb")
        assert source in [cell.source for cell in repair(assignment("01"), reading).cells]


def test_an_untouched_lesson_reads_as_released() -> None:
    """Catches reading that changes the sources of the course's own cells."""
    reading = read_submission(percent(released("03")), "layers_dev.py")
    assert [cell.source for cell in reading.cells] == [cell.source for cell in assignment("03").released.cells]
