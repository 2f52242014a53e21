"""Grading many submissions at once: a window of tasks over an executor, whose workers may die."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import reduction
from multiprocessing.util import Finalize
from typing import Any

from tito.grading.engine import Setup, Task, close_engines, grade, warm
from tito.grading.records import GradeRecord, Status

AHEAD = 6  # tasks for each worker, so that it has some left while a batch is written down
_SOON, _AT_ONCE = 5.0, 0.3  # seconds in which idle workers put their sandboxes away and end
TRIES = 3  # of one submission, when the workers that had it die


@dataclass
class Brake:
    """Ctrl-C once lets what runs finish, twice stops it."""

    pressed: int = 0
    told: Callable[[], None] = lambda: None

    def press(self, *_: object) -> None:
        """Somebody pressed Ctrl-C."""
        self.pressed += 1
        if self.pressed > 1:
            raise KeyboardInterrupt
        self.told()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Listen to Ctrl-C; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self.press)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


@dataclass
class Workers:
    """Where tasks are sent: how to make an executor, what to call in it, and how to end it."""

    make: Callable[[], Executor]  # what it makes may have begun to prepare itself for tasks
    work: Callable[..., GradeRecord]  # called with what is fixed, then the task
    width: int  # tasks under way at the same time
    end: Callable[[Executor, bool], None]  # True: at once, whatever is under way
    fixed: tuple[Any, ...] = ()
    executor: Executor | None = field(default=None)

    def start(self) -> Executor:
        """Make the executor, if there is none: before the first task, to do something else meanwhile."""
        if self.executor is None:
            self.executor = self.make()
        return self.executor

    def submit(self, task: Task) -> Future[GradeRecord]:
        """Send one task."""
        return self.start().submit(self.work, *self.fixed, task)

    def drop(self, at_once: bool = False) -> None:
        """End the executor; the next task gets a new one."""
        if self.executor is not None:
            self.end(self.executor, at_once)
        self.executor = None


def run(workers: Workers, setup: Setup, tasks: Iterable[Task], brake: Brake) -> Iterator[GradeRecord]:
    """The verdicts, in the order in which they come; after the brake was pressed, those of the tasks under way."""
    queue, again = iter(tasks), list[tuple[Task, int]]()
    running: dict[Future[GradeRecord], tuple[Task, int]] = {}
    try:
        while True:
            while len(running) < workers.width and not brake.pressed:
                task, tries = again.pop() if again else (next(queue, None), 1)
                if task is None:
                    break
                running[workers.submit(task)] = task, tries
            if brake.pressed:  # what no worker has begun stays for the next run
                running = {future: task for future, task in running.items() if not future.cancel()}
            if not running:
                return
            done, _ = wait(running, timeout=0.2, return_when="FIRST_COMPLETED")
            broken = False
            for future in done:
                task, tries = running.pop(future)
                error = CancelledError() if future.cancelled() else future.exception()
                if error is None:
                    yield future.result()
                    continue
                broken = broken or isinstance(error, BrokenExecutor | CancelledError)
                if tries < TRIES:
                    again.append((task, tries + 1))
                else:
                    yield _lost(setup, task, error)
            if broken:  # those that were under way went down with it, and are not to blame
                again += running.values()
                running.clear()
                workers.drop()
    finally:
        workers.drop(at_once=brake.pressed > 1)


def _lost(setup: Setup, task: Task, error: BaseException) -> GradeRecord:
    assignment = setup.assignment
    reason = f"{TRIES} workers were lost over it ({type(error).__name__})"
    return GradeRecord(task.student, assignment.module, task.hash, assignment.hash, Status.UNGRADABLE, reason)


def local(setup: Setup, jobs: int) -> Workers:
    """Processes of this machine."""
    return Workers(partial(_processes, setup, jobs), _work, AHEAD * jobs, _end)


def _processes(setup: Setup, jobs: int) -> Executor:
    """A pool whose processes all start at once, and warm up."""
    context = multiprocessing.get_context("spawn")
    handed: Any = _Handed(setup)  # a Setup, once it has arrived
    executor = ProcessPoolExecutor(jobs, context, _start, (handed, os.getpid()))
    with _no_ctrl_c():
        for _ in range(jobs):
            executor.submit(_warm)  # what goes wrong there goes wrong with the first task again, which tells of it
    return executor


class _Handed:
    """A setup on its way to a new process, which inherits a file without a name.

    Among the process's other settings it would not fit into the pipe for these, and whoever starts processes would wait
    until each has loaded what it takes to read the rest.
    """

    def __init__(self, setup: Setup) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as processes may be started)
        weakref.finalize(self, self._file.close)
        self._file.write(pickle.dumps(setup))
        self._file.flush()

    def __reduce__(self) -> tuple[Callable[..., Setup], tuple[Any, ...]]:
        return _received, (reduction.DupFd(self._file.fileno()),)


def _received(handed: Any) -> Setup:
    fd = handed.detach()
    try:
        setup: Setup = pickle.loads(os.pread(fd, os.fstat(fd).st_size, 0))  # its place is that of all who have it
    finally:
        os.close(fd)
    return setup


@contextlib.contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Processes started here have Ctrl-C held back: they would die from it before they can ignore it.

    This one hears of it afterwards. A signal that this thread blocks goes to another one, such as NumPy's, so that the
    mask, which the new processes take over, is not enough here.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    listening = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, listening)
        if pressed:
            signal.raise_signal(signal.SIGINT)


_setup: Setup


def _start(setup: Setup, parent: int) -> None:
    """Prepare a worker: it leaves Ctrl-C to its parent, and ends when that is gone."""
    global _setup
    _setup = setup
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    Finalize(None, close_engines, exitpriority=10)
    threading.Thread(target=_outlive_nobody, args=(parent,), daemon=True).start()


def _outlive_nobody(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    close_engines()
    os._exit(1)


def _warm() -> None:
    warm(_setup)


def _work(task: Task) -> GradeRecord:
    return grade(_setup, task)


def _end(executor: Executor, at_once: bool) -> None:
    """End a pool; workers that do not end by themselves soon are ended."""
    executor.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + (_AT_ONCE if at_once else _SOON)
    for process in multiprocessing.active_children():
        process.join(max(0.0, deadline - time.monotonic()))
        process.kill()
