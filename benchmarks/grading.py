"""What grading costs: tito beside `nbgrader autograde`, and beside one plain Python with NumPy for each submission.

`python benchmarks/grading.py [--sizes 10 100 1000] [--nbgrader 20] [--jobs N] [--rounds 3]` prints a table in Markdown.
It needs the `dev` extra. Submissions are the solved lesson 03_layers, each with a comment of its own in every solution
cell, so that no two have a solution cell in common. Wall time of whole commands, their start included, in one run on an
idle machine: every row runs once in each round, medians are printed, and ratios are medians of the rounds' ratios.
Every command has as many cores as workers, so that one worker beside nbgrader is what a core does, and two beside one
is what a second core adds; where a system cannot bind a process to a core, all have all cores. tito grades classes of
each size. nbgrader and the floor grade a few submissions, because a thousand would take half an hour; so nbgrader's
start, found by a run on one submission, is left out of what the others are compared with. The floor with several at a
time shares nothing, so its gain is what the machine's cores have to give.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from tito.course import Module
from tito.notebook import parse, to_ipynb
from tito.workspace import Workspace, find_workspace

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Cost:
    """What some submissions took."""

    submissions: int
    wall: float  # seconds
    peak: int  # bytes of the first process alone

    @property
    def each(self) -> float:
        """Milliseconds a submission."""
        return 1000 * self.wall / self.submissions


@contextlib.contextmanager
def bound(cores: int) -> Iterator[None]:
    """Processes that are started here, and theirs, run on so many cores."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def measured(
    submissions: int, command: list[str], where: Path, extra: dict[str, str] | None = None, cores: int = 1
) -> Cost:
    """Run a command and measure it; the run must succeed."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    started = time.monotonic()
    with bound(cores):
        process = subprocess.Popen(
            command,
            cwd=where,
            env={**environment, **(extra or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
    peak = Peak(process.pid)
    _, told = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{told[-2000:]}")
    return Cost(submissions, time.monotonic() - started, peak.stop())


class Peak(threading.Thread):
    """The largest resident size that a process reached, from /proc; 0 where there is none."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.status, self.seen, self.going = Path(f"/proc/{pid}/status"), 0, True
        self.start()

    def run(self) -> None:
        """Look every 20 ms."""
        while self.going:
            try:
                lines = self.status.read_text(encoding="utf-8").splitlines()
            except OSError:
                return
            self.seen = max([self.seen, *(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))])
            time.sleep(0.02)

    def stop(self) -> int:
        """Bytes."""
        self.going = False
        return self.seen


