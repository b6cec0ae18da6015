"""``manage.py roles``: the table of docs/roles.md."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from dashboard.accounts import role_table

PAGE = Path(__file__).parents[4] / "docs" / "roles.md"


class Command(BaseCommand):
    """Print the table, or write it where it belongs."""

    help = "Print which role may use which address (--write: into docs/roles.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One option."""
        parser.add_argument("--write", action="store_true", help="write docs/roles.md")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write or print."""
        if options["write"]:
            PAGE.write_text(role_table.markdown(), encoding="utf-8")
        else:
            self.stdout.write(role_table.markdown())
