"""The forms of the site-to-site page. Rules are the engine's own; messages name the line to mend."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard.sitevpn.models import LocalSubnet, Peer
from dashboard.sitevpn.presets import BY_KEY, CUSTOM, PRESETS
from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.contract.authentication import MIN_PSK_LENGTH
from vpnengine.contract.problems import Problem

MAX_SUBNETS = 256
_FIELDS = {
    "remote": "remote",
    "remote_subnets": "remote_subnets",
    "local_subnets": "remote_subnets",
    "name": "name",
    "psk": "secret",
    "secret": "secret",
    "local_identity": "local_identity",
    "remote_identity": "remote_identity",
    "phase1": "ike_lifetime",
    "phase2": "esp_lifetime",
}


def parse_subnets(text: str) -> list[str]:
    """One subnet a line.

    :raises ValidationError: naming each line that is none.
    """
    found: list[str] = []
    errors = []
    lines = [(n, line.strip()) for n, line in enumerate(text.replace(",", "\n").splitlines(), 1) if line.strip()]
    for number, line in lines[: MAX_SUBNETS + 1]:
        try:
            found.append(str(ipaddress.ip_network(line)))
        except ValueError:
            errors.append(f"Line {number}: {_why(line)}")
    if len(lines) > MAX_SUBNETS:
        errors.append(f"{len(lines)} subnets are too many; at most {MAX_SUBNETS} are allowed.")
    if errors:
        raise ValidationError(errors)
    return found


def _why(line: str) -> str:
    shown = line if len(line) <= 60 else line[:60] + "…"
    try:
        meant = ipaddress.ip_network(line, strict=False)
    except ValueError:
        return f"“{shown}” is not a subnet; write it like 10.1.0.0/24."
    return f"“{shown}” has host bits set; the subnet is {meant}."


class SubnetsField(forms.CharField):
    """A text area with a subnet a line."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        """A list becomes lines."""
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: str) -> list[str]:  # type: ignore[override]
        """Text becomes a list."""
        return parse_subnets(super().clean(value))


class LocalSubnetForm(forms.ModelForm):
    """One row of the local subnets."""

    class Meta:
        model = LocalSubnet
        fields = ["subnet", "name", "in_vpn"]

    def clean_subnet(self) -> str:
        """Exactly one subnet."""
        found = parse_subnets(self.cleaned_data["subnet"])
        if len(found) != 1:
            raise ValidationError("Enter one subnet, like 10.1.0.0/24.")
        return found[0]


SubnetFormSet = forms.modelformset_factory(LocalSubnet, form=LocalSubnetForm, extra=1, can_delete=True, max_num=64)


def _choices(values: Any) -> list[tuple[str, str]]:
    return [(v.value, v.value) for v in values]


class PeerForm(forms.ModelForm):
    """A third-party peer."""

    remote_subnets = SubnetsField(
        label="Private subnets",
        help_text="The subnets behind the peer, one a line, like 10.2.0.0/24.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    secret = forms.CharField(
        label="Pre-shared secret",
        required=False,
        strip=True,
        max_length=512,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=f"At least {MIN_PSK_LENGTH} characters; twenty random ones are strong.",
    )
    preset = forms.ChoiceField(
        label="Policy", choices=[*((p.key, p.title) for p in PRESETS), (CUSTOM, "Custom")], initial="strong"
    )
    ike_encryption = forms.ChoiceField(label="Encryption", choices=_choices(IkeEncryption), required=False)
    ike_hash = forms.ChoiceField(label="Hash", choices=_choices(IkeHash), required=False)
    ike_group = forms.ChoiceField(label="Diffie-Hellman group", choices=_choices(DhGroup), required=False)
    ike_lifetime = forms.IntegerField(label="Lifetime in seconds", min_value=60, max_value=86400, required=False)
    esp_encryption = forms.ChoiceField(label="Encryption", choices=_choices(EspEncryption), required=False)
    esp_integrity = forms.ChoiceField(
        label="Integrity", choices=[("", "with the cipher (GCM)"), *_choices(EspIntegrity)], required=False
    )
    esp_pfs = forms.ChoiceField(label="PFS group", choices=[("", "none"), *_choices(DhGroup)], required=False)
    esp_lifetime = forms.IntegerField(label="Lifetime in seconds", min_value=30, max_value=86400, required=False)
    edit = forms.IntegerField(widget=forms.HiddenInput, required=False)
    unresolved_is_fine = forms.BooleanField(label="Save although the name does not resolve", required=False)

    class Meta:
        model = Peer
        fields = [
            "name",
            "enabled",
            "remote",
            "remote_subnets",
            "local_identity_type",
            "local_identity",
            "remote_identity_type",
            "remote_identity",
            "preset",
            "start",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ask_unresolved = False
        peer = self.instance
        policy = peer.policy if peer.pk and peer.preset == CUSTOM else BY_KEY["strong"].policy()
        ike, esp = policy["phase1"]["proposals"][0], policy["phase2"]["proposals"][0]
        self.initial |= {
            "ike_encryption": ike["encryption"],
            "ike_hash": ike["hash"],
            "ike_group": ike["group"],
            "ike_lifetime": policy["phase1"]["lifetime_s"],
            "esp_encryption": esp["encryption"],
            "esp_integrity": esp.get("integrity") or "",
            "esp_pfs": policy["phase2"]["pfs_group"] or "",
            "esp_lifetime": policy["phase2"]["lifetime_s"],
            "edit": peer.edit,
        }
        if peer.pk:
            self.fields[
                "secret"
            ].help_text = f"One is set (fingerprint {peer.secret_fingerprint}). Leave this empty to keep it."

    def clean_secret(self) -> str:
        """Long enough, or left alone."""
        secret: str = self.cleaned_data["secret"]
        if secret and len(secret) < MIN_PSK_LENGTH:
            raise ValidationError(f"The pre-shared secret has at least {MIN_PSK_LENGTH} characters.")
        return secret

    def clean(self) -> dict[str, Any]:
        """Identities are whole, the custom policy is complete, the name resolves."""
        data: dict[str, Any] = super().clean() or {}
        for end in ("local", "remote"):
            kind, value = data.get(f"{end}_identity_type"), data.get(f"{end}_identity")
            if bool(kind) != bool(value):
                self.add_error(f"{end}_identity", "Choose a type and enter a value, or leave both empty.")
        if data.get("preset") == CUSTOM:
            self.instance.policy = self._policy(data)
        if data.get("remote") and not data.get("unresolved_is_fine"):
            self._resolve(data["remote"])
        return data

    def _policy(self, data: dict[str, Any]) -> dict[str, Any]:
        esp = {"encryption": data["esp_encryption"], "integrity": data["esp_integrity"] or None}
        aead = str(esp["encryption"]).endswith("gcm16")
        if aead and esp["integrity"]:
            self.add_error("esp_integrity", f"{esp['encryption']} authenticates by itself; choose “with the cipher”.")
        if not aead and not esp["integrity"]:
            self.add_error("esp_integrity", f"{esp['encryption']} needs an integrity algorithm, such as sha256.")
        ike = {"encryption": data["ike_encryption"], "hash": data["ike_hash"], "group": data["ike_group"]}
        return {
            "phase1": {"proposals": [ike], "lifetime_s": data.get("ike_lifetime") or 28800},
            "phase2": {
                "proposals": [esp],
                "pfs_group": data["esp_pfs"] or None,
                "lifetime_s": data.get("esp_lifetime") or 3600,
            },
        }

    def _resolve(self, host: str) -> None:
        """A name that does not resolve is probably a typing error; it can be confirmed."""
        try:
            ipaddress.ip_address(host)
            return
        except ValueError:
            pass
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):
            self.ask_unresolved = True
            self.add_error(
                "remote",
                f"“{host}” does not resolve. Check the name, or tick “Save although the name does not resolve”.",
            )

    def add_problems(self, problems: list[Problem]) -> None:
        """Show the engine's problems at the fields they belong to."""
        for problem in problems:
            names = [part for part in problem.field.split(".") if part in _FIELDS]
            field = _FIELDS[names[0]] if names else None
            sentence = problem.message[:1].upper() + problem.message[1:]
            self.add_error(field if field in self.fields else None, sentence.rstrip(".") + ".")
