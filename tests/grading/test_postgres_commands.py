"""The way of an assignment with its gradebook in PostgreSQL, beside the same class in SQLite."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from grading.lessons import percent, released, solved
from grading.test_commands import MISTAKE, loosen
from grading.test_gradebook_formgrader import Browser
from grading_made import layers, record, unreadable
from postgres import PASSWORD, Server
from support import ROOT, Done, Learner

from tito.course import load_course
from tito.grading.books.autograded import Pages, write_page
from tito.grading.books.gradebook import open_gradebook, read, write
from tito.grading.books.grades import StudentGrade
from tito.grading.books.results import lateness_of
from tito.grading.place import Place

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
POLICY = """
[grading]
course_id = "dl101"
timezone = "Europe/Zurich"
late = { free_days = 1, per_day = 10, grace_minutes = 10 }

[grading.due]
03_layers = "2026-10-25T02:30:00"
"""
ROSTER = """id,first_name,last_name,email,lms_id
ada,Ada,Lovelace,ada@example.org,7
Zoe,Zoë,Ångström,zoe@example.org,8
_ben,Ben,"O'Neil, jr. \U0001f600",ben@example.org,9
cyd,Cyd,Charisse,,
fay,Fay,Weldon,fay@example.org,10
"""
TIMES = "id,timestamp\nada,2026-10-24 23:00:00 UTC\nZoe,2026-10-27 01:00:00 UTC\n_ben,2026-10-26 00:45:00 UTC\n"
TIMES += "cyd,2026-10-25 01:35:00 UTC\n"
DEPTH = "reflection-depth-width"
WHERE = ("layers_dev", "03_layers")


@dataclass(frozen=True)
class Teacher:
    """Somebody who grades a class in a course repository, with the gradebook at an address."""

    root: Path
    url: str

    def grade(self, *words: str) -> Done:
        """A command of `tito grade` that must succeed."""
        person = Learner(self.root, self.root)
        done = person.tito("grade", *words, *(("--db", self.url) if words[0] != "collect" else ()))
        assert done.code == 0, done
        return done

    @property
    def database(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def grading(self) -> Path:
        return self.root / "grading"

    def grades(self) -> dict[str, StudentGrade]:
        """What the gradebook says, without its keys."""
        with open_gradebook(self.url, "dl101") as gradebook:
            return {name: replace(grade, notebook_id="") for name, grade in read(gradebook, "03_layers").items()}

    def by_hand(self, student: str, cell: str, score: float, extra: float | None = None, comment: str = "") -> None:
        """What a program of the course's own does by nbgrader's interface."""
        from nbgrader.api import Gradebook

        with Gradebook(self.url, "dl101") as gradebook:
            grade = gradebook.find_grade(cell, *WHERE, student)
            grade.manual_score, grade.extra_credit, grade.needs_manual_grade = score, extra, False
            if comment:
                gradebook.find_comment(cell, *WHERE, student).manual_comment = comment
            gradebook.db.commit()


@pytest.fixture(autouse=True)
def _settings_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the person who runs the tests decides what tito does."""
    for name in [*os.environ]:
        if name.startswith(("TITO_", "PG")) or name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course repository in which a class has handed in: right, wrong in one place, as released, and no lesson."""
    top = tmp_path_factory.mktemp("class")
    root = top / "course"
    shutil.copytree(ROOT / "tinytorch", root / "tinytorch", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "modules" / "03_layers", root / "modules" / "03_layers")
    (root / "course.toml").write_text((ROOT / "course.toml").read_text(encoding="utf-8") + POLICY, encoding="utf-8")
    grading = root / "grading"
    grading.mkdir()
    (grading / "students.csv").write_text(ROSTER, encoding="utf-8")
    (grading / "secret").write_text("5a" * 32, encoding="utf-8")
    (top / "times.csv").write_text(TIMES, encoding="utf-8")
    right, stub = (percent(page("03_layers")).decode() for page in (solved, released))
    assert right.count(MISTAKE[0]) == 1
    texts = {"ada": right, "Zoe": right.replace(*MISTAKE), "_ben": stub, "cyd": "{no notebook\0"}
    for student, text in texts.items():
        folder = top / "downloaded" / student
        folder.mkdir(parents=True)
        (folder / f"layers_dev.{'ipynb' if student == 'cyd' else 'py'}").write_text(text, encoding="utf-8")
    given = ("--from", str(top / "downloaded"), "--timestamps", str(top / "times.csv"))
    Teacher(root, "").grade("collect", "03", *given)
    return root


@pytest.fixture
def teachers(collected: Path, tmp_path: Path, postgres: Server) -> tuple[Teacher, Teacher]:
    """The same class twice: with the gradebook in SQLite, and in PostgreSQL."""
    urls = {"sqlite": f"sqlite:///{tmp_path / 'grades.db'}", "postgresql": postgres.database()}
    here, there = (Teacher(Path(shutil.copytree(collected, tmp_path / name)), url) for name, url in urls.items())
    return here, there


def answers(teacher: Teacher) -> Iterator[tuple[str, str]]:
    """All that is made of the gradebook, by what asks for it."""
    for name in ("csv", "canvas", "moodle", "gradescope", "json"):
        done = teacher.grade("export", "--format", name, "--include-ungraded")
        yield name, done.out + done.err
    for words in (("report", "03", "--json"), ("report", "03", "--html", "report.html"), ("feedback", "03", "--json")):
        done = teacher.grade(*words)
        yield " ".join(words), done.out.replace(str(teacher.root), "ROOT") + done.err
    pages = [teacher.root / "report.html", *(teacher.root / "grading" / "feedback").rglob("*.html")]
    pages += (teacher.root / "grading" / "autograded").rglob("*.ipynb")
    for path in sorted(pages):
        yield str(path.relative_to(teacher.root)), path.read_text(encoding="utf-8")


def way(teacher: Teacher) -> Iterator[tuple[str, Any]]:
    """An assignment from the first grading to the last export, and what is seen at every step."""
    first = teacher.grade("autograde", "03", "-j", "2", "--json").json
    assert first["counts"] == {"graded": 3, "unreadable": 1, "ungradable": 0} and first["new"] == 4
    yield "graded", teacher.grades()
    assert teacher.grade("autograde", "03", "-j", "2", "--json").json["new"] == 0
    yield "graded again", teacher.grades()
    waiting = teacher.grade("export", "03")
    yield "waiting", (waiting.out, waiting.err, teacher.grade("report", "03", "--json").json)
    teacher.by_hand("ada", DEPTH, 7.5, 1.0, "clear, \u00e9tonnant \U0001f600")
    teacher.by_hand("Zoe", "test-dense", 3.25)
    teacher.grade("autograde", "03", "-j", "2")
    yield "graded by hand", teacher.grades()
    loosen(Learner(teacher.root, teacher.root))
    plan = teacher.grade("regrade", "03", "--plan", "-j", "1", "--json").json
    assert [(move["student"], move["before"], move["after"]) for move in plan["moves"]] == [("Zoe", 48, 50)]
    yield "planned", (plan, teacher.grades())
    yield "regraded", (teacher.grade("regrade", "03", "--yes", "-j", "1", "--json").json, teacher.grades())
    yield from answers(teacher)


def test_a_class_gets_the_same_in_both_databases(teachers: tuple[Teacher, Teacher]) -> None:
    """Catches an order, a number, a time or a letter that is another one in PostgreSQL, and a password that is told."""
    here, there = (dict(way(teacher)) for teacher in teachers)
    assert [*here] == [*there] and len(here) > 20
    for step, seen in here.items():
        assert there[step] == seen, step
    ada, zoe = there["regraded"][1]["ada"], there["regraded"][1]["Zoe"]
    assert (ada.automatic, ada.manual, ada.penalty) == (50, 8.5, 0)
    assert next(cell for cell in zoe.cells if cell.grade_id == "test-dense").needs_manual_grade
    assert zoe.penalty > 0 and there["graded"] == there["graded again"]
    assert PASSWORD not in repr(there)
    root = teachers[1].root
    telling = [path for path in root.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert telling == [root / "grading" / "nbgrader_config.py"]
    assert stat.S_IMODE(telling[0].stat().st_mode) == 0o600


@contextlib.contextmanager
def started(teacher: Teacher, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command of `tito grade` in a process of its own, which ends with the block or is interrupted."""
    command = [sys.executable, "-m", "tito", "grade", *words, "--db", teacher.url]
    with subprocess.Popen(command, cwd=teacher.root, stdout=subprocess.PIPE, text=True, encoding="utf-8") as running:
        try:
            yield running
        except BaseException:
            running.send_signal(signal.SIGINT)
            raise


