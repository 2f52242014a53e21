"""The quiz at the terminal: asks on stderr, reads lines from stdin, ends at the end of the input."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from tito.analysis.cost import Cost
from tito.analysis.quiz import Question, Verdict, judge
from tito.cli.boundary import Session
from tito.render.analysis_answers import hidden, verdict


def ask_all(session: Session, cost: Cost, column: str, questions: Sequence[Question]) -> Iterator[Verdict]:
    """One question after the other; what remains unasked at the end of the input, or after `q`, is left out."""
    if not session.json:
        session.draw(hidden(cost, column, questions), sys.stderr)
    session.note("Type each number (200960 or 200,960; bytes also as 814 kB); q ends the quiz.")
    for number, question in enumerate(questions, 1):
        sys.stderr.write(f"{number}/{len(questions)} {question.text}: ")
        sys.stderr.flush()
        line = sys.stdin.readline() if sys.stdin is not None else ""
        if not line or line.strip().lower() in ("q", "quit", "exit"):
            sys.stderr.write("\n")
            return
        if not sys.stdin.isatty():
            sys.stderr.write("\n")
        found = judge(question, line)
        if not session.json:
            session.draw(verdict(found), sys.stderr)
        yield found
