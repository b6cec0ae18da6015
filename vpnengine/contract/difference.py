"""What a change of its configuration does to a peer's tunnels: the engine keeps to this, and pages foretell by it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from vpnengine.contract.config import PeerConfig

# A change of any of these ends phase 1 and with it every IPsec SA; a new negotiation begins as the peer's start says.
PHASE1_FIELDS = frozenset(
    (
        *("remote", "alternates", "local_address", "local_identity", "remote_identity", "exchange", "phase1"),
        *("xauth", "mode_config", "nat_traversal", "authentication", "psk", "certificate", "private_key"),
        "trusted_cas",
    )
)
# A change of these ends every IPsec SA; phase 1 stays.
PHASE2_FIELDS = frozenset(("phase2",))
# What says which selectors there are. IPsec SAs whose selector is still there stay.
SELECTOR_FIELDS = frozenset(("local_subnets", "remote_subnets", "selectors", "accept_wider", "mode_config"))


class Effect(StrEnum):
    """What a change does to a peer's tunnels, the gravest last but for what comes and goes."""

    UNCHANGED = "unchanged"
    KEPT = "kept"
    SELECTORS = "selectors"
    PHASE2 = "phase2"
    REBUILT = "rebuilt"
    ADDED = "added"
    REMOVED = "removed"


class PeerEffect(BaseModel):
    """One peer of a document that was only tried.

    ``fields`` are those of ``PeerConfig`` that differ. ``pairs`` is how many IPsec SA pairs are up now and would end,
    ``took_s`` how long its last negotiation took from the first message to the last, if one succeeded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    peer: str
    name: str
    effect: Effect
    fields: tuple[str, ...] = ()
    pairs: int = 0
    took_s: float | None = None


def changed_fields(before: PeerConfig, after: PeerConfig) -> frozenset[str]:
    """The names of the fields that differ."""
    return frozenset(name for name in PeerConfig.model_fields if getattr(before, name) != getattr(after, name))


def effect_of(before: PeerConfig | None, after: PeerConfig | None) -> Effect:
    """What becomes of a peer's tunnels; None means that the document does not have it.

    A row with mode config is rebuilt by any change: what was assigned belongs to the phase 1 that assigned it.
    """
    if before is None or after is None:
        return Effect.ADDED if before is None else Effect.REMOVED
    changed = changed_fields(before, after)
    if not changed:
        return Effect.UNCHANGED
    if changed & PHASE1_FIELDS or before.mode_config is not None:
        return Effect.REBUILT
    if changed & PHASE2_FIELDS:
        return Effect.PHASE2
    gone = {row.key for row in before.protected()} - {row.key for row in after.protected()}
    return Effect.SELECTORS if gone else Effect.KEPT
