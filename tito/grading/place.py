"""Where grading keeps things: nbgrader's own layout of a course, in `grading/` of the course repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tito.course import Course, Module
from tito.errors import EnvironmentFault
from tito.workspace import Workspace


@dataclass(frozen=True)
class Place:
    """The grading folder of a course."""

    root: Path  # <course>/grading
    course: Course

    @property
    def database(self) -> str:
        """The default gradebook, as an SQLAlchemy URL."""
        return f"sqlite:///{self.root / 'gradebook.db'}"

    @property
    def journal(self) -> Path:
        """What has been graded, one JSON line a verdict."""
        return self.root / "journal.jsonl"

    @property
    def secret(self) -> Path:
        """The key from which the inputs of probes are drawn; never released."""
        return self.root / "secret"

    def release(self, module: Module) -> Path:
        """The student version of an assignment."""
        return self.root / "release" / module.folder

    def source(self, module: Module) -> Path:
        """The instructor's version as nbgrader's tools expect it."""
        return self.root / "source" / module.folder

    def submitted(self, student: str, module: Module) -> Path:
        """What a student handed in: one file, and timestamp.txt."""
        return self.root / "submitted" / student / module.folder

    def autograded(self, student: str, module: Module) -> Path:
        """The graded notebook, which formgrader shows."""
        return self.root / "autograded" / student / module.folder

    def feedback(self, student: str, module: Module) -> Path:
        """The page that a student gets back."""
        return self.root / "feedback" / student / module.folder

    def quarantine(self, module: Module) -> Path:
        """What could not be collected, with the reason beside it."""
        return self.root / "quarantine" / module.folder

    def students(self, module: Module) -> tuple[str, ...]:
        """Who has handed in an assignment, in order."""
        found = (self.root / "submitted").glob(f"[!.]*/{module.folder}")  # .ipynb_checkpoints is nobody
        return tuple(sorted(path.parent.name for path in found if path.is_dir()))


def notebook_name(module: Module) -> str:
    """The name of an assignment's one notebook, without its ending: layers_dev."""
    return f"{module.name}_dev"


def submission_file(place: Place, student: str, module: Module) -> Path | None:
    """The one file that a student handed in, or None."""
    folder = place.submitted(student, module)
    found = [folder / f"{notebook_name(module)}.{ending}" for ending in ("py", "ipynb")]
    return next((path for path in found if path.is_file()), None)


def place_of(workspace: Workspace) -> Place:
    """The grading folder of a course repository; EnvironmentFault in a learner's workspace."""
    if not workspace.is_course:
        raise EnvironmentFault(
            "Grading works in a course repository, and this is a learner's workspace.",
            "go to the repository that has course.toml and modules/",
        )
    return Place(workspace.root / "grading", workspace.course)
