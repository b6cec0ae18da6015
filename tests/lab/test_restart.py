"""Ends that lose their memory, with a real strongSwan."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from lab.net import parse_ping
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


@pytest.mark.parametrize("phase", [1, 2])
def test_both_ends_replace_at_once_under_traffic(rig: Callable[..., Rig], phase: int) -> None:
    topology, engine = rig()
    assert topology.lan.ping(FAR_HOST, count=2).lost == 0
    flood = topology.lan.ping_in_background(FAR_HOST, None, count=500, interval=0.02)
    for _ in range(3):
        topology.strongswan.command("rekey", **({"child": "net1-1"} if phase == 2 else {"ike": "site"}))
        engine.ctl("rekey", "Gateway", "--phase", str(phase))
        engine.namespace.run("sleep", "1.5")
    output, _ = flood.communicate(timeout=40)
    assert parse_ping(output).lost == 0
    mature = [sa for sa in engine.status()["sas"] if sa["state"] == "mature"]
    assert len(mature) == 1

    def one_is_left() -> bool:
        topology.lan.ping(FAR_HOST, count=5, interval=0.5)
        return len(topology.strongswan.children()) == 1 and len(engine.status()["sas"]) == 1

    assert eventually(one_is_left, 45)
    ours, theirs = engine.status()["sas"][0], topology.strongswan.children()[0]
    assert ours["spi_out"] == theirs["spi-in"]
    assert topology.lan.ping(FAR_HOST, count=2).lost == 0


def test_an_engine_that_stood_still_longer_than_its_ipsec_sas_live(rig: Callable[..., Rig]) -> None:
    """As a virtual machine that its host has paused: 30 seconds of life, 36 of standstill."""
    topology, engine = rig(
        phase2={"lifetime_s": 30},
        gateway={"dpd_delay": "5s", "dpd_timeout": "20s"},
        start="immediate",
    )
    assert topology.lan.ping(FAR_HOST, count=2).lost == 0
    first = {sa["spi_in"] for sa in engine.status()["sas"]}
    before = engine.stats()["ike"]
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        time.sleep(36)
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    assert eventually(lambda: topology.lan.ping(FAR_HOST, count=1).received == 1, 20)
    assert eventually(lambda: len(topology.strongswan.children()) == 1)
    now, after = engine.status(), engine.stats()["ike"]
    assert not first & {sa["spi_in"] for sa in now["sas"]} and now["phase1"]["state"] == "established"
    # One negotiation of each phase for what had ended, not one for each message or packet that had waited.
    assert after["phase 1 started"] - before["phase 1 started"] <= 2
    assert after["phase 2 started"] - before["phase 2 started"] <= 3
