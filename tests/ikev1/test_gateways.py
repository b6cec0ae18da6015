"""One row for several gateways without a fixed address: each has SAs of its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import Network, Node, document, mirrored, peer_row
from vpnengine.ikev1.interface import Acquire, Configure, InitiatePeer, RekeyPeer, TerminatePeer

THIRD = "192.0.2.3"
NAMES = [{"type": "fqdn", "value": name} for name in ("one.example", "two.example")]


def gateways(row: dict[str, Any] | None = None, **changes: Any) -> tuple[Network, Node]:
    """Two gateways that call the right side, which knows them by one row; each protects a subnet of its own."""
    mine = [peer_row(local_identity=name, local_subnets=[f"10.1.{n}.0/24"]) for n, name in enumerate(NAMES)]
    right = mirrored(peer_row(), remote="any", remote_subnets=["10.1.0.0/24", "10.1.1.0/24"])
    network = Network(document(mine[0] | changes), document(right | (row or {}) | changes))
    return network, network.join(THIRD, document(mine[1] | changes))


def up(network: Network, node: Node) -> int:
    """Returns the inbound SPI of the new pair at the right side."""
    before = set(network.right.installed)
    network.command(node, InitiatePeer("right"))
    assert network.run(30, lambda: len(network.right.outbound) == len(before) + 1)
    return next(iter(set(network.right.installed) - before))


def established(network: Network) -> list[str]:
    status = network.right.endpoint.peer_status("left", network.now)
    assert status is not None
    return [client.name for client in status.clients]


def test_initial_contact_of_one_gateway_leaves_the_other_one_alone() -> None:
    network, third = gateways()
    first = up(network, network.left)
    second = up(network, third)
    assert {first, second} == set(network.right.installed)
    assert established(network) == ["fqdn one.example", "fqdn two.example"]
    network.run(60)  # longer than a replaced phase 1 lingers
    assert len(network.right.endpoint._core.sas) == 2 and len(network.left.installed) == len(third.installed) == 1
    assert "ike.phase1.peer_deleted" not in network.left.codes() + third.codes()


def test_initial_contact_still_clears_what_the_same_gateway_has_lost() -> None:
    network, third = gateways()
    first, second = up(network, network.left), up(network, third)
    lost = Network(document(network_row(network)), document(mirrored(peer_row())), seed=5)
    network.left.endpoint, network.left.installed, network.left.outbound = lost.left.endpoint, {}, []
    network.command(network.left, InitiatePeer("right"))
    assert network.run(5, lambda: first not in network.right.installed and bool(network.left.outbound))
    assert second in network.right.installed and len(network.right.installed) == 2


def network_row(network: Network) -> dict[str, Any]:
    return peer_row(local_identity=NAMES[0], local_subnets=["10.1.0.0/24"])


def test_a_new_phase_1_adopts_the_pairs_of_its_own_gateway_only() -> None:
    network, third = gateways()
    first, second = up(network, network.left), up(network, third)
    network.command(network.left, RekeyPeer("right", 1))
    network.run(60)
    assert set(network.right.installed) == {first, second}
    core = network.right.endpoint._core
    for spi, host in ((first, network.left.host), (second, THIRD)):
        peer, pair = core.pairs[spi]
        current = peer.current()
        assert current is not None and current.remote.host == host == pair.params.remote.host


def test_one_gateway_may_go_and_come_back() -> None:
    network, third = gateways()
    up(network, network.left)
    second = up(network, third)
    network.command(network.left, TerminatePeer("right"))
    network.run(1)
    assert set(network.right.installed) == {second} and established(network) == ["fqdn two.example"]
    up(network, network.left)
    assert network.right.endpoint.is_up("left", network.right.endpoint._core.peers["left"].selectors)


def test_the_row_ends_all_of_them() -> None:
    network, third = gateways()
    up(network, network.left)
    up(network, third)
    network.command(network.right, TerminatePeer("left"))
    network.run(1)
    assert not network.right.installed and not network.left.installed and not third.installed
    assert not network.right.endpoint._core.sas and not established(network)


def test_traffic_finds_the_gateway_that_carried_it() -> None:
    """The pair is gone, phase 1 is not: the right side begins a quick mode with the right one of the two."""
    network, third = gateways()
    first, second = up(network, network.left), up(network, third)
    selector = network.right.installed[second].selector
    core = network.right.endpoint._core
    from vpnengine.ikev1 import pairs

    pairs.delete(core, *core.pairs[second])
    network.drain(network.right)
    network.run(1)
    assert not third.installed
    network.command(network.right, Acquire("left", selector))
    assert network.run(5, lambda: bool(third.outbound))
    assert first in network.right.installed and len(network.right.installed) == 2


def test_a_change_that_concerns_neither_leaves_both() -> None:
    network, third = gateways()
    both = {up(network, network.left), up(network, third)}
    right = mirrored(peer_row(), remote="any", remote_subnets=["10.1.0.0/24", "10.1.1.0/24"], replay_window=128)
    network.command(network.right, Configure(document(right, revision=2)))
    assert set(network.right.installed) == both
    right["remote_subnets"] = ["10.1.0.0/24"]
    network.command(network.right, Configure(document(right, revision=3)))
    network.run(1)
    assert len(network.right.installed) == 1 and not third.installed and len(network.left.installed) == 1


@pytest.mark.parametrize("private", [True, False])
def test_gateways_with_the_same_private_address_behind_two_nats(private: bool) -> None:
    """An address says who it is only where it can be reached."""
    same = {"type": "ipv4", "value": "192.168.1.2"}
    network, third = gateways()
    for number, node in enumerate((network.left, third)):
        row = peer_row(local_subnets=[f"10.1.{number}.0/24"]) | ({"local_identity": same} if private else {})
        network.command(node, Configure(document(row, revision=2)))
    up(network, network.left)
    up(network, third)
    network.run(60)
    assert len(network.right.installed) == 2 and len(set(established(network))) == 2


def test_gateways_that_share_a_name_are_told_apart_without_initial_contact() -> None:
    network, third = gateways(initial_contact="off")
    row = peer_row(local_subnets=["10.1.1.0/24"], local_identity=NAMES[0], initial_contact="off")
    network.command(third, Configure(document(row, revision=2)))
    up(network, network.left)
    up(network, third)
    network.run(60)
    assert len(network.right.installed) == 2 and len(network.right.endpoint._core.sas) == 2
    assert "ike.phase1.peer_deleted" not in network.left.codes() + third.codes()


def test_what_is_left_of_gateways_that_are_gone_is_nothing() -> None:
    network, third = gateways(dpd={"interval_s": 5, "timeout_s": 20})
    up(network, network.left)
    up(network, third)
    network.fate = lambda number, source, transmit: []
    network.run(120)
    core = network.right.endpoint._core
    assert not network.right.installed and not core.sas and not core.peers["left"].clients
