"""Pages that belong to no subject."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse


def health(request: HttpRequest) -> JsonResponse:
    """For the launcher and for monitors: the dashboard answers."""
    return JsonResponse({"ok": True})
