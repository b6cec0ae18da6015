"""The one writer of events: Redis stream → database → live streams, under one number.

Everything is idempotent: an entry whose number is not above the cursor has been written. An
entry that does not follow on the cursor shows a hole (Redis has lost something); then the
agent is asked to begin again at the cursor.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings
from django.db import transaction

from dashboard.core.redis import INGEST, client, cursor_key, rewind_key, stream_key
from dashboard.eventlog import retention, selectors, services, storage
from dashboard.eventlog.models import Cursor, Sequence
from dashboard.fleet import selectors as fleet

log = logging.getLogger(__name__)
BATCH = 500
BLOCK_MS = 500
STREAM_LENGTH = 10_000


@dataclass(frozen=True)
class Entry:
    """One entry of the ingest stream: ``previous`` is the number that the agent sent before it."""

    id: str
    appliance: str
    journal: str
    previous: int
    event: dict[str, Any]

    @classmethod
    def parse(cls, ident: bytes, fields: dict[bytes, bytes]) -> Entry:
        """:raises KeyError, ValueError: if it is none of ours."""
        return cls(
            ident.decode(),
            fields[b"appliance"].decode(),
            fields[b"journal"].decode(),
            int(fields[b"previous"]),
            json.loads(fields[b"event"]),
        )


class Writer:
    """Works until it is stopped; a lost Redis is waited for."""

    def __init__(self) -> None:
        self._redis = client()
        self._known: set[object] = set()
        self._types: set[str] = set()

    def prepare(self) -> None:
        """Bring Redis to what the database says: after a start, and after Redis was restarted."""
        appliances = fleet.all_appliances()
        self._known = {appliance.uuid for appliance in appliances}
        for appliance in appliances:
            cursor = Cursor.objects.filter(appliance=appliance).first()
            self._redis.set(cursor_key(appliance.uuid), f"{cursor.journal}:{cursor.number}" if cursor else ":0")
            if appliance.is_local:
                settings.CULVERT_APPLIANCE_ID.write_text(str(appliance.uuid))
        for sequence in Sequence.objects.select_related("organization"):
            self._republish(sequence)

    def _republish(self, sequence: Sequence) -> None:
        key = stream_key(sequence.organization.uuid)
        newest = self._redis.xrevrange(key, count=1)
        reached = int(newest[0][0].split(b"-")[0]) if newest else max(0, sequence.last - STREAM_LENGTH // 10)
        while reached < sequence.last:
            found = selectors.newer(sequence.organization_id, selectors.EVERYTHING, reached, budget=selectors.PATIENT_S)
            self._announce(key, [(json.loads(body)["seq"], body) for body in found.rows])
            reached = max(found.reached, reached + 1)

    def step(self) -> int:
        """Take one batch; returns how many entries it had.

        :raises redis.RedisError: if Redis is away; call ``prepare`` when it is back.
        """
        found = self._redis.xread({INGEST: "0"}, count=BATCH, block=BLOCK_MS)
        if not found:
            if {appliance.uuid for appliance in fleet.all_appliances()} != self._known:
                self.prepare()
            return 0
        raw = found[0][1]
        entries = []
        for ident, fields in raw:
            try:
                entries.append(Entry.parse(ident, fields))
            except (KeyError, ValueError):
                log.warning("an entry of the ingest stream is not an event; dropped")
        by_appliance: dict[str, list[Entry]] = {}
        for entry in entries:
            by_appliance.setdefault(entry.appliance, []).append(entry)
        for uuid, rows in by_appliance.items():
            self._write(uuid, rows)
        self._redis.xdel(INGEST, *(ident for ident, _ in raw))
        return len(raw)

    def _write(self, uuid: str, entries: list[Entry]) -> None:
        appliance = fleet.appliance(uuid)
        if appliance is None:
            log.warning("%d events of the unknown appliance %s are dropped", len(entries), uuid)
            return
        organization = appliance.site.organization
        with transaction.atomic():
            cursor, _ = Cursor.objects.select_for_update().get_or_create(appliance=appliance)
            sequence = services.locked(organization)
            rows, hole = _rows(entries, cursor, sequence, appliance)
            services.keep(sequence, rows)
            self._note_types({row.code for row in rows})
            cursor.save()
        self._announce(stream_key(organization.uuid), [(row.seq, row.body) for row in rows])
        self._redis.set(cursor_key(uuid), f"{cursor.journal}:{cursor.number}")
        if hole:
            log.warning("events after %d are missing; the agent is asked to send them again", cursor.number)
            self._redis.set(rewind_key(uuid), "1")
        retention.enforce(sequence)

    def _note_types(self, codes: set[str]) -> None:
        if new := codes - self._types:
            services.note_types(new)
            transaction.on_commit(lambda: self._types.update(new))

    def _announce(self, key: str, rows: Iterable[tuple[int, str]]) -> None:
        with self._redis.pipeline(transaction=False) as pipe:
            for seq, body in rows:
                pipe.xadd(key, {"event": body}, id=f"{seq}-0", maxlen=STREAM_LENGTH)
            pipe.execute()

    def run(self, stopped: Any) -> None:
        """Work until ``stopped()``."""
        ready = False
        while not stopped():
            try:
                if not ready:
                    self.prepare()
                    ready = True
                self.step()
                retention.sweep()
            except redis.RedisError as error:
                log.warning("Redis is away (%s); waiting", type(error).__name__)
                ready = False
                stopped(1.0)
            except OSError as error:
                log.warning("%s; trying again", error)
                stopped(1.0)


def _rows(entries: list[Entry], cursor: Cursor, sequence: Sequence, appliance: Any) -> tuple[list[storage.Row], bool]:
    """New rows in order; True if an entry does not follow on what is there."""
    rows: list[storage.Row] = []
    for entry in entries:
        number = int(entry.event["number"])
        if entry.journal != cursor.journal:
            if entry.previous:
                return rows, True
            cursor.journal, cursor.number = entry.journal, 0
        if number <= cursor.number:
            continue
        if entry.previous > cursor.number:
            return rows, True
        if number > cursor.number + 1:
            rows.append(services.next_row(_gap(entry, cursor), sequence, appliance))
        rows.append(services.next_row(entry.event, sequence, appliance))
        cursor.number = number
    return rows, False


def _gap(entry: Entry, cursor: Cursor) -> dict[str, Any]:
    """What the engine's journal had cut before it could be read is said, not skipped."""
    missing = entry.event["number"] - cursor.number - 1
    return {
        "number": cursor.number + 1,
        "boot": f"gap{entry.journal}"[:32],
        "time": entry.event["time"],
        "code": "log.gap",
        "severity": "warning",
        "phase": 0,
        "text": f"{missing} events are missing here: the engine's journal was cut before they could be read",
        "side": "local",
    }
