"""Waiting for a tunnel: until it is up, until it fails for a reason, or until time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from vpnengine.contract.events import Event, Severity
from vpnengine.daemon.service import Engine
from vpnengine.esp.sa import Selector


class Wait:
    """Watches the events of one peer. Enter it before the command whose outcome is awaited."""

    def __init__(self, engine: Engine, peer_id: str, selectors: Collection[Selector]) -> None:
        self._engine = engine
        self._peer_id = peer_id
        self._selectors = selectors
        self._news = asyncio.Event()
        self._failure: Event | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to the engine for as long as the context lasts."""
        self._engine.listeners.append(self._heard)
        try:
            yield
        finally:
            self._engine.listeners.remove(self._heard)

    def _heard(self, events: list[Event]) -> None:
        mine = [event for event in events if event.peer_id == self._peer_id]
        if self._failure is None:
            self._failure = next((event for event in mine if event.severity is Severity.ERROR), None)
        if mine:
            self._news.set()

    async def outcome(self, seconds: float) -> dict[str, Any]:
        """``{"state": "up" | "failed" | "waiting"}``; a failure comes with its code, text, side and hint."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self._engine.is_up(self._peer_id, self._selectors):
            if self._failure is not None:
                return {"state": "failed", "failure": _summary(self._failure)}
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
            except TimeoutError:
                return {"state": "waiting"}
            self._news.clear()
        return {"state": "up"}


def _summary(event: Event) -> dict[str, Any]:
    return event.model_dump(mode="json", include={"code", "text", "side", "hint", "evidence"})
