"""A bar or a spinner on a terminal while work goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import IO

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tito.render.pretty import console


@contextlib.contextmanager
def live(stream: IO[str], color: str, total: int) -> Iterator[Callable[[str, bool], None]]:
    """A display that goes away when the work ends; yields a function of (what, finished)."""
    counted = (BarColumn(bar_width=24), MofNCompleteColumn()) if total else ()
    left = (TextColumn("left:"), TimeRemainingColumn(compact=True)) if total else ()
    columns = (SpinnerColumn(), *counted, TextColumn("{task.description}"), TimeElapsedColumn(), *left)
    with Progress(*columns, console=console(stream, color), transient=True) as bar:
        task = bar.add_task("", total=total or None)

        def tell(what: str, finished: bool) -> None:
            bar.update(task, description=what, advance=1 if finished else 0)

        yield tell
