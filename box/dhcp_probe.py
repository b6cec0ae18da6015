"""Asking a network which DHCP servers are there (RFC 2131), without taking an address. As root."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import secrets
import socket
import struct
import sys
import time
from collections.abc import Iterator

_COOKIE = b"\x63\x82\x53\x63"
_SIOCGIFHWADDR = 0x8927
_ETH_P_IP = 0x0800


def discover(transaction: int, hardware: bytes) -> bytes:
    """A DHCPDISCOVER whose answer is to be broadcast (RFC 2131, section 4.1)."""
    head = struct.pack("!BBBBIHH16x", 1, 1, 6, 0, transaction, 0, 0x8000)
    return head + hardware.ljust(16, b"\0") + bytes(192) + _COOKIE + b"\x35\x01\x01\xff"


def server_of(message: bytes, transaction: int) -> str | None:
    """The server that has sent this DHCPOFFER to us; None if it is anything else."""
    if len(message) < 240 or message[0] != 2 or message[236:240] != _COOKIE:
        return None
    if struct.unpack_from("!I", message, 4)[0] != transaction:
        return None
    options = dict(_options(message[240:]))
    server = options.get(54, b"")
    return str(ipaddress.IPv4Address(server)) if options.get(53) == b"\x02" and len(server) == 4 else None


def _options(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(octets) and octets[at] != 255:
        if octets[at] == 0:
            at += 1
            continue
        if at + 1 >= len(octets):
            return
        length = octets[at + 1]
        yield octets[at], octets[at + 2 : at + 2 + length]
        at += 2 + length


def servers(device: str, seconds: float = 6.0) -> list[str]:
    """The addresses of the servers that answer on ``device``, our own among them.

    :raises OSError: if the device is not there or down, or without the privilege.
    """
    found: list[str] = []
    transaction = secrets.randbits(32)
    # Servers try an address by ping for up to three seconds before they offer it.
    # A packet socket hears what the firewall drops.
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP)) as hearing,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking,
    ):
        hearing.bind((device, _ETH_P_IP))
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode() + b"\0")
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        asking.bind(("", 68))
        answer = fcntl.ioctl(asking, _SIOCGIFHWADDR, struct.pack("256s", device.encode()[:15]))
        asking.sendto(discover(transaction, answer[18:24]), ("255.255.255.255", 67))
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            hearing.settimeout(left)
            with contextlib.suppress(TimeoutError):
                server = server_of(_payload(hearing.recv(2048)), transaction)
                if server and server not in found:
                    found.append(server)
    return found


def _payload(packet: bytes) -> bytes:
    """What a UDP datagram to port 68 holds; nothing of any other packet."""
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_UDP:
        return b""
    head = (packet[0] & 15) * 4
    is_ours = len(packet) >= head + 8 and struct.unpack_from("!H", packet, head + 2)[0] == 68
    return packet[head + 8 :] if is_ours else b""


if __name__ == "__main__":
    sys.stdout.write(" ".join(servers(sys.argv[1])) + "\n")
