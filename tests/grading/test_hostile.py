"""Hostile and broken submissions, one verdict each, at every level of isolation; an honest one after each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from grading.bent import BENT
from grading.lessons import percent, solved
from grading.tricks import ALL, FOLDER, LESSON, NONE, WRONG, Grader, Wanted, full, grader, points, trick, wrong

from tito.grading.records import GradeRecord, Status
from tito.grading.sandbox.isolation import Isolation
from tito.grading.sandbox.jobs import Ending
from tito.grading.submission.names import names_of

SHORT = 8.0  # seconds for what never ends: a quarter of it for one cell

# What every submission of the folder must come to.
TRICKS = {
    # results that lie
    "equal_to_everything": full(matmul=0),
    "lying_subclass": full(matmul=0),
    "shifting_array": full(flatten=0, module_layers=0),
    "lying_message": full(matmul=7.5),
    "not_a_number": full(matmul=0),
    "coarse_numbers": full(profiler=0),
    "hard_coded": Wanted(NONE),
    "known_by_the_stack": full(flatten=0, module_layers=0),
    "memorised": Wanted(WRONG),
    "endless_generator": full(Ending.TIME, count_network=0, slow=True),
    "big_result": full(Ending.MEMORY, flatten=0, module_layers=0),
    # what judges is changed
    "numpy_comparisons": Wanted(WRONG),
    "numpy_comparisons_late": Wanted(WRONG),
    "numpy_code": Wanted(WRONG),
    "numpy_replaced": Wanted(WRONG),
    "numpy_internals": Wanted(WRONG),
    "builtins_changed": Wanted(NONE),
    "tensor_changed": Wanted(WRONG),
    "tests_emptied": Wanted(WRONG),
    "tracing": Wanted(WRONG),
    "import_hooks": Wanted(WRONG),
    "output_patched": Wanted(WRONG),
    "probe_functions_changed": Wanted(WRONG),
    "easy_probes": Wanted(NONE | {"test-module-registry": 3.0}),
    "late_thread": Wanted(WRONG),
    "frame_walk_for_values": Wanted(WRONG),
    "frame_walk_for_verdict": Wanted(WRONG),
    "stub_passing": Wanted(NONE),
    "forged_messages": Wanted(NONE, Ending.EXITED),
    "forged_run": Wanted(NONE, Ending.EXITED),
    "forged_run_exact": Wanted(NONE),
    # leaving, and disturbing the process
    "exit_at_import": Wanted(NONE, Ending.EXITED),
    "exit_in_a_cell": full(),
    "exit_in_a_test": full(Ending.EXITED, count_network=0),
    "exit_in_a_probe": full(Ending.EXITED, count_network=0),
    "exit_at_exit": full(),
    "exit_in_del": full(Ending.EXITED, count_network=0),
    "exit_on_failure": full(),
    "exits_of_all_kinds": full(flatten=0, count_network=0, profiler=0, module_layers=0),
    "crash_often": full(Ending.EXITED, flatten=0, module_layers=0),
    "crash_everywhere": Wanted(
        NONE
        | {"test-matmul": 10.0, "test-linear": 4.0, "test-dropout": 4.0, "test-sequential": 3.33, "test-flatten": 5.0}
        | {"test-count-network": 4.0},  # from sizes alone: no module is looked through
        Ending.EXITED,
    ),
    "segmentation_fault": full(Ending.EXITED, count_network=0),
    "memory_written": Wanted(NONE, None),
    "signal_handlers": full(),
    "modules_cleared": full(),
    "recursion_limit": full(),
    "deep_recursion": full(None, count_network=0),
    # resources
    "memory_bomb": full(Ending.MEMORY),
    "memory_bomb_in_a_test": full(Ending.MEMORY, count_network=0),
    "output_bomb": full(Ending.OUTPUT),
    "many_files": full(Ending.DISK),
    "fork_bomb": full(None),
    "threads_that_never_end": full(slow=True),
    "loop_in_a_cell": full(Ending.TIME, slow=True),
    "loop_that_catches": full(Ending.TIME, count_network=0, slow=True),
    "loop_in_a_probe": full(Ending.TIME, count_network=0, slow=True),
    "sleeps": full(Ending.TIME, slow=True),
    "await_without_end": full(Ending.TIME, slow=True),
    "regex_bomb": full(Ending.TIME, slow=True),
    "big_number": full(Ending.TIME, slow=True),
    "constant_bomb": full(Ending.TIME, slow=True),
    # the world outside; where only limits bind, some of these would do what they try
    "daemons": full(),
    "parent_killed": full(),
    "symlinks": full(),
    "network": Wanted(ALL, walled=True),
    "system_calls": Wanted(ALL, walled=True),
    "poisoned_package": Wanted(ALL, walled=True),
    "reads_the_course": Wanted(NONE, walled=True),
    # honest, and odd
    "prints_to_stderr": full(),
    "prints_megabytes": full(),
    "notebook_commands": full(said="commands of the notebook"),
    "notebook_functions": full(),
    "awaits_at_top_level": full(),
    "guarded_main": full(),
    "absent_modules": full(),
    "uses_an_absent_module": full(flatten=0, module_layers=0),
    "plots": full(),
    "asks_for_input": full(),
    "reads_local_files": full(),
    "reloads_the_package": full(),
    "sets_seeds": full(),
    "big_endian": full(),
    "elsewhere_at_home": full(),
    "einsum": full(),
    "elaborate": full(),
    "event_loop": full(),
    "helper_below": full(),
    "worker_threads": full(),
    "shadowed_names": full(),
    "names_deleted": full(),
    "own_subclass": full(),
    "slow_import": full(),
    "out_of_order": full(),
    "free_cells_raise": full(),
    # honest, and wrong somewhere
    "wrong_dtype": full(matmul=5),
    "wrong_shape": full(flatten=0, module_layers=0),
    "missing_return": full(count_network=0),
    "syntax_error": full(flatten=0, module_layers=0),
    "renamed": full(count_network=0),
}
LEVELS = [
    pytest.param(Isolation.BWRAP, id="bwrap"),
    pytest.param(Isolation.LANDLOCK, id="landlock", marks=pytest.mark.slow),
    pytest.param(Isolation.LIMITS, id="limits", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=LEVELS)
def usual(request: pytest.FixtureRequest) -> Iterator[Grader]:
    with grader(request.param) as made:
        yield made


@pytest.fixture(scope="module", params=LEVELS[:2])
def walled(request: pytest.FixtureRequest) -> Iterator[Grader]:
    """A grader at the levels from which nothing outside can be reached."""
    with grader(request.param) as made:
        yield made


@pytest.fixture(scope="module", params=LEVELS)
def hasty(request: pytest.FixtureRequest) -> Iterator[Grader]:
    """A grader with little time."""
    with grader(request.param, SHORT) as made:
        yield made


def check(grader: Grader, record: GradeRecord, wanted: Wanted) -> None:
    """One verdict, and that nothing is left for the next student."""
    assert record.status is wanted.status, record.reason
    assert points(record) == wanted.points, [(cell.grade_id, cell.message) for cell in record.cells]
    assert wanted.ending in (None, grader.ending)
    assert wanted.said in " ".join([record.reason, *record.repairs])
    after = grader.grade(percent(solved(LESSON)))
    assert (after.status, points(after), grader.ending) == (Status.GRADED, ALL, Ending.FINISHED), after.reason


@pytest.mark.parametrize("name", [name for name, wanted in TRICKS.items() if not (wanted.slow or wanted.walled)])
def test_a_trick(usual: Grader, name: str) -> None:
    """Catches points for wrong numbers, points lost by right ones, and a submission that reaches the next."""
    check(usual, usual.grade(trick(name)), TRICKS[name])


@pytest.mark.parametrize("name", [name for name, wanted in TRICKS.items() if wanted.walled])
def test_a_trick_on_the_outside(walled: Grader, name: str) -> None:
    """Catches a submission that reads, changes or calls what is outside of its walls."""
    check(walled, walled.grade(trick(name)), TRICKS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, wanted in TRICKS.items() if wanted.slow])
def test_a_trick_that_takes_time(hasty: Grader, name: str) -> None:
    """Catches a loop that costs the other cells their points, or holds up the class."""
    check(hasty, hasty.grade(trick(name)), TRICKS[name])


@pytest.mark.parametrize("name", [name for name, (_, _, wanted) in BENT.items() if not wanted.slow])
def test_a_bent_file(usual: Grader, name: str) -> None:
    """Catches right work that loses points by its file, and a file that breaks the grader."""
    ending, make, wanted = BENT[name]
    check(usual, usual.grade(make(), f"layers_dev.{ending}"), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, _, wanted) in BENT.items() if wanted.slow])
def test_a_bent_file_that_takes_time(hasty: Grader, name: str) -> None:
    """Catches a file over which the grader itself, outside of any limit, would sit for minutes."""
    ending, make, wanted = BENT[name]
    check(hasty, hasty.grade(make(), f"layers_dev.{ending}"), wanted)


def test_what_takes_long_to_parse_is_not_parsed_by_the_grader() -> None:
    """Catches a cell over which the grader itself sits, where no limit holds."""
    source = "def f(): pass\nx = f'" + "{1}" * 10_000 + "'"
    assert not names_of(source).parses and names_of(source).defined == {"f"}


def test_mistakes_without_tricks(usual: Grader) -> None:
    """Catches a measure for forgers that is wrong itself: what the mistakes leave right, and no more."""
    check(usual, usual.grade(percent([dict(cell) for cell in wrong()])), Wanted(WRONG))


def test_every_submission_has_a_verdict() -> None:
    """Catches a file that no test grades, and a first line that does not say what it tries."""
    files = {path.stem: path for path in FOLDER.glob("*.py")}
    assert files.keys() == TRICKS.keys()
    assert len(TRICKS) + len(BENT) >= 60
    for path in files.values():
        first, second = path.read_text(encoding="utf-8").splitlines()[:2]
        assert (
            first.startswith("# ") and first.endswith(".") and second in ("# on: solved", "# on: stub", "# on: wrong")
        )
