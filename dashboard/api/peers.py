"""Sites, their subnets and third-party peers."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from ninja import Query, Router, Status
from pydantic import Field

from dashboard.api import policies
from dashboard.api.operations import PER_PAGE, operation, paged
from dashboard.api.schemas import ActionOut, PeerIn, PeerOut, SiteOut, SubnetOut, SubnetsIn
from dashboard.publish import services as publishing
from dashboard.sitevpn import policies as stored
from dashboard.sitevpn import presets, selectors, services
from vpnengine.contract.problems import Problem, Refused

router = Router(tags=["Site-to-site VPN"])
PEERS = "/sites/{uuid:site_id}/thirdPartyVPNPeers"
PerPage = Annotated[int, Query(PER_PAGE, ge=1, le=1_000)]


@operation(router, "GET", "/sites", "sites", "signed_in", list[SiteOut])
def list_sites(request: HttpRequest) -> list[dict[str, Any]]:
    """The sites that the key reaches."""
    access = request.access
    return [
        {"id": s.uuid, "name": s.name, "organizationId": access.organization.uuid, "role": access.grant.label(s.pk)}
        for s in access.sites
    ]


@operation(router, "GET", "/sites/{uuid:site_id}/subnets", "subnets", "read", list[SubnetOut])
def list_subnets(request: HttpRequest, site_id: UUID) -> list[dict[str, Any]]:
    """The local subnets of a site."""
    rows = selectors.subnets(request.access.site.pk)
    return [{"localSubnet": row.subnet, "useVpn": row.in_vpn, "name": row.name} for row in rows]


@operation(router, "PUT", "/sites/{uuid:site_id}/subnets", "subnets", "edit", list[SubnetOut])
def replace_subnets(request: HttpRequest, site_id: UUID, body: SubnetsIn) -> list[dict[str, Any]]:
    """Replace the local subnets of a site."""
    rows = [(_network(number, row.localSubnet), row.name, row.useVpn) for number, row in enumerate(body.subnets)]
    services.save_subnets(request.access.site.pk, rows, None)
    return list_subnets(request, site_id)


def _network(number: int, text: str) -> str:
    problem = services.subnet_problem(text)
    if problem:
        raise Refused([Problem(field=f"subnets.{number}.localSubnet", rule="subnet", message=problem)])
    return text


@operation(router, "GET", PEERS, "peers", "read", list[PeerOut])
def list_peers(
    request: HttpRequest, response: HttpResponse, site_id: UUID, perPage: PerPage, startingAfter: UUID | None = None
) -> list[dict[str, Any]]:
    """The peers of a site in the order in which they were added, a page at a time."""
    rows = selectors.peers_after(request.access.site.pk, startingAfter, perPage + 1)
    return [_out(peer) for peer in paged(request, response, rows, perPage, lambda peer: peer.uuid)]


@operation(router, "POST", PEERS, "peers", "edit", PeerOut, status=201)
def add_peer(request: HttpRequest, site_id: UUID, body: PeerIn) -> Status:
    """Add a peer."""
    return Status(201, _save(services.new_peer(request.access.site), body))


@operation(router, "GET", PEERS + "/{uuid:peer_id}", "peer", "read", PeerOut)
def get_peer(request: HttpRequest, site_id: UUID, peer_id: UUID) -> dict[str, Any]:
    """One peer."""
    return _out(selectors.peer(request.access.site.pk, peer_id))


@operation(router, "PUT", PEERS + "/{uuid:peer_id}", "peer", "edit", PeerOut)
def change_peer(request: HttpRequest, site_id: UUID, peer_id: UUID, body: PeerIn) -> dict[str, Any]:
    """Change a peer. With ``edit`` as it was read, a change that somebody else made meanwhile is not overwritten."""
    return _save(selectors.peer(request.access.site.pk, peer_id), body)


@operation(router, "DELETE", PEERS + "/{uuid:peer_id}", "peer", "edit", None, status=204)
def remove_peer(request: HttpRequest, site_id: UUID, peer_id: UUID) -> Status:
    """Remove a peer; its tunnel goes down."""
    services.delete_peer(selectors.peer(request.access.site.pk, peer_id), None)
    return Status(204, None)


@operation(router, "POST", PEERS + "/{uuid:peer_id}/actions/{op}", "peer-action", "operate", ActionOut, status=202)
def act(request: HttpRequest, site_id: UUID, peer_id: UUID, op: Annotated[str, Field(max_length=20)]) -> Status:
    """Bring a tunnel up (``initiate``), down (``terminate``), or give it new keys (``rekey``)."""
    if op not in ("initiate", "terminate", "rekey"):
        raise Http404
    peer = selectors.peer(request.access.site.pk, peer_id)
    services.note_action(peer, op)
    asked = [publishing.request_action(str(a.uuid), op, str(peer.uuid)) for a in peer.site.appliances.all()]
    if not all(asked):
        message = "The workers cannot be reached, so nothing was done. Try again in a moment."
        return Status(
            503, {"errors": [message], "problems": [{"field": "", "rule": "unavailable", "message": message}]}
        )
    return Status(202, {"asked": op})


_COLUMNS = {
    "name": "name",
    "publicIp": "remote",
    "privateSubnets": "remote_subnets",
    "enabled": "enabled",
    "start": "start",
    "exchange": "exchange",
    "localIdType": "local_identity_type",
    "localId": "local_identity",
    "remoteIdType": "remote_identity_type",
    "remoteId": "remote_identity",
}


def _save(peer: Any, body: PeerIn) -> dict[str, Any]:
    for field, column in _COLUMNS.items():
        setattr(peer, column, getattr(body, field))
    _set_policy(peer, body)
    services.save_peer(peer, secret=body.secret, author_id=None, expected_edit=body.edit)
    return _out(peer)


def _set_policy(peer: Any, body: PeerIn) -> None:
    if body.ipsecPoliciesPreset == presets.CUSTOM:
        if body.ipsecPolicies is None:
            message = f'Peer "{body.name}": Empty IPsec policy config.'
            raise Refused([Problem(field="ipsecPolicies", rule="required", message=message)])
        peer.policy = policies.to_engine(body.ipsecPolicies)
        peer.preset, peer.stored_policy = presets.CUSTOM, None
        return
    if peer.pk and body.ipsecPoliciesPreset == peer.preset:
        return  # a preset's key alone leaves the version that the peer has
    try:
        stored.give(peer, body.ipsecPoliciesPreset)
    except Refused as refused:
        problems = [
            Problem(field="ipsecPoliciesPreset", rule=problem.rule, message=f'Peer "{body.name}": {problem.message}')
            for problem in refused.problems
        ]
        raise Refused(problems) from None


def _out(peer: Any) -> dict[str, Any]:
    return {
        **{field: getattr(peer, column) for field, column in _COLUMNS.items()},
        "id": peer.uuid,
        "secretFingerprint": peer.secret_fingerprint,
        "ikeVersion": "1",
        "ipsecPoliciesPreset": stored.value_of(peer),
        "ipsecPolicies": policies.from_engine(services.policy_of(peer)),
        "edit": peer.edit,
    }
