"""Clients of one row: each has its own SAs, under the row's configuration.

They are users with an inner address of ours, or gateways of which the row does not say where they are.
"""

from __future__ import annotations

import ipaddress

from vpnengine.contract.remote_access import ConfigServer
from vpnengine.contract.selectors import SelectorConfig
from vpnengine.esp.sa import Selector
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.interface import PoliciesChanged
from vpnengine.ikev1.leases import Pool
from vpnengine.ikev1.model import IsakmpSa, Peer, make_selector
from vpnengine.isakmp.constants import IdType


def adopt(core: Core, sa: IsakmpSa) -> None:
    """Phase 1 is up: its SA joins what the same user, or the same identity, has already.

    So it is for clients that get addresses, and for gateways that come in under one row from anywhere.
    """
    row = sa.peer
    if row.parent is not None or (row.config.fixed and not isinstance(row.config.mode_config, ConfigServer)):
        return
    who = _who(sa)
    client = row.clients.get(who)
    if client is None:
        served = isinstance(row.config.mode_config, ConfigServer)
        selectors, wider = ((), ()) if served else (row.selectors, row.wider)
        client = Peer(row.config, row.psk, row.credentials, selectors, wider, parent=row, who=who, user=sa.user)
        row.clients[who] = client
    core.hand_over(sa, client)


def _who(sa: IsakmpSa) -> str:
    """What tells one of a row's clients from the others.

    A private address says so only together with the address that it is reached at, as behind two NATs there may
    be two of it; and a name that several share only together with the place it is used from.
    """
    config, identity = sa.peer.config, sa.claimed_id
    if isinstance(config.mode_config, ConfigServer):
        return sa.user or sa.remote_identity
    if config.initial_contact == "off":
        return f"{sa.user or sa.remote_identity} at {sa.remote}"
    if sa.user:
        return sa.user
    by_address = identity is not None and identity.type in (IdType.IPV4_ADDR, IdType.IPV6_ADDR)
    if by_address and sa.remote_identity.split()[-1] != sa.remote.host:
        return f"{sa.remote_identity} at {sa.remote.host}"
    return sa.remote_identity


def everyone(row: Peer) -> list[Peer]:
    """A row and whoever came in under it."""
    return [row, *row.clients.values()]


def holder(row: Peer, selector: Selector) -> Peer:
    """Whom traffic of a selector is for: the gateway that carried it last, if the row has several."""
    there = [one for one in reversed(row.clients.values()) if one.current() is not None and one.accepts(selector)]
    carried = [one for one in there if selector in one.carried]
    return next(iter(carried), there[0] if len(there) == 1 else row)


def pool_of(core: Core, client: Peer) -> Pool:
    """The pool that a client's address comes from."""
    config = client.config.mode_config
    assert isinstance(config, ConfigServer)  # noqa: S101 - adopt() makes clients for such rows only
    return core.leases.pool(config.pool)


def assign(core: Core, client: Peer, address: ipaddress.IPv4Address, unity: bool) -> None:
    """The client has this inner address from now on.

    One that knows Unity asks for all addresses in quick mode, and sends what it has been told.
    """
    client.wider = _selectors(("0.0.0.0/0",), (f"{address}/32",)) if unity else ()
    if client.assigned != address:
        client.assigned = address
        client.selectors = _selectors((*client.config.local_subnets,), (f"{address}/32",))
        core.effects.append(PoliciesChanged())


def own(core: Core, peer: Peer, address: ipaddress.IPv4Address, remote_subnets: tuple[str, ...]) -> bool:
    """We are the client, have this inner address from now on, and reach these subnets. False if it was so already."""
    selectors = _selectors((f"{address}/32",), remote_subnets)
    if peer.assigned == address and peer.selectors == selectors:
        return False
    peer.seeking = False
    peer.assigned = address
    peer.selectors = selectors
    core.effects.append(PoliciesChanged())
    return True


def disown(core: Core, peer: Peer) -> None:
    """Our inner address is not ours any more."""
    if peer.assigned is not None and peer.parent is None:
        peer.assigned, peer.selectors = None, ()
        core.effects.append(PoliciesChanged())


def _selectors(mine: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[Selector, ...]:
    return tuple(
        # A client's address may lie within what it may reach: 0.0.0.0/0, or a pool that is part of the LAN.
        make_selector(SelectorConfig.model_construct(local=one, remote=other, protocol=0, local_port=0, remote_port=0))
        for one in mine
        for other in theirs
        if (":" in one) == (":" in other)
    )


def release_if_idle(core: Core, client: Peer) -> None:
    """A client without any SA has gone; its address is free, and remembered for it."""
    row = client.parent
    if row is None or client.sas or client.pairs or row.clients.get(client.who) is not client:
        return
    del row.clients[client.who]
    if client.assigned is not None:
        config = client.config.mode_config
        assert isinstance(config, ConfigServer)  # noqa: S101 - adopt() makes clients for such rows only
        core.leases.release(config.pool, client.who)
        core.effects.append(PoliciesChanged())
