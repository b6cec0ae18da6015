"""The sign-in history, written from the signals of Django and allauth."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.account.signals import password_changed
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed, authenticator_reset
from allauth.usersessions.models import UserSession
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from dashboard.accounts.middleware import client_address
from dashboard.accounts.models import SignIn, User
from dashboard.audit import services as audit
from dashboard.core import actor
from dashboard.fleet import selectors as fleet

KEPT = timedelta(days=180)
_METHODS = {
    "password": "password",
    "totp": "authenticator app",
    "recovery_codes": "recovery code",
    "webauthn": "passkey",
}


def record(request: HttpRequest | None, user: User | None, email: str, method: str, success: bool) -> None:
    """Keep one try, and forget those that are too old."""
    agent = request.META.get("HTTP_USER_AGENT", "") if request else ""
    SignIn.objects.create(
        user=user,
        email=email[:150],
        address=client_address(request) if request else None,
        user_agent=agent[:200],
        method=method[:40],
        success=success,
    )
    SignIn.objects.filter(time__lt=timezone.now() - KEPT).delete()


@receiver(user_logged_in)
def signed_in(request: HttpRequest, user: User, **_: Any) -> None:
    """How somebody has come in: every step, such as password and authenticator app."""
    records = request.session.get(AUTHENTICATION_METHODS_SESSION_KEY, [])
    steps = [str(record.get("type") or record.get("method", "")) for record in records]
    method = " + ".join(dict.fromkeys(_METHODS.get(step, step) for step in steps if step))
    record(request, user, user.email, method or "link", True)
    # allauth lists the sessions of its own sign-in alone; those of a claim and of an invitation can be ended as well.
    if hasattr(request, "user"):  # Django's test client signs in without a request of a browser
        UserSession.objects.create_from_request(request)


@receiver(user_login_failed)
def refused(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """A wrong password, or an address that nobody has."""
    typed = str(credentials.get("email") or credentials.get("username") or "").replace("\x00", "")
    # Whoever types the password into the wrong field shall not find it in a table.
    email = typed.lower() if "@" in typed else ""
    user = User.objects.filter(email__iexact=email).first() if email else None
    record(request, user, email, "password", False)


@receiver(authentication_failed)
def refused_second(request: HttpRequest, user: User, authenticator: Authenticator, **_: Any) -> None:
    """A wrong code after the right password."""
    record(request, user, user.email, _METHODS.get(authenticator.type, authenticator.type), False)


@transaction.atomic
def _note(user: User, verb: str, what: str) -> None:
    """A line in the change log of each organization of the user, made by the user even while signing in."""
    who = actor.present()
    with actor.acting(actor.Actor(user.pk, user.email, who.address, who.via)):
        for organization_id in fleet.organization_ids_of(user.pk):
            audit.record(organization_id=organization_id, kind="account", verb=verb, name=f"{user.email}: {what}")


# allauth's own signals come after the commit, and the record belongs into the same transaction.
@receiver(post_save, sender=Authenticator)
def factor_added(instance: Authenticator, created: bool, **_: Any) -> None:
    """A second factor or a passkey is new; that one is used is no change."""
    if created:
        _note(instance.user, "added", _METHODS.get(instance.type, instance.type))


@receiver(post_delete, sender=Authenticator)
def factor_removed(instance: Authenticator, **_: Any) -> None:
    """One is gone."""
    _note(instance.user, "removed", _METHODS.get(instance.type, instance.type))


@receiver(authenticator_reset)
def factor_reset(user: User, authenticator: Authenticator, **_: Any) -> None:
    """New recovery codes."""
    _note(user, "changed", _METHODS.get(authenticator.type, authenticator.type))


@receiver(password_changed)
def new_password(user: User, **_: Any) -> None:
    """Another password."""
    _note(user, "changed", "password")
