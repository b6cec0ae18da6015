"""What gateways in the field do beside the RFCs, and what has to be borne from them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import LEFT, RIGHT, Address, Network, peer_row
from tests.ikev1.test_attacks import current, ends, informs
from tests.ikev1.test_hostile import snapshot
from tests.ikev1.test_negotiation import joined, up
from vpnengine.ikev1 import authentication, natt, vendors
from vpnengine.ikev1.interface import InitiatePeer, Resolved, Transmit
from vpnengine.isakmp.constants import Exchange, Notify
from vpnengine.isakmp.message import Header, build_payloads, parse_payloads
from vpnengine.isakmp.payloads import Identification, Notification, Opaque, Payload, VendorId


def first_messages_with(network: Network, *more: Payload) -> None:
    """The first message of each end carries further payloads."""

    def fate(count: int, source: str, transmit: Transmit) -> list[float]:
        header = Header.parse(transmit.payload)
        if count > 2:
            return [0.01]
        payloads = [*parse_payloads(header.next_payload, transmit.payload[28:]).values, *more]
        first, body = build_payloads(payloads)
        fields = header.initiator_cookie, header.responder_cookie, first, 0x10, header.exchange, 0, 0
        target = network.right if source == LEFT else network.left
        network.flying.append(
            (network.now + 0.01, count, target, Transmit(Header(*fields).build(body), *ends(transmit)))
        )
        return []

    network.fate = fate


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        ("afcad71368a1f1c96b8696fc77570100", "DPD"),
        ("afcad71368a1f1c96b8696fc77570200", "DPD"),
        ("4048b7d56ebce88525e7de7f00d6c2d3", "FRAGMENTATION"),
        ("4048b7d56ebce88525e7de7f00d6c2d3c0000000", "FRAGMENTATION"),
        ("1e2b516905991c7d7c96fcbfb587e46100000009", "MS NT5 ISAKMPOAKLEY"),
        ("f4ed19e0c114eb516faaac0ee37daf2807b4381f000000010000138d", "CHECK-POINT"),
        ("699369228741c6d4ca094c93e242c9de19e7b7c60000000500000500", "NETSCREEN"),
        ("5b362bc820f60007", "SONICWALL"),
        ("12f5f28c457168a9702d9fe274cc0204", "CISCO-UNITY"),
        ("1f07f70eaa6514d3b0fa96542a500100", "CISCO-VPN3000"),
        ("1d6e178f6c2c0be284985465450fe9d4", "FORTIGATE"),
        ("00112233445566778899aabbccddeeff", None),
        ("", None),
    ],
)
def test_vendor_ids_match_by_prefix(octets: str, name: str | None) -> None:
    assert vendors.name_of(VendorId(bytes.fromhex(octets))) == name


def test_unknown_payloads_and_vendor_ids_do_not_disturb() -> None:
    network = joined()
    first_messages_with(network, Opaque(200, b"private use"), Opaque(128, b""), VendorId(b"somebody's"), VendorId(b""))
    up(network)


def test_reserved_octets_of_payload_headers_are_not_looked_at() -> None:
    """RFC 2408 section 3.2 wants zeros and says nothing of what to do else; gateways are lax."""
    network = joined()

    def fate(count: int, source: str, transmit: Transmit) -> list[float]:
        octets = bytearray(transmit.payload)
        if count <= 2:
            octets[29] = 0x80
        target = network.right if source == LEFT else network.left
        network.flying.append((network.now + 0.01, count, target, Transmit(bytes(octets), *ends(transmit))))
        return []

    network.fate = fate
    up(network)


@pytest.mark.parametrize(("protocol", "port"), [(0, 0), (17, 0), (17, 500), (17, 4500)])
def test_ports_of_a_phase_1_identity(monkeypatch: pytest.MonkeyPatch, protocol: int, port: int) -> None:
    """RFC 2407 section 4.6.2 allows 0/0 and 17/500; with NAT traversal 17/4500 and 17/0 are met as well."""
    real = authentication.identify

    def identify(sa: Any) -> Identification:
        found = real(sa)
        sa.own_id = Identification(found.type, protocol, port, found.data)
        return sa.own_id

    assert port in authentication.IDENTITY_PORTS
    monkeypatch.setattr(authentication, "identify", identify)
    network = joined()
    up(network)


@pytest.mark.parametrize("number", [24577, 40001, 40500, 65535, 30000])
def test_private_notifications_change_nothing(number: int) -> None:
    """Such as REPLAY-STATUS, Cisco's keepalives of its own kind or the heartbeats of ScreenOS."""
    network = joined(dpd={"interval_s": 0})
    up(network)
    before = snapshot(network)
    assert not informs(network, Notification(1, current(network).cookies, number, b"\0\0\0\1"))
    assert snapshot(network) == before


