"""tito module: one module from its first test to its completion."""

from __future__ import annotations

from typing import Annotated

import typer

from tito.cli.boundary import Session, command, new_app
from tito.cli.options import JunitOption, ModuleArg, YesOption
from tito.errors import UsageError
from tito.render.blocks import counted

app = new_app("Work on one module: test it, get a hint, complete it.")

TestNameOption = Annotated[str | None, typer.Option("--test", metavar="NAME", help="The test to get a hint for.")]


@command(app)
def test(session: Session, module: ModuleArg, junit: JunitOption = None) -> None:
    """Run a module's graded tests and show what passes.

    \b
    tito module test 03_layers
    tito module test 3 --json
    tito module test layers --junit layers.xml
    """
    from tito.junit import check_target, write_junit
    from tito.lifecycle import completing
    from tito.render import views

    check_target(junit)
    with session.working() as tell:
        report = completing.test(session.workspace, session.module(module), lambda name: tell(name, False))
    if junit:
        write_junit(junit, [report])
    session.show(report, views.report)
    raise typer.Exit(report.exit_code)


@command(app)
def complete(session: Session, module: ModuleArg) -> None:
    """Test a module, export it to the package, test it there and record it: all or nothing.

    \b
    tito module complete 01_tensor
    """
    from tito.lifecycle import completing
    from tito.render import views

    try:
        with session.working() as tell:
            done = completing.complete(session.workspace, session.module(module), lambda name: tell(name, False))
    except completing.TestsFail as failure:
        session.show(failure.report, views.report)
        raise typer.Exit(failure.report.exit_code) from None
    session.show(done, views.completed)


@command(app)
def why(session: Session, module: ModuleArg) -> None:
    """Show what a module's "complete" rests on: hashes and counts.

    \b
    tito module why 01
    """
    from tito.lifecycle import completing
    from tito.render import views

    session.show(completing.why(session.workspace, session.module(module)), views.why)


@command(app, "list")
def list_modules(session: Session) -> None:
    """List the modules of the course in teaching order.

    \b
    tito module list
    """
    from tito.lifecycle import standing
    from tito.render import standing_views

    session.show(standing.status(session.workspace), standing_views.module_list)


@command(app)
def status(session: Session, module: ModuleArg) -> None:
    """Show where one module stands, and why.

    \b
    tito module status 03
    """
    from tito.lifecycle import standing
    from tito.render import standing_views

    row = standing.standing(session.workspace, session.module(module), session.workspace.progress())
    session.show(row, standing_views.standing)


@command(app)
def scaffold(session: Session, module: ModuleArg) -> None:
    """Put a module's stub in place when its lesson file is missing.

    \b
    tito module scaffold 02
    """
    from tito.lifecycle import setup

    target = session.module(module)
    made = setup.scaffold(session.workspace, target)
    session.say(f"{'made' if made else 'kept'} {target.lesson}", next_command=f"tito module test {target.folder}")


@command(app, "open")
def open_lesson(session: Session, module: ModuleArg) -> None:
    """Open a module's lesson in your editor (setting `editor`, then $VISUAL, then $EDITOR).

    \b
    tito module open 02
    """
    from tito.editor import open_in_editor

    open_in_editor(session.settings["editor"].value, session.workspace.lesson(session.module(module)))


@command(app)
def path(session: Session, module: ModuleArg) -> None:
    """Print the path of a module's lesson.

    \b
    code "$(tito module path 02)"
    """
    session.say(str(session.workspace.lesson(session.module(module))))


@command(app)
def notebook(session: Session, module: ModuleArg) -> None:
    """Make a module's notebook, or bring it and the script to the same state.

    \b
    tito module notebook 02 && jupyter lab modules/02_activations
    """
    from tito.lifecycle import sync

    target = session.module(module)
    sync.make_notebook(session.workspace, target)
    page = session.workspace.relative(session.workspace.notebook(target))
    session.say(f"{page} and {target.lesson} agree", next_command=f"tito module test {target.folder}")


