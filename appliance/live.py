"""Live streams as raw ASGI: ``/live/events`` and ``/live/status`` (server-sent events).

One reader per organization follows the Redis stream for all watchers of this process; each
watcher has a bounded queue and is told to reconnect if it does not keep up. A stream begins
with what the database has after the browser's last id, so nothing is lost or doubled over
reconnects, restarts of this server, or restarts of Redis. ``/live/events`` takes the filters
of the Event Log; what they hold back only moves the id on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import redis.asyncio as aioredis
from django.conf import settings
from redis import RedisError

from appliance import export, streams
from appliance.streams import Refused, ask
from dashboard.accounts.access import Access
from dashboard.core.redis import status_key, stream_key
from dashboard.eventlog import filters
from dashboard.eventlog import selectors as eventlog
from dashboard.eventlog.filters import LogFilter
from dashboard.fleet import selectors as fleet

QUEUE = 2_000
HEARTBEAT_S = 15.0
STATUS_S = 0.5
RETRY_S = 0.3
# A page that is further behind reads its rows anew: that is faster than to watch them come by.
MOST_BEHIND = 5_000
EVENT_STREAM = {"content-type": "text/event-stream"}


@dataclass(frozen=True)
class Item:
    """An event for all watchers: ``chunk`` is what each of them is sent."""

    seq: int
    event: dict[str, Any]
    chunk: bytes


class Hub:
    """Follows the stream of one organization while somebody watches."""

    def __init__(self, organization: Any) -> None:
        self._key = stream_key(organization.uuid)
        self._organization_id = organization.pk
        self.watchers: set[asyncio.Queue[Item | None]] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self) -> asyncio.Queue[Item | None]:
        """A queue that gets every event from now on; None tells to reconnect."""
        queue: asyncio.Queue[Item | None] = asyncio.Queue(QUEUE)
        self.watchers.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        return queue

    def leave(self, queue: asyncio.Queue[Item | None]) -> None:
        """The watcher is gone."""
        self.watchers.discard(queue)
        if not self.watchers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _follow(self) -> None:
        _, last = await ask(eventlog.bounds, self._organization_id)
        position = f"{last}-0"
        while True:
            try:
                async with aioredis.Redis.from_url(settings.REDIS_URL) as connection:
                    while True:
                        found = await connection.xread({self._key: position}, count=500, block=5_000)
                        for ident, fields in found[0][1] if found else ():
                            position = ident.decode()
                            seq, body = int(position.split("-")[0]), fields[b"event"]
                            self._tell(Item(seq, json.loads(body), _text("log", body.decode(), seq)))
            except (RedisError, OSError):
                await asyncio.sleep(RETRY_S)

    def _tell(self, item: Item) -> None:
        for queue in self.watchers:
            try:
                queue.put_nowait(item)
            except asyncio.QueueFull:
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)


_hubs: dict[int, Hub] = {}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve one stream until the browser goes, the session ends, or the server stops."""

    async def work() -> None:
        key = streams.session_key(scope)
        access = await ask(streams.access_of, key)
        if access is None:
            raise Refused(401, "Sign in first.")
        query = streams.query_of(scope)
        if scope["path"] == "/live/events":
            cursor = _cursor(scope, query)
            stream = _events(access, cursor, filters.parse(query))
            await streams.serve(stream, EVENT_STREAM, key, receive, send)
        elif scope["path"] == "/live/status":
            await streams.serve(_statuses(access), EVENT_STREAM, key, receive, send)
        elif scope["path"] in export.PATHS:
            await export.application(scope["path"], access, query, key, receive, send)
        else:
            raise Refused(404, "There is no such stream.")

    await streams.answered(scope, send, work)


def _cursor(scope: dict[str, Any], query: dict[str, list[str]]) -> int:
    """Where the browser stands; -1: at the newest event."""
    if text := streams.header(scope, b"last-event-id"):
        if not re.fullmatch("[0-9]{1,12}", text):
            raise Refused(400, "Last-Event-ID is a sequence number.", "Last-Event-ID")
        return int(text)
    after = filters.number(query, "after")
    return -1 if after is None else after


