"""A negotiation as a ladder of text: each message with its time, direction and size, and what was decided."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from vpnengine.contract.ladder import Ending, Rung, begun, ending, mode, rungs
from vpnengine.contract.trace import NegotiationTrace

_OUT, _IN, _LOST = "---->", "<----", "x----"


def lines(peer: str, negotiations: list[dict[str, Any]]) -> list[str]:
    """The text of some ``NegotiationTrace`` documents."""
    if not negotiations:
        return [f"no negotiation with {peer} is kept"]
    found: list[str] = []
    for document in negotiations:
        one = list(_ladder(peer, NegotiationTrace.model_validate(document)))
        found += ["", *one] if found else one
    return found


def _ladder(peer: str, trace: NegotiationTrace) -> Iterator[str]:
    at = datetime.fromtimestamp(trace.began).astimezone().isoformat(" ", "milliseconds")
    yield f"{peer}, {trace.cookies}, {mode(trace)}, {begun(trace)}, {at}"
    for rung in rungs(trace):
        if rung.direction:
            place = f"  {rung.place}{' (NAT-T)' if rung.natt else ''}" if rung.place else ""
            yield f"{rung.at:>9.3f}  {_message(rung)}{place}"
        else:
            yield f"{rung.at:>9.3f}  * {rung.detail}"
    if trace.left_out:
        yield f"           {trace.left_out} more are left out"
    yield from _end(ending(trace))


def _message(rung: Rung) -> str:
    arrow = _LOST if rung.lost else _OUT if rung.direction == "out" else _IN
    text = "; ".join(note for note in (rung.payloads, rung.note, rung.detail) if note)
    return f"{arrow} {rung.step:<14} {rung.size:>5}  {text}".rstrip()


def _end(end: Ending) -> Iterator[str]:
    """How it ended; if it failed, where, why, and what to do."""
    yield f"           {end.outcome}" + (f" after {end.stopped_after}" if end.stopped_after else "")
    if not end.code:
        return
    yield f"           {end.code}: {end.title}" + (f" ({end.sure})" if end.sure else "")
    for name, text in (("here", end.here), ("there", end.there)):
        if text:
            yield f"           {name}: {text}"
