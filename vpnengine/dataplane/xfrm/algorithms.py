"""What the kernel calls the algorithms (crypto API names; RFC 4106, 3686, 4309, 2404, 4868)."""

from __future__ import annotations

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.esp_suites import SUITES, icv_length
from vpnengine.dataplane.xfrm import structs
from vpnengine.esp.sa import EspKeys, EspTransform

# ChaCha20-Poly1305 (RFC 7634), for which IKEv1 has no number: only static states could use it.
CHACHA20_POLY1305 = "rfc7539esp(chacha20,poly1305)"
_AEAD = {"gcm": "rfc4106(gcm(aes))", "ccm": "rfc4309(ccm(aes))"}
_CIPHERS = {"ctr": "rfc3686(ctr(aes))", "null": "ecb(cipher_null)"}
_BLOCK_CIPHERS = {"aes": "cbc(aes)", "cam": "cbc(camellia)", "3de": "cbc(des3_ede)"}


def cipher_name(encryption: EspEncryption) -> str:
    """The kernel's name of a cipher."""
    mode = SUITES[encryption].mode
    return _AEAD.get(mode) or _CIPHERS.get(mode) or _BLOCK_CIPHERS[encryption.value[:3]]


def integrity_name(integrity: EspIntegrity) -> str:
    """The kernel's name of an integrity algorithm."""
    return f"hmac({integrity.value})"


def attributes(transform: EspTransform, keys: EspKeys) -> list[tuple[str, bytes]]:
    """The algorithms of one direction with their keys. Not for logs."""
    if transform.encryption.is_aead:
        bits = icv_length(transform.encryption, None) * 8
        return [("ALG_AEAD", structs.pack_cut(cipher_name(transform.encryption), keys.encryption.reveal(), bits))]
    found = []
    if transform.integrity is not None and keys.integrity is not None:
        bits = icv_length(transform.encryption, transform.integrity) * 8
        name = integrity_name(transform.integrity)
        found.append(("ALG_AUTH_TRUNC", structs.pack_cut(name, keys.integrity.reveal(), bits)))
    if transform.protocol == "esp":
        found.append(("ALG_CRYPT", structs.pack_cipher(cipher_name(transform.encryption), keys.encryption.reveal())))
    return found
