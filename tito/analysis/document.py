"""A counted model as JSON (schema `tito.analyze/1`), and any answer as CSV, from the same rows as every table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from tito.analysis import convention, shapes
from tito.analysis.cost import FLOPS_PER_MAC, Cost
from tito.analysis.insights import Insight
from tito.analysis.walk import Row

SCHEMA = "tito.analyze/1"


def layer(row: Row) -> dict[str, Any]:
    """One layer: shapes without the batch, numbers for the whole batch."""
    return {
        "name": row.name,
        "kind": row.kind,
        "input_shape": list(row.input_shape),
        "output_shape": list(row.output_shape),
        "weights": row.weights.value,
        "biases": row.biases.value,
        "params": row.params.value,
        "macs": row.macs.value,
        "flops": FLOPS_PER_MAC * row.macs.value,
        "bias_adds": row.bias_adds.value,
    }


def model(cost: Cost) -> dict[str, Any]:
    """Which model was counted, and what could not be."""
    about = cost.model
    return {
        "name": about.name,
        "title": about.title,
        "spec": about.spec,
        "input_shape": list(about.input_shape),
        "seq": about.seq,
        "year": about.year,
        "source": about.source,
        "buffers": cost.buffers,
        "not_counted": list(cost.not_counted),
        "lower_bound": bool(cost.not_counted),
        "notes": list(cost.notes),
    }


def document(cost: Cost, insights: Sequence[Insight]) -> dict[str, Any]:
    """The whole answer."""
    return {
        "schema": SCHEMA,
        "convention": convention.to_json(cost),
        "model": model(cost),
        "batch": cost.batch,
        "dtype": cost.options.dtype,
        "layers": [layer(row) for row in cost.rows],
        "totals": cost.totals(),
        "insights": [insight.to_json() for insight in insights],
    }


def table(found: dict[str, Any]) -> str:
    """The rows of an answer's document as CSV: its layers, points or models; shapes as 3x32x32."""
    rows = [_flat(row) for row in next(found[key] for key in ("layers", "points", "models") if key in found)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """One line: numbers, words and shapes, with the totals among them; what is nested otherwise is left to the JSON."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if key == "totals":
            found |= value
        elif key.endswith("_shape"):
            found[key] = shapes.text(tuple(value))
        elif not isinstance(value, dict | list) and key != "schema":
            found[key] = value
    return found
