"""Django's view of this app."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class Config(AppConfig):
    """The app's label is its folder's name."""

    name = "dashboard.sitevpn"

    def ready(self) -> None:
        """Tell the revisions how this app's rows are kept and restored."""
        from dashboard.publish import sources
        from dashboard.sitevpn import policies, services, snapshot

        post_migrate.connect(policies.ship, sender=self)
        sources.register(sources.Source("sitevpn", snapshot.take, snapshot.put), services.publish_site)
