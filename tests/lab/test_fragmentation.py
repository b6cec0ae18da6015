"""Fragments of IKE messages with a real strongSwan, in both roles."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.topology import FAR_HOST, LAN_HOST
from tests.lab.rig import Rig

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
SIZE = {"fragment_size": "300"}


@pytest.mark.parametrize("initiator", ["ours", "strongswan"])
def test_both_ends_fragment(rig: Callable[..., Rig], initiator: str) -> None:
    start = "traffic" if initiator == "ours" else "responder"
    topology, engine = rig(
        gateway={"extra": {"fragmentation": "force"}},
        charon=SIZE,
        fragmentation="force",
        fragment_size=300,
        start=start,
    )
    if initiator == "strongswan":
        topology.strongswan.initiate("net1-1")
        assert topology.host.ping(LAN_HOST, count=3).lost == 0
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    counters = engine.stats()["ike"]
    assert counters["fragmented"] >= 2
    log = topology.strongswan.log_path.read_text()
    assert log.count("reassembled fragmented IKE message") >= 2
    assert log.count("splitting IKE message") >= 2
    assert not [e for e in engine.events() if e["severity"] in ("error", "warning")]


def test_fragments_announced_are_used_for_what_is_too_large(rig: Callable[..., Rig]) -> None:
    topology, engine = rig(gateway={"extra": {"fragmentation": "yes"}}, charon=SIZE, fragment_size=300)
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    assert engine.stats()["ike"]["fragmented"] >= 1
    log = topology.strongswan.log_path.read_text()
    assert "received FRAGMENTATION vendor ID" in log and "reassembled fragmented IKE message" in log


def test_a_peer_that_fragments_is_not_heard_when_it_is_off(rig: Callable[..., Rig]) -> None:
    topology, engine = rig(
        gateway={"extra": {"fragmentation": "force"}}, charon=SIZE, fragmentation="off", retransmit={"tries": 2}
    )
    topology.lan.ping(FAR_HOST, count=1)
    event = engine.wait_event("ike.phase1.timeout", seconds=15)
    assert engine.stats()["ike"]["dropped: fragmentation is off"] >= 1
    assert event["evidence"]["fragments dropped"].startswith("fragmentation is off")
