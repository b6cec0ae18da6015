"""Fragments of ISAKMP messages: both roles, every disorder of the path, and what an attacker may try."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ikev1.pair import LEFT, RIGHT, Address, Network, document, mirrored, peer_row
from tests.ikev1.test_hostile import snapshot
from tests.ikev1.test_negotiation import up
from vpnengine.ikev1 import fragmentation
from vpnengine.ikev1.fragmentation import MAX_AGE_S, MAX_OCTETS, MAX_PARTIAL, MAX_PARTIAL_PER_HOST, Reassembly, Rejected
from vpnengine.ikev1.interface import InitiatePeer
from vpnengine.isakmp.constants import Exchange, Flag
from vpnengine.isakmp.message import Header, build_payloads, parse_payloads
from vpnengine.isakmp.payloads import Fragment, VendorId

COOKIES = b"\1" * 8, b"\2" * 8
REMOTE = Address(LEFT, 500)


def message(size: int, fill: int = 7) -> bytes:
    first, body = build_payloads([VendorId(bytes([fill]) * (size - 32))])
    return Header(*COOKIES, first, 0x10, Exchange.MAIN, Flag.NONE, 0).build(body)


def fragment(number: int, data: bytes, last: bool = False, ident: int = 1, cookies: Any = COOKIES) -> bytes:
    first, body = build_payloads([Fragment(ident, number, last, data)])
    return Header(*cookies, first, 0x10, Exchange.MAIN, Flag.NONE, 0).build(body)


def add(reassembly: Reassembly, datagram: bytes, now: float = 0.0, remote: Address = REMOTE) -> bytes | None:
    return reassembly.add(Header.parse(datagram), datagram, remote, now)


def forced(size: int | None = 400, **right: Any) -> Network:
    row = peer_row(fragmentation="force", fragment_size=size)
    return Network(document(row), document(mirrored(row, **right)))


@settings(max_examples=100, deadline=None)
@given(st.integers(33, 6000), st.integers(200, 1500), st.integers(0, 2**32))
def test_split_and_join_in_any_order_with_duplicates(size: int, most: int, seed: int) -> None:
    whole = message(size)
    pieces = fragmentation.split(whole, most, 9, Exchange.MAIN)
    assert all(len(piece) <= most for piece in pieces)
    if len(pieces) == 1:
        assert pieces == [whole]
        return
    rng = random.Random(seed)
    shuffled = [*pieces, *rng.choices(pieces[:-1], k=3)]
    rng.shuffle(shuffled)
    reassembly, done = Reassembly(), []
    for piece in shuffled:
        found = add(reassembly, piece)
        if found is not None:
            done.append(found)
    assert done and set(done) == {whole}


def test_a_small_message_and_no_limit_leave_whole() -> None:
    assert fragmentation.split(message(100), 500, 1, Exchange.MAIN) == [message(100)]
    assert fragmentation.split(message(5000), 0, 1, Exchange.MAIN) == [message(5000)]


@pytest.mark.parametrize(
    ("changes", "announced", "most"),
    [
        ({}, False, 0),
        ({}, True, 1280 - 20 - 12),
        ({"fragmentation": "off"}, True, 0),
        ({"fragmentation": "force"}, False, 576 - 20 - 12),
        ({"fragment_size": 1000}, True, 1000 - 32),
    ],
)
def test_limits(changes: dict[str, Any], announced: bool, most: int) -> None:
    config = document(peer_row(**changes)).peers[0]
    assert fragmentation.limit(config, announced, "192.0.2.2") == most
    if most:
        assert fragmentation.limit(config, announced, "2001:db8::2") == most - 20


def test_both_roles_fragment_and_all_disorder_is_borne() -> None:
    network = forced(296)
    network.fate = lambda number, source, transmit: [0.01 + (number * 7 % 5) / 100, 0.08]
    up(network)
    fragments = [s for s, t in network.sent if Header.parse(t.payload).next_payload == Fragment.kind]
    assert {LEFT, RIGHT} == set(fragments)
    assert max(len(t.payload) for _, t in network.sent) <= 296 - 32
    assert network.right.endpoint.counters()["fragmented"] >= 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_loss_of_fragments_is_mended_by_retransmission(seed: int) -> None:
    row = peer_row(start="immediate", fragmentation="force", fragment_size=296)
    network = Network(document(row), document(mirrored(row)), seed=seed)
    network.fate = lambda c, s, t: [] if network.random.randrange(100) < 15 else [0.01 + network.random.random() / 5]
    assert network.run(400, lambda: network.pairs_agree(1))


def test_auto_fragments_only_for_a_peer_that_announces_it() -> None:
    for left, right, expected in (("auto", "auto", True), ("auto", "off", False), ("off", "auto", False)):
        row = peer_row(fragmentation=left, fragment_size=296)
        network = Network(document(row), document(mirrored(row, fragmentation=right)))
        up(network)
        assert ("fragmented" in network.left.endpoint.counters()) is expected


def test_a_lost_fragment_is_told_when_phase_1_times_out() -> None:
    network = forced(296)

    def without_first(number: int, source: str, transmit: Any) -> list[float]:
        header = Header.parse(transmit.payload)
        if source == RIGHT and header.next_payload == Fragment.kind:
            piece = parse_payloads(header.next_payload, transmit.payload[28:]).only(Fragment, "FRAGMENT")
            return [] if piece.number == 1 else [0.01]
        return [0.01]

    network.fate = without_first
    network.command(network.left, InitiatePeer("right"))
    network.run(60)
    assert "1 of 2 received, missing: 1" in network.left.last("ike.phase1.timeout").evidence["fragments"]


# Attacks


REFUSED: list[tuple[list[bytes], str]] = [
    ([fragment(200, b"x")], "too large"),
    ([fragment(2, b"x", last=True), fragment(3, b"y")], "after the last"),
    ([fragment(5, b"x"), fragment(2, b"y", last=True)], "after the last"),
    ([fragment(2, b"x", last=True), fragment(1, b"y", last=True)], "after the last|two last"),
    ([fragment(1, b"x" * 60_000), fragment(2, b"y" * 6_000)], "too large"),
    ([fragment(1, b"x" * 40, last=True)], "no message"),
    ([fragment(1, message(100)[:-1], last=True)], "no message"),
    ([fragment(1, fragment(1, message(50), last=True), last=True)], "within fragments"),
    ([fragment(1, message(50), last=True, cookies=(b"\1" * 8, b"\3" * 8))], "another SA"),
]


@pytest.mark.parametrize(("datagrams", "reason"), REFUSED, ids=itertools.count())
def test_rules_and_nothing_is_left_behind(datagrams: list[bytes], reason: str) -> None:
    reassembly = Reassembly()
    for datagram in datagrams[:-1]:
        assert add(reassembly, datagram) is None
    with pytest.raises(Rejected, match=reason):
        add(reassembly, datagrams[-1])
    assert len(reassembly) == 0


@pytest.mark.parametrize("body", [b"", b"\0\1", b"\0\1\0\0", b"\0\1\1\0", b"\0\1\0\1data"])
def test_number_zero_and_no_data_are_malformed(body: bytes) -> None:
    raw = b"\0\0" + (len(body) + 4).to_bytes(2, "big") + body
    datagram = Header(*COOKIES, Fragment.kind, 0x10, Exchange.MAIN, Flag.NONE, 0).build(raw)
    with pytest.raises(Rejected, match="malformed"):
        add(Reassembly(), datagram)


def test_a_reused_id_takes_the_newer_message() -> None:
    old = fragmentation.split(message(900, 1), 400, 1, Exchange.MAIN)
    new = fragmentation.split(message(900, 2), 400, 1, Exchange.MAIN)
    reassembly = Reassembly()
    for piece in (old[1], *new):
        found = add(reassembly, piece)
    assert found == message(900, 2)


def test_memory_is_bounded_by_host_in_all_and_in_time() -> None:
    reassembly = Reassembly()
    for ident in range(1000):
        add(reassembly, fragment(1, b"x" * 1000, ident=ident))
    assert len(reassembly) == MAX_PARTIAL_PER_HOST
    for number in range(2000):
        add(reassembly, fragment(1, b"x"), 1.0, Address(f"198.51.{number // 250}.{number % 250}", 500))
    assert len(reassembly) == MAX_PARTIAL
    reassembly.expire(1.0 + MAX_AGE_S)
    assert len(reassembly) == 0
    assert sum(reassembly.counts.values()) >= 1000 - MAX_PARTIAL_PER_HOST


def test_replacing_a_fragment_keeps_the_octet_count_true() -> None:
    reassembly = Reassembly()
    for _ in range(100):
        add(reassembly, fragment(1, b"x" * 60_000))
    partial = next(iter(reassembly._partial.values()))
    assert partial.octets == 60_000 <= MAX_OCTETS


def test_fragments_of_strangers_are_not_kept() -> None:
    network = forced()
    up(network)
    core = network.right.endpoint._core
    before = snapshot(network)
    for number in range(500):
        datagram = fragment(1 + number % 60, b"x" * 500, ident=number)
        network.right.endpoint.receive(datagram, Address(RIGHT, 500), Address("203.0.113.9", 500), network.now)
    assert len(core.fragments) == 0 and core.counters["dropped: fragment of a stranger"] == 500
    for number in range(500):
        datagram = fragment(1 + number % 60, b"x" * 500, ident=number)
        network.right.endpoint.receive(datagram, Address(RIGHT, 500), Address(LEFT, 500), network.now)
    assert len(core.fragments) <= MAX_PARTIAL_PER_HOST
    network.run(2 * MAX_AGE_S)
    assert len(core.fragments) == 0
    assert snapshot(network) == before


def test_every_octet_of_a_fragment_can_be_wrong() -> None:
    whole = fragment(1, message(60), last=True)
    for index in range(len(whole)):
        for value in (0, 0xFF, whole[index] ^ 1):
            damaged = whole[:index] + bytes([value]) + whole[index + 1 :]
            network = forced()
            network.right.endpoint.receive(damaged, Address(RIGHT, 500), Address(LEFT, 500), 1.0)
