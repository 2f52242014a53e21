"""The judge: arrays of a submission beside those of the reference, and the points that follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tito.errors import EnvironmentFault
from tito.grading.assignment import Assignment, GradedCell
from tito.grading.judge import compare, earned, failures, probe_titles, score
from tito.grading.sandbox.jobs import COURSE_CELL, CellRun, Ending, JobCell, ProbeRun, RunResult
from tito.report import Outcome


def judged(wanted: object, found: object, **tolerance: object) -> str:
    """What the judge says of two results called x; "" for agreement."""
    ours, theirs = (ProbeRun("p", {"x": np.asarray(each)}) for each in (wanted, found))
    verdict = compare(ours, theirs, tolerance)
    assert verdict.agreed is (verdict.message == "")
    return verdict.message


NAN, INF = float("nan"), float("inf")
AGREE = [
    ([1.0, 2.0], [1.0, 2.0 + 1e-12]),
    (np.float32([1.0, 2.0]), np.float32([1.00001, 2.0])),
    ([NAN, INF, -INF], [NAN, INF, -INF]),
    (np.float32([1, 2]), np.array([1, 2], dtype=">f4")),
    (np.zeros((0, 3)), np.zeros((0, 3))),
    ([True, False], [True, False]),
    (3, 3.0),
    (3.0, np.float32(3)),
    (0.1, np.float32(0.1)),
    (2**53 + 1, 2**53 + 1),
    (np.uint8(7), np.int64(7)),
    (-0.0, 0.0),
    (1 + 2j, 1 + 2j),
]
DIFFER = [
    ([1.0, 2.0], [1.0, 2.001]),
    ([1.0, 2.0], [2.0, 1.0]),
    ([NAN, 1.0], [1.0, NAN]),
    ([INF, 1.0], [-INF, 1.0]),
    ([INF], [1e308]),
    ([1.0], [INF]),
    ([1.0], [NAN]),
    ([1.0, 2.0], np.float32([1, 2])),
    ([1, 2], [1.0, 2.0]),
    ([1, 2], np.int32([1, 2])),
    ([1, 0], [True, False]),
    ([[1.0, 2.0]], [1.0, 2.0]),
    ([[1.0], [2.0]], [[1.0, 2.0]]),
    (np.zeros((0, 3)), np.zeros((3, 0))),
    ([1.0], 1.0),
    (True, 1),
    (1, True),
    (3, 4),
    (2**53 + 1, 2**53),
    (2**63, -(2**63)),
    (1.0, 1.0 + 1j),
    (1, np.longdouble("1e4000")),
    (1.0, NAN),
    ([1.0], ["1.0"]),
    ([1.0], np.array([None], dtype=object)),
    ([1.0], np.array([1], dtype="m8[s]")),
    ([1.0], np.array([(1.0,)], dtype=[("a", "f8")])),
    ([1.0], np.array([b"\0" * 8], dtype="V8")),
]


@pytest.mark.parametrize(("wanted", "found"), AGREE)
def test_what_is_the_same_agrees(wanted: object, found: object) -> None:
    """Catches a correct answer that is refused for its rounding, byte order, or a plain number in place of an array."""
    assert judged(wanted, found) == ""


@pytest.mark.parametrize(("wanted", "found"), DIFFER)
def test_what_differs_is_noticed(wanted: object, found: object) -> None:
    """Catches a wrong value, shape or dtype that passes, and hostile data at which the judge itself fails."""
    assert judged(wanted, found) != ""


def test_huge_strides_cost_nothing() -> None:
    """Catches an array that claims more elements than there is memory and ends the grader."""
    huge = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 40,), (0,))
    assert judged([1.0, 2.0], huge) == "x: shape of another kind, expected (2,)"


def test_messages_carry_nothing_out_of_the_sandbox() -> None:
    """Catches feedback in whose words a submission sends out what it has read of the probes."""
    told = compare(parts(a=1), ProbeRun("p", {"a": np.array(1), "def probe(lesson, rng)": np.array(1)}), {}).message
    assert "lesson" not in told
    assert "118" not in judged([1.0, 2.0], np.zeros((0, 100, 101, 118)))


def test_a_coarse_dtype_makes_no_wrong_number_right() -> None:
    """Catches tolerances that a student chooses by answering in float16."""
    assert judged(100.0, np.float16(100.5)) != "" and judged(100.0, np.float16(100.0)) == ""
    assert judged([100.0], np.float16([100.5]), dtype="kind") != ""
    assert judged(100.0, np.float32(100.0001)) == ""


def test_messages_hold_no_expected_value() -> None:
    """Catches feedback from which a student could copy the answers."""
    assert judged([1.25, 7.5, 3.0], [1.25, 2.0, 4.0]) == "x: differs from the reference in 2 of 3 numbers"
    assert judged(7.5, 8.0) == "x: differs from the reference"
    assert judged(np.zeros((3, 4)), np.zeros((4, 3))) == "x: shape (4, 3), expected (3, 4)"
    assert judged(np.float32([1]), np.float64([1])) == "x: dtype float64, expected float32"


def test_tolerances_are_those_of_the_table() -> None:
    """Catches options of TOLERANCES that are read and not used."""
    assert judged([100.0], [101.0], rtol=0.02) == ""
    assert judged([100.0], [101.0], rtol=0.002) != ""
    assert judged([0.0], [0.04], atol=0.05) == ""
    assert judged(0.0, 0.04, atol=0.05) == ""
    assert judged(np.float64([1]), np.float32([1]), dtype="kind") == ""
    assert judged(np.int64([1]), np.uint8([1]), dtype="kind") == ""
    assert judged(np.int64([1]), np.float64([1]), dtype="kind") != ""
    assert judged([1, 2], [1, 3], rtol=1.0) != "", "whole numbers are exact"


def parts(**arrays: object) -> ProbeRun:
    return ProbeRun("p", {name.replace("__", ":"): np.asarray(value) for name, value in arrays.items()})


def test_parts_must_be_the_same() -> None:
    """Catches a result with a part left out, one too many, or text where numbers belong."""
    assert compare(parts(a=1, b=2), parts(b=2, a=1), {}).agreed
    assert compare(parts(a=1, b=2), parts(a=1), {}).message == "b: missing"
    assert compare(parts(a=1), parts(a=1, b=2), {}).message == "the result has a part that the reference's has not"
    assert compare(parts(a=1), parts(a__str=[49]), {}).message == "a: of another kind than the reference's"
    assert compare(parts(a__str=[97, 98]), parts(a__str=[97, 99]), {}).message == "a: another text than the reference's"
    assert compare(parts(a__str=np.uint8([97])), parts(a__str=np.uint8([97, 98])), {}).agreed is False
    long = compare(parts(a=1), ProbeRun("p", {"a": np.array(1), "z" * 1000: np.array(1)}), {}).message
    assert len(long) < 120


def test_a_probe_that_failed_says_why_in_one_line() -> None:
    """Catches a traceback, or a megabyte of text, that a submission writes into its feedback."""
    failed = compare(parts(a=1), ProbeRun("p", None, "ValueError: no\nTraceback\n" + "x" * 10_000), {})
    assert (failed.agreed, failed.message) == (False, "ValueError: no")
    assert compare(parts(a=1), ProbeRun("p", None), {}).message == "gave no result"


def cell(points: int = 10, probes: int = 3, partial: bool = False) -> GradedCell:
    names = tuple(f"probe_{number}" for number in range(probes))
    return GradedCell("test-it", "test_unit_it", points, 10.0, "", names, partial)


@pytest.mark.parametrize(
    ("partial", "passed", "agreeing", "points"),
    [
        (False, True, 3, 10.0),
        (False, True, 2, 0.0),
        (False, False, 3, 0.0),
        (True, True, 3, 10.0),
        (True, True, 2, 6.67),
        (True, True, 0, 0.0),
        (True, False, 3, 7.5),
        (True, False, 1, 3.33),
        (True, False, 0, 0.0),
    ],
)
def test_points(partial: bool, passed: bool, agreeing: int, points: float) -> None:
    """Catches points for a forged test without a probe that agrees, and full points for a test that failed."""
    assert earned(cell(partial=partial), passed, agreeing) == points


def test_points_without_probes() -> None:
    """Catches a cell without probes that can never be passed, or whose failed test earns something."""
    assert earned(cell(probes=0), True, 0) == 10.0
    assert earned(cell(probes=0, partial=True), False, 0) == 0.0


SOURCE = '''
"""Probes."""


def probe_0(lesson, rng):
    """Products of several shapes.

    More words.
    """


def probe_1(lesson, rng):
    """What is refused."""
'''


def assignment(graded: GradedCell) -> Assignment:
    return Assignment("03_layers", "", SOURCE, {"probe_1": {"atol": 0.5}}, (graded,), (), {})


def result(outcome: Outcome, *values: float | None, ending: Ending = Ending.FINISHED) -> RunResult:
    """A run with one test, and probes that returned one number each, or failed."""
    probes = tuple(
        ProbeRun(f"probe_{number}", None if value is None else {"x": np.array(value)}, "" if value else "no")
        for number, value in enumerate(values)
    )
    return RunResult((CellRun("test-it", outcome, "the test's message", "a traceback"),), probes, ending)


def test_a_run_is_scored_cell_by_cell() -> None:
    """Catches points for another cell's test, a tolerance of another probe, and feedback without a probe's title."""
    graded, wanted = cell(probes=2), result(Outcome.PASSED, 1.0, 2.0)
    (fine,) = score(assignment(graded), result(Outcome.PASSED, 1.0, 2.4), wanted)
    assert (fine.points, fine.possible, fine.outcome, fine.message) == (10.0, 10.0, Outcome.PASSED, "")
    assert [probe.title for probe in fine.probes] == ["Products of several shapes", "What is refused"]
    (wrong,) = score(assignment(graded), result(Outcome.PASSED, 1.4, 2.4), wanted)
    assert wrong.points == 0.0 and [probe.agreed for probe in wrong.probes] == [False, True]
    assert wrong.message.startswith("1 of 2 probes agree with the reference; Products of several shapes: x: ")
    (failed,) = score(assignment(graded), result(Outcome.FAILED, 1.0, 2.0), wanted)
    assert (failed.points, failed.message, failed.detail) == (0.0, "the test's message", "a traceback")


def test_what_did_not_run_earns_nothing() -> None:
    """Catches a submission that ends its process before the probes and keeps the points of its tests."""
    graded, wanted = cell(probes=2, partial=True), result(Outcome.PASSED, 1.0, 2.0)
    (ended,) = score(assignment(graded), result(Outcome.PASSED, 1.0, ending=Ending.EXITED), wanted)
    assert ended.points == 5.0 and "exited" in ended.probes[1].message
    (nothing,) = score(assignment(graded), RunResult((), (), Ending.TIME), wanted)
    assert (nothing.points, nothing.outcome) == (0.0, Outcome.NOT_RUN) and "time limit" in nothing.message


def test_the_first_of_two_results_of_a_name_counts() -> None:
    """Catches a second result by which a submission would correct its first."""
    graded, wanted = cell(probes=1), result(Outcome.PASSED, 1.0)
    run = result(Outcome.PASSED, 3.0)
    (found,) = score(assignment(graded), replace(run, probes=(*run.probes, *wanted.probes)), wanted)
    assert found.points == 0.0


def test_a_probe_that_fails_on_the_reference_is_the_graders_fault() -> None:
    """Catches a class that gets no points for a mistake in probes.py."""
    graded, got = cell(probes=2), result(Outcome.PASSED, 1.0, 2.0)
    for broken in (result(Outcome.PASSED, 1.0, None), result(Outcome.PASSED, 1.0)):
        with pytest.raises(EnvironmentFault, match="probe_1"):
            score(assignment(graded), got, broken)


def test_titles_are_the_first_lines_of_docstrings() -> None:
    """Catches feedback that names a function where it should say what was tried."""
    assert probe_titles(SOURCE) == {"probe_0": "Products of several shapes", "probe_1": "What is refused"}


def test_cells_that_failed_are_the_students() -> None:
    """Catches a test or a cell of the course among a student's failures, a page of them, and a name of the grader's."""
    outcomes = [
        (JobCell("linear", ""), Outcome.FAILED, "SyntaxError: invalid syntax (line 2)\nmore"),
        (JobCell("test-linear", "", "test_unit_linear"), Outcome.FAILED, "AssertionError: shape"),
        (JobCell(f"{COURSE_CELL}2", ""), Outcome.FAILED, "NameError"),
        (JobCell("dropout", ""), Outcome.PASSED, ""),
        (JobCell("cell:4", ""), Outcome.TIMEOUT, "took longer than 10 s"),
        (JobCell("cell:5", ""), Outcome.FAILED, "x" * 300),
        (JobCell("cell:6", ""), Outcome.EXITED, ""),
        (JobCell("cell:7", ""), Outcome.NOT_RUN, "the submission ended before it"),
    ]
    cells = tuple(cell for cell, _, _ in outcomes)
    run = RunResult(tuple(CellRun(cell.name, *found) for cell, *found in outcomes), (), Ending.FINISHED)
    assert failures(cells, run) == (
        ("linear", "SyntaxError: invalid syntax (line 2)"),
        ("cell 4", "took longer than 10 s"),
        ("cell 5", "x" * 200 + "..."),
        ("cell 6", "exited"),
    )
    many = tuple(CellRun(f"cell:{number}", Outcome.FAILED, "no") for number in range(50))
    told = failures([JobCell(cell.name, "") for cell in many], RunResult(many, (), Ending.FINISHED))
    assert len(told) == 20
