"""A stream of small UDP datagrams at a given rate, and a sink that counts them inside the kernel.

The two ends of a measurement share the host's cores, so neither may cost much: the sender hands the kernel 32
datagrams with one ``sendmmsg`` (each one still travels alone), and the sink is a counting rule of nftables that no
process has to read from. With ``segment`` the 32 leave as one buffer that the kernel cuts (UDP_SEGMENT), at the
device or before it, as a QUIC server sends.

``python -m lab.packets JSON`` with the arguments of ``send`` prints what was sent as JSON; run it in a lab namespace.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab.net import LabError, Namespace

ROOT = Path(__file__).resolve().parent.parent
PORT = 7009
BATCH = 32
MAX_SECONDS = 30
_HEADERS = 28  # IPv4 and UDP
_DRAIN_S = 0.2  # what is on its way arrives
_PR_SET_TIMERSLACK = 29  # linux/prctl.h
_UDP_SEGMENT = 103  # linux/udp.h
_TABLE = "lab_sink"
_libc = ctypes.CDLL(None, use_errno=True)


class _IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _MsgHdr(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_IoVec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _MMsgHdr(ctypes.Structure):
    _fields_ = [("header", _MsgHdr), ("length", ctypes.c_uint32)]


class _Datagrams:
    """What ``sendmmsg`` takes: as many datagrams as addresses, or as a batch."""

    def __init__(self, targets: list[str], octets: int, segment: bool) -> None:
        self._batch = 1 if segment else BATCH
        self._datagrams = BATCH if segment else 1
        octets *= self._datagrams
        self.count = max(self._batch, len(targets) - len(targets) % self._batch)
        self._payload = ctypes.create_string_buffer(os.urandom(octets), octets)
        self._vector = _IoVec(ctypes.addressof(self._payload), octets)
        self._names = [
            ctypes.create_string_buffer(struct.pack("=HH4s8x", socket.AF_INET, socket.htons(PORT), _packed(text)))
            for text in targets
        ]
        self._rows = (_MMsgHdr * self.count)()
        for number, row in enumerate(self._rows):
            row.header.iov, row.header.iovlen = ctypes.pointer(self._vector), 1
            if len(targets) > 1:
                row.header.name = ctypes.addressof(self._names[number % len(targets)])
                row.header.namelen = 16
        self._at = 0

    def send(self, fd: int) -> int:
        """One batch; how many datagrams the kernel took."""
        address = ctypes.byref(self._rows, self._at * ctypes.sizeof(_MMsgHdr))
        self._at = (self._at + self._batch) % self.count
        return max(0, int(_libc.sendmmsg(fd, address, self._batch, 0))) * self._datagrams


def _packed(text: str) -> bytes:
    return ipaddress.IPv4Address(text).packed


def targets(first: str, addresses: int) -> list[str]:
    """The addresses from ``first`` on."""
    return [str(ipaddress.IPv4Address(first) + number) for number in range(addresses)]


def send(
    first: str, rate: int, seconds: float, octets: int, addresses: int = 1, segment: bool = False
) -> dict[str, float]:
    """Send ``rate`` datagrams a second (0: as many as the host can), in turns to ``addresses`` from ``first`` on.

    ``sent`` and ``seconds`` are as they came out.
    """
    seconds = min(seconds, MAX_SECONDS)
    _libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    where = targets(first, addresses)
    datagrams = _Datagrams(where, octets, segment)
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        if segment:
            sock.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, octets)
        if addresses == 1:
            sock.connect((first, PORT))
        fd, began = sock.fileno(), time.monotonic()
        passed = 0.0
        while passed < seconds:
            if rate and sent > rate * passed:
                time.sleep((sent - rate * passed) / rate)
            else:
                sent += datagrams.send(fd)
            passed = time.monotonic() - began
    return {"sent": sent, "seconds": passed}


@dataclass(frozen=True)
class Trial:
    """What one stream came to: datagrams sent and received, and how long it took."""

    sent: int
    received: int
    seconds: float

    @property
    def loss(self) -> float:
        """The share that did not arrive."""
        return 1 - self.received / self.sent if self.sent else 1.0

    @property
    def rate(self) -> float:
        """Received datagrams a second."""
        return self.received / self.seconds


class Sink:
    """Counts and drops what arrives for the port in a namespace, before any socket sees it."""

    def __init__(self, node: Namespace) -> None:
        self._node = node
        node.run(
            *("nft", f"add table ip {_TABLE}; "),
            f"add chain ip {_TABLE} input {{ type filter hook input priority -300; }}; "
            f"add rule ip {_TABLE} input udp dport {PORT} counter drop",
        )

    def octets(self) -> tuple[int, int]:
        """(packets, octets) up to now; a packet may be several datagrams that were coalesced."""
        text = self._node.run("nft", "list", "table", "ip", _TABLE).stdout
        found = re.search(r"counter packets (\d+) bytes (\d+)", text)
        if found is None:
            raise LabError(f"nft said: {text.strip()}")
        return int(found[1]), int(found[2])


def trial(source: Namespace, sink: Sink, first: str, rate: int, seconds: float, octets: int, **more: int) -> Trial:
    """Send from a namespace and count at the sink; ``more`` are further arguments of ``send``.

    :raises LabError: if the sender fails.
    """
    before = sink.octets()
    arguments = {"first": first, "rate": rate, "seconds": seconds, "octets": octets, **more}
    # A generator of its own, on a core of its own, would be a machine's; here it keeps at least to one core.
    core = str(max(os.sched_getaffinity(0)))
    python = ["taskset", "-c", core, sys.executable]
    command = [*source.exec_prefix(), *python, "-m", "lab.packets", json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds + 20)
    if done.returncode:
        raise LabError(f"the sender of datagrams ended: {done.stderr.strip()[-300:]}")
    time.sleep(_DRAIN_S)
    packets, size = (after - earlier for after, earlier in zip(sink.octets(), before, strict=True))
    sent = json.loads(done.stdout)
    # Coalesced datagrams share their headers, so the payload is what counts them.
    return Trial(int(sent["sent"]), (size - _HEADERS * packets) // octets, sent["seconds"])


if __name__ == "__main__":
    print(json.dumps(send(**json.loads(sys.argv[1]))))
