"""Questions about organizations, sites, appliances, and who belongs to them."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.shortcuts import get_object_or_404

from dashboard.core.roles import Grant, OrganizationRole, SiteRole
from dashboard.fleet.models import Appliance, Membership, Organization, Site


def memberships(user_id: int | None) -> list[Membership]:
    """A user's memberships with organization and site roles, the oldest first."""
    rows = Membership.objects.filter(user_id=user_id).select_related("organization").prefetch_related("site_access")
    return list(rows.order_by("organization_id"))


def members(organization_id: int) -> list[Membership]:
    """The administrators of an organization with their roles, by e-mail address."""
    rows = Membership.objects.filter(organization_id=organization_id).select_related("user")
    return list(rows.prefetch_related("site_access__site").order_by("user__email"))


def member(organization_id: int, pk: int) -> Membership:
    """One administrator of this organization; one of another does not exist.

    :raises Http404: if there is none.
    """
    return get_object_or_404(Membership.objects.select_related("user"), organization_id=organization_id, pk=pk)


def is_member(organization_id: int, email: str) -> bool:
    """Whether somebody with this address administers the organization already."""
    return Membership.objects.filter(organization_id=organization_id, user__email__iexact=email).exists()


def organization_ids_of(user_id: int) -> list[int]:
    """The organizations of a user."""
    return list(Membership.objects.filter(user_id=user_id).values_list("organization_id", flat=True))


def grant_of(membership: Membership) -> Grant:
    """The roles of a membership."""
    sites = {row.site_id: SiteRole(row.role) for row in membership.site_access.all()}
    return Grant(OrganizationRole(membership.role), sites)


def sites_of(organization: Organization) -> list[Site]:
    """All sites of an organization, whoever asks."""
    sites = list(Site.objects.filter(organization=organization).order_by("id"))
    for site in sites:
        site.organization = organization
    return sites


def organization_id_of(site_id: int) -> int:
    """Whose a site is."""
    return Site.objects.values_list("organization_id", flat=True).get(pk=site_id)


def site_id_of(appliance_id: int) -> int:
    """Where an appliance stands."""
    return Appliance.objects.values_list("site_id", flat=True).get(pk=appliance_id)


def appliances_of(site_id: int) -> list[Appliance]:
    """The appliances of a site."""
    return list(Appliance.objects.filter(site_id=site_id).order_by("id"))


def site_count(organization_id: int) -> int:
    """How many sites an organization has."""
    return Site.objects.filter(organization_id=organization_id).count()


def first_appliances(site_ids: set[int]) -> dict[int, UUID]:
    """Site → the uuid of its first appliance."""
    rows = Appliance.objects.filter(site_id__in=site_ids).order_by("-id").values_list("site_id", "uuid")
    return dict(rows)


def appliance_ids(site_ids: set[int]) -> set[int]:
    """The appliances of several sites."""
    return set(Appliance.objects.filter(site_id__in=site_ids).values_list("id", flat=True))


def appliances_at(site_ids: list[int]) -> list[Appliance]:
    """The appliances of several sites."""
    return list(Appliance.objects.filter(site_id__in=site_ids).order_by("id"))


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


def is_only_organization(organization_id: int) -> bool:
    """Whether this dashboard has no other organization."""
    return not Organization.objects.exclude(pk=organization_id).exists()


def find_appliances(
    organization_id: int,
    sites: Iterable[str] | None = None,
    uuids: Iterable[str] | None = None,
    keys: Iterable[int] | None = None,
) -> dict[int, str]:
    """Key → UUID of an organization's appliances: those at some sites (UUIDs), with some UUIDs, or with some keys."""
    found = Appliance.objects.filter(site__organization_id=organization_id)
    if sites is not None:
        found = found.filter(site__uuid__in=list(sites))
    if uuids is not None:
        found = found.filter(uuid__in=list(uuids))
    if keys is not None:
        found = found.filter(pk__in=list(keys))
    return {key: str(uuid) for key, uuid in found.values_list("pk", "uuid")}


def places(organization_id: int, sites: Iterable[int]) -> list[tuple[str, str, str, str]]:
    """The appliances at some sites of an organization: UUID and name, UUID and name of the site."""
    found = Appliance.objects.filter(site__organization_id=organization_id, site_id__in=list(sites))
    rows = found.order_by("site__name", "name").values_list("uuid", "name", "site__uuid", "site__name")
    return [(str(uuid), name, str(site), site_name) for uuid, name, site, site_name in rows]


def kept_events(organization_id: int) -> tuple[int | None, int | None]:
    """How many days and how many rows of events an organization wants to keep; None: as the system does."""
    row = Organization.objects.filter(pk=organization_id).values_list("event_days", "event_rows").first()
    return row or (None, None)


def organization_ids() -> list[int]:
    """Every organization, for workers."""
    return list(Organization.objects.order_by("id").values_list("id", flat=True))
