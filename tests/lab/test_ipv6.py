"""IPv6 outside and inside with a real strongSwan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.topology import (
    FAR_HOST,
    FAR_HOST6,
    GATEWAY_SUBNETS,
    GATEWAY_SUBNETS6,
    LAN_HOST,
    LAN_HOST6,
    SITE_SUBNETS,
    SITE_SUBNETS6,
)
from tests.lab.rig import Rig

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
FOUR = ([SITE_SUBNETS[0]], [GATEWAY_SUBNETS[0]], LAN_HOST, FAR_HOST)
SIX = (list(SITE_SUBNETS6), list(GATEWAY_SUBNETS6), LAN_HOST6, FAR_HOST6)


@pytest.mark.parametrize("initiator", ["ours", "strongswan"])
@pytest.mark.parametrize(
    ("kind", "inside"), [("direct6", SIX), ("direct6", FOUR), ("direct", SIX)], ids=["6-in-6", "4-in-6", "6-in-4"]
)
def test_families_mix(rig: Callable[..., Rig], kind: str, inside: tuple[Any, ...], initiator: str) -> None:
    mine, theirs, lan_host, far_host = inside
    gateway = {"local_subnets": theirs, "remote_subnets": mine}
    start = "traffic" if initiator == "ours" else "responder"
    topology, engine = rig(kind, gateway=gateway, local_subnets=mine, remote_subnets=theirs, start=start)
    if initiator == "strongswan":
        topology.strongswan.initiate("net1-1")
    assert topology.lan.ping(far_host, count=3).lost == 0
    assert topology.host.ping(lan_host, count=3).lost == 0
    phase1 = engine.status()["phase1"]
    assert (":" in phase1["local"]) is (kind == "direct6")
    assert engine.status()["sas"][0]["packets_in"] >= 6
