"""Aggressive mode with certificates: every refusal in both roles, and what a forged message 2 leaves behind."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.ikev1.certified import MIDDLE, RIGHT_END, failed, joined, started
from tests.ikev1.pair import LEFT, RIGHT, Network
from tests.ikev1.test_certificates import FAILURES, LIES, REFUSED, Liar
from tests.pki import DAY, NOW, issue
from vpnengine.contract.events import Side
from vpnengine.ikev1 import authentication
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer, Transmit
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.message import Header, build_payloads, parse_payloads
from vpnengine.isakmp.payloads import CertificateRequest, Payload, Signature

AGGRESSIVE = {"exchange": "aggressive"}
WHOLE = {"fragmentation": "off"}


def aggressive(changes: dict[str, Any] | None = None, **named: Any) -> Network:
    changes = dict(changes or {})
    rows = {name: AGGRESSIVE | changes.pop(name, {}) for name in ("left_row", "right_row")}
    return joined(**rows, **changes, **named)


@pytest.mark.parametrize("kind", ["rsa-2048", "ecdsa-256", "ecdsa-384"])
@pytest.mark.parametrize("initiator", ["left", "right"])
def test_it_comes_up_with_every_kind_of_key(kind: str, initiator: str) -> None:
    left = issue(f"left {kind}", MIDDLE, kind=kind, names=(LEFT,))
    right = issue(f"right {kind}", MIDDLE, kind=kind, names=(RIGHT,))
    network = aggressive(left=left, right=right, method=kind.partition("-")[0])
    node, peer = (network.left, "right") if initiator == "left" else (network.right, "left")
    network.command(node, InitiatePeer(peer))
    assert network.run(30, lambda: network.pairs_agree(1))
    for one in (network.left, network.right):
        assert one.codes().count("ike.phase1.certificate.accepted") == 1
        assert "ike.aggressive.used" not in one.codes(), "signatures reveal nothing that can be cracked"
    network.command(node, RekeyPeer(peer, 1))
    network.run(10)
    assert network.pairs_agree(1) and network.left.codes().count("ike.phase1.certificate.accepted") == 2


@pytest.mark.parametrize("initiator", ["left", "right"])
@pytest.mark.parametrize(("changes", "code", "side", "words"), REFUSED, ids=range(len(REFUSED)))
def test_each_refusal_is_explained(initiator: str, changes: dict[str, Any], code: str, side: Side, words: str) -> None:
    """The left end judges: as initiator message 2, as responder message 3."""
    network = failed(aggressive(changes), 60, initiator)
    event = network.left.last(FAILURES + code)
    assert event.side is side and words in (event.hint or "") + event.text
    assert network.left.codes().count(FAILURES + code) <= 2, "a peer that repeats itself does not fill the log"
    assert "ike.phase2.established" not in network.left.codes() + network.right.codes()
    # Nobody may be answered before a proof, so that the other end can only guess, and does.
    told = network.right.last("ike.phase2.timeout" if initiator == "right" else "ike.phase1.timeout")
    assert "this side's certificate of “C=DE, O=Example, CN=right”" in (told.hint or "")
    assert "field Local identity" in (told.hint or "") or "field Certificate" in (told.hint or "")


@pytest.mark.parametrize("liar", ["left", "right"])
@pytest.mark.parametrize("lie", LIES)
def test_lies(monkeypatch: pytest.MonkeyPatch, lie: str, liar: str) -> None:
    change, code = LIES[lie]
    honest = authentication.METHODS[c.AUTH_RSA]
    crooked = dataclasses.replace(honest, **{"initiator" if liar == "left" else "responder": Liar(change)})
    monkeypatch.setitem(authentication.METHODS, c.AUTH_RSA, crooked)
    expects = {"right_row": {"remote_identity": {"type": "ipv4", "value": RIGHT}}} if liar == "left" else {}
    network = failed(aggressive(expects), 20)
    judge = network.right if liar == "left" else network.left
    assert judge.last(FAILURES + code).side in (Side.PEER, Side.LOCAL)
    assert "ike.phase1.certificate.accepted" not in judge.codes()


def test_no_trusted_ca_but_the_certificate_itself() -> None:
    """A single certificate can be trusted; no CA is asked for then."""
    network = started(aggressive({"left_row": {"trusted_cas": [RIGHT_END.pem]}}))
    assert network.pairs_agree(1)
    assert network.right.endpoint._core.peers["left"].sas[0].wanted_cas == []


def _forged(message: bytes) -> bytes:
    """Message 2 with a request for a stranger's CA, and a signature that fits nothing."""
    header = Header.parse(message)
    stranger = issue("Stranger", ca=True).certificate.subject.public_bytes()
    chain: list[Payload] = [
        Signature(bytes(256)) if isinstance(one, Signature) else one
        for one in parse_payloads(header.next_payload, message[28:]).values
    ]
    first, body = build_payloads([*chain, CertificateRequest(c.CertEncoding.X509_SIGNATURE, stranger)])
    return dataclasses.replace(header, next_payload=first).build(body)


def test_what_a_forged_message_2_says_does_not_stay() -> None:
    network = aggressive({"left_row": WHOLE, "right_row": WHOLE})
    forged: list[bytes] = []

    def fate(count: int, source: str, transmit: Transmit) -> list[float]:
        if source == RIGHT and not forged:
            forged.append(_forged(transmit.payload))
            fake = dataclasses.replace(transmit, payload=forged[0])
            network.flying.append((network.now + 0.001, 0, network.left, fake))
        return [0.01]

    network.fate = fate
    network.command(network.left, InitiatePeer("right"))
    assert network.run(30, lambda: network.pairs_agree(1))
    assert network.left.codes().count("ike.phase1.certificate.signature") == 1
    (sa,) = network.left.endpoint._core.peers["right"].sas
    assert [str(name) for name in sa.wanted_cas] == ["C=DE, O=Example, CN=Root"]
    assert sa.peer_certificates[0].subject.is_written("C=DE, O=Example, CN=right")


def test_many_forged_messages_2_do_not_stop_it_for_ever() -> None:
    """After three the negotiation listens no more; the next one begins anew and comes up."""
    network = aggressive({"left_row": WHOLE, "right_row": WHOLE})
    forging = [True]

    def fate(count: int, source: str, transmit: Transmit) -> list[float]:
        if source == RIGHT and forging[0] and transmit.payload[16] == c.PayloadType.SA:
            fake = dataclasses.replace(transmit, payload=_forged(transmit.payload))
            network.flying += [(network.now + 0.001 * n, n, network.left, fake) for n in range(1, 6)]
        return [0.05]

    network.fate = fate
    network.command(network.left, InitiatePeer("right"))
    network.run(30)
    forging[0] = False
    network.command(network.left, InitiatePeer("right"))
    assert network.run(60, lambda: network.pairs_agree(1))


def test_our_own_certificate_out_of_its_time_is_said_here() -> None:
    network = failed(aggressive(right=issue("right", MIDDLE, names=(RIGHT,), end=NOW - DAY)), 10)
    assert network.right.last("ike.phase1.certificate.own").side is Side.LOCAL


def test_the_cas_that_are_wanted_are_named_to_whom_they_refuse() -> None:
    """Aggressive mode tells the initiator's CAs in message 1, so that the responder knows what was wanted."""
    network = failed(aggressive({"left_row": {"trusted_cas": [issue("Other", ca=True).pem]}}), 60)
    told = network.right.last("ike.phase1.timeout")
    assert "It asks for one of C=DE, O=Example, CN=Other" in (told.hint or "")
