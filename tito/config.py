"""Settings: a flag, then TITO_*, then [tool.tito] in pyproject.toml or course.toml, then the default."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tito.errors import EnvironmentFault


@dataclass(frozen=True)
class Setting:
    """A setting's value and where it came from."""

    name: str
    value: str
    origin: str
    help: str


def _jobs(value: str) -> bool:
    return value == "auto" or (value.isdigit() and int(value) > 0)


def _one_of(*words: str) -> Callable[[str], bool]:
    return lambda value: value in words


KNOWN: Mapping[str, tuple[str, str, Callable[[str], bool]]] = {
    "jobs": ("auto", "modules tested at the same time: auto or a number", _jobs),
    "color": ("auto", "auto, always or never", _one_of("auto", "always", "never")),
    "plain": ("false", "true: lines without tables and symbols", _one_of("true", "false")),
    "editor": ("", "the command that `tito module open` runs", lambda value: True),
}


def load_settings(root: Path | None) -> dict[str, Setting]:
    """Every setting with its origin; EnvironmentFault when a value cannot be used."""
    layers = _file_layers(root) if root else []
    return {name: _checked(name, layers) for name in KNOWN}


def _checked(name: str, layers: list[tuple[str, Mapping[str, Any]]]) -> Setting:
    default, text, valid = KNOWN[name]
    variable = f"TITO_{name.upper()}"
    value, origin = default, "default"
    if variable in os.environ:
        value, origin = os.environ[variable], variable
    else:
        for where, table in layers:
            if name in table:
                given = table[name]
                value, origin = (str(given).lower() if isinstance(given, bool) else str(given)), where
                break
    if not valid(value):
        raise EnvironmentFault(f"The setting {name} is {value!r} (from {origin}); it takes {text}.", "correct it there")
    return Setting(name, value, origin, text)


def _file_layers(root: Path) -> list[tuple[str, Mapping[str, Any]]]:
    layers: list[tuple[str, Mapping[str, Any]]] = []
    for file in ("pyproject.toml", "course.toml"):
        try:
            data = tomllib.loads((root / file).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise EnvironmentFault(f"{file} cannot be read: {error}.", "correct that line") from None
        tool = data.get("tool", {})
        table = tool.get("tito", {}) if isinstance(tool, dict) else {}
        if not isinstance(table, dict):
            raise EnvironmentFault(f"{file} sets tool.tito to {table!r}.", "write it as a table: [tool.tito]")
        unknown = sorted(set(table) - set(KNOWN))
        if unknown:
            raise EnvironmentFault(
                f"{file} sets tito.{unknown[0]}, which is no setting.", f"one of: {', '.join(KNOWN)}"
            )
        layers.append((f"{file} [tool.tito]", table))
    return layers
