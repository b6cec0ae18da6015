"""What a peer's configuration must hold for its authentication method.

Only the form is checked here: which fields are filled, and that they are PEM. Whether a
certificate belongs to its key, and who has issued it, the engine checks when the document
is applied, as it has the cryptography for it; its refusals name the same fields.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, SecretStr

from vpnengine.contract.identity import Identity, IdentityType

MIN_PSK_LENGTH = 8
MIN_AGGRESSIVE_PSK_LENGTH = 20
MAX_PEM = 262_144
MAX_CRL = 16_777_216
Authentication = Literal["psk", "rsa", "ecdsa", "hybrid"]

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s[A-Za-z0-9+/=\s]+-----END \1-----")
_CERTIFICATES = {"CERTIFICATE", "X509 CERTIFICATE"}


def _pem(text: str, kinds: set[str], what: str, limit: int) -> str:
    if len(text) > limit:
        raise ValueError(f"this is larger than {limit // 1024} KiB; enter {what} alone")
    found = {match[1] for match in _PEM.finditer(text)}
    if not found & kinds:
        raise ValueError(f"this is not {what} in PEM form; it begins with -----BEGIN {sorted(kinds)[0]}-----")
    if any("PRIVATE KEY" in kind for kind in found):
        raise ValueError("this holds a private key, which nobody else may see; enter certificates alone")
    return text


Certificates = Annotated[str, AfterValidator(lambda text: _pem(text, _CERTIFICATES, "a certificate", MAX_PEM))]
RevocationLists = Annotated[str, AfterValidator(lambda text: _pem(text, {"X509 CRL"}, "a revocation list", MAX_CRL))]


def check_psk(psk: SecretStr | None, aggressive: bool = False) -> None:
    """:raises ValueError: if the secret is missing or short."""
    secret = psk.get_secret_value() if psk else ""
    if not secret:
        raise ValueError("psk: the pre-shared secret is empty; enter the one that the other gateway has")
    if len(secret) < MIN_PSK_LENGTH:
        raise ValueError(f"psk: the pre-shared secret is shorter than {MIN_PSK_LENGTH} characters")
    if aggressive and len(secret) < MIN_AGGRESSIVE_PSK_LENGTH:
        raise ValueError(
            f"psk: aggressive mode needs at least {MIN_AGGRESSIVE_PSK_LENGTH} random characters: whoever watches "
            "the negotiation, or asks for one, can try secrets offline"
        )


def check_own_certificate(method: str, certificate: str | None, private_key: SecretStr | None) -> None:
    """:raises ValueError: if this side cannot prove itself with a signature."""
    if certificate is None:
        raise ValueError(f"certificate: authentication by {method} needs this side's certificate")
    if private_key is None or not private_key.get_secret_value().strip():
        raise ValueError(f"private_key: authentication by {method} needs the private key of this side's certificate")
    if "PRIVATE KEY-----" not in private_key.get_secret_value():
        raise ValueError("private_key: this is not a private key in PEM form")


def check_hybrid(xauth_role: str | None, certificate: str | None, trusted_cas: tuple[str, ...]) -> None:
    """:raises ValueError: if there is no user, or a certificate that the method has no place for."""
    if xauth_role is None:
        raise ValueError(
            "xauth: in hybrid authentication one gateway shows a certificate and the other a user's password; choose "
            "which of them this side does"
        )
    if xauth_role == "client" and certificate is not None:
        raise ValueError(
            "certificate: in hybrid authentication the user's side shows none; leave it empty, or choose rsa"
        )
    if xauth_role == "server" and trusted_cas:
        raise ValueError(
            "trusted_cas: in hybrid authentication the user's side shows no certificate, so that none is trusted; "
            "leave this empty, or choose rsa"
        )


def check_trust(method: str, trusted_cas: tuple[str, ...]) -> None:
    """:raises ValueError: if no peer could be believed."""
    if not trusted_cas:
        raise ValueError(
            f"trusted_cas: authentication by {method} needs the certificate of the CA that has issued the peer's"
        )


def check_provable(field: str, identity: Identity | None) -> None:
    """:raises ValueError: if no certificate can prove this identity."""
    if identity is not None and identity.type is IdentityType.KEY_ID:
        raise ValueError(
            f"{field}: a certificate cannot prove a key ID; use a distinguished name, a name or an address"
        )
