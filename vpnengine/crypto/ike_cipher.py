"""The cipher of phase 1: AES in CBC mode without padding of its own (RFC 3602, RFC 2409 appendix B)."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from vpnengine.contract.algorithms import IkeEncryption
from vpnengine.crypto.secret import Secret

BLOCK = 16
_KEY_LENGTHS = {IkeEncryption.AES128: 16, IkeEncryption.AES192: 24, IkeEncryption.AES256: 32}


def key_length(encryption: IkeEncryption) -> int:
    """Octets of a key."""
    return _KEY_LENGTHS[encryption]


def _cipher(encryption: IkeEncryption, key: Secret, iv: bytes, data: bytes) -> Cipher[modes.CBC]:
    if len(key) != _KEY_LENGTHS[encryption] or len(iv) != BLOCK or len(data) % BLOCK:
        raise ValueError("key, IV or data have the wrong size")
    return Cipher(algorithms.AES(key.reveal()), modes.CBC(iv))


def encrypt(encryption: IkeEncryption, key: Secret, iv: bytes, plaintext: bytes) -> bytes:
    """:raises ValueError: if the plaintext is no whole number of blocks."""
    encryptor = _cipher(encryption, key, iv, plaintext).encryptor()
    return encryptor.update(plaintext) + encryptor.finalize()


def decrypt(encryption: IkeEncryption, key: Secret, iv: bytes, ciphertext: bytes) -> bytes:
    """:raises ValueError: if the ciphertext is no whole number of blocks."""
    decryptor = _cipher(encryption, key, iv, ciphertext).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()
