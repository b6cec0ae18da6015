"""Django's view of this app."""

from __future__ import annotations

from django.apps import AppConfig


class Config(AppConfig):
    """The app's label is its folder's name."""

    name = "dashboard.sitevpn"

    def ready(self) -> None:
        """Tell the revisions how this app's rows are kept and restored."""
        from dashboard.publish import sources
        from dashboard.sitevpn import services, snapshot

        sources.register(sources.Source("sitevpn", snapshot.take, snapshot.put), services.publish_site)
