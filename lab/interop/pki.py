"""Certificates for the matrix: made when the first row needs them, never stored."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from lab.interop.model import Credentials, Settings

MOON, SUN = "moon.example.com", "sun.example.com"
_CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
_NOW = dt.datetime.now(dt.UTC)
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate, its key, and the certificates above it without the root."""

    pem: str
    key: str
    subject: str
    serial: int
    above: str = ""


@functools.cache
def _key(kind: str, label: str) -> Any:
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65_537, int(kind[3:]))
    return ec.generate_private_key(_CURVES[kind])


def _name(common: str) -> x509.Name:
    parts = ((NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Example"), (NameOID.COMMON_NAME, common))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _builder(common: str, issuer: str, kind: str, days: tuple[int, int]) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common))
        .issuer_name(_name(issuer))
        .public_key(_key(kind, common).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW + days[0] * _DAY)
        .not_valid_after(_NOW + days[1] * _DAY)
    )


@functools.cache
def authority(label: str = "Root", issuer: str | None = None) -> str:
    """The certificate of a CA as PEM; its own issuer unless one is named."""
    builder = _builder(label, issuer or label, "rsa2048", (-30, 300))
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    own = x509.SubjectKeyIdentifier.from_public_key(_key("rsa2048", label).public_key())
    builder = builder.add_extension(own, critical=False)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = builder.add_extension(usage, critical=True)
    return _pem(builder.sign(_key("rsa2048", issuer or label), hashes.SHA256()))


@functools.cache
def certificate(
    common: str,
    kind: str = "rsa2048",
    days: tuple[int, int] = (-30, 300),
    issuer: str = "Root",
    names: int = 1,
    *,
    name: str | None = None,
    purpose: x509.ObjectIdentifier | None = None,
) -> Certificate:
    """A gateway's certificate for a DNS name; ``names`` more of them make it larger.

    ``name`` is the DNS name if it is another than the common name; ``purpose`` the only one that it is for.
    """
    builder = _builder(common, issuer, kind, days)
    wanted = [name or common] + [f"name-{n}-that-makes-it-larger.example.com" for n in range(1, names)]
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in wanted]), critical=False)
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    signed = builder.sign(_key("rsa2048", issuer), hashes.SHA256())
    private = _key(kind, common).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    above = "" if issuer == "Root" else authority(issuer, "Root")
    return Certificate(_pem(signed), private.decode(), signed.subject.rfc4514_string(), signed.serial_number, above)


@functools.cache
def revocations(serial: int, days: int = 10) -> str:
    """A list of the root's with one revoked certificate, as PEM; the next one is due in ``days``."""
    row = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_NOW - _DAY).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(_name("Root"))
    builder = builder.last_update(_NOW - 5 * _DAY).next_update(_NOW + days * _DAY).add_revoked_certificate(row)
    # charon finds a list by the key of its issuer.
    of_root = x509.AuthorityKeyIdentifier.from_issuer_public_key(_key("rsa2048", "Root").public_key())
    builder = builder.add_extension(of_root, critical=False)
    return _pem(builder.sign(_key("rsa2048", "Root"), hashes.SHA256()))


def _pem(signed: Any) -> str:
    return str(signed.public_bytes(serialization.Encoding.PEM).decode())


def credentials(mine: Certificate, theirs: Certificate, **ours: Any) -> Credentials:
    """What both ends need: each trusts the root and expects the other's DNS name."""
    method = "ecdsa" if "EC PRIVATE" in mine.key or len(mine.key) < 700 else "rsa"
    changes: dict[str, Any] = {
        "authentication": method,
        "psk": None,
        "certificate": mine.pem + mine.above,
        "private_key": mine.key,
        "trusted_cas": [authority()],
        "local_identity": {"type": "fqdn", "value": SUN},
        "remote_identity": {"type": "fqdn", "value": MOON},
    }
    secrets: tuple[Settings, ...] = (
        {"kind": "key", "type": "any", "data": theirs.key},
        {"kind": "cert", "type": "X509", "flag": "CA", "data": authority()},
    )
    if theirs.above:
        secrets += ({"kind": "cert", "type": "X509", "flag": "NONE", "data": theirs.above},)
    local = {"auth": "pubkey", "certs": [theirs.pem], "id": MOON}
    return Credentials(changes | ours, {"local": local, "remote": {"auth": "pubkey", "id": SUN}}, secrets)


def at_the_peer(made: Credentials, *secrets: Settings, **theirs: Any) -> Credentials:
    """The same with other secrets or sections at the peer."""
    return Credentials(made.ours, {**made.theirs, **theirs}, secrets or made.secrets)


def usual(kind: str = "rsa2048", **ours: Any) -> Credentials:
    """Two good certificates of the root."""
    return credentials(certificate(SUN, kind), certificate(MOON, kind), **ours)


def chained() -> Credentials:
    """Certificates of a CA below the root, with many names: larger than a packet."""
    return credentials(certificate(SUN, issuer="Middle", names=20), certificate(MOON, issuer="Middle", names=20))


def by_subject() -> Credentials:
    """Each end is called what its certificate says."""
    mine, theirs = certificate(SUN), certificate(MOON)
    found = credentials(mine, theirs, local_identity=None, remote_identity={"type": "dn", "value": theirs.subject})
    local = {"auth": "pubkey", "certs": [theirs.pem]}
    remote = {"auth": "pubkey", "id": "C=DE, O=Example, CN=" + SUN}
    return Credentials(found.ours, {"local": local, "remote": remote}, found.secrets)
