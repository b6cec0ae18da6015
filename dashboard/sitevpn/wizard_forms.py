"""The five questions about a new third-party peer, one form each."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.core.subnets import sentence
from dashboard.peerside.selectors import VENDORS
from dashboard.sitevpn import services
from dashboard.sitevpn.forms import SubnetsField, problem_of_address
from dashboard.sitevpn.models import Peer
from vpnengine.contract.authentication import MIN_PSK_LENGTH
from vpnengine.contract.types import remote, remote_networks

OTHER, OLD = "other", "old"
MAKERS = (
    *((vendor.key, vendor.title) for vendor in VENDORS),
    (OTHER, gettext_lazy("Another gateway, of the last ten years")),
    (OLD, gettext_lazy("Another gateway, older: knows only SHA-1")),
)
CALLS = "calls"
# Letters and digits that nobody confuses; 32 of them, so that each stands for five bits: 52 are 256 bits.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_LENGTH = 52
_AWS_SECRET = re.compile(r"[A-Za-z1-9._][A-Za-z0-9._]{7,63}")


def strong_secret() -> str:
    """A secret of 256 bits that every maker's gateway takes."""
    return "".join(secrets.choice(_ALPHABET) for _number in range(_LENGTH))


def secret_problem(secret: str, maker: str) -> str:
    """Why a secret cannot be used with this maker's gateway; empty if it can."""
    if len(secret) < MIN_PSK_LENGTH:
        return _("The pre-shared secret has at least %(least)d characters.") % {"least": MIN_PSK_LENGTH}
    if maker == "aws" and not _AWS_SECRET.fullmatch(secret):
        return _("AWS takes 8 to 64 letters, digits, dots or underscores, and no 0 at the beginning.")
    return ""


class Question(forms.Form):
    """One question. ``answers`` are those to the others, ``site_id`` is where the peer is to be."""

    def __init__(self, data: Any, *, answers: Mapping[str, Any], site_id: int, **kwargs: Any) -> None:
        self.answers, self.site_id = answers, site_id
        super().__init__(data, **kwargs)


class MakerForm(Question):
    """Who the other side is."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=80, help_text=gettext_lazy("Any name; it appears in the Event Log.")
    )
    maker = forms.ChoiceField(
        label=gettext_lazy("Kind of gateway"),
        choices=MAKERS,
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Choose what the other gateway is.")},
    )

    def clean_name(self) -> str:
        """A name that no peer of this site has."""
        name: str = self.cleaned_data["name"]
        if services.is_taken(self.site_id, name):
            raise ValidationError(_("A peer called “%(name)s” exists already; choose another name.") % {"name": name})
        return name


class AddressForm(Question):
    """Where the other side is."""

    reach = forms.ChoiceField(
        label=gettext_lazy("How is it reached?"),
        choices=(
            ("address", gettext_lazy("It has an address or a host name of its own")),
            (CALLS, gettext_lazy("It calls us: its address changes, or is not known")),
        ),
        widget=forms.RadioSelect,
        initial="address",
    )
    remote = forms.CharField(
        label=gettext_lazy("Public address"),
        required=False,
        max_length=253,
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
        help_text=gettext_lazy(
            "Address or host name on the internet. If it calls us: left empty, or the subnet or range that it calls "
            "from, like 192.0.2.10-192.0.2.20."
        ),
    )
    unresolved_is_fine = forms.BooleanField(
        label=gettext_lazy("Save although the name does not resolve"), required=False
    )

    ask_unresolved = False

    def clean(self) -> dict[str, Any]:
        """One address if it has one; else any, or those that it may come from."""
        data = super().clean() or {}
        host, calls = data.get("remote", ""), data.get("reach") == CALLS
        if "remote" in self.errors or "reach" in self.errors:
            return data
        if calls and not host:
            data["remote"] = "any"
        elif not host:
            self.add_error("remote", _("Enter the address or host name of the other gateway, or choose “It calls us”."))
        else:
            self._check(host, calls)
        return data

    def _check(self, host: str, calls: bool) -> None:
        problem, self.ask_unresolved = problem_of_address(host)
        if self.ask_unresolved and self.cleaned_data.get("unresolved_is_fine"):
            problem = ""
        if problem:
            self.add_error("remote", problem)
            return
        several = bool(remote_networks(remote(host)))
        if several and not calls:
            self.add_error("remote", _("These are several addresses. Enter one, or choose “It calls us”."))


class SubnetsForm(Question):
    """What is behind the other side."""

    remote_subnets = SubnetsField(
        label=gettext_lazy("Private subnets"),
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=gettext_lazy(
            "The subnets behind the other gateway, one a line, like 10.2.0.0/24. 0.0.0.0/0 sends all traffic of the "
            "local subnets through the tunnel, save what stays inside the site."
        ),
        error_messages={"required": gettext_lazy("Enter at least one subnet, like 10.2.0.0/24.")},
    )

    def clean_remote_subnets(self) -> list[str]:
        """Some, which overlap neither with ours nor with another peer's."""
        found = list(dict.fromkeys(self.cleaned_data["remote_subnets"]))
        if not found:
            raise ValidationError(_("Enter at least one subnet, like 10.2.0.0/24."))
        problems = services.subnet_problems(self.site_id, found, None)
        if problems:
            raise ValidationError([sentence(problem) for problem in problems])
        return found


class SecretForm(Question):
    """What both sides know. ``kept`` is true if there is a secret already."""

    source = forms.ChoiceField(
        label=gettext_lazy("Where does the secret come from?"), widget=forms.RadioSelect, initial="generate"
    )
    secret = forms.CharField(
        label=gettext_lazy("Pre-shared secret"),
        required=False,
        max_length=512,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=gettext_lazy("Only if it is entered: the one that the other gateway has."),
    )

    def __init__(self, data: Any, *, kept: bool, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        choices = [
            ("generate", _("Generate a strong one, of 256 bits, which is shown once")),
            ("typed", _("Enter the one that the other side has given")),
        ]
        if kept:
            choices.insert(0, ("keep", _("Keep the one that is set")))
            self.initial = {"source": "keep"} | self.initial
        self.fields["source"].choices = choices

    def clean(self) -> dict[str, Any]:
        """What was typed is long enough, and is only typed where it counts."""
        data = super().clean() or {}
        typed, source = data.get("secret", ""), data.get("source")
        if source == "typed":
            problem = secret_problem(typed, str(self.answers.get("maker", ""))) if typed else _("Enter the secret.")
            if problem and "secret" not in self.errors:
                self.add_error("secret", problem)
        elif typed and source:
            self.add_error("source", _("A secret was entered: choose “Enter the one…”, or leave the field empty."))
        return data


class StartForm(Question):
    """When the tunnel is negotiated."""

    start = forms.ChoiceField(label=gettext_lazy("When does the tunnel start?"), widget=forms.RadioSelect)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["start"].choices = starts(self.answers)
        self.initial = {"start": self.fields["start"].choices[0][0]} | self.initial
        if self.answers.get("reach") == CALLS:
            self.fields["start"].help_text = _("It calls us, so only the other gateway can begin.")


def starts(answers: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What can be chosen, the best first. Who calls us begins."""
    order = ("responder",) if answers.get("reach") == CALLS else ("immediate", "traffic", "responder")
    return [(key, Peer.Start(key).label) for key in order]
