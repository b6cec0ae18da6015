"""Secrets at rest: encrypted with keys that are neither in the database nor SECRET_KEY.

Each ciphertext is bound to its owner by associated data, so that a row's secret cannot be
moved to another row. The first key of the ring encrypts, all of them decrypt; ``rotate``
puts a new one in front. The last one is the oldest and also keys the fingerprints, which
therefore stay what they are.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from dashboard.core import files

Ring = dict[str, bytes]


class KeyringError(Exception):
    """A secret cannot be read: its key is missing, or it belongs to something else."""


def _new_key() -> Ring:
    return {secrets.token_hex(4): secrets.token_bytes(32)}


def _dump(ring: Ring) -> bytes:
    return json.dumps({name: base64.b64encode(key).decode() for name, key in ring.items()}).encode()


def _load() -> Ring:
    ring = json.loads(files.create_once(Path(settings.CULVERT_KEYRING), lambda: _dump(_new_key())))
    return {name: base64.b64decode(key) for name, key in ring.items()}


def rotate() -> str:
    """Put a new key in front; the name of it. Older secrets stay readable until they are sealed anew."""
    ring = _new_key() | _load()
    files.replace(Path(settings.CULVERT_KEYRING), _dump(ring))
    return next(iter(ring))


def retire(in_use: set[str]) -> list[str]:
    """Remove keys that nothing is sealed with, and name them. The newest stays, and the oldest, for fingerprints."""
    ring = _load()
    names = list(ring)
    gone = [name for name in names[1:-1] if name not in in_use]
    files.replace(Path(settings.CULVERT_KEYRING), _dump({name: ring[name] for name in names if name not in gone}))
    return gone


def name_of(sealed: str) -> str:
    """The name of the key that a ciphertext was made with."""
    return sealed.partition(":")[0]


def is_current(sealed: str) -> bool:
    """True if a ciphertext was made with the newest key."""
    return sealed.partition(":")[0] == next(iter(_load()))


def seal(secret: str, owner: str) -> str:
    """Encrypt ``secret`` for ``owner``, a stable name such as ``peer:<uuid>``."""
    name, key = next(iter(_load().items()))
    nonce = secrets.token_bytes(12)
    sealed = AESGCM(key).encrypt(nonce, secret.encode(), owner.encode())
    return f"{name}:{base64.b64encode(nonce + sealed).decode()}"


def reveal(sealed: str, owner: str) -> str:
    """Decrypt what ``seal`` has made for the same owner.

    :raises KeyringError: if the key is gone, or the owner is another.
    """
    name, _, text = sealed.partition(":")
    key = _load().get(name)
    if key is None:
        raise KeyringError(f"the key {name} is not in the keyring; restore keyring.json from a backup")
    data = base64.b64decode(text)
    try:
        return AESGCM(key).decrypt(data[:12], data[12:], owner.encode()).decode()
    except InvalidTag:
        raise KeyringError("the secret does not belong to this owner, or it was altered") from None


def fingerprint(secret: str, owner: str) -> str:
    """Eight hex digits that tell two secrets of one owner apart, of no use to guess them."""
    key = next(reversed(_load().values()))
    return hashlib.blake2b(secret.encode(), key=key, person=b"fingerpr", salt=owner.encode()[-16:]).hexdigest()[:8]
