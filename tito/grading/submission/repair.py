"""A submission's cells put beside the course's: its code in its order, the course's tests at their places.

What belongs together is found by grade_id and by content: the functions and classes that a cell of the course
defines. Metadata of a submission decides nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tito.grading.assignment import Assignment, GradedCell
from tito.grading.records import Answer
from tito.grading.sandbox.jobs import COURSE_CELL, JobCell
from tito.grading.submission.answers import read_answers
from tito.grading.submission.course_cells import CourseCell, course_cells, normal
from tito.grading.submission.matching import Piece, listed, match
from tito.grading.submission.names import heads
from tito.grading.submission.reading import RawCell, Reading
from tito.notebook import Role

_PASSES = 5  # of putting cells behind what they need
_MOVABLE = 200  # versions of the course's cells; where there are more, which takes the square of them, none is moved


@dataclass(frozen=True)
class Repaired:
    """A submission that can be graded."""

    cells: tuple[JobCell, ...]  # in the order in which they run; a test is named by its grade_id
    answers: tuple[Answer, ...]  # one a question, in the course's order
    sources: tuple[tuple[str, str], ...]  # (grade_id, source) of every solution cell of the course
    repairs: tuple[str, ...]  # one sentence each


def as_released(assignment: Assignment, reading: Reading) -> Repaired | None:
    """A submission that has the released lesson's cells with code, in their order; None for any other.

    Cells are told by their ids, their texts and the names in lines that begin with def or class; cells of the student's
    own may stand between them. No code is read, which would take longer than all else here: where the student's cells
    run in this order, none of them needs repair.
    """
    course = course_cells(assignment)
    due = [index for index, cell in enumerate(course) if cell.work or cell.role is Role.TEST]
    asked = {course[index].grade_id for index in due} - {""}
    known = frozenset[str]().union(*(course[index].names.defined for index in due))
    order, tests = list[Piece](), dict[str, int]()
    for number, mine in enumerate(reading.cells, start=1):
        if mine.kind != "code" or not mine.source.strip():
            if mine.kind != "code" and mine.grade_id in asked:
                return None
        elif due and _stands_for(mine, course[due[0]], known):
            index = due.pop(0)
            if course[index].work:
                order.append(Piece(number, mine.source, course[index].grade_id, (index,)))
            else:
                tests[course[index].grade_id] = number
        elif mine.grade_id in asked or heads(mine.source) & known or _part(mine.source, course):
            return None
        else:
            order.append(Piece(number, mine.source, ""))
    if due:
        return None
    notes = list(reading.notes)
    answers = read_answers(course, assignment.questions, reading.cells, notes)
    cells = tuple(_job_cells(course, assignment.graded, order, tests))
    return Repaired(cells, answers, tuple(_sources(course, order)), tuple(dict.fromkeys(notes)))


def _part(source: str, course: Sequence[CourseCell]) -> bool:
    """Whether some code may be cut from a cell of the course: it has not a line of its own."""
    lines = set(normal(source).split("\n"))
    return any(lines <= set(cell.text.split("\n")) for cell in course if cell.work)


def _stands_for(mine: RawCell, cell: CourseCell, known: frozenset[str]) -> bool:
    """Whether a cell is the student's version of one of the course: with its id, and its names or else its text."""
    if mine.grade_id != cell.grade_id:
        return False
    if cell.role is Role.SOLUTION:
        return heads(mine.source) & known == cell.names.defined
    return mine.source == cell.released or normal(mine.source) in (cell.released_text, cell.text)


def repair(assignment: Assignment, reading: Reading) -> Repaired:
    """Align a submission with the course; whatever it holds, the course's tests are there, each once."""
    course = course_cells(assignment)
    matching = match(assignment, reading.cells)
    repairs = [*reading.notes, *matching.repairs]
    order = list(matching.pieces)
    _add_missing_solutions(course, order, repairs)
    _add_missing_helpers(course, order, repairs)
    _move_late_definitions(order, repairs)
    sources = tuple(_sources(course, order))
    answers = read_answers(course, assignment.questions, reading.cells, repairs)
    cells = tuple(_job_cells(course, assignment.graded, order, matching.tests))
    return Repaired(cells, answers, sources, tuple(dict.fromkeys(repairs)))


def _add_missing_solutions(course: Sequence[CourseCell], order: list[Piece], repairs: list[str]) -> None:
    """Put the course's stub where a solution is missing."""
    for index, cell in enumerate(course):
        if cell.role is Role.SOLUTION and not any(index in piece.of for piece in order):
            order.insert(_place(order, index), Piece(0, cell.released, cell.grade_id, (index,)))
            repairs.append(f"The cell {cell.grade_id} is missing; the cell as it was released was run in its place.")


