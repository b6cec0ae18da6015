"""Changing a site's VPN: rows, the compiled ``EngineConfig`` and its revision in one transaction."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from django.db import transaction

from dashboard.audit import services as audit
from dashboard.core import keyring
from dashboard.fleet import selectors as fleet
from dashboard.fleet import services as fleet_services
from dashboard.publish import services as publishing
from dashboard.sitevpn import words
from dashboard.sitevpn.models import LocalSubnet, Peer, Policy, PresetVersion, SiteVpn, VpnUser
from dashboard.sitevpn.presets import BY_KEY, CUSTOM, STORED
from vpnengine.contract.config import PeerConfig, parse_config
from vpnengine.contract.problems import Problem, Refused

_PLACEHOLDER = "a secret that is checked elsewhere"
_KEY_PLACEHOLDER = "-----BEGIN PRIVATE KEY----- that is checked elsewhere"


class EditConflict(Exception):
    """Somebody else has saved this peer in the meantime."""


def policy_of(peer: Peer) -> dict[str, Any]:
    """Phase 1, phase 2 and what goes with them, from a peer's preset or its own.

    Aggressive mode cannot negotiate the Diffie-Hellman group: what has another one than the first is left out.
    """
    policy = dict(peer.policy if peer.preset in (CUSTOM, STORED) else preset_policy(peer.preset, peer.preset_version))
    if peer.exchange == Peer.Exchange.AGGRESSIVE:
        offered = policy["phase1"]["proposals"]
        same = [row for row in offered if row["group"] == offered[0]["group"]]
        policy["phase1"] = policy["phase1"] | {"proposals": same}
    return policy


# Versions of presets never change, so that they can be kept.
_versions: dict[tuple[str, int], dict[str, Any]] = {}


def preset_policy(key: str, version: int | None = None) -> dict[str, Any]:
    """What is in a version of a preset, None being the newest.

    :raises Refused: if there is no such version here.
    """
    newest = BY_KEY.get(key)
    if newest and version in (None, newest.version):
        return newest.policy()
    if (key, version or 0) not in _versions:
        row = PresetVersion.objects.filter(key=key, version=version).first()
        if row is None:
            message = f"There is no preset “{key}” of version {version}; choose another policy."
            raise Refused([Problem(field="preset", rule="unknown", message=message)])
        _versions[key, row.version] = row.policy
    return dict(_versions[key, version or 0])


def _settle_policy(peer: Peer) -> None:
    """Only what its kind of policy has stays with a peer, and a stored policy is the present one."""
    if peer.preset != STORED:
        peer.stored_policy = None
    elif peer.stored_policy_id:
        # Whoever changes the policy at this moment is waited for.
        peer.policy = Policy.objects.select_for_update().get(pk=peer.stored_policy_id).policy
    if peer.preset in BY_KEY:
        peer.preset_version = peer.preset_version or BY_KEY[peer.preset].version
    elif peer.preset in (STORED, CUSTOM):
        peer.preset_version = None


def compile_peer(peer: Peer, local_subnets: list[str]) -> dict[str, Any]:
    """One peer as the ``EngineConfig`` has it, with a reference in place of its secret."""
    row: dict[str, Any] = {
        "id": str(peer.uuid),
        "name": peer.name,
        "remote": peer.remote,
        "local_subnets": local_subnets,
        "remote_subnets": list(peer.remote_subnets),
        "start": peer.start,
        "exchange": peer.exchange,
        **policy_of(peer),
        **peer.options,
        **_proof(peer),
        **_remote_access(peer),
    }
    if row.get("selectors"):
        row |= {"local_subnets": [], "remote_subnets": []}
    for end in ("local", "remote"):
        kind, value = getattr(peer, f"{end}_identity_type"), getattr(peer, f"{end}_identity")
        if kind:
            row[f"{end}_identity"] = {"type": kind, "value": value}
    return row


def _proof(peer: Peer) -> dict[str, Any]:
    """What this side proves itself with, and whom it believes; only what the method has a place for."""
    if peer.authentication == Peer.Authentication.PSK:
        return {"psk": {"$secret": peer.secret_version}}
    row: dict[str, Any] = {"authentication": peer.authentication}
    if peer.signs:
        row |= {"certificate": peer.certificates.get("certificate"), "private_key": {"$secret": peer.key_version}}
    if peer.peer_signs:
        row["trusted_cas"] = peer.certificates.get("trusted_cas", [])
        if peer.certificates.get("crl"):
            row["crl"] = peer.certificates["crl"]
    return row


def _remote_access(peer: Peer) -> dict[str, Any]:
    """XAUTH and Mode Config. Each row that gives addresses has a pool of its own."""
    access, row = peer.remote_access, {}
    if peer.xauth_role:
        row["xauth"] = dict(access["xauth"])
    if peer.xauth_role == "client":
        row["xauth"]["password"] = {"$secret": peer.password_version}
    if peer.config_role == "client":
        row |= {"mode_config": access["mode_config"], "local_subnets": []}
    if peer.config_role == "server":
        row["mode_config"] = {**access["mode_config"], "pool": str(peer.uuid)}
        if access.get("split_subnets"):
            row["local_subnets"] = access["split_subnets"]
    return row


def compile_site(site_id: int) -> dict[str, Any]:
    """The whole document of a site's appliance."""
    subnets = LocalSubnet.objects.filter(site_id=site_id, in_vpn=True).order_by("id")
    mine = [row.subnet for row in subnets]
    peers = Peer.objects.filter(site_id=site_id, enabled=True).order_by("id") if mine else []
    document: dict[str, Any] = {"schema_version": 1, "peers": [compile_peer(peer, mine) for peer in peers]}
    pools = [{"name": str(p.uuid), **p.remote_access["pool"]} for p in peers if p.config_role == "server"]
    users = [
        {"name": user.name, "password": {"$secret": user.password_version}}
        for user in VpnUser.objects.filter(site_id=site_id).order_by("id")
    ]
    # What is not there is left out, so that the document says what is.
    return document | ({"pools": pools} if pools else {}) | ({"xauth": {"users": users}} if users else {})


