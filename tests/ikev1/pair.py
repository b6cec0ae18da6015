"""Two endpoints joined in memory under a virtual clock; any datagram can be lost, doubled or held back."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vpnengine.contract.config import EngineConfig, parse_config
from vpnengine.contract.events import EventBody
from vpnengine.esp.sa import Address, IpsecSaPair
from vpnengine.ikev1.endpoint import IkeEndpoint
from vpnengine.ikev1.interface import (
    Command,
    Configure,
    InstallSa,
    MoveSa,
    RemoveSa,
    Resolve,
    Resolved,
    Transmit,
)

LEFT, RIGHT = "192.0.2.1", "192.0.2.2"
PSK = "correct horse battery staple"


def peer_row(**changes: Any) -> dict[str, Any]:
    """A peer as the left side configures it."""
    row: dict[str, Any] = {
        "id": "right",
        "name": "Right",
        "remote": RIGHT,
        "psk": PSK,
        "local_subnets": ["10.1.0.0/24"],
        "remote_subnets": ["10.2.0.0/24"],
        "start": "responder",
    }
    return row | changes


def mirrored(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The same tunnel as the right side configures it."""
    mirror = row | {
        "id": "left",
        "name": "Left",
        "remote": LEFT,
        "local_subnets": row["remote_subnets"],
        "remote_subnets": row["local_subnets"],
        "start": "responder",
    }
    return mirror | changes


def document(*rows: dict[str, Any], revision: int = 1) -> EngineConfig:
    return parse_config({"revision": revision, "peers": list(rows)})


@dataclass
class Node:
    """One endpoint with what its shell would keep."""

    host: str
    endpoint: IkeEndpoint
    events: list[EventBody] = field(default_factory=list)
    installed: dict[int, IpsecSaPair] = field(default_factory=dict)
    outbound: list[int] = field(default_factory=list)

    def codes(self) -> list[str]:
        return [event.code for event in self.events]

    def last(self, code: str) -> EventBody:
        return next(event for event in reversed(self.events) if event.code == code)


class Network:
    """Carries datagrams between two nodes, and moves the clock from timer to timer."""

    def __init__(
        self, left: EngineConfig, right: EngineConfig, *, raw_esp: bool = True, seed: int = 1, keep: bool = False
    ) -> None:
        self.now = 1000.0
        self.random = random.Random(seed)
        rng = self.random.randbytes
        self.wall = 1_800_000_000.0  # the wall clock at virtual time 0
        self.left = Node(LEFT, IkeEndpoint(rng, raw_esp, lambda: self.wall + self.now, keep))
        self.right = Node(RIGHT, IkeEndpoint(rng, raw_esp, lambda: self.wall + self.now, keep))
        self.asleep: list[Node] = []  # as suspended machines: they do nothing and hear nothing
        self.flying: list[tuple[float, int, Node, Transmit]] = []
        self.sent: list[tuple[str, Transmit]] = []
        self.fate: Callable[[int, str, Transmit], list[float]] = lambda number, source, transmit: [0.01]
        self.count = 0
        self.nodes = [self.left, self.right]
        for node, config in ((self.left, left), (self.right, right)):
            self.command(node, Configure(config))

    def join(self, host: str, config: EngineConfig, raw_esp: bool = True) -> Node:
        """A further node, which the others reach by its address."""
        node = Node(host, IkeEndpoint(self.random.randbytes, raw_esp, lambda: self.wall + self.now))
        self.nodes.append(node)
        self.command(node, Configure(config))
        return node

    def other(self, node: Node) -> Node:
        return self.right if node is self.left else self.left

    def at(self, node: Node, transmit: Transmit) -> Node:
        """Who gets what ``node`` sends."""
        return next((n for n in self.nodes if n.host == transmit.remote.host), self.other(node))

    def command(self, node: Node, command: Command) -> None:
        node.endpoint.command(command, self.now)
        self.drain(node)

    def drain(self, node: Node) -> None:
        node.events += node.endpoint.events()
        for transmit in node.endpoint.transmits():
            self.count += 1
            self.sent.append((node.host, transmit))
            for delay in self.fate(self.count, node.host, transmit):
                self.flying.append((self.now + delay, self.count, self.at(node, transmit), transmit))
        for effect in node.endpoint.effects():
            self._effect(node, effect)

    def _effect(self, node: Node, effect: object) -> None:
        match effect:
            case InstallSa(pair, outbound):
                node.installed[pair.spi_in] = pair
                if outbound and pair.spi_in not in node.outbound:
                    node.outbound.append(pair.spi_in)
            case RemoveSa(spi_in):
                node.installed.pop(spi_in, None)
                if spi_in in node.outbound:
                    node.outbound.remove(spi_in)
            case MoveSa(spi_in, remote):
                assert spi_in in node.installed and remote.host
            case Resolve(peer_id, host):
                self.command(node, Resolved(peer_id, host, node.host, host))

    def step(self) -> bool:
        """Deliver the next datagram or run the next timer, whichever comes first."""
        due: list[tuple[float, int, Callable[[], None]]] = []
        for item in self.flying:
            due.append((item[0], item[1], lambda item=item: self._deliver(item)))
        for node in self.nodes:
            if node in self.asleep:
                continue
            timer = node.endpoint.next_timer()
            if timer is not None:
                due.append((timer[0], 1 << 60, lambda node=node: self._timer(node)))
        if not due:
            return False
        when, _, action = min(due, key=lambda row: row[:2])
        self.now = max(self.now, when)
        action()
        return True

    def _deliver(self, item: tuple[float, int, Node, Transmit]) -> None:
        self.flying.remove(item)
        _, _, node, transmit = item
        if node in self.asleep:
            return
        node.endpoint.receive(transmit.payload, transmit.remote, transmit.local, self.now)
        self.drain(node)

    def _timer(self, node: Node) -> None:
        node.endpoint.handle_timer(self.now)
        self.drain(node)

    def run(self, seconds: float, until: Callable[[], bool] | None = None, limit: int = 20_000) -> bool:
        """Run for virtual seconds, or until a condition holds. Bounded in steps."""
        end = self.now + seconds
        for _ in range(limit):
            if until is not None and until():
                return True
            if self._next_at() > end or not self.step():
                self.now = end
                return until() if until is not None else True
        raise AssertionError(f"no end after {limit} steps")

    def _next_at(self) -> float:
        times = [item[0] for item in self.flying]
        times += [t[0] for n in self.nodes if n not in self.asleep and (t := n.endpoint.next_timer()) is not None]
        return min(times, default=float("inf"))

    def pairs_agree(self, count: int) -> bool:
        """Both ends send on ``count`` pairs, each into one that the other has, with equal keys."""
        for node in (self.left, self.right):
            other = self.other(node)
            if len(node.outbound) != count:
                return False
            for spi in node.outbound:
                pair = node.installed[spi]
                twin = other.installed.get(pair.spi_out)
                if twin is None or twin.spi_out != pair.spi_in or twin.keys_in != pair.keys_out:
                    return False
                if twin.selector != pair.selector.mirrored():
                    return False
        return True


__all__ = ["LEFT", "PSK", "RIGHT", "Address", "Network", "Node", "document", "mirrored", "peer_row"]
