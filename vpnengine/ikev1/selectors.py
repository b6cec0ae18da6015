"""Why a pair of subnets is refused, in words that name the one that was probably meant."""

from __future__ import annotations

from vpnengine.esp.sa import Network, Selector
from vpnengine.ikev1.faults import LocalConfigFault
from vpnengine.ikev1.identities import describe_network, identity_network
from vpnengine.ikev1.model import Peer
from vpnengine.isakmp.constants import Notify
from vpnengine.isakmp.payloads import Identification


def selector_fault(peer: Peer, local: Identification, remote: Identification) -> LocalConfigFault:
    """The fault for a selector that is not configured; ``local`` and ``remote`` as seen from here."""
    asked = f"{describe_network(local)} here, {describe_network(remote)} there"
    configured = ", ".join(f"{s.local} here, {s.remote} there" for s in peer.selectors)
    evidence = {"asked": asked, "configured": configured}
    hint = f"The peer asks for {asked}; configured are {configured}."
    close = _nearest(peer, identity_network(local), identity_network(remote))
    if close:
        evidence["nearest"] = close
        hint += f" {close}"
    else:
        hint += " Make Local subnets and Private subnets the mirror image of the peer's."
    return LocalConfigFault("ike.phase2.selectors", hint=hint, evidence=evidence, notify=Notify.INVALID_ID_INFORMATION)


def _nearest(peer: Peer, local: Network | None, remote: Network | None) -> str | None:
    """A sentence about the configured selector that differs in one side only."""
    if local is None or remote is None:
        return None
    for selector in peer.selectors:
        if selector.local == local and selector.remote != remote:
            return _sentence("Private subnets", selector.remote, remote, selector, remote)
    for selector in peer.selectors:
        if selector.remote == remote and selector.local != local:
            return _sentence("Local subnets", selector.local, local, selector, local)
    return None


def _sentence(field: str, ours: Network, theirs: Network, selector: Selector, asked: Network) -> str:
    same_start = ours.network_address == theirs.network_address
    what = (
        f"The masks differ: /{ours.prefixlen} here, /{theirs.prefixlen} there." if same_start else "One subnet differs."
    )
    return f"{what} Change {ours} in the field {field} to {asked}, or the peer's {asked} to {ours}."
