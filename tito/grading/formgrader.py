"""nbgrader's formgrader on this course's gradebook, for the questions that a person grades."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tito.errors import EnvironmentFault
from tito.grading.place import Place

_PATIENCE = 120.0  # seconds for the server to start


def serve_formgrader(place: Place, port: int, tell: Callable[[str], None]) -> None:
    """Serve formgrader on 127.0.0.1 until Ctrl-C, and tell its address, which carries a fresh key.

    port: 0 for any free one. Raises EnvironmentFault when the server is not installed or does not start.
    """
    with formgrader(place, port) as (address, server):
        tell(address)
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()
    if server.returncode not in (0, -15, None) and os.name != "nt":
        raise EnvironmentFault("formgrader's server ended by itself.", "start it again: tito grade manual")


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
            yield f"http://127.0.0.1:{port}/formgrader/gradebook?token={key}", server
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


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
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/formgrader/gradebook", headers={"Authorization": f"token {key}"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with opener.open(request, timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
            break  # extensions are loaded before the server listens, so formgrader was not
        except OSError:
            pass
        time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    reason = next((line for line in said if "failed loading" in line or "in use" in line), said[-1])
    raise EnvironmentFault(
        f"formgrader's server did not start: {reason[:300]}", "install nbgrader afresh: pip install 'tito[grade]'"
    )
