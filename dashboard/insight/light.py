"""The traffic light of a peer: a state with its shape, its word, its colour and its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from vpnengine.contract.catalogue import CATALOGUE

SHAPES = {
    "up": "●",
    "degraded": "◐",
    "negotiating": "◌",
    "waiting": "○",
    "down": "✕",
    "off": "–",
    "pending": "◌",
    "unknown": "?",
}
TONES = {"up": "green", "degraded": "yellow", "negotiating": "yellow", "down": "red", "unknown": "yellow"}
# In the order in which they need attention.
STATES = ("down", "degraded", "unknown", "negotiating", "pending", "waiting", "up", "off")


@dataclass(frozen=True)
class Light:
    """``state`` is one of ``STATES``; ``word`` and ``reason`` are for people."""

    state: str
    word: str
    reason: str

    @property
    def shape(self) -> str:
        """A sign that tells the state without colour."""
        return SHAPES[self.state]

    @property
    def tone(self) -> str:
        """``green``, ``yellow``, ``red``, or empty for grey."""
        return TONES.get(self.state, "")

    @property
    def rank(self) -> int:
        """What needs attention first has the lowest."""
        return STATES.index(self.state)


def words(state: str) -> str:
    """The word of a state, for filters and legends."""
    return {
        "up": _("up"),
        "degraded": _("up, with trouble"),
        "negotiating": _("negotiating"),
        "waiting": _("waiting"),
        "down": _("down"),
        "off": _("turned off"),
        "pending": _("not delivered"),
        "unknown": _("not known"),
    }[state]


def light(peer: dict[str, Any] | None, engine: dict[str, Any] | None, *, enabled: bool = True) -> Light:
    """The light of a peer from its ``PeerStatus``, and its engine's status without peers; None if not known."""
    if not enabled:
        return Light("off", words("off"), _("It is turned off in its form."))
    if engine is None:
        return Light("unknown", words("unknown"), _("The appliance has said nothing for ten seconds or more."))
    if engine.get("engine") != "up":
        return Light("unknown", words("unknown"), _("The engine is down; it is being started again."))
    if peer is None:
        return Light("pending", words("pending"), _("The engine does not have this peer's configuration yet."))
    live = [sa for sa in peer["sas"] if sa["state"] == "mature"]
    return _up(peer, live) if live else _not_up(peer)


def _up(peer: dict[str, Any], live: list[dict[str, Any]]) -> Light:
    failure = peer["last_failure"]
    if failure:
        return Light("degraded", words("degraded"), _("It carries traffic, but: %s.") % title(failure).rstrip("."))
    pairs = {(sa["local"], sa["remote"]) for sa in live}
    missing = [pair for pair in peer["selectors"] if tuple(pair) not in pairs]
    if missing and peer["start"] == "immediate" and len(pairs) < len(peer["selectors"]):
        text = _("%(up)d of %(all)d pairs of subnets have an SA; there is none for %(first)s.")
        first = " – ".join(missing[0])
        counts = {"up": len(pairs), "all": len(peer["selectors"]), "first": first}
        return Light("degraded", words("degraded"), text % counts)
    if len(pairs) == 1:
        return Light("up", words("up"), _("One pair of subnets has its SAs, agreed on by both ends."))
    return Light("up", words("up"), _("%d pairs of subnets have their SAs, agreed on by both ends.") % len(pairs))


def _not_up(peer: dict[str, Any]) -> Light:
    phase1, failure = peer["phase1"]["state"], peer["last_failure"]
    if failure:
        return Light("down", words("down"), _("%s.") % title(failure).rstrip("."))
    if phase1 == "negotiating":
        return Light("negotiating", words("negotiating"), _("Phase 1 is being negotiated."))
    if phase1 == "established":
        return Light("negotiating", _("phase 1 only"), _("Phase 1 is up, and no IPsec SA has been agreed on."))
    if peer["start"] == "immediate":
        return Light("down", words("down"), _("It should be up at all times, and nothing has been heard yet."))
    if peer["start"] == "responder":
        return Light("waiting", words("waiting"), _("It waits for the peer to begin."))
    return Light("waiting", words("waiting"), _("It comes up as soon as traffic needs it."))


def title(failure: dict[str, Any]) -> str:
    """What went wrong, in a few words."""
    entry = CATALOGUE.get(failure["code"])
    return entry.title if entry else str(failure["text"])
