"""The root of the command line: every command, in the order in which a learner meets them."""

from __future__ import annotations

import typer

from tito import __version__
from tito.cli import dev, module, project
from tito.cli.boundary import new_app

app = new_app(
    """Build your own deep-learning framework, one tested module at a time.

    \b
    tito init mytorch && cd mytorch
    tito module test 01
    tito module complete 01
    tito status
    """
)


@app.callback()
def root(version: bool = typer.Option(False, "--version", "-V", help="Print the version and exit.")) -> None:
    if version:
        typer.echo(f"tito {__version__}")
        raise typer.Exit


app.add_typer(project.app)
app.add_typer(module.app, name="module")
app.add_typer(dev.app, name="dev")
