"""Who asks the API: judged before the operation runs, with the same permissions as the pages."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from dashboard.accounts.access import Access
from dashboard.api import keys
from dashboard.core.roles import Permission, who_could


def problem(status: int, rule: str, message: str, field: str = "") -> JsonResponse:
    """A refusal as every operation of the API gives it."""
    found = {"errors": [message], "problems": [{"field": field, "rule": rule, "message": message}]}
    return JsonResponse(found, status=status)


def judge(request: HttpRequest, needed: Permission | None, site: Any, address: str | None) -> HttpResponse | None:
    """Set ``request.access`` and ``request.api_key``; a refusal if the key may not."""
    if needed == Permission.OPEN:
        return None
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    row = keys.find(key.strip(), address) if scheme.lower() == "bearer" and key else None
    if row is None:
        answer = problem(401, "api_key", "Send an API key that is valid, as “Authorization: Bearer …”.")
        answer["WWW-Authenticate"] = 'Bearer realm="Culvert"'
        return answer
    access = keys.access_of(row, site)
    if access is None:
        return problem(404, "not_found", "There is no such object.")
    request.api_key, request.access = row, access
    if needed is None:
        return problem(405, "method", f"{request.method} is not possible here.")
    if not _may(access, needed, site):
        role = access.role
        return problem(403, "role", f"The key has the role “{role}”. {who_could(needed)}")
    return None


def _may(access: Access, needed: Permission, site: Any) -> bool:
    """At the site that is named; where none is named, in the organization."""
    return access.grant.may(needed, access.site.pk if site is not None else None)
