"""Django's view of this app."""

from __future__ import annotations

from django.apps import AppConfig


class Config(AppConfig):
    """The app's label is its folder's name."""

    name = "dashboard.publish"

    def ready(self) -> None:
        """Let the rotation of keys know of the secrets."""
        from dashboard.core import sealed
        from dashboard.publish.holders import Secrets

        sealed.register(Secrets())
