"""Questions about administrators."""

from __future__ import annotations

from dashboard.accounts.models import User


def is_claimed() -> bool:
    """True if the appliance has an administrator."""
    return User.objects.exists()
