"""A negotiation as a ladder: each message with its time, direction and size, and what was decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from vpnengine.contract.catalogue import CATALOGUE

_OUT, _IN, _LOST = "---->", "<----", "x----"
_MODES = {"main": "main mode", "aggressive": "aggressive mode"}


def lines(peer: str, negotiations: list[dict[str, Any]]) -> list[str]:
    """The text of some ``NegotiationTrace`` documents."""
    if not negotiations:
        return [f"no negotiation with {peer} is kept"]
    found: list[str] = []
    for one in negotiations:
        found += ["", *_ladder(peer, one)] if found else _ladder(peer, one)
    return found


def _ladder(peer: str, one: dict[str, Any]) -> Iterator[str]:
    at = datetime.fromtimestamp(one["began"]).astimezone().isoformat(" ", "milliseconds")
    begun = "begun here" if one["role"] == "initiator" else "begun by the peer"
    yield f"{peer}, {one['cookies']}, {_MODES.get(one['exchange'], one['exchange'])}, {begun}, {at}"
    remote = ""
    for line in one["lines"]:
        if line["fate"] == "event":
            yield f"{line['at']:>9.3f}  * {line['detail']}"
        else:
            place = "" if line["remote"] == remote else f"  {line['remote']}{' (NAT-T)' if line['natt'] else ''}"
            remote = line["remote"]
            yield f"{line['at']:>9.3f}  {_message(line)}{place}"
    if one["left_out"]:
        yield f"           {one['left_out']} more are left out"
    yield from _end(one)


def _message(line: dict[str, Any]) -> str:
    arrow = {"sent": _OUT, "resent": _OUT, "dropped": _LOST, "refused": _LOST}.get(line["fate"], _IN)
    notes = [_kinds(line["payloads"])]
    if line["fate"] in ("resent", "repeated"):
        notes.append(f"again ({line['tries'] + 1})")
    elif line["fate"] not in ("sent", "received"):
        notes.append(line["fate"])
    text = "; ".join(note for note in (*notes, line["detail"]) if note)
    return f"{arrow} {line['step']:<14} {line['size']:>5}  {text}".rstrip()


def _kinds(kinds: Iterable[str]) -> str:
    """Such as ``SA, 6 VENDOR-ID``."""
    return ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in Counter(kinds).items())


def _end(one: dict[str, Any]) -> Iterator[str]:
    """How it ended; if it failed, where, why, and what to do."""
    stopped = f" after {one['stopped_after']}" if one["stopped_after"] and one["outcome"] != "established" else ""
    yield f"           {one['outcome']}{stopped}"
    entry = CATALOGUE.get(one["code"] or "")
    if entry is None:
        return
    sure = f" ({entry.confidence.value})" if entry.confidence else ""
    yield f"           {entry.code}: {entry.title}{sure}"
    for name, text in (("here", one["hint"] or entry.here), ("there", entry.there)):
        if text:
            yield f"           {name}: {text}"
