"""``initiate`` with a wait: only the outcome of what was begun for it counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_engine_and_ctl import SECRET
from tests.daemon.test_control import Running
from tests.daemon.test_service import until
from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.contract.config import parse_config
from vpnengine.contract.events import Event, EventBody, Severity
from vpnengine.daemon.journal import Journal
from vpnengine.daemon.service import Engine
from vpnengine.dataplane.fake import FakeDataPlane
from vpnengine.ikev1.interface import InitiatePeer

WRONG = "another secret, of enough length"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    running = Running(tmp_path)
    await running.start()
    yield running
    await running.stop()


def foreign(code: str, **fields: Any) -> EventBody:
    """A failure of another negotiation with the same peer."""
    entry = CATALOGUE[code]
    return EventBody(
        code=code,
        severity=Severity.ERROR,
        phase=entry.phase,
        text="not ours",
        peer_id="branch",
        peer="Branch",
        **fields,
    )


FOREIGN = [
    foreign("ike.phase1.psk_suspect", negotiation="00112233445566aa", remote="127.0.0.77[500]"),
    foreign("ike.phase2.no_proposal", negotiation="00112233445566aa"),
    foreign("ike.phase2.timeout", selector_local="10.1.0.0/24", selector_remote="10.99.0.0/24"),
    foreign("ike.phase1.no_proposal", negotiation="ffeeddccbbaa9988"),
]


@pytest.mark.parametrize("event", FOREIGN, ids=[event.code for event in FOREIGN])
async def test_a_failure_of_another_negotiation_is_not_the_outcome(running: Running, event: EventBody) -> None:
    asked = asyncio.create_task(running.request("initiate", peer="Branch", wait_s=0.6))
    await asyncio.sleep(0.2)
    running.engine._publish([event])
    assert await asked == {"peer": "branch", "state": "waiting"}


async def test_a_failure_of_the_phase_1_that_was_begun_is(running: Running) -> None:
    asked = asyncio.create_task(running.request("initiate", peer="Branch", wait_s=5))
    await asyncio.sleep(0.2)
    (ours,) = running.engine.pursued("branch").negotiations
    running.engine._publish([foreign("ike.phase1.psk_suspect", negotiation=ours)])
    outcome = await asked
    assert outcome["state"] == "failed" and outcome["failure"]["code"] == "ike.phase1.psk_suspect"


class Two:
    """A second engine on loopback that the first one calls."""

    def __init__(self, running: Running, directory: Path, **changes: Any) -> None:
        port = running.listen
        row = {
            "id": "back",
            "name": "Back",
            "remote": "127.0.0.1",
            "psk": SECRET,
            "local_address": "127.0.0.77",
            "local_subnets": ["10.2.0.0/24"],
            "remote_subnets": ["10.1.0.0/24"],
            "start": "responder",
        }
        config = parse_config({"revision": 1, "listen": port, "peers": [row | changes]})
        self.engine = Engine(config, FakeDataPlane(), Journal(directory / "second"), ("127.0.0.77",))


REFUSALS = [
    ({"phase2": {"proposals": [{"encryption": "aes128gcm16"}]}}, "ike.phase2.refused"),
    ({"remote_subnets": ["10.1.7.0/24"]}, "ike.phase2.refused"),
    ({"phase1": {"proposals": [{"encryption": "aes128", "hash": "sha256", "group": "ecp384"}]}}, "ike.phase1.refused"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSALS, ids=["proposal", "subnets", "phase 1"])
async def test_what_the_peer_refuses_is_the_outcome(
    running: Running, tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    second = Two(running, tmp_path, **changes)
    await second.engine.start()
    outcome = await running.request("initiate", peer="Branch", wait_s=8)
    assert outcome["state"] == "failed" and outcome["failure"]["code"] == code
    await second.engine.stop()


async def test_a_refusal_of_what_the_peer_wants_leaves_ours_alone(running: Running, tmp_path: Path) -> None:
    """The peer asks for a subnet that is not configured here, while we bring the right one up."""
    second = Two(running, tmp_path, local_subnets=["10.2.0.0/24", "10.9.0.0/24"])
    await second.engine.start()
    heard: list[Event] = []
    running.engine.listeners.append(heard.extend)
    waits = [asyncio.create_task(running.request("initiate", peer="Branch", wait_s=8)) for _ in range(3)]
    second.engine.command(InitiatePeer("back"))
    for outcome in await asyncio.gather(*waits):
        assert outcome["state"] == "up", outcome

    def refused() -> bool:
        return any(event.severity is Severity.ERROR and event.code.startswith("ike.phase2") for event in heard)

    assert await until(refused)
    await second.engine.stop()
