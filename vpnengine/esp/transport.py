"""ESP in transport mode: the reference transform (RFC 4303 section 3.1.1, RFC 3948 section 3.1).

What is protected is the payload of an IP packet between the two gateways themselves. The packet's own header stays
outside, or, with UDP encapsulation, is made anew by the receiver, which then mends the checksums that translators on
the way have made wrong.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from vpnengine.esp.sa import EspKeys, EspTransform
from vpnengine.esp.transform import EspError, Inbound, Outbound

_TCP, _UDP = 6, 17
_CHECKSUM_AT = {_TCP: 16, _UDP: 6}
_NONE_IPV6 = 59
_HOP_LIMIT = 64


class TransportOutbound:
    """Seals the payload of IP packets of one SA."""

    def __init__(self, spi: int, transform: EspTransform, keys: EspKeys, rng: Callable[[int], bytes]) -> None:
        self._esp = Outbound(spi, transform, keys, rng)

    def seal(self, packet: bytes) -> bytes:
        """The ESP packet around what follows the IP header.

        :raises EspError: if it is no whole IP packet, is a fragment (RFC 4303 section 3.3.4), has extension headers,
            or all sequence numbers are used.
        """
        protocol, start = _upper(packet)
        return self._esp.seal_payload(packet[start:], protocol)


class TransportInbound:
    """Opens packets of one SA and makes the IP packet whole again."""

    def __init__(
        self, transform: EspTransform, keys: EspKeys, rng: Callable[[int], bytes], replay_window: int = 64
    ) -> None:
        self._esp = Inbound(transform, keys, rng, replay_window)

    def open(
        self, packet: bytes, source: str, destination: str, original: tuple[str, str] | None = None
    ) -> bytes | None:
        """The IP packet from ``source`` to ``destination``, the outer addresses as they came in; None for a dummy.

        ``original`` are the addresses that the sender put into its checksums, from NAT-OA; None if nothing was
        translated.

        :raises EspError: naming why it is dropped.
        """
        payload, protocol = self._esp.open_payload(packet)
        if protocol == _NONE_IPV6:
            return None
        if original is not None and original != (source, destination):
            payload = _mend(payload, protocol, original, (source, destination))
        return _header(source, destination, protocol, len(payload)) + payload


def _upper(packet: bytes) -> tuple[int, int]:
    """(protocol, offset) of what follows the IP header."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        start = (packet[0] & 15) * 4
        if int.from_bytes(packet[6:8], "big") & 0x3FFF:
            raise EspError("fragment in transport mode")
        if not 20 <= start <= len(packet) or int.from_bytes(packet[2:4], "big") != len(packet):
            raise EspError("not IP")
        return packet[9], start
    if version == 6 and len(packet) >= 40:
        if packet[6] in (0, 43, 44, 60) or int.from_bytes(packet[4:6], "big") + 40 != len(packet):
            raise EspError("extension headers in transport mode")
        return packet[6], 40
    raise EspError("not IP")


def _header(source: str, destination: str, protocol: int, size: int) -> bytes:
    """A plain IP header."""
    addresses = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    both = addresses[0].packed + addresses[1].packed
    if addresses[0].version == 6:
        return b"\x60\0\0\0" + size.to_bytes(2, "big") + bytes((protocol, _HOP_LIMIT)) + both
    if size + 20 > 0xFFFF:
        raise EspError("too long")
    head = b"\x45\0" + (size + 20).to_bytes(2, "big") + bytes((0, 0, 0x40, 0, _HOP_LIMIT, protocol))
    return head + checksum(head + b"\0\0" + both).to_bytes(2, "big") + both


def _mend(payload: bytes, protocol: int, original: tuple[str, str], seen: tuple[str, str]) -> bytes:
    """Adapt the TCP or UDP checksum to the addresses that the packet has now (RFC 3948 section 3.1.2, RFC 1624)."""
    at = _CHECKSUM_AT.get(protocol)
    if at is None or len(payload) < at + 2:
        return payload
    old = int.from_bytes(payload[at : at + 2], "big")
    if protocol == _UDP and old == 0:
        return payload
    before = b"".join(ipaddress.ip_address(host).packed for host in original)
    after = b"".join(ipaddress.ip_address(host).packed for host in seen)
    total = (~old & 0xFFFF) + sum(~word & 0xFFFF for word in _words(before)) + sum(_words(after))
    new = ~_fold(total) & 0xFFFF
    if protocol == _UDP and new == 0:
        new = 0xFFFF
    return payload[:at] + new.to_bytes(2, "big") + payload[at + 2 :]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    return ~_fold(sum(_words(data + bytes(len(data) % 2)))) & 0xFFFF


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[index : index + 2], "big") for index in range(0, len(data), 2)]


def _fold(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
