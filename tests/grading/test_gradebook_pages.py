"""The graded notebooks: valid, with the same points under nbgrader's rule, and harmless to whoever reads them."""

from __future__ import annotations

import contextlib
import io
import json
import stat
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from grading_made import course_folder, layers, record, ungradable, unreadable

from tito.grading.books.autograded import Pages, inert, write_config, write_page
from tito.grading.books.gradebook import open_gradebook, read, write
from tito.grading.records import GradeRecord

PAGES = Pages(layers())
LOST = ("test-linear/2", "test-dropout")


def notebook(record_: GradeRecord) -> Any:
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    import nbformat

    page = nbformat.reads(PAGES.page(record_), as_version=4)
    nbformat.validate(page)
    return page


def cell(page: Any, grade_id: str) -> Any:
    (found,) = (each for each in page.cells if each.metadata.get("nbgrader", {}).get("grade_id") == grade_id)
    return found


@pytest.mark.parametrize("made", [record("ada"), record("bob", LOST, ()), unreadable("cem")], ids=lambda r: r.student)
def test_a_page_is_a_notebook_of_format_4_5(made: GradeRecord) -> None:
    """Catches a page that formgrader answers with error 500."""
    page = notebook(made)
    assert (page.nbformat, page.nbformat_minor) == (4, 5)
    assert page.metadata.kernelspec.name == "python3"
    assert len({each.id for each in page.cells}) == len(page.cells) == len(layers().released.cells)


def test_nbgraders_metadata_is_whole() -> None:
    """Catches metadata that nbgrader's validator refuses."""
    from nbgrader.nbgraderformat import MetadataValidator

    for each in notebook(record("ada")).cells:
        MetadataValidator().validate_cell(each)
        if "nbgrader" in each.metadata:
            assert each.metadata.nbgrader.cell_type == each.cell_type


def test_the_page_has_the_students_work_and_the_courses_tests() -> None:
    """Catches a page of the stub, and a test that the student rewrote."""
    made = record("ada", LOST)
    page = notebook(replace(made, sources=(*made.sources, ("test-linear", "assert True"))))
    assert cell(page, "linear").source.endswith("# by ada")
    assert cell(page, "reflection-depth-width").source.startswith("ada says: width")
    assert "def test_unit_linear" in cell(page, "test-linear").source


def test_hidden_tests_are_not_on_the_page() -> None:
    """Catches hidden tests in what nbgrader's own feedback is made from."""
    assert "HIDDEN TESTS" in layers().lesson
    hidden = [line for line in layers().lesson.split("### BEGIN HIDDEN TESTS")[1].split("###")[0].splitlines() if line]
    assert hidden
    assert hidden[0].strip() not in PAGES.page(record("ada", LOST))


@pytest.mark.parametrize("lost", [(), LOST, ("test-matmul", "test-flatten/0.5")])
def test_nbgraders_own_rule_comes_to_the_same_points(lost: tuple[str, ...]) -> None:
    """Catches a page whose outputs say another score than the gradebook."""
    from nbgrader.utils import determine_grade

    made = record("ada", lost, answered=("reflection-depth-width",))
    page = notebook(made)
    assert {c.grade_id: determine_grade(cell(page, c.grade_id)) for c in made.cells} == {
        c.grade_id: (c.points, c.possible) for c in made.cells
    }
    answers = {answer.grade_id: determine_grade(cell(page, answer.grade_id))[0] for answer in made.answers}
    assert answers == {"reflection-depth-width": None, "reflection-training-memory": 0, "reflection-registry": 0}


def test_each_test_shows_its_message_its_traceback_and_its_probes() -> None:
    """Catches a failed test of which a grader sees only that it failed."""
    page = notebook(record("ada", LOST))
    (failed,) = cell(page, "test-dropout").outputs
    assert failed.evalue.endswith("expected (2, 3), got (3, 2)")
    assert "AssertionError: shapes" in "\n".join(failed.traceback)
    assert "disagreed  products  another shape" in failed.traceback
    partial = cell(page, "test-linear").outputs[0].text
    assert partial.startswith("2 of 5 points\n")
    assert cell(page, "test-matmul").outputs[0].text == "10 of 10 points\nagreed     products\n"


def test_an_unreadable_submission_has_a_page_with_the_reason() -> None:
    """Catches formgrader's 404 for a student who has a grade."""
    (output,) = cell(notebook(unreadable("cem")), "test-linear").outputs
    assert output.evalue == "layers_dev.py is no lesson: it is a picture"


ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "text <b onclick=alert(1)>bold</b>",
    "<svg/onload=alert(1)>",
    "<div\nonclick=alert(1)>\n\n<!-- -->",
    "[x](javascript:alert(1))",
    "![x](javascript:alert(1))",
    "[x][r]\n\n[r]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "[x](java&#115;cript:alert(1))",
    '```" onclick="alert(1)\nx\n```',
    '# " onclick="alert(1)',
    'https://example.org/"onclick="alert(1)',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#36;&#92;href{javascript:alert(1)}{x}&#36;",
    r"$\href{javascript:alert(1)}{x}$",
    r"$\require{html}\style{position:fixed}{x}$",
    "\\<script>alert(1)</script>",
    "`<script>`\\`<script>alert(1)</script>`",
    "<<script>script>alert(1)<</script>/script>",
]


