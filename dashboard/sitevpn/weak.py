"""What of a policy is not strong, and why: weak algorithms, and what nobody would choose for a new tunnel."""

from __future__ import annotations

from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from vpnengine.contract.algorithms import Algorithm, DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash

# What the engine allows without a switch, and nobody would choose for a new tunnel.
_DATED: dict[str, str | Promise] = {
    "sha1": gettext_lazy(
        "SHA-1 has collisions and is being withdrawn everywhere. As an HMAC, which is how it is used here, no attack "
        "is known"
    ),
    "no PFS": gettext_lazy(
        "without perfect forward secrecy, whoever learns the keys of phase 1 can read everything that was sent under it"
    ),
}
_KINDS: dict[str, tuple[type[Algorithm], ...]] = {
    "encryption": (IkeEncryption, EspEncryption),
    "hash": (IkeHash,),
    "group": (DhGroup,),
    "integrity": (EspIntegrity,),
}


def legacy(policy: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """What of ``phase1`` and ``phase2`` is not strong, and the reason, each once."""
    phase1, phase2 = policy["phase1"], policy["phase2"]
    found: dict[str, str] = {}
    for row in (*phase1["proposals"], *phase2["proposals"]):
        for name, value in row.items():
            # AH has no encryption, and says so.
            wanted = value and not (row.get("protocol") == "ah" and name == "encryption")
            if wanted and (reason := _weakness(name, value)):
                found[value] = reason
    for group in (phase2["pfs_group"], *phase2.get("pfs_also", [])):
        if group and (reason := _weakness("group", group)):
            found[group] = reason
    if not phase2["pfs_group"]:
        found[_("no PFS")] = str(_DATED["no PFS"])
    return tuple(found.items())


def _weakness(name: str, value: str) -> str:
    for kind in _KINDS.get(name, ()):
        if value in set(kind):
            return kind(value).weakness or str(_DATED.get(value, ""))
    return ""
