"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModuleArg = Annotated[str, typer.Argument(metavar="MODULE", help="3, 03, layers or 03_layers")]
ModulesArg = Annotated[list[str] | None, typer.Argument(metavar="[MODULE]...", help="modules by number or name")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
JunitOption = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write a JUnit XML report.")]
