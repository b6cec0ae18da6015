"""The claim page."""

from __future__ import annotations

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from dashboard.accounts import selectors, services
from dashboard.accounts.forms import ClaimForm


def claim(request: HttpRequest) -> HttpResponse:
    """The first administrator takes the appliance with the code from the terminal."""
    if selectors.is_claimed():
        return render(request, "accounts/claimed.html", status=200)
    form = ClaimForm(request.POST or None, initial={"code": request.GET.get("code", "")})
    if request.method == "POST" and form.is_valid():
        try:
            user = services.claim(**form.cleaned_data)
        except services.ClaimRefused as refusal:
            form.add_error("code", str(refusal))
        else:
            login(request, user, backend="allauth.account.auth_backends.AuthenticationBackend")
            return redirect("sitevpn")
    return render(request, "accounts/claim.html", {"form": form})