def test_a_run_that_is_killed_while_it_writes_ends_in_whole_books(
    teachers: tuple[Teacher, Teacher], postgres: Server
) -> None:
    """Catches half a batch that a kill leaves in the database, and locks that keep the next run out."""
    _, teacher = teachers
    open_gradebook(teacher.url, "dl101").close()
    with psycopg.connect(teacher.url.replace("+psycopg", "")) as other:
        other.execute("LOCK TABLE grade IN SHARE MODE")  # students and submissions can be written, grades must wait
        with started(teacher, "autograde", "03", "-j", "2") as running:
            postgres.wait_for_locks(teacher.database, 1)
            verdicts = (teacher.grading / "journal.jsonl").read_text(encoding="utf-8").splitlines()
            running.send_signal(signal.SIGKILL)
        assert postgres.sql(teacher.database, "SELECT count(*) FROM submitted_assignment") == [(0,)]
        other.commit()
    done = teacher.grade("autograde", "03", "-j", "2", "--json").json
    assert len(verdicts) > 0 and done["new"] == 4 - len(verdicts)
    grades = teacher.grades()
    assert {name: grade.automatic for name, grade in grades.items()} == {"ada": 50, "Zoe": 48, "_ben": 0, "cyd": 0}
    assert {len(grade.cells) for grade in grades.values()} == {14}


