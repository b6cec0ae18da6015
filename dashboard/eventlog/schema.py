"""The table of events as each database has it; used by the migration, and by whoever fills a table at one go.

SQLite: the id is the rowid, so that a log is read in the order in which it lies on the disk; an FTS5 index of
trigrams, kept by triggers, finds texts. PostgreSQL: one partition per UTC day of ``time``, a trigram index (pg_trgm) in
each. Rows whose day has no partition, such as those of a clock that is years off, go to the default partition.
"""

from __future__ import annotations

import json
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

TABLE = "eventlog_eventrow"
SEARCH = "eventlog_search"
DEFAULT = f"{TABLE}_default"
INDEXED = {
    "event_code": "code",
    "event_severity": "severity",
    "event_peer": "peer_id",
    "event_appliance": "appliance_id",
    "event_negotiation": "negotiation",
}
_SQLITE = f"""
CREATE TABLE {TABLE} (
    id integer NOT NULL PRIMARY KEY, organization_id bigint NOT NULL, appliance_id bigint NOT NULL,
    seq bigint NOT NULL, time real NOT NULL, code varchar(60) NOT NULL, severity varchar(8) NOT NULL,
    peer_id varchar(64) NOT NULL, negotiation varchar(32) NOT NULL, search text NOT NULL, body text NOT NULL)
"""
# Codes and ids are compared octet by octet, whatever language the database speaks.
_POSTGRESQL = f"""
CREATE TABLE {TABLE} (
    id bigint NOT NULL, organization_id bigint NOT NULL, appliance_id bigint NOT NULL,
    seq bigint NOT NULL, time double precision NOT NULL, code varchar(60) COLLATE "C" NOT NULL,
    severity varchar(8) COLLATE "C" NOT NULL, peer_id varchar(64) COLLATE "C" NOT NULL,
    negotiation varchar(32) COLLATE "C" NOT NULL, search text NOT NULL, body jsonb NOT NULL,
    PRIMARY KEY (id, time)) PARTITION BY RANGE (time)
"""
# Without positions (detail=none) the index is a third as large; a hit is compared with the text itself.
_FTS = (
    f"CREATE VIRTUAL TABLE {SEARCH} USING fts5"
    f"(search, content='{TABLE}', content_rowid='id', tokenize='trigram', detail='none')"
)
# New rows wait in a list before they are sorted in, and each search reads the list: so it is kept short.
_PENDING = "WITH (gin_pending_list_limit = 1024)"
TRIGGERS = {
    "eventlog_insert": (
        f"AFTER INSERT ON {TABLE} BEGIN INSERT INTO {SEARCH}(rowid, search) VALUES (new.id, new.search); END"  # noqa: S608 - our own names
    ),
    "eventlog_delete": (
        f"AFTER DELETE ON {TABLE} BEGIN "  # noqa: S608
        f"INSERT INTO {SEARCH}({SEARCH}, rowid, search) VALUES ('delete', old.id, old.search); END"
    ),
}


def build(connection: BaseDatabaseWrapper) -> None:
    """Move the old table aside (``…_old``) and make the new one."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} RENAME TO {TABLE}_old")
        for name in INDEXED:
            cursor.execute(f"DROP INDEX IF EXISTS {name}")
        if connection.vendor == "postgresql":
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            cursor.execute(_POSTGRESQL)
            cursor.execute(f"CREATE TABLE {DEFAULT} PARTITION OF {TABLE} DEFAULT")
        else:
            cursor.execute(_SQLITE)
            cursor.execute(_FTS)
            make_triggers(cursor)
        make_indexes(cursor, connection.vendor)


def make_indexes(cursor: CursorWrapper, vendor: str) -> None:
    """What rows are found by; ``id`` brings them in the order of the log."""
    for name, column in INDEXED.items():
        cursor.execute(f"CREATE INDEX {name} ON {TABLE} ({column}, id)")
    if vendor == "postgresql":
        cursor.execute(f"CREATE INDEX event_search ON {TABLE} USING gin (search gin_trgm_ops) {_PENDING}")


def make_triggers(cursor: CursorWrapper) -> None:
    """SQLite's index of texts follows its table, whoever changes it."""
    for name, rule in TRIGGERS.items():
        cursor.execute(f"CREATE TRIGGER {name} {rule}")


def copy(connection: BaseDatabaseWrapper) -> None:
    """Bring the rows of the old table over, in batches, and drop it."""
    from dashboard.eventlog import storage

    with connection.cursor() as cursor:
        cursor.execute("SELECT id, uuid FROM fleet_appliance")
        uuids = {key: str(value) for key, value in cursor.fetchall()}
        last = 0
        while True:
            cursor.execute(
                f"SELECT id, organization_id, appliance_id, seq, body FROM {TABLE}_old "  # noqa: S608 - our own names
                "WHERE id > %s ORDER BY id LIMIT 5000",
                [last],
            )
            old = cursor.fetchall()
            if not old:
                break
            last = old[-1][0]
            storage.insert(connection, [_row(found, uuids) for found in old])
        cursor.execute(f"DROP TABLE {TABLE}_old")
        summarize(cursor, connection.vendor)


def summarize(cursor: CursorWrapper, vendor: str) -> None:
    """Spans and types of rows that were written without them."""
    hour = "floor(time / 3600)" if vendor == "postgresql" else "CAST(time / 3600 AS integer)"
    cursor.execute(
        "INSERT INTO eventlog_eventspan (organization_id, hour, first, last) "  # noqa: S608 - our own names
        f"SELECT organization_id, {hour}, min(seq), max(seq) FROM {TABLE} GROUP BY organization_id, {hour}"
    )
    cursor.execute(f"INSERT INTO eventlog_eventtype (code) SELECT DISTINCT code FROM {TABLE}")  # noqa: S608


def _row(found: tuple[Any, ...], uuids: dict[int, str]) -> Any:
    from dashboard.eventlog import storage

    _, organization, appliance, seq, body = found
    event = json.loads(body) if isinstance(body, str) else body
    return storage.row(event, organization, appliance, dashed(uuids.get(appliance, "")), seq)


def dashed(text: str) -> str:
    """A UUID as it is written; SQLite keeps it without its dashes."""
    text = text.replace("-", "")
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])) if len(text) == 32 else text
