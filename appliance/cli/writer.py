"""``manage.py writer``: events from Redis to the database; one at a time."""

from __future__ import annotations

import argparse
import fcntl
import signal
import threading

from appliance.paths import state

HELP = "Write events to the database and to the live streams (started by ./culvert up)."
_LOCK = 0x63756C76  # "culv": PostgreSQL's advisory lock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options."""


def run(options: argparse.Namespace) -> int:
    """Wait until no other writer works, then work until stopped."""
    import django

    django.setup()
    from dashboard.eventlog.writer import Writer

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with (state().directory / "writer.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _lock_database()
        Writer().run(lambda seconds=0.0: stopped.wait(seconds) if seconds else stopped.is_set())
    return 0


def _lock_database() -> None:
    """Other machines may share a PostgreSQL; the lock ends with the connection."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
