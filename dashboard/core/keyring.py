"""Secrets at rest: encrypted with keys that are neither in the database nor SECRET_KEY.

Each ciphertext is bound to its owner by associated data, so that a row's secret cannot be
moved to another row. The first key of the ring encrypts, all of them decrypt.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings


class KeyringError(Exception):
    """A secret cannot be read: its key is missing, or it belongs to something else."""


def _load() -> dict[str, bytes]:
    path = Path(settings.CULVERT_KEYRING)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        ring = json.loads(path.read_text())
        return {name: base64.b64decode(key) for name, key in ring.items()}
    name, key = secrets.token_hex(4), secrets.token_bytes(32)
    with os.fdopen(fd, "w") as file:
        json.dump({name: base64.b64encode(key).decode()}, file)
        file.flush()
        os.fsync(file.fileno())
    return {name: key}


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
