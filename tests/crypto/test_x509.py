"""From a certificate to a trusted CA: every refusal has its reason, and nothing forged is accepted."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import pki
from tests.pki import DAY, NOW, issue
from vpnengine.crypto.x509 import Certificate, CertificateProblem, Reason, load_certificates, load_crls
from vpnengine.crypto.x509_path import Trust, validate

SHA256_WITH_RSA, SHA1_WITH_RSA = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
ROOT = issue("Root", ca=True)
MIDDLE = issue("Middle", ROOT, ca=True)
END = issue("gw", MIDDLE, names=("gw.example.com", "192.0.2.1", "admin@example.com"))


def parsed(*identities: pki.Identity) -> tuple[Certificate, ...]:
    return tuple(Certificate.from_der(one.der) for one in identities)


def check(end: pki.Identity, *others: pki.Identity, anchors: Any = None, crl: str = "", now: float = NOW) -> list[str]:
    """Subjects of the path that is found."""
    trust = Trust(parsed(*(anchors or (ROOT,))), load_crls(crl) if crl else ())
    return [str(link.subject) for link in validate(*parsed(end), parsed(*others), trust, now)]


def refusal(*arguments: Any, **named: Any) -> CertificateProblem:
    with pytest.raises(CertificateProblem) as found:
        check(*arguments, **named)
    assert str(found.value)[0].islower() or str(found.value)[0] == "“"
    return found.value


def test_a_path_over_an_intermediate_ca_is_found() -> None:
    want = ["C=DE, O=Example, CN=gw", "C=DE, O=Example, CN=Middle", "C=DE, O=Example, CN=Root"]
    assert check(END, MIDDLE) == want
    assert check(END, END, ROOT, issue("Other", ca=True), MIDDLE, MIDDLE) == want
    assert check(END, anchors=(MIDDLE,)) == want[:2]
    assert check(END, anchors=(END,)) == want[:1]


def test_names_and_times_are_read() -> None:
    (end,) = load_certificates(END.pem)
    assert end.names.dns == ("gw.example.com",) and end.names.addresses == ("192.0.2.1",)
    assert end.names.mail == ("admin@example.com",)
    assert (end.not_before, end.not_after) == (NOW - 30 * DAY, NOW + 30 * DAY)
    assert [str(c.subject)[-4:] for c in load_certificates("text\n" + END.chain_pem + "more")] == ["N=gw", "ddle"]


def test_an_unknown_ca_is_named() -> None:
    problem = refusal(END)
    assert problem.reason is Reason.UNKNOWN_CA and "“C=DE, O=Example, CN=Middle”" in str(problem)
    assert problem.evidence["missing_issuer"].endswith("CN=Middle")
    assert refusal(END, MIDDLE, anchors=(issue("Other", ca=True),)).evidence["missing_issuer"].endswith("CN=Root")


def test_a_certificate_in_the_name_of_a_trusted_ca_is_not_enough() -> None:
    forged = issue("gw", ROOT, signer=pki.key("rsa-2048", "thief"))
    problem = refusal(forged)
    assert problem.reason is Reason.UNKNOWN_CA and "has not signed it" in str(problem)
    twin = issue("Root", ca=True, private=pki.key("rsa-2048", "thief"))
    assert refusal(issue("gw", twin), twin).reason is Reason.UNKNOWN_CA


TIMES: list[tuple[Callable[[], Any], Reason, str]] = [
    (lambda: refusal(issue("gw", ROOT, end=NOW - DAY)), Reason.EXPIRED, "has expired since 2027-01-14 08:00 UTC"),
    (lambda: refusal(issue("gw", ROOT, start=NOW + DAY)), Reason.NOT_YET_VALID, "from 2027-01-16 08:00 UTC only"),
    (lambda: refusal(END, issue("Middle", ROOT, ca=True, end=NOW - 1)), Reason.EXPIRED, "“C=DE, O=Example, CN=Middle”"),
    (lambda: refusal(END, MIDDLE, now=NOW + 31 * DAY), Reason.EXPIRED, "CN=gw"),
]


@pytest.mark.parametrize(("case", "reason", "words"), TIMES)
def test_times(case: Callable[[], CertificateProblem], reason: Reason, words: str) -> None:
    problem = case()
    assert problem.reason is reason and words in str(problem)


def _constrained() -> x509.NameConstraints:
    return x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.org")], excluded_subtrees=None)


FORMS: dict[str, tuple[Callable[[], Any], Reason]] = {
    "an end certificate as a CA": (lambda: refusal(issue("gw", END), END, MIDDLE), Reason.PURPOSE),
    "a CA without keyCertSign": (
        lambda: refusal(issue("gw", _ca(usage={"digital_signature": True})), _ca(usage={"digital_signature": True})),
        Reason.PURPOSE,
    ),
    "the root is no CA": (lambda: refusal(issue("gw", _plain()), anchors=(_plain(),)), Reason.PURPOSE),
    "path length": (lambda: refusal(*_long_path()), Reason.PURPOSE),
    "no digitalSignature": (lambda: refusal(issue("gw", ROOT, usage={"key_encipherment": True})), Reason.PURPOSE),
    "for code signing only": (lambda: refusal(issue("gw", ROOT, purposes=("1.3.6.1.5.5.7.3.3",))), Reason.PURPOSE),
    "critical name constraints": (
        lambda: refusal(issue("gw", _ca(extra=((_constrained(), True),))), _ca(extra=((_constrained(), True),))),
        Reason.PURPOSE,
    ),
    "an unknown critical extension": (
        lambda: refusal(issue("gw", ROOT, extra=((x509.UnrecognizedExtension(_OID, b"\5\0"), True),))),
        Reason.PURPOSE,
    ),
    "a small key": (lambda: refusal(issue("gw", ROOT, kind="rsa-1024")), Reason.WEAK),
    "a CA with a small key": (lambda: refusal(issue("gw", _ca(kind="rsa-1024")), _ca(kind="rsa-1024")), Reason.WEAK),
    "a SHA-1 signature": (lambda: refusal(_with_sha1(issue("gw", ROOT))), Reason.WEAK),
}
_OID = x509.ObjectIdentifier("1.3.6.1.4.1.55555.1")


@dataclass
class _Octets:
    der: bytes


def _with_sha1(identity: pki.Identity) -> Any:
    """The library does not sign with SHA-1 any more: name it in place of SHA-256."""
    return _Octets(identity.der.replace(SHA256_WITH_RSA, SHA1_WITH_RSA))


def _ca(**changes: Any) -> pki.Identity:
    return issue(f"CA {sorted(changes)}", ROOT, **{"ca": True, **changes})


def _plain() -> pki.Identity:
    return issue("Plain root", usage={"key_cert_sign": True})


def _long_path() -> tuple[pki.Identity, ...]:
    root = issue("Middle", ROOT, ca=True, pathlen=0)
    below = issue("Below", root, ca=True)
    return issue("gw", below), below, root


@pytest.mark.parametrize("case", FORMS)
def test_forms(case: str) -> None:
    build, reason = FORMS[case]
    assert build().reason is reason


def test_what_gateways_have_is_accepted() -> None:
    assert check(issue("gw", ROOT, usage={"content_commitment": True}, purposes=("1.3.6.1.5.5.7.3.17",)))
    assert check(issue("gw", ROOT, purposes=("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2")))
    limited = issue("Middle", ROOT, ca=True, pathlen=0)
    assert check(issue("gw", limited), limited)
    for kind in ("ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-3072"):
        ca = issue(f"CA {kind}", kind=kind, ca=True)
        assert check(issue("gw", ca, kind=kind), anchors=(ca,))


def test_loops_end() -> None:
    """Two CAs that certify each other, and many of one name, cost a bounded number of signatures."""
    one, two = issue("One", ca=True), issue("Two", ca=True)
    cross = [issue("One", two, ca=True, private=one.private), issue("Two", one, ca=True, private=two.private)]
    assert refusal(issue("gw", one), *cross).reason is Reason.UNKNOWN_CA
    many = [issue("One", two, ca=True, private=one.private) for _ in range(40)]
    many += [issue("Two", one, ca=True, private=two.private) for _ in range(40)]
    assert refusal(issue("gw", one), *many).reason is Reason.UNKNOWN_CA


def test_revocation() -> None:
    ca = issue("Revoker", ca=True)
    bad, good = issue("bad", ca), issue("good", ca)
    ca.revoked = [(bad.certificate.serial_number, NOW - 2 * DAY)]
    assert check(good, anchors=(ca,), crl=ca.crl())
    problem = refusal(bad, anchors=(ca,), crl=ca.crl())
    assert problem.reason is Reason.REVOKED and "since 2027-01-13" in str(problem)
    assert problem.evidence["serial"] == f"{bad.certificate.serial_number:x}"
    assert refusal(bad, anchors=(ca,), crl=ca.crl(days=-0.5)).reason is Reason.REVOKED
    stale = refusal(good, anchors=(ca,), crl=ca.crl(days=-0.5))
    assert stale.reason is Reason.CRL and "out of date" in str(stale)
    assert "future" in str(refusal(good, anchors=(ca,), crl=ca.crl(now=NOW + 5 * DAY)))
    thief = refusal(good, anchors=(ca,), crl=ca.crl(signer=pki.key("rsa-2048", "thief")))
    assert thief.reason is Reason.CRL and "not signed" in str(thief)
    octets = base64.b64decode("".join(ca.crl().splitlines()[1:-1])).replace(SHA256_WITH_RSA, SHA1_WITH_RSA)
    weak = f"-----BEGIN X509 CRL-----\n{base64.encodebytes(octets).decode()}-----END X509 CRL-----"
    assert refusal(good, anchors=(ca,), crl=weak).reason is Reason.CRL
    assert check(good, anchors=(ca,), crl=issue("Somebody", ca=True).crl()), "a list of another CA says nothing"


def test_a_revoked_intermediate_ca() -> None:
    root = issue("Strict root", ca=True)
    middle = issue("Middle", root, ca=True)
    root.revoked = [(middle.certificate.serial_number, NOW - DAY)]
    assert refusal(issue("gw", middle), middle, anchors=(root,), crl=root.crl()).reason is Reason.REVOKED


def test_partial_lists_are_refused() -> None:
    with pytest.raises(CertificateProblem, match="partial"):
        load_crls(ROOT.crl(critical=[x509.DeltaCRLIndicator(1)]))
    for text in ("", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----"):
        with pytest.raises(CertificateProblem):
            load_crls(text)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(END.der) - 1), st.integers(0, 255), st.integers(0, len(END.der)))
def test_damaged_certificates_are_refused_with_a_reason(index: int, octet: int, length: int) -> None:
    for data in (END.der[:index] + bytes([octet]) + END.der[index + 1 :], END.der[:length]):
        if data == END.der:
            continue
        with pytest.raises(CertificateProblem):
            validate(Certificate.from_der(data), parsed(MIDDLE), Trust(parsed(ROOT)), NOW)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_no_certificate(data: bytes) -> None:
    with pytest.raises(CertificateProblem) as found:
        Certificate.from_der(data)
    assert found.value.reason is Reason.MALFORMED
