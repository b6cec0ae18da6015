"""The Event Log with very many rows, in a real browser: how long its frames are while events stream in.

The page has loaded every row before the frames are measured; the events are those of a real tunnel that rekeys.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.bench import live
from appliance.bench.stack import BenchError, BenchStack, wait
from lab.topology import Topology

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
BATCH = 5_000
LOAD_S = 180.0
ARRIVE_S = 10.0
WHEEL_PX = 400
TURN = 40  # wheel movements before the direction changes
SEVERITIES = ("info", "notice", "warning", "error")
# Frames and long tasks, since the last time that they were taken.
OBSERVE = """() => {
  window.bench = { frames: [], tasks: [] };
  let before = performance.now();
  const frame = (now) => { bench.frames.push(now - before); before = now; requestAnimationFrame(frame); };
  requestAnimationFrame((now) => { before = now; requestAnimationFrame(frame); });
  new PerformanceObserver((list) => bench.tasks.push(...list.getEntries().map((task) => task.duration)))
    .observe({ entryTypes: ["longtask"] });
}"""
LOADED = "() => Number(document.getElementById('log').dataset.loaded)"
LIVE = "() => document.getElementById('connection').textContent.endsWith('live')"
IN_DOM = "() => document.querySelectorAll('.log-row').length"
SEEN = "() => [...document.querySelectorAll('.log-row')].map((row) => Number(row.dataset.seq))"
DOWN = "() => { const log = document.getElementById('log'); log.scrollTop = log.scrollHeight; }"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Fill, open, load every row, then scroll while events arrive."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Topology("direct", name=f"log{os.getpid() % 10000}") as topology,
        BenchStack(Path(directory), topology.site.name) as stack,
    ):
        _fill(stack, options.rows)
        live.bring_up(stack)
        return _browse(stack, options)


def _fill(stack: BenchStack, count: int) -> None:
    """Rows as the writer makes them, in its order, in batches between which the writer itself can write."""
    os.environ["CULVERT_STATE"] = str(stack.state.directory)
    import django

    django.setup()
    from django.db import connection

    from dashboard.eventlog import services
    from dashboard.fleet import selectors as fleet

    appliance = wait(fleet.local_appliance, 10, "the appliance in the database", pause=0.1)
    appliance = fleet.appliance(appliance.uuid)
    began = time.time() - count
    for start in range(0, count, BATCH):
        services.append(
            appliance, [_event(number, began) for number in range(start + 1, min(start + BATCH, count) + 1)]
        )
    connection.close()


def _event(number: int, began: float) -> dict[str, Any]:
    """One event of an earlier boot, one a second."""
    return {
        "number": number,
        "boot": "bench",
        "time": began + number,
        "code": "ike.phase2.established",
        "severity": SEVERITIES[number % len(SEVERITIES)],
        "phase": 2,
        "peer_id": f"peer-{number % 50}",
        "peer": f"Branch {number % 50}",
        "negotiation": f"n{number // 3}",
        "text": f"event {number} of the measurement, as long as the text of an ordinary event in the log",
        "side": None,
        "evidence": {"number": str(number)},
        "hint": None,
    }


def _browse(stack: BenchStack, options: argparse.Namespace) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.add_cookies([{"name": c.name, "value": c.value or "", "url": stack.address} for c in stack.cookies])
        page = context.new_page()
        began = time.monotonic()
        page.goto(f"{stack.address}/events/")
        page.wait_for_selector(".log-row", timeout=60_000)
        figures: dict[str, Any] = {"load_ms": round((time.monotonic() - began) * 1000)}
        page.wait_for_function(LIVE, timeout=10_000)
        began = time.monotonic()
        first, last = _bounds(stack)
        _load_all(page, last - first + 1)
        figures["load_all_s"] = round(time.monotonic() - began, 1)
        figures |= _stream(page, stack, options)
        browser.close()
    return {"rows": last - first + 1, **figures}


def _bounds(stack: BenchStack) -> tuple[int, int]:
    answer = json.loads(stack.get("/events/rows/"))
    return int(answer["first"]), int(answer["last"])


def _load_all(page: Page, count: int) -> None:
    """Scroll to the end again and again, until the page has every row."""

    def loaded() -> bool:
        page.evaluate(DOWN)
        page.wait_for_timeout(10)
        return bool(page.evaluate(LOADED) >= count)

    wait(loaded, LOAD_S, f"loading {count} rows")


def _stream(page: Page, stack: BenchStack, options: argparse.Namespace) -> dict[str, Any]:
    """Scroll with the wheel, down and up, for as long as events arrive."""
    page.evaluate("() => { document.getElementById('log').scrollTop = 0; }")
    page.hover("#log")
    before = _bounds(stack)[1]
    page.evaluate(OBSERVE)
    load = threading.Thread(target=live.load, args=(stack, options))
    began = time.monotonic()
    load.start()
    turn = most = 0
    while load.is_alive():
        page.mouse.wheel(0, WHEEL_PX if turn // TURN % 2 == 0 else -WHEEL_PX)
        turn += 1
        if turn % TURN == 0:
            most = max(most, page.evaluate(IN_DOM))
    took = time.monotonic() - began
    load.join()
    frames, tasks = page.evaluate("() => [bench.frames, bench.tasks]")
    page.wait_for_timeout(live.SETTLE_S * 1000)
    last = _bounds(stack)[1]
    if last == before or not frames:
        raise BenchError("no event was made, or no frame was drawn, so there is nothing to measure")
    return {"rate": round((last - before) / took, 1), "events": last - before, **_frames(frames, tasks)} | {
        "rows_in_dom": most,
        "missed": len(_missed(page, set(range(before + 1, last + 1)))),
    }


def _frames(frames: list[float], tasks: list[float]) -> dict[str, Any]:
    """The time between frames, and the tasks that held the page for over 50 ms."""
    frames = sorted(frames)
    return {
        "frames": len(frames),
        "frame_p50_ms": round(frames[len(frames) // 2], 1),
        "frame_p99_ms": round(frames[int(len(frames) * 0.99)], 1),
        "longest_frame_ms": round(frames[-1], 1),
        "long_tasks": len(tasks),
        "longest_task_ms": round(max(tasks, default=0.0), 1),
    }


def _missed(page: Page, expected: set[int]) -> set[int]:
    """Read the page from its top: the new events that are nowhere in it."""
    page.evaluate("() => { document.getElementById('log').scrollTop = 0; }")
    left = set(expected)
    deadline = time.monotonic() + ARRIVE_S
    while left and time.monotonic() < deadline:
        page.wait_for_timeout(60)
        seen = page.evaluate(SEEN)
        left -= set(seen)
        if seen and min(seen) <= min(expected):
            break
        page.evaluate(f"() => {{ document.getElementById('log').scrollTop += {WHEEL_PX}; }}")
    return left
