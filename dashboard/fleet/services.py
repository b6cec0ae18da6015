"""Making organizations, and taking turns on a site."""

from __future__ import annotations

from django.db import transaction

from dashboard.audit import services as audit
from dashboard.core.roles import OrganizationRole, SiteRole
from dashboard.fleet.models import Appliance, Membership, Organization, Site, SiteAccess


class LastAdministrator(Exception):
    """Nobody would be left who may administer the organization."""


@transaction.atomic
def create_organization(*, name: str, site_name: str, administrator_id: int) -> Appliance:
    """An organization with its first site and the appliance that this dashboard runs on."""
    organization = Organization.objects.create(name=name)
    Membership.objects.create(organization=organization, user_id=administrator_id)
    site = Site.objects.create(organization=organization, name=site_name)
    is_first = not Appliance.objects.filter(is_local=True).exists()
    return Appliance.objects.create(site=site, name=f"{site_name} appliance", is_local=is_first)


@transaction.atomic
def describe_site(site: Site, *, name: str, time_zone: str) -> None:
    """Say what a site is called, and which IANA time zone it is in."""
    before = audit.snapshot(Site.objects.get(pk=site.pk))
    site.name, site.time_zone = name, time_zone
    site.save(update_fields=["name", "time_zone"])
    audit.record(
        organization_id=site.organization_id,
        site_id=site.pk,
        kind="site",
        verb="changed",
        name=name,
        object_id=site.uuid,
        before=before,
        after=audit.snapshot(site),
    )


@transaction.atomic
def describe_organization(
    organization: Organization, *, name: str, time_zone: str, event_days: int | None, event_rows: int | None
) -> None:
    """Say what an organization is called, its IANA time zone, and how long its events are kept (None: as ever)."""
    present = Organization.objects.select_for_update().get(pk=organization.pk)
    before = audit.snapshot(present)
    present.name, present.time_zone, present.event_days, present.event_rows = name, time_zone, event_days, event_rows
    present.save(update_fields=["name", "time_zone", "event_days", "event_rows"])
    audit.record(
        organization_id=present.pk,
        kind="organization",
        verb="changed",
        name=name,
        object_id=present.uuid,
        before=before,
        after=audit.snapshot(present),
    )


def lock_site(site_id: int) -> None:
    """Make others who change the same site wait until this transaction has ended.

    A revision is compiled from all rows of a site. Two transactions that each see the rows
    without the other's change would otherwise publish one document without it.
    """
    Site.objects.select_for_update().get(pk=site_id)


@transaction.atomic
def add_member(*, organization_id: int, user_id: int, role: str, sites: dict[int, str]) -> Membership:
    """Make a user an administrator of an organization, with a role there and roles at sites (by their id)."""
    membership = Membership.objects.create(
        organization_id=organization_id, user_id=user_id, role=OrganizationRole(role).value
    )
    _give_sites(membership, sites)
    _note(membership, "added", {}, _roles(membership))
    return membership


@transaction.atomic
def change_member(membership: Membership, *, role: str, sites: dict[int, str]) -> bool:
    """Give an administrator other roles; False if they are the present ones.

    :raises LastAdministrator: if the organization would be left without a full one.
    """
    _lock_organization(membership.organization_id)
    before = _roles(membership)
    if role != OrganizationRole.FULL:
        _keep_one(membership)
    membership.role = OrganizationRole(role).value
    membership.save(update_fields=["role"])
    membership.site_access.all().delete()
    _give_sites(membership, sites)
    return _note(membership, "changed", before, _roles(membership))


@transaction.atomic
def remove_member(membership: Membership) -> None:
    """Take an administrator out of an organization; the account stays.

    :raises LastAdministrator: likewise.
    """
    _lock_organization(membership.organization_id)
    _keep_one(membership)
    _note(membership, "removed", _roles(membership), {})
    membership.delete()


def _lock_organization(organization_id: int) -> None:
    """Of two full administrators who demote each other at the same moment, the second waits and is refused."""
    Organization.objects.select_for_update().get(pk=organization_id)


def _keep_one(membership: Membership) -> None:
    full = Membership.objects.filter(organization_id=membership.organization_id, role=OrganizationRole.FULL)
    if full.filter(pk=membership.pk).exists() and not full.exclude(pk=membership.pk).exists():
        raise LastAdministrator


def _give_sites(membership: Membership, sites: dict[int, str]) -> None:
    own = Site.objects.filter(organization_id=membership.organization_id, pk__in=sites).values_list("pk", flat=True)
    SiteAccess.objects.bulk_create(
        SiteAccess(membership=membership, site_id=pk, role=SiteRole(sites[pk]).value) for pk in own
    )


def _roles(membership: Membership) -> dict[str, object]:
    rows = SiteAccess.objects.filter(membership=membership).select_related("site").order_by("site__name")
    return {"role": membership.role, "sites": [f"{row.site.name}: {row.role}" for row in rows]}


def _note(membership: Membership, verb: str, before: dict[str, object], after: dict[str, object]) -> bool:
    row = audit.record(
        organization_id=membership.organization_id,
        kind="administrator",
        verb=verb,
        name=membership.user.email,
        object_id=membership.pk,
        before=before,
        after=after,
    )
    return row is not None
