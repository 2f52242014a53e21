"""The answers of `roofline` and `profile`: layers against a machine, on paper and as measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tito.analysis.cost import Cost
from tito.analysis.document import model
from tito.analysis.hardware import Hardware, Point, roofline
from tito.analysis.shown import SHOWN, Shown

ROOFLINE_SCHEMA = "tito.analyze.roofline/1"
PROFILE_SCHEMA = "tito.analyze.profile/1"


@dataclass(frozen=True)
class Roofline:
    """A model's layers on one machine's roofline."""

    cost: Cost
    hardware: Hardware
    shown: Shown = SHOWN

    @property
    def points(self) -> tuple[Point, ...]:
        """Every layer."""
        return roofline(self.cost, self.hardware)

    @property
    def seconds(self) -> float:
        """The forward pass at the roof."""
        return sum(point.seconds for point in self.points)

    @property
    def ridge(self) -> float:
        """FLOPs a byte where the roof bends."""
        return self.hardware.ridge(self.cost.options.dtype)

    def to_json(self) -> dict[str, Any]:
        """Machine, layers, total."""
        return {
            "schema": ROOFLINE_SCHEMA,
            "model": model(self.cost),
            "batch": self.cost.batch,
            "dtype": self.cost.options.dtype,
            "hardware": hardware_json(self.hardware, self.cost.options.dtype),
            "layers": [
                {
                    "name": point.name,
                    "flops": point.flops,
                    "bytes": point.moved,
                    "intensity": point.intensity,
                    "attainable_flops": point.attainable,
                    "seconds_at_least": point.seconds,
                    "bound": point.bound,
                }
                for point in self.points
            ],
            "seconds_at_least": self.seconds,
        }


def hardware_json(hardware: Hardware, dtype: str) -> dict[str, Any]:
    """A machine as data."""
    return {
        "name": hardware.name,
        "title": hardware.title,
        "peak_flops": hardware.flops(dtype),
        "bandwidth": hardware.bandwidth,
        "ridge": hardware.ridge(dtype),
        "source": hardware.source,
    }


@dataclass(frozen=True)
class Measured:
    """One layer's call: what was predicted, and the times of its repeated runs in seconds."""

    name: str
    kind: str
    flops: int
    predicted: float  # seconds at the roof
    times: tuple[float, ...]
    counted: bool = True

    @property
    def median(self) -> float:
        """The middle time."""
        return median(self.times)

    @property
    def spread(self) -> float:
        """Half of the interquartile range over the median: 0.05 is plus or minus 5%."""
        return spread(self.times)

    @property
    def rate(self) -> float:
        """Achieved FLOP/s."""
        return self.flops / self.median if self.median else 0.0


def median(times: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    ordered, half = sorted(times), len(times) // 2
    return ordered[half] if len(times) % 2 else (ordered[half - 1] + ordered[half]) / 2


def spread(times: Sequence[float]) -> float:
    """Half of the distance between the quartiles, as a share of the median."""
    ordered, many = sorted(times), len(times)
    low, high = ordered[many // 4], ordered[3 * many // 4]
    middle = median(ordered)
    return (high - low) / 2 / middle if middle else 0.0


@dataclass(frozen=True)
class Profile:
    """A model's measured forward pass beside what was predicted for it."""

    cost: Cost
    hardware: Hardware
    layers: tuple[Measured, ...]
    whole: tuple[float, ...]
    shown: Shown = SHOWN

    @property
    def predicted(self) -> float:
        """The forward pass at the roof."""
        return sum(layer.predicted for layer in self.layers)

    @property
    def median(self) -> float:
        """The middle time of the forward pass."""
        return median(self.whole)

    @property
    def spread(self) -> float:
        """Half of the distance between the quartiles, as a share of the median."""
        return spread(self.whole)

    @property
    def rate(self) -> float:
        """Achieved FLOP/s of the forward pass."""
        return self.cost.flops / self.median

    def to_json(self) -> dict[str, Any]:
        """Machine, layers, total; times in seconds."""
        return {
            "schema": PROFILE_SCHEMA,
            "model": model(self.cost),
            "batch": self.cost.batch,
            "hardware": hardware_json(self.hardware, self.cost.options.dtype),
            "runs": len(self.whole),
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "flops": layer.flops,
                    "predicted_seconds": layer.predicted,
                    "median_seconds": layer.median,
                    "spread": layer.spread,
                    "achieved_flops": layer.rate,
                }
                for layer in self.layers
            ],
            "whole": {
                "flops": self.cost.flops,
                "predicted_seconds": self.predicted,
                "median_seconds": self.median,
                "spread": self.spread,
                "achieved_flops": self.rate,
            },
        }
