"""Customers, their locations, and the boxes there."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Organization(models.Model):
    """A customer. Everything belongs to exactly one."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=80)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="organizations")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """What a user may do in an organization."""

    class Role(models.TextChoices):
        """For now everybody who belongs to an organization administers it."""

        ADMIN = "admin", "Administrator"

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.ADMIN)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "user"], name="one_membership")]


class Site(models.Model):
    """A location."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="sites")
    name = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.name


class Appliance(models.Model):
    """A box at a site; ``is_local`` is the one that this dashboard runs on."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="appliances")
    name = models.CharField(max_length=80)
    is_local = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name
