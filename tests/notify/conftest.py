"""An organization, its events, and servers that really listen."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dashboard.accounts import services as accounts
from dashboard.eventlog import services as eventlog
from dashboard.fleet import services as fleet
from dashboard.fleet.models import Appliance
from tests import pki
from tests.stack import eventually, free_port
from vpnengine.contract.events import Event


@pytest.fixture(autouse=True)
def isolated(settings: Any, tmp_path: Path) -> None:
    settings.CULVERT_KEYRING = tmp_path / "keyring.json"
    settings.CULVERT_NOTIFY_LOOPBACK = True
    settings.CULVERT_ENGINE_GATEWAY = "tests.dashboard.test_dashboard.FakeGateway"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


@pytest.fixture
def user(db: None) -> Any:
    return accounts.create_administrator(email="a@example.com", name="A", password="a-long-passphrase-7")


@pytest.fixture
def appliance(user: Any) -> Appliance:
    return fleet.create_organization(name="Organization", site_name="S", administrator_id=user.pk)


Happen = Callable[..., dict[str, Any]]


@pytest.fixture
def happen(appliance: Appliance) -> Happen:
    """Write an event as the writer does."""
    count = itertools.count(1)

    def write(code: str = "ike.phase1.timeout", severity: str = "error", text: str = "no answer", **more: Any) -> Any:
        fields = {"number": next(count), "boot": "b", "time": time.time()} | more
        event = Event(code=code, severity=severity, text=text, **fields).model_dump(mode="json")
        return eventlog.append(appliance, [event])

    return write


class Hook:
    """A web server that answers as it is told, and keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(hook.answer)
                self.send_header("location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?token=very-secret-token"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


class Rsyslog:
    """A real rsyslogd that takes UDP, TCP and TLS on loopback and writes what it has parsed."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.out = directory, directory / "out"
        self.udp, self.tcp, self.tls = free_port(), free_port(), free_port()
        now = time.time()
        span = {"start": now - pki.DAY, "end": now + pki.DAY}
        authority = pki.issue("Syslog CA", ca=True, **span)
        server = pki.issue("localhost", authority, names=("localhost",), **span)
        self.ca = authority.pem
        for name, text in (("ca", self.ca), ("cert", server.pem), ("key", server.key_pem)):
            (directory / f"{name}.pem").write_text(text)
        (directory / "conf").write_text(self._config())
        self._process: subprocess.Popen[bytes] | None = None

    def _config(self) -> str:
        of = self.directory
        template = '"%pri%|%timestamp:::date-rfc3339%|%hostname%|%app-name%|%msgid%|%structured-data%|%msg%\\n"'
        return f"""
global(workDirectory="{of}" DefaultNetstreamDriverCAFile="{of}/ca.pem"
       DefaultNetstreamDriverCertFile="{of}/cert.pem" DefaultNetstreamDriverKeyFile="{of}/key.pem")
module(load="imudp") module(load="imptcp")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imudp" address="127.0.0.1" port="{self.udp}")
input(type="imptcp" address="127.0.0.1" port="{self.tcp}")
input(type="imtcp" address="127.0.0.1" port="{self.tls}")
template(name="t" type="string" string={template})
*.* action(type="omfile" file="{self.out}" template="t" flushOnTXEnd="on")
"""

    def start(self) -> None:
        command = ["/usr/sbin/rsyslogd", "-n", "-f", str(self.directory / "conf"), "-i", str(self.directory / "pid")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert eventually((self.directory / "pid").exists)
        time.sleep(0.3)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        self._process = None

    def lines(self) -> list[list[str]]:
        text = self.out.read_text() if self.out.exists() else ""
        return [line.split("|") for line in text.splitlines()]


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Rsyslog]:
    directory = tmp_path / "rsyslog"
    directory.mkdir()
    server = Rsyslog(directory)
    server.start()
    yield server
    server.stop()
