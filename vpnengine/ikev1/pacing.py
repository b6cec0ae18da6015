"""How many negotiations of ours begin at the same time.

A thousand tunnels that are all wanted at once would otherwise wait for each other's Diffie-Hellman
longer than the peers' patience, and repeat their messages into the crowd. A peer that does not answer
at once gives its place away, so that the dead ones do not keep the living waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

MAX_BUSY = 32


class Pacing:
    """Places for negotiations that have begun and been answered so far; everybody else queues in order."""

    def __init__(self, schedule: Callable[[Callable[[], None]], None], places: int = MAX_BUSY) -> None:
        self._schedule = schedule
        self._places = places
        self._busy: set[Hashable] = set()
        self._queue: dict[Hashable, Callable[[], None]] = {}

    def enter(self, key: Hashable, begin: Callable[[], None]) -> bool:
        """True if ``key`` may begin now; else ``begin`` is called when there is a place, once."""
        if key in self._busy:
            return True
        if len(self._busy) >= self._places:
            self._queue[key] = begin
            return False
        self._queue.pop(key, None)
        self._busy.add(key)
        return True

    def leave(self, key: Hashable) -> None:
        """``key`` is done, has failed, or is not answered."""
        if key in self._busy:
            self._busy.discard(key)
            if self._queue:
                self._schedule(self._next)

    def _next(self) -> None:
        while self._queue and len(self._busy) < self._places:
            key = next(iter(self._queue))
            self._queue.pop(key)()
