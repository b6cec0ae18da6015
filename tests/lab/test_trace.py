"""The ladder of negotiations with a real strongSwan: one that succeeds, and one with another secret."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from lab.engine import ROOT, EngineProcess
from lab.net import LabError
from lab.topology import FAR_HOST
from tests.lab.rig import Rig

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


def newest(engine: EngineProcess) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.ctl("trace", "Gateway", "--json").stdout)["negotiations"][-1]
    return found


def ladder(engine: EngineProcess) -> str:
    """What an administrator sees."""
    command = [sys.executable, str(ROOT / "manage.py"), "ctl", "--control", str(engine.control), "trace", "Gateway"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_ladder_of_a_success(rig: Callable[..., Rig]) -> None:
    topology, engine = rig("direct")
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    one = newest(engine)
    said = [line["step"] for line in one["lines"] if line["fate"] in ("sent", "received")]
    assert said[:9] == [f"main {n}" for n in range(1, 7)] + [f"quick {n}" for n in range(1, 4)]
    assert (one["outcome"], one["stopped_after"], one["code"]) == ("established", "main 6", None)
    times = [line["at"] for line in one["lines"]]
    assert times == sorted(times) and 0 <= times[-1] < 30
    text = ladder(engine)
    assert "----> main 1" in text and "<---- main 6" in text and "established" in text


def test_the_ladder_of_different_secrets(rig: Callable[..., Rig]) -> None:
    """StrongSwan answers message 5, which it cannot decrypt, with a notification that we cannot decrypt."""
    topology, engine = rig(gateway={"secret": "something-else-entirely"}, retransmit={"first_s": 0.5, "tries": 2})
    topology.lan.ping(FAR_HOST, count=1)
    engine.wait_event("ike.phase1.timeout", seconds=15)
    one = newest(engine)
    assert (one["outcome"], one["stopped_after"], one["code"]) == ("failed", "main 5", "ike.phase1.timeout")
    assert [line["tries"] for line in one["lines"] if line["fate"] == "resent"] == [1]
    assert "ike.phase1.psk_suspect" in [line["step"] for line in one["lines"]]
    assert "failed after main 5" in ladder(engine) and "Pre-shared secret" in ladder(engine)


def test_the_ladder_of_different_secrets_when_strongswan_begins(rig: Callable[..., Rig]) -> None:
    topology, engine = rig(gateway={"secret": "something-else-entirely"}, start="responder")
    with pytest.raises(LabError):
        topology.strongswan.initiate("net1-1", timeout_ms=4000)
    engine.wait_event("ike.phase1.psk_suspect", seconds=10)
    one = newest(engine)
    assert (one["outcome"], one["stopped_after"], one["code"]) == ("failed", "main 4", "ike.phase1.psk_suspect")
    assert ("dropped", "main 5") in [(line["fate"], line["step"]) for line in one["lines"]]
