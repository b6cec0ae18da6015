"""Transport mode with a real strongSwan: the negotiation only.

kernel-libipsec carries tunnel mode alone: charon completes quick mode and then fails to install what it has agreed.
So these tests look at what was negotiated, on both sides, and not at traffic.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from lab.net import LabError
from tests.lab.rig import Rig, eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
SELECTOR = {
    "local": "192.0.2.1/32",
    "remote": "192.0.2.2/32",
    "protocol": "udp",
    "local_port": 1701,
    "remote_port": 1701,
}
GATEWAY = {
    "local_subnets": ["192.0.2.2[udp/1701]"],
    "remote_subnets": ["192.0.2.1[udp/1701]"],
    "extra_child": {"mode": "transport"},
}


def site(**changes: Any) -> dict[str, Any]:
    phase2 = {"mode": "transport"}
    return {
        "local_subnets": [],
        "remote_subnets": [],
        "selectors": [SELECTOR],
        "phase2": phase2,
        "dpd": {"interval_s": 0},
    } | changes


@pytest.mark.parametrize("knob", ["rfc", "drafts"])
def test_negotiation_that_we_begin(rig: Callable[..., Rig], knob: str) -> None:
    topology, engine = rig(gateway=GATEWAY, dataplane="fake", start="immediate", nat_traversal=knob, **site())
    event = engine.wait_event("ike.phase2.established", seconds=15)
    assert event["text"].startswith("IPsec-SA established: ESP/Transport ")
    assert event["selector_local"] == "192.0.2.1/32[udp/1701]"
    log = topology.strongswan.log_path.read_text()
    for said in ("parsed QUICK_MODE request", "generating QUICK_MODE response"):
        assert re.search(rf"{said} .* NAT-OA NAT-OA \]", log), re.findall(r".*QUICK_MODE.*", log)
    assert eventually(lambda: "unable to install" in topology.strongswan.log_path.read_text())


def test_negotiation_that_strongswan_begins(rig: Callable[..., Rig]) -> None:
    topology, engine = rig(gateway=GATEWAY, dataplane="fake", start="responder", **site())
    with pytest.raises(LabError):
        topology.strongswan.initiate("net1-1", timeout_ms=4000)
    engine.wait_event("ike.phase2.respond")
    codes = [event["code"] for event in engine.events()]
    assert "ike.phase2.selectors" not in codes and "ike.phase2.no_proposal" not in codes
    log = topology.strongswan.log_path.read_text()
    assert "parsed QUICK_MODE response" in log and "unable to install" in log


def test_the_userspace_data_path_leaves_out_a_peer_in_transport_mode(rig: Callable[..., Rig]) -> None:
    topology, engine = rig()
    engine.apply(topology.engine_config(**site()) | {"revision": 2})
    assert "tunnel mode only" in str(engine.wait_event("engine.peer.unusable", seconds=10))
