"""The root of the command line."""

from __future__ import annotations

from tito.cli.boundary import new_app

app = new_app("Build your own deep-learning framework, one tested module at a time.")
