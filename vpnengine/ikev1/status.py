"""The present state of peers, for people and programs."""

from __future__ import annotations

from typing import Literal

from vpnengine.contract.status import ClientStatus, PeerStatus, Phase1Status, SaState, SaStatus
from vpnengine.esp.sa import IpsecSaPair
from vpnengine.ikev1 import numbers
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.model import IsakmpSa, Pair, Peer
from vpnengine.isakmp.constants import Exchange


def peer_status(core: Core, peer: Peer) -> PeerStatus:
    """One peer; counters are zero, as the data path has them."""
    return PeerStatus(
        id=peer.id,
        name=peer.config.name,
        remote=peer.config.remote,
        start=peer.config.start.value,
        phase1=_phase1(core, peer),
        sas=tuple(_pair(core, pair) for one in (peer, *peer.clients.values()) for pair in one.pairs),
        selectors=tuple((s.local_text, s.remote_text) for s in peer.selectors),
        assigned=str(peer.assigned) if peer.assigned else None,
        clients=tuple(_client(client) for client in peer.clients.values()),
        last_failure=peer.last_failure,
    )


def _client(client: Peer) -> ClientStatus:
    sa = client.current()
    return ClientStatus(
        name=client.who,
        address=str(client.assigned) if client.assigned else None,
        remote=str(sa.remote) if sa else None,
    )


def _phase1(core: Core, peer: Peer) -> Phase1Status:
    """The newest ISAKMP SA; of a row with clients, that of one of them."""
    found = (one.current() for one in (peer, *reversed(peer.clients.values())))
    sa = next((sa for sa in found if sa is not None), None)
    if sa is not None:
        return _established(core, sa)
    busy = peer.negotiating() or (peer.sas[-1] if peer.sas else None)
    if busy is None:
        return Phase1Status(state="down")
    return Phase1Status(
        state="negotiating",
        age_s=round(core.now - busy.created, 3),
        role=busy.role.value,
        exchange=_exchange(busy),
        initiator_cookie=busy.initiator_cookie.hex(),
        responder_cookie=busy.responder_cookie.hex(),
        local=str(busy.local),
        remote=str(busy.remote),
    )


def _established(core: Core, sa: IsakmpSa) -> Phase1Status:
    proposal = sa.proposal
    rekey = core.timers.when(("rekey", sa.cookies))
    return Phase1Status(
        state="established",
        age_s=round(core.now - (sa.established or core.now), 3),
        role=sa.role.value,
        exchange=_exchange(sa),
        initiator_cookie=sa.initiator_cookie.hex(),
        responder_cookie=sa.responder_cookie.hex(),
        encryption=proposal.encryption.value if proposal else None,
        hash=proposal.hash.value if proposal else None,
        group=proposal.group.value if proposal else None,
        local=str(sa.local),
        remote=str(sa.remote),
        local_identity=sa.local_identity,
        remote_identity=sa.remote_identity,
        authentication=numbers.METHOD_NAMES.get(sa.method),
        remote_certificate=str(sa.peer_certificates[0].subject) if sa.peer_certificates else None,
        remote_certificate_until=sa.peer_certificates[0].not_after if sa.peer_certificates else None,
        nat=_nat(sa),
        nat_traversal=sa.natt.name if sa.natt else None,
        fragmentation=sa.peer_has_fragmentation,
        dpd=sa.peer_has_dpd,
        rekey_in_s=round(rekey - core.now, 3) if rekey is not None else None,
        expires_in_s=round((sa.expires or core.now) - core.now, 3),
    )


def _exchange(sa: IsakmpSa) -> Literal["main", "aggressive"]:
    return "aggressive" if sa.exchange is Exchange.AGGRESSIVE else "main"


def _nat(sa: IsakmpSa) -> Literal["none", "local", "remote", "both"]:
    names: dict[tuple[bool, bool], Literal["none", "local", "remote", "both"]] = {
        (False, False): "none",
        (True, False): "local",
        (False, True): "remote",
        (True, True): "both",
    }
    return names[(sa.nat.local, sa.nat.remote)]


def _encapsulation(params: IpsecSaPair) -> Literal["tunnel", "udp-tunnel", "transport", "udp-transport"]:
    if params.mode == "transport":
        return "udp-transport" if params.udp else "transport"
    return "udp-tunnel" if params.udp else "tunnel"


def _pair(core: Core, pair: Pair) -> SaStatus:
    params = pair.params
    rekey = core.timers.when(("rekey", pair.timer))
    state: SaState = "rekeyed" if pair.replaced else "mature" if pair.confirmed else "larval"
    return SaStatus(
        state=state,
        spi_in=f"{params.spi_in:08x}",
        spi_out=f"{params.spi_out:08x}",
        local=params.selector.local_text,
        remote=params.selector.remote_text,
        encryption=params.transform.encryption.value,
        integrity=params.transform.integrity.value if params.transform.integrity else None,
        pfs_group=pair.pfs.value if pair.pfs else None,
        esn=params.transform.esn,
        limit_bytes=params.hard_bytes,
        encapsulation=_encapsulation(params),
        bytes_in=0,
        bytes_out=0,
        packets_in=0,
        packets_out=0,
        replayed=0,
        failed=0,
        age_s=round(core.now - pair.created, 3),
        rekey_in_s=round(rekey - core.now, 3) if rekey is not None else None,
        expires_in_s=round(pair.expires - core.now, 3),
    )
