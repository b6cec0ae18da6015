"""Making, using and removing API keys."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from dashboard.accounts.access import Access, reachable
from dashboard.api.models import ApiKey
from dashboard.audit import services as audit
from dashboard.core.roles import Grant, OrganizationRole, SiteRole
from dashboard.fleet import selectors as fleet

MARK = "culvert_"
_NOTED_EVERY = timedelta(minutes=1)


class NameTaken(Exception):
    """The organization has a key of this name already."""


@transaction.atomic
def make(
    *, organization_id: int, name: str, role: str, sites: dict[int, str], days: int | None, by_id: int | None
) -> str:
    """A new key, which is told once; ``days`` until it expires, None for never.

    Its 256 random bits need no slow hash: there is nothing to guess.

    :raises NameTaken: if there is one of this name.
    """
    if ApiKey.objects.filter(organization_id=organization_id, name=name).exists():
        raise NameTaken
    key = MARK + secrets.token_urlsafe(32)
    row = ApiKey.objects.create(
        organization_id=organization_id,
        name=name,
        prefix=key[:12],
        key_hash=_hash(key),
        role=OrganizationRole(role).value,
        sites={str(pk): SiteRole(value).value for pk, value in sites.items()},
        created_by_id=by_id,
        expires=timezone.now() + timedelta(days=days) if days else None,
    )
    after = {"role": row.role, "sites": row.sites, "expires": row.expires, "begins with": row.prefix}
    audit.record(organization_id=organization_id, kind="API key", verb="added", name=name, after=after)
    return key


@transaction.atomic
def remove(organization_id: int, pk: int) -> bool:
    """Make a key useless at once; False if the organization has no such key."""
    row = ApiKey.objects.filter(organization_id=organization_id, pk=pk).first()
    if row is None:
        return False
    before = {"role": row.role, "sites": row.sites}
    audit.record(organization_id=organization_id, kind="API key", verb="removed", name=row.name, before=before)
    row.delete()
    return True


def keys_of(organization_id: int) -> list[ApiKey]:
    """The keys of an organization by name."""
    return list(ApiKey.objects.filter(organization_id=organization_id).select_related("created_by").order_by("name"))


def find(key: str, address: str | None) -> ApiKey | None:
    """The row of a key that is good; its use is noted once a minute."""
    now = timezone.now()
    good = Q(expires=None) | Q(expires__gt=now)
    row = ApiKey.objects.select_related("organization").filter(good, key_hash=_hash(key)).first()
    if row is not None and (row.last_used is None or now - row.last_used > _NOTED_EVERY):
        ApiKey.objects.filter(pk=row.pk).update(last_used=now, last_address=address)
    return row


def access_of(row: ApiKey, site: str | None) -> Access | None:
    """What a key may do, at a site if one is named; None if it cannot reach that site."""
    grant = Grant(OrganizationRole(row.role), {int(pk): SiteRole(role) for pk, role in row.sites.items()})
    sites = tuple(reachable(fleet.sites_of(row.organization), grant))
    chosen: Any = next((item for item in sites if item.uuid == UUID(site)), None) if site else None
    if site is not None and chosen is None:
        return None
    return Access(
        organization=row.organization, grant=grant, sites=sites, site=chosen, organizations=(row.organization,)
    )


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
