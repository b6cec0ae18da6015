"""Django's view of this app."""

from __future__ import annotations

from django.apps import AppConfig


class Config(AppConfig):
    """The app's label is its folder's name."""

    name = "dashboard.accounts"

    def ready(self) -> None:
        """Listen to sign-ins, and let the rotation of keys know of second factors."""
        from dashboard.accounts import signins  # noqa: F401 - registers the receivers
        from dashboard.accounts.holders import SecondFactors
        from dashboard.core import sealed

        sealed.register(SecondFactors())
