"""Run the main commands and put their real output into the README; with --check, only compare."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BEGIN = "<!-- gallery: begin; made by `python docs/gallery.py`, checked by a test -->\n"
END = "<!-- gallery: end -->"


def solve_first_test(workspace: Path) -> None:
    """Do what a learner would: solve some of module 01, not all of it."""
    lesson = workspace / "modules/01_tensor/tensor_dev.py"
    solved, stub = (
        (ROOT / "modules/01_tensor/tensor_dev.py").read_text(encoding="utf-8"),
        lesson.read_text(encoding="utf-8"),
    )
    wanted = {cell.split("\n", 1)[0].replace("deletable=false ", ""): cell for cell in solved.split("\n# %%")}
    cells = stub.split("\n# %%")
    open_cells = [n for n, cell in enumerate(cells) if "# YOUR CODE HERE" in cell]
    for number in open_cells[:-2]:
        cells[number] = wanted[cells[number].split("\n", 1)[0].replace("deletable=false ", "")]
    lesson.write_text("\n# %%".join(cells), encoding="utf-8")


def solve(workspace: Path) -> None:
    """Solve module 01."""
    shutil.copyfile(ROOT / "modules/01_tensor/tensor_dev.py", workspace / "modules/01_tensor/tensor_dev.py")


def blocks() -> Iterator[str]:
    """Each command of the gallery with what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        workspace = home / "mytorch"
        yield block(home, "tito init mytorch")
        yield block(workspace, "tito module test 03_layers")
        solve_first_test(workspace)
        yield block(workspace, "tito module test 01")
        yield block(workspace, "tito module hint 01")
        solve(workspace)
        yield block(workspace, "tito module complete 01")
        yield block(workspace, "tito status")
        yield block(workspace, "tito analyze params 784 256 10")
        yield block(ROOT, "tito test --all", home)


def block(where: Path, command: str, hide: Path | None = None) -> str:
    """One command and its output, as a terminal of 80 columns shows it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TITO", "PYTEST"))}
    environment |= {"COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    words = [sys.executable, "-m", "tito", *command.split()[1:]]
    done = subprocess.run(words, cwd=where, env=environment, capture_output=True, text=True, encoding="utf-8")
    text = done.stdout or done.stderr
    place = str((hide or where).resolve())
    for path, shown in ((place + "/mytorch", "~/mytorch"), (str(where.resolve()), "~/mytorch"), (place, "~")):
        text = text.replace(path, shown)
    lines = [line.rstrip() for line in text.split("\n")]
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")
    return f"```console\n$ {command}\n{body}\n```\n"


def stable(text: str) -> str:
    """The text without what differs from run to run: seconds, dates, and the widths that they give a table."""
    for found, shown in ((r"\b\d+\.\d\b( s)?", "N.N"), (r"\d{4}-\d\d-\d\dT[\d:]+Z", "DATE"), ("─+", "─"), (" +", " ")):
        text = re.sub(found, shown, text)
    return text.strip()


def main(arguments: list[str]) -> int:
    """Write the gallery, or say whether the one there is what the commands print now."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    new = "\n" + "\n".join(blocks())
    if "--check" in arguments:
        if stable(old) != stable(new):
            sys.stdout.write(new)
            print(
                "The README's gallery is not what the commands print now. next: python docs/gallery.py", file=sys.stderr
            )
            return 1
        return 0
    README.write_text(before + BEGIN + new + "\n" + END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
