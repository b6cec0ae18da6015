"""The userspace data path behind a socket pair in place of its device: queues, limits, selectors and counters."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.dataplane.test_lookup import ipv4, selector
from vpnengine.contract.algorithms import EspEncryption
from vpnengine.crypto.random import system_random
from vpnengine.crypto.secret import Secret
from vpnengine.dataplane import userspace
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.lookup import packet_ends
from vpnengine.dataplane.userspace import UserspaceDataPlane
from vpnengine.esp.sa import Address, EspKeys, EspTransform, IpsecSaPair, Selector
from vpnengine.esp.transform import Inbound, Outbound

TRANSFORM = EspTransform(EspEncryption.AES128GCM16, None)
OURS, THEIRS = EspKeys(Secret(bytes(20)), None), EspKeys(Secret(bytes(range(20))), None)
NET = selector("10.1.0.0/24", "10.2.0.0/24")
PACKET = ipv4("10.1.0.1", "10.2.0.1", payload=bytes(80))
BACK = ipv4("10.2.0.1", "10.1.0.1", payload=bytes(80))


class Told:
    """Records what the data path tells the engine."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def ike(self, data: bytes, local: Address, remote: Address) -> None:
        self.calls.append(("ike", data))

    def acquire(self, peer_id: str, row: Selector) -> None:
        self.calls.append(("acquire", peer_id, row))

    def soft_expired(self, spi_in: int) -> None:
        self.calls.append(("soft", spi_in))

    def hard_expired(self, spi_in: int) -> None:
        self.calls.append(("hard", spi_in))

    def moved(self, spi_in: int, remote: Address) -> None:
        self.calls.append(("moved", spi_in, remote))


class Bench:
    """A data path, the far end of its device and the peer's socket on loopback."""

    def __init__(self) -> None:
        self.device, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock, self.peer = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for one in (self.sock, self.peer):
            one.bind(("127.0.0.1", 0))
        for one in (self.device, inner, self.sock, self.peer):
            one.setblocking(False)
        self.inner, self.told, self.path = inner, Told(), UserspaceDataPlane()
        self.path._tun, self.path._upcalls = inner.fileno(), self.told
        self.path._sockets = {socket.AF_INET: self.sock}
        self.from_peer = Outbound(1, TRANSFORM, OURS, system_random)
        self.at_peer = Inbound(TRANSFORM, THEIRS, system_random)

    def pair(self, soft: int | None = None, hard: int | None = None) -> IpsecSaPair:
        local, remote = (Address(*one.getsockname()) for one in (self.sock, self.peer))
        return IpsecSaPair(
            "p", 1, 2, NET, TRANSFORM, OURS, THEIRS, local, remote, True, soft_bytes=soft, hard_bytes=hard
        )

    def send(self, packet: bytes) -> None:
        self.device.send(packet)
        self.path._read_tun()

    def arrive(self, packet: bytes) -> None:
        self.path._datagram(self.from_peer.seal(packet), self.pair().local, self.pair().remote)

    def sent(self) -> list[bytes | None]:
        found: list[bytes | None] = []
        while True:
            try:
                found.append(self.at_peer.open(self.peer.recv(65535)))
            except BlockingIOError:
                return found


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for one in (made.device, made.inner, made.sock, made.peer):
        one.close()


def numbered(index: int) -> bytes:
    return ipv4("10.1.0.1", "10.2.0.1", payload=bytes([index]))


def test_the_newest_packets_of_a_selector_wait(bench: Bench) -> None:
    bench.path.set_policies([Policy("p", NET, True)])
    for index in range(20):
        bench.send(numbered(index))
    assert bench.path.drops() == {"queue full": 4}
    assert bench.told.calls == [("acquire", "p", NET)]
    bench.path.install(bench.pair())
    assert bench.sent() == [numbered(index) for index in range(4, 20)]