@command(app, "sync")
def synchronise(
    session: Session,
    module: ModuleArg,
    keep: Annotated[str, typer.Option("--keep", metavar="py|ipynb", help="Which side wins when both changed.")] = "",
) -> None:
    """Carry edits between a lesson's script and its notebook.

    \b
    tito module sync 02
    tito module sync 02 --keep ipynb
    """
    from tito.lifecycle import sync

    if keep not in ("", "py", "ipynb"):
        raise UsageError(f"--keep takes py or ipynb, not {keep!r}.", "tito module sync --help")
    target = session.module(module)
    written = sync.synchronise(session.workspace, target, keep)
    session.say(f"wrote the {'script' if written == 'py' else 'notebook'}" if written else "nothing to carry over")


@command(app)
def hint(session: Session, module: ModuleArg, test: TestNameOption = None) -> None:
    """Show the next hint for the first failing test.

    \b
    tito module hint 03
    tito module hint 03 --test test_unit_linear
    """
    from tito.lifecycle import helping
    from tito.render import views

    session.show(helping.hint(session.workspace, session.module(module), test or ""), views.hint)


@command(app)
def diff(
    session: Session,
    module: ModuleArg,
    reference: Annotated[bool, typer.Option("--reference", help="Compare with the reference (once complete).")] = False,
) -> None:
    """Show what you changed in a lesson.

    \b
    tito module diff 03
    """
    from tito.lifecycle import helping
    from tito.render import views

    session.show(helping.difference(session.workspace, session.module(module), reference), views.difference)


@command(app)
def reset(
    session: Session,
    module: ModuleArg,
    tests: Annotated[bool, typer.Option("--tests", help="Only put the locked test cells back.")] = False,
    yes: YesOption = False,
) -> None:
    """Put a lesson back to its start; `tito undo` brings your work back.

    \b
    tito module reset 03 --tests      (keeps your code)
    tito module reset 03
    """
    from tito.lifecycle import setup

    target = session.module(module)
    if tests:
        count = setup.restore_tests(session.workspace, target)
        return session.say(
            f"put back {counted(count, 'test cell')} of {target.lesson}", f"tito module test {target.folder}"
        )
    setup.refuse_in_course(session.workspace, "reset")
    session.confirm(f"Replace {target.lesson} by its stub? Your version stays in tito history.", yes)
    setup.reset(session.workspace, target)
    return session.say(f"{target.lesson} is back at its start; your version is kept", "tito undo brings it back")


@command(app)
def solution(
    session: Session,
    module: ModuleArg,
    spoil: Annotated[bool, typer.Option("--spoil", help="Before completion too; that is recorded.")] = False,
) -> None:
    """Show the reference beside your code, once the module is complete.

    \b
    tito module solution 03
    """
    from tito.lifecycle import helping
    from tito.render import views

    session.show(helping.solution(session.workspace, session.module(module), spoil), views.solution)


@command(app)
def grade(session: Session, module: ModuleArg) -> None:
    """Show the points table: automatic points earned, manual questions answered or not.

    \b
    tito module grade 03
    """
    from tito.lifecycle import helping
    from tito.render import views

    facts = helping.points(session.workspace, session.module(module))
    session.show(facts, views.points)
    raise typer.Exit(facts.exit_code)


@command(app)
def adopt(session: Session, module: ModuleArg, yes: YesOption = False) -> None:
    """Fill a module, and those it builds on, from the reference, to start in the middle.

    \b
    tito module adopt 02       (then work on 03)
    """
    from tito.lifecycle import completing, standing
    from tito.render import views

    target = session.module(module)
    unmet = standing.unmet_needs(session.workspace, target, session.workspace.progress())
    names = ", ".join(each.folder for each in [*unmet, target])
    session.confirm(f"Replace the lessons {names} by the reference? Your versions stay in tito history.", yes)
    done = completing.adopt(session.workspace, target)
    session.show(done[-1], views.completed)
