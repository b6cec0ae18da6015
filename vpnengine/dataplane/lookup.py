"""Finding the selector of a packet: longest prefixes first, in time that grows with prefix lengths, not policies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vpnengine.contract.selectors import WITH_PORTS
from vpnengine.dataplane.base import Policy
from vpnengine.esp.sa import Selector
from vpnengine.esp.spans import contains, networks

_BITS = {4: 32, 6: 128}
_Key = tuple[int, int]
_FRAGMENT, _AUTHENTICATION = 44, 51
_EXTENSIONS = frozenset({0, 43, _AUTHENTICATION, 60, 135, 139, 140})  # RFC 8200 section 4, IANA
_MAX_EXTENSIONS = 8


class Flow(NamedTuple):
    """What a selector looks at; addresses are integers. Ports are None where the packet has none to show."""

    version: int
    source: int
    destination: int
    protocol: int = 0
    source_port: int | None = None
    destination_port: int | None = None


def packet_ends(packet: bytes) -> Flow | None:
    """The addresses alone; None if it is no IP packet."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        return Flow(4, int.from_bytes(packet[12:16], "big"), int.from_bytes(packet[16:20], "big"))
    if version == 6 and len(packet) >= 40:
        return Flow(6, int.from_bytes(packet[8:24], "big"), int.from_bytes(packet[24:40], "big"))
    return None


def packet_flow(packet: bytes) -> Flow | None:
    """Addresses, protocol and ports. A fragment that is not the first has no ports (RFC 4301 section 7)."""
    ends = packet_ends(packet)
    if ends is None:
        return None
    if ends.version == 4:
        start = (packet[0] & 15) * 4
        protocol, first = packet[9], not int.from_bytes(packet[6:8], "big") & 0x1FFF
    else:
        protocol, start, first = _ipv6_upper(packet)
    if not first or protocol not in WITH_PORTS or start < 20 or len(packet) < start + 4:
        return ends._replace(protocol=protocol)
    source, destination = packet[start : start + 2], packet[start + 2 : start + 4]
    return ends._replace(
        protocol=protocol,
        source_port=int.from_bytes(source, "big"),
        destination_port=int.from_bytes(destination, "big"),
    )


def _ipv6_upper(packet: bytes) -> tuple[int, int, bool]:
    """(protocol, where it starts, True if the start is in this packet), after the extension headers."""
    following, start, first = packet[6], 40, True
    for _ in range(_MAX_EXTENSIONS):
        if following == _FRAGMENT and len(packet) >= start + 8:
            first &= not int.from_bytes(packet[start + 2 : start + 4], "big") >> 3
            following, start = packet[start], start + 8
        elif following in _EXTENSIONS and first and len(packet) >= start + 8:
            size = (packet[start + 1] + 2) * 4 if following == _AUTHENTICATION else (packet[start + 1] + 1) * 8
            following, start = packet[start], start + size
        else:
            break
    return following, start, first


def ipv6_fragment(packet: bytes) -> tuple[int, int] | None:
    """(identification, offset) of the fragment header (RFC 8200 section 4.5), if there is one."""
    following, start = packet[6], 40
    for _ in range(_MAX_EXTENSIONS):
        if following == _FRAGMENT and len(packet) >= start + 8:
            word = int.from_bytes(packet[start + 2 : start + 4], "big")
            # An atomic fragment is whole (RFC 6946).
            return (int.from_bytes(packet[start + 4 : start + 8], "big"), word >> 3) if word & 0xFFF9 else None
        if following not in _EXTENSIONS or len(packet) < start + 8:
            return None
        size = (packet[start + 1] + 2) * 4 if following == _AUTHENTICATION else (packet[start + 1] + 1) * 8
        following, start = packet[start], start + size
    return None


def matches(selector: Selector, flow: Flow, outbound: bool) -> bool:
    """True if protocol and ports of a packet are the selector's; its addresses are not looked at."""
    if not selector.protocol:
        return True
    if flow.protocol != selector.protocol:
        return False
    local, remote = flow.source_port, flow.destination_port
    if not outbound:
        local, remote = remote, local
    return selector.local_port in (0, local) and selector.remote_port in (0, remote)


def allows_inbound(selector: Selector, packet: bytes) -> bool:
    """True if a packet that came out of the tunnel is covered by the selector (RFC 4301 section 5.2)."""
    flow = packet_flow(packet) if selector.protocol else packet_ends(packet)
    return flow is not None and admits(selector, flow)


def admits(selector: Selector, flow: Flow) -> bool:
    """True if a flow that came out of the tunnel is covered by the selector."""
    return (
        contains(selector.remote, flow.version, flow.source)
        and contains(selector.local, flow.version, flow.destination)
        and matches(selector, flow, outbound=False)
    )


class PolicyTable:
    """Policies by the prefixes of their two ends. A range stands under each prefix it is made of."""

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        self._tables: dict[int, dict[_Key, dict[_Key, list[Policy]]]] = {4: {}, 6: {}}
        self._with_protocol = False
        for policy in policies:
            self._add(policy)
        for version, tables in self._tables.items():
            self._tables[version] = dict(sorted(tables.items(), reverse=True))

    def _add(self, policy: Policy) -> None:
        selector = policy.selector
        bits = _BITS[selector.local.version]
        self._with_protocol |= bool(selector.protocol)
        for remote in networks(selector.remote):
            for local in networks(selector.local):
                lengths = (remote.prefixlen, local.prefixlen)
                table = self._tables[local.version].setdefault(lengths, {})
                key = (
                    int(remote.network_address) >> (bits - remote.prefixlen),
                    int(local.network_address) >> (bits - local.prefixlen),
                )
                rows = table.setdefault(key, [])
                rows.append(policy)
                rows.sort(key=_precision, reverse=True)

    def flow(self, packet: bytes) -> Flow | None:
        """What ``find`` needs of a packet: no more than these policies look at."""
        return packet_flow(packet) if self._with_protocol else packet_ends(packet)

    def find(self, flow: Flow) -> Policy | None:
        """The policy with the longest remote, then the longest local prefix that covers the packet.

        Among equal addresses the one with the most exact ports and protocol comes first.
        """
        bits = _BITS[flow.version]
        for (remote_length, local_length), table in self._tables[flow.version].items():
            rows = table.get((flow.destination >> (bits - remote_length), flow.source >> (bits - local_length)))
            for policy in rows or ():
                if matches(policy.selector, flow, outbound=True):
                    return policy
        return None


def _precision(policy: Policy) -> int:
    selector = policy.selector
    return bool(selector.protocol) + bool(selector.local_port) + bool(selector.remote_port)
