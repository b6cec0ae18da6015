"""Authentication with certificates in memory: both roles, every refusal with its side and its hint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import pki
from tests.ikev1.certified import LEFT_END, MIDDLE, RIGHT_END, ROOT, certified, failed, joined, started
from tests.ikev1.pair import LEFT, RIGHT, Network, document, mirrored, peer_row
from tests.pki import DAY, NOW, issue
from vpnengine.contract.events import Side
from vpnengine.crypto.signatures import PrivateKey
from vpnengine.ikev1 import signature_proof
from vpnengine.ikev1.interface import Configure, RekeyPeer
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import build_payloads, parse_payloads
from vpnengine.isakmp.payloads import CertificateData, CertificateRequest, Payload, Signature

DN = {"type": "dn", "value": "C=DE, O=Example, CN=right"}
FAILURES = "ike.phase1.certificate."


def phase1(network: Network) -> Any:
    return network.left.endpoint.peer_statuses(network.now)[0].phase1


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072", "ecdsa-256", "ecdsa-384", "ecdsa-521"])
@pytest.mark.parametrize("hash_", ["sha1", "sha256", "sha512"])
def test_every_kind_of_key_with_every_hash(kind: str, hash_: str) -> None:
    """RFC 4754: the hash of the curve, not the negotiated one, makes what ECDSA signs."""
    left = issue(f"left {kind}", MIDDLE, kind=kind, names=(LEFT,))
    right = issue(f"right {kind}", MIDDLE, kind=kind, names=(RIGHT,))
    policy = {"phase1": {"proposals": [{"encryption": "aes256", "hash": hash_, "group": "ecp256"}]}}
    method = kind.partition("-")[0]
    network = started(joined(left, right, method=method, left_row=policy, right_row=policy))
    assert network.pairs_agree(1)
    status = phase1(network)
    assert status.authentication == ("rsa-signature" if method == "rsa" else kind)
    assert status.remote_certificate == f"C=DE, O=Example, CN=right {kind}"
    assert status.remote_identity == f"dn C=DE, O=Example, CN=right {kind}"
    assert status.remote_certificate_until == NOW + 30 * DAY


def test_what_is_sent_and_asked_for() -> None:
    network = started(joined())
    for node in (network.left, network.right):
        event = node.last("ike.phase1.certificate.accepted")
        assert "issued by “C=DE, O=Example, CN=Middle”" in event.text
        assert event.evidence["valid until"].startswith("2027-02-14")
    left, right = (n.endpoint._core.peers[name] for n, name in ((network.left, "right"), (network.right, "left")))
    for peer in (left, right):
        assert [str(ca) for ca in peer.sas[0].wanted_cas] == ["C=DE, O=Example, CN=Root"]
        assert [str(link.subject).rpartition("=")[2] for link in peer.sas[0].peer_certificates][1:] == [
            "Middle",
            "Root",
        ]


def test_rekeying_of_phase1_proves_again() -> None:
    network = started(joined())
    network.command(network.left, RekeyPeer("right", 1))
    network.run(5)
    assert network.left.codes().count("ike.phase1.certificate.accepted") == 2
    assert network.pairs_agree(1)


IDENTITIES: list[dict[str, Any]] = [
    {"left_row": {"remote_identity": DN}},
    {"left_row": {"remote_identity": {"type": "dn", "value": "cn=Right,o=EXAMPLE,c=de"}}},
    {"left_row": {"remote_identity": {"type": "fqdn", "value": "RIGHT.example.com"}}},
    {"left_row": {"remote_identity": {"type": "user-fqdn", "value": "admin@right.example.com"}}},
    {"left_row": {"remote_identity": {"type": "ipv4", "value": RIGHT}}},
    {"right_row": {"local_identity": {"type": "fqdn", "value": "right.example.com"}}},
    {"right_row": {"local_identity": {"type": "ipv4", "value": RIGHT}}, "left_row": {"remote_identity": DN}},
    {"right_row": {"local_identity": DN}},
    {"left_row": {"trusted_cas": [RIGHT_END.pem]}},
    {"left_row": {"trusted_cas": [MIDDLE.pem + issue("Other", ca=True).pem]}},
    {"left_row": {"crl": ROOT.crl()}},
]


@pytest.mark.parametrize("changes", IDENTITIES, ids=range(len(IDENTITIES)))
def test_ways_to_name_and_to_trust(changes: dict[str, Any]) -> None:
    assert started(joined(**changes)).pairs_agree(1)


def _revoked() -> dict[str, Any]:
    ca = issue("Middle", ROOT, ca=True)
    ca.revoked = [(RIGHT_END.certificate.serial_number, NOW - 3 * DAY)]
    return {"left_row": {"crl": ca.crl()}}


# What the left end (the initiator) refuses of the right: case, code, side, words of the hint or the text.
REFUSED: list[tuple[dict[str, Any], str, Side, str]] = [
    ({"right": issue("right", MIDDLE, names=(RIGHT,), end=NOW - DAY)}, "expired", Side.PEER, "has expired since 2027"),
    (
        {"right": issue("right", MIDDLE, names=(RIGHT,), start=NOW + DAY)},
        "not_yet_valid",
        Side.UNKNOWN,
        "Correct this appliance's date",
    ),
    (
        {"left_row": {"trusted_cas": [issue("Other", ca=True).pem]}},
        "unknown_ca",
        Side.LOCAL,
        "add its certificate to the field Trusted CAs",
    ),
    ({"right_row": {"certificate": RIGHT_END.pem}}, "unknown_ca", Side.LOCAL, "“C=DE, O=Example, CN=Middle”"),
    (_revoked(), "revoked", Side.PEER, "revoked since 2027-01-12"),
    ({"left_row": {"crl": issue("Middle", ROOT, ca=True).crl(days=-0.5)}}, "crl", Side.LOCAL, "field Revocation list"),
    (
        {"left_row": {"remote_identity": {"type": "fqdn", "value": "gw.example.com"}}},
        "name",
        Side.LOCAL,
        "expected “fqdn gw.example.com”",
    ),
    (
        {"left_row": {"remote_identity": {"type": "dn", "value": "C=DE, O=Example, CN=left"}}},
        "name",
        Side.LOCAL,
        "Remote identity",
    ),
    ({"right": issue("right", MIDDLE, names=("192.0.2.77",))}, "name", Side.LOCAL, f"expected “ipv4 {RIGHT}”"),
    ({"right": issue("right", MIDDLE)}, "name", Side.LOCAL, "alternative names: none"),
]


@pytest.mark.parametrize("initiator", ["left", "right"])
@pytest.mark.parametrize(("changes", "code", "side", "words"), REFUSED, ids=range(len(REFUSED)))
def test_each_refusal_is_explained_to_both(
    initiator: str, changes: dict[str, Any], code: str, side: Side, words: str
) -> None:
    """The left end judges, as initiator and as responder; the right end is told."""
    network = failed(joined(**changes), 8, initiator)
    event = network.left.last(FAILURES + code)
    assert event.side is side
    assert words in (event.hint or "") + event.text
    told = network.right.last("ike.phase1.certificate.refused")
    assert told.side is Side.PEER and "this side's certificate of “C=DE, O=Example, CN=right”" in (told.hint or "")
    assert not network.right.endpoint._core.sas or initiator == "right"


def test_the_peer_is_told_which_ca_is_wanted() -> None:
    network = failed(joined(left_row={"trusted_cas": [issue("Other", ca=True).pem]}), 8)
    told = network.right.last("ike.phase1.certificate.refused")
    assert "It asks for one of C=DE, O=Example, CN=Other" in (told.hint or "")


class Liar(signature_proof.SignatureProof):
    """Proves what it has been told to."""

    def __init__(self, change: Callable[[list[Payload], bytes], list[Payload]]) -> None:
        super().__init__(signature_proof.KeyKind.RSA)
        self.change = change

    def prove(self, core: Any, sa: Any, identity: Any, digest: bytes) -> list[Payload]:
        return self.change(super().prove(core, sa, identity, digest), digest)


THIEF = PrivateKey(pki.key("rsa-2048", "thief"))
STOLEN = issue("thief", ROOT, private=pki.key("rsa-2048", "thief"), names=(RIGHT,))
LIES: dict[str, tuple[Callable[[list[Payload], bytes], list[Payload]], str]] = {
    "the signature of another key": (lambda chain, digest: [*chain[:-1], Signature(THIEF.sign(digest))], "signature"),
    "a signature over something else": (
        lambda chain, digest: [*chain[:-1], Signature(THIEF.sign(digest[::-1]))],
        "signature",
    ),
    "no certificate": (lambda chain, digest: chain[-1:], "missing"),
    "a broken certificate": (lambda chain, digest: [CertificateData(4, b"0\0"), *chain], "invalid"),
    "a genuine certificate of somebody else": (
        lambda chain, digest: [CertificateData(4, STOLEN.der), Signature(THIEF.sign(digest))],
        "identity",
    ),
    "a certificate of one's own making": (
        lambda chain, digest: [
            CertificateData(4, issue("right", private=pki.key("rsa-2048", "thief"), names=(RIGHT,)).der),
            Signature(THIEF.sign(digest)),
        ],
        "unknown_ca",
    ),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("liar", ["left", "right"])
def test_lies(monkeypatch: pytest.MonkeyPatch, lie: str, liar: str) -> None:
    from vpnengine.ikev1 import authentication

    change, code = LIES[lie]
    network = joined()
    honest = authentication.METHODS[c.AUTH_RSA]
    crooked = dataclasses.replace(honest, **{"initiator" if liar == "left" else "responder": Liar(change)})
    monkeypatch.setitem(authentication.METHODS, c.AUTH_RSA, crooked)
    if liar == "left":
        # The one stolen certificate is for the right end's address.
        network = joined(right_row={"remote_identity": {"type": "ipv4", "value": RIGHT}})
    failed(network, 8)
    judge = network.right if liar == "left" else network.left
    assert judge.last(FAILURES + code).side in (Side.PEER, Side.LOCAL)
    assert "ike.phase1.certificate.accepted" not in judge.codes()


def test_other_encodings_and_order_do_not_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    """PKCS#7 and CRLs are left aside, and the certificate of the peer may come after its CA's."""
    from vpnengine.ikev1 import authentication

    def change(chain: list[Payload], digest: bytes) -> list[Payload]:
        return [CertificateData(1, b"pkcs7"), CertificateData(7, b"crl"), *reversed(chain)]

    honest = authentication.METHODS[c.AUTH_RSA]
    monkeypatch.setitem(authentication.METHODS, c.AUTH_RSA, dataclasses.replace(honest, responder=Liar(change)))
    assert started(joined()).pairs_agree(1)


