"""The shell around the protocol, when a part of it fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_engine_and_ctl import ports
from tests.ikev1.pair import PSK, document, peer_row
from vpnengine.contract.config import EngineConfig, parse_config
from vpnengine.contract.events import Severity
from vpnengine.contract.problems import Refused
from vpnengine.daemon import journal as journal_module
from vpnengine.daemon import service
from vpnengine.daemon.clock import Clock
from vpnengine.daemon.journal import Journal
from vpnengine.daemon.service import Engine
from vpnengine.dataplane.base import Capabilities, Policy
from vpnengine.dataplane.fake import FakeDataPlane
from vpnengine.dataplane.native_path import NativeDataPlane
from vpnengine.ikev1.interface import Configure, Effect


async def test_an_effect_that_fails_stops_neither_events_nor_timers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal")
    engine = Engine(EngineConfig(), FakeDataPlane(), journal)
    tried: list[Effect] = []

    def fail(effect: Effect) -> None:
        tried.append(effect)
        raise RuntimeError("a data path that fails")

    monkeypatch.setattr(engine, "_effect", fail)
    rows = [peer_row(id=f"p{n}", name=f"P{n}", remote="gw.example", start="immediate") for n in range(2)]
    rows[1] |= {"remote": "other.example", "local_subnets": ["10.3.0.0/24"]}
    engine.command(Configure(document(*rows)))
    assert len(tried) == 2
    assert engine.stats()["drops"]["engine bug"] == 2
    assert journal.last > 0
    assert engine._timer is not None
    engine._timer.cancel()
    journal.close()


class Limited(FakeDataPlane):
    """Tunnel mode with ESP only, as the userspace data path; it may fail over its policies."""

    capabilities = Capabilities(name="limited", raw_esp=True)

    def __init__(self) -> None:
        super().__init__()
        self.fails = 0

    def set_policies(self, policies: Iterable[Policy]) -> None:
        super().set_policies(policies)
        if self.fails:
            self.fails -= 1
            raise RuntimeError("no room for policies")


LISTEN = ports()
AH = {"proposals": [{"protocol": "ah", "encryption": "null", "integrity": "sha256"}]}


def loopback(revision: int, *rows: dict[str, Any]) -> EngineConfig:
    return parse_config({"revision": revision, "listen": LISTEN, "peers": list(rows)})


def row(number: int, **changes: Any) -> dict[str, Any]:
    base = peer_row(id=f"p{number}", name=f"P{number}", remote=f"127.0.8.{number}", local_address="127.0.0.1")
    return base | {"remote_subnets": [f"10.2.{number}.0/24"], "start": "traffic"} | changes


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    engine = Engine(loopback(1, row(1), row(2)), Limited(), Journal(tmp_path / "journal"), ("127.0.0.1",))
    await engine.start()
    yield engine
    await engine.stop()


def path_of(engine: Engine) -> Limited:
    assert isinstance(engine._dataplane, Limited)
    return engine._dataplane


def codes(engine: Engine) -> list[str]:
    engine.journal.synced = engine.journal.last
    return [json.loads(line)["code"] for line in engine.journal.read(0, 10_000)]


async def status(engine: Engine) -> dict[str, dict[str, Any]]:
    return {peer["id"]: peer for peer in json.loads(await engine.status_json())["peers"]}


@pytest.mark.parametrize("where", ["data path", "protocol"])
async def test_a_configuration_that_fails_half_way_leaves_the_one_before(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    before = engine.config, path_of(engine).policies
    path_of(engine).fails = 1 if where == "data path" else 0
    with monkeypatch.context() as broken:
        if where == "protocol":
            real, calls = engine._endpoint.command, []

            def fail(command: Any, now: float) -> None:
                real(command, now)
                calls.append(command)
                if len(calls) == 1:
                    raise RuntimeError("half of it is done")

            broken.setattr(engine._endpoint, "command", fail)
        with pytest.raises(Refused, match="the configuration before stays"):
            await engine.apply(loopback(2, row(1, remote="127.0.8.9"), row(3)))
    assert (engine.config, path_of(engine).policies) == before
    assert (await status(engine)).keys() == {"p1", "p2"}
    assert engine._endpoint._core.peers["p1"].config.remote == "127.0.8.1"
    await engine.apply(loopback(3, row(1, remote="127.0.8.9"), row(3)))
    assert (await status(engine)).keys() == {"p1", "p3"} and engine.config.revision == 3


@pytest.mark.parametrize("wish", [{"phase2": AH}, {"phase2": {"mode": "transport"}}], ids=["AH", "transport"])
async def test_a_peer_that_the_data_path_cannot_carry_is_left_out_alone(engine: Engine, wish: dict[str, Any]) -> None:
    known = engine._endpoint._core.peers["p1"]
    ends = {"local_subnets": ["127.0.0.1/32"], "remote_subnets": ["127.0.8.2/32"]}
    difference = await engine.apply(loopback(2, row(1), row(2, **ends, **wish)))
    assert difference.changed == ("p2",) and engine.config.revision == 2
    assert engine._endpoint._core.peers == {"p1": known}
    found = (await status(engine))["p2"]
    assert found["phase1"]["state"] == "down" and found["last_failure"]["code"] == "engine.peer.unusable"
    assert "limited" in found["last_failure"]["text"] and found["last_failure"]["side"] == "local"
    # Its traffic is dropped, not let out in the clear.
    assert {policy.peer_id: policy.acquire for policy in path_of(engine).policies} == {"p1": True, "p2": False}
    with pytest.raises(Refused, match="limited"):
        engine.find_peer("P2")
    assert codes(engine).count("engine.peer.unusable") == 1
    await engine.apply(loopback(3, row(1), row(2, **ends, **wish)))
    assert codes(engine).count("engine.peer.unusable") == 1  # once for each row
    await engine.apply(loopback(4, row(1), row(2)))
    assert engine._endpoint._core.peers.keys() == {"p1", "p2"} and engine.find_peer("P2") == "p2"
    assert all(policy.acquire for policy in path_of(engine).policies)
    assert (await status(engine))["p2"]["last_failure"] is None


async def test_rows_that_are_equal_are_not_there_twice(engine: Engine) -> None:
    await engine.apply(loopback(2, row(1), row(2, replay_window=128), row(3)))
    peers = {peer.id: peer for peer in engine.config.peers}
    core = engine._endpoint._core
    assert all(core.peers[peer_id].config is peers[peer_id] for peer_id in peers)


async def test_thousands_come_and_go_in_portions_and_in_the_order_of_documents(engine: Engine) -> None:
    def many(count: int, **changes: Any) -> list[dict[str, Any]]:
        rows = [
            row(0, id=f"n{n}", name=f"N{n}", remote=f"127.2.{n // 200}.{n % 200 + 1}", **changes) for n in range(count)
        ]
        return [one | {"remote_subnets": [f"10.{20 + n // 200}.{n % 200}.0/24"]} for n, one in enumerate(rows)]

    core = engine._endpoint._core
    await engine.apply(loopback(2, *many(1000)))
    await engine.apply(loopback(3, *many(500, replay_window=256)))
    assert core.pending
    assert (await status(engine)).keys() == {f"n{n}" for n in range(500)}
    await engine.apply(loopback(4, *many(600)))
    shown = await status(engine)
    assert shown.keys() == {f"n{n}" for n in range(600)} and not core.pending
    assert {peer.config.replay_window for peer in core.peers.values()} == {64}


class Sleepy(Clock):
    """A machine that can be put to sleep: the monotonic clock stands still, this one goes on."""

    def __init__(self) -> None:
        self.slept = 0.0
        super().__init__()

    def now(self) -> float:
        return super().now() + self.slept


async def test_a_machine_that_slept_for_hours_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two engines on loopback; the one that begins sleeps, with SAs that end meanwhile."""
    monkeypatch.setattr(service, "TRAFFIC_S", 0.1)
    life = {"phase1": {"lifetime_s": 3600}, "phase2": {"lifetime_s": 1800}, "psk": PSK}
    here = row(77, remote="127.0.8.77", local_address="127.0.8.76", start="immediate", **life)
    there = here | {"id": "back", "name": "Back", "remote": "127.0.8.76", "local_address": "127.0.8.77"}
    there |= {"local_subnets": here["remote_subnets"], "remote_subnets": here["local_subnets"], "start": "responder"}
    clock, paths = Sleepy(), [FakeDataPlane(), FakeDataPlane()]
    engines = []
    for number, (one, address) in enumerate(((there, "127.0.8.77"), (here, "127.0.8.76"))):
        journal = Journal(tmp_path / f"journal{number}")
        more = {"clock": clock} if number else {}
        engines.append(Engine(loopback(1, one), paths[number], journal, (address,), **more))
        await engines[-1].start()
    near = engines[1]
    assert await until(lambda: len(paths[1].sending) == 1)
    before = set(paths[1].installed)
    clock.slept = 5 * 3600.0
    assert await until(lambda: bool(paths[1].sending - before))
    await asyncio.sleep(0.5)
    assert len(paths[1].installed) == 1
    told = codes(near)
    assert told.count("engine.slept") == 1 and told.count("ike.phase1.initiate") == 2
    assert near.stats()["ike"]["phase 1 started"] == 2 and near.stats()["ike"]["phase 2 started"] <= 3
    numbers = [json.loads(line)["number"] for line in near.journal.read(0, 10_000)]
    assert numbers == list(range(1, len(numbers) + 1))
    uptime = json.loads(await near.status_json())["uptime_s"]
    assert 5 * 3600 < uptime < 5 * 3600 + 60
    for engine in engines:
        await engine.stop()


