"""The event loop's lag is measured, and the worst is told once."""

from __future__ import annotations

import asyncio
import time

from vpnengine.daemon.lag import LagMeter


async def test_a_loop_that_is_held_up_shows() -> None:
    meter = LagMeter()
    task = asyncio.create_task(meter.run())
    await asyncio.sleep(0.01)
    time.sleep(0.25)  # noqa: ASYNC251 - this is the lag
    async with asyncio.timeout(5):
        while not meter.last_ms:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
    task.cancel()
    assert 150 < meter.last_ms < 5_000
    assert meter.take_worst_ms() >= meter.last_ms
    meter.last_ms = 0.5
    assert meter.take_worst_ms() == 0.5
