"""A transformer by its parts: where parameters and FLOPs are, the cache of keys and values, the rule of 6N."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tito.analysis.cost import Cost
from tito.analysis.document import document
from tito.analysis.insights import Insight, insights
from tito.analysis.report import with_explanations
from tito.analysis.shown import SHOWN, Shown
from tito.analysis.walk import Row
from tito.errors import UsageError

PARTS = ("embeddings", "projections", "attention products", "MLP", "norms", "output head", "other")


@dataclass(frozen=True)
class Part:
    """One kind of work in all the blocks."""

    name: str
    params: int
    macs: int


@dataclass(frozen=True)
class Transformer:
    """A counted transformer."""

    cost: Cost
    shown: Shown = SHOWN

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parameters and MACs by what they are for; a part of neither is left out."""
        sums = {name: [0, 0] for name in PARTS}
        last = next((row for row in reversed(self.cost.rows) if row.macs), None)
        for row in self.cost.rows:
            held = sums["output head" if row is last and "." not in row.name else _part(row)]
            held[0] += row.params.value
            held[1] += row.macs.value
        return tuple(Part(name, params, macs) for name, (params, macs) in sums.items() if params or macs)

    @property
    def tokens(self) -> int:
        """The length of the sequence in the blocks."""
        scores = next(row for row in self.cost.rows if row.kind == "attention")
        return scores.output_shape[-1]

    @property
    def cache_values(self) -> int:
        """Keys and values that generating one sequence of this length keeps, for the batch."""
        keys = [row for row in self.cost.rows if re.search(r"(^|\.)[kv]$", row.name) and row.kind == "linear"]
        return self.cost.batch * sum(row.output_shape[0] * row.output_shape[1] for row in keys)

    @property
    def cache_bytes(self) -> int:
        """Bytes of that cache."""
        return self.cache_values * self.cost.dtype.activation_bytes

    @property
    def flops_per_token(self) -> float:
        """Forward FLOPs for each token of the batch."""
        return self.cost.flops / (self.tokens * self.cost.batch)

    @property
    def six_n(self) -> int:
        """The rule of thumb for a training step: 6 x parameters x tokens (Kaplan et al. 2020, arXiv:2001.08361)."""
        return 6 * self.cost.params * self.tokens * self.cost.batch

    @property
    def remarks(self) -> tuple[Insight, ...]:
        """What belongs to a transformer."""
        return tuple(one for one in insights(self.cost) if one.id in ("attention-overtakes", "heaviest-layer"))

    def to_json(self) -> dict[str, Any]:
        """The model's document, with its parts."""
        found = document(self.cost, insights(self.cost))
        found["transformer"] = {
            "tokens": self.tokens,
            "parts": [{"name": part.name, "params": part.params, "macs": part.macs} for part in self.parts],
            "cache_bytes": self.cache_bytes,
            "flops_per_token": self.flops_per_token,
            "six_n": self.six_n,
        }
        return with_explanations(found, "flops", self.cost) if self.shown.explain else found


def _part(row: Row) -> str:
    """What a row is for, by its kind and its name."""
    if row.kind in ("embed", "pos", "types", "cls"):
        return "embeddings"
    if row.kind == "attention":
        return "attention products"
    if row.kind in ("ln", "rmsnorm", "bn"):
        return "norms"
    if row.kind == "linear" and re.search(r"\.(q|k|v|out)$", row.name):
        return "projections"
    if row.kind == "linear" and re.search(r"(mlp|swiglu)[0-9]*\.(up|down|gate)$", row.name):
        return "MLP"
    return "other"


def analyze(cost: Cost, shown: Shown) -> Transformer:
    """Take a counted model apart. Raises UsageError for one without attention."""
    if not any(row.kind == "attention" for row in cost.rows):
        raise UsageError(
            f"{cost.model.name} has no attention", "tito analyze transformer @gpt2, or --layers 12 --dim 768 --heads 12"
        )
    return Transformer(cost, shown)


def written(
    *, layers: int, dim: int, heads: int, vocab: int, positions: int, hidden: int | None, kv: int | None, tied: bool
) -> str:
    """The specification of a GPT with these numbers."""
    block = f"block:{dim}h{heads}" + (f"kv{kv}" if kv else "") + (f"f{hidden}" if hidden else "")
    head = "unembed" if tied else f"linear:{dim}x{vocab} nobias"
    return f"wte=embed:{vocab}x{dim} wpe=pos:{positions} {layers}*{block} ln_f=ln head={head}"
