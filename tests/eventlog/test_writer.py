"""The writer against a real Redis: idempotent, ordered, and honest about gaps."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dashboard.core.redis import INGEST, client, cursor_key, rewind_key, stream_key
from dashboard.eventlog import selectors
from dashboard.eventlog.models import EventRow
from dashboard.eventlog.writer import Writer
from dashboard.fleet import services as fleet
from dashboard.fleet.models import Appliance
from vpnengine.contract.events import Event, Severity

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def redis_server(tmp_path: Path, settings: Any) -> Iterator[None]:
    assert shutil.which("redis-server")
    path = tmp_path / "redis.sock"
    process = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", ""], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 10
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    settings.REDIS_URL = f"unix://{path}"
    settings.CULVERT_APPLIANCE_ID = tmp_path / "appliance_id"
    yield
    process.terminate()
    process.wait(10)


@pytest.fixture
def appliance(redis_server: None, django_user_model: Any) -> Appliance:
    user = django_user_model.objects.create_user(username="a", email="a@example.com", password="x")
    return fleet.create_organization(name="O", site_name="S", administrator_id=user.pk)


def send(
    appliance: Appliance, number: int, previous: int | None = None, journal: str = "j1", negotiation: str | None = None
) -> None:
    event = Event(
        number=number,
        boot="b1",
        time=1.0,
        code="ike.notify",
        severity=Severity.INFO,
        text=f"event {number}",
        negotiation=negotiation,
    )
    previous = number - 1 if previous is None else previous
    fields = {
        "appliance": str(appliance.uuid),
        "journal": journal,
        "previous": previous,
        "event": event.model_dump_json(),
    }
    client().xadd(INGEST, fields)


def texts() -> list[str]:
    return [row["text"] for row in EventRow.objects.order_by("seq").values_list("body", flat=True)]


def test_in_order_and_once(appliance: Appliance) -> None:
    writer = Writer()
    writer.prepare()
    for number in (1, 2, 3, 2, 1, 3, 4):
        send(appliance, number)
    writer.step()
    assert texts() == [f"event {n}" for n in (1, 2, 3, 4)]
    stream = client().xrange(stream_key(appliance.site.organization.uuid))
    assert [ident.decode() for ident, _ in stream] == ["1-0", "2-0", "3-0", "4-0"]
    assert json.loads(stream[2][1][b"event"])["seq"] == 3
    assert client().get(cursor_key(appliance.uuid)) == b"j1:4"
    assert client().xlen(INGEST) == 0


def test_a_hole_is_not_skipped(appliance: Appliance) -> None:
    writer = Writer()
    writer.prepare()
    send(appliance, 1)
    send(appliance, 3)
    writer.step()
    assert texts() == ["event 1"] and client().exists(rewind_key(appliance.uuid))
    for number in (2, 3):
        send(appliance, number)
    writer.step()
    assert texts() == ["event 1", "event 2", "event 3"]


def test_what_the_journal_has_cut_is_said(appliance: Appliance) -> None:
    writer = Writer()
    writer.prepare()
    send(appliance, 1)
    send(appliance, 10, previous=1)
    writer.step()
    assert texts()[1].startswith("8 events are missing here") and texts()[2] == "event 10"


def test_a_new_journal_begins_anew(appliance: Appliance) -> None:
    writer = Writer()
    writer.prepare()
    send(appliance, 1)
    writer.step()
    event = Event(number=1, boot="b2", time=1.0, code="ike.notify", severity=Severity.INFO, text="fresh")
    fields = {"appliance": str(appliance.uuid), "journal": "j2", "previous": 0, "event": event.model_dump_json()}
    client().xadd(INGEST, fields)
    writer.step()
    assert texts() == ["event 1", "fresh"]


def test_redis_lost_everything(appliance: Appliance) -> None:
    writer = Writer()
    writer.prepare()
    for number in (1, 2):
        send(appliance, number)
    writer.step()
    client().flushall()
    Writer().prepare()
    assert client().get(cursor_key(appliance.uuid)) == b"j1:2"
    send(appliance, 3)
    writer.step()
    stream = client().xrange(stream_key(appliance.site.organization.uuid))
    assert [ident.decode() for ident, _ in stream][-1] == "3-0"


def test_a_strange_entry_is_dropped(appliance: Appliance) -> None:
    writer = Writer()
    writer.prepare()
    client().xadd(INGEST, {"what": "is this"})
    send(appliance, 1)
    writer.step()
    assert texts() == ["event 1"]


def test_retention_says_what_is_gone(appliance: Appliance, settings: Any) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("PostgreSQL drops whole days: test_retention.py")
    settings.CULVERT_EVENT_ROWS = 100
    writer = Writer()
    writer.prepare()
    for number in range(1, 1501):
        send(appliance, number)
    while writer.step():
        continue
    first, last = selectors.bounds(appliance.site.organization_id)
    assert last == 1500 and first > 1 and EventRow.objects.order_by("seq").first().seq == first
