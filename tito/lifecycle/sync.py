"""A lesson as a script and as a notebook: whichever was edited is carried over to the other, never both."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from tito.course import Module
from tito.errors import IntegrityError
from tito.export import digest
from tito.notebook import Notebook, from_ipynb, ipynb_fingerprint, parse, to_ipynb
from tito.progress import Progress
from tito.workspace import Workspace, read_lesson


def make_notebook(workspace: Workspace, module: Module) -> bool:
    """Make the lesson's notebook, or bring it up to date; whether a file was written."""
    if workspace.notebook(module).exists():
        return synchronise(workspace, module) != ""
    _carry_to_notebook(workspace, module, read_lesson(workspace.lesson(module)), "")
    return True


def synchronise(workspace: Workspace, module: Module, keep: str = "") -> str:
    """Carry an edit of the script or of the notebook to the other; which file was written: "py", "ipynb" or "".

    keep: "py" or "ipynb" says which side wins when both changed. Raises IntegrityError, with the
    difference, when both changed and nothing says which to keep.
    """
    path = workspace.notebook(module)
    if not path.exists():
        return ""
    script = read_lesson(workspace.lesson(module))
    if keep == "py":  # also when the notebook cannot be read
        return _carry_to_notebook(workspace, module, script, path.read_text(encoding="utf-8", errors="replace"))
    page, progress = read_lesson(path), workspace.progress()
    script_changed = digest(script) != progress.synced.get(module.folder, {}).get("py")
    page_changed = notebook_edited(workspace, module, progress)
    if script_changed and page_changed and not keep:
        keep = _resolve(workspace, module, script, page)
    if keep == "py" or (script_changed and not page_changed and not keep):
        return _carry_to_notebook(workspace, module, script, page)
    if page_changed or (keep == "ipynb" and script_changed):
        return _carry_to_script(workspace, module, script, page)
    return ""


def notebook_edited(workspace: Workspace, module: Module, progress: Progress) -> bool:
    """Whether a lesson has a notebook with something in it that was not carried over to the script."""
    path = workspace.notebook(module)
    if not path.exists():
        return False
    return ipynb_fingerprint(read_lesson(path), path.name) != progress.synced.get(module.folder, {}).get("ipynb")


def _resolve(workspace: Workspace, module: Module, script: str, page: str) -> str:
    """Which side to keep when both changed: either when they agree, the notebook when the script is still the stub."""
    read = from_ipynb(page, parse(script).header, workspace.notebook(module).name)
    if [(c.kind, c.source) for c in read.cells] == [(c.kind, c.source) for c in parse(script).cells]:
        return "py"
    if digest(script) == workspace.progress().stubs.get(module.folder):
        return "ipynb"
    names = (workspace.relative(workspace.lesson(module)), workspace.relative(workspace.notebook(module)))
    difference = difflib.unified_diff(script.splitlines(), read.to_text().splitlines(), *names, lineterm="", n=1)
    raise IntegrityError(
        f"{names[0]} and {names[1]} were both edited since they last agreed:\n" + "\n".join(difference),
        f"tito module sync {module.folder} --keep py, or --keep ipynb (the other stays in tito history)",
    )


def _carry_to_notebook(workspace: Workspace, module: Module, script: str, page: str) -> str:
    text = to_ipynb(parse(script, workspace.lesson(module).name), page)
    _write(workspace, module, script, text)
    return "ipynb" if text != page else ""


def _carry_to_script(workspace: Workspace, module: Module, script: str, page: str) -> str:
    notebook: Notebook = from_ipynb(page, parse(script).header, workspace.notebook(module).name)
    _write(workspace, module, notebook.to_text(), page)
    return "py"


def _write(workspace: Workspace, module: Module, script: str, page: str) -> None:
    files = {
        workspace.relative(workspace.lesson(module)): script.encode(),
        workspace.relative(workspace.notebook(module)): page.encode(),
    }
    mark = (digest(script), ipynb_fingerprint(page))
    workspace.change(
        f"module sync {module.folder}", files, update=lambda progress: progress.with_sync(module.folder, *mark)
    )


def rewrite(
    workspace: Workspace, module: Module, script: str
) -> tuple[dict[str, bytes | None], Callable[[Progress], Progress]]:
    """The writes that replace a lesson, and its notebook when there is one, and the note that these agree."""
    files: dict[str, bytes | None] = {workspace.relative(workspace.lesson(module)): script.encode()}
    path = workspace.notebook(module)
    if not path.exists():
        return files, lambda progress: progress
    page = to_ipynb(parse(script, path.name), path.read_text(encoding="utf-8", errors="replace"))
    files[workspace.relative(path)] = page.encode()
    mark = (digest(script), ipynb_fingerprint(page))
    return files, lambda progress: progress.with_sync(module.folder, *mark)