def test_psk_and_signatures_do_not_meet() -> None:
    row = peer_row()
    network = Network(document(row | certified(LEFT_END)), document(mirrored(row)))
    failed(network, 8)
    event = network.right.last("ike.phase1.no_proposal")
    assert "authentication: here psk, peer rsa-signature" in (event.hint or "")


def test_own_certificate_out_of_its_time_is_said_here() -> None:
    network = failed(joined(right=issue("right", MIDDLE, names=(RIGHT,), end=NOW - DAY)), 8)
    assert network.right.last("ike.phase1.certificate.own").side is Side.LOCAL


def test_without_a_clock_nothing_is_believed() -> None:
    network = joined()
    network.wall = 0.0
    failed(network, 8)
    assert "ike.phase1.certificate.not_yet_valid" in network.left.codes() + network.right.codes()


def test_a_new_revocation_list_cuts_off_at_once_and_others_do_not() -> None:
    network = started(joined())
    ca = issue("Middle", ROOT, ca=True)
    row = peer_row() | certified(LEFT_END)
    network.command(network.left, Configure(document(row | {"crl": ca.crl()}, revision=2)))
    network.run(5)
    assert network.pairs_agree(1) and network.left.codes().count("ike.phase1.established") == 1
    ca.revoked = [(RIGHT_END.certificate.serial_number, NOW)]
    network.command(network.left, Configure(document(row | {"crl": ca.crl()}, revision=3)))
    assert not network.left.outbound and network.left.last(FAILURES + "revoked")


