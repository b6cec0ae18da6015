"""The algorithms that a configuration may name.

The names are the ones administrators know from other gateways; the numbers on
the wire live in ``vpnengine.isakmp.constants`` and the code in ``vpnengine.crypto``.
"""

from __future__ import annotations

from enum import StrEnum


class IkeEncryption(StrEnum):
    """Ciphers for phase 1 (RFC 2409 appendix A, RFC 3602)."""

    AES128 = "aes128"
    AES192 = "aes192"
    AES256 = "aes256"


class IkeHash(StrEnum):
    """Hashes for phase 1; the PRF is HMAC of the same hash (RFC 2409 section 4, RFC 4868)."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class DhGroup(StrEnum):
    """Diffie-Hellman groups (RFC 3526 for MODP, RFC 5903 for ECP)."""

    MODP2048 = "modp2048"
    MODP3072 = "modp3072"
    MODP4096 = "modp4096"
    MODP6144 = "modp6144"
    MODP8192 = "modp8192"
    ECP256 = "ecp256"
    ECP384 = "ecp384"
    ECP521 = "ecp521"


class EspEncryption(StrEnum):
    """Ciphers for ESP (RFC 3602 for CBC, RFC 4106 for GCM with a 16-octet ICV)."""

    AES128 = "aes128"
    AES192 = "aes192"
    AES256 = "aes256"
    AES128GCM16 = "aes128gcm16"
    AES192GCM16 = "aes192gcm16"
    AES256GCM16 = "aes256gcm16"

    @property
    def is_aead(self) -> bool:
        """True if the cipher authenticates by itself and takes no integrity algorithm."""
        return self.value.endswith("gcm16")


class EspIntegrity(StrEnum):
    """Integrity algorithms for ESP (RFC 2404, RFC 4868)."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"
