"""Command groups that are imported when one of their commands is wanted, so that the others start as fast without."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import typer
import typer.main

from tito.cli.boundary import new_app
from tito.cli.quick import QuickGroup


def lazy_group(module: str, about: str) -> typer.Typer:
    """A group whose commands are those of `module.app`; only its one-line help is known before."""

    class Lazy(QuickGroup):
        @functools.cached_property
        def real(self) -> Any:
            return typer.main.get_command(importlib.import_module(module).app)

        @property
        def commands(self) -> Any:
            """The commands, by name."""
            return self.real.commands

        @commands.setter
        def commands(self, found: Any) -> None:
            """Typer sets an empty table when the group is made."""

        def list_commands(self, ctx: Any) -> list[str]:
            return list(self.real.list_commands(ctx))

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            return self.real.get_command(ctx, cmd_name)

        def get_help(self, ctx: Any) -> str:
            self.help = self.real.help
            return super().get_help(ctx)

    app = new_app(about)
    app.info.cls = Lazy

    @app.callback()
    def group() -> None:
        """Nothing of its own."""

    group.__doc__ = None
    return app
