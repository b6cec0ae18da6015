"""Pages that belong to no subject."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from dashboard.core.permissions import needs
from dashboard.sitevpn import selectors as vpn


@needs(get="signed_in")
def home(request: HttpRequest) -> HttpResponse:
    """The overview; where nothing is set up yet, the page to do that, if the role may see it."""
    site = request.access.site
    is_empty = site is not None and not vpn.peers(site.pk) and len(request.access.sites) == 1
    return redirect("sitevpn" if is_empty and request.access.may("read") else "overview")


@needs(get="open")
def health(request: HttpRequest) -> JsonResponse:
    """For the launcher and for monitors: the dashboard answers."""
    return JsonResponse({"ok": True})
