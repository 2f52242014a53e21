"""What each level of isolation keeps a submission from, and how the level is chosen."""

from __future__ import annotations

import os
import platform
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandboxes import LEVELS, WALLED, children, job, opened, outcomes
from sandboxes import graded_cell as graded
from support import ROOT

from tito.errors import EnvironmentFault, UsageError
from tito.grading.sandbox import confine_child, isolation
from tito.grading.sandbox.isolation import Isolation, choose
from tito.grading.sandbox.jobs import Ending
from tito.grading.sandbox.sandbox import Sandbox


@pytest.fixture(scope="module", params=LEVELS, ids=lambda level: level.value)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """One warm parent at each level; a level that is missing fails, with what to install."""
    with opened(choose(request.param.value)) as made:
        made.run(job("1"))
        yield made


@pytest.fixture(scope="module", params=WALLED, ids=lambda level: level.value)
def walled(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """The levels from which nothing outside can be reached."""
    with opened(choose(request.param.value)) as made:
        made.run(job("1"))
        yield made


def attempt(sandbox: Sandbox, body: str) -> str:
    """What one attempt came to: "passed", or the class of what stopped it."""
    result = sandbox.run(job(f"import os\n{body}"))
    assert sandbox.run(job("import os", graded("ok", "assert os.listdir() == []"))).ending is Ending.FINISHED
    return "passed" if result.cells[0].outcome.value == "passed" else result.cells[0].message.partition(":")[0]


# --- files


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder of the grader's, which must be the same afterwards."""
    file = tmp_path / "gradebook.db"
    file.write_bytes(b"100 points")
    file.chmod(0o644)
    os.utime(file, (1000, 1000))
    os.utime(tmp_path, (1000, 1000))
    before = (tmp_path.stat(), file.stat())
    yield tmp_path
    after = (tmp_path.stat(), file.stat())
    for old, new in zip(before, after, strict=True):
        assert (old.st_mode, old.st_mtime, old.st_uid, old.st_size) == (
            new.st_mode,
            new.st_mtime,
            new.st_uid,
            new.st_size,
        )
    assert file.read_bytes() == b"100 points"


# The interpreter may be in somebody's home; nothing else of it may be seen.
HOME = f"""
names = set(os.listdir({str(Path.home())!r})) - {{{sys.base_prefix.removeprefix(str(Path.home())).split("/")[1]!r}}}
if not names: raise FileNotFoundError
"""
READS = {
    "the course": f"open({str(ROOT / 'course.toml')!r}).read()",
    "a lesson": f"open({str(ROOT / 'modules' / '03_layers' / 'layers_dev.py')!r}).read()",
    "the home folder": HOME,
    "users": "open('/etc/passwd').read()",
    "the interpreter's packages": "open({site!r} + '/pytest/__init__.py').read()",
    "its own walls": "open('/proc/self/status').read()",
    "this file": f"open({__file__!r}).read()",
    "temporary files": "os.listdir('/tmp')",
}


@pytest.mark.parametrize("what", READS)
def test_what_cannot_be_read(walled: Sandbox, what: str) -> None:
    """Catches solutions, gradebooks and other people's files that a submission can read."""
    body = READS[what].format(site=str(Path(pytest.__file__).parents[1])) if "{site" in READS[what] else READS[what]
    assert attempt(walled, body) in ("FileNotFoundError", "PermissionError")


WRITES = {
    "a new file": "open({folder!r} + '/new', 'w')",
    "an old file": "open({file!r}, 'r+').write('0')",
    "truncating": "os.truncate({file!r}, 0)",
    "removing": "os.remove({file!r})",
    "renaming": "os.rename({file!r}, {folder!r} + '/x')",
    "moving in": "open('own', 'w').close(); os.rename('own', {file!r})",
    "a hard link": "os.link({file!r}, 'linked'); open('linked', 'w')",
    "a symbolic link": "os.symlink({file!r}, 'link'); open('link', 'w')",
    "the mode": "os.chmod({file!r}, 0)",
    "the times": "os.utime({file!r})",
    "the owner": "os.chown({file!r}, 65534, 65534)",
    "attributes": "os.setxattr({file!r}, 'user.points', b'100')",
    "a folder": "os.mkdir({folder!r} + '/d')",
    "a folder's mode": "os.chmod({folder!r}, 0)",
}


@pytest.mark.parametrize("what", WRITES)
def test_what_cannot_be_written(walled: Sandbox, outside: Path, what: str) -> None:
    """Catches every call by which a file outside could be changed; the fixture looks at it."""
    body = WRITES[what].format(folder=str(outside), file=str(outside / "gradebook.db"))
    assert attempt(walled, body) in ("FileNotFoundError", "PermissionError", "OSError")


@pytest.mark.parametrize("place", ["/", "/tmp", "/dev", "/dev/shm", "/tito", "/tito/package", "/usr/lib", "package"])
def test_only_the_working_folder_can_be_written(walled: Sandbox, place: str) -> None:
    """Catches room outside the small file system: the root of the sandbox, /dev/shm, the package itself."""
    body = "import pack\nplace = os.path.dirname(pack.__file__)\n" if place == "package" else f"place = {place!r}\n"
    assert attempt(walled, body + "open(place + '/written-by-a-lesson', 'w')") in (
        "FileNotFoundError",
        "PermissionError",
        "OSError",
    )


def test_nothing_is_seen_of_the_machine_in_bubblewrap() -> None:
    """Catches a bind that brings more than it should: other processes, the kernel's files, devices, packages."""
    body = """
        import os, socket, sys, sysconfig
        site = sysconfig.get_path("purelib")
        assert os.getuid() == 65534 and os.getpid() < 100
        assert not os.path.exists("/proc") and not os.path.exists("/sys") and not os.path.exists("/home")
        assert sorted(os.listdir("/dev")) == ["full", "null", "random", "urandom", "zero"]
        assert socket.gethostname() == "sandbox"
        assert not os.path.exists(site) or os.listdir(site) == []
        assert sorted(os.listdir("/tito/site"))[0] == "numpy" and len(os.listdir("/tito/site")) <= 2
        given = {"HOME", "LANG", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "PATH", "PWD", "TMPDIR", "USER"}
        assert not {name for name in os.environ if not name.endswith("_NUM_THREADS")} - given
        """
    with opened(choose("bwrap")) as made:
        result = made.run(job(graded("walls", body)))
    assert outcomes(result) == ["passed"], result


# --- the network, other processes, the warm parent


@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
def test_no_connection_leaves(sandbox: Sandbox, family: str, tmp_path: Path) -> None:
    """Catches a submission that can talk to anybody; limits alone let it, which is why they are called reduced."""
    address = str(tmp_path / "s") if family == "AF_UNIX" else ("127.0.0.1", 0)
    with socket.socket(getattr(socket, family)) as server:
        server.bind(address)
        server.listen()
        server.setblocking(False)
        body = f"import socket\nsocket.socket(socket.{family}).connect({server.getsockname()!r})"
        came = attempt(sandbox, body)
        if sandbox.isolation in WALLED:
            assert came == "PermissionError"
            with pytest.raises(BlockingIOError):
                server.accept()
        else:
            assert came in ("passed", "PermissionError")  # which it has as nobody, under a grader that is root


CALLS = {
    "signals to the parent": "os.kill(os.getppid(), 9)",
    "signals to all": "os.kill(-1, 9)",
    "signals to the group": "os.kill(0, 9)",
    "a new process": "os.fork()",
    "another program": "os.execv('/bin/sh', ['sh'])",
    "another user namespace": "call(272, 0x10000000)",
    "mounting": "call(165, b'none', b'/work', b'tmpfs', 0, 0)",
    "watching the parent": "call(101, 16, os.getppid(), 0, 0)",
    "memory of the parent": "call(310, os.getppid(), None, 0, None, 0, 0)",
    "shared memory": "call(29, 1, 4096, 0o1600)",
    "memory files": "os.memfd_create('x')",
    "a process's handle": "os.pidfd_open(os.getppid())",
    "limits of others": "import resource\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "priorities": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "a second set of numbers": "call(0x40000000 + 39)",
    "rings": "call(425, 8, 0)",
    "keys": "call(250, 0, -3, 0)",
    "filters in the kernel": "call(321, 0, 0, 0)",
    "open memory again": "assert libc.prctl(4, 1, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())",
}


@pytest.mark.parametrize("what", CALLS)
def test_calls_that_are_refused(walled: Sandbox, what: str) -> None:
    """Catches a filter with a hole; the attempts that use numbers are x86_64's and are harmless elsewhere."""
    helper = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    if libc.syscall(ctypes.c_long(number), *given) < 0:
        raise OSError(ctypes.get_errno(), "refused")
"""
    before = children()
    assert attempt(walled, helper + CALLS[what]) in ("PermissionError", "OSError", "AssertionError")
    assert children() == before


def test_memory_of_the_warm_parent_is_closed(sandbox: Sandbox) -> None:
    """Catches a submission that reads or changes the process that will fork for the next one, at any level."""
    for mode in ("rb", "r+b"):
        came = attempt(sandbox, f"open(f'/proc/{{os.getppid()}}/mem', {mode!r})")
        assert came in ("FileNotFoundError", "PermissionError")


def test_capabilities_are_gone(sandbox: Sandbox) -> None:
    """Catches root's powers in the sandbox of a grader that runs as root; limits alone may leave that to read."""
    body = """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
answer = ctypes.create_string_buffer(24)
number = {"x86_64": 125, "aarch64": 90}[os.uname().machine]
assert libc.syscall(ctypes.c_long(number), struct.pack("=Ii", 0x20080522, 0), answer) == 0
assert answer.raw in (bytes(24), struct.pack("=6I", {reading}, {reading}, 0, 0, 0, 0)), answer.raw
assert libc.prctl(39, 0, 0, 0, 0) == 1
"""
    reading = 0 if sandbox.isolation in WALLED else 1 << 2
    assert attempt(sandbox, body.replace("{reading}", str(reading))) == "passed"


def test_limits_under_root_change_no_file(tmp_path: Path) -> None:
    """Catches a grader that is root and lends its hand to a submission, which then owns the interpreter itself."""
    file = tmp_path / "sitecustomize.py"
    file.write_text("1", encoding="utf-8")
    with opened(choose("limits")) as made:
        came = [attempt(made, f"open({str(file.with_name(name))!r}, 'w')") for name in (file.name, "json.py")]
    assert came == ["PermissionError" if os.geteuid() == 0 else "passed"] * 2


def test_killing_the_warm_parent_costs_only_oneself() -> None:
    """Catches a batch that ends because limits alone cannot stop a submission from killing what it came from."""
    with opened(choose("limits")) as made:
        before = children()
        trick = """
            import os, time
            if os.fork() == 0:
                os.setsid()
                time.sleep(600)
            os.kill(os.getppid(), 9), time.sleep(600)
            """
        result = made.run(job(graded("early"), trick, graded("late")))
        assert outcomes(result) in (["passed", "exited", "passed"], ["passed", "failed", "passed"])  # of root's grader
        assert outcomes(made.run(job("1"))) == ["passed"]
    assert children() == before


# --- the filter of system calls, by a second implementation of what the kernel does with it


def answer(program: bytes, number: int, arch: int, *arguments: int) -> int:
    """What a classic BPF program returns for a call."""
    data = struct.pack(
        "=IIQ6Q", number, arch, 0, *(argument & (1 << 64) - 1 for argument in [*arguments, *[0] * 6][:6])
    )
    lines = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = loaded = 0
    while True:
        operation, yes, no, constant = lines[at]
        at += 1
        if operation == 0x20:
            loaded = struct.unpack_from("=I", data, constant)[0]
        elif operation == 0x06:
            return constant
        else:
            true = {0x15: loaded == constant, 0x35: loaded >= constant, 0x45: bool(loaded & constant)}[operation]
            at += yes if true else no


ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x50001, 0x50026
MACHINES = {
    "x86_64": (
        0xC000003E,
        {"fork": 57, "clone": 56, "kill": 62, "tgkill": 234, "socket": 41, "prlimit": 302, "read": 0},
    ),
    "aarch64": (0xC00000B7, {"clone": 220, "kill": 129, "tgkill": 131, "socket": 198, "prlimit": 261, "read": 63}),
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_on_both_machines(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a jump that is off by one, and numbers of the wrong machine."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    program = confine_child.seccomp_program(1234, of_files=False)
    arch, calls = MACHINES[machine]
    thread = 0x3D0F00  # the flags with which glibc makes a thread
    assert answer(program, calls["clone"], arch, thread) == ALLOW
    assert answer(program, calls["clone"], arch, 17) == EPERM  # SIGCHLD alone: a process
    assert answer(program, 435, arch, thread) == ENOSYS
    assert answer(program, calls["kill"], arch, 1234, 15) == ALLOW
    assert {answer(program, calls["kill"], arch, pid, 9) for pid in (1, 0, -1, 1235)} == {EPERM}
    assert answer(program, calls["tgkill"], arch, 1234, 1234, 6) == ALLOW
    assert answer(program, calls["socket"], arch, 2, 1, 0) == EPERM
    assert answer(program, calls["prlimit"], arch, 0, 7, 0) == ALLOW
    assert answer(program, calls["prlimit"], arch, 1, 7, 0) == EPERM
    assert answer(program, calls["read"], arch) == ALLOW
    assert answer(program, calls["read"], 0x40000003) == KILL
    if machine == "x86_64":
        assert answer(program, calls["fork"], arch) == EPERM
        assert answer(program, 0x40000000 | calls["read"], arch) == ENOSYS
    with_files = confine_child.seccomp_program(1234, of_files=True)
    assert len(with_files) > len(program)
    assert len(with_files) // 8 < 4096


def test_other_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a filter of x86_64's numbers on a machine where they mean other calls."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="riscv64"):
        confine_child.seccomp_program(1, of_files=False)


# --- choosing


def test_the_best_level_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a weaker level where a stronger one works, and no isolation without being asked for."""
    assert choose("auto") is Isolation.BWRAP
    missing = {Isolation.BWRAP}
    monkeypatch.setattr(isolation, "problem", lambda level: "not here" if level in missing else "")
    assert choose("auto") is Isolation.LANDLOCK
    missing.add(Isolation.LANDLOCK)
    assert choose("auto") is Isolation.LIMITS
    assert "reduced isolation" in Isolation.LIMITS.text
    assert choose("unsafe") is Isolation.UNSAFE
    with pytest.raises(UsageError, match="no isolation 'docker'"):
        choose("docker")
    missing.add(Isolation.LIMITS)
    with pytest.raises(EnvironmentFault, match="Linux or macOS"):
        choose("auto")


def test_a_forced_level_that_is_missing_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a forced level that is quietly replaced by a weaker one."""
    monkeypatch.setenv("PATH", "/nowhere")
    isolation.problem.cache_clear()
    try:
        with pytest.raises(EnvironmentFault, match="no bwrap on PATH") as fault:
            choose("bwrap")
        assert "apt install bubblewrap" in fault.value.hint
        assert choose("landlock") is Isolation.LANDLOCK
    finally:
        isolation.problem.cache_clear()


def test_a_level_is_tried_and_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a bwrap that is installed and forbidden, as in many containers."""
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    isolation.problem.cache_clear()
    try:
        assert "No permissions" in isolation.problem(Isolation.BWRAP)
    finally:
        isolation.problem.cache_clear()


def test_windows_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an AttributeError where there is no fork."""
    monkeypatch.delattr(os, "fork")
    isolation.problem.cache_clear()
    try:
        with pytest.raises(EnvironmentFault, match="needs Linux or macOS"):
            choose("auto")
    finally:
        isolation.problem.cache_clear()


def test_installed_packages_are_cut_out_of_what_can_be_read() -> None:
    """Catches a list that grants a folder with site-packages in it; the standard library stays whole but for that."""
    masked = isolation._masked()
    readable = [Path(name) for name in isolation._readable(masked)]
    assert any(path.name == "site-packages" for path in masked) or sys.base_prefix == "/usr"
    numpy = isolation.numpy_parts()
    for mask in masked:
        assert not any(mask.is_relative_to(path) for path in readable)
        assert not any(path.is_relative_to(mask) for path in readable if path not in numpy)
    assert any(Path(os.__file__).resolve().is_relative_to(path) for path in readable)
