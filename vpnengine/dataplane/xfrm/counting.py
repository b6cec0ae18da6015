"""Counters of the installed pairs, from the kernel's states."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from vpnengine.dataplane.base import SaCounters
from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm import states
from vpnengine.dataplane.xfrm.netlink import Netlink
from vpnengine.dataplane.xfrm.sad import Sa
from vpnengine.dataplane.xfrm.states import Dumped
from vpnengine.dataplane.xfrm.structs import SaId

COUNTERS_S = 0.2  # counters are not asked for more often
FEW = 64  # pairs up to which the kernel is asked while the event loop waits


class Counting:
    """Asks the kernel: at once for a few pairs, on another thread for many, whose counters are then those of before."""

    def __init__(self) -> None:
        self._asked = 0.0
        self._of: frozenset[int] = frozenset()
        self._asking: asyncio.Task[None] | None = None

    def counters(self, netlink: Netlink | None, pairs: dict[int, Sa]) -> dict[int, SaCounters]:
        """Counters by inbound SPI."""
        now = time.monotonic()
        if netlink is not None and pairs and (now - self._asked >= COUNTERS_S or self._of != pairs.keys()):
            if len(pairs) <= FEW:
                _count(found(netlink), list(pairs.values()), now)
            elif self._asking is None:
                self._asking = asyncio.get_running_loop().create_task(self._ask(list(pairs.values()), now))
            self._asked, self._of = now, frozenset(pairs)
        return {spi: sa.counted for spi, sa in pairs.items()}

    async def _ask(self, pairs: list[Sa], now: float) -> None:
        try:
            await asyncio.to_thread(_count_elsewhere, pairs, now)
        finally:
            self._asking = None

    async def stop(self) -> None:
        """Wait for a thread that asks."""
        if self._asking is not None:
            await asyncio.wait([self._asking])


def found(netlink: Netlink) -> dict[SaId, Dumped]:
    """All states of the kernel."""
    return {state.identity: state for state in map(states.dumped, netlink.dump(m.GETSA))}


def found_elsewhere() -> dict[SaId, Dumped]:
    """The same on any thread."""
    netlink = Netlink()
    try:
        return found(netlink)
    finally:
        netlink.close()


def _count_elsewhere(pairs: list[Sa], now: float) -> None:
    _count(found_elsewhere(), pairs, now)


def _count(dumped: dict[SaId, Dumped], pairs: Iterable[Sa], now: float) -> None:
    for sa in pairs:
        sa.count(dumped.get(states.identity(sa.pair, True)), dumped.get(states.identity(sa.pair, False)), now)
