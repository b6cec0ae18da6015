"""Questions about administrators."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.db.models import Q
from django.utils.crypto import constant_time_compare

from dashboard.accounts.models import SignIn, User
from dashboard.fleet import selectors as fleet

PAGE = 100


def is_claimed() -> bool:
    """True if the appliance has an administrator."""
    return User.objects.exists()


def is_session_good(user_id: int, session_hash: str) -> bool:
    """Whether a session is bound to the account as it is now; a new password or a change of roles ends it."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    return user is not None and constant_time_compare(session_hash, user.get_session_auth_hash())


def protected_by_mfa(user_ids: list[int]) -> set[int]:
    """Those of several users who sign in with a second factor or a passkey."""
    second = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
    rows = Authenticator.objects.filter(user_id__in=user_ids, type__in=second)
    return set(rows.values_list("user_id", flat=True))


def sign_ins(organization_id: int, *, email: str, failed: bool, before: int | None) -> list[SignIn]:
    """Sign-ins of the members of an organization, newest first, one more than a page holds.

    Tries with an address that nobody has are shown where there is only one organization: they
    belong to none, and in a shared dashboard would tell of the others.
    """
    scope = Q(user__memberships__organization_id=organization_id)
    if fleet.is_only_organization(organization_id):
        scope |= Q(user=None)
    rows = SignIn.objects.filter(scope).select_related("user")
    if email:
        rows = rows.filter(email__icontains=email)
    if failed:
        rows = rows.filter(success=False)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-id")[: PAGE + 1])


def own_sign_ins(user_id: int) -> list[SignIn]:
    """The last ten of one user."""
    return list(SignIn.objects.filter(user_id=user_id).order_by("-id")[:10])