def test_an_informational_message_is_never_answered_with_an_error() -> None:
    network = joined(dpd={"interval_s": 0})
    up(network)
    sa = current(network)
    for number in (Notify.INVALID_COOKIE, Notify.PAYLOAD_MALFORMED, Notify.INVALID_SPI, Notify.INVALID_EXCHANGE_TYPE):
        assert not informs(network, Notification(1, sa.cookies, number))


def test_who_did_not_announce_dead_peer_detection_is_not_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendors, "DPD", b"another vendor id of 16")
    network = joined(peer_row(dpd={"interval_s": 2, "timeout_s": 6}))
    up(network)
    network.run(60)
    for node in (network.left, network.right):
        assert "DPD probes sent" not in node.endpoint.counters()
        assert node.installed


def test_keepalives_come_from_behind_the_translator_alone() -> None:
    """RFC 3948 section 4: one octet every 20 seconds, from whoever is translated, and unanswered."""
    inner = "10.70.0.2"
    network = joined(peer_row(dpd={"interval_s": 0}))
    network.left.host = inner

    def translate(count: int, source: str, transmit: Transmit) -> list[float]:
        target, local, remote = network.right, Address(LEFT, transmit.local.port), transmit.remote
        if source == RIGHT:
            target, local, remote = network.left, transmit.local, Address(inner, transmit.remote.port)
        network.flying.append((network.now + 0.01, count, target, Transmit(transmit.payload, local, remote)))
        return []

    network.fate = translate
    network.command(network.left, Resolved("right", RIGHT, inner, RIGHT))
    up(network)
    assert network.left.endpoint.peer_statuses(network.now)[0].phase1.nat == "local"
    assert network.right.endpoint.peer_statuses(network.now)[0].phase1.nat == "remote"
    begun = len(network.sent)
    network.run(100)
    sent = network.sent[begun:]
    assert len(sent) in (4, 5) and {source for source, _ in sent} == {inner}
    assert all(t.payload == natt.KEEPALIVE and t.remote == Address(RIGHT, 4500) for _, t in sent)


def test_without_a_translator_there_are_no_keepalives() -> None:
    network = joined(peer_row(dpd={"interval_s": 0}))
    up(network)
    begun = len(network.sent)
    network.run(100)
    assert len(network.sent) == begun


@pytest.mark.parametrize("exchange", [243, 244, 245, 246, 1, 3, 0, 33, 99, 255])
def test_exchanges_that_nobody_here_speaks_are_dropped(exchange: int) -> None:
    """AuthIP of Windows among them."""
    network = joined()
    network.command(network.left, InitiatePeer("right"))
    first = network.sent[0][1].payload
    network.flying.clear()
    before = len(network.sent)
    network.right.endpoint.receive(
        first[:18] + bytes([exchange]) + first[19:], *reversed(ends(network.sent[0][1])), network.now
    )
    network.drain(network.right)
    assert len(network.sent) == before and not network.right.endpoint._core.sas
    assert exchange not in (Exchange.MAIN, Exchange.AGGRESSIVE) and RIGHT
