"""The gradebook: what is written, what is read back through nbgrader's own calls, and what is never touched."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from grading_made import dump, layers, nbgrader_head, record, ungradable, unreadable
from support import ROOT

from tito.errors import EnvironmentFault
from tito.grading.books.autograded import checksum
from tito.grading.books.gradebook import open_gradebook, read, register, settle, write
from tito.grading.books.gradebook_cells import saved_cells
from tito.grading.books.policy import Lateness
from tito.grading.journal import Journal
from tito.notebook import Notebook

LINEAR, DEPTH = "test-linear", "reflection-depth-width"
WHERE = ("layers_dev", "03_layers")
DUE = datetime(2026, 10, 1, 22, 0, tzinfo=UTC)


def grade_by_hand(gradebook: Any, student: str, cell: str, **values: Any) -> None:
    """What formgrader does when a person enters a score or a comment."""
    grade = gradebook.find_grade(cell, *WHERE, student)
    for name, value in values.items():
        if name == "comment":
            gradebook.find_comment(cell, *WHERE, student).manual_comment = value
        else:
            setattr(grade, name, value)
    grade.needs_manual_grade = False
    gradebook.db.commit()


def by_hand(gradebook: Any, student: str, cell: str) -> tuple[Any, ...]:
    grade = read(gradebook, "03_layers")[student]
    found = next(each for each in grade.cells if each.grade_id == cell)
    return found.manual_score, found.extra_credit, found.manual_comment, found.needs_manual_grade


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gradebook.db'}"
    return str(request.getfixturevalue("postgres").database())


@pytest.fixture
def gradebook(url: str) -> Iterator[Any]:
    with open_gradebook(url, "course") as opened:
        yield opened


def test_a_gradebook_is_opened_without_nbgraders_pages_in_jupyter() -> None:
    """Catches the half second that importing them takes, and stand-ins that are left where the pages belong."""
    code = """
import sys
from tito.grading.books.gradebook_schema import nbgrader_api
print(nbgrader_api().Gradebook.__name__)
print([name for name in sys.modules if name.startswith(("jupyter_server", "nbgrader.server_extensions."))])
from nbgrader.server_extensions.formgrader import load_jupyter_server_extension
print(load_jupyter_server_extension.__module__)
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8").stdout
    assert told.splitlines() == ["Gradebook", "[]", "nbgrader.server_extensions.formgrader.formgrader"]


def test_scores_are_there_for_nbgrader(gradebook: Any) -> None:
    """Catches scores under the wrong cell, student or column, as nbgrader's own calls see them."""
    write(gradebook, layers(), [record("ada"), record("bob", lost=(LINEAR, "test-matmul/4"))])
    ada, bob = (gradebook.find_submission("03_layers", name) for name in ("ada", "bob"))
    assert (ada.score, ada.max_score, ada.max_code_score, ada.max_written_score) == (50, 80, 50, 30)
    assert (bob.score, bob.code_score, bob.needs_manual_grade) == (50 - 5 - 6, 39, True)
    assert gradebook.find_grade(LINEAR, *WHERE, "bob").auto_score == 0
    assert gradebook.find_grade("test-matmul", *WHERE, "bob").auto_score == 4
    assert read(gradebook, "03_layers")["bob"].cells[8].auto_comment.endswith("expected (2, 3), got (3, 2)")
    assert gradebook.find_comment("linear", *WHERE, "ada").comment is None
    assert gradebook.assignments[0].name == "03_layers"


def test_the_same_records_twice_leave_the_same_database(gradebook: Any) -> None:
    """Catches a run that doubles rows or renews keys."""
    records = [record("ada"), record("bob", lost=(LINEAR,)), unreadable("cem"), ungradable("dan")]
    write(gradebook, layers(), records)
    first = dump(gradebook)
    assert len(first["grade"]) == 3 * 14
    write(gradebook, layers(), records)
    assert dump(gradebook) == first


def test_the_cells_are_those_that_nbgrader_would_save(gradebook: Any, tmp_path: Path) -> None:
    """Catches names, types, points, sources and checksums that nbgrader's own tools would take for another lesson."""
    from nbgrader.api import Gradebook
    from nbgrader.preprocessors import ClearSolutions, ComputeChecksums, LockCells, SaveCells

    from tito.notebook import to_ipynb

    register(gradebook, layers())
    import nbformat

    page = nbformat.reads(to_ipynb(layers().notebook), as_version=4)
    theirs = f"sqlite:///{tmp_path / 'theirs.db'}"
    open_gradebook(theirs, "course").close()
    with Gradebook(theirs, "course") as other:
        other.add_assignment("03_layers")
    resources = {"nbgrader": {"notebook": "layers_dev", "assignment": "03_layers", "db_url": theirs}}
    for step in (LockCells, ClearSolutions, ComputeChecksums, SaveCells):
        page, resources = step().preprocess(page, resources)
    with Gradebook(theirs, "course") as other:
        assert _cells(other) == _cells(gradebook)
        mine, other_one = (book.find_notebook(*WHERE).kernelspec for book in (gradebook, other))
        assert json.loads(mine) == json.loads(other_one)


