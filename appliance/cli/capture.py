"""``./culvert ctl capture``: write messages to a pcapng file, and beside it the secrets as Wireshark reads them.

pcapng has decryption secrets blocks, but none for IKEv1 or ESP. Wireshark takes these from two tables of a profile,
``ikev1_decryption_table`` and ``esp_sa``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from appliance.cli import pcapng
from vpnengine.contract.capture import CapturedNegotiation, EspSecrets

_MODES = {"ctr": "AES-CTR [RFC3686]", "": "AES-CBC [RFC3602]"}
_OTHERS = {"3des": "TripleDES-CBC [RFC2451]", "null": "NULL"}
_INTEGRITY = {
    None: "NULL",
    "md5": "HMAC-MD5-96 [RFC2403]",
    "sha1": "HMAC-SHA-1-96 [RFC2404]",
    "sha256": "HMAC-SHA-256-128 [RFC4868]",
    "sha384": "HMAC-SHA-384-192 [RFC4868]",
    "sha512": "HMAC-SHA-512-256 [RFC4868]",
}
_BANNER = """\
The files in {directory} hold keys: whoever has them can read what these tunnels have carried.
Give them to nobody who may not, and remove them when you are done: rm -r {directory}"""


def write(path: Path, documents: list[dict[str, Any]], secrets: bool) -> int:
    """Write the answer to a ``capture`` request; the secrets go into the directory ``<path>.secrets``."""
    found = [CapturedNegotiation.model_validate(document) for document in documents]
    messages = [message for one in found for message in one.messages]
    if not messages:
        print("nothing has been negotiated with this peer since the engine was started", file=sys.stderr)
        return 1
    _private(path, pcapng.file(messages))
    print(f"{len(messages)} messages of {len(found)} negotiations are in {path}")
    if secrets:
        directory = path.with_name(f"{path.name}.secrets")
        directory.mkdir(mode=0o700, exist_ok=True)
        directory.chmod(0o700)
        _private(directory / "ikev1_decryption_table", ikev1_table(found).encode())
        _private(directory / "esp_sa", esp_table(one for n in found for one in n.esp).encode())
        print(_BANNER.format(directory=directory), file=sys.stderr)
    return 0


def ikev1_table(found: Iterable[CapturedNegotiation]) -> str:
    """Initiator cookie and encryption key, a negotiation a line."""
    return "".join(f"{one.negotiation},{one.encryption_key}\n" for one in found if one.encryption_key)


def esp_table(found: Iterable[EspSecrets]) -> str:
    """An SA a line. One that Wireshark has no name for becomes a comment, without its keys."""
    return "".join(_esp_line(one) + "\n" for one in found)


def _esp_line(one: EspSecrets) -> str:
    encryption = _encryption(one.encryption)
    if encryption is None or one.protocol != "esp":
        return f"# {one.protocol} {one.spi} {one.encryption}: Wireshark cannot decrypt this"
    version = "IPv6" if ":" in one.source else "IPv4"
    row = (version, one.source, one.destination, f"0x{one.spi}", encryption, f"0x{one.encryption_key}")
    return ",".join(f'"{field}"' for field in (*row, _INTEGRITY[one.integrity], f"0x{one.integrity_key}"))


def _encryption(name: str) -> str | None:
    if not name.startswith("aes"):
        return _OTHERS.get(name)
    mode, octets = name[6:9], name[9:]
    return f"AES-GCM with {octets} octet ICV [RFC4106]" if mode == "gcm" else _MODES.get(mode)


def _private(path: Path, content: bytes) -> None:
    """Write a file that only we can read, also if it was there and others could."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, 0o600)
        file.truncate()
        file.write(content)
