"""Hashes and the pseudo-random function: HMAC of the negotiated hash (RFC 2409 section 4, RFC 4868)."""

from __future__ import annotations

import hashlib
import hmac

from vpnengine.contract.algorithms import IkeHash
from vpnengine.crypto.secret import Secret

_SIZES = {IkeHash.MD5: 16, IkeHash.SHA1: 20, IkeHash.SHA256: 32, IkeHash.SHA384: 48, IkeHash.SHA512: 64}


def digest_size(hash_: IkeHash) -> int:
    """Octets of a digest."""
    return _SIZES[hash_]


def digest(hash_: IkeHash, data: bytes) -> bytes:
    """The hash of ``data``."""
    return hashlib.new(hash_.value, data, usedforsecurity=True).digest()


def prf(hash_: IkeHash, key: bytes | Secret, data: bytes) -> bytes:
    """prf(key, data)."""
    return hmac.digest(key.reveal() if isinstance(key, Secret) else key, data, hash_.value)
