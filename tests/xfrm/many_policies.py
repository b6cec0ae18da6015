"""Runs in a network namespace of its own, see ``test_many_policies.py``: thousands of peers on the kernel's data path.

The kernel needs no ESP for this, policies are enough. Prints JSON: the longest turns of the event loop in CPU
milliseconds (a busy machine makes it wait, which is not ours to judge), how often it turned, and what the kernel has.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import json
import subprocess
import sys
import time
from collections.abc import Awaitable
from typing import Any

from tests.dataplane.test_userspace import Told
from vpnengine.dataplane.base import Policy
from vpnengine.dataplane.xfrm.dataplane import KernelDataPlane
from vpnengine.dataplane.xfrm.netlink import Netlink
from vpnengine.esp.sa import Selector

SITE, FAR = (int(ipaddress.IPv4Address(base)) for base in ("10.128.0.0", "10.192.0.0"))
STRANGER = ("src", "203.0.113.0/24", "dst", "198.51.100.0/24", "dir", "out")


def ip(*words: str) -> str:
    return subprocess.run(("ip", *words), capture_output=True, text=True, check=True).stdout


def policy(number: int, acquire: bool = True) -> Policy:
    site, far = (ipaddress.IPv4Network((base + 16 * number, 28)) for base in (SITE, FAR))
    return Policy(f"p{number}", Selector(site, far), acquire)


def there() -> list[str]:
    """The remote subnets of our outbound policies."""
    lines = ip("xfrm", "policy", "list", "dir", "out").splitlines()
    return sorted(line.split()[3] for line in lines if line.startswith("src 10.1"))


def count() -> int:
    return ip("xfrm", "policy").count("\tdir ")


class Turns:
    """How much CPU the event loop's thread takes between two turns of a task that always wants to go on."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}
        self.sent: list[int] = []

    async def during(self, what: str, work: Awaitable[None]) -> None:
        self.sent.clear()
        began, cpu = time.monotonic(), time.process_time()
        longest, turns = await self._watch(asyncio.ensure_future(work))
        self.figures[what] = {
            "longest_ms": round(longest * 1000, 1),
            "turns": turns,
            "messages": sum(self.sent),
            "seconds": round(time.monotonic() - began, 2),
            "cpu_s": round(time.process_time() - cpu, 2),
        }

    async def _watch(self, work: asyncio.Future[None]) -> tuple[float, int]:
        longest, turns, before = 0.0, 0, time.thread_time()
        while not work.done():
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, turns, before = max(longest, now - before), turns + 1, now
            if not turns % 100:
                await asyncio.sleep(0.001)  # whoever works on another thread
        await work
        return longest, turns


async def main(peers: int) -> dict[str, Any]:
    gc.freeze()
    gc.disable()  # the engine freezes its own
    turns = Turns()
    send = Netlink.send_all

    def counting(self: Netlink, requests: Any) -> list[int]:
        turns.sent.append(len(requests))
        return send(self, requests)

    Netlink.send_all = counting  # type: ignore[method-assign]
    ip("link", "set", "lo", "up")
    ip("xfrm", "policy", "add", *STRANGER, "tmpl", "proto", "esp", "reqid", "5", "mode", "tunnel")
    path = KernelDataPlane("many0")
    await path.open([], Told())
    base = count()
    everything = tuple(map(policy, range(peers)))
    changed = tuple(policy(number, number != 5) for number in range(peers))

    async def have(wanted: tuple[Policy, ...]) -> None:
        await asyncio.to_thread(path.prepare, wanted)
        path.set_policies(wanted)
        await path.settled()

    found: dict[str, Any] = {}
    await turns.during("set", have(everything))
    found["all"], routes = count() - base, ip("route", "show", "table", "220")
    found["routes"] = routes.count("many0")
    await turns.during("change one", have(changed))
    blocked = ip("xfrm", "policy", "list", "dir", "out", "src", str(changed[5].selector.local))
    found["blocked"] = "action block" in blocked
    await turns.during("half", have(changed[::2]))
    found["half"] = there() == sorted(str(row.selector.remote) for row in changed[::2])
    found["conditions"] = path.conditions()
    await turns.during("close", path.close())
    found["left"] = ip("xfrm", "policy")
    return {"turns": turns.figures, "found": found}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1])))))
