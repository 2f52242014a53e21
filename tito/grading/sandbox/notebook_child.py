"""What the code of a notebook may count on, in a plain process: display, get_ipython, await, and missing modules.

Part of the program that `zygote_child.py` starts.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from types import CodeType
from typing import Any

globals()["__builtins__"] = dict(vars(builtins))  # functions below keep these whatever a lesson does to builtins

_COROUTINE = 0x80  # the flag of code that awaits


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


def run(code: CodeType, source: str, space: dict[str, Any], again: Callable[[ast.Module], CodeType]) -> None:
    """Run a cell. A module that is missing here costs the statements that use it, not those that follow the import.

    again: compiles a part of the cell. Raises what the cell raises, for a missing module at its end.
    """
    missing: ImportError | None = None
    while True:
        try:
            _execute(code, space)
        except ImportError as error:
            rest = _after_import(error, code, source)
            missing = missing or error
            if rest is None:
                raise
            code = again(rest)
            continue
        if missing is not None:
            raise missing
        return


def _execute(code: CodeType, space: dict[str, Any]) -> None:
    if not code.co_flags & _COROUTINE:
        exec(code, space)
        return
    coroutine = eval(code, space)
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        return


def _after_import(error: ImportError, code: CodeType, source: str) -> ast.Module | None:
    """What follows the import statement of a cell that failed; None when it was no import at the top level."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is not code:
        trace = trace.tb_next
    if trace is None:
        return None
    tree = ast.parse(source)
    for at, node in enumerate(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom) and node.lineno <= trace.tb_lineno <= (node.end_lineno or 0):
            tree.body = tree.body[at + 1 :]
            return tree
    return None
