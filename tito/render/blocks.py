"""The few kinds of thing a screen is made of, apart from how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

SYMBOLS = {"ok": "✓", "bad": "✗", "warn": "!", "wait": "·", "note": "→", "": ""}
ASCII_SYMBOLS = {"ok": "+", "bad": "x", "warn": "!", "wait": ".", "note": ">", "": ""}
_ASCII = str.maketrans(
    {
        "×": "x",
        "·": "*",
        "→": "->",
        "—": "-",
        "–": "-",
        "…": "...",
        "²": "^2",
        "≤": "<=",
        "≥": ">=",
        "✓": "+",
        "✗": "x",
        "█": "#",
        "▒": "+",
        "░": ".",
        "▓": "%",
        "●": "o",
        "─": "-",
        "│": "|",
        "└": "+",
    }
)


@dataclass(frozen=True)
class Mark:
    """A state as a word; drawn with the symbol and the colour of its kind: ok, bad, warn, wait or note."""

    word: str
    kind: str = ""


Field = str | Mark


@dataclass(frozen=True)
class Text:
    """A line or paragraph; `kind` colours it."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Verbatim:
    """Text that must not be wrapped or coloured, such as a traceback or a difference."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows under named columns; those in `right` hold numbers, those in `names` may be cut where there is no room."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Field]]
    title: str = ""
    right: frozenset[int] = field(default_factory=frozenset)
    footer: Sequence[Field] = ()
    names: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Beside:
    """Two texts side by side where there is room, otherwise one below the other."""

    titles: tuple[str, str]
    texts: tuple[str, str]


@dataclass(frozen=True)
class Next:
    """The command to run next."""

    command: str


Block = Text | Verbatim | Table | Beside | Next


def counted(number: int, noun: str) -> str:
    """A number with its noun: 1 page, 2 pages."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def plain_field(value: Field) -> str:
    """A field as words alone."""
    return value.word if isinstance(value, Mark) else value


def drawn_field(value: Field, ascii_only: bool) -> str:
    """A field as its symbol and its word."""
    if isinstance(value, str):
        return value
    symbol = (ASCII_SYMBOLS if ascii_only else SYMBOLS)[value.kind]
    return f"{symbol} {value.word}" if symbol else value.word


def to_ascii(text: str) -> str:
    """The text for a stream that can carry nothing but ASCII."""
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")
