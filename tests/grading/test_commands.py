"""`tito grade release`, `collect`, `autograde` and `regrade`, as an instructor runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support import ROOT, Done, Learner

from tito.errors import Exit
from tito.lifecycle.setup import stub

MISTAKE = ("sqrt(2 / (self.in_features", "sqrt(1 / (self.in_features")  # Xavier's scale: the two points of test-dense


@pytest.fixture
def teacher(tmp_path: Path) -> Learner:
    """A course repository of its own, with one module, in which somebody grades."""
    course = tmp_path / "course"
    shutil.copytree(ROOT / "tinytorch", course / "tinytorch", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "modules" / "03_layers", course / "modules" / "03_layers")
    shutil.copy(ROOT / "course.toml", course)
    return Learner(course, course)


def grade(teacher: Learner, *words: str) -> Done:
    return teacher.child("grade", *words, env={"TITO_COURSE": None})


def hand_in(teacher: Learner, **works: str) -> Path:
    """A folder of submissions; the works are "right", "mistake", "stub" or text."""
    solved = teacher.lesson("03").read_text(encoding="utf-8")
    texts = {
        "right": solved,
        "mistake": solved.replace(*MISTAKE),
        "stub": stub(teacher.course, teacher.module("03")).to_text(),
    }
    folder = teacher.root.parent / "class"
    for student, work in works.items():
        (folder / student).mkdir(parents=True, exist_ok=True)
        (folder / student / "layers_dev.py").write_text(texts.get(work, work), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_a_release_has_no_solution_and_proves_that_every_graded_cell_fails(teacher: Learner) -> None:
    """Catches a release that gives the solution away, or points for nothing."""
    done = grade(teacher, "release", "03_layers", "--json")
    assert done.code == Exit.OK, done
    assert done.json["graded_cells"] == 11 and (done.json["points"], done.json["manual_points"]) == (50, 30)
    for name in ("layers_dev.py", "layers_dev.ipynb"):
        text = (teacher.root / "grading" / "release" / "03_layers" / name).read_text(encoding="utf-8")
        assert "BEGIN SOLUTION" not in text and "HIDDEN" not in text and "a[i, k] * b[k, j]\\n" not in text
        assert text.count("raise NotImplementedError()") > 10


@pytest.mark.slow
def test_a_lesson_that_gives_points_for_nothing_is_not_released(teacher: Learner) -> None:
    """Catches a student version that passes a test as it is."""
    text = teacher.lesson("03").read_text(encoding="utf-8")
    begin, end = (
        "        ### BEGIN SOLUTION\n        return math.sqrt(2",
        "        ### END SOLUTION\n\n    @property\n    def weights",
    )
    assert text.count(begin) == text.count(end) == 1
    given = text.replace(begin, "        return math.sqrt(2").replace(end, "\n    @property\n    def weights")
    teacher.lesson("03").write_text(given, encoding="utf-8")
    done = grade(teacher, "release", "03_layers")
    assert done.code == Exit.INTEGRITY and "not fit to be released" in done.err, done
    assert not (teacher.root / "grading" / "release").exists()


def loosen(teacher: Learner) -> None:
    """Change the course so that any scale of Dense's weights is right."""
    for path, old, new in (
        (teacher.lesson("03"), "assert abs(spread - math.sqrt(2 / 400)) < 0.002", "assert spread < 1"),
        (
            teacher.lesson("03").with_name("probes.py"),
            '"test-dense": [dense_start, dense_values]',
            '"test-dense": [dense_values]',
        ),
    ):
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.slow
def test_the_way_of_an_assignment(teacher: Learner) -> None:
    """Catches a step whose answer the next one cannot use, and a verdict that differs between them."""
    source = hand_in(teacher, ada="right", ben="mistake", cyd="stub", dan="{not a notebook")
    (source / "dan" / "layers_dev.py").rename(source / "dan" / "layers_dev.ipynb")
    assert grade(teacher, "collect", "03_layers", "--from", str(source)).code == Exit.OK
    lines = grade(teacher, "autograde", "03_layers", "--jsonl", "-j", "2")
    assert lines.code == Exit.OK, lines
    told = {record["student"]: record for record in map(json.loads, lines.out.splitlines())}
    assert {name: sum(cell["points"] for cell in told[name]["cells"]) for name in told} == {
        "ada": 50,
        "ben": 48,
        "cyd": 0,
        "dan": 0,
    }
    assert told["dan"]["status"] == "unreadable" and told["ben"]["status"] == "graded"
    again = grade(teacher, "autograde", "03_layers", "--json")
    assert again.code == Exit.OK and again.json["new"] == 0 and len(again.json["rows"]) == 4
    assert again.json["counts"] == {"graded": 3, "unreadable": 1, "ungradable": 0}

    loosen(teacher)
    left = grade(teacher, "autograde", "03_layers", "--json")
    assert sorted(left.json["outdated"]) == ["ada", "ben", "cyd", "dan"] and left.json["new"] == 0
    plan = grade(teacher, "regrade", "03_layers", "--plan", "--json")
    assert plan.code == Exit.OK and not plan.json["applied"], plan
    assert [(move["student"], move["after"]) for move in plan.json["moves"]] == [("ben", 50)]
    assert [cell["grade_id"] for cell in plan.json["moves"][0]["cells"]] == ["test-dense"]
    assert sorted(grade(teacher, "autograde", "03_layers", "--json").json["outdated"]) == ["ada", "ben", "cyd", "dan"]
    assert grade(teacher, "regrade", "03_layers").code == Exit.USAGE, "off a terminal it wants --yes"
    done = grade(teacher, "regrade", "03_layers", "--yes", "--json")
    assert done.code == Exit.OK and done.json["applied"] and done.json["moves"] == plan.json["moves"]
    assert not grade(teacher, "autograde", "03_layers", "--json").json["outdated"]
