"""Submissions that are graded again, with a real journal and gradebook: after kills, faults and other answers."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from grading.test_gradebook import without
from grading_made import dump, layers, record
from support import ROOT, Learner

from tito.course import load_course
from tito.errors import EnvironmentFault
from tito.grading import autograding, pool
from tito.grading.autograding import Wish
from tito.grading.batch import Autograded, Run
from tito.grading.books.gradebook import open_gradebook, read
from tito.grading.books.policy import course_id
from tito.grading.books.regrade import plan
from tito.grading.books.reporting import report_of, report_page
from tito.grading.books.results import results
from tito.grading.engine import Setup, Task
from tito.grading.journal import Journal
from tito.grading.place import Place
from tito.grading.pool import Workers
from tito.grading.records import GradeRecord, Status
from tito.grading.sandbox.jobs import Limits
from tito.render import grade_views, gradebook_views
from tito.render.plain import lines

DEPTH = "reflection-depth-width"
WHERE = ("layers_dev", "03_layers")


class Killed(BaseException):
    """Stands for kill -9: nothing after it in the run happens."""


@dataclass
class School:
    """Students whose files are the text of one answer, and a grader that may fail with some of them."""

    place: Place
    faults: set[str] = field(default_factory=set)  # students with whom the grader fails
    lost: tuple[str, ...] = ()  # the tests that fail
    limits: Limits = field(default_factory=Limits)  # of the last run

    def __post_init__(self) -> None:
        self.module = self.place.course.resolve("03")

    def hand_in_through_a_fault(self, student: str, text: str) -> None:
        """Hand in and grade, where the grader fails with it at first."""
        self.hand_in(student, text)
        self.faults = {student}
        self.run()
        self.faults = set()
        self.run()

    def hand_in(self, student: str, answer: str) -> None:
        folder = self.place.submitted(student, self.module)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "layers_dev.py").write_text(answer, encoding="utf-8")

    def work(self, task: Task) -> GradeRecord:
        made = record(task.student, self.lost, submission_hash=task.hash)
        if task.student in self.faults:
            return replace(made, status=Status.UNGRADABLE, reason="no memory", cells=(), answers=())
        answers = (replace(made.answers[0], grade_id=DEPTH, text=task.data.decode()),)
        return replace(made, answers=answers)

    def run(self, use: Callable[[Run], Any] | None = None, **more: Any) -> Autograded:
        """Grade; use: what is done to the run first."""
        with autograding.prepared(self.place, self.module, Wish(jobs="2", isolation="limits"), **more) as made:
            if use is not None:
                use(made)
            return made.go()

    def by_hand(self, student: str, score: float) -> None:
        """A person grades the answer."""
        with open_gradebook(self.place.database, course_id(self.place.course)) as gradebook:
            grade = gradebook.find_grade(DEPTH, *WHERE, student)
            grade.manual_score, grade.needs_manual_grade = score, False
            gradebook.db.commit()

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that the gradebook says."""
        with open_gradebook(self.place.database, course_id(self.place.course)) as gradebook:
            return dump(gradebook)

    def waits(self, student: str) -> bool:
        """Whether the answer asks for a person."""
        with open_gradebook(self.place.database, course_id(self.place.course)) as gradebook:
            return DEPTH in read(gradebook, "03_layers")[student].ungraded


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> School:
    made = School(Place(tmp_path / "grading", load_course(ROOT)))

    def local(setup: Setup, jobs: int) -> Workers:
        made.limits = setup.limits
        return Workers(
            lambda: ThreadPoolExecutor(jobs),
            lambda task: made.work(task),
            4,
            lambda executor, at_once: executor.shutdown(),
        )

    monkeypatch.setattr(pool, "local", local)
    monkeypatch.setattr(autograding, "load_assignment", lambda *_: layers())
    return made


def killed_before_the_gradebook(run: Run) -> None:
    """Let the run end where the journal has the verdicts and the gradebook does not."""

    def write(records: object) -> None:
        raise Killed

    assert run.books is not None
    run.books.write = write


@pytest.mark.parametrize("kills", [1, 2])
def test_a_kill_does_not_hide_that_a_graded_answer_was_rewritten(school: School, kills: int) -> None:
    """Catches an answer that is compared with itself, since the journal has it and the gradebook was never told."""
    school.hand_in("ada", "width")
    school.run()
    school.by_hand("ada", 7)
    for number in range(kills):
        school.hand_in("ada", f"depth {number}")
        with pytest.raises(Killed):
            school.run(killed_before_the_gradebook)
    school.run()
    assert school.waits("ada")


def test_an_answer_that_was_looked_at_again_is_left_alone(school: School) -> None:
    """Catches an answer that asks for a person after every run since it was rewritten once, or after a regrade."""
    for text in ("width", "depth"):
        school.hand_in("ada", text)
        school.run()
        school.by_hand("ada", 7)
    school.run()
    assert not school.waits("ada")
    school.lost = ("test-linear",)
    school.run(again=True)
    assert not school.waits("ada")


