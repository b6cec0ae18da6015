"""What every page shows around its content."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest
from django.utils.functional import SimpleLazyObject

from dashboard.fleet import selectors as fleet
from dashboard.web import navigation


def frame(request: HttpRequest) -> dict[str, Any]:
    """Menu and header, for whoever has signed in; nothing is asked of the database unless a template shows it."""
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return {}
    page = (request.resolver_match.url_name if request.resolver_match else None) or ""
    return {
        "menu": navigation.sections(page, lambda permission: True),
        "search_url": navigation.address("search"),
        "where": SimpleLazyObject(lambda: _where(request)),
    }


def _where(request: HttpRequest) -> Any:
    """The site that the user works on; None without a membership."""
    try:
        return fleet.site_for(request.user.pk)
    except Http404:
        return None
