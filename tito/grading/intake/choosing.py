"""Which of the files that a student handed in is the lesson."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tito.course import Course, Module
from tito.errors import LearnerError
from tito.grading.intake.sources import Handed
from tito.grading.intake.students import sender_of
from tito.grading.place import notebook_name
from tito.grading.submission.reading import Unreadable, read_submission
from tito.notebook import parse
from tito.release import release
from tito.workspace import read_lesson

_SECOND = re.compile(r"(?<=\.py|ynb)\.(?:txt|json)$", re.IGNORECASE)
_COPY = re.compile(r"(?:[ _-]*\((\d+)\)|-(\d+)|[ _-]*copy[ _-]*(\d*))$", re.IGNORECASE)


class NoSureChoice(LearnerError):
    """Several files, none of which is certainly the lesson, or none at all; `reason` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "look at quarantine/, put the right file in a folder of the student's, collect again")
        self.reason = reason


@dataclass(frozen=True)
class Choice:
    """The file that counts."""

    file: Handed
    ending: str  # "py" or "ipynb"
    notes: tuple[str, ...] = ()


def choose(files: Sequence[Handed], course: Course, module: Module) -> Choice:
    """The student's lesson among files; NoSureChoice when that is not certain."""
    lesson = notebook_name(module)
    candidates = [file for file in files if _ending(file) in ("py", "ipynb")]
    others = {notebook_name(each) for each in course.modules if each.folder != module.folder}
    named = [file for file in candidates if _base(file) == lesson]
    if not named:
        named = [file for file in candidates if lesson in _base(file)]
    notes: list[str] = []
    if not named:
        named = [file for file in candidates if _base(file) not in others and not _of_the_package(file, course)]
        if len(named) == 1 and (len(named[0].path) > 1 or sender_of(named[0].name).lms_id):
            notes.append(f"{named[0].name} was taken: it is the only file, though it is not called {lesson}.")
    if not named:
        raise NoSureChoice(f"there is no {lesson}.py or {lesson}.ipynb among {_listed(files)}")
    inside = [file for file in named if module.folder in file.path[:-1]]
    named = inside or named
    shallow = min(len(file.path) for file in named)
    named = [file for file in named if len(file.path) == shallow]
    numbers = {file: _version(file) for file in named}
    if len(set(numbers.values())) == len(named) > 1 and len({_ending(file) for file in named}) == 1:
        newest = max(named, key=numbers.__getitem__)
        notes.append(f"{newest.name} was taken: it has the highest number of {len(named)} versions.")
        named = [newest]
    distinct = {file.read(): file for file in reversed(named)}
    files = list(distinct.values())
    if len(files) > 1:
        files = _worked_on(files, course, module, notes)
    return _newest(files, lesson, notes)


def _worked_on(files: list[Handed], course: Course, module: Module, notes: list[str]) -> list[Handed]:
    """The files without those that are as they were released, such as the format in which a student did not work."""
    lesson = release(parse(read_lesson(course.source(module))), module.folder)
    untouched = tuple((cell.kind, cell.source) for cell in lesson.cells if cell.source)
    left = [file for file in files if _written(file) == untouched]
    worked = [file for file in files if file not in left]
    if not left or not worked:
        return files
    notes.append(f"{_listed(left)} was handed in as it had been released; it was left aside.")
    return worked


def _newest(files: list[Handed], lesson: str, notes: list[str]) -> Choice:
    """The only file, or the newer of a .py and an .ipynb; equal ones are one."""
    if len(files) == 1:
        return Choice(files[0], _ending(files[0]), tuple(notes))
    latest = max(file.modified or 0.0 for file in files)
    newest = [file for file in files if (file.modified or 0.0) == latest]
    if len(newest) == 1 and {_ending(file) for file in files} == {"py", "ipynb"} and len(files) == 2:
        older = next(file for file in files if file is not newest[0])
        told = f"Both {older.name} and {newest[0].name} were handed in; the newer, {newest[0].name}, was taken."
        return Choice(newest[0], _ending(newest[0]), (*notes, told))
    if len({_written(file) for file in newest}) == 1 and len(newest) == len(files):
        chosen = min(files, key=lambda file: (_ending(file) != "py", file.path))
        told = f"{_listed(files)} have the same cells; {chosen.name} was taken."
        return Choice(chosen, _ending(chosen), (*notes, told))
    raise NoSureChoice(f"there are {len(files)} different files that can be {lesson}: {_listed(files)}")


def _written(file: Handed) -> object:
    """What a file says as a lesson, whatever its format."""
    try:
        reading = read_submission(file.read(), file.name)
    except Unreadable:
        return file.path
    return tuple((cell.kind, cell.source) for cell in reading.cells if cell.source)


def _own(name: str) -> str:
    """A file's name without the second ending that a browser or an editor gave it: layers_dev.ipynb.txt."""
    return _SECOND.sub("", name)


def _ending(file: Handed) -> str:
    return _own(file.name).rpartition(".")[2].lower()


def _base(file: Handed) -> str:
    """The student's own name of a file: without what the LMS put before it, and without the number of a copy."""
    bare = _own(file.name).rpartition(".")[0]
    return _COPY.sub("", sender_of(bare).file or bare).strip().lower()


def _version(file: Handed) -> int:
    """The number that an LMS or a browser put at the end of a name, 0 without one."""
    match = _COPY.search(_own(file.name).rpartition(".")[0])
    digits = next((group for group in match.groups() if group), "1") if match else "0"
    return int(digits[:9])


def _of_the_package(file: Handed, course: Course) -> bool:
    """Whether a file is of the package, a test or a tool, as a whole workspace holds them."""
    return course.package in file.path[:-1] or "tests" in file.path[:-1] or file.name == "__init__.py"


def _listed(files: Sequence[Handed]) -> str:
    names = sorted({file.name for file in files})
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "no files"
