"""The way of one submission through the engine: what is run as it was handed in, and what is repaired first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import grading.test_repair as edits
import pytest
from grading.lessons import Page, assignment, at, ipynb, percent, released, solved

from tito.grading import engine
from tito.grading.assignment import Assignment
from tito.grading.engine import Engine, Setup, Task
from tito.grading.records import GradeRecord, Status, record_from
from tito.grading.sandbox.isolation import choose
from tito.grading.sandbox.jobs import Job, Limits, RunResult
from tito.grading.submission.reading import Reading, read_cells
from tito.grading.submission.repair import Repaired, as_released, repair
from tito.notebook import Role


class Counted:
    """An engine, how often it ran the last submission, and whether it looked for repairs."""

    def __init__(self) -> None:
        self.engine = Engine(Setup(assignment("03"), choose("auto"), Limits(), b"s" * 32))
        self.runs, self.repaired, self.cpu = 0, False, 0.0

    def grade(self, page: Page) -> GradeRecord:
        self.runs, self.repaired, self.cpu = 0, False, 0.0
        record = self.engine.grade(Task("ada", "layers_dev.ipynb", ipynb(page)))
        assert record.status is Status.GRADED, record.reason
        assert record.cpu_seconds == pytest.approx(self.cpu), "all that it took"
        return record


@pytest.fixture(scope="module")
def counted() -> Iterator[Counted]:
    made = Counted()
    run = made.engine.sandbox.run

    def running(job: Job) -> RunResult:
        made.runs += 1
        found = run(job)
        made.cpu += found.cpu_seconds
        return found

    def repairing(given: Assignment, reading: Reading) -> Repaired:
        made.repaired = True
        return repair(given, reading)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made.engine.sandbox, "run", running)
        patch.setattr(engine, "repair", repairing)
        yield made
    made.engine.close()


def changed(grade_id: str, change: Callable[[str], str]) -> Page:
    """The solved lesson with another solution in one cell."""
    page = solved("03")
    cell = page[at(page, grade_id)]
    assert change(cell["source"]) != cell["source"]
    cell["source"] = change(cell["source"])
    return page


@pytest.mark.parametrize("name", edits.MODULES)
def test_a_solved_lesson_is_taken_as_it_is(name: str) -> None:
    """Catches a lesson whose every submission would be looked through for repairs, and takes longer for it."""
    for data, file in ((ipynb(solved(name)), "x.ipynb"), (percent(solved(name)), "x.py")):
        found = as_released(assignment(name), read_cells(data, file))
        assert found is not None
        assert found == repair(assignment(name), read_cells(data, file))


@pytest.mark.parametrize(("edit", "said"), [row[:2] for row in edits.EDITS], ids=lambda v: getattr(v, "__name__", ""))
def test_what_needs_repair_is_not_taken_as_it_is(edit: Callable[[Page], None], said: list[str]) -> None:
    """Catches cells that were moved, lost or exchanged and would run as they stand, without a word in the report."""
    page = solved("03")
    edit(page)
    found = as_released(assignment("03"), read_cells(ipynb(page), "x.ipynb"))
    cut = edit in (edits.split_in_function, edits.split_in_docstring, edits.split_apart)  # the rest is no Python
    assert found is None or cut or not said
    assert found is not None or said or edit is edits.swap_cells


def test_solutions_in_other_cells_are_not_taken_as_they_are() -> None:
    """Catches cells that changed places without their ids, and a version that stands in another cell or beside it."""
    swapped = solved("03")
    edits.swap_ids(swapped)
    merged = solved("03")
    linear, dense = (merged[at(merged, name)] for name in ("linear", "dense"))
    linear["source"], dense["source"] = f"{linear['source']}\n\n\n{dense['source']}", "# See above."
    hidden = changed("dropout", lambda source: f"{source}\n\n\ndef matmul(A, B):\n    return A @ B")
    aside = solved("03")
    cell = aside[at(aside, "dropout")]
    aside.insert(0, {**cell, "cell_type": "raw"})
    cell["source"] = released("03")[at(released("03"), "dropout")]["source"]
    for page in (swapped, merged, hidden, aside):
        assert as_released(assignment("03"), read_cells(ipynb(page), "x.ipynb")) is None


def test_work_that_runs_is_not_looked_through(counted: Counted) -> None:
    """Catches a class that is parsed cell by cell though nothing is wrong, and a second run of a wrong solution."""
    record = counted.grade(solved("03"))
    assert (record.points, record.repairs, counted.runs, counted.repaired) == (50.0, (), 1, False)
    assert record.untouched == ()
    page = changed("matmul", lambda source: source.replace("total = 0", "total = 1"))
    page.insert(at(page, "dropout"), {"cell_type": "code", "source": "mine = Linear(2, 3)", "metadata": {}})
    record = counted.grade(page)
    assert record.points < 50
    assert (record.repairs, counted.runs, counted.repaired) == ((), 1, False)


def test_a_cell_that_fails_is_repaired(counted: Counted) -> None:
    """Catches cells in the released order that are left as they are although they cannot run so."""
    late = "def also(profiler=LayerArchitectureProfiler):\n    return profiler"
    record = counted.grade(changed("count-network", lambda source: f"{late}\n\n\n{source}"))
    assert (record.points, counted.runs, counted.repaired) == (50.0, 2, True)
    assert "needed at once; moved behind it" in record.repairs[0]
    record = counted.grade(changed("dropout", lambda source: f"%load_ext autoreload\n{source}"))
    assert (record.points, counted.runs) == (50.0, 2)
    assert "were left out" in record.repairs[0]


@pytest.mark.parametrize(("grade_id", "trial"), [("module", "Linear(2, 3)"), ("linear", "Dense(2, 3)")])
def test_a_trial_left_below_a_solution_costs_nothing(counted: Counted, grade_id: str, trial: str) -> None:
    """Catches a cell that is moved behind those that need it, because a line of it needs them."""
    record = counted.grade(changed(grade_id, lambda source: f"{source}\n\nprint({trial})"))
    assert (record.points, record.repairs) == (50.0, ())
    guarded = changed(grade_id, lambda source: f"{source}\n\nif not Module:\n    print({trial})")
    guarded.append({"cell_type": "code", "source": "x = 1", "metadata": {}})
    record = counted.grade(guarded)
    assert (record.points, record.repairs, counted.runs) == (50.0, (), 1)


def test_a_repair_takes_no_points_away(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a second run that counts although the first earned more."""

    def without_dropout(given: Assignment, reading: Reading) -> Repaired:
        found = repair(given, reading)
        return replace(found, cells=tuple(cell for cell in found.cells if cell.name != "dropout"), repairs=("bad",))

    monkeypatch.setattr(engine, "repair", without_dropout)
    record = counted.grade(changed("profiler", lambda source: f"{source}\n\nundefined_name"))
    assert (record.points, record.repairs, counted.runs) == (50.0, (), 2)


