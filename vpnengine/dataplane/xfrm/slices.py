"""Many requests to the kernel that nobody waits for, a few at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from vpnengine.dataplane.xfrm.netlink import Netlink, Request

SLICE = 32  # requests at once: a few milliseconds


class Slices:
    """Sends requests in their order; between slices the event loop goes on. What is refused is not told."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self._queue: deque[Request] = deque()
        self._next: asyncio.Handle | None = None

    def add(self, requests: Iterable[Request]) -> None:
        """Send these: at once if they are few, else in slices."""
        self._queue.extend(requests)
        if self._next is None:
            self._slice()

    def stop(self) -> None:
        """Send nothing more."""
        self._queue.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _slice(self) -> None:
        self._next = None
        some = [self._queue.popleft() for _ in range(min(SLICE, len(self._queue)))]
        self._netlink.send_all(some)
        if self._queue:
            self._next = asyncio.get_running_loop().call_soon(self._slice)
