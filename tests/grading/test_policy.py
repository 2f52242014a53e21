"""Late days and penalties, by the calendar and by properties that any policy has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ROOT

from tito.course import Course, load_course
from tito.errors import EnvironmentFault
from tito.grading.books.policy import Policy, course_id, lateness, policy_of, read_timestamp

BERLIN = ZoneInfo("Europe/Berlin")
A, B, C = "01_tensor", "02_activations", "03_layers"
DUE = {
    A: datetime(2026, 10, 1, 23, 59, tzinfo=BERLIN),
    B: datetime(2026, 10, 8, 23, 59, tzinfo=BERLIN),
    C: datetime(2026, 10, 15, 23, 59, tzinfo=BERLIN),
}
POLICY = Policy(DUE, free_days=3, per_day=10, max_days=5, grace=timedelta(minutes=10))


def course(**grading: Any) -> Course:
    found = load_course(ROOT)
    return Course(found.home, found.title, found.package, found.modules, grading)


def late(module: str, **by: float) -> dict[str, datetime]:
    return {module: DUE[module] + timedelta(**by)}


@pytest.mark.parametrize(
    ("by", "points", "penalty", "sentence"),
    [
        ({"hours": -1}, 46, 0, "on time"),
        ({"minutes": 7}, 46, 0, "7 minutes late, within the grace period"),
        ({"days": 2, "hours": 3}, 46, 0, "2 days 3 hours late = 3 days, 3 free days left: nothing is taken"),
        ({"days": 4, "minutes": 30}, 46, 9.2, "4 days 30 minutes late = 5 days, 3 free days left: 2 x 10% of 46 = 9.2"),
        ({"days": 9}, 46, 46, "9 days late = 9 days, more than the 5 that are accepted: all 46 points"),
        ({"days": 4, "hours": 1}, 0, 0, "4 days 1 hour late = 5 days, 3 free days left: 2 x 10% of 0 = 0"),
    ],
)
def test_the_arithmetic_is_said(by: dict[str, float], points: float, penalty: float, sentence: str) -> None:
    """Catches a penalty that is not what its sentence says."""
    found = lateness(POLICY, late(C, **by))[C]
    assert (found.penalty(points), found.sentence(points)) == (penalty, sentence)


def test_free_days_are_a_budget_over_the_course() -> None:
    """Catches three free days for each assignment, and free days given in the order of file names."""
    found = lateness(POLICY, {**late(C, days=2, hours=3), **late(A, days=1, hours=5)})
    assert [found[module].free for module in (A, C)] == [2, 1]
    assert found[C].sentence(46) == "2 days 3 hours late = 3 days, 1 free day left: 2 x 10% of 46 = 9.2"


def test_without_a_due_date_nothing_is_late() -> None:
    """Catches a penalty for an assignment that is never due."""
    found = lateness(Policy(), {C: datetime(2030, 1, 1, tzinfo=UTC)})
    assert (found[C].penalty(46), found[C].sentence(46)) == (0, "")


def test_a_day_is_what_the_wall_clock_says() -> None:
    """Catches a whole day for the hour that summer time gives back: on 25 October 2026 a day has 25 hours."""
    due = datetime(2026, 10, 24, 23, 59, tzinfo=BERLIN)
    handed_in = datetime(2026, 10, 25, 23, 59, tzinfo=BERLIN)
    assert handed_in.astimezone(UTC) - due.astimezone(UTC) == timedelta(hours=25)
    assert lateness(Policy({C: due}, per_day=10), {C: handed_in})[C].days == 1
    fixed = due.astimezone(timezone(timedelta(hours=2)))
    assert lateness(Policy({C: fixed}, per_day=10), {C: handed_in})[C].days == 2


def test_a_day_of_23_hours_is_a_day() -> None:
    """Catches an hour that summer time takes and that a student then has for nothing."""
    due = datetime(2027, 3, 27, 23, 59, tzinfo=BERLIN)
    handed_in = datetime(2027, 3, 29, 0, 0, tzinfo=BERLIN)
    assert handed_in.astimezone(UTC) - due.astimezone(UTC) == timedelta(hours=23, minutes=1)
    assert lateness(Policy({C: due}, per_day=10), {C: handed_in})[C].days == 2


def test_time_zones_are_compared_as_moments() -> None:
    """Catches 23:30 in New York counted as before 23:59 in Berlin."""
    handed_in = datetime(2026, 10, 15, 23, 30, tzinfo=ZoneInfo("America/New_York"))
    assert lateness(POLICY, {C: handed_in})[C].late == timedelta(hours=5, minutes=31)


hours = st.floats(-100, 400, allow_nan=False).map(lambda value: timedelta(hours=value))
policies = st.builds(
    Policy,
    st.just(DUE),
    st.integers(0, 6),
    st.floats(0, 100, allow_nan=False),
    st.none() | st.integers(0, 8),
    st.integers(0, 120).map(lambda minutes: timedelta(minutes=minutes)),
)
points = st.floats(0, 200, allow_nan=False)


@given(policies, st.tuples(hours, hours, hours), st.integers(0, 2), st.floats(0, 100), points)
def test_later_is_never_cheaper(
    policy: Policy, by: tuple[timedelta, ...], which: int, more: float, earned: float
) -> None:
    """Catches a student who gains, here or elsewhere, by waiting."""
    modules = (A, B, C)
    before = {module: DUE[module] + each for module, each in zip(modules, by, strict=True)}
    after = {**before, modules[which]: before[modules[which]] + timedelta(hours=more)}
    early, later = lateness(policy, before), lateness(policy, after)
    assert all(early[module].penalty(earned) <= later[module].penalty(earned) for module in modules)


@given(policies, st.tuples(hours, hours, hours), points)
def test_a_penalty_is_between_nothing_and_everything(policy: Policy, by: tuple[timedelta, ...], earned: float) -> None:
    """Catches a negative penalty, and one above the points there are."""
    handed_in = {module: DUE[module] + each for module, each in zip((A, B, C), by, strict=True)}
    found = lateness(policy, handed_in)
    assert all(0 <= each.penalty(earned) <= earned for each in found.values())
    assert sum(each.free for each in found.values()) <= policy.free_days
    assert all(each.penalty(earned) == 0 for module, each in found.items() if handed_in[module] <= DUE[module])


@given(policies, hours, points, points)
def test_whoever_earns_more_keeps_more(policy: Policy, by: timedelta, one: float, other: float) -> None:
    """Catches a penalty that grows faster than the points."""
    found = lateness(policy, {C: DUE[C] + by})[C]
    low, high = sorted((one, other))
    assert low - found.penalty(low) <= high - found.penalty(high) + 0.011


def test_the_course_says_the_policy() -> None:
    """Catches an entry of course.toml that is read wrongly."""
    table = {"due": {C: "2026-10-15T23:59:00"}, "timezone": "Europe/Berlin", "course_id": "dl-2026"}
    table["late"] = {"free_days": 3, "per_day": 10, "max_days": 5, "grace_minutes": 10}
    assert policy_of(course(**table)) == Policy({C: DUE[C]}, 3, 10.0, 5, timedelta(minutes=10))
    assert course_id(course(**table)) == "dl-2026"
    assert (policy_of(course()), course_id(course())) == (Policy(), "tinytorch")


def test_an_offset_is_kept_unless_a_zone_is_named() -> None:
    """Catches a due date moved by its zone."""
    table = {"due": {C: "2026-10-15T23:59:00+02:00"}}
    assert policy_of(course(**table)).due[C] == DUE[C]
    assert policy_of(course(**table, timezone="Asia/Tokyo")).due[C] == DUE[C]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"due": {"99_nothing": "2026-10-15T23:59:00+02:00"}}, "due has '99_nothing'"),
        ({"due": {C: "soon"}}, "due.03_layers is 'soon'"),
        ({"due": {C: 7}}, "due.03_layers is '7'"),
        ({"due": {C: "2026-10-15T23:59:00"}}, "due.03_layers is '2026-10-15T23:59:00'"),
        ({"due": "tomorrow"}, "due is 'tomorrow'"),
        ({"late": {"per_day": 110}}, "late.per_day is '110'"),
        ({"late": {"per_day": float("nan")}}, "late.per_day is 'nan'"),
        ({"late": {"per_day": True}}, "late.per_day is 'True'"),
        ({"late": {"free_days": -1}}, "late.free_days is '-1'"),
        ({"late": {"free_days": 1.5}}, "late.free_days is '1.5'"),
        ({"late": {"max_days": "5"}}, "late.max_days is '5'"),
        ({"late": {"perday": 5}}, "late has 'perday'"),
        ({"timezone": "Mars/Olympus"}, "timezone is 'Mars/Olympus'"),
        ({"timezone": 2}, "timezone is '2'"),
        ({"deadline": {}}, "[grading] has 'deadline'"),
    ],
)
def test_a_bad_policy_names_its_entry(table: dict[str, Any], message: str) -> None:
    """Catches a misspelt entry that is ignored, and a stack trace."""
    with pytest.raises(EnvironmentFault) as failure:
        policy_of(course(**table))
    assert message in failure.value.message
    assert failure.value.hint


def test_a_bad_name_of_the_course_is_refused() -> None:
    """Catches a name that nbgrader takes for a path."""
    with pytest.raises(EnvironmentFault, match=r"course_id is '\.\./x'"):
        course_id(course(course_id="../x"))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-10-01 21:59:00.5 UTC\n", datetime(2026, 10, 1, 21, 59, 0, 500000, tzinfo=UTC)),
        ("2026-10-01T23:59:00+02:00", datetime(2026, 10, 1, 21, 59, tzinfo=UTC)),
        ("2026-10-01T21:59:00Z", datetime(2026, 10, 1, 21, 59, tzinfo=UTC)),
        ("2026-10-01 21:59:00", datetime(2026, 10, 1, 21, 59, tzinfo=UTC)),
    ],
)
def test_times_of_submission_are_read_as_nbgrader_reads_them(text: str, moment: datetime) -> None:
    """Catches a time of submission that is hours off."""
    from nbgrader.utils import parse_utc

    assert read_timestamp(text) == moment
    assert parse_utc(text.strip()).replace(tzinfo=UTC) == moment


def test_an_offset_without_a_colon_is_an_offset() -> None:
    """Catches +0200 taken for 200 seconds, as nbgrader takes it."""
    assert read_timestamp("2026-10-01 23:59:00 +0200") == datetime(2026, 10, 1, 21, 59, tzinfo=UTC)


def test_a_time_that_is_none_is_a_sentence() -> None:
    """Catches a stack trace over a damaged timestamp.txt."""
    with pytest.raises(EnvironmentFault, match="which is no time"):
        read_timestamp("yesterday")
