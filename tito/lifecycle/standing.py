"""Where each module stands, computed from the record and from the files as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tito.course import Module
from tito.errors import LearnerError, TitoError
from tito.export import digest, edited_by_hand, provenance
from tito.facts import Facts
from tito.graded import course_notebook, graded_tests
from tito.lifecycle.sync import notebook_edited
from tito.progress import Completion, Progress, State
from tito.workspace import Workspace, read_lesson

DONE = (State.COMPLETE, State.REFERENCE, State.STALE)


@dataclass(frozen=True)
class Standing(Facts):
    """Where one module stands, and why."""

    schema: ClassVar[str] = "tito.standing/1"

    module: str
    title: str
    state: State
    reason: str
    points: int
    points_possible: int
    minutes: int


@dataclass(frozen=True)
class Status(Facts):
    """Where all modules stand, and what to do next."""

    schema: ClassVar[str] = "tito.status/1"

    root: str
    modules: tuple[Standing, ...]
    next: str

    def to_json(self) -> dict[str, Any]:
        """The fields, with counts a script would ask for."""
        complete = sum(row.state is State.COMPLETE for row in self.modules)
        released = sum(row.state is not State.UNRELEASED for row in self.modules)
        return {**super().to_json(), "complete": complete, "released": released}


def tests_hash(workspace: Workspace, module: Module) -> str:
    """A hash of the module's tests as the course has them."""
    return digest("\n\n".join(test.cell.source for test in graded_tests(course_notebook(workspace, module))))


def standing(workspace: Workspace, module: Module, progress: Progress) -> Standing:
    """Where a module stands."""
    done = progress.completions.get(module.folder)
    state, reason = _state(workspace, module, progress, done)
    return Standing(
        module.folder,
        module.title,
        state,
        reason,
        done.points if done else 0,
        done.points_possible if done else module.automatic_points,
        module.minutes,
    )


def _state(workspace: Workspace, module: Module, progress: Progress, done: Completion | None) -> tuple[State, str]:
    if not module.released:
        return State.UNRELEASED, ""
    try:
        source = digest(read_lesson(workspace.lesson(module)))
    except TitoError as error:
        missing = not workspace.lesson(module).exists()
        return (State.MISSING, "") if missing else (State.STALE if done else State.STARTED, error.message)
    if done is not None:
        changed = _changed(workspace, module, done, source, progress)
        return (State.STALE, changed) if changed else (State(done.kind), "")
    if workspace.is_course:
        stale = _export_problem(workspace, module, source)
        return (State.STALE, stale) if stale else (State.REFERENCE, "")
    unmet = unmet_needs(workspace, module, progress)
    if unmet:
        return State.BLOCKED, "needs " + ", ".join(need.folder for need in unmet)
    untouched = progress.stubs.get(module.folder) == source and not _notebook_edited(workspace, module, progress)
    return (State.READY if untouched else State.STARTED), ""


def _changed(workspace: Workspace, module: Module, done: Completion, source: str, progress: Progress) -> str:
    """What changed since a completion, in words, or an empty string."""
    if source != done.source_hash:
        return "the lesson changed since"
    if _notebook_edited(workspace, module, progress):
        return "its notebook changed since"
    try:
        exported = digest(read_lesson(workspace.package_file(module)))
    except TitoError:
        return f"{module.package_file} is missing or unreadable"
    if exported != done.export_hash:
        return f"{module.package_file} changed since"
    return "the course's tests changed since" if tests_hash(workspace, module) != done.tests_hash else ""


def _notebook_edited(workspace: Workspace, module: Module, progress: Progress) -> bool:
    try:
        return notebook_edited(workspace, module, progress)
    except TitoError:  # it cannot be read, so nobody knows
        return True


def _export_problem(workspace: Workspace, module: Module, source: str) -> str:
    try:
        text = read_lesson(workspace.package_file(module))
    except TitoError:
        return f"{module.package_file} is missing"
    origin = provenance(text)
    if origin is None or edited_by_hand(text):
        return f"{module.package_file} was edited by hand"
    return "" if origin.source_hash == source else "the lesson changed since its export"


def unmet_needs(workspace: Workspace, module: Module, progress: Progress) -> list[Module]:
    """The modules, in course order, that this one builds on, directly or not, and that are not done."""
    wanted: set[str] = set()
    queue = list(module.needs)
    while queue:
        folder = queue.pop()
        if folder not in wanted:
            wanted.add(folder)
            queue += workspace.course.named(folder).needs
    needs = [need for need in workspace.course.modules if need.folder in wanted]
    return [need for need in needs if not _is_done(workspace, need, progress)]


def _is_done(workspace: Workspace, module: Module, progress: Progress) -> bool:
    if workspace.is_course:
        return workspace.package_file(module).exists()
    return module.folder in progress.completions and workspace.package_file(module).exists()


def require_needs(workspace: Workspace, module: Module, verb: str) -> None:
    """LearnerError when a module comes before what it builds on."""
    unmet = unmet_needs(workspace, module, workspace.progress())
    if unmet:
        names = " and ".join([", ".join(need.folder for need in unmet[:-1]), unmet[-1].folder]).removeprefix(" and ")
        are = "is" if len(unmet) == 1 else "are"
        command = "tito export" if workspace.is_course else "tito module test"
        raise LearnerError(
            f"{module.folder} cannot be {verb} yet: it builds on {names}, which {are} not complete.",
            f"{command} {unmet[0].folder}",
        )


def status(workspace: Workspace) -> Status:
    """Where every module of the course stands."""
    progress = workspace.progress()
    rows = tuple(standing(workspace, module, progress) for module in workspace.course.modules)
    return Status(str(workspace.root), rows, _next(rows, workspace.is_course))


def _next(rows: Sequence[Standing], is_course: bool) -> str:
    for state, verb in ((State.MISSING, "scaffold"), (State.STALE, "complete")):
        found = next((row.module for row in rows if row.state is state), None)
        if found:
            return f"tito export {found}" if is_course else f"tito module {verb} {found}"
    open_rows = [row for row in rows if row.state in (State.STARTED, State.READY)]
    if open_rows:
        return f"tito module test {open_rows[0].module}"
    return "tito test --all"


def next_after(workspace: Workspace, module: Module) -> str:
    """The command to run once a module is complete."""
    later = workspace.course.modules[workspace.course.modules.index(module) + 1 :]
    progress = workspace.progress()
    for following in later:
        if following.released and not _is_done(workspace, following, progress):
            return f"tito module test {following.folder}"
    return "tito status"
