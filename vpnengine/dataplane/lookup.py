"""Finding the selector of a packet: longest prefixes first, in time that grows with prefix lengths, not policies."""

from __future__ import annotations

from collections.abc import Iterable

from vpnengine.dataplane.base import Policy
from vpnengine.esp.sa import Network

_BITS = {4: 32, 6: 128}
_Key = tuple[int, int]


def packet_ends(packet: bytes) -> tuple[int, int, int] | None:
    """IP version, source and destination as integers; None if it is no IP packet."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        return 4, int.from_bytes(packet[12:16], "big"), int.from_bytes(packet[16:20], "big")
    if version == 6 and len(packet) >= 40:
        return 6, int.from_bytes(packet[8:24], "big"), int.from_bytes(packet[24:40], "big")
    return None


def contains(network: Network, version: int, address: int) -> bool:
    """True if the address, as an integer, lies in the network."""
    if network.version != version:
        return False
    shift = _BITS[version] - network.prefixlen
    return address >> shift == int(network.network_address) >> shift


class PolicyTable:
    """Policies by the prefixes of their two ends."""

    def __init__(self, policies: Iterable[Policy] = ()) -> None:
        self._tables: dict[int, dict[_Key, dict[_Key, Policy]]] = {4: {}, 6: {}}
        for policy in policies:
            local, remote = policy.selector
            bits = _BITS[local.version]
            lengths = (remote.prefixlen, local.prefixlen)
            table = self._tables[local.version].setdefault(lengths, {})
            key = (
                int(remote.network_address) >> (bits - remote.prefixlen),
                int(local.network_address) >> (bits - local.prefixlen),
            )
            table.setdefault(key, policy)
        for version, tables in self._tables.items():
            self._tables[version] = dict(sorted(tables.items(), reverse=True))

    def find(self, version: int, source: int, destination: int) -> Policy | None:
        """The policy with the longest remote, then the longest local prefix that covers the packet."""
        bits = _BITS[version]
        for (remote_length, local_length), table in self._tables[version].items():
            found = table.get((destination >> (bits - remote_length), source >> (bits - local_length)))
            if found is not None:
                return found
        return None
