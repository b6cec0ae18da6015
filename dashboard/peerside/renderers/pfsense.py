"""pfSense: the section ``ipsec`` of its configuration, to be restored by itself."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from dashboard.peerside.facts import OtherSide, Pair
from dashboard.peerside.renderers.words import named, net, numbered, ours
from dashboard.peerside.vendors import Vendor
from vpnengine.contract.identity import IdentityType

_KINDS = {
    IdentityType.IPV4: "address",
    IdentityType.IPV6: "address",
    IdentityType.FQDN: "fqdn",
    IdentityType.USER_FQDN: "user_fqdn",
    IdentityType.KEY_ID: "keyid tag",
}
IKE_ID = "1"


def render(side: OtherSide, vendor: Vendor) -> str:
    """XML, built and escaped by the library."""
    root = ET.Element("ipsec")
    root.append(_phase1(side, vendor))
    for number, pair in numbered(side.pairs):
        root.append(_phase2(side, vendor, number, pair))
    ET.indent(root, "\t")
    return '<?xml version="1.0"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _put(parent: ET.Element, fields: dict[str, object]) -> ET.Element:
    for name, value in fields.items():
        child = ET.SubElement(parent, name)
        if isinstance(value, dict):
            _put(child, value)
        else:
            child.text = str(value)
    return parent


def _phase1(side: OtherSide, vendor: Vendor) -> ET.Element:
    mine = named(side.local_identity, _KINDS)
    yours = named(side.remote_identity, _KINDS)
    if side.remote_identity and side.remote_identity.value == side.remote_address:
        yours = None
    phase1 = _put(
        ET.Element("phase1"),
        {
            "ikeid": IKE_ID,
            "iketype": "ikev1",
            "mode": side.exchange,
            "interface": "wan",
            "protocol": "inet6" if ":" in side.remote_address else "inet",
            "remote-gateway": ours(side),
            "myid_type": mine[0] if mine else "myaddress",
            "myid_data": mine[1] if mine else "",
            "peerid_type": yours[0] if yours else "peeraddress",
            "peerid_data": yours[1] if yours else "",
            "lifetime": side.ike_lifetime,
            "authentication_method": "pre_shared_key",
            "pre-shared-key": side.secret,
            "nat_traversal": "force" if side.forced_nat else "on",
            "mobike": "off",
            "descr": side.name(),
        },
    )
    if side.dpd_delay:
        _put(phase1, {"dpd_delay": side.dpd_delay, "dpd_maxfail": side.dpd_failures})
    encryption = ET.SubElement(phase1, "encryption")
    for one in side.ike:
        name, _, size = vendor.ike_encryption[one.encryption].partition(" ")
        item = {
            "encryption-algorithm": {"name": name, **({"keylen": size} if size else {})},
            "hash-algorithm": vendor.hashes[one.hash],
            "dhgroup": vendor.groups[one.group],
        }
        _put(ET.SubElement(encryption, "item"), item)
    return phase1


def _phase2(side: OtherSide, vendor: Vendor, number: int, pair: Pair) -> ET.Element:
    phase2 = _put(
        ET.Element("phase2"),
        {
            "ikeid": IKE_ID,
            "uniqid": f"{side.name()}-{number}",
            "reqid": number,
            "mode": "tunnel6" if net(pair.local).version == 6 else "tunnel",
            "localid": _network(pair.local),
            "remoteid": _network(pair.remote),
            "protocol": "esp",
            "pfsgroup": vendor.groups[side.pfs] if side.pfs else "0",
            "lifetime": side.esp_lifetime,
            "descr": f"{pair.local} {pair.remote}",
        },
    )
    # Each cipher and each hash once: pfSense combines them.
    for cipher in dict.fromkeys(vendor.esp_encryption[one.encryption] for one in side.esp):
        name, _, size = cipher.partition(" ")
        _put(ET.SubElement(phase2, "encryption-algorithm-option"), {"name": name, **({"keylen": size} if size else {})})
    for one in dict.fromkeys(vendor.integrity[one.integrity] for one in side.esp if one.integrity):
        ET.SubElement(phase2, "hash-algorithm-option").text = one
    return phase2


def _network(subnet: str) -> dict[str, object]:
    network = net(subnet)
    return {"type": "network", "address": network.network_address, "netbits": network.prefixlen}
