"""Events as they are kept, what helps to find them, and how far the writer has come."""

from __future__ import annotations

from django.db import models

# An id is organization and sequence number in one, so that the table itself is the index of each organization's log.
SEQ_BITS = 40
LAST_SEQ = (1 << SEQ_BITS) - 1


def row_id(organization_id: int, seq: int) -> int:
    """The id of an organization's event: ids of one organization stand together and grow with ``seq``."""
    return organization_id << SEQ_BITS | seq


class EventRow(models.Model):
    """One event. ``seq`` numbers the events of an organization without gaps; it is also stream and SSE id.

    ``body`` is the whole event as JSON, the other columns are what it is found by. ``search`` is text and peer in lower
    case (``filters.searched``). On PostgreSQL the table is partitioned by the day of ``time`` (``storage``).
    """

    id = models.BigIntegerField(primary_key=True)
    organization = models.ForeignKey(
        "fleet.Organization", on_delete=models.CASCADE, db_constraint=False, db_index=False
    )
    appliance = models.ForeignKey("fleet.Appliance", on_delete=models.CASCADE, db_constraint=False, db_index=False)
    seq = models.PositiveBigIntegerField()
    time = models.FloatField()
    code = models.CharField(max_length=60)
    severity = models.CharField(max_length=8)
    peer_id = models.CharField(max_length=64, blank=True)
    negotiation = models.CharField(max_length=32, blank=True, default="")
    search = models.TextField()
    body = models.JSONField()

    class Meta:
        indexes = [
            models.Index(fields=["code", "id"], name="event_code"),
            models.Index(fields=["severity", "id"], name="event_severity"),
            models.Index(fields=["peer_id", "id"], name="event_peer"),
            models.Index(fields=["appliance", "id"], name="event_appliance"),
            models.Index(fields=["negotiation", "id"], name="event_negotiation"),
        ]


class EventSpan(models.Model):
    """Where the events of one hour stand: between the numbers ``first`` and ``last``, and nowhere else.

    An hour has more than one span if an appliance has delivered events late. ``hour`` is hours since 1970.
    """

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE)
    hour = models.BigIntegerField()
    first = models.PositiveBigIntegerField()
    last = models.PositiveBigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["organization", "hour"], name="event_span")]


class EventType(models.Model):
    """Every code that was ever written, so that one knows what a beginning of a code stands for."""

    code = models.CharField(max_length=60, unique=True)


class Sequence(models.Model):
    """The last and the oldest kept sequence number of an organization."""

    organization = models.OneToOneField("fleet.Organization", on_delete=models.CASCADE)
    last = models.PositiveBigIntegerField(default=0)
    first = models.PositiveBigIntegerField(default=1)


class Cursor(models.Model):
    """How far the journal of an appliance's engine is in the database."""

    appliance = models.OneToOneField("fleet.Appliance", on_delete=models.CASCADE)
    journal = models.CharField(max_length=32)
    number = models.PositiveBigIntegerField(default=0)
