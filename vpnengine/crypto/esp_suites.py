"""Sizes of the ESP algorithms (RFC 2403, 2404, 2410, 2451, 3602, 3686, 4106, 4309, 4312, 4868)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity

Mode = Literal["cbc", "ctr", "gcm", "ccm", "null"]


@dataclass(frozen=True)
class Suite:
    """One cipher; lengths in octets.

    ``salt`` comes after the key in KEYMAT, ``iv`` is in each packet, ``align`` is what the plaintext is padded to,
    ``icv`` is the cipher's own integrity check value, 0 if it has none.
    """

    mode: Mode
    key: int
    salt: int
    iv: int
    align: int
    icv: int = 0


_SALTS: dict[str, int] = {"ctr": 4, "gcm": 4, "ccm": 3}


def _aes(name: str) -> Suite:
    """The suite of an AES name: aes, key bits, mode (CBC if absent), ICV octets."""
    bits, mode, icv = int(name[3:6]), name[6:9], name[9:]
    match mode:
        case "ctr":
            return Suite("ctr", bits // 8, _SALTS[mode], 8, 4)
        case "gcm" | "ccm":
            return Suite("gcm" if mode == "gcm" else "ccm", bits // 8, _SALTS[mode], 8, 4, int(icv))
        case _:
            return Suite("cbc", bits // 8, 0, 16, 16)


SUITES: dict[EspEncryption, Suite] = {e: _aes(e.value) for e in EspEncryption if e.value.startswith("aes")} | {
    EspEncryption.CAMELLIA128: Suite("cbc", 16, 0, 16, 16),
    EspEncryption.CAMELLIA192: Suite("cbc", 24, 0, 16, 16),
    EspEncryption.CAMELLIA256: Suite("cbc", 32, 0, 16, 16),
    EspEncryption.TRIPLE_DES: Suite("cbc", 24, 0, 8, 8),
    EspEncryption.NULL: Suite("null", 0, 0, 0, 4),
}
_INTEGRITY_KEYS = {
    EspIntegrity.MD5: 16,
    EspIntegrity.SHA1: 20,
    EspIntegrity.SHA256: 32,
    EspIntegrity.SHA384: 48,
    EspIntegrity.SHA512: 64,
}
_ICVS = {
    EspIntegrity.MD5: 12,
    EspIntegrity.SHA1: 12,
    EspIntegrity.SHA256: 16,
    EspIntegrity.SHA384: 24,
    EspIntegrity.SHA512: 32,
}


def encryption_key_length(encryption: EspEncryption) -> int:
    """Octets of KEYMAT for the cipher: the key, and its salt or nonce (RFC 3686 section 5.1, RFC 4106 section 8.1)."""
    suite = SUITES[encryption]
    return suite.key + suite.salt


def integrity_key_length(integrity: EspIntegrity) -> int:
    """Octets of KEYMAT for the integrity algorithm."""
    return _INTEGRITY_KEYS[integrity]


def icv_length(encryption: EspEncryption, integrity: EspIntegrity | None) -> int:
    """Octets of the integrity check value."""
    return SUITES[encryption].icv if integrity is None else _ICVS[integrity]


def iv_length(encryption: EspEncryption) -> int:
    """Octets of the IV in each packet."""
    return SUITES[encryption].iv
