"""What a new configuration changes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from vpnengine.contract.config import EngineConfig, PeerConfig, StartMode
from vpnengine.contract.problems import Problem
from vpnengine.dataplane.base import Capabilities, Policy
from vpnengine.ikev1.credentials import credential_problems
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
        return {name: list(ids) for name, ids in asdict(self).items()}


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
    """What is to be done for a new configuration; nothing, if there are problems or it is not ``effective``."""

    difference: Difference
    problems: tuple[Problem, ...]
    effective: bool
    policies: tuple[Policy, ...]
    peers: dict[str, PeerConfig]


def make_plan(old: EngineConfig, new: EngineConfig, capabilities: Capabilities) -> Plan:
    """Everything about a change that needs no access to the running engine."""
    difference = compare(old, new)
    problems = own_address_problems(new) + credential_problems(new)
    problems += data_path_problems(new, capabilities) + _restart_problems(old, new)
    return Plan(
        difference=difference,
        problems=tuple(problems),
        effective=difference.touched
        or any(getattr(new, name) != getattr(old, name) for name in ("revision", "xauth", "pools")),
        policies=tuple(_policies(new)),
        peers={peer.id: peer for peer in new.peers},
    )


def _restart_problems(old: EngineConfig, new: EngineConfig) -> list[Problem]:
    message = "cannot change while the engine runs; restart the engine with the new value"
    changed = [name for name in ("listen", "dataplane") if getattr(new, name) != getattr(old, name)]
    return [Problem(field=name, rule="restart_needed", message=message) for name in changed]


def _policies(config: EngineConfig) -> Iterator[Policy]:
    for peer in config.peers:
        for selector in make_peer(peer).selectors:
            yield Policy(peer.id, selector, peer.start is not StartMode.RESPONDER)


def own_address_problems(config: EngineConfig) -> list[Problem]:
    """A peer whose address is one of this host's own would negotiate with itself."""
    problems = []
    for index, peer in enumerate(config.peers):
        if str(peer.local_address) == peer.remote or _is_own(peer.remote):
            message = f"{peer.remote} is an address of this appliance itself; enter the other gateway's"
            problems.append(Problem(field=f"peers.{index}.remote", rule="own_address", message=message))
    return problems


def data_path_problems(config: EngineConfig, capabilities: Capabilities) -> list[Problem]:
    """What a peer wants and this data path cannot carry."""
    problems = []
    for index, peer in enumerate(config.peers):
        if peer.phase2.mode == "transport" and not capabilities.transport:
            message = (
                f"peer “{peer.name}” is set to transport mode, and the data path “{capabilities.name}” carries tunnel "
                "mode only; choose tunnel mode on both gateways"
            )
            problems.append(Problem(field=f"peers.{index}.phase2.mode", rule="data_path", message=message))
        if not capabilities.ah and any(proposal.protocol == "ah" for proposal in peer.phase2.proposals):
            message = (
                f"peer “{peer.name}” is set to AH, and the data path “{capabilities.name}” carries ESP only; choose "
                "ESP on both gateways"
            )
            problems.append(Problem(field=f"peers.{index}.phase2.proposals", rule="data_path", message=message))
    return problems


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
