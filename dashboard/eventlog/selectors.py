"""Questions about events."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from dashboard.eventlog.models import EventRow, Sequence

PAGE = 500


def page(
    organization_id: int, filters: dict[str, str], before: int | None, appliances: set[int] | None = None
) -> list[dict[str, Any]]:
    """The newest events that match, older than ``before``, newest first; ``appliances`` are those that may be seen."""
    rows = _filtered(organization_id, filters)
    if appliances is not None:
        rows = rows.filter(appliance_id__in=appliances)
    if before is not None:
        rows = rows.filter(seq__lt=before)
    return list(rows.order_by("-seq").values_list("body", flat=True)[:PAGE])


def after(organization_id: int, seq: int, limit: int = PAGE) -> list[dict[str, Any]]:
    """Events after ``seq``, oldest first."""
    rows = EventRow.objects.filter(organization_id=organization_id, seq__gt=seq).order_by("seq")
    return list(rows.values_list("body", flat=True)[:limit])


def failure(organization_id: int, peer_id: str, code: str, time: float) -> dict[str, Any] | None:
    """The event behind a peer's last failure: the newest with this code at about this time (s since 1970)."""
    rows = EventRow.objects.filter(organization_id=organization_id, peer_id=peer_id, code=code)
    body = rows.filter(time__range=(time - 2, time + 2)).order_by("-seq").values_list("body", flat=True).first()
    return dict(body) if body else None


def one(organization_id: int, peer_id: str, seq: int) -> dict[str, Any] | None:
    """One event of a peer."""
    row = EventRow.objects.filter(organization_id=organization_id, peer_id=peer_id, seq=seq).first()
    return dict(row.body) if row else None


def bounds(organization_id: int) -> tuple[int, int]:
    """The oldest kept and the last sequence number."""
    row = Sequence.objects.filter(organization_id=organization_id).first()
    return (row.first, row.last) if row else (1, 0)


def _filtered(organization_id: int, filters: dict[str, str]) -> QuerySet[EventRow]:
    rows = EventRow.objects.filter(organization_id=organization_id)
    if filters.get("severity"):
        rows = rows.filter(severity__in=filters["severity"].split(","))
    if filters.get("peer"):
        rows = rows.filter(peer_id=filters["peer"])
    if filters.get("negotiation"):
        rows = rows.filter(negotiation=filters["negotiation"])
    if filters.get("code"):
        rows = rows.filter(code__startswith=filters["code"])
    if filters.get("q"):
        rows = rows.filter(text__icontains=filters["q"])
    return rows
