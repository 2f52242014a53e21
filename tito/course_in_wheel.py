"""Build hook: a wheel carries the course (manifest, lessons, hints) inside tito/_course, beside tito and tinytorch.

An editable install does not: it reads the checkout itself, so that nothing can go stale. Probes are not in the wheel:
they are for graders, who work in the course repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CourseInWheel(BuildHookInterface):
    """Adds the course's files to a standard wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Map each file of the course to its place in the wheel."""
        if version != "standard":
            return
        root = Path(self.root)
        names = [root / "course.toml", *(root / "modules").rglob("*")]
        for path in names:
            wanted = path.suffix in (".toml", ".py") and path.name != "probes.py"
            if path.is_file() and wanted and "__pycache__" not in path.parts:
                name = path.relative_to(root).as_posix()
                build_data["force_include"][str(path)] = f"tito/_course/{name}"
