"""The Redis connection and the names of what is kept there (docs/design.md)."""

from __future__ import annotations

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

INGEST = "culvert:ingest"


def client() -> redis.Redis:
    """A connection that reports every failure: a hidden retry could hide that Redis has lost its data."""
    return redis.Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0), health_check_interval=5)


def stream_key(organization: object) -> str:
    """The live events of one organization."""
    return f"culvert:events:{organization}"


def cursor_key(appliance: object) -> str:
    """How far the database has the events of one appliance: ``journal:number``."""
    return f"culvert:cursor:{appliance}"


def rewind_key(appliance: object) -> str:
    """Set when the writer has found a hole: the agent begins again at the cursor."""
    return f"culvert:rewind:{appliance}"


def status_key(appliance: object) -> str:
    """The newest status of one appliance's engine."""
    return f"culvert:status:{appliance}"


def peers_key(appliance: object) -> str:
    """A hash: the newest status of each peer of one appliance, by the peer's id."""
    return f"culvert:peers:{appliance}"


def engine_key(appliance: object) -> str:
    """The newest status of one appliance's engine without its peers."""
    return f"culvert:engine:{appliance}"
