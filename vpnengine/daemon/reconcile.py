"""What a new configuration changes."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Container, Iterator
from dataclasses import dataclass, fields

from vpnengine.contract.config import EngineConfig, PeerConfig, StartMode
from vpnengine.contract.digest import config_digest
from vpnengine.contract.problems import Problem
from vpnengine.dataplane.base import Capabilities, Policy
from vpnengine.esp.sa import Selector
from vpnengine.esp.spans import covers
from vpnengine.ikev1.credentials import credential_problems
from vpnengine.ikev1.interface import Changes
from vpnengine.ikev1.model import make_peer


@dataclass(frozen=True)
class Difference:
    """Peer ids by what happens to them."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]

    @property
    def touched(self) -> bool:
        """True if anything changes."""
        return bool(self.added or self.changed or self.removed)

    def as_dict(self) -> dict[str, list[str]]:
        """For the answer to ``apply``."""
        return {field.name: list(getattr(self, field.name)) for field in fields(self)}


def compare(old: EngineConfig, new: EngineConfig) -> Difference:
    """Compare two configurations peer by peer."""
    before = {peer.id: peer for peer in old.peers}
    after = {peer.id: peer for peer in new.peers}
    kept = [i for i in after if i in before]
    return Difference(
        added=tuple(i for i in after if i not in before),
        changed=tuple(i for i in kept if after[i] != before[i]),
        removed=tuple(i for i in before if i not in after),
        unchanged=tuple(i for i in kept if after[i] == before[i]),
    )


@dataclass(frozen=True)
class Plan:
    """What is to be done for a new configuration; nothing, if there are problems or it is not ``effective``.

    ``config`` is the new document, which shares the rows that are equal with the old one. ``unusable`` are
    the peers that this data path cannot carry: they are left out of ``changes`` and ``peers``, while their
    ``policies`` stay, so that their traffic is dropped and does not leave in the clear.
    """

    difference: Difference
    problems: tuple[Problem, ...]
    effective: bool
    policies: tuple[Policy, ...]
    peers: dict[str, PeerConfig]
    config: EngineConfig
    digest: str
    changes: Changes
    unusable: dict[str, Problem]


def make_plan(old: EngineConfig, new: EngineConfig, capabilities: Capabilities) -> Plan:
    """Everything about a change that needs no access to the running engine."""
    difference = compare(old, new)
    problems = own_address_problems(new) + credential_problems(new)
    problems += _restart_problems(old, new)
    unusable = unusable_peers(new, capabilities)
    config = _sharing(old, new, difference)
    before = {peer.id: peer for peer in old.peers if _unusable(peer, capabilities) is None}
    after = {peer.id: peer for peer in config.peers if peer.id not in unusable}
    return Plan(
        difference=difference,
        problems=tuple(problems),
        effective=difference.touched
        or any(getattr(new, name) != getattr(old, name) for name in ("revision", "xauth", "pools")),
        policies=tuple(_policies(config, unusable)),
        peers=after,
        config=config,
        digest=config_digest(config),
        changes=_changes(before, after),
        unusable=unusable,
    )


def _sharing(old: EngineConfig, new: EngineConfig, difference: Difference) -> EngineConfig:
    """The new document with the old one's rows where they are equal: thousands of them need not be there twice."""
    before, unchanged = {peer.id: peer for peer in old.peers}, set(difference.unchanged)
    peers = tuple(before[peer.id] if peer.id in unchanged else peer for peer in new.peers)
    return new.model_copy(update={"peers": peers})


def _changes(before: dict[str, PeerConfig], after: dict[str, PeerConfig]) -> Changes:
    """Rows that are equal are the same objects here."""
    return Changes(
        removed=tuple(peer_id for peer_id in before if peer_id not in after),
        changed={i: row for i, row in after.items() if i in before and before[i] is not row},
        added={i: row for i, row in after.items() if i not in before},
    )


