"""What is wrong with a tunnel that carries nothing: the first fault on a packet's way, from what was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vpnengine.contract.diagnosis import Side, Sure, Verdict

if TYPE_CHECKING:
    from vpnengine.daemon.doctor import Findings

Judge = Callable[["Findings"], Verdict | None]


def judge(found: Findings) -> Verdict:
    """The verdict."""
    for one in _ORDER:
        if (verdict := one(found)) is not None:
            return verdict
    return _nothing(found)


def _no_sa(found: Findings) -> Verdict | None:
    if found.sa is not None:
        return None
    failure = found.status.last_failure
    text = f"The tunnel is not up. Its last failure: {failure.text}" if failure else "The tunnel is not up."
    here = failure.hint if failure else "Bring it up, and look at its handshake ladder."
    sides: dict[str, Side] = {"local": "local", "peer": "peer", "path": "path"}
    side = sides.get(failure.side, "unknown") if failure else "unknown"
    return Verdict(code="no_sa", title="There is no tunnel", side=side, sure="certain", text=text, here=here)


def _policy(found: Findings) -> Verdict | None:
    if found.covered:
        return None
    return Verdict(
        code="policy",
        title="The address is not in the tunnel's subnets",
        side="local",
        sure="certain",
        text=f"No pair of subnets of this peer has {found.target}, so nothing to it enters the tunnel.",
        here="Add the subnet of that address under Private subnets, or choose an address that is in them.",
        there="Add the same subnet to the tunnel on the gateway.",
    )


def _overlap(found: Findings) -> Verdict | None:
    one = found.overlap
    if one is None or found.into_tunnel:
        return None
    return Verdict(
        code="overlap",
        title="The peer's subnet is also here",
        side="local",
        sure="certain",
        text=f"{one.network} is connected to this host on {one.device}; packets to {found.target} stay there.",
        here="Give one of the two networks other addresses, or translate one of them.",
        there="Give the network behind the gateway other addresses, or translate it.",
    )


def _route(found: Findings) -> Verdict | None:
    if found.into_tunnel or found.route is None:
        return None
    return Verdict(
        code="route",
        title="Another route takes the packets",
        side="local",
        sure="certain",
        text=f"The packets do not go into the tunnel: {found.route.text}.",
        here="Remove the route that is more specific than, or goes before, the tunnel's.",
    )


def _refused_here(found: Findings) -> Verdict | None:
    """Nothing has gone out."""
    if found.pings is None or found.grown.get("packets_out"):
        return None
    denied = any("not permitted" in line.lower() for line in found.pings.errors)
    rules = [rule for rule in found.refusals if rule.hook in ("output", "postrouting", "other") or rule.packets]
    if denied or rules:
        text = "Packets to the peer's subnet are thrown away on this host before they reach the tunnel"
        text += f": {rules[0].text}." if rules else "."
        here = "Let packets to the peer's subnets leave: change that rule of the firewall."
        sure: Sure = "certain" if denied or rules[0].packets else "probable"
        return Verdict(code="firewall", title="The firewall here", side="local", sure=sure, text=text, here=here)
    text = "Pings were sent, and nothing has gone out through the SA. Why is not seen."
    here = "Look at the data path's conditions under VPN status, and at ctl stats for what it drops."
    return Verdict(code="not_sent", title="Nothing enters the SA", side="local", sure="possible", text=text, here=here)


def _damaged(found: Findings) -> Verdict | None:
    bad = found.grown.get("failed", 0) + found.grown.get("replayed", 0)
    if not bad or found.grown.get("packets_in"):
        return None
    return Verdict(
        code="damaged",
        title="What comes cannot be opened",
        side="unknown",
        sure="probable",
        text=f"{bad} packets came from the peer and failed: they are not authentic, or repeated.",
        here="Reset the tunnel, so that both ends agree on new keys.",
        there="Reset the tunnel on the gateway, and look for a device on the path that changes packets.",
    )


def _no_return(found: Findings) -> Verdict | None:
    if found.pings is None or found.grown.get("packets_in") or found.pings.received:
        return None
    return Verdict(
        code="return",
        title="Nothing comes back",
        side="peer",
        sure="probable",
        text=f"{found.grown.get('packets_out', 0)} packets went out through the SA, and none has come in: the peer's "
        "firewall drops them, the host there does not answer, or its way back does not lead into the tunnel.",
        here=f"Check that {found.target} answers pings there; choose another address to try if it does not.",
        there="Let the gateway pass what comes out of the tunnel, and let hosts there send answers to this site's "
        "subnets through the gateway.",
    )


def _far_host(found: Findings) -> Verdict | None:
    if found.pings is None or found.pings.received:
        return None
    told = next((line for line in found.pings.errors if "from" in line.lower()), "")
    if not told:
        return None
    return Verdict(
        code="far_host",
        title="The far side cannot reach the host",
        side="peer",
        sure="certain",
        text=f"The tunnel carries packets both ways. What came back is an error: {told}.",
        here=f"Try another address than {found.target}.",
        there="Check that the host is up, that its mask is right, and that no firewall there refuses it.",
    )


def _refused_inwards(found: Findings) -> Verdict | None:
    """Answers come out of the SA and do not arrive."""
    if found.pings is None or found.pings.received or not found.grown.get("packets_in"):
        return None
    rules = [rule for rule in found.refusals if rule.hook == "input" or rule.packets]
    text = "Answers come in through the SA and do not reach their program"
    text += f": {rules[0].text}." if rules else "; a filter of this host takes them away."
    return Verdict(
        code="firewall_in",
        title="The firewall here takes the answers",
        side="local",
        sure="certain" if rules and rules[0].packets else "probable",
        text=text,
        here="Let packets from the peer's subnets in: change that rule of the firewall.",
    )


def _too_large(found: Findings) -> Verdict | None:
    if found.large is None or found.large.received or not (found.pings and found.pings.received):
        return None
    return Verdict(
        code="mtu",
        title="Large packets get lost",
        side="path",
        sure="probable",
        text="Small packets come back, large ones do not: the path between the gateways drops large packets or "
        "fragments, and does not say so.",
        here="Enter a TCP segment size (MSS) of 1200 under Advanced, or forbid the outer fragments there.",
        there="Let the gateway clamp the TCP segment size of what goes through the tunnel, and let ICMP through.",
    )


def _not_forwarded(found: Findings) -> Verdict | None:
    if found.forwards is not False:
        return None
    return Verdict(
        code="forwarding",
        title="This host forwards nothing",
        side="local",
        sure="certain",
        text="The tunnel itself works from this host. What hosts behind it send is thrown away, as the kernel does not "
        "forward packets.",
        here="Turn forwarding on: sysctl net.ipv4.ip_forward=1 (net.ipv6.conf.all.forwarding=1 for IPv6).",
    )


def _forward_refused(found: Findings) -> Verdict | None:
    rules = [rule for rule in found.refusals if rule.hook == "forward"]
    if not rules or not (found.pings and found.pings.received):
        return None
    return Verdict(
        code="firewall_forward",
        title="The firewall here may refuse what hosts send",
        side="local",
        sure="certain" if rules[0].packets else "probable",
        text=f"The tunnel itself works from this host. What hosts behind it send meets {rules[0].text}.",
        here="Let packets between this site's and the peer's subnets be forwarded: change that rule of the firewall.",
    )


def _nothing(found: Findings) -> Verdict:
    if found.pings is None:
        text = "This host has no address inside the tunnel, so nothing could be sent; "
        text += (
            "packets have passed both ways meanwhile." if found.grown.get("packets_in") else "nothing passed meanwhile."
        )
        here = "Send pings from a host of a local subnet, and look again while they run."
        return Verdict(
            code="not_tried", title="Nothing could be tried", side="none", sure="possible", text=text, here=here
        )
    text = f"Pings from {found.source} to {found.target} are answered, small and large ones."
    here = "If a host behind this one still has no traffic, look at its default route: it has to lead here."
    return Verdict(
        code="healthy", title="The tunnel carries traffic", side="none", sure="certain", text=text, here=here
    )


_ORDER: tuple[Judge, ...] = (
    _no_sa,
    _policy,
    _overlap,
    _route,
    _refused_here,
    _damaged,
    _no_return,
    _far_host,
    _refused_inwards,
    _too_large,
    _not_forwarded,
    _forward_refused,
)
