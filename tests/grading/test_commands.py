"""`tito grade release`, `collect`, `autograde` and `regrade`, as an instructor runs them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from support import ROOT, Done, Learner

from tito.errors import Exit
from tito.grading.sandbox.zygote_child import descendants
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


def workers(command: int) -> list[int]:
    """The worker processes of a command that grades."""
    found = []
    for pid in descendants(command):
        with contextlib.suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the workers in /proc")
def test_ctrl_c_while_workers_start(teacher: Learner) -> None:
    """Catches workers that print a traceback, or that outlive the command."""
    grade(teacher, "collect", "03_layers", "--from", str(hand_in(teacher, ada="right", ben="mistake")))
    command = [sys.executable, "-m", "tito", "grade", "autograde", "03_layers", "-j", "2"]
    for later in (0.0, 0.05, 0.1, 0.2):  # seconds after the workers' start
        process = subprocess.Popen(
            command,
            cwd=teacher.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )
        while len(found := workers(process.pid)) < 2:
            assert process.poll() is None, process.communicate()[0]
        time.sleep(later)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        said = process.communicate(timeout=60)[0]
        assert process.returncode == Exit.INTERRUPTED, said
        assert "Traceback" not in said and "KeyboardInterrupt" not in said, said
        until = time.monotonic() + 30
        while alive := [pid for pid in found if Path(f"/proc/{pid}").exists()]:
            assert time.monotonic() < until, f"left: {alive}"
            time.sleep(0.05)


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


def test_a_collect_that_takes_nothing_is_no_success(teacher: Learner, tmp_path: Path) -> None:
    """Catches an empty folder or a broken download after which autograde seems to be next."""
    empty, broken = tmp_path / "empty", tmp_path / "all.zip"
    empty.mkdir()
    done = grade(teacher, "collect", "03_layers", "--from", str(empty))
    assert done.code == Exit.NOTHING_RAN
    assert f"nothing found in {empty}" in done.out
    assert "next: tito grade collect 03_layers --from DIR" in done.out
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("ada/layers_dev.py", "x = 1\n" * 1000)
    broken.write_bytes(broken.read_bytes()[:100])
    done = grade(teacher, "collect", "03_layers", "--from", str(broken), "--json")
    assert done.code == done.json["exit_code"] == Exit.NOTHING_RAN
    source = hand_in(teacher, ada="right")
    for _ in range(2):
        done = grade(teacher, "collect", "03_layers", "--from", str(source))
        assert (done.code, "next: tito grade autograde 03_layers" in done.out) == (Exit.OK, True)
