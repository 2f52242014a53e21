"""Help on the way: hints, differences, solutions, points."""

from __future__ import annotations

import json

import pytest
from support import Learner, files_of


def hints(learner: Learner) -> dict[str, int]:
    record = json.loads((learner.root / ".tito/progress.json").read_text(encoding="utf-8"))
    return dict(record["hints"])


def test_hints_advance_are_recorded_and_the_last_repeats(learner: Learner) -> None:
    """Catches a rung that is skipped, repeated or forgotten, and a ladder that runs out into a traceback."""
    shown = [learner.tito("module", "hint", "1", "--json").json for _ in range(4)]
    assert [facts["text"] for facts in shown] == ["one", "two", "three", "three"]
    assert [(facts["rung"], facts["rungs"]) for facts in shown] == [(1, 3), (2, 3), (3, 3), (3, 3)]
    assert {facts["test"] for facts in shown} == {"test_unit_double"}
    assert hints(learner) == {"01_alpha:test_unit_double": 3}
    assert learner.tito("undo").code == 2, "a hint is nothing to undo"


def test_a_hint_is_for_the_first_failing_test(learner: Learner) -> None:
    """Catches a hint for something that is solved."""
    learner.solve("1")
    learner.edit("1", "return -x", "return x")
    assert learner.tito("module", "hint", "1", "--json").json["test"] == "test_module_alpha"
    learner.edit("1", "return x\n", "return -x\n")
    done = learner.tito("module", "hint", "1")
    assert done.code == 0
    assert "nothing to hint at" in done.out and "next: tito module complete 01_alpha" in done.out
    assert hints(learner) == {"01_alpha:test_module_alpha": 1}


def test_a_hint_for_a_named_test(learner: Learner) -> None:
    """Catches a name that is not checked."""
    assert (
        learner.tito("module", "hint", "1", "--test", "test_module_alpha", "--json").json["test"] == "test_module_alpha"
    )
    done = learner.tito("module", "hint", "1", "--test", "test_unit_duoble")
    assert done.code == 2
    assert "test_unit_double" in done.err


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("", 2, "no hints for test_unit_double"),
        ("test_unit_double = []\n", 3, "hints.toml"),
        ('test_unit_double = "one"\n', 3, "hints.toml"),
        ("test_unit_double = [\n", 3, "hints.toml"),
    ],
)
def test_hints_that_are_missing_or_damaged_are_said(learner: Learner, content: str, code: int, says: str) -> None:
    """Catches "every test passes" for a test that fails and has no hints, and a traceback for a slip of the author."""
    (learner.home / "modules/01_alpha/hints.toml").write_text(content, encoding="utf-8")
    done = learner.tito("module", "hint", "1")
    assert (done.code, done.out) == (code, "")
    assert says in done.err


@pytest.mark.parametrize(("code", "says"), [("1 / 0", "ZeroDivisionError"), ("x = = 1", "syntax error")])
def test_no_hint_for_a_file_that_does_not_load(learner: Learner, code: str, says: str) -> None:
    """Catches a hint about a test that never ran, and a test that sends to the hint which sends back to the test."""
    learner.append("1", code)
    way = "next: correct that, then: tito module test 01_alpha\n"
    done = learner.tito("module", "hint", "1")
    assert (done.code, done.out) == (1, "")
    assert says in done.err and done.err.endswith(way)
    assert learner.tito("module", "test", "1").out.endswith(way)
    assert hints(learner) == {}


def test_the_difference_is_what_the_learner_wrote(learner: Learner) -> None:
    """Catches a difference to something else than the stub."""
    assert "unchanged" in learner.tito("module", "diff", "1").out
    learner.solve("1")
    lines = learner.tito("module", "diff", "1", "--json").json["lines"]
    assert "+    return 2 * x" in lines and "-    raise NotImplementedError()" in lines
    assert not [line for line in lines if "deletable" in line and line[0] in "+-"]
    assert learner.tito("module", "diff", "1", "--reference").code == 1


def test_a_solution_stays_closed_until_the_module_is_complete(learner: Learner) -> None:
    """Catches a solution that is shown by accident, or a look at it that leaves no trace."""
    before = files_of(learner.root)
    done = learner.tito("module", "solution", "1")
    assert (done.code, done.out) == (1, "")
    assert "--spoil" in done.err
    assert files_of(learner.root) == before
    shown = learner.tito("module", "solution", "1", "--spoil", "--json")
    assert shown.code == 0
    cells = {name: theirs for name, _, theirs in shown.json["cells"]}
    assert cells["double"].endswith("return 2 * x")
    assert "BEGIN SOLUTION" not in shown.out
    assert json.loads((learner.root / ".tito/progress.json").read_text(encoding="utf-8"))["spoiled"] == ["01_alpha"]
    assert learner.tito("module", "solution", "1").code == 1, "each look is asked for"


def test_a_complete_module_shows_its_solution_beside_the_learners(learner: Learner) -> None:
    """Catches a comparison with somebody else's code, and a look after completion that counts as spoiling."""
    learner.solve("1")
    learner.edit("1", "return 2 * x", "return x + x")
    learner.prepare("module", "complete", "1")
    rows = {
        name: (mine, theirs) for name, mine, theirs in learner.tito("module", "solution", "1", "--json").json["cells"]
    }
    assert rows["double"][0].endswith("return x + x") and rows["double"][1].endswith("return 2 * x")
    assert json.loads((learner.root / ".tito/progress.json").read_text(encoding="utf-8"))["spoiled"] == []
    assert learner.tito("module", "diff", "1", "--reference").code == 0


@pytest.mark.parametrize(
    ("answer", "answered", "words"),
    [
        (None, False, 0),
        ("# YOUR ANSWER HERE", False, 0),
        ("#   ", False, 0),
        ("# Because it is so.", True, 4),
        ("# YOUR ANSWER HERE Because.", True, 1),
    ],
)
def test_the_points_table(learner: Learner, answer: str | None, answered: bool, words: int) -> None:
    """Catches a placeholder that counts as an answer, points for tests that fail, and points for manual questions."""
    if answer is not None:
        learner.edit("1", "# YOUR ANSWER HERE", answer)
    done = learner.tito("module", "grade", "1", "--json")
    assert (done.code, done.json["earned"], done.json["automatic"], done.json["manual"]) == (1, 0, 15, 10)
    assert done.json["questions"] == [{"grade_id": "question-why", "points": 10, "answered": answered, "words": words}]


def test_points_are_earned_test_by_test(learner: Learner) -> None:
    """Catches all or nothing where the points are for each test."""
    learner.solve("1")
    learner.edit("1", "return -x", "return x")
    done = learner.tito("module", "grade", "1", "--json")
    assert (done.code, done.json["earned"], done.json["verdict"]) == (1, 10, "failed")
    learner.solve("1")
    assert learner.tito("module", "grade", "1").code == 0
