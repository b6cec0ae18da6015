"""A peer that refuses this side's proof without a word: what can be guessed, and when nothing is guessed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1 import certified
from tests.ikev1.pair import LEFT, Network, document, mirrored, peer_row
from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.contract.entry import Confidence
from vpnengine.contract.events import Side
from vpnengine.ikev1.interface import InitiatePeer, TerminatePeer, Transmit
from vpnengine.isakmp.constants import Exchange
from vpnengine.isakmp.message import Header


def psk(**changes: Any) -> Network:
    row = peer_row(**changes)
    return Network(document(row), document(mirrored(row)))


def deleted(network: Network, after: float, quick: bool = False) -> Network:
    """The left end begins, asks for nothing unless ``quick``, and deletes the SA so many seconds later."""

    def fate(count: int, source: str, transmit: Transmit) -> list[float]:
        asks = source == LEFT and Header.parse(transmit.payload).exchange == Exchange.QUICK
        return [0.001] if quick or not asks else []

    network.fate = fate
    network.command(network.left, InitiatePeer("right"))
    assert network.run(10, lambda: "ike.phase1.established" in network.left.codes())
    network.run(after)
    network.command(network.left, TerminatePeer("right"))
    network.run(1)
    assert "ike.phase1.peer_deleted" in network.right.codes()
    return network


def test_a_certificate_that_is_refused_by_a_deletion() -> None:
    event = deleted(certified.joined(), 0.1).right.last("ike.phase1.dropped")
    assert event.side is Side.PEER and event.evidence["CAs that the peer trusts"] == "C=DE, O=Example, CN=Root"
    assert "this side's certificate of “C=DE, O=Example, CN=right”" in (event.hint or "")
    assert "field Local identity" in (event.hint or "")
    assert CATALOGUE["ike.phase1.dropped"].confidence is Confidence.PROBABLE


def test_an_identity_that_is_refused_by_a_deletion() -> None:
    event = deleted(psk(), 0.1).right.last("ike.phase1.dropped")
    assert "“ipv4 192.0.2.2”" in (event.hint or "") and "field Local identity" in (event.hint or "")


@pytest.mark.parametrize(("after", "quick"), [(0.1, True), (5.0, False)], ids=["a tunnel stood", "it was not at once"])
def test_other_deletions_are_no_refusals(after: float, quick: bool) -> None:
    assert "ike.phase1.dropped" not in deleted(psk(), after, quick).right.codes()


@pytest.mark.parametrize("end", ["initiator", "responder"])
def test_silence_after_a_proof_in_aggressive_mode(end: str) -> None:
    """Message 3, or what answers message 2, never comes: the secret is one possible reason, the identity another."""
    network = psk(exchange="aggressive")
    silent = LEFT if end == "responder" else network.right.host

    def fate(count: int, source: str, transmit: Transmit) -> list[float]:
        return [] if source == silent and count > 2 else [0.001]

    network.fate = fate
    network.command(network.left, InitiatePeer("right"))
    network.run(60)
    node, code = (network.left, "ike.phase2.timeout") if end == "initiator" else (network.right, "ike.phase1.timeout")
    hint = node.last(code).hint or ""
    assert "Nothing has come since this side proved itself" in hint
    assert "Local identity" in hint and "Pre-shared secret" in hint and "Fragmentation" in hint
