"""Sealing and opening the protected part of an ESP packet, one object per SA and direction."""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.esp_suites import AEAD_ICV, icv_length
from vpnengine.crypto.secret import Secret


class AuthenticationError(Exception):
    """The integrity check value does not verify."""


class EspCipher(ABC):
    """Encryption and integrity of one SA.

    ``block`` is the alignment of the plaintext, ``overhead`` the octets of IV and ICV.
    """

    block: int
    overhead: int

    @abstractmethod
    def seal(self, header: bytes, sequence: int, plaintext: bytes) -> bytes:
        """IV, ciphertext and ICV over ``header`` (SPI and sequence number) and ``plaintext``."""

    @abstractmethod
    def open(self, packet: bytes) -> bytes:
        """The plaintext of a whole ESP packet, whose first 8 octets are SPI and sequence number.

        :raises AuthenticationError: if it is not authentic, or too short to be.
        """


class GcmCipher(EspCipher):
    """AES-GCM with a 16-octet ICV; the IV is the sequence number, so it never repeats (RFC 4106 section 3.1)."""

    block = 4
    overhead = 8 + AEAD_ICV

    def __init__(self, key: Secret) -> None:
        octets = key.reveal()
        self._gcm = AESGCM(octets[:-4])
        self._salt = octets[-4:]

    def seal(self, header: bytes, sequence: int, plaintext: bytes) -> bytes:
        """IV, ciphertext and ICV."""
        iv = sequence.to_bytes(8, "big")
        return iv + self._gcm.encrypt(self._salt + iv, plaintext, header)

    def open(self, packet: bytes) -> bytes:
        """The plaintext of a whole packet."""
        if len(packet) < 16 + AEAD_ICV:
            raise AuthenticationError
        try:
            return self._gcm.decrypt(self._salt + packet[8:16], packet[16:], packet[:8])
        except InvalidTag:
            raise AuthenticationError from None


class CbcHmacCipher(EspCipher):
    """AES-CBC with HMAC, encrypt then authenticate (RFC 3602, RFC 4303 section 3.3.2).

    IVs are unpredictable, as CBC needs: fresh octets from ``rng`` for each packet.
    """

    block = 16

    def __init__(
        self, encryption_key: Secret, integrity: EspIntegrity, integrity_key: Secret, rng: Callable[[int], bytes]
    ) -> None:
        self._algorithm = algorithms.AES(encryption_key.reveal())
        self._key = integrity_key.reveal()
        self._hash = integrity.value
        self._icv = icv_length(EspEncryption.AES128, integrity)
        self._rng = rng
        self.overhead = 16 + self._icv

    def seal(self, header: bytes, sequence: int, plaintext: bytes) -> bytes:
        """IV, ciphertext and ICV."""
        iv = self._rng(16)
        encryptor = Cipher(self._algorithm, modes.CBC(iv)).encryptor()
        protected = iv + encryptor.update(plaintext) + encryptor.finalize()
        return protected + hmac.digest(self._key, header + protected, self._hash)[: self._icv]

    def open(self, packet: bytes) -> bytes:
        """The plaintext of a whole packet."""
        end = len(packet) - self._icv
        if end < 8 + 16 + 16 or (end - 24) % 16:
            raise AuthenticationError
        expected = hmac.digest(self._key, packet[:end], self._hash)[: self._icv]
        if not hmac.compare_digest(expected, packet[end:]):
            raise AuthenticationError
        decryptor = Cipher(self._algorithm, modes.CBC(packet[8:24])).decryptor()
        return decryptor.update(packet[24:end]) + decryptor.finalize()


def make_cipher(
    encryption: EspEncryption,
    integrity: EspIntegrity | None,
    encryption_key: Secret,
    integrity_key: Secret | None,
    rng: Callable[[int], bytes],
) -> EspCipher:
    """The cipher of one SA.

    :raises ValueError: if integrity and its key do not belong together.
    """
    if integrity is None and integrity_key is None:
        return GcmCipher(encryption_key)
    if integrity is None or integrity_key is None:
        raise ValueError("an integrity algorithm and its key go together")
    return CbcHmacCipher(encryption_key, integrity, integrity_key, rng)
