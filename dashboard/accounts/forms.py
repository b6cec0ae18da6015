"""The claim form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import password_validation

from dashboard.accounts.models import User


class ClaimForm(forms.Form):
    """Who takes this appliance, and what it is called."""

    code = forms.CharField(label="Claim code", help_text="Printed in the terminal when Culvert started.")
    name = forms.CharField(label="Your name", max_length=150)
    email = forms.EmailField(label="E-mail address", help_text="You sign in with it.")
    password = forms.CharField(
        label="Password", widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False
    )
    organization = forms.CharField(label="Organization", max_length=80)
    site = forms.CharField(label="Site", max_length=80, help_text="Where this appliance stands, such as Headquarters.")

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
