"""The userspace data path behind a socket pair in place of its device: queues, limits, selectors and counters."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.dataplane.test_lookup import ipv4, ports, selector
from vpnengine.contract.algorithms import EspEncryption
from vpnengine.crypto.random import system_random
from vpnengine.crypto.secret import Secret
from vpnengine.dataplane import native_path, userspace
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.lookup import packet_ends
from vpnengine.dataplane.native_path import NativeDataPlane
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

    def restarted(self, part: str, count: int) -> None:
        self.calls.append(("restarted", part, count))


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

    def hold_at_most(self, selectors: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(userspace, "QUEUED_SELECTORS", selectors)

    def arrive(self, packet: bytes) -> None:
        self.bring(self.from_peer.seal(packet))

    def bring(self, datagram: bytes, sender: socket.socket | None = None) -> None:
        """A datagram comes from the peer."""
        self.path._datagram(datagram, self.pair().local, Address(*(sender or self.peer).getsockname()))

    def delivered(self) -> bytes:
        """The next packet that the device was given."""
        return self.device.recv(2000)

    def close(self) -> None:
        for one in (self.device, self.inner, self.sock, self.peer):
            one.close()

    def sent(self) -> list[bytes | None]:
        found: list[bytes | None] = []
        while True:
            try:
                found.append(self.at_peer.open(self.peer.recv(65535)))
            except BlockingIOError:
                return found


class NativeBench(Bench):
    """The same around the native threads, whose device has a virtio header before each packet."""

    HEADER = bytes(10)

    def __init__(self) -> None:
        super().__init__()
        self.native = NativeDataPlane()
        self.native._native.adopt_device(self.inner.fileno())
        self.native._native.start([self.sock.fileno()])
        self.native._upcalls = self.told
        self.path = self.native  # type: ignore[assignment]

    def settle(self) -> None:
        assert self.native._native.barrier()
        self.native.drain()

    def hold_at_most(self, selectors: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.native._native.limit_held(selectors)

    def send(self, packet: bytes) -> None:
        self.device.send(self.HEADER + packet)
        self.settle()

    def bring(self, datagram: bytes, sender: socket.socket | None = None) -> None:
        (sender or self.peer).sendto(datagram, self.sock.getsockname())
        self.settle()

    def delivered(self) -> bytes:
        data = self.device.recv(2000)
        assert data[:2] == bytes(2)
        return data[len(self.HEADER) :]

    def sent(self) -> list[bytes | None]:
        self.settle()
        return super().sent()

    def close(self) -> None:
        self.native._native.stop()
        super().close()


BENCHES: dict[str, type[Bench]] = {"python": Bench, "native": NativeBench}


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    if request.param == "native" and native_path.load() is None:
        pytest.skip("the native data path is not built here")
    made = BENCHES[request.param]()
    yield made
    made.close()


@pytest.fixture
def reference() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


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
    bench.hold_at_most(3, monkeypatch)
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
    assert not readable(bench.device)
    assert bench.path.drops() == {"selector": 1}
    assert bench.path.counters()[1].failed == 1 and bench.path.counters()[1].packets_in == 0
    bench.arrive(BACK)
    assert bench.delivered() == BACK


def test_a_wide_selector_lets_in_no_more_than_the_policies(bench: Bench) -> None:
    """A peer that merges subnets, or a Unity client that asks for everything: the policies say what may pass."""
    bench.path.set_policies([Policy("p", NET, True)])
    bench.path.install(replace(bench.pair(), selector=selector("10.0.0.0/8", "10.2.0.0/16")))
    for stranger in (ipv4("10.2.9.1", "10.1.0.1"), ipv4("10.2.0.1", "10.1.9.1")):
        bench.arrive(stranger)
        assert not readable(bench.device)
    assert bench.path.drops() == {"selector": 2}
    bench.arrive(BACK)
    assert bench.delivered() == BACK
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
    assert [bench.delivered() for _ in range(3)] == [BACK] * 3
    assert bench.path.drops() == {"octet limit": 2}


def test_what_is_not_for_an_sa(bench: Bench) -> None:
    bench.path.install(bench.pair())
    for datagram in (b"\xff", b"\0\0\0\0hello", b"\1\2\3\4\5", b"\0\0\0\7" + bytes(40), b"\0\0\0\1" + bytes(40)):
        bench.bring(datagram)
    assert bench.told.calls == [("ike", b"hello")]
    assert bench.path.drops() == {"keepalive": 1, "too short": 1, "unknown SPI": 1, "replayed": 1}


def test_each_packet_comes_in_once_and_only_if_it_is_authentic(bench: Bench) -> None:
    bench.path.install(bench.pair())
    first, second = bench.from_peer.seal(BACK), bench.from_peer.seal(BACK)
    broken = second[:-1] + bytes([second[-1] ^ 1])
    for datagram in (first, first, broken, second):
        bench.bring(datagram)
    assert [bench.delivered() for _ in range(2)] == [BACK] * 2 and not readable(bench.device)
    assert bench.path.drops() == {"replayed": 1, "not authentic": 1}
    counters = bench.path.counters()[1]
    assert (counters.packets_in, counters.bytes_in, counters.replayed, counters.failed) == (2, 2 * len(BACK), 1, 1)
    assert counters.last_in is not None and abs(time.monotonic() - counters.last_in) < 5 and counters.last_out is None


def test_the_newest_authentic_packet_tells_where_the_peer_is(bench: Bench) -> None:
    bench.path.set_policies([Policy("p", NET, True)])
    bench.path.install(bench.pair())
    late, newest = bench.from_peer.seal(BACK), bench.from_peer.seal(BACK)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.settimeout(5)
        there = Address(*elsewhere.getsockname())
        bench.bring(newest[:-1] + bytes(1), elsewhere)
        assert bench.told.calls == []
        bench.bring(newest, elsewhere)
        assert bench.told.calls == [("moved", 1, there)]
        bench.path.update_remote(1, there)
        bench.bring(late)
        assert bench.told.calls == [("moved", 1, there)]
        bench.send(PACKET)
        assert bench.at_peer.open(elsewhere.recv(2000)) == PACKET


def test_a_successor_takes_over_and_gives_back(bench: Bench) -> None:
    bench.path.set_policies([Policy("p", NET, True)])
    bench.path.install(bench.pair())
    bench.send(PACKET)
    successor = replace(bench.pair(), spi_in=11, spi_out=12)
    bench.path.install(successor, outbound=False)
    bench.send(PACKET)
    assert bench.path.counters()[1].packets_out == 2
    bench.path.install(successor)
    bench.send(PACKET)
    bench.arrive(BACK)
    assert bench.path.counters()[11].packets_out == 1 and bench.path.counters()[1].packets_in == 1
    bench.path.remove(11)
    bench.send(PACKET)
    assert bench.path.counters()[1].packets_out == 3 and 11 not in bench.path.counters()


def test_fragments_go_where_the_first_one_goes(bench: Bench) -> None:
    dns = selector("10.1.0.0/24", "10.2.0.0/24", 17, 0, 53)
    bench.path.set_policies([Policy("p", dns, True)])
    bench.path.install(replace(bench.pair(), selector=dns))
    later = ipv4("10.1.0.1", "10.2.0.1", payload=bytes(80), fragment=100)
    bench.send(later)
    assert bench.path.drops() == {"no policy": 1}
    bench.send(ipv4("10.1.0.1", "10.2.0.1", payload=ports(40000, 53), fragment=0x2000))
    bench.send(later)
    assert bench.path.counters()[1].packets_out == 2 and bench.path.drops() == {"no policy": 1}


async def test_closing_forgets_everything(reference: Bench) -> None:
    reference.path._sockets = {}
    reference.path._tun = -1
    reference.path.set_policies([Policy("p", NET, True), Policy("p", selector("10.1.0.0/24", "10.3.0.0/24"), True)])
    reference.path.install(reference.pair())
    reference.path._outbound(ipv4("10.1.0.1", "10.3.0.1"))
    assert reference.path.counters() and reference.path._waiting
    await reference.path.close()
    held = [value for value in vars(reference.path).values() if isinstance(value, dict) and value]
    assert held == [reference.path._drops] or not held
    assert not reference.path.counters() and reference.path._table.find(packet_ends(PACKET)) is None  # type: ignore[arg-type]
    await reference.path.close()
