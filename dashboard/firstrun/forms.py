"""The few questions of the first run."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from dashboard.core.subnets import parse_subnets
from dashboard.core.zones import zones
from vpnengine.contract.authentication import MIN_PSK_LENGTH


class PlaceForm(forms.Form):
    """What the site is called, and its time zone."""

    name = forms.CharField(label=_("Site"), max_length=80)
    time_zone = forms.ChoiceField(label=_("Time zone"), help_text=_("Your browser's is chosen already."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].choices = [(name, name.replace("_", " ")) for name in zones()]


class SubnetForm(forms.Form):
    """The first local subnets."""

    subnets = forms.CharField(
        label=_("Local subnets"),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=_("Which subnets of this site may the other side reach? One a line, like 10.1.0.0/24."),
    )

    def clean_subnets(self) -> list[str]:
        """A list, each a subnet."""
        return list(dict.fromkeys(parse_subnets(self.cleaned_data["subnets"])))


class FirstPeerForm(forms.Form):
    """The gateway at the other end; everything else is the strong preset."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("Any name; it appears in the Event Log."))
    remote = forms.CharField(label=_("Public address"), max_length=253, help_text=_("Address or host name."))
    remote_subnets = forms.CharField(
        label=_("Private subnets"),
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text=_("The subnets behind it, one a line."),
    )
    secret = forms.CharField(
        label=_("Pre-shared secret"),
        min_length=MIN_PSK_LENGTH,
        max_length=512,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("The same on both gateways."),
    )

    def clean_remote_subnets(self) -> list[str]:
        """A list, each a subnet."""
        found = parse_subnets(self.cleaned_data["remote_subnets"])
        if not found:
            raise ValidationError(_("Enter at least one subnet, like 10.2.0.0/24."))
        return found
