"""NAT traversal with a real strongSwan: versions, translators on the path, and mappings that change."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from lab.engine import EngineProcess
from lab.outside import rebind
from lab.topology import FAR_HOST, LAN_HOST, SITE_LAN
from tests.lab.rig import Rig, eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


def version_of(engine: object) -> list[str]:
    return [e["text"] for e in engine.events() if e["code"] == "ike.natt.version"]


@pytest.mark.parametrize("initiator", ["ours", "strongswan"])
@pytest.mark.parametrize(("knob", "version"), [("rfc", "RFC 3947"), ("drafts", "draft-ietf-ipsec-nat-t-ike-0")])
def test_strongswan_follows_the_version_that_is_left(
    rig: Callable[..., Rig], knob: str, version: str, initiator: str
) -> None:
    topology, engine = rig(nat_traversal=knob, start="traffic" if initiator == "ours" else "responder")
    if initiator == "strongswan":
        topology.strongswan.initiate("net1-1")
        assert topology.host.ping(LAN_HOST, count=3).lost == 0
    else:
        assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    assert len(version_of(engine)) == 1 and f"Selected NAT-T version: {version}" in version_of(engine)[0]


@pytest.mark.parametrize("initiator", ["ours", "strongswan"])
def test_translators_at_both_ends(rig: Callable[..., Rig], initiator: str) -> None:
    topology, engine = rig("double-nat", start="traffic" if initiator == "ours" else "responder")
    if initiator == "strongswan":
        topology.strongswan.initiate("net1-1")
        assert topology.host.ping(LAN_HOST, count=3).lost == 0
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    assert engine.status()["phase1"]["nat"] == "both"
    assert engine.status()["phase1"]["remote"] == "192.0.2.2[4500]"


def test_a_rebound_mapping_of_ours_is_survived(rig: Callable[..., Rig]) -> None:
    topology, _ = rig("nat")
    assert topology.lan.ping(FAR_HOST, count=2).lost == 0
    rebind(topology.nodes["router"], 20_000)
    assert eventually(lambda: topology.lan.ping(FAR_HOST, count=1).received == 1, 15)
    assert int(topology.strongswan.sas()[0]["remote-port"]) >= 20_000
    assert topology.host.ping(LAN_HOST, count=3).lost == 0


def test_a_rebound_mapping_of_the_peer_is_followed(rig: Callable[..., Rig]) -> None:
    topology, engine = rig("double-nat", start="responder")
    topology.strongswan.initiate("net1-1")
    assert topology.host.ping(LAN_HOST, count=2).lost == 0
    rebind(topology.nodes["far-router"], 30_000)
    assert eventually(lambda: topology.host.ping(LAN_HOST, count=1).received == 1, 15)
    event = engine.wait_event("ike.natt.moved")
    assert event["remote"].startswith("192.0.2.2[30") or "192.0.2.2[30" in event["text"]
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0


def test_two_sites_behind_one_translator_and_our_engine_outside(rig: Callable[..., Rig]) -> None:
    """Both come from one address: the identity tells them apart."""
    far = {"local_subnets": ["10.72.1.0/24"], "remote": "192.0.2.1", "start": "responder"}
    topology, _ = rig("shared-nat", local_subnets=["10.71.1.0/24"], remote_subnets=["10.72.1.0/24"])
    topology.strongswan.stop()
    config = topology.engine_config(local_subnets=["10.71.2.0/24"], remote_subnets=["10.72.1.0/24"])
    second = EngineProcess(topology.nodes["second"], topology.directory / "second", config)
    config = topology.engine_config("gateway", **far)
    row = config["peers"][0]
    config["peers"] = [
        row
        | {"id": f"site{n}", "name": f"Site {n}", "remote_subnets": [f"10.71.{n}.0/24"]}
        | {"remote_identity": {"type": "ipv4", "value": f"10.70.0.{n + 1}"}}
        for n in (1, 2)
    ]
    outside = EngineProcess(topology.gateway, topology.directory / "outside", config)
    try:
        outside.start()
        second.start()
        assert topology.lan.ping(FAR_HOST, count=3).lost == 0
        assert topology.nodes["second"].ping(FAR_HOST, source=SITE_LAN[1], count=3).lost == 0
        assert topology.host.ping(LAN_HOST, count=2).lost == 0
        assert topology.host.ping(SITE_LAN[1], count=2).lost == 0
        peers = json.loads(outside.ctl("status").stdout)["peers"]
        assert len({peer["phase1"]["remote"] for peer in peers}) == 2
        assert all(peer["phase1"]["nat"] == "remote" for peer in peers)
    finally:
        second.stop()
        outside.stop()


def test_two_sites_behind_one_translator(rig: Callable[..., Rig]) -> None:
    topology, engine = rig("shared-nat", subnets=2, local_subnets=["10.71.1.0/24"], remote_subnets=["10.72.1.0/24"])
    config = topology.engine_config(local_subnets=["10.71.2.0/24"], remote_subnets=["10.72.1.0/24"])
    second = EngineProcess(topology.nodes["second"], topology.directory / "second", config)
    second.start()
    try:
        for _ in range(2):
            assert topology.lan.ping(FAR_HOST, count=2).lost == 0
            assert topology.nodes["second"].ping(FAR_HOST, source=SITE_LAN[1], count=2).lost == 0
        assert engine.status()["phase1"]["nat"] == second.status()["phase1"]["nat"] == "both"
        assert len({sa["remote-port"] for sa in topology.strongswan.sas()}) == 2
    finally:
        second.stop()
