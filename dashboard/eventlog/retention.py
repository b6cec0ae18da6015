"""How long events are kept: so many rows, and so many days, of the system and, if less, of an organization.

SQLite deletes an organization's oldest rows. PostgreSQL drops whole days of all organizations, oldest first: those that
are too old, and those beyond which the newer days have the allowed number of rows; of an organization with limits of
its own the oldest rows are deleted, too. What is gone is said as a gap: ``Sequence.first`` is the oldest kept number.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Min

from dashboard.eventlog import storage
from dashboard.eventlog.models import EventSpan, Sequence
from dashboard.eventlog.walk import HOUR
from dashboard.fleet import selectors as fleet

SLACK = 1_000
EVERY_S = 60.0
_looked = 0.0
_swept = 0.0


@dataclass(frozen=True)
class Kept:
    """What is kept: at most ``rows``, of at most ``days`` (0: no limit); ``own`` if the organization has said so."""

    rows: int
    days: int
    own: bool


def kept(organization_id: int) -> Kept:
    """The limits of an organization: its own, as far as they are not beyond those of the system."""
    days, rows = fleet.kept_events(organization_id)
    most, longest = settings.CULVERT_EVENT_ROWS, settings.CULVERT_EVENT_DAYS
    return Kept(
        rows=min(most, rows or most),
        days=min(longest or days or 0, days or longest or 0),
        own=days is not None or rows is not None,
    )


def enforce(sequence: Sequence) -> None:
    """Cut off what is no longer kept of the organization that was just written to."""
    global _looked
    limits = kept(sequence.organization_id)
    if connection.vendor != "postgresql" or limits.own:
        _cut(sequence, limits)
    if connection.vendor == "postgresql" and time.monotonic() - _looked >= EVERY_S:
        _looked = time.monotonic()
        drop_old_days()


def sweep() -> None:
    """The same for every organization, once a minute: settings change, and time passes where nothing happens."""
    global _swept
    if time.monotonic() - _swept < EVERY_S:
        return
    _swept = time.monotonic()
    for sequence in Sequence.objects.order_by("pk"):
        enforce(sequence)


def _cut(sequence: Sequence, limits: Kept) -> None:
    oldest = sequence.last - limits.rows + 1
    if limits.days:
        # Hours that are wholly too old; a late event of such an hour goes when its neighbours go.
        found = EventSpan.objects.filter(
            organization_id=sequence.organization_id, hour__gte=_oldest_hour(limits.days), last__gte=sequence.first
        ).aggregate(Min("first"))["first__min"]
        oldest = max(oldest, sequence.last + 1 if found is None else found)
    if oldest < sequence.first + SLACK and not (limits.days and oldest > sequence.first):
        return
    # First it is said, then it is done: nobody looks for rows that are being deleted.
    with transaction.atomic():
        Sequence.objects.filter(pk=sequence.pk).update(first=oldest)
        EventSpan.objects.filter(organization_id=sequence.organization_id, last__lt=oldest).delete()
    storage.delete_before(connection, sequence.organization_id, oldest)


def _oldest_hour(days: int) -> int:
    return int((time.time() - days * storage.DAY) // HOUR)


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
            found = EventSpan.objects.filter(organization_id=sequence.organization_id).aggregate(Min("first"))
            first = found["first__min"]
            sequence.first = max(sequence.first, sequence.last + 1 if first is None else first)
            sequence.save(update_fields=["first"])
