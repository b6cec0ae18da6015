"""The rows of a site's VPN as a revision keeps them, and back."""

from __future__ import annotations

import uuid
from typing import Any

from django.core import serializers
from django.db import models, transaction

from dashboard.sitevpn.models import LocalSubnet, Peer, Policy, VpnUser
from dashboard.sitevpn.presets import CUSTOM

# Every model whose rows belong to a site and make its configuration; each has a foreign key ``site``. Secrets are
# numbers of versions, which are never deleted while a revision may name them. What is in a stored policy is in each of
# its peers as well (``Peer.policy``): it belongs to the organization, and going back at one site changes no other.
MODELS: tuple[type[models.Model], ...] = (LocalSubnet, Peer, VpnUser)


def take(site_id: int) -> dict[str, list[dict[str, Any]]]:
    """The rows as JSON: model → [{"pk", "fields"}]."""
    return {
        model.__name__: [
            {"pk": row["pk"], "fields": row["fields"]}
            for row in serializers.serialize("python", model.objects.filter(site_id=site_id).order_by("pk"))
        ]
        for model in MODELS
    }


@transaction.atomic
def put(site_id: int, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Make the rows of a site what they were. What a newer version has added to a row gets its default."""
    for model in MODELS:
        if model.__name__ in rows:
            _put(model, site_id, rows[model.__name__])


def _put(model: type[models.Model], site_id: int, wanted: list[dict[str, Any]]) -> None:
    there = {row.pk: row for row in model.objects.filter(site_id=site_id)}
    model.objects.filter(pk__in=there.keys() - {row["pk"] for row in wanted}).delete()
    names = {field.name for field in model._meta.concrete_fields}
    found = []
    for row in wanted:
        fields = {name: value for name, value in row["fields"].items() if name in names} | {"site": site_id}
        data = {"model": model._meta.label_lower, "pk": row["pk"], "fields": fields}
        restored = next(serializers.deserialize("python", [data])).object
        if isinstance(restored, Peer):
            _keep_policy(restored)
        present = there.get(row["pk"])
        if present is None or _differs(restored, present):
            found.append((restored, present))
    _make_room(model, [restored for restored, present in found if present is not None])
    for restored, present in found:
        if isinstance(restored, Peer):
            # Whoever has this peer's form open is told that it has changed.
            restored.edit = max(restored.edit, present.edit if isinstance(present, Peer) else 0) + 1
        restored.save()


def _keep_policy(peer: Peer) -> None:
    """A stored policy that says something else by now, or is gone, leaves the peer with what it was, as its own."""
    if peer.stored_policy_id is None:
        return
    present = Policy.objects.filter(pk=peer.stored_policy_id).first()
    if present is None or present.policy != peer.policy:
        peer.preset, peer.stored_policy = CUSTOM, None


def _differs(one: models.Model, other: models.Model) -> bool:
    fields = (field.attname for field in one._meta.concrete_fields if field.attname != "edit")
    return any(getattr(one, name) != getattr(other, name) for name in fields)


def _make_room(model: type[models.Model], rows: list[models.Model]) -> None:
    """Two rows may have changed names with each other: for a moment neither has its own."""
    if any(field.name == "name" for field in model._meta.concrete_fields):
        for row in rows:
            model.objects.filter(pk=row.pk).update(name=uuid.uuid4().hex)
