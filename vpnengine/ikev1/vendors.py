"""Vendor ids: what we announce, and what the peer's announcements mean (RFC 2408 section 3.16)."""

from __future__ import annotations

from vpnengine.ikev1 import natt
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.model import IsakmpSa
from vpnengine.ikev1.states import Role
from vpnengine.isakmp.message import Payloads
from vpnengine.isakmp.payloads import Payload, VendorId

DPD_PREFIX = bytes.fromhex("afcad71368a1f1c96b8696fc7757")  # the version follows
DPD = DPD_PREFIX + b"\x01\x00"
FRAGMENTATION_PREFIX = bytes.fromhex("4048b7d56ebce88525e7de7f00d6c2d3")  # a word of capabilities may follow
FRAGMENTATION = FRAGMENTATION_PREFIX + b"\x80\x00\x00\x00"
XAUTH = bytes.fromhex("09002689dfd6b712")
UNITY_PREFIX = bytes.fromhex("12f5f28c457168a9702d9fe274cc")  # the version follows
UNITY = UNITY_PREFIX + b"\x01\x00"
KNOWN: tuple[tuple[bytes, str], ...] = (
    *((version.vendor, version.name) for version in natt.VERSIONS),
    (DPD_PREFIX, "DPD"),
    (FRAGMENTATION_PREFIX, "FRAGMENTATION"),
    (XAUTH, "XAUTH"),
    (UNITY_PREFIX, "CISCO-UNITY"),
    (bytes.fromhex("1f07f70eaa6514d3b0fa96542a50"), "CISCO-VPN3000"),
    (bytes.fromhex("1e2b516905991c7d7c96fcbfb587e461"), "MS NT5 ISAKMPOAKLEY"),
    (bytes.fromhex("1d6e178f6c2c0be284985465450fe9d4"), "FORTIGATE"),
    (bytes.fromhex("fd808804df73b15150709d878044cde0ac1efcde"), "JUNIPER-SRX"),
    (bytes.fromhex("699369228741c6d4ca094c93e242c9de19e7b7c6"), "NETSCREEN"),
    (bytes.fromhex("f4ed19e0c114eb516faaac0ee37daf2807b4381f"), "CHECK-POINT"),
    (bytes.fromhex("5b362bc820f6"), "SONICWALL"),
    (bytes.fromhex("404bf439522ca3f6"), "SONICWALL"),
    (bytes.fromhex("da8e937880010000"), "SONICWALL"),
    (bytes.fromhex("7003cbc1097dbe9c2600ba6983bc8b35"), "racoon"),
)


def ours(sa: IsakmpSa) -> list[Payload]:
    """The vendor ids of our first message.

    The responder answers with the one NAT traversal version that is chosen (RFC 3947 section 3.1).
    """
    config = sa.peer.config
    versions = natt.allowed(config.nat_traversal)
    if sa.role is Role.RESPONDER:
        versions = (sa.natt,) if sa.natt else ()
    found = [VendorId(version.vendor) for version in versions] + [VendorId(DPD)]
    if config.fragmentation != "off":
        found.append(VendorId(FRAGMENTATION))
    if config.xauth is not None:
        found.append(VendorId(XAUTH))
    if config.mode_config is not None and config.mode_config.unity:
        found.append(VendorId(UNITY))
    return [*found]


def name_of(vendor: VendorId) -> str | None:
    """The name of a known vendor id. Ids match by prefix, as a version may follow."""
    return next((name for prefix, name in KNOWN if vendor.data.startswith(prefix)), None)


def note(core: Core, sa: IsakmpSa, payloads: Payloads) -> None:
    """Note what the peer says it can do. The NAT traversal version stays once it is used."""
    found = payloads.all(VendorId)
    if sa.natt is None:
        sa.natt = natt.best(sa.peer.config.nat_traversal, (vendor.data for vendor in found))
    for vendor in found:
        if vendor.data.startswith(DPD_PREFIX):
            sa.peer_has_dpd = True
        if vendor.data.startswith(FRAGMENTATION_PREFIX):
            sa.peer_has_fragmentation = True
        if vendor.data.startswith(UNITY_PREFIX):
            sa.peer_has_unity = True
        name = name_of(vendor)
        if name and name not in sa.vendors:
            sa.vendors.append(name)
            core.emit("ike.vendor", sa=sa, name=name)
