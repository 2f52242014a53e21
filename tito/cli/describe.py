"""Files made from the commands: the completion table and docs/cli.md. `python -m tito.cli.describe` writes both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer.main

from tito.cli.app import app
from tito.cli.boundary import SHARED_OPTIONS
from tito.cli.completion import TABLE

DOCS = Path(__file__).parent.parent.parent / "docs" / "cli.md"


def tree() -> Any:
    """The root command with all its subcommands, as typer's parser has it."""
    return typer.main.get_command(app)


def table(node: Any) -> dict[str, Any]:
    """The completion table of a command and what is below it."""
    described: dict[str, Any] = {}
    children = getattr(node, "commands", None)
    if children:
        described["commands"] = {name: table(child) for name, child in children.items()}
    options = {opt for param in node.params for opt in param.opts if opt.startswith("--")}
    described["options"] = sorted(options | (set() if children else set(SHARED_OPTIONS)))
    if any((getattr(param, "metavar", "") or "").strip("[].") == "MODULE" for param in node.params):
        described["argument"] = "module"
    return described


def table_text() -> str:
    """The table as it is stored."""
    return json.dumps(table(tree()), indent=1) + "\n"


def reference_text() -> str:
    """docs/cli.md: the help of every command."""
    parts = ["# Commands\n\nGenerated from the commands' own help by `python -m tito.cli.describe`.\n"]
    parts += [f"## {path}\n\n```\n{text}\n```\n" for path, text in _helps(tree(), "tito", None)]
    return "\n".join(parts)


def _helps(node: Any, path: str, parent: Any) -> list[tuple[str, str]]:
    context = typer.Context(
        node, info_name=path.rpartition(" ")[2], parent=parent, terminal_width=100, max_content_width=100
    )
    found = [(path, "\n".join(line.rstrip() for line in node.get_help(context).strip().split("\n")))]
    for name, child in getattr(node, "commands", {}).items():
        found += _helps(child, f"{path} {name}", context)
    return found


def main() -> None:
    """Write both files."""
    Path(TABLE).write_text(table_text(), encoding="utf-8")
    DOCS.write_text(reference_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
