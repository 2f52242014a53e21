"""Late days and penalties: a pure function of the course's policy and of when a student handed in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tito.course import MANIFEST, Course
from tito.errors import EnvironmentFault

_DAY = timedelta(days=1)
_KEYS = ("course_id", "due", "late", "timezone")
_LATE_KEYS = ("free_days", "grace_minutes", "max_days", "per_day")


@dataclass(frozen=True)
class Policy:
    """When assignments are due, and what lateness costs."""

    due: Mapping[str, datetime] = field(default_factory=dict)  # by module folder, with their time zones
    free_days: int = 0  # of each student, over the whole course
    per_day: float = 0.0  # percent of the points for each begun day that is not free
    max_days: int | None = None  # later than that earns nothing; None: no such end
    grace: timedelta = timedelta(0)  # so late is not late


@dataclass(frozen=True)
class Lateness:
    """How late one submission is, and what that takes of its points."""

    late: timedelta = timedelta(0)  # after the due date
    days: int = 0  # begun days that count
    free_left: int = 0  # of the student's free days, before this submission
    per_day: float = 0.0
    max_days: int | None = None
    submitted: datetime | None = None
    due: datetime | None = None

    @property
    def free(self) -> int:
        """The free days that this submission uses."""
        return min(self.days, self.free_left)

    @property
    def too_late(self) -> bool:
        """Whether it came after the last day on which work is taken."""
        return self.max_days is not None and self.days > self.max_days

    @property
    def percent(self) -> float:
        """The part of the points that is taken, from 0 to 100."""
        return 100.0 if self.too_late else min(100.0, (self.days - self.free) * self.per_day)

    def penalty(self, points: float) -> float:
        """The points taken of those earned: never negative, never more than there are; to two decimals."""
        earned = max(0.0, points)
        return min(earned, round(earned * self.percent / 100, 2))

    def sentence(self, points: float) -> str:
        """The arithmetic of the penalty; empty without a due date or a time of submission."""
        if self.submitted is None or self.due is None:
            return ""
        if not self.late:
            return "on time"
        if not self.days:
            return f"{_span(self.late)} late, within the grace period"
        begun = f"{_span(self.late)} late = {_count(self.days, 'day')}"
        if self.too_late:
            return f"{begun}, more than the {self.max_days} that are accepted: all {points:g} points"
        if self.free_left:
            begun += f", {_count(self.free_left, 'free day')} left"
        charged = self.days - self.free
        if not charged:
            return f"{begun}: nothing is taken"
        taken = f"{charged} x {self.per_day:g}%"
        if charged * self.per_day > 100:
            taken += ", at most 100%,"
        return f"{begun}: {taken} of {points:g} = {self.penalty(points):g}"


def lateness(policy: Policy, submitted: Mapping[str, datetime]) -> dict[str, Lateness]:
    """How late each submission of one student is, by module.

    submitted: when each module was handed in, with time zones. Free days go to the submissions
    in the order of their due dates, so that a later one never changes what an earlier one got.
    """
    found = {module: Lateness(submitted=when, due=policy.due.get(module)) for module, when in submitted.items()}
    left = policy.free_days
    for module, due in sorted(policy.due.items(), key=lambda item: (item[1].astimezone(UTC), item[0])):
        if module not in submitted:
            continue
        late = max(timedelta(0), submitted[module].astimezone(UTC) - due.astimezone(UTC))
        days = _days(due, submitted[module], policy.grace)
        found[module] = Lateness(late, days, left, policy.per_day, policy.max_days, submitted[module], due)
        left -= found[module].free
    return found


def _days(due: datetime, submitted: datetime, grace: timedelta) -> int:
    """The days begun since the due date; each ends at the due date's wall-clock time, so one may have 23 hours."""
    moment = submitted.astimezone(UTC) - grace
    days = max(0, (moment - due.astimezone(UTC)) // _DAY - 1)  # at least a day too few, then counted up
    while (due + days * _DAY).astimezone(UTC) < moment:
        days += 1
    return days


def policy_of(course: Course) -> Policy:
    """The policy in the [grading] table of course.toml; EnvironmentFault names the entry that cannot be used."""
    table = course.grading
    _known("[grading]", table, _KEYS)
    zone = _zone(table)
    due = _table("due", table.get("due", {}))
    _known("[grading] due", due, tuple(module.folder for module in course.modules))
    late = _table("late", table.get("late", {}))
    _known("[grading] late", late, _LATE_KEYS)
    return Policy(
        {module: _moment(f"due.{module}", value, zone) for module, value in due.items()},
        _whole("late.free_days", late.get("free_days", 0)),
        _number("late.per_day", late.get("per_day", 0), 100),
        _whole("late.max_days", late["max_days"]) if "max_days" in late else None,
        timedelta(minutes=_number("late.grace_minutes", late.get("grace_minutes", 0), 7 * 24 * 60)),
    )


def course_id(course: Course) -> str:
    """The name under which nbgrader knows the course."""
    value = course.grading.get("course_id", course.package)
    if not isinstance(value, str) or not value.replace("-", "").replace("_", "").isalnum():
        raise _bad("course_id", value, "letters, digits, - and _")
    return value


def read_timestamp(text: str, name: str = "timestamp.txt") -> datetime:
    """A time of submission as nbgrader keeps it, such as "2026-10-01 23:59:00 UTC"; one without a zone is in UTC."""
    written = text.strip().removesuffix("UTC").strip()
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        try:
            found = datetime.strptime(written, "%Y-%m-%d %H:%M:%S %z")
        except ValueError:
            found = datetime.min
    if not 1900 < found.year < 9000:  # the ends of the calendar leave no room for time zones and days of grace
        raise EnvironmentFault(
            f"{name} says {text.strip()[:60]!r}, which is no time.", "write it as 2026-10-01 23:59:00 UTC"
        )
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _span(late: timedelta) -> str:
    """A length of time in its two largest units."""
    minutes = max(1, math.floor(late / timedelta(minutes=1)))
    parts = [(minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute")]
    return " ".join([_count(count, name) for count, name in parts if count][:2])


def _count(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _zone(table: Mapping[str, Any]) -> tzinfo | None:
    name = table.get("timezone")
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise _bad("timezone", name, "a name such as Europe/Berlin (on Windows: pip install tzdata)") from None


def _moment(key: str, value: Any, zone: tzinfo | None) -> datetime:
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _bad(key, value, "a time such as 2026-10-01T23:59:00+02:00") from None
    if found.tzinfo is None and zone is None:
        raise _bad(key, value, "a time with its zone, such as +02:00, or set timezone beside it")
    return found.replace(tzinfo=zone) if found.tzinfo is None else found.astimezone(zone) if zone else found


def _whole(key: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= 10_000:
        raise _bad(key, value, "a whole number of 0 or more")
    return value


def _number(key: str, value: Any, most: float) -> float:
    if type(value) not in (int, float) or not 0 <= value <= most:
        raise _bad(key, value, f"a number from 0 to {most:g}")
    return float(value)


def _table(key: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _bad(key, value, "a table")
    return value


def _known(where: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in table:
        if key not in keys:
            raise EnvironmentFault(f"{MANIFEST}: {where} has {key!r}.", f"it may have {', '.join(keys)}")


def _bad(key: str, value: Any, wanted: str) -> EnvironmentFault:
    return EnvironmentFault(f"{MANIFEST}: [grading] {key} is {str(value)!r}.", f"it takes {wanted}")
