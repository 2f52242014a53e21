"""Who a submission is from: student ids, the course's roster, and the names that LMSs give files."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tito.errors import EnvironmentFault, LearnerError

MAX_ID = 64
_DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in "0123456789")}
_CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<lms>\d+)_(?P<hand>\d+)_(?P<file>.+)", re.DOTALL)
_MOODLE = re.compile(r"(?P<name>.+?)_(?P<lms>\d+)_assignsubmission_(?P<kind>file|onlinetext)_?(?P<file>.*)", re.DOTALL)


class UnknownStudent(LearnerError):
    """A submission of which it is not certain whose it is; `reason` is a sentence for the instructor."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.reason = f"{reason} ({hint})" if hint else reason


@dataclass(frozen=True)
class Sender:
    """What the name of a file or folder says about who handed it in."""

    name: str
    lms_id: str = ""
    file: str = ""  # the student's own name of the file, where the LMS put its own before it
    late: bool = False  # as the LMS says
    text_only: bool = False  # Moodle's folder of a text typed on the page


@dataclass(frozen=True)
class Student:
    """One row of the roster."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    lms_id: str = ""


@dataclass(frozen=True)
class Roster:
    """Who is in the course; empty when nobody has written it down."""

    students: tuple[Student, ...] = ()

    def find(self, sender: Sender) -> Student:
        """The one student that a sender can be; raises UnknownStudent when there is none, or more than one."""
        for wanted, keys in (
            (sender.lms_id, lambda student: {student.lms_id}),
            (sender.name, lambda student: {student.id}),
            (sender.name.casefold(), lambda student: {student.email.casefold(), student.lms_id.casefold()}),
            (_letters(sender.name), _spellings),
        ):
            found = [student for student in self.students if wanted and wanted in keys(student)]
            if len(found) == 1:
                return found[0]
            if found:
                break
        ids = ", ".join(student.id for student in found)
        hint = "add the LMS's id to the column lms_id of grading/students.csv"
        if found:
            raise UnknownStudent(f"{sender.name!r} may be any of {ids}", hint)
        raise UnknownStudent(f"{sender.name!r} is nobody in grading/students.csv", hint)


def _spellings(student: Student) -> set[str]:
    """The letters of a student's names in the orders in which Canvas and Moodle write them, and of the address."""
    first, last = student.first_name, student.last_name
    found = {_letters(last + first), _letters(first + last), _letters(student.id)}
    return (found | {_letters(student.email.partition("@")[0])}) - {""}


def _letters(text: str) -> str:
    """The letters and digits of a name, without accents and case."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(char for char in plain.casefold() if char.isalnum())


def read_roster(path: Path) -> Roster:
    """The roster of a course from its CSV file, empty when there is no such file.

    Raises EnvironmentFault that names the line when an id cannot be used or stands there twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return Roster()
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFault(f"{path} cannot be read: {error}.", "save it as CSV in UTF-8") from None
    rows = csv.DictReader(io.StringIO(text))
    if "id" not in (rows.fieldnames or []):
        raise EnvironmentFault(f"{path} has no column id.", "its first line is: id,first_name,last_name,email,lms_id")
    students: list[Student] = []
    seen: dict[str, int] = {}
    for row in rows:
        values = {name: (row.get(name) or "").strip() for name in ("id", "first_name", "last_name", "email", "lms_id")}
        if not any(values.values()):
            continue
        try:
            name = student_id(values["id"])
        except UnknownStudent as error:
            raise EnvironmentFault(f"{path}, line {rows.line_num}: {error.reason}.", "choose another id") from None
        if name.casefold() in seen:
            raise EnvironmentFault(
                f"{path}, line {rows.line_num}: the id {name!r} is used in line {seen[name.casefold()]} already.",
                "ids differ in more than upper and lower case",
            )
        seen[name.casefold()] = rows.line_num
        students.append(Student(**{**values, "id": name}))
    return Roster(tuple(students))


def student_id(text: str) -> str:
    """A student's id as a name that is safe everywhere, also as a folder; raises UnknownStudent."""
    name = unicodedata.normalize("NFC", text.strip())
    wrong = sorted({char for char in name if not _allowed(char)})
    if not name:
        problem = "a student id is empty"
    elif len(name) > MAX_ID or len(name.encode("utf-8", "replace")) > 2 * MAX_ID:
        problem = f"the student id {name[:20] + '...'!r} has more than {MAX_ID} characters"
    elif wrong:
        problem = f"the student id {name!r} has {', '.join(map(ascii, wrong))}; letters, digits, . _ - @ are allowed"
    elif name[0] in ".-" or name[-1] == ".":
        problem = f"the student id {name!r} begins with a dot or a dash, or ends with a dot"
    elif name.partition(".")[0].casefold() in _DEVICES:
        problem = f"the student id {name!r} is the name of a device on Windows"
    else:
        return name
    raise UnknownStudent(problem)


def _allowed(char: str) -> bool:
    return char in "._-@" or unicodedata.category(char) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")


def derived_id(sender: Sender) -> str:
    """A student id made of a sender's name, where there is no roster; raises UnknownStudent."""
    plain = sender.name.replace("'", "").replace("\u2019", "").replace(",", " ")
    try:
        return student_id("-".join(plain.split()).rstrip("."))  # Jane D. is as good a name as any
    except UnknownStudent as error:
        raise UnknownStudent(error.message, "write grading/students.csv, which says who that is") from None


def sender_of(name: str) -> Sender:
    """What the name of a file or folder from Canvas, Moodle or a person says; `name` without the archive's ending."""
    if match := _MOODLE.fullmatch(name):
        return Sender(match["name"].strip(), match["lms"], match["file"], text_only=match["kind"] == "onlinetext")
    if match := _CANVAS.fullmatch(name):
        return Sender(match["name"], match["lms"], match["file"], late=match["late"] is not None)
    return Sender(name.strip())


def clash(name: str, others: Iterable[str]) -> str:
    """The other id that differs from this one in case alone, or an empty string."""
    return next((other for other in others if other != name and other.casefold() == name.casefold()), "")
