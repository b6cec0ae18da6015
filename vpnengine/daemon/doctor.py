"""The doctor: a tunnel that is up and carries nothing is looked at from end to end, and gets one verdict.

Packets are sent from an address of this host inside the tunnel, if it has one, and counted where they pass. Whatever is
found is a ``Step`` with its evidence; the verdict is the first thing on a packet's way that is wrong.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vpnengine.contract.diagnosis import Examination, Result, Step
from vpnengine.contract.problems import Problem, Refused
from vpnengine.contract.status import PeerStatus, SaStatus
from vpnengine.daemon import host, verdicts
from vpnengine.dataplane.wide import is_wide
from vpnengine.esp.sa import Selector
from vpnengine.esp.spans import AddressRange

SMALL, COUNT = 56, 3
WATCH_S = 3.0
DEVICE = "culvert"
LARGE = 1200  # octets of data that every path worth the name carries
ICMP_HEADERS = {4: 28, 6: 48}


@dataclass
class Findings:
    """What has been found of one peer so far."""

    status: PeerStatus
    target: str
    source: str = ""
    sa: SaStatus | None = None
    covered: bool = False
    overlap: host.Connected | None = None
    route: host.Route | None = None
    into_tunnel: bool = False
    grown: dict[str, int] = field(default_factory=dict)
    pings: host.Pings | None = None
    large: host.Pings | None = None
    refusals: list[host.Rule] = field(default_factory=list)
    forwards: bool | None = None
    behind: bool = False  # the source is an address of a LAN, whose hosts need forwarding
    steps: list[Step] = field(default_factory=list)

    def note(self, name: str, title: str, result: Result, text: str, *evidence: str) -> None:
        """Add a step."""
        self.steps.append(Step(name=name, title=title, result=result, text=text, evidence=evidence))


class Doctor:
    """Examines one peer. ``status`` reads its present state, ``selectors`` are those that are configured."""

    def __init__(self, status: Callable[[], PeerStatus], selectors: tuple[Selector, ...]) -> None:
        self._status = status
        self._selectors = selectors

    async def examine(self, target: str = "") -> Examination:
        """Look at everything, and judge. Takes some seconds."""
        if not self._selectors:
            message = "this peer has no subnets of its own to try; its clients have addresses from a pool"
            raise Refused([Problem(field="peer", rule="no_subnets", message=message)])
        found = Findings(self._status(), target or default_target(self._selectors))
        await self._look_at_sa(found)
        if found.sa is not None:
            self._look_at_policy(found)
            await self._look_at_route(found)
            await self._look_at_firewall(found)
            await self._look_at_counters(found)
            await self._look_at_size(found)
            self._look_at_forwarding(found)
        verdict = verdicts.judge(found)
        return Examination(
            peer=found.status.id, source=found.source, target=found.target, steps=tuple(found.steps), verdict=verdict
        )

    async def _look_at_sa(self, found: Findings) -> None:
        live = [sa for sa in found.status.sas if sa.state == "mature"]
        addresses = await host.connected()
        found.source = source_for(self._selectors, found.target, addresses)
        pairs = {(s.local_text, s.remote_text): s for s in self._selectors}
        fitting = [sa for sa in live if _covers(pairs.get((sa.local, sa.remote)), found.source, found.target)]
        found.sa = next(iter(fitting or live), None)
        found.overlap = overlap(self._selectors, found.target, addresses)
        found.behind = any(str(one.address) == found.source and one.network.num_addresses > 2 for one in addresses)
        if found.sa is None:
            found.note("sa", "IPsec SA", "bad", "There is no IPsec SA with this peer: the tunnel is not up.")
            return
        text = f"There is one for {found.sa.local} here and {found.sa.remote} there."
        found.note("sa", "IPsec SA", "good", text, f"SPI in {found.sa.spi_in}, out {found.sa.spi_out}")

    def _look_at_policy(self, found: Findings) -> None:
        found.covered = any(_covers(one, found.source, found.target) for one in self._selectors)
        pairs = tuple(f"{one.local_text} – {one.remote_text}" for one in self._selectors[:8])
        if found.covered:
            found.note("policy", "Policy", "good", f"{found.target} is in the tunnel's subnets.", *pairs)
        else:
            found.note("policy", "Policy", "bad", f"{found.target} is in none of the tunnel's subnets.", *pairs)
        if found.overlap is None:
            found.note("overlap", "Overlap", "good", "No network of this host overlaps the peer's subnets.")
        else:
            text = f"{found.overlap.network} is connected to this host itself, on {found.overlap.device}."
            found.note("overlap", "Overlap", "bad", text, f"{found.overlap.address} on {found.overlap.device}")

    async def _look_at_route(self, found: Findings) -> None:
        found.route = await host.route(found.target, found.source)
        devices = await host.tunnel_devices()
        # The kernel's IPsec needs a route that exists; the other data paths one into their own device.
        ours = {name for name in devices if name.startswith(DEVICE)}
        found.into_tunnel = bool(found.route.device) and (not ours or found.route.device in ours)
        text = "Packets to it go into the tunnel." if found.into_tunnel else "Packets to it do not go into the tunnel."
        found.note("route", "Route", "good" if found.into_tunnel else "bad", text, found.route.text)

    async def _look_at_firewall(self, found: Findings) -> None:
        found.refusals = await host.refusals(found.source, found.target)
        if not found.refusals:
            found.note("firewall", "Firewall", "good", "No rule of this host throws such packets away.")
            return
        text = "This host has rules that may throw such packets away; whether they do is seen below."
        found.note("firewall", "Firewall", "unknown", text, *(rule.text for rule in found.refusals[:8]))

    async def _look_at_counters(self, found: Findings) -> None:
        before, rules = self._counters(found), {rule.handle: rule for rule in found.refusals}
        if found.source:
            found.pings = await host.ping(found.target, found.source, count=COUNT, size=SMALL)
        else:
            await asyncio.sleep(WATCH_S)
        await asyncio.sleep(0.3)
        after = self._counters(found)
        found.grown = {name: after[name] - before[name] for name in after}
        if rules:
            found.refusals = await _grown(rules, found)
        sent, came = found.grown["packets_out"], found.grown["packets_in"]
        text = f"{sent} packets went out through the SA and {came} came in"
        text += (
            f", for {found.pings.sent} pings and {found.pings.received} answers." if found.pings else ", on their own."
        )
        result: Result = "good" if sent and came else "bad" if found.pings else "unknown"
        found.note("counters", "Counters each way", result, text, *(found.pings.errors if found.pings else ()))

    def _counters(self, found: Findings) -> dict[str, int]:
        """Of all SA pairs together, as a rekey may come in between."""
        names = ("packets_in", "packets_out", "failed", "replayed")
        return {name: sum(getattr(sa, name) for sa in self._status().sas) for name in names}

    async def _look_at_size(self, found: Findings) -> None:
        if not (found.pings and found.pings.received):
            found.note("mtu", "Path MTU", "skipped", "Not even small packets come back.")
            return
        found.large = await host.ping(found.target, found.source, count=2, size=LARGE)
        size = LARGE + ICMP_HEADERS[ipaddress.ip_address(found.target).version]
        if found.large.received:
            found.note("mtu", "Path MTU", "good", f"Packets of {size} octets come back as well.")
        else:
            text = f"Packets of {SMALL + 28} octets come back, those of {size} octets do not."
            found.note("mtu", "Path MTU", "bad", text, *found.large.errors)

    def _look_at_forwarding(self, found: Findings) -> None:
        version = ipaddress.ip_address(found.target).version
        found.forwards = host.forwards(version)
        if found.forwards is False:
            found.note("forwarding", "Forwarding", "bad", "The kernel of this host forwards no packets.")
        else:
            found.note("forwarding", "Forwarding", "good", "The kernel of this host forwards packets.")


async def _grown(before: dict[str, host.Rule], found: Findings) -> list[host.Rule]:
    """The refusals again; ``packets`` is what their counters have grown by since."""
    now = await host.refusals(found.source, found.target)
    return [_since(rule, before.get(rule.handle)) for rule in now]


def _since(rule: host.Rule, old: host.Rule | None) -> host.Rule:
    if rule.packets is None or old is None or old.packets is None:
        return host.Rule(rule.hook, rule.text, None, rule.handle)
    return host.Rule(rule.hook, rule.text, rule.packets - old.packets, rule.handle)


def _bounds(span: Any) -> tuple[Any, Any]:
    """The first and the last address of a subnet or range."""
    if isinstance(span, AddressRange):
        return span.first, span.last
    return span.network_address, span.broadcast_address


def _inside(span: Any, text: str) -> bool:
    if not text:
        return True
    address = ipaddress.ip_address(text)
    first, last = _bounds(span)
    return bool(address.version == first.version and first <= address <= last)


def _covers(selector: Selector | None, source: str, target: str) -> bool:
    return selector is not None and _inside(selector.local, source) and _inside(selector.remote, target)


def default_target(selectors: tuple[Selector, ...]) -> str:
    """The first host behind the peer: most often its gateway's own inner address."""
    first, last = _bounds(selectors[0].remote)
    return str(first if first == last else first + 1)


def source_for(selectors: tuple[Selector, ...], target: str, addresses: list[host.Connected]) -> str:
    """An address of this host inside the tunnel: of a selector that has the target, if there is one; else empty."""
    ordered = sorted(selectors, key=lambda one: not _inside(one.remote, target))
    for selector in ordered:
        for one in addresses:
            if not one.address.is_loopback and _inside(selector.local, str(one.address)):
                return str(one.address)
    return ""


def overlap(selectors: tuple[Selector, ...], target: str, addresses: list[host.Connected]) -> host.Connected | None:
    """A network of this host that the target is in, or that overlaps the peer's subnets."""
    for one in addresses:
        if one.network.num_addresses == 1 or one.address.is_loopback or one.address.is_link_local:
            continue
        if ipaddress.ip_address(target) in one.network:
            return one
        for selector in selectors:
            if is_wide(selector):
                continue  # what is connected here stays outside
            first, last = _bounds(selector.remote)
            if first.version == one.network.version and first <= one.network[-1] and one.network[0] <= last:
                return one
    return None
