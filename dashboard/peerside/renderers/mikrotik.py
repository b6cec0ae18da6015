"""MikroTik RouterOS."""

from __future__ import annotations

from dashboard.peerside.facts import OtherSide
from dashboard.peerside.renderers.words import named, ours, starts
from dashboard.peerside.vendors import Vendor
from vpnengine.contract.identity import IdentityType
from vpnengine.contract.selectors import PROTOCOL_NAMES

_KINDS = {
    IdentityType.IPV4: "address",
    IdentityType.IPV6: "address",
    IdentityType.FQDN: "fqdn",
    IdentityType.USER_FQDN: "user-fqdn",
    IdentityType.KEY_ID: "key-id",
}


def render(side: OtherSide, vendor: Vendor) -> str:
    """Commands for the terminal."""
    name = side.name()
    ciphers = dict.fromkeys(vendor.ike_encryption[one.encryption] for one in side.ike)
    lines = [
        f"/ip ipsec profile add name={name} enc-algorithm={','.join(ciphers)} "
        f"hash-algorithm={vendor.hashes[side.ike[0].hash]} "
        f"dh-group={','.join(vendor.groups[group] for group in side.groups)} lifetime={side.ike_lifetime}s "
        f"nat-traversal=yes {_dpd(side)}",
        f"/ip ipsec proposal add name={name} enc-algorithms={_ciphers(side, vendor)} "
        f"auth-algorithms={_integrity(side, vendor)} pfs-group={vendor.groups[side.pfs] if side.pfs else 'none'} "
        f"lifetime={side.esp_lifetime}s",
        f"/ip ipsec peer add name={name} address={ours(side)} "
        f"exchange-mode={'aggressive' if side.exchange == 'aggressive' else 'main'} profile={name}",
        f'/ip ipsec identity add peer={name} auth-method=pre-shared-key secret="{side.secret}"{_identities(side)}',
    ]
    for pair in side.pairs:
        protocol = f" protocol={PROTOCOL_NAMES.get(pair.protocol, str(pair.protocol))}" if pair.protocol else ""
        ports = f" src-port={pair.local_port}" if pair.local_port else ""
        ports += f" dst-port={pair.remote_port}" if pair.remote_port else ""
        lines.append(
            f"/ip ipsec policy add peer={name} src-address={pair.local} dst-address={pair.remote}{protocol}{ports} "
            f"tunnel={'no' if side.mode == 'transport' else 'yes'} action=encrypt level=unique proposal={name}"
        )
    lines += [
        f"/ip firewall nat add chain=srcnat action=accept src-address={pair.local} dst-address={pair.remote} "
        f"place-before=0 comment={name}"
        for pair in side.pairs
        if ":" not in pair.local and side.mode != "transport"
    ]
    if starts(side):
        lines.append("# This side has to begin: let it send something through the tunnel, such as a ping every minute.")
    return "\n".join(lines) + "\n"


def _dpd(side: OtherSide) -> str:
    if not side.dpd_delay:
        return "dpd-interval=disable-dpd"
    return f"dpd-interval={side.dpd_delay}s dpd-maximum-failures={side.dpd_failures}"


def _ciphers(side: OtherSide, vendor: Vendor) -> str:
    return ",".join(dict.fromkeys(vendor.esp_encryption[one.encryption] for one in side.esp))


def _integrity(side: OtherSide, vendor: Vendor) -> str:
    found = dict.fromkeys(vendor.integrity[one.integrity] for one in side.esp if one.integrity)
    return ",".join(found) or "null"


def _identities(side: OtherSide) -> str:
    text = ""
    for word, identity in (("my-id", side.local_identity), ("remote-id", side.remote_identity)):
        if found := named(identity, _KINDS):
            text += f' {word}="{found[0]}:{found[1]}"'
    return text
