"""Answers to reflection questions: found where students write them, and told from what was released."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from grading.lessons import Page, assignment, at, ipynb, percent, released

from tito.grading.submission.reading import read_submission
from tito.grading.submission.repair import repair
from tito.release import TEXT_STUB

FIRST = "reflection-depth-width"
WORDS = "Because depth\n\n- composes, and width does not."


def write(page: Page, text: str) -> None:
    page[at(page, FIRST)]["source"] = text


def prose(page: Page, text: str, kind: str = "markdown") -> None:
    page.insert(at(page, FIRST) + 1, {"cell_type": kind, "source": text, "metadata": {}})


def lose_id(page: Page) -> None:
    write(page, WORDS)
    page[at(page, FIRST)]["metadata"] = {}


def below(page: Page) -> None:
    prose(page, WORDS)


def below_an_empty_cell(page: Page) -> None:
    write(page, "")
    prose(page, WORDS)


def in_the_question(page: Page) -> None:
    page[at(page, FIRST) - 1]["source"] += f"\n\n{WORDS}"


def in_the_question_alone(page: Page) -> None:
    in_the_question(page)
    del page[at(page, FIRST)]


def retype(page: Page) -> None:
    write(page, WORDS)
    page[at(page, FIRST)]["cell_type"] = "code"


def retype_raw(page: Page) -> None:
    write(page, WORDS)
    page[at(page, FIRST)]["cell_type"] = "raw"


def below_the_stub(page: Page) -> None:
    write(page, f"{TEXT_STUB}\n\n{WORDS}")


def twice(page: Page) -> None:
    write(page, WORDS)
    page.insert(at(page, FIRST), dict(page[at(page, FIRST)]))


def stub_and_copy(page: Page) -> None:
    copy = dict(page[at(page, FIRST)])
    write(page, WORDS)
    page.insert(at(page, FIRST), copy)


def move(page: Page) -> None:
    write(page, WORDS)
    page.insert(0, page.pop(at(page, FIRST)))


ANSWERED: list[tuple[Callable[[Page], None], int]] = [
    *((lambda page: write(page, WORDS), 0), (lose_id, 1), (below, 1), (below_an_empty_cell, 1), (in_the_question, 1)),
    *((in_the_question_alone, 1), (retype, 0), (retype_raw, 0), (below_the_stub, 0), (twice, 0), (stub_and_copy, 0)),
    (move, 0),
]


@pytest.mark.parametrize(("edit", "said"), ANSWERED, ids=lambda value: getattr(value, "__name__", ""))
def test_an_answer_is_found(edit: Callable[[Page], None], said: int) -> None:
    """Catches an answer that nobody reads because it is not in the cell that was meant for it."""
    page = released("03")
    edit(page)
    for data, name in ((ipynb(page), "x.ipynb"), (percent(page), "x.py")):
        result = repair(assignment("03"), read_submission(data, name))
        assert result.answers[0].text == WORDS
        assert [answer.answered for answer in result.answers] == [True, False, False]
        assert [answer.possible for answer in result.answers] == [q.points for q in assignment("03").questions]
        assert len(result.repairs) == said
        assert not any(WORDS in cell.source for cell in result.cells)


UNANSWERED: list[Callable[[Page], None]] = [
    *(
        lambda page: None,
        lambda page: write(page, ""),
        lambda page: write(page, "  \n\n "),
        lambda page: prose(page, ""),
    ),
    *(
        lambda page: write(page, f"\n{TEXT_STUB}  \n"),
        lambda page: page.pop(at(page, FIRST)),
        lambda page: page.clear(),
    ),
    *(lambda page: prose(page, TEXT_STUB), lambda page: prose(page, "x = 1", "code"), lambda page: page.reverse()),
    lambda page: write(page, page[at(page, FIRST) - 1]["source"]),
]


@pytest.mark.parametrize("edit", UNANSWERED)
def test_no_answer_is_no_answer(edit: Callable[[Page], None]) -> None:
    """Catches an empty answer that somebody must read, and prose of the course that is taken for one."""
    page = [*released("03"), {"cell_type": "markdown", "source": "# end", "metadata": {}}]
    edit(page)
    data = ipynb([*page, {"cell_type": "code", "source": "x = 1", "metadata": {}}])
    result = repair(assignment("03"), read_submission(data, "x.ipynb"))
    assert not result.answers[0].answered, result.answers[0]
