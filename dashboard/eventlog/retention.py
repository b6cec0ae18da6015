"""How long events are kept: so many rows, and so many days.

SQLite deletes an organization's oldest rows. PostgreSQL drops whole days of all organizations, oldest first: those that
are too old, and those beyond which the newer days have the allowed number of rows. What is gone is said as a gap: the
oldest kept number stands in ``Sequence.first``.
"""

from __future__ import annotations

import time

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Min

from dashboard.eventlog import storage
from dashboard.eventlog.models import EventSpan, Sequence
from dashboard.eventlog.walk import HOUR

SLACK = 1_000
EVERY_S = 60.0
_looked = 0.0


def enforce(sequence: Sequence) -> None:
    """Cut off what is no longer kept of the organization that was just written to."""
    global _looked
    if connection.vendor != "postgresql":
        _cut(sequence)
    elif time.monotonic() - _looked >= EVERY_S:
        _looked = time.monotonic()
        drop_old_days()


def _cut(sequence: Sequence) -> None:
    oldest = sequence.last - settings.CULVERT_EVENT_ROWS + 1
    if settings.CULVERT_EVENT_DAYS:
        # Hours that are wholly too old; a late event of such an hour goes when its neighbours go.
        kept = EventSpan.objects.filter(
            organization_id=sequence.organization_id, hour__gte=_oldest_hour(), last__gte=sequence.first
        ).aggregate(Min("first"))["first__min"]
        oldest = max(oldest, sequence.last + 1 if kept is None else kept)
    if oldest < sequence.first + SLACK and not (settings.CULVERT_EVENT_DAYS and oldest > sequence.first):
        return
    # First it is said, then it is done: nobody looks for rows that are being deleted.
    with transaction.atomic():
        Sequence.objects.filter(pk=sequence.pk).update(first=oldest)
        EventSpan.objects.filter(organization_id=sequence.organization_id, last__lt=oldest).delete()
    storage.delete_before(connection, sequence.organization_id, oldest)


def _oldest_hour() -> int:
    return int((time.time() - settings.CULVERT_EVENT_DAYS * storage.DAY) // HOUR)


def drop_old_days() -> list[int]:
    """Drop the partitions of days that are no longer kept; which they were (days since 1970)."""
    with connection.cursor() as cursor:
        days = storage.days(cursor)
        doomed = _too_old(days) | _too_many(cursor, days)
    if not doomed or not storage.drop_days(connection.alias, doomed):
        return []
    _forget(max(doomed))
    return sorted(doomed)


def _too_old(days: list[int]) -> set[int]:
    if not settings.CULVERT_EVENT_DAYS:
        return set()
    oldest = int(time.time() // storage.DAY) - settings.CULVERT_EVENT_DAYS
    return {day for day in days if day < oldest}


def _too_many(cursor: storage.CursorWrapper, days: list[int]) -> set[int]:
    """Days that lie below enough rows; the newest day always stays."""
    names = [storage.partition(day) for day in days]
    cursor.execute(
        "SELECT c.relname, CASE WHEN c.reltuples > 0 THEN c.reltuples ELSE s.n_live_tup END FROM pg_class c "
        "LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.relname = ANY(%s)",
        [names],
    )
    rows = dict(cursor.fetchall())
    above, doomed = 0, set()
    for day, name in reversed(list(zip(days, names, strict=True))):
        if above > settings.CULVERT_EVENT_ROWS:
            doomed.add(day)
        above += int(rows.get(name) or 0)
    return doomed


def _forget(day: int) -> None:
    """Say of each organization which number is now the oldest."""
    with transaction.atomic():
        EventSpan.objects.filter(hour__lt=(day + 1) * storage.DAY // HOUR).delete()
        for sequence in Sequence.objects.select_for_update():
            kept = EventSpan.objects.filter(organization_id=sequence.organization_id).aggregate(Min("first"))
            first = kept["first__min"]
            sequence.first = max(sequence.first, sequence.last + 1 if first is None else first)
            sequence.save(update_fields=["first"])
