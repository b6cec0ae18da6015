"""A recorded main mode with RSA signatures between two strongSwan: our derivation and signatures are the same."""

from __future__ import annotations

import json

import pytest

from tests.ikev1.recorded import DIRECTORY, Recording
from vpnengine.contract.algorithms import IkeEncryption, IkeHash
from vpnengine.crypto import ike_cipher
from vpnengine.crypto.signatures import load_private_key
from vpnengine.crypto.x509 import Certificate, load_certificates
from vpnengine.crypto.x509_path import Trust, validate
from vpnengine.ikev1 import keys
from vpnengine.isakmp.message import Header, Payloads, parse_payloads
from vpnengine.isakmp.payloads import (
    CertificateData,
    CertificateRequest,
    Identification,
    KeyExchangeData,
    Nonce,
    Signature,
)
from vpnengine.isakmp.sa_payload import SecurityAssociation

RECORDING = Recording("main-rsa-cert")
VECTOR: dict[str, str] = json.loads((DIRECTORY / "main-rsa-cert.pki.json").read_text())  # test identities only
MESSAGES = [message for _, message in RECORDING.messages]
LOGGED = {"skeyid": "SKEYID", "skeyid_d": "SKEYID_d", "skeyid_a": "SKEYID_a", "skeyid_e": "SKEYID_e"} | {
    "cipher": "encryption key Ka"
}
HASH = IkeHash.SHA256
RECORDED = 1_795_560_000.0  # 2026-11-24, when the certificates were new


def clear(number: int) -> Payloads:
    message = MESSAGES[number - 1]
    return parse_payloads(Header.parse(message).next_payload, message[28:])


def derived() -> keys.Phase1Keys:
    nonces = (clear(3).only(Nonce, "").data, clear(4).only(Nonce, "").data)
    shared = RECORDING.shared
    skeyid = keys.skeyid_signature(HASH, shared, nonces)
    return keys.phase1_keys(HASH, IkeEncryption.AES256, skeyid, shared, MESSAGES[1][:16])


def publics() -> tuple[bytes, bytes]:
    return clear(3).only(KeyExchangeData, "").data, clear(4).only(KeyExchangeData, "").data


def opened(number: int) -> Payloads:
    """Message 5 or 6: the IV of 6 is the last block of 5."""
    iv = keys.phase1_iv(HASH, IkeEncryption.AES256, *publics()) if number == 5 else MESSAGES[4][-16:]
    message = MESSAGES[number - 1]
    plain = ike_cipher.decrypt(IkeEncryption.AES256, derived().cipher, iv, message[28:])
    return parse_payloads(Header.parse(message).next_payload, plain)


def test_skeyid_of_signatures() -> None:
    for name, logged in LOGGED.items():
        assert getattr(derived(), name).reveal() == RECORDING.one(logged)


@pytest.mark.parametrize(("number", "end", "name"), [(5, "initiator", "HASH_I"), (6, "responder", "HASH_R")])
def test_signatures(number: int, end: str, name: str) -> None:
    payloads = opened(number)
    order = 1 if end == "initiator" else -1
    cookies = (MESSAGES[1][:8], MESSAGES[1][8:16])[::order]
    sa_id = clear(1).body_of(SecurityAssociation) + payloads.body_of(Identification)
    digest = keys.auth_hash(HASH, derived(), publics()[::order], b"".join(cookies), sa_id)
    assert digest == RECORDING.one(name)
    signature = payloads.only(Signature, "").data
    sent = Certificate.from_der(payloads.only(CertificateData, "").data)
    assert sent.key is not None and sent.key.verify(digest, signature)
    assert not sent.key.verify(digest[:-1] + b"\0", signature)
    assert load_private_key(VECTOR[f"{end}_key"]).sign(digest) == signature, "PKCS#1 v1.5 leaves no choice"


def test_certificates_and_requests() -> None:
    trust = Trust(load_certificates(VECTOR["ca"]))
    for number, end in ((5, "initiator"), (6, "responder")):
        sent = Certificate.from_der(opened(number).only(CertificateData, "").data)
        assert sent == load_certificates(VECTOR[end])[0]
        assert len(validate(sent, (), trust, RECORDED)) == 2
    for payloads in (clear(4), opened(5)):
        request = payloads.only(CertificateRequest, "")
        assert (request.encoding, request.data) == (4, trust.anchors[0].subject.der)
