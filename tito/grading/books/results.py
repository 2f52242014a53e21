"""All that is known of an assignment once it was graded: verdicts, the gradebook, lateness, who is in the course."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from tito.course import Module
from tito.errors import EnvironmentFault, NothingRan
from tito.grading.books.grades import StudentGrade
from tito.grading.books.policy import Lateness, course_id, lateness, policy_of, read_timestamp
from tito.grading.intake.students import Roster, Student, read_roster
from tito.grading.journal import Journal
from tito.grading.place import Place, submission_file
from tito.grading.records import GradeRecord, Status, submission_hash


@dataclass(frozen=True)
class Results:
    """The verdicts and grades of one assignment."""

    module: Module
    records: Mapping[str, GradeRecord]  # the last verdict on each student's work
    grades: Mapping[str, StudentGrade]  # with the penalty as it is now
    late: Mapping[str, Lateness]
    roster: Roster = field(default_factory=Roster)
    submitted: tuple[str, ...] = ()  # who has handed in
    quarantined: tuple[tuple[str, str], ...] = ()  # (name, reason) of what could not be collected
    untimed: tuple[tuple[str, str], ...] = ()  # (student, which time of submission cannot be read)
    newer: frozenset[str] = frozenset()  # who has handed in something else since the verdict

    @property
    def students(self) -> tuple[str, ...]:
        """Everybody: those of the roster, those who handed in, those who have a grade."""
        listed = {student.id for student in self.roster.students}
        return tuple(sorted({*listed, *self.submitted, *self.records, *self.grades}, key=str.casefold))

    @property
    def missing(self) -> tuple[str, ...]:
        """Who is on the roster and has handed in nothing."""
        there = {*self.submitted, *self.grades}
        return tuple(sorted((s.id for s in self.roster.students if s.id not in there), key=str.casefold))

    @property
    def waiting(self) -> tuple[str, ...]:
        """Who has handed in and has no verdict that counts: the last submission is not graded yet, or ungradable."""
        return tuple(
            name for name in self.submitted if name not in self.grades or name in self.newer or self.ungradable(name)
        )

    def ungradable(self, student: str) -> bool:
        """Whether the grader failed with a student's last submission."""
        return student in self.records and self.records[student].status is Status.UNGRADABLE

    def person(self, student: str) -> Student:
        """What is known of a student: the roster before the gradebook."""
        listed = next((each for each in self.roster.students if each.id == student), Student(student))
        grade = self.grades.get(student, StudentGrade(student))
        return Student(
            student,
            listed.first_name or grade.first_name,
            listed.last_name or grade.last_name,
            listed.email or grade.email,
            listed.lms_id or grade.lms_user_id,
        )

    def lateness(self, student: str) -> str:
        """The arithmetic of a student's penalty as a sentence, empty without a due date."""
        points = self.grades[student].raw if student in self.grades else 0.0
        return self.late[student].sentence(points) if student in self.late else ""


def results(place: Place, module: Module, url: str = "") -> Results:
    """Look up an assignment; NothingRan when none of its submissions has been graded.

    url: the gradebook's address when it is not the default.
    """
    records = {student: record for student, (_, record) in Journal(place.journal).latest(module.folder).items()}
    if not records or not (url or (place.root / "gradebook.db").exists()):
        raise NothingRan(f"No submission of {module.folder} has been graded.", f"tito grade autograde {module.folder}")
    from tito.grading.books.gradebook import open_gradebook, read

    with open_gradebook(url or place.database, course_id(place.course), new=False) as gradebook:
        grades = read(gradebook, module.folder)
    submitted = place.students(module)
    newer = newer_submissions(place, module, records)
    failed = {student for student, record in records.items() if record.status is Status.UNGRADABLE}
    # What lies there now says nothing of when the work came that has these points: its penalty stays as it was.
    late = lateness_of(place, module, {*submitted, *grades} - newer - failed)
    return Results(
        module,
        records,
        {student: _settled(grade, late.get(student)) for student, grade in grades.items()},
        late,
        read_roster(place.root / "students.csv"),
        submitted,
        _quarantined(place, module),
        untimed(place, {*submitted, *grades}),
        newer,
    )


def all_results(place: Place, url: str = "") -> list[Results]:
    """Every assignment of which something has been graded, in teaching order; NothingRan when there is none."""
    graded = Journal(place.journal).modules()
    if not graded:
        raise NothingRan("Nothing has been graded.", "tito grade autograde MODULE")
    return [results(place, module, url) for module in place.course.modules if module.folder in graded]


def newer_submissions(place: Place, module: Module, records: Mapping[str, GradeRecord]) -> frozenset[str]:
    """The students whose submission is another than the one that the verdict is on."""
    found = set()
    for student, record in records.items():
        with contextlib.suppress(OSError):  # what cannot be read is told of when it is to be graded
            path = submission_file(place, student, module)
            if path is not None and submission_hash(path.name, path.read_bytes()) != record.submission_hash:
                found.add(student)
    return frozenset(found)


def lateness_of(place: Place, module: Module, students: Collection[str]) -> dict[str, Lateness]:
    """How late each student's submission is; all of a student's submissions tell how many free days are left."""
    policy = policy_of(place.course)
    found = {}
    for student in students:
        times, _ = _times(place, student)
        if module.folder in times:
            found[student] = lateness(policy, times)[module.folder]
    return found


def untimed(place: Place, students: set[str]) -> tuple[tuple[str, str], ...]:
    """Which times of submission cannot be read, with their students: they count for no lateness."""
    return tuple((student, fault) for student in sorted(students) for fault in _times(place, student)[1])


def _times(place: Place, student: str) -> tuple[dict[str, datetime], list[str]]:
    """When a student handed in each module, and what is wrong with the times that are none."""
    times, faults = dict[str, datetime](), list[str]()
    for path in sorted((place.root / "submitted" / student).glob("[!.]*/timestamp.txt")):
        name = f"{path.parent.name}/{path.name}"
        try:
            times[path.parent.name] = read_timestamp(path.read_text(encoding="utf-8", errors="replace"), name)
        except EnvironmentFault as fault:
            faults.append(f"{fault.message.removesuffix('.')}: {fault.hint}")
        except OSError as error:
            faults.append(f"{name} cannot be read: {error.strerror}")
    return times, faults


def _settled(grade: StudentGrade, late: Lateness | None) -> StudentGrade:
    """A grade with the penalty on the points there are now; where the course has no due date, it stays as it is."""
    return grade if late is None or late.due is None else replace(grade, penalty=late.penalty(grade.raw))


def _quarantined(place: Place, module: Module) -> tuple[tuple[str, str], ...]:
    found = []
    for path in sorted(place.quarantine(module).glob("*.reason.txt")):
        name, _, reason = path.read_text(encoding="utf-8", errors="replace").partition("\n")
        found.append((name, reason.strip()))
    return tuple(found)
