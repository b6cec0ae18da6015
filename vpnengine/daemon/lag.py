"""How late the event loop is: the time that a short sleep takes too long."""

from __future__ import annotations

import asyncio
import time

EVERY_S = 0.05


class LagMeter:
    """Figures in milliseconds."""

    def __init__(self) -> None:
        self.last_ms = 0.0
        self._worst_ms = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.monotonic() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self.last_ms = max(0.0, (time.monotonic() - due) * 1000)
            self._worst_ms = max(self._worst_ms, self.last_ms)

    def take_worst_ms(self) -> float:
        """The worst since this was asked last."""
        worst, self._worst_ms = max(self._worst_ms, self.last_ms), 0.0
        return worst
