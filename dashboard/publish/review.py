"""What a change would do, before it is saved: the form is handled as ever, and everything is undone again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dashboard.core import keyring
from dashboard.publish import impact, services
from dashboard.publish.difference import Difference, between
from dashboard.publish.models import Revision, SecretVersion

EMPTY: dict[str, Any] = {"peers": []}


@dataclass(frozen=True)
class Prepared:
    """A difference, and the document that the engine is asked about; an error in place of it if it cannot be made."""

    difference: Difference
    config: dict[str, Any] | Exception | None


@dataclass(frozen=True)
class Review:
    """What is shown: the fields, the tunnels, and what the engine said; None where it was not asked."""

    difference: Difference
    impacts: list[impact.Impact]
    verdict: impact.Verdict | None

    @property
    def drops(self) -> int:
        """How many tunnels drop."""
        return sum(1 for one in self.impacts if one.drops)


def same_secret(one: int, other: int) -> bool:
    """Whether two versions are one secret; what cannot be opened is another."""
    try:
        return services.reveal_secret(one) == services.reveal_secret(other)
    except (keyring.KeyringError, SecretVersion.DoesNotExist):
        return False


def prepare(before: dict[str, Any] | None, after: dict[str, Any], *, ask: bool) -> Prepared:
    """Whatever needs the database."""
    difference = between(before or EMPTY, after, same_secret)
    config: dict[str, Any] | Exception | None = None
    if ask:
        try:
            config = services.resolved(after)
        except (keyring.KeyringError, SecretVersion.DoesNotExist) as error:
            config = keyring.KeyringError(str(error))
    return Prepared(difference, config)


def finish(prepared: Prepared) -> Review:
    """Ask the engine, outside of any transaction: it may take its time."""
    verdict = impact.dry_run(prepared.config) if prepared.config is not None else None
    return Review(prepared.difference, impact.impacts(prepared.difference, verdict), verdict)


def before_of(revision: Revision) -> dict[str, Any] | None:
    """The document that a new revision replaces."""
    earlier = Revision.objects.filter(appliance_id=revision.appliance_id, number__lt=revision.number)
    row = earlier.order_by("-number").first()
    return row.document if row else None
