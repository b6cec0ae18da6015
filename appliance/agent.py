"""The agent: from the engine's journal and status to Redis.

Nothing in Redis needs to last. The agent always begins at the cursor that the writer has
committed to the database, and begins again there whenever the engine, Redis or the writer
has been away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import Any

import redis.asyncio as aioredis
from django.conf import settings
from redis import RedisError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from dashboard.core.redis import INGEST, cursor_key, engine_key, peers_key, rewind_key, status_key
from vpnengine.contract.problems import Refused
from vpnengine.daemon.client import AsyncControlClient, EngineUnavailable

log = logging.getLogger(__name__)
RETRY_S = 0.5
STATUS_S = 1.0
STATUS_PAUSE_S = 0.05
STATUS_LIFE_S = 10
NEVER = (1 << 62) - 1
MAX_BACKLOG = 20_000


class Rewind(Exception):
    """Begin again at the committed cursor."""


class Agent:
    """Serves one appliance until it is cancelled."""

    def __init__(self) -> None:
        self._redis = aioredis.Redis.from_url(settings.REDIS_URL, retry=Retry(NoBackoff(), 0))
        self._news = asyncio.Event()
        self._down_since: float | None = None
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        """Run both directions; each waits for whatever is away."""
        appliance = await self._appliance()
        await asyncio.gather(self._forever(self._forward, appliance), self._forever(self._status, appliance))

    async def _appliance(self) -> str:
        """The id of this appliance, as soon as somebody has claimed it."""
        while True:
            with contextlib.suppress(FileNotFoundError):
                if text := settings.CULVERT_APPLIANCE_ID.read_text().strip():
                    return str(text)
            await asyncio.sleep(RETRY_S)

    async def _forever(self, work: Any, appliance: str) -> None:
        while True:
            try:
                await work(appliance)
            except Rewind:
                log.info("sending events again from the committed cursor")
            except (EngineUnavailable, Refused, RedisError, OSError) as error:
                log.info("%s; trying again", error)
                await asyncio.sleep(RETRY_S)

    # Events

    async def _forward(self, appliance: str) -> None:
        journal, number = await self._committed(appliance)
        client = AsyncControlClient(settings.CULVERT_CONTROL_SOCKET)
        try:
            hello = await client.request("events", after=NEVER, follow=False)
            await client.close()
            after = number if hello["journal"] == journal else 0
            await client.request("events", after=after, follow=True)
            await _first(self._read(client, appliance, hello["journal"], after), self._watch(appliance))
        finally:
            await client.close()

    async def _read(self, client: AsyncControlClient, appliance: str, journal: str, previous: int) -> None:
        async for event in client.events():
            await self._send(appliance, journal, previous, event)
            previous = event["number"]
            self._news.set()

    async def _committed(self, appliance: str) -> tuple[str, int]:
        """``(journal, number)`` of the last event in the database; waits for the writer to say it."""
        await self._redis.delete(rewind_key(appliance))
        while True:
            raw = await self._redis.get(cursor_key(appliance))
            if raw is not None:
                journal, _, number = raw.decode().rpartition(":")
                return journal, int(number)
            await asyncio.sleep(RETRY_S)

    async def _send(self, appliance: str, journal: str, previous: int, event: dict[str, Any]) -> None:
        while await self._redis.xlen(INGEST) > MAX_BACKLOG:  # noqa: ASYNC110 - Redis has no event to wait for
            await asyncio.sleep(RETRY_S)
        fields = {"appliance": appliance, "journal": journal, "previous": previous, "event": json.dumps(event)}
        await self._redis.xadd(INGEST, fields)

    async def _watch(self, appliance: str) -> None:
        """Notice that Redis has forgotten the cursor, or that the writer has found a hole."""
        while True:
            await asyncio.sleep(RETRY_S)
            if await self._redis.exists(rewind_key(appliance)) or not await self._redis.exists(cursor_key(appliance)):
                raise Rewind

    # Status

    async def _status(self, appliance: str) -> None:
        client = AsyncControlClient(settings.CULVERT_CONTROL_SOCKET)
        try:
            while True:
                began = time.monotonic()
                try:
                    status = {"engine": "up", **await client.request("status")}
                    self._down_since = None
                except EngineUnavailable:
                    await client.close()
                    self._down_since = self._down_since or time.time()
                    status = {"engine": "down", "since": self._down_since}
                await self._publish(appliance, status)
                spent = time.monotonic() - began
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), STATUS_S)
                self._news.clear()
                # With thousands of peers a status is large: it may take a tenth of the time, not more.
                await asyncio.sleep(max(STATUS_PAUSE_S, 9 * spent))
        finally:
            await client.close()

    async def _publish(self, appliance: str, status: dict[str, Any]) -> None:
        key, text = status_key(appliance), json.dumps(status)
        await self._redis.set(key, text, ex=STATUS_LIFE_S)
        await self._publish_peers(appliance, status)
        await self._redis.publish(key, text)

    async def _publish_peers(self, appliance: str, status: dict[str, Any]) -> None:
        """The same one by one: a page with fifty peers of twenty thousand reads fifty. Only changes are sent."""
        rows = {peer["id"]: json.dumps(peer) for peer in status.get("peers", ())}
        head = {name: value for name, value in status.items() if name != "peers"} | {"at": time.time()}
        changed = {ident: text for ident, text in rows.items() if self._told.get(ident) != text}
        gone = [ident for ident in self._told if ident not in rows]
        key = peers_key(appliance)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(engine_key(appliance), json.dumps(head), ex=STATUS_LIFE_S)
            if gone:
                pipe.hdel(key, *gone)
            if changed:
                pipe.hset(key, mapping=changed)
            pipe.hlen(key)
            pipe.expire(key, STATUS_LIFE_S)
            *_, there, _ = await pipe.execute()
        # Redis may have been emptied, or begun with what another engine said.
        self._told = rows if there == len(rows) else {}
        if there > len(rows):
            await self._redis.delete(key)


async def _first(*coroutines: Any) -> None:
    """Run until one of them ends; its error is raised, the others are cancelled."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
