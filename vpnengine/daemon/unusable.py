"""Peers that are configured for what the data path cannot carry: refused alone, and shown with the reason."""

from __future__ import annotations

from typing import NamedTuple

from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.contract.config import PeerConfig
from vpnengine.contract.events import EventBody
from vpnengine.contract.problems import Problem
from vpnengine.contract.status import LastFailure, PeerStatus, Phase1Status
from vpnengine.ikev1.model import make_selector

CODE = "engine.peer.unusable"


class Unusable(NamedTuple):
    """One such peer; ``since`` is seconds since 1970."""

    peer: PeerConfig
    problem: Problem
    body: EventBody
    since: float

    def status(self) -> PeerStatus:
        """What the status says of it: down, and why."""
        peer, body = self.peer, self.body
        failure = LastFailure(
            time=self.since, code=body.code, side=body.side.value, text=body.text, hint=body.hint or ""
        )
        return PeerStatus(
            id=peer.id,
            name=peer.name,
            remote=peer.remote,
            start=peer.start.value,
            phase1=Phase1Status(state="down"),
            sas=(),
            selectors=tuple((s.local_text, s.remote_text) for s in map(make_selector, peer.protected())),
            last_failure=failure,
        )


def unusable_event(peer: PeerConfig, problem: Problem) -> EventBody:
    """The event that says so."""
    entry = CATALOGUE[CODE]
    return EventBody(
        code=CODE,
        severity=entry.severity,
        text=entry.text.format(reason=problem.message),
        peer_id=peer.id,
        peer=peer.name,
        side=entry.side,
        hint=entry.here,
        evidence={"field": problem.field.split(".", 2)[-1]},
    )
