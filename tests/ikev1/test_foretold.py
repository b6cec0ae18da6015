"""What a change is foretold to do is what it does, field by field, on two endpoints that negotiate for real."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import Network, document, mirrored, peer_row
from vpnengine.contract.config import PeerConfig
from vpnengine.contract.difference import Effect, effect_of
from vpnengine.ikev1.interface import Configure, InitiatePeer

TWO = ["10.2.0.0/24", "10.3.0.0/24"]
# A change of the peer's row, what it is called, how many of its two pairs end, and whether phase 1 does.
CHANGES: list[tuple[dict[str, Any], Effect, int, bool]] = [
    ({}, Effect.UNCHANGED, 0, False),
    ({"name": "Renamed"}, Effect.KEPT, 0, False),
    ({"start": "immediate"}, Effect.KEPT, 0, False),
    ({"dpd": {"interval_s": 33}}, Effect.KEPT, 0, False),
    ({"replay_window": 128}, Effect.KEPT, 0, False),
    ({"outer": {"mss": 1200}}, Effect.KEPT, 0, False),
    ({"remote_subnets": [*TWO, "10.4.0.0/24"]}, Effect.KEPT, 0, False),
    ({"remote_subnets": TWO[:1]}, Effect.SELECTORS, 1, False),
    ({"remote_subnets": ["10.7.0.0/24"]}, Effect.SELECTORS, 2, False),
    ({"phase2": {"lifetime_s": 1800}}, Effect.PHASE2, 2, False),
    ({"phase1": {"lifetime_s": 7200}}, Effect.REBUILT, 2, True),
    ({"psk": "another good secret of ours"}, Effect.REBUILT, 2, True),
    ({"remote": "192.0.2.77"}, Effect.REBUILT, 2, True),
    ({"local_identity": {"type": "fqdn", "value": "here.example"}}, Effect.REBUILT, 2, True),
    ({"nat_traversal": "off"}, Effect.REBUILT, 2, True),
]


@pytest.mark.parametrize(("change", "effect", "ended", "phase1"), CHANGES, ids=lambda v: str(v)[:40])
def test_a_change_does_what_was_foretold(change: dict[str, Any], effect: Effect, ended: int, phase1: bool) -> None:
    row = peer_row(remote_subnets=TWO)
    network = Network(document(row), document(mirrored(row)))
    for _ in TWO:
        network.command(network.left, InitiatePeer("right"))
    assert network.run(60, lambda: network.pairs_agree(2))
    held = set(network.left.installed)
    wanted = document(peer_row(**{"remote_subnets": TWO, **change}), revision=2)
    before, after = PeerConfig.model_validate(row), wanted.peers[0]
    endpoint = network.left.endpoint
    cookie = endpoint.peer_statuses(network.now)[0].phase1.initiator_cookie

    assert effect_of(before, after) is effect
    assert endpoint.would_end("right", after) == ended
    assert set(network.left.installed) == held, "foretelling has changed something"
    network.command(network.left, Configure(wanted))

    assert len(held - set(network.left.installed)) == ended
    now = endpoint.peer_statuses(network.now)[0].phase1.initiator_cookie
    assert (now != cookie) is phase1


def test_a_peer_that_goes_or_comes() -> None:
    row = peer_row()
    network = Network(document(row), document(mirrored(row)))
    network.command(network.left, InitiatePeer("right"))
    assert network.run(60, lambda: network.pairs_agree(1))
    config = PeerConfig.model_validate(row)
    assert (effect_of(config, None), effect_of(None, config)) == (Effect.REMOVED, Effect.ADDED)
    assert network.left.endpoint.would_end("right", None) == 1
    assert network.left.endpoint.would_end("stranger", config) == 0
