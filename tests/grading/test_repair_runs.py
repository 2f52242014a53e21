"""Repaired submissions are run: work that is right passes every test of the course, however its cells were bent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import grading.test_repair as edits
import pytest
from grading.lessons import Page, assignment, released, solved
from support import ROOT

RUN = """
import __future__, json, sys, types
for name, cells in json.load(sys.stdin).items():
    module = types.ModuleType("lesson_dev")
    sys.modules["lesson_dev"] = module
    failed, flags = [], 0
    for cell, source, test in cells:
        try:
            if "from __future__ import annotations" in source:
                flags = __future__.annotations.compiler_flag
            exec(compile(source, cell, "exec", flags, dont_inherit=True), module.__dict__)
            if test:
                getattr(module, test)()
        except Exception as error:
            failed.append(f"{cell}: {error!r}")
    print(json.dumps([name, failed]))
"""

RIGHT = [row[0] for row in edits.EDITS if not row[2]]
RIGHT += [edits.reverse, edits.one_cell, edits.swap_ids]


def run(pages: dict[str, tuple[str, Page]]) -> dict[str, list[str]]:
    """What fails in each of some submissions, given with the module's name, in one child process."""
    jobs = {
        key: [(cell.name, cell.source, cell.test) for cell in edits.repaired(page, name).cells]
        for key, (name, page) in pages.items()
    }
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, input=json.dumps(jobs), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


def edited(edit: Callable[[Page], None]) -> Page:
    page = solved("03")
    edit(page)
    return page


@pytest.mark.slow
def test_right_work_passes_whatever_was_done_to_its_cells() -> None:
    """Catches a repair after which good work fails: a test too early, a helper that is missing, a wrong order."""
    found = run({edit.__name__: ("03", edited(edit)) for edit in RIGHT})
    assert found == {edit.__name__: [] for edit in RIGHT}


def test_annotations_are_looked_up_before_the_future() -> None:
    """Catches cells left above the import from __future__ by which Python would leave their annotations alone."""
    page = solved("06")
    first = next(cell for cell in page if "from __future__" in cell["source"])
    page.remove(first)
    page.append(first)
    assert run({"moved": ("06", page)}) == {"moved": []}


@pytest.mark.slow
def test_the_courses_own_solutions_pass_and_the_released_lessons_fail() -> None:
    """Catches a job that passes without the work, or fails with it."""
    names = edits.MODULES
    for name in names:
        assert run({name: (name, solved(name))}) == {name: []}
        (failed,) = run({name: (name, released(name))}).values()
        tests = [test.grade_id for test in assignment(name).graded]
        assert [text.partition(":")[0] for text in failed if text.partition(":")[0] in tests] == tests
