"""From Save to the first packet through the new tunnel."""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from appliance.bench.stack import BenchError, BenchStack, wait
from lab.topology import FAR_HOST, GATEWAY_OUTER, GATEWAY_SUBNETS, SECRET, SITE_SUBNETS, Topology
from vpnengine.daemon.client import ControlClient

PING_S = 0.02
LIMIT_S = 30


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Save a peer in the form, and wait for the first answer to a ping behind it; then remove it."""
    seconds = []
    with (
        tempfile.TemporaryDirectory() as directory,
        Topology("direct", name="bench") as topology,
        BenchStack(Path(directory), topology.site.name) as stack,
    ):
        subnets = {"subnets-TOTAL_FORMS": "1", "subnets-INITIAL_FORMS": "0", "subnets-0-subnet": SITE_SUBNETS[0]}
        stack.post("/vpn/", {**subnets, "subnets-0-in_vpn": "on"})
        for _ in range(options.runs):
            seconds.append(_one(stack, topology))
    return {
        "median_s": round(statistics.median(seconds), 3),
        "worst_s": round(max(seconds), 3),
        "runs": len(seconds),
    }


def _one(stack: BenchStack, topology: Topology) -> float:
    # Bounded by -c: with -w ping would end at the first "unreachable", which is what comes before the save.
    ping = subprocess.Popen(
        [*topology.lan.exec_prefix(), "ping", "-n", "-i", str(PING_S), "-c", str(int(LIMIT_S / PING_S)), FAR_HOST],
        stdout=subprocess.PIPE,
        text=True,
    )
    fields = {"name": "Branch", "remote": GATEWAY_OUTER, "remote_subnets": GATEWAY_SUBNETS[0], "secret": SECRET}
    fields |= {"preset": "strong", "start": "immediate", "enabled": "on", "edit": "1"}
    began = time.monotonic()
    stack.post("/vpn/peers/new/", fields)
    try:
        assert ping.stdout is not None  # noqa: S101 - PIPE was asked for
        for line in ping.stdout:
            if "bytes from" in line:
                return time.monotonic() - began
        raise BenchError(f"no packet crossed in {LIMIT_S} s")
    finally:
        ping.kill()
        ping.wait()
        _remove(stack)


def _remove(stack: BenchStack) -> None:
    """Back to no tunnel at all, at both ends."""
    found = re.search(r"/vpn/peers/([0-9a-f-]{36})/", stack.get("/vpn/"))
    if found is None:
        return
    # The delete form stands on the peer's page.
    page = stack.get(found[0])
    token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[-1]
    stack.submit(f"{found[0]}delete/", {"csrfmiddlewaretoken": token})

    def gone() -> bool:
        with ControlClient(stack.state.control) as client:
            return not client.request("status")["peers"]

    wait(gone, 20, "the removal")
    time.sleep(0.5)
