"""Waiting for a tunnel: until it is up, until it fails for a reason, or until time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from vpnengine.contract.events import Event, Severity
from vpnengine.daemon.service import Engine
from vpnengine.esp.sa import Selector
from vpnengine.ikev1.interface import Pursuit


class Wait:
    """Watches the events of one peer. Enter it before the command whose outcome is awaited.

    The peer may negotiate something else at the same time, and so may we: only what concerns ``selectors`` counts.
    """

    def __init__(self, engine: Engine, peer_id: str, selectors: Collection[Selector]) -> None:
        self._engine = engine
        self._peer_id = peer_id
        self._selectors = selectors
        self._news = asyncio.Event()
        self._failure: Event | None = None
        self._ours: set[str] = set()

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
        if not mine:
            return
        pursued = self._engine.pursued(self._peer_id)
        self._ours |= pursued.negotiations
        if self._failure is None:
            errors = [event for event in mine if event.severity is Severity.ERROR]
            self._failure = self._of_ours(errors) or self._that_ended_it(errors, pursued)
        self._news.set()

    def _of_ours(self, errors: list[Event]) -> Event | None:
        """A failure of a phase 1 that we have begun for this."""
        return next((event for event in errors if event.phase == 1 and event.negotiation in self._ours), None)

    def _that_ended_it(self, errors: list[Event], pursued: Pursuit) -> Event | None:
        """A failure after which what was asked for is not tried any more; one of anything else does not count."""
        missing = [one for one in self._selectors if not self._engine.is_up(self._peer_id, [one])]
        given_up = {(s.local_text, s.remote_text) for s in missing if s not in pursued.selectors}
        if pursued.seeking or (missing and not given_up):
            return None
        named = [event for event in errors if (event.selector_local, event.selector_remote) in given_up]
        return next(iter(named or errors), None)

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
