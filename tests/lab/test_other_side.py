"""What is written for strongSwan, pasted into a real one: it comes up against the engine of the same row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from dashboard.peerside.catalogue import STRONGSWAN
from dashboard.peerside.facts import mirror
from dashboard.peerside.fit import fitted
from lab.topology import FAR_HOST, GATEWAY_LAN, GATEWAY_OUTER, LAN_HOST, SECRET, SITE_LAN, SITE_OUTER
from tests.lab.rig import Rig, eventually
from vpnengine.contract.config import PeerConfig

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@dataclass
class Pasted:
    """Stands where the lab has its own configuration: the text that was written, and what has to be said beside it."""

    text: str
    name: str
    credentials: dict[str, str]

    def render(self) -> str:
        """The text as it is."""
        return self.text


def paste(rig: Callable[..., Rig], subnets: int = 1, **site: Any) -> Rig:
    """Our row at the site, and what is written for its other side at the gateway."""
    topology, engine = rig(subnets=subnets, **site)
    config = PeerConfig.model_validate(engine.config["peers"][0])
    # The lab's gateway speaks ESP in UDP only, which it announces itself.
    side = replace(mirror(config, "Headquarters", SITE_OUTER), secret=SECRET, forced_nat=True)
    found = fitted(side, STRONGSWAN)
    assert not found.blocks
    assert topology.strongswan is not None
    topology.strongswan.connection = Pasted(found.text, side.name(), {})  # type: ignore[assignment]
    topology.strongswan.load()
    return topology, engine


def test_main_mode_gcm_and_pfs_from_either_end(rig: Callable[..., Rig]) -> None:
    phase1 = {"proposals": [{"encryption": "aes256", "hash": "sha256", "group": "modp2048"}], "lifetime_s": 14_400}
    phase2 = {"proposals": [{"encryption": "aes256gcm16"}], "pfs_group": "modp2048", "lifetime_s": 1_800}
    topology, engine = paste(rig, phase1=phase1, phase2=phase2)
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    [sa] = engine.status()["sas"]
    assert (sa["encryption"], sa["pfs_group"]) == ("aes256gcm16", "modp2048")
    # Both ends mean the same lifetimes.
    assert sa["expires_in_s"] > 1_700 and 13_000 < engine.status()["phase1"]["expires_in_s"] <= 14_400
    engine.ctl("terminate", "Gateway")
    assert topology.strongswan is not None
    assert eventually(lambda: not topology.strongswan.sas(), 5)
    topology.strongswan.initiate("net-1")
    assert topology.host.ping(LAN_HOST, count=3).lost == 0
    assert engine.status()["phase1"]["role"] == "responder"


def test_aggressive_mode_with_names(rig: Callable[..., Rig]) -> None:
    identities = {
        "local_identity": {"type": "fqdn", "value": "hq.example.net"},
        "remote_identity": {"type": "fqdn", "value": "branch-7.example.net"},
    }
    topology, engine = paste(rig, exchange="aggressive", **identities)
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    phase1 = engine.status()["phase1"]
    assert phase1["exchange"] == "aggressive" and phase1["remote_identity"] == "fqdn branch-7.example.net"


def test_two_subnets_on_each_side_with_cbc(rig: Callable[..., Rig]) -> None:
    esp = [{"encryption": "aes256", "integrity": "sha256"}]
    topology, engine = paste(rig, subnets=2, phase2={"proposals": esp, "pfs_group": None})
    for source in SITE_LAN:
        for target in GATEWAY_LAN:
            assert topology.site.ping(target, source=source, count=2).lost == 0
    sas = engine.status()["sas"]
    assert len({(sa["local"], sa["remote"]) for sa in sas if sa["packets_in"]}) == 4


def test_a_site_that_only_answers_is_called_by_names_in_main_mode(rig: Callable[..., Rig]) -> None:
    identities = {
        "local_identity": {"type": "user-fqdn", "value": "vpn@example.net"},
        "remote_identity": {"type": "key-id", "value": "branch-7"},
    }
    topology, engine = paste(rig, start="responder", **identities)
    assert topology.strongswan is not None
    assert eventually(lambda: len(topology.strongswan.children()) == 1, 30), topology.strongswan.log_tail(30)
    assert topology.host.ping(LAN_HOST, count=3).lost == 0
    assert engine.status()["phase1"]["remote_identity"] == "key-id branch-7"
    assert GATEWAY_OUTER in engine.status()["phase1"]["remote"]
