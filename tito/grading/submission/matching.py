"""Which cells of a submission are the student's version of which cells of the course."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from tito.grading.assignment import Assignment
from tito.grading.submission.course_cells import CourseCell, course_cells, normal
from tito.grading.submission.indents import outdented
from tito.grading.submission.names import Names, excerpt, heads, names_of
from tito.grading.submission.reading import RawCell
from tito.notebook import Role

_COMPARED = 1_000  # pieces among which second copies are looked for, which takes the square of them
_REJOINED = 10  # pieces looked at for the rest of a cut cell
_ALIKE = 0.5  # share of common names or lines from which two cells are versions of one


@dataclass(frozen=True)
class Piece:
    """A code cell of a submission that will run."""

    number: int  # its place in the submission, from 1
    source: str
    grade_id: str  # as handed in; empty when the course has none of that name
    of: tuple[int, ...] = ()  # the course's cells that it is a version of, by index

    @cached_property
    def names(self) -> Names:
        """What it defines, binds and uses."""
        return names_of(self.source)


@dataclass
class Matching:
    """The code cells to run in the submission's order, and what was found on the way."""

    pieces: list[Piece] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    tests: dict[str, int] = field(default_factory=dict)  # the place of the student's own copy of each test


def match(assignment: Assignment, cells: Sequence[RawCell]) -> Matching:
    """Find the submission's version of every solution and helper cell of the course, and leave its tests out."""
    course = course_cells(assignment)
    found = Matching()
    pieces = _joined(course, _code(course, cells, found), found)
    pieces = _without_tests(course, pieces, found)
    own = _without_copies(course, pieces, found)
    pieces = own if len(own) == len(pieces) else _without_second_helpers(course, own)
    owned = _owned(course, pieces, found)
    found.pieces = [replace(piece, of=tuple(sorted(owned[at]))) for at, piece in enumerate(pieces)]
    for piece in found.pieces:
        solved = [course[index].grade_id for index in piece.of if course[index].role is Role.SOLUTION]
        if len(solved) > 1:
            found.repairs.append(f"The cells {listed(solved)} are merged in cell {piece.number}; it counts for each.")
    return found


def _code(course: Sequence[CourseCell], cells: Sequence[RawCell], found: Matching) -> list[Piece]:
    """The cells that hold code, those that were made markdown or raw cells included."""
    roles = {cell.grade_id: cell.role for cell in course if cell.grade_id}
    stubs = {cell.grade_id: cell.released_text for cell in course if cell.role is Role.SOLUTION}
    coded = [cell for cell in cells if cell.kind == "code"]
    worked = {cell.grade_id for cell in coded if normal(cell.source) not in ("", stubs.get(cell.grade_id))}
    written = {name for cell in coded for name in names_of(cell.source).defined}
    lost = {name for cell in course if cell.role is Role.SOLUTION for name in cell.names.defined} - written
    pieces = []
    for number, cell in enumerate(cells, start=1):
        name = cell.grade_id if cell.grade_id in roles else ""
        role = roles.get(name)
        if role is Role.MANUAL or not cell.source.strip():
            continue
        retyped = cell.kind != "code" and (
            (role in (Role.SOLUTION, Role.TEST) and name not in worked)  # else it is an older version, put aside
            or (names_of(cell.source).parses and names_of(cell.source).defined & lost)
        )
        if retyped and role is Role.TEST:
            found.repairs.append(f"The test {name} had been made a {cell.kind} cell; the course's test is run.")
        elif retyped:
            what = f"The cell {name}" if name else f"Cell {number}, which holds code,"
            found.repairs.append(f"{what} had been made a {cell.kind} cell; it was run as code.")
        if cell.kind == "code" or retyped:
            pieces.append(Piece(number, cell.source, name))
    return pieces


def _joined(course: Sequence[CourseCell], pieces: list[Piece], found: Matching) -> list[Piece]:
    """The pieces with those put together that a cut through a function made unreadable."""
    joined: list[Piece] = []
    at = 0
    while at < len(pieces):
        first, count = pieces[at], 1
        for more in range(2, min(5, len(pieces) - at) + 1):
            group = pieces[at : at + more]
            apart = any(each.grade_id not in ("", first.grade_id) for each in group[1:])
            if apart or group[-1].number != first.number + more - 1:
                break
            if all(each.names.parses for each in group[-2:]):
                break
            source, rest = ("\n".join(each.source for each in part) for part in (group, group[1:]))
            if (first.names.parses and names_of(rest).parses) or _again(first, rest):
                break
            if names_of(source).parses:
                count, first = more, replace(first, source=source)
                break
        if count > 1:
            found.repairs.append(_cut(first, count))
        joined.append(first)
        at += count
    return [_outdented(piece, found) for piece in _rejoined(course, joined, found)]


