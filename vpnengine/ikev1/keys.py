"""Key derivation and authentication hashes of IKEv1 (RFC 2409 section 5 and appendix B)."""

from __future__ import annotations

from dataclasses import dataclass

from vpnengine.contract.algorithms import IkeEncryption, IkeHash
from vpnengine.crypto import ike_cipher
from vpnengine.crypto.esp_suites import encryption_key_length, integrity_key_length
from vpnengine.crypto.prf import digest, prf
from vpnengine.crypto.secret import Secret
from vpnengine.esp.sa import EspKeys, EspTransform
from vpnengine.isakmp.constants import Protocol


@dataclass(frozen=True)
class Phase1Keys:
    """The SKEYID family and the key of the phase 1 cipher."""

    skeyid: Secret
    skeyid_d: Secret
    skeyid_a: Secret
    skeyid_e: Secret
    cipher: Secret


def expand(hash_: IkeHash, key: Secret, length: int) -> bytes:
    """Stretch SKEYID_e for ciphers with longer keys: Ka of RFC 2409 appendix B."""
    if len(key) >= length:
        return key.reveal()[:length]
    block = prf(hash_, key, b"\0")
    material = block
    while len(material) < length:
        block = prf(hash_, key, block)
        material += block
    return material[:length]


def skeyid_psk(hash_: IkeHash, psk: Secret, nonces: tuple[bytes, bytes]) -> Secret:
    """SKEYID for pre-shared keys (RFC 2409 section 5); ``nonces`` are the bodies of Ni and Nr."""
    return Secret(prf(hash_, psk, nonces[0] + nonces[1]))


def skeyid_signature(hash_: IkeHash, shared: Secret, nonces: tuple[bytes, bytes]) -> Secret:
    """SKEYID for signatures (RFC 2409 section 5); ``shared`` is g^xy."""
    return Secret(prf(hash_, nonces[0] + nonces[1], shared.reveal()))


def phase1_keys(
    hash_: IkeHash, encryption: IkeEncryption, skeyid: Secret, shared: Secret, cookies: bytes
) -> Phase1Keys:
    """What follows from SKEYID (RFC 2409 section 5); ``cookies`` is CKY-I | CKY-R."""
    tail = shared.reveal() + cookies
    skeyid_d = Secret(prf(hash_, skeyid, tail + b"\0"))
    skeyid_a = Secret(prf(hash_, skeyid, skeyid_d.reveal() + tail + b"\1"))
    skeyid_e = Secret(prf(hash_, skeyid, skeyid_a.reveal() + tail + b"\2"))
    cipher = Secret(expand(hash_, skeyid_e, ike_cipher.key_length(encryption)))
    return Phase1Keys(skeyid, skeyid_d, skeyid_a, skeyid_e, cipher)


def phase1_iv(hash_: IkeHash, encryption: IkeEncryption, public_i: bytes, public_r: bytes) -> bytes:
    """The first IV of phase 1, one block of the cipher (RFC 2409 appendix B)."""
    return digest(hash_, public_i + public_r)[: ike_cipher.block_length(encryption)]


def exchange_iv(hash_: IkeHash, last_block: bytes, message_id: int) -> bytes:
    """The first IV of an exchange after phase 1, as long as the last block of phase 1 (RFC 2409 appendix B)."""
    return digest(hash_, last_block + message_id.to_bytes(4, "big"))[: len(last_block)]


def auth_hash(hash_: IkeHash, keys: Phase1Keys, publics: tuple[bytes, bytes], cookies: bytes, sa_id: bytes) -> bytes:
    """HASH_I or HASH_R (RFC 2409 section 5).

    ``publics`` and ``cookies`` begin with those of the side that proves itself; ``sa_id`` is
    the body of the initiator's SA payload followed by the body of that side's ID payload.
    """
    return prf(hash_, keys.skeyid, publics[0] + publics[1] + cookies + sa_id)


def message_hash(hash_: IkeHash, keys: Phase1Keys, message_id: int, *parts: bytes) -> bytes:
    """HASH(1) and HASH(2) of quick mode, and the hash of informational exchanges (RFC 2409 section 5.5, 5.7)."""
    return prf(hash_, keys.skeyid_a, message_id.to_bytes(4, "big") + b"".join(parts))


def quick_hash_3(hash_: IkeHash, keys: Phase1Keys, message_id: int, nonces: tuple[bytes, bytes]) -> bytes:
    """HASH(3) of quick mode: prf(SKEYID_a, 0 | M-ID | Ni_b | Nr_b) (RFC 2409 section 5.5)."""
    return prf(hash_, keys.skeyid_a, b"\0" + message_id.to_bytes(4, "big") + nonces[0] + nonces[1])


def esp_keys(
    hash_: IkeHash,
    keys: Phase1Keys,
    transform: EspTransform,
    spi: int,
    nonces: tuple[bytes, bytes],
    shared: Secret | None,
) -> EspKeys:
    """KEYMAT of one SA, cut into encryption and integrity keys (RFC 2409 section 5.5).

    ``spi`` is the SPI chosen by the side that receives on this SA; ``shared`` is g(qm)^xy with PFS.
    """
    length = encryption_key_length(transform.encryption)
    integrity = integrity_key_length(transform.integrity) if transform.integrity else 0
    seed = shared.reveal() if shared else b""
    protocol = Protocol.AH if transform.protocol == "ah" else Protocol.ESP
    seed += bytes([protocol]) + spi.to_bytes(4, "big") + nonces[0] + nonces[1]
    block = prf(hash_, keys.skeyid_d, seed)
    material = block
    while len(material) < length + integrity:
        block = prf(hash_, keys.skeyid_d, block + seed)
        material += block
    return EspKeys(Secret(material[:length]), Secret(material[length : length + integrity]) if integrity else None)
