"""Forms of the administrators page."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy

from dashboard.core.roles_form import RolesForm


class InviteForm(RolesForm):
    """The same, for an address."""

    email = forms.EmailField(
        label=gettext_lazy("E-mail address"),
        max_length=150,
        help_text=gettext_lazy("Who opens the link signs in with it. Culvert sends no mail: you pass the link on."),
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
        error_messages={
            "required": gettext_lazy("Enter the e-mail address of the new administrator."),
            "invalid": gettext_lazy("Enter an e-mail address, like ada@example.com."),
        },
    )
    field_order = ["email", "role"]


class JoinForm(forms.Form):
    """What somebody who is invited and has no account yet enters."""

    name = forms.CharField(
        label=gettext_lazy("Your name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={"required": gettext_lazy("Enter your name.")},
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        help_text=gettext_lazy("At least 10 characters; a sentence of your own is easy to keep."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        strip=False,
        error_messages={"required": gettext_lazy("Choose a password.")},
    )
