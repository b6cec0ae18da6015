"""The control socket of a running engine: what it refuses, and that nobody holds up anybody else."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_engine_and_ctl import PEER, SECRET, document, ports
from vpnengine.contract.config import EngineConfig, parse_config
from vpnengine.contract.digest import config_digest
from vpnengine.contract.events import EventBody
from vpnengine.contract.problems import Refused
from vpnengine.contract.status import EngineStatus
from vpnengine.daemon import control_server, service
from vpnengine.daemon.client import AsyncControlClient
from vpnengine.daemon.control_server import CHUNK, ControlServer
from vpnengine.daemon.journal import Journal
from vpnengine.daemon.reconcile import Plan, make_plan
from vpnengine.daemon.service import Engine
from vpnengine.dataplane.fake import FakeDataPlane

SILENT = PEER | {"remote": "127.0.0.77"}


class Running:
    """An engine and its control socket in this process."""

    def __init__(self, directory: Path) -> None:
        self.listen = ports()
        self.path = directory / "control.sock"
        config = parse_config(document(SILENT, listen=self.listen))
        self.dataplane = FakeDataPlane()
        self.engine = Engine(config, self.dataplane, Journal(directory / "journal"), ("127.0.0.1",))
        self.server = ControlServer(self.engine, self.path)

    async def start(self) -> None:
        await self.server.start()
        await self.engine.start()

    async def stop(self) -> None:
        await self.server.stop()
        await self.engine.stop()

    def document(self, *peers: dict[str, Any], revision: int) -> dict[str, Any]:
        return document(*peers, listen=self.listen, revision=revision)

    async def request(self, op: str, **fields: Any) -> Any:
        """One request on a connection of its own."""
        client = AsyncControlClient(self.path)
        try:
            async with asyncio.timeout(10):
                return await client.request(op, **fields)
        finally:
            await client.close()


class Raw:
    """A client that may write anything."""

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.reader, self.writer = streams

    async def line(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            answer: dict[str, Any] = json.loads(await self.reader.readline())
        return answer

    async def ask(self, text: bytes) -> dict[str, Any]:
        self.writer.write(text + b"\n")
        return await self.line()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    running = Running(tmp_path)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def raw(running: Running) -> AsyncIterator[Raw]:
    raw = Raw(await asyncio.open_unix_connection(str(running.path), limit=1 << 24))
    yield raw
    raw.writer.close()


BAD: list[tuple[bytes, int, str]] = [
    (b"{", 0, "one line of JSON"),
    (b"\xff\xfe", 0, "one line of JSON"),
    (b"[" * 100_000, 0, "one line of JSON"),
    (b'[{"id": 1, "op": "status"}]', 0, ""),
    (b"null", 0, ""),
    (b'{"id": 7}', 7, ""),
    (b'{"id": 7, "op": "frobnicate"}', 7, "frobnicate"),
    (b'{"id": 7, "op": "status", "verbose": true}', 7, "verbose"),
    (b'{"id": "seven", "op": "status"}', 0, "id"),
    (b'{"id": 7, "op": "initiate", "peer": ["branch"]}', 7, "peer"),
    (b'{"id": 7, "op": "initiate", "peer": "branch", "wait_s": 301}', 7, "wait_s"),
    (b'{"id": 7, "op": "rekey", "peer": "branch", "phase": 3}', 7, "phase"),
    (b'{"id": 7, "op": "events", "after": -1}', 7, "after"),
    (b'{"id": 7, "op": "apply", "config": []}', 7, "config"),
    (b'{"id": 7, "op": "apply", "config": {"peers": 5}}', 7, "peers"),
]


@pytest.mark.parametrize(("line", "number", "mention"), BAD, ids=[str(row[0][:50]) for row in BAD])
async def test_a_bad_request_is_refused_and_the_connection_goes_on(
    raw: Raw, line: bytes, number: int, mention: str
) -> None:
    answer = await raw.ask(line)
    assert answer["id"] == number and answer["ok"] is False and answer["error"] and answer["problems"]
    assert mention in json.dumps(answer["problems"]) + answer["error"]
    assert (await raw.ask(b'{"id": 8, "op": "stats"}'))["ok"] is True


async def test_a_line_over_the_limit_ends_that_connection_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "MAX_LINE", 2048)
    running = Running(tmp_path)
    await running.start()
    raw, other = [Raw(await asyncio.open_unix_connection(str(running.path))) for _ in range(2)]
    answer = await raw.ask(b'{"id": 1, "op": "' + b"x" * 5000 + b'"}')
    assert answer["problems"][0]["rule"] == "line_too_long" and "2048" in answer["error"]
    try:
        async with asyncio.timeout(10):
            assert await raw.reader.read() == b""
    except ConnectionResetError:
        pass  # what it has not read may make the kernel reset the connection
    assert (await other.ask(b'{"id": 2, "op": "stats"}'))["ok"] is True
    for client in (raw, other):
        client.writer.close()
    await running.stop()


async def test_many_requests_are_answered_in_order_to_each_of_two_clients(running: Running, raw: Raw) -> None:
    other = Raw(await asyncio.open_unix_connection(str(running.path), limit=1 << 24))
    for number in range(200):
        for client, op in ((raw, "status"), (other, "stats")):
            client.writer.write(json.dumps({"id": number, "op": op}).encode() + b"\n")
    for client, field in ((raw, "revision"), (other, "loop_lag_ms")):
        for number in range(200):
            answer = await client.line()
            assert answer["id"] == number and field in answer["result"]
    other.writer.close()


async def test_a_follower_gets_each_event_once_and_in_order(running: Running, raw: Raw) -> None:
    hello = await raw.ask(b'{"id": 5, "op": "events", "after": 0, "follow": true}')
    before = hello["result"]["last"]
    assert before >= 2
    for revision in range(2, 12):
        await running.request("apply", config=running.document(SILENT, revision=revision))
    numbers, revisions = [], []
    while len(revisions) < 11:
        row = (await raw.line())["event"]
        numbers.append(row["number"])
        if row["code"] == "engine.config.applied":
            revisions.append(row["text"])
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > before
    assert all(f"revision {number} applied" in text for number, text in enumerate(revisions, 1))


async def test_a_follower_that_stops_reading_is_bounded_and_holds_up_nobody(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers: list[asyncio.StreamWriter] = []
    serve = ControlServer._events

    async def watched(self: ControlServer, request: Any, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(self, request, writer)

    monkeypatch.setattr(ControlServer, "_events", watched)
    _, lazy = await asyncio.open_unix_connection(str(running.path))
    lazy.write(b'{"id": 1, "op": "events", "follow": true}\n')
    lazy.transport.pause_reading()  # type: ignore[attr-defined]
    body = EventBody(code="engine.started", severity="info", text="x" * 300)
    for _ in range(20):
        running.engine._publish([body] * 500)
        started = time.monotonic()
        await running.request("stats")
        assert time.monotonic() - started < 2
    async with asyncio.timeout(10):
        while not writers or not writers[0].transport.get_write_buffer_size():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    journal = running.engine.journal
    assert journal.last > 10_000
    # One chunk, and what the transport accepts before it says stop: not the journal's six megabytes.
    assert 0 < writers[0].transport.get_write_buffer_size() < CHUNK * 800 + (128 << 10)
    assert len((await running.request("status"))["peers"]) == 1
    lazy.close()


async def test_initiate_answers_in_time_when_the_peer_does_not(running: Running) -> None:
    started = time.monotonic()
    result = await running.request("initiate", peer="Branch", wait_s=0.5)
    assert result == {"peer": "branch", "state": "waiting"}
    assert 0.45 < time.monotonic() - started < 3
    assert running.engine.listeners == []


async def test_status_is_the_model_and_has_no_secret(running: Running) -> None:
    await running.request("initiate", peer="branch")
    text = await running.engine.status_json()
    status = EngineStatus.model_validate_json(text)
    answered = await running.request("status")
    assert answered.keys() == EngineStatus.model_fields.keys()
    assert status.revision == 1 and status.peers[0].phase1.state == "negotiating"
    assert SECRET not in text + json.dumps(answered)


def many(count: int) -> list[dict[str, Any]]:
    return [
        SILENT
        | {"id": f"p{n}", "name": f"P{n}", "remote": f"127.1.{n // 200}.{n % 200 + 1}"}
        | {"remote_subnets": [f"10.{10 + n // 200}.{n % 200}.0/24"]}
        for n in range(count)
    ]


async def test_status_of_300_peers_while_they_are_added(running: Running) -> None:
    seen: list[int] = []
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            status = EngineStatus.model_validate(await running.request("status"))
            ids = [peer.id for peer in status.peers]
            assert len(set(ids)) == len(ids)
            seen.append(len(ids))

    watcher = asyncio.create_task(watch())
    for step in range(1, 7):
        result = await running.request("apply", config=running.document(*many(step * 50), revision=step + 1))
        assert len(result["added"]) == 50
    done.set()
    await watcher
    assert seen == sorted(seen) and len(seen) > 3
    status = await running.request("status")
    assert [peer["id"] for peer in status["peers"]] == [f"p{n}" for n in range(300)]


async def test_of_two_applies_at_once_the_later_wins_and_both_are_answered(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(old: EngineConfig, new: EngineConfig, capabilities: Any) -> Plan:
        if new.revision == 2:
            begun.set()
            assert go_on.wait(10)
        return make_plan(old, new, capabilities)

    monkeypatch.setattr(service, "make_plan", slow)
    rows = many(2)
    first = asyncio.create_task(running.request("apply", config=running.document(rows[0], revision=2)))
    await asyncio.to_thread(begun.wait, 10)
    second = asyncio.create_task(running.request("apply", config=running.document(rows[1], revision=3)))
    await asyncio.sleep(0.2)
    assert not first.done() and not second.done() and running.engine.config.revision == 1
    go_on.set()
    results = await asyncio.gather(first, second)
    assert [result["revision"] for result in results] == [2, 3]
    assert results[1]["added"] == ["p1"] and results[1]["removed"] == ["p0"]
    assert running.engine.config.revision == 3
    assert [peer["id"] for peer in (await running.request("status"))["peers"]] == ["p1"]


async def test_an_apply_that_is_refused_leaves_everything(running: Running) -> None:
    policies, events = list(running.dataplane.policies), running.engine.journal.last
    assert policies
    config = document(*many(3), listen=ports(), revision=9)  # read without complaint, but it needs a restart
    with pytest.raises(Refused) as caught:
        await running.request("apply", config=config)
    assert [(p.field, p.rule) for p in caught.value.problems] == [("listen", "restart_needed")]
    status = await running.request("status")
    assert status["revision"] == 1 and [peer["id"] for peer in status["peers"]] == ["branch"]
    assert list(running.dataplane.policies) == policies and running.engine.journal.last == events


async def test_the_socket_is_ours_alone(running: Running, tmp_path: Path) -> None:
    assert running.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Refused, match="another engine answers"):
        await ControlServer(running.engine, running.path).start()
    assert (await running.request("status"))["revision"] == 1
    stale = tmp_path / "stale.sock"
    gone = await asyncio.start_unix_server(lambda reader, writer: None, str(stale))
    gone.close()
    await gone.wait_closed()
    assert stale.exists()
    server = ControlServer(running.engine, stale)
    await server.start()
    client = AsyncControlClient(stale)
    assert (await client.request("status"))["revision"] == 1
    await client.close()
    await server.stop()
    assert not stale.exists()


async def test_a_large_document_is_not_overtaken_by_a_small_one_that_came_later(running: Running) -> None:
    large = running.document(*many(2000), revision=2)
    assert len(json.dumps(large)) > control_server.LARGE
    first = asyncio.create_task(running.request("apply", config=large))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(running.request("apply", config=running.document(*many(1), revision=3)))
    results = await asyncio.gather(first, second)
    assert [result["revision"] for result in results] == [2, 3]
    assert running.engine.config.revision == 3 and len(running.engine.config.peers) == 1


async def test_a_dry_run_says_what_would_be_and_changes_nothing(running: Running) -> None:
    policies, events = list(running.dataplane.policies), running.engine.journal.last
    changed = SILENT | {"phase2": {"lifetime_s": 1800}}
    wanted = running.document(changed, many(1)[0], revision=2)
    told = await running.request("apply", config=wanted, dry_run=True)
    assert (told["revision"], told["added"], told["changed"], told["removed"]) == (2, ["p0"], ["branch"], [])
    assert [(row["name"], row["effect"], row["fields"]) for row in told["effects"]] == [
        ("Branch", "phase2", ["phase2"]),
        ("P0", "added", []),
    ]
    assert told["left_out"] == [] and SECRET not in json.dumps(told)
    assert running.engine.config.revision == 1 and running.engine.journal.last == events
    assert list(running.dataplane.policies) == policies

    carried = await running.request("apply", config=wanted)
    assert {name: carried[name] for name in carried} == {name: told[name] for name in carried}
    assert running.engine.config.revision == 2


async def test_a_dry_run_refuses_what_an_apply_would(running: Running) -> None:
    with pytest.raises(Refused) as caught:
        await running.request("apply", config=document(*many(1), listen=ports(), revision=9), dry_run=True)
    assert [(p.field, p.rule) for p in caught.value.problems] == [("listen", "restart_needed")]
    with pytest.raises(Refused):
        await running.request("apply", config={"peers": [{}]}, dry_run=True)
    assert running.engine.config.revision == 1


async def test_a_dry_run_names_the_peer_that_would_be_left_out(running: Running) -> None:
    row = SILENT | {"local_subnets": ["10.1.0.1/32"], "remote_subnets": ["127.0.0.77/32"]}
    config = running.document(row | {"phase2": {"mode": "transport"}}, revision=2)
    running.dataplane.capabilities = replace(running.dataplane.capabilities, transport=False)
    told = await running.request("apply", config=config, dry_run=True)
    assert [problem["field"] for problem in told["left_out"]] == ["peers.0.phase2.mode"]


async def test_the_digest_tells_documents_of_one_number_apart_and_knows_no_secret(running: Running) -> None:
    first = (await running.request("status"))["digest"]
    assert first == config_digest(parse_config(running.document(SILENT, revision=1)))
    other = await running.request("apply", config=running.document(SILENT | {"name": "Renamed"}, revision=1))
    assert other["digest"] == (await running.request("status"))["digest"] != first
    secret = SILENT | {"name": "Renamed", "psk": "quite another secret"}
    assert (await running.request("apply", config=running.document(secret, revision=1)))["digest"] == other["digest"]