@dataclass(frozen=True)
class Start:
    """What a stream has to know of the database: which appliances may be seen and are asked for, and the log's ends."""

    visible: set[int] | None
    places: frozenset[str] | None
    first: int
    last: int


def _start(access: Access, wanted: LogFilter) -> Start:
    visible, key = access.appliance_ids, access.organization.pk
    places = eventlog.places(key, wanted, visible)
    return Start(visible, None if places is None else frozenset(places.values()), *eventlog.bounds(key))


async def _events(access: Access, cursor: int, wanted: LogFilter) -> AsyncIterator[bytes]:
    organization = access.organization
    hub = _hubs.setdefault(organization.pk, Hub(organization))
    queue = hub.join()
    try:
        start = await ask(_start, access, wanted)
        first, last = start.first, start.last
        cursor = last if cursor < 0 else min(cursor, last)
        yield b"retry: 1000\n\n" + _message("at", {"first": first, "last": last}, cursor)
        if cursor + 1 < first:
            yield _message("gap", {"from": cursor + 1, "to": first - 1}, first - 1)
            cursor = first - 1
        sent = 0
        while cursor < last:
            page = await ask(eventlog.newer, organization.pk, wanted, cursor, start.visible)
            sent += len(page.rows)
            if sent > MOST_BEHIND:
                yield _message("reload", {})
                return
            numbered = [(json.loads(body)["seq"], body) for body in page.rows]
            if numbered:
                yield b"".join(_text("log", body, seq) for seq, body in numbered)
            cursor = max(cursor, page.reached)
        async for chunk in _live(queue, cursor, wanted, start.places):
            yield chunk
    finally:
        hub.leave(queue)


async def _live(
    queue: asyncio.Queue[Item | None], cursor: int, wanted: LogFilter, places: frozenset[str] | None
) -> AsyncIterator[bytes]:
    everything = wanted.is_empty and places is None
    while True:
        try:
            waiting = [await asyncio.wait_for(queue.get(), HEARTBEAT_S)]
        except TimeoutError:
            yield _message("at", {}, cursor)
            continue
        # What has come meanwhile goes with it: under load fewer, larger pieces.
        with contextlib.suppress(asyncio.QueueEmpty):
            while True:
                waiting.append(queue.get_nowait())
        chunks = []
        for item in waiting:
            if item is None or item.seq > cursor + 1:
                # Too slow, or something is missing between stream and database: the browser comes again.
                yield b"".join(chunks) + _message("again", {}, cursor)
                return
            if item.seq == cursor + 1:
                cursor = item.seq
                if everything or wanted.matches(item.event, places):
                    chunks.append(item.chunk)
        if chunks:
            yield b"".join(chunks)


def _watched(access: Access) -> list[Any]:
    visible = access.appliance_ids
    appliances = fleet.appliances_of_organization(access.organization.pk)
    return [appliance for appliance in appliances if visible is None or appliance.pk in visible]


async def _statuses(access: Access) -> AsyncIterator[bytes]:
    """The status of each appliance that may be seen, whenever it changes."""
    appliances = await ask(_watched, access)
    keys = [status_key(appliance.uuid) for appliance in appliances]
    before: list[bytes | None] = []
    beat = time.monotonic()
    async with aioredis.Redis.from_url(settings.REDIS_URL) as connection:
        while True:
            try:
                now = await connection.mget(keys) if keys else []
            except (RedisError, OSError):
                now = [None] * len(keys)
            if now != before:
                before = now
                states = [json.loads(raw) if raw else {"engine": "unknown"} for raw in now]
                named = [{"appliance": a.name, **s} for a, s in zip(appliances, states, strict=True)]
                yield _message("status", {"appliances": named})
            elif time.monotonic() - beat > HEARTBEAT_S:
                beat = time.monotonic()
                yield b": still here\n\n"
            await asyncio.sleep(STATUS_S)


def _message(kind: str, data: dict[str, Any], ident: int | None = None) -> bytes:
    return _text(kind, json.dumps(data, separators=(",", ":")), ident)


def _text(kind: str, data: str, ident: int | None) -> bytes:
    head = f"id: {ident}\n" if ident is not None else ""
    return f"{head}event: {kind}\ndata: {data}\n\n".encode()
