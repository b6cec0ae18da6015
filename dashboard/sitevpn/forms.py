"""The forms of the site-to-site page. Rules are the engine's own; messages name the line to mend."""

from __future__ import annotations

import ipaddress
import socket
from itertools import pairwise
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard.core.subnets import parse_subnets, sentence
from dashboard.sitevpn import policies
from dashboard.sitevpn.advanced_form import AdvancedForm
from dashboard.sitevpn.authentication_form import AuthenticationForm, check_own
from dashboard.sitevpn.models import LocalSubnet, Peer
from dashboard.sitevpn.peer_table import MAX_TAG, MAX_TAGS
from dashboard.sitevpn.policy_form import PolicyForm
from dashboard.sitevpn.presets import BY_KEY, CUSTOM
from dashboard.sitevpn.services import private_key_of
from vpnengine.contract.authentication import MIN_AGGRESSIVE_PSK_LENGTH, MIN_PSK_LENGTH
from vpnengine.contract.problems import Problem, Refused
from vpnengine.contract.types import remote, remote_networks

# Parts of a problem's path → field of the peer's form; two parts go before one, the first before the later.
_FIELDS = {
    "remote": "remote",
    "remote_subnets": "remote_subnets",
    "local_subnets": "remote_subnets",
    "name": "name",
    "psk": "secret",
    "secret": "secret",
    "local_identity": "local_identity",
    "remote_identity": "remote_identity",
    "exchange": "exchange",
    "start": "start",
    "phase1": "ike_lifetime",
    "phase2": "esp_lifetime",
    "nat_traversal": "nat_traversal",
    "fragmentation": "fragmentation",
    "fragment_size": "fragment_size",
    "alternates": "alternates",
    "accept_wider": "accept_wider",
    "initial_contact": "initial_contact",
    "dpd": "dpd_timeout",
    "dpd.interval_s": "dpd_interval",
    "retransmit": "retransmit_tries",
    "retransmit.first_s": "retransmit_first",
    "retransmit.factor": "retransmit_factor",
    "local_address": "local_address",
    "kernel": "route_interface",
    "kernel.mark": "mark_value",
    "route_based.if_id": "route_if_id",
    "route_based.mtu": "route_mtu",
    "phase2.mode": "esp_mode",
    "outer": "dont_fragment",
    "outer.mss": "mss",
    "selectors": "selectors",
    "authentication": "authentication",
    "certificate": "certificate",
    "private_key": "private_key",
    "trusted_cas": "trusted_cas",
    "crl": "crl",
    "xauth": "xauth_role",
    "xauth.password": "xauth_password",
    "mode_config": "config_role",
    "mode_config.split_exclude": "split_exclude",
    "pools": "pool",
}


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


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def problem_of_address(host: str) -> tuple[str, bool]:
    """What is wrong with the public address of a peer, or nothing; and if it can be saved all the same."""
    try:
        found = remote(host)
    except ValueError as error:
        return sentence(str(error)), False
    if remote_networks(found) or _is_address(found):
        return "", False
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return f"“{host}” does not resolve. Check the name, or tick “Save although the name does not resolve”.", True
    return "", False


