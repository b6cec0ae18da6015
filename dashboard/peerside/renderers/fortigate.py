"""FortiGate: a tunnel interface with its routes and policies."""

from __future__ import annotations

from dashboard.peerside.facts import OtherSide
from dashboard.peerside.renderers.words import masked, net, numbered, ours, starts
from dashboard.peerside.vendors import Vendor
from vpnengine.contract.identity import IdentityType

_LOCAL_ID = {
    IdentityType.IPV4: "address",
    IdentityType.IPV6: "address",
    IdentityType.FQDN: "fqdn",
    IdentityType.USER_FQDN: "user-fqdn",
    IdentityType.KEY_ID: "keyid",
}
MAX_NAME = 15  # of an interface
Section = tuple[str, list[tuple[str, list[str]]]]


def render(side: OtherSide, vendor: Vendor) -> str:
    """``config`` blocks to paste into the console."""
    name = side.name(MAX_NAME)
    sections: list[Section] = [
        ("vpn ipsec phase1-interface", [(name, _phase1(side, vendor))]),
        ("vpn ipsec phase2-interface", _phase2(side, vendor, name)),
        ("firewall address", _addresses(side, name)),
        ("firewall policy", _policies(side, name)),
    ]
    for word, version in (("router static", 4), ("router static6", 6)):
        far = [subnet for subnet in side.remote_subnets if net(subnet).version == version]
        routes = [("0", [f"dst {masked(subnet)}", f'device "{name}"']) for subnet in far]
        sections += [(word, routes)] if routes else []
    return "".join(_section(*section) for section in sections)


def _section(title: str, edits: list[tuple[str, list[str]]]) -> str:
    lines = [f"config {title}"]
    for key, settings in edits:
        lines.append(f"    edit {key}" if key.isdecimal() else f'    edit "{key}"')
        lines += [f"        set {setting}" for setting in settings]
        lines.append("    next")
    return "\n".join([*lines, "end"]) + "\n"


def _phase1(side: OtherSide, vendor: Vendor) -> list[str]:
    proposals = dict.fromkeys(f"{vendor.ike_encryption[one.encryption]}-{vendor.hashes[one.hash]}" for one in side.ike)
    identity = side.local_identity
    peer = side.remote_identity if side.exchange == "aggressive" else None
    return [
        'interface "wan1"',
        "ike-version 1",
        f"mode {side.exchange}",
        *(["peertype one", f'peerid "{peer.value}"'] if peer else ["peertype any"]),
        "net-device disable",
        f"proposal {' '.join(proposals)}",
        f"dhgrp {' '.join(vendor.groups[group] for group in side.groups)}",
        f"keylife {side.ike_lifetime}",
        f"nattraversal {'forced' if side.forced_nat else 'enable'}",
        f"remote-gw {ours(side)}",
        *([f"localid-type {_LOCAL_ID[identity.type]}", f'localid "{identity.value}"'] if identity else []),
        f'psksecret "{side.secret}"',
        *(
            ["dpd on-idle", f"dpd-retrycount {min(10, side.dpd_failures)}", f"dpd-retryinterval {side.dpd_delay}"]
            if side.dpd_delay
            else ["dpd disable"]
        ),
    ]


def _phase2(side: OtherSide, vendor: Vendor, name: str) -> list[tuple[str, list[str]]]:
    proposals = []
    for one in side.esp:
        cipher = vendor.esp_encryption[one.encryption]
        proposals.append(f"{cipher}-{vendor.integrity[one.integrity]}" if one.integrity else cipher)
    pfs = ["pfs enable", f"dhgrp {vendor.pfs_groups[side.pfs]}"] if side.pfs else ["pfs disable"]
    life = [f"keylifeseconds {side.esp_lifetime}"]
    if side.esp_lifetime_kb:
        life = ["keylife-type both", *life, f"keylifekbs {side.esp_lifetime_kb}"]
    found = []
    for number, pair in numbered(side.pairs):
        six = net(pair.local).version == 6
        kinds = ["src-addr-type subnet6", "dst-addr-type subnet6"] if six else []
        tail = "6" if six else ""
        found.append(
            (
                f"{name}-{number}",
                [
                    f'phase1name "{name}"',
                    f"proposal {' '.join(proposals)}",
                    *pfs,
                    *life,
                    *(["auto-negotiate enable"] if starts(side) else []),
                    *kinds,
                    f"src-subnet{tail} {masked(pair.local)}",
                    f"dst-subnet{tail} {masked(pair.remote)}",
                ],
            )
        )
    return found


def _four(subnets: tuple[str, ...]) -> list[str]:
    return [subnet for subnet in subnets if net(subnet).version == 4]


def _addresses(side: OtherSide, name: str) -> list[tuple[str, list[str]]]:
    found = []
    for end, subnets in (("here", side.local_subnets), ("there", side.remote_subnets)):
        for number, subnet in enumerate(_four(subnets), 1):
            found.append((f"{name}-{end}-{number}", [f"subnet {masked(subnet)}"]))
    return found


def _policies(side: OtherSide, name: str) -> list[tuple[str, list[str]]]:
    here = [f"{name}-here-{number}" for number in range(1, len(_four(side.local_subnets)) + 1)]
    there = [f"{name}-there-{number}" for number in range(1, len(_four(side.remote_subnets)) + 1)]
    if not here or not there:
        return []
    found = []
    for source, target, sources, targets in (("internal", name, here, there), (name, "internal", there, here)):
        found.append(
            (
                "0",
                [
                    f'srcintf "{source}"',
                    f'dstintf "{target}"',
                    f"srcaddr {_quoted(sources)}",
                    f"dstaddr {_quoted(targets)}",
                    "action accept",
                    'schedule "always"',
                    'service "ALL"',
                ],
            )
        )
    return found


def _quoted(names: list[str]) -> str:
    return " ".join(f'"{name}"' for name in names)
