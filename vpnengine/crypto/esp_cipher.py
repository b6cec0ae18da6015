"""Sealing and opening the protected part of an ESP packet, one object per SA and direction.

``high`` is the upper half of a 64-bit sequence number (four octets), which is protected and not sent (RFC 4303
section 2.2.1); it is empty for 32-bit ones. AEAD ciphers have it in the middle of their additional data (RFC 4106
section 5), HMAC at the end of what it covers (RFC 4303 section 2.8).
"""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.esp_suites import SUITES, icv_length
from vpnengine.crypto.ike_cipher import block_cipher
from vpnengine.crypto.secret import Secret

HEADER = 8


class AuthenticationError(Exception):
    """The integrity check value does not verify."""


class EspCipher(ABC):
    """Encryption and integrity of one SA.

    ``block`` is the alignment of the plaintext, ``overhead`` the octets of IV and ICV.
    """

    block: int
    overhead: int

    @abstractmethod
    def seal(self, header: bytes, sequence: int, plaintext: bytes, high: bytes = b"") -> bytes:
        """IV, ciphertext and ICV over ``header`` (SPI and sequence number) and ``plaintext``.

        ``sequence`` is the whole number, never used before with this key.
        """

    @abstractmethod
    def open(self, packet: bytes, high: bytes = b"") -> bytes:
        """The plaintext of a whole ESP packet, whose first 8 octets are SPI and sequence number.

        :raises AuthenticationError: if it is not authentic, or too short to be.
        """


def _additional(header: bytes, high: bytes) -> bytes:
    return header[:4] + high + header[4:] if high else header


class AeadCipher(EspCipher):
    """AES-GCM (RFC 4106) or AES-CCM (RFC 4309) with a whole tag; the IV is the sequence number, so it never repeats."""

    block = 4

    def __init__(self, encryption: EspEncryption, key: Secret) -> None:
        suite, octets = SUITES[encryption], key.reveal()
        secret, self._salt = octets[: suite.key], octets[suite.key :]
        self._aead = AESGCM(secret) if suite.mode == "gcm" else AESCCM(secret, tag_length=suite.icv)
        self.overhead = 8 + suite.icv

    def seal(self, header: bytes, sequence: int, plaintext: bytes, high: bytes = b"") -> bytes:
        """IV, ciphertext and ICV."""
        iv = sequence.to_bytes(8, "big")
        return iv + self._aead.encrypt(self._salt + iv, plaintext, _additional(header, high))

    def open(self, packet: bytes, high: bytes = b"") -> bytes:
        """The plaintext of a whole packet."""
        if len(packet) < HEADER + self.overhead:
            raise AuthenticationError
        try:
            return self._aead.decrypt(self._salt + packet[8:16], packet[16:], _additional(packet[:HEADER], high))
        except InvalidTag:
            raise AuthenticationError from None


class ShortTagGcmCipher(EspCipher):
    """AES-GCM with an ICV of 8 or 12 octets, the beginning of the whole tag (RFC 4106 section 6)."""

    block = 4

    def __init__(self, encryption: EspEncryption, key: Secret) -> None:
        suite, octets = SUITES[encryption], key.reveal()
        self._algorithm = algorithms.AES(octets[: suite.key])
        self._salt = octets[suite.key :]
        self._icv = suite.icv
        self.overhead = 8 + suite.icv

    def seal(self, header: bytes, sequence: int, plaintext: bytes, high: bytes = b"") -> bytes:
        """IV, ciphertext and ICV."""
        iv = sequence.to_bytes(8, "big")
        encryptor = Cipher(self._algorithm, modes.GCM(self._salt + iv)).encryptor()
        encryptor.authenticate_additional_data(_additional(header, high))
        ciphertext = encryptor.update(plaintext) + encryptor.finalize()
        return iv + ciphertext + encryptor.tag[: self._icv]

    def open(self, packet: bytes, high: bytes = b"") -> bytes:
        """The plaintext of a whole packet."""
        if len(packet) < HEADER + self.overhead:
            raise AuthenticationError
        tag = packet[-self._icv :]
        mode = modes.GCM(self._salt + packet[8:16], tag, min_tag_length=self._icv)
        decryptor = Cipher(self._algorithm, mode).decryptor()
        decryptor.authenticate_additional_data(_additional(packet[:HEADER], high))
        try:
            return decryptor.update(packet[16 : -self._icv]) + decryptor.finalize()
        except InvalidTag:
            raise AuthenticationError from None


class _Privacy(ABC):
    """Encryption without integrity: half of a ``HmacCipher``."""

    iv_length: int
    block: int

    @abstractmethod
    def iv(self, sequence: int) -> bytes:
        """The IV of a packet."""

    @abstractmethod
    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """As many octets as the plaintext, which fills whole blocks."""

    @abstractmethod
    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """The inverse."""


