"""What every page shows around its content."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from dashboard.core.zones import zone_of
from dashboard.publish import changes
from dashboard.publish import selectors as publishing
from dashboard.web import navigation


def frame(request: HttpRequest) -> dict[str, Any]:
    """Menu and header, for whoever has signed in."""
    if not getattr(request, "user", None) or not request.user.is_authenticated or not hasattr(request, "access"):
        return {}
    page = (request.resolver_match.url_name if request.resolver_match else None) or ""
    return {
        "menu": navigation.sections(page, request.access.may),
        "search_url": navigation.address("search"),
        "where": request.access.site,
        "zone": zone_of(request.access.organization, request.access.site),
        "pending_change": SimpleLazyObject(lambda: _pending(request)),
        "change": {"choices": changes.CONFIRM_MINUTES, **vars(changes.present())},
    }


def _pending(request: HttpRequest) -> Any:
    """The revision of the site that goes back unless somebody keeps it."""
    return publishing.unconfirmed_at(request.access.site.pk) if request.access.site else None
