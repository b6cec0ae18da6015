"""What several formats have in common."""

from __future__ import annotations

import ipaddress

from dashboard.peerside.facts import OUR_ADDRESS, THEIR_ADDRESS, OtherSide, Pair
from vpnengine.contract.identity import Identity, IdentityType

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def ours(side: OtherSide) -> str:
    """This site's public address, or words in its place."""
    return side.remote_address or OUR_ADDRESS.replace(" ", "_")


def theirs(side: OtherSide) -> str:
    """The other gateway's public address, or words in its place."""
    return side.local_address or THEIR_ADDRESS.replace(" ", "_")


def net(subnet: str) -> Network:
    """A subnet to take apart."""
    return ipaddress.ip_network(subnet)


def masked(subnet: str) -> str:
    """``10.1.0.0 255.255.255.0``, or an IPv6 prefix as it is."""
    network = net(subnet)
    return f"{network.network_address} {network.netmask}" if network.version == 4 else str(network)


def wild(subnet: str) -> str:
    """``10.1.0.0 0.0.0.255``."""
    network = net(subnet)
    return f"{network.network_address} {network.hostmask}"


def bits(name: str) -> str:
    """The length of a key in our name of a cipher: ``256`` of ``aes256gcm16``."""
    return next((size for size in ("128", "192", "256") if size in name), "")


def named(identity: Identity | None, names: dict[IdentityType, str]) -> tuple[str, str] | None:
    """(the maker's word for the type, the value); None without an identity, or with one that has no word."""
    if identity is None or identity.type not in names:
        return None
    return names[identity.type], identity.value


def starts(side: OtherSide) -> bool:
    """True if the other gateway should begin by itself."""
    return side.begins or not side.local_address


def numbered(pairs: tuple[Pair, ...]) -> list[tuple[int, Pair]]:
    """The pairs with a number from 1 on."""
    return list(enumerate(pairs, 1))
