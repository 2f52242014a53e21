"""The list of presets with their counts, and one preset laid open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tito.analysis.presets import Preset, find, presets
from tito.analysis.spec import parse
from tito.analysis.walk import Walk

SCHEMA = "tito.analyze.famous/1"


@dataclass(frozen=True)
class Famous:
    """A preset, its parameters, and its MACs for one example."""

    preset: Preset
    params: int
    macs: int

    def to_json(self) -> dict[str, Any]:
        """Where it comes from and what it costs."""
        preset = self.preset
        return {
            "name": f"@{preset.name}",
            "title": preset.title,
            "year": preset.year,
            "variant": preset.variant,
            "source": preset.source,
            "spec": preset.spec,
            "input_shape": list(preset.input_shape),
            "params": self.params,
            "published_params": preset.published,
            "published_rounded": preset.rounded,
            "macs": self.macs,
            "fp32_bytes": 4 * self.params,
            "fp16_bytes": 2 * self.params,
            "top1": preset.top1,
        }


@dataclass(frozen=True)
class Catalogue:
    """Presets in the order of their years."""

    models: tuple[Famous, ...]

    def to_json(self) -> dict[str, Any]:
        """All of them."""
        return {"schema": SCHEMA, "models": [famous.to_json() for famous in self.models]}


def famous(name: str) -> Famous:
    """One preset. Raises UsageError for a name that is none."""
    preset = find(name)
    walk = Walk(preset.input_shape, token_ids=preset.seq is not None, folding=True)
    walk.run(parse(preset.spec))
    counted = list(zip(walk.rows, walk.times, strict=True))
    params = sum(times * row.params.value for row, times in counted)
    return Famous(preset, params, sum(times * row.macs.value for row, times in counted))


def catalogue(names: list[str] | None = None) -> Catalogue:
    """The named presets, or all."""
    return Catalogue(tuple(famous(name) for name in names or presets()))
