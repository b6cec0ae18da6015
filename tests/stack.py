"""The whole product as a user starts it, with its engine in a lab namespace."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.paths import ROOT, State

START_S = 90.0


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def eventually(condition: Callable[[], Any], seconds: float = 20, pause: float = 0.1) -> Any:
    """The condition's value as soon as it is true; its last value after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return value


class Stack:
    """``./culvert up`` in a state directory of its own."""

    def __init__(self, directory: Path, netns: str | None = None, **environment: str) -> None:
        self.state = State(directory)
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._netns = netns
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.output = directory.parent / f"{directory.name}.out"

    def start(self) -> None:
        """Start everything and wait until it serves; what does not serve in time is ended again.

        :raises AssertionError: with what it said.
        """
        command = [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(self.port)]
        command += ["--state", str(self.state.directory)]
        if self._netns:
            command += ["--engine-netns", self._netns]
        with self.output.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                stdout=out,
                stderr=out,
                env={**os.environ, **self.environment},
                start_new_session=True,
                # Under nohup it would be ignored, and stay so: up keeps to what it was started with.
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
            )
        process = self._process
        eventually(lambda: "Ctrl-C stops everything" in self.said() or process.poll() is not None, START_S)
        if "Ctrl-C stops everything" not in self.said() or process.poll() is not None:
            code = self.stop()
            raise AssertionError(f"not up within {START_S:.0f} s, exit code {code}: {self.said()}")

    def said(self) -> str:
        """What the terminal shows."""
        return self.output.read_text()

    def claim_path(self) -> str:
        """The one-time claim."""
        found = re.search(r"/claim/\?code=\S+", self.said())
        assert found, self.said()
        return found[0]

    def pid(self, part: str) -> int:
        """The process id of one part."""
        return int((self.state.log / f"{part}.pid").read_text())

    def kill(self, part: str, known: bool = True) -> None:
        """End one part as a crash would, and wait until it is back, if a new process id can be ``known``."""
        old = self.pid(part)
        os.kill(old, signal.SIGKILL)
        if not known:
            return
        assert eventually(lambda: self.pid(part) != old, 20), self.said()

    def kill_all(self) -> None:
        """End the supervisor as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None
        self.output.unlink()

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C; the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(60)
        self._process = None
        return code

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the embedded database."""
        with sqlite3.connect(f"file:{self.state.database}?mode=ro", uri=True, timeout=20) as connection:
            return connection.execute(query).fetchall()


def claim_by_form(page: Any, stack: Stack) -> None:
    """Claim the appliance in the browser."""
    page.goto(stack.address + stack.claim_path())
    for name, value in (
        ("name", "Ada Admin"),
        ("email", "ada@example.com"),
        ("password", "a-long-passphrase-7"),
        ("organization", "Example Ltd"),
        ("site", "Headquarters"),
    ):
        page.fill(f"[name={name}]", value)
    page.click("button:has-text('Claim')")
    page.wait_for_url("**/setup/")
    page.goto(stack.address + "/vpn/")


def add_subnet(page: Any, stack: Stack, subnet: str) -> None:
    """Add a local subnet in the browser."""
    page.goto(stack.address + "/vpn/")
    page.locator("[name$='-subnet']").last.fill(subnet)
    page.click("button:has-text('Save subnets')")
    page.wait_for_selector("text=The local subnets are saved")


def fill_peer(page: Any, **fields: str) -> None:
    """Fill the peer form and save it."""
    for name, value in fields.items():
        if name in ("start", "preset"):
            page.select_option(f"[name={name}]", value)
        else:
            page.fill(f"[name={name}]", value)
    page.click("#peer-form button:has-text('Save')")
