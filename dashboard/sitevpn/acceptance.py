"""Accepting what a peer offers: its proposal or its subnet becomes part of this side's configuration.

It is a normal change of a peer: one row, one revision, one line in the history.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from dashboard.sitevpn import services
from dashboard.sitevpn.models import Peer
from dashboard.sitevpn.presets import CUSTOM
from vpnengine.contract.algorithms import Algorithm, DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.contract.problems import Problem, Refused

_KINDS: dict[int, dict[str, type[Algorithm]]] = {
    1: {"encryption": IkeEncryption, "hash": IkeHash, "group": DhGroup},
    2: {"encryption": EspEncryption, "integrity": EspIntegrity, "pfs": DhGroup},
}
_FREE = {"integrity", "pfs"}  # may be absent


@dataclass(frozen=True)
class Acceptance:
    """What accepting would do: ``policy`` as a custom policy, ``name`` in words, each weakness as a sentence."""

    policy: dict[str, Any]
    name: str
    weaknesses: tuple[str, ...]

    @property
    def is_weak(self) -> bool:
        """True if “Allow legacy algorithms” has to be on for it."""
        return bool(self.weaknesses)


def proposal(peer: Peer, phase: int, theirs: dict[str, str]) -> Acceptance:
    """What it takes to accept a proposal of the peer; ``theirs`` maps attributes to values, empty if absent.

    What was accepted before stays accepted.

    :raises Refused: naming the attribute whose value this side does not have.
    """
    values = {name: _known(kind, name, theirs.get(name, "")) for name, kind in _KINDS[phase].items()}
    policy = copy.deepcopy(services.policy_of(peer))
    row = {name: values[name] for name in _KINDS[phase] if name != "pfs"}
    part = policy[f"phase{phase}"]
    part["proposals"] = [*(p for p in part["proposals"] if _same(p) != row), row]
    if phase == 2:
        _take_group(part, values["pfs"])
    weak = [
        f"{value}: {kind(value).weakness}"
        for name, kind in _KINDS[phase].items()
        if (value := values[name]) and kind(value).weakness
    ]
    if weak:
        policy["legacy"] = True
    return Acceptance(policy, "-".join(value for value in values.values() if value), tuple(weak))


def _same(row: dict[str, Any]) -> dict[str, Any]:
    """A proposal with its absent integrity said."""
    return row if "hash" in row else {"encryption": row["encryption"], "integrity": row.get("integrity")}


def _known(kind: type[Algorithm], name: str, value: str) -> str | None:
    if not value and name in _FREE:
        return None
    try:
        return kind(value).value
    except ValueError:
        message = f"this side does not have “{value or 'none'}” as {name}; the peer has to offer another one"
        raise Refused([Problem(field=name, rule="unknown", message=message)]) from None


def _take_group(part: dict[str, Any], group: str | None) -> None:
    """The peer's PFS group is offered from now on; the one before is still accepted when the peer begins."""
    before = part.get("pfs_group")
    if before == group:
        return
    also = [name for name in (before, *part.get("pfs_also", [])) if name and name != group]
    part |= {"pfs_group": group, "pfs_also": list(dict.fromkeys(also))}


def accept_proposal(
    peer: Peer, phase: int, theirs: dict[str, str], *, weak_is_fine: bool, author_id: int | None
) -> Acceptance:
    """Accept it, and publish the configuration.

    :raises Refused: if it is weak and ``weak_is_fine`` is not said, or if the configuration would not be valid.
    """
    found = proposal(peer, phase, theirs)
    if found.is_weak and not weak_is_fine:
        message = f"{'; '.join(found.weaknesses)}. Tick that you accept it, or let the peer offer something stronger"
        raise Refused([Problem(field="weak", rule="weak", message=message)])
    peer.preset, peer.policy, peer.stored_policy = CUSTOM, found.policy, None
    services.save_peer(peer, author_id=author_id, expected_edit=peer.edit)
    return found


def accept_subnet(peer: Peer, ours: str, theirs: str, *, author_id: int | None) -> None:
    """Replace one of the peer's private subnets by the one that the peer asks for.

    :raises Refused: if ``ours`` is none of them, or the configuration would not be valid.
    """
    if ours not in peer.remote_subnets:
        message = f"{ours} is none of the private subnets any more; somebody has changed them"
        raise Refused([Problem(field="remote_subnets", rule="changed", message=message)])
    peer.remote_subnets = [theirs if subnet == ours else subnet for subnet in peer.remote_subnets]
    services.save_peer(peer, author_id=author_id, expected_edit=peer.edit)