class PeerForm(PolicyForm, AdvancedForm, AuthenticationForm, forms.ModelForm):
    """A third-party peer."""

    remote_subnets = SubnetsField(
        label="Private subnets",
        required=False,
        help_text="The subnets behind the peer, one a line, like 10.2.0.0/24. 0.0.0.0/0 sends all traffic of the local "
        "subnets through the tunnel, save what stays inside the site.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    secret = forms.CharField(
        label="Pre-shared secret",
        required=False,
        strip=True,
        max_length=512,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=f"The same on both gateways, at least {MIN_PSK_LENGTH} characters. Let one be generated if you can.",
    )
    preset = forms.ChoiceField(label="Policy", initial="strong")
    tags = forms.CharField(
        label="Tags",
        required=False,
        max_length=500,
        help_text="Words to find this peer by, with spaces between them, like branch retail.",
    )
    edit = forms.IntegerField(widget=forms.HiddenInput, required=False)
    # A secret from an imported text, sealed for whoever has imported it.
    imported_secret = forms.CharField(widget=forms.HiddenInput, required=False, max_length=4096)
    unresolved_is_fine = forms.BooleanField(label="Save although the name does not resolve", required=False)

    class Meta:
        model = Peer
        fields = [
            "name",
            "enabled",
            "remote",
            "remote_subnets",
            "authentication",
            "local_identity_type",
            "local_identity",
            "remote_identity_type",
            "remote_identity",
            "preset",
            "exchange",
            "start",
        ]
        help_texts = {
            "name": "Any name; it appears in the Event Log.",
            "remote": "The address or host name that the other gateway has on the internet. If that changes: “any”, a "
            "subnet or a range like 192.0.2.10-192.0.2.20; then only the other gateway can begin.",
            "enabled": "Off: its tunnel is down, and everything entered here is kept.",
            "exchange": "Main mode, unless the other gateway can only do the other. In aggressive mode whoever watches "
            "the negotiation, or asks for one, can try pre-shared secrets offline: use a random one of at least "
            f"{MIN_AGGRESSIVE_PSK_LENGTH} characters. Of the policy only the first Diffie-Hellman group is used.",
            "start": "“At once” shows soonest whether it works; “when traffic needs it” is enough in daily use.",
            "local_identity": "How this site names itself. Needed if the other gateway expects something other than "
            "this site's address, as it often does behind NAT.",
            "remote_identity": "What the other gateway has to name itself. Left empty, any name is accepted from "
            "who knows the secret; a certificate then has to say the public address.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ask_unresolved = False
        self.conflict: Any = None
        self.fields["exchange"].required = False
        peer = self.instance
        self.offers = policies.offers(peer.site.organization_id, peer) if peer.site_id else policies.offers(0)
        own = [offer for offer in self.offers if offer.value.startswith(policies.POLICY)]
        self.fields["preset"].choices = [
            ("Presets", [(offer.value, offer.title) for offer in self.offers if offer not in own]),
            *([("Policies of the organization", [(offer.value, offer.title) for offer in own])] if own else []),
            ("This peer alone", [(CUSTOM, "Custom")]),
        ]
        self.initial["preset"] = policies.value_of(peer)
        policy = peer.policy if peer.pk and peer.policy else BY_KEY["strong"].policy()
        self.initial |= {**self.initial_of(policy), **self.options_initial(peer.options), "edit": peer.edit}
        self.initial |= self.authentication_initial(peer) | {"tags": " ".join(peer.tags)}
        if peer.secret_fingerprint:
            self.fields[
                "secret"
            ].help_text = f"One is set (fingerprint {peer.secret_fingerprint}). Leave this empty to keep it."
        self.say_what_is_kept(peer)

    def clean_tags(self) -> str:
        """Words in lower case, each once."""
        tags = list(dict.fromkeys(self.cleaned_data["tags"].lower().replace(",", " ").split()))
        if len(tags) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in tags):
            raise ValidationError(f"Enter at most {MAX_TAGS} tags of at most {MAX_TAG} characters each.")
        return " ".join(tags)

    def clean_preset(self) -> str:
        """What the peer's row calls it; version and stored policy go there as well."""
        try:
            policies.give(self.instance, self.cleaned_data["preset"])
        except Refused as refused:
            raise ValidationError([problem.message for problem in refused.problems]) from None
        return str(self.instance.preset)

    def clean_exchange(self) -> str:
        """Main mode, unless the other is chosen."""
        return self.cleaned_data["exchange"] or Peer.Exchange.MAIN

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
            self.instance.policy = self.policy_of(data)
        kernel = self.kernel_of(data)
        self.instance.options = self.options_of(data) | ({"kernel": kernel} if kernel else {})
        self.instance.tags = data.get("tags", "").split()
        self.instance.remote_access = self.remote_access_of(data)
        self.instance.certificates = self.read_certificates(data)
        self._check_proof(data)
        self._check_subnets(data)
        if data.get("remote") and not data.get("unresolved_is_fine"):
            self._resolve(data["remote"])
        return data

    def _check_proof(self, data: dict[str, Any]) -> None:
        """What this side would prove itself with belongs together."""
        peer = self.instance
        peer.authentication = data.get("authentication", peer.authentication)
        own = peer.certificates.get("certificate")
        if not peer.signs or any(name in self.errors for name in ("certificate", "private_key")):
            return
        if not own:
            self.add_error("certificate", "Enter this side's certificate.")
            return
        key = data["private_key"] or private_key_of(peer)
        if key and (problem := check_own(own, key, peer.authentication)):
            self.add_error(None, problem)

    def _check_subnets(self, data: dict[str, Any]) -> None:
        """Private subnets are needed, unless something else says what the peer has."""
        subnets, role = data.get("remote_subnets"), data.get("config_role")
        if "remote_subnets" in self.errors:
            return
        if role == "server" and subnets:
            self.add_error("remote_subnets", "Leave this empty: clients get their addresses from the pool.")
        elif data.get("selectors") and subnets:
            self.add_error("selectors", "Enter either selectors or private subnets; leave one of the two empty.")
        elif not subnets and role != "server" and not data.get("selectors"):
            self.add_error("remote_subnets", "Enter at least one subnet, like 10.2.0.0/24.")

    def _resolve(self, host: str) -> None:
        """A name that does not resolve is probably a typing error; it can be confirmed."""
        problem, self.ask_unresolved = problem_of_address(host)
        if problem:
            self.add_error("remote", problem)

    @property
    def advanced_open(self) -> bool:
        """True if the page shows the advanced fields at once."""
        return self.is_advanced(self.instance.options)

    @staticmethod
    def field_of(problem: Problem) -> str | None:
        """The form field that a problem of the engine is about."""
        for first, second in pairwise([*problem.field.split("."), ""]):
            for key in (f"{first}.{second}", first):
                if key in _FIELDS:
                    return _FIELDS[key]
        return None

    def add_problems(self, problems: list[Problem]) -> None:
        """Show the engine's problems at the fields they belong to."""
        for problem in problems:
            field = self.field_of(problem)
            self.add_error(field if field in self.fields else None, sentence(problem.message))


class UserForm(forms.Form):
    """A user who may log in by XAUTH."""

    user_name = forms.CharField(
        label="User name",
        max_length=128,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="A name that exists already gets the new password.",
    )
    user_password = forms.CharField(
        label="Password",
        min_length=MIN_PSK_LENGTH,
        max_length=128,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=f"At least {MIN_PSK_LENGTH} characters. It is kept encrypted, and never shown again.",
    )
