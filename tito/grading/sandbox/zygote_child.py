"""The warm parent: a process with NumPy and the course's earlier modules loaded that forks once for each submission.

Started by path, once for each worker of the grader, with the number of a socket to it. Imports nothing of tito. It
never runs anything of a submission itself: its children do, after they have confined themselves.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import stat
import sys
import time
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any


def sibling(name: str) -> Any:
    """Another file of this program, by its name."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Zygote:
    """Serves the grader's requests, one submission at a time."""

    def __init__(self, grader: socket.socket, told: dict[str, Any]) -> None:
        self.grader = grader
        self.work = told["work"]
        sys.path[:] = [*sys.path, *told["path"]]
        for name in told["imports"]:
            with contextlib.suppress(ImportError):  # the lesson says so itself, and to whom it concerns
                importlib.import_module(name)
        self.lesson = sibling("lesson_child")
        self.confine = sibling("confine_child")
        notebook = sibling("notebook_child")
        notebook.complete_builtins()
        pristine = sibling("pristine_child").Pristine(told["imports"], told["path"][0])
        self.parts = (pristine, notebook)
        self.known: list[tuple[str, dict[int, CodeType]]] = []
        for lesson, name, source in told["known"]:
            codes: dict[int, CodeType] = {}
            for flags in (0, self.lesson.FUTURE):
                with contextlib.suppress(SyntaxError, ValueError):
                    codes[flags] = self.lesson.compiled(lesson, name, source, flags)
            self.known.append((source, codes))
        self.reference = self.prepared(told["reference"]) if told["reference"] else None
        os.chdir(self.work)
        wipe(self.work)
        self.confine.guard_parent()
        self.confinement = self.confine.Confinement(told["confine"])
        self.inside = told["confine"]["isolation"] == "bwrap"
        self.wake, self.woken = os.pipe()
        for fd in (self.wake, self.woken):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self.woken, warn_on_full_buffer=False)
        gc.collect()
        give_back()
        gc.freeze()  # so that a child's collections do not copy every page of this process

    def prepared(self, told: dict[str, Any]) -> ModuleType:
        """The reference lesson, run here once; only its probes run in children."""
        module: ModuleType = self.lesson.new_module(told["name"])
        flags = 0
        for name, source in told["cells"]:
            code = self.lesson.compiled(told["name"], name, source, flags)
            flags |= code.co_flags & self.lesson.FUTURE
            exec(code, vars(module))
        return module

    def serve(self) -> None:
        """Answer requests until the grader is gone."""
        self.tell({"ready": True})
        while True:
            line, fds, _flags, _address = socket.recv_fds(self.grader, 1 << 12, 4)
            if not line:
                return
            if fds:  # a request to kill that came too late may stand before
                self.run(json.loads(line.splitlines()[-1]), fds)

    def run(self, request: dict[str, Any], fds: list[int]) -> None:
        """Fork for one submission and say how it ended, once nothing of it is left."""
        child = os.fork()
        if child == 0:
            self.become_lesson(request, fds)
        for fd in fds:
            os.close(fd)
        status, usage = self.wait(child)
        if sys.platform != "linux":  # no /proc to find more in
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
        clean = self.sweep()
        full = disk_full(self.work) if self.inside else False
        clean = wipe(self.work) and clean
        facts = {"exit": status, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss, "full": full}
        self.tell(facts | {"clean": clean})

    def wait(self, child: int) -> tuple[int, Any]:
        """Wait for a child, and kill it when the grader says so or is gone."""
        while True:
            ready, _, _ = select.select([self.grader.fileno(), self.wake], [], [])
            if self.wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.wake, 512)
            if self.grader.fileno() in ready:
                asked = self.grader.recv(1 << 12)
                os.kill(child, signal.SIGKILL)
                if not asked:
                    os.waitpid(child, 0)
                    self.sweep()
                    wipe(self.work)
                    os._exit(0)
            found, status, usage = os.wait4(child, os.WNOHANG)
            if found:
                return status, usage

    def sweep(self) -> bool:
        """Kill whatever a submission left running, however it detached itself; False when something may be left."""
        until = time.monotonic() + 10.0
        while time.monotonic() < until:
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return True  # orphans become children of this process, so there are none
            if self.inside:
                return False  # cannot be; the grader ends this process, and the kernel all others with it
            for pid in descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)
        return False

    def become_lesson(self, request: dict[str, Any], fds: list[int]) -> None:
        """The rest of a child's life; never returns."""
        code = 4
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.confine.end_with_parent()
            os.dup2(fds[2], 1)
            os.dup2(fds[2], 2)
            job, events, bell = os.dup2(fds[0], 40), os.dup2(fds[1], 41), os.dup2(fds[3], 42)
            self.grader.detach()
            if self.confinement.ruleset >= 0:
                self.confinement.ruleset = os.dup2(self.confinement.ruleset, 43)
            os.closerange(3, 40)
            os.closerange(44 if self.confinement.ruleset >= 0 else 43, 256)
            with contextlib.suppress(OSError):
                os.setsid()
            self.confinement.apply(request["cpu"])
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
            self.lesson.begin((job, events, bell), self.known, self.reference, self.parts)
            code = 0
        except BaseException as error:
            with contextlib.suppress(BaseException):
                os.write(41, json.dumps({"fault": f"{type(error).__name__}: {error}"}).encode()[:2000] + b"\n")
        finally:
            os._exit(code)

    def tell(self, facts: dict[str, Any]) -> None:
        try:
            self.grader.sendall(json.dumps(facts).encode() + b"\n")
        except OSError:  # the grader is gone
            os._exit(0)


