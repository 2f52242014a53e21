"""Well-known models, each written out in the specification language and walked by the same code as any other."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from tito.analysis.shapes import Shape
from tito.errors import UsageError

TORCHVISION = "torchvision"


@dataclass(frozen=True)
class Preset:
    """A model: its layers, what it is fed, and where both come from.

    `published` is the number of parameters that the source states (`rounded` when it states no more than
    a rounded one); `top1` is the ImageNet accuracy in percent of torchvision's first weights.
    """

    name: str
    title: str
    year: int
    variant: str
    source: str
    input_shape: Shape
    layers: Callable[[], str]
    published: int | None = None
    rounded: str = ""
    seq: int | None = None
    top1: float | None = None

    @property
    def cited(self) -> str:
        """The source in one word or two: its arXiv number, or first author and year."""
        number = re.search(r"arXiv:[0-9.]+[0-9]", self.source)
        year = re.search(r"[12][0-9]{3}", self.source)
        first = re.match(r"\w+", self.source)
        return number[0] if number else f"{first[0] if first else ''} {year[0] if year else self.year}"

    @property
    def spec(self) -> str:
        """The layers, in the specification language."""
        return " ".join(self.layers().split())


@lru_cache(maxsize=1)
def presets() -> dict[str, Preset]:
    """All presets by name, in the order of their years."""
    from tito.analysis import preset_language, preset_vision

    every = [*preset_vision.PRESETS, *preset_language.PRESETS]
    return {preset.name: preset for preset in sorted(every, key=lambda preset: preset.year)}


def find(name: str) -> Preset:
    """The preset of this name, with or without its @. Raises UsageError that names the nearest ones."""
    plain = name.removeprefix("@").lower().replace("_", "-")
    every = presets()
    for known, preset in every.items():
        if plain.replace("-", "") == known.replace("-", ""):
            return preset
    near = get_close_matches(plain, every, n=3, cutoff=0.5)
    hint = "did you mean " + " or ".join(f"@{one}" for one in near) + "? " if near else ""
    raise UsageError(f"@{plain} is not a preset", f"{hint}tito analyze famous lists them")