def _again(head: Piece, rest: str) -> bool:
    """Whether code that may be the rest of a piece defines what is in it already: then it is a trial of its own."""
    inside = re.findall(r"^[ \t]+(?:async[ \t]+)?def[ \t]+(\w+)", head.source, re.MULTILINE)
    return head.names.parses and not heads(outdented(rest)).isdisjoint(inside)


def _outdented(piece: Piece, found: Matching) -> Piece:
    """A piece that was pasted with its indentation as a notebook runs it; the rest of a cut cell is none by now."""
    if piece.names.parses or not names_of(source := outdented(piece.source)).parses:
        return piece
    what = f"The cell {piece.grade_id}" if piece.grade_id else f"Cell {piece.number}"
    found.repairs.append(f"{what} was indented as a whole; the indentation was left out.")
    return replace(piece, source=source)


def _cut(piece: Piece, count: int) -> str:
    what = f"The cell {piece.grade_id}" if piece.grade_id else f"Cell {piece.number}"
    return f"{what} had been cut in {count}; the pieces were put together again."


def _rejoined(course: Sequence[CourseCell], pieces: list[Piece], found: Matching) -> list[Piece]:
    """The pieces with the rest of a cut cell, which is no Python and has no id, put back to its beginning."""
    left = list(pieces)
    solutions = {cell.grade_id for cell in course if cell.role is Role.SOLUTION}
    for rest in [piece for piece in pieces if not piece.grade_id and not piece.names.parses][:_REJOINED]:
        at = left.index(rest)
        starts = [i for i, each in enumerate(left) if each.grade_id in solutions]
        if any(_again(left[i], rest.source) for i in starts if 0 < at - i <= 2):
            continue
        near = sorted(starts, key=lambda i: (not 0 < at - i <= 2, left[i].names.parses, abs(i - at)))
        for start in near[:_REJOINED]:
            head = left[start]
            whole = replace(head, source=f"{head.source}\n{rest.source}")
            if whole.names.parses:
                left[start] = whole
                left.remove(rest)
                found.repairs.append(_cut(head, 2))
                break
    return left


def _without_tests(course: Sequence[CourseCell], pieces: list[Piece], found: Matching) -> list[Piece]:
    """The pieces that are not the course's tests, whose own versions run instead."""
    tests = {cell.grade_id: cell for cell in course if cell.role is Role.TEST}
    places = list(tests)
    owners = {name: cell.grade_id for cell in reversed(tests.values()) for name in cell.names.defined}
    work = {name for cell in course if cell.work for name in cell.names.defined}
    told = _ToldOfTests()
    kept: list[Piece] = []
    for piece in pieces:
        names = piece.names.defined
        shared = sorted({owners[name] for name in names if name in owners}, key=places.index)
        name = piece.grade_id if piece.grade_id in tests else ""
        whole = [each for each in shared if any(one.startswith("test") for one in names & tests[each].names.defined)]
        text = normal(piece.source)  # students give helpers of their own the names of those in tests
        copied = [each for each in shared if each in whole or text in tests[each].text]
        found.tests |= dict.fromkeys([name] if name else whole, piece.number)
        if names & work:
            kept.append(piece)
            told.merged(piece, whole)
        elif name:
            same = _is(piece, tests[name])
            told.found(name, found, "" if same else f"The test {name} had been edited; the course's test is run.")
            kept += [] if same else _own_helpers(piece, tests[name].names.bound, pieces)
        elif copied:
            told.unnamed += [(piece, each) for each in whole or copied[:1]]
            kept += _own_helpers(piece, frozenset().union(*(tests[each].names.bound for each in copied)), pieces)
        else:
            kept.append(piece)
    told.finish(places, found)
    return kept


