"""What the search finds of a site's VPN."""

from __future__ import annotations

from collections.abc import Iterator

from dashboard.search.services import Word, reindex
from dashboard.sitevpn.models import LocalSubnet, Peer, VpnUser


def index(site_id: int) -> None:
    """Bring the search up to date with a site's rows."""
    reindex(site_id, words(site_id))


def words(site_id: int) -> Iterator[Word]:
    """Each name, address and subnet with what it leads to."""
    columns = ("uuid", "name", "remote", "remote_subnets", "options", "local_identity", "remote_identity")
    for uuid, name, remote, subnets, options, *identities in Peer.objects.filter(site_id=site_id).values_list(*columns):
        target = str(uuid)
        yield Word("peer", name, name, target)
        for address in (remote, *options.get("alternates", ()), *identities):
            if address:
                yield Word("address", address, name, target)
        for subnet in (*subnets, *(row["remote"] for row in options.get("selectors", ()))):
            yield Word("subnet", subnet, name, target)
    for subnet, name in LocalSubnet.objects.filter(site_id=site_id).values_list("subnet", "name"):
        yield Word("local", subnet, name or subnet, "")
        if name:
            yield Word("local", name, name, "")
    for uuid, name in VpnUser.objects.filter(site_id=site_id).values_list("uuid", "name"):
        yield Word("user", name, name, str(uuid))
