"""Making administrators."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from django.contrib.auth.hashers import identify_hasher, is_password_usable
from django.db import transaction

from dashboard.accounts.models import Claim, User
from dashboard.fleet import services as fleet


class ClaimRefused(Exception):
    """The code is wrong or used; the text is a sentence."""


def issue_claim() -> str | None:
    """A new one-time code, which replaces any older one; None if somebody has claimed already.

    Its 64 random bits are what keeps it from being guessed. The page throttles by address
    besides; a count that locked the code itself would let anybody keep the owner out.
    """
    if User.objects.exists():
        return None
    code = "-".join(secrets.token_hex(2) for _ in range(4))
    with transaction.atomic():
        Claim.objects.all().delete()
        Claim.objects.create(code_hash=_hash(code))
    return code


def _hash(code: str) -> str:
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()


@transaction.atomic
def claim(*, code: str, name: str, email: str, password: str, organization: str, site: str) -> User:
    """Make the first administrator with an organization, a site and this appliance, all or nothing.

    :raises ClaimRefused: with a sentence, if the code does not fit.
    """
    # Of two who claim at once the second waits here, and then finds the code used.
    row = Claim.objects.select_for_update().first()
    if User.objects.exists():
        raise ClaimRefused("This appliance has been claimed already; sign in instead.")
    if row is None:
        raise ClaimRefused("There is no open claim; restart Culvert to get a new code.")
    if not hmac.compare_digest(row.code_hash, _hash(code)):
        raise ClaimRefused("This is not the code that Culvert printed when it started last; copy it from there.")
    user = create_administrator(email=email, name=name, password=password)
    fleet.create_organization(name=organization, site_name=site, administrator_id=user.pk)
    row.delete()
    return user


@transaction.atomic
def claim_unattended(*, email: str, name: str, password_hash: str, organization: str, site: str) -> bool:
    """The same for a machine that nobody sits at: without a code, with a hash; False if somebody has claimed already.

    :raises ClaimRefused: if this Django cannot check such a hash.
    """
    Claim.objects.select_for_update().first()
    if User.objects.exists():
        return False
    if not is_password_usable(password_hash):
        raise ClaimRefused("The password's hash is none.")
    try:
        identify_hasher(password_hash)
    except ValueError:
        raise ClaimRefused("The password's hash is of a kind that is not used here.") from None
    user = User(username=email, email=email, first_name=name, password=password_hash)
    user.save()
    fleet.create_organization(name=organization, site_name=site, administrator_id=user.pk)
    Claim.objects.all().delete()
    return True


def create_administrator(*, email: str, name: str, password: str) -> User:
    """An administrator who can sign in; the e-mail address is also the user name."""
    return User.objects.create_user(username=email, email=email, password=password, first_name=name)
