"""The text of a peer at rest is written once, and anew when there is something new."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import document, peer_row
from vpnengine.contract.status import EngineStatus
from vpnengine.daemon.reporting import Reporter
from vpnengine.dataplane.fake import FakeDataPlane
from vpnengine.ikev1.endpoint import IkeEndpoint
from vpnengine.ikev1.interface import Configure, InitiatePeer, Resolve, Resolved, TerminatePeer

HEAD = EngineStatus(revision=1, dataplane="fake", boot="b", uptime_s=1.0, peers=(), drops={}, conditions=())


async def test_texts_at_rest_are_reused_and_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = IkeEndpoint(lambda n: bytes(n - 1) + b"\1", True, lambda: 0.0, False)
    rows = [peer_row(), peer_row(id="b", name="B", remote="192.0.2.9", remote_subnets=["10.9.0.0/24"])]
    endpoint.command(Configure(document(*rows)), 1.0)
    written: list[str] = []
    peer_status = endpoint.peer_status

    def counted(peer_id: str, now: float) -> Any:
        written.append(peer_id)
        return peer_status(peer_id, now)

    monkeypatch.setattr(endpoint, "peer_status", counted)
    reporter = Reporter(endpoint, FakeDataPlane())

    async def status() -> tuple[list[str], EngineStatus]:
        written.clear()
        told = EngineStatus.model_validate_json(await reporter.status_json(HEAD))
        return sorted(written), told

    first, before = await status()
    again, same = await status()
    assert first == ["b", "right"] and again == [] and before == same

    rows[1]["name"] = "Renamed"
    endpoint.command(Configure(document(*rows, revision=2)), 2.0)
    renewed, told = await status()
    assert "b" in renewed and [peer.name for peer in told.peers] == ["Right", "Renamed"]
    assert (await status())[0] == []

    endpoint.command(InitiatePeer("b"), 3.0)
    for effect in list(endpoint.effects()):
        if isinstance(effect, Resolve):
            endpoint.command(Resolved(effect.peer_id, effect.host, "192.0.2.1", effect.host), 3.0)
    for _ in range(2):  # what is under way is never remembered
        renewed, told = await status()
        assert renewed == ["b"] and told.peers[1].phase1.state == "negotiating"
    endpoint.command(TerminatePeer("b"), 4.0)
    assert (await status())[1].peers[1].phase1.state == "down"

    endpoint.command(Configure(document(rows[0], revision=3)), 5.0)
    assert [peer.id for peer in (await status())[1].peers] == ["right"]
    assert set(reporter._resting) == {"right"}
