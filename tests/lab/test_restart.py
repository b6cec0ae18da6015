"""Ends that lose their memory, with a real strongSwan."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.topology import FAR_HOST, LAN_HOST
from tests.lab.rig import Rig, eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


def test_the_peers_probe_brings_a_restarted_engine_back(rig: Callable[..., Rig]) -> None:
    """No traffic of ours: the gateway's dead peer detection for a phase 1 that is gone is enough."""
    topology, engine = rig(gateway={"dpd_delay": "2s", "dpd_timeout": "60s"})
    assert topology.lan.ping(FAR_HOST, count=1).received == 1
    engine.kill()
    engine.start()
    engine.wait_event("ike.phase2.established", 4, seconds=20)
    assert topology.host.ping(LAN_HOST, count=3).lost == 0
    assert eventually(lambda: len(topology.strongswan.children()) == 1)
    assert engine.stats()["ike"]["phase 1 begun for a lost one"] == 1
