"""Policy presets as this version ships them; each version that ever was is a row (``PresetVersion``).

Whoever changes what is in a preset raises its version: peers keep the one that they have, and are offered the newer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """What a preset offers and accepts; ``note`` says when to choose it."""

    key: str
    version: int
    title: str
    note: str
    phase1: dict[str, Any]
    phase2: dict[str, Any]

    def policy(self) -> dict[str, Any]:
        """The two phases as an ``EngineConfig`` has them."""
        return {"phase1": self.phase1, "phase2": self.phase2}

    def summary(self) -> str:
        """One line for people."""
        return summary(self.policy())

    def rows(self) -> list[tuple[str, str]]:
        """The same as a list of (name, value)."""
        return rows_of(self.policy())


def _ike(encryption: str, hash_: str, group: str) -> dict[str, str]:
    return {"encryption": encryption, "hash": hash_, "group": group}


def _span(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds % 3600 == 0 else f"{seconds} s"


def rows_of(policy: dict[str, Any]) -> list[tuple[str, str]]:
    """What is in a policy as a list of (name, value); what is not the usual stands there as well."""
    phase1, phase2 = policy["phase1"], policy["phase2"]
    ike = (f"{p['encryption']}-{p['hash']}-{p['group']}" for p in phase1["proposals"])
    esp = (_esp_words(p) for p in phase2["proposals"])
    found = [
        ("Phase 1", " or ".join(ike)),
        ("Lifetime", _life(phase1)),
        ("Phase 2", " or ".join(esp)),
        ("PFS", " or ".join([phase2["pfs_group"] or "none", *phase2.get("pfs_also", [])])),
        ("Lifetime", _life(phase2)),
    ]
    if phase2.get("mode", "tunnel") != "tunnel":
        found.append(("Mode", phase2["mode"]))
    if phase2.get("esn"):
        found.append(("Sequence numbers", "64 bits"))
    if policy.get("replay_window", 64) != 64:
        found.append(("Replay window", f"{policy['replay_window']} packets"))
    return found


def _esp_words(proposal: dict[str, Any]) -> str:
    first = "ah" if proposal.get("protocol") == "ah" else proposal["encryption"]
    return "-".join(value for value in (first, proposal.get("integrity")) if value)


def _life(phase: dict[str, Any]) -> str:
    return _span(phase["lifetime_s"]) + (f" or {phase['lifetime_kb']} kB" if phase.get("lifetime_kb") else "")


def summary(policy: dict[str, Any]) -> str:
    """What a policy offers, in one line."""
    phase1, phase2 = policy["phase1"], policy["phase2"]
    first = ", ".join(f"{p['encryption']}-{p['hash']}-{p['group']}" for p in phase1["proposals"])
    second = ", ".join("-".join(v for v in (p["encryption"], p.get("integrity")) if v) for p in phase2["proposals"])
    pfs = " or ".join([phase2["pfs_group"] or "none", *phase2.get("pfs_also", [])])
    kilobytes = f" or {phase2['lifetime_kb']} kB" if phase2.get("lifetime_kb") else ""
    life = f"{phase2['lifetime_s']} s{kilobytes}"
    return f"Phase 1: {first}, {phase1['lifetime_s']} s. Phase 2: {second}, PFS {pfs}, {life}."


PRESETS: tuple[Preset, ...] = (
    Preset(
        "strong",
        1,
        "Strong (recommended)",
        "For gateways of the last ten years: strongSwan, FortiGate, Palo Alto, ASA, MikroTik, OPNsense.",
        {"proposals": [_ike("aes256", "sha256", "modp2048"), _ike("aes256", "sha384", "ecp384")], "lifetime_s": 28800},
        {
            "proposals": [{"encryption": "aes256gcm16"}, {"encryption": "aes256", "integrity": "sha256"}],
            "pfs_group": "modp2048",
            "lifetime_s": 3600,
        },
    ),
    Preset(
        "compatible",
        1,
        "Compatible",
        "For older gateways that know only SHA-1. SHA-1 is weak as a hash; as an HMAC it still holds.",
        {
            "proposals": [_ike("aes256", "sha1", "modp2048"), _ike("aes128", "sha1", "modp2048")],
            "lifetime_s": 28800,
        },
        {
            "proposals": [
                {"encryption": "aes256", "integrity": "sha1"},
                {"encryption": "aes128", "integrity": "sha1"},
            ],
            "pfs_group": None,
            "lifetime_s": 28800,
        },
    ),
    Preset(
        "aws",
        1,
        "AWS VPN",
        "One tunnel of a virtual private gateway, with group 14 chosen in its options.",
        {
            "proposals": [_ike("aes256", "sha256", "modp2048"), _ike("aes128", "sha256", "modp2048")],
            "lifetime_s": 28800,
        },
        {
            "proposals": [
                {"encryption": "aes256gcm16"},
                {"encryption": "aes256", "integrity": "sha256"},
                {"encryption": "aes128", "integrity": "sha256"},
            ],
            "pfs_group": "modp2048",
            "lifetime_s": 3600,
        },
    ),
    Preset(
        "azure",
        1,
        "Azure VPN Gateway",
        "A route-based gateway with a custom IPsec policy; it takes exactly one proposal of each phase.",
        {"proposals": [_ike("aes256", "sha256", "modp2048")], "lifetime_s": 28800},
        {"proposals": [{"encryption": "aes256gcm16"}], "pfs_group": "modp2048", "lifetime_s": 3600},
    ),
    Preset(
        "meraki",
        1,
        "Cisco Meraki MX",
        "What a Meraki MX can do best in IKEv1: AES-256 with SHA-256 and group 14. It knows no GCM.",
        {"proposals": [_ike("aes256", "sha256", "modp2048")], "lifetime_s": 28800},
        {
            "proposals": [{"encryption": "aes256", "integrity": "sha256"}],
            "pfs_group": "modp2048",
            "lifetime_s": 28800,
        },
    ),
    Preset(
        "asa",
        1,
        "Cisco ASA",
        "An ASA knows only SHA-1 in IKEv1: AES-256, SHA-1 as an HMAC, group 14 and PFS.",
        {"proposals": [_ike("aes256", "sha1", "modp2048")], "lifetime_s": 28800},
        {"proposals": [{"encryption": "aes256", "integrity": "sha1"}], "pfs_group": "modp2048", "lifetime_s": 28800},
    ),
)
BY_KEY = {preset.key: preset for preset in PRESETS}
CUSTOM = "custom"
STORED = "stored"
