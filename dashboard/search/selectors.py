"""Finding: the index for what is configured, the engines' status for what is alive, the catalogue for event codes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from dashboard.core.redis import client, status_key
from dashboard.fleet import selectors as fleet
from dashboard.search.models import Entry
from dashboard.web import navigation
from vpnengine.contract.catalogue import CATALOGUE

LIMIT = 8
MAX_QUERY = 100
_SPI = re.compile(r"^(0x)?([0-9a-f]{8})$")
_COOKIE = re.compile(r"^([0-9a-f]{16})(:[0-9a-f]{16})?$")
_ID = re.compile(rb'"id": ?"([0-9a-fA-F-]{36})"')


@dataclass(frozen=True)
class Hit:
    """One line of the results: what it is, what it is called, why it was found, and its page."""

    kind: str
    title: str
    detail: str
    url: str


def find(access: Any, query: str) -> list[Hit]:
    """What the words lead to, for somebody with this access; nothing of other organizations or closed sites."""
    text = " ".join(query.split())[:MAX_QUERY].casefold()
    if not text:
        return []
    sites = {site.pk: site for site in access.sites_where("monitor")}
    hits = [*_alive(sites, text), *_configured(access, sites, text), *_events(access, text), *_pages(access, text)]
    if sites:
        url = f"{reverse('events')}?{urlencode({'q': text})}"
        hits.append(Hit(_("Event Log"), _("Events with “%(text)s”") % {"text": text}, "", url))
    return hits


def _opened(site: Any, kind: str, target: str) -> str:
    return reverse("search-open", args=[site.uuid, kind, target or site.uuid])


def _configured(access: Any, sites: dict[int, Any], text: str) -> list[Hit]:
    """Exact words first, then what begins so, then what contains it."""
    mine = Entry.objects.filter(organization=access.organization, site_id__in=sites)
    network = _network(text)
    exact = mine.filter(key__in=_containing(network)) if network else mine.filter(key=text)
    found = list(exact.order_by("key")[:LIMIT])
    # A range that does not end in the same characters: everything that begins with the text, by the index.
    for rows in (mine.filter(key__gte=text, key__lt=text + "\U0010ffff"), mine.filter(key__contains=text)):
        if len(found) < LIMIT:
            found += _more(rows, found)
    seen: dict[tuple[str, str], Hit] = {}
    for entry in found:
        hit = _hit(sites[entry.site_id], entry, several=len(access.sites) > 1)
        seen.setdefault((entry.kind if not entry.target else "", hit.url), hit)
    return list(seen.values())[:LIMIT]


def _more(rows: QuerySet[Entry], found: list[Entry]) -> list[Entry]:
    there = {entry.pk for entry in found}
    return [entry for entry in rows.order_by("key")[: 2 * LIMIT] if entry.pk not in there][: LIMIT - len(found)]


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _containing(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> list[str]:
    """The network, the address, and every larger network around it, as they are written."""
    around = [str(network.supernet(new_prefix=length)) for length in range(network.prefixlen, -1, -1)]
    return [str(network.network_address), *around]


def _hit(site: Any, entry: Entry, several: bool) -> Hit:
    words = {
        Entry.Kind.PEER: (_("Peer"), ""),
        Entry.Kind.ADDRESS: (_("Peer"), entry.key),
        Entry.Kind.SUBNET: (_("Peer"), _("behind it: %(subnet)s") % {"subnet": entry.key}),
        Entry.Kind.LOCAL: (_("Local subnet"), entry.key if entry.key != entry.title.casefold() else ""),
        Entry.Kind.USER: (_("VPN user"), ""),
    }
    kind, detail = words[Entry.Kind(entry.kind)]
    page = {Entry.Kind.LOCAL: "local", Entry.Kind.USER: "user"}.get(Entry.Kind(entry.kind), "peer")
    parts = [part for part in (detail, _("at %(site)s") % {"site": site.name} if several else "") if part]
    return Hit(kind, entry.title, ", ".join(parts), _opened(site, page, entry.target))


def _alive(sites: dict[int, Any], text: str) -> list[Hit]:
    """SPIs and cookies of the SAs that are there now, and cookies of negotiations in the Event Log."""
    spi, cookie = _SPI.match(text), _COOKIE.match(text)
    if not spi and not cookie:
        return []
    wanted, kind = (spi[2], _("SPI")) if spi else (cookie[1], _("Cookie"))
    hits = []
    for appliance in fleet.appliances_at(list(sites)):
        peer = _peer_with(appliance.uuid, wanted.encode())
        if peer:
            named = Entry.objects.filter(site_id=appliance.site_id, kind=Entry.Kind.PEER, target=peer)
            name = named.values_list("title", flat=True).first()
            site = sites[appliance.site_id]
            hits.append(Hit(_("Peer"), name or peer, f"{kind} {wanted}", _opened(site, "peer", peer)))
    if cookie:
        url = f"{reverse('events')}?{urlencode({'negotiation': wanted})}"
        hits.append(Hit(_("Event Log"), _("Negotiation %(cookie)s") % {"cookie": wanted}, "", url))
    return hits


def _peer_with(appliance_uuid: UUID, wanted: bytes) -> str:
    """The id of the peer whose part of the status holds this hex number. The status of thousands is not parsed."""
    try:
        raw = client().get(status_key(appliance_uuid)) or b""
    except RedisError:
        return ""
    at = raw.find(b'"' + wanted + b'"')
    if at < 0:
        return ""
    begin = raw.rfind(b'"id":', 0, at)
    found = _ID.match(raw, begin) if begin >= 0 else None
    return found[1].decode() if found else ""


def _events(access: Any, text: str) -> list[Hit]:
    """Event codes by their name or title."""
    if len(text) < 3 or not access.sites_where("monitor"):
        return []
    rows = (entry for entry in CATALOGUE.values() if text in entry.code or text in entry.title.casefold())
    by_code = sorted(rows, key=lambda entry: (not entry.code.startswith(text), entry.code))
    return [
        Hit(_("Event code"), entry.code, entry.title, f"{reverse('events')}?{urlencode({'code': entry.code})}")
        for entry in by_code[:LIMIT]
    ]


def _pages(access: Any, text: str) -> list[Hit]:
    links: Iterable[navigation.Link] = (link for part in navigation.sections("", access.may) for link in part.links)
    return [Hit(_("Page"), str(link.title), "", link.url) for link in links if text in str(link.title).casefold()]
