"""Diffie-Hellman over MODP groups, ECP groups and Curve25519 (RFC 2409, RFC 3526, RFC 5903, RFC 8031)."""

from __future__ import annotations

import warnings
from functools import cache

from cryptography.hazmat.primitives.asymmetric import dh, ec, x25519

from vpnengine.contract.algorithms import DhGroup
from vpnengine.crypto.modp import GENERATOR, PRIMES
from vpnengine.crypto.secret import Secret

# IKEv1 gateways need MODP groups, whatever is newer; what replaces this module when the library drops them is
# in docs/design.md.
warnings.filterwarnings("ignore", message="Diffie-Hellman over finite fields")

_CURVES: dict[DhGroup, ec.EllipticCurve] = {
    DhGroup.ECP256: ec.SECP256R1(),
    DhGroup.ECP384: ec.SECP384R1(),
    DhGroup.ECP521: ec.SECP521R1(),
}
X25519_LENGTH = 32


class InvalidPublicValue(ValueError):
    """The peer's public value does not belong to the group."""


@cache
def _parameters(group: DhGroup) -> dh.DHParameters:
    return dh.DHParameterNumbers(PRIMES[group], GENERATOR).parameters()


def _size(group: DhGroup) -> int:
    """Octets of a group element, or of one coordinate."""
    if group is DhGroup.CURVE25519:
        return X25519_LENGTH
    curve = _CURVES.get(group)
    bits = curve.key_size if curve else PRIMES[group].bit_length()
    return (bits + 7) // 8


def public_length(group: DhGroup) -> int:
    """Octets of a public value on the wire: the group's size, or both coordinates."""
    return _size(group) * (2 if group in _CURVES else 1)


class KeyExchange:
    """One private value and what is computed from it.

    ``private`` is for known-answer tests (for Curve25519 the 32 octets read as a big-endian number);
    without it the system's generator is used.
    """

    def __init__(self, group: DhGroup, private: int | None = None) -> None:
        self.group = group
        self._ec: ec.EllipticCurvePrivateKey | None = None
        self._dh: dh.DHPrivateKey | None = None
        self._x25519: x25519.X25519PrivateKey | None = None
        if group is DhGroup.CURVE25519:
            self._x25519 = _x25519_key(private)
            self.public = self._x25519.public_key().public_bytes_raw()
        elif group in _CURVES:
            self._ec = _ec_key(group, private)
            numbers = self._ec.public_key().public_numbers()
            size = _size(group)
            self.public = numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")
        else:
            self._dh = _dh_key(group, private)
            self.public = self._dh.public_key().public_numbers().y.to_bytes(_size(group), "big")

    def shared(self, peer_public: bytes) -> Secret:
        """g^xy, padded to the group's size; for ECP the x coordinate (RFC 5903 section 7).

        :raises InvalidPublicValue: if the length is wrong, or the value is not in the group.
        """
        if len(peer_public) != public_length(self.group):
            raise InvalidPublicValue(
                f"{len(peer_public)} octets, {self.group} needs {public_length(self.group)}: another group?"
            )
        if self._x25519 is not None:
            return _shared_x25519(self._x25519, peer_public)
        if self._ec is not None:
            return self._shared_ec(self._ec, peer_public)
        assert self._dh is not None  # noqa: S101 - one of the three is set
        return self._shared_dh(self._dh, peer_public)

    def _shared_dh(self, key: dh.DHPrivateKey, peer_public: bytes) -> Secret:
        value = int.from_bytes(peer_public, "big")
        prime = PRIMES[self.group]
        if not 1 < value < prime - 1:
            raise InvalidPublicValue(f"the value is not between 1 and the prime of {self.group}")
        peer = dh.DHPublicNumbers(value, dh.DHParameterNumbers(prime, GENERATOR)).public_key()
        return Secret(key.exchange(peer).rjust(_size(self.group), b"\0"))

    def _shared_ec(self, key: ec.EllipticCurvePrivateKey, peer_public: bytes) -> Secret:
        try:
            peer = ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[self.group], b"\x04" + peer_public)
        except ValueError:
            raise InvalidPublicValue(f"the point is not on the curve of {self.group}") from None
        return Secret(key.exchange(ec.ECDH(), peer))


def _x25519_key(private: int | None) -> x25519.X25519PrivateKey:
    if private is None:
        return x25519.X25519PrivateKey.generate()
    return x25519.X25519PrivateKey.from_private_bytes(private.to_bytes(X25519_LENGTH, "big"))


def _shared_x25519(key: x25519.X25519PrivateKey, peer_public: bytes) -> Secret:
    """The 32 octets of the shared point; all zero means a point of small order (RFC 7748 section 6.1)."""
    try:
        return Secret(key.exchange(x25519.X25519PublicKey.from_public_bytes(peer_public)))
    except ValueError:
        raise InvalidPublicValue("the point of curve25519 has a small order") from None


def _ec_key(group: DhGroup, private: int | None) -> ec.EllipticCurvePrivateKey:
    curve = _CURVES[group]
    return ec.generate_private_key(curve) if private is None else ec.derive_private_key(private, curve)


def _dh_key(group: DhGroup, private: int | None) -> dh.DHPrivateKey:
    if private is None:
        return _parameters(group).generate_private_key()
    prime = PRIMES[group]
    public = dh.DHPublicNumbers(pow(GENERATOR, private, prime), dh.DHParameterNumbers(prime, GENERATOR))
    return dh.DHPrivateNumbers(private, public).private_key()
