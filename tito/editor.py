"""Opening a file in the person's editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tito.errors import EnvironmentFault


def open_in_editor(setting: str, file: Path) -> None:
    """Run the editor on a file and wait for it; EnvironmentFault when none is set or it cannot be started."""
    chosen = setting or os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        words = shlex.split(chosen)
    except ValueError as error:
        raise EnvironmentFault(f"The editor setting {chosen!r} cannot be read: {error}.", "correct it there") from None
    if not words or shutil.which(words[0]) is None:
        what = f"The editor {words[0]!r} is not installed." if words else "No editor is set."
        raise EnvironmentFault(what, f"export EDITOR=nano, or open {file} yourself")
    code = subprocess.call([*words, str(file)])
    if code:
        raise EnvironmentFault(f"{words[0]} ended with exit code {code}.", f"open {file} yourself")
