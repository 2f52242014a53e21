"""What the code of a notebook may count on, in a plain process: display, get_ipython, await, and missing modules.

Part of the program that `zygote_child.py` starts.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from types import CodeType
from typing import Any

Again = Callable[[ast.Module], CodeType]

globals()["__builtins__"] = dict(vars(builtins))  # functions below keep these whatever a lesson does to builtins

_HERE = (ImportError, OSError, EOFError)  # by a module, a file, a network, a process or an input that is not here
_COROUTINE = 0x80  # the flag of code that awaits
_loops: list[Any] = []  # the one in which such code runs, once there is some: tasks of one cell go on in the next


def display(*values: object, **_options: object) -> None:
    """Show values, as a notebook does, in plain text."""
    for value in values:
        print(value)


class Shell:
    """What get_ipython() returns: it takes every command and does none."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_arguments, **_options: None


def nothing(*_values: object, **_options: object) -> None:
    """What help() and the like do where nobody reads along."""


def leave(code: object = None) -> None:
    """exit() and quit()."""
    raise SystemExit(code)


def complete_builtins() -> None:
    """Add what a plain Python takes from its module site, which is left out here."""
    vars(builtins).update(dict.fromkeys(("help", "license", "copyright", "credits"), nothing), exit=leave, quit=leave)


def run(code: CodeType, source: str, space: dict[str, Any], again: Again, absent: set[str]) -> None:
    """Run a cell. What needs a module, a file, a network or an input that is not here costs its statement alone.

    Statements that use a name which such a one would have bound are lost with it; those that follow run.

    again: compiles a part of the cell. absent: the names that are missing so far, of all cells. Raises what the cell
    raises, and at its end the first error that cost only a statement.
    """
    try:
        _execute(code, space)
        return
    except Exception as error:
        rest = _after(error, code, source, absent)
        if rest is None:
            raise
        first = error
    for node in rest:
        try:
            _execute(again(ast.Module([node], [])), space)
        except Exception as error:
            if not _costs_itself(error, node, absent):
                raise
    raise first


def _execute(code: CodeType, space: dict[str, Any]) -> None:
    if not code.co_flags & _COROUTINE:
        exec(code, space)
        return
    if not _loops:
        import asyncio  # few lessons need it, and it takes as long to load as most take to run

        _loops.append(asyncio.new_event_loop())
    _loops[0].run_until_complete(eval(code, space))


def _after(error: Exception, code: CodeType, source: str, absent: set[str]) -> list[ast.stmt] | None:
    """What follows the statement of a cell that failed; None when it is more than that statement that is lost."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    if trace is None or not isinstance(error, (*_HERE, NameError)):
        return None
    line, _, column, _ = list(code.co_positions())[trace.tb_lasti // 2]
    place = (line or trace.tb_lineno, column or 0)
    body = ast.parse(source).body
    begun = [at for at, node in enumerate(body) if _begins(node) <= place]
    if not begun or not _costs_itself(error, body[begun[-1]], absent):
        return None
    return body[begun[-1] + 1 :]


def _begins(node: ast.stmt) -> tuple[int, int]:
    first = min([node, *getattr(node, "decorator_list", [])], key=lambda each: each.lineno)
    return first.lineno, first.col_offset


def _costs_itself(error: Exception, node: ast.stmt, absent: set[str]) -> bool:
    """Whether a statement failed by what is not here; the names that it would have bound are missing then."""
    if not (bool(absent & {error.name, "*"}) if isinstance(error, NameError) else isinstance(error, _HERE)):
        return False
    if isinstance(node, ast.Import | ast.ImportFrom):
        absent.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        absent.add(node.name)
    else:
        absent.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    return True
