"""Attacks that other implementations have fallen to, beside those that have a file of their own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import LEFT, RIGHT, Address, Network, document, mirrored, peer_row
from tests.ikev1.test_hostile import inject, snapshot
from tests.ikev1.test_negotiation import joined, up
from vpnengine.ikev1 import channel
from vpnengine.ikev1.interface import InitiatePeer, Transmit
from vpnengine.ikev1.keys import exchange_iv, message_hash
from vpnengine.ikev1.model import IsakmpSa
from vpnengine.isakmp.constants import Exchange, Flag, Notify, PayloadType
from vpnengine.isakmp.message import Header, build_payloads, parse_payloads
from vpnengine.isakmp.payloads import Delete, Hash, KeyExchangeData, Notification, Payload


def current(network: Network) -> IsakmpSa:
    sa = network.left.endpoint._core.peers["right"].current()
    assert sa is not None
    return sa


def sealed(network: Network, chain: list[Payload], hashed: bool = True) -> bytes:
    """An informational message of the left end, with HASH(1) if it shall be authentic."""
    core, sa = network.left.endpoint._core, current(network)
    keys, proposal = channel.agreed(sa)
    number = core.message_id(sa)
    first, body = build_payloads(chain)
    if hashed:
        digest = message_hash(proposal.hash, keys, number, body)
        first, body = build_payloads([Hash(digest), *chain])
    iv = exchange_iv(proposal.hash, sa.iv, number)
    return channel.seal(sa, Exchange.INFORMATIONAL, number, first, body, iv)[0]


def informs(network: Network, *payloads: Payload) -> list[Transmit]:
    """An authentic informational message of the left end arrives; what the right end answers."""
    before = len(network.sent)
    inject(network, sealed(network, list(payloads)))
    return [sent for _, sent in network.sent[before:]]


@pytest.mark.parametrize(("number", "at"), [(5, 40), (5, -20), (6, 40), (6, -1), (6, -20), (7, 40), (8, -20), (9, -1)])
def test_an_altered_copy_before_the_genuine_message_moves_no_iv(number: int, at: int) -> None:
    """Somebody on the path is faster: the genuine message is understood nevertheless, without being sent again."""
    network = joined()
    sent: list[Transmit] = []

    def fate(count: int, source: str, transmit: Transmit) -> list[float]:
        if count == number and not sent:
            octets = bytearray(transmit.payload)
            octets[at] ^= 1
            sent.append(Transmit(bytes(octets), transmit.local, transmit.remote))
            network.flying.append((network.now + 0.001, 0, network.right if source == LEFT else network.left, sent[0]))
        return [0.01]

    network.fate = fate
    network.command(network.left, InitiatePeer("right"))
    assert network.run(0.3, lambda: network.pairs_agree(1)) and sent


def test_a_hash_that_never_fits_is_said_once_and_ends_by_time() -> None:
    network = joined(retransmit={"tries": 3})

    def fate(count: int, source: str, transmit: Transmit) -> list[float]:
        header = Header.parse(transmit.payload)
        if source == RIGHT and header.encrypted and header.exchange == Exchange.MAIN:
            octets = bytearray(transmit.payload)
            octets[-20] ^= 1
            network.flying.append((network.now + 0.01, count, network.left, Transmit(bytes(octets), *ends(transmit))))
            return []
        return [0.01]

    network.fate = fate
    network.command(network.left, InitiatePeer("right"))
    assert network.run(120, lambda: "ike.phase1.timeout" in network.left.codes())
    assert network.left.codes().count("ike.phase1.hash_mismatch") == 1
    assert not network.left.installed and not network.left.endpoint._core.sas


def ends(transmit: Transmit) -> tuple[Address, Address]:
    return transmit.local, transmit.remote


def test_one_message_that_deletes_phase_1_twice() -> None:
    network = joined()
    up(network)
    cookies = current(network).cookies
    spis = tuple(spi.to_bytes(4, "big") for spi in network.left.installed)
    informs(network, Delete(1, (cookies, cookies)), Delete(1, (cookies,)), Delete(3, spis), Delete(3, spis))
    assert not network.right.endpoint._core.sas and not network.right.installed
    assert network.right.codes().count("ike.phase1.peer_deleted") == 1


@pytest.mark.parametrize(
    "delete",
    [
        Delete(3, (b"\x12\x34\x56\x78",)),
        Delete(2, (b"\x12\x34\x56\x78",)),
        Delete(3, (b"", b"")),
        Delete(1, (bytes(16),)),
        Delete(1, (b"somebodyelses SA",)),
        Delete(77, (b"\x01",)),
        Delete(3, ()),
    ],
)
def test_a_delete_of_what_is_not_there_changes_nothing(delete: Delete) -> None:
    network = joined()
    up(network)
    before = snapshot(network)
    assert not informs(network, delete)
    assert snapshot(network) == before


def test_another_peers_sas_cannot_be_deleted() -> None:
    other = peer_row(id="other", name="Other", remote="192.0.2.9", local_subnets=["10.9.0.0/24"])
    row = peer_row()
    right = mirrored(row)
    third = right | {"id": "third", "name": "Third", "remote": "192.0.2.3", "remote_subnets": ["10.3.0.0/24"]}
    network = Network(document(row), document(right, third))
    node = network.join("192.0.2.3", document(row | {"local_subnets": ["10.3.0.0/24"]}))
    up(network)
    network.command(node, InitiatePeer("right"))
    assert network.run(10, lambda: len(network.right.installed) == 2)
    theirs = node.endpoint._core.peers["right"].current()
    assert theirs is not None and other["remote"] != LEFT
    before = snapshot(network)
    spis = tuple(spi.to_bytes(4, "big") for spi in node.installed)
    informs(network, Delete(1, (theirs.cookies,)), Delete(3, spis))
    assert snapshot(network) == before and len(network.right.endpoint._core.sas) == 2


def test_an_informational_message_needs_its_hash() -> None:
    """Encrypted with the right keys, but without HASH(1), or with another one: nothing happens, and no answer."""
    network = joined()
    up(network)
    sa, before, sent = current(network), snapshot(network), len(network.sent)
    chains: list[list[Payload]] = [[Delete(1, (sa.cookies,))], [Hash(bytes(32)), Delete(1, (sa.cookies,))], [Hash(b"")]]
    for chain in chains:
        inject(network, sealed(network, chain, hashed=False))
    assert snapshot(network) == before and len(network.sent) == sent
    inject(network, sealed(network, [Delete(1, (sa.cookies,))]))
    assert snapshot(network) != before


@pytest.mark.parametrize("method", [2, 4, 5, 8, 99])
def test_methods_that_encrypt_with_rsa_and_unknown_ones_are_refused(method: int) -> None:
    """Authentication by RSA encryption is what Bleichenbacher's attack on IKEv1 needs; there is none here."""
    network = joined()
    network.command(network.left, InitiatePeer("right"))
    first = network.sent[0][1].payload
    # Attribute 3, authentication method, in its short form.
    assert first.count(b"\x80\x03\x00\x01") >= 1
    network.flying.clear()
    changed = b"\x11" * 8 + first[8:].replace(b"\x80\x03\x00\x01", b"\x80\x03\x00" + bytes([method]))
    inject(network, changed)
    assert network.right.codes()[-1] == "ike.phase1.no_proposal"
    assert not network.right.endpoint._core.sas