def test_a_fault_of_the_grader_does_not_hide_that_a_graded_answer_was_rewritten(school: School) -> None:
    """Catches an answer that counts as the same because the verdict before, an ungradable one, has none."""
    school.hand_in("ada", "width")
    school.run()
    school.by_hand("ada", 7)
    school.hand_in_through_a_fault("ada", "depth")
    assert school.waits("ada")


def test_a_gradebook_of_an_earlier_grader_goes_by_the_verdicts_before(school: School) -> None:
    """Catches a rewritten answer that nobody sees because tito was updated in the middle of a course."""
    school.hand_in("ada", "width")
    school.run()
    school.by_hand("ada", 7)
    name = course_id(school.place.course)
    with open_gradebook(school.place.database, name) as gradebook, gradebook.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS tito_answer")
    school.hand_in_through_a_fault("ada", "depth")
    assert school.waits("ada")


def test_a_regrade_that_the_grader_fails_with_leaves_the_verdict(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches "the old verdict stands" of a verdict that report, feedback and the next plan no longer have."""
    school.hand_in("ada", "width")
    school.run()
    before = Journal(school.place.journal).records("03_layers")
    stricter = replace(layers(), probes_source=layers().probes_source + "\n# new\n")
    monkeypatch.setattr(autograding, "load_assignment", lambda *_: stricter)
    school.faults = {"ada"}
    assert school.run(again=True).exit_code == 8
    found = results(school.place, school.module)
    assert not found.ungradable("ada") and found.records == before == Journal(school.place.journal).records("03_layers")
    assert found.waiting == ()
    assert school.run().outdated == ("ada",), "it is left to the next regrade"
    school.faults, school.lost = set(), ("test-linear",)
    after = {"ada": school.work(Task("ada", "layers_dev.py", b"width"))}
    compared = plan("03_layers", Journal(school.place.journal).records("03_layers"), after)
    assert [move.student for move in compared.moves] == ["ada"] and not compared.new


def test_a_new_submission_that_the_grader_fails_with_is_told(school: School) -> None:
    """Catches points of an earlier submission that are given out although the last one was never graded."""
    school.hand_in("ada", "width")
    school.run()
    school.hand_in("ada", "depth")
    school.faults = {"ada"}
    school.run()
    assert results(school.place, school.module).ungradable("ada")
    school.hand_in("ada", "width")
    school.faults = set()
    school.run()
    assert not results(school.place, school.module).ungradable("ada"), "what was handed in now has its verdict"


def empty(folder: Path) -> None:
    (folder / "layers_dev.py").unlink()


def folder_for_a_file(folder: Path) -> None:
    empty(folder)
    (folder / "layers_dev.py").mkdir()


@pytest.mark.parametrize("harm", [empty, folder_for_a_file, None])
def test_one_submission_that_cannot_be_read_from_disk_stops_nobody_else(
    school: School, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None] | None
) -> None:
    """Catches a class that stays ungraded because of one folder, and a reason that nobody is told."""
    for student in ("ada", "ben", "cyd"):
        school.hand_in(student, "width")
    folder = school.place.submitted("ben", school.module)
    with monkeypatch.context() as patched:
        if harm is not None:
            harm(folder)
        else:
            real = Path.read_bytes

            def failing(path: Path) -> bytes:
                if path.parent == folder:
                    raise OSError(5, "Input/output error")
                return real(path)

            patched.setattr(Path, "read_bytes", failing)
        done = school.run()
    assert {row.student: row.status for row in done.rows} == {
        "ada": Status.GRADED,
        "ben": Status.UNGRADABLE,
        "cyd": Status.GRADED,
    }
    assert (done.exit_code, done.left) == (8, 0)
    found = results(school.place, school.module)
    assert found.ungradable("ben") and [*found.grades] == ["ada", "cyd"]
    assert str(folder) in found.records["ben"].reason
    if harm is None:
        assert school.run().exit_code == 0, "once it can be read, it is graded"


def test_a_folder_of_an_editor_is_nobody(school: School) -> None:
    """Catches Jupyter's .ipynb_checkpoints taken for a student who handed in."""
    for student in ("ada", ".ipynb_checkpoints"):
        school.hand_in(student, "width")
    assert [row.student for row in school.run().rows] == ["ada"]


@pytest.mark.parametrize(
    "stamp", [b"yesterday", b"\xff\xfe", b"0001-01-01 00:00:00 +1400", b"9999-12-31 23:59:59 UTC", None]
)
def test_one_bad_timestamp_is_told_and_stops_nobody_else(school: School, stamp: bytes | None) -> None:
    """Catches verdicts that never reach the gradebook, and a report that nobody gets, because of one student's file."""
    for student in ("ada", "ben"):
        school.hand_in(student, "width")
        path = school.place.submitted(student, school.module) / "timestamp.txt"
        path.write_text("2026-10-02 00:00:00 UTC\n", encoding="utf-8")
    if stamp is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(stamp)
    due = {"due": {"03_layers": "2026-10-01T23:00:00+00:00"}, "late": {"per_day": 10}}
    school.place = replace(school.place, course=replace(school.place.course, grading=due))
    done = school.run()
    assert done.exit_code == 0 and [name for name, _ in done.untimed] == ["ben"]
    found = report_of(results(school.place, school.module))
    assert {row.student: row.late > 0 for row in found.students} == {"ada": True, "ben": False}
    for shown in (grade_views.autograded(done), gradebook_views.report(found)):
        assert "ben: lateness not known: 03_layers/timestamp.txt" in "\n".join(lines(shown))
    assert "ben: 03_layers/timestamp.txt" in report_page(found)


@pytest.mark.parametrize("dry", [True, False])
def test_what_the_gradebook_refuses_is_refused_before_anything_is_graded(
    school: School, monkeypatch: pytest.MonkeyPatch, dry: bool
) -> None:
    """Catches a regrade that leaves new verdicts in the journal and old ones in the gradebook, and a plan of it."""
    school.hand_in("ada", "width")
    school.run()
    school.by_hand("ada", 7)
    before = school.place.journal.read_bytes(), school.rows()
    monkeypatch.setattr(autograding, "load_assignment", lambda *_: without(DEPTH))
    with pytest.raises(EnvironmentFault, match="no longer has the cell reflection-depth-width"):
        school.run(again=True, dry=dry)
    assert (school.place.journal.read_bytes(), school.rows()) == before


@pytest.mark.parametrize("more", [{}, {"again": True, "dry": True}])
def test_points_stay_until_a_regrade_is_asked_for(
    school: School, monkeypatch: pytest.MonkeyPatch, more: dict[str, bool]
) -> None:
    """Catches a dropped test that leaves the gradebook when nothing is graded, or while a regrade is planned."""
    school.hand_in("ada", "width")
    school.run()
    before = school.rows()
    monkeypatch.setattr(autograding, "load_assignment", lambda *_: without("test-linear"))
    school.run(**more)
    assert school.rows() == before
    school.run(again=True)
    assert school.rows() != before


def test_a_plan_makes_no_gradebook(school: School) -> None:
    """Catches a dry run that leaves files behind."""
    school.hand_in("ada", "width")
    school.run(again=True, dry=True)
    assert not (school.place.root / "gradebook.db").exists() and not school.place.journal.exists()


@pytest.fixture
def teacher(school: School, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learner:
    """Somebody who gives commands in the school's course, whose tests have changed since it was graded."""
    shutil.copy(ROOT / "course.toml", tmp_path)
    for name in ("modules", "tinytorch"):
        (tmp_path / name).symlink_to(ROOT / name)
    for student in ("ada", "ben", "cyd"):
        school.hand_in(student, "width")
    school.run()
    stricter = replace(layers(), probes_source=layers().probes_source + "\n# new\n")
    monkeypatch.setattr(autograding, "load_assignment", lambda *_: stricter)
    school.lost = ("test-linear",)
    return Learner(tmp_path, tmp_path)


REGRADE = ("grade", "regrade", "03", "--isolation", "limits", "-j", "1")


@pytest.mark.parametrize("way", ["--plan", "--yes"])
def test_students_that_a_stopped_regrade_did_not_come_to_are_not_gone(
    school: School, teacher: Learner, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Catches students called "gone" because somebody pressed Ctrl-C."""
    work = school.work

    def stopped(task: Task) -> GradeRecord:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)  # meanwhile the tasks that no worker has begun are taken back
        return work(task)

    monkeypatch.setattr(school, "work", stopped)
    done = teacher.tito(*REGRADE, way, "--json")
    assert done.code == 130, done
    assert ([move["student"] for move in done.json["moves"]], done.json["gone"]) == (["ada"], [])
    assert done.json["unreached"] == ["ben", "cyd"]
    compared = plan("03_layers", {name: record(name) for name in ("ada", "ben")}, {"ada": record("ada")}, ["ben"])
    shown = "\n".join(lines(gradebook_views.regrade(replace(compared, applied=True))))
    assert "1 stay, 1 not reached" in shown and "tito grade regrade 03_layers" in shown


def test_one_students_verdict_can_be_given_again_with_other_limits(school: School, teacher: Learner) -> None:
    """Catches a verdict under tight limits that stays for ever, and a class that is graded again along with it."""
    more = ("--student", "ben", "--timeout", "120", "--memory", "2000")
    for lost, change in ((("test-linear",), -5), ((), 5)):  # the second time, the verdict is of these very tests
        school.lost = lost
        done = teacher.tito(*REGRADE, "--yes", "--json", *more)
        assert done.code == 0, done
        assert [(move["student"], move["change"]) for move in done.json["moves"]] == [("ben", change)]
        assert (done.json["gone"], done.json["unmoved"]) == ([], 0)
    assert (school.limits.wall, school.limits.memory) == (120, 2_000_000_000)
    assert set(school.run().outdated) == {"ada", "cyd"}
    assert teacher.tito(*REGRADE, "--student", "dan", "--plan").code == 2