def test_a_lost_message_with_certificates_is_explained() -> None:
    network = joined()
    network.fate = lambda count, source, transmit: [] if len(transmit.payload) > 1000 else [0.01]
    failed(network)
    event = network.left.last("ike.phase1.timeout")
    assert "in IP fragments" in (event.hint or "") and "Pre-shared secret" not in (event.hint or "")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32))
def test_damaged_proofs_are_never_accepted(seed: int) -> None:
    """One octet of message 5 or 6 changes on the way: the tunnel comes up by repetition, or not, but never by it."""
    network = joined(seed=seed)
    damaged = []

    def fate(count: int, source: str, transmit: Any) -> list[float]:
        if len(transmit.payload) > 1000 and not damaged:
            payload = bytearray(transmit.payload)
            payload[28 + seed % (len(payload) - 28)] ^= 1 + seed % 255
            damaged.append(bytes(payload))
            target = network.right if source == LEFT else network.left
            network.flying.append((network.now + 0.001, 0, target, dataclasses.replace(transmit, payload=damaged[0])))
            return []
        return [0.01]

    network.fate = fate
    started(network, 30)
    peer = network.right.endpoint._core.peers["left"]
    assert all(sa.received != damaged[0] or sa.established is None for sa in peer.sas)


def test_secrets_and_keys_stay_inside() -> None:
    network = joined(left_row={"trusted_cas": [issue("Other", ca=True).pem]})
    failed(network, 30)
    said = str(network.left.events) + str(network.left.endpoint.trace())
    said += str(network.left.endpoint.peer_statuses(network.now)) + repr(network.left.endpoint._core.peers["right"])
    for line in LEFT_END.key_pem.splitlines()[1:-1]:
        assert line not in said


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([c.PayloadType.CERT, c.PayloadType.CERT_REQUEST, c.PayloadType.SIGNATURE]), st.binary(max_size=80)
)
def test_payloads_are_total_and_survive_a_round_trip(kind: c.PayloadType, body: bytes) -> None:
    chain = bytes([0, 0]) + (len(body) + 4).to_bytes(2, "big") + body
    try:
        payloads = parse_payloads(kind, chain)
    except DecodeError as error:
        assert len(body) < 2 and error.payload in ("CERT", "CERT-REQUEST", "SIGNATURE")
        return
    assert isinstance(payloads.values[0], CertificateData | CertificateRequest | Signature)
    assert build_payloads(payloads.values) == (kind, chain)
