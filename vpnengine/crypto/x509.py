"""X.509 certificates and revocation lists as values (RFC 5280); the way from one to a trusted CA is in ``x509_path``.

Everything that is used of a certificate is read at once, so that a broken one is refused
when it is loaded and never later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from vpnengine.crypto.names import DistinguishedName
from vpnengine.crypto.signatures import KeyProblem, PublicKey

MAX_DER = 32_768
MAX_PEM_CERTIFICATES = 64
_PARSE_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
)
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_STRONG_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
# The critical extensions of a certificate that are acted upon here. Any other makes it invalid (RFC 5280 section 4.2).
_HANDLED = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.CERTIFICATE_POLICIES,
}
# Purposes that a gateway's certificate may name (RFC 4945 section 5.1.3.12, and what TLS-minded CAs issue).
_PURPOSES = {
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string,
    ExtendedKeyUsageOID.SERVER_AUTH.dotted_string,
    ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string,
    "1.3.6.1.5.5.7.3.5",  # ipsecEndSystem
    "1.3.6.1.5.5.7.3.6",  # ipsecTunnel
    "1.3.6.1.5.5.7.3.7",  # ipsecUser
    "1.3.6.1.5.5.7.3.17",  # ipsecIKE
    "1.3.6.1.5.5.8.2.2",  # iKEIntermediate
}


class Reason(StrEnum):
    """Why a certificate is not accepted."""

    MALFORMED = "malformed"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    UNKNOWN_CA = "unknown-ca"
    REVOKED = "revoked"
    CRL = "crl"
    WEAK = "weak"
    PURPOSE = "purpose"
    NAME = "name"


class CertificateProblem(ValueError):
    """A certificate is not accepted; the text is a sentence, ``evidence`` what was seen."""

    def __init__(self, reason: Reason, sentence: str, **evidence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.evidence = evidence


@dataclass(frozen=True)
class AlternativeNames:
    """What a subjectAltName lists; names in lower case, addresses as text."""

    dns: tuple[str, ...] = ()
    mail: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join((*self.dns, *self.mail, *self.addresses)) or "none"


@dataclass(frozen=True)
class Certificate:
    """One certificate. Times are seconds since 1970; ``pathlen`` None means no limit.

    ``signs_certificates`` and ``signs_crls`` are what a CA may do, ``signs_data`` what a gateway must.
    """

    der: bytes
    subject: DistinguishedName
    issuer: DistinguishedName
    serial: int
    not_before: float
    not_after: float
    key: PublicKey | None
    key_problem: str
    weak_signature: str
    names: AlternativeNames
    is_ca: bool
    pathlen: int | None
    signs_certificates: bool
    signs_crls: bool
    signs_data: bool
    purposes: frozenset[str]
    unhandled: tuple[str, ...]
    parsed: x509.Certificate = field(compare=False, repr=False)

    @classmethod
    def from_der(cls, der: bytes) -> Certificate:
        """Read one certificate.

        :raises CertificateProblem: MALFORMED, whatever the octets are.
        """
        if len(der) > MAX_DER:
            raise CertificateProblem(Reason.MALFORMED, f"a certificate of {len(der)} octets is too large")
        try:
            return _read(x509.load_der_x509_certificate(der), der)
        except CertificateProblem:
            raise
        except _PARSE_ERRORS:
            raise CertificateProblem(Reason.MALFORMED, "the octets are not an X.509 certificate") from None

    @property
    def self_issued(self) -> bool:
        """True if subject and issuer are the same name."""
        return self.subject.der == self.issuer.der

    def check_time(self, now: float) -> None:
        """:raises CertificateProblem: EXPIRED or NOT_YET_VALID at ``now``, seconds since 1970."""
        if now < self.not_before:
            sentence = f"the certificate of “{self.subject}” is valid from {when(self.not_before)} only"
            raise CertificateProblem(
                Reason.NOT_YET_VALID, sentence, subject=str(self.subject), valid_from=when(self.not_before)
            )
        if now > self.not_after:
            sentence = f"the certificate of “{self.subject}” has expired since {when(self.not_after)}"
            raise CertificateProblem(
                Reason.EXPIRED, sentence, subject=str(self.subject), valid_until=when(self.not_after)
            )

    def check_form(self) -> None:
        """:raises CertificateProblem: WEAK for its key or signature, PURPOSE for a critical extension unknown here."""
        if self.key is None:
            sentence = f"the key of “{self.subject}” is refused: {self.key_problem}"
            raise CertificateProblem(Reason.WEAK, sentence, subject=str(self.subject))
        if self.unhandled:
            sentence = (
                f"the certificate of “{self.subject}” has the critical extension {self.unhandled[0]}, which is not "
                "understood here"
            )
            raise CertificateProblem(Reason.PURPOSE, sentence, subject=str(self.subject), extension=self.unhandled[0])

    def check_end(self) -> None:
        """What the certificate of a gateway must allow (RFC 4945 section 5.1.3).

        :raises CertificateProblem: PURPOSE.
        """
        subject = str(self.subject)
        if not self.signs_data:
            sentence = f"the key usage of “{subject}” allows neither digitalSignature nor nonRepudiation"
            raise CertificateProblem(Reason.PURPOSE, sentence, subject=subject)
        if self.purposes and not self.purposes & _PURPOSES:
            sentence = f"the extended key usage of “{subject}” allows neither IPsec nor TLS"
            raise CertificateProblem(Reason.PURPOSE, sentence, subject=subject, purposes=", ".join(self.purposes))


def when(seconds: float) -> str:
    """A time as administrators write it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _read(parsed: x509.Certificate, der: bytes) -> Certificate:
    extensions = {e.oid: e for e in parsed.extensions}
    values: dict[x509.ObjectIdentifier, Any] = {oid: e.value for oid, e in extensions.items()}
    key, key_problem = None, ""
    try:
        key = PublicKey.load(parsed.public_key())
    except KeyProblem as error:
        key_problem = str(error)
    except _PARSE_ERRORS:
        key_problem = "it is of a kind that is not supported"
    basic = values.get(ExtensionOID.BASIC_CONSTRAINTS)
    usage = values.get(ExtensionOID.KEY_USAGE)
    purposes = values.get(ExtensionOID.EXTENDED_KEY_USAGE, ())
    return Certificate(
        der=der,
        subject=DistinguishedName.of(parsed.subject),
        issuer=DistinguishedName.of(parsed.issuer),
        serial=parsed.serial_number,
        not_before=parsed.not_valid_before_utc.timestamp(),
        not_after=parsed.not_valid_after_utc.timestamp(),
        key=key,
        key_problem=key_problem,
        weak_signature=_weakness(parsed),
        names=_alternative_names(values.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)),
        is_ca=bool(basic and basic.ca),
        pathlen=basic.path_length if basic else None,
        signs_certificates=usage is None or usage.key_cert_sign,
        signs_crls=usage is None or usage.crl_sign,
        signs_data=usage is None or usage.digital_signature or usage.content_commitment,
        purposes=frozenset(p.dotted_string for p in purposes),
        unhandled=tuple(o.dotted_string for o, e in extensions.items() if e.critical and o not in _HANDLED),
        parsed=parsed,
    )


