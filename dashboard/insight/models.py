"""What has been observed of each peer: its state, to search and sort by, and how much it has carried."""

from __future__ import annotations

from django.db import models


class PeerState(models.Model):
    """One peer as lists need it, kept up to date by ``services.observe``; ``rank`` sorts what needs attention first.

    ``since`` is when the present state began, in seconds since 1970.
    """

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE, related_name="+")
    site = models.ForeignKey("fleet.Site", on_delete=models.CASCADE, related_name="+")
    peer = models.UUIDField(unique=True)
    name = models.CharField(max_length=80)
    remote = models.CharField(max_length=253)
    behind = models.TextField(blank=True)
    tags = models.TextField(blank=True, help_text="each between spaces, so that one can be searched for")
    enabled = models.BooleanField(default=True)
    state = models.CharField(max_length=12, default="unknown")
    rank = models.PositiveSmallIntegerField(default=0)
    reason = models.TextField(blank=True)
    since = models.FloatField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "rank", "name", "id"], name="insight_attention"),
            models.Index(fields=["organization", "state"], name="insight_state"),
            models.Index(fields=["site", "rank", "name", "id"], name="insight_site"),
        ]


class Sample(models.Model):
    """What one peer carried in ``step`` seconds from ``at`` (s since 1970) on; there is no row if that is nothing.

    Octets and packets are of the inner packets. ``dropped`` are packets that came and failed (replayed, not authentic).
    """

    state = models.ForeignKey(PeerState, on_delete=models.CASCADE, related_name="samples")
    step = models.PositiveIntegerField()
    at = models.PositiveBigIntegerField()
    bytes_in = models.PositiveBigIntegerField(default=0)
    bytes_out = models.PositiveBigIntegerField(default=0)
    packets_in = models.PositiveBigIntegerField(default=0)
    packets_out = models.PositiveBigIntegerField(default=0)
    dropped = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["state", "step", "at"], name="insight_one_sample")]
        indexes = [models.Index(fields=["step", "at"], name="insight_sample_age")]
