"""Keeping account of where the events of each hour stand."""

from __future__ import annotations

from collections.abc import Iterable

from dashboard.eventlog.models import EventSpan
from dashboard.eventlog.walk import HOUR

# An event that comes later than so many others begins a span of its own.
APART = 5_000


def extend(organization_id: int, rows: Iterable[tuple[float, int]]) -> None:
    """Note rows ``(time, seq)`` in the order of their numbers, inside the writer's transaction."""
    rows = list(rows)
    if not rows:
        return
    hours = {int(time // HOUR) for time, _ in rows}
    known = EventSpan.objects.filter(organization_id=organization_id, hour__in=hours)
    newest: dict[int, EventSpan] = {span.hour: span for span in known.order_by("last")}
    made: list[EventSpan] = []
    touched: dict[int, EventSpan] = {}
    for time, seq in rows:
        hour = int(time // HOUR)
        span = newest.get(hour)
        if span is None or seq - span.last > APART:
            span = newest[hour] = EventSpan(organization_id=organization_id, hour=hour, first=seq, last=seq)
            made.append(span)
        elif span.pk is not None:
            touched[span.pk] = span
        span.last = seq
    EventSpan.objects.bulk_create(made)
    EventSpan.objects.bulk_update(touched.values(), ["last"])
