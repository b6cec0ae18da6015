"""Changing a site's VPN: rows, the compiled ``EngineConfig`` and its revision in one transaction."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from dashboard.core import keyring
from dashboard.fleet import selectors as fleet
from dashboard.publish import services as publishing
from dashboard.sitevpn.models import LocalSubnet, Peer
from dashboard.sitevpn.presets import BY_KEY, CUSTOM
from vpnengine.contract.config import parse_config
from vpnengine.contract.problems import Problem, Refused

_PLACEHOLDER = "a secret that is checked elsewhere"


class EditConflict(Exception):
    """Somebody else has saved this peer in the meantime."""


def policy_of(peer: Peer) -> dict[str, Any]:
    """Phase 1, phase 2 and what goes with them, from a peer's preset or its own.

    Aggressive mode cannot negotiate the Diffie-Hellman group: what has another one than the first is left out.
    """
    policy = dict(peer.policy) if peer.preset == CUSTOM else dict(BY_KEY[peer.preset].policy())
    if peer.exchange == Peer.Exchange.AGGRESSIVE:
        offered = policy["phase1"]["proposals"]
        same = [row for row in offered if row["group"] == offered[0]["group"]]
        policy["phase1"] = policy["phase1"] | {"proposals": same}
    return policy


def compile_peer(peer: Peer, local_subnets: list[str]) -> dict[str, Any]:
    """One peer as the ``EngineConfig`` has it, with a reference in place of its secret."""
    row: dict[str, Any] = {
        "id": str(peer.uuid),
        "name": peer.name,
        "remote": peer.remote,
        "psk": {"$secret": peer.secret_version},
        "local_subnets": local_subnets,
        "remote_subnets": list(peer.remote_subnets),
        "start": peer.start,
        "exchange": peer.exchange,
        **policy_of(peer),
        **peer.options,
    }
    for end in ("local", "remote"):
        kind, value = getattr(peer, f"{end}_identity_type"), getattr(peer, f"{end}_identity")
        if kind:
            row[f"{end}_identity"] = {"type": kind, "value": value}
    return row


def compile_site(site_id: int) -> dict[str, Any]:
    """The whole document of a site's appliance."""
    subnets = LocalSubnet.objects.filter(site_id=site_id, in_vpn=True).order_by("id")
    mine = [row.subnet for row in subnets]
    peers = Peer.objects.filter(site_id=site_id, enabled=True).order_by("id") if mine else []
    return {"schema_version": 1, "peers": [compile_peer(peer, mine) for peer in peers]}


def check(document: dict[str, Any], *, secrets: bool = False) -> None:
    """Validate a document as the engine will; with ``secrets`` also how long they are, and which are equal.

    :raises Refused: with problems that name fields.
    """
    rows = [{**peer, "psk": _secret(peer) if secrets else _PLACEHOLDER} for peer in document["peers"]]
    parse_config({**document, "peers": rows})


def _secret(peer: dict[str, Any]) -> str:
    """The secret for the validation alone. A keyring that cannot open it is said when the document is delivered."""
    try:
        return publishing.reveal_secret(peer["psk"]["$secret"])
    except keyring.KeyringError:
        return _PLACEHOLDER


def subnet_problems(site_id: int, subnets: list[str], peer_uuid: str | None) -> list[str]:
    """What the engine would say if a peer (None: a new one) had these private subnets."""
    document = compile_site(site_id)
    mine = [row.subnet for row in LocalSubnet.objects.filter(site_id=site_id, in_vpn=True).order_by("id")]
    if not mine:
        return ["This site has no subnet in the VPN yet. Enter one under Local subnets first."]
    others = [peer for peer in document["peers"] if peer["id"] != peer_uuid]
    candidate = {"id": "candidate", "name": "candidate", "remote": "peer", "local_subnets": mine}
    try:
        check({**document, "peers": [*others, {**candidate, "remote_subnets": subnets}]})
    except Refused as refused:
        own = f"peers.{len(others)}."
        return [problem.message for problem in refused.problems if problem.field.startswith(own)]
    return []


def _publish(site_id: int, author_id: int | None, comment: str) -> None:
    document = compile_site(site_id)
    check(document, secrets=True)
    for appliance in fleet.appliances_of(site_id):
        publishing.publish(appliance_id=appliance.pk, document=document, author_id=author_id, comment=comment)


@transaction.atomic
def save_peer(peer: Peer, *, secret: str, author_id: int | None, expected_edit: int | None = None) -> Peer:
    """Add or change a peer. An empty ``secret`` keeps the present one.

    :raises Refused: if the resulting configuration is not valid; nothing is saved then.
    :raises EditConflict: if the row has been saved since the form was opened.
    """
    if peer.pk and expected_edit is not None:
        present = Peer.objects.get(pk=peer.pk).edit
        if present != expected_edit:
            raise EditConflict
        peer.edit = present + 1
    twin = Peer.objects.filter(site_id=peer.site_id, name__iexact=peer.name).exclude(pk=peer.pk).first()
    if twin is not None:
        message = f"A peer called “{twin.name}” exists already; choose another name."
        raise Refused([Problem(field="name", rule="unique", message=message)])
    if secret:
        owner = f"peer:{peer.uuid}"
        peer.secret_version = publishing.store_secret(secret, owner)
        peer.secret_fingerprint = keyring.fingerprint(secret, owner)
    elif not peer.pk:
        message = "Enter the pre-shared secret that the other gateway has."
        raise Refused([Problem(field="secret", rule="required", message=message)])
    verb = "changed" if peer.pk else "added"
    peer.save()
    _publish(peer.site_id, author_id, f"Peer {peer.name} {verb}")
    return peer


@transaction.atomic
def delete_peer(peer: Peer, author_id: int | None) -> None:
    """Remove a peer; its tunnel goes down."""
    site_id, name = peer.site_id, peer.name
    peer.delete()
    _publish(site_id, author_id, f"Peer {name} removed")


@transaction.atomic
def save_subnets(site_id: int, rows: list[tuple[str, str, bool]], author_id: int | None) -> None:
    """Replace a site's local subnets: (subnet, name, in the VPN).

    :raises Refused: if a peer's tunnel would not be valid any more; nothing is saved then.
    """
    LocalSubnet.objects.filter(site_id=site_id).delete()
    LocalSubnet.objects.bulk_create(
        LocalSubnet(site_id=site_id, subnet=subnet, name=name, in_vpn=in_vpn) for subnet, name, in_vpn in rows
    )
    _publish(site_id, author_id, "Local subnets changed")
