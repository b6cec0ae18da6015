"""Celery tasks. Their arguments are ids, never documents or secrets."""

from __future__ import annotations

from celery import shared_task

from dashboard.publish import services


@shared_task(name="publish.push")
def push(appliance_uuid: str) -> None:
    """Deliver the newest revision of an appliance."""
    services.deliver(appliance_uuid)


@shared_task(name="publish.sweep", expires=10)
def sweep() -> None:
    """Find what was not delivered."""
    services.sweep()


@shared_task(name="publish.act", expires=60)
def act(appliance_uuid: str, op: str, peer_id: str) -> None:
    """Bring up, tear down or rekey one peer."""
    services.act(appliance_uuid=appliance_uuid, op=op, peer_id=peer_id)
