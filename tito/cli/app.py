"""The root of the command line: every command, in the order in which a learner meets them."""

from __future__ import annotations

from tito.cli import project
from tito.cli.boundary import new_app
from tito.cli.lazy import lazy_group

app = new_app(
    """Build your own deep-learning framework, one tested module at a time.

    \b
    tito init mytorch && cd mytorch
    tito module test 01
    tito module complete 01
    tito status
    tito --version
    """
)

app.add_typer(project.app)
app.add_typer(lazy_group("tito.cli.module", "Work on one module: test it, get a hint, complete it."), name="module")
app.add_typer(lazy_group("tito.cli.analyze", "Count a model's parameters, FLOPs and bytes."), name="analyze")
app.add_typer(lazy_group("tito.cli.grade", "Release, collect, autograde, report: for instructors."), name="grade")
app.add_typer(lazy_group("tito.cli.dev", "Write and check modules, in the course repository."), name="dev")
