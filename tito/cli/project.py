"""The commands of the whole workspace: set-up, status, tests, exports, history, diagnosis."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tito.cli.boundary import Session, command
from tito.cli.options import JunitOption, ModulesArg
from tito.errors import UsageError

app = typer.Typer()


@command(app)
def init(
    session: Session,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that is empty or does not exist.")],
    update: Annotated[bool, typer.Option("--update", help="Bring an older workspace up to date.")] = False,
) -> None:
    """Make a workspace: lessons to solve, an empty package, git and editor settings.

    \b
    tito init ~/mytorch
    tito init --update ~/mytorch      (after installing a newer tito; touches no lesson)
    """
    from tito.lifecycle import setup
    from tito.render import views
    from tito.workspace import find_workspace

    facts = setup.update(find_workspace(directory.absolute())) if update else setup.init(directory)
    session.show(facts, views.initialised)


@command(app)
def status(session: Session) -> None:
    """Show where every module stands, and what to do next.

    \b
    tito status
    tito status --json
    """
    from tito.lifecycle import standing
    from tito.render import standing_views

    session.show(standing.status(session.workspace), standing_views.status)


@command(app)
def test(
    session: Session,
    modules: ModulesArg = None,
    every: Annotated[bool, typer.Option("--all", help="Every module of this release.")] = False,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed in the last run.")] = False,
    jobs: Annotated[str | None, typer.Option("-j", "--jobs", metavar="N", help="How many at a time.")] = None,
    junit: JunitOption = None,
    github: Annotated[bool, typer.Option("--github", help="Also print GitHub annotations.")] = False,
) -> None:
    """Test modules in parallel; by default those that are complete.

    In the course repository this also checks that exports are current and tests the package.

    \b
    tito test --all
    tito test 01 03 -j 2
    tito test --failed
    """
    from tito.junit import check_target, github_annotations, write_junit
    from tito.lifecycle import batch
    from tito.render import batch_views

    if sum([bool(modules), every, failed]) > 1:
        raise UsageError("Name modules, or say --all, or say --failed: one of them.", "tito test --help")
    wanted = jobs if jobs is not None else session.settings["jobs"].value
    if wanted != "auto" and not (wanted.isdigit() and int(wanted) > 0):
        raise UsageError(f"-j takes a number of 1 or more, or auto; not {wanted!r}.", "tito test --all -j 2")
    check_target(junit)
    chosen = batch.choose(session.workspace, modules or [], every, failed)
    total = len(chosen) * (2 if session.workspace.is_course else 1)
    with session.working(total) as tell:
        result = batch.run(session.workspace, chosen, batch.jobs_from(wanted), tell)
    session.show(result, batch_views.batch)
    reports = (*result.lessons, *result.package)
    if junit:
        write_junit(junit, reports)
    if github:
        for line in github_annotations(reports):
            print(line, file=sys.stderr if session.json else sys.stdout)
    raise typer.Exit(result.exit_code)


@command(app)
def export(
    session: Session,
    modules: ModulesArg = None,
    every: Annotated[bool, typer.Option("--all", help="Every module of this release.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 7 when a file is out of date.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a package file that was edited by hand.")] = False,
) -> None:
    """Write lessons to the package, each imported before it replaces its file.

    \b
    tito export 01 02
    tito export --all
    tito export --check
    """
    from tito.lifecycle import exporting
    from tito.render import views

    course = session.course
    if not modules and not every and not check:
        raise UsageError("Name the modules to export, or say --all.", "tito export --all")
    chosen = [session.module(name) for name in modules] if modules else list(course.released)
    if check:
        result = exporting.check_exports(session.workspace, chosen)
    else:
        result = exporting.export_modules(session.workspace, sorted(chosen, key=course.modules.index), force)
    session.show(result, views.exported)
    raise typer.Exit(result.exit_code)


@command(app)
def undo(
    session: Session,
    number: Annotated[int | None, typer.Argument(metavar="[NO]", help="A change of `tito history`.")] = None,
) -> None:
    """Take back the last change that tito made to your files, or the one you name.

    \b
    tito undo
    tito undo 12
    """
    from tito.lifecycle import undoing
    from tito.render import views

    entry = undoing.chosen(session.workspace, number)
    session.show(undoing.undo(session.workspace, entry), views.undone)


@command(app)
def history(session: Session) -> None:
    """List the changes that tito made to your files.

    \b
    tito history
    """
    from tito.lifecycle import undoing
    from tito.render import views

    session.show(undoing.past(session.workspace), views.past)


@command(app)
def doctor(
    session: Session,
    repair: Annotated[bool, typer.Option("--repair", help="Rebuild a damaged progress record.")] = False,
) -> None:
    """Check versions, the environment, permissions, and which tinytorch is imported.

    \b
    tito doctor
    tito doctor --repair
    """
    from tito import doctor as checks
    from tito.render import doctor_views

    if repair:
        return session.say(checks.repair(session.workspace), "tito status")
    facts = checks.examine(Path.cwd())
    session.show(facts, doctor_views.doctor)
    raise typer.Exit(facts.exit_code)


@command(app)
def completion(
    session: Session,
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell")],
) -> None:
    """Print the script that makes your shell complete tito's commands and module names.

    \b
    eval "$(tito completion bash)"                                (in ~/.bashrc)
    eval "$(tito completion zsh)"                                 (in ~/.zshrc)
    tito completion fish > ~/.config/fish/completions/tito.fish
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    if shell not in ("bash", "zsh", "fish", "powershell", "pwsh"):
        raise UsageError(f"There is no completion for {shell!r}.", "tito completion bash, zsh, fish or powershell")
    session.say(get_completion_script(prog_name="tito", complete_var="_TITO_COMPLETE", shell=shell))


config_app = typer.Typer(help="Settings and where they come from.", rich_markup_mode=None, no_args_is_help=True)
app.add_typer(config_app, name="config")


@command(config_app, "show")
def config_show(
    session: Session,
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
) -> None:
    """Show every setting: a flag comes first, then TITO_*, then [tool.tito], then the default.

    \b
    tito config show --origin
    """
    from tito.doctor import SettingsShown
    from tito.render import doctor_views

    session.show(SettingsShown(tuple(session.settings.values()), origin), doctor_views.settings)
