"""Live streams as raw ASGI: ``/live/events`` and ``/live/status`` (server-sent events).

One reader per organization follows the Redis stream for all watchers of this process; each
watcher has a bounded queue and is told to reconnect if it does not keep up. A stream begins
with what the database has after the browser's last id, so nothing is lost or doubled over
reconnects, restarts of this server, or restarts of Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import redis.asyncio as aioredis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from redis import RedisError

from dashboard.accounts import selectors as accounts
from dashboard.accounts.access import Access, access_for
from dashboard.core.redis import status_key, stream_key
from dashboard.eventlog import selectors as eventlog
from dashboard.fleet import selectors as fleet

QUEUE = 2_000
HEARTBEAT_S = 15.0
SESSION_CHECK_S = 45.0
STATUS_S = 0.5
RETRY_S = 0.3


class Hub:
    """Follows the stream of one organization while somebody watches."""

    def __init__(self, organization: Any) -> None:
        self._key = stream_key(organization.uuid)
        self._organization_id = organization.pk
        self.watchers: set[asyncio.Queue[dict[str, Any] | None]] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self) -> asyncio.Queue[dict[str, Any] | None]:
        """A queue that gets every event from now on; None tells to reconnect."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(QUEUE)
        self.watchers.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        return queue

    def leave(self, queue: asyncio.Queue[dict[str, Any] | None]) -> None:
        """The watcher is gone."""
        self.watchers.discard(queue)
        if not self.watchers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _follow(self) -> None:
        _, last = await sync_to_async(eventlog.bounds)(self._organization_id)
        position = f"{last}-0"
        while True:
            try:
                async with aioredis.Redis.from_url(settings.REDIS_URL) as connection:
                    while True:
                        found = await connection.xread({self._key: position}, count=500, block=5_000)
                        for ident, fields in found[0][1] if found else ():
                            position = ident.decode()
                            self._tell(json.loads(fields[b"event"]))
            except (RedisError, OSError):
                await asyncio.sleep(RETRY_S)

    def _tell(self, event: dict[str, Any]) -> None:
        for queue in self.watchers:
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)


_hubs: dict[int, Hub] = {}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve one stream until the browser goes, the session ends, or the server stops."""
    session_key = _session_key(scope)
    access = await sync_to_async(_access)(session_key)
    if access is None:
        await _refuse(send, 401, "Sign in first.")
        return
    query = parse_qs(scope["query_string"].decode("latin-1"))
    if scope["path"] == "/live/events":
        try:
            cursor = _cursor(scope, query)
        except ValueError:
            await _refuse(send, 400, "after and Last-Event-ID are sequence numbers.")
            return
        stream = _events(access, cursor)
    elif scope["path"] == "/live/status":
        stream = _statuses(access)
    else:
        await _refuse(send, 404, "There is no such stream.")
        return
    await _serve(stream, session_key, receive, send)


async def _serve(stream: AsyncIterator[bytes], session_key: str, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.create_task(_until_disconnect(receive))
    pump = asyncio.create_task(_pump(stream, session_key, send))
    await asyncio.wait({gone, pump}, return_when=asyncio.FIRST_COMPLETED)
    for task in (gone, pump):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await task


async def _until_disconnect(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _pump(stream: AsyncIterator[bytes], session_key: str, send: Any) -> None:
    """Send chunks; look now and then whether the session is still good."""
    checked = time.monotonic()
    async for chunk in stream:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if time.monotonic() - checked > SESSION_CHECK_S:
            checked = time.monotonic()
            if await sync_to_async(_access)(session_key) is None:
                break
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _session_key(scope: dict[str, Any]) -> str:
    for name, value in scope["headers"]:
        if name == b"cookie":
            cookie = SimpleCookie(value.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
            return cookie.value if cookie else ""
    return ""


def _access(session_key: str) -> Access | None:
    """What a good session may see; None for strangers and those without a role."""
    if not session_key:
        return None
    session = SessionStore(session_key).load()
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    if not accounts.is_session_good(int(session[SESSION_KEY]), session.get(HASH_SESSION_KEY, "")):
        return None
    access = access_for(int(session[SESSION_KEY]), session)
    return access if any(access.may("monitor", site.pk) for site in access.sites) else None


def _cursor(scope: dict[str, Any], query: dict[str, list[str]]) -> int:
    """Where the browser stands. :raises ValueError: if it does not say a number."""
    for name, value in scope["headers"]:
        if name == b"last-event-id" and value:
            return int(value)
    return int(query.get("after", ["-1"])[0])


async def _events(access: Access, cursor: int) -> AsyncIterator[bytes]:
    organization = access.organization
    visible = await sync_to_async(lambda: access.appliance_ids)()
    hub = _hubs.setdefault(organization.pk, Hub(organization))
    queue = hub.join()
    try:
        first, last = await sync_to_async(eventlog.bounds)(organization.pk)
        cursor = last if cursor < 0 else min(cursor, last)
        yield b"retry: 1000\n\n"
        if cursor + 1 < first:
            yield _message("gap", {"from": cursor + 1, "to": first - 1}, first - 1)
            cursor = first - 1
        while rows := await sync_to_async(eventlog.after)(organization.pk, cursor):
            for row in rows:
                if _is_visible(row, visible):
                    yield _message("log", row, row["seq"])
            cursor = rows[-1]["seq"]
        async for chunk in _live(queue, cursor, visible):
            yield chunk
    finally:
        hub.leave(queue)


def _is_visible(event: dict[str, Any], visible: set[int] | None) -> bool:
    """Whether an event may be seen by somebody with a role at some sites only (None: at all)."""
    return visible is None or event.get("appliance") in visible


async def _live(
    queue: asyncio.Queue[dict[str, Any] | None], cursor: int, visible: set[int] | None
) -> AsyncIterator[bytes]:
    while True:
        try:
            event = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
        except TimeoutError:
            yield b": still here\n\n"
            continue
        if event is None or event["seq"] > cursor + 1:
            # Too slow, or something is missing between stream and database: the browser comes again with its last id.
            yield _message("again", {}, cursor)
            return
        if event["seq"] == cursor + 1:
            cursor = event["seq"]
            # Somebody else's event moves the cursor all the same, and the pump gets to look at the session.
            yield _message("log", event, cursor) if _is_visible(event, visible) else b":\n\n"


async def _statuses(access: Access) -> AsyncIterator[bytes]:
    """The status of each appliance that may be seen, whenever it changes."""
    appliances = await sync_to_async(fleet.appliances_of_organization)(access.organization.pk)
    visible = await sync_to_async(lambda: access.appliance_ids)()
    appliances = [row for row in appliances if visible is None or row.pk in visible]
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
    head = f"id: {ident}\n" if ident is not None else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


async def _refuse(send: Any, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
