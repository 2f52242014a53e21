"""nbgrader's formgrader on this course's gradebook, for the questions that a person grades."""

from __future__ import annotations

import contextlib
import http.client
import importlib.metadata
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tito.errors import EnvironmentFault
from tito.grading.books.autograded import write_config
from tito.grading.books.gradebook import enrol, open_gradebook, settle
from tito.grading.books.policy import course_id
from tito.grading.books.results import lateness_of, newer_submissions
from tito.grading.intake.students import read_roster
from tito.grading.journal import Journal
from tito.grading.place import Place

_PATIENCE = 120.0  # seconds for the server to start


def serve_formgrader(place: Place, url: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve formgrader on 127.0.0.1 until Ctrl-C, and tell its address, which carries a fresh key.

    url: the gradebook's address, empty for the default. port: 0 for any free one. Afterwards the penalties
    are renewed, since they are shares of points that may have changed. Raises EnvironmentFault when the
    server is not installed or does not start.
    """
    name = course_id(place.course)
    with open_gradebook(url or place.database, name) as gradebook:
        write_config(place, name, url)
        enrol(gradebook, read_roster(place.root / "students.csv").students)
        try:
            with _stopped_by_any_signal(), formgrader(place, port) as (address, server):
                tell(address)
                server.wait()
                raise EnvironmentFault("formgrader's server ended by itself.", "start it again: tito grade manual")
        finally:
            for module in place.course.modules:
                submitted = frozenset(place.students(module))
                verdicts = Journal(place.journal).records(module.folder) if submitted else {}
                if students := submitted - newer_submissions(place, module, verdicts):
                    settle(gradebook, module.folder, lateness_of(place, module, students))


@contextlib.contextmanager
def formgrader(place: Place, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """formgrader's address and its process, from when it answers until the block ends."""
    if importlib.util.find_spec("jupyter_server") is None or importlib.util.find_spec("nbgrader") is None:
        raise EnvironmentFault("formgrader needs nbgrader and its server.", "pip install 'tito[grade]'")
    port, key = _free_port(port), secrets.token_urlsafe(24)
    with TemporaryDirectory(prefix="tito-formgrader-") as quiet:
        log = Path(quiet) / "log"
        with log.open("wb") as stream:
            server = subprocess.Popen(
                _command(place, port),
                cwd=place.root,
                env={**os.environ, **_settings(quiet, key)},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,  # Ctrl-C is for us; the server would ask whether we mean it
            )
        try:
            _await_answer(port, key, server, log)
            # by way of /login: the cookie that formgrader's own pages set does not hold for its data
            yield f"http://127.0.0.1:{port}/login?token={key}&next=%2Fformgrader%2Fgradebook", server
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@contextlib.contextmanager
def _stopped_by_any_signal() -> Iterator[None]:
    """End the block in good order at Ctrl-C, when somebody ends this process, and when its terminal is closed."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signals = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {each: signal.signal(each, stop) for each in signals}
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _command(place: Place, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyter_server", "--no-browser"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={place.root}",
        "--ServerApp.allow_root=True",
        "--ServerApp.terminals_enabled=False",
        "--ServerApp.jpserver_extensions={'nbgrader.server_extensions.formgrader': True}",
    ]


def _settings(quiet: str, key: str) -> dict[str, str]:
    """The server's environment: no settings but the course's, and the key where other users cannot read it."""
    return {
        "JUPYTER_TOKEN": key,
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_CONFIG_DIR": quiet,
        "JUPYTER_RUNTIME_DIR": quiet,
        "JUPYTER_PLATFORM_DIRS": "1",
        "JUPYTER_PATH": os.pathsep.join(filter(None, (os.environ.get("JUPYTER_PATH"), _templates()))),
    }


def _templates() -> str:
    """The share/jupyter that came with nbconvert; Jupyter itself does not look there from an environment on another."""
    for path in importlib.metadata.files("nbconvert") or ():
        if path.parts[-6:-1] == ("share", "jupyter", "nbconvert", "templates", "classic"):
            return str(Path(str(path.locate())).resolve().parents[3])
    return ""


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except (OSError, OverflowError):
            raise EnvironmentFault(f"Port {wanted} cannot be used.", "take any free one: --port 0") from None
        return int(probe.getsockname()[1])


def _await_answer(port: int, key: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while server.poll() is None and time.monotonic() < deadline:
        asked = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            asked.request("GET", "/formgrader/gradebook", headers={"Authorization": f"token {key}"})
            if asked.getresponse().status == 200:
                return
            break  # extensions are loaded before the server listens, so formgrader was not
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
        finally:
            asked.close()
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    reason = next((line for line in said if "failed loading" in line or "in use" in line), said[-1])
    raise EnvironmentFault(
        f"formgrader's server did not start: {reason[:300]}", "install nbgrader afresh: pip install 'tito[grade]'"
    )