def _add_missing_helpers(course: Sequence[CourseCell], order: list[Piece], repairs: list[str]) -> None:
    """Put back the course's imports and helpers whose names the submission uses, or a test, and nothing binds."""
    bound = {name for piece in order for name in piece.names.bound}
    tests = [cell.names for cell in course if cell.role is Role.TEST]
    for index, cell in reversed(list(enumerate(course))):  # a helper may need an earlier one
        missing = cell.names.bound - bound
        if not (cell.helper and missing):
            continue
        used = frozenset[str]().union(*(names.used for names in (*tests, *(piece.names for piece in order))))
        lost = sorted(missing & used)
        if not lost:
            continue
        theirs = [at for at, piece in enumerate(order) if index in piece.of]
        place = theirs[0] if theirs else _place(order, index)
        order.insert(place, Piece(0, cell.source, "", (index,)))
        repairs.append(f"The course's cell that defines {', '.join(lost[:3])} is missing or shorter; it was put back.")
        bound |= cell.names.bound


def _place(order: Sequence[Piece], index: int) -> int:
    """Where a cell of the course belongs: after the nearest earlier one that is there, else at the beginning."""
    earlier = [
        (max(i for i in piece.of if i < index), at)
        for at, piece in enumerate(order)
        if min(piece.of, default=index) < index
    ]
    return max(earlier)[1] + 1 if earlier else 0


def _move_late_definitions(order: list[Piece], repairs: list[str]) -> None:
    """Move cells behind those that define what they need at once, where nothing before them does."""
    moved: dict[int, Piece] = {}
    names: set[str] = set()
    as_handed_in = list(order)
    for _ in range(_PASSES if sum(bool(piece.of) for piece in order) <= _MOVABLE else 0):
        before = list(order)
        for piece in reversed(before):
            if not piece.of:
                continue
            at = next(i for i, each in enumerate(order) if each is piece)
            if needed := _defined_later(order, at):
                order.insert(max(needed.values()), order.pop(at))
                moved[id(piece)] = piece
                names |= needed.keys()
        if order == before:
            break
    else:  # they need each other: no order is right
        order[:] = as_handed_in
        return
    if moved:
        cells = sorted(piece.number for piece in moved.values())
        what = f"Cell {cells[0]}" if len(cells) == 1 else f"Cells {listed([str(number) for number in cells])}"
        known = listed(sorted(names)[:4])
        repairs.append(f"{what} stood before the definition of {known}, needed at once; moved behind it.")


def _defined_later(order: Sequence[Piece], at: int) -> dict[str, int]:
    """The names that a cell needs as soon as it runs and that only later cells bind, with the first of these."""
    names = order[at].names
    unbound = names.outer.difference(*(each.names.bound for each in order[:at]))
    found: dict[str, int] = {}
    for later in range(at + 1, len(order)) if unbound else ():
        for name in order[later].names.bound & unbound:
            found.setdefault(name, later)
    if not found:
        return found
    lazy = any(piece.names.lazy for piece in order[: at + 1])  # it holds for what follows
    needed = names.early if lazy else names.early | names.hints
    return {name: later for name, later in found.items() if name in needed}


def _sources(course: Sequence[CourseCell], order: Sequence[Piece]) -> Iterator[tuple[str, str]]:
    """The student's code for each solution cell of the course."""
    for index, cell in enumerate(course):
        if cell.role is not Role.SOLUTION:
            continue
        mine = [piece for piece in order if index in piece.of]
        told = []
        for piece in mine:
            first = next(i for i in piece.of if course[i].role is Role.SOLUTION)
            told.append(
                piece.source if first == index else f"# Handed in together with the cell {course[first].grade_id}."
            )
        yield cell.grade_id, "\n\n\n".join(told)


def _job_cells(
    course: Sequence[CourseCell], tests: Sequence[GradedCell], order: Sequence[Piece], theirs: Mapping[str, int]
) -> Iterator[JobCell]:
    """The cells in the order in which they run, each test after everything that precedes it in the course.

    A cell of the student's own runs before a test if it stands so in the submission: it may be a helper.
    """
    graded = {test.grade_id: test for test in tests}
    after: dict[int, list[JobCell]] = {}
    place = -1
    last = {index: at for at, piece in enumerate(order) for index in piece.of}
    for index, cell in enumerate(course):
        place = max(place, last.get(index, -1))
        if test := graded.get(cell.grade_id):
            until = theirs.get(cell.grade_id, sys.maxsize)
            while place + 1 < len(order) and not order[place + 1].of and order[place + 1].number < until:
                place += 1
            after.setdefault(place, []).append(JobCell(test.grade_id, test.source, test.test, test.seconds))
    yield from after.get(-1, [])
    taken = set(graded)
    for at, piece in enumerate(order):
        solved = [course[index].grade_id for index in piece.of if course[index].role is Role.SOLUTION]
        name = next(
            (each for each in solved if each not in taken),
            f"cell:{piece.number}" if piece.number else f"{COURSE_CELL}{at}",
        )
        taken.add(name)
        yield JobCell(name, piece.source)
        yield from after.get(at, [])
