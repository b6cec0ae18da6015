"""API keys."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from dashboard.core.roles import ORGANIZATION_LABELS


class ApiKey(models.Model):
    """What a program signs in with. The key itself is nowhere: only its hash, and its beginning to tell it apart."""

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=12)
    key_hash = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=10, choices=list(ORGANIZATION_LABELS.items()))
    sites = models.JSONField(default=dict, help_text="site id to role")
    created = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    expires = models.DateTimeField(null=True)
    last_used = models.DateTimeField(null=True)
    last_address = models.GenericIPAddressField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="one_key_name")]
