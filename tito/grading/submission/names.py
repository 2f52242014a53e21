"""The names in a piece of code: what it defines, what it uses, and what it needs as soon as it runs."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tito.notebook import quietly_parsed

MAX_PARSED = 150_000  # characters of a cell that are looked at, in 130 MB at most; what is longer runs as it is
_MAX_BRACES = 5_000  # Python 3.11 takes time with the square of the fields of an f-string

_KEPT, _EACH = 10_000_000, 500  # characters that are remembered; what a cell counts for besides its own

_HEAD = re.compile(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_BUILTIN = frozenset(dir(builtins)) | {"__name__", "__file__", "__builtins__"}
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Names:
    """What a cell's code has to do with names at the top level of a lesson."""

    parses: bool  # False: the other fields are what can be seen without a syntax tree
    defined: frozenset[str]  # by def and class
    bound: frozenset[str]  # by def, class, import, assignment
    used: frozenset[str]  # anywhere in it
    early: frozenset[str]  # as soon as it runs, outside the bodies of functions, and not bound in it
    hints: frozenset[str]  # the same, in annotations of functions, which may be left alone
    lazy: bool  # whether it says that annotations are left alone


class _Known(dict[str, Names]):
    """Names by source; all are forgotten when they have become more than a few submissions have."""

    room = _KEPT

    def __missing__(self, source: str) -> Names:
        self.room -= len(source) + _EACH
        if self.room < 0:
            self.clear()
            self.room = _KEPT
        self[source] = found = _looked_up(source)
        return found


_known = _Known()


def names_of(source: str) -> Names:
    """The names of some code; of code that is no Python, the names that its def and class lines show."""
    return _known[source]


def _looked_up(source: str) -> Names:
    try:
        if len(source) > MAX_PARSED or source.count("{") > _MAX_BRACES:
            raise SyntaxError
        tree = quietly_parsed(source)
    except SyntaxError:
        defined = frozenset(_HEAD.findall(source))
        return Names(False, defined, defined, frozenset(), frozenset(), frozenset(), False)
    top = list(_top(tree))
    defined = frozenset(node.name for node in top if isinstance(node, (*_FUNCTION, ast.ClassDef)))
    bound = defined | frozenset(name for node in top for name in _binds(node))
    used = frozenset(_used(tree))
    early, hints = (frozenset(names) - bound - _BUILTIN for names in _early(tree))
    lazy = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in top)
    return Names(True, defined, bound, used, early, hints, lazy)


def excerpt(source: str, names: frozenset[str]) -> str:
    """The top-level statements of some code that bind certain names."""
    lines = source.split("\n")
    kept = []
    for node in quietly_parsed(source).body:
        own = {node.name} if isinstance(node, (*_FUNCTION, ast.ClassDef)) else set(_binds(node))
        if own & names:
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(each.lineno for each in decorators)])
            kept.append("\n".join(lines[first - 1 : node.end_lineno]))
    return "\n\n\n".join(kept)


def _top(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements at the top level, those inside if, try, with and loops included; no guarded analyses."""
    waiting: list[ast.stmt] = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, (*_FUNCTION, ast.ClassDef)) or _guarded(node):
            continue
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        handlers = node.handlers if isinstance(node, ast.Try) else []
        waiting += reversed(inner + [child for handler in handlers for child in handler.body])


def _guarded(node: ast.AST) -> bool:
    """Whether a statement is `if __name__ == ...`, which does not run when a lesson is graded."""
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )


def _used(tree: ast.Module) -> Iterator[str]:
    """Every name that is read; ast.walk takes nearly twice as long."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if node.__class__ is ast.Name:
            if node.ctx.__class__ is ast.Load:
                yield node.id
            continue
        for value in vars(node).values():
            if value.__class__ is list:
                waiting += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST):
                waiting.append(value)


def _binds(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        return
    if isinstance(node, (*_FUNCTION, ast.ClassDef)) or _guarded(node):
        return
    waiting: list[ast.AST] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
        if not isinstance(part, ast.Lambda):
            waiting += [child for child in ast.iter_child_nodes(part) if not isinstance(child, ast.stmt)]


def _early(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The names looked up while the code itself runs: decorators, defaults, bases, bodies of classes; annotations."""
    found: set[str] = set()
    hints: list[ast.AST] = []
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        if isinstance(node, ast.Try) or _guarded(node):  # what is tried may fail
            continue
        if isinstance(node, (*_FUNCTION, ast.Lambda)):
            waiting += [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        if isinstance(node, _FUNCTION):
            waiting += node.decorator_list
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            hints += filter(None, [node.returns, *(each.annotation for each in given if each)])
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    named = {n.id for hint in hints for n in ast.walk(hint) if isinstance(n, ast.Name)}
    return found, named
