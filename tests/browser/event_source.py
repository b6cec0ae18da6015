"""Events of another site's appliance, sent the way an agent does: into the real writer, through the real Redis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

import redis

from appliance.paths import ROOT
from dashboard.core.redis import INGEST
from tests.stack import Stack, eventually

_MAKE = """
from dashboard.fleet.models import Appliance, Organization, Site
site = Site.objects.create(organization=Organization.objects.get(), name={site!r})
print(Appliance.objects.create(site=site, name={site!r} + " gateway", uuid={uuid!r}).uuid)
"""


class Source:
    """One appliance and its journal."""

    def __init__(self, stack: Stack, site: str) -> None:
        self.stack = stack
        self.uuid = str(uuid.uuid4())
        self.journal = uuid.uuid4().hex
        self.number = 0
        code = _MAKE.format(site=site, uuid=self.uuid)
        environment = {**os.environ, "CULVERT_STATE": str(stack.state.directory)}
        subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "shell", "-c", code], env=environment, check=True, cwd=ROOT
        )
        self._redis = redis.Redis(unix_socket_path=str(stack.state.redis))

    def send(self, text: str, **changes: Any) -> None:
        """One event more."""
        self.number += 1
        event = {"number": self.number, "boot": "b1", "time": time.time(), "code": "ike.notify", "severity": "info"}
        event |= {"phase": 1, "text": text, "peer_id": None, "peer": None, "side": "none", "evidence": {}}
        event |= {"hint": None, "negotiation": None, **changes}
        fields = {"appliance": self.uuid, "journal": self.journal, "previous": self.number - 1}
        self._redis.xadd(INGEST, {**fields, "event": json.dumps(event)})

    def settled(self) -> None:
        """Wait until everything that was sent is in the database."""
        query = f"SELECT count(*) FROM eventlog_eventrow WHERE body->>'appliance' = '{self.uuid}'"
        assert eventually(lambda: self.stack.rows(query)[0][0] == self.number, 60)


class Steady:
    """Sends an event every so often until it is told to stop."""

    def __init__(self, source: Source, pause: float, text: str) -> None:
        self._source, self._pause, self._text = source, pause, text
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Steady:
        self._thread.start()
        return self

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(self._pause):
            number += 1
            self._source.send(f"{self._text} {number}")

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
