"""Capture files: pcapng with raw IP packets that are made up around ISAKMP messages."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Iterator

from vpnengine.contract.capture import CapturedMessage

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_RAW_IP = 101  # LINKTYPE_RAW
_BYTE_ORDER = 0x1A2B3C4D
_UDP, _TTL = 17, 64
_NON_ESP_MARKER = bytes(4)


def file(messages: Iterable[CapturedMessage]) -> bytes:
    """A whole pcapng file: one section, one interface, times in microseconds."""
    head = _block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1))
    head += _block(_INTERFACE, struct.pack("<HHI", _RAW_IP, 0, 0))
    return head + b"".join(_packets(messages))


def _packets(messages: Iterable[CapturedMessage]) -> Iterator[bytes]:
    for message in sorted(messages, key=lambda one: one.at):
        packet = ip_packet(message)
        at = round(message.at * 1_000_000)
        head = struct.pack("<IIIII", 0, at >> 32, at & 0xFFFFFFFF, len(packet), len(packet))
        yield _block(_PACKET, head + packet)


def _block(kind: int, body: bytes) -> bytes:
    padded = body + bytes(-len(body) % 4)
    length = struct.pack("<I", len(padded) + 12)
    return struct.pack("<I", kind) + length + padded + length


def ip_packet(message: CapturedMessage) -> bytes:
    """The IP packet that has carried a message, as far as it can be known: TTL and identification are made up."""
    data = (_NON_ESP_MARKER if message.natt else b"") + bytes.fromhex(message.data)
    source, destination = ipaddress.ip_address(message.source), ipaddress.ip_address(message.destination)
    length = 8 + len(data)
    ends = source.packed + destination.packed
    udp = struct.pack("!HHHH", message.source_port, message.destination_port, length, 0) + data
    total = _checksum(ends + struct.pack("!II", length, _UDP) + udp) or 0xFFFF
    udp = udp[:6] + struct.pack("!H", total) + udp[8:]
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, length, _UDP, _TTL) + ends + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, _TTL, _UDP, 0) + ends
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + udp


def _checksum(octets: bytes) -> int:
    """The checksum of the internet (RFC 1071)."""
    padded = octets + bytes(len(octets) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
