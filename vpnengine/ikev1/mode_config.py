"""Mode Config: the client asks for an inner address, or is told (draft-ietf-ipsec-isakmp-mode-cfg-05). Either end."""

from __future__ import annotations

import ipaddress

from vpnengine.contract.remote_access import ConfigClient, ConfigServer
from vpnengine.ikev1 import clients, lifecycle, negotiate, pairs, transaction, unity
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import LocalConfigFault, PeerFault
from vpnengine.ikev1.model import Answer, IsakmpSa
from vpnengine.isakmp.configuration import ConfigAttribute as A
from vpnengine.isakmp.configuration import ConfigType, Configuration, Item

PUSH_S = 10.0
WANTED = (A.IP4_ADDRESS, A.IP4_NETMASK, A.IP4_DNS)
_Address = ipaddress.IPv4Address


def begin(core: Core, sa: IsakmpSa) -> None:
    """Phase 1 is up: ask for the address, wait for it, or push it."""
    match sa.peer.config.mode_config:
        case ConfigClient(way="pull"):
            # After aggressive mode the peer may still be busy with our last message.
            when = max(core.now, sa.quick_from)
            core.timers.set(("config", sa.cookies), when, "ask for an address", lambda: _ask(core, sa))
        case ConfigClient():
            core.timers.set(("config", sa.cookies), core.now + PUSH_S, "an address", lambda: _none(core, sa))
        case ConfigServer(way="push"):
            _push(core, sa)


def _ask(core: Core, sa: IsakmpSa) -> None:
    items = [Item(number) for number in _wanted(sa)]
    transaction.begin(
        core,
        sa,
        ConfigType.REQUEST,
        items,
        lambda message: _assigned(core, sa, message),
        lambda: _none(core, sa),
    )


def _wanted(sa: IsakmpSa) -> tuple[A, ...]:
    return WANTED + unity.WANTED if uses_unity(sa) else WANTED


def uses_unity(sa: IsakmpSa) -> bool:
    """True if both ends have announced Cisco's Unity."""
    config = sa.peer.config.mode_config
    return sa.peer_has_unity and config is not None and config.unity


def _none(core: Core, sa: IsakmpSa) -> None:
    """Without an address the tunnel is of no use: end it, and try again later."""
    if not sa.usable or sa.replaced:
        return
    peer = sa.peer
    core.emit_fault(PeerFault("ike.config.none"), sa=sa)
    lifecycle.delete(core, sa)
    lifecycle.after_failure(core, peer)


# As client


def _assigned(core: Core, sa: IsakmpSa, message: Configuration) -> None:
    """The peer has told our address. What was not asked for is not looked at."""
    core.timers.cancel(("config", sa.cookies))
    peer = sa.peer
    address = _usable(message.get(A.IP4_ADDRESS), peer.config.remote_subnets)
    if address is None:
        _none(core, sa)
        return
    said = unity.told(message) if uses_unity(sa) else unity.Told()
    reached = unity.narrowed(peer.config.remote_subnets, said)
    if not reached:
        _nothing_to_reach(core, sa, said)
        return
    if clients.own(core, peer, address, reached):
        for pair in list(peer.pairs):
            pairs.delete(core, peer, pair)
    sa.configured = True
    peer.wanted = {selector: at for selector, at in peer.wanted.items() if selector in peer.selectors}
    servers = [str(_Address(item.value)) for item in message.items if item.type == A.IP4_DNS and len(item.value) == 4]
    ignored = sorted({str(item.type) for item in message.items if item.type not in _wanted(sa)})
    evidence = {"address": str(address), "DNS": ", ".join(servers), "ignored attributes": ", ".join(ignored)}
    evidence |= said.evidence()
    core.emit("ike.config.assigned", sa=sa, address=address, evidence={k: v for k, v in evidence.items() if v})
    negotiate.want_all(core, peer)


def _nothing_to_reach(core: Core, sa: IsakmpSa, said: unity.Told) -> None:
    """The peer's list leaves nothing of what is configured here."""
    peer = sa.peer
    configured = ", ".join(peer.config.remote_subnets)
    evidence = said.evidence() | {"configured": configured}
    listed = evidence.get("split include", "everything") + (
        f", without {evidence['split exclude']}" if said.exclude else ""
    )
    hint = (
        f"The peer lets this side reach {listed}; configured are {configured}. Enter in the field Private subnets "
        "something that lies within, or let the peer's split list contain what you want to reach."
    )
    core.emit_fault(LocalConfigFault("ike.config.split", hint=hint, evidence=evidence), sa=sa)
    lifecycle.delete(core, sa)
    lifecycle.after_failure(core, peer)


def _usable(value: bytes | None, remote_subnets: tuple[str, ...]) -> _Address | None:
    """An address that can be ours: a plain one, and none of those behind the peer."""
    if value is None or len(value) != 4:
        return None
    address = _Address(value)
    odd = address.is_unspecified or address.is_multicast or address.is_loopback or address.is_reserved
    inside = any(net != "0.0.0.0/0" and address in ipaddress.ip_network(net) for net in remote_subnets)
    return None if odd or inside else address


def told(core: Core, sa: IsakmpSa, message: Configuration) -> Answer | None:
    """The peer pushes something. A client that waits for it takes its address; nothing else is taken."""
    config = sa.peer.config.mode_config
    if not sa.usable:
        return None
    if not isinstance(config, ConfigClient) or config.way != "push":
        core.counters["configuration not asked for"] += 1
        return Answer([])
    taken = [Item(item.type) for item in message.items if item.type in _wanted(sa)]
    return Answer(taken, lambda: _assigned(core, sa, message))


# As server


def asked(core: Core, sa: IsakmpSa, message: Configuration) -> Answer | None:
    """A client asks for its address."""
    if not sa.usable or not isinstance(sa.peer.config.mode_config, ConfigServer):
        return None
    wish = message.get(A.IP4_ADDRESS)
    address = _lease(core, sa, _Address(wish) if wish and len(wish) == 4 else None)
    if address is None:
        return Answer([])
    wanted = {item.type for item in message.items}
    return Answer([item for item in _items(core, sa, address) if item.type in wanted])


def _lease(core: Core, sa: IsakmpSa, wish: _Address | None) -> _Address | None:
    client = sa.peer
    pool = clients.pool_of(core, client)
    address = pool.take(client.who, wish)
    if address is None:
        evidence = {"pool": pool.config.name, "addresses": pool.config.addresses, "client": client.who}
        core.emit("ike.config.exhausted", sa=sa, pool=pool.config.name, client=client.who, evidence=evidence)
        return None
    if client.assigned != address:
        core.emit("ike.config.leased", sa=sa, address=address, client=client.who)
    clients.assign(core, client, address, uses_unity(sa))
    return address


def _items(core: Core, sa: IsakmpSa, address: _Address) -> list[Item]:
    config = sa.peer.config
    server = config.mode_config
    told = unity.items(server, config.local_subnets) if isinstance(server, ConfigServer) and uses_unity(sa) else []
    dns = clients.pool_of(core, sa.peer).config.dns
    return [
        Item(A.IP4_ADDRESS, address.packed),
        Item(A.IP4_NETMASK, b"\xff\xff\xff\xff"),
        *(Item(A.IP4_DNS, one.packed) for one in dns),
        *told,
    ]


def _push(core: Core, sa: IsakmpSa) -> None:
    address = _lease(core, sa, None)
    if address is not None:
        items = _items(core, sa, address)
        transaction.begin(core, sa, ConfigType.SET, items, lambda message: None, lambda: None)
