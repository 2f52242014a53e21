"""The names in a piece of code: what it defines, what it uses, and what it needs as soon as it runs."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeGuard

from tito.notebook import quietly_parsed

MAX_PARSED = 150_000  # characters of a cell that are looked at, in 130 MB at most; what is longer runs as it is
_MAX_BRACES = 5_000  # Python 3.11 takes time with the square of the fields of an f-string

_KEPT, _EACH = 10_000_000, 500  # characters that are remembered; what a cell counts for besides its own

_HEAD = re.compile(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_BUILTIN = frozenset(dir(builtins)) | {"__name__", "__file__", "__builtins__"}
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = ("listcomp", "setcomp", "dictcomp", "genexpr")  # functions that run where they stand


@dataclass(frozen=True)
class Names:
    """What a cell's code has to do with names at the top level of a lesson.

    Every cell of a submission that is looked through is asked what it defines and binds. Python's table of symbols says
    so in half the time that a syntax tree takes; a tree is made when more is asked, which is seldom.
    """

    source: str = field(repr=False)
    parses: bool  # False: what it defines and binds is what can be seen without reading the code, and no more is known
    defined: frozenset[str]  # by def and class
    bound: frozenset[str]  # by def, class, import, assignment
    outer: frozenset[str]  # read outside the bodies of functions, and not bound in it; all of early and hints are here

    @cached_property
    def used(self) -> frozenset[str]:
        """The names that are read anywhere in it."""
        names = (node for node in ast.walk(self._tree) if isinstance(node, ast.Name))
        return frozenset(name.id for name in names if isinstance(name.ctx, ast.Load))

    @property
    def early(self) -> frozenset[str]:
        """The names that it needs as soon as it runs, outside the bodies of functions, and does not bind."""
        return self._early[0] - self.bound - _BUILTIN

    @property
    def hints(self) -> frozenset[str]:
        """The same, in annotations of functions, which may be left alone."""
        return self._early[1] - self.bound - _BUILTIN

    @cached_property
    def lazy(self) -> bool:
        """Whether it says that annotations are left alone."""
        if "__future__" not in self.source:
            return False
        return any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in self._tree.body)

    @property
    def _tree(self) -> ast.Module:
        return quietly_parsed(self.source if self.parses else "")

    @cached_property
    def _early(self) -> tuple[frozenset[str], frozenset[str]]:
        return _early(self._tree)


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
        table = _table(source)
        if "__name__" in table.get_identifiers():
            table = _table(_unguarded(source))
    except SyntaxError:
        return Names(source, False, heads(source), heads(source), frozenset())
    symbols = table.get_symbols()
    defined = frozenset(symbol.get_name() for symbol in symbols if symbol.is_namespace())
    bound = frozenset(symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported())
    return Names(source, True, defined, bound, frozenset(_outer(table)) - bound)


def heads(source: str) -> frozenset[str]:
    """The names that the def and class lines of some code show, without reading it."""
    return frozenset(_HEAD.findall(source))


def _table(source: str) -> symtable.SymbolTable:
    """Python's table of the symbols in some code; SyntaxError also for what the parser alone refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return symtable.symtable(source, "lesson", "exec")
        except (ValueError, RecursionError, MemoryError) as error:  # a null byte, or expressions nested too deeply
            raise SyntaxError(str(error)) from None


def _outer(table: symtable.SymbolTable) -> Iterator[str]:
    """The names read in a block and in the classes and comprehensions in it, without the variables of these last."""
    own = table.get_type() == "function"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (symbol.is_global() or not own):
            yield symbol.get_name()
    for block in table.get_children():
        if block.get_type() != "function" or block.get_name() in _COMPREHENSIONS:
            yield from _outer(block)


def _unguarded(source: str) -> str:
    """The code with `pass` for each statement `if __name__ == ...`."""
    lines = source.split("\n")
    for node in ast.walk(quietly_parsed(source)):  # one that stands in another finds an empty line
        if _guarded(node):
            first, last = node.lineno - 1, node.end_lineno or node.lineno
            lines[first:last] = [lines[first][: node.col_offset] + "pass", *[""] * (last - first - 1)]
    return "\n".join(lines)


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


def _guarded(node: ast.AST) -> TypeGuard[ast.If]:
    """Whether a statement is `if __name__ == ...`, which does not run when a lesson is graded."""
    return isinstance(node, ast.If) and any(
        isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
    )


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


def _early(tree: ast.Module) -> tuple[frozenset[str], frozenset[str]]:
    """The names looked up while the code itself runs: decorators, defaults, bases, bodies of classes; annotations."""
    found: set[str] = set()
    hints: list[ast.AST] = []
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        if isinstance(node, ast.Try):  # what is tried may fail
            continue
        if isinstance(node, ast.If | ast.IfExp):  # what follows may not be run
            waiting.append(node.test)
            continue
        if isinstance(node, (*_FUNCTION, ast.Lambda)):
            waiting += [*node.args.defaults, *filter(None, node.args.kw_defaults)]
        if isinstance(node, _FUNCTION):
            waiting += node.decorator_list
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            hints += filter(None, [node.returns, *(each.annotation for each in given if each)])
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    named = frozenset(n.id for hint in hints for n in ast.walk(hint) if isinstance(n, ast.Name))
    return frozenset(found), named
