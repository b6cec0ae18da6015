"""The dashboard with very much in it: how long the server takes for each page, how soon events reach many watchers.

Pages are found by their addresses, so that a new page is measured without being listed. Each database has its own
process (settings are read once), whose requests go through the whole of Django but no network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from appliance.bench import live
from appliance.bench.postgres import private
from appliance.bench.stack import BenchError
from appliance.launcher.parts import redis_part
from appliance.paths import ROOT, State

FULL = {"appliances": 1_000, "peers": 20_000, "events": 10_000_000, "runs": 20}
QUICK = {"appliances": 50, "peers": 1_000, "events": 200_000, "runs": 10}
WATCHERS, LIVE_RATE, LIVE_S, LIVE_QUICK_S = 500, 10, 20, 8
SHOWN = ("watchers", "p50_ms", "p99_ms", "lost", "doubled")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Pages on SQLite and on PostgreSQL, then the live stream of a whole stack."""
    size = dict(QUICK if options.quick else FULL)
    if options.events:
        size["events"] = options.events
    home = Path(options.state or ROOT / "var/bench-web").resolve() / f"{size['events']}-{size['peers']}"
    pages = _pages(size, home / "sqlite", None)
    with private(
        _reachable(home / "postgresql"), "shared_buffers=512MB", "maintenance_work_mem=512MB", "max_wal_size=8GB"
    ) as url:
        pages += _pages(size, home / "postgresql-state", url)
    options.watchers, options.rate = WATCHERS, LIVE_RATE
    options.seconds = LIVE_QUICK_S if options.quick else LIVE_S
    figures = live.measure(options)
    return {"pages": pages, "live": {name: figures[name] for name in SHOWN}}


def _pages(size: dict[str, int], state: Path, url: str | None) -> list[dict[str, Any]]:
    """Fill the database unless it is filled, and measure, in a process of its own."""
    state.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    environment |= {"CULVERT_STATE": str(state), "PYTHONPATH": str(ROOT)} | ({"DATABASE_URL": url} if url else {})
    command = [sys.executable, "-m", "appliance.bench.web_pages", json.dumps(size)]
    # Pages ask Redis for the status. The socket's path is to be short, wherever the state is.
    with tempfile.TemporaryDirectory() as directory:
        redis = redis_part(State(Path(directory)))
        server = subprocess.Popen(redis.command, stdout=subprocess.DEVNULL)
        environment["REDIS_URL"] = f"unix://{directory}/redis.sock"
        try:
            done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        finally:
            server.terminate()
            server.wait(10)
    if done.returncode:
        raise BenchError("the pages could not be measured, for the reason above")
    return list(json.loads(done.stdout.splitlines()[-1]))


def _reachable(directory: Path) -> Path:
    """A directory that PostgreSQL's own user can get at; another one, which is found again, if it cannot."""
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() or all(part.stat().st_mode & 0o001 for part in [directory, *directory.parents]):
        return directory
    return Path(f"/var/tmp/culvert-bench-{hashlib.sha256(str(directory).encode()).hexdigest()[:12]}")  # noqa: S108
