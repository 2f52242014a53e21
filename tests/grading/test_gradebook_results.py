"""What is made of a gradebook: reports, feedback pages, exports, and the comparison of two gradings."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from grading_made import course_folder, layers, record, ungradable, unreadable
from support import ROOT

from tito.course import load_course
from tito.grading.books.feedback import feedback_page
from tito.grading.books.grade_export import Format, export, safe
from tito.grading.books.grades import CellGrade, StudentGrade
from tito.grading.books.policy import Lateness
from tito.grading.books.regrade import Cause, plan
from tito.grading.books.reporting import histogram, report_of, report_page
from tito.grading.books.results import Results
from tito.grading.intake.students import Roster, Student
from tito.grading.records import Answer, GradeRecord, Status
from tito.render import gradebook_views
from tito.render.blocks import Verbatim
from tito.render.plain import lines

MODULE = load_course(ROOT).resolve("03_layers")
DEPTH = "reflection-depth-width"
DUE = datetime(2026, 10, 1, 22, 0, tzinfo=UTC)


def grade_of(made: GradeRecord, manual: float | None = None, **changes: Any) -> StudentGrade:
    """The grade that a verdict amounts to, with every answer scored when `manual` is given."""
    cells = [CellGrade(cell.grade_id, False, cell.possible, cell.points) for cell in made.cells]
    for answer in made.answers:
        auto = None if answer.answered else 0.0
        scored = manual if answer.answered else None
        waits = auto is None and scored is None
        cells.append(CellGrade(answer.grade_id, True, answer.possible, auto, scored, needs_manual_grade=waits))
    return replace(StudentGrade(made.student, tuple(cells)), **changes)


def results(*pairs: tuple[GradeRecord, float | None], **changes: Any) -> Results:
    """Results of verdicts with the points that each answer got."""
    records = {made.student: made for made, _ in pairs}
    grades = {made.student: grade_of(made, manual) for made, manual in pairs if made.status is Status.GRADED}
    return replace(Results(MODULE, records, grades, {}, submitted=tuple(records)), **changes)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# reports


def test_a_report_adds_up_and_says_who_waits() -> None:
    """Catches a total without its manual part, and a class that looks graded."""
    found = report_of(results((record("ada"), 8), (record("bob", ("test-linear",)), None)))
    assert [(row.student, row.automatic, row.manual, row.total, row.state) for row in found.students] == [
        ("ada", 50, 24, 74, "complete"),
        ("bob", 45, 0, 45, "3 to grade"),
    ]
    assert (found.waiting, found.counted, found.mean, found.possible) == (3, "automatic", 47.5, 80)
    assert report_of(results((record("ada"), 8))).counted == "total"


def test_a_report_names_everybody_who_needs_attention() -> None:
    """Catches a student who is lost between the roster, the inbox and the grader."""
    roster = Roster((Student("ada"), Student("fay")))
    found = report_of(
        results(
            (record("ada"), 8),
            (ungradable("dan"), None),
            roster=roster,
            submitted=("ada", "dan", "gus"),
            quarantined=(("x.zip", "it unpacks to 3 GB"),),
        )
    )
    assert (found.missing, found.not_graded) == (("fay",), ("gus",))
    assert found.ungradable == (("dan", "the sandbox did not start: try again"),)
    assert found.isolation == (("bwrap", 1),)
    shown = "\n".join(lines(gradebook_views.report(found)))
    for words in ("handed in nothing (1): fay", "not graded (1): gus", "dan: could not be graded", "3 GB", "bwrap"):
        assert words in shown


def test_shares_fall_into_ten_bins() -> None:
    """Catches full marks outside the last bin, and a rounding error that moves a student down."""
    found = histogram([0.0, 0.1, 0.3, 0.7, 0.99, 1.0, 1.2])
    assert [each.students for each in found] == [1, 1, 0, 1, 0, 0, 0, 1, 0, 3]
    assert (found[0].low, found[9].high) == (0, 100)


def test_difficulty_is_the_share_and_the_correlation_with_the_rest() -> None:
    """Catches a cell correlated with a sum that contains it; the value is worked out by hand.

    Linear: 0, 5, 5 and the rest 39, 45, 39: deviations (-10, 5, 5)/3 and (-2, 4, -2), so
    r = (20 + 20 - 10)/3 / sqrt(150/9 * 24) = 10/20 = 0.5.
    """
    made = [record("ada", ("test-linear", "test-matmul/4"), ()), record("bob", (), ())]
    made.append(record("cem", ("test-matmul/4",), ()))
    cells = {row.grade_id: row for row in report_of(results(*((each, None) for each in made))).cells}
    linear = cells["test-linear"]
    assert linear.share == pytest.approx(2 / 3)
    assert linear.discrimination == pytest.approx(0.5)
    assert (cells["test-dense"].share, cells["test-dense"].discrimination) == (1, None)
    assert [*cells][:2] == ["test-matmul", "test-module-registry"]


def test_a_cell_that_waits_says_nothing_about_its_difficulty() -> None:
    """Catches ungraded answers counted as zeros, and pictures counted as failed tests."""
    found = report_of(results((record("ada"), None), (record("bob"), 5), (unreadable("cem"), None)))
    depth = next(row for row in found.cells if row.grade_id == DEPTH)
    assert (depth.graded, depth.share) == (1, 0.5)
    assert next(row for row in found.cells if row.grade_id == "test-linear").graded == 2


def test_a_report_fits_eighty_columns() -> None:
    """Catches a table that falls apart in a usual terminal."""
    from tito.render import pretty

    stream = io.StringIO()
    people = Roster((Student("ada.lovelace", "Ada", "Lovelace"),))
    found = report_of(results((record("ada.lovelace", ("test-linear/2.5",)), None), roster=people))
    blocks = list(gradebook_views.report(found))
    pretty.draw(pretty.console(stream, "never", False), blocks)
    assert pretty.minimum_width(blocks) <= 80
    assert "Ada Lovelace" in stream.getvalue()


@pytest.mark.parametrize(
    "who", [Student("ada", "Ada", "L" * 60), Student("ada", "Ada", "de " * 20), Student("a" * 60, "Ada", "L" * 60)]
)
def test_a_long_name_is_cut(who: Student) -> None:
    """Catches one name for which the whole table falls apart into lines, and numbers that are cut in its place."""
    from tito.render import pretty

    stream = io.StringIO()
    odd = record(who.id, ("test-linear/2.5",))
    blocks = list(gradebook_views.report(report_of(results((odd, None), roster=Roster((who,))))))
    assert pretty.minimum_width(blocks) <= 80
    target = pretty.console(stream, "never", False)
    target.width = 80
    pretty.draw(target, blocks[:1])
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert re.search(r"^ a\S* +Ada [de L]+… +47\.5 +0 +47\.5 ", "\n".join(lines), re.M)


def test_bars_fit_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches bars that go on in the next line, where they look like another bin."""
    facts = report_of(results(*((record(f"s{number}"), None) for number in range(12))))
    longest = {}
    for columns in (30, 40, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        drawn = next(block for block in gradebook_views.report(facts) if isinstance(block, Verbatim))
        longest[columns] = max(map(len, drawn.text.splitlines()))
    assert longest[30] <= 30 and longest[40] <= 40
    assert longest[80] == longest[200] == 59


def test_a_report_is_one_document_of_json_and_a_page() -> None:
    """Catches a page that runs what a student or a file name says."""
    odd = replace(ungradable("dan"), reason="<script>alert(1)</script>")
    found = report_of(results((record("ada"), 8), (odd, None)))
    assert json.loads(json.dumps(found.to_json()))["students"][0]["total"] == 74
    page = report_page(found)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


# feedback


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [f"{name}={value}" for name, value in attrs if name in ("src", "href") or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def feedback(made: GradeRecord, manual: float | None = None, **changes: Any) -> _Page:
    return _Page(feedback_page(results((made, manual), **changes), made.student))


def test_feedback_has_points_messages_and_comments() -> None:
    """Catches a page from which a student cannot tell why points were lost."""
    made = record("ada", ("test-linear/2", "test-dropout"))
    grade = grade_of(made, 7.5)
    cells = tuple(replace(c, manual_comment="well argued") if c.grade_id == DEPTH else c for c in grade.cells)
    grade = replace(grade, cells=cells, remarks=(("linear", "mind the shapes"),))
    page = feedback(replace(made, repairs=("2 copies of test-linear: one kept",)), 7.5, grades={"ada": grade})
    for words in (
        *("2 of 5", "0 of 5", "10 of 10", "7.5 of 10", "expected (2, 3), got (3, 2)", "AssertionError: shapes"),
        *("disagreed products: another shape", "agreed: products", "well argued", "mind the shapes", "one kept"),
        "ada says: width, since reflection-depth-width <b>&</b> memory.",
    ):
        assert words in page.text, words


def test_feedback_names_the_cells_that_failed() -> None:
    """Catches a syntax error that a student can only guess from a test's NameError, or finds below the tests."""
    page = feedback(record("ada", ("test-linear",), failures=(("linear", "SyntaxError: invalid syntax (line 2)"),)))
    assert "linear: SyntaxError: invalid syntax (line 2)" in page.text
    assert page.text.index("Cells that failed") < page.text.index("Tests")
    assert "Cells that failed" not in feedback(record("ada")).text


def test_feedback_says_what_is_not_graded_yet() -> None:
    """Catches a zero where nobody has looked yet."""
    page = feedback(record("ada"))
    assert page.text.count("not graded yet") == 4
    assert "50 so far" in page.text
    assert re.findall(r"(?<!1)0 of 10", page.text) == []
    assert "no answer" in feedback(record("ada", answered=()), 0).text


def test_feedback_has_the_arithmetic_of_lateness() -> None:
    """Catches a penalty without its reason."""
    made = record("ada", (), ())
    late = Lateness(timedelta(hours=51), 3, 1, 10, 5, DUE + timedelta(hours=51), DUE)
    grade = replace(grade_of(made), penalty=late.penalty(50))
    page = feedback(made, late={"ada": late}, grades={"ada": grade})
    assert "2 days 3 hours late = 3 days, 1 free day left: 2 x 10% of 50 = 10" in page.text
    assert "-10" in page.text


def test_feedback_of_a_file_that_is_no_lesson() -> None:
    """Catches an empty page for a student who handed in a picture."""
    made = unreadable("cem")
    assert "it is a picture" in feedback(made, grades={"cem": StudentGrade("cem")}).text


EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>'\"&"


def test_nothing_in_feedback_acts() -> None:
    """Catches output, an answer, a message, a comment or a name that becomes part of the page."""
    made = record("ada", ("test-linear",))
    bad = replace(made.cells[3], message=EVIL, detail=EVIL, probes=(replace(made.cells[3].probes[0], message=EVIL),))
    answers = (Answer(DEPTH, 10, EVIL, True),)
    made = replace(made, cells=(bad, *made.cells[4:]), answers=answers, output=EVIL, repairs=(EVIL,))
    made = replace(made, failures=((EVIL, EVIL),))
    grade = grade_of(made, 1, remarks=((EVIL, EVIL),))
    grade = replace(grade, cells=tuple(replace(cell, manual_comment=EVIL) for cell in grade.cells))
    page = feedback(made, grades={"ada": grade}, roster=Roster((Student("ada", EVIL, EVIL),)))
    assert page.tags.isdisjoint({"script", "img", "iframe", "link", "object", "form", "a"})
    assert page.links == []
    assert page.text.count("<script>alert(1)</script>") >= 9


def test_control_characters_are_seen() -> None:
    """Catches colours, bells and carriage returns of a student's output that stand raw in the page."""
    page = feedback_page(results((record("ada", output="\x1b[31mred\x07\x7f\x9b\r\n\tnext\rover\n"), 8)), "ada")
    assert "␛[31mred␇␡\ufffd\n\tnext␍over\n" in page
    assert [char for char in page if not char.isprintable() and char not in "\n\t"] == []


def test_feedback_needs_no_network_and_no_script() -> None:
    """Catches a page that loads something, or that cannot be read where scripts are off."""
    page = feedback_page(results((record("ada"), 8)), "ada")
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert re.findall(r"https?:|@import|url\(", page) == []


def test_nothing_secret_is_in_feedback() -> None:
    """Catches hidden tests, probes or the solution in what a student gets."""
    made = record("ada", ("test-linear", "test-matmul"))
    page = feedback(made).text
    hidden = layers().lesson.split("BEGIN HIDDEN TESTS")[1].split("### END")[0].splitlines()[1:]
    model = next(cell.source for cell in layers().notebook.cells if cell.grade_id == DEPTH).splitlines()
    probes = [line for line in layers().probes_source.splitlines() if len(line.strip()) > 30]
    solution = layers().lesson.split("### BEGIN SOLUTION")[1].split("### END")[0].splitlines()[1:]
    secrets = [line.strip() for line in (*hidden, *model, *probes, *solution) if len(line.strip()) > 12]
    assert len(secrets) > 10
    assert [line for line in secrets if line in page] == []


# exports

PEOPLE = Roster((Student("ada", "Ada", "Lovelace", "ada@example.org", "101"), Student("fay", "Fay", "Late")))


def exported(layout: Format, ungraded: bool = False, **changes: Any) -> str:
    found = results((record("ada"), 8), (record("bob", ("test-linear",)), None), roster=PEOPLE, **changes)
    return export([found], layout, ungraded).text


def test_a_total_without_its_manual_part_is_held_back() -> None:
    """Catches half a grade that becomes final in another system."""
    held, given = (rows(exported(Format.CSV, ungraded)) for ungraded in (False, True))
    assert [(row["student"], row["total"], row["state"]) for row in held] == [
        ("ada", "74", "complete"),
        ("bob", "", "needs manual grading"),
        ("fay", "", "nothing handed in"),
    ]
    assert [row["total"] for row in given] == ["74", "45", ""]
    facts = export([results((record("bob"), None))], Format.CSV, True)
    assert (facts.held_back, facts.included) == ((), (("bob", "03_layers"),))


def test_an_ungradable_submission_has_no_total() -> None:
    """Catches the score of an earlier submission given for one that could not be graded."""
    found = results((ungradable("ada"), None), grades={"ada": grade_of(record("ada"), 8)})
    (row,) = rows(export([found], Format.CSV, True).text)
    assert (row["total"], row["state"]) == ("", "not graded")


def test_canvas_takes_its_columns() -> None:
    """Catches a file that Canvas' import refuses: its columns, its row of possible points, names last first."""
    text = exported(Format.CANVAS)
    assert text.splitlines()[:3] == [
        "Student,ID,SIS User ID,SIS Login ID,Section,03_layers",
        "    Points Possible,,,,,80",
        '"Lovelace, Ada",101,ada,ada,,74',
    ]


def test_moodle_takes_its_columns() -> None:
    """Catches a file whose columns Moodle's import does not match, and a participant's number as ID number."""
    first = rows(exported(Format.MOODLE))[0]
    assert [*first] == [
        *("First name", "Last name", "ID number", "Institution", "Department", "Email address"),
        "Assignment: 03_layers (Real)",
    ]
    assert [*first.values()] == ["Ada", "Lovelace", "ada", "", "", "ada@example.org", "74"]


def test_gradescope_takes_its_columns() -> None:
    """Catches a table that scripts written for Gradescope's cannot read."""
    when = Lateness(timedelta(hours=26, minutes=3), 2, 0, 0, None, DUE + timedelta(hours=26, minutes=3), DUE)
    first = rows(exported(Format.GRADESCOPE, late={"ada": when}))[0]
    assert first == {
        "First Name": "Ada",
        "Last Name": "Lovelace",
        "SID": "ada",
        "Email": "ada@example.org",
        "Sections": "",
        "03_layers": "74",
        "03_layers - Max Points": "80",
        "03_layers - Submission Time": "2026-10-03 00:03:00 +0000",
        "03_layers - Lateness (H:M:S)": "26:03:00",
    }


def test_json_has_every_cell() -> None:
    """Catches an answer that waits and looks like a zero."""
    (assignment,) = json.loads(exported(Format.JSON))["assignments"]
    ada, bob, _ = assignment["students"]
    assert (ada["total"], bob["total"], assignment["possible"]) == (74, None, 80)
    assert {cell["grade_id"]: cell["score"] for cell in bob["cells"]}[DEPTH] is None
    assert len(ada["cells"]) == 14


def test_two_assignments_stand_side_by_side() -> None:
    """Catches a second assignment whose totals go to the students of the first."""
    other = replace(results((record("bob"), 8)), module=load_course(ROOT).resolve("01_tensor"))
    text = export([results((record("ada"), 8)), other], Format.CANVAS).text
    assert [line.split(",")[-2:] for line in text.splitlines()] == [
        ["03_layers", "01_tensor"],
        ["80", "80"],
        ["74", ""],
        ["", "74"],
    ]


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "\uff1d1", "\ufeff=1", " \u202e+1"]
)
def test_no_cell_is_a_formula(name: str) -> None:
    """Catches a student whose name runs in the instructor's spreadsheet."""
    for layout in (Format.CSV, Format.CANVAS, Format.MOODLE, Format.GRADESCOPE):
        found = results((record("bob"), 8), roster=Roster((Student("bob", name, name, name, name),)))
        table = list(csv.reader(io.StringIO(export([found], layout).text)))
        assert not [cell for row in table for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
        assert any("'" + name.replace("\r", " ") in cell for row in table for cell in row)


def test_numbers_of_ours_stay_numbers() -> None:
    """Catches a negative number that a spreadsheet takes for text, and a negative zero."""
    assert safe(-2.5) == -2.5
    assert str(safe(-0.0)) == "0.0"
    assert safe("-2.5") == "'-2.5"


# grading again


def moves(old: GradeRecord, new: GradeRecord) -> list[tuple[str, float, Cause]]:
    found = plan("03_layers", {"ada": old}, {"ada": new})
    return [(cell.grade_id, cell.after - cell.before, cell.cause) for move in found.moves for cell in move.cells]


def test_each_move_has_its_cause() -> None:
    """Catches a student who loses points and is told the wrong reason."""
    full, lost = record("ada"), record("ada", ("test-linear",))
    assert moves(full, full) == []
    assert moves(full, lost) == [("test-linear", -5, Cause.TEST)]
    assert moves(full, replace(lost, submission_hash="t" * 64)) == [("test-linear", -5, Cause.SUBMISSION)]
    cell = full.cells[3]
    probed = replace(cell, points=0.0, probes=(replace(cell.probes[0], agreed=False),))
    assert moves(full, _with(full, probed)) == [("test-linear", -5, Cause.PROBE)]
    assert moves(full, _with(full, replace(cell, points=8.0, possible=8.0))) == [("test-linear", 3, Cause.POINTS)]
    assert moves(full, _with(full, replace(cell, points=4.0))) == [("test-linear", -1, Cause.GRADER)]
    fewer = replace(full, cells=tuple(each for each in full.cells if each is not cell))
    assert moves(full, fewer) == [("test-linear", -5, Cause.DROPPED)]
    assert moves(fewer, full) == [("test-linear", 5, Cause.ADDED)]


def _with(made: GradeRecord, cell: Any) -> GradeRecord:
    return replace(made, cells=tuple(cell if each.grade_id == cell.grade_id else each for each in made.cells))


def test_moves_that_cancel_are_moves() -> None:
    """Catches two changes that hide each other in the sum."""
    found = plan("03_layers", {"ada": record("ada", ("test-linear",))}, {"ada": record("ada", ("test-dropout",))})
    (move,) = found.moves
    assert (move.change, len(move.cells)) == (0, 2)


def test_a_plan_counts_everybody_once() -> None:
    """Catches a student who is in none of the lists, and a fault of the grader that takes points."""
    old = {name: record(name) for name in ("ada", "bob", "cem", "gone")} | {"was": ungradable("was")}
    new = {"ada": record("ada"), "bob": ungradable("bob"), "cem": unreadable("cem")}
    new |= {"was": record("was"), "new": record("new")}
    found = plan("03_layers", old, new)
    assert [(move.student, move.change, move.cause) for move in found.moves] == [("cem", -50, Cause.READING)]
    assert (found.unmoved, found.new, found.gone) == (1, ("new", "was"), ("gone",))
    assert [name for name, _ in found.ungradable] == ["bob"]
    shown = "\n".join(lines(gradebook_views.regrade(found)))
    assert "1 move, 1 stay, 2 new, 1 gone" in shown
    assert json.loads(json.dumps(found.to_json()))["moves"][0]["change"] == -50


def test_whoever_loses_most_stands_first() -> None:
    """Catches the students to look at first at the end of the list."""
    old = {name: record(name, ("test-dropout",)) for name in ("ada", "bob")}
    new = {"ada": record("ada"), "bob": record("bob", ("test-dropout", "test-linear"))}
    assert [move.student for move in plan("03_layers", old, new).moves] == ["bob", "ada"]


def test_results_are_looked_up_in_the_grading_folder(tmp_path: Path) -> None:
    """Catches a report on another gradebook, and a penalty on points of yesterday."""
    from tito.grading.books.gradebook import enrol, open_gradebook, write
    from tito.grading.books.results import results as look_up
    from tito.grading.journal import Journal

    place = course_folder(tmp_path)
    due = {"due": {"03_layers": DUE}, "late": {"per_day": 10}}
    place = replace(place, course=replace(place.course, grading=due))
    (place.submitted("ada", MODULE) / "timestamp.txt").write_text("2026-10-02 01:00:00 UTC", encoding="utf-8")
    (place.root / "students.csv").write_text("id,first_name,lms_id\nada,Ada,101\nfay,Fay,\n", encoding="utf-8")
    made = [record("ada"), record("bob")]
    Journal(place.journal).append([("key", each) for each in made])
    with open_gradebook(place.database, "tinytorch") as gradebook:
        write(gradebook, layers(), made)
        enrol(gradebook, [Student("ada", "Ada", "Lovelace")])
        assert gradebook.find_student("ada").last_name == "Lovelace"
    found = look_up(place, MODULE)
    assert (found.grades["ada"].penalty, found.grades["bob"].penalty) == (5, 0)
    assert found.lateness("ada") == "3 hours late = 1 day: 1 x 10% of 50 = 5"
    assert (found.missing, found.person("ada").lms_id, found.person("ada").last_name) == (("fay",), "101", "Lovelace")
