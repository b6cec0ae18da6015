"""Background processes of which there is one."""

from __future__ import annotations

import fcntl
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from appliance.paths import state


@contextmanager
def alone(name: str) -> Iterator[Callable[[float], bool]]:
    """Wait until no other process of this name works, here or on a machine with the same PostgreSQL.

    Yields how to wait: so many seconds, or until the process is asked to end, which is what True says.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with (state().directory / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _lock_database(name)
        yield stopped.wait


def _lock_database(name: str) -> None:
    """PostgreSQL's advisory lock, which ends with the connection."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [f"culvert {name}"])
