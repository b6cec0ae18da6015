"""What an alert can be about. A rule names triggers by their key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Trigger:
    """One kind of occasion; events belong to it by their code, and by their severity if some are given."""

    key: str
    title: str
    explanation: str
    codes: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()

    def covers(self, event: dict[str, Any]) -> bool:
        """True if the event is such an occasion."""
        code = str(event["code"])
        if self.severities and event["severity"] not in self.severities:
            return False
        return any(code == row or (row.endswith(".") and code.startswith(row)) for row in self.codes)


DOWN, UP = "peer-down", "peer-up"

TRIGGERS = (
    Trigger(DOWN, "A tunnel went down", "It was up, carries nothing now, and should be up or has failed."),
    Trigger(UP, "A tunnel is up again", "Only after it was told that the tunnel went down."),
    Trigger(
        "failed",
        "A negotiation failed",
        "Phase 1 or phase 2 could not be agreed with a configured peer.",
        ("ike.phase1.", "ike.phase2.", "ike.mode.refused", "ike.version", "ike.unheard", "ike.psk.ambiguous"),
        ("error",),
    ),
    Trigger(
        "authentication",
        "Somebody could not be authenticated",
        "A wrong secret, identity, certificate or password.",
        (
            "ike.phase1.hash_mismatch",
            "ike.phase1.psk_suspect",
            "ike.phase1.identity",
            "ike.phase1.unproven",
            "ike.phase1.certificate.",
            "ike.identity.unknown",
            "ike.xauth.failed",
            "ike.xauth.locked",
            "ike.xauth.refused",
        ),
        ("error", "warning"),
    ),
    Trigger(
        "attack",
        "Unknown gateways or floods",
        "First messages in bulk, or from addresses that no peer has.",
        ("ike.flood", "ike.throttled", "ike.unknown_peer"),
    ),
    Trigger(
        "appliance",
        "The appliance itself",
        "The engine started or stopped, a peer cannot be carried, or events are missing.",
        ("engine.started", "engine.stopped", "engine.slept", "engine.peer.unusable", "log.gap"),
    ),
)
BY_KEY = {trigger.key: trigger for trigger in TRIGGERS}


def of_event(event: dict[str, Any], keys: list[str]) -> Trigger | None:
    """The first of these triggers that an event belongs to."""
    return next((trigger for trigger in TRIGGERS if trigger.key in keys and trigger.covers(event)), None)
