"""Gateways that are told in ``set`` lines: Palo Alto Networks, and Juniper SRX."""

from __future__ import annotations

from dashboard.peerside.facts import OtherSide
from dashboard.peerside.renderers.words import named, net, numbered, ours, starts
from dashboard.peerside.vendors import Vendor
from vpnengine.contract.identity import IdentityType

UNIT = 100  # of the tunnel interface
_PALO_ALTO_KINDS = {
    IdentityType.IPV4: "ipaddr",
    IdentityType.IPV6: "ipaddr",
    IdentityType.FQDN: "fqdn",
    IdentityType.USER_FQDN: "ufqdn",
    IdentityType.KEY_ID: "keyid",
}
_JUNOS_KINDS = {
    IdentityType.IPV4: "inet",
    IdentityType.IPV6: "inet6",
    IdentityType.FQDN: "hostname",
    IdentityType.USER_FQDN: "user-at-hostname",
    IdentityType.KEY_ID: "key-id",
}


def _words(names: dict[str, None]) -> str:
    """One value, or several in brackets."""
    return f"[ {' '.join(names)} ]" if len(names) > 1 else next(iter(names))


def palo_alto(side: OtherSide, vendor: Vendor) -> str:
    """PAN-OS, configuration mode."""
    name = side.name()
    ike = f"set network ike crypto-profiles ike-crypto-profiles {name}"
    esp = f"set network ike crypto-profiles ipsec-crypto-profiles {name}"
    gateway = f"set network ike gateway {name}"
    tunnel = f"set network tunnel ipsec {name}"
    integrity = dict.fromkeys(vendor.integrity[one.integrity] for one in side.esp if one.integrity) or {"none": None}
    lines = [
        f"{ike} encryption {_words(dict.fromkeys(vendor.ike_encryption[one.encryption] for one in side.ike))}",
        f"{ike} hash {_words(dict.fromkeys(vendor.hashes[one.hash] for one in side.ike))}",
        f"{ike} dh-group {_words(dict.fromkeys(vendor.groups[group] for group in side.groups))}",
        f"{ike} lifetime seconds {side.ike_lifetime}",
        f"{esp} esp encryption {_words(dict.fromkeys(vendor.esp_encryption[one.encryption] for one in side.esp))}",
        f"{esp} esp authentication {_words(integrity)}",
        f"{esp} dh-group {vendor.groups[side.pfs] if side.pfs else 'no-pfs'}",
        f"{esp} lifetime seconds {side.esp_lifetime}",
        *([f"{esp} lifesize kb {side.esp_lifetime_kb}"] if side.esp_lifetime_kb else []),
        f"{gateway} protocol version ikev1",
        f"{gateway} protocol ikev1 exchange-mode {side.exchange}",
        f"{gateway} protocol ikev1 ike-crypto-profile {name}",
        f"{gateway} protocol ikev1 dpd enable {'yes' if side.dpd_delay else 'no'}",
    ]
    if side.dpd_delay:
        lines.append(f"{gateway} protocol ikev1 dpd interval {side.dpd_delay} retry {side.dpd_failures}")
    lines += [
        f"{gateway} protocol-common nat-traversal enable yes",
        f"{gateway} local-address interface ethernet1/1",
        f"{gateway} peer-address {'ip' if _numeric(side) else 'fqdn'} {ours(side)}",
        f'{gateway} authentication pre-shared-key key "{side.secret}"',
    ]
    for word, identity in (("local-id", side.local_identity), ("peer-id", side.remote_identity)):
        if found := named(identity, _PALO_ALTO_KINDS):
            lines += [f'{gateway} {word} type {found[0]} id "{found[1]}"']
    lines += [
        f"set network interface tunnel units tunnel.{UNIT} comment {name}",
        f"{tunnel} tunnel-interface tunnel.{UNIT}",
        f"{tunnel} auto-key ike-gateway {name}",
        f"{tunnel} auto-key ipsec-crypto-profile {name}",
    ]
    for number, pair in numbered(side.pairs):
        six = net(pair.local).version == 6
        word = "proxy-id-v6" if six else "proxy-id"
        lines.append(
            f"{tunnel} auto-key {word} net-{number} local {pair.local} remote {pair.remote} protocol {_protocol(pair)}"
        )
    for number, subnet in enumerate(side.remote_subnets, 1):
        family = "ipv6" if net(subnet).version == 6 else "ip"
        table = f"set network virtual-router default routing-table {family} static-route {name}-{number}"
        lines.append(f"{table} destination {subnet} interface tunnel.{UNIT}")
    lines.append(f"set network virtual-router default interface tunnel.{UNIT}")
    lines.append(f"set zone vpn network layer3 tunnel.{UNIT}")
    return "\n".join(lines) + "\n"


