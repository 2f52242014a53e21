"""How a process gives up what it does not need: resource limits, privileges, Landlock, seccomp.

Part of the program that `zygote_child.py` starts. Everything here is one-way: a process cannot take it back.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable
from typing import Any

LINUX = sys.platform == "linux"
NOBODY = 65534
_DAC_READ_SEARCH = 1 << 2  # to read every file, and write none
_LIBC = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP = 1, 4, 8, 22
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_SET_PTRACER = 36, 38, 0x59616D61

# Linux's numbers of the calls that a lesson has no use for: on x86_64, on aarch64. They answer EPERM.
_REFUSED = """
fork 57 - vfork 58 - execve 59 221 execveat 322 281
ptrace 101 117 kcmp 312 272 process_vm_readv 310 270 process_vm_writev 311 271 process_madvise 440 440
process_mrelease 448 448 pidfd_send_signal 424 424 pidfd_open 434 434 pidfd_getfd 438 438
rt_sigqueueinfo 129 138 rt_tgsigqueueinfo 297 240
socket 41 198 bind 49 200 listen 50 201 accept 43 202 accept4 288 242 connect 42 203
sendmsg 46 211 sendmmsg 307 269 recvmsg 47 212 recvmmsg 299 243
mount 165 40 umount2 166 39 pivot_root 155 41 chroot 161 51 unshare 272 97 setns 308 268
open_tree 428 428 move_mount 429 429 fsopen 430 430 fsconfig 431 431 fsmount 432 432 fspick 433 433
mount_setattr 442 442
shmget 29 194 shmat 30 196 shmctl 31 195 shmdt 67 197 semget 64 190 semctl 66 191 semop 65 193 semtimedop 220 192
msgget 68 186 msgctl 71 187 msgrcv 70 188 msgsnd 69 189 mq_open 240 180 mq_unlink 241 181
memfd_create 319 279 memfd_secret 447 447
add_key 248 217 request_key 249 218 keyctl 250 219 bpf 321 280 perf_event_open 298 241 userfaultfd 323 282
io_uring_setup 425 425 io_uring_enter 426 426 io_uring_register 427 427
setpriority 141 140 sched_setparam 142 118 sched_setscheduler 144 119 sched_setattr 314 274
sched_setaffinity 203 122 ioprio_set 251 30
personality 135 92 acct 163 89 swapon 167 224 swapoff 168 225 reboot 169 142 sethostname 170 161
setdomainname 171 162 init_module 175 105 finit_module 313 273 delete_module 176 106 kexec_load 246 104
kexec_file_load 320 294 settimeofday 164 170 clock_settime 227 112 clock_adjtime 305 266 adjtimex 159 171
quotactl 179 60 quotactl_fd 443 443 syslog 103 116 name_to_handle_at 303 264 open_by_handle_at 304 265
fanotify_init 300 262 iopl 172 - ioperm 173 - modify_ldt 154 - migrate_pages 256 238 move_pages 279 239
vhangup 153 58 setxattr 188 5 lsetxattr 189 6 fsetxattr 190 7 removexattr 197 14 lremovexattr 198 15
fremovexattr 199 16 setxattrat 463 463 removexattrat 466 466
"""
# Landlock does not know these, which change a file that the user owns without opening it.
_OF_FILES = """
chmod 90 - fchmod 91 52 fchmodat 268 53 fchmodat2 452 452 chown 92 - fchown 93 55 lchown 94 - fchownat 260 54
utime 132 - utimes 235 - futimesat 261 - utimensat 280 88
"""
_ASKED = "clone 56 220 clone3 435 435 kill 62 129 tgkill 234 131 tkill 200 130 prlimit64 302 261 prctl 157 167"
_ASKED += " ioctl 16 29 socketpair 53 199 sendto 44 206"
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, the kernel's name in a filter


class Confinement:
    """What a child of the warm parent will give up, prepared once in the parent."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.isolation: str = settings["isolation"]
        self.settings = settings
        self.limits: dict[str, int] = settings["limits"]
        self.space = _address_space() if self.isolation != "unsafe" else 0
        self.ruleset = _landlock(settings) if self.isolation == "landlock" else -1
        root = self.isolation == "limits" and hasattr(os, "geteuid") and os.geteuid() == 0
        self.reads = root and not _public(settings)  # nobody needs the right to read what root alone may
        self.drops = root and (not self.reads or _holds(_DAC_READ_SEARCH))
        self.filtered = self.isolation in ("bwrap", "landlock")  # so it makes no processes
        if self.drops:
            os.chown(settings["work"], NOBODY, NOBODY)
        self.processes = _processes(NOBODY if self.drops else os.getuid()) + 64 if self.isolation == "limits" else 0
        self.program = seccomp_program(_OWN, of_files=self.isolation == "landlock") if self.filtered else b""

    def apply(self, cpu: float) -> None:
        """Confine this process for good; raises OSError when the machine refuses."""
        if self.isolation == "unsafe":
            return
        self._limit(cpu)
        if LINUX:
            _prctl(_PR_SET_NO_NEW_PRIVS, 1)
            if self.drops:
                _prctl(_PR_SET_KEEPCAPS, int(self.reads))
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            _keep_capabilities(_DAC_READ_SEARCH if self.drops and self.reads else 0)
            _prctl(_PR_SET_DUMPABLE, 0)
            end_with_parent()  # a change of user has taken that back
        if self.ruleset >= 0:
            _syscall(446, self.ruleset, 0)
            os.close(self.ruleset)
        if self.filtered:
            _install(self.program.replace(struct.pack("=I", _OWN), struct.pack("=I", os.getpid())))

    def _limit(self, cpu: float) -> None:
        seconds = max(1, int(cpu + 0.999))
        wanted = {
            "RLIMIT_CPU": (seconds, seconds + 2),
            "RLIMIT_AS": (self.space + self.limits["memory"],) * 2,
            "RLIMIT_FSIZE": (self.limits["disk"],) * 2,
            "RLIMIT_NOFILE": (64, 64),
            "RLIMIT_CORE": (0, 0),
            "RLIMIT_NPROC": (self.processes,) * 2 if self.processes else None,
            "RLIMIT_MSGQUEUE": (0, 0),
            "RLIMIT_MEMLOCK": (0, 0),
        }
        for name, pair in wanted.items():
            kind = getattr(resource, name, None)
            if kind is not None and pair is not None:
                with contextlib.suppress(ValueError, OSError):  # macOS knows some of them by name alone
                    resource.setrlimit(kind, pair)
        os.nice(5)


