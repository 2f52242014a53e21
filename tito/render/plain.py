"""Blocks as lines that need no width, no colour and no box: for screen readers, narrow terminals and logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tito.render.blocks import Beside, Block, Next, Table, Text, Verbatim, plain_field


def lines(blocks: Iterable[Block]) -> Iterator[str]:
    """Each block as one or more lines."""
    for block in blocks:
        match block:
            case Text(text=text) | Verbatim(text=text):
                yield text
            case Next(command=command):
                yield f"next: {command}"
            case Beside(titles=titles, texts=texts):
                for title, text in zip(titles, texts, strict=True):
                    yield f"{title}:"
                    yield text + "\n"
            case Table():
                yield from _table(block)


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"{table.title}:"
    for row in [*table.rows, table.footer] if table.footer else table.rows:
        first, *others = (plain_field(value) for value in row)
        named = [f"{name} {value}".lstrip() for name, value in zip(table.columns[1:], others, strict=False) if value]
        yield f"{first}: {', '.join(named)}" if named else first