BAD_VALUES = [bytes(256), bytes(255) + b"\x01", b"\xff" * 256, b"", b"\x02", bytes(255), bytes(300)]


@pytest.mark.parametrize("end", [LEFT, RIGHT])
@pytest.mark.parametrize("value", BAD_VALUES)
def test_a_bad_public_value_is_refused_and_the_next_negotiation_succeeds(value: bytes, end: str) -> None:
    """Zero, one, p - 1 and more, and every wrong length, in place of the public value of ``end``."""
    network = joined(peer_row(retransmit={"first_s": 0.5, "tries": 2}))
    bad: list[int] = []

    def fate(count: int, source: str, transmit: Transmit) -> list[float]:
        header = Header.parse(transmit.payload)
        payloads = parse_payloads(header.next_payload, transmit.payload[28:]).values if not header.encrypted else ()
        if source != end or bad or not any(isinstance(p, KeyExchangeData) for p in payloads):
            return [0.01]
        bad.append(count)
        first, body = build_payloads([_swapped(p, value) for p in payloads])
        forged = Header(*header_fields(header, first)).build(body)
        target = network.right if source == LEFT else network.left
        network.flying.append((network.now + 0.01, count, target, Transmit(forged, *ends(transmit))))
        return []

    network.fate = fate
    network.command(network.left, InitiatePeer("right"))
    network.run(120)
    node = network.right if end == LEFT else network.left
    codes = node.codes()
    refused = next(n for n, code in enumerate(codes) if code in ("ike.phase1.public_value", "ike.phase1.malformed"))
    assert bad and "ike.phase1.established" not in codes[:refused]
    up(network)


