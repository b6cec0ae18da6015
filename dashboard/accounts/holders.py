"""The keys of second factors, for the rotation of keys."""

from __future__ import annotations

from collections.abc import Iterator

from allauth.mfa.models import Authenticator
from django.db import transaction

from dashboard.accounts.mfa_adapter import OWNER
from dashboard.core.sealed import Sealed

_SEALED = ("secret", "seed")


class SecondFactors:
    """The key of an authenticator app, and the seed of recovery codes; a passkey has nothing secret here."""

    def sealed(self) -> Iterator[Sealed]:
        """Each with its row and the name inside the row's JSON."""
        kinds = (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES)
        for row in Authenticator.objects.filter(type__in=kinds).order_by("pk").iterator(500):
            for name in _SEALED:
                if row.data.get(name):
                    yield Sealed((row.pk, name), row.data[name], OWNER)

    @transaction.atomic
    def replace(self, place: tuple[int, str], old: str, new: str) -> None:
        """In the row as it is now: a recovery code may be used at the same moment."""
        pk, name = place
        row = Authenticator.objects.select_for_update().filter(pk=pk).first()
        if row is not None and row.data.get(name) == old:
            row.data[name] = new
            row.save(update_fields=["data"])