def check(document: dict[str, Any], *, secrets: bool = False) -> None:
    """Validate a document as the engine will; with ``secrets`` also how long they are, and which are equal.

    :raises Refused: with problems that name fields.
    """
    known = publishing.reveal_secrets(document) if secrets else {}
    # A keyring that cannot open one is said when the document is delivered.
    parse_config(
        publishing.with_secrets(document, lambda name, version: known.get(version) or _stand_in(name, version))
    )


def peer_config(peer: Peer) -> PeerConfig:
    """One peer as the engine will see it, with something else in place of its secrets.

    :raises Refused: with problems that name fields, if it is not valid by itself.
    """
    mine = list(
        LocalSubnet.objects.filter(site_id=peer.site_id, in_vpn=True).order_by("id").values_list("subnet", flat=True)
    )
    row = publishing.with_secrets(compile_peer(peer, mine), _stand_in)
    pool = row.get("mode_config", {}).get("pool")
    pools = [{"name": pool, **peer.remote_access["pool"]}] if pool else []
    users = [{"name": "somebody", "password": _PLACEHOLDER}] if peer.xauth_role == "server" else []
    document = {"peers": [row], "pools": pools, "xauth": {"users": users}}
    return parse_config(document).peers[0]


def public_address(site_id: int) -> str:
    """The public address of a site as it was entered, or nothing."""
    row = SiteVpn.objects.filter(site_id=site_id).first()
    return row.public_address if row else ""


@transaction.atomic
def save_public_address(site_id: int, address: str) -> None:
    """Keep the public address of a site; it is told to other gateways, and changes no tunnel."""
    fleet_services.lock_site(site_id)
    before = {"public_address": public_address(site_id)}
    SiteVpn.objects.update_or_create(site_id=site_id, defaults={"public_address": address})
    _note(site_id, "site's public address", "changed", address, "", before, {"public_address": address})


def _stand_in(name: str, version: int) -> str:
    return _KEY_PLACEHOLDER if name == "private_key" else _PLACEHOLDER


def subnet_problems(site_id: int, subnets: list[str], peer_uuid: str | None) -> list[str]:
    """What the engine would say if a peer (None: a new one) had these private subnets."""
    document = compile_site(site_id)
    mine = [row.subnet for row in LocalSubnet.objects.filter(site_id=site_id, in_vpn=True).order_by("id")]
    if not mine:
        return ["This site has no subnet in the VPN yet. Enter one under Local subnets first."]
    others = [peer for peer in document["peers"] if peer["id"] != peer_uuid]
    candidate = {"id": "candidate", "name": "candidate", "remote": "peer", "psk": _PLACEHOLDER, "local_subnets": mine}
    try:
        check({**document, "peers": [*others, {**candidate, "remote_subnets": subnets}]})
    except Refused as refused:
        own = f"peers.{len(others)}."
        return [problem.message for problem in refused.problems if problem.field.startswith(own)]
    return []


