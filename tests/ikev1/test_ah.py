"""AH is negotiated where a row asks for it; bundles with IPComp are refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import Network, document, mirrored, peer_row
from tests.ikev1.test_negotiation import joined, up
from vpnengine.contract.problems import Refused
from vpnengine.daemon.reconcile import unusable_peers
from vpnengine.dataplane.base import Capabilities
from vpnengine.ikev1 import proposals
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer, TerminatePeer
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.sa_payload import Proposal, SecurityAssociation

AH = {"protocol": "ah", "encryption": "null", "integrity": "sha256"}
ESP = {"encryption": "aes256gcm16"}


def phase2(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"phase2": {"proposals": list(rows)}}


@pytest.mark.parametrize("integrity", ["sha1", "sha256", "sha384", "sha512"])
def test_ah_is_agreed_and_deleted_as_ah(integrity: str) -> None:
    network = joined(peer_row(**phase2({**AH, "integrity": integrity})))
    up(network)
    pair = next(iter(network.left.installed.values()))
    assert pair.transform.protocol == "ah" and len(pair.keys_in.encryption) == 0
    assert any(event.text.startswith("IPsec-SA established: AH/Tunnel ") for event in network.left.events)
    network.command(network.left, RekeyPeer("right", 2))
    assert network.run(60, lambda: network.pairs_agree(1))
    network.command(network.left, TerminatePeer("right"))
    network.run(1)
    assert not network.right.installed
    assert any(record.message == "delete AH" for record in network.left.endpoint.trace())


def test_keys_of_ah_and_esp_differ() -> None:
    """The protocol stands in KEYMAT (RFC 2409 section 5.5): a mistake there would not show between two of ours."""
    from vpnengine.contract.algorithms import EspEncryption, EspIntegrity, IkeHash
    from vpnengine.crypto.prf import prf
    from vpnengine.crypto.secret import Secret
    from vpnengine.esp.sa import EspTransform
    from vpnengine.ikev1.keys import Phase1Keys, esp_keys

    secret = Secret(bytes(32))
    transform = EspTransform(EspEncryption.NULL, EspIntegrity.SHA256, protocol="ah")
    keys = Phase1Keys(secret, secret, secret, secret, secret)
    found = esp_keys(IkeHash.SHA256, keys, transform, 0x01020304, (b"i", b"r"), None)
    assert found.integrity is not None
    assert found.integrity.reveal() == prf(IkeHash.SHA256, secret, b"\x02\x01\x02\x03\x04ir")


def test_esp_and_ah_are_alternatives_in_the_order_of_the_rows() -> None:
    policy = document(peer_row(**phase2(AH, ESP))).peers[0].phase2
    offer = proposals.offer_phase2(policy, 7777, c.Encapsulation.TUNNEL)
    assert [(p.number, p.protocol) for p in offer.proposals] == [(1, c.Protocol.AH), (2, c.Protocol.ESP)]
    assert offer.proposals[0].transforms[0].id == c.Ah.SHA2_256
    network = joined(peer_row(**phase2(AH, ESP)), **phase2(ESP))
    up(network)
    assert next(iter(network.left.installed.values())).transform.protocol == "esp"


def test_ah_is_left_out_when_esp_has_to_go_in_udp() -> None:
    network = joined(peer_row(**phase2(AH, ESP)), raw_esp=False)
    up(network)
    assert next(iter(network.left.installed.values())).transform.protocol == "esp"
    network = joined(peer_row(**phase2(AH)), raw_esp=False)
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert "choose ESP" in network.left.last("ike.phase2.ah").hint
    network = Network(document(peer_row(**phase2(ESP))), document(mirrored(peer_row(), **phase2(AH))), raw_esp=False)
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert "AH is left out" in network.right.last("ike.phase2.no_proposal").hint


def test_ah_against_esp_is_told_apart() -> None:
    network = joined(peer_row(**phase2(AH)), **phase2(ESP))
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert "encryption: here aes256gcm16, peer ah" in network.right.last("ike.phase2.no_proposal").evidence["nearest"]


@pytest.mark.parametrize("other", [c.Protocol.IPCOMP, c.Protocol.AH])
def test_bundles_are_refused_with_a_sentence(other: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = proposals.offer_phase2

    def bundled(policy: Any, spi: int, mode: Any) -> SecurityAssociation:
        esp = plain(policy, spi, mode).proposals[0]
        return SecurityAssociation((esp, Proposal(esp.number, other, b"\0\2", esp.transforms)))

    monkeypatch.setattr(proposals, "offer_phase2", bundled)
    network = joined()
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    event = network.right.last("ike.phase2.no_proposal")
    assert "together in every proposal" in event.hint and "ESP" in event.evidence["together"]
    assert "ike.phase2.refused" in network.left.codes() and not network.right.installed


def test_a_bundle_beside_esp_alone_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = proposals.offer_phase2

    def bundled(policy: Any, spi: int, mode: Any) -> SecurityAssociation:
        esp = plain(policy, spi, mode).proposals[0]
        both = Proposal(1, c.Protocol.IPCOMP, b"\0\2", esp.transforms[:1])
        alone = Proposal(2, esp.protocol, esp.spi, esp.transforms)
        return SecurityAssociation((esp, both, alone))

    monkeypatch.setattr(proposals, "offer_phase2", bundled)
    up(joined())


def test_what_is_no_ah_is_refused_in_the_configuration() -> None:
    with pytest.raises(Refused, match="AH does not encrypt"):
        document(peer_row(**phase2({**AH, "encryption": "aes256"})))
    problem = unusable_peers(document(peer_row(**phase2(AH))), Capabilities("userspace (Python)", False))["right"]
    assert problem.field == "peers.0.phase2.proposals" and "ESP only" in problem.message
    assert not unusable_peers(document(peer_row(**phase2(AH))), Capabilities("other", True, ah=True))
