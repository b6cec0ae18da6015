"""The app of the peer-side configuration."""

from __future__ import annotations

from django.apps import AppConfig


class PeersideConfig(AppConfig):
    """Configurations for other makers' gateways, made and read."""

    name = "dashboard.peerside"
