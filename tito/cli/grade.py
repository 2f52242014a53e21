"""tito grade: from a released assignment to a gradebook."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tito.cli import gradebook
from tito.cli.boundary import Session, command, new_app
from tito.cli.options import ModuleArg, YesOption
from tito.errors import UsageError

if TYPE_CHECKING:
    from tito.grading.records import GradeRecord

app = new_app("Release assignments, grade submissions, keep the gradebook; in the course repository.")

JobsOption = Annotated[str | None, typer.Option("--jobs", "-j", metavar="N", help="Workers; auto is one a core.")]
StudentOption = Annotated[list[str] | None, typer.Option("--student", metavar="ID", help="Only this one; repeatable.")]
IsolationOption = Annotated[
    str, typer.Option("--isolation", metavar="auto|bwrap|landlock|limits", help="The sandbox; auto takes the best.")
]
TimeoutOption = Annotated[float | None, typer.Option("--timeout", metavar="S", help="Seconds for one submission.")]
MemoryOption = Annotated[int | None, typer.Option("--memory", metavar="MB", help="Memory for one submission.")]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", metavar="ADDRESS", help="A Dask scheduler, or local to try one here.")
]
DbOption = Annotated[str | None, typer.Option("--db", metavar="URL", help="The gradebook, as an SQLAlchemy URL.")]


@command(app)
def release(session: Session, module: ModuleArg) -> None:
    """Write the student version of an assignment, and prove that it may be given out.

    \b
    tito grade release 03_layers
    """
    from tito.grading.place import place_of
    from tito.grading.releasing import release_assignment
    from tito.render import grade_views

    workspace = session.workspace
    session.show(release_assignment(workspace, place_of(workspace), session.module(module)), grade_views.released)


@command(app)
def collect(
    session: Session,
    module: ModuleArg,
    source: Annotated[Path, typer.Option("--from", metavar="DIR|ZIP", help="A folder or an archive.")],
    timestamps: Annotated[
        Path | None, typer.Option("--timestamps", metavar="CSV", help="When each student handed in.")
    ] = None,
) -> None:
    """Take submissions from a folder, or from what Canvas or Moodle lets you download; bad archives are put aside.

    \b
    tito grade collect 03_layers --from submissions.zip
    tito grade collect 03_layers --from ~/class/03
    """
    from tito.grading.intake import collect as collecting
    from tito.grading.place import place_of
    from tito.render import grade_views

    place, target = place_of(session.workspace), session.module(module)
    facts = collecting.collect(place, target, source.expanduser(), timestamps=timestamps)
    session.show(facts, grade_views.collected)
    raise typer.Exit(facts.exit_code)


@command(app)
def autograde(
    session: Session,
    module: ModuleArg,
    jobs: JobsOption = None,
    student: StudentOption = None,
    isolation: IsolationOption = "auto",
    timeout: TimeoutOption = None,
    memory: MemoryOption = None,
    cluster: ClusterOption = None,
    db: DbOption = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON line a submission on stdout, as it ends.")] = False,
    unsafe: Annotated[bool, typer.Option("--unsafe-no-sandbox", help="Run submissions with no protection.")] = False,
) -> None:
    """Grade what was collected and has no verdict yet; a run that was stopped goes on where it was.

    \b
    tito grade autograde 03_layers
    tito grade autograde 03_layers --student alice --timeout 30 --memory 500
    tito grade autograde 03_layers -j 8 --jsonl
    tito grade autograde 03_layers --cluster tcp://10.0.0.5:8786
    """
    from tito.grading import autograding
    from tito.grading.place import place_of
    from tito.render import grade_views

    sandbox = "unsafe" if unsafe else isolation
    wish = autograding.Wish(
        tuple(student or ()), _jobs(session, jobs), sandbox, timeout, memory, cluster or "", db or ""
    )
    place, target = place_of(session.workspace), session.module(module)
    with autograding.prepared(place, target, wish) as run, session.working(len(run.standing)) as progress:
        run.tell = session.line if jsonl else lambda record: progress(grade_views.verdict(record), True)
        run.note = session.note
        facts = run.go()
    if not jsonl:
        session.show(facts, grade_views.autograded)
    raise typer.Exit(facts.exit_code)


@command(app)
def regrade(
    session: Session,
    module: ModuleArg,
    plan: Annotated[bool, typer.Option("--plan", help="Say who would move, and write nothing.")] = False,
    jobs: JobsOption = None,
    student: StudentOption = None,
    isolation: IsolationOption = "auto",
    timeout: TimeoutOption = None,
    memory: MemoryOption = None,
    cluster: ClusterOption = None,
    db: DbOption = None,
    yes: YesOption = False,
) -> None:
    """Grade again what was graded by an earlier test, probe or grader, and show who moves and why.

    Of students named with --student, every verdict is given again, for instance with other limits.

    \b
    tito grade regrade 03_layers --plan
    tito grade regrade 03_layers
    tito grade regrade 03_layers --student alice --timeout 120
    """
    from tito.grading import autograding
    from tito.grading.books.regrade import plan as compared
    from tito.grading.journal import Journal
    from tito.grading.place import place_of
    from tito.render import grade_views, gradebook_views

    place, target = place_of(session.workspace), session.module(module)
    if not plan:
        which = f"of {', '.join(student)}" if student else "that are of earlier tests or graders"
        session.confirm(f"Replace the verdicts on {target.folder} {which}?", yes)
    records = Journal(place.journal).records(target.folder)
    before = {name: record for name, record in records.items() if not student or name in student}
    after: dict[str, GradeRecord] = {}
    wish = autograding.Wish(
        tuple(student or ()), _jobs(session, jobs), isolation, timeout, memory, cluster or "", db or ""
    )
    with (
        autograding.prepared(place, target, wish, again=True, dry=plan) as run,
        session.working(len(run.standing)) as progress,
    ):

        def tell(record: GradeRecord) -> None:
            after[record.student] = record
            progress(grade_views.verdict(record), True)

        run.tell, run.note = tell, session.note
        facts = run.go()
    unreached = [name for name in run.standing.fresh if name not in after]
    session.show(replace(compared(target.folder, before, after, unreached), applied=not plan), gradebook_views.regrade)
    raise typer.Exit(facts.exit_code)


def _jobs(session: Session, wanted: str | None) -> str:
    """How many workers: as asked, otherwise as set."""
    value = wanted or session.settings["jobs"].value
    if value != "auto" and not (value.isdigit() and int(value)):
        raise UsageError(f"--jobs takes auto or a number, not {value!r}.", "tito grade autograde --help")
    return value


gradebook.register(app)
