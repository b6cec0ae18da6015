"""A private copy of the product for a measurement, driven over HTTP as a browser would."""

from __future__ import annotations

import http.cookiejar
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.paths import ROOT, State

START_S = 60.0


class BenchError(Exception):
    """The measurement cannot be made; the text says why."""


def wait(condition: Callable[[], Any], seconds: float, what: str, pause: float = 0.005) -> Any:
    """The condition's value as soon as it is true.

    :raises BenchError: if it does not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise BenchError(f"{what} did not happen in {seconds:.0f} s")
        time.sleep(pause)
    return value


class BenchStack:
    """``./culvert up`` in a directory of its own, claimed by one administrator."""

    def __init__(self, directory: Path, netns: str) -> None:
        self.state = State(directory / "state")
        self._output = directory / "out"
        self._netns = netns
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = int(sock.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> BenchStack:
        command = [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(self.port)]
        command += ["--state", str(self.state.directory), "--engine-netns", self._netns]
        # A measurement must not fill somebody's database.
        environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        with self._output.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
        wait(lambda: "Ctrl-C stops" in self._output.read_text(), START_S, "the start")
        self._claim()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)

    def get(self, path: str) -> str:
        """A page."""
        with self._opener.open(self.address + path, timeout=30) as answer:
            return str(answer.read().decode())

    def post(self, path: str, fields: dict[str, str]) -> str:
        """Submit a form, with the token of its page. Redirects are followed."""
        page = self.get(path)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        if token is None:
            raise BenchError(f"{path} has no form")
        return self.submit(path, {"csrfmiddlewaretoken": token[1], **fields})

    def submit(self, path: str, fields: dict[str, str]) -> str:
        """Send a form's fields; the address where it leads.

        :raises BenchError: if the form comes back with an error.
        """
        data = urllib.parse.urlencode(fields).encode()
        with self._opener.open(self.address + path, data=data, timeout=30) as answer:
            if answer.url == self.address + path and "field-error" in (text := answer.read().decode()):
                raise BenchError("the form was refused: " + re.sub(r"<[^>]+>", " ", text)[-500:])
            return str(answer.url)

    def _claim(self) -> None:
        code = re.search(r"code=(\S+)", self._output.read_text())
        fields = {"name": "Bench", "email": "bench@example.com", "password": "a-long-passphrase-7"}
        fields |= {"organization": "Bench", "site": "Site", "code": code[1] if code else ""}
        self.post("/claim/", fields)
