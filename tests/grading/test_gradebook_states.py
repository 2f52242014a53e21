"""What reports, feedback and exports say while a verdict is not on what was handed in last, and where nothing is."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from grading_made import course_folder, layers, record, ungradable

from tito.grading.books.feedback import feedback_page, write_feedback
from tito.grading.books.grade_export import Format, export
from tito.grading.books.gradebook import open_gradebook, write
from tito.grading.books.policy import Lateness
from tito.grading.books.reporting import report_of
from tito.grading.books.results import lateness_of, results
from tito.grading.journal import Journal
from tito.grading.place import Place
from tito.grading.records import submission_hash
from tito.render import gradebook_views
from tito.render.plain import lines

DUE = {"due": {"03_layers": datetime(2026, 10, 1, 22, 0, tzinfo=UTC)}, "late": {"per_day": 10}}
SECOND = submission_hash("layers_dev.py", b"# another\n")


def stamped(place: Place, student: str, when: str) -> Path:
    """The folder of what a student handed in at a time."""
    folder = place.submitted(student, place.course.resolve("03"))
    (folder / "timestamp.txt").write_text(when, encoding="utf-8")
    return folder


def graded(root: Path) -> Place:
    """A grading folder in which ada and bob are graded, on time and without a question."""
    place = course_folder(root)
    place = replace(place, course=replace(place.course, grading=DUE))
    module = place.course.resolve("03")
    for student in ("ada", "bob"):
        stamped(place, student, "2026-10-01 21:00:00 UTC")
    made = (record("ada", answered=()), record("bob", answered=()))
    Journal(place.journal).append([("key", each) for each in made])
    with open_gradebook(place.database, "tinytorch") as gradebook:
        write(gradebook, layers(), made, lateness_of(place, module, {"ada", "bob"}))
    return place


def handed_in_again(place: Place) -> None:
    """ada's second version, three days late."""
    (stamped(place, "ada", "2026-10-04 21:00:00 UTC") / "layers_dev.py").write_bytes(b"# another\n")


def test_a_newer_submission_leaves_the_older_ones_grade_alone(tmp_path: Path) -> None:
    """Catches points of the first version with the lateness of the second, and a total exported as if it were final."""
    place = graded(tmp_path)
    module = place.course.resolve("03")
    handed_in_again(place)
    found = results(place, module)
    assert (found.newer, found.waiting) == ({"ada"}, ("ada", "cem"))
    assert (found.grades["ada"].penalty, found.lateness("ada"), found.lateness("bob")) == (0, "", "on time")
    facts = report_of(found)
    assert [row.state for row in facts.students] == ["newer submission not graded", "complete"]
    assert facts.not_graded == ("ada", "cem")
    shown = "\n".join(lines(gradebook_views.report(facts)))
    assert shown.endswith("next: tito grade autograde 03_layers")
    for layout in Format:
        assert "newer submission not graded" in str(export([found], layout, True).held_back)
    first, second = list(csv.DictReader(io.StringIO(export([found], Format.CSV, True).text)))[:2]
    assert (first["total"], first["state"], second["total"]) == ("", "newer submission not graded", "50")


def test_feedback_says_that_another_version_came(tmp_path: Path) -> None:
    """Catches a page on the first version that looks like the verdict on the second."""
    place = graded(tmp_path)
    module = place.course.resolve("03")
    handed_in_again(place)
    found = results(place, module)
    assert "handed in another version since" in feedback_page(found, "ada")
    assert "handed in another version since" not in feedback_page(found, "bob")
    facts = write_feedback(place, module)
    assert facts.newer == ("ada",)
    assert [*lines(gradebook_views.feedback(facts))][-1] == "next: tito grade autograde 03_layers"


def test_a_submission_that_could_not_be_graded_is_no_later(tmp_path: Path) -> None:
    """Catches points of the first version with the lateness of a second that the grader failed with."""
    place = graded(tmp_path)
    handed_in_again(place)
    Journal(place.journal).append([("key", replace(ungradable("ada"), submission_hash=SECOND))])
    found = results(place, place.course.resolve("03"))
    assert (found.grades["ada"].penalty, "ada" in found.late) == (0, False)


def test_formgrader_renews_no_penalty_of_a_newer_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a penalty for the second version that is written to the points of the first when formgrader ends."""
    from tito.grading.books import formgrader

    place = graded(tmp_path)
    handed_in_again(place)
    settled: dict[str, Lateness] = {}

    def ended(place: Place, port: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(formgrader, "formgrader", ended)
    monkeypatch.setattr(formgrader, "settle", lambda _book, _module, late: settled.update(late))
    formgrader.serve_formgrader(place, "", 0, print)
    assert "ada" not in settled
    assert "bob" in settled


def test_a_submission_that_cannot_be_read_stops_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a traceback, for a whole class, over one file that the disk does not give."""
    place = graded(tmp_path)
    read = Path.read_bytes

    def failing(path: Path) -> bytes:
        if "ada" in path.parts:
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    found = results(place, place.course.resolve("03"))
    assert (found.newer, {*found.grades}) == (frozenset(), {"ada", "bob"})
