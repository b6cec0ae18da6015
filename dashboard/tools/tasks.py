"""Celery tasks. Their arguments are ids."""

from __future__ import annotations

from celery import shared_task

from dashboard.tools import services


@shared_task(name="tools.run", expires=60)
def run(uuid: str) -> None:
    """Do one ping or traceroute."""
    services.execute(uuid)
