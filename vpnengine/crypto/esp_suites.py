"""Sizes of the ESP algorithms (RFC 3602, RFC 4106, RFC 2404, RFC 4868)."""

from __future__ import annotations

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity

_SALT = 4
_INTEGRITY_KEYS = {EspIntegrity.SHA1: 20, EspIntegrity.SHA256: 32, EspIntegrity.SHA384: 48, EspIntegrity.SHA512: 64}
_ICVS = {EspIntegrity.SHA1: 12, EspIntegrity.SHA256: 16, EspIntegrity.SHA384: 24, EspIntegrity.SHA512: 32}
AEAD_ICV = 16


def encryption_key_length(encryption: EspEncryption) -> int:
    """Octets of KEYMAT for the cipher; for GCM the key and its salt (RFC 4106 section 8.1)."""
    return int(encryption.value[3:6]) // 8 + (_SALT if encryption.is_aead else 0)


def integrity_key_length(integrity: EspIntegrity) -> int:
    """Octets of KEYMAT for the integrity algorithm."""
    return _INTEGRITY_KEYS[integrity]


def icv_length(encryption: EspEncryption, integrity: EspIntegrity | None) -> int:
    """Octets of the integrity check value."""
    return AEAD_ICV if integrity is None else _ICVS[integrity]


def iv_length(encryption: EspEncryption) -> int:
    """Octets of the IV in each packet."""
    return 8 if encryption.is_aead else 16
