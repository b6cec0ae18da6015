"""The algorithms that a configuration may name.

The names are the ones administrators know from other gateways; the numbers on
the wire live in ``vpnengine.ikev1.numbers`` and the code in ``vpnengine.crypto``.
Weak ones are there for old gateways: a peer has to allow them (``PeerConfig.legacy``).
"""

from __future__ import annotations

from enum import StrEnum


class Grade(StrEnum):
    """How an algorithm stands today."""

    RECOMMENDED = "recommended"
    OTHER = "other"
    LEGACY = "legacy"


class Algorithm(StrEnum):
    """A named algorithm that knows how it stands."""

    @property
    def weakness(self) -> str | None:
        """Why it is weak, as the end of a sentence; None if it is not."""
        return _WEAKNESSES.get(self.value)

    @property
    def grade(self) -> Grade:
        """Legacy if it is weak; else recommended, or merely possible."""
        if self.weakness:
            return Grade.LEGACY
        return Grade.RECOMMENDED if self.value in _RECOMMENDED else Grade.OTHER


class IkeEncryption(Algorithm):
    """Ciphers for phase 1 (RFC 2409 appendix A, RFC 3602, RFC 4312), all in CBC mode."""

    AES128 = "aes128"
    AES192 = "aes192"
    AES256 = "aes256"
    CAMELLIA128 = "camellia128"
    CAMELLIA192 = "camellia192"
    CAMELLIA256 = "camellia256"
    TRIPLE_DES = "3des"


class IkeHash(Algorithm):
    """Hashes for phase 1; the PRF is HMAC of the same hash (RFC 2409 section 4, RFC 4868)."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"
    MD5 = "md5"


class DhGroup(Algorithm):
    """Diffie-Hellman groups (RFC 2409 and RFC 3526 for MODP, RFC 5903 for ECP, RFC 8031 for Curve25519)."""

    MODP2048 = "modp2048"
    MODP3072 = "modp3072"
    MODP4096 = "modp4096"
    MODP6144 = "modp6144"
    MODP8192 = "modp8192"
    ECP256 = "ecp256"
    ECP384 = "ecp384"
    ECP521 = "ecp521"
    CURVE25519 = "curve25519"
    MODP1536 = "modp1536"
    MODP1024 = "modp1024"


class EspEncryption(Algorithm):
    """Ciphers for ESP.

    AES in CBC (RFC 3602), CTR (RFC 3686), GCM (RFC 4106) and CCM mode (RFC 4309), Camellia (RFC 4312), 3DES
    (RFC 2451) and NULL (RFC 2410).
    The number after ``gcm`` and ``ccm`` is the length of the integrity check value in octets.
    ChaCha20-Poly1305 is absent because IKEv1 has no number for it.
    """

    AES128 = "aes128"
    AES192 = "aes192"
    AES256 = "aes256"
    AES128GCM16 = "aes128gcm16"
    AES192GCM16 = "aes192gcm16"
    AES256GCM16 = "aes256gcm16"
    AES128GCM12 = "aes128gcm12"
    AES192GCM12 = "aes192gcm12"
    AES256GCM12 = "aes256gcm12"
    AES128GCM8 = "aes128gcm8"
    AES192GCM8 = "aes192gcm8"
    AES256GCM8 = "aes256gcm8"
    AES128CCM16 = "aes128ccm16"
    AES192CCM16 = "aes192ccm16"
    AES256CCM16 = "aes256ccm16"
    AES128CTR = "aes128ctr"
    AES192CTR = "aes192ctr"
    AES256CTR = "aes256ctr"
    CAMELLIA128 = "camellia128"
    CAMELLIA192 = "camellia192"
    CAMELLIA256 = "camellia256"
    TRIPLE_DES = "3des"
    NULL = "null"

    @property
    def is_aead(self) -> bool:
        """True if the cipher authenticates by itself and takes no integrity algorithm."""
        return "gcm" in self.value or "ccm" in self.value


class EspIntegrity(Algorithm):
    """Integrity algorithms for ESP: HMAC, cut short (RFC 2403, RFC 2404, RFC 4868)."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"
    MD5 = "md5"


_WEAKNESSES = {
    "3des": "its 64-bit blocks leak after some gigabytes under one key (Sweet32), and it is slow",
    "md5": "MD5 is broken as a hash, and no longer approved anywhere",
    "modp1024": "a 1024-bit group (group 2) is within reach of well-funded attackers (Logjam)",
    "modp1536": "a 1536-bit group (group 5) is below the 2048 bits that are required today",
    "null": "it does not encrypt: everybody on the path can read the traffic",
}
_RECOMMENDED = {
    *("aes128", "aes256", "aes128gcm16", "aes256gcm16", "sha256", "sha384", "sha512"),
    *("modp2048", "modp3072", "modp4096", "ecp256", "ecp384", "curve25519"),
}
# What is never possible, each with its own sentence.
REFUSED = {
    "des": "DES has a key of 56 bits, which is found within a day; this appliance never uses it. Choose aes256",
    "modp768": "a 768-bit group (group 1) has been broken in practice; this appliance never uses it. Choose modp2048",
}


def not_refused(value: object) -> object:
    """Let a name pass, unless it is one of ``REFUSED``.

    :raises ValueError: with its sentence.
    """
    if isinstance(value, str) and value.lower() in REFUSED:
        raise ValueError(REFUSED[value.lower()])
    return value
