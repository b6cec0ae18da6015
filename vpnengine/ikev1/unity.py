"""Cisco's Unity attributes in Mode Config: which subnets go into the tunnel, and what the user is told.

There is no specification: what is here is what Cisco's clients, vpnc and strongSwan read and
write. A list of subnets is one attribute of 14 octets a subnet: address, mask and six octets
that nobody uses. Both ends announce Unity by its vendor id before anything of it is sent.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vpnengine.contract.remote_access import ConfigServer
from vpnengine.isakmp.configuration import ConfigAttribute as A
from vpnengine.isakmp.configuration import Configuration, Item

Network = ipaddress.IPv4Network
WANTED = (A.UNITY_BANNER, A.UNITY_SAVE_PASSWORD, A.UNITY_DOMAIN, A.UNITY_SPLIT_INCLUDE, A.UNITY_SPLIT_EXCLUDE)
ENTRY = 14
MAX_SUBNETS = 128
MAX_TEXT = 256
ANYWHERE = ipaddress.IPv4Network("0.0.0.0/0")


@dataclass(frozen=True)
class Told:
    """What a gateway has told its client. Texts are bounded and printable; None is nothing said."""

    include: tuple[Network, ...] = ()
    exclude: tuple[Network, ...] = ()
    banner: str | None = None
    domain: str | None = None
    save_password: bool | None = None

    def evidence(self) -> dict[str, str]:
        """The same for events."""
        found = {
            "split include": ", ".join(map(str, self.include)),
            "split exclude": ", ".join(map(str, self.exclude)),
            "banner": self.banner or "",
            "default domain": self.domain or "",
        }
        if self.save_password is not None:
            found["may keep the password"] = "yes" if self.save_password else "no"
        return {name: value for name, value in found.items() if value}


def items(config: ConfigServer, local_subnets: Iterable[str]) -> list[Item]:
    """What the server tells: the subnets that clients reach through it, unless they reach everything."""
    inside = [subnet for subnet in map(ipaddress.ip_network, local_subnets) if isinstance(subnet, Network)]
    found = []
    if inside and ANYWHERE not in inside:
        found.append(Item(A.UNITY_SPLIT_INCLUDE, _entries(inside)))
    if config.split_exclude:
        found.append(Item(A.UNITY_SPLIT_EXCLUDE, _entries(map(Network, config.split_exclude))))
    if config.banner:
        found.append(Item(A.UNITY_BANNER, config.banner.encode()))
    if config.default_domain:
        found.append(Item(A.UNITY_DOMAIN, config.default_domain.encode()))
    found.append(Item(A.UNITY_SAVE_PASSWORD, bytes([0, config.save_password])))
    return found


def _entries(subnets: Iterable[Network]) -> bytes:
    return b"".join(subnet.network_address.packed + subnet.netmask.packed + bytes(6) for subnet in subnets)


def told(message: Configuration) -> Told:
    """What a gateway says. An entry that is no subnet is left out."""
    password = message.get(A.UNITY_SAVE_PASSWORD)
    return Told(
        _subnets(message, A.UNITY_SPLIT_INCLUDE),
        _subnets(message, A.UNITY_SPLIT_EXCLUDE),
        _text(message.get(A.UNITY_BANNER)),
        _text(message.get(A.UNITY_DOMAIN)),
        None if not password else any(password),
    )


def _subnets(message: Configuration, kind: A) -> tuple[Network, ...]:
    values = [item.value for item in message.items if item.type == kind]
    rows = [value[at : at + ENTRY] for value in values for at in range(0, len(value) - ENTRY + 1, ENTRY)]
    found = [subnet for row in rows[:MAX_SUBNETS] if (subnet := _subnet(row)) is not None]
    return tuple(dict.fromkeys(found))


def _subnet(row: bytes) -> Network | None:
    mask = int.from_bytes(row[4:8], "big")
    prefix = mask.bit_count()
    if mask != (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF:
        return None
    return Network((int.from_bytes(row[:4], "big") & mask, prefix))


def _text(value: bytes | None) -> str | None:
    if not value:
        return None
    text = value.rstrip(b"\0").decode("utf-8", "replace")
    return "".join(one if one.isprintable() else " " for one in text)[:MAX_TEXT].strip() or None


def narrowed(remote_subnets: Sequence[str], said: Told) -> tuple[str, ...]:
    """The configured subnets, narrowed to what the gateway says: never more than is configured.

    Empty if the two have nothing in common, or if excluding makes more than ``MAX_SUBNETS`` pieces.
    """
    if not said.include and not said.exclude:
        return tuple(remote_subnets)
    configured = [subnet for subnet in map(ipaddress.ip_network, remote_subnets) if isinstance(subnet, Network)]
    found = configured
    if said.include:
        common = [_common(one, other) for one in configured for other in said.include]
        found = list(ipaddress.collapse_addresses(subnet for subnet in common if subnet is not None))
    for excluded in said.exclude:
        found = [piece for subnet in found for piece in _without(subnet, excluded)]
        if len(found) > MAX_SUBNETS:
            return ()
    return tuple(map(str, found))


def _common(one: Network, other: Network) -> Network | None:
    if one.subnet_of(other):
        return one
    return other if other.subnet_of(one) else None


def _without(subnet: Network, excluded: Network) -> list[Network]:
    if subnet.subnet_of(excluded):
        return []
    return sorted(subnet.address_exclude(excluded)) if excluded.subnet_of(subnet) else [subnet]
