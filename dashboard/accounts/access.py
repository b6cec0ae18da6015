"""Who asks, for which organization and site, and what they may do there: ``request.access``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dashboard.core.roles import Grant, Permission, SiteRole, who_could
from dashboard.fleet import selectors as fleet

ORGANIZATION_KEY, SITE_KEY = "organization", "site"


@dataclass(frozen=True)
class Access:
    """One organization, the sites of it that are accessible, the chosen one, and the roles there.

    Every query of a view starts at ``organization`` or ``site``, so that nothing of another
    organization or of a site without a role can be found.
    """

    organization: Any = None
    grant: Grant = field(default_factory=Grant)
    sites: tuple[Any, ...] = ()
    site: Any = None
    organizations: tuple[Any, ...] = ()

    def may(self, permission: str, site_id: int | None = None) -> bool:
        """Whether this is permitted at a site, by default the chosen one."""
        return self.grant.may(Permission(permission), site_id or (self.site.pk if self.site else None))

    def sites_where(self, permission: str) -> list[Any]:
        """The accessible sites at which this is permitted."""
        return [site for site in self.sites if self.grant.may(Permission(permission), site.pk)]

    @property
    def role(self) -> str:
        """The role at the chosen site, in words."""
        return self.grant.label(self.site.pk if self.site else None)

    @property
    def appliance_ids(self) -> set[int] | None:
        """The appliances whose events may be seen; None: all of the organization."""
        if self.grant.everywhere or self.organization is None:
            return None
        return fleet.appliance_ids({site.pk for site in self.sites})


class May:
    """For templates: ``{% if may.edit %}``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def __getitem__(self, permission: str) -> bool:
        return self._access.may(permission)


class WhoCould:
    """For templates: ``{{ who_could.edit }}``."""

    def __getitem__(self, permission: str) -> str:
        return who_could(Permission(permission))


def access_for(user_id: int | None, session: Any) -> Access:
    """The access of a user with what the session has chosen; the first organization and site otherwise."""
    memberships = fleet.memberships(user_id)
    if not memberships:
        return Access()
    chosen = str(session.get(ORGANIZATION_KEY, ""))
    membership = next((row for row in memberships if str(row.organization.uuid) == chosen), memberships[0])
    grant = fleet.grant_of(membership)
    sites = reachable(fleet.sites_of(membership.organization), grant)
    wanted = str(session.get(SITE_KEY, ""))
    return Access(
        organization=membership.organization,
        grant=grant,
        sites=tuple(sites),
        site=next((site for site in sites if str(site.uuid) == wanted), sites[0] if sites else None),
        organizations=tuple(row.organization for row in memberships),
    )


def reachable(sites: Iterable[Any], grant: Grant) -> list[Any]:
    """Those of an organization's sites that a grant reaches."""
    return [site for site in sites if grant.everywhere or isinstance(grant.sites.get(site.pk), SiteRole)]


def choose(request: Any, organization: str, site: str) -> bool:
    """Keep a choice of organization and site in the session; False if it is not among the user's own."""
    probe = access_for(request.user.pk, {ORGANIZATION_KEY: organization, SITE_KEY: site})
    if probe.organization is None or str(probe.organization.uuid) != organization:
        return False
    if site and (probe.site is None or str(probe.site.uuid) != site):
        return False
    request.session[ORGANIZATION_KEY], request.session[SITE_KEY] = organization, site
    return True


def context(request: Any) -> dict[str, Any]:
    """For every template: ``access``, ``may``, ``who_could``, and what scripts are told."""
    access = getattr(request, "access", None) or Access()
    held = [permission.value for permission in Permission if access.may(permission)]
    return {"access": access, "may": May(access), "who_could": WhoCould(), "held_permissions": " ".join(held)}
