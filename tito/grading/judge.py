"""The verdict on a submission: its arrays beside the reference's. Nothing here runs or trusts what it compares."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from tito.errors import EnvironmentFault
from tito.grading.assignment import Assignment, GradedCell
from tito.grading.records import CellScore, ProbeScore
from tito.grading.sandbox.arrays import Arrays
from tito.grading.sandbox.jobs import COURSE_CELL, CellRun, Ending, JobCell, ProbeRun, RunResult
from tito.report import Outcome

_CLOSE = {2: (1e-2, 1e-3), 4: (1e-5, 1e-6), 8: (1e-9, 1e-12)}  # bytes of a float: rtol, atol
_KINDS = {"b": "truth values", "i": "whole numbers", "u": "whole numbers", "f": "floats", "c": "complex numbers"}
_SHOWN = 60  # characters of a name, or of an error, that came from the sandbox
_LONGEST = 200
_MOST = 20  # cells that failed, of which a student is told


def score(assignment: Assignment, run: RunResult, reference: RunResult) -> tuple[CellScore, ...]:
    """Points for every graded cell: its test's outcome and its probes against the reference's.

    Cells of the run are found by their grade_id. Raises EnvironmentFault when a probe failed on the reference, which
    says nothing about the submission.
    """
    cells = {cell.name: cell for cell in reversed(run.cells)}
    got = {probe.name: probe for probe in reversed(run.probes)}
    expected = {probe.name: probe for probe in reference.probes}
    titles = probe_titles(assignment.probes_source)
    scores = []
    for graded in assignment.graded:
        test = cells.get(graded.grade_id) or CellRun(graded.grade_id, Outcome.NOT_RUN, _unreached(run.ending))
        probes = []
        for name in graded.probes:
            missing = ProbeRun(name, None, _unreached(run.ending))
            found = compare(_reference(assignment, expected, name), got.get(name, missing), _of(assignment, name))
            probes.append(ProbeScore(name, found.agreed, found.message, titles.get(name, "")))
        scores.append(_cell_score(graded, test, tuple(probes)))
    return tuple(scores)


def failures(cells: Sequence[JobCell], run: RunResult) -> tuple[tuple[str, str], ...]:
    """The student's cells that failed in a run, as (name, one line)."""
    found = []
    for cell, ran in zip(cells, run.cells, strict=True):
        if cell.test or cell.name.startswith(COURSE_CELL) or ran.outcome in (Outcome.PASSED, Outcome.NOT_RUN):
            continue
        found.append((cell.name.replace("cell:", "cell ", 1), _line(ran.message) or str(ran.outcome)))
    return tuple(found[:_MOST])


def earned(graded: GradedCell, passed: bool, agreeing: int) -> float:
    """The points of one cell, to two decimals.

    All of them when its test passes and every probe agrees, else none. In a partial cell each probe that agrees earns a
    share. A test that fails is one more part, which is lost when all probes agree: a student can forge its outcome, so
    that alone earns nothing.
    """
    probes = len(graded.probes)
    if passed and agreeing == probes:
        return float(graded.points)
    parts = probes + 1 if agreeing == probes else probes
    return round(graded.points * agreeing / parts, 2) if graded.partial and probes else 0.0


def compare(expected: ProbeRun, got: ProbeRun, tolerance: Mapping[str, Any]) -> ProbeScore:
    """Whether a probe sent back what the reference sent, within rtol and atol; whatever was sent, it raises nothing."""
    if got.arrays is None:
        return ProbeScore(expected.name, False, _line(got.error) or "gave no result")
    if isinstance(got.arrays, Arrays) and got.arrays.same_bytes(expected.arrays):
        return ProbeScore(expected.name, True, "")
    try:
        with np.errstate(all="ignore"):
            message = _difference(expected.arrays or {}, got.arrays, tolerance)
    except Exception as error:  # hostile data found a way to make NumPy fail: then it is no agreement
        message = f"could not be compared ({type(error).__name__})"
    return ProbeScore(expected.name, not message, message)


@cache
def probe_titles(source: str) -> dict[str, str]:
    """The first line of every probe's docstring, by the function's name."""
    functions = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    return {node.name: (ast.get_docstring(node) or "").partition("\n")[0].rstrip(".") for node in functions}


def _of(assignment: Assignment, name: str) -> Mapping[str, Any]:
    return assignment.tolerances.get(name, {})


def _reference(assignment: Assignment, expected: Mapping[str, ProbeRun], name: str) -> ProbeRun:
    found = expected.get(name)
    if found is None or found.arrays is None:
        why = found.error if found else "it did not run"
        raise EnvironmentFault(
            f"The probe {name} of {assignment.module} failed on the reference: {why}.",
            f"correct modules/{assignment.module}/probes.py or the lesson; no submission was scored",
        )
    return found


