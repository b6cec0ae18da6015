"""Digital signatures of IKEv1: RSA (RFC 2409 section 5.1) and ECDSA (RFC 4754).

What is signed is the bare HASH_I or HASH_R. It has been hashed already, so no hash is applied
again, and an RSA signature carries no DigestInfo that would name one.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import (
    NoDigestInfo,
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from vpnengine.contract.algorithms import IkeHash

RSA_MIN_BITS, RSA_MAX_BITS = 2_048, 8_192
RSA_MIN_EXPONENT, RSA_MAX_EXPONENT = 65_537, 1 << 32
_MIN_PADDING = 8  # octets of 0xFF, RFC 8017 section 9.2


class KeyKind(StrEnum):
    """The kinds of keys that can sign in IKEv1."""

    RSA = "rsa"
    ECDSA_256 = "ecdsa-256"
    ECDSA_384 = "ecdsa-384"
    ECDSA_521 = "ecdsa-521"

    @property
    def hash(self) -> IkeHash | None:
        """The hash that belongs to the curve and takes the place of the negotiated one in HASH_I and HASH_R.

        None for RSA, which signs what the negotiated hash gives.
        """
        return _CURVE_HASHES.get(self)


_CURVE_HASHES = {
    KeyKind.ECDSA_256: IkeHash.SHA256,
    KeyKind.ECDSA_384: IkeHash.SHA384,
    KeyKind.ECDSA_521: IkeHash.SHA512,
}
_KINDS = {"secp256r1": KeyKind.ECDSA_256, "secp384r1": KeyKind.ECDSA_384, "secp521r1": KeyKind.ECDSA_521}
_DIGESTS: dict[KeyKind, hashes.HashAlgorithm] = {
    KeyKind.ECDSA_256: hashes.SHA256(),
    KeyKind.ECDSA_384: hashes.SHA384(),
    KeyKind.ECDSA_521: hashes.SHA512(),
}


class KeyProblem(ValueError):
    """A key cannot be used; the text is a sentence for the administrator."""


@dataclass(frozen=True)
class PublicKey:
    """A public key that has passed the checks of ``load``."""

    kind: KeyKind
    key: Any

    @classmethod
    def load(cls, key: object) -> PublicKey:
        """Take a key of the library.

        :raises KeyProblem: if it is of another kind, or too weak: RSA under 2048 bits, or with an
            exponent that is even or small; a curve that IKEv1 has no method for.
        """
        if isinstance(key, rsa.RSAPublicKey):
            numbers = key.public_numbers()
            if not RSA_MIN_BITS <= key.key_size <= RSA_MAX_BITS:
                raise KeyProblem(f"the RSA key has {key.key_size} bits; {RSA_MIN_BITS} to {RSA_MAX_BITS} are accepted")
            if not RSA_MIN_EXPONENT <= numbers.e < RSA_MAX_EXPONENT or numbers.e % 2 == 0 or numbers.n % 2 == 0:
                raise KeyProblem(f"the RSA key has the exponent {str(numbers.e)[:12]}; 65537 is the usual one")
            return cls(KeyKind.RSA, key)
        if isinstance(key, ec.EllipticCurvePublicKey):
            kind = _KINDS.get(key.curve.name)
            if kind is None:
                raise KeyProblem(f"the curve {key.curve.name} has no place in IKEv1; use P-256, P-384 or P-521")
            return cls(kind, key)
        raise KeyProblem("the key is neither RSA nor ECDSA")

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """True if ``signature`` is this key's over the bare ``digest`` (HASH_I or HASH_R)."""
        return self._verify_rsa(digest, signature) if self.kind is KeyKind.RSA else self._verify_ec(digest, signature)

    def _verify_rsa(self, digest: bytes, signature: bytes) -> bool:
        """Build the one right block and compare all of it: nothing of what was received is parsed."""
        numbers = self.key.public_numbers()
        size = (self.key.key_size + 7) // 8
        value = int.from_bytes(signature, "big")
        padding = size - len(digest) - 3
        if len(signature) != size or value >= numbers.n or padding < _MIN_PADDING:
            return False
        block = pow(value, numbers.e, numbers.n).to_bytes(size, "big")
        return hmac.compare_digest(block, b"\0\1" + b"\xff" * padding + b"\0" + digest)

    def _verify_ec(self, digest: bytes, signature: bytes) -> bool:
        """The signature is r and s, each as long as the curve's field (RFC 4754 section 7)."""
        algorithm = _DIGESTS[self.kind]
        width = (self.key.key_size + 7) // 8
        if len(signature) != 2 * width or len(digest) != algorithm.digest_size:
            return False
        r, s = int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
        try:
            self.key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(algorithm)))
        except (InvalidSignature, ValueError):
            return False
        return True

    def same(self, other: PublicKey) -> bool:
        """True if both are the same key."""
        return self.kind is other.kind and bool(self.key == other.key)


class PrivateKey:
    """A private key: it signs, and shows nothing of itself."""

    __slots__ = ("_key", "public")

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        """:raises KeyProblem: if its public half is refused."""
        self._key = key
        self.public = PublicKey.load(key.public_key())

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.kind})"

    @property
    def kind(self) -> KeyKind:
        """What kind of key it is."""
        return self.public.kind

    def sign(self, digest: bytes) -> bytes:
        """The signature over the bare ``digest``; for ECDSA it has the length of the curve's hash."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(digest, PKCS1v15(), NoDigestInfo())
        width = (self._key.key_size + 7) // 8
        algorithm = ec.ECDSA(Prehashed(_DIGESTS[self.kind]))
        r, s = decode_dss_signature(self._key.sign(digest, algorithm))
        return r.to_bytes(width, "big") + s.to_bytes(width, "big")


def load_private_key(pem: str) -> PrivateKey:
    """Read an unencrypted PEM private key (PKCS#8, PKCS#1 or SEC 1).

    :raises KeyProblem: with a sentence that repeats nothing of the key.
    """
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise KeyProblem("the private key is encrypted with a passphrase; enter it without one") from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyProblem("this is not a private key in PEM form") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise KeyProblem("the private key is neither RSA nor ECDSA")
    return PrivateKey(key)
