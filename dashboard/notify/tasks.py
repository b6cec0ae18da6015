"""Celery tasks. Their arguments are ids."""

from __future__ import annotations

from celery import shared_task

from dashboard.notify import delivery


@shared_task(name="notify.deliver", expires=60)
def deliver(uuid: str) -> None:
    """Send one delivery if it is due."""
    delivery.deliver(uuid)


@shared_task(name="notify.sweep", expires=10)
def sweep() -> None:
    """Send what is due; each by a task of its own, so that a slow server holds up nobody else."""
    for uuid in delivery.due():
        deliver.apply_async(args=[uuid], retry=False)
