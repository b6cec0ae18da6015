"""The claim and sign-in forms."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import LoginForm
from django import forms
from django.contrib.auth import password_validation

from dashboard.accounts.models import User


class ClaimForm(forms.Form):
    """Who takes this appliance, and what it is called."""

    code = forms.CharField(
        label="Claim code",
        max_length=80,
        help_text="Printed in the terminal when Culvert started.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "spellcheck": "false"}),
        error_messages={"required": "Enter the code from the terminal."},
    )
    name = forms.CharField(
        label="Your name",
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={"required": "Enter your name."},
    )
    email = forms.EmailField(
        label="E-mail address",
        max_length=150,
        help_text="You sign in with it. Culvert sends no mail.",
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
        error_messages={
            "required": "Enter your e-mail address.",
            "invalid": "Enter an e-mail address, like ada@example.com.",
        },
    )
    password = forms.CharField(
        label="Password",
        help_text="At least 10 characters; a sentence of your own is easy to keep.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        strip=False,
        error_messages={"required": "Choose a password."},
    )
    organization = forms.CharField(
        label="Organization",
        max_length=80,
        help_text="Your company.",
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
        error_messages={"required": "Enter the name of your company."},
    )
    site = forms.CharField(
        label="Site",
        max_length=80,
        help_text="Where this appliance stands, such as Headquarters.",
        error_messages={"required": "Enter a name for the place, such as Headquarters."},
    )

    def clean(self) -> dict[str, Any]:
        """Judge the password together with the name and address."""
        data: dict[str, Any] = super().clean() or {}
        if data.get("password"):
            user = User(first_name=data.get("name", ""), email=data.get("email", ""))
            try:
                password_validation.validate_password(data["password"], user)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return data


class SignInForm(LoginForm):
    """allauth's form in our words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = {"login": "E-mail address", "password": "Password", "remember": "Keep me signed in on this device"}
        for name, label in words.items():
            self.fields[name].label = label
            self.fields[name].widget.attrs.pop("placeholder", None)
