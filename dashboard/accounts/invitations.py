"""Inviting administrators by a one-time link, as there may be no mail server."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth import password_validation
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from dashboard.accounts.models import Invitation, User
from dashboard.accounts.services import create_administrator
from dashboard.audit import services as audit
from dashboard.fleet import selectors as fleet_selectors
from dashboard.fleet import services as fleet

LIFETIME = timedelta(days=7)


class InvitationRefused(Exception):
    """The text is a sentence for the form."""


@transaction.atomic
def invite(*, organization_id: int, email: str, role: str, sites: dict[int, str], by_id: int | None) -> str:
    """The token of a link that makes ``email`` an administrator; it replaces an older one for the same address.

    :raises InvitationRefused: if the address administers the organization already.
    """
    email = email.strip().lower()
    if fleet_selectors.is_member(organization_id, email):
        raise InvitationRefused("This address administers the organization already; change its role instead.")
    token = secrets.token_urlsafe(32)
    Invitation.objects.update_or_create(
        organization_id=organization_id,
        email=email,
        defaults={
            "token_hash": _hash(token),
            "role": role,
            "sites": {str(pk): value for pk, value in sites.items()},
            "invited_by_id": by_id,
            "expires": timezone.now() + LIFETIME,
        },
    )
    _note(organization_id, email, "invited", {"role": role})
    return token


def open_invitation(token: str) -> Invitation | None:
    """The invitation of a link; None if it is unknown, used, withdrawn or too old: nobody learns which."""
    rows = Invitation.objects.select_related("organization")
    return rows.filter(token_hash=_hash(token), expires__gt=timezone.now()).first()


def open_invitations(organization_id: int) -> list[Invitation]:
    """Those of an organization that can still be used."""
    rows = Invitation.objects.filter(organization_id=organization_id, expires__gt=timezone.now())
    return list(rows.order_by("email"))


@transaction.atomic
def withdraw(organization_id: int, pk: int) -> bool:
    """Make a link useless; False if the organization has no such invitation."""
    row = Invitation.objects.filter(organization_id=organization_id, pk=pk).first()
    if row is None:
        return False
    _note(organization_id, row.email, "invitation withdrawn", {})
    row.delete()
    return True


@transaction.atomic
def accept_as(invitation: Invitation, user: User) -> None:
    """The account that has the invited address joins the organization.

    :raises InvitationRefused: if it is another address, or the link was used in the meantime.
    """
    row = Invitation.objects.select_for_update().filter(pk=invitation.pk).first()
    if row is None:
        raise InvitationRefused("This invitation has been used.")
    if user.email.lower() != row.email:
        raise InvitationRefused(f"This invitation is for {row.email}, and you are signed in as {user.email}.")
    sites = {int(pk): role for pk, role in row.sites.items()}
    if not fleet_selectors.is_member(row.organization_id, user.email):
        fleet.add_member(organization_id=row.organization_id, user_id=user.pk, role=row.role, sites=sites)
    row.delete()


@transaction.atomic
def accept_new(invitation: Invitation, *, name: str, password: str) -> User:
    """Make the account of the invited address, and join.

    :raises InvitationRefused: if it has an account already.
    :raises ValidationError: if the password is too easy to guess.
    """
    if User.objects.filter(email__iexact=invitation.email).exists():
        raise InvitationRefused("This address has an account already; sign in first, then open the link again.")
    password_validation.validate_password(password, User(first_name=name, email=invitation.email))
    user = create_administrator(email=invitation.email, name=name, password=password)
    accept_as(invitation, user)
    return user


def has_account(invitation: Invitation) -> bool:
    """Whether the invited address can sign in already."""
    return User.objects.filter(email__iexact=invitation.email).exists()


@transaction.atomic
def end_sessions(user_id: int) -> None:
    """Sign a user out everywhere, at once: every session is bound to the epoch."""
    User.objects.filter(pk=user_id).update(session_epoch=F("session_epoch") + 1)


def _note(organization_id: int, email: str, verb: str, after: dict[str, Any]) -> None:
    audit.record(organization_id=organization_id, kind="administrator", verb=verb, name=email, after=after)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
