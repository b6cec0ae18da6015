"""Certificates and keys as an administrator brings them: pasted or uploaded, PEM or DER.

What a certificate is worth the engine judges. Here only those mistakes are found that can be
said at the field before anything is saved.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

_CERTIFICATE, _CRL = b"-----BEGIN CERTIFICATE-----", b"-----BEGIN X509 CRL-----"
_LOCKED = "This key is protected by a passphrase, which the appliance could not ask for; enter it without one."
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Summary:
    """What a page shows of a certificate."""

    subject: str
    issuer: str
    names: str
    until: datetime
    is_over: bool


def read_certificates(data: bytes) -> list[str]:
    """Each certificate of a file as PEM, in its order.

    :raises ValueError: with a sentence.
    """
    return [_pem(one) for one in _parse(data)]


def _parse(data: bytes) -> list[x509.Certificate]:
    if b"PRIVATE KEY-----" in data:
        raise ValueError("This holds a private key, which nobody else may see; enter certificates alone.")
    if b"-----BEGIN PKCS7" in data or b"-----BEGIN CERTIFICATE REQUEST" in data:
        raise ValueError("This is a request or a PKCS#7 bundle; enter the certificates themselves.")
    try:
        if _CERTIFICATE in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except ValueError:
        raise ValueError(
            "This is no certificate: it begins with -----BEGIN CERTIFICATE-----, or is a DER file."
        ) from None


def read_crl(data: bytes) -> str:
    """Revocation lists as PEM.

    :raises ValueError: with a sentence.
    """
    try:
        if _CRL not in data:
            return x509.load_der_x509_crl(data).public_bytes(_PEM).decode()
        lists = [part for part in data.split(b"-----END X509 CRL-----") if _CRL in part]
        found = [x509.load_pem_x509_crl(part + b"-----END X509 CRL-----\n") for part in lists]
    except ValueError:
        raise ValueError(
            "This is no revocation list: it begins with -----BEGIN X509 CRL-----, or is a DER file."
        ) from None
    return "".join(one.public_bytes(_PEM).decode() for one in found)


def read_key(data: bytes) -> str:
    """A private key as PEM (PKCS#8).

    :raises ValueError: with a sentence that repeats nothing of the key.
    """
    if b"ENCRYPTED" in data:
        raise ValueError(_LOCKED)
    load = serialization.load_pem_private_key if b"-----BEGIN" in data else serialization.load_der_private_key
    try:
        key = load(data, None)
    except TypeError:
        raise ValueError(_LOCKED) from None
    except Exception:
        raise ValueError(
            "This is no private key: it begins with -----BEGIN PRIVATE KEY-----, or is a DER file."
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("Only RSA and ECDSA keys can prove a gateway here; make one of those.")
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def belongs(certificate: str, key: str) -> bool:
    """True if a key is that of the first certificate."""
    own = x509.load_pem_x509_certificates(certificate.encode())[0].public_key()
    public = serialization.load_pem_private_key(key.encode(), None).public_key()
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return own.public_bytes(*form) == public.public_bytes(*form)


def key_kind(certificate: str) -> str:
    """``rsa``, ``ecdsa``, or another word for what cannot be used."""
    own = x509.load_pem_x509_certificates(certificate.encode())[0].public_key()
    if isinstance(own, rsa.RSAPublicKey):
        return "rsa"
    return "ecdsa" if isinstance(own, ec.EllipticCurvePublicKey) else type(own).__name__.strip("_")


def summaries(pem: str, now: datetime) -> list[Summary]:
    """What to show of each certificate."""
    return [_summary(one, now) for one in _parse(pem.encode())] if pem.strip() else []


def _summary(one: x509.Certificate, now: datetime) -> Summary:
    until = one.not_valid_after_utc
    return Summary(one.subject.rfc4514_string(), one.issuer.rfc4514_string(), _names(one), until, until < now)


def _names(one: x509.Certificate) -> str:
    try:
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    return ", ".join(str(name.value) for name in names)


def _pem(one: x509.Certificate) -> str:
    return one.public_bytes(_PEM).decode()
