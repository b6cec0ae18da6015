"""From the engine's event to the browser, with many watchers."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from appliance.bench.stack import BenchStack
from lab.topology import GATEWAY_OUTER, GATEWAY_SUBNETS, SECRET, SITE_SUBNETS, Topology
from vpnengine.daemon.client import ControlClient

EVENTS_PER_REKEY = 3  # initiate, and two established
SETTLE_S = 3.0
LATE_S = 60.0


class Watcher:
    """One browser: an HTTP connection that reads server-sent events."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.delays: list[float] = []

    async def watch(self, port: int, cookie: str, after: int) -> None:
        """Read until cancelled."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"GET /live/events?after={after} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n"
        writer.write(request.encode())
        try:
            async for line in reader:
                if line.startswith(b"data: ") and b'"seq"' in line:
                    now = time.time()
                    event = json.loads(line[6:])
                    self.seen.append(event["seq"])
                    self.delays.append((now - event["time"]) * 1000)
        finally:
            writer.close()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Rekey a real tunnel at a steady rate and look at every watcher's delays."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Topology("direct", name="bench") as topology,
        BenchStack(Path(directory), topology.site.name) as stack,
    ):
        bring_up(stack)
        return asyncio.run(_watch(stack, options))


def bring_up(stack: BenchStack) -> None:
    """Configure the tunnel of the topology as an administrator would, and let it come up."""
    subnets = {"subnets-TOTAL_FORMS": "1", "subnets-INITIAL_FORMS": "0", "subnets-0-subnet": SITE_SUBNETS[0]}
    stack.post("/vpn/", {**subnets, "subnets-0-in_vpn": "on"})
    fields = {"name": "Branch", "remote": GATEWAY_OUTER, "remote_subnets": GATEWAY_SUBNETS[0]}
    fields |= {"secret": SECRET, "preset": "strong", "start": "immediate", "enabled": "on", "edit": "1"}
    stack.post("/vpn/peers/new/", fields)
    time.sleep(SETTLE_S)


async def _watch(stack: BenchStack, options: argparse.Namespace) -> dict[str, Any]:
    after = int(json.loads(stack.get("/events/rows/"))["last"])
    cookie = "; ".join(f"{c.name}={c.value}" for c in stack.cookies)
    watchers = [Watcher() for _ in range(options.watchers)]
    tasks = [asyncio.create_task(w.watch(stack.port, cookie, after)) for w in watchers]
    await asyncio.sleep(SETTLE_S)
    await asyncio.to_thread(load, stack, options)
    await asyncio.sleep(SETTLE_S)
    last = int(json.loads(await asyncio.to_thread(stack.get, "/events/rows/"))["last"])
    # Late is not lost: the delays say how late.
    deadline = time.monotonic() + LATE_S
    while any(not w.seen or w.seen[-1] < last for w in watchers) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for watcher in watchers:
        watcher.seen = [seq for seq in watcher.seen if seq <= last]
    return _figures(watchers, after, last)


def load(stack: BenchStack, options: argparse.Namespace) -> None:
    """Bounded: one rekeying every few events."""
    pause = EVENTS_PER_REKEY / options.rate
    with ControlClient(stack.state.control) as client:
        for _ in range(int(options.seconds / pause)):
            client.request("rekey", peer="Branch", phase=2)
            time.sleep(pause)


def _figures(watchers: list[Watcher], after: int, last: int) -> dict[str, Any]:
    delays = sorted(delay for watcher in watchers for delay in watcher.delays)
    expected = set(range(after + 1, last + 1))
    return {
        "p50_ms": round(delays[len(delays) // 2], 1),
        "p99_ms": round(delays[int(len(delays) * 0.99)], 1),
        "watchers": len(watchers),
        "lost": sum(len(expected - set(w.seen)) for w in watchers),
        "doubled": sum(len(w.seen) - len(set(w.seen)) for w in watchers),
        "events": len(expected),
    }
