"""``./culvert engine``: the IKE daemon alone, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TextIO

from appliance.cli.main import fail
from appliance.paths import state
from vpnengine.contract.config import EngineConfig, config_for_wire, parse_config
from vpnengine.contract.events import Event
from vpnengine.contract.problems import Refused
from vpnengine.daemon.control_server import ControlServer
from vpnengine.daemon.journal import Journal
from vpnengine.daemon.service import ANY, Engine
from vpnengine.dataplane.base import DataPlaneError
from vpnengine.dataplane.select import create

HELP = "Run the IKE/ESP engine in the foreground on a JSON EngineConfig (see ./culvert ctl schema)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--config", metavar="FILE", help="EngineConfig to begin with; - reads standard input")
    parser.add_argument("--saved", metavar="FILE", help="keep the applied configuration here, and begin with it")
    parser.add_argument("--control", metavar="SOCKET", help="control socket (default: in the state directory)")
    parser.add_argument("--journal", metavar="DIR", help="event journal (default: a temporary directory)")
    parser.add_argument("--events", metavar="FILE", help="also write events here as JSON lines; - prints them as text")
    parser.add_argument(
        "--keep-messages", action="store_true", help="keep whole messages and their keys in memory, for ctl capture"
    )
    parser.add_argument("--tun", metavar="NAME", default="culvert0", help="name of the TUN device")
    parser.add_argument(
        "--dataplane",
        choices=("auto", "kernel", "native", "userspace", "python"),
        default=os.environ.get("CULVERT_DATAPLANE") or None,
        help="carry packets this way whatever the configuration says: kernel (its IPsec), native (threads), userspace "
        "(also called python); the environment variable CULVERT_DATAPLANE does the same",
    )
    parser.add_argument("--bind", metavar="ADDRESS", action="append", help="listen on this address only (repeatable)")


def run(options: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not options.config and not options.saved:
        print("culvert engine: give --config FILE, or --saved FILE", file=sys.stderr)
        return 2
    try:
        config = _load(options)
    except Refused as refused:
        for problem in refused.problems:
            print(f"{problem.field or 'config'}: {problem.message}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        return fail(f"cannot read the configuration: {error}")
    with contextlib.ExitStack() as stack:
        directory = options.journal or stack.enter_context(tempfile.TemporaryDirectory(prefix="culvert-journal-"))
        try:
            return asyncio.run(_serve(options, config, Path(directory)))
        except (DataPlaneError, OSError) as error:
            return fail(str(error))
        except Refused as refused:
            return fail(str(refused))


def _load(options: argparse.Namespace) -> EngineConfig:
    if options.saved and Path(options.saved).exists():
        saved = _load_saved(Path(options.saved))
        if saved is not None:
            return saved
    if not options.config:
        return EngineConfig()
    text = sys.stdin.read() if options.config == "-" else Path(options.config).read_text()
    return parse_config(json.loads(text))


def _load_saved(path: Path) -> EngineConfig | None:
    """What was applied last; None if this version cannot use it, which must not keep the appliance down.

    The dashboard notices the revision that is missing, and applies its own again.
    """
    try:
        return parse_config(json.loads(path.read_text(encoding="utf-8")))
    except (Refused, ValueError) as error:
        aside = path.with_suffix(".unusable")
        path.replace(aside)
        logging.warning("cannot use the saved configuration (%s); it is kept as %s", type(error).__name__, aside)
        return None


async def _serve(options: argparse.Namespace, config: EngineConfig, journal: Path) -> int:
    # A configuration for tests that carries nothing stays what it is.
    kind = config.dataplane if config.dataplane == "fake" else options.dataplane or config.dataplane
    dataplane = create(kind, options.tun)
    engine = Engine(config, dataplane, Journal(journal), tuple(options.bind or ANY), options.keep_messages)
    if options.keep_messages:
        logging.warning("--keep-messages: whole messages and the keys that open them stay in memory")
    if options.saved:
        engine.applied_hook = lambda applied: save(Path(options.saved), applied)
    if options.events:
        engine.listeners.append(_EventWriter(options.events))
    server = ControlServer(engine, Path(options.control) if options.control else state().control)
    await server.start()
    try:
        await engine.start()
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        await stopped.wait()
    finally:
        await server.stop()
        await engine.stop()
    return 0


def save(path: Path, config: EngineConfig) -> None:
    """Write the applied configuration so that a crash leaves the old or the new one, readable by us alone."""
    temporary = path.with_suffix(".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(config_for_wire(config), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class _EventWriter:
    """Writes events to a file as JSON, or to the terminal as text."""

    def __init__(self, target: str) -> None:
        self._text = target == "-"
        self._file: TextIO = sys.stdout if self._text else open(target, "a", encoding="utf-8")  # noqa: SIM115 - for life

    def __call__(self, events: list[Event]) -> None:
        for event in events:
            self._file.write(_as_text(event) if self._text else event.model_dump_json() + "\n")
        self._file.flush()


def _as_text(event: Event) -> str:
    at = datetime.fromtimestamp(event.time).astimezone().strftime("%H:%M:%S.%f")[:-3]
    hint = f"\n             {event.side}: {event.hint}" if event.hint else ""
    return f"{at} {event.peer or '-'}: {event.text}{hint}\n"