def test_formgrader_works_on_the_database(teachers: tuple[Teacher, Teacher], postgres: Server) -> None:
    """Catches pages that nbgrader cannot make from PostgreSQL, a lost score, and a penalty that is not renewed."""
    _, teacher = teachers
    place = Place(teacher.grading, load_course(teacher.root))
    module = place.course.resolve("03")
    made = [record("ada"), record("Zoe", lost=("test-dense/4",)), unreadable("cyd")]
    with open_gradebook(teacher.url, "dl101") as gradebook:
        write(gradebook, layers(), made, lateness_of(place, module, {"ada", "Zoe"}))
    for each in made:
        write_page(place, module, Pages(layers()), each)
    before = teacher.grades()["Zoe"]
    with started(teacher, "manual") as running:
        assert running.stdout is not None
        address = running.stdout.readline().partition(": ")[2].strip()
        client = Browser(address)
        notebooks = client.json("/api/submitted_notebooks/03_layers/layers_dev")
        assert {row["student"]: row["score"] for row in notebooks} == {"ada": 50, "Zoe": before.raw, "cyd": 0}
        ids = {row["student"]: row["id"] for row in notebooks}
        for path in ("/gradebook", "/gradebook/03_layers", "/gradebook/03_layers/layers_dev", "/manage_students"):
            assert "nbgrader formgrade</title>" in client.ask(path)
        assert {row["id"] for row in client.json("/api/students")} == {"ada", "Zoe", "_ben", "cyd", "fay"}
        assert client.ask(f"/submissions/{ids['Zoe']}/").count('class="score tabbable"') == 14
        grades = {row["name"]: row for row in client.json(f"/api/grades?submission_id={ids['Zoe']}")}
        client.ask(f"/api/grade/{grades[DEPTH]['id']}", {"manual_score": 8.5, "extra_credit": 1})
        comments = {row["name"]: row for row in client.json(f"/api/comments?submission_id={ids['Zoe']}")}
        client.ask(f"/api/comment/{comments[DEPTH]['id']}", {"manual_comment": "well argued, \u00e9tonnant"})
        postgres.kill_connections(teacher.database)  # a night goes by
        running.send_signal(signal.SIGINT)
    assert running.returncode == 0
    after = teacher.grades()["Zoe"]
    (answer,) = (cell for cell in after.cells if cell.grade_id == DEPTH)
    assert (answer.score, answer.manual_comment) == (9.5, "well argued, \u00e9tonnant")
    assert not answer.needs_manual_grade and answer.manual_score == 8.5
    assert after.penalty == pytest.approx(before.penalty * (before.raw + 9.5) / before.raw)