def _restart_problems(old: EngineConfig, new: EngineConfig) -> list[Problem]:
    message = "cannot change while the engine runs; restart the engine with the new value"
    changed = [name for name in ("listen", "dataplane") if getattr(new, name) != getattr(old, name)]
    return [Problem(field=name, rule="restart_needed", message=message) for name in changed]


def _policies(config: EngineConfig, unusable: Container[str]) -> Iterator[Policy]:
    for peer in config.peers:
        if peer.id in unusable:
            yield from _blocked(peer)
            continue
        acquire = peer.start is not StartMode.RESPONDER
        for selector in make_peer(peer).selectors:
            yield Policy(peer.id, selector, acquire, peer.phase2.mode, peer.kernel)


def _blocked(peer: PeerConfig) -> Iterator[Policy]:
    """What keeps the traffic of a peer that is left out from leaving in the clear."""
    if peer.kernel.route_based is None:
        for selector in make_peer(peer).selectors:
            # Only a mark tells such traffic from everybody's, and nothing here looks at marks.
            if not (covers(selector.local, selector.remote) or covers(selector.remote, selector.local)):
                yield Policy(peer.id, selector, False, peer.phase2.mode)
        return
    # Its selectors say little: what would be led to its interface stays here.
    for route in map(ipaddress.ip_network, peer.kernel.route_based.routes):
        anywhere = ipaddress.ip_network("0.0.0.0/0" if route.version == 4 else "::/0")
        yield Policy(peer.id, Selector(anywhere, route), False)


def own_address_problems(config: EngineConfig) -> list[Problem]:
    """A peer whose address is one of this host's own would negotiate with itself."""
    problems = []
    for index, peer in enumerate(config.peers):
        if str(peer.local_address) == peer.remote or _is_own(peer.remote):
            message = f"{peer.remote} is an address of this appliance itself; enter the other gateway's"
            problems.append(Problem(field=f"peers.{index}.remote", rule="own_address", message=message))
    return problems


def unusable_peers(config: EngineConfig, capabilities: Capabilities) -> dict[str, Problem]:
    """Peers that want what this data path cannot carry, by id. The others are none the worse for it."""
    found = {}
    for index, peer in enumerate(config.peers):
        unusable = _unusable(peer, capabilities)
        if unusable is not None:
            field, message = unusable
            found[peer.id] = Problem(field=f"peers.{index}.{field}", rule="data_path", message=message)
    return found


def _unusable(peer: PeerConfig, capabilities: Capabilities) -> tuple[str, str] | None:
    """The field and a sentence, if the data path cannot carry what a peer is configured for."""
    if peer.phase2.mode == "transport" and not capabilities.transport:
        return "phase2.mode", (
            f"peer “{peer.name}” is set to transport mode, and the data path “{capabilities.name}” carries tunnel mode "
            "only; choose tunnel mode on both gateways"
        )
    if not capabilities.ah and any(proposal.protocol == "ah" for proposal in peer.phase2.proposals):
        return "phase2.proposals", (
            f"peer “{peer.name}” is set to AH, and the data path “{capabilities.name}” carries ESP only; choose ESP on "
            "both gateways"
        )
    if peer.kernel.route_based is not None and not capabilities.interfaces:
        return "kernel.route_based.interface", (
            f"peer “{peer.name}” is route-based, and the data path “{capabilities.name}” has no interfaces for peers; "
            "use the kernel's IPsec, or selectors without an interface"
        )
    if peer.kernel.mark is not None and not capabilities.marks:
        return "kernel.mark", (
            f"peer “{peer.name}” is chosen by a mark, and the data path “{capabilities.name}” looks at addresses only; "
            "use the kernel's IPsec, or leave the mark out"
        )
    return None


def _is_own(host: str) -> bool:
    """True if a socket can be bound to this numeric address. Loopback is left to tests and labs."""
    if host.startswith("127.") or host == "::1":
        return False
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if family == socket.AF_INET and not host.replace(".", "").isdigit():
        return False
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
    except OSError:
        return False
    return True
