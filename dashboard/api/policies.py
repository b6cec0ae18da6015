"""Policies under the names that the Meraki API has for them, with ours of the same form beside."""

from __future__ import annotations

from typing import Any

from dashboard.api.schemas import Policies
from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.contract.problems import Problem, Refused

_GROUPS = {
    "group1": "modp768",
    "group2": "modp1024",
    "group5": "modp1536",
    "group14": "modp2048",
    "group15": "modp3072",
    "group16": "modp4096",
    "group17": "modp6144",
    "group18": "modp8192",
    "group19": "ecp256",
    "group20": "ecp384",
    "group21": "ecp521",
    "group31": "curve25519",
}
_GROUP_NAMES = {ours: theirs for theirs, ours in _GROUPS.items()}
_CIPHERS = {"tripledes": "3des"}
_CIPHER_NAMES = {ours: theirs for theirs, ours in _CIPHERS.items()}
DISABLED = "disabled"


def to_engine(policies: Policies) -> dict[str, Any]:
    """``phase1`` and ``phase2`` of an ``EngineConfig``.

    :raises Refused: naming the field, if a name means nothing.
    """
    ciphers = _known("ikeCipherAlgo", policies.ikeCipherAlgo, IkeEncryption, _CIPHERS)
    hashes = _known("ikeAuthAlgo", policies.ikeAuthAlgo, IkeHash, {})
    groups = _known("ikeDiffieHellmanGroup", policies.ikeDiffieHellmanGroup, DhGroup, _GROUPS)
    child = _known("childCipherAlgo", policies.childCipherAlgo, EspEncryption, _CIPHERS)
    integrity = _known("childAuthAlgo", policies.childAuthAlgo, EspIntegrity, {})
    wanted = [name for name in policies.childPfsGroup if name != DISABLED]
    pfs = _known("childPfsGroup", wanted, DhGroup, _GROUPS)
    return {
        "phase1": {
            "proposals": [
                {"encryption": cipher, "hash": hash_, "group": group}
                for group in groups
                for cipher in ciphers
                for hash_ in hashes
            ],
            "lifetime_s": policies.ikeLifetime,
        },
        "legacy": policies.allowLegacy,
        "phase2": {
            "proposals": _esp(child, integrity),
            "pfs_group": pfs[0] if pfs else None,
            "pfs_also": pfs[1:],
            "lifetime_s": policies.childLifetime,
        },
    }


def _esp(ciphers: list[str], integrity: list[str]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for cipher in ciphers:
        if EspEncryption(cipher).is_aead:
            found.append({"encryption": cipher})
        elif not integrity:
            message = f"{cipher} needs an integrity algorithm, such as sha256"
            raise Refused([Problem(field="ipsecPolicies.childAuthAlgo", rule="required", message=message)])
        else:
            found += [{"encryption": cipher, "integrity": name} for name in integrity]
    return found


def _known(field: str, names: list[str], kind: Any, ours: dict[str, str]) -> list[str]:
    values = {item.value for item in kind}
    found = [ours.get(name, name) for name in names]
    unknown = [name for name, value in zip(names, found, strict=True) if value not in values]
    if unknown:
        theirs = {value: name for name, value in ours.items()}
        possible = ", ".join(sorted(theirs.get(value, value) for value in values))
        message = f"“{unknown[0]}” is not among: {possible}"
        raise Refused([Problem(field=f"ipsecPolicies.{field}", rule="enum", message=message)])
    return list(dict.fromkeys(found))


def from_engine(policy: dict[str, Any]) -> Policies:
    """The same of what is in force."""
    phase1, phase2 = policy["phase1"], policy["phase2"]
    ike, esp = phase1["proposals"], phase2["proposals"]
    pfs = [name for name in (phase2.get("pfs_group"), *phase2.get("pfs_also", [])) if name]
    return Policies(
        ikeCipherAlgo=_names((row["encryption"] for row in ike), _CIPHER_NAMES),
        ikeAuthAlgo=_names((row["hash"] for row in ike), {}),
        ikeDiffieHellmanGroup=_names((row["group"] for row in ike), _GROUP_NAMES),
        ikeLifetime=phase1["lifetime_s"],
        childCipherAlgo=_names((row["encryption"] for row in esp), _CIPHER_NAMES),
        childAuthAlgo=_names((row["integrity"] for row in esp if row.get("integrity")), {}),
        childPfsGroup=_names(pfs, _GROUP_NAMES) or [DISABLED],
        childLifetime=phase2["lifetime_s"],
        allowLegacy=policy.get("legacy", False),
    )


def _names(values: Any, theirs: dict[str, str]) -> list[str]:
    return list(dict.fromkeys(theirs.get(str(value), str(value)) for value in values))
