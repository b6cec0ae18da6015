"""One daemon with very many peers: how late its loop gets, what it costs, how long everything takes.

The site's engine has all the peers; a second engine of ours plays the gateways of those that come up.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from appliance.bench.stack import wait
from lab.engine import EngineProcess
from lab.net import RUN, Namespace, destroy, link
from lab.topology import SECRET
from vpnengine.daemon.client import ControlClient

STEADY_S = 20
UP_S = 240
SETTLE_S = 0.2  # what has just been late is known a moment later
_TICK = os.sysconf("SC_CLK_TCK")
_BASES = {"site": "10.100.0.0", "gateway": "10.101.0.0", "silent": "10.102.0.0"}


def outer(end: str, number: int) -> str:
    """The outer address of one end of a tunnel."""
    return str(ipaddress.IPv4Address(_BASES[end]) + 256 + number)


def inner(end: str, number: int) -> str:
    """The subnet behind one end of a tunnel: a /28 in 10.128.0.0/10 or 10.192.0.0/10."""
    base = ipaddress.IPv4Address("10.128.0.0" if end == "site" else "10.192.0.0")
    return f"{base + 16 * number}/28"


def peer(end: str, number: int, silent: bool, start: str) -> dict[str, Any]:
    """One row; a silent gateway does not exist."""
    other = "gateway" if end == "site" else "site"
    return {
        "id": f"p{number}",
        "name": f"Peer {number}",
        "remote": outer("silent" if silent else other, number),
        "local_address": outer(end, 0 if silent else number),
        "psk": SECRET,
        "local_subnets": [inner(end, number)],
        "remote_subnets": [inner(other, number)],
        "start": start,
        "phase2": {"pfs_group": None},
    }


def config(end: str, peers: int, tunnels: int, start: str, revision: int) -> dict[str, Any]:
    """The whole document of one end."""
    rows = [peer(end, number, number >= tunnels, start if number < tunnels else "traffic") for number in range(peers)]
    return {"revision": revision, "peers": rows}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Apply, come up, rest; then change one peer."""
    peers, tunnels = options.peers, options.tunnels
    name = f"scale{os.getpid() % 10000}"
    ends = {role: Namespace(name, role) for role in ("site", "gateway")}
    destroy(name)
    empty: dict[str, Any] = {"revision": 0, "peers": []}
    engines = {role: EngineProcess(ends[role], RUN / name / role, empty) for role in ends}
    try:
        _wire(ends, tunnels, RUN / name)
        for engine in engines.values():
            engine.start()
        with ControlClient(engines["gateway"].control, 120) as far:
            far.request("apply", config=config("gateway", tunnels, tunnels, "responder", 1))
        return _measure(engines["site"], peers, tunnels)
    finally:
        for engine in engines.values():
            engine.stop()
        destroy(name)


def _measure(engine: EngineProcess, peers: int, tunnels: int) -> dict[str, Any]:
    idle_mib = _rss_mib(engine.pid)
    with ControlClient(engine.control, 120) as client:
        figures: dict[str, Any] = {"peers": peers, "tunnels": tunnels, "memory_idle_mib": idle_mib}
        began = time.monotonic()
        client.request("apply", config=config("site", peers, tunnels, "immediate", 1))
        figures["apply_s"] = round(time.monotonic() - began, 2)
        lag = {"apply": _lag(client)}
        lag["up"] = _until_up(client, tunnels)
        figures["up_s"] = round(time.monotonic() - began, 1)
        before = _cpu_s(engine.pid)
        time.sleep(STEADY_S)
        figures["cpu_steady_percent"] = round((_cpu_s(engine.pid) - before) / STEADY_S * 100, 1)
        lag["steady"] = _lag(client)
        began = time.monotonic()
        status = client.request("status")
        figures["status_s"] = round(time.monotonic() - began, 2)
        figures["status_peers"] = len(status["peers"])
        lag["status"] = _lag(client)
        document = config("site", peers, tunnels, "immediate", 2)
        document["peers"][0]["phase2"]["lifetime_s"] = 1800
        began = time.monotonic()
        changed = client.request("apply", config=document)
        figures["change_one_s"] = round(time.monotonic() - began, 2)
        figures["changed"] = len(changed["changed"])
        lag["change_one"] = _lag(client)
        figures["memory_mib"] = _rss_mib(engine.pid)
        figures["loop_lag_ms"] = lag
        figures["worst_lag_ms"] = max(lag.values())
    return figures


def _until_up(client: ControlClient, tunnels: int) -> float:
    """Wait for all tunnels; the worst lateness meanwhile."""
    worst = [0.0]

    def up() -> bool:
        stats = client.request("stats")
        worst.append(float(stats["loop_lag_max_ms"]))
        return bool(stats["sa_pairs"] >= tunnels)

    wait(up, UP_S, "all tunnels up", pause=0.5)
    return max(worst)


def _lag(client: ControlClient) -> float:
    """The worst lateness of the loop since this was asked last."""
    time.sleep(SETTLE_S)
    return float(client.request("stats")["loop_lag_max_ms"])


def _wire(ends: dict[str, Namespace], tunnels: int, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for namespace in ends.values():
        namespace.create()
    link(ends["site"], ends["gateway"], ("wan", "wan"))
    # One neighbour for each end: the addresses stand behind it, as gateways do behind a provider.
    for role, other, wan in (("site", "gateway", "192.0.2.1"), ("gateway", "site", "192.0.2.2")):
        ends[role].address("wan", f"{wan}/24")
        via = "192.0.2.2" if role == "site" else "192.0.2.1"
        for where in {other, "gateway" if role == "gateway" else "silent"} - {role}:
            ends[role].route(f"{_BASES[where]}/16", via)
    for role, namespace in ends.items():
        batch = directory / f"{role}.batch"
        batch.write_text("".join(f"address add {outer(role, number)}/32 dev lo\n" for number in range(tunnels)))
        namespace.run("ip", "-batch", str(batch), timeout=120)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _rss_mib(pid: int) -> float:
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return round(int(done.stdout) / 1024, 1)
