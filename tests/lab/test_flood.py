"""Half-open floods: strangers with forged addresses, while a real peer connects."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.engine import ROOT
from lab.topology import FAR_HOST, GATEWAY_OUTER, SECRET
from tests.lab.rig import Rigs

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
RATE, SECONDS = 20_000, 12


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


@pytest.mark.parametrize("anywhere", [False, True], ids=["unknown", "anywhere"])
def test_a_real_peer_connects_during_a_flood(rig: Rigs, anywhere: bool) -> None:
    topology, engine = rig(start="responder", gateway={})
    if anywhere:
        # A peer that may call from anywhere: every forged message is for it, and makes state.
        row = {"id": "anybody", "name": "Anybody", "remote": "any", "psk": SECRET, "start": "responder"}
        row |= {"local_subnets": ["10.71.9.0/24"], "remote_subnets": ["10.72.9.0/24"]}
        config = topology.engine_config(start="responder")
        engine.apply(config | {"revision": 2, "peers": [*config["peers"], row]})
    topology.site.run("ip", "route", "add", "198.18.0.0/15", "via", GATEWAY_OUTER)
    # Answers to forged addresses end here.
    topology.gateway.run("ip", "route", "add", "blackhole", "198.18.0.0/15")
    before = resident_mib(engine.pid)
    command = [*topology.gateway.exec_prefix(), sys.executable, "-m", "lab.flood", topology.site_address]
    with subprocess.Popen([*command, str(RATE), str(SECONDS)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as flooding:
        topology.strongswan.initiate("net1-1", timeout_ms=10_000)
        assert topology.host.ping("10.71.1.10", count=5).received >= 4
        sent = int(flooding.communicate(timeout=60)[0])
    stats = json.loads(engine.ctl("stats").stdout)
    assert sent > RATE * SECONDS / 4, "this machine did not even send a flood"
    assert resident_mib(engine.pid) - before < 64
    answered = stats["ike"].get("phase 1 started", 0)
    assert answered > 1000 if anywhere else answered < 10
    # No Diffie-Hellman and no log line for an address that has not answered.
    assert stats["ike"]["phase 1 established"] < 5 and stats["events"] < 5000
    assert ("ike.flood" in {event["code"] for event in engine.events()}) is anywhere
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
