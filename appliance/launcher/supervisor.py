"""A small supervisor: restart with a reason, stop in order, leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from appliance.paths import ROOT

STOP_S = 12.0
READY_S = 40.0
MAX_PAUSE_S = 10.0
LOG_BYTES = 5 << 20
TIDY_S = 10.0
LOW_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1


def say(text: str) -> None:
    """One line on the terminal, if there still is one."""
    with contextlib.suppress(OSError):
        print(f"culvert: {text}", file=sys.stderr, flush=True)


@dataclass
class Part:
    """One process. ``ready`` returns True when it serves."""

    name: str
    command: list[str]
    ready: Callable[[], Awaitable[bool]] | None = None
    environment: dict[str, str] = field(default_factory=dict)


class PartFailed(Exception):
    """A part does not come up at all; the text says which, and its last words."""


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Supervisor:
    """Keeps parts running until ``stop``."""

    def __init__(self, log_directory: Path) -> None:
        self._log = log_directory
        self._running: list[tuple[Part, asyncio.Task[None]]] = []
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = False
        self._disk_low = False
        self._guardian = subprocess.Popen(
            [sys.executable, "-m", "appliance.launcher.guardian"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd=ROOT,
        )
        self._tidying = asyncio.create_task(self._tidy())

    def tell_guardian(self, line: str) -> None:
        """Say what is to be cleared away, should this process be killed (``guardian``)."""
        pipe = self._guardian.stdin
        with contextlib.suppress(OSError, ValueError):
            if pipe is not None:
                pipe.write(line.encode() + b"\n")
                pipe.flush()

    async def start(self, part: Part) -> None:
        """Start a part and wait until it serves.

        :raises PartFailed: if it ends, or does not serve in time.
        """
        try:
            process = await self._spawn(part)
        except OSError as error:
            raise PartFailed(f"{part.name} cannot be started: {error}") from None
        if part.ready is not None:
            await self._wait_ready(part, process)
        self._running.append((part, asyncio.create_task(self._watch(part, process))))

    async def _spawn(self, part: Part) -> asyncio.subprocess.Process:
        path = self._log / f"{part.name}.log"
        with path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *part.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **part.environment},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._processes[part.name] = process
        self.tell_guardian(f"+ {process.pid}")
        with contextlib.suppress(OSError):
            (self._log / f"{part.name}.pid").write_text(str(process.pid))
        return process

    async def _tidy(self) -> None:
        """Watch the disk, and keep each log within bounds. Parts append, so a log may be emptied under them."""
        while True:
            self._look_at_disk()
            for path in self._log.glob("*.log"):
                with contextlib.suppress(OSError):
                    if path.stat().st_size > LOG_BYTES:
                        shutil.copyfile(path, path.with_suffix(".log.1"))
                        os.truncate(path, 0)
            await asyncio.sleep(TIDY_S)

    def _look_at_disk(self) -> None:
        """Say once that the disk is full, and once that it no longer is."""
        with contextlib.suppress(OSError):
            low = shutil.disk_usage(self._log).free < LOW_BYTES
            if low and not self._disk_low:
                say(
                    f"the disk of {self._log.parent} is full: tunnels go on, but changes and events cannot be kept; "
                    "make room"
                )
            elif self._disk_low and not low:
                say(f"the disk of {self._log.parent} has room again")
            self._disk_low = low

    async def _wait_ready(self, part: Part, process: asyncio.subprocess.Process) -> None:
        assert part.ready is not None  # noqa: S101 - the caller looked
        deadline = time.monotonic() + READY_S
        while not await part.ready():
            if process.returncode is not None:
                raise PartFailed(f"{part.name} did not start: {self._tail(part)}")
            if time.monotonic() > deadline:
                raise PartFailed(f"{part.name} did not answer in {READY_S:.0f} s: {self._tail(part)}")
            await asyncio.sleep(0.05)

    def _tail(self, part: Part, lines: int = 1) -> str:
        path = self._log / f"{part.name}.log"
        text = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        return " / ".join(text[-lines:]).removeprefix("culvert: ") or f"see {path}"

    async def _watch(self, part: Part, process: asyncio.subprocess.Process) -> None:
        """Start a part again whenever it ends."""
        restarts = 0
        while True:
            began = time.monotonic()
            code = await process.wait()
            if self._stopping:
                return
            # Its children are nobody's now, and may hold what the next one needs.
            self._signal(process, signal.SIGKILL)
            self.tell_guardian(f"- {process.pid}")
            restarts = restarts + 1 if time.monotonic() - began < 60 else 1
            why = f"signal {-code}" if code < 0 else f"exit code {code}"
            say(f"{part.name} ended by {why} ({self._tail(part)}); starting it again (restart {restarts})")
            process = await self._spawn_again(part, restarts)

    async def _spawn_again(self, part: Part, restarts: int) -> asyncio.subprocess.Process:
        """Start a part again, however often that takes: a full disk will have room again."""
        while True:
            await asyncio.sleep(min(MAX_PAUSE_S, 0.2 * 2 ** min(restarts - 1, 6)))
            try:
                return await self._spawn(part)
            except OSError as error:
                say(f"{part.name} cannot be started: {error}; trying again")
                restarts += 1

    async def stop(self) -> None:
        """Stop all parts in reverse order, each within a bound."""
        self._stopping = True
        self._tidying.cancel()
        for part, task in reversed(self._running):
            process = self._processes[part.name]
            self._signal(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                say(f"{part.name} does not stop; ending it")
                self._signal(process, signal.SIGKILL)
                await process.wait()
            task.cancel()
        for process in self._processes.values():
            self._signal(process, signal.SIGKILL)
            self.tell_guardian(f"- {process.pid}")

    async def dismiss_guardian(self) -> None:
        """Everything is cleared away; the guardian has nothing more to do."""
        if self._guardian.stdin is not None:
            with contextlib.suppress(OSError):
                self._guardian.stdin.close()
        await asyncio.to_thread(self._guardian.wait)

    def _signal(self, process: asyncio.subprocess.Process, number: signal.Signals) -> None:
        """The whole group on KILL; on TERM the leader alone, which knows how to end its children."""
        try:
            if number is signal.SIGKILL:
                os.killpg(process.pid, number)
            elif process.returncode is None:
                process.send_signal(number)
        except ProcessLookupError:
            pass
