"""Writing events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction

from dashboard.eventlog import spans, storage
from dashboard.eventlog.models import EventType, Sequence


def append(appliance: Any, events: Iterable[dict[str, Any]]) -> list[storage.Row]:
    """Commit events of an appliance under its organization's next numbers, in one transaction.

    This is for whoever has whole events at hand; those of an engine's journal go through ``writer``, which also keeps
    account of how far the journal was read.
    """
    with transaction.atomic():
        sequence = locked(appliance.site.organization)
        rows = [next_row(event, sequence, appliance) for event in events]
        keep(sequence, rows)
        note_types({row.code for row in rows})
    return rows


def locked(organization: Any) -> Sequence:
    """The organization's numbers, until the transaction ends."""
    return Sequence.objects.select_for_update().get_or_create(organization=organization)[0]


def next_row(event: dict[str, Any], sequence: Sequence, appliance: Any) -> storage.Row:
    """The row of an event under the organization's next number; ``sequence`` is moved on, and not saved."""
    sequence.last += 1
    return storage.row(event, sequence.organization_id, appliance.pk, str(appliance.uuid), sequence.last)


def keep(sequence: Sequence, rows: list[storage.Row]) -> None:
    """Write rows and where they stand, inside the caller's transaction."""
    storage.insert(connection, rows)
    spans.extend(sequence.organization_id, [(row.time, row.seq) for row in rows])
    sequence.save()


def note_types(codes: set[str]) -> None:
    """Remember codes that may be new."""
    known = set(EventType.objects.filter(code__in=codes).values_list("code", flat=True))
    new = [EventType(code=code) for code in sorted(codes - known)]
    EventType.objects.bulk_create(new, ignore_conflicts=True)
