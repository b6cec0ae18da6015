"""``manage.py writer``: events from Redis to the database; one at a time."""

from __future__ import annotations

import argparse

from appliance.alone import alone

HELP = "Write events to the database and to the live streams (started by ./culvert up)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options."""


def run(options: argparse.Namespace) -> int:
    """Wait until no other writer works, then work until stopped."""
    import django

    django.setup()
    from dashboard.eventlog.writer import Writer

    with alone("writer") as wait:
        Writer().run(lambda seconds=0.0: wait(seconds))
    return 0