class _ToldOfTests:
    """What is to be said of the tests in a submission."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.unnamed: list[tuple[Piece, str]] = []  # cells with a test, but not its id
        self.mixed: list[tuple[Piece, list[str]]] = []

    def merged(self, piece: Piece, copied: list[str]) -> None:
        if copied:
            self.mixed.append((piece, copied))

    def found(self, name: str, found: Matching, problem: str) -> None:
        if name in self.seen:
            problem = f"The test {name} was there more than once; the course's test is run."
        self.seen.add(name)
        found.repairs += [problem] if problem else []

    def finish(self, tests: list[str], found: Matching) -> None:
        """Say what can only be said when all cells have been seen."""
        lost = []
        for piece, name in self.unnamed:
            if name in self.seen:
                found.repairs.append(f"Cell {piece.number} is a copy of the test {name}; it was left out.")
            else:
                lost.append(name)
            self.seen.add(name)
        if lost:
            found.repairs.append(f"The test{_s(lost)} {listed(lost)} had lost the id; the course's test is run.")
        for piece, names in self.mixed:
            found.repairs.append(
                f"Cell {piece.number} also holds the test{_s(names)} {listed(names)}; "
                "the course's test is run after it."
            )
            self.seen.update(names)
        if deleted := [name for name in tests if name not in self.seen]:
            found.repairs.append(
                f"The test{_s(deleted)} {listed(deleted)} {'were' if deleted[1:] else 'was'} missing; "
                "the course's test is run all the same."
            )


def _is(piece: Piece, test: CourseCell) -> bool:
    """Whether a piece is a test of the course as it was released, or as the course has it."""
    return normal(piece.source) in (test.released_text, test.text)


def _own_helpers(piece: Piece, given: frozenset[str], pieces: Sequence[Piece]) -> list[Piece]:
    """What a student wrote into a test cell that other cells of theirs use, as a piece; the course gave the rest."""
    used = {name for each in pieces if each is not piece for name in each.names.used}
    own = (piece.names.bound - given) & used
    return [replace(piece, source=excerpt(piece.source, own), grade_id="")] if own else []


def _without_copies(course: Sequence[CourseCell], pieces: list[Piece], found: Matching) -> list[Piece]:
    """The pieces without second copies of a solution cell that are equal, or as they were released."""
    released = {cell.grade_id: cell.released_text for cell in course if cell.grade_id}
    left = list(pieces)
    for name in dict.fromkeys(piece.grade_id for piece in pieces if piece.grade_id):
        same = [piece for piece in pieces if piece.grade_id == name]
        if len(same) == 1:
            continue
        worked = [piece for piece in same if normal(piece.source) != released[name]] or same[:1]
        distinct = list({normal(piece.source): piece for piece in reversed(worked)}.values())[::-1]
        for piece in same:
            if piece not in distinct:
                left.remove(piece)
        if len(distinct) == 1:
            found.repairs.append(f"The cell {name} was there {len(same)} times; it was run once.")
        elif _disjoint(distinct):
            found.repairs.append(f"The cell {name} had been split in {len(distinct)}; all pieces were run.")
        else:
            found.repairs.append(
                f"The cell {name} was there {len(same)} times with different code; all were run, so the last counts."
            )
    return left


def _without_second_helpers(course: Sequence[CourseCell], pieces: list[Piece]) -> list[Piece]:
    """The pieces without second copies of the course's own code where copies of solutions are left out.

    Run again behind the solutions, a cell that begins a table would empty it. The copy stays that has most solutions
    on the side on which the course has them.
    """
    places = {cell.grade_id: index for index, cell in enumerate(course) if cell.role is Role.SOLUTION}
    solved = [(at, places[piece.grade_id]) for at, piece in enumerate(pieces) if piece.grade_id in places]
    texts: dict[str, list[int]] = {}
    for at, piece in enumerate(pieces if len(pieces) <= _COMPARED else []):
        if not piece.grade_id:
            texts.setdefault(normal(piece.source), []).append(at)
    left_out: set[int] = set()
    for index, cell in enumerate(course):
        if cell.helper and len(same := texts.get(cell.text, [])) > 1:
            wrong = [sum((place < at) != (of < index) for place, of in solved) for at in same]
            left_out.update(same)
            left_out.remove(same[wrong.index(min(wrong))])
    return [piece for at, piece in enumerate(pieces) if at not in left_out]


def _disjoint(pieces: Sequence[Piece]) -> bool:
    """Whether no two pieces define the same name."""
    names = [name for piece in pieces for name in piece.names.defined]
    return len(names) == len(set(names))


def _owned(course: Sequence[CourseCell], pieces: Sequence[Piece], found: Matching) -> list[set[int]]:
    """For each piece, the course's solution and helper cells of which it is a version."""
    owned: list[set[int]] = [set() for _ in pieces]
    names = {name for cell in course if cell.work for name in cell.names.defined}
    for index, cell in enumerate(course):
        for at in _versions_of(cell, pieces, names) if cell.work else ():
            owned[at].add(index)
    for index, cell in enumerate(course):  # what content does not tell, the id does
        if cell.role is Role.SOLUTION and not any(index in each for each in owned):
            for at, piece in enumerate(pieces):
                if piece.grade_id == cell.grade_id:
                    owned[at].add(index)
    _add_ends(course, pieces, owned)
    lost: dict[str, int] = {}
    for index, cell in enumerate(course):
        if cell.role is Role.SOLUTION:
            mine = [piece for at, piece in enumerate(pieces) if index in owned[at]]
            if mine and all(piece.grade_id != cell.grade_id for piece in mine):
                lost[cell.grade_id] = mine[0].number
            elif len(mine) > 1 and any(not piece.grade_id for piece in mine):
                found.repairs.append(f"The cell {cell.grade_id} had been split in {len(mine)}; all pieces were run.")
    if len(lost) == 1:
        found.repairs += [f"The cell {name} had lost its id; cell {at} was taken for it." for name, at in lost.items()]
    elif lost:
        found.repairs.append(f"The cells {listed(list(lost))} had lost their ids; they were known by what they define.")
    return owned


