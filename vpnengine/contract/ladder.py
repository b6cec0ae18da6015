"""A negotiation as a ladder: its messages as rungs with their direction and what became of them, and how it ended.

Whoever draws it (``./culvert ctl trace`` as text, the dashboard as a picture) gets the same rungs and words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.contract.trace import NegotiationTrace, TraceLine

Direction = Literal["out", "in", ""]
_OUT = {"sent", "resent"}
_LOST = {"dropped", "refused"}
_MODES = {"main": "main mode", "aggressive": "aggressive mode"}


@dataclass(frozen=True)
class Rung:
    """One message, or one decision (then ``direction`` is empty and ``detail`` its text).

    ``at`` is in seconds since the negotiation began, ``size`` in octets. ``lost`` is True of a message that came and
    was thrown away. ``note`` says in words what is unusual, ``place`` where the other end is, if that has changed.
    """

    at: float
    direction: Direction
    step: str
    size: int
    payloads: str
    lost: bool
    repeated: bool
    natt: bool
    note: str
    detail: str
    place: str


@dataclass(frozen=True)
class Ending:
    """How a negotiation ended: ``stopped_after`` is its last step that went on, empty if it came up.

    ``code``, ``title`` and ``sure`` are of the catalogue, ``here`` and ``there`` what to change on either side.
    """

    outcome: str
    stopped_after: str
    code: str
    title: str
    sure: str
    here: str
    there: str


def mode(trace: NegotiationTrace) -> str:
    """``main mode`` or ``aggressive mode``."""
    return _MODES.get(trace.exchange, trace.exchange)


def begun(trace: NegotiationTrace) -> str:
    """Who began."""
    return "begun here" if trace.role == "initiator" else "begun by the peer"


def rungs(trace: NegotiationTrace) -> list[Rung]:
    """The rungs from the first to the last."""
    found: list[Rung] = []
    remote = ""
    for line in trace.lines:
        place = "" if line.fate == "event" or line.remote == remote else line.remote
        remote = remote if line.fate == "event" else line.remote
        found.append(_rung(line, place))
    return found


def _rung(line: TraceLine, place: str) -> Rung:
    is_event = line.fate == "event"
    return Rung(
        at=line.at,
        direction="" if is_event else "out" if line.fate in _OUT else "in",
        step=line.step,
        size=line.size,
        payloads=kinds(line.payloads),
        lost=line.fate in _LOST,
        repeated=line.fate in ("resent", "repeated"),
        natt=line.natt,
        note="" if is_event else _note(line),
        detail=line.detail,
        place=place,
    )


def _note(line: TraceLine) -> str:
    if line.fate in ("resent", "repeated"):
        return f"again ({line.tries + 1})"
    return "" if line.fate in ("sent", "received") else line.fate


def kinds(names: Iterable[str]) -> str:
    """Such as ``SA, 6 VENDOR-ID``."""
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in Counter(names).items())


def ending(trace: NegotiationTrace) -> Ending:
    """How it ended; if it failed, where, why, and what to do."""
    stopped = trace.stopped_after if trace.outcome != "established" else ""
    entry = CATALOGUE.get(trace.code or "")
    if entry is None:
        return Ending(trace.outcome, stopped, "", "", "", "", "")
    sure = entry.confidence.value if entry.confidence else ""
    here = trace.hint or entry.here
    return Ending(trace.outcome, stopped, entry.code, entry.title, sure, here, entry.there)
