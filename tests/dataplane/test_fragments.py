"""Fragments under selectors with ports: they go where the first one went, and nowhere else."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.dataplane.test_lookup import selector
from tests.dataplane.test_userspace import Bench, readable
from vpnengine.dataplane import fragments
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.fragments import Fragments
from vpnengine.dataplane.lookup import packet_flow

SSH = selector("10.1.0.0/24", "10.2.0.0/24", 6, 0, 22)
SSH6 = selector("fd01::/64", "fd02::/64", 6, 0, 22)


def ports(source: int, destination: int) -> bytes:
    return source.to_bytes(2, "big") + destination.to_bytes(2, "big") + bytes(20)


def piece(source: str, destination: str, number: int, offset: int, payload: bytes, more: bool = True) -> bytes:
    """A TCP fragment; ``offset`` in units of eight octets."""
    one, other = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    if len(one) == 16:
        header = bytes([6, 0]) + (offset << 3 | more).to_bytes(2, "big") + number.to_bytes(4, "big")
        return b"\x60\0\0\0" + (8 + len(payload)).to_bytes(2, "big") + b"\x2c\x40" + one + other + header + payload
    place = (offset | (more << 13)).to_bytes(2, "big")
    head = b"\x45\0" + (20 + len(payload)).to_bytes(2, "big") + number.to_bytes(2, "big") + place + b"\x40\x06\0\0"
    return head + one + other + payload


ENDS = [("10.1.0.1", "10.2.0.1", SSH), ("fd01::1", "fd02::1", SSH6)]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for one in (made.device, made.inner, made.sock, made.peer):
        one.close()


@pytest.mark.parametrize(("here", "there", "row"), ENDS, ids=["IPv4", "IPv6"])
def test_later_fragments_leave_with_the_first(bench: Bench, here: str, there: str, row: object) -> None:
    bench.path.set_policies([Policy("p", row, True)])  # type: ignore[arg-type]
    bench.path.install(replace(bench.pair(), selector=row))  # type: ignore[arg-type]
    whole = [
        piece(here, there, 7, 0, ports(40000, 22)),
        piece(here, there, 7, 3, bytes(24)),
        piece(here, there, 7, 6, bytes(8), more=False),
    ]
    for packet in whole:
        bench.send(packet)
    assert bench.sent() == whole
    strangers = [
        piece(here, there, 8, 0, ports(40000, 80)),  # another service
        piece(here, there, 8, 3, bytes(24)),
        piece(here, there, 9, 3, bytes(24)),  # of a packet whose first fragment has not come
        piece(here, there, 10, 0, ports(1, 22)[:3]),  # too short to tell
        piece(here, there, 10, 3, bytes(24)),
    ]
    for packet in strangers:
        bench.send(packet)
    assert bench.sent() == [] and bench.path.drops() == {"no policy": 5}


@pytest.mark.parametrize(("here", "there", "row"), ENDS, ids=["IPv4", "IPv6"])
def test_later_fragments_come_in_with_the_first(bench: Bench, here: str, there: str, row: object) -> None:
    bench.path.set_policies([Policy("p", row, True)])  # type: ignore[arg-type]
    bench.path.install(replace(bench.pair(), selector=row))  # type: ignore[arg-type]
    for packet in (piece(there, here, 7, 0, ports(22, 40000)), piece(there, here, 7, 3, bytes(8), more=False)):
        bench.arrive(packet)
        assert bench.device.recv(2000) == packet
    for packet in (piece(there, here, 8, 0, ports(80, 40000)), piece(there, here, 8, 3, bytes(8), more=False)):
        bench.arrive(packet)
        assert not readable(bench.device)
    assert bench.path.drops() == {"selector": 2}
    # What went out lets nothing in: each direction has its own.
    bench.send(piece(here, there, 9, 0, ports(40000, 22)))
    bench.arrive(piece(here, there, 9, 3, bytes(8)))
    assert not readable(bench.device)


def test_the_table_is_bounded_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragments, "MAX_KNOWN", 10)
    table = Fragments()

    def complete(packet: bytes, now: float) -> int | None:
        flow = packet_flow(packet)
        assert flow is not None
        return table.complete(flow, packet, 0, now).destination_port

    for number in range(50):
        assert complete(piece("10.1.0.1", "10.2.0.1", number, 0, ports(1, 22)), 100.0) == 22
    assert len(table) == 10
    later = [complete(piece("10.1.0.1", "10.2.0.1", number, 3, bytes(8)), 101.0) for number in range(50)]
    assert later == [None] * 40 + [22] * 10
    assert complete(piece("10.1.0.1", "10.2.0.1", 49, 3, bytes(8)), 131.0) is None
