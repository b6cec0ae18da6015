"""A site's configuration as a sealed file, with its secrets, and back on another machine.

The file has the rows of ``snapshot.MODELS``; in place of the number of a secret's version stands the secret. An import
replaces the site's rows, and is judged as a whole by the engine's rules before anything is kept.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.core import serializers
from django.core.exceptions import ValidationError
from django.core.serializers.base import DeserializationError
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from box.archive import about as about_of
from box.archive import seal, unseal
from dashboard.audit import services as audit
from dashboard.core import keyring
from dashboard.fleet import selectors as fleet
from dashboard.fleet import services as fleet_services
from dashboard.publish import services as publishing
from dashboard.sitevpn import services, snapshot
from dashboard.sitevpn.presets import CUSTOM
from vpnengine.contract.problems import Problem, Refused

SCHEMA = 1
# What a secret of a model's row is bound to: ``<word>:<uuid>``.
OWNERS = {"Peer": "peer", "VpnUser": "user"}
_VERSION, _MARK = "_version", "_fingerprint"


@dataclass(frozen=True)
class Plan:
    """What an import does, by model's title: names."""

    about: dict[str, str]
    added: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)
    kept: int = 0


class _Undo(Exception):
    """A dry run ends so."""


@transaction.atomic
def export(site: Any, passphrase: str) -> bytes:
    """The sealed file of a site; the change log notes that it was made.

    :raises Refused: if the passphrase is too short, or a secret cannot be opened.
    """
    rows = {name: [_revealed(row) for row in found] for name, found in snapshot.take(site.pk).items()}
    document = {"schema": SCHEMA, "rows": rows, "public_address": services.public_address(site.pk)}
    about = {
        "organization": site.organization.name,
        "site": site.name,
        "made": timezone.now().isoformat(timespec="seconds"),
        "holds": "a site's VPN",
    }
    sealed = seal(document, passphrase, about)
    _note(site, "exported", {"peers": len(rows["Peer"])})
    return sealed


def _revealed(row: dict[str, Any]) -> dict[str, Any]:
    fields = dict(row["fields"])
    if fields.get("stored_policy") is not None:
        # The policy belongs to the organization; what is in it goes along with the peer, as the peer's own.
        fields |= {"stored_policy": None, "preset": CUSTOM}
    for name in secrets_of(fields):
        if (value := fields[name]) is not None:
            try:
                fields[name] = {"secret": publishing.reveal_secret(value)}
            except keyring.KeyringError:
                message = f"a secret of “{fields.get('name', '')}” cannot be opened; enter it again, then export"
                raise Refused([Problem(field="", rule="keyring", message=message)]) from None
    return {name: value for name, value in fields.items() if name != "site"}


def secrets_of(fields: Collection[str]) -> list[str]:
    """Which fields number the version of a secret: those with a fingerprint beside them."""
    return [name for name in fields if name.endswith(_VERSION) and _mark(name) in fields]


def _mark(name: str) -> str:
    return name.removesuffix(_VERSION) + _MARK


def load(site: Any, octets: bytes, passphrase: str, author_id: int | None, *, dry_run: bool) -> Plan:
    """Replace a site's configuration by a file's; with ``dry_run`` only say what that would do.

    :raises Refused: if the file does not open, or what is in it makes no valid configuration; nothing is changed then.
    """
    document, about = unseal(octets, passphrase), about_of(octets)
    if document.get("schema") != SCHEMA:
        message = "was made by another version of Culvert; update this appliance, then import it"
        raise Refused([Problem(field="file", rule="version", message=message)])
    try:
        with transaction.atomic():
            plan = _replace(site, document, about, author_id)
            if dry_run:
                raise _Undo
    except _Undo:
        return plan
    except (KeyError, TypeError, AttributeError, ValidationError, DeserializationError, IntegrityError):
        # Never with the value, which may be a secret.
        message = "opens, but what is in it is not a configuration that this version of Culvert can read"
        raise Refused([Problem(field="file", rule="content", message=message)]) from None
    return plan


def _replace(site: Any, document: dict[str, Any], about: dict[str, str], author_id: int | None) -> Plan:
    fleet_services.lock_site(site.pk)
    plan = Plan(about)
    kept = 0
    for model in snapshot.MODELS:
        before = {_name(row): _content(row) for row in model._default_manager.filter(site_id=site.pk)}
        model._default_manager.filter(site_id=site.pk).delete()
        after = {}
        for fields in document["rows"].get(model.__name__, []):
            row = _row(model, site, fields)
            # An empty column was empty where it came from; forms have their own idea of that.
            empty = {one.name for one in model._meta.concrete_fields if one.value_from_object(row) in one.empty_values}
            row.clean_fields(exclude=empty)
            row.save()
            after[_name(row)] = _content(row)
        title = str(model._meta.verbose_name_plural)
        plan.added[title] = sorted(after.keys() - before.keys())
        plan.removed[title] = sorted(before.keys() - after.keys())
        both = after.keys() & before.keys()
        plan.changed[title] = sorted(name for name in both if after[name] != before[name])
        kept += len(both) - len(plan.changed[title])
    services.save_public_address(site.pk, document["public_address"])
    _note(site, "imported", {"from": f"{about.get('organization', '')}, {about.get('site', '')}", **_counts(plan)})
    services.publish_site(site.pk, author_id, f"Imported from {about.get('site', 'a file')}"[:200])
    return Plan(about, plan.added, plan.changed, plan.removed, kept)


def _row(model: type[models.Model], site: Any, fields: dict[str, Any]) -> Any:
    """An unsaved row, its secrets sealed for this machine."""
    known = {one.name for one in model._meta.concrete_fields}
    if not fields.keys() <= known:
        raise KeyError("a field of a newer version")
    found = dict(fields)
    if "uuid" in found and model._default_manager.filter(uuid=found["uuid"]).exists():
        # The same row is at another site of this machine.
        found["uuid"] = str(uuid.uuid4())
    for name in secrets_of(known):
        if (value := fields.get(name)) is not None:
            owner = f"{OWNERS[model.__name__]}:{found['uuid']}"
            found[name] = publishing.store_secret(str(value["secret"]), owner)
            found[_mark(name)] = keyring.fingerprint(str(value["secret"]), owner)
    data = {"model": model._meta.label_lower, "pk": None, "fields": found | {"site": site.pk}}
    return next(serializers.deserialize("python", [data])).object


def _name(row: Any) -> str:
    return str(getattr(row, "subnet", "") or row.name)


def _content(row: Any) -> dict[str, Any]:
    """What two rows are compared by; of secrets that they are the same, where there is a fingerprint."""
    skipped = ("id", "edit", "uuid", "site_id")
    found = {one.attname: getattr(row, one.attname) for one in row._meta.concrete_fields if one.attname not in skipped}
    for name in secrets_of(found):
        version = found.pop(name)
        found[name] = publishing.reveal_secret(version) if version is not None else ""
        # A fingerprint is bound to its row, so that the same secret has another one elsewhere.
        found.pop(_mark(name))
    return found


def _counts(plan: Plan) -> dict[str, int]:
    return {verb: sum(map(len, getattr(plan, verb).values())) for verb in ("added", "changed", "removed")}


def _note(site: Any, verb: str, after: dict[str, Any]) -> None:
    audit.record(
        organization_id=fleet.organization_id_of(site.pk),
        site_id=site.pk,
        kind="configuration",
        verb=verb,
        name=site.name,
        object_id=site.uuid,
        before={},
        after=after,
    )
