"""Submissions that are graded again, with a real journal and gradebook: after kills, faults and other answers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from grading_made import layers, record
from support import ROOT

from tito.course import load_course
from tito.grading import autograding, pool
from tito.grading.autograding import Wish
from tito.grading.batch import Autograded, Run
from tito.grading.books.gradebook import open_gradebook, read
from tito.grading.books.policy import course_id
from tito.grading.books.regrade import plan
from tito.grading.books.results import results
from tito.grading.engine import Setup, Task
from tito.grading.journal import Journal
from tito.grading.place import Place
from tito.grading.pool import Workers
from tito.grading.records import GradeRecord, Status

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

    def __post_init__(self) -> None:
        self.module = self.place.course.resolve("03")

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

    def waits(self, student: str) -> bool:
        """Whether the answer asks for a person."""
        with open_gradebook(self.place.database, course_id(self.place.course)) as gradebook:
            return DEPTH in read(gradebook, "03_layers")[student].ungraded


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> School:
    made = School(Place(tmp_path / "grading", load_course(ROOT)))

    def local(setup: Setup, jobs: int) -> Workers:
        return Workers(lambda: ThreadPoolExecutor(jobs), lambda task: made.work(task), 4, lambda each: each.shutdown())

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
    school.hand_in("ada", "depth")
    school.faults = {"ada"}
    school.run()
    school.faults = set()
    school.run()
    assert school.waits("ada")


def test_a_gradebook_of_an_earlier_grader_goes_by_the_verdicts_before(school: School) -> None:
    """Catches a rewritten answer that nobody sees because tito was updated in the middle of a course."""
    school.hand_in("ada", "width")
    school.run()
    school.by_hand("ada", 7)
    name = course_id(school.place.course)
    with open_gradebook(school.place.database, name) as gradebook, gradebook.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS tito_answer")
    school.hand_in("ada", "depth")
    school.faults = {"ada"}
    school.run()
    school.faults = set()
    school.run()
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
