"""Making organizations, and taking turns on a site."""

from __future__ import annotations

from django.db import transaction

from dashboard.fleet.models import Appliance, Membership, Organization, Site


@transaction.atomic
def create_organization(*, name: str, site_name: str, administrator_id: int) -> Appliance:
    """An organization with its first site and the appliance that this dashboard runs on."""
    organization = Organization.objects.create(name=name)
    Membership.objects.create(organization=organization, user_id=administrator_id)
    site = Site.objects.create(organization=organization, name=site_name)
    is_first = not Appliance.objects.filter(is_local=True).exists()
    return Appliance.objects.create(site=site, name=f"{site_name} appliance", is_local=is_first)


def lock_site(site_id: int) -> None:
    """Make others who change the same site wait until this transaction has ended.

    A revision is compiled from all rows of a site. Two transactions that each see the rows
    without the other's change would otherwise publish one document without it.
    """
    Site.objects.select_for_update().get(pk=site_id)
