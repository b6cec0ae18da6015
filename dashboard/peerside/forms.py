"""Forms of the other side's configuration."""

from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from vpnengine.contract.types import host


class AddressForm(forms.Form):
    """The public address of this site."""

    address = forms.CharField(
        label=_("Public address of this site"),
        max_length=253,
        help_text=_("The address or host name at which the other gateway reaches this site."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_address(self) -> str:
        """An address or a host name."""
        try:
            return host(self.cleaned_data["address"])
        except ValueError as error:
            text = str(error)
            raise ValidationError(text[:1].upper() + text[1:].rstrip(".") + ".") from None
