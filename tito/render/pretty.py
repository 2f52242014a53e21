"""Blocks drawn for a terminal. The only import of rich apart from the progress bar beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import IO, Any

from rich.box import ASCII2, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text as RichText

from tito.render.blocks import (
    Beside,
    Block,
    Field,
    Mark,
    Next,
    Table,
    Text,
    Verbatim,
    drawn_field,
    plain_field,
    to_ascii,
)

_NAME = 12  # characters of a name that are always shown
_COLOURS = {
    "ok": "green",
    "bad": "red",
    "warn": "yellow",
    "wait": "dim",
    "note": "cyan",
    "head": "bold",
    "": "",
}


def console(stream: IO[str], color: str, ascii_only: bool = False) -> Console:
    """A console on a stream: colour always, never, or when it is a terminal that wants it."""
    options: dict[str, dict[str, Any]] = {
        "always": {"force_terminal": True, "no_color": False, "color_system": "standard"},  # whatever TERM says
        "never": {"no_color": True, "force_terminal": False},
        "auto": {"force_terminal": None, "no_color": None},
    }
    target = stream if not ascii_only else _Ascii(stream)
    return _Console(file=target, highlight=False, soft_wrap=False, emoji=False, markup=False, **options[color])  # type: ignore[arg-type]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the boundary, instead of ending the process with a learner's exit code."""
        raise BrokenPipeError


class _Ascii:
    """A stream that carries nothing but ASCII, and says so."""

    encoding = "ascii"

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(to_ascii(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def draw(target: Console, blocks: Iterable[Block]) -> None:
    """Print each block."""
    for block in blocks:
        match block:
            case Text(text=text, kind=kind):
                target.print(text, style=_COLOURS[kind] or None, soft_wrap=True)
            case Verbatim(text=text):
                target.print(text, soft_wrap=True)
            case Next(command=command):
                target.print(RichText.assemble(("next: ", "dim"), (command, "bold")), soft_wrap=True)
            case Beside():
                _beside(target, block)
            case Table():
                if block.title:  # as a line of its own, so that a path in it is not cut to the table's width
                    target.print(block.title, style="bold", soft_wrap=True)
                target.print(_table(block, target.options.ascii_only))


def _beside(target: Console, block: Beside) -> None:
    widths = [max((len(line) for line in text.split("\n")), default=0) for text in block.texts]
    if sum(widths) + 4 <= target.width:
        both = RichTable(*block.titles, box=None, pad_edge=False, padding=(0, 4, 0, 0))
        both.add_row(*(RichText(text, no_wrap=True) for text in block.texts))
        target.print(both, "")
        return
    for title, text in zip(block.titles, block.texts, strict=True):
        target.print(title, style="bold", soft_wrap=True)
        target.print(text + "\n", soft_wrap=True)


def _table(table: Table, ascii_only: bool) -> RichTable:
    drawn = RichTable(
        box=ASCII2 if ascii_only else SIMPLE_HEAD,
        show_footer=bool(table.footer),
        pad_edge=False,
    )
    footer = [*table.footer] or [""] * len(table.columns)
    for index, (name, foot) in enumerate(zip(table.columns, footer, strict=True)):
        number = index in table.right
        name_only = index in table.names
        whole = number or (index == 0 and not name_only)
        cells = [_text(value, ascii_only) for value in (name, foot, *(row[index] for row in table.rows))]
        drawn.add_column(
            name,
            justify="right" if number else "left",
            no_wrap=whole,
            overflow="crop" if ascii_only else "ellipsis",
            min_width=max(cell.cell_len for cell in cells) if whole else None,  # rich would cut at a word
            footer=cells[1],
        )
    for row in table.rows:
        drawn.add_row(*(_text(value, ascii_only, index in table.names) for index, value in enumerate(row)))
    return drawn


def _text(value: Field, ascii_only: bool, name: bool = False) -> RichText:
    style = _COLOURS[value.kind] if isinstance(value, Mark) else ""
    return RichText(drawn_field(value, ascii_only), style=style, no_wrap=name or None)


def minimum_width(blocks: Iterable[Block]) -> int:
    """The narrowest terminal on which no number of the tables would be cut, and no name too short to be told."""
    probe = Console(width=1000, file=None)
    return max(
        (
            _table(_shortened(b), False).__rich_measure__(probe, probe.options).minimum
            for b in blocks
            if isinstance(b, Table)
        ),
        default=0,
    )


def _shortened(table: Table) -> Table:
    """The table with names as short as they may be cut."""

    def row(cells: Sequence[Field]) -> list[Field]:
        return [plain_field(cell)[:_NAME] if index in table.names else cell for index, cell in enumerate(cells)]

    return replace(table, rows=[row(cells) for cells in table.rows])
