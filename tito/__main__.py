"""Entry point: answers --version and shell completion before anything is imported, the rest through typer."""

from __future__ import annotations

import atexit
import gc
import os
import sys


def main() -> int:
    """Run tito and return its exit code."""
    if sys.argv[1:2] in (["--version"], ["-V"]):
        from tito import __version__

        print(f"tito {__version__}")
        return 0
    if "_TITO_COMPLETE" in os.environ:
        from tito.cli.completion import answer

        return answer(os.environ)
    from tito.cli.app import app
    from tito.cli.boundary import run

    atexit.register(gc.freeze)  # no search for cycles among all that was imported: with nbgrader a third of a second
    return run(app, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
