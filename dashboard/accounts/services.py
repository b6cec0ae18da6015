"""Making administrators."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from django.db import transaction

from dashboard.accounts.models import Claim, User
from dashboard.fleet import services as fleet

MAX_FAILURES = 20


class ClaimRefused(Exception):
    """The code is wrong, used, or tried too often; the text is a sentence."""


def issue_claim() -> str | None:
    """A new one-time code, which replaces any older one; None if somebody has claimed already."""
    if User.objects.exists():
        return None
    code = "-".join(secrets.token_hex(2) for _ in range(4))
    with transaction.atomic():
        Claim.objects.all().delete()
        Claim.objects.create(code_hash=_hash(code))
    return code


def _hash(code: str) -> str:
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()


def claim(*, code: str, name: str, email: str, password: str, organization: str, site: str) -> User:
    """Make the first administrator with an organization, a site and this appliance, all or nothing.

    :raises ClaimRefused: with a sentence, if the code does not fit.
    """
    refusal = _check(code)
    if refusal:
        raise ClaimRefused(refusal)
    with transaction.atomic():
        if User.objects.exists():
            raise ClaimRefused("This appliance has been claimed already; sign in instead.")
        user = create_administrator(email=email, name=name, password=password)
        fleet.create_organization(name=organization, site_name=site, administrator_id=user.pk)
        Claim.objects.all().delete()
    return user


def _check(code: str) -> str | None:
    """Why the code is refused. A wrong one is counted, so that it cannot be guessed."""
    row = Claim.objects.first()
    if row is None:
        return "There is no open claim; restart Culvert to get a new code."
    if row.failures >= MAX_FAILURES:
        return "The code was tried too often; restart Culvert to get a new one."
    if hmac.compare_digest(row.code_hash, _hash(code)):
        return None
    row.failures += 1
    row.save(update_fields=["failures"])
    return "This is not the code that Culvert printed when it started; copy it from there."


def create_administrator(*, email: str, name: str, password: str) -> User:
    """An administrator who can sign in."""
    return User.objects.create_user(username=email, email=email, password=password, first_name=name)
