"""A configuration with certificates: each mistake is refused with its field, and keys are never shown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.certified import LEFT_END, MIDDLE, RIGHT_END, ROOT, certified
from tests.ikev1.pair import document, peer_row
from tests.pki import issue
from vpnengine.contract.config import config_for_wire, parse_config
from vpnengine.contract.identity import Identity
from vpnengine.contract.problems import Refused
from vpnengine.ikev1.credentials import credential_problems

ROW = peer_row() | certified(LEFT_END)
SECRET_LINES = LEFT_END.key_pem.splitlines()[1:-1]
ECDSA = issue("ecdsa", MIDDLE, kind="ecdsa-256")

FORMS: list[tuple[dict[str, Any], str, str]] = [
    ({"authentication": "psk"}, "psk", "is empty"),
    ({"certificate": None}, "certificate", "needs this side's certificate"),
    ({"certificate": "nonsense"}, "certificate", "BEGIN CERTIFICATE"),
    ({"certificate": LEFT_END.pem + LEFT_END.key_pem}, "certificate", "private key"),
    ({"certificate": LEFT_END.pem + " " * 300_000}, "certificate", "larger than"),
    ({"private_key": None}, "private_key", "needs the private key"),
    ({"private_key": LEFT_END.pem}, "private_key", "not a private key"),
    ({"trusted_cas": []}, "trusted_cas", "has issued the peer's"),
    ({"trusted_cas": ["nonsense"]}, "trusted_cas.0", "not a certificate"),
    ({"crl": ROOT.pem}, "crl", "revocation list"),
    ({"remote_identity": {"type": "key-id", "value": "x"}}, "remote_identity", "cannot prove a key ID"),
    ({"remote_identity": {"type": "dn", "value": "CN"}}, "remote_identity", "of the form CN=value"),
    ({"remote_identity": {"type": "fqdn", "value": "a" * 300}}, "remote_identity", "host name"),
    ({"remote_identity": {"type": "user-fqdn", "value": "a@" * 200}}, "remote_identity", "at most 255"),
    ({"authentication": "dsa"}, "authentication", "rsa"),
]


@pytest.mark.parametrize(("change", "field", "words"), FORMS, ids=range(len(FORMS)))
def test_the_form_is_checked(change: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        document(ROW | change)
    assert any(p.field == f"peers.0.{field}" and words in p.message for p in refused.value.problems)
    assert not any(line in str(refused.value) for line in SECRET_LINES)


CONTENTS: list[tuple[dict[str, Any], str, str]] = [
    ({"private_key": RIGHT_END.key_pem}, "private_key", "does not belong to the certificate"),
    ({"private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}, "private_key", "PEM form"),
    ({"authentication": "ecdsa"}, "authentication", "the certificate has one of rsa"),
    (certified(ECDSA), "authentication", "the certificate has one of ecdsa-256"),
    (certified(issue("small", MIDDLE, kind="rsa-1024")), "private_key", "1024 bits"),
    (certified(issue("crypt", MIDDLE, usage={"key_encipherment": True})), "certificate", "key usage"),
    ({"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "certificate", "cannot be read"),
    ({"trusted_cas": [issue("small CA", kind="rsa-1024", ca=True).pem]}, "trusted_cas", "1024 bits"),
    ({"trusted_cas": [issue("lame CA", ca=True, usage={"crl_sign": True}).pem]}, "trusted_cas", "key usage"),
    ({"crl": "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----"}, "crl", "cannot be read"),
    ({"local_identity": {"type": "fqdn", "value": "other.example.com"}}, "local_identity", "no peer would believe"),
    ({"local_identity": {"type": "dn", "value": "CN=other"}}, "local_identity", "left.example.com"),
]


@pytest.mark.parametrize(("change", "field", "words"), CONTENTS, ids=range(len(CONTENTS)))
def test_the_contents_are_checked(change: dict[str, Any], field: str, words: str) -> None:
    problems = credential_problems(document(ROW | change))
    assert [p.field for p in problems] == [f"peers.0.{field}"]
    assert words in problems[0].message
    assert not any(line in problems[0].message for line in SECRET_LINES)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"local_identity": {"type": "dn", "value": "CN=left, O=Example, C=DE"}},
        {"local_identity": {"type": "ipv4", "value": "192.0.2.1"}},
        {"trusted_cas": [RIGHT_END.pem], "crl": ROOT.crl()},
        certified(ECDSA, "ecdsa"),
    ],
)
def test_what_fits_is_accepted(change: dict[str, Any]) -> None:
    assert credential_problems(document(ROW | change)) == []


def test_keys_travel_on_the_wire_and_are_not_shown_elsewhere() -> None:
    config = document(ROW)
    wire = config_for_wire(config)
    assert wire["peers"][0]["private_key"] == LEFT_END.key_pem and wire["peers"][0]["psk"] is None
    assert parse_config(wire) == config
    for said in (repr(config), str(config), config.model_dump_json()):
        assert not any(line in said for line in SECRET_LINES)


def test_an_ipv6_address_is_the_same_however_it_is_written() -> None:
    from vpnengine.crypto.x509 import load_certificates
    from vpnengine.ikev1.credentials import certifies

    (certificate,) = load_certificates(issue("six", ROOT, names=("2001:db8::1",)).pem)
    assert certifies(certificate, Identity(type="ipv6", value="2001:DB8:0::1"))
    assert not certifies(certificate, Identity(type="ipv6", value="2001:db8::2"))
