"""A secret on its way from an imported text to a saved peer: sealed with the keyring, for one user, for one day.

It stands in a hidden field of the form, so that nothing is kept of an import that nobody saves.
"""

from __future__ import annotations

from django.core import signing

from dashboard.core import keyring

_SALT = "culvert.imported-secret"
MAX_AGE_S = 86_400


def seal(secret: str, user_id: int | None) -> str:
    """The secret as a text that only this dashboard can read, and only for this user."""
    return signing.dumps(keyring.seal(secret, _owner(user_id)), salt=_SALT) if secret else ""


def opened(token: str, user_id: int | None) -> str:
    """The secret again; empty if there is none, or if it is old or somebody else's."""
    if not token:
        return ""
    try:
        return keyring.reveal(signing.loads(token, salt=_SALT, max_age=MAX_AGE_S), _owner(user_id))
    except (signing.BadSignature, keyring.KeyringError):
        return ""


def _owner(user_id: int | None) -> str:
    return f"import:{user_id}"
