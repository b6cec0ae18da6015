"""Customers, their locations, and the boxes there."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from dashboard.core.roles import ORGANIZATION_LABELS, SITE_LABELS, OrganizationRole


class Organization(models.Model):
    """A customer. Everything belongs to exactly one."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=80)
    time_zone = models.CharField(max_length=64, blank=True, help_text="of sites that name none; empty is UTC")
    event_days = models.PositiveIntegerField(null=True, help_text="how long events are kept; none: as the system does")
    event_rows = models.PositiveBigIntegerField(null=True, help_text="how many events are kept, likewise")
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="organizations")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """That a user belongs to an organization, and what the user may do in all of it."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(
        max_length=10, choices=list(ORGANIZATION_LABELS.items()), default=OrganizationRole.FULL.value
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "user"], name="one_membership")]


class Site(models.Model):
    """A location."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="sites")
    name = models.CharField(max_length=80)
    time_zone = models.CharField(max_length=64, blank=True, help_text="of the IANA data base; empty is UTC")

    def __str__(self) -> str:
        return self.name


class SiteAccess(models.Model):
    """What a member may do at one site, beside the role in the organization."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="site_access")
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="access")
    role = models.CharField(max_length=12, choices=list(SITE_LABELS.items()))

    class Meta:
        constraints = [models.UniqueConstraint(fields=["membership", "site"], name="one_site_access")]


class Appliance(models.Model):
    """A box at a site; ``is_local`` is the one that this dashboard runs on."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="appliances")
    name = models.CharField(max_length=80)
    is_local = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name
