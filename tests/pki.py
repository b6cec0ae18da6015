"""A small public key infrastructure for tests: made when it is needed, never stored."""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

DAY = 86_400.0
NOW = 1_800_000_000.0  # 2027-01-15, the wall clock of tests that have no real peer
_CURVES = {"ecdsa-256": ec.SECP256R1(), "ecdsa-384": ec.SECP384R1(), "ecdsa-521": ec.SECP521R1()}


@functools.cache
def key(kind: str, label: str) -> Any:
    """A private key: ``rsa-2048``, ``ecdsa-384`` and so on; the same one for the same label."""
    if kind.startswith("rsa-"):
        return rsa.generate_private_key(65_537, int(kind[4:]))
    return ec.generate_private_key(_CURVES[kind])


def name(common: str, **more: str) -> x509.Name:
    """C=DE, O=Example, then what is asked for, then the common name."""
    parts = [(NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Example")]
    parts += [(getattr(NameOID, kind.upper()), value) for kind, value in more.items()]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in [*parts, (NameOID.COMMON_NAME, common)]])


def at(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def san(*names: str) -> x509.SubjectAlternativeName:
    """Alternative names from their text: addresses, mail addresses, else DNS names."""
    found: list[x509.GeneralName] = []
    for text in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(text)))
        except ValueError:
            found.append(x509.RFC822Name(text) if "@" in text else x509.DNSName(text))
    return x509.SubjectAlternativeName(found)


@dataclass
class Identity:
    """A certificate, its private key, and the CA that issued it (itself if it is a root)."""

    certificate: x509.Certificate
    private: Any
    issuer: Identity | None = None
    revoked: list[tuple[int, float]] = field(default_factory=list)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> str:
        form = serialization.PrivateFormat.PKCS8
        return self.private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()

    @property
    def chain_pem(self) -> str:
        """The certificate and the CAs above it, without the root."""
        above = self.issuer
        return self.pem + (above.chain_pem if above is not None and above.issuer is not None else "")

    def crl(self, now: float = NOW, days: float = 10, **changes: Any) -> str:
        """What this CA has revoked, as PEM."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(at(now - DAY)).next_update(at(now + days * DAY))
        for serial, since in self.revoked:
            row = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at(since))
            builder = builder.add_revoked_certificate(row.build())
        for extension in changes.get("critical", ()):
            builder = builder.add_extension(extension, critical=True)
        signed = builder.sign(changes.get("signer", self.private), changes.get("algorithm", hashes.SHA256()))
        return signed.public_bytes(serialization.Encoding.PEM).decode()


def issue(
    common: str,
    issuer: Identity | None = None,
    *,
    kind: str = "rsa-2048",
    names: tuple[str, ...] = (),
    ca: bool = False,
    pathlen: int | None = None,
    start: float = NOW - 30 * DAY,
    end: float = NOW + 30 * DAY,
    usage: dict[str, bool] | None = None,
    purposes: tuple[str, ...] = (),
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    private: Any = None,
    signer: Any = None,
    algorithm: Any = None,
    subject: x509.Name | None = None,
) -> Identity:
    """Issue a certificate. Without ``issuer`` it signs itself; ``signer`` forges: it signs in the issuer's name."""
    private = private or key(kind, common)
    subject = subject or name(common)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(private.public_key())
    builder = builder.issuer_name(issuer.certificate.subject if issuer else subject)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(at(start)).not_valid_after(at(end))
    if ca or pathlen is not None:
        builder = builder.add_extension(x509.BasicConstraints(True, pathlen), critical=True)
    if names:
        builder = builder.add_extension(san(*names), critical=False)
    if usage is not None or ca:
        builder = builder.add_extension(_usage(usage or {"key_cert_sign": True, "crl_sign": True}), critical=True)
    if purposes:
        oids = [x509.ObjectIdentifier(oid) for oid in purposes]
        builder = builder.add_extension(x509.ExtendedKeyUsage(oids), critical=False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    signer = signer or (issuer.private if issuer else private)
    return Identity(builder.sign(signer, algorithm or hashes.SHA256()), private, issuer)


def _usage(wanted: dict[str, bool]) -> x509.KeyUsage:
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{one: wanted.get(one, False) for one in every})
