"""Events as they are kept, and how far the writer has come."""

from __future__ import annotations

from django.db import models


class EventRow(models.Model):
    """One event. ``seq`` numbers the events of an organization without gaps; it is also stream and SSE id."""

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE, db_constraint=False)
    appliance = models.ForeignKey("fleet.Appliance", on_delete=models.CASCADE)
    seq = models.PositiveBigIntegerField()
    boot = models.CharField(max_length=32)
    number = models.PositiveBigIntegerField()
    time = models.FloatField()
    code = models.CharField(max_length=60)
    severity = models.CharField(max_length=8)
    peer_id = models.CharField(max_length=64, blank=True)
    peer = models.CharField(max_length=80, blank=True)
    negotiation = models.CharField(max_length=32, blank=True, default="")
    text = models.TextField()
    body = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "seq"], name="one_sequence"),
            models.UniqueConstraint(fields=["appliance", "boot", "number"], name="one_event"),
        ]
        indexes = [
            models.Index(fields=["organization", "code", "seq"], name="event_code"),
            models.Index(fields=["organization", "peer_id", "seq"], name="event_peer"),
            models.Index(fields=["organization", "severity", "seq"], name="event_severity"),
            models.Index(fields=["organization", "negotiation", "seq"], name="event_negotiation"),
        ]


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
