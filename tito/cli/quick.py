"""Commands that skip typer's validation where there is nothing to validate.

typer validates through pydantic, whose import is half the start-up of `tito status`. A word, a list of words, a flag
and an option that was not given need none; numbers and paths still go through typer. This relies on one private
attribute of typer's parameters; where it is missing, commands work and start slower.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

_PLAIN = (bool, str, list[str], str | None, list[str] | None)


class _AsGiven:
    """Takes a word or nothing as the parser gives it, and leaves everything else to typer."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if value is None or param.type_descriptor.annotation in _PLAIN:
            return list(value) if isinstance(value, tuple) else value
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _unvalidated(params: list[Any]) -> list[Any]:
    for param in params:
        if getattr(param, "_runtime_param", "missing") is None:
            param._runtime_param = _AsGiven()
    return params


class QuickCommand(TyperCommand):
    """A command that starts fast."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, those that need no validation without it."""
        return _unvalidated(super().get_params(ctx))


class QuickGroup(TyperGroup):
    """A group that starts fast."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, those that need no validation without it."""
        return _unvalidated(super().get_params(ctx))
