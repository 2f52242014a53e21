"""`tito grade collect`: submissions from a folder or an LMS's download, each to its student's place."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from tito.course import Course, Module
from tito.errors import EnvironmentFault, Exit
from tito.facts import Facts
from tito.grading.intake import archives
from tito.grading.intake.archives import BadArchive
from tito.grading.intake.choosing import Choice, NoSureChoice, choose
from tito.grading.intake.keeping import TIMESTAMP, Action, finish, keep, quarantine, seconds_of, stamp
from tito.grading.intake.sources import Handed, Refused, look_through, opened
from tito.grading.intake.students import (
    Roster,
    Sender,
    UnknownStudent,
    clash,
    derived_id,
    read_roster,
    sender_of,
    student_id,
)
from tito.grading.place import Place, notebook_name

_WRAPPERS = ("submission", "submitted", "assignment", "download", "export")  # in the name of a folder of a class


@dataclass(frozen=True)
class Taken:
    """What one student handed in."""

    student: str
    origin: str  # where it lay in the source
    action: Action
    at: str  # when it was handed in, as nbgrader writes it
    late: bool = False  # as the LMS marked it
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quarantined:
    """What was not taken."""

    origin: str
    reason: str
    kept: str  # its name in quarantine/<module>
    student: str = ""  # if that is known


@dataclass(frozen=True)
class Collected(Facts):
    """What a collect found, from whom, and what it did with it."""

    schema: ClassVar[str] = "tito.grade.collected/1"

    module: str
    source: str
    submissions: tuple[Taken, ...]  # by student
    quarantined: tuple[Quarantined, ...]
    missing: tuple[str, ...]  # ids of the roster that have handed in nothing, now or before
    enrolled: int | None  # students in the roster; None without one

    def count(self, action: Action) -> int:
        """How many submissions met one fate."""
        return sum(taken.action is action for taken in self.submissions)

    @property
    def exit_code(self) -> Exit:
        """5 when there was no submission in the source that could be taken, new or known."""
        return Exit.OK if self.submissions else Exit.NOTHING_RAN

    def to_json(self) -> dict[str, Any]:
        """The fields as plain data, and the counts."""
        counts = {action.value: self.count(action) for action in Action}
        counts["quarantined"] = len(self.quarantined)
        return {**super().to_json(), "counts": counts, "exit_code": int(self.exit_code)}


@dataclass
class _Hand:
    """All the files that came under one name."""

    sender: Sender
    files: list[Handed]
    refused: list[Refused]


def collect(place: Place, module: Module, source: Path, *, timestamps: Path | None = None) -> Collected:
    """Take the submissions of a module from a source; what cannot be taken is quarantined and stops nothing.

    Raises EnvironmentFault when the source, the roster or the table of timestamps cannot be read.
    """
    roster = read_roster(place.root / "students.csv")
    times = _read_times(timestamps) if timestamps else {}
    finish(place, module)
    with ExitStack() as stack:
        found = _unwrapped(list(look_through(source, stack)), module, archives.stem(source.name))
        taken, quarantined = _sorted_out(place, module, found, roster, times)
    there = set(place.students(module))
    return Collected(
        module.folder,
        str(source),
        tuple(sorted(taken, key=lambda each: each.student)),
        tuple(quarantined),
        tuple(student.id for student in roster.students if student.id not in there),
        len(roster.students) or None,
    )


def _sorted_out(
    place: Place, module: Module, found: Sequence[Handed | Refused], roster: Roster, times: dict[str, float]
) -> tuple[list[Taken], list[Quarantined]]:
    """Put what was found at its students' places or into quarantine."""
    taken: list[Taken] = []
    refused: dict[str, tuple[str, str]] = {}  # by name: why, and whose it is if that is known
    known = {path.parent.name for path in (place.root / "submitted").glob("*/*")} | {s.id for s in roster.students}
    hands = _hands(found, module)
    owned: dict[str, list[str]] = {}  # under which names each student handed in
    for name, hand in hands.items():
        try:
            if hand.refused:
                raise BadArchive("; ".join(f"{'/'.join(each.path)}: {each.reason}" for each in hand.refused[:3]))
            owned.setdefault(_student(place.course, hand, name, roster, known | owned.keys()), []).append(name)
        except (BadArchive, UnknownStudent) as error:
            refused[name] = (error.reason, "")
    for student, names in owned.items():
        try:
            own, bad = _take(place, module, student, {name: hands[name] for name in names}, times, roster)
        except OSError as error:
            raise EnvironmentFault(
                f"The submission of {student} cannot be written: {error.strerror or error}.",
                "check the permissions and the free space, then collect again; what is there stays",
            ) from None
        taken += own
        refused |= {name: (reason, student) for name, reason in bad.items()}
    return taken, [_put_aside(place, module, name, hands[name], *refused[name]) for name in hands if name in refused]


