"""Every address is closed, except to those who hold the permission that its view declares."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from allauth.account.adapter import get_adapter as get_account_adapter
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.utils import timezone

from dashboard.accounts import selectors
from dashboard.accounts.access import Access, access_for
from dashboard.api import gate
from dashboard.core import actor
from dashboard.core.permissions import is_by_key, needs_of
from dashboard.core.roles import SITE_PERMISSIONS, Permission, SiteRole, who_could
from dashboard.core.zones import zone_of

AT_SITE = SITE_PERMISSIONS[SiteRole.FULL]


class Permissions:
    """Closed by default: a new page that declares nothing answers nobody."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.access = Access()
        # A time zone holds for one request alone: the thread serves others afterwards.
        with actor.acting(_actor(request)), timezone.override(None):
            return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Send strangers to the sign-in or the claim; refuse what the role does not permit."""
        if is_by_key(view):
            return self._by_key(request, view, kwargs)
        if request.user.is_authenticated:
            request.access = access_for(request.user.pk, request.session)
            timezone.activate(zone_of(request.access.organization, request.access.site))
        declared = needs_of(view)
        if declared is None:
            return refusal(request, "This page declares no permission, so it is closed.")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in declared:
            return HttpResponseNotAllowed(declared)
        return _judge(request, declared[method])

    def _by_key(self, request: HttpRequest, view: Callable[..., Any], kwargs: dict[str, Any]) -> HttpResponse | None:
        """The API: a session does not count there, so that no other site can use it."""
        method = "GET" if request.method == "HEAD" else request.method
        address = client_address(request)
        refused = gate.judge(request, (needs_of(view) or {}).get(method), kwargs.get("site_id"), address)
        key = getattr(request, "api_key", None)
        if key is not None:
            actor.become(actor.Actor(None, f"API key “{key.name}”", address, "api"))
        return refused


def _actor(request: HttpRequest) -> actor.Actor:
    user = request.user
    address = client_address(request)
    if not user.is_authenticated:
        return actor.Actor(None, "somebody signed out", address, "page")
    return actor.Actor(user.pk, user.email, address, "page")


def client_address(request: HttpRequest) -> str | None:
    """Whence a request comes; behind a proxy, what the proxy says (``ALLAUTH_TRUSTED_PROXY_COUNT``)."""
    try:
        return str(get_account_adapter().get_client_ip(request))
    except PermissionDenied:
        return None


def _judge(request: HttpRequest, needed: Permission) -> HttpResponse | None:
    name = request.resolver_match.url_name if request.resolver_match else None
    if not request.user.is_authenticated and name != "health" and name != "claim" and not selectors.is_claimed():
        return redirect("claim")
    if needed == Permission.OPEN:
        return None
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if needed != Permission.SIGNED_IN and request.access.organization is None:
        return refusal(request, "Your account belongs to no organization. Ask an administrator to invite you.")
    if needed in AT_SITE and request.access.site is None:
        return refusal(request, "There is no site that you have a role at.")
    if request.access.may(needed):
        return None
    return refusal(request, f"Your role is “{request.access.role}”. {who_could(needed)}")


def refusal(request: HttpRequest, sentence: str) -> HttpResponse:
    """403 with the reason: as JSON where a script asks, else as a page."""
    if "text/html" not in request.headers.get("Accept", "text/html"):
        return HttpResponse(json.dumps({"error": sentence}), content_type="application/json", status=403)
    return render(request, "accounts/refused.html", {"reason": sentence}, status=403)
