"""The fields of a policy of one's own: algorithms by how they stand today, lifetimes, and what goes with them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django import forms

from vpnengine.contract.algorithms import (
    Algorithm,
    DhGroup,
    EspEncryption,
    EspIntegrity,
    Grade,
    IkeEncryption,
    IkeHash,
)

# The script of the page finds the legacy choices by this label.
GROUPS = {Grade.RECOMMENDED: "Recommended", Grade.OTHER: "Other", Grade.LEGACY: "Legacy"}
MAX_PROPOSALS = 32
Choices = list[tuple[str, Any]]


def grouped(kind: Iterable[Algorithm], none: str | None = None) -> Choices:
    """Choices of one kind of algorithm, grouped by grade; a legacy one says why it is weak."""
    found: Choices = [("", none)] if none else []
    for grade, label in GROUPS.items():
        rows = [(a.value, f"{a.value} – {a.weakness}" if a.weakness else a.value) for a in kind if a.grade is grade]
        if rows:
            found.append((label, rows))
    return found


def _preferred(name: str) -> tuple[bool, bool, int]:
    """Sorts ESP ciphers as they are offered: strong ones first, those that authenticate by themselves, long keys."""
    cipher = EspEncryption(name)
    size = re.search(r"(128|192|256)", name)
    bits = int(size[0]) if size else 0
    return cipher.weakness is not None, not cipher.is_aead, -bits


_IKE_KINDS: dict[str, type[Algorithm]] = {"encryption": IkeEncryption, "hash": IkeHash, "group": DhGroup}


def _ike_problem(parts: list[str], *, legacy: bool) -> str:
    """What is wrong with a phase 1 proposal as typed; empty if nothing is."""
    if len(parts) != len(_IKE_KINDS):
        return "write encryption, hash and group with hyphens between them, like aes128-sha256-modp3072."
    for value, (name, kind) in zip(parts, _IKE_KINDS.items(), strict=True):
        if value not in set(kind):
            return f"“{value[:40]}” is no {name} for phase 1; there are {', '.join(kind)}."
        if (weakness := kind(value).weakness) and not legacy:
            return f"{value} is weak: {weakness}. Choose another, or turn “Allow legacy algorithms” on."
    return ""


class PolicyForm(forms.Form):
    """A policy as a part of the peer's form; all fields count only if the preset is “Custom”."""

    legacy = forms.BooleanField(
        label="Allow legacy algorithms",
        required=False,
        help_text="For a gateway that knows nothing better. The weak choices then appear, each with the reason.",
    )
    ike_encryption = forms.ChoiceField(label="Encryption", choices=grouped(IkeEncryption), required=False)
    ike_hash = forms.ChoiceField(label="Hash", choices=grouped(IkeHash), required=False)
    ike_group = forms.ChoiceField(label="Diffie-Hellman group", choices=grouped(DhGroup), required=False)
    ike_also = forms.CharField(
        label="Further proposals",
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="Offered after the first one, one a line, like aes128-sha256-modp3072.",
    )
    ike_lifetime = forms.IntegerField(label="Lifetime in seconds", min_value=60, max_value=86400, required=False)
    ike_lifetime_kb = forms.IntegerField(
        label="Lifetime in kilobytes",
        min_value=1_000,
        max_value=0xFFFFFFFF,
        required=False,
        help_text="Of IKE messages. Empty: no limit.",
    )
    esp_encryption = forms.MultipleChoiceField(
        label="Encryption",
        choices=grouped(EspEncryption),
        required=False,
        widget=forms.SelectMultiple(attrs={"size": 6}),
        help_text="One or more; each is offered.",
    )
    esp_integrity = forms.MultipleChoiceField(
        label="Integrity",
        choices=grouped(EspIntegrity),
        required=False,
        widget=forms.SelectMultiple(attrs={"size": 6}),
        help_text="None is needed for GCM and CCM, which authenticate by themselves.",
    )
    esp_mode = forms.ChoiceField(
        label="Mode",
        choices=[("tunnel", "Tunnel (recommended)"), ("transport", "Transport: between the two hosts themselves")],
        required=False,
        help_text="Transport is for traffic of the two gateways with each other, as under GRE or L2TP; each side is "
        "one address then.",
    )
    esp_protocol = forms.ChoiceField(
        label="Protocol",
        choices=[("esp", "ESP (recommended)"), ("ah", "AH: authenticated, not encrypted")],
        required=False,
        help_text="AH (RFC 4302) is for a peer that asks for it: whoever is on the path can read everything.",
    )
    esp_pfs = forms.ChoiceField(label="PFS group", choices=grouped(DhGroup, "none"), required=False)
    esp_pfs_also = forms.MultipleChoiceField(
        label="Further PFS groups",
        choices=grouped(DhGroup),
        required=False,
        widget=forms.SelectMultiple(attrs={"size": 4}),
        help_text="Accepted when the peer begins.",
    )
    esp_lifetime = forms.IntegerField(label="Lifetime in seconds", min_value=30, max_value=86400, required=False)
    esp_lifetime_kb = forms.IntegerField(
        label="Lifetime in kilobytes",
        min_value=1_000,
        max_value=0xFFFFFFFF,
        required=False,
        help_text="Of traffic in either direction. Empty: no limit.",
    )
    esn = forms.BooleanField(
        label="64-bit sequence numbers (ESN)",
        required=False,
        help_text="Offered first; a peer without them gets 32-bit ones.",
    )
    replay_window = forms.IntegerField(
        label="Replay window in packets",
        min_value=32,
        max_value=4096,
        required=False,
        help_text="Larger on fast paths that reorder packets; 64 if left empty.",
    )

    @staticmethod
    def initial_of(policy: dict[str, Any]) -> dict[str, Any]:
        """The fields' values for a policy. Ciphers and integrity are shown as two lists."""
        phase1, phase2 = policy["phase1"], policy["phase2"]
        ike, esp = phase1["proposals"][0], phase2["proposals"]
        return {
            "legacy": policy.get("legacy", False),
            "ike_encryption": ike["encryption"],
            "ike_hash": ike["hash"],
            "ike_group": ike["group"],
            "ike_also": "\n".join("-".join(row[n] for n in _IKE_KINDS) for row in phase1["proposals"][1:]),
            "ike_lifetime": phase1["lifetime_s"],
            "ike_lifetime_kb": phase1.get("lifetime_kb"),
            "esp_mode": phase2.get("mode", "tunnel"),
            "esp_protocol": esp[0].get("protocol", "esp"),
            "esp_encryption": list(dict.fromkeys(p["encryption"] for p in esp if p.get("protocol") != "ah")),
            "esp_integrity": list(dict.fromkeys(p["integrity"] for p in esp if p.get("integrity"))),
            "esp_pfs": phase2["pfs_group"] or "",
            "esp_pfs_also": phase2.get("pfs_also", []),
            "esp_lifetime": phase2["lifetime_s"],
            "esp_lifetime_kb": phase2.get("lifetime_kb"),
            "esn": phase2.get("esn", False),
            "replay_window": policy.get("replay_window", 64),
        }

    def policy_of(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """The policy that was entered, as parts of a peer in an ``EngineConfig``. Errors are added to the fields."""
        data = dict(cleaned)  # an error takes its field out of the form's own
        self._require_choices(data)
        if not data.get("legacy"):
            self._refuse_weak(data)
        ike = {"encryption": data["ike_encryption"], "hash": data["ike_hash"], "group": data["ike_group"]}
        return {
            "phase1": {
                "proposals": [ike, *(row for row in self._further(data) if row != ike)],
                "lifetime_s": data.get("ike_lifetime") or 28800,
                "lifetime_kb": data.get("ike_lifetime_kb"),
            },
            "phase2": {
                "proposals": self._esp_proposals(data),
                "pfs_group": data["esp_pfs"] or None,
                "pfs_also": data["esp_pfs_also"],
                "lifetime_s": data.get("esp_lifetime") or 3600,
                "lifetime_kb": data.get("esp_lifetime_kb"),
                "esn": data["esn"],
                **({"mode": "transport"} if data.get("esp_mode") == "transport" else {}),
            },
            "legacy": data["legacy"],
            "replay_window": data.get("replay_window") or 64,
        }

    def _ah_proposals(self, data: dict[str, Any]) -> list[dict[str, str | None]]:
        if data["esp_encryption"]:
            self.add_error("esp_encryption", "AH does not encrypt: choose no encryption, or ESP as the protocol.")
        if not data["esp_integrity"]:
            self.add_error("esp_integrity", "AH needs an integrity algorithm, such as sha256.")
        return [{"encryption": "null", "integrity": name, "protocol": "ah"} for name in data["esp_integrity"]]

    def _further(self, data: dict[str, Any]) -> list[dict[str, str]]:
        """The further phase 1 proposals, one a line. Errors name the line."""
        found: list[dict[str, str]] = []
        for number, line in enumerate(data.get("ike_also", "").splitlines(), 1):
            parts = line.strip().lower().split("-")
            row = dict(zip(_IKE_KINDS, parts, strict=False))
            if not line.strip() or row in found:
                continue
            if problem := _ike_problem(parts, legacy=bool(data.get("legacy"))):
                self.add_error("ike_also", f"Line {number}: {problem}")
            else:
                found.append(row)
        if len(found) >= MAX_PROPOSALS:
            self.add_error("ike_also", f"{len(found)} further proposals are too many; at most {MAX_PROPOSALS - 1}.")
        return found

    def _require_choices(self, data: dict[str, Any]) -> None:
        needed = ("ike_encryption", "ike_hash", "ike_group", "esp_encryption")
        for name in needed if data.get("esp_protocol") != "ah" else needed[:3]:
            if not data.setdefault(name, "") and name not in self.errors:
                self.add_error(name, "Choose one.")
        for name in ("esp_encryption", "esp_integrity", "esp_pfs_also"):
            data[name] = data.get(name) or []
        data.setdefault("esp_pfs", "")

    def _refuse_weak(self, data: dict[str, Any]) -> None:
        """Weak choices need the switch; each is named at its field."""
        kinds: dict[str, type[Algorithm]] = {
            "ike_encryption": IkeEncryption,
            "ike_hash": IkeHash,
            "ike_group": DhGroup,
            "esp_encryption": EspEncryption,
            "esp_integrity": EspIntegrity,
            "esp_pfs": DhGroup,
            "esp_pfs_also": DhGroup,
        }
        for name, kind in kinds.items():
            values = data[name] if isinstance(data[name], list) else [data[name]]
            for algorithm in (kind(value) for value in values if value):
                if algorithm.weakness:
                    self.add_error(
                        name,
                        f"{algorithm.value} is weak: {algorithm.weakness}. Choose another, or turn “Allow legacy "
                        "algorithms” on.",
                    )

    def _esp_proposals(self, data: dict[str, Any]) -> list[dict[str, str | None]]:
        """Each cipher, and those without integrity of their own with each integrity algorithm; AH has no cipher."""
        if data.get("esp_protocol") == "ah":
            return self._ah_proposals(data)
        ciphers, integrity = sorted(data["esp_encryption"], key=_preferred), data["esp_integrity"]
        alone = [name for name in ciphers if EspEncryption(name).is_aead]
        if ciphers and integrity and alone == ciphers:
            self.add_error("esp_integrity", f"{', '.join(alone)}: authenticates by itself; choose no integrity.")
        if not integrity and len(alone) < len(ciphers):
            needy = ", ".join(name for name in ciphers if name not in alone)
            self.add_error("esp_integrity", f"{needy} needs an integrity algorithm, such as sha256.")
        found: list[dict[str, str | None]] = []
        for name in ciphers:
            found += [{"encryption": name, "integrity": i} for i in ([None] if name in alone else integrity)]
        if len(found) > MAX_PROPOSALS:
            self.add_error("esp_encryption", f"{len(found)} combinations are too many; at most {MAX_PROPOSALS}.")
        return found
