"""Every transform of phase 1 and phase 2, one at a time and several at once."""

from __future__ import annotations

from typing import Any

from lab.interop import messages
from lab.interop.model import Role, Scenario
from lab.interop.scripts import tunnel

PHASE1 = (
    "aes128-sha1-modp2048",
    "aes192-sha384-modp3072",
    "aes256-sha512-modp4096",
    "aes256-sha512-modp6144",
    "aes256-sha512-modp8192",
    "aes128-sha256-ecp256",
    "aes256-sha384-ecp384",
    "aes256-sha512-ecp384",
    "aes256-sha512-ecp521",
    "aes128-sha256-curve25519",
    "camellia256-sha256-modp2048",
)
# Keys longer than the PRF's output are stretched: 3DES, and AES-256 with MD5 or SHA-1.
LEGACY_PHASE1 = (
    "3des-md5-modp1024",
    "3des-sha1-modp1536",
    "aes128-md5-modp1024",
    "aes256-md5-modp1024",
    "aes256-sha1-modp1536",
)
# What strongSwan has and this engine does not: no other gateway asks for it.
OTHER_PHASE1 = ("aes256-sha256-modp2048s256",)
ESP = (
    "aes128-sha1",
    "aes192-sha256",
    "aes256-sha384",
    "aes256-sha512",
    "aes128gcm16",
    "aes192gcm16",
    "aes256gcm16",
    "aes128gcm12",
    "aes256gcm12",
    "aes128gcm8",
    "aes256gcm8",
    "aes128ccm16",
    "aes256ccm16",
    "aes128ctr-sha1",
    "aes256ctr-sha256",
    "camellia256-sha512",
)
LEGACY_ESP = ("3des-sha1", "3des-md5", "aes128-md5", "null-sha256")
PFS = ("modp3072", "ecp256", "ecp384", "ecp521", "curve25519")
LEGACY_PFS = ("modp1024", "modp1536")
_WITHOUT_KE = "HASH SA No ID ID "
_ABSENT = "this engine has no MODP group with a subgroup (RFC 5114)"


def ike(name: str) -> dict[str, Any]:
    """Our phase 1 proposal from strongSwan's way to write it."""
    encryption, hash_, group = name.split("-")
    return {"encryption": encryption, "hash": hash_, "group": group}


def esp(name: str) -> dict[str, Any]:
    """Our phase 2 proposal from strongSwan's way to write it."""
    encryption, _, integrity = name.partition("-")
    return {"encryption": encryption, "integrity": integrity or None}


def _phase1(name: str, legacy: bool = False, awaits: str = "") -> Scenario:
    ours = {"phase1": {"proposals": [ike(name)]}, "legacy": legacy}
    return Scenario(f"ike-{name}", "alg-ike", tunnel, ours=ours, theirs={"proposals": [name]}, awaits=awaits)


def _esp(name: str, legacy: bool = False) -> Scenario:
    ours = {"phase2": {"proposals": [esp(name)], "pfs_group": None}, "legacy": legacy}
    return Scenario(f"esp-{name}", "alg-esp", tunnel, ours=ours, child={"esp_proposals": [name]})


def _pfs(group: str | None, legacy: bool = False) -> Scenario:
    name = f"aes256gcm16-{group}" if group else "aes256gcm16"
    ours = {"phase2": {"proposals": [esp("aes256gcm16")], "pfs_group": group}, "legacy": legacy}
    shown = messages.quick() if group else messages.quick(messages.STARTS, _WITHOUT_KE, _WITHOUT_KE)
    options = {"messages": shown}
    return Scenario(
        f"pfs-{group or 'none'}", "pfs", tunnel, ours=ours, child={"esp_proposals": [name]}, options=options
    )


_MANY = ["aes128-sha1-modp2048", "aes192-sha256-modp3072", "aes256-sha384-ecp384"]
_OTHERS = ["aes256-sha512-modp4096", "aes256-sha384-ecp384", "aes128-sha1-modp2048"]

ROWS = (
    *(_phase1(name) for name in PHASE1),
    *(_phase1(name, legacy=True) for name in LEGACY_PHASE1),
    *(_phase1(name, awaits=_ABSENT) for name in OTHER_PHASE1),
    *(_esp(name) for name in ESP),
    *(_esp(name, legacy=True) for name in LEGACY_ESP),
    *(_pfs(group) for group in (None, *PFS)),
    *(_pfs(group, legacy=True) for group in LEGACY_PFS),
    Scenario(
        "pfs-other-group-accepted",
        "pfs",
        tunnel,
        (Role.RESPONDER,),
        ours={"phase2": {"pfs_group": "modp2048", "pfs_also": ["ecp256"]}},
        child={"esp_proposals": ["aes256gcm16-ecp256"]},
    ),
    Scenario(
        "esn-offered-with-32-bit",
        "net2net-esn",
        tunnel,
        ours={"phase2": {"esn": True}},
        options={"remark": "32-bit sequence numbers were agreed: kernel-libipsec has no others"},
    ),
    Scenario(
        "many-proposals",
        "rw-multi-ciphers",
        tunnel,
        ours={
            "phase1": {"proposals": [ike(name) for name in _MANY]},
            "phase2": {"proposals": [esp("aes128-sha1"), esp("aes256-sha384"), esp("aes256gcm16")], "pfs_group": None},
        },
        theirs={"proposals": _OTHERS},
        child={"esp_proposals": ["aes256-sha512", "aes256-sha384", "aes128gcm16"]},
        # As responder we take the first of the peer's that is acceptable here.
        options={
            "log": {Role.RESPONDER: "selected proposal: IKE:AES_CBC_256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/ECP_384"}
        },
    ),
)
