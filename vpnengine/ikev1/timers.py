"""A queue of named timers: set and cancel in O(log n), the next deadline with its reason."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from dataclasses import dataclass

AT_ONCE = 16  # many tunnels of one age have their timers at one moment; packets must get through between them

SLACK = 64


@dataclass(frozen=True)
class _Entry:
    when: float
    why: str
    action: Callable[[], None]


class TimerQueue:
    """Timers by key; setting a key again replaces its timer."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Hashable]] = []
        self._entries: dict[Hashable, tuple[int, _Entry]] = {}
        self._count = 0

    def set(self, key: Hashable, when: float, why: str, action: Callable[[], None]) -> None:
        """Call ``action`` at ``when`` (monotonic seconds); ``why`` is for people."""
        self._count += 1
        self._entries[key] = (self._count, _Entry(when, why, action))
        heapq.heappush(self._heap, (when, self._count, key))
        if len(self._heap) > 2 * len(self._entries) + SLACK:
            self._tidy()

    def _tidy(self) -> None:
        """Take out what was cancelled or replaced: an SA's expiry is hours away, and SAs come and go in seconds."""
        self._heap = [(entry.when, count, key) for key, (count, entry) in self._entries.items()]
        heapq.heapify(self._heap)

    def cancel(self, key: Hashable) -> None:
        """Forget a timer; unknown keys are fine."""
        self._entries.pop(key, None)

    def when(self, key: Hashable) -> float | None:
        """The deadline of one timer."""
        entry = self._entries.get(key)
        return entry[1].when if entry else None

    def next(self) -> tuple[float, str] | None:
        """The earliest deadline and its reason."""
        while self._heap:
            when, count, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry[0] == count:
                return when, entry[1].why
            heapq.heappop(self._heap)
        return None

    def run_due(self, now: float) -> None:
        """Run what is due at ``now``, at most ``AT_ONCE`` timers; ``next`` tells whether more are due.

        A timer set meanwhile for ``now`` waits for the next call, one cancelled meanwhile does not run.
        """
        newest = self._count
        for _ in range(AT_ONCE):
            head = self.next()
            if head is None or head[0] > now or self._heap[0][1] > newest:
                return
            _, _, key = heapq.heappop(self._heap)
            self._entries.pop(key)[1].action()
