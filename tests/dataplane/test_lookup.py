"""Which policy takes a packet, and which packet may come out of a tunnel."""

from __future__ import annotations

import ipaddress
import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.lookup import PolicyTable, allows_inbound, packet_flow
from vpnengine.esp.sa import Selector
from vpnengine.esp.spans import contains, make_span, parse_span


def ipv4(source: str, destination: str, protocol: int = 17, payload: bytes = b"", fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, fragment, 64, protocol, 0)
    return head + ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed + payload


def ipv6(source: str, destination: str, following: int, payload: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), following, 64)
    return head + ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed + payload


def ports(source: int, destination: int) -> bytes:
    return struct.pack("!HHHH", source, destination, 8, 0)


def selector(local: str, remote: str, *rest: int) -> Selector:
    return Selector(parse_span(local), parse_span(remote), *rest)


def found(table: PolicyTable, packet: bytes) -> str | None:
    flow = table.flow(packet)
    policy = table.find(flow) if flow else None
    return policy.peer_id if policy else None


def table(*rows: tuple[str, Selector]) -> PolicyTable:
    return PolicyTable(Policy(name, row, True) for name, row in rows)


PORTS = table(
    ("any", selector("10.1.0.0/24", "10.2.0.0/24")),
    ("tcp", selector("10.1.0.0/24", "10.2.0.0/24", 6)),
    ("ssh", selector("10.1.0.0/24", "10.2.0.0/24", 6, 0, 22)),
    ("l2tp", selector("10.1.0.0/24", "10.2.0.0/24", 17, 1701, 1701)),
)


@pytest.mark.parametrize(
    ("protocol", "payload", "fragment", "name"),
    [
        (6, ports(40000, 22), 0, "ssh"),
        (6, ports(22, 40000), 0, "tcp"),
        (17, ports(1701, 1701), 0, "l2tp"),
        (17, ports(1701, 1702), 0, "any"),
        (1, b"\x08\0\0\0", 0, "any"),
        (6, ports(40000, 22), 0x2000, "ssh"),
        # What looks like ports in a later fragment is not.
        (6, ports(40000, 22), 5, "tcp"),
        (6, b"\0", 0, "tcp"),
    ],
)
def test_the_most_exact_policy_wins(protocol: int, payload: bytes, fragment: int, name: str) -> None:
    assert found(PORTS, ipv4("10.1.0.5", "10.2.0.5", protocol, payload, fragment)) == name


def test_options_move_the_ports() -> None:
    packet = bytearray(ipv4("10.1.0.5", "10.2.0.5", 6, b"\1\1\1\1" + ports(1, 22)))
    packet[0] = 0x46
    assert found(PORTS, bytes(packet)) == "ssh"
    packet[0] = 0x41
    assert found(PORTS, bytes(packet)) == "tcp"


def test_a_longer_prefix_without_the_protocol_does_not_hide_a_shorter_one() -> None:
    rows = table(
        ("web", selector("10.1.0.0/24", "10.2.0.8/32", 6, 0, 80)), ("all", selector("10.1.0.0/16", "10.2.0.0/16"))
    )
    assert found(rows, ipv4("10.1.0.1", "10.2.0.8", 6, ports(9, 80))) == "web"
    assert found(rows, ipv4("10.1.0.1", "10.2.0.8", 6, ports(9, 81))) == "all"


def test_extension_headers_are_skipped() -> None:
    hop, route = bytes([43, 0]) + bytes(6), bytes([6, 1]) + bytes(14)
    packet = ipv6("fd00::1", "fd01::1", 0, hop + route + ports(5, 22))
    assert packet_flow(packet)[3:] == (6, 5, 22)
    first, later = bytes([6, 0, 0, 1]) + bytes(4), bytes([6, 0, 0, 9]) + bytes(4)
    assert packet_flow(ipv6("fd00::1", "fd01::1", 44, first + ports(5, 22)))[3:] == (6, 5, 22)
    assert packet_flow(ipv6("fd00::1", "fd01::1", 44, later + ports(5, 22)))[3:] == (6, None, None)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([0x45, 0x4F, 0x60]))
def test_no_packet_makes_it_fail(data: bytes, first: int) -> None:
    found(PORTS, bytes([first]) + data)
    allows_inbound(selector("10.1.0.0/24", "10.2.0.0/24", 6, 22), bytes([first]) + data)


INBOUND: list[tuple[Selector, bytes, bool]] = [
    (selector("10.1.0.0/24", "10.2.0.0/24"), ipv4("10.2.0.5", "10.1.0.5"), True),
    (selector("10.1.0.0/24", "10.2.0.0/24"), ipv4("10.2.1.5", "10.1.0.5"), False),
    (selector("10.1.0.0/24", "10.2.0.0/24"), ipv4("10.2.0.5", "10.1.1.5"), False),
    (selector("10.1.0.0/24", "10.2.0.0/24", 6, 0, 22), ipv4("10.2.0.5", "10.1.0.5", 6, ports(22, 9)), True),
    (selector("10.1.0.0/24", "10.2.0.0/24", 6, 0, 22), ipv4("10.2.0.5", "10.1.0.5", 6, ports(23, 9)), False),
    (selector("10.1.0.0/24", "10.2.0.0/24", 6, 0, 22), ipv4("10.2.0.5", "10.1.0.5", 17, ports(22, 9)), False),
    (selector("10.1.0.0/24", "10.2.0.0/24", 6, 0, 22), ipv4("10.2.0.5", "10.1.0.5", 6, ports(22, 9), 5), False),
    (selector("10.1.0.10-10.1.0.20", "10.2.0.0/24"), ipv4("10.2.0.5", "10.1.0.20"), True),
    (selector("10.1.0.10-10.1.0.20", "10.2.0.0/24"), ipv4("10.2.0.5", "10.1.0.21"), False),
]


@pytest.mark.parametrize(("row", "packet", "allowed"), INBOUND)
def test_what_comes_out_has_to_fit(row: Selector, packet: bytes, allowed: bool) -> None:
    assert allows_inbound(row, packet) is allowed


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_the_table_finds_what_a_search_finds(seed: int) -> None:
    rng = random.Random(seed)

    def span() -> Any:
        low, high = sorted(rng.randrange(64) for _ in range(2))
        base = int(ipaddress.IPv4Address("10.0.0.0"))
        return make_span(ipaddress.IPv4Address(base + low), ipaddress.IPv4Address(base + high))

    rows = [Selector(span(), span(), rng.choice((0, 6, 17)), 0, rng.choice((0, 7))) for _ in range(8)]
    rows = [row if row.protocol else row._replace(remote_port=0) for row in rows]
    policies = PolicyTable(Policy(str(index), row, True) for index, row in enumerate(rows))
    for _ in range(40):
        source, destination = (f"10.0.0.{rng.randrange(64)}" for _ in range(2))
        protocol, port = rng.choice((1, 6, 17)), rng.choice((7, 8))
        name = found(policies, ipv4(source, destination, protocol, ports(1, port)))
        fitting = {
            str(index)
            for index, row in enumerate(rows)
            if contains(row.local, 4, int(ipaddress.ip_address(source)))
            and contains(row.remote, 4, int(ipaddress.ip_address(destination)))
            and row.protocol in (0, protocol)
            and row.remote_port in (0, port)
        }
        assert (name in fitting) if fitting else name is None
