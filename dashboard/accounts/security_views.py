"""Sign-in history of an organization, and what allauth's pages are wrapped in."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from dashboard.accounts import selectors
from dashboard.core.permissions import needs


@needs(get="organization_read")
def sign_ins(request: HttpRequest) -> HttpResponse:
    """Who has signed in, or has tried to, from where and how."""
    only = request.GET.get("only", "")
    email = request.GET.get("who", "")[:150].replace("\x00", "")
    before = request.GET.get("before", "")
    cursor = int(before) if before.isdecimal() and len(before) < 19 else None
    rows = selectors.sign_ins(request.access.organization.pk, email=email, failed=only == "failed", before=cursor)
    context: dict[str, Any] = {
        "sign_ins": rows[: selectors.PAGE],
        "who": email,
        "only": only,
        "older": rows[selectors.PAGE - 1].pk if len(rows) > selectors.PAGE else None,
    }
    return render(request, "accounts/sign_ins.html", context)


@needs(get="signed_in")
@login_required
def to_security(request: HttpRequest) -> HttpResponse:
    """allauth's separate list of passkeys is a part of the security page here."""
    return redirect("mfa_index")
