"""How an operation is declared: with its permission, as the views of pages are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Router
from ninja.throttling import SimpleRateThrottle

from dashboard.api.schemas import Refusal
from dashboard.core.roles import Permission

log = logging.getLogger(__name__)
DECLARED: dict[str, dict[str, Permission]] = {}
PER_PAGE = 100
REFUSALS = (400, 401, 403, 404, 409, 429, 503)


class PerKey(SimpleRateThrottle):
    """As many requests per key as a Meraki organization has: ten a second, over a minute."""

    scope = "api"

    def get_cache_key(self, request: HttpRequest) -> str | None:
        """One count per key."""
        key = getattr(request, "api_key", None)
        return self.cache_format % {"scope": self.scope, "ident": key.pk} if key else None

    def allow_request(self, request: HttpRequest) -> bool:
        """Without Redis there is no count, and no reason to refuse anybody."""
        try:
            return bool(super().allow_request(request))
        except Exception as error:
            log.warning("the API's requests are not counted (%s)", type(error).__name__)
            return True


def operation(
    router: Router, method: str, path: str, name: str, permission: str, response: Any, *, status: int = 200
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``router.get`` and so on, with the permission that the middleware asks for.

    ``name`` is the address's; the operations of one path share it.
    """
    DECLARED.setdefault(name, {})[method] = Permission(permission)
    answers = {status: response, **dict.fromkeys(REFUSALS, Refusal)}
    register = getattr(router, method.lower())
    return register(path, url_name=name, response=answers, openapi_extra={"x-permission": permission})


def paged(
    request: HttpRequest, response: HttpResponse, rows: list[Any], per_page: int, cursor: Callable[[Any], Any]
) -> list[Any]:
    """The page of ``rows``, of which there is one more than a page holds if there is a next one (RFC 8288 Link)."""
    shown = rows[:per_page]
    if len(rows) > per_page:
        query = request.GET.copy()
        query["startingAfter"] = str(cursor(shown[-1]))
        response["Link"] = f"<{request.path}?{query.urlencode()}>; rel=next"
    return shown