def _put_aside(place: Place, module: Module, name: str, hand: _Hand, reason: str, student: str) -> Quarantined:
    copies = {each.origin: each.read for each in hand.files[:20]}
    copies |= {"/".join(each.path): each.read for each in hand.refused[:20] if each.read}
    return Quarantined(name, reason, quarantine(place, module, name, reason, copies), student)


def _unwrapped(found: list[Handed | Refused], module: Module, packed_as: str) -> list[Handed | Refused]:
    """The files without a folder around all of them that is no student's, such as submissions/."""
    own = {"modules", module.folder}
    while found:
        tops = {item.path[0] if len(item.path) > 1 else "" for item in found}
        top = next(iter(tops))
        below = {item.path[1] for item in found if len(item.path) > 1}
        lessons = {name for name in below if archives.stem(name).lower() == notebook_name(module)}
        named = top == module.folder or any(word in top.lower() for word in _WRAPPERS)
        wrapper = named or (top == packed_as and not below & own)
        if len(tops) > 1 or not top or not wrapper or sender_of(top).lms_id or lessons:
            break
        found = [replace(item, path=item.path[1:]) for item in found]
    return found


def _hands(found: Sequence[Handed | Refused], module: Module) -> dict[str, _Hand]:
    """The files by who they came from: the first folder, or what stands before the lesson's name in a file's name."""
    hands: dict[str, _Hand] = {}
    for item in found:
        if len(item.path) == 1 and isinstance(item, Handed) and not _of_somebody(item.name):
            continue
        first = item.path[0] if item.path else "source"
        sender = sender_of(_whose(archives.stem(first), module) if len(item.path) == 1 else first)
        key = f"{sender.name}_{sender.lms_id}" if sender.lms_id else sender.name or first
        hand = hands.setdefault(key, _Hand(sender, [], []))
        text_only = hand.sender.text_only and sender.text_only
        hand.sender = replace(hand.sender, late=hand.sender.late or sender.late, text_only=text_only)
        if isinstance(item, Handed):
            hand.files.append(item)
        else:
            hand.refused.append(item)
    return hands


def _of_somebody(name: str) -> bool:
    """Whether a file outside all folders can be a submission, or is one of an LMS."""
    return name != TIMESTAMP and (archives.wanted(name) or bool(sender_of(archives.stem(name)).lms_id))


def _whose(stem: str, module: Module) -> str:
    """A file's name without the name of the lesson or the module: alice_layers_dev is alice's."""
    if sender_of(stem).lms_id:
        return stem
    for name in (notebook_name(module), module.folder):
        if stem.lower() == name:
            return ""
        for mark in "_- .":
            if stem.lower().endswith(mark + name):
                return stem[: -len(name) - 1]
            if stem.lower().startswith(name + mark):
                return stem[len(name) + 1 :]
    return stem


def _student(course: Course, hand: _Hand, name: str, roster: Roster, known: Iterable[str]) -> str:
    """The id of who handed files in; UnknownStudent when it is not certain or not safe."""
    if hand.sender.name in ("", "modules", *(each.folder for each in course.modules)):
        raise UnknownStudent(f"{name} does not say whose it is", "put it in a folder with the student's id")
    student = roster.find(hand.sender).id if roster.students else derived_id(hand.sender)
    if other := clash(student, known):
        raise UnknownStudent(f"the id {student} differs from {other} in upper and lower case alone")
    return student


