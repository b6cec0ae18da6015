"""The form of a run."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from dashboard.tools import command
from dashboard.tools.models import Run


class RunForm(forms.Form):
    """Tool, target, how many packets, and from which own address."""

    kind = forms.ChoiceField(label=_("Tool"), choices=Run.Kind.choices)
    target = forms.CharField(
        label=_("Host name or address"),
        max_length=command.MAX_NAME,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    count = forms.IntegerField(
        label=_("Packets"),
        min_value=1,
        max_value=command.MAX_COUNT,
        initial=5,
        help_text=_("Of a ping, one each second; a traceroute sends one to each hop."),
    )
    source = forms.ChoiceField(
        label=_("From"),
        required=False,
        help_text=_("To go through a tunnel, an address inside of this site's subnets."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = [(address, address) for address in command.own_addresses()]
        self.fields["source"].choices = [("", _("whichever fits")), *own]  # type: ignore[attr-defined]

    def clean_target(self) -> str:
        """In the form that is kept."""
        try:
            return command.target(self.cleaned_data["target"])
        except command.NotUsable as problem:
            raise forms.ValidationError(str(problem)) from None
