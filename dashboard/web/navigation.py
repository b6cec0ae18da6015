"""The menu as data: which pages there are, how they are grouped, and who sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch

from django.urls import NoReverseMatch, resolve, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.core.permissions import needs_of
from dashboard.core.roles import Permission


@dataclass(frozen=True)
class Entry:
    """One page of the menu.

    ``url_name`` needs no arguments; an entry whose address does not exist is not shown. ``covers`` are patterns of
    further address names that belong to the entry, so that it is marked while one of them is open. What the role has to
    allow is what the page's view declares; ``permission`` may name something else.
    """

    title: str | Promise
    url_name: str
    icon: str = "dot"
    permission: str = ""
    covers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Entries under one heading."""

    title: str | Promise
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Link:
    """An entry as one page shows it."""

    title: str | Promise
    url: str
    icon: str
    current: bool


@dataclass(frozen=True)
class Section:
    """A group as one page shows it; ``key`` names its heading."""

    title: str | Promise
    key: str
    links: list[Link] = field(default_factory=list)


MENU = (
    Group(
        _("Monitor"),
        (
            Entry(_("Overview"), "overview", "overview", covers=("overview-*",)),
            Entry(_("VPN status"), "status", "status", covers=("status-*",)),
            Entry(_("Event Log"), "events", "events", covers=("events-*",)),
        ),
    ),
    Group(
        _("Configure"),
        (
            Entry(
                _("Site-to-site VPN"), "sitevpn", "vpn", covers=("peer", "peer-*", "sitevpn-*", "other-side", "peers-*")
            ),
            Entry(_("VPN users"), "vpn-users", "users", covers=("vpn-user-*",)),
            Entry(_("Policies"), "policies", "policies", covers=("policy", "policy-*")),
            Entry(_("VPN firewall"), "firewall", "firewall", covers=("firewall-*",)),
            Entry(_("Configuration"), "configuration", "history", covers=("configuration-*",)),
        ),
    ),
    Group(
        _("Tools"),
        (
            Entry(_("Ping and traceroute"), "tools", "tools", covers=("tools-*",)),
            Entry(_("Packet capture"), "captures", "capture", covers=("capture", "capture-*")),
            Entry(_("Secrets"), "secrets", "secrets", covers=("secret-*",)),
        ),
    ),
    Group(
        _("Organization"),
        (
            Entry(_("Sites and appliances"), "sites", "sites", covers=("site", "site-*", "appliance-*")),
            Entry(_("Administrators"), "administrators", "administrators", covers=("administrator", "administrator-*")),
            Entry(_("Sign-ins"), "sign-ins", "users"),
            Entry(_("API keys"), "api-keys", "key", covers=("api-key-*",)),
            Entry(_("Change log"), "changelog", "changes", covers=("changelog-*",)),
            Entry(_("Alerts"), "alerts", "alerts", covers=("alert-*",)),
            Entry(_("Syslog export"), "syslog", "export", covers=("syslog-*",)),
            Entry(_("Support bundle"), "support", "support", covers=("support-*",)),
            Entry(_("Settings"), "organization", "settings", covers=("organization-*",)),
        ),
    ),
)


def address(url_name: str) -> str | None:
    """Where a page is; None if there is no such page."""
    try:
        return reverse(url_name)
    except NoReverseMatch:
        return None


def needed_at(url: str) -> str:
    """The permission that a page's view declares for being looked at."""
    declared = needs_of(resolve(url).func) or {}
    return str(declared.get("GET", Permission.ORGANIZATION_EDIT))


def _covers(entry: Entry, page: str) -> bool:
    return page == entry.url_name or any(fnmatch(page, pattern) for pattern in entry.covers)


def sections(page: str, allows: Callable[[str], bool]) -> list[Section]:
    """The menu for whoever ``allows`` (permission → may) speaks of, with the entry of ``page``, a url name, marked."""
    found = []
    for number, group in enumerate(MENU):
        section = Section(group.title, f"menu-{number}")
        for entry in group.entries:
            url = address(entry.url_name)
            if url and allows(entry.permission or needed_at(url)):
                section.links.append(Link(entry.title, url, entry.icon, _covers(entry, page)))
        if section.links:
            found.append(section)
    return found
