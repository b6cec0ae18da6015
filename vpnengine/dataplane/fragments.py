"""Ports of IP fragments: only the first one has them, and the others belong where it went (RFC 4301 section 7)."""

from __future__ import annotations

from typing import NamedTuple

from vpnengine.contract.selectors import WITH_PORTS
from vpnengine.dataplane.lookup import Flow, ipv6_fragment

MAX_KNOWN = 1024
KEEP_S = 30.0  # as hosts keep what they put together (RFC 1122 section 3.3.2 has 60 to 120 seconds as the most)


class Part(NamedTuple):
    """Which fragment of which packet this is."""

    number: int
    first: bool


def part_of(packet: bytes) -> Part | None:
    """What an IP packet says of its being a fragment; None if it is whole."""
    if packet[0] >> 4 == 6:
        found = ipv6_fragment(packet)
        return Part(found[0], not found[1]) if found else None
    place = int.from_bytes(packet[6:8], "big")
    if not place & 0x3FFF:
        return None
    return Part(int.from_bytes(packet[4:6], "big"), not place & 0x1FFF)


class Fragments:
    """The ports of first fragments that have been seen lately, as many as ``MAX_KNOWN``; the oldest make room."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[float, int, int]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def complete(self, flow: Flow, packet: bytes, where: int, now: float) -> Flow:
        """The flow with the ports of the fragment's packet, if its first fragment has passed here.

        ``where`` keeps the two directions, and one SA's packets from another's, apart.
        """
        if flow.protocol not in WITH_PORTS:
            return flow
        part = part_of(packet)
        if part is None:
            return flow
        key = (where, flow.version, flow.source, flow.destination, flow.protocol, part.number)
        if part.first:
            self._learn(key, flow, now)
            return flow
        seen, source, destination = self._known.get(key, (now - KEEP_S, None, None))
        if now - seen >= KEEP_S:
            return flow
        return flow._replace(source_port=source, destination_port=destination)

    def _learn(self, key: tuple[object, ...], flow: Flow, now: float) -> None:
        self._known.pop(key, None)
        if flow.source_port is None or flow.destination_port is None:
            return  # too short to have them: nothing may follow it
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[key] = (now, flow.source_port, flow.destination_port)