def _weakness(signed: x509.Certificate | x509.CertificateRevocationList) -> str:
    """The name of a hash that does not bind any more; empty if the signature is good enough."""
    try:
        algorithm = signed.signature_hash_algorithm
    except _PARSE_ERRORS:
        return signed.signature_algorithm_oid.dotted_string
    if isinstance(algorithm, _STRONG_HASHES):
        return ""
    return algorithm.name.upper() if algorithm else signed.signature_algorithm_oid.dotted_string


def _alternative_names(extension: x509.SubjectAlternativeName | None) -> AlternativeNames:
    if extension is None:
        return AlternativeNames()
    addresses = extension.get_values_for_type(x509.IPAddress)
    return AlternativeNames(
        dns=tuple(name.lower().rstrip(".") for name in extension.get_values_for_type(x509.DNSName)),
        mail=tuple(name.lower() for name in extension.get_values_for_type(x509.RFC822Name)),
        addresses=tuple(str(address) for address in addresses),
    )


def load_certificates(pem: str) -> tuple[Certificate, ...]:
    """Every certificate of a PEM text, in its order.

    :raises CertificateProblem: MALFORMED, if there is none or one cannot be read.
    """
    blocks = [found for found in _PEM.finditer(pem) if found[1] in ("CERTIFICATE", "X509 CERTIFICATE")]
    if not blocks:
        raise CertificateProblem(Reason.MALFORMED, "there is no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    if len(blocks) > MAX_PEM_CERTIFICATES:
        raise CertificateProblem(Reason.MALFORMED, f"there are more than {MAX_PEM_CERTIFICATES} certificates")
    return tuple(_from_pem(found[0], number) for number, found in enumerate(blocks, 1))


def _from_pem(block: str, number: int) -> Certificate:
    try:
        parsed = x509.load_pem_x509_certificate(block.replace("X509 CERTIFICATE", "CERTIFICATE").encode())
        return _read(parsed, parsed.public_bytes(Encoding.DER))
    except _PARSE_ERRORS:
        raise CertificateProblem(Reason.MALFORMED, f"certificate {number} of the text cannot be read") from None


@dataclass(frozen=True)
class RevocationList:
    """One CRL; times are seconds since 1970, ``next_update`` None if the issuer promises none."""

    issuer: DistinguishedName
    this_update: float
    next_update: float | None
    weak_signature: str
    parsed: x509.CertificateRevocationList = field(compare=False, repr=False)

    def is_signed_by(self, ca: Certificate) -> bool:
        """True if this CA has issued it, and may."""
        if self.issuer.der != ca.subject.der or ca.key is None or not ca.signs_crls or self.weak_signature:
            return False
        try:
            return self.parsed.is_signature_valid(ca.key.key)
        except _PARSE_ERRORS:
            return False

    def revoked_since(self, certificate: Certificate) -> float | None:
        """When a certificate of the same issuer was revoked; None if it was not."""
        row = self.parsed.get_revoked_certificate_by_serial_number(certificate.serial)
        return None if row is None else row.revocation_date_utc.timestamp()


def load_crls(pem: str) -> tuple[RevocationList, ...]:
    """Every revocation list of a PEM text.

    :raises CertificateProblem: MALFORMED, if one cannot be read, or is a delta or partial list.
    """
    blocks = [found[0] for found in _PEM.finditer(pem) if found[1] == "X509 CRL"]
    if not blocks:
        raise CertificateProblem(Reason.MALFORMED, "there is no revocation list in PEM form (-----BEGIN X509 CRL-----)")
    return tuple(_read_crl(block) for block in blocks)


def _read_crl(block: str) -> RevocationList:
    try:
        parsed = x509.load_pem_x509_crl(block.encode())
        critical = [e.oid.dotted_string for e in parsed.extensions if e.critical]
        following = parsed.next_update_utc
        issuer = DistinguishedName.of(parsed.issuer)
        crl = RevocationList(
            issuer=issuer,
            this_update=parsed.last_update_utc.timestamp(),
            next_update=following.timestamp() if following else None,
            weak_signature=_weakness(parsed),
            parsed=parsed,
        )
    except _PARSE_ERRORS:
        raise CertificateProblem(Reason.MALFORMED, "the revocation list cannot be read") from None
    if critical:
        sentence = f"the revocation list of “{issuer}” is a partial one (extension {critical[0]}); use the complete one"
        raise CertificateProblem(Reason.MALFORMED, sentence)
    return crl
