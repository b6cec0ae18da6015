"""What other pages ask about the other side's configuration."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

from dashboard.fleet import selectors as fleet
from dashboard.peerside.catalogue import BY_KEY, VENDORS
from dashboard.peerside.facts import PLACEHOLDER, OtherSide, mirror
from dashboard.peerside.fit import Fitted, fitted
from dashboard.peerside.vendors import Vendor
from dashboard.publish import services as publishing
from dashboard.sitevpn import services as sitevpn

__all__ = ["VENDORS", "Fitted", "Vendor", "other_side", "our_address", "vendor", "written"]


def vendor(key: str) -> Vendor | None:
    """One kind of gateway."""
    return BY_KEY.get(key)


def our_address(site_id: int, peer_uuid: str = "") -> str:
    """The public address of a site: what is entered there, else what the engine has used towards a peer."""
    entered = sitevpn.public_address(site_id)
    if entered:
        return entered
    for appliance in fleet.appliances_of(site_id):
        with contextlib.suppress(Exception):  # without Redis nothing is known, and the page asks for it
            status: dict[str, Any] = publishing.read_status(appliance.uuid) or {}
            for peer in status.get("peers", []):
                phase1 = peer.get("phase1") or {}
                if peer.get("id") == peer_uuid and phase1.get("nat") not in ("local", "both") and phase1.get("local"):
                    return str(phase1["local"]).rpartition("[")[0] or str(phase1["local"])
    return ""


def other_side(peer: Any, site_name: str, address: str, secret: str = PLACEHOLDER) -> OtherSide:
    """The other gateway's end of a peer of the site-to-site VPN.

    :raises Refused: if the peer is not valid as it is, as without a local subnet.
    """
    side = mirror(sitevpn.peer_config(peer), site_name, address)
    return dataclasses.replace(side, secret=secret)


def written(side: OtherSide, key: str) -> Fitted:
    """The configuration for a kind of gateway."""
    return fitted(side, BY_KEY[key])
