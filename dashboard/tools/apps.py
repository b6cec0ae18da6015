"""Django's view of this app."""

from __future__ import annotations

from django.apps import AppConfig


class Config(AppConfig):
    """The app's label is its folder's name."""

    name = "dashboard.tools"
