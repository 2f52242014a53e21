"""tito dev: for authors of modules."""

from __future__ import annotations

from typing import Annotated

import typer

from tito.cli.boundary import Session, command, new_app
from tito.cli.options import ModulesArg
from tito.errors import UsageError

app = new_app("Write and check modules, in the course repository.")


@command(app)
def check(
    session: Session,
    modules: ModulesArg = None,
    every: Annotated[bool, typer.Option("--all", help="Every module of this release.")] = False,
    empty_package: Annotated[
        bool, typer.Option("--empty-package", help="Check that no test passes when the package is empty.")
    ] = False,
) -> None:
    """Check modules against the rules that docs/lesson-format.md explains.

    \b
    tito dev check 03
    tito dev check --all
    tito dev check --empty-package
    """
    from tito.lifecycle.batch import jobs_from
    from tito.lint.check import check as run_checks
    from tito.lint.check import require_course
    from tito.render import dev_views

    require_course(session.workspace)
    if not modules and not every and not empty_package:
        raise UsageError("Name the modules to check, or say --all.", "tito dev check --all")
    chosen = [session.course.resolve(name) for name in modules] if modules else list(session.course.released)
    jobs = jobs_from(session.settings["jobs"].value)
    with session.working(len(chosen)) as tell:
        found = run_checks(session.workspace, chosen, jobs, empty_package, tell)
    session.show(found, dev_views.findings)
    raise typer.Exit(found.exit_code)


@command(app)
def new(session: Session, name: Annotated[str, typer.Argument(metavar="NN_name", help="such as 21_audio")]) -> None:
    """Start a module: a lesson with the right structure, its hints, its probes and its entry in the manifest.

    \b
    tito dev new 21_audio
    """
    from tito.lint.check import require_course
    from tito.lint.new_module import new_module

    require_course(session.workspace)
    files = new_module(session.workspace, name)
    session.say("wrote " + ", ".join(files), f"tito dev check {name}")
