"""Loads the Celery application in every process that loads Django, so that tasks find their broker."""

from __future__ import annotations

from django.apps import AppConfig


class Config(AppConfig):
    """The composition root as a Django app."""

    name = "appliance"

    def ready(self) -> None:
        """Make our Celery application the default one."""
        from appliance import celery  # noqa: F401 - importing it registers it
