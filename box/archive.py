"""Files sealed with a passphrase: what a whole configuration, with its secrets, travels in.

A file is one line of JSON, the header, and the ciphertext. scrypt (RFC 7914) makes the key, ChaCha20-Poly1305
(RFC 8439) seals, and the header is associated data: whoever changes a letter of it makes the file unreadable. The
header names its version, what it needs, and what the file is of: a file of a newer Culvert is refused with words.
"""

from __future__ import annotations

import base64
import json
import secrets
import zlib
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from vpnengine.contract.problems import Problem, Refused

FORMAT, VERSION = "culvert-archive", 1
MIN_PASSPHRASE = 12
# 128 MiB and about half a second; a header may ask for up to that, so that a file cannot ask for all memory there is.
LOG2_N, R, P = 17, 8, 1
MAX_OCTETS, MAX_CLEAR, MAX_HEADER = 64 * 2**20, 256 * 2**20, 2_000


def seal(document: dict[str, Any], passphrase: str, about: dict[str, str]) -> bytes:
    """A file of ``document``; ``about`` is readable without the passphrase.

    :raises Refused: if the passphrase is too short.
    """
    if len(passphrase) < MIN_PASSPHRASE:
        message = f"has at least {MIN_PASSPHRASE} characters; the file holds every secret of the configuration"
        raise _refused("passphrase", "length", message)
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "scrypt": {"n": LOG2_N, "r": R, "p": P, "salt": base64.b64encode(salt).decode()},
        "nonce": base64.b64encode(nonce).decode(),
        "about": about,
    }
    line = json.dumps(header, sort_keys=True).encode()
    clear = zlib.compress(json.dumps(document).encode(), 6)
    return line + b"\n" + ChaCha20Poly1305(_key(passphrase, salt, LOG2_N)).encrypt(nonce, clear, line)


def about(octets: bytes) -> dict[str, str]:
    """What the file says of itself; not proven before it is opened.

    :raises Refused: if it is no such file, or of a newer version.
    """
    return dict(_header(octets)[1]["about"])


def unseal(octets: bytes, passphrase: str) -> dict[str, Any]:
    """The document.

    :raises Refused: naming ``file`` or ``passphrase``.
    """
    line, header = _header(octets)
    try:
        salt, nonce = base64.b64decode(header["scrypt"]["salt"]), base64.b64decode(header["nonce"])
        log2_n = int(header["scrypt"]["n"])
        fits = 10 <= log2_n <= LOG2_N and (header["scrypt"]["r"], header["scrypt"]["p"]) == (R, P)
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits or len(nonce) != 12:
        raise _refused("file", "header", "has a header that Culvert does not write; it was changed")
    try:
        clear = ChaCha20Poly1305(_key(passphrase, salt, log2_n)).decrypt(nonce, octets[len(line) + 1 :], line)
    except InvalidTag:
        # The same words for both: the file cannot tell one from the other.
        message = "does not open this file; if it is right, the file was cut short or changed on its way"
        raise _refused("passphrase", "opens", message) from None
    return _inflate(clear)


def _inflate(clear: bytes) -> dict[str, Any]:
    reader = zlib.decompressobj()
    text = reader.decompress(clear, MAX_CLEAR)
    if reader.unconsumed_tail:
        raise _refused("file", "size", f"holds more than {MAX_CLEAR // 2**20} MiB")
    document = json.loads(text)
    return dict(document)


def _header(octets: bytes) -> tuple[bytes, dict[str, Any]]:
    if len(octets) > MAX_OCTETS:
        raise _refused("file", "size", f"is larger than {MAX_OCTETS // 2**20} MiB")
    line, newline, _ = octets[:MAX_HEADER].partition(b"\n")
    try:
        header = json.loads(line)
        is_ours = bool(newline) and header["format"] == FORMAT and isinstance(header["about"], dict)
        version = int(header["version"])
    except (ValueError, KeyError, TypeError):
        is_ours, version = False, 0
    if not is_ours:
        raise _refused("file", "format", "is not an export of Culvert; choose a file that “Export” has made")
    if version > VERSION:
        message = f"is of version {version}, and this Culvert reads up to {VERSION}; update this appliance first"
        raise _refused("file", "version", message)
    return line, header


def _key(passphrase: str, salt: bytes, log2_n: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=2**log2_n, r=R, p=P).derive(passphrase.encode())


def _refused(field: str, rule: str, message: str) -> Refused:
    return Refused([Problem(field=field, rule=rule, message=message)])
