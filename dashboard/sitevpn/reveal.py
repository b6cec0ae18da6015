"""Showing a pre-shared secret, once, to who may change it and enters the password again."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from dashboard.accounts.confirmation import NotConfirmed, confirm_password
from dashboard.core.keyring import KeyringError
from dashboard.core.permissions import needs
from dashboard.sitevpn import selectors, services


class PasswordForm(forms.Form):
    """The password of whoever asks."""

    password = forms.CharField(
        label=gettext_lazy("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": gettext_lazy("Enter the password that you sign in with.")},
    )


@sensitive_variables("secret")
@sensitive_post_parameters("password")
@needs(get="edit", post="edit")
def reveal(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Ask for the password, then show the secret in the answer and nowhere else."""
    peer = selectors.peer(request.access.site.pk, uuid)
    if peer.secret_version is None:
        raise Http404
    form, secret = PasswordForm(request.POST or None), ""
    if request.method == "POST" and form.is_valid():
        try:
            confirm_password(request, form.cleaned_data["password"], "secret of a peer")
            secret = services.reveal_secret(peer)
        except NotConfirmed as refusal:
            form.add_error("password", str(refusal))
        except KeyringError as error:
            form.add_error(None, str(error))
    return render(request, "sitevpn/reveal.html", {"peer": peer, "form": form, "secret": secret})
