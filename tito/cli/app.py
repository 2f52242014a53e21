"""The root of the command line: every command, in the order in which a learner meets them."""

from __future__ import annotations

from tito.cli import dev, module, project
from tito.cli.boundary import new_app

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
app.add_typer(module.app, name="module")
app.add_typer(dev.app, name="dev")
