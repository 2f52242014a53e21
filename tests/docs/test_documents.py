"""What the documents say is what the tool does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    """Catches a document that was moved or renamed."""
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_only_commands_that_exist(document: Path) -> None:
    """Catches a command that was renamed or removed while a document still recommends it."""
    from tito.cli.describe import table, tree

    commands = table(tree())
    for line in re.findall(r"\btito ((?:[a-z]+ ?)+)", document.read_text(encoding="utf-8")):
        node = commands
        for word in line.split()[:2]:
            if "commands" not in node:
                break
            if word not in node["commands"]:
                in_prose = node is commands  # "tito is ...", "tito never ...": words, not a command
                assert in_prose or word in ("and", "or"), f"{document.name}: tito {line}"
                break
            node = node["commands"][word]


def test_extras_that_are_to_be_installed_exist() -> None:
    """Catches `pip install 'tito[name]'`, in a document or in a hint, for an extra that was renamed."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    texts = [path.read_text(encoding="utf-8") for path in (*DOCUMENTS, *(ROOT / "tito").rglob("*.py"))]
    named = {name for text in texts for names in re.findall(r"'tito\[([a-z,]+)\]'", text) for name in names.split(",")}
    assert {"grade", "postgres"} <= named <= set(extras)


def test_generated_command_reference_is_current() -> None:
    """Catches a changed option or help text without `python -m tito.cli.describe`."""
    from tito.cli.completion import TABLE
    from tito.cli.describe import DOCS, reference_text, table_text

    assert DOCS.read_text(encoding="utf-8") == reference_text()
    assert Path(TABLE).read_text(encoding="utf-8") == table_text()


@pytest.mark.slow
def test_the_gallery_shows_what_the_commands_print() -> None:
    """Catches output in the README that the tool no longer prints."""
    done = subprocess.run([sys.executable, ROOT / "docs/gallery.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_runs_the_set_up_commands_of_the_readme() -> None:
    """Catches a README whose set-up commands CI no longer finds."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^python -m venv .*$", text, re.MULTILINE) == [
        "python -m venv .venv && . .venv/bin/activate && pip install -e . && tito test --all"
    ]
    assert re.findall(r"^pip install -e .*$", text, re.MULTILINE) == ['pip install -e ".[dev]" && pytest']
