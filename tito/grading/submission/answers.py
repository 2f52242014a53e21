"""What a student wrote below the reflection questions, found by grade_id or by its place."""

from __future__ import annotations

from collections.abc import Sequence

from tito.grading.assignment import Question
from tito.grading.records import Answer
from tito.grading.submission.course_cells import CourseCell, normal
from tito.grading.submission.reading import RawCell
from tito.notebook import Role
from tito.release import TEXT_STUB


def read_answers(
    course: Sequence[CourseCell], questions: Sequence[Question], cells: Sequence[RawCell], repairs: list[str]
) -> tuple[Answer, ...]:
    """One answer a question, in the course's order; adds to `repairs` where one was found by its place alone."""
    ids = {cell.grade_id for cell in course if cell.grade_id}
    prose = {cell.text for cell in course if cell.role is Role.PROSE}
    points = {question.grade_id: question.points for question in questions}
    answers, lost = [], list[str]()
    for index, cell in enumerate(course):
        if cell.role is not Role.MANUAL:
            continue
        mine = [at for at, each in enumerate(cells) if each.grade_id == cell.grade_id]
        question = course[index - 1].source if index else ""
        untouched = {"", normal(TEXT_STUB), cell.released_text, normal(question)}
        texts = list(dict.fromkeys(cells[at].source for at in mine if normal(cells[at].source) not in untouched))
        if len(texts) > 1:
            repairs.append(f"The answer {cell.grade_id} is there {len(texts)} times; the texts were put together.")
        if not texts:
            texts = _by_place(cells, ids, prose, question, mine[-1] if mine else None)
            if texts:
                repairs.append(f"The answer {cell.grade_id} was not in its cell; what stands at its place was taken.")
        texts = [_without_stub(text) for text in texts]
        text = "\n\n".join(text for text in texts if text)
        lost += [] if mine or text else [cell.grade_id]
        if not text:
            text = cells[mine[0]].source if mine else ""
        answered = normal(text) not in untouched
        answers.append(Answer(cell.grade_id, points[cell.grade_id], text, answered))
    if lost:
        repairs.append(f"No text was found for {', '.join(lost)}: neither the cell nor anything at its place.")
    return tuple(answers)


def _by_place(cells: Sequence[RawCell], ids: set[str], prose: set[str], question: str, own: int | None) -> list[str]:
    """The texts after the answer cell or, when it is gone, after the question, up to the next cell of the course."""
    found: list[str] = []
    asked = normal(question)
    if own is None:
        heads = [at for at, cell in enumerate(cells) if asked and normal(cell.source).startswith(asked)]
        if not heads:
            return []
        own = heads[0]
        added = cells[own].source.strip()[len(question.strip()) :].strip() if cells[own].kind != "code" else ""
        found += [added] if normal(added) not in ("", normal(TEXT_STUB)) else []
    else:
        before = cells[own - 1] if own else None
        if before is not None and before.kind != "code" and asked and normal(before.source) != asked:
            added = before.source.strip().removeprefix(question.strip())
            found += [added.strip()] if added != before.source.strip() and added.strip() else []
    for cell in cells[own + 1 :]:
        code = cell.kind == "code" and bool(cell.source.strip())
        if code or cell.grade_id in ids or any(normal(cell.source).startswith(p) for p in prose if p):
            break
        if normal(cell.source) not in ("", normal(TEXT_STUB)):
            found.append(cell.source)
    return found


def _without_stub(text: str) -> str:
    """The text without the line that says where to write."""
    return "\n".join(line for line in text.split("\n") if line.strip() != TEXT_STUB).strip("\n")
