"""Shell completion, answered from a table so that nothing heavy is imported while somebody waits at a prompt.

`completion_table.json` is made from the commands by `python -m tito.cli.describe`; a test checks that it is
current. The protocol is that of typer's own completion scripts.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

# A command is {"commands": {name: command}, "options": [...], "argument": "module" where it takes one}.
TABLE = os.path.join(os.path.dirname(__file__), "completion_table.json")  # noqa: PTH118, PTH120 (pathlib costs 5 ms)


def answer(environment: Mapping[str, str]) -> int:
    """Print the completions that a shell asks for through the environment."""
    shell = environment["_TITO_COMPLETE"].removeprefix("complete_")
    words, incomplete = _typed(shell, environment)
    found = candidates(words, incomplete)
    if shell == "fish" and environment.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        return 0 if found else 1
    sys.stdout.write(_formatted(shell, found))
    return 0


def _typed(shell: str, environment: Mapping[str, str]) -> tuple[list[str], str]:
    """The words before the one being typed, and that one."""
    if shell == "bash":
        words = environment.get("COMP_WORDS", "").split()
        position = int(environment.get("COMP_CWORD", "1"))
        return words[1:position], words[position] if position < len(words) else ""
    line = environment.get("_TYPER_COMPLETE_ARGS", "")
    words = line.split()[1:]
    if words and not line.endswith(" "):
        return words[:-1], words[-1]
    return words, ""


def candidates(words: list[str], incomplete: str) -> list[str]:
    """What may stand where `incomplete` is being typed after `words`."""
    with open(TABLE, encoding="utf-8") as stream:  # noqa: PTH123
        node = json.load(stream)
    for word in words:
        node = node.get("commands", {}).get(word, node)
    if incomplete.startswith("-"):
        options = [*node.get("options", []), "--help"]
        return [name for name in options if name.startswith(incomplete)]
    names = list(node.get("commands", {}))
    if node.get("argument") == "module":
        names = _module_names()
    return [name for name in names if name.startswith(incomplete)] or _by_second_part(names, incomplete)


def _by_second_part(names: list[str], incomplete: str) -> list[str]:
    """Modules by the word after their number: la -> 03_layers."""
    return [name for name in names if incomplete and name.partition("_")[2].startswith(incomplete)]


def _module_names() -> list[str]:
    """The modules of the course here, read from lines of its manifest: a TOML parser costs more than the rest."""
    folder = os.getcwd()  # noqa: PTH109
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    places = [os.environ.get("TITO_COURSE") or folder, folder, os.path.join(own, "_course"), os.path.dirname(own)]  # noqa: PTH118, PTH120
    for place in places:
        manifest = os.path.join(place, "course.toml")  # noqa: PTH118
        if os.path.isfile(manifest):  # noqa: PTH113
            with open(manifest, encoding="utf-8") as stream:  # noqa: PTH123
                return [line.split('"')[1] for line in stream if line.startswith("folder = ")]
    return []


def _formatted(shell: str, found: list[str]) -> str:
    if shell == "zsh":
        quoted = "\n".join(f'"{name}"' for name in found)
        return f"_arguments '*: :(({quoted}))'" if found else "_files"
    if shell in ("powershell", "pwsh"):
        return "".join(f"{name}:::\n" for name in found)
    return "".join(f"{name}\n" for name in found)
