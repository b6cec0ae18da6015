"""The parts of ``./culvert up`` and how each shows that it serves."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from appliance.launcher.supervisor import Part
from appliance.paths import ROOT, State

MANAGE = [sys.executable, str(ROOT / "manage.py")]


async def _unix_answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    writer.close()
    return True


async def _web_answers(host: str, port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /health/ HTTP/1.1\r\nHost: culvert\r\nConnection: close\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
    except (OSError, TimeoutError):
        return False
    return b"200" in line


def redis_part(state: State) -> Part:
    """A private Redis on a unix socket. Nothing in it needs to last."""
    state.redis.unlink(missing_ok=True)
    command = ["redis-server", "--port", "0", "--unixsocket", str(state.redis), "--unixsocketperm", "600"]
    command += ["--save", "", "--appendonly", "no", "--dir", str(state.directory), "--daemonize", "no"]
    command += ["--maxmemory-policy", "noeviction"]
    return Part("redis", command, lambda: _unix_answers(state.redis))


def web_part(host: str, port: int) -> Part:
    """The dashboard under gunicorn's own ASGI worker."""
    command = [sys.executable, "-m", "gunicorn", "-k", "asgi", "-w", "1", "-b", f"{bracketed(host)}:{port}"]
    command += ["--graceful-timeout", "5", "--chdir", str(ROOT), "--no-control-socket", "appliance.asgi:application"]
    probe = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return Part("web", command, lambda: _web_answers(probe, port))


def bracketed(host: str) -> str:
    """The host as it stands before a colon and a port."""
    return f"[{host}]" if ":" in host else host


def celery_parts(state: State) -> list[Part]:
    """Worker and beat."""
    base = [sys.executable, "-m", "celery", "-A", "appliance.celery"]
    (state.directory / "beat-schedule").unlink(missing_ok=True)
    beat = [*base, "beat", "--loglevel", "WARNING", "--pidfile", ""]
    return [
        Part(
            "worker",
            [*base, "worker", "--loglevel", "INFO", "--concurrency", "2", "--without-gossip", "--without-mingle"],
        ),
        Part("beat", beat),
    ]


def engine_part(state: State, prefix: list[str]) -> Part:
    """The engine, in a network namespace if ``prefix`` says so."""
    command = [*prefix, *MANAGE, "engine", "--saved", str(state.applied), "--control", str(state.control)]
    command += ["--journal", str(state.journal)]
    return Part("engine", command, lambda: _unix_answers(state.control))


def event_parts() -> list[Part]:
    """Agent, writer and notifier."""
    return [Part(name, [*MANAGE, name]) for name in ("writer", "agent", "notifier")]


def environment(state: State) -> dict[str, str]:
    """What every part must know."""
    return {"CULVERT_STATE": str(state.directory), "PYTHONPATH": os.fspath(ROOT), "C_FORCE_ROOT": "1"}
