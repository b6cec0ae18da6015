"""Policies of the kernel: how ours are numbered, ranked and recognized."""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Iterator
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
NO_MARK = (0, 0)
_IDENTITY = struct.Struct("=BIII")
_RANK, _RANK_PLACE = struct.Struct("=IIB"), 152  # priority, index and direction in xfrm_userpolicy_info
_REQID = struct.Struct("=I")
# A template with ends that nobody has (RFC 7600 section 4.8): it raises an acquire, wherever the peer is.
_NOWHERE = "192.0.0.8"


def reqid_of(peer_id: str, selector: Selector) -> int:
    """The same for the same peer and selector at each start, so that a new engine recognizes what it finds."""
    digest = hashlib.sha256(f"{peer_id} {selector}".encode()).digest()
    return REQIDS.start + int.from_bytes(digest[:4], "big") % len(REQIDS)


class Key(NamedTuple):
    """What identifies a policy to the kernel. ``mark`` is (value, mask) of the packets that it is for."""

    flow: Flow
    direction: int
    mark: tuple[int, int] = NO_MARK
    if_id: int = 0

    def attributes(self) -> list[tuple[str, bytes]]:
        """Mark and interface id as the kernel wants them."""
        return states.identifying(self.mark, self.if_id)

    def octets(self) -> bytes:
        """The same for the same policy of the kernel."""
        return self.flow.pack() + _IDENTITY.pack(self.direction, *self.mark, self.if_id)


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


def keys(policy: Policy) -> Iterator[Key]:
    """Every policy of the kernel for one of ours: three for each pair of its networks."""
    selector, mark, if_id = policy.selector, states.mark_of(policy.kernel), policy.kernel.if_id
    for local in networks(selector.local):
        for remote in networks(selector.remote):
            for direction in DIRECTIONS:
                yield Key(states.flow_of(selector, local, remote, direction == m.DIR_OUT), direction, mark, if_id)


def request(key: Key, policy: Policy, serves: Serving, up: bool) -> Request:
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
    return Request(m.UPDPOLICY, body, [("TMPL", template.pack()), *key.attributes()])


def removal(key: Key, index: int = 0) -> Request:
    """Remove a policy; by its ``index``, if it is known, which costs the kernel much less among thousands."""
    if index:
        return Request(m.DELPOLICY, structs.pack_policy_index(index, key.direction), key.attributes())
    return Request(m.DELPOLICY, structs.pack_policy_id(key.flow, key.direction), key.attributes())


def bypasses(policy: Policy) -> Iterator[Key]:
    """Traffic inside a local subnet stays outside of a tunnel to a wider one, such as everything.

    Where a route or a mark leads packets into the tunnel, it is their business.
    """
    selector = policy.selector
    if not policy.kernel.is_apart and covers(selector.remote, selector.local):
        for network in networks(selector.local):
            for direction in DIRECTIONS:
                yield Key(Flow(network, network), direction)


def bypass(key: Key) -> Request:
    """Let packets pass as they are."""
    rank = priority(key.flow, outbound=True)
    return Request(m.UPDPOLICY, structs.pack_policy(key.flow, key.direction, rank, m.ALLOW))


def own_packets(network: Network) -> Request:
    """Let the engine's own packets out as they are; they are known by their mark."""
    key = Key(Flow(network, network), m.DIR_OUT, (MARK, 0xFFFFFFFF))
    return Request(m.UPDPOLICY, structs.pack_policy(key.flow, m.DIR_OUT, _BYPASS, m.ALLOW), key.attributes())


class Found(NamedTuple):
    """A policy that the kernel has; ``number`` is the kernel's."""

    key: Key
    priority: int
    reqid: int
    spi_out: int
    number: int


def is_ours(message: Received) -> bool:
    """True if a policy of a dump is one of ours."""
    if _RANK.unpack_from(message.body, _RANK_PLACE)[0] not in PRIORITIES:
        return False
    template = message.attributes.get("TMPL", b"")
    return not template or _reqid(template) in REQIDS


def found(message: Received) -> Found | None:
    """Read a policy of a dump; None if it is not ours."""
    if not is_ours(message):
        return None
    rank, index, direction = _RANK.unpack_from(message.body, _RANK_PLACE)
    template = message.attributes.get("TMPL", b"")
    spi = int.from_bytes(template[16:20], "big")
    key = Key(structs.unpack_flow(message.body), direction, *mark_and_if_id(message))
    return Found(key, rank, _reqid(template), spi, index)


def index_of(message: Received) -> tuple[bytes, int]:
    """``Key.octets`` and number of a policy of a dump, without the cost of reading the rest."""
    _, index, direction = _RANK.unpack_from(message.body, _RANK_PLACE)
    mark, if_id = mark_and_if_id(message)
    return message.body[: structs.SELECTOR_SIZE] + _IDENTITY.pack(direction, *mark, if_id), index


def _reqid(template: bytes) -> int:
    return int(_REQID.unpack_from(template, 44)[0]) if len(template) >= structs.TEMPLATE_SIZE else 0


def mark_and_if_id(message: Received) -> tuple[tuple[int, int], int]:
    """What a policy has of both; zeros are none."""
    if_id = message.attributes.get("IF_ID")
    return states.mark_in(message), int.from_bytes(if_id or b"", sys.byteorder)
