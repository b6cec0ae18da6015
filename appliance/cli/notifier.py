"""``manage.py notifier``: alerts and syslog; one at a time."""

from __future__ import annotations

import argparse

from appliance.alone import alone

HELP = "Judge events for alerts and carry them to syslog servers (started by ./culvert up)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options."""


def run(options: argparse.Namespace) -> int:
    """Wait until no other notifier works, then work until stopped."""
    import django

    django.setup()
    from dashboard.notify.worker import Notifier

    with alone("notifier") as wait:
        Notifier().run(wait)
    return 0
