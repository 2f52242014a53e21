"""The commands on a gradebook: what they print, what they write, and the words for what cannot be done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from grading_made import course_folder, layers, record, unreadable
from support import ROOT, Learner

from tito.grading.books.autograded import Pages, write_page
from tito.grading.books.gradebook import open_gradebook, write
from tito.grading.journal import Journal


@pytest.fixture
def teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learner:
    """Somebody in a course repository with three graded submissions, one of them a picture."""
    for name in [*os.environ]:
        if name.startswith("TITO_") or name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    shutil.copy(ROOT / "course.toml", tmp_path)
    for name in ("modules", "tinytorch"):
        (tmp_path / name).symlink_to(ROOT / name)
    place = course_folder(tmp_path)
    made = [record("ada", ("test-linear/2",)), record("bob", answered=()), unreadable("cem")]
    Journal(place.journal).append([("key", each) for each in made])
    with open_gradebook(place.database, "tinytorch") as gradebook:
        write(gradebook, layers(), made)
    for each in made:
        write_page(place, place.course.resolve("03"), Pages(layers()), each)
    return Learner(tmp_path, tmp_path)


def test_a_report_is_shown_and_written(teacher: Learner) -> None:
    """Catches a command that shows other facts than the page and the document have."""
    done = teacher.tito("grade", "report", "03", "--plain", "--html", "report.html")
    assert done.code == 0
    assert "ada: automatic 47, manual 0, total 47, state 3 to grade" in done.out
    assert "cem: automatic 0, manual 0, total 0, state unreadable" in done.out
    assert "3 to grade" in (teacher.root / "report.html").read_text(encoding="utf-8")
    assert teacher.tito("grade", "report", "03", "--json").json["students"][0]["automatic"] == 47


def test_feedback_is_one_page_a_student(teacher: Learner) -> None:
    """Catches pages in the wrong folder, and one for everybody where one was asked for."""
    one = teacher.tito("grade", "feedback", "03", "--student", "bob")
    assert (one.code, "03_layers: 1 page in" in one.out) == (0, True)
    pages = teacher.root / "grading" / "feedback"
    assert [path.name for path in pages.iterdir()] == ["bob"]
    done = teacher.tito("grade", "feedback", "03")
    assert "3 pages" in done.out
    assert "47 so far" in (pages / "ada" / "03_layers" / "layers_dev.html").read_text(encoding="utf-8")
    missing = teacher.tito("grade", "feedback", "03", "--student", "nobody")
    assert (missing.code, "There is no verdict on 'nobody'" in missing.err) == (2, True)


def test_an_export_goes_to_stdout_or_to_a_file(teacher: Learner) -> None:
    """Catches remarks in the middle of a CSV file."""
    done = teacher.tito("grade", "export", "03")
    assert done.out.splitlines()[0].startswith("module,student,")
    assert "ada, 03_layers: no total: needs manual grading" in done.err
    assert teacher.tito("grade", "export", "--format", "canvas").out.splitlines()[1].startswith("    Points Possible")
    done = teacher.tito("grade", "export", "03", "--format", "json", "--to", "grades.json", "--include-ungraded")
    document = json.loads((teacher.root / "grades.json").read_text(encoding="utf-8"))
    assert document["assignments"][0]["students"][0]["total"] == 47
    assert "3 of 3 totals in grades.json" in done.out
    wrong = teacher.tito("grade", "export", "03", "--format", "xls")
    assert (wrong.code, "not 'xls'" in wrong.err) == (2, True)


@pytest.mark.parametrize("words", [("report", "01"), ("feedback", "01"), ("export", "01")])
def test_nothing_graded_is_not_an_empty_success(teacher: Learner, words: tuple[str, ...]) -> None:
    """Catches an empty table for a module that nobody has graded."""
    done = teacher.tito("grade", *words)
    assert (done.code, done.err) == (
        5,
        "No submission of 01_tensor has been graded.\nnext: tito grade autograde 01_tensor\n",
    )


def test_another_database_is_read(teacher: Learner) -> None:
    """Catches --db that is taken and not used."""
    url = f"sqlite:///{teacher.root / 'other.db'}"
    with open_gradebook(url, "tinytorch") as gradebook:
        write(gradebook, layers(), [record("ada")])
    assert teacher.tito("grade", "report", "03", "--db", url, "--json").json["students"][0]["automatic"] == 50
    broken = teacher.tito("grade", "report", "03", "--db", "grades")
    assert (broken.code, "no address of a database" in broken.err) == (3, True)


@pytest.mark.parametrize("words", [("report", "03"), ("feedback", "03"), ("export", "03")])
def test_a_database_that_is_not_there_is_not_made(teacher: Learner, words: tuple[str, ...]) -> None:
    """Catches a slip in --db that makes an empty gradebook, and a report in which nobody is graded."""
    done = teacher.tito("grade", *words, "--db", f"sqlite:///{teacher.root / 'typo.db'}")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith(f"There is no gradebook {teacher.root / 'typo.db'}.\nnext: check the address")
    assert not (teacher.root / "typo.db").exists()


@pytest.mark.parametrize("words", [("report", "03", "--html"), ("export", "03", "--to")])
def test_a_file_that_cannot_be_written_is_named(teacher: Learner, words: tuple[str, ...]) -> None:
    """Catches a message on a hidden file beside the one that was asked for."""
    done = teacher.tito("grade", *words, "absent/file.html")
    assert (done.code, done.err.splitlines()[0]) == (3, "absent/file.html: No such file or directory.")
    assert not (teacher.root / "absent").exists()


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_formgrader_is_served_until_it_is_stopped(teacher: Learner, ending: signal.Signals) -> None:
    """Catches a server that stays behind, and an address that is printed too late."""
    command = [sys.executable, "-m", "tito", "grade", "manual"]
    with subprocess.Popen(command, cwd=teacher.root, stdout=subprocess.PIPE, encoding="utf-8") as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text(encoding="utf-8").split()
        running.send_signal(ending)
        assert running.wait(60) == 0
    assert line.startswith("formgrader, until Ctrl-C: http://127.0.0.1:")
    assert children
    assert not any(Path(f"/proc/{child}").exists() for child in children)
