"""Celery tasks: looking at every peer now and then."""

from __future__ import annotations

from celery import shared_task

from dashboard.core.redis import client
from dashboard.insight import services

LOCK_S = 60


@shared_task(name="insight.observe", expires=5)
def observe() -> None:
    """Keep the state of each peer, and what it has carried. A second one at the same time has nothing to do."""
    lock = client().lock("culvert:observe", timeout=LOCK_S)
    if not lock.acquire(blocking=False):
        return
    try:
        services.observe()
    finally:
        lock.release()


@shared_task(name="insight.roll_up", expires=30)
def roll_up() -> None:
    """Sum up samples, and drop old ones."""
    services.roll_up()
