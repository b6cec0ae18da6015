"""The versions of NAT traversal, and what goes with each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import LEFT, RIGHT, Address, Network, document, mirrored, peer_row
from tests.ikev1.test_negotiation import up
from vpnengine.ikev1 import informational, natt
from vpnengine.ikev1.interface import InitiatePeer, PeerMoved
from vpnengine.isakmp.constants import Encapsulation, Exchange, Flag, Notify, PayloadType
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, parse_payloads
from vpnengine.isakmp.payloads import NatD, NatOa, VendorId
from vpnengine.isakmp.reader import Reader

RFC, D03 = "RFC 3947", "draft-ietf-ipsec-nat-t-ike-03"
CHOICES: list[tuple[str, str, str | None]] = [
    ("auto", "auto", RFC),
    ("auto", "rfc", RFC),
    ("auto", "drafts", D03),
    ("drafts", "auto", D03),
    ("drafts", "drafts", D03),
    ("force", "drafts", D03),
    ("rfc", "drafts", None),
    ("off", "auto", None),
    ("auto", "off", None),
]


def pair_of(left: str, right: str, raw_esp: bool = True, **changes: Any) -> Network:
    row = peer_row(nat_traversal=left, **changes)
    return Network(document(row), document(mirrored(row, nat_traversal=right)), raw_esp=raw_esp)


def clear_payloads(network: Network, source: str) -> list[Any]:
    """Everything that one side sent in the clear."""
    found: list[Any] = []
    for host, transmit in network.sent:
        header = Header.parse(transmit.payload)
        if host == source and not header.encrypted:
            found += parse_payloads(header.next_payload, transmit.payload[28:]).values
    return found


@pytest.mark.parametrize(("left", "right", "version"), CHOICES)
def test_the_version_that_both_know_is_chosen(left: str, right: str, version: str | None) -> None:
    network = pair_of(left, right)
    up(network)
    for node in (network.left, network.right):
        said = [event.text for event in node.events if event.code == "ike.natt.version"]
        assert said == ([f"Selected NAT-T version: {version}"] if version else [])
        assert node.endpoint.peer_statuses(network.now)[0].phase1.nat_traversal == version
    draft = version is not None and version != RFC
    kinds = {p.kind for p in clear_payloads(network, LEFT) if isinstance(p, NatD)}
    assert kinds == ({PayloadType.NAT_D_DRAFT if draft else PayloadType.NAT_D} if version else set())


def test_the_responder_announces_the_chosen_version_alone() -> None:
    network = pair_of("auto", "drafts")
    up(network)
    known = {v.vendor for v in natt.VERSIONS}
    sent = [p.data for p in clear_payloads(network, "192.0.2.2") if isinstance(p, VendorId) and p.data in known]
    assert sent == [natt.DRAFT_03.vendor]


@pytest.mark.parametrize(
    ("knob", "mode"), [("auto", Encapsulation.UDP_TUNNEL), ("drafts", Encapsulation.UDP_TUNNEL_DRAFT)]
)
def test_the_mode_goes_with_the_version(knob: str, mode: Encapsulation) -> None:
    network = pair_of(knob, "auto", raw_esp=False)
    up(network)
    sa = network.left.endpoint._core.peers["right"].current()
    assert sa is not None and sa.natt is not None
    assert natt.encapsulation(sa.natt, sa.nat.encapsulate, transport=False) is mode
    assert next(iter(network.left.installed.values())).udp


def test_a_data_path_without_raw_esp_names_a_peer_without_natt() -> None:
    network = pair_of("rfc", "drafts", raw_esp=False)
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert "ike.natt.unsupported" in network.left.codes()


def translated() -> Network:
    """Two tunnels of a peer that stands behind a NAT, as far as the right end sees."""
    row = peer_row(nat_traversal="force", remote_subnets=["10.2.0.0/24", "10.2.1.0/24"])
    network = Network(document(row), document(mirrored(row)))
    up(network, 2)
    return network


def remotes(network: Network) -> set[str]:
    core = network.right.endpoint._core
    peer = core.peers["left"]
    found = {str(pair.params.remote) for pair in peer.pairs}
    sa = peer.current()
    return found | ({str(sa.remote)} if sa else set())


def test_a_new_mapping_is_followed_by_everything_that_used_the_old_one() -> None:
    network = translated()
    network.command(network.right, PeerMoved(network.right.outbound[0], Address(LEFT, 31_000)))
    assert remotes(network) == {f"{LEFT}[31000]"}
    assert network.right.codes().count("ike.natt.moved") == 1


@pytest.mark.parametrize("exchange", [Exchange.INFORMATIONAL, Exchange.QUICK])
def test_only_an_authentic_message_moves_the_peer(exchange: Exchange) -> None:
    network = translated()
    sa = network.left.endpoint._core.peers["right"].current()
    assert sa is not None
    before = remotes(network)
    elsewhere = Address("203.0.113.5", 31_000)
    forged = Header(sa.initiator_cookie, sa.responder_cookie, 8, 0x10, exchange, Flag.ENCRYPTION, 99).build(bytes(64))
    old = [t.payload for s, t in network.sent if s == LEFT]
    for datagram in (forged, *old):
        network.right.endpoint.receive(datagram, Address(RIGHT, 4500), elsewhere, network.now)
    assert remotes(network) == before
    # And one that is authentic does.
    core = network.left.endpoint._core
    informational.send_notify(core, sa, 1, sa.cookies, Notify.R_U_THERE, bytes(3) + b"\1")
    datagram = network.left.endpoint.transmits()[-1].payload
    network.right.endpoint.receive(datagram, Address(RIGHT, 4500), elsewhere, network.now)
    assert remotes(network) == {"203.0.113.5[31000]"}


def test_modes_of_all_kinds() -> None:
    table = {
        (udp, transport, version): int(natt.encapsulation(version, udp, transport))
        for udp in (False, True)
        for transport in (False, True)
        for version in (natt.RFC_3947, natt.DRAFT_02)
    }
    assert [table[True, False, natt.RFC_3947], table[True, True, natt.RFC_3947]] == [3, 4]
    assert [table[True, False, natt.DRAFT_02], table[True, True, natt.DRAFT_02]] == [61443, 61444]
    assert {table[False, False, v] for v in natt.VERSIONS[:1]} == {1}
    assert table[False, True, natt.DRAFT_02] == 2


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
@pytest.mark.parametrize("kind", [PayloadType.NAT_OA, PayloadType.NAT_OA_DRAFT])
def test_nat_oa_round_trip(host: str, kind: int) -> None:
    body = NatOa(host, kind).body()
    parse = NatOa.parse if kind == PayloadType.NAT_OA else NatOa.parse_draft
    assert parse(Reader(body, "NAT-OA")) == NatOa(host, kind)
    for wrong in (body[:-1], body + b"x", b"\2" + body[1:], b"", b"\1\0\0"):
        with pytest.raises(DecodeError):
            parse(Reader(wrong, "NAT-OA"))
