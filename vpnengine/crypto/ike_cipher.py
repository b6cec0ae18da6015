"""The ciphers of phase 1, in CBC mode without padding of their own (RFC 2409 appendix B, RFC 3602, RFC 4312)."""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import Camellia, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from vpnengine.contract.algorithms import IkeEncryption
from vpnengine.crypto.secret import Secret

_KEY_LENGTHS = {
    IkeEncryption.AES128: 16,
    IkeEncryption.AES192: 24,
    IkeEncryption.AES256: 32,
    IkeEncryption.CAMELLIA128: 16,
    IkeEncryption.CAMELLIA192: 24,
    IkeEncryption.CAMELLIA256: 32,
    IkeEncryption.TRIPLE_DES: 24,
}


def key_length(encryption: IkeEncryption) -> int:
    """Octets of a key."""
    return _KEY_LENGTHS[encryption]


def block_length(encryption: IkeEncryption) -> int:
    """Octets of a block, and of an IV."""
    return 8 if encryption is IkeEncryption.TRIPLE_DES else 16


def _cipher(encryption: IkeEncryption, key: Secret, iv: bytes, data: bytes) -> Cipher[modes.CBC]:
    block = block_length(encryption)
    if len(key) != _KEY_LENGTHS[encryption] or len(iv) != block or len(data) % block:
        raise ValueError("key, IV or data have the wrong size")
    return Cipher(block_cipher(encryption.value)(key.reveal()), modes.CBC(iv))


def block_cipher(name: str) -> type[algorithms.AES | Camellia | TripleDES]:
    """The block cipher that a name of the contract begins with."""
    if name.startswith("camellia"):
        return Camellia
    return TripleDES if name == "3des" else algorithms.AES


def encrypt(encryption: IkeEncryption, key: Secret, iv: bytes, plaintext: bytes) -> bytes:
    """:raises ValueError: if the plaintext is no whole number of blocks."""
    encryptor = _cipher(encryption, key, iv, plaintext).encryptor()
    return encryptor.update(plaintext) + encryptor.finalize()


def decrypt(encryption: IkeEncryption, key: Secret, iv: bytes, ciphertext: bytes) -> bytes:
    """:raises ValueError: if the ciphertext is no whole number of blocks."""
    decryptor = _cipher(encryption, key, iv, ciphertext).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()
