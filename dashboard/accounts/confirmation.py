"""Asking for the password again, before something that a session alone shall not open."""

from __future__ import annotations

from allauth.core.ratelimit import consume
from django.http import HttpRequest
from django.utils.translation import gettext as _

from dashboard.accounts import signins


class NotConfirmed(Exception):
    """The text is a sentence for the form."""


def confirm_password(request: HttpRequest, password: str, what: str) -> None:
    """See that whoever sits there knows the password; a wrong one is in the sign-in history as ``what``.

    :raises NotConfirmed: if it is wrong, or was tried too often.
    """
    if not consume(request, action="reauthenticate", user=request.user):
        raise NotConfirmed(_("That was tried too often. Wait a minute and try again."))
    if not request.user.check_password(password):
        signins.record(request, request.user, request.user.email, what, False)
        raise NotConfirmed(_("This is not your password."))
