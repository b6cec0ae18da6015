"""Pages that belong to no subject."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect

from dashboard.core.permissions import needs


@needs(get="signed_in")
def home(request: HttpRequest) -> HttpResponse:
    """The first page that the role may see."""
    return redirect("sitevpn" if request.access.may("read") else "status")


@needs(get="open")
def health(request: HttpRequest) -> JsonResponse:
    """For the launcher and for monitors: the dashboard answers."""
    return JsonResponse({"ok": True})
