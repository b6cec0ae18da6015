"""Why a peer is down: the explanation of its last failure, what differs, and what can be accepted with one button."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from dashboard.eventlog import selectors as eventlog
from dashboard.insight import hints
from dashboard.sitevpn import acceptance
from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.contract.problems import Refused

_PROPOSALS = {"ike.phase1.no_proposal": 1, "ike.phase2.no_proposal": 2}
_SELECTORS = "ike.phase2.selectors"


@dataclass(frozen=True)
class Offer:
    """One thing that the peer asks for, beside what is nearest to it here.

    ``accepts`` is what accepting does, in words, empty if it cannot be accepted here; ``why_not`` says why.
    ``weaknesses`` must be accepted knowingly. ``index`` is its place among the peer's offers.
    """

    index: int
    cells: list[dict[str, Any]]
    is_nearest: bool
    accepts: str = ""
    weaknesses: tuple[str, ...] = ()
    why_not: str = ""


def explanation(organization_id: int, peer_id: str, failure: dict[str, Any]) -> dict[str, Any]:
    """What a page says of a peer's ``last_failure``."""
    event = eventlog.failure(organization_id, peer_id, failure["code"], failure["time"]) or {}
    evidence = event.get("evidence") or {}
    entry = CATALOGUE.get(failure["code"])
    hint = failure["hint"] or (entry.here if entry else "")
    return {
        "code": failure["code"],
        "title": entry.title if entry else _("The negotiation failed"),
        "time": failure["time"],
        "text": failure["text"],
        "side": failure["side"],
        "cause": entry.cause if entry else "",
        "sure": entry.confidence.value if entry and entry.confidence else "",
        "here": hints.linked(hint, peer_id),
        "there": hints.filled(entry.there, evidence) if entry else "",
        "evidence": [(name, value) for name, value in evidence.items() if name != "nearest"],
        "seq": event.get("seq"),
        "difference": event.get("difference"),
        "event": event,
    }


def offers(peer: Any, code: str, difference: dict[str, Any] | None) -> list[Offer]:
    """What the peer asks for, the nearest to this side's configuration first; ``peer`` is a row of the form."""
    if not difference or not difference.get("nearest"):
        return []
    rows = difference.get("offers") or [difference["nearest"]]
    nearest = difference["nearest"]
    found = [_offer(peer, code, index, row, is_nearest=row == nearest) for index, row in enumerate(rows)]
    return sorted(found, key=lambda offer: not offer.is_nearest)


def _offer(peer: Any, code: str, index: int, row: list[dict[str, Any]], *, is_nearest: bool) -> Offer:
    cells = hints.cells(row)
    if code == _SELECTORS:
        return _selector_offer(peer, index, row, cells, is_nearest=is_nearest)
    phase = _PROPOSALS.get(code)
    if phase is None:
        return Offer(index, cells, is_nearest)
    odd = [cell["attribute"] for cell in row if not cell["equal"] and cell["attribute"] not in ATTRIBUTES[phase]]
    if odd:
        why = _("The two differ in %s, which no proposal can settle.") % ", ".join(odd)
        return Offer(index, cells, is_nearest, why_not=why)
    try:
        plan = acceptance.proposal(peer, phase, theirs(row))
    except Refused as refused:
        return Offer(index, cells, is_nearest, why_not=refused.problems[0].message)
    return Offer(index, cells, is_nearest, plan.name, plan.weaknesses)


ATTRIBUTES = {1: ("encryption", "hash", "group"), 2: ("encryption", "integrity", "pfs")}


def theirs(row: list[dict[str, Any]]) -> dict[str, str]:
    """Attribute → the peer's value."""
    return {cell["attribute"]: cell["theirs"] for cell in row}


def _selector_offer(
    peer: Any, index: int, row: list[dict[str, Any]], cells: list[dict[str, Any]], *, is_nearest: bool
) -> Offer:
    different = [cell for cell in row if not cell["equal"]]
    if [cell["attribute"] for cell in different] != ["remote subnet"]:
        why = _("Only a differing private subnet can be taken over here; mend the rest in the forms, or on the peer.")
        return Offer(index, cells, is_nearest, why_not=why)
    if different[0]["ours"] not in peer.remote_subnets:
        return Offer(index, cells, is_nearest, why_not=_("The private subnets have been changed since."))
    accepts = _("%(theirs)s instead of %(ours)s") % {"theirs": different[0]["theirs"], "ours": different[0]["ours"]}
    return Offer(index, cells, is_nearest, accepts)


def accept(organization_id: int, peer: Any, seq: int, index: int, *, weak_is_fine: bool, author_id: int | None) -> str:
    """Accept what the peer asked for in one event; the sentence says what was done.

    :raises Refused: if it is weak and that was not accepted, if nothing can be accepted, or if the result is not valid.
    :raises LookupError: if there is no such event or offer.
    """
    event = eventlog.one(organization_id, str(peer.uuid), seq)
    difference = (event or {}).get("difference")
    if event is None or not difference:
        raise LookupError
    rows = difference.get("offers") or [difference["nearest"]]
    row = rows[index]
    if event["code"] == _SELECTORS:
        cell = next(cell for cell in row if cell["attribute"] == "remote subnet")
        acceptance.accept_subnet(peer, cell["ours"], cell["theirs"], author_id=author_id)
        return _("%(theirs)s is the private subnet now, instead of %(ours)s.") % cell
    phase = _PROPOSALS.get(event["code"])
    if phase is None:
        raise LookupError
    done = acceptance.accept_proposal(peer, phase, theirs(row), weak_is_fine=weak_is_fine, author_id=author_id)
    return _("%(name)s is accepted in phase %(phase)d from now on.") % {"name": done.name, "phase": phase}
