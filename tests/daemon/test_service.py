"""The shell around the protocol, when a part of it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ikev1.pair import document, peer_row
from vpnengine.contract.config import EngineConfig
from vpnengine.daemon.journal import Journal
from vpnengine.daemon.service import Engine
from vpnengine.dataplane.fake import FakeDataPlane
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