def _cells(gradebook: Any) -> dict[str, list[dict[str, Any]]]:
    notebook = gradebook.find_notebook(*WHERE)
    kinds = ("grade_cells", "solution_cells", "source_cells", "task_cells")
    rows = {kind: [each.to_dict() for each in getattr(notebook, kind)] for kind in kinds}
    return {
        kind: sorted(({key: row[key] for key in row if key != "id"} for row in rows[kind]), key=lambda row: row["name"])
        for kind in kinds
    }


def test_checksums_are_nbgraders() -> None:
    """Catches a checksum by which an untouched answer looks like an answer."""
    from nbformat import NotebookNode
    from nbgrader.utils import compute_checksum

    for cell in saved_cells(layers()):
        metadata = NotebookNode(nbgrader=NotebookNode(cell.nbgrader))
        assert checksum(cell) == compute_checksum(
            SimpleNamespace(source=cell.source, cell_type=cell.kind, metadata=metadata)
        )


def test_what_people_gave_survives_another_run(gradebook: Any) -> None:
    """Catches a later run that overwrites a grade, extra credit or a comment, or asks for a graded answer again."""
    write(gradebook, layers(), [record("ada"), record("bob")])
    grade_by_hand(gradebook, "ada", DEPTH, manual_score=7.5, extra_credit=1.0, comment="clear")
    before = dump(gradebook)
    write(gradebook, layers(), [record("ada"), record("bob")])
    assert dump(gradebook) == before
    write(gradebook, layers(), [record("ada", lost=(LINEAR,)), record("bob")])
    assert by_hand(gradebook, "ada", DEPTH) == (7.5, 1.0, "clear", False)
    assert gradebook.find_submission("03_layers", "ada").score == 45 + 8.5


def test_a_graded_answer_that_was_rewritten_asks_for_another_look(gradebook: Any) -> None:
    """Catches a score that stays on an answer nobody has read, and one that is lost because of it."""
    first = record("ada")
    write(gradebook, layers(), [first])
    grade_by_hand(gradebook, "ada", DEPTH, manual_score=7.5)
    answers = tuple(replace(answer, text=answer.text + " And depth.") for answer in first.answers)
    write(gradebook, layers(), [replace(first, answers=answers)], previous={"ada": first})
    assert by_hand(gradebook, "ada", DEPTH) == (7.5, None, "", True)


def test_a_test_scored_by_hand_asks_for_another_look_when_its_verdict_changes(gradebook: Any) -> None:
    """Catches a score given for broken code that silently stands for the mended one."""
    write(gradebook, layers(), [record("ada", lost=(LINEAR,))])
    grade_by_hand(gradebook, "ada", LINEAR, manual_score=2.0)
    write(gradebook, layers(), [record("ada", lost=(LINEAR,))])
    assert by_hand(gradebook, "ada", LINEAR)[0::3] == (2.0, False)
    write(gradebook, layers(), [record("ada")])
    assert by_hand(gradebook, "ada", LINEAR)[0::3] == (2.0, True)


def test_an_unanswered_question_is_worth_nothing_and_waits_for_nobody(gradebook: Any) -> None:
    """Catches empty answers that a person must open one by one, which nbgrader spares them."""
    write(gradebook, layers(), [record("ada", answered=(DEPTH,))])
    grade = read(gradebook, "03_layers")["ada"]
    assert grade.ungraded == (DEPTH,)
    empty = gradebook.find_grade("reflection-registry", *WHERE, "ada")
    assert (empty.auto_score, empty.needs_manual_grade) == (0, False)
    assert gradebook.find_comment("reflection-registry", *WHERE, "ada").comment == "No response."


def test_a_solution_left_as_released_is_said_so(gradebook: Any, tmp_path: Path) -> None:
    """Catches a stub that looks like work in formgrader, also after a run that was killed before it wrote."""
    journal = Journal(tmp_path / "journal.jsonl")
    for made in (record("ada", untouched=("linear",)), record("ada")):
        journal.append([("key", made)])
        write(gradebook, layers(), [journal.records("03_layers")["ada"]])
        said = "No response." if made.untouched else None
        assert gradebook.find_comment("linear", *WHERE, "ada").comment == said
        assert gradebook.find_comment("dense", *WHERE, "ada").comment is None


