"""``manage.py claim < claim.json``: the claim of a machine that nobody sits at."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.accounts import services


class Command(BaseCommand):
    """Makes the first administrator from a hash; does nothing if there is one already."""

    help = "Claim from JSON on standard input: email, name, password_hash, organization, site."

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit code 1 with a sentence if it cannot be used."""
        try:
            claimed = services.claim_unattended(**json.load(sys.stdin))
        except services.ClaimRefused as refused:
            raise CommandError(str(refused)) from None
        except (ValueError, TypeError):
            # Never with the text: it holds a hash.
            raise CommandError("This is not a claim: email, name, password_hash, organization and site.") from None
        self.stdout.write("claimed" if claimed else "claimed already; nothing was changed")