def publish_site(site_id: int, author_id: int | None, comment: str) -> None:
    """Compile a site and publish it to its appliances.

    :raises Refused: if the configuration is not valid.
    """
    document = compile_site(site_id)
    check(document, secrets=True)
    words.index(site_id)
    for appliance in fleet.appliances_of(site_id):
        publishing.publish(appliance_id=appliance.pk, document=document, author_id=author_id, comment=comment)


def add_peer(site_id: int, fields: dict[str, Any], *, secret: str, author_id: int | None) -> Peer:
    """Add a peer of which only these fields are not the default.

    :raises Refused: as ``save_peer``; also if the public address is none.
    """
    return save_peer(Peer(site_id=site_id, **fields), secret=secret, author_id=author_id)


@transaction.atomic
def save_peer(
    peer: Peer,
    *,
    secret: str = "",
    private_key: str = "",
    password: str = "",
    author_id: int | None,
    expected_edit: int | None = None,
) -> Peer:
    """Add or change a peer. An empty ``secret``, ``private_key`` (PEM) or ``password`` keeps the present one.

    :raises Refused: if the resulting configuration is not valid; nothing is saved then.
    :raises EditConflict: if the row has been saved since the form was opened.
    """
    fleet_services.lock_site(peer.site_id)
    if peer.pk:
        present = Peer.objects.filter(pk=peer.pk).values_list("edit", flat=True).first()
        if present is None:
            message = "Somebody else has removed this peer meanwhile; enter it as a new one."
            raise Refused([Problem(field="", rule="removed", message=message)])
        if expected_edit not in (None, present):
            raise EditConflict
        peer.edit = present + 1
    twin = _twin(peer.site_id, peer.name, peer.pk)
    if twin is not None:
        message = f"A peer called “{twin.name}” exists already; choose another name."
        raise Refused([Problem(field="name", rule="unique", message=message)])
    _keep_secrets(peer, secret, private_key, password)
    _settle_policy(peer)
    before = audit.snapshot(Peer.objects.get(pk=peer.pk)) if peer.pk else None
    verb = "changed" if peer.pk else "added"
    peer.save()
    _note(peer.site_id, "peer", verb, peer.name, peer.uuid, before, audit.snapshot(peer))
    publish_site(peer.site_id, author_id, f"Peer {peer.name} {verb}")
    return peer


def is_taken(site_id: int, name: str) -> bool:
    """True if a peer of the site has this name."""
    return _twin(site_id, name, None) is not None


def _twin(site_id: int, name: str, pk: int | None) -> Peer | None:
    return Peer.objects.filter(site_id=site_id, name__iexact=name).exclude(pk=pk).first()


