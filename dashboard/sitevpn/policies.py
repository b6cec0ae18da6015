"""Policies: versions of presets, and those of an organization that many peers share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, F
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _

from dashboard.audit import services as audit
from dashboard.fleet import services as fleet
from dashboard.sitevpn import services, weak
from dashboard.sitevpn.models import Peer, Policy, PresetVersion
from dashboard.sitevpn.presets import BY_KEY, CUSTOM, PRESETS, STORED, rows_of
from vpnengine.contract.config import parse_config
from vpnengine.contract.problems import Problem, Refused

NAMED = 5


POLICY = "policy-"


@dataclass(frozen=True)
class Line:
    """One difference between two policies."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Offer:
    """A policy that a peer can have: ``value`` stands for it in a form; ``newer`` is how a newer version differs."""

    value: str
    title: str
    note: str
    policy: dict[str, Any]
    newer: tuple[Line, ...] = ()

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What is inside."""
        return rows_of(self.policy)

    @property
    def legacy(self) -> tuple[tuple[str, str], ...]:
        """What of it is not strong, and why."""
        return weak.legacy(self.policy)


def value_of(peer: Peer) -> str:
    """What stands for a peer's policy in a form and in the API."""
    if peer.preset == STORED and peer.stored_policy is not None:
        return f"{POLICY}{peer.stored_policy.uuid}"
    newest = BY_KEY.get(peer.preset)
    if peer.preset_version is None or (newest and newest.version == peer.preset_version):
        return peer.preset
    return f"{peer.preset}@{peer.preset_version}"


def offers(organization_id: int, peer: Peer | None = None) -> list[Offer]:
    """The presets, an older version if the peer has it, and the policies of the organization; 0 is none."""
    found = [Offer(preset.key, preset.title, preset.note, preset.policy()) for preset in PRESETS]
    if peer is not None and "@" in (value := value_of(peer)):
        held, newest = services.preset_policy(peer.preset, peer.preset_version), BY_KEY.get(peer.preset)
        title = _("%(title)s, version %(version)d as this peer has it") % {
            "title": newest.title if newest else peer.preset,
            "version": peer.preset_version,
        }
        lines = tuple(differences(held, newest.policy())) if newest else ()
        found.insert(0, Offer(value, title, newest.note if newest else "", held, lines))
    rows = Policy.objects.filter(organization_id=organization_id).order_by("name") if organization_id else ()
    note = _("A policy of this organization; its changes reach every peer that uses it.")
    return [*found, *(Offer(f"{POLICY}{row.uuid}", row.name, note, row.policy) for row in rows)]


def give(peer: Peer, value: str) -> None:
    """Let a peer, which is not saved here, have what ``value`` stands for.

    :raises Refused: if that is nothing in its organization.
    """
    if value.startswith(POLICY):
        row = _named(peer.site.organization_id, value.removeprefix(POLICY))
        if row is not None:
            peer.preset, peer.preset_version, peer.stored_policy, peer.policy = STORED, None, row, row.policy
            return
    key, _at, version = value.partition("@")
    if key == CUSTOM or (key in BY_KEY and not version):
        peer.preset, peer.preset_version, peer.stored_policy = key, None, None
        return
    if version.isdecimal() and len(version) < 6 and PresetVersion.objects.filter(key=key, version=version).exists():
        peer.preset, peer.preset_version, peer.stored_policy = key, int(version), None
        return
    names = ", ".join([*BY_KEY, CUSTOM])
    message = _("Invalid IPsec policy preset. Must be one of the following: %(names)s.") % {"names": names}
    raise Refused([Problem(field="preset", rule="enum", message=message)])


def _named(organization_id: int, text: str) -> Policy | None:
    try:
        return Policy.objects.filter(organization_id=organization_id, uuid=UUID(text)).first()
    except ValueError:
        return None


def ship(**_kwargs: Any) -> None:
    """Keep the versions that this release ships; those that are there are left alone. Called after each migration."""
    if PresetVersion._meta.db_table not in connection.introspection.table_names():
        return  # an earlier state was asked for
    for preset in PRESETS:
        PresetVersion.objects.get_or_create(
            key=preset.key,
            version=preset.version,
            defaults={"title": preset.title, "note": preset.note, "policy": preset.policy()},
        )


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[Line]:
    """Where two policies differ, in words."""
    names = ("", " ")
    old, new = (
        {(name, names[[n for n, _v in rows[:at]].count(name) > 0]): value for at, (name, value) in enumerate(rows)}
        for rows in (rows_of(before), rows_of(after))
    )
    phases = {("Lifetime", ""): _("Lifetime of phase 1"), ("Lifetime", " "): _("Lifetime of phase 2")}
    return [
        Line(phases.get(key, key[0]), old.get(key, _("as usual")), new.get(key, _("as usual")))
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]


