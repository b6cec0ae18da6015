"""One row per change."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Change(models.Model):
    """What somebody did. Names are kept beside the references: they outlive what they name."""

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE, related_name="changes")
    site_id = models.PositiveBigIntegerField(null=True)
    time = models.DateTimeField(auto_now_add=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    who = models.CharField(max_length=150)
    address = models.GenericIPAddressField(null=True)
    via = models.CharField(max_length=8)
    verb = models.CharField(max_length=20)
    kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=64, blank=True)
    name = models.CharField(max_length=200, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-id"], name="change_newest"),
            models.Index(fields=["organization", "kind", "-id"], name="change_kind"),
        ]
