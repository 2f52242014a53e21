"""The same grading on more machines: workers of a Dask scheduler in place of processes of this one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Any

from tito.errors import EnvironmentFault
from tito.grading.engine import Setup, grade
from tito.grading.pool import AHEAD, TRIES, Workers

CONNECT_SECONDS = 10


@contextlib.contextmanager
def workers(setup: Setup, address: str) -> Iterator[Workers]:
    """The workers of the scheduler at an address, or whose file is named; "local" makes a small cluster to try it.

    The assignment goes to the cluster once. A task whose worker is lost is given to another one.
    Raises EnvironmentFault when Dask is not installed, nobody answers, or the scheduler has no worker.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise EnvironmentFault("--cluster needs Dask, which is not installed.", "pip install 'tito[cluster]'") from None
    made: Any = LocalCluster  # these two have no types
    connected: Any = Client
    with contextlib.ExitStack() as stack:
        if address == "local":
            address = stack.enter_context(
                made(threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL")
            ).scheduler_address
        try:
            where = {"scheduler_file" if address.endswith(".json") else "address": address}
            client = stack.enter_context(connected(**where, timeout=CONNECT_SECONDS, set_as_default=False))
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            raise EnvironmentFault(
                f"No cluster to grade on at {address}: {error or type(error).__name__}.",
                "start `dask scheduler` and `dask worker ADDRESS`, or leave --cluster out",
            ) from None
        width = AHEAD * sum(client.nthreads().values())
        bundle = client.submit(_bundle, setup, pure=False)  # not scattered: what is lost with its workers is made again
        yield Workers(partial(_executor, client), grade, width, _end, fixed=(bundle,))


def _bundle(setup: Setup) -> Setup:
    """What every worker needs, as the result of a task, which the scheduler hands on and can have made again."""
    return setup


def _executor(client: Any) -> Executor:
    executor: Executor = client.get_executor(pure=False, retries=TRIES)
    return executor


def _end(executor: Executor, _at_once: bool) -> None:
    executor.shutdown(wait=False)