def test_an_ungradable_submission_writes_nothing(gradebook: Any) -> None:
    """Catches a fault of the grader that becomes a zero, or that takes an earlier score away."""
    write(gradebook, layers(), [record("ada")])
    before = dump(gradebook)
    write(gradebook, layers(), [ungradable("ada"), ungradable("bob")])
    assert dump(gradebook) == before


def test_an_unreadable_submission_is_worth_nothing_with_the_reason(gradebook: Any) -> None:
    """Catches a picture handed in as a lesson that stays "needs grading" for ever, or that has no reason."""
    write(gradebook, layers(), [unreadable("cem")])
    grade = read(gradebook, "03_layers")["cem"]
    assert (grade.raw, grade.possible, grade.ungraded) == (0, 80, ())
    assert {cell.auto_comment for cell in grade.cells} == {"layers_dev.py is no lesson: it is a picture"}
    assert all(cell.auto_score == 0 for cell in grade.cells)


def test_one_bad_record_keeps_the_whole_batch_out(gradebook: Any) -> None:
    """Catches half a batch in the gradebook, which a resumed run would not see."""
    write(gradebook, layers(), [record("ada")])
    before = dump(gradebook)
    broken = record("bob")
    broken = replace(broken, cells=(replace(broken.cells[0], points=float), *broken.cells[1:]))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        write(gradebook, layers(), [record("cem"), broken])
    assert dump(gradebook) == before


def test_points_follow_the_course(gradebook: Any) -> None:
    """Catches a gradebook that goes on counting with the points of an older course."""
    write(gradebook, layers(), [record("ada")])
    grade_by_hand(gradebook, "ada", DEPTH, manual_score=7.5)
    lesson = layers().lesson.replace(
        '"test-linear", "locked": true, "points": 5', '"test-linear", "locked": true, "points": 8'
    )
    richer = replace(layers(), lesson=lesson)
    assert lesson != layers().lesson
    write(gradebook, richer, [record("ada")])
    assert gradebook.find_assignment("03_layers").max_score == 83
    assert by_hand(gradebook, "ada", DEPTH)[0] == 7.5


def without(*names: str) -> Any:
    """The assignment after the course has dropped some cells."""
    cells = tuple(cell for cell in layers().notebook.cells if cell.grade_id not in names)
    return replace(layers(), lesson=Notebook(layers().notebook.header, cells).to_text())


def test_cells_that_the_course_dropped_go(gradebook: Any) -> None:
    """Catches a dropped test that keeps counting for those who were graded before."""
    write(gradebook, layers(), [record("ada"), record("bob")])
    write(gradebook, without(LINEAR), [record("ada")])
    assert gradebook.find_submission("03_layers", "bob").score == 45
    assert gradebook.find_assignment("03_layers").max_score == 75


def test_a_cell_graded_by_hand_is_not_dropped(gradebook: Any) -> None:
    """Catches a renamed question that takes an afternoon of grading with it."""
    write(gradebook, layers(), [record("ada")])
    grade_by_hand(gradebook, "ada", DEPTH, manual_score=7.5)
    before = dump(gradebook)
    with pytest.raises(EnvironmentFault, match="reflection-depth-width, which has grades or comments given by hand"):
        write(gradebook, without(DEPTH), [record("ada")])
    assert dump(gradebook) == before


def test_lateness_is_a_penalty_on_what_was_earned(gradebook: Any) -> None:
    """Catches a penalty that is lost, that counts twice, or that ignores what people gave later."""
    late = {"bob": Lateness(timedelta(hours=30), 2, 0, 10, None, DUE + timedelta(hours=30), DUE)}
    write(gradebook, layers(), [record("ada"), record("bob", lost=(LINEAR,))], late)
    bob = gradebook.find_submission("03_layers", "bob")
    assert (bob.late_submission_penalty, bob.total_seconds_late) == (9.0, 30 * 3600)
    assert gradebook.find_submission("03_layers", "ada").late_submission_penalty == 0
    grade_by_hand(gradebook, "bob", DEPTH, manual_score=10)
    settle(gradebook, "03_layers", late)
    assert gradebook.find_submission("03_layers", "bob").late_submission_penalty == 11
    before = dump(gradebook)
    write(gradebook, layers(), [record("bob", lost=(LINEAR,))], late)
    assert dump(gradebook) == before


