"""Cisco: ASA, and IOS-XE."""

from __future__ import annotations

from dashboard.peerside.facts import OtherSide, Pair
from dashboard.peerside.renderers.words import masked, ours, wild
from dashboard.peerside.vendors import Vendor
from vpnengine.contract.identity import IdentityType
from vpnengine.contract.policies import EspProposal

FIRST = 10  # the number of the first policy and of the crypto map's entry


def asa(side: OtherSide, vendor: Vendor) -> str:
    """A crypto map, with the exemption from address translation that tunnels need."""
    name, peer = side.name(), ours(side)
    lines = []
    for number, one in enumerate(side.ike):
        lines += [
            f"crypto ikev1 policy {FIRST + number}",
            " authentication pre-share",
            f" encryption {vendor.ike_encryption[one.encryption]}",
            f" hash {vendor.hashes[one.hash]}",
            f" group {vendor.groups[one.group]}",
            f" lifetime {side.ike_lifetime}",
        ]
    for end, subnets in (("local", side.local_subnets), ("remote", side.remote_subnets)):
        lines.append(f"object-group network {name}-{end}")
        lines += [f" network-object {masked(subnet)}" for subnet in subnets]
    lines += [f"access-list {name} extended permit {_matched(pair)}" for pair in side.pairs]
    sets = []
    for one in side.esp:
        sets.append(f"{name}-{one}")
        lines.append(f"crypto ipsec ikev1 transform-set {sets[-1]} {_transform(one, vendor)}")
    entry = f"crypto map outside_map {FIRST}"
    lines += [
        f"{entry} match address {name}",
        f"{entry} set peer {peer}",
        f"{entry} set ikev1 transform-set {' '.join(sets)}",
        *([f"{entry} set ikev1 phase1-mode aggressive"] if side.exchange == "aggressive" else []),
        *([f"{entry} set pfs group{vendor.groups[side.pfs]}"] if side.pfs else []),
        f"{entry} set security-association lifetime seconds {side.esp_lifetime}",
        *(
            [f"{entry} set security-association lifetime kilobytes {side.esp_lifetime_kb}"]
            if side.esp_lifetime_kb
            else []
        ),
        "crypto map outside_map interface outside",
        "crypto ikev1 enable outside",
    ]
    if side.local_identity is not None and side.local_identity.type is IdentityType.KEY_ID:
        lines.append(f"crypto isakmp identity key-id {side.local_identity.value}")
    group = _tunnel_group(side)
    lines += [
        f"nat (inside,outside) source static {name}-local {name}-local destination static {name}-remote {name}-remote "
        "no-proxy-arp route-lookup",
        f"tunnel-group {group} type ipsec-l2l",
        f"tunnel-group {group} ipsec-attributes",
        f" ikev1 pre-shared-key {_word(side.secret)}",
        *(
            [f" isakmp keepalive threshold {max(10, side.dpd_delay)} retry 2"]
            if side.dpd_delay
            else [" isakmp keepalive disable"]
        ),
    ]
    return "\n".join(lines) + "\n"


def _tunnel_group(side: OtherSide) -> str:
    """In aggressive mode the group is found by the name that the peer says, in main mode by its address."""
    if side.exchange == "aggressive" and side.remote_identity is not None:
        return side.remote_identity.value
    return ours(side)


def _matched(pair: Pair) -> str:
    return f"ip {masked(pair.local)} {masked(pair.remote)}"


def _transform(one: EspProposal, vendor: Vendor) -> str:
    cipher = vendor.esp_encryption[one.encryption]
    return f"{cipher} {vendor.integrity[one.integrity]}" if one.integrity else cipher


def _word(secret: str) -> str:
    """A secret has no spaces here; the words in its place become one word."""
    return secret.replace(" ", "_")


def ios_xe(side: OtherSide, vendor: Vendor) -> str:
    """A crypto map with a profile, which carries the identities."""
    name, peer = side.name(), ours(side)
    lines = []
    for number, one in enumerate(side.ike):
        lines += [
            f"crypto isakmp policy {FIRST + number}",
            f" encryption {vendor.ike_encryption[one.encryption]}",
            f" hash {vendor.hashes[one.hash]}",
            " authentication pre-share",
            f" group {vendor.groups[one.group]}",
            f" lifetime {side.ike_lifetime}",
        ]
    lines += [
        f"crypto keyring {name}",
        f"  pre-shared-key {_key_owner(side)} key {_word(side.secret)}",
        *(
            [f"crypto isakmp keepalive {max(10, side.dpd_delay)} {side.dpd_failures} periodic"]
            if side.dpd_delay
            else []
        ),
        f"crypto isakmp profile {name}",
        f"   keyring {name}",
        *_self_identity(side),
        f"   match identity {_match(side)}",
        *(["   initiate mode aggressive"] if side.exchange == "aggressive" else []),
    ]
    sets = []
    for one in side.esp:
        sets.append(f"{name}-{one}")
        lines += [
            f"crypto ipsec transform-set {sets[-1]} {_transform(one, vendor)}",
            f" mode {side.mode}",
        ]
    lines.append(f"ip access-list extended {name}")
    lines += [f" permit ip {wild(pair.local)} {wild(pair.remote)}" for pair in side.pairs]
    lines += [
        f"crypto map {name} {FIRST} ipsec-isakmp",
        f" set peer {peer}",
        f" set transform-set {' '.join(sets)}",
        *([f" set pfs group{vendor.groups[side.pfs]}"] if side.pfs else []),
        f" set security-association lifetime seconds {side.esp_lifetime}",
        *([f" set security-association lifetime kilobytes {side.esp_lifetime_kb}"] if side.esp_lifetime_kb else []),
        f" set isakmp-profile {name}",
        f" match address {name}",
        "interface GigabitEthernet1",
        f" crypto map {name}",
    ]
    return "\n".join(lines) + "\n"


_IOS_MATCH = {
    IdentityType.IPV4: "address {} 255.255.255.255",
    IdentityType.FQDN: "host {}",
    IdentityType.USER_FQDN: "user {}",
    IdentityType.KEY_ID: "group {}",
}


def _match(side: OtherSide) -> str:
    identity = side.remote_identity
    if identity is None:
        return f"address {ours(side)} 255.255.255.255"
    return _IOS_MATCH[identity.type].format(identity.value)


def _key_owner(side: OtherSide) -> str:
    """Main mode finds the secret by address, aggressive mode by the name that is said."""
    identity = side.remote_identity
    if side.exchange == "aggressive" and identity is not None and identity.type is IdentityType.FQDN:
        return f"hostname {identity.value}"
    return f"address {ours(side)}"


def _self_identity(side: OtherSide) -> list[str]:
    words = {IdentityType.FQDN: "fqdn", IdentityType.USER_FQDN: "user-fqdn"}
    identity = side.local_identity
    if identity is None or identity.type not in words:
        return []
    return [f"   self-identity {words[identity.type]} {identity.value}"]
