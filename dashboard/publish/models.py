"""Revisions of an appliance's configuration, and what still has to be delivered."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from dashboard.publish.packed import PackedJSONField


class SecretVersion(models.Model):
    """One immutable secret that revisions refer to; ``sealed`` is the keyring's ciphertext."""

    owner = models.CharField(max_length=80, db_index=True)
    sealed = models.TextField()
    created = models.DateTimeField(auto_now_add=True)


class Revision(models.Model):
    """One immutable configuration document; its secrets are references to ``SecretVersion``.

    ``rows`` are what it was compiled from (``publish.sources``). With ``confirm_by`` it goes back to the last good
    revision unless it is ``confirmed`` before; then it is ``taken_back``. ``digest`` is what the engine called the
    document when it applied it.
    """

    class State(models.TextChoices):
        """What the engine made of it."""

        PENDING = "pending"
        APPLIED = "applied"
        REFUSED = "refused"
        SUPERSEDED = "superseded"

    appliance = models.ForeignKey("fleet.Appliance", on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    document = PackedJSONField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    comment = models.CharField(max_length=200, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PENDING)
    observed = models.DateTimeField(null=True)
    problems = models.JSONField(default=list)
    rows = PackedJSONField(null=True)
    digest = models.CharField(max_length=64, blank=True)
    confirm_by = models.DateTimeField(null=True)
    confirmed = models.DateTimeField(null=True)
    taken_back = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["appliance", "number"], name="one_revision_number")]


class Outbox(models.Model):
    """One appliance whose newest revision has not been delivered; a lost poke finds it again."""

    appliance = models.OneToOneField("fleet.Appliance", on_delete=models.CASCADE)
    attempts = models.PositiveIntegerField(default=0)
    due = models.DateTimeField()
    reason = models.CharField(max_length=300, blank=True)
