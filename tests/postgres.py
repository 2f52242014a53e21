"""A PostgreSQL server for the tests: made in a temporary folder, thrown away afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

USER, PASSWORD = "ada", "s3cret-w0rd"
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_QUIET = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "16MB"}


def programs() -> Path | None:
    """The folder with PostgreSQL's initdb, the newest one; distributions leave it out of PATH."""
    found = [path for place in _PLACES for path in Path("/").glob(f"{place[1:]}/initdb")]
    if (on_path := shutil.which("initdb")) is not None:
        return Path(on_path).resolve().parent
    return max(found, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))]).parent if found else None


@dataclass(frozen=True)
class Server:
    """A server on 127.0.0.1 that asks for a password, and sorts text as people do."""

    port: int
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self, database: str, user: str = USER, password: str | None = PASSWORD) -> str:
        secret = "" if password is None else f":{password}"
        return f"postgresql+psycopg://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def sql(self, database: str, *statements: str) -> list[Any]:
        """Run statements, each on its own; the rows of the last one."""
        rows: list[Any] = []
        address = self.url(database).replace("+psycopg", "")
        with contextlib.closing(psycopg.connect(address, autocommit=True)) as connection:
            for statement in statements:
                found = connection.execute(statement)
                rows = found.fetchall() if found.description else []
        return rows

    def database(self, options: str = "") -> str:
        """The address of a new, empty database."""
        name = f"grades{next(self._numbers)}"
        self.sql("postgres", f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def wait_for_locks(self, database: str, many: int) -> None:
        """Return when so many of a database's connections wait for a lock."""
        query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'"
        until = time.monotonic() + 60
        while self.sql("postgres", query)[0][0] < many:
            assert time.monotonic() < until, f"fewer than {many} wait"
            time.sleep(0.01)

    def kill_connections(self, database: str) -> None:
        """End all connections with a database, as a server does that is started again."""
        query = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname ="
        self.sql("postgres", f"{query} '{database}'")


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """A server of its own, until the block ends; it refuses to be root's, so root lends it to another user."""
    bin_ = programs()
    assert bin_ is not None, "no initdb: apt install postgresql, or brew install postgresql"
    nobody = {"user": _lent(), "extra_groups": ()} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="tito-pg-"))
    try:
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        if nobody:
            for path in (folder, folder / "password"):
                shutil.chown(path, nobody["user"])
        environment = {**os.environ, "LC_ALL": "C", "TZ": "Asia/Kolkata"}
        common: dict[str, Any] = {"cwd": folder, "env": environment, **nobody}
        _initialised(bin_, folder, common)
        with _listening(bin_, folder, common) as port:
            yield Server(port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lent() -> str:
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _initialised(bin_: Path, folder: Path, common: dict[str, Any]) -> None:
    command = [str(bin_ / "initdb"), "-D", str(folder / "data"), "-U", USER, "-E", "UTF8", "--no-sync", "-A"]
    command += ["scram-sha-256", f"--pwfile={folder / 'password'}", "--locale=C"]
    help_ = subprocess.run([bin_ / "initdb", "--help"], capture_output=True, text=True, check=True, **common).stdout
    if "--icu-locale" in help_:  # upper and lower case side by side, punctuation last to count
        command += ["--locale-provider=icu", "--icu-locale=en-US"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **common)
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def _listening(bin_: Path, folder: Path, common: dict[str, Any]) -> Iterator[int]:
    """The port of a server; another one when somebody else took it in between."""
    for _ in range(5):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        options = {**_QUIET, "listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder)}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        log = (folder / "log").open("ab")
        running = subprocess.Popen(
            [bin_ / "postgres", "-D", folder / "data", "-p", str(port), *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for pytest, which ends the server in its own time
            **common,
        )
        log.close()
        try:
            while running.poll() is None:
                with contextlib.suppress(psycopg.OperationalError):  # not yet
                    psycopg.connect(Server(port).url("postgres").replace("+psycopg", "")).close()
                    break
                time.sleep(0.02)
            else:
                continue
            yield port
            return
        finally:
            running.send_signal(signal.SIGQUIT)  # the data is thrown away: no tidy end
            running.wait(60)
    raise AssertionError((folder / "log").read_text(encoding="utf-8"))