class _Found(HTMLParser):
    """Whatever in a page could act."""

    def __init__(self) -> None:
        super().__init__()
        self.active: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.active += [tag] * (tag in ("script", "img", "svg", "iframe", "object", "style", "b", "div"))
        self.active += [name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_answer_cannot_act_in_the_graders_browser(attack: str) -> None:
    """Catches an answer that changes grades when somebody reads it."""
    from nbconvert.filters import markdown2html

    found = _Found()
    found.feed(markdown2html(inert(attack)))
    assert found.active == []
    assert not any(f"\\{macro}" in found.text for macro in ("href", "style", "require"))


def test_an_answer_still_reads_as_it_was_written() -> None:
    """Catches prose, mathematics or code that the protection makes unreadable."""
    text = "Width $a < b$, `list[int]`, x && y, 3 <4, *more*:\n\n```python\nif a<b and c[0]: pass\n```"
    assert inert(text) == text.replace("a<b", "a< b").replace("]: pass", "] : pass")


def test_half_a_surrogate_pair_does_no_harm(tmp_path: Path) -> None:
    """Catches text of which no file and no database can be made."""
    made = record("ada", LOST)
    bad = "x\ud800\0y"
    made = replace(made, cells=tuple(replace(each, message=bad, detail=bad) for each in made.cells))
    place = course_folder(tmp_path)
    write_page(place, place.course.resolve("03"), PAGES, made)
    with open_gradebook(place.database, "course") as gradebook:
        write(gradebook, layers(), [made])
        assert list(read(gradebook, layers().module)) == ["ada"]
    page = place.autograded("ada", place.course.resolve("03")) / "layers_dev.ipynb"
    assert len(json.loads(page.read_text(encoding="utf-8"))["cells"]) == len(layers().released.cells)


def test_an_ungradable_record_keeps_the_page_there_was(tmp_path: Path) -> None:
    """Catches a fault of the grader that replaces a student's graded page."""
    place = course_folder(tmp_path)
    module = place.course.resolve("03")
    write_page(place, module, PAGES, record("ada"))
    before = (place.autograded("ada", module) / "layers_dev.ipynb").read_bytes()
    write_page(place, module, PAGES, ungradable("ada"))
    assert (place.autograded("ada", module) / "layers_dev.ipynb").read_bytes() == before
    assert [path.name for path in place.autograded("ada", module).iterdir()] == ["layers_dev.ipynb"]


def test_the_configuration_leads_nbgraders_tools_to_the_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches nbgrader's commands that find another gradebook, no submissions or other scores."""
    from nbgrader.apps import ExportApp, NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import PyFileConfigLoader

    place = course_folder(tmp_path)
    module = place.course.resolve("03")
    records = [record("ada", LOST), record("bob"), unreadable("cem")]
    with open_gradebook(place.database, "tinytorch") as gradebook:
        write(gradebook, layers(), records)
    for each in records:
        write_page(place, module, PAGES, each)
    write_config(place, "tinytorch")
    config = PyFileConfigLoader("nbgrader_config.py", path=str(place.root)).load_config()
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    assert {row["student"]: row["score"] for row in api.get_submissions("03_layers")} == {
        "ada": 42,
        "bob": 50,
        "cem": 0,
    }
    assert {row["student"]: row["autograded"] for row in api.get_submissions("03_layers")} == dict.fromkeys(
        ("ada", "bob", "cem"), True
    )
    monkeypatch.chdir(place.root)
    ExportApp.clear_instance()
    with contextlib.redirect_stderr(io.StringIO()):
        app = ExportApp(config=config)
        app.initialize([])
        app.start()
    rows = [line.split(",") for line in (place.root / "grades.csv").read_text(encoding="utf-8").splitlines()]
    named = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert [(row["student_id"], row["score"], row["max_score"]) for row in named] == [
        ("ada", "42.0", "80.0"),
        ("bob", "50.0", "80.0"),
        ("cem", "0.0", "80.0"),
    ]


def test_a_persons_own_configuration_is_kept(tmp_path: Path) -> None:
    """Catches a run that throws away what somebody has set up for nbgrader."""
    place = course_folder(tmp_path)
    path = place.root / "nbgrader_config.py"
    write_config(place, "tinytorch", "postgresql://ada:secret@host/grades")
    assert "secret@host" in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("c = get_config()\n", encoding="utf-8")
    write_config(place, "tinytorch")
    assert path.read_text(encoding="utf-8") == "c = get_config()\n"


def test_a_page_is_made_of_the_template_alone() -> None:
    """Catches work of one student on the page of the next."""
    first = PAGES.page(record("ada"))
    PAGES.page(record("bob", LOST))
    assert PAGES.page(record("ada")) == first
    assert "bob" not in first
    assert json.loads(first)