def test_grades_read_back_agree_with_nbgrader(gradebook: Any) -> None:
    """Catches our sums and nbgrader's drifting apart."""
    write(gradebook, layers(), [record("ada", lost=("test-matmul/4",)), record("bob"), unreadable("cem")])
    grade_by_hand(gradebook, "ada", DEPTH, manual_score=7.5, extra_credit=2.0)
    for student, grade in read(gradebook, "03_layers").items():
        theirs = gradebook.find_submission("03_layers", student)
        assert (grade.automatic, grade.manual) == (theirs.code_score, theirs.written_score)
        assert (grade.raw, grade.possible) == (theirs.score, theirs.max_score)
        assert bool(grade.ungraded) == theirs.needs_manual_grade


@pytest.mark.slow
def test_a_new_database_needs_no_alembic_on_the_path(tmp_path: Path) -> None:
    """Catches nbgrader's shell call, which fails where the environment is not activated and leaves no version."""
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    code = f"from tito.grading.books.gradebook import open_gradebook; open_gradebook({url!r}, 'course').close()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": "/nowhere"}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert _version(tmp_path / "gradebook.db") == nbgrader_head()


@pytest.mark.slow
def test_processes_that_start_together_make_one_database(tmp_path: Path) -> None:
    """Catches two creators that collide, of which one dies or leaves the schema half made."""
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    code = f"from tito.grading.books.gradebook import open_gradebook; open_gradebook({url!r}, 'course').close()"
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    ended = [(each.communicate()[1], each.returncode) for each in running]
    assert ended == [(b"", 0)] * 2
    assert _version(tmp_path / "gradebook.db") == nbgrader_head()


def test_a_database_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches tables that another process sees, or that a kill leaves, before they have their version."""
    path = tmp_path / "gradebook.db"

    def killed() -> str:
        with contextlib.closing(sqlite3.connect(path, timeout=0)) as other:
            assert other.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        raise KeyboardInterrupt

    monkeypatch.setattr("tito.grading.books.gradebook_schema._head", killed)
    with pytest.raises(KeyboardInterrupt):
        open_gradebook(f"sqlite:///{path}", "course")
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_a_database_left_without_its_version_is_repaired(tmp_path: Path) -> None:
    """Catches a gradebook that nbgrader's next upgrade would take for one of ten years ago."""
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    with open_gradebook(url, "course") as gradebook:
        write(gradebook, layers(), [record("ada")])
    with sqlite3.connect(tmp_path / "gradebook.db") as database:
        database.execute("DROP TABLE alembic_version")
    database.close()
    with open_gradebook(url, "course") as gradebook:
        assert read(gradebook, "03_layers")["ada"].raw == 50
    assert _version(tmp_path / "gradebook.db") == nbgrader_head()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("UPDATE alembic_version SET version_num = '50a4d84c131a'", "has version 50a4d84c131a"),
        ("ALTER TABLE grade DROP COLUMN extra_credit", "lacks grade.extra_credit"),
    ],
)
def test_a_database_of_another_nbgrader_is_refused(tmp_path: Path, damage: str, message: str) -> None:
    """Catches writing into a schema that lacks columns."""
    url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    open_gradebook(url, "course").close()
    with sqlite3.connect(tmp_path / "gradebook.db") as database:
        database.execute(damage)
    database.close()
    with pytest.raises(EnvironmentFault, match=message) as failure:
        open_gradebook(url, "course")
    assert "nbgrader db upgrade" in failure.value.hint


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gradebook.db", "is no address of a database"),
        ("sqlite:////nowhere/at/all/gradebook.db", "cannot be opened: unable to open database file"),
        ("postgresql+nodriver://ada:secret@host/grades", "nodriver"),
    ],
)
def test_an_address_that_leads_nowhere_is_a_sentence(url: str, message: str) -> None:
    """Catches a stack trace of SQLAlchemy, and a password in an error."""
    with pytest.raises(EnvironmentFault, match=message) as failure:
        open_gradebook(url, "course")
    assert "secret" not in failure.value.message


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an ImportError without a word on what to install."""
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    with pytest.raises(EnvironmentFault, match="needs nbgrader") as failure:
        open_gradebook("sqlite://", "course")
    assert failure.value.hint == "pip install 'tito[grade]'"


def test_another_database_by_its_address(tmp_path: Path) -> None:
    """Catches an address given with --db that is not the one that is written."""
    first, second = (f"sqlite:///{tmp_path / name}" for name in ("gradebook.db", "elsewhere.db"))
    for url, lost in ((first, ()), (second, (LINEAR,))):
        with open_gradebook(url, "course") as gradebook:
            write(gradebook, layers(), [record("ada", lost=lost)])
    with open_gradebook(second, "course") as gradebook:
        assert read(gradebook, "03_layers")["ada"].raw == 45


def _version(path: Path) -> str:
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT version_num FROM alembic_version").fetchall()
    database.close()
    assert len(rows) == 1
    return str(rows[0][0])
