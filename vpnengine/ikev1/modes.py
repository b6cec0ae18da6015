"""Tunnel and transport mode in quick mode: the number that is offered, original addresses, host-to-host selectors.

In transport mode behind a NAT the two ends see different addresses of the same hosts: each tells the other the
addresses that it sees (NAT-OA, RFC 3947 section 5.2), and a selector's address on a translated side may be any host.
"""

from __future__ import annotations

from vpnengine.esp.sa import Selector, Span
from vpnengine.esp.spans import ends
from vpnengine.ikev1 import natt
from vpnengine.ikev1.model import IsakmpSa
from vpnengine.ikev1.natt import Originals
from vpnengine.ikev1.selectors import identities_selector, same_end
from vpnengine.ikev1.states import Role
from vpnengine.isakmp.constants import Encapsulation
from vpnengine.isakmp.message import Payloads
from vpnengine.isakmp.payloads import Identification, NatOa, Payload


def is_transport(sa: IsakmpSa) -> bool:
    """True if this peer is configured for transport mode."""
    return sa.peer.config.phase2.mode == "transport"


def mode_of(sa: IsakmpSa) -> Encapsulation:
    """The configured mode, in UDP if phase 1 found a NAT (RFC 3947 section 5.1)."""
    return natt.encapsulation(sa.natt, sa.nat.encapsulate, is_transport(sa))


# Original addresses


def nat_oa(sa: IsakmpSa, role: Role) -> list[Payload]:
    """NAT-OAi and NAT-OAr as this side sees the two addresses; none without a NAT or in tunnel mode.

    ``role`` is ours in this quick mode, which may be another than in phase 1.
    """
    if not is_transport(sa) or not sa.nat.encapsulate or sa.natt is None:
        return []
    hosts = sa.local.host, sa.remote.host
    return [NatOa(host, sa.natt.nat_oa) for host in (hosts if role is Role.INITIATOR else hosts[::-1])]


def originals(sa: IsakmpSa, role: Role, payloads: Payloads) -> Originals:
    """The peer's NAT-OA payloads: two are those of initiator and responder, one alone is the sender's own."""
    found = [payload.host for payload in payloads.all(NatOa) if sa.natt and payload.kind == sa.natt.nat_oa]
    if not is_transport(sa) or not found:
        return Originals()
    if len(found) == 1:
        return Originals(remote=found[0])
    initiator, responder = found[:2]
    return Originals(responder, initiator) if role is Role.INITIATOR else Originals(initiator, responder)


# Selectors


def asked_selector(sa: IsakmpSa, local: Identification, remote: Identification) -> Selector | None:
    """The configured selector that the peer's IDs ask for, ``local`` and ``remote`` as seen from here; else None.

    In transport mode the peer may name a port where any is configured, as an L2TP client does.
    """
    asked = identities_selector(local, remote)
    if asked is None or sa.peer.accepts(asked):
        return asked
    if not is_transport(sa):
        return None
    for own in sa.peer.selectors:
        seen = asked._replace(
            local=own.local if sa.nat.local and _is_host(asked.local) else asked.local,
            remote=own.remote if sa.nat.encapsulate and _is_host(asked.remote) else asked.remote,
        )
        if own.covers(seen):
            return seen
    return None


def same_answer(sa: IsakmpSa, returned: Identification, sent: Identification) -> bool:
    """True if the responder answers for what was asked; behind a NAT it may name its own address for itself."""
    if same_end(returned, sent):
        return True
    asked = identities_selector(returned, sent)
    if not is_transport(sa) or not sa.nat.encapsulate or asked is None:
        return False
    return _is_host(asked.local) and (returned.protocol, returned.port) == (sent.protocol, sent.port)


def _is_host(span: Span) -> bool:
    version, first, last = ends(span)
    return version > 0 and first == last
