"""Questions about events."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from dashboard.eventlog.filters import LogFilter, begins
from dashboard.eventlog.models import LAST_SEQ, EventRow, EventSpan, Sequence, row_id
from dashboard.eventlog.walk import BUDGET_S, HOUR, PATIENT_S, Walk, codes, one_of
from dashboard.fleet import selectors as fleet

PAGE = 250
EVERYTHING = LogFilter()
__all__ = [
    "PAGE",
    "PATIENT_S",
    "Page",
    "after",
    "begins",
    "bounds",
    "codes",
    "event",
    "newer",
    "older",
    "page",
    "places",
    "position",
]


@dataclass(frozen=True)
class Page:
    """Rows as JSON texts in the order asked for; ``reached`` is where to go on, unless ``done``.

    ``first`` and ``last`` are the bounds of the log when it was asked.
    """

    rows: list[str]
    reached: int
    done: bool
    first: int
    last: int


def failure(organization_id: int, peer_id: str, code: str, time: float) -> dict[str, Any] | None:
    """The event behind a peer's last failure: the newest with this code at about this time (s since 1970)."""
    rows = EventRow.objects.filter(one_of("peer_id", [peer_id], "peer_id"), one_of("code", [code], "peer_id"))
    rows = rows.filter(id__gte=row_id(organization_id, 0), id__lt=row_id(organization_id + 1, 0))
    body = rows.filter(time__range=(time - 2, time + 2)).order_by("-id").values_list("body", flat=True).first()
    return dict(body) if body else None


def one(organization_id: int, peer_id: str, seq: int) -> dict[str, Any] | None:
    """One event of a peer."""
    body = event(organization_id, seq)
    return body if body and body.get("peer_id") == peer_id else None


def bounds(organization_id: int) -> tuple[int, int]:
    """The oldest kept and the last sequence number."""
    row = Sequence.objects.filter(organization_id=organization_id).first()
    return (row.first, row.last) if row else (1, 0)


def places(organization_id: int, wanted: LogFilter, visible: Collection[int] | None) -> dict[int, str] | None:
    """Key → UUID of the appliances that are asked for and may be seen; None: all of the organization.

    :param visible: keys of the appliances that may be seen (``Access.appliance_ids``); None: all.
    """
    if not wanted.sites and not wanted.appliances and visible is None:
        return None
    return fleet.find_appliances(organization_id, wanted.sites or None, wanted.appliances or None, visible)


def _walk(organization_id: int, wanted: LogFilter, visible: Collection[int] | None) -> Walk:
    found = places(organization_id, wanted, visible)
    return Walk(organization_id, wanted, None if found is None else frozenset(found))


def older(
    organization_id: int,
    wanted: LogFilter = EVERYTHING,
    below: int | None = None,
    visible: Collection[int] | None = None,
    *,
    limit: int = PAGE,
    budget: float = BUDGET_S,
) -> Page:
    """The newest events below a number, newest first. ``visible`` as in ``places``."""
    first, last = bounds(organization_id)
    below = last + 1 if below is None else min(below, last + 1)
    found = _walk(organization_id, wanted, visible).down(below, first, limit, budget)
    return Page([body for _, body in found.rows], found.reached, found.done, first, last)


def newer(
    organization_id: int,
    wanted: LogFilter,
    above: int,
    visible: Collection[int] | None = None,
    *,
    limit: int = PAGE,
    budget: float = BUDGET_S,
    up_to: int = LAST_SEQ,
) -> Page:
    """The oldest events above a number, oldest first. ``visible`` as in ``places``."""
    first, last = bounds(organization_id)
    found = _walk(organization_id, wanted, visible).up(max(above, first - 1), min(last, up_to), limit, budget)
    return Page([body for _, body in found.rows], found.reached, found.done, first, last)


def page(
    organization_id: int,
    wanted: LogFilter = EVERYTHING,
    before: int | None = None,
    visible: Collection[int] | None = None,
) -> list[dict[str, Any]]:
    """The newest events that match, older than ``before``, newest first; however long that takes."""
    found = older(organization_id, wanted, before, visible, budget=PATIENT_S)
    return [json.loads(body) for body in found.rows]


def after(organization_id: int, seq: int, limit: int = PAGE) -> list[dict[str, Any]]:
    """Events after ``seq``, oldest first."""
    found = newer(organization_id, EVERYTHING, seq, limit=limit, budget=PATIENT_S)
    return [json.loads(body) for body in found.rows]


def event(organization_id: int, seq: int) -> dict[str, Any] | None:
    """One event."""
    if not 0 < seq <= LAST_SEQ:
        return None
    return EventRow.objects.filter(id=row_id(organization_id, seq)).values_list("body", flat=True).first()


def position(organization_id: int, time: float) -> int:
    """The number of the last event up to ``time``, as clocks go; what was delivered late does not count."""
    spans = EventSpan.objects.filter(organization_id=organization_id)
    span = spans.filter(hour__lte=int(time // HOUR)).order_by("-hour", "first").first()
    if span is None:
        return bounds(organization_id)[0] - 1
    rows = EventRow.objects.filter(
        id__gte=row_id(organization_id, span.first), id__lte=row_id(organization_id, span.last), time__gt=time
    )
    found = rows.order_by("id").values_list("seq", flat=True).first()
    return found - 1 if found is not None else span.last
