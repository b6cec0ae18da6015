"""AH and IPComp with a real strongSwan: what it offers is understood and refused with a sentence.

kernel-libipsec makes charon ask for UDP on every path, and AH cannot go in UDP: an agreement cannot be shown with it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.net import LabError
from tests.lab.rig import Rig

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
AH_ROW = {"protocol": "ah", "encryption": "null", "integrity": "sha256"}


def test_an_offer_of_ah_is_named(rig: Callable[..., Rig]) -> None:
    gateway = {"esp_proposals": "", "extra_child": {"ah_proposals": "sha256-modp2048"}}
    topology, engine = rig(gateway=gateway, start="responder")
    with pytest.raises(LabError):
        topology.strongswan.initiate("net1-1", timeout_ms=5000)
    event = engine.wait_event("ike.phase2.no_proposal", seconds=10)
    assert event["evidence"]["offered"].startswith("ah-sha256-modp2048")
    assert engine.status()["phase1"]["state"] == "established"


def test_ah_of_ours_is_not_offered_in_udp(rig: Callable[..., Rig]) -> None:
    phase2 = {"proposals": [AH_ROW]}
    _, engine = rig(dataplane="fake", start="immediate", phase2=phase2)
    assert "choose ESP" in engine.wait_event("ike.phase2.ah", seconds=10)["hint"]


def test_the_userspace_data_path_leaves_out_a_peer_with_ah(rig: Callable[..., Rig]) -> None:
    topology, engine = rig()
    engine.apply(topology.engine_config(phase2={"proposals": [AH_ROW]}) | {"revision": 2})
    assert "carries ESP only" in str(engine.wait_event("engine.peer.unusable", seconds=10))
