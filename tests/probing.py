"""Runs a lesson, or a variant of it, with its probes in a plain child process, and judges what comes back."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tito.grading.assignment import Assignment, load_assignment
from tito.grading.judge import compare
from tito.grading.records import ProbeScore
from tito.grading.sandbox.jobs import ProbeRun
from tito.notebook import parse
from tito.release import release
from tito.workspace import find_workspace

WORKSPACE = find_workspace(Path(__file__).parents[1])
COURSE = WORKSPACE.course
CHILD = Path(__file__).with_name("probe_child.py")


@dataclass(frozen=True)
class Variant:
    """A lesson to run: its percent text, cells added at its end, and the seed of the probes' inputs."""

    source: str
    after: str = ""
    seed: int = 0


@functools.cache
def assignment_of(folder: str) -> Assignment:
    """The assignment of a module, from the course."""
    return load_assignment(COURSE, COURSE.named(folder))


def stubbed(folder: str) -> str:
    """The student version's percent text."""
    return release(assignment_of(folder).notebook, folder).to_text()


def run(folder: str, variants: Mapping[str, Variant]) -> dict[str, dict[str, ProbeRun]]:
    """What the probes of a module returned on each variant."""
    assignment = assignment_of(folder)
    probes = tuple(dict.fromkeys(name for cell in assignment.graded for name in cell.probes))
    with tempfile.TemporaryDirectory() as folder_name:
        root = Path(folder_name)
        for path, data in assignment.package.items():
            (root / "package" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "package" / path).write_bytes(data)
        jobs = [
            {
                "key": key,
                "name": assignment.name,
                "cells": [*_cells(variant.source, folder), variant.after],
                "probes_source": assignment.probes_source,
                "probes": probes,
                "seed": variant.seed,
            }
            for key, variant in variants.items()
        ]
        specification = {"package": str(root / "package"), "out": str(root), "jobs": jobs}
        subprocess.run(
            [sys.executable, "-W", "ignore", str(CHILD)], input=json.dumps(specification), text=True, check=True
        )
        return {key: _read(root, key) for key in variants}


def verdicts(folder: str, reference: Mapping[str, ProbeRun], got: Mapping[str, ProbeRun]) -> dict[str, ProbeScore]:
    """Each probe's verdict on one run against another."""
    tolerances = assignment_of(folder).tolerances
    return {name: compare(reference[name], got[name], tolerances.get(name, {})) for name in reference}


def cells_of(folder: str, probes: Iterable[str]) -> set[str]:
    """The grade_ids of the cells that have any of these probes."""
    wanted = set(probes)
    return {cell.grade_id for cell in assignment_of(folder).graded if wanted & set(cell.probes)}


def _cells(source: str, folder: str) -> list[str]:
    return [cell.source for cell in parse(source, folder).cells if cell.kind == "code"]


def _read(root: Path, key: str) -> dict[str, ProbeRun]:
    found = {}
    with np.load(root / f"{key}.npz", allow_pickle=False) as arrays:
        for number, (name, names, error) in enumerate(json.loads((root / f"{key}.json").read_text("utf-8"))):
            values = {each: arrays[f"{number}.{place}"] for place, each in enumerate(names)}
            found[name] = ProbeRun(name, None if error else values, error)
    return found