def descendants(pid: int) -> set[int]:
    """The processes below one, as /proc has them now."""
    parents: dict[int, int] = {}
    if not Path("/proc/self/stat").exists():
        return set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = Path(f"/proc/{name}/stat").read_bytes()
            parents[int(name)] = int(text[text.rindex(b")") + 2 :].split()[1])
    found: set[int] = set()
    grown = {pid}
    while grown:
        grown = {child for child, parent in parents.items() if parent in grown} - found
        found |= grown
    return found


def disk_full(folder: str) -> bool:
    """Whether a file system of its own has no room left."""
    return os.statvfs(folder).f_bavail == 0


def wipe(folder: str) -> bool:
    """Empty a folder whatever was put there: links, locked folders, trees deeper than a path can name.

    The next submission finds nothing of this one in the folder's mode, times and attributes either.
    """
    with contextlib.suppress(OSError):
        os.chmod(folder, stat.S_IRWXU)  # it may be locked itself
    with contextlib.suppress(OSError, AttributeError):  # systems without attributes, or without calls for them
        for name in os.listxattr(folder):
            os.removexattr(folder, name)
    for _ in range(100_000):
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        if not found:
            os.utime(folder, (0, 0))
            return True
        for index, (name, is_folder) in enumerate(found):
            path = f"{folder}/{name}"
            try:
                if is_folder:
                    _raise_children(folder, path, f"{time.monotonic_ns()}-{index}")
                    os.rmdir(path)
                else:
                    os.unlink(path)
            except OSError:
                return False
    return False


def _raise_children(folder: str, path: str, prefix: str) -> None:
    """Empty one folder: files are removed, folders moved up, so that no tree is ever walked down."""
    os.chmod(path, stat.S_IRWXU)
    with os.scandir(path) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for index, (name, is_folder) in enumerate(found):
        if is_folder:
            os.chmod(f"{path}/{name}", stat.S_IRWXU)  # moving a folder writes its ".."
            os.rename(f"{path}/{name}", f"{folder}/{prefix}-{index}")
        else:
            os.unlink(f"{path}/{name}")


def give_back() -> None:
    """Return free memory to the system, where the C library can: a fork copies the table of every page that is held."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def receive(grader: socket.socket) -> dict[str, Any]:
    """The grader's settings: eight digits of length, then JSON."""
    data = b""
    while len(data) < 8 or len(data) < 8 + int(data[:8], 16):
        part = grader.recv(1 << 20)
        if not part:
            raise SystemExit("the grader is gone")
        data += part
    told: dict[str, Any] = json.loads(data[8:])
    return told


def trial(told: dict[str, Any]) -> None:
    """Confine this very process and look whether it holds; raises OSError where the machine does not do it."""
    confine = sibling("confine_child")
    confine.Confinement(told).apply(5)
    if told["isolation"] in ("bwrap", "landlock"):
        try:
            if os.fork() == 0:
                os._exit(0)
        except PermissionError:
            return
        raise OSError("the filter of system calls does not hold")


if __name__ == "__main__":
    if sys.argv[1] == "trial":
        trial(json.load(sys.stdin))
    else:
        _grader = socket.socket(fileno=int(sys.argv[1]))
        Zygote(_grader, receive(_grader)).serve()
