"""The certificate of the dashboard: from an authority of the appliance's own, or the administrator's.

The authority lives ten years, a server certificate 397 days, which is what browsers take. It is made anew 30 days
before its end, and when the names or addresses of the appliance change; the authority stays, and the trust in it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vpnengine.contract.problems import Problem, Refused

CA_DAYS, SERVER_DAYS, RENEW_DAYS = 3650, 397, 30
# A clock that is before the day this was written is wrong; an end in 1971 would have to be explained to nobody.
PAST = datetime(2025, 1, 1, tzinfo=UTC)
_Private = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Certificate:
    """What is shown of the certificate in use."""

    fingerprint: str
    ca_fingerprint: str
    not_after: datetime
    names: tuple[str, ...]
    is_own: bool
    is_new: bool = False


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256, as browsers show it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def ensure(directory: Path, names: Iterable[str], now: datetime | None = None) -> Certificate:
    """The certificate in use, made or renewed if need be: ``server.pem`` and ``server.key``, beside ``ca.pem``.

    ``names`` are host names and addresses. An administrator's own certificate is left alone.
    """
    now = max(now or datetime.now(UTC), PAST)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    wanted = tuple(sorted(set(names)))
    authority, authority_key, is_new = _authority(directory, now)
    if (directory / "own.pem").exists():
        own = x509.load_pem_x509_certificates((directory / "own.pem").read_bytes())[0]
        return Certificate(fingerprint(own), fingerprint(authority), own.not_valid_after_utc, _names(own), True)
    present = None if is_new else _present(directory / "server.pem", directory / "server.key")
    if present is None or _names(present) != wanted or present.not_valid_after_utc - now < timedelta(days=RENEW_DAYS):
        present, is_new = _server(directory, authority, authority_key, wanted, now), True
    ends = present.not_valid_after_utc
    return Certificate(fingerprint(present), fingerprint(authority), ends, _names(present), False, is_new)


def paths(directory: Path) -> tuple[Path, Path]:
    """Certificate chain and key for the web server."""
    name = "own" if (directory / "own.pem").exists() else "server"
    return directory / f"{name}.pem", directory / f"{name}.key"


def use_own(directory: Path, chain: str, key: str, now: datetime | None = None) -> None:
    """Use an administrator's certificate.

    :raises Refused: naming ``chain`` or ``key``; nothing is changed then, and the key is never repeated.
    """
    certificates = _read_chain(chain)
    private = _read_key(key)
    leaf, now = certificates[0], now or datetime.now(UTC)
    if private.public_key() != leaf.public_key():
        raise _refused("key", "match", "is not the key of the first certificate; enter the key that it was made for")
    if leaf.not_valid_after_utc <= now:
        raise _refused("chain", "expired", f"ended on {leaf.not_valid_after_utc:%Y-%m-%d}; ask for a new certificate")
    if not _names(leaf):
        raise _refused("chain", "names", "has no subject alternative name, without which browsers refuse it")
    for lower, upper in itertools.pairwise(certificates):
        try:
            lower.verify_directly_issued_by(upper)
        except Exception:
            message = "is not in order: each certificate is followed by the one that signed it"
            raise _refused("chain", "order", message) from None
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The key first: the certificate is what says that there is one.
    _write(directory / "own.key", text)
    _write(directory / "own.pem", b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates))


def forget_own(directory: Path) -> None:
    """Go back to the appliance's own authority."""
    for name in ("own.pem", "own.key"):
        (directory / name).unlink(missing_ok=True)


def _read_chain(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise _refused("chain", "pem", "is not a PEM certificate; it begins with -----BEGIN CERTIFICATE-----") from None


def _read_key(text: str) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except TypeError:
        raise _refused("key", "password", "is encrypted; enter it without a password") from None
    except ValueError:
        raise _refused("key", "pem", "is not a PEM private key; it begins with -----BEGIN PRIVATE KEY-----") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    raise _refused("key", "kind", "is neither RSA of at least 2048 bits nor ECDSA")


def _refused(field: str, rule: str, message: str) -> Refused:
    return Refused([Problem(field=field, rule=rule, message=message)])


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = found.get_values_for_type(x509.DNSName)
    return tuple(sorted({*hosts, *(str(address) for address in found.get_values_for_type(x509.IPAddress))}))


def _present(pem: Path, key: Path) -> x509.Certificate | None:
    """The first certificate, if it and its key are whole and belong together."""
    try:
        certificate = x509.load_pem_x509_certificates(pem.read_bytes())[0]
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return None
    return certificate if private.public_key() == certificate.public_key() else None


def _authority(directory: Path, now: datetime) -> tuple[x509.Certificate, _Private, bool]:
    present = _present(directory / "ca.pem", directory / "ca.key")
    if present and present.not_valid_after_utc - now > timedelta(days=SERVER_DAYS):
        key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - we made it
        return present, key, False
    key = ec.generate_private_key(ec.SECP256R1())
    # Two appliances must not look like one authority.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Culvert appliance {os.urandom(4).hex()}")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    made = (
        _builder(name, name, key, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    _save(directory / "ca", [made], key)
    return made, key, True


def _server(
    directory: Path, authority: x509.Certificate, authority_key: _Private, names: tuple[str, ...], now: datetime
) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Culvert")])
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = (
        _builder(name, authority.subject, key, now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
    made = builder.sign(authority_key, hashes.SHA256())
    _save(directory / "server", [made, authority], key)
    return made


def _general(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: _Private, now: datetime, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # A browser's clock may be a day behind.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days - 1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _save(stem: Path, chain: list[x509.Certificate], key: _Private) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(stem.with_suffix(".key"), text)
    _write(stem.with_suffix(".pem"), b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain), 0o644)


def _write(path: Path, octets: bytes, mode: int = 0o600) -> None:
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