def _swapped(payload: Payload, value: bytes) -> Payload:
    return KeyExchangeData(value) if isinstance(payload, KeyExchangeData) else payload


def header_fields(header: Header, first: int) -> tuple[Any, ...]:
    return header.initiator_cookie, header.responder_cookie, first, 0x10, header.exchange, Flag.NONE, 0


def test_only_the_same_message_is_answered_again() -> None:
    """The answer that is kept goes to an identical request; another one under the same numbers gets none."""
    network = joined()
    up(network)
    ours = [t.payload for source, t in network.sent if source == LEFT]
    quick = [m for m in ours if Header.parse(m).exchange == Exchange.QUICK]
    for message, port in ((quick[0], 500), (ours[2], 500)):
        sent = len(network.sent)
        for index in range(28, len(message), 7):
            inject(network, message[:index] + bytes([message[index] ^ 0x40]) + message[index + 1 :], port=port)
        inject(network, message + b"\0" * 16, port=port)
        assert len(network.sent) == sent


def test_a_first_message_under_a_known_cookie_changes_nothing() -> None:
    network = joined()
    network.fate = lambda count, source, transmit: [0.01] if count == 1 else []
    network.command(network.left, InitiatePeer("right"))
    network.run(0.1)
    first, sent = network.sent[0][1].payload, len(network.sent)
    for index in range(40, len(first), 3):
        inject(network, first[:index] + bytes([first[index] ^ 1]) + first[index + 1 :])
    assert len(network.sent) == sent and len(network.right.endpoint._core.sas) == 1
    inject(network, first)
    assert len(network.sent) == sent + 1 and network.sent[-1][1].payload == network.sent[1][1].payload


def test_old_and_foreign_probes_are_not_answered() -> None:
    network = joined(dpd={"interval_s": 0})
    up(network)
    cookies = current(network).cookies

    def probe(sequence: int, spi: bytes = cookies, size: int = 4) -> int:
        data = sequence.to_bytes(4, "big")[:size]
        return len(informs(network, Notification(1, spi, Notify.R_U_THERE, data)))

    assert probe(1000) == 1 and probe(1001) == 1
    assert probe(999) == 0 and probe(1002, bytes(16)) == 0 and probe(1003, size=2) == 0
    assert probe(1002) == 1
    counters = network.right.endpoint.counters()
    assert counters["dropped: old R-U-THERE"] == 1 and counters["dropped: bad R-U-THERE"] == 2


def test_an_acknowledgement_counts_for_the_probe_that_is_open_alone() -> None:
    network = joined(dpd={"interval_s": 5, "timeout_s": 20})
    up(network)
    network.fate = lambda number, source, transmit: []
    network.run(6)
    cookies = current(network).cookies
    for data in (b"\0\0\0\0", b"\xff\xff\xff\xff", b""):
        informs(network, Notification(1, cookies, Notify.R_U_THERE_ACK, data))
    assert network.run(40, lambda: "ike.dpd.dead" in network.right.codes())


def test_payload_numbers_of_other_things_do_not_get_through() -> None:
    """A proposal or a transform is no payload of a message."""
    network = joined()
    up(network)
    before = snapshot(network)
    for kind in (PayloadType.PROPOSAL, PayloadType.TRANSFORM, 0, 15, 19, 22, 129, 255):
        inject(network, Header(b"12345678", bytes(8), kind, 0x10, Exchange.MAIN, Flag.NONE, 0).build(b"\0\0\0\x08abcd"))
    assert snapshot(network) == before
