"""A bad wire between two nodes: it loses, doubles, delays, reorders and damages what goes over it.

netem would do it, but not every kernel has it. This is a relay between two devices of one namespace, frame by frame;
what it does is set by JSON datagrams on a socket. Run as ``python -m lab.wire SOCKET`` in that namespace.
"""

from __future__ import annotations

import array
import fcntl
import heapq
import json
import random
import select
import socket
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.net import LabError, Namespace

ROOT = Path(__file__).resolve().parent.parent
LEFT, RIGHT = "left", "right"
START_S = 5.0
_ALL, _IPV4, _IPV6, _UDP = 0x0003, b"\x08\x00", b"\x86\xdd", 17
_OUTGOING = 4
_SIOCETHTOOL, _SET_TX_CHECKSUM = 0x8946, 0x17


@dataclass(frozen=True)
class Weather:
    """What happens to a UDP packet in either direction; shares are percent, times milliseconds.

    ``reorder`` is the share of packets that are held back by 50 ms more than the others.
    """

    loss: float = 0
    duplicate: float = 0
    corrupt: float = 0
    reorder: float = 0
    delay: float = 0
    jitter: float = 0
    seed: int = 1


class Wire:
    """The relay as a process."""

    def __init__(self, node: Namespace, directory: Path) -> None:
        self._path = directory / "wire.sock"
        self._log = directory / "wire.log"
        self._node = node
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; the weather is fine.

        :raises LabError: if it does not start.
        """
        command = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from lab.wire import main; main({str(self._path)!r})"
        self._process = self._node.spawn(sys.executable, "-c", command, log=self._log)
        deadline = time.monotonic() + START_S
        while not self._path.exists():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise LabError(f"the wire does not start: {self._log.read_text()}")
            time.sleep(0.02)

    def set(self, weather: Weather) -> None:
        """Change the weather."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(json.dumps(asdict(weather)).encode(), str(self._path))

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(5)
            self._process = None


def without_offload(node: Namespace, device: str) -> None:
    """Let a device compute its checksums itself: a relay cannot ask the kernel to do it later."""
    command = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from lab.wire import plain; plain({device!r})"
    node.run(sys.executable, "-c", command)


def plain(device: str) -> None:
    """Turn checksum offload of a device off (ethtool's ETHTOOL_STXCSUM)."""
    value = array.array("B", struct.pack("II", _SET_TX_CHECKSUM, 0))
    request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCETHTOOL, request)


def main(path: str) -> None:
    """Relay until killed."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    devices = [_device(name) for name in (LEFT, RIGHT)]
    control.bind(path)
    weather, rng = Weather(), random.Random(1)  # noqa: S311 - the same weather for the same seed
    held: list[tuple[float, int, socket.socket, bytes]] = []
    count = 0
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        ready, _, _ = select.select([control, *devices], [], [], wait)
        for sock in ready:
            if sock is control:
                weather = Weather(**json.loads(control.recv(4096)))
                rng, held = random.Random(weather.seed), []  # noqa: S311
                continue
            frame, address = sock.recvfrom(65_536)
            if address[2] == _OUTGOING:
                continue
            other = devices[1] if sock is devices[0] else devices[0]
            for delay, data in _fate(frame, weather, rng):
                count += 1
                heapq.heappush(held, (time.monotonic() + delay, count, other, data))
        while held and held[0][0] <= time.monotonic():
            _, _, other, data = heapq.heappop(held)
            try:
                other.send(data)
            except OSError:
                continue


def _device(name: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    sock.bind((name, 0))
    return sock


def _fate(frame: bytes, weather: Weather, rng: random.Random) -> list[tuple[float, bytes]]:
    """(seconds of delay, frame) of each copy that arrives."""
    if not _is_udp(frame):
        return [(0.0, frame)]
    if rng.random() * 100 < weather.loss:
        return []
    copies = 2 if rng.random() * 100 < weather.duplicate else 1
    found = []
    for _ in range(copies):
        delay = weather.delay + rng.uniform(-weather.jitter, weather.jitter)
        if rng.random() * 100 < weather.reorder:
            delay += 50
        data = frame
        if rng.random() * 100 < weather.corrupt:
            at = rng.randrange(42, len(frame)) if len(frame) > 42 else len(frame) - 1
            data = frame[:at] + bytes([frame[at] ^ (1 << rng.randrange(8))]) + frame[at + 1 :]
        found.append((max(0.0, delay) / 1000, data))
    return found


def _is_udp(frame: bytes) -> bool:
    kind = frame[12:14]
    return (kind == _IPV4 and frame[23] == _UDP) or (kind == _IPV6 and frame[20] == _UDP)
