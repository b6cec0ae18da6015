"""Django's view of this app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_delete, post_save


class Config(AppConfig):
    """The app's label is its folder's name."""

    name = "dashboard.insight"

    def ready(self) -> None:
        """A peer is in the lists as soon as it is saved; the periodic look would need seconds."""
        peer = apps.get_model("sitevpn", "Peer")
        post_save.connect(_saved, sender=peer, dispatch_uid="insight-saved")
        post_delete.connect(_deleted, sender=peer, dispatch_uid="insight-deleted")


def _saved(instance: Any, **_: Any) -> None:
    from dashboard.insight import services
    from dashboard.sitevpn import selectors as vpn

    services.align([vpn.watch_row(instance, instance.site.organization_id)])


def _deleted(instance: Any, **_: Any) -> None:
    from dashboard.insight import services

    services.forget(instance.uuid)
