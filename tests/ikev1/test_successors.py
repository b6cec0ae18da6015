"""Negotiations that outlive, or do not outlive, the ISAKMP SA that they began under."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import LEFT, Network, Node, document, mirrored, peer_row
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer, Traffic
from vpnengine.ikev1.model import Pair
from vpnengine.ikev1.states import Quick, Role
from vpnengine.isakmp.constants import Exchange


def network_of(left: dict[str, Any] | None = None, right: dict[str, Any] | None = None, **changes: Any) -> Network:
    row = peer_row(**changes)
    return Network(document(row | (left or {})), document(mirrored(row, **(right or {}))))


def up(network: Network, count: int = 1) -> None:
    network.command(network.left, InitiatePeer("right"))
    assert network.run(60, lambda: network.pairs_agree(count))


def in_flight(node: Node) -> int:
    sas = node.endpoint._core.sas.values()
    waiting = (e for sa in sas for e in sa.quick.values() if e.state is Quick.QM1_SENT and e.role is Role.INITIATOR)
    return sum(1 for _ in waiting)


def no_quick(network: Network) -> None:
    network.fate = lambda number, source, transmit: [] if transmit.payload[18] == Exchange.QUICK else [0.01]


@pytest.mark.parametrize("who", ["left", "right"])
def test_a_quick_mode_goes_on_under_the_newer_phase_1(who: str) -> None:
    """The peer has forgotten the old ISAKMP SA, or will answer nothing on it: the newer one carries the wish."""
    network = network_of(retransmit={"first_s": 8, "factor": 2, "tries": 6})
    up(network)
    network.run(5)
    first = set(network.left.installed)
    old = network.left.endpoint._core.peers["right"].current()
    assert old is not None
    cookie = old.initiator_cookie
    network.fate = lambda number, source, transmit: (
        [] if transmit.payload[18] == Exchange.QUICK and transmit.payload[:8] == cookie else [0.01]
    )
    network.command(network.left, RekeyPeer("right", 2))
    network.run(0.1)
    node, name = (network.left, "right") if who == "left" else (network.right, "left")
    network.command(node, RekeyPeer(name, 1))
    network.run(1)
    # One negotiation for one wish: not one under each ISAKMP SA.
    assert in_flight(network.left) <= 1
    assert network.run(15, lambda: network.pairs_agree(1) and not first & set(network.left.installed)), "not replaced"
    assert network.left.codes().count("ike.phase2.established") == 4


def test_a_deleted_phase_1_hands_its_quick_modes_to_the_newer_one() -> None:
    network = network_of(retransmit={"first_s": 30, "factor": 1, "tries": 6})
    up(network)
    no_quick(network)
    network.command(network.left, RekeyPeer("right", 2))
    network.run(0.1)
    core = network.left.endpoint._core
    peer = core.peers["right"]
    old = peer.current()
    network.command(network.left, RekeyPeer("right", 1))
    assert network.run(1, lambda: peer.current() is not old)
    network.fate = lambda number, source, transmit: [0.01]
    from vpnengine.ikev1 import lifecycle

    assert old is not None
    lifecycle.delete(core, old)
    network.drain(network.left)
    network.run(12)
    assert not peer.wanted and network.left.codes().count("ike.phase2.established") == 4


@pytest.mark.parametrize("start", ["traffic", "immediate"])
def test_pairs_do_not_stay_when_the_only_phase_1_ends_and_its_successor_fails(start: str) -> None:
    network = network_of({"start": start}, dpd={"interval_s": 0}, phase1={"lifetime_s": 600})
    up(network)
    network.run(500)
    network.fate = lambda number, source, transmit: []
    network.run(160)
    assert network.left.codes().count("ike.phase1.rekey") > 1
    assert not network.left.installed, "IPsec SAs without an ISAKMP SA, and nobody who would notice"
    assert "ike.phase2.orphaned" in network.left.codes()
    network.fate = lambda number, source, transmit: [0.01]
    if start == "immediate":
        assert network.run(120, lambda: bool(network.left.outbound))


def replaced_at_once(network: Network) -> None:
    up(network)
    network.run(20)
    network.command(network.left, RekeyPeer("right", 2))
    network.command(network.right, RekeyPeer("left", 2))
    network.run(1)
    assert all(len(node.installed) == 3 for node in (network.left, network.right))


DELAYS = [(0.01, 0.01), (0.001, 0.02), (0.02, 0.001), (0.3, 0.01), (0.01, 0.3), (0.3, 0.3)]


@pytest.mark.parametrize("delays", DELAYS)
def test_a_surplus_pair_ends_in_bounded_time_without_any_traffic(delays: tuple[float, float]) -> None:
    network = network_of()
    network.fate = lambda number, source, transmit: [delays[0] if source == LEFT else delays[1]]
    replaced_at_once(network)
    for _ in range(150):
        network.run(1)
        # At no moment is there nothing to send on.
        assert all(node.outbound for node in (network.left, network.right))
    assert network.pairs_agree(1), (network.left.outbound, network.right.outbound)
    left, right = (node.endpoint._core.timers for node in (network.left, network.right))
    assert any(key[0] == "rekey" for key in left._entries if key[1][0] == "pair")  # type: ignore[index]
    assert any(key[0] == "rekey" for key in right._entries if key[1][0] == "pair")  # type: ignore[index]


def sends_on(node: Node, peer: str) -> Pair:
    return next(p for p in reversed(node.endpoint._core.peers[peer].pairs) if not p.replaced and p.confirmed)


@pytest.mark.parametrize("delays", DELAYS)
def test_a_surplus_pair_ends_soon_with_traffic(delays: tuple[float, float]) -> None:
    """Each end sends on what it takes for the newest; in the end both use the same pair."""
    network = network_of()
    network.fate = lambda number, source, transmit: [delays[0] if source == LEFT else delays[1]]
    replaced_at_once(network)
    for _ in range(60):
        network.run(1)
        for node, peer, other in ((network.left, "right", network.right), (network.right, "left", network.left)):
            network.command(other, Traffic({sends_on(node, peer).params.spi_out: network.now}))
    assert network.pairs_agree(1)
    assert all(len(node.installed) == 1 for node in (network.left, network.right))


def test_a_peer_that_deletes_the_pair_in_use_leaves_the_other_one() -> None:
    """Its rule for the surplus pair is another one: what stays is used and renewed like any pair."""
    network = network_of(phase2={"lifetime_s": 3600})
    replaced_at_once(network)
    core, peer = network.left.endpoint._core, network.left.endpoint._core.peers["right"]
    current = sends_on(network.left, "right")
    from vpnengine.ikev1 import pairs

    pairs.deleted_by_peer(core, peer, current.params.spi_out)
    network.drain(network.left)
    network.run(0.1)
    remaining = sends_on(network.left, "right")
    assert remaining is not current and remaining.params.spi_in in network.left.outbound
    assert core.timers.when(("rekey", remaining.timer)) is not None