def _add_ends(course: Sequence[CourseCell], pieces: Sequence[Piece], owned: list[set[int]]) -> None:
    """Give a solution cell the cells beside it that have no id and not a line that the course's cell has not."""
    for at, piece in enumerate(pieces):
        if owned[at] or piece.grade_id:
            continue
        lines = set(normal(piece.source).split("\n"))
        for beside in (at - 1, at + 1):
            if 0 <= beside < len(pieces) and abs(pieces[beside].number - piece.number) == 1:
                solved = (index for index in owned[beside] if course[index].role is Role.SOLUTION)
                owned[at] |= {index for index in solved if lines <= set(course[index].text.split("\n"))}


def _names_alone(piece: Piece, cell: CourseCell, names: set[str]) -> bool:
    """Whether a piece has a cell's id and defines nothing of the course's, as the head of a cell that was split."""
    return bool(piece.grade_id) and piece.grade_id == cell.grade_id and not piece.names.defined & names


def _versions_of(cell: CourseCell, pieces: Sequence[Piece], names: set[str]) -> list[int]:
    """The pieces that define what a cell of the course defines: first those with its id or its very text."""
    wanted = cell.names.defined
    if not wanted:
        named = [at for at, piece in enumerate(pieces) if cell.grade_id and piece.grade_id == cell.grade_id]
        return named or _alike(cell, pieces)
    having = {at: piece.names.defined & wanted for at, piece in enumerate(pieces)}
    having = {at: names for at, names in having.items() if names}
    own = [at for at in having if cell.grade_id and pieces[at].grade_id == cell.grade_id]
    own = own or [at for at in having if normal(pieces[at].source) == cell.text][:1]
    heads = [at for at, piece in enumerate(pieces) if at not in own and _names_alone(piece, cell, names)]
    if not own:
        return sorted({*having, *(heads if having else [])})
    own += heads
    wanted = cell.names.bound
    covered = {name for at in own for name in pieces[at].names.bound}
    for at, piece in enumerate(pieces):
        more = (piece.names.bound & wanted) - covered
        if at not in own and not piece.grade_id and more:
            own.append(at)
            covered |= more
    return sorted(own)


def _alike(cell: CourseCell, pieces: Sequence[Piece]) -> list[int]:
    """The piece most like a cell without functions, such as one with imports."""
    best, share = -1, _ALIKE
    lines, bound = set(cell.text.split("\n")), cell.names.bound
    for at, piece in enumerate(pieces):
        if piece.grade_id:
            continue
        theirs = set(normal(piece.source).split("\n"))
        common = len(lines & theirs) / len(lines | theirs)
        if bound:
            common = max(common, len(bound & piece.names.bound) / len(bound))
        if common > share or (common == share and best < 0):
            best, share = at, common
    return [best] if best >= 0 else []


def _s(names: Sequence[str]) -> str:
    return "s" if len(names) > 1 else ""


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