def _numeric(side: OtherSide) -> bool:
    return not side.remote_address or side.remote_address.replace(".", "").isdecimal() or ":" in side.remote_address


def _protocol(pair: object) -> str:
    number = getattr(pair, "protocol", 0)
    ports = f"local-port {getattr(pair, 'local_port', 0)} remote-port {getattr(pair, 'remote_port', 0)}"
    if number in (6, 17):
        return f"{'tcp' if number == 6 else 'udp'} {ports}"
    return f"number {number}" if number else "any"


def junos(side: OtherSide, vendor: Vendor) -> str:
    """Junos, configuration mode."""
    name = side.name()
    lines, ike, esp = [], {}, {}
    for number, one in enumerate(side.ike, 1):
        ike[f"{name}-{number}"] = None
        row = f"set security ike proposal {name}-{number}"
        lines += [
            f"{row} authentication-method pre-shared-keys",
            f"{row} encryption-algorithm {vendor.ike_encryption[one.encryption]}",
            f"{row} authentication-algorithm {vendor.hashes[one.hash]}",
            f"{row} dh-group {vendor.groups[one.group]}",
            f"{row} lifetime-seconds {side.ike_lifetime}",
        ]
    policy, gateway = f"set security ike policy {name}", f"set security ike gateway {name}"
    lines += [
        f"{policy} mode {side.exchange}",
        f"{policy} proposals {_words(ike)}",
        f'{policy} pre-shared-key ascii-text "{side.secret}"',
        f"{gateway} ike-policy {name}",
        f"{gateway} address {ours(side)}",
        f"{gateway} external-interface ge-0/0/0.0",
        f"{gateway} version v1-only",
    ]
    if side.dpd_delay:
        dpd = f"interval {max(10, side.dpd_delay)} threshold {min(5, side.dpd_failures)}"
        lines.append(f"{gateway} dead-peer-detection {dpd}")
    for word, identity in (("local-identity", side.local_identity), ("remote-identity", side.remote_identity)):
        if found := named(identity, _JUNOS_KINDS):
            lines.append(f'{gateway} {word} {found[0]} "{found[1]}"')
    for number, proposal in enumerate(side.esp, 1):
        esp[f"{name}-{number}"] = None
        row = f"set security ipsec proposal {name}-{number}"
        lines += [f"{row} protocol esp", f"{row} encryption-algorithm {vendor.esp_encryption[proposal.encryption]}"]
        if proposal.integrity:
            lines.append(f"{row} authentication-algorithm {vendor.integrity[proposal.integrity]}")
        lines.append(f"{row} lifetime-seconds {side.esp_lifetime}")
        if side.esp_lifetime_kb:
            lines.append(f"{row} lifetime-kilobytes {side.esp_lifetime_kb}")
    if side.pfs:
        lines.append(f"set security ipsec policy {name} perfect-forward-secrecy keys {vendor.groups[side.pfs]}")
    vpn = f"set security ipsec vpn {name}"
    lines += [
        f"set security ipsec policy {name} proposals {_words(esp)}",
        f"set interfaces st0 unit {UNIT} family {'inet6' if net(side.pairs[0].local).version == 6 else 'inet'}",
        f"set security zones security-zone vpn interfaces st0.{UNIT}",
        f"{vpn} bind-interface st0.{UNIT}",
        f"{vpn} ike gateway {name}",
        f"{vpn} ike ipsec-policy {name}",
        *(
            f"{vpn} traffic-selector net-{number} local-ip {pair.local} remote-ip {pair.remote}"
            for number, pair in numbered(side.pairs)
        ),
        f"{vpn} establish-tunnels {'immediately' if starts(side) else 'on-traffic'}",
    ]
    return "\n".join(lines) + "\n"
