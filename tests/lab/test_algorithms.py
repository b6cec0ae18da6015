"""Algorithms and lifetimes against a real strongSwan: one topology, both sides configured anew for each test."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.engine import EngineProcess
from lab.net import parse_ping
from lab.topology import FAR_HOST, LAN_HOST, Topology

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
IKE_DEFAULT = {"encryption": "aes128", "hash": "sha256", "group": "ecp256"}
ESP_DEFAULT = {"encryption": "aes128", "integrity": "sha256"}


class Rig:
    """A strongSwan and our engine that can be given other policies."""

    def __init__(self, topology: Topology, engine: EngineProcess) -> None:
        self.topology, self.engine, self.revision = topology, engine, 1
        assert topology.strongswan is not None
        self.strongswan = topology.strongswan

    def configure(self, gateway: dict[str, Any], **site: Any) -> None:
        """Both sides anew; what was up is down afterwards on both."""
        with contextlib.suppress(Exception):  # vici fails if nothing is up
            self.strongswan.command("terminate", ike="site", timeout="2000")
        self.strongswan.connection = self.topology.connection(**gateway)
        self.strongswan.load()
        self.revision += 1
        document = self.topology.engine_config(legacy=True, retransmit={"first_s": 0.5, "tries": 4}, **site)
        self.engine.apply(document | {"revision": self.revision})

    def events(self, code: str) -> list[dict[str, Any]]:
        """The events of this code since the sides were configured."""
        events = self.engine.events()
        seen = max(n for n, event in enumerate(events) if event["code"] == "engine.config.applied")
        return [event for event in events[seen:] if event["code"] == code]

    def up(self, initiator: str) -> dict[str, Any]:
        """Bring the tunnel up from one side, send pings through it, and return our status."""
        if initiator == "ours":
            assert self.topology.lan.ping(FAR_HOST, count=3, interval=0.1).lost == 0
        else:
            self.strongswan.initiate("net1-1", timeout_ms=10_000)
            assert self.topology.host.ping(LAN_HOST, count=3, interval=0.1).lost == 0
        status = self.engine.status()
        assert status["phase1"]["role"] == ("initiator" if initiator == "ours" else "responder")
        assert status["sas"][-1]["failed"] == 0 and status["sas"][-1]["packets_in"] >= 3
        return status


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    topology = Topology("direct", name=f"g{os.getpid() % 10000}")
    engine = None
    try:
        topology.up()
        engine = EngineProcess(topology.site, topology.directory / "engine", topology.engine_config())
        engine.start()
        yield Rig(topology, engine)
    finally:
        if engine is not None:
            engine.stop()
        topology.down()


# The interoperability matrix has every algorithm in both roles; here is what is said of them besides.
IKE = [
    ("3des-md5-modp1024", "ours"),
    ("3des-sha1-modp1536", "strongswan"),
    ("aes256-md5-modp1024", "strongswan"),
    ("aes128-sha256-curve25519", "ours"),
]


@pytest.mark.parametrize(("name", "initiator"), IKE)
def test_phase_1(rig: Rig, name: str, initiator: str) -> None:
    encryption, hash_, group = name.split("-")
    proposal = {"encryption": encryption, "hash": hash_, "group": group}
    phase2 = {"proposals": [ESP_DEFAULT], "pfs_group": None}
    rig.configure(
        {"proposals": name, "esp_proposals": "aes128-sha256"}, phase1={"proposals": [proposal]}, phase2=phase2
    )
    phase1 = rig.up(initiator)["phase1"]
    assert (phase1["encryption"], phase1["hash"], phase1["group"]) == (encryption, hash_, group)
    weak = {"3des", "md5", "modp1024", "modp1536"} & set(name.split("-"))
    assert {word for event in rig.events("ike.phase1.weak") for word in event["evidence"]} == weak


ESP = [
    ("3des-sha1", "strongswan"),
    ("null-sha256", "ours"),
    ("aes128-md5", "ours"),
    ("aes128gcm8", "strongswan"),
    ("aes256-sha512", "ours"),
]


def esp_proposal(name: str) -> dict[str, str | None]:
    encryption, _, integrity = name.partition("-")
    return {"encryption": encryption, "integrity": integrity or None}


@pytest.mark.parametrize(("name", "initiator"), ESP)
def test_phase_2(rig: Rig, name: str, initiator: str) -> None:
    phase2 = {"proposals": [esp_proposal(name)], "pfs_group": None}
    rig.configure(
        {"proposals": "aes128-sha256-ecp256", "esp_proposals": name}, phase1={"proposals": [IKE_DEFAULT]}, phase2=phase2
    )
    sa = rig.up(initiator)["sas"][-1]
    assert (sa["encryption"], sa["integrity"]) == tuple(esp_proposal(name).values())
    weak = {"3des", "null", "md5"} & set(name.split("-"))
    assert {word for event in rig.events("ike.phase2.weak") for word in event["evidence"]} == weak


@pytest.mark.parametrize(
    ("theirs", "initiator", "group"),
    [
        ("aes128-sha256-modp3072", "strongswan", "modp3072"),
        ("aes128-sha256-curve25519", "strongswan", "curve25519"),
        ("aes128-sha256", "strongswan", None),
        ("aes128-sha256-curve25519", "ours", "curve25519"),
    ],
)
def test_pfs_groups(rig: Rig, theirs: str, initiator: str, group: str | None) -> None:
    """As responder any group of the list is taken; the first offers of ours that strongSwan lacks are passed over."""
    preferred = group if initiator == "ours" else "ecp384"
    also = ["modp3072", "curve25519"] if group else []
    phase2 = {
        "proposals": [{"encryption": "aes256gcm16"}, {"encryption": "3des", "integrity": "sha1"}, ESP_DEFAULT],
        "pfs_group": preferred if group else None,
        "pfs_also": also,
    }
    rig.configure(
        {"proposals": "aes128-sha256-ecp256", "esp_proposals": theirs},
        phase1={"proposals": [IKE_DEFAULT]},
        phase2=phase2,
    )
    assert rig.up(initiator)["sas"][-1]["pfs_group"] == group


@pytest.mark.parametrize("initiator", ["ours", "strongswan"])
def test_esn_is_offered_and_passed_over_by_a_peer_without(rig: Rig, initiator: str) -> None:
    """kernel-libipsec has no ESN, so its answer takes the 32-bit transform that follows."""
    rig.configure(
        {"proposals": "aes128-sha256-ecp256", "esp_proposals": "aes128-sha256-noesn"},
        phase1={"proposals": [IKE_DEFAULT]},
        phase2={"proposals": [ESP_DEFAULT], "pfs_group": None, "esn": True},
    )
    rig.up(initiator)


def test_a_longer_life_is_lowered_and_told(rig: Rig) -> None:
    """strongSwan asks for more in both phases: it goes on with RESPONDER-LIFETIME in quick mode and after phase 1."""
    rig.configure(
        {"proposals": "aes128-sha256-ecp256", "esp_proposals": "aes128-sha256", "rekey_time": "2h"},
        phase1={"proposals": [IKE_DEFAULT], "lifetime_s": 3600},
        phase2={"proposals": [ESP_DEFAULT], "pfs_group": None, "lifetime_s": 600},
    )
    status = rig.up("strongswan")
    assert 500 < status["sas"][-1]["expires_in_s"] <= 600
    assert 3500 < status["phase1"]["expires_in_s"] <= 3600
    for phase, mine in ((1, 3600), (2, 600)):
        (event,) = rig.events(f"ike.phase{phase}.long_life")
        assert event["text"].startswith(f"long lifetime proposed: my:{mine} peer:")
    rig.engine.ctl("rekey", "Gateway", "--phase", "2")
    assert rig.topology.host.ping(LAN_HOST, count=3).lost == 0
    log = rig.strongswan.log_path.read_text(errors="replace")
    assert "HASH SA No ID ID N((24576))" in log and "received (24576) notify" in log


@pytest.fixture
def flood(rig: Rig) -> Callable[[int], int]:
    """Sends so many large pings, and says how many were lost."""

    def send(count: int) -> int:
        command = ["ping", "-q", "-n", "-c", str(count), "-i", "0.005", "-s", "1300", "-W", "2", FAR_HOST]
        return parse_ping(rig.topology.lan.run(*command, check=False, timeout=60).stdout).lost

    return send


@pytest.mark.parametrize("who", ["ours", "strongswan"])
def test_rekey_by_kilobytes_loses_nothing(rig: Rig, flood: Callable[[int], int], who: str) -> None:
    child = {} if who == "ours" else {"life_bytes": "1400000", "rekey_bytes": "1000000", "rand_bytes": "0"}
    phase2: dict[str, Any] = {"proposals": [ESP_DEFAULT], "pfs_group": None}
    if who == "ours":
        phase2["lifetime_kb"] = 1000
    rig.configure(
        {"proposals": "aes128-sha256-ecp256", "esp_proposals": "aes128-sha256", "extra_child": child},
        phase1={"proposals": [IKE_DEFAULT]},
        phase2=phase2,
    )
    rig.up("ours" if who == "ours" else "strongswan")
    assert flood(1600) == 0
    assert len(rig.events("ike.phase2.established")) >= 6
    assert not rig.events("ike.phase2.exhausted")
