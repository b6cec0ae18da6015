"""Policies of the kernel: how ours are numbered, ranked and recognized."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.udp import MARK
from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm import states, structs
from vpnengine.dataplane.xfrm.netlink import Received, Request
from vpnengine.dataplane.xfrm.structs import Flow, Template
from vpnengine.esp.sa import IpsecSaPair, Selector
from vpnengine.esp.spans import Network, covers, networks

# What is ours among the kernel's states and policies, and nobody else's: request ids and priorities in these ranges.
REQIDS = range(0x40000000, 0x80000000)
PRIORITIES = range(0x43550000, 0x43590000)  # the lowest number comes first; others' policies mostly have lower ones
_BYPASS = PRIORITIES.start
_FIRST = PRIORITIES.start + 0x100
DIRECTIONS = (m.DIR_OUT, m.DIR_IN, m.DIR_FORWARD)
# A template with ends that nobody has (RFC 7600 section 4.8): it raises an acquire, wherever the peer is.
_NOWHERE = "192.0.0.8"


def reqid_of(peer_id: str, selector: Selector) -> int:
    """The same for the same peer and selector at each start, so that a new engine recognizes what it finds."""
    digest = hashlib.sha256(f"{peer_id} {selector}".encode()).digest()
    return REQIDS.start + int.from_bytes(digest[:4], "big") % len(REQIDS)


class Key(NamedTuple):
    """What identifies a policy to the kernel, besides its mark and if_id."""

    flow: Flow
    direction: int


@dataclass(frozen=True)
class Serving:
    """The states that serve a policy; the outbound one by its SPI, so that exactly the newest pair sends."""

    reqid: int
    protocol: int = structs.ESP
    mode: int = structs.TUNNEL
    spi_out: int = 0
    local: str = _NOWHERE
    remote: str = _NOWHERE


def serving(pair: IpsecSaPair, reqid: int) -> Serving:
    """The states of a pair."""
    return Serving(reqid, states.protocol(pair), states.mode(pair), pair.spi_out, pair.local.host, pair.remote.host)


def priority(flow: Flow, outbound: bool) -> int:
    """The longest remote prefix first, then the longest local one, then protocol and ports."""
    remote, local = (flow.destination, flow.source) if outbound else (flow.source, flow.destination)
    exact = bool(flow.protocol) + bool(flow.source_port) + bool(flow.destination_port)
    return _FIRST + ((128 - remote.prefixlen) * 129 + 128 - local.prefixlen) * 4 + 3 - exact


def keys(selector: Selector) -> Iterator[Key]:
    """Every policy of a selector: three for each pair of its networks."""
    for local in networks(selector.local):
        for remote in networks(selector.remote):
            for direction in DIRECTIONS:
                yield Key(states.flow_of(selector, local, remote, direction == m.DIR_OUT), direction)


def request(key: Key, policy: Policy, serves: Serving, up: bool, extras: states.Extras = states.NO_EXTRAS) -> Request:
    """Set a policy, whether it is there or not.

    With ``up`` False nothing serves it yet: what goes out raises an acquire, or is blocked if only the peer may begin;
    what comes in is not from the tunnel, and is refused.
    """
    outbound = key.direction == m.DIR_OUT
    family = structs.family_of(serves.remote)
    template = Template(
        serves.local if outbound else None,
        serves.remote if outbound else None,
        family,
        serves.reqid,
        serves.protocol,
        serves.mode,
        serves.spi_out if outbound else 0,
    )
    action = m.BLOCK if outbound and not up and not policy.acquire else m.ALLOW
    body = structs.pack_policy(key.flow, key.direction, priority(key.flow, outbound), action)
    return Request(m.UPDPOLICY, body, [("TMPL", template.pack()), *extras.of_policy()])


def removal(key: Key, attributes: list[tuple[str, bytes]] | None = None) -> Request:
    """Remove a policy."""
    return Request(m.DELPOLICY, structs.pack_policy_id(*key), attributes or [])


def bypasses(policies: Iterable[Policy]) -> Iterator[Key]:
    """Traffic inside a local subnet stays outside of a tunnel to a wider one, such as everything."""
    for policy in policies:
        selector = policy.selector
        if covers(selector.remote, selector.local):
            for network in networks(selector.local):
                for direction in DIRECTIONS:
                    yield Key(Flow(network, network), direction)


def bypass(key: Key) -> Request:
    """Let packets pass as they are."""
    rank = priority(key.flow, outbound=True)
    return Request(m.UPDPOLICY, structs.pack_policy(key.flow, key.direction, rank, m.ALLOW))


def own_packets(network: Network) -> Request:
    """Let the engine's own packets out as they are; they are known by their mark."""
    flow = Flow(network, network)
    return Request(m.UPDPOLICY, structs.pack_policy(flow, m.DIR_OUT, _BYPASS, m.ALLOW), [_own_mark()])


def _own_mark() -> tuple[str, bytes]:
    return ("MARK", struct.pack("=II", MARK, 0xFFFFFFFF))


class Found(NamedTuple):
    """A policy that the kernel has."""

    key: Key
    priority: int
    reqid: int
    spi_out: int
    identity: list[tuple[str, bytes]]


def found(message: Received) -> Found | None:
    """Read a policy of a dump; None if it is not ours."""
    body = message.body
    rank, _, direction = struct.unpack_from("=IIB", body, 152)
    if rank not in PRIORITIES:
        return None
    template = message.attributes.get("TMPL", b"")
    reqid = struct.unpack_from("=I", template, 44)[0] if len(template) >= structs.TEMPLATE_SIZE else 0
    spi = int.from_bytes(template[16:20], "big")
    if template and reqid not in REQIDS:
        return None
    identity: list[tuple[str, bytes]] = [
        (name, message.attributes[name]) for name in ("MARK", "IF_ID") if name in message.attributes
    ]
    return Found(Key(structs.unpack_flow(body), direction), rank, reqid, spi, identity)
