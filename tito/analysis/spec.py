"""The language of model specifications, as a tree: words, groups, repeats and branches.

    conv:32k3 relu pool2          words, one layer each, separated by spaces or commas
    3*(conv:8k3p1 relu)           a repeat, the same as writing the body three times
    stage1=(conv:8k3p1 relu)      a group with a name, which its layers carry
    res(body) or res(body | way)  body added to its own input, or to what `way` makes of it
    cat(a | b)                    branches side by side, joined along the channels; an empty one passes through

Only the structure is read here; what a word means, and whether it fits the shape it meets, is known when
the walk gets there, so that every error can name that shape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from tito.analysis import shapes
from tito.errors import UsageError

#: Groups inside groups, and layers in all: beyond any model, below what would stop the machine.
DEEPEST = 24
LONGEST = 20_000


class SpecError(UsageError):
    """A specification that cannot be counted: the token, what was expected, the shape at that point."""

    def __init__(self, message: str, hint: str = "", token: str = "") -> None:
        super().__init__(message, hint)
        self.token = token


@dataclass(frozen=True)
class Word:
    """One layer as it was written; `nobias` may stand behind it."""

    text: str
    bias: bool = True


@dataclass(frozen=True)
class Repeat:
    """The body, several times."""

    count: int
    body: tuple[Node, ...]


@dataclass(frozen=True)
class Group:
    """A body under a name."""

    label: str
    body: tuple[Node, ...]


@dataclass(frozen=True)
class Branch:
    """`res` adds its arms, `cat` joins them; an empty arm passes its input through."""

    kind: str
    arms: tuple[tuple[Node, ...], ...]


Node: TypeAlias = Word | Repeat | Group | Branch

_PIECE = re.compile(
    r"\s*(?:"
    r"(?P<repeat>[0-9]+)\s*\*\s*"
    r"|(?P<branch>res|cat)\s*\("
    r"|(?P<label>[A-Za-z_][A-Za-z0-9_]*)=\s*\(?"
    r"|(?P<mark>[()|])"
    r"|(?P<word>[^\s,()|*=]+)"
    r"|(?P<comma>,)"
    r"|(?P<stray>\S)"
    r")"
)


class _Reader:
    """The pieces of a specification, read once from left to right."""

    def __init__(self, text: str) -> None:
        self.pieces = [match for match in _PIECE.finditer(text) if match.lastgroup != "comma"]
        self.at = 0
        self.depth = 0

    def body(self, until: str, opened: str = "") -> tuple[tuple[Node, ...], ...]:
        """Arms separated by |, up to the closing mark (or the end, when `until` is empty)."""
        self.deeper(opened)
        arms: list[tuple[Node, ...]] = []
        nodes: list[Node] = []
        while True:
            piece = self.next()
            if piece is None:
                if until:
                    raise SpecError(f"{opened}... is not closed: expected a ) before the end", "", opened)
                break
            if piece["mark"] == ")":
                if not until:
                    raise SpecError(") closes nothing: there is no ( before it", "", ")")
                break
            if piece["mark"] == "|":
                if not until or opened.rstrip("(") not in ("res", "cat"):
                    raise SpecError("| stands between the arms of res( | ) or cat( | ) only", "", "|")
                arms.append(tuple(nodes))
                nodes = []
                continue
            self.add(piece, nodes)
        self.depth -= 1
        return (*arms, tuple(nodes))

    def deeper(self, opened: str) -> None:
        """One level further in. Raises SpecError beyond the deepest."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise SpecError(
                f"{opened}...: more than {DEEPEST} groups inside one another",
                "write a repeat, such as 3*(conv:8k3p1 relu)",
                opened,
            )

    def next(self) -> re.Match[str] | None:
        """The next piece, or nothing at the end."""
        if self.at >= len(self.pieces):
            return None
        self.at += 1
        return self.pieces[self.at - 1]

    def add(self, piece: re.Match[str], nodes: list[Node]) -> None:
        """One node to the end of a body; `nobias` belongs to the word before it."""
        if piece["word"] and piece["word"].lower() == "nobias":
            if not nodes or not isinstance(nodes[-1], Word):
                raise SpecError("nobias follows the layer it belongs to", "such as linear:10 nobias", "nobias")
            nodes[-1] = Word(nodes[-1].text, bias=False)
        else:
            nodes.append(self.node(piece))

    def node(self, piece: re.Match[str]) -> Node:
        """The node that this piece begins."""
        shown = piece.group().strip()
        if piece["word"]:
            return Word(piece["word"])
        if piece["branch"]:
            arms = self.body(")", shown)
            return _checked(Branch(piece["branch"], arms), shown)
        if piece["mark"] == "(":
            return Group("", self.one_arm(shown))
        if piece["label"]:
            body = self.one_arm(shown) if shown.endswith("(") else (self.needed(shown),)
            return Group(piece["label"], body)
        if piece["repeat"]:
            count = shapes.whole(piece["repeat"], shown)
            if count > LONGEST:
                raise SpecError(f"{shown}...: more than {LONGEST:,} times", "", shown)
            return Repeat(count, (self.needed(shown),))
        raise SpecError(f"{shown} has no meaning here: expected a layer, a repeat or a group", "", shown)

    def one_arm(self, shown: str) -> tuple[Node, ...]:
        """The body of a group, which has one arm and at least one layer."""
        (body,) = self.body(")", shown)
        if not body:
            raise SpecError(f"{shown}) is empty: expected at least one layer", "", shown)
        return body

    def needed(self, before: str) -> Node:
        """The node that has to follow a repeat or a label."""
        piece = self.next()
        if piece is None or piece["mark"] in (")", "|"):
            raise SpecError(f"{before} stands alone: expected a layer or ( ... ) behind it", "", before)
        self.deeper(before)
        nodes: list[Node] = []
        self.add(piece, nodes)
        self.depth -= 1
        following = self.pieces[self.at]["word"] if self.at < len(self.pieces) else None
        if following and following.lower() == "nobias" and isinstance(nodes[0], Word):
            self.at += 1
            nodes[0] = Word(nodes[0].text, bias=False)
        return nodes[0]


def _checked(branch: Branch, shown: str) -> Branch:
    """A residual has a body and at most one other way; a concatenation at least two arms."""
    if branch.kind == "res" and (len(branch.arms) > 2 or not branch.arms[0]):
        raise SpecError(
            f"{shown}...): expected res(body) or res(body | shortcut)", "such as res(conv:8k3p1 relu)", shown
        )
    if branch.kind == "cat" and (len(branch.arms) < 2 or not any(branch.arms)):
        raise SpecError(f"{shown}...): expected at least two branches, cat(a | b)", "", shown)
    return branch


def parse(text: str) -> tuple[Node, ...]:
    """The tree of a specification. Raises SpecError where the structure is broken or nothing is there."""
    (nodes,) = _Reader(text).body("")
    if not nodes:
        raise SpecError(
            "there is no model to count",
            "give sizes (784 256 10), layers ('linear:256 relu linear:10' --input 784) or a preset (@lenet5)",
        )
    return nodes
