"""The secrets of configurations, for the rotation of keys."""

from __future__ import annotations

from collections.abc import Iterator

from dashboard.core.sealed import Sealed
from dashboard.publish.models import SecretVersion


class Secrets:
    """Every version: a revision that is restored needs its old one."""

    def sealed(self) -> Iterator[Sealed]:
        """Bound to the peer or user that each is of."""
        for pk, text, owner in SecretVersion.objects.values_list("pk", "sealed", "owner").order_by("pk").iterator(500):
            yield Sealed(pk, text, owner)

    def replace(self, place: int, old: str, new: str) -> None:
        """One row; a version never changes, so nobody else writes here."""
        SecretVersion.objects.filter(pk=place, sealed=old).update(sealed=new)
