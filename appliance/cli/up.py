"""``./culvert up``: everything, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from appliance.cli.main import fail
from appliance.launcher import parts
from appliance.launcher.supervisor import PartFailed, Supervisor, say
from appliance.paths import ROOT, State
from lab.net import LabError

if TYPE_CHECKING:
    from appliance.demo import Demo

# struct sockaddr_un, without the octet that ends the path (unix(7)).
_SOCKET_PATH = 107
HELP = "Start the dashboard, its workers and the engine; Ctrl-C stops all of it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--host", default="127.0.0.1", help="address of the dashboard (default 127.0.0.1; 0.0.0.0 for all)"
    )
    parser.add_argument("--port", type=int, default=8080, help="port of the dashboard (default 8080)")
    parser.add_argument("--state", metavar="DIR", help="where everything is kept (default var/ in the clone)")
    parser.add_argument(
        "--engine-netns", metavar="NAME", help="run the engine in this network namespace (./culvert lab)"
    )
    parser.add_argument("--demo", action="store_true", help="with a real strongSwan gateway to connect to")


def run(options: argparse.Namespace) -> int:
    """Run until a signal."""
    # The front door says when the command began, before it installed anything.
    began = float(os.environ.get("CULVERT_BEGAN") or time.time())
    default = ROOT / ("var/demo" if options.demo else "var")
    state = State(Path(options.state or os.environ.get("CULVERT_STATE") or default).resolve())
    refusal = _refusal(options, state)
    if refusal:
        return fail(refusal)
    try:
        state.make()
        lock = _lock(state)
    except OSError as error:
        return fail(f"cannot use the state directory {state.directory}: {error.strerror}")
    if lock is None:
        return fail(f"another ./culvert up uses {state.directory}; stop it, or choose another directory with --state")
    os.environ.update(parts.environment(state))
    with lock:
        try:
            return asyncio.run(_serve(options, state, began))
        except (PartFailed, LabError) as error:
            return fail(str(error))


def _refusal(options: argparse.Namespace, state: State) -> str | None:
    """What stands in the way, as a sentence."""
    if os.geteuid():
        return "tunnels need root (TUN device, UDP ports 500 and 4500); run it with sudo"
    if not Path("/dev/net/tun").exists():
        return "this host has no /dev/net/tun; load the kernel module tun, or give the container that device"
    if len(os.fsencode(state.control)) > _SOCKET_PATH:
        return f"the path {state.directory} is too long for the sockets in it; choose a shorter one with --state"
    if not 0 < options.port < 65536:
        return f"there is no port {options.port}; choose one from 1 to 65535 with --port"
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((options.host, options.port))
    except OSError as error:
        where = f"{options.host} port {options.port}"
        return f"cannot listen on {where} ({error.strerror}); choose others with --host and --port"
    return None


def _lock(state: State) -> IO[str] | None:
    file = (state.directory / "up.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


async def _serve(options: argparse.Namespace, state: State, began: float) -> int:
    supervisor = Supervisor(state.log)
    stopped = _stop_signals()
    demo = None
    if options.demo:
        from appliance.demo import Demo

        demo = Demo()
        supervisor.tell_guardian(f"topology {demo.name}")
    try:
        up = asyncio.create_task(_bring_up(options, state, began, supervisor, demo))
        waiting = asyncio.create_task(stopped.wait())
        await asyncio.wait({up, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if stopped.is_set():
            up.cancel()
            # What Ctrl-C has broken off is no news.
            await asyncio.gather(up, return_exceptions=True)
        else:
            await up
        await waiting
        say("stopping")
    finally:
        await supervisor.stop()
        if demo is not None:
            await asyncio.to_thread(demo.down)
        await supervisor.dismiss_guardian()
    return 0


def _stop_signals() -> asyncio.Event:
    """Set by the signals that ask for an end; the second one does not wait for it."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup stays what it is. (A shell's "&" ignores SIGINT too, but whoever sends that to us means it.)
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, lambda: _stop(stopped))
    return stopped


def _stop(stopped: asyncio.Event) -> None:
    if stopped.is_set():
        os._exit(130)
    stopped.set()


async def _bring_up(
    options: argparse.Namespace, state: State, began: float, supervisor: Supervisor, demo: Demo | None
) -> None:
    prefix = ["ip", "netns", "exec", options.engine_netns] if options.engine_netns else []
    if demo is not None:
        say("making the demo's network and its strongSwan gateway")
        await _whole(demo.up)
        prefix = demo.prefix
    await _start(options, state, supervisor, prefix)
    await _whole(lambda: _greet(options))
    if demo is not None:
        await demo.populate(began)


async def _whole(work: Callable[[], object]) -> None:
    """Run ``work`` in a thread, to its end even if we are cancelled: nobody may clean up beside it."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


async def _start(options: argparse.Namespace, state: State, supervisor: Supervisor, prefix: list[str]) -> None:
    if not os.environ.get("REDIS_URL"):
        await supervisor.start(parts.redis_part(state))
    await _whole(_migrate)
    if state.database.exists():
        state.database.chmod(0o600)
    await asyncio.gather(
        supervisor.start(parts.engine_part(state, prefix)),
        supervisor.start(parts.web_part(options.host, options.port)),
        *(supervisor.start(part) for part in [*parts.event_parts(), *parts.celery_parts(state)]),
    )


def _migrate() -> None:
    command = [*parts.MANAGE, "migrate", "-v0", "--noinput"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise PartFailed(f"the database cannot be prepared: {said[-1]}")


def _greet(options: argparse.Namespace) -> None:
    """The address, and the claim if nobody has claimed yet."""
    import django

    django.setup()
    from dashboard.accounts.services import issue_claim

    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(options.host, options.host)
    address = f"http://{parts.bracketed(host)}:{options.port}/"
    say(f"the dashboard is at {address}")
    code = None if options.demo else issue_claim()
    if code:
        say(f"nobody has claimed it yet: open {address}claim/?code={code}")
    say("Ctrl-C stops everything")