def course_copy(place: Path) -> Workspace:
    """A course repository to grade in."""
    place.mkdir()
    shutil.copy(ROOT / "course.toml", place)
    for folder in ("modules", "tinytorch"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return find_workspace(place)


def hand_in(workspace: Workspace, module: Module, submitted: Path, count: int) -> None:
    """Write submissions as notebooks into `submitted/<student>/<module>/`."""
    solved = workspace.course.source(module).read_text(encoding="utf-8")
    page = to_ipynb(parse(solved))
    for number in range(count):
        folder = submitted / f"s{number:04}" / module.folder
        folder.mkdir(parents=True)
        mine = page.replace("### BEGIN SOLUTION", f"### The solution of {number}")
        (folder / f"{module.name}_dev.ipynb").write_text(mine, encoding="utf-8")


def tito(place: Path, count: int, jobs: int) -> Cost:
    """`tito grade autograde` of a class."""
    workspace = course_copy(place)
    module = workspace.course.resolve("03")
    hand_in(workspace, module, place / "grading" / "submitted", count)
    command = [str(BIN / "tito"), "grade", "autograde", module.folder, "-j", str(jobs), "--json"]
    return measured(count, command, place, cores=jobs)


def tito_without_books(place: Path, count: int) -> Cost:
    """Grading alone, in one process: no gradebook, no journal, no notebooks."""
    workspace = course_copy(place)
    hand_in(workspace, workspace.course.resolve("03"), place / "grading" / "submitted", count)
    program = """
import sys
from pathlib import Path
from tito.workspace import find_workspace
from tito.grading.assignment import load_assignment
from tito.grading.batch import task_of
from tito.grading.engine import Setup, close_engines, grade
from tito.grading.sandbox.isolation import choose
from tito.grading.sandbox.jobs import Limits
from tito.grading.place import place_of
workspace = find_workspace(Path.cwd())
place, module = place_of(workspace), workspace.course.resolve("03")
assignment = load_assignment(workspace.course, module)
setup = Setup(assignment, choose("auto"), Limits(), b"0" * 32)
points = {grade(setup, task_of(place, assignment, student)).points for student in place.students(module)}
close_engines()
sys.exit(f"{points}" if points != {50.0} else 0)
"""
    return measured(count, [sys.executable, "-c", program], place)


def nbgrader(place: Path, workspace: Workspace, count: int) -> Cost:
    """`nbgrader autograde` of the same notebooks, on an assignment that was generated before."""
    module = workspace.course.resolve("03")
    source = place / "source" / module.folder
    source.mkdir(parents=True)
    page = to_ipynb(parse(workspace.course.source(module).read_text(encoding="utf-8")))
    (source / f"{module.name}_dev.ipynb").write_text(page, encoding="utf-8")
    (place / "nbgrader_config.py").write_text('c = get_config()\nc.CourseDirectory.course_id = "c"\n', encoding="utf-8")
    subprocess.run(
        [str(BIN / "nbgrader"), "generate_assignment", module.folder, "--create"],
        cwd=place,
        check=True,
        capture_output=True,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
    )
    hand_in(workspace, module, place / "submitted", count)
    package = {"PYTHONPATH": str(ROOT)}
    return measured(count, [str(BIN / "nbgrader"), "autograde", module.folder], place, package)


def floor(workspace: Workspace, count: int, jobs: int) -> Cost:
    """One Python a submission, with NumPy, that runs the tests of the student's file and keeps nothing."""
    module = workspace.course.resolve("03")
    lesson = workspace.course.source(module)
    program = """
import runpy, sys
found = runpy.run_path(sys.argv[1], run_name="lesson")
for name, test in list(found.items()):
    if name.startswith("test_"):
        test()
"""
    loop = """
import subprocess, sys
from concurrent.futures import ThreadPoolExecutor
def run(_):
    subprocess.run([sys.executable, "-c", *sys.argv[1:3]], check=True)
with ThreadPoolExecutor(int(sys.argv[4])) as pool:
    list(pool.map(run, range(int(sys.argv[3]))))
"""
    command = [sys.executable, "-c", loop, program, str(lesson), str(count), str(jobs)]
    return measured(count, command, workspace.root, {"PYTHONPATH": str(ROOT)}, cores=jobs)


def ratio(slow: list[float], fast: list[float]) -> float:
    """The median of the ratios in each round: a machine whose speed changes slows both of a round."""
    return median([a / b for a, b in zip(slow, fast, strict=True)])


def listed(numbers: list[float]) -> str:
    """The rounds, one by one."""
    return ", ".join(f"{number:.1f}" for number in numbers)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--nbgrader", type=int, default=20, help="submissions of nbgrader; the floor has twice as many")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is run")
    wanted = parser.parse_args()
    few, widths = wanted.nbgrader, sorted({1, wanted.jobs})
    if few < 2:
        parser.error("--nbgrader must be 2 or more: a run on one submission is what its start is told by")
    rows: list[tuple[str, int, Callable[[Path, Workspace], Cost]]] = [
        ("`nbgrader autograde`", 1, lambda place, workspace: nbgrader(place, workspace, 1)),
        ("`nbgrader autograde`", 1, lambda place, workspace: nbgrader(place, workspace, few)),
        ("tito, grading alone", 1, lambda place, _: tito_without_books(place / "alone", max(wanted.sizes))),
    ]
    for jobs in widths:
        several = partial(floor, count=2 * few * jobs, jobs=jobs)
        rows.append(("floor: one plain Python each", jobs, lambda _, workspace, several=several: several(workspace)))
    for size in wanted.sizes:
        for jobs in widths:
            graded = partial(tito, count=size, jobs=jobs)
            rows.append(("`tito grade autograde`", jobs, lambda place, _, graded=graded: graded(place / "course")))
    found: list[list[Cost]] = [[] for _ in rows]
    with tempfile.TemporaryDirectory() as folder:
        workspace = course_copy(Path(folder) / "course")
        for _ in range(wanted.rounds):
            for costs, (_, _, run) in zip(found, rows, strict=True):
                with tempfile.TemporaryDirectory() as place:
                    costs.append(run(Path(place), workspace))
    one, slow, *_ = found
    marginal = [  # milliseconds for one more submission, in each round
        1000 * (more.wall - start.wall) / (more.submissions - start.submissions)
        for start, more in zip(one, slow, strict=True)
    ]
    plain = [cost.each for cost in found[3]]
    print(f"nbgrader: {median(marginal):.0f} ms for one more submission ({listed(marginal)})\n")
    print("| what | submissions | workers | wall s | a second | ms each | nbgrader / this | floor / this | peak MB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for (name, jobs, _), costs in zip(rows, found, strict=True):
        each, wall = [cost.each for cost in costs], median([cost.wall for cost in costs])
        ratios = f"{ratio(marginal, each):.1f} | {ratio(plain, each):.1f}"
        rate = f"{wall:.1f} | {costs[0].submissions / wall:.1f} | {median(each):.0f}"
        print(f"| {name} | {costs[0].submissions} | {jobs} | {rate} | {ratios} | {costs[-1].peak / 1e6:.0f} |")
        print(f"({name}, {jobs}: {listed(each)} ms each)", file=sys.stderr)
    whole = [[cost.each for cost in costs] for costs in (slow, found[2], found[-len(widths)])]
    print(
        f"\nWith nbgrader's start, on {slow[0].submissions} submissions: {ratio(*whole[:2]):.1f} times "
        f"for grading alone, {ratio(whole[0], whole[2]):.1f} with the gradebook."
    )
    if len(widths) > 1:
        gains = [ratio(*([cost.each for cost in costs] for costs in pair)) for pair in (found[3:5], found[-2:])]
        print(f"\n{wanted.jobs} cores: {gains[0]:.2f} times one for the floor, {gains[1]:.2f} for the last class.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