def of(organization_id: int) -> list[Policy]:
    """The policies of an organization by name, each with ``count`` of its peers."""
    return list(Policy.objects.filter(organization_id=organization_id).annotate(count=Count("peers")).order_by("name"))


def one(organization_id: int, uuid: UUID) -> Policy:
    """:raises Http404: if this organization has none with this UUID."""
    return get_object_or_404(Policy, organization_id=organization_id, uuid=uuid)


def peers_of(policy: Policy, site_ids: Iterable[int]) -> list[Peer]:
    """The peers that use a policy, at some sites."""
    rows = Peer.objects.filter(stored_policy=policy, site_id__in=list(site_ids)).select_related("site")
    return list(rows.order_by("site__name", "name"))


def new(organization: Any) -> Policy:
    """A policy that is not saved yet."""
    return Policy(organization=organization)


def count_of(policy: Policy) -> int:
    """How many peers use a policy, wherever they are."""
    return Peer.objects.filter(stored_policy=policy).count() if policy.pk else 0


def preset_use(organization_id: int) -> dict[tuple[str, int], int]:
    """How many peers of an organization hold each version of each preset."""
    rows = Peer.objects.filter(site__organization_id=organization_id, preset_version__isnull=False)
    return {
        (row["preset"], row["preset_version"]): row["count"]
        for row in rows.values("preset", "preset_version").annotate(count=Count("pk")).order_by()
    }


@transaction.atomic
def save(policy: Policy, author_id: int | None, expected_edit: int | None = None) -> int:
    """Add or change a policy, and publish every site whose peers use it; how many peers there are.

    :raises Refused: if the name is taken, or a site's configuration would not be valid; nothing is saved then.
    :raises services.EditConflict: if it has been saved since ``expected_edit``.
    """
    _check(policy)
    validate(policy.policy)
    sites = _locked_sites(policy)
    before = None
    if policy.pk:
        present = Policy.objects.select_for_update().get(pk=policy.pk)
        if _sites(policy) != sites:
            message = _("A peer was just given this policy at another site; save it again.")
            raise Refused([Problem(field="", rule="changed", message=message)])
        if expected_edit not in (None, present.edit):
            raise services.EditConflict
        before = audit.snapshot(present)
        policy.edit = present.edit + 1
    policy.save()
    _note(policy, "changed" if before is not None else "added", before, audit.snapshot(policy))
    peers = Peer.objects.filter(stored_policy=policy)
    if before is None or before["policy"] == policy.policy:
        return peers.count()
    # The number of the edit goes up, so that an open form of a peer notices.
    peers.update(policy=policy.policy, edit=F("edit") + 1)
    for site_id in sites:
        services.publish_site(site_id, author_id, _("Policy %(name)s changed") % {"name": policy.name})
    return peers.count()


def validate(policy: dict[str, Any]) -> None:
    """Whether the engine would take it, also while no peer uses it.

    :raises Refused: naming the fields.
    """
    candidate = {"id": "policy", "name": "policy", "remote": "any", "start": "responder", "psk": "x" * 32}
    subnets = {"local_subnets": ["10.1.0.0/24"], "remote_subnets": ["10.2.0.0/24"]}
    parse_config({"peers": [candidate | subnets | policy]})


def _check(policy: Policy) -> None:
    twins = Policy.objects.filter(organization_id=policy.organization_id, name__iexact=policy.name)
    if not policy.name or twins.exclude(pk=policy.pk).exists():
        message = _("A policy called “%(name)s” exists already; choose another name.") % {"name": policy.name}
        raise Refused([Problem(field="name", rule="unique", message=message)])


def _locked_sites(policy: Policy) -> list[int]:
    """The sites with peers that use the policy, in one order: two who change policies cannot block each other."""
    if not policy.pk:
        return []
    sites = _sites(policy)
    for site_id in sites:
        fleet.lock_site(site_id)
    return sites


def _sites(policy: Policy) -> list[int]:
    return sorted(set(Peer.objects.filter(stored_policy=policy).values_list("site_id", flat=True)))


@transaction.atomic
def delete(policy: Policy) -> None:
    """Remove a policy that no peer uses.

    :raises Refused: naming peers that do.
    """
    names = list(Peer.objects.filter(stored_policy=policy).order_by("name").values_list("name", flat=True)[:NAMED])
    if names:
        message = _("Peers still use this policy: %(names)s. Give them another one first.") % {
            "names": ", ".join(names)
        }
        raise Refused([Problem(field="", rule="in_use", message=message)])
    _note(policy, "removed", audit.snapshot(policy), {})
    policy.delete()


def _note(policy: Policy, verb: str, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
    audit.record(
        organization_id=policy.organization_id,
        kind="policy",
        verb=verb,
        name=policy.name,
        object_id=policy.uuid,
        before=before,
        after=after,
    )
