"""The claim, and the choice of organization and site."""

from __future__ import annotations

from allauth.core.ratelimit import consume
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters

from dashboard.accounts import selectors, services
from dashboard.accounts.access import choose
from dashboard.accounts.forms import ClaimForm
from dashboard.core.permissions import needs


@sensitive_post_parameters("password", "code")
@needs(get="open", post="open")
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
            return redirect("setup")
    return render(request, "accounts/claim.html", {"form": form})


@needs(post="signed_in")
def switch(request: HttpRequest) -> HttpResponse:
    """Work on another organization or site of one's own."""
    organization, _, site = request.POST.get("place", "").partition("/")
    if not choose(request, organization, site):
        raise Http404
    return redirect("home")
