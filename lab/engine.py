"""Our own engine as a process in a namespace."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lab.net import PATIENCE, LabError, Namespace

ROOT = Path(__file__).resolve().parent.parent
START_S = 15.0 * PATIENCE


class EngineProcess:
    """``./culvert engine`` in a namespace, driven with ``./culvert ctl``; ``options`` are further ones of it."""

    def __init__(self, namespace: Namespace, directory: Path, config: dict[str, Any]) -> None:
        self.namespace = namespace
        self.directory = directory
        self.config = config
        self.control = directory / "control.sock"
        self.options: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the engine."""
        if self._process is None:
            raise LabError("the engine does not run")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers.

        :raises LabError: with the end of its log.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "config.json"
        path.write_text(json.dumps(self.config))
        self._process = self.namespace.spawn(
            *(sys.executable, str(ROOT / "manage.py"), "engine", "--config", str(path)),
            *("--control", str(self.control), "--journal", str(self.directory / "journal")),
            *self.options,
            log=self.directory / "engine.log",
        )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.control.exists() and self.ctl("stats", check=False).returncode == 0:
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise LabError(f"the engine did not start: {self.log_tail()}")

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        path = self.directory / "engine.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def ctl(self, *arguments: str, check: bool = True, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``ctl``.

        :raises LabError: if it fails, with its sentence.
        """
        command = [sys.executable, str(ROOT / "manage.py"), "ctl", "--control", str(self.control), "--json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, input=text, timeout=60, check=False)
        if check and done.returncode:
            raise LabError(done.stderr.strip())
        return done

    def status(self) -> dict[str, Any]:
        """The first peer's status."""
        return self.statuses()[0]

    def statuses(self) -> list[dict[str, Any]]:
        """The status of every peer."""
        return list(json.loads(self.ctl("status").stdout)["peers"])

    def stats(self) -> dict[str, Any]:
        """Its counters."""
        return dict(json.loads(self.ctl("stats").stdout))

    def events(self) -> list[dict[str, Any]]:
        """The whole journal."""
        return [json.loads(line) for line in self.ctl("events").stdout.splitlines()]

    def apply(self, config: dict[str, Any]) -> dict[str, Any]:
        """Apply another configuration."""
        self.config = config
        return dict(json.loads(self.ctl("apply", "-", text=json.dumps(config)).stdout))

    def wait_event(self, code: str, count: int = 1, seconds: float = 30.0) -> dict[str, Any]:
        """Wait until an event has happened ``count`` times, and return the last.

        :raises LabError: with the newest events, if it does not happen.
        """
        deadline = time.monotonic() + seconds
        while True:
            events = self.events()
            found = [event for event in events if event["code"] == code]
            if len(found) >= count:
                return found[count - 1]
            if time.monotonic() > deadline:
                newest = "\n".join(f"{e['code']}: {e['text']}" for e in events[-12:])
                raise LabError(f"{code} did not happen {count} times in {seconds} s; the newest events:\n{newest}")
            time.sleep(0.2)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
        self._process = None