async def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    for _ in range(int(seconds * 50)):
        if condition():
            return True
        await asyncio.sleep(0.02)
    return False


async def test_events_stay_in_order_when_the_wall_clock_goes_back(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as wrong:
        wrong.setattr(journal_module.time, "time", lambda: 12.0)
        engine.emit("engine.slept", seconds=1)
    engine.emit("engine.slept", seconds=2)
    engine.journal.synced = engine.journal.last
    last = [json.loads(line) for line in engine.journal.read(engine.journal.last - 2)]
    assert [event["time"] < 100 for event in last] == [True, False]
    assert [event["number"] for event in last] == [engine.journal.last - 1, engine.journal.last]


def test_a_thread_of_the_data_path_that_fails_is_told_of_and_does_not_flood_the_log(tmp_path: Path) -> None:
    """What the native threads tell goes through the real data path and the engine into the journal."""
    pytest.importorskip("vpnengine.dataplane._native", reason="the native data path is not built here")
    journal = Journal(tmp_path / "journal")
    path = NativeDataPlane("unused0")
    engine = Engine(EngineConfig(), path, journal)
    for _ in range(9):
        path._hand_on(("failed", "inbound", "no such segment"), engine)
    journal.close()
    told = [row for row in map(json.loads, journal.read(0)) if row["code"] == "engine.datapath.restarted"]
    assert [row["text"].rpartition(": ")[2] for row in told] == ["1)", "2)", "4)", "8)"]
    assert "inbound" in told[0]["text"] and told[0]["severity"] == Severity.ERROR
    assert "inbound thread of the data path failed 9 times" in " ".join(path.conditions())
