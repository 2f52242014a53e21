"""Models side by side, and which of them nothing else beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tito.analysis.cost import Cost
from tito.analysis.document import document
from tito.analysis.insights import Insight
from tito.analysis.presets import presets
from tito.analysis.shown import SHOWN, Shown
from tito.analysis.units import ratio

SCHEMA = "tito.analyze.compare/1"
#: What is compared: less of each is better.
COSTS = ("params", "flops", "inference_bytes")


@dataclass(frozen=True)
class Entry:
    """One model among others: its label, its cost, its ImageNet accuracy when torchvision states one."""

    label: str
    cost: Cost
    top1: float | None

    @property
    def costs(self) -> tuple[int, int, int]:
        """In the order of COSTS."""
        return self.cost.params, self.cost.flops, self.cost.inference_bytes


@dataclass(frozen=True)
class Comparison:
    """Several models at one batch size."""

    entries: tuple[Entry, ...]
    shown: Shown = SHOWN

    @property
    def with_accuracy(self) -> bool:
        """Whether every model has a published accuracy, which then counts among the Pareto marks."""
        return all(entry.top1 is not None for entry in self.entries)

    def beaten_by(self, entry: Entry) -> Entry | None:
        """A model that is nowhere worse and somewhere better; nothing for one on the Pareto front."""
        for other in self.entries:
            if other is not entry and _dominates(self._score(other), self._score(entry)):
                return other
        return None

    def _score(self, entry: Entry) -> tuple[float, ...]:
        accuracy = (-(entry.top1 or 0.0),) if self.with_accuracy else ()
        return (*entry.costs, *accuracy)

    @property
    def remarks(self) -> tuple[Insight, ...]:
        """How far apart the ends are."""
        found = []
        for index, words in enumerate(("parameters", "FLOPs", "bytes at inference")):
            least = min(self.entries, key=lambda entry: entry.costs[index])
            most = max(self.entries, key=lambda entry: entry.costs[index])
            low, high = least.costs[index], most.costs[index]
            if low and high > low:
                text = f"{most.label} takes {ratio(high / low)} times the {words} of {least.label}."
                facts = {"most": most.label, "least": least.label, "ratio": high / low}
                found.append(Insight(f"range-{COSTS[index]}", text, facts))
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Every model's own document, with its mark."""
        models = []
        for entry in self.entries:
            other = self.beaten_by(entry)
            found = {"label": entry.label, **document(entry.cost, ())}
            found |= {"top1": entry.top1, "pareto": other is None}
            found |= {"beaten_by": other.label if other else None, "inference_bytes": entry.cost.inference_bytes}
            models.append(found)
        criteria = [*COSTS, *(["top1"] if self.with_accuracy else [])]
        remarks = [remark.to_json() for remark in self.remarks]
        return {"schema": SCHEMA, "criteria": criteria, "models": models, "insights": remarks}


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def compare(costs: Sequence[Cost], shown: Shown) -> Comparison:
    """The models under labels short enough for a table: their names, or A, B, C for long ones."""
    entries = []
    for number, cost in enumerate(costs):
        name = cost.model.name
        label = name if len(name) <= 20 else chr(ord("A") + number % 26) + (str(number // 26) if number > 25 else "")
        preset = presets().get(name.removeprefix("@")) if name.startswith("@") else None
        standard = preset is not None and preset.input_shape == cost.model.input_shape
        entries.append(Entry(label, cost, preset.top1 if preset and standard else None))
    return Comparison(tuple(entries), shown)