def test_a_cell_that_a_repair_lets_run_counts(counted: Counted) -> None:
    """Catches a command of the notebook that is told of as an error where the points are lost by something else."""
    page = changed("profiler", lambda source: f"%load_ext autoreload\n{source}\n\nLayerArchitectureProfiler = None")
    record = counted.grade(page)
    assert record.points < 50 and counted.runs == 2
    assert "were left out" in record.repairs[0]


def test_what_the_second_run_prints_is_not_kept(counted: Counted) -> None:
    """Catches the text of probes, which the first run has seen, in what the report shows of the second."""
    page = changed("matmul", lambda source: f"%load_ext autoreload\n{source}")
    page[at(page, "dropout")]["source"] += "\nprint('printed', 'matmul' in globals())"
    record = counted.grade(page)
    assert (record.points, record.output, counted.runs) == (50.0, "printed False\n", 2)


def test_a_cell_that_no_repair_helps_runs_once(counted: Counted) -> None:
    """Catches twice the time for each submission with an error of its own."""
    record = counted.grade(changed("dropout", lambda source: f"{source}\n\nundefined_name"))
    assert (record.repairs, counted.runs, counted.repaired) == ((), 1, True)
    record = counted.grade(changed("dropout", lambda source: source.replace("class Dropout", "class class Dropout")))
    assert 0 < record.points < 50


def test_solutions_left_as_released_are_named(counted: Counted) -> None:
    """Catches an empty cell that looks like work to whoever grades by hand, in either way through the engine."""
    solutions = [cell.grade_id for cell in assignment("03").released.of_role(Role.SOLUTION)]
    page = released("03")
    assert counted.grade(page).untouched == tuple(solutions)
    page[at(page, "dropout")]["source"] += "\n# mine"
    page.append({"cell_type": "code", "source": "1 / 0", "metadata": {}})
    assert counted.grade(page).untouched == tuple(name for name in solutions if name != "dropout")


def test_a_cell_that_fails_is_told(counted: Counted) -> None:
    """Catches a syntax error of which a student learns only that a name is not defined, in either way there is."""
    page = changed("matmul", lambda source: source.replace("def matmul", "def def matmul"))
    page.append({"cell_type": "code", "source": "1 / 0", "metadata": {}})
    record = counted.grade(page)
    assert [name for name, _ in record.failures] == ["matmul", f"cell {len(page)}"]
    assert record.failures[0][1].startswith("SyntaxError: ")
    assert record.failures[1][1] == "ZeroDivisionError: division by zero"
    assert counted.grade(solved("03")).failures == ()


def test_failures_are_those_of_the_run_that_counts(counted: Counted) -> None:
    """Catches a cell that failed as it was handed in, and no longer once it was put right, among the failures."""
    page = changed("matmul", lambda source: f"%load_ext autoreload\n{source}")
    assert counted.grade(page).failures == ()
    page[at(page, "profiler")]["source"] += "\nraise ValueError('both')"
    record = counted.grade(page)
    assert (record.failures, counted.runs) == ((("profiler", "ValueError: both"),), 2)


def test_a_record_without_failures_is_read() -> None:
    """Catches a journal of an earlier grader that cannot be read, and failures that it does not keep."""
    made = GradeRecord("ada", "03_layers", "s", "a", Status.GRADED, failures=(("linear", "NameError: x"),))
    data = json.loads(json.dumps(made.to_json()))
    assert record_from(data) == made
    del data["failures"]
    assert record_from(data).failures == ()
