"""What a configuration would do to the tunnels that are up now, without doing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vpnengine.contract.config import EngineConfig, PeerConfig
from vpnengine.contract.difference import PeerEffect, changed_fields, effect_of
from vpnengine.contract.problems import Problem
from vpnengine.contract.trace import NegotiationTrace
from vpnengine.daemon.reconcile import Difference, Plan
from vpnengine.ikev1.endpoint import IkeEndpoint


@dataclass(frozen=True)
class Trial:
    """The outcome: peers by what happens to them, what that does to their tunnels, and who would be left out."""

    revision: int
    digest: str
    difference: Difference
    effects: tuple[PeerEffect, ...]
    left_out: tuple[Problem, ...]

    def as_dict(self) -> dict[str, Any]:
        """For the answer to ``apply`` with ``dry_run``."""
        return {
            "revision": self.revision,
            "digest": self.digest,
            **self.difference.as_dict(),
            "effects": [effect.model_dump(mode="json") for effect in self.effects],
            "left_out": [problem.model_dump() for problem in self.left_out],
        }


def make_trial(endpoint: IkeEndpoint, present: EngineConfig, plan: Plan) -> Trial:
    """Ask the protocol about each peer that a plan touches."""
    difference = plan.difference
    wanted = {*difference.added, *difference.changed, *difference.removed}
    before = {peer.id: peer for peer in present.peers if peer.id in wanted}
    after = {peer.id: peer for peer in plan.config.peers if peer.id in wanted}
    touched = (*difference.removed, *difference.changed, *difference.added)
    effects = []
    for peer_id in touched:
        old, new = before.get(peer_id), after.get(peer_id)
        kept = None if peer_id in plan.unusable else new
        effects.append(
            PeerEffect(
                peer=peer_id,
                name=_name(old, new),
                effect=effect_of(old, new),
                fields=tuple(sorted(changed_fields(old, new))) if old and new else (),
                pairs=endpoint.would_end(peer_id, kept),
                took_s=_took(endpoint.negotiations(peer_id, 0.0)),
            )
        )
    return Trial(plan.config.revision, plan.digest, difference, tuple(effects), tuple(plan.unusable.values()))


def _name(old: PeerConfig | None, new: PeerConfig | None) -> str:
    row = new or old
    return row.name if row else ""


def _took(negotiations: list[NegotiationTrace]) -> float | None:
    """Seconds from the first message of the newest negotiation that succeeded to its first IPsec SA."""
    for negotiation in reversed(negotiations):
        for line in negotiation.lines:
            if line.fate == "event" and line.step == "ike.phase2.established":
                return round(line.at, 3)
    return None
