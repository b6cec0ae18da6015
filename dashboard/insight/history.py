"""What a peer has carried in the last hour, day or week, and what happened to it then: the data of its graphs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.eventlog import selectors as eventlog
from dashboard.eventlog.filters import LogFilter
from dashboard.insight.models import Sample
from dashboard.insight.services import COUNTERS, STEPS
from vpnengine.contract.catalogue import CATALOGUE

MOST_EVENTS = 200
_SEVERITIES = frozenset({"error", "warning", "notice"})


@dataclass(frozen=True)
class Range:
    """``seconds`` until now in steps of ``step`` seconds; the table has one row for ``row`` seconds."""

    name: str
    label: Any
    seconds: int
    step: int
    row: int


RANGES = (
    Range("hour", gettext_lazy("Hour"), 3_600, 10, 300),
    Range("day", gettext_lazy("Day"), 86_400, 60, 3_600),
    Range("week", gettext_lazy("Week"), 7 * 86_400, 600, 6 * 3_600),
)


def find(name: str) -> Range | None:
    """The range with this name."""
    return next((one for one in RANGES if one.name == name), None)


def history(organization_id: int, peer: Any, asked: Range, now: float | None = None) -> dict[str, Any]:
    """What one peer carried: a list for each curve, all of the same length, and the events of the same time.

    :param peer: its UUID.
    :returns: ``at`` (beginning of each step, s since 1970), ``in`` and ``out`` (bit/s), ``loss`` (percent of the
        packets that came, None where none came), ``rows`` for the table with octets and packets, and ``events``, oldest
        first; ``left_out`` says whether there are older events than these.
    """
    now = time.time() if now is None else now
    end = int(now)
    begin = -(-(end - asked.seconds) // asked.step) * asked.step
    carried = _carried(peer, asked.step, begin, end)
    places = range(begin, end, asked.step)
    steps = [carried.get(at) for at in places]
    events, left_out = _events(organization_id, str(peer), begin)
    return {
        "range": asked.name,
        "step": asked.step,
        "begin": begin,
        "end": end,
        "at": list(places),
        "in": [_rate(step, 0, at, asked.step, end) for at, step in zip(places, steps, strict=True)],
        "out": [_rate(step, 1, at, asked.step, end) for at, step in zip(places, steps, strict=True)],
        "loss": [_loss(step) for step in steps],
        "rows": list(_rows(carried, asked, begin, end)),
        "empty": not carried,
        "events": events,
        "left_out": left_out,
    }


def _carried(peer: Any, step: int, begin: int, end: int) -> dict[int, list[int]]:
    """Beginning of each step → its counters. What is not summed up yet is taken from the finer samples."""
    found = _sums(peer, step, step, begin)
    coarser = step
    for finer in sorted((one for one in STEPS if one < step), reverse=True):
        # Of the last steps the sum may be missing, or be made before the last sample of them came.
        for at, counts in _sums(peer, finer, step, max(begin, end // coarser * coarser - 2 * coarser)).items():
            known = found.get(at, [0] * len(COUNTERS))
            found[at] = [max(old, new) for old, new in zip(known, counts, strict=True)]
        coarser = finer
    return found


def _sums(peer: Any, step: int, width: int, begin: int) -> dict[int, list[int]]:
    begin = begin // width * width
    found: dict[int, list[int]] = {}
    rows = Sample.objects.filter(state__peer=peer, step=step, at__gte=begin)
    for at, *counts in rows.order_by("at").values_list("at", *COUNTERS):
        place = at // width * width
        known = found.setdefault(place, [0] * len(COUNTERS))
        found[place] = [old + new for old, new in zip(known, counts, strict=True)]
    return found


def _rate(step: list[int] | None, counter: int, at: int, seconds: int, end: int) -> int:
    """Bit/s; a step that has not ended yet is as long as it has lasted."""
    return round(step[counter] * 8 / max(1, min(seconds, end - at))) if step else 0


def _loss(step: list[int] | None) -> float | None:
    if step is None:
        return None
    came = step[2] + step[4]
    return round(100 * step[4] / came, 3) if came else None


def _rows(carried: dict[int, list[int]], asked: Range, begin: int, end: int) -> Iterator[dict[str, Any]]:
    for first in range(begin // asked.row * asked.row, end, asked.row):
        mine = [carried[at] for at in range(max(first, begin), first + asked.row, asked.step) if at in carried]
        total = [sum(counts) for counts in zip(*mine, strict=True)] if mine else [0] * len(COUNTERS)
        yield {
            "at": max(first, begin),
            "until": min(first + asked.row, end),
            **dict(zip(COUNTERS, total, strict=True)),
            "loss": _loss(total),
        }


def _events(organization_id: int, peer: str, begin: int) -> tuple[list[dict[str, Any]], bool]:
    wanted = LogFilter(peers=frozenset({peer}), severities=_SEVERITIES, since=float(begin))
    found = eventlog.older(organization_id, wanted, limit=MOST_EVENTS)
    events = [_event(json.loads(body)) for body in reversed(found.rows)]
    return events, not found.done


def _event(body: dict[str, Any]) -> dict[str, Any]:
    entry = CATALOGUE.get(body["code"])
    title = entry.title if entry else _("Event")
    return {"seq": body["seq"], "time": body["time"], "severity": body["severity"], "title": title}