def guard_parent() -> None:
    """Close this process's memory to others, end it with whoever started it, and inherit orphans below it."""
    if LINUX:
        _prctl(_PR_SET_DUMPABLE, 0)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        end_with_parent()


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends."""
    if LINUX:
        _prctl(_PR_SET_PDEATHSIG, 9)


def _processes(user: int) -> int:
    """How many threads a user has now, all of which count against the limit; many where it cannot be told."""
    if not LINUX:
        return 512
    found = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{name}").st_uid == user:
                found += len(os.listdir(f"/proc/{name}/task"))
    return found


def _public(settings: dict[str, Any]) -> bool:
    """Whether every user may reach what a lesson needs, so that a child of root can become nobody."""
    for path in [*settings["read"], *settings["list"], settings["work"]]:
        at = os.path.realpath(path)
        while True:
            if not os.stat(at).st_mode & 0o001 and os.path.isdir(at):
                return False
            if at == os.path.dirname(at):
                break
            at = os.path.dirname(at)
    return True


def _address_space() -> int:
    """Bytes of address space in use, found by trying limits: there may be no /proc to ask."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    low, high = 0, 1 << 40
    try:
        while high - low > 1 << 20:
            middle = (low + high) // 2
            resource.setrlimit(resource.RLIMIT_AS, (middle, hard))
            try:
                mmap.mmap(-1, 4096).close()
                high = middle
            except OSError:
                low = middle
    except ValueError:  # macOS refuses small limits, or a hard limit is lower: then it binds anyway
        return 0
    finally:
        with contextlib.suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return high


def _prctl(option: int, value: int) -> None:
    arguments = [ctypes.c_ulong(number) for number in (value, 0, 0, 0)]
    if _LIBC.prctl(option, *arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def _syscall(number: int, *arguments: Any) -> int:
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(_LIBC.syscall(ctypes.c_long(number), *given))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"call {number}: {os.strerror(code)}")
    return result


def _capabilities(call: dict[str, int], data: Any) -> None:
    number = call.get(platform.machine())
    if number is not None:
        _syscall(number, struct.pack("=Ii", 0x20080522, 0), data)


def _holds(capability: int) -> bool:
    """Whether this process has one of root's powers, which it may not in a container."""
    data = ctypes.create_string_buffer(24)
    _capabilities({"x86_64": 125, "aarch64": 90}, data)
    return bool(struct.unpack("=6I", data.raw)[1] & capability)


def _keep_capabilities(mask: int) -> None:
    """Root without its powers, apart from those of a mask."""
    _capabilities({"x86_64": 126, "aarch64": 91}, struct.pack("=6I", mask, mask, 0, 0, 0, 0))


# --- Landlock: which files a process may open


def landlock_version() -> int:
    """What the kernel offers; 0 without Landlock."""
    try:
        return _syscall(444, None, 0, 1) if LINUX else 0
    except OSError:
        return 0


_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
_TRUNCATE = 1 << 14
_MAKE = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12  # remove, and make directories, files, fifos and links


