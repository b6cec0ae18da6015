"""Questions about organizations, sites and appliances, always asked for one user."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404

from dashboard.fleet.models import Appliance, Organization, Site


def site_for(user_id: int | None) -> Site:
    """The site that a user works on.

    :raises Http404: if the user has none.
    """
    sites = Site.objects.select_related("organization").filter(organization__members=user_id)
    site = sites.order_by("id").first()
    if site is None:
        raise Http404("You are no member of an organization.")
    return site


def organization_for(user_id: int | None) -> Organization | None:
    """The organization of a user."""
    return Organization.objects.filter(members=user_id).order_by("id").first()


def appliances_of(site_id: int) -> list[Appliance]:
    """The appliances of a site."""
    return list(Appliance.objects.filter(site_id=site_id).order_by("id"))


def appliances_of_organization(organization_id: int) -> list[Appliance]:
    """All appliances of an organization."""
    return list(Appliance.objects.filter(site__organization_id=organization_id).order_by("id"))


def appliance(uuid: UUID | str) -> Appliance | None:
    """One appliance with its site and organization, for workers."""
    return Appliance.objects.select_related("site__organization").filter(uuid=uuid).first()


def local_appliance() -> Appliance | None:
    """The appliance that this dashboard runs on."""
    return Appliance.objects.filter(is_local=True).first()


def all_appliances() -> list[Appliance]:
    """Every appliance, for workers."""
    return list(Appliance.objects.select_related("site__organization").order_by("id"))