def _cell_score(graded: GradedCell, test: CellRun, probes: tuple[ProbeScore, ...]) -> CellScore:
    passed = test.outcome is Outcome.PASSED
    agreeing = sum(probe.agreed for probe in probes)
    message = "" if passed else _line(test.message) or f"the test's outcome: {test.outcome}"
    if passed and agreeing < len(probes):
        first = next(probe for probe in probes if not probe.agreed)
        counted = f"{agreeing} of {len(probes)} probes agree with the reference"
        message = f"{counted}; {first.title or first.name}: {first.message}"
    points = earned(graded, passed, agreeing)
    return CellScore(
        graded.grade_id, graded.test, points, float(graded.points), test.outcome, message, test.detail, probes
    )


def _unreached(ending: Ending) -> str:
    return "did not run" if ending is Ending.FINISHED else f"did not run: the process ended ({ending})"


def _line(text: object) -> str:
    """The first line of a text from the sandbox, bounded."""
    line = str(text).strip().partition("\n")[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _difference(expected: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray], tolerance: Mapping[str, Any]) -> str:
    """What differs first, in words that hold no expected value; "" for nothing."""
    for name in expected:
        if name not in got:
            return _missing(name, got)
    for name in got:
        if name not in expected:
            return "the result has a part that the reference's has not"  # its name could carry a probe's source
    for name, wanted in expected.items():
        found = got[name]
        if not isinstance(found, np.ndarray) or found.dtype.kind not in _KINDS:
            return f"{_shown(name)}: no numbers"
        if name.endswith(":str"):
            differs = "" if _same_bytes(wanted, found) else "another text than the reference's"
        elif wanted.ndim == found.ndim == 0:
            differs = _number_differs(wanted, found, tolerance)
        else:
            differs = _array_differs(wanted, found, tolerance)
        if differs:
            return f"{_shown(name)}: {differs}"
    return ""


def _missing(name: str, got: Mapping[str, np.ndarray]) -> str:
    """A part that is not there, or is there as something else: text for numbers, a list for an array."""
    plain = name.partition(":")[0]
    other = next((each for each in got if each.partition(":")[0] == plain or each.startswith(f"{plain}.")), None)
    return f"{_shown(name)}: missing" if other is None else f"{_shown(name)}: of another kind than the reference's"


def _shown(name: str) -> str:
    """A part's path as a student knows it."""
    plain = str(name).partition(":")[0] or "result"
    return plain if len(plain) <= _SHOWN else f"{plain[:_SHOWN]}..."


def _same_bytes(wanted: np.ndarray, found: np.ndarray) -> bool:
    return wanted.shape == found.shape and bool(np.array_equal(wanted, found))


def _number_differs(wanted: np.ndarray, found: np.ndarray, tolerance: Mapping[str, Any]) -> str:
    """A single number goes by its value: 3, 3.0 and np.float32(3) are the same, True and 1 are not."""
    if (wanted.dtype.kind == "b") != (found.dtype.kind == "b"):
        return f"expected {_kind(wanted.dtype)}, got {_kind(found.dtype)}"
    if not _inexact(wanted.dtype):
        return "" if wanted.item() == found.item() else "differs from the reference"
    coarser = max([_limits(wanted.dtype), *([_mild(found.dtype)] if _inexact(found.dtype) else [])])
    return "" if _close(wanted, found, coarser, tolerance).all() else "differs from the reference"


def _array_differs(wanted: np.ndarray, found: np.ndarray, tolerance: Mapping[str, Any]) -> str:
    if wanted.shape != found.shape:
        usual = found.ndim <= wanted.ndim + 1 and all(axis < 10_000 for axis in found.shape)
        return f"shape {found.shape if usual else 'of another kind'}, expected {wanted.shape}"
    ours, theirs = (each.dtype.newbyteorder("=") for each in (wanted, found))
    if _KINDS[ours.kind] != _KINDS[theirs.kind] or (tolerance.get("dtype", "same") == "same" and ours != theirs):
        return f"dtype {theirs}, expected {ours}"
    if _inexact(ours):
        right = _close(wanted, found, max(_limits(ours), _mild(theirs)), tolerance)
    else:
        right = np.asarray(wanted == found)
    wrong = int(right.size - np.count_nonzero(right))
    return f"differs from the reference in {wrong} of {right.size} numbers" if wrong else ""


def _inexact(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "fc"


def _kind(dtype: np.dtype[Any]) -> str:
    return "a truth value" if dtype.kind == "b" else "a number"


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """rtol and atol for a dtype of floats or complex numbers."""
    return _CLOSE.get(dtype.itemsize // (2 if dtype.kind == "c" else 1), _CLOSE[8])


def _mild(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The same for what was sent: at most those of float32, since a coarse dtype must not make wrong numbers right."""
    return min(_limits(dtype), _CLOSE[4])


def _close(
    wanted: np.ndarray, found: np.ndarray, limits: tuple[float, float], tolerance: Mapping[str, Any]
) -> np.ndarray:
    """Where two arrays of one shape are close; NaN equals NaN, an infinity only itself."""
    wide = np.complex128 if "c" in (wanted.dtype.kind, found.dtype.kind) else np.float64
    ours, theirs = wanted.astype(wide), found.astype(wide)
    rtol, atol = tolerance.get("rtol", limits[0]), tolerance.get("atol", limits[1])
    near = np.isfinite(ours) & (np.abs(theirs - ours) <= atol + rtol * np.abs(ours))
    return np.asarray(near | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
