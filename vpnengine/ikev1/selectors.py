"""Selectors as quick mode carries them, and why one is refused, in words that name what was probably meant."""

from __future__ import annotations

from vpnengine.contract.events import Difference
from vpnengine.esp.sa import Network, Selector, Span
from vpnengine.esp.spans import AddressRange, is_everything
from vpnengine.ikev1.faults import LocalConfigFault
from vpnengine.ikev1.identities import describe_span, identity_span, span_identity
from vpnengine.ikev1.model import Peer
from vpnengine.ikev1.proposals import Cells, compare
from vpnengine.isakmp.constants import Notify
from vpnengine.isakmp.payloads import Identification

MAX_LISTED = 32


def selector_identities(selector: Selector) -> tuple[Identification, Identification]:
    """IDci and IDcr of a quick mode that we initiate."""
    return (
        span_identity(selector.local, selector.protocol, selector.local_port),
        span_identity(selector.remote, selector.protocol, selector.remote_port),
    )


def identities_selector(local: Identification, remote: Identification) -> Selector | None:
    """The selector that two IDs mean, ``local`` and ``remote`` as seen from here; None if they mean none.

    A protocol that only one of them names counts for both.
    """
    mine, theirs = identity_span(local), identity_span(remote)
    if mine is None or theirs is None or (local.protocol and remote.protocol and local.protocol != remote.protocol):
        return None
    return Selector(mine, theirs, local.protocol or remote.protocol, local.port, remote.port)


def same_end(one: Identification, other: Identification) -> bool:
    """True if two IDs mean the same addresses, protocol and port, by whatever type they are written."""
    if (one.protocol, one.port) != (other.protocol, other.port):
        return False
    span = identity_span(one)
    return span is not None and span == identity_span(other)


def selector_fault(peer: Peer, local: Identification, remote: Identification) -> LocalConfigFault:
    """The fault for a selector that is not configured; ``local`` and ``remote`` as seen from here."""
    asked = f"{describe_span(local)} here, {describe_span(remote)} there"
    configured = ", ".join(f"{s.local_text} here, {s.remote_text} there" for s in peer.selectors[:MAX_LISTED])
    evidence = {"asked": asked, "configured": configured}
    hint = f"The peer asks for {asked}; configured are {configured}."
    selector = identities_selector(local, remote)
    close = _nearest(peer, selector) if selector else None
    if close:
        evidence["nearest"] = close
        hint += f" {close}"
    else:
        hint += " Make Local subnets and Private subnets the mirror image of the peer's."
    return LocalConfigFault(
        "ike.phase2.selectors",
        hint=hint,
        evidence=evidence,
        difference=selector_difference(peer, selector) if selector else None,
        notify=Notify.INVALID_ID_INFORMATION,
    )


def selector_difference(peer: Peer, asked: Selector) -> Difference:
    """The configured pairs against the one that the peer asks for, both as seen from here."""
    return compare([_cells(own) for own in peer.selectors[:MAX_LISTED]], [_cells(asked)])


def _cells(selector: Selector) -> Cells:
    ports = (selector.local_port, selector.remote_port)
    upper = "-".join(map(str, (selector.protocol, *ports))) if selector.protocol or any(ports) else ""
    return Cells(
        (("local subnet", str(selector.local)), ("remote subnet", str(selector.remote)), ("protocol and ports", upper))
    )


def _nearest(peer: Peer, asked: Selector) -> str | None:
    """A sentence about the configured selector that differs in one thing only."""
    if any(own.local == asked.remote and own.remote == asked.local for own in peer.selectors):
        return (
            f"The two are swapped: on the peer, {asked.remote} must be the remote subnet and {asked.local} its own, or "
            f"here {asked.local} belongs into Local subnets and {asked.remote} into Private subnets."
        )
    if is_everything(asked.remote):
        return _everything(peer, asked)
    for own in peer.selectors:
        if own[:2] == asked[:2]:
            return (
                f"Protocol or port differ: {own} here, {asked} asked for. Change the selector here, or the peer's, "
                "to the other's protocol and ports."
            )
    for own in peer.selectors:
        if own.local == asked.local and own.remote != asked.remote:
            return _sentence("Private subnets", own.remote, asked.remote)
    for own in peer.selectors:
        if own.remote == asked.remote and own.local != asked.local:
            return _sentence("Local subnets", own.local, asked.local)
    return _wider(peer, asked)


def _everything(peer: Peer, asked: Selector) -> str:
    """What to do about a peer that wants one pair for all it has, as AWS, Palo Alto and Juniper do by default."""
    peers = f"The peer asks for everything ({asked.remote}) as its own end, as gateways with tunnels by route do. "
    theirs = "or enter the configured subnets at the peer (as proxy IDs or traffic selectors)."
    own = next((selector for selector in peer.selectors if asked.covers(selector)), None)
    if own is None:
        return f"{peers}Its other end, {asked.local}, contains no local subnet here: compare Local subnets, {theirs}"
    limit = f"list “{asked.local}, {asked.remote}” under Accept wider to carry only what is configured in its tunnel"
    if own.local != asked.local:
        return f"{peers}Here, {limit}, {theirs}"
    return (
        f"{peers}Here, enter {asked.remote} under Private subnets to send it all traffic of {own.local}; or {limit}; "
        f"{theirs}"
    )


def _wider(peer: Peer, asked: Selector) -> str | None:
    """What to do about a peer that has merged subnets."""
    own = next((selector for selector in peer.selectors if asked.covers(selector)), None)
    if own is None:
        return None
    return (
        f"The peer has merged subnets: its {asked} contains {own}. Let it ask for the subnets one by one, or list what "
        "it may ask for under Accept wider."
    )


def _sentence(field: str, ours: Span, theirs: Span) -> str:
    what = "One subnet differs."
    if not isinstance(ours, AddressRange) and not isinstance(theirs, AddressRange) and _same_start(ours, theirs):
        what = f"The masks differ: /{ours.prefixlen} here, /{theirs.prefixlen} there."
    return f"{what} Change {ours} in the field {field} to {theirs}, or the peer's {theirs} to {ours}."


def _same_start(one: Network, other: Network) -> bool:
    return one.network_address == other.network_address
