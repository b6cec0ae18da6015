"""Every page asks for a sign-in, except those that bring one about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dashboard.accounts import selectors

OPEN = {"health", "claim", "account_login", "account_logout"}


class SignInRequired:
    """Closed unless listed: a new page cannot be forgotten."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: object, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Send strangers to the sign-in, and to the claim while nobody has claimed."""
        name = request.resolver_match.url_name if request.resolver_match else None
        if request.user.is_authenticated or name in OPEN:
            if name == "account_login" and not selectors.is_claimed():
                return redirect("claim")
            return None
        if not selectors.is_claimed():
            return redirect("claim")
        return redirect_to_login(request.get_full_path())
