"""tito grade manual, report, feedback, export: what happens to verdicts once they are in the gradebook."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tito.cli.boundary import Session, command
from tito.cli.options import ModuleArg
from tito.errors import UsageError

DbOption = Annotated[str | None, typer.Option("--db", metavar="URL", help="The gradebook, as an SQLAlchemy URL.")]
StudentOption = Annotated[list[str] | None, typer.Option("--student", metavar="ID", help="Only this one; repeatable.")]
FORMATS = "csv|canvas|moodle|gradescope|json"


def register(app: typer.Typer) -> None:
    """Add the commands to the group of `tito grade`."""
    for function in (manual, report, feedback, export):
        command(app)(function)


def manual(
    session: Session,
    port: Annotated[int, typer.Option("--port", metavar="N", help="On 127.0.0.1; 0 takes any free one.")] = 0,
    db: DbOption = None,
) -> None:
    """Grade answers by hand in nbgrader's formgrader, in your browser, until Ctrl-C.

    \b
    tito grade manual
    tito grade manual --port 8899
    """
    from tito.grading.books.formgrader import serve_formgrader
    from tito.grading.place import place_of

    def tell(address: str) -> None:
        session.say(f"formgrader, until Ctrl-C: {address}")
        sys.stdout.flush()

    serve_formgrader(place_of(session.workspace), db or "", port, tell)


def report(
    session: Session,
    module: ModuleArg,
    db: DbOption = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page, too.")] = None,
) -> None:
    """Show an assignment's points, how they lie, how hard each cell was, and who is missing.

    \b
    tito grade report 03_layers
    tito grade report 03_layers --html report.html
    """
    from tito.grading.books import reporting
    from tito.grading.books.autograded import replace_text
    from tito.grading.place import place_of
    from tito.render import gradebook_views

    facts = reporting.report(place_of(session.workspace), session.module(module), db or "")
    if html:
        replace_text(html, reporting.report_page(facts))
    session.show(facts, gradebook_views.report)


def feedback(session: Session, module: ModuleArg, student: StudentOption = None, db: DbOption = None) -> None:
    """Write one HTML page a student: points, what each test said, comments; never a hidden test.

    \b
    tito grade feedback 03_layers
    tito grade feedback 03_layers --student ada
    """
    from tito.grading.books.feedback import write_feedback
    from tito.grading.place import place_of
    from tito.render import gradebook_views

    facts = write_feedback(place_of(session.workspace), session.module(module), student or (), db or "")
    session.show(facts, gradebook_views.feedback)


def export(
    session: Session,
    module: Annotated[str | None, typer.Argument(metavar="[MODULE]", help="All that were graded if left out.")] = None,
    layout: Annotated[str, typer.Option("--format", metavar=FORMATS, help="Whose columns.")] = "csv",
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Instead of stdout.")] = None,
    ungraded: Annotated[bool, typer.Option("--include-ungraded", help="Totals that lack manual points, too.")] = False,
    db: DbOption = None,
) -> None:
    """Write grades for another system; a total that waits for a person is left empty.

    \b
    tito grade export 03_layers
    tito grade export --format canvas --to canvas.csv
    """
    from tito.grading.books import grade_export
    from tito.grading.books.autograded import replace_text
    from tito.grading.books.results import all_results, results
    from tito.grading.place import place_of
    from tito.render import gradebook_views

    if layout not in [*grade_export.Format]:
        raise UsageError(f"--format takes {FORMATS}, not {layout!r}.", "tito grade export --help")
    place, url = place_of(session.workspace), db or ""
    found = [results(place, session.module(module), url)] if module else all_results(place, url)
    facts = grade_export.export(found, grade_export.Format(layout), ungraded)
    if to:
        replace_text(to, facts.text)
        facts = replace(facts, file=str(to))
    if to or session.json:
        return session.show(facts, gradebook_views.exported)
    for remark in gradebook_views.remarks(facts):
        session.note(remark)
    sys.stdout.write(facts.text)
    return None