def _take(
    place: Place, module: Module, student: str, hands: Mapping[str, _Hand], times: Mapping[str, float], roster: Roster
) -> tuple[list[Taken], dict[str, str]]:
    """Choose a student's file and put it at its place; by name, why others were refused."""
    refused: dict[str, str] = {}
    found: dict[str, tuple[Choice, bytes, float]] = {}
    for name, hand in hands.items():
        try:
            found[name] = _chosen(place, module, hand)
        except (BadArchive, NoSureChoice) as error:
            refused[name] = error.reason
    if not found:
        return [], refused
    last, *others = sorted(found, key=lambda name: -found[name][2])
    if others and (doubt := _doubt(student, last, others[0], hands, roster, found[last][2] - found[others[0]][2])):
        return [], refused | dict.fromkeys(found, doubt)
    notes = tuple(f"{name} is the same student's and older than {last}: not taken" for name in others)
    choice, data, at = found[last]
    told = times.get(student)
    now = at if told is None else told
    action, now = keep(place, student, module, choice.ending, data, now, told=told is not None)
    late = hands[last].sender.late
    return [Taken(student, choice.file.origin, action, stamp(now), late, choice.notes + notes)], refused


def _doubt(student: str, last: str, other: str, hands: Mapping[str, _Hand], roster: Roster, newer: float) -> str:
    """Why it is not certain that one student handed in under two names, and which came last; empty when it is."""
    accounts = {hand.sender.lms_id for hand in hands.values()} - {""}
    if len(accounts) > 1:
        return f"{last} and {other} are both {student} (write grading/students.csv with an lms_id for each)"
    if not roster.students:
        return f"{last} and {other} are both {student}"
    return "" if newer > 0 else f"{last} and {other} are both {student}, and neither is the newer"


def _chosen(place: Place, module: Module, hand: _Hand) -> tuple[Choice, bytes, float]:
    """The file that counts of those under one name, what is in it, and when it was handed in."""
    if hand.sender.text_only and not any(archives.wanted(file.name) for file in hand.files):
        raise NoSureChoice("a text was typed on the page, and no file handed in")
    pairs = [(file, item) for item in hand.files for file in opened(item)]
    choice = choose([file for file, _ in pairs], place.course, module)
    beside = [] if hand.sender.lms_id else hand.files  # an LMS writes no timestamp.txt: a student did
    at = _handed_in_at(next(item for file, item in pairs if file is choice.file), beside)
    return choice, choice.file.read(), at


def _handed_in_at(item: Handed, files: Sequence[Handed]) -> float:
    """The time in a timestamp.txt beside what was handed in, else when that was last changed.

    What a student's archive says of the times of its files is the student's word, and decides nothing.
    """
    for file in files:
        if file.name == TIMESTAMP and file.path[:-1] == item.path[:-1]:
            told = seconds_of(file.read()[:100].decode("utf-8", "replace"))
            if told is not None:
                return told
    return min(max(item.modified or 0.0, 0.0), 253402300799.0)


def _read_times(path: Path) -> dict[str, float]:
    """A table with the columns id and timestamp; EnvironmentFault that names the line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if not {"id", "timestamp"} <= set(rows.fieldnames or []):
                raise EnvironmentFault(f"{path} lacks the columns id and timestamp.", "its first line is: id,timestamp")
            found: dict[str, float] = {}
            for row in rows:
                at = seconds_of(row["timestamp"] or "")
                if at is None:
                    raise EnvironmentFault(
                        f"{path}, line {rows.line_num}: {row['timestamp']!r} is no time.",
                        "write it as 2015-02-02 15:58:23 UTC",
                    )
                found[student_id(row["id"] or "")] = at
            return found
    except UnknownStudent as error:
        raise EnvironmentFault(f"{path}: {error.reason}.", "correct the column id") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EnvironmentFault(f"{path} cannot be read: {error}.", "save it as CSV in UTF-8") from None
