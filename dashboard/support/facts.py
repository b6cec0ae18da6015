"""What runs here, and on what: versions, and facts of this host. Nothing of the environment, where passwords may be."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone
from redis import RedisError

from dashboard.core.redis import client

COMMAND_S = 5
_MAX_OUTPUT = 1 << 20
_ROOT = Path(__file__).resolve().parents[2]


def versions() -> dict[str, Any]:
    """Of Culvert, Python, its packages, database and Redis."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    return {
        "culvert": project["version"],
        "commit": _said("git", "-C", str(_ROOT), "rev-parse", "HEAD"),
        "python": sys.version,
        "packages": {found.name: found.version for found in sorted(metadata.distributions(), key=lambda d: d.name)},
        "database": _database(),
        "redis": _redis(),
    }


def host() -> dict[str, Any]:
    """The machine that this dashboard and its appliance run on; sizes in octets, times in seconds."""
    memory, disk = _memory(), shutil.disk_usage(Path(settings.CULVERT_KEYRING).parent)
    return {
        "time": timezone.now().isoformat(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "") if sys.platform == "linux" else sys.platform,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "uptime_s": float(_read("/proc/uptime").split()[0] or 0) if _read("/proc/uptime") else None,
        "memory": memory,
        "disk": {"total": disk.total, "free": disk.free},
        "forwarding": {
            "ipv4": _read("/proc/sys/net/ipv4/ip_forward"),
            "ipv6": _read("/proc/sys/net/ipv6/conf/all/forwarding"),
        },
        "addresses": _json("ip", "-j", "address"),
        "routes": [*_json("ip", "-j", "-4", "route"), *_json("ip", "-j", "-6", "route")],
        "rules": _json("ip", "-j", "rule"),
    }


def _memory() -> dict[str, int]:
    wanted = {"MemTotal": "total", "MemAvailable": "available", "SwapTotal": "swap_total", "SwapFree": "swap_free"}
    rows = (line.split() for line in _read("/proc/meminfo").splitlines())
    return {wanted[row[0][:-1]]: int(row[1]) * 1024 for row in rows if row and row[0][:-1] in wanted}


def _database() -> str:
    if connection.vendor != "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT version()")
            return str(cursor.fetchone()[0])
    return "SQLite " + ".".join(map(str, connection.Database.sqlite_version_info))


def _redis() -> str:
    try:
        with client() as redis:
            return str(redis.info("server")["redis_version"])
    except (RedisError, OSError):
        return "not reachable"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _said(*command: str) -> str:
    """What a program of the host writes; empty if it is not there, fails, or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=COMMAND_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout[:_MAX_OUTPUT].decode(errors="replace").strip()


def _json(*command: str) -> list[Any]:
    try:
        return list(json.loads(_said(*command) or "[]"))
    except ValueError:
        return []
