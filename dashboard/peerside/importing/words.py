"""Names of algorithms, identities and subnets in other makers' words."""

from __future__ import annotations

import ipaddress
import re

from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.contract.types import host

GROUPS = {2: "modp1024", 5: "modp1536", 14: "modp2048", 15: "modp3072", 16: "modp4096", 17: "modp6144"} | {
    18: "modp8192",
    19: "ecp256",
    20: "ecp384",
    21: "ecp521",
    31: "curve25519",
}
MAX_SHOWN = 60


def shown(text: str) -> str:
    """A piece of what was pasted, short enough for a sentence, and without control characters."""
    plain = "".join(character if character.isprintable() else " " for character in text).strip()
    return plain if len(plain) <= MAX_SHOWN else plain[:MAX_SHOWN] + "…"


def group(word: str) -> str | None:
    """Our name of a Diffie-Hellman group: of ``modp2048``, ``group14``, ``14``, ``DHGroup14``, ``PFS2048``."""
    text = word.strip().lower().replace("_", "")
    if text in {one.value for one in DhGroup}:
        return text
    if text in ("dhgroup2048", "pfs2048"):
        return "modp2048"
    if text in ("ecp256", "ecp384"):
        return text
    found = re.search(r"(\d{1,2})$", text)
    return GROUPS.get(int(found[1])) if found else None


def digest(word: str) -> str | None:
    """Our name of a hash: of ``sha``, ``SHA2-256``, ``hmac-sha1-96``, ``esp-sha256-hmac``."""
    text = re.sub(r"^(hmac|esp)[-_]|[-_](hmac|96|128)$|hmac$", "", word.strip().lower())
    text = re.sub(r"^sha-?2[-_]", "sha", text).replace("-", "").replace("_", "")
    text = {"sha": "sha1", "sha196": "sha1", "md596": "md5"}.get(text, text)
    return text if text in {one.value for one in IkeHash} else None


def cipher(word: str) -> str | None:
    """Our name of a cipher for ESP: of ``aes-256-cbc``, ``AES128-GCM-16``, ``GCMAES256``, ``esp-aes-192``."""
    text = re.sub(r"[^a-z0-9]", "", word.strip().lower()).removeprefix("esp")
    if text in ("3des", "des3", "3descbc", "tripledes"):
        return "3des"
    if text in ("null", "none"):
        return "null"
    found = re.fullmatch(
        r"(?:(gcm)?(aes|camellia))(?:(cbc|gcm|ctr|ccm))?(128|192|256)?(cbc|gcm|ctr|ccm)?(\d{1,3})?", text
    )
    if not found:
        return None
    mode = next((part for part in (found[1], found[3], found[5]) if part), "cbc")
    size = found[4] or "128"
    icv = {"64": "8", "96": "12", "128": "16"}.get(found[6] or "", found[6] or "16")
    name = f"{found[2]}{size}" + {"cbc": "", "ctr": "ctr"}.get(mode, f"{mode}{icv}")
    return name if name in {one.value for one in EspEncryption} else None


def ike_cipher(word: str) -> str | None:
    """The same for phase 1."""
    name = cipher(word)
    return name if name in {one.value for one in IkeEncryption} else None


def integrity(word: str) -> str | None:
    """Our name of an integrity algorithm of ESP."""
    name = digest(word)
    return name if name in {one.value for one in EspIntegrity} else None


def network(text: str, mask: str = "") -> str | None:
    """A subnet in its canonical form; host bits are cut."""
    try:
        return str(ipaddress.ip_network(f"{text.strip()}/{mask.strip()}" if mask else text.strip(), strict=False))
    except ValueError:
        return None


def address(text: str) -> str | None:
    """An address or a host name."""
    try:
        return host(text)
    except ValueError:
        return None


def identity(text: str) -> tuple[str, str] | None:
    """An identity by what it looks like: (type, value)."""
    try:
        return f"ipv{ipaddress.ip_address(text).version}", text
    except ValueError:
        pass
    if "=" in text:
        return "dn", text
    if "@" in text.lstrip("@"):
        return "user-fqdn", text
    return ("fqdn", text.lstrip("@")) if address(text.lstrip("@")) else ("key-id", text)
