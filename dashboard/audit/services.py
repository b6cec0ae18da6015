"""Writing the change log. Call it inside the transaction that changes something."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction

from dashboard.audit.models import Change
from dashboard.core import actor

HIDDEN = "(secret)"
HIDDEN_NEW = "(another secret)"
_SECRET = re.compile(r"(^|_)(psk|secret|password|passphrase|private_key|token|sealed|hash|fingerprint)(_|$)")
_SKIPPED = {"id", "edit"}


class NotInTransaction(Exception):
    """A change and its record have to be kept or lost together."""


def snapshot(row: models.Model) -> dict[str, Any]:
    """The columns of a row as the change log has them; secrets as a mark that tells only whether they are another."""
    return {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if field.attname not in _SKIPPED
    }


def record(
    *,
    organization_id: int,
    kind: str,
    verb: str,
    name: str = "",
    object_id: object = "",
    site_id: int | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> Change | None:
    """Note that the present actor did ``verb`` to something; None if ``before`` and ``after`` are the same.

    Only the fields that differ are kept. Of a field whose name says that it is a secret (``psk``,
    ``password``, …), at whatever depth, only that it changed.

    :raises NotInTransaction: outside of a transaction.
    """
    if not transaction.get_connection().in_atomic_block:
        raise NotInTransaction(f"{kind} {name} {verb}")
    old, new = _difference(before or {}, after or {})
    if before is not None and after is not None and not old and not new:
        return None
    who = actor.present()
    return Change.objects.create(
        organization_id=organization_id,
        site_id=site_id,
        user_id=who.user_id,
        who=who.name[:150],
        address=who.address,
        via=who.via,
        verb=verb,
        kind=kind,
        object_id=str(object_id),
        name=name[:200],
        before=old,
        after=new,
    )


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs, as JSON, without secrets."""
    old, new = _plain(before), _plain(after)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return (
        {name: redacted(old[name], name, HIDDEN) for name in names if name in old and not _is_nothing(old[name])},
        {name: redacted(new[name], name, HIDDEN_NEW) for name in names if name in new and not _is_nothing(new[name])},
    )


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(dict(values), cls=DjangoJSONEncoder)))


def _is_nothing(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}


def redacted(value: Any, name: str, mark: str = HIDDEN) -> Any:
    """A value without what its name, or a name inside it, says is secret."""
    if _SECRET.search(name) and not isinstance(value, bool):
        return mark
    if isinstance(value, dict):
        return {key: redacted(inner, key, mark) for key, inner in value.items()}
    if isinstance(value, list):
        return [redacted(inner, "", mark) for inner in value]
    return value