class _Cbc(_Privacy):
    """AES, Camellia and 3DES in CBC mode (RFC 3602, RFC 4312, RFC 2451).

    IVs are unpredictable, as CBC needs: fresh octets for each packet.
    """

    def __init__(self, encryption: EspEncryption, key: Secret, rng: Callable[[int], bytes]) -> None:
        self._algorithm = block_cipher(encryption.value)(key.reveal())
        self.iv_length = self.block = SUITES[encryption].iv
        self._rng = rng

    def iv(self, sequence: int) -> bytes:
        """Fresh octets."""
        return self._rng(self.iv_length)

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """CBC."""
        encryptor = Cipher(self._algorithm, modes.CBC(iv)).encryptor()
        return encryptor.update(plaintext) + encryptor.finalize()

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """CBC."""
        decryptor = Cipher(self._algorithm, modes.CBC(iv)).decryptor()
        return decryptor.update(ciphertext) + decryptor.finalize()


class _Ctr(_Privacy):
    """AES-CTR: the counter block is nonce, IV and a count that starts at one (RFC 3686 section 4)."""

    iv_length = 8
    block = 4

    def __init__(self, encryption: EspEncryption, key: Secret) -> None:
        octets, size = key.reveal(), SUITES[encryption].key
        self._algorithm = algorithms.AES(octets[:size])
        self._nonce = octets[size:]

    def iv(self, sequence: int) -> bytes:
        """The sequence number, so that no counter block is used twice with a key."""
        return sequence.to_bytes(8, "big")

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """CTR."""
        mode = modes.CTR(self._nonce + iv + b"\0\0\0\1")
        encryptor = Cipher(self._algorithm, mode).encryptor()
        return encryptor.update(plaintext) + encryptor.finalize()

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """The same operation."""
        return self.encrypt(iv, ciphertext)


class _Null(_Privacy):
    """NULL (RFC 2410): the identity, with integrity around it."""

    iv_length = 0
    block = 4

    def iv(self, sequence: int) -> bytes:
        """There is none."""
        return b""

    def encrypt(self, iv: bytes, plaintext: bytes) -> bytes:
        """The plaintext."""
        return plaintext

    def decrypt(self, iv: bytes, ciphertext: bytes) -> bytes:
        """The ciphertext."""
        return ciphertext


class HmacCipher(EspCipher):
    """A cipher with HMAC: encrypt, then authenticate (RFC 4303 section 3.3.2)."""

    def __init__(self, privacy: _Privacy, integrity: EspIntegrity, icv: int, integrity_key: Secret) -> None:
        self._privacy = privacy
        self._key = integrity_key.reveal()
        self._hash = integrity.value
        self._icv = icv
        # Padding fills whole blocks, and the trailer ends on a 4-octet boundary (RFC 4303 section 2.4).
        self.block = max(4, privacy.block)
        self._start = HEADER + privacy.iv_length
        self.overhead = privacy.iv_length + icv

    def seal(self, header: bytes, sequence: int, plaintext: bytes, high: bytes = b"") -> bytes:
        """IV, ciphertext and ICV."""
        iv = self._privacy.iv(sequence)
        protected = iv + self._privacy.encrypt(iv, plaintext)
        return protected + hmac.digest(self._key, header + protected + high, self._hash)[: self._icv]

    def open(self, packet: bytes, high: bytes = b"") -> bytes:
        """The plaintext of a whole packet."""
        end = len(packet) - self._icv
        if end < self._start + self.block or (end - self._start) % self.block:
            raise AuthenticationError
        expected = hmac.digest(self._key, packet[:end] + high, self._hash)[: self._icv]
        if not hmac.compare_digest(expected, packet[end:]):
            raise AuthenticationError
        return self._privacy.decrypt(packet[HEADER : self._start], packet[self._start : end])


def make_cipher(
    encryption: EspEncryption,
    integrity: EspIntegrity | None,
    encryption_key: Secret,
    integrity_key: Secret | None,
    rng: Callable[[int], bytes],
) -> EspCipher:
    """The cipher of one SA.

    :raises ValueError: if cipher, integrity and its key do not belong together, or a key has the wrong length.
    """
    suite = SUITES[encryption]
    if len(encryption_key) != suite.key + suite.salt:
        raise ValueError(f"{encryption.value} has a key of {suite.key + suite.salt} octets")
    if encryption.is_aead:
        if integrity is not None or integrity_key is not None:
            raise ValueError(f"{encryption.value} authenticates by itself")
        short = suite.mode == "gcm" and suite.icv < 16
        return ShortTagGcmCipher(encryption, encryption_key) if short else AeadCipher(encryption, encryption_key)
    if integrity is None or integrity_key is None:
        raise ValueError("an integrity algorithm and its key go together")
    privacy: _Privacy
    match suite.mode:
        case "cbc":
            privacy = _Cbc(encryption, encryption_key, rng)
        case "ctr":
            privacy = _Ctr(encryption, encryption_key)
        case _:
            privacy = _Null()
    return HmacCipher(privacy, integrity, icv_length(encryption, integrity), integrity_key)