def _note(
    site_id: int,
    kind: str,
    verb: str,
    name: str,
    object_id: object = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """One row of the change log, about something of a site."""
    audit.record(
        organization_id=fleet.organization_id_of(site_id),
        site_id=site_id,
        kind=kind,
        verb=verb,
        name=name,
        object_id=object_id,
        before=before,
        after=after,
    )


def _keep_secrets(peer: Peer, secret: str, private_key: str, password: str) -> None:
    """Seal what is new, and see that nothing is missing.

    :raises Refused: naming the field of a secret that is needed and not there.
    """
    owner = f"peer:{peer.uuid}"
    needs_psk = peer.authentication == Peer.Authentication.PSK
    for new, field, column, needed, message in (
        (secret, "secret", "secret", needs_psk, "Enter the pre-shared secret that the other gateway has."),
        (private_key, "private_key", "key", peer.signs, "Enter the private key of this side's certificate."),
        (
            password,
            "xauth.password",
            "password",
            peer.xauth_role == "client",
            "Enter the user's password that the peer knows.",
        ),
    ):
        if new:
            setattr(peer, f"{column}_version", publishing.store_secret(new, owner))
            setattr(peer, f"{column}_fingerprint", keyring.fingerprint(new, owner))
        elif needed and getattr(peer, f"{column}_version") is None:
            raise Refused([Problem(field=field, rule="required", message=message)])


def private_key_of(peer: Peer) -> str:
    """The key that is kept, to compare it with a new certificate; empty if there is none or it cannot be opened."""
    if peer.key_version is None:
        return ""
    try:
        return publishing.reveal_secret(peer.key_version)
    except keyring.KeyringError:
        return ""


@transaction.atomic
def save_user(site_id: int, name: str, password: str, author_id: int | None) -> VpnUser:
    """Add a user of XAUTH, or give one another password.

    :raises Refused: if the name or the password cannot be used; nothing is saved then.
    """
    fleet_services.lock_site(site_id)
    user = VpnUser.objects.filter(site_id=site_id, name=name).first() or VpnUser(site_id=site_id, name=name)
    owner = f"user:{user.uuid}"
    user.password_version = publishing.store_secret(password, owner)
    user.password_fingerprint = keyring.fingerprint(password, owner)
    before = audit.snapshot(VpnUser.objects.get(pk=user.pk)) if user.pk else None
    verb = "changed" if user.pk else "added"
    user.save()
    _note(site_id, "VPN user", verb, name, user.uuid, before, audit.snapshot(user))
    publish_site(site_id, author_id, f"User {name} {verb}")
    return user


@transaction.atomic
def delete_user(user: VpnUser, author_id: int | None) -> None:
    """Remove a user, whose sessions end at once.

    :raises Refused: if a peer would be left without anybody who may come in.
    """
    site_id, name = user.site_id, user.name
    fleet_services.lock_site(site_id)
    _note(site_id, "VPN user", "removed", name, user.uuid, audit.snapshot(user), {})
    user.delete()
    publish_site(site_id, author_id, f"User {name} removed")


@transaction.atomic
def delete_peer(peer: Peer, author_id: int | None) -> None:
    """Remove a peer; its tunnel goes down."""
    site_id, name = peer.site_id, peer.name
    fleet_services.lock_site(site_id)
    _note(site_id, "peer", "removed", name, peer.uuid, audit.snapshot(peer), {})
    peer.delete()
    publish_site(site_id, author_id, f"Peer {name} removed")


@transaction.atomic
def save_subnets(site_id: int, rows: list[tuple[str, str, bool]], author_id: int | None) -> None:
    """Replace a site's local subnets: (subnet, name, in the VPN).

    :raises Refused: if a peer's tunnel would not be valid any more; nothing is saved then.
    """
    fleet_services.lock_site(site_id)
    before = _subnets_in_words(site_id)
    LocalSubnet.objects.filter(site_id=site_id).delete()
    LocalSubnet.objects.bulk_create(
        LocalSubnet(site_id=site_id, subnet=subnet, name=name, in_vpn=in_vpn) for subnet, name, in_vpn in rows
    )
    _note(site_id, "local subnets", "changed", "", "", before, _subnets_in_words(site_id))
    publish_site(site_id, author_id, "Local subnets changed")


def _subnets_in_words(site_id: int) -> dict[str, Any]:
    rows = LocalSubnet.objects.filter(site_id=site_id).order_by("id")
    return {
        "in the VPN": [f"{row.subnet} {row.name}".strip() for row in rows if row.in_vpn],
        "not in the VPN": [f"{row.subnet} {row.name}".strip() for row in rows if not row.in_vpn],
    }


@transaction.atomic
def note_action(peer: Peer, op: str) -> None:
    """Note in the change log that somebody asked a tunnel to go up, down or to rekey."""
    _note(peer.site_id, "tunnel", op, peer.name, peer.uuid)


def new_peer(site: Any) -> Peer:
    """A peer of a site, not saved yet."""
    return Peer(site=site)


def subnet_problem(text: str) -> str:
    """What is wrong with a subnet of a site, as a sentence; empty if nothing is."""
    try:
        network = ip_network(text)
    except ValueError:
        try:
            return f"{text} has host bits; the subnet is {ip_network(text, strict=False)}"
        except ValueError:
            return f"{text} is not a subnet, like 10.1.0.0/24"
    return "" if str(network) == text else f"write it as {network}"


@transaction.atomic
def reveal_secret(peer: Peer) -> str:
    """The pre-shared secret in clear, which the change log notes.

    :raises KeyringError: if it cannot be opened; nothing is noted then, as nothing was shown.
    """
    secret = publishing.reveal_secret(peer.secret_version)
    _note(peer.site_id, "peer", "secret revealed", peer.name, peer.uuid)
    return secret
