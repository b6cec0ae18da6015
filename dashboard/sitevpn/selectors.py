"""Questions about a site's VPN."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Lower
from django.shortcuts import get_object_or_404

from dashboard.sitevpn.models import LocalSubnet, Peer, VpnUser

_WATCHED = ("uuid", "name", "remote", "remote_subnets", "options", "remote_access", "enabled", "site_id", "tags_text")


def subnets(site_id: int) -> list[LocalSubnet]:
    """The local subnets of a site."""
    return list(LocalSubnet.objects.filter(site_id=site_id).order_by("id"))


def peers(site_id: int) -> list[Peer]:
    """The peers of a site."""
    return list(Peer.objects.filter(site_id=site_id).order_by("name"))


def peers_after(site_id: int, after: UUID | None, limit: int) -> list[Peer]:
    """At most ``limit`` peers in the order in which they were added, from the one after ``after`` on."""
    rows = Peer.objects.filter(site_id=site_id).order_by("id")
    if after is not None:
        rows = rows.filter(id__gt=get_object_or_404(Peer, site_id=site_id, uuid=after).pk)
    return list(rows[:limit])


def peer(site_id: int, uuid: UUID) -> Peer:
    """One peer of this site; a foreign one does not exist.

    :raises Http404: if there is none.
    """
    return get_object_or_404(Peer, site_id=site_id, uuid=uuid)


def peer_at(site_ids: list[int], uuid: UUID) -> Peer:
    """One peer at one of these sites.

    :raises Http404: if there is none.
    """
    return get_object_or_404(Peer, site_id__in=site_ids, uuid=uuid)


def watched() -> list[dict[str, Any]]:
    """Every peer of every organization, as those who watch it need it: see ``watch_row``."""
    rows = Peer.objects.annotate(organization=F("site__organization_id")).only(*_WATCHED).order_by("id")
    return [watch_row(row, row.organization) for row in rows]


def watch_row(peer: Peer, organization_id: int) -> dict[str, Any]:
    """``peer`` (its uuid), name, remote, behind, tags, enabled, site_id and organization_id."""
    return {
        "peer": peer.uuid,
        "name": peer.name,
        "remote": peer.remote,
        "behind": peer.behind,
        "tags": "".join(f" {tag} " for tag in getattr(peer, "tags", ()) or ()),
        "enabled": peer.enabled,
        "site_id": peer.site_id,
        "organization_id": organization_id,
    }


def names_of(organization_id: int, uuids: list[str]) -> dict[str, str]:
    """The names of some peers of an organization, by uuid."""
    rows = Peer.objects.filter(site__organization_id=organization_id, uuid__in=uuids).values_list("uuid", "name")
    return {str(uuid): name for uuid, name in rows}


def peers_named(organization_id: int, names: list[str]) -> dict[str, list[str]]:
    """The uuids of an organization's peers with these names, by the name in lower case; sites may share a name."""
    rows = Peer.objects.filter(site__organization_id=organization_id).annotate(lower=Lower("name"))
    found: dict[str, list[str]] = {}
    for uuid, lower in rows.filter(lower__in=[name.lower() for name in names]).values_list("uuid", "lower"):
        found.setdefault(lower, []).append(str(uuid))
    return found


def users(site_id: int) -> list[VpnUser]:
    """The users of a site who may log in by XAUTH."""
    return list(VpnUser.objects.filter(site_id=site_id).order_by("name"))


def user(site_id: int, uuid: UUID) -> VpnUser:
    """One user of this site.

    :raises Http404: if there is none.
    """
    return get_object_or_404(VpnUser, site_id=site_id, uuid=uuid)


def find_peers(sites: Iterable[int], text: str, limit: int) -> list[Peer]:
    """Peers of some sites whose name has a text."""
    found = Peer.objects.filter(site_id__in=list(sites))
    if text:
        found = found.filter(name__icontains=text)
    return list(found.only("uuid", "name").order_by("name")[:limit])


def peer_names(sites: Iterable[int], uuids: Iterable[str]) -> dict[str, str]:
    """UUID → name of those that are peers of some sites; what is no UUID is none of them."""
    known = []
    for text in uuids:
        with suppress(ValueError):
            known.append(UUID(text))
    found = Peer.objects.filter(site_id__in=list(sites), uuid__in=known[:100])
    return {str(uuid): name for uuid, name in found.values_list("uuid", "name")}