def _landlock(settings: dict[str, Any]) -> int:
    """A ruleset: read what is listed, write in the working directory alone; raises OSError without Landlock."""
    version = landlock_version()
    if version < 1:
        raise OSError("this kernel has no Landlock")
    handled = (1 << (13 + (version >= 2) + (version >= 3))) - 1 | (1 << 15 if version >= 5 else 0)
    words = [handled, 3 if version >= 4 else 0, 3 if version >= 6 else 0]  # files; TCP; abstract sockets and signals
    size = 8 * (1 + (version >= 4) + (version >= 6))
    ruleset = _syscall(444, struct.pack("=3Q", *words), size, 0)
    for path in settings["read"]:
        _allow(ruleset, path, (_EXECUTE | _READ | _LIST) & handled)
    for path in settings["list"]:
        _allow(ruleset, path, _LIST)
    for path in settings["devices"]:
        _allow(ruleset, path, (_READ | _WRITE | _TRUNCATE) & handled)
    _allow(ruleset, settings["work"], (_READ | _WRITE | _LIST | _TRUNCATE | _MAKE) & handled)
    return ruleset


def _allow(ruleset: int, path: str, rights: int) -> None:
    if not os.path.isdir(path):
        rights &= ~(_LIST | _MAKE)
    fd = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
    try:
        _syscall(445, ruleset, 1, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


# --- seccomp: which calls a process may make


def machine() -> tuple[int, int]:
    """The column of the tables above and the kernel's constant; raises OSError on other machines."""
    found = _MACHINES.get(platform.machine())
    if not LINUX or found is None or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        raise OSError(f"no seccomp filter is written for {sys.platform} on {platform.machine()}")
    return found


_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
# Places in the kernel's record of a call: low words of arguments, and both words of the fifth.
_NUMBER, _ARCH, _FIRST, _SECOND, _FIFTH = 0, 4, 16, 24, 48
_AF_UNIX = 1
_OWN = 0x5EC0F11E  # stands for the process's own number in a filter that is made before the process
_Line = tuple[int, int, int, int]  # operation, lines to skip if true, if false, constant


def seccomp_program(pid: int, *, of_files: bool) -> bytes:
    """The filter for one process: threads but no other processes, no sockets, no mounts, signals to itself alone."""
    column, arch = machine()
    lines: list[_Line] = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    if column == 0:  # the numbers of x32, a second set on the same machine
        lines += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _ENOSYS)]
    for number in numbers(_REFUSED + (_OF_FILES if of_files else "")).values():
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _EPERM)]
    asked = numbers(_ASKED)
    lines += [(_EQUAL, 0, 1, asked["clone3"]), (_RETURN, 0, 0, _ENOSYS)]  # glibc then uses clone, whose flags show
    lines += _block(asked["clone"], _FIRST, [(_ANY_BIT, 0, 1, 0x00010000), (_RETURN, 0, 0, _ALLOW)], _EPERM)
    for name in ("kill", "tgkill", "tkill"):
        lines += _block(asked[name], _FIRST, [(_EQUAL, 0, 1, pid), (_RETURN, 0, 0, _ALLOW)], _EPERM)
    lines += _block(asked["prlimit64"], _FIRST, _returns((0, pid), _ALLOW), _EPERM)
    own = (_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_PTRACER)
    lines += _block(asked["prctl"], _FIRST, _returns(own, _EPERM), _ALLOW)
    lines += _block(asked["socketpair"], _FIRST, _returns((_AF_UNIX,), _ALLOW), _EPERM)  # event loops wake by one
    there = [(_EQUAL, 0, 3, 0), (_LOAD, 0, 0, _FIFTH + 4), (_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW)]
    lines += _block(asked["sendto"], _FIFTH, there, _EPERM)  # to the other end, but to no address
    lines += _block(asked["ioctl"], _SECOND, _returns((0x5412, 0x541C), _EPERM), _ALLOW)  # typing on a terminal
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def numbers(table: str) -> dict[str, int]:
    """The calls of a table by name, as numbers of this machine."""
    words, column = table.split(), machine()[0]
    triples = zip(words[::3], words[1 + column :: 3], strict=True)
    return {name: int(number) for name, number in triples if number != "-"}


def _returns(values: Iterable[int], answer: int) -> list[_Line]:
    return [line for value in values for line in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, answer))]


def _block(number: int, place: int, tests: list[_Line], otherwise: int) -> list[_Line]:
    """What to answer to one call after a look at one of its arguments."""
    body = [(_LOAD, 0, 0, place), *tests, (_RETURN, 0, 0, otherwise)]
    return [(_EQUAL, 0, len(body), number), *body]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_char_p))


def _install(program: bytes) -> None:
    record = _Program(len(program) // 8, program)
    if _LIBC.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(record), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp: {os.strerror(code)}")
