"""Probes agree for the reference and for other right solutions, and disagree for the stub and for wrong ones."""

from __future__ import annotations

import functools
import hashlib
import tomllib
from pathlib import Path

import pytest
from probing import COURSE, Variant, assignment_of, cells_of, run, stubbed, verdicts

from tito.grading.judge import probe_titles
from tito.grading.sandbox.jobs import ProbeRun

FOLDERS = [module.folder for module in COURSE.released]
MUTANTS = tomllib.loads(Path(__file__).with_name("mutants.toml").read_text(encoding="utf-8"))
ALTERNATIVES = Path(__file__).with_name("alternatives")
NO_PROBES: dict[str, str] = {}  # module/grade_id -> why its visible test alone decides
SEED = int.from_bytes(hashlib.sha256(b"probes").digest()[:4])
LEAVES = 256  # parts of one result that the sandbox takes


@functools.cache
def runs(folder: str) -> dict[str, dict[str, ProbeRun]]:
    """The reference twice on one seed and once on another, and the stub."""
    lesson = assignment_of(folder).lesson
    variants = {"reference": Variant(lesson, seed=SEED), "again": Variant(lesson, seed=SEED)}
    return run(folder, {**variants, "other": Variant(lesson), "stub": Variant(stubbed(folder), seed=SEED)})


def disagreeing(folder: str, name: str) -> dict[str, str]:
    """The probes that disagree with the reference in one of the runs, and why."""
    found = verdicts(folder, runs(folder)["reference"], runs(folder)[name])
    return {probe: score.message for probe, score in found.items() if not score.agreed}


def test_every_released_module_has_probes() -> None:
    """Catches a module that is graded by its visible tests alone, which a forged result passes."""
    cells = [(folder, cell) for folder in FOLDERS for cell in assignment_of(folder).graded]
    bare = {f"{folder}/{cell.grade_id}" for folder, cell in cells if not cell.probes}
    assert bare == set(NO_PROBES)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_reference_agrees_with_itself(folder: str) -> None:
    """Catches a probe that depends on a clock, an address or an unseeded generator, or that fails on the reference."""
    failing = {name: probe.error for name, probe in runs(folder)["reference"].items() if probe.arrays is None}
    assert failing == {}
    assert disagreeing(folder, "again") == {}


@pytest.mark.parametrize("folder", FOLDERS)
def test_results_change_with_the_seed(folder: str) -> None:
    """Catches probes whose answers could be written down: at least two of three must depend on the fresh inputs."""
    changed, total = len(disagreeing(folder, "other")), len(runs(folder)["reference"])
    assert changed >= 2 * total / 3, f"{changed} of {total} depend on the seed"


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_stub_disagrees_with_every_probe(folder: str) -> None:
    """Catches a probe that gives points, in a partial cell, for work that nobody has done."""
    assert sorted(disagreeing(folder, "stub")) == sorted(runs(folder)["reference"])


@pytest.mark.parametrize("folder", FOLDERS)
def test_results_are_small_and_probes_have_titles(folder: str) -> None:
    """Catches results that fill the pipe or have more parts than it takes, and a probe that feedback cannot name."""
    found = runs(folder)["reference"]
    assert max(len(probe.arrays or {}) for probe in found.values()) <= LEAVES
    assert sum(array.nbytes for probe in found.values() for array in (probe.arrays or {}).values()) < 1 << 20
    assert [name for name, title in titles(folder).items() if len(title) < 15] == []


def titles(folder: str) -> dict[str, str]:
    """The title of every probe."""
    named = probe_titles(assignment_of(folder).probes_source)
    return {name: named[name] for name in runs(folder)["reference"]}


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_wrong_solutions_are_noticed_by_the_right_cell(folder: str) -> None:
    """Catches a probe that does not look at what it is there for."""
    lesson = assignment_of(folder).lesson
    for mutant in MUTANTS[folder]:
        assert lesson.count(mutant["old"]) == 1, f"{mutant['what']}: the lesson has no single {mutant['old']!r}"
    variants = {
        str(number): Variant(lesson.replace(mutant["old"], mutant["new"]), seed=SEED)
        for number, mutant in enumerate(MUTANTS[folder])
    }
    reference, missed = runs(folder)["reference"], []
    for key, got in run(folder, variants).items():
        mutant = MUTANTS[folder][int(key)]
        noticed = [name for name, score in verdicts(folder, reference, got).items() if not score.agreed]
        if mutant["cell"] not in cells_of(folder, noticed):
            missed.append((mutant["cell"], mutant["what"]))
    assert missed == []


def test_every_module_has_wrong_solutions_for_most_cells() -> None:
    """Catches a table of wrong solutions that has stopped to grow with the course."""
    for folder in FOLDERS:
        graded = {cell.grade_id for cell in assignment_of(folder).graded if "module" not in cell.grade_id}
        assert graded - {mutant["cell"] for mutant in MUTANTS[folder]} == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_another_right_solution_agrees(folder: str) -> None:
    """Catches a probe that asks for the reference's way of computing, not for its results."""
    other = (ALTERNATIVES / f"{folder}.py").read_text(encoding="utf-8")
    lesson = assignment_of(folder).lesson
    for seed in (SEED, SEED + 1):
        variants = {"reference": Variant(lesson, seed=seed), "other": Variant(lesson, after=other, seed=seed)}
        found = run(folder, variants)
        judged = verdicts(folder, found["reference"], found["other"])
        assert {name: score.message for name, score in judged.items() if not score.agreed} == {}
