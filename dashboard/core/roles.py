"""Roles and permissions: who may do what, in an organization and at its sites.

The roles are those that administrators of a Meraki dashboard know. A permission is what a view
asks for; a role is a set of permissions. Nothing else in the dashboard compares roles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class Permission(StrEnum):
    """What a view may ask for. The first two need no role."""

    OPEN = "open"  # anybody, without a sign-in
    SIGNED_IN = "signed_in"  # one's own account
    MONITOR = "monitor"  # status and events of a site
    READ = "read"  # a site's configuration
    OPERATE = "operate"  # bring tunnels up and down, test, capture
    EDIT = "edit"  # change a site's configuration
    ORGANIZATION_READ = "organization_read"  # administrators, keys, change log
    ORGANIZATION_EDIT = "organization_edit"


class OrganizationRole(StrEnum):
    """What an administrator may do in the whole organization."""

    FULL = "full"
    READ_ONLY = "read-only"
    NONE = "none"  # only at the sites that are named


class SiteRole(StrEnum):
    """What an administrator may do at one site."""

    FULL = "full"
    READ_ONLY = "read-only"
    MONITOR_ONLY = "monitor-only"


ORGANIZATION_LABELS = {
    OrganizationRole.FULL: gettext_lazy("Organization: full"),
    OrganizationRole.READ_ONLY: gettext_lazy("Organization: read-only"),
    OrganizationRole.NONE: gettext_lazy("Only the sites below"),
}
SITE_LABELS = {
    SiteRole.FULL: gettext_lazy("Site: full"),
    SiteRole.READ_ONLY: gettext_lazy("Site: read-only"),
    SiteRole.MONITOR_ONLY: gettext_lazy("Site: monitor-only"),
}

_P = Permission
SITE_PERMISSIONS: dict[SiteRole, frozenset[Permission]] = {
    SiteRole.FULL: frozenset({_P.MONITOR, _P.READ, _P.OPERATE, _P.EDIT}),
    SiteRole.READ_ONLY: frozenset({_P.MONITOR, _P.READ}),
    SiteRole.MONITOR_ONLY: frozenset({_P.MONITOR}),
}
ORGANIZATION_PERMISSIONS: dict[OrganizationRole, frozenset[Permission]] = {
    OrganizationRole.FULL: frozenset(Permission),
    OrganizationRole.READ_ONLY: frozenset({_P.MONITOR, _P.READ, _P.ORGANIZATION_READ}),
    OrganizationRole.NONE: frozenset(),
}
WITHOUT_ROLE = frozenset({Permission.OPEN, Permission.SIGNED_IN})


@dataclass(frozen=True)
class Grant:
    """The roles of one administrator or API key in one organization; sites are told by their row's id."""

    organization: OrganizationRole = OrganizationRole.NONE
    sites: Mapping[int, SiteRole] = field(default_factory=dict)

    @property
    def everywhere(self) -> bool:
        """True if the grant reaches every site of the organization."""
        return self.organization != OrganizationRole.NONE

    def may(self, permission: Permission, site_id: int | None) -> bool:
        """Whether the grant holds a permission; ``site_id`` is where, None if no site is meant."""
        held = WITHOUT_ROLE | ORGANIZATION_PERMISSIONS[self.organization]
        if site_id in self.sites:
            held |= SITE_PERMISSIONS[self.sites[site_id]]
        return permission in held

    def label(self, site_id: int | None) -> str:
        """The role at a site in words: the one that permits most."""
        at_site = self.sites.get(site_id) if site_id is not None else None
        if at_site is None or SITE_PERMISSIONS[at_site] <= ORGANIZATION_PERMISSIONS[self.organization]:
            return str(ORGANIZATION_LABELS[self.organization])
        return str(SITE_LABELS[at_site])


def holders(permission: Permission) -> list[str]:
    """The labels of the roles that hold a permission, the widest first."""
    found = [str(ORGANIZATION_LABELS[role]) for role, held in ORGANIZATION_PERMISSIONS.items() if permission in held]
    return found + [str(SITE_LABELS[role]) for role, held in SITE_PERMISSIONS.items() if permission in held]


def who_could(permission: Permission) -> str:
    """A sentence for somebody who may not: which roles could."""
    return _("Needs the role %(roles)s.") % {"roles": _(" or ").join(f"“{label}”" for label in holders(permission))}
