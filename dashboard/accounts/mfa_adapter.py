"""allauth's second factors with our keyring and our words."""

from __future__ import annotations

from allauth.mfa.adapter import DefaultMFAAdapter

from dashboard.core import keyring

OWNER = "second factor"


class MfaAdapter(DefaultMFAAdapter):
    """The keys of authenticator apps and the seeds of recovery codes are sealed like every other secret."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "This code is not right. Codes change every 30 seconds; enter the one that is shown now.",
    }

    def encrypt(self, text: str) -> str:
        """Sealed by the keyring, which is not in the database."""
        return keyring.seal(text, OWNER)

    def decrypt(self, encrypted_text: str) -> str:
        """The counterpart."""
        return keyring.reveal(encrypted_text, OWNER)

    def _get_site_name(self) -> str:
        return "Culvert"
