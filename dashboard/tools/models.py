"""What was asked for, and what came of it."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

LOST_S = 120
"""After so long nothing more comes of a run: whoever ran it is gone."""


class Run(models.Model):
    """One ping or traceroute from a site's appliance; ``output`` grows while it runs.

    ``source`` is one of the appliance's own addresses, empty for whichever fits; ``problem`` says why nothing came.
    """

    class Kind(models.TextChoices):
        """What is run."""

        PING = "ping", _("Ping")
        TRACEROUTE = "traceroute", _("Traceroute")

    class State(models.TextChoices):
        """A failed one has not answered the question, which is not the same as no answer from the target."""

        WAITING = "waiting", _("waiting for a worker")
        RUNNING = "running", _("running")
        DONE = "done", _("finished")
        FAILED = "failed", _("failed")

    site = models.ForeignKey("fleet.Site", on_delete=models.CASCADE, related_name="+")
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    target = models.CharField(max_length=253)
    source = models.CharField(max_length=45, blank=True)
    count = models.PositiveSmallIntegerField(default=5)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    output = models.TextField(blank=True)
    problem = models.CharField(max_length=300, blank=True)
    who = models.CharField(max_length=150, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    finished = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["site", "-id"], name="tools_newest")]

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"

    @property
    def is_open(self) -> bool:
        """Whether more may come."""
        is_young = timezone.now() - self.created < timedelta(seconds=LOST_S)
        return is_young and self.state in (Run.State.WAITING, Run.State.RUNNING)