def test_so_many_selectors_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userspace, "QUEUED_SELECTORS", 3)
    bench.path.set_policies(Policy("p", selector("10.1.0.0/24", f"10.2.{n}.0/24"), True) for n in range(5))
    for n in range(5):
        bench.send(ipv4("10.1.0.1", f"10.2.{n}.1"))
    assert bench.path.drops() == {"queue full": 2} and len(bench.told.calls) == 3


def test_only_the_peer_may_ask(bench: Bench) -> None:
    bench.path.set_policies([Policy("p", NET, False)])
    bench.send(numbered(1))
    assert bench.path.drops() == {"no SA": 1}
    bench.path.install(bench.pair(), outbound=False)
    bench.send(numbered(2))
    assert bench.sent() == []
    bench.path.install(bench.pair())
    assert bench.sent() == [numbered(2)] and bench.told.calls == []
    bench.path.remove(1)
    bench.send(numbered(3))
    assert bench.path.drops() == {"no SA": 2} and bench.sent() == []


def test_what_the_selector_does_not_cover_stays_outside(bench: Bench) -> None:
    bench.path.install(bench.pair())
    bench.arrive(ipv4("10.3.0.1", "10.1.0.1"))
    with pytest.raises(BlockingIOError):
        bench.device.recv(2000)
    assert bench.path.drops() == {"selector": 1}
    assert bench.path.counters()[1].failed == 1 and bench.path.counters()[1].packets_in == 0
    bench.arrive(BACK)
    assert os.read(bench.device.fileno(), 2000) == BACK


def test_a_wide_selector_lets_in_no_more_than_the_policies(bench: Bench) -> None:
    """A peer that merges subnets, or a Unity client that asks for everything: the policies say what may pass."""
    bench.path.set_policies([Policy("p", NET, True)])
    bench.path.install(replace(bench.pair(), selector=selector("10.0.0.0/8", "10.2.0.0/16")))
    for stranger in (ipv4("10.2.9.1", "10.1.0.1"), ipv4("10.2.0.1", "10.1.9.1")):
        bench.arrive(stranger)
        assert not readable(bench.device)
    assert bench.path.drops() == {"selector": 2}
    bench.arrive(BACK)
    assert bench.device.recv(2000) == BACK
    bench.path.set_policies([Policy("p", NET, True), Policy("p", selector("10.1.0.0/24", "10.2.9.0/24"), True)])
    bench.arrive(ipv4("10.2.9.1", "10.1.0.1"))
    assert readable(bench.device)


def readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


def test_octet_limits_outbound(bench: Bench) -> None:
    bench.path.set_policies([Policy("p", NET, True)])
    bench.path.install(bench.pair(soft=200, hard=350))
    for _ in range(5):
        bench.send(PACKET)
    assert bench.told.calls == [("soft", 1), ("hard", 1)]
    assert bench.sent() == [PACKET] * 3 and bench.path.drops() == {"octet limit": 2}


def test_octet_limits_inbound(bench: Bench) -> None:
    bench.path.install(bench.pair(soft=200, hard=350))
    for _ in range(5):
        bench.arrive(BACK)
    assert bench.told.calls == [("soft", 1), ("hard", 1)]
    assert [bench.device.recv(2000) for _ in range(3)] == [BACK] * 3
    assert bench.path.drops() == {"octet limit": 2}


async def test_closing_forgets_everything(bench: Bench) -> None:
    bench.path._sockets = {}
    bench.path._tun = -1
    bench.path.set_policies([Policy("p", NET, True), Policy("p", selector("10.1.0.0/24", "10.3.0.0/24"), True)])
    bench.path.install(bench.pair())
    bench.path._outbound(ipv4("10.1.0.1", "10.3.0.1"))
    assert bench.path.counters() and bench.path._waiting
    await bench.path.close()
    held = [value for value in vars(bench.path).values() if isinstance(value, dict) and value]
    assert held == [bench.path._drops] or not held
    assert not bench.path.counters() and bench.path._table.find(packet_ends(PACKET)) is None  # type: ignore[arg-type]
    await bench.path.close()
