"""Our engine and a real strongSwan, in network namespaces."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.net import LabError, parse_ping
from lab.topology import FAR_HOST, GATEWAY_LAN, LAN_HOST, SITE_LAN
from tests.lab.rig import Rig, eventually
from vpnengine.dataplane import native_path

NOT_BUILT = pytest.mark.skipif(native_path.load() is None, reason="the native data path is not built here")
DATAPLANES = ["userspace", pytest.param("native", marks=NOT_BUILT)]

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.mark.parametrize("dataplane", DATAPLANES)
@pytest.mark.parametrize("kind", ["direct", "nat"])
def test_traffic_starts_the_tunnel_and_no_packet_is_lost(rig: Callable[..., Rig], kind: str, dataplane: str) -> None:
    topology, engine = rig(kind, dataplane=dataplane)
    result = topology.lan.ping(FAR_HOST, count=5)
    assert result.lost == 0
    texts = [event["text"] for event in engine.events()]
    assert sum(text.startswith("ISAKMP-SA established ") for text in texts) == 1
    assert sum(text.startswith("IPsec-SA established: ESP/Tunnel ") for text in texts) == 2
    phase1 = engine.status()["phase1"]
    assert phase1["state"] == "established"
    assert phase1["nat"] == ("both" if kind == "nat" else "remote")
    ours, theirs = engine.status()["sas"][0], topology.strongswan.children()[0]
    assert ours["bytes_out"] == int(theirs["bytes-in"]) and ours["bytes_in"] == int(theirs["bytes-out"])
    assert ours["spi_in"] == theirs["spi-out"] and ours["spi_out"] == theirs["spi-in"]


def test_strongswan_initiates(rig: Callable[..., Rig]) -> None:
    topology, engine = rig(start="responder")
    assert topology.lan.ping(FAR_HOST, count=1).received == 0
    topology.strongswan.initiate("net1-1")
    assert topology.host.ping(LAN_HOST, count=5).lost == 0
    assert engine.status()["phase1"]["role"] == "responder"


@pytest.mark.parametrize("initiator", ["ours", "strongswan"])
def test_two_subnets_on_each_side(rig: Callable[..., Rig], initiator: str) -> None:
    topology, engine = rig(subnets=2, start="immediate" if initiator == "ours" else "responder")
    if initiator == "strongswan":
        for name, _, _ in topology.strongswan.connection.children():
            topology.strongswan.initiate(name)
    assert eventually(lambda: len(topology.strongswan.children()) == 4)
    for source in SITE_LAN:
        for target in GATEWAY_LAN:
            assert topology.site.ping(target, source=source, count=2).lost == 0
    sas = engine.status()["sas"]
    assert len({(sa["local"], sa["remote"]) for sa in sas if sa["packets_in"]}) == 4


@pytest.mark.parametrize(
    ("esp", "integrity"), [("aes128", "sha1"), ("aes256", "sha256"), ("aes256", "sha512"), ("aes128gcm16", None)]
)
def test_esp_transforms(rig: Callable[..., Rig], esp: str, integrity: str | None) -> None:
    name = f"{esp}-{integrity}" if integrity else esp
    proposal = {"encryption": esp, "integrity": integrity}
    gateway = {"esp_proposals": name, "proposals": "aes128-sha384-ecp256"}
    phase1 = {"proposals": [{"encryption": "aes128", "hash": "sha384", "group": "ecp256"}]}
    topology, _ = rig(gateway=gateway, phase1=phase1, phase2={"proposals": [proposal], "pfs_group": None})
    assert topology.lan.ping(FAR_HOST, count=4).lost == 0


@pytest.mark.parametrize("dataplane", DATAPLANES)
@pytest.mark.parametrize("phase", [1, 2])
@pytest.mark.parametrize("who", ["ours", "strongswan"])
def test_rekey_under_traffic_loses_nothing(rig: Callable[..., Rig], who: str, phase: int, dataplane: str) -> None:
    topology, engine = rig(dataplane=dataplane)
    assert topology.lan.ping(FAR_HOST, count=2).lost == 0
    flood = topology.lan.ping_in_background(FAR_HOST, None, count=500, interval=0.02)
    for number in range(3):
        time.sleep(1.5)
        if who == "ours":
            engine.ctl("rekey", "Gateway", "--phase", str(phase))
        elif phase == 1:
            topology.strongswan.command("rekey", ike="site")
        else:
            topology.strongswan.command("rekey", child="net1-1")
        code = "ike.phase1.established" if phase == 1 else "ike.phase2.established"
        engine.wait_event(code, (number + 2) * phase)
    output, _ = flood.communicate(timeout=60)
    assert parse_ping(output).lost == 0
    assert not [e for e in engine.events() if e["severity"] == "error"]


def test_rekey_by_lifetime(rig: Callable[..., Rig]) -> None:
    topology, engine = rig(phase2={"lifetime_s": 30})
    assert topology.lan.ping(FAR_HOST, count=2).lost == 0
    flood = topology.lan.ping_in_background(FAR_HOST, None, count=900, interval=0.04)
    engine.wait_event("ike.phase2.established", 4, seconds=40)
    output, _ = flood.communicate(timeout=80)
    assert parse_ping(output).lost == 0


def test_delete_from_our_side(rig: Callable[..., Rig]) -> None:
    topology, engine = rig()
    topology.lan.ping(FAR_HOST, count=1)
    engine.ctl("terminate", "Gateway")
    assert eventually(lambda: not topology.strongswan.sas(), 5)
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0


def test_delete_from_their_side(rig: Callable[..., Rig]) -> None:
    topology, engine = rig()
    topology.lan.ping(FAR_HOST, count=1)
    topology.strongswan.command("terminate", child="net1-1")
    engine.wait_event("ike.phase2.peer_deleted")
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    topology.strongswan.command("terminate", ike="site")
    engine.wait_event("ike.phase1.peer_deleted")
    assert engine.status()["phase1"]["state"] == "down"
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0


def test_a_killed_gateway_is_noticed_and_comes_back_with_traffic(rig: Callable[..., Rig]) -> None:
    topology, engine = rig(dpd={"interval_s": 1, "timeout_s": 4}, retransmit={"first_s": 0.5, "tries": 3})
    topology.lan.ping(FAR_HOST, count=1)
    topology.strongswan.kill()
    engine.wait_event("ike.dpd.dead", seconds=20)
    assert engine.status()["sas"] == []
    topology.strongswan.start()
    assert eventually(lambda: topology.lan.ping(FAR_HOST, count=1).received == 1, 40)


def test_a_killed_engine_comes_back_with_traffic(rig: Callable[..., Rig]) -> None:
    topology, engine = rig()
    topology.lan.ping(FAR_HOST, count=1)
    numbers = [event["number"] for event in engine.events()]
    engine.kill()
    engine.start()
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    after = [event["number"] for event in engine.events()]
    assert after[: len(numbers)] == numbers and after == list(range(1, len(after) + 1))
    assert eventually(lambda: len(topology.strongswan.children()) == 1, 10)


MISMATCHES: list[tuple[str, dict[str, Any], dict[str, Any], str, str, str]] = [
    ("psk", {"secret": "something-else-entirely"}, {}, "ike.phase1.psk_suspect", "unknown", "Pre-shared secret"),
    ("phase1", {"proposals": "aes128-sha1-modp3072"}, {}, "ike.phase1.refused", "peer", "Phase 1"),
    ("phase2", {"esp_proposals": "aes128-sha1"}, {}, "ike.phase2.refused", "peer", "Phase 2"),
    # charon narrows the answer instead of refusing; a subnet elsewhere it does refuse.
    ("mask", {"local_subnets": ["10.72.1.0/25"]}, {}, "ike.phase2.ids_returned", "peer", "10.72.1.0/25"),
    ("subnets", {"local_subnets": ["10.72.2.0/24"]}, {}, "ike.phase2.refused", "peer", "subnets"),
]


@pytest.mark.parametrize(
    ("gateway", "site", "code", "side", "hint"), [m[1:] for m in MISMATCHES], ids=[m[0] for m in MISMATCHES]
)
def test_mismatch_when_we_initiate(
    rig: Callable[..., Rig], gateway: dict[str, Any], site: dict[str, Any], code: str, side: str, hint: str
) -> None:
    topology, engine = rig(gateway=gateway, **site)
    topology.lan.ping(FAR_HOST, count=1)
    event = engine.wait_event(code, seconds=15)
    assert event["side"] == side and hint in event["hint"]
    assert "a-lab-secret" not in str(engine.events()) + engine.log_tail(500)


THEIR_MISMATCHES: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("psk", {"secret": "something-else-entirely"}, "ike.phase1.psk_suspect", "unknown", "Pre-shared secret"),
    ("phase1", {"proposals": "aes128-sha1-modp3072"}, "ike.phase1.no_proposal", "local", "group: here modp2048"),
    ("phase2", {"esp_proposals": "aes128-sha1"}, "ike.phase2.no_proposal", "local", "integrity"),
    ("subnets", {"local_subnets": ["10.72.1.0/25"]}, "ike.phase2.selectors", "local", "The masks differ"),
]


@pytest.mark.parametrize(
    ("gateway", "code", "side", "hint"), [m[1:] for m in THEIR_MISMATCHES], ids=[m[0] for m in THEIR_MISMATCHES]
)
def test_mismatch_when_they_initiate(
    rig: Callable[..., Rig], gateway: dict[str, Any], code: str, side: str, hint: str
) -> None:
    topology, engine = rig(gateway=gateway, start="responder")
    with pytest.raises(LabError):
        topology.strongswan.initiate("net1-1", timeout_ms=6000)
    event = engine.wait_event(code, seconds=15)
    assert event["side"] == side and hint in event["hint"]


def test_garbage_changes_nothing(rig: Callable[..., Rig]) -> None:
    topology, engine = rig()
    topology.lan.ping(FAR_HOST, count=1)
    before = engine.status()["sas"][0]["spi_in"]
    program = (
        "import os, socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for n in range(20000):\n"
        " for p in (500, 4500): s.sendto(os.urandom(n % 300), ('192.0.2.1', p))\n"
    )
    topology.gateway.run("python3", "-c", program, timeout=60)
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    assert engine.status()["sas"][0]["spi_in"] == before


def test_initiate_waits_for_the_outcome(rig: Callable[..., Rig]) -> None:
    topology, engine = rig(start="responder")
    up = engine.ctl("initiate", "Gateway", "--wait", "10")
    assert '"state": "up"' in up.stdout
    assert topology.lan.ping(FAR_HOST, count=2).lost == 0
    engine.ctl("terminate", "Gateway")
    assert topology.strongswan is not None
    topology.strongswan.connection = topology.connection(esp_proposals="aes128-sha1")
    topology.strongswan.load()
    refused = engine.ctl("initiate", "Gateway", "--wait", "10", check=False)
    assert refused.returncode == 1 and '"state": "failed"' in refused.stdout and "Phase 2" in refused.stdout
