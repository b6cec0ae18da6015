"""``manage.py rotatekeys``: a new key for the secrets at rest (docs/secrets.md)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.core import keyring, sealed


class Command(BaseCommand):
    """Can run while everything else does: the old keys stay readable."""

    help = "Make a new key for the secrets at rest, and seal all of them with it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One option."""
        parser.add_argument(
            "--retire", action="store_true", help="then remove the keys that nothing is sealed with any more"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate, say what was done, and fail if a secret could not be opened."""
        name = keyring.rotate()
        outcome = sealed.renew_all()
        self.stdout.write(f"The new key is {name}; {outcome.renewed} secrets are sealed with it.")
        if options["retire"]:
            retired = keyring.retire(outcome.in_use)
            self.stdout.write(f"Removed keys: {', '.join(retired) or 'none'}.")
        self.stdout.write("Make a new backup of keyring.json: without it no secret can be read.")
        if outcome.lost:
            raise CommandError("These could not be opened, and stay as they are:\n" + "\n".join(outcome.lost))
