"""Writing rows and cutting them off, as each database does it best.

PostgreSQL takes rows by COPY and lets whole days go by dropping their partition. SQLite takes them by INSERT and
deletes them in slices, so that nobody waits long for the write lock.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from dashboard.eventlog.filters import searched
from dashboard.eventlog.models import row_id
from dashboard.eventlog.schema import DEFAULT, TABLE

log = logging.getLogger(__name__)
DAY = 86_400
HOUR = 3_600
# A clock may be wrong, but no day further off than this gets a partition of its own.
PAST_DAYS, FUTURE_DAYS = 400, 2
SLICE = 5_000
LOCK_WAIT = "2s"


@dataclass(frozen=True)
class Row:
    """One row of the table, in the order of its columns; ``body`` is JSON text."""

    id: int
    organization_id: int
    appliance_id: int
    seq: int
    time: float
    code: str
    severity: str
    peer_id: str
    negotiation: str
    search: str
    body: str


COLUMNS = ", ".join(field.name for field in fields(Row))
_INSERT = f"INSERT INTO {TABLE} ({COLUMNS}) VALUES ({', '.join(['%s'] * len(fields(Row)))})"  # noqa: S608 - our own names


def row(event: dict[str, Any], organization_id: int, appliance_id: int, appliance: str, seq: int) -> Row:
    """The row of an event; what an event does not have takes no room."""
    body = {key: value for key, value in event.items() if value is not None and value != {}}
    body |= {"seq": seq, "appliance": appliance}
    return Row(
        id=row_id(organization_id, seq),
        organization_id=organization_id,
        appliance_id=appliance_id,
        seq=seq,
        time=event["time"],
        code=event["code"],
        severity=event["severity"],
        peer_id=event.get("peer_id") or "",
        negotiation=event.get("negotiation") or "",
        search=searched(event),
        body=json.dumps(body, separators=(",", ":")).replace("\\u0000", "\\ufffd"),
    )


def insert(connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
    """Write rows inside the caller's transaction."""
    if not rows:
        return
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.executemany(_INSERT, [astuple(item) for item in rows])
            return
        for day in sorted({int(item.time // DAY) for item in rows}):
            make_day(cursor, day)
        with cursor.copy(f"COPY {TABLE} ({COLUMNS}) FROM STDIN") as copy:
            for item in rows:
                copy.write_row(astuple(item))


# Partitions of PostgreSQL

_made: set[tuple[str, int]] = set()


def partition(day: int) -> str:
    """The name of the partition of a day (days since 1970)."""
    return f"{TABLE}_d{datetime.fromtimestamp(day * DAY, UTC):%Y%m%d}"


def make_day(cursor: CursorWrapper, day: int) -> None:
    """Make the partition of a day unless it is there; rows of it that stand in the default partition move over."""
    today = int(time.time() // DAY)
    database = str(cursor.db.settings_dict["NAME"])
    if (database, day) in _made or not today - PAST_DAYS <= day <= today + FUTURE_DAYS:
        return
    name, begin, end = partition(day), day * DAY, (day + 1) * DAY
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
    if not cursor.fetchone()[0]:
        where = f"time >= {begin} AND time < {end}"
        cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING DEFAULTS)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {DEFAULT} WHERE {where} RETURNING {COLUMNS}) "  # noqa: S608 - our own names
            f"INSERT INTO {name} ({COLUMNS}) SELECT {COLUMNS} FROM moved"
        )
        cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM ({begin}) TO ({end})")
    transaction.on_commit(lambda: _made.add((database, day)), using=cursor.db.alias)


def days(cursor: CursorWrapper) -> list[int]:
    """The days that have a partition, oldest first."""
    cursor.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass",
        [TABLE],
    )
    names = [name[len(TABLE) + 2 :] for (name,) in cursor.fetchall() if name.startswith(f"{TABLE}_d2")]
    return sorted(int(datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC).timestamp()) // DAY for name in names)


def drop_days(alias: str, doomed: Iterable[int]) -> bool:
    """Let whole days go. False if somebody reads them for too long: then it is done another time."""
    doomed = list(doomed)
    try:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
            for day in doomed:
                cursor.execute(f"DROP TABLE IF EXISTS {partition(day)}")
    except DatabaseError as error:
        log.warning("old events cannot be dropped now: %s", type(error).__name__)
        return False
    database = str(connections[alias].settings_dict["NAME"])
    _made.difference_update((database, day) for day in doomed)
    return True


def delete_before(connection: BaseDatabaseWrapper, organization_id: int, seq: int) -> int:
    """Delete an organization's rows below ``seq``, a slice a transaction; how many there were."""
    total = 0
    low, end = row_id(organization_id, 0), row_id(organization_id, seq)
    while True:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {TABLE} WHERE id IN "  # noqa: S608 - our own names
                f"(SELECT id FROM {TABLE} WHERE id >= %s AND id < %s ORDER BY id LIMIT {SLICE})",
                [low, end],
            )
            gone = cursor.rowcount
        total += gone
        if gone < SLICE:
            return total
