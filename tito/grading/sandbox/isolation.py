"""How a submission is kept apart from the machine: the levels, which of them work here, and how each is set up."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import IO, Any

from tito.errors import EnvironmentFault, UsageError
from tito.grading.sandbox.jobs import Limits

PROGRAM = Path(__file__).with_name("zygote_child.py")
_PARTS = tuple(f"{name}_child.py" for name in ("zygote", "lesson", "confine", "pristine", "notebook"))
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_SHARED = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_TRIAL_SECONDS = 30
_PREFIX = "tito-grade-"


class Isolation(StrEnum):
    """The levels, best first."""

    BWRAP = "bwrap"
    LANDLOCK = "landlock"
    LIMITS = "limits"
    UNSAFE = "unsafe"

    @property
    def text(self) -> str:
        """What a report says."""
        return {
            Isolation.BWRAP: "bubblewrap, seccomp and limits",
            Isolation.LANDLOCK: "Landlock, seccomp and limits",
            Isolation.LIMITS: "reduced isolation: limits alone",
            Isolation.UNSAFE: "no isolation",
        }[self]


_REMEDIES = {
    Isolation.BWRAP: "install bubblewrap (apt install bubblewrap), and allow unprivileged user namespaces",
    Isolation.LANDLOCK: "use Linux 5.13 or later on x86_64 or aarch64 with Landlock among its security modules",
    Isolation.LIMITS: "use Linux or macOS",
    Isolation.UNSAFE: "use Linux or macOS",
}


@dataclass(frozen=True)
class Plan:
    """One warm parent: what to start, what it may see, what its children give up."""

    isolation: Isolation
    prefix: tuple[str, ...]  # of the command; empty without bubblewrap
    python: tuple[str, ...]
    path: tuple[str, ...]  # where it imports from besides the standard library
    environment: Mapping[str, str]
    confine: Mapping[str, Any]  # for confine_child.py
    work: str  # as the lesson sees it

    def command(self, *arguments: str) -> list[str]:
        """The command that starts the program."""
        return [*self.prefix, *self.python, *arguments]


def choose(wish: str = "auto") -> Isolation:
    """The best level that works here, or the one that is asked for; EnvironmentFault when that one does not."""
    if wish != "auto":
        if wish not in set(Isolation):
            raise UsageError(f"There is no isolation {wish!r}.", f"say auto, {', '.join(Isolation)}")
        level = Isolation(wish)
        why = problem(level)
        if why:
            raise EnvironmentFault(f"Isolation by {level.value} does not work here: {why}.", _REMEDIES[level])
        return level
    for level in (Isolation.BWRAP, Isolation.LANDLOCK, Isolation.LIMITS):
        if not problem(level):
            return level
    raise EnvironmentFault(f"A sandbox needs Linux or macOS: {problem(Isolation.LIMITS)}.", _REMEDIES[Isolation.LIMITS])


@cache
def problem(level: Isolation) -> str:
    """Why a level cannot be used on this machine, found by trying it; empty when it can."""
    if not hasattr(os, "fork"):
        return f"grading needs Linux or macOS, and this is {sys.platform}"
    if level is Isolation.UNSAFE:
        return ""
    if level is Isolation.BWRAP and not Path(_bwrap()).is_absolute():
        return "there is no bwrap on PATH"
    with Folder() as folder:
        plan = planned(level, folder, Limits())
        try:
            done = subprocess.run(
                plan.command("trial"),
                input=json.dumps(dict(plan.confine)),
                env=dict(plan.environment),
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=_TRIAL_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    words = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
    return "" if done.returncode == 0 else words[-1].removesuffix(".")


class Folder:
    """A temporary folder with what one warm parent needs: the package, and room to work in."""

    def __init__(self, package: Mapping[str, bytes] | None = None) -> None:
        _remove_abandoned()
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        self._lock = _locked(self.root / "making")  # as long as this process lives
        (self.root / "making").rename(self.root / "lock")  # nobody sees it without its lock
        for name in ("package", "site", "work"):
            (self.root / name).mkdir()
        for name, data in (package or {}).items():
            path = self.root / "package" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for part in numpy_parts():
            (self.root / "site" / part.name).symlink_to(part)
        self._open()

    def _open(self) -> None:
        """Let other users through: a submission that root grades may run as nobody."""
        self.root.chmod(0o711)
        for path in (self.root / "site", self.root / "package", *(self.root / "package").rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_error: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove it, whatever a submission has put there."""
        from tito.grading.sandbox.zygote_child import wipe

        wipe(str(self.root / "work"))
        shutil.rmtree(self.root, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()


def _locked(path: Path) -> IO[bytes] | None:
    """A file held for this process; None when another one holds it."""
    file: IO[bytes] = path.open("ab")
    if hasattr(os, "fork"):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
    return file


def _remove_abandoned() -> None:
    """Remove the folders of graders that were killed: nobody holds their locks."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/lock"):
        with contextlib.suppress(OSError):
            held = _locked(lock)
            if held is not None:
                shutil.rmtree(lock.parent, ignore_errors=True)
                held.close()


def planned(level: Isolation, folder: Folder, limits: Limits) -> Plan:
    """How to start a warm parent at a level."""
    python = os.path.realpath(sys.executable)
    flags = ("-I", "-S", "-B", "-X", "utf8")
    inside = level is Isolation.BWRAP
    root = "/tito" if inside else str(folder.root)
    program = f"{root}/program/{PROGRAM.name}" if inside else str(PROGRAM)
    work = "/work" if inside else f"{root}/work"
    masked = sorted(_masked(), key=str)
    confine = {
        "isolation": level.value,
        "read": [] if inside else [*_readable(masked), *_parts(), f"{root}/package", f"{root}/site"],
        "list": [] if inside else [str(path) for path in _roots() if path.is_dir()],
        "devices": [name for name in _DEVICES if Path(name).exists()],
        "work": work,
        "limits": {"memory": limits.memory, "disk": limits.disk},
    }
    prefix = tuple(_bubblewrap(python, folder, masked, limits)) if inside else ()
    path = (f"{root}/package", f"{root}/site")
    return Plan(level, prefix, (python, *flags, program), path, _environment(work), confine, work)


def _environment(work: str) -> dict[str, str]:
    found = {
        "PATH": "/usr/bin:/bin",
        "HOME": work,
        "USER": "student",  # inside of bubblewrap nobody knows the name of the user
        "TMPDIR": work,
        "LANG": "C.UTF-8",
        "MALLOC_ARENA_MAX": "2",  # each arena reserves address space, which is what is limited
        **{f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")},
    }
    if "LD_LIBRARY_PATH" in os.environ:  # some interpreters find their own library by it
        found["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return found


def _parts() -> list[str]:
    return [str(PROGRAM.with_name(name)) for name in _PARTS]


def numpy_parts() -> list[Path]:
    """NumPy's folder, and the one of its libraries where there is one."""
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        raise EnvironmentFault("NumPy is not installed.", "pip install numpy")
    package = Path(spec.origin).resolve().parent
    return [path for path in (package, package.with_name("numpy.libs")) if path.is_dir()]


def _roots() -> list[Path]:
    """Where the interpreter, the standard library and shared libraries are."""
    base = Path(sys.base_prefix).resolve()
    stdlib = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    extensions = Path(os.path.realpath(sysconfig.get_config_var("DESTSHARED") or stdlib[0]))
    found = [base / "lib", base / "Python", Path(sys.base_exec_prefix).resolve() / "lib", stdlib[0], extensions]
    found += [Path(name) for name in _SHARED]
    kept: list[Path] = []
    for path in found:
        if path.exists() and not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return kept


def _masked() -> set[Path]:
    """Folders of installed packages below those roots: none of them is a submission's business."""
    found = set()
    for root in _roots():
        if root.is_dir():
            for pattern in ("site-packages", "dist-packages", "python*/site-packages", "python*/dist-packages"):
                found |= {path.resolve() for path in root.glob(pattern) if path.is_dir()}
    return found


def _readable(masked: Iterable[Path]) -> list[str]:
    """The roots cut into pieces, so that installed packages are not among them; NumPy is."""
    pieces: list[Path] = [Path(os.path.realpath(sys.executable)), *numpy_parts()]
    if Path("/etc/ld.so.cache").exists():
        pieces.append(Path("/etc/ld.so.cache"))
    waiting = [path.resolve() for path in _roots()]
    while waiting:
        path = waiting.pop()
        if path in masked:
            continue
        if any(mask.is_relative_to(path) for mask in masked):
            waiting += [each for each in path.iterdir() if not each.is_symlink()]
        else:
            pieces.append(path)
    return [str(path) for path in dict.fromkeys(pieces)]


def _bubblewrap(python: str, folder: Folder, masked: Iterable[Path], limits: Limits) -> list[str]:
    """The command line of bwrap up to the program."""
    words = [_bwrap(), "--unshare-user", "--uid", "65534", "--gid", "65534", "--unshare-pid", "--unshare-net"]
    words += ["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox", "--die-with-parent"]
    words += ["--new-session", "--cap-drop", "ALL", "--clearenv"]
    if _knows("--disable-userns"):
        words.append("--disable-userns")
    for name, value in _environment("/work").items():
        words += ["--setenv", name, value]
    for path in _roots():
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        else:
            words += ["--ro-bind", str(path), str(path)]
    for path in masked:
        words += ["--tmpfs", str(path), "--remount-ro", str(path)]
    words += ["--ro-bind", python, python, "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for name in _DEVICES:
        words += ["--dev-bind", name, name]
    for name in _PARTS:
        words += ["--ro-bind", str(PROGRAM.with_name(name)), f"/tito/program/{name}"]
    for part in numpy_parts():
        words += ["--ro-bind", str(part), f"/tito/site/{part.name}"]
    words += ["--ro-bind", str(folder.root / "package"), "/tito/package"]
    words += ["--perms", "0700", "--size", str(limits.disk), "--tmpfs", "/work", "--chdir", "/work"]
    return [*words, "--remount-ro", "/", "--"]


def _bwrap() -> str:
    """Where it is by this process's PATH, which the sandbox does not get."""
    return shutil.which("bwrap") or "bwrap"


@cache
def _knows(option: str) -> bool:
    """Whether this bwrap has an option."""
    done = subprocess.run([_bwrap(), "--help"], capture_output=True, text=True, encoding="utf-8", check=False)
    return option in done.stdout + done.stderr
