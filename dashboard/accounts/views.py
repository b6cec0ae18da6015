"""The claim page."""

from __future__ import annotations

from allauth.core.ratelimit import consume
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from dashboard.accounts import selectors, services
from dashboard.accounts.forms import ClaimForm


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
def claim(request: HttpRequest) -> HttpResponse:
    """The first administrator takes the appliance with the code from the terminal."""
    if selectors.is_claimed():
        return render(request, "accounts/claimed.html")
    form = ClaimForm(request.POST or None, initial={"code": request.GET.get("code", "")})
    if request.method == "POST" and not consume(request, action="claim"):
        form.add_error(None, "That was tried too often from your address. Wait a minute and try again.")
        return render(request, "accounts/claim.html", {"form": form}, status=429)
    if request.method == "POST" and form.is_valid():
        try:
            user = services.claim(**form.cleaned_data)
        except services.ClaimRefused as refusal:
            form.add_error("code", str(refusal))
        else:
            login(request, user, backend="allauth.account.auth_backends.AuthenticationBackend")
            return redirect("sitevpn")
    return render(request, "accounts/claim.html", {"form": form})
