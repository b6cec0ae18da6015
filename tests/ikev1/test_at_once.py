"""Both ends do the same thing at the same moment."""

from __future__ import annotations

import pytest

from tests.ikev1.pair import Network, document, mirrored, peer_row
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer

DELAYS = [(0.01, 0.01), (0.001, 0.02), (0.02, 0.001), (0.3, 0.01), (0.01, 0.3), (0.3, 0.3)]


def _network(delays: tuple[float, float]) -> Network:
    network = Network(document(peer_row()), document(mirrored(peer_row())))
    network.fate = lambda number, source, transmit: [delays[0] if source == network.left.host else delays[1]]
    return network


def _carries(network: Network) -> bool:
    """Each end sends on a pair that the other receives on."""
    for node in (network.left, network.right):
        other = network.other(node)
        live = [sa for sa in node.endpoint.peer_statuses(network.now)[0].sas if sa.state == "mature"]
        if len(live) != 1 or int(live[0].spi_out, 16) not in other.installed:
            return False
    return True


@pytest.mark.parametrize("delays", DELAYS)
def test_rekeying_at_once_leaves_a_tunnel_that_stays(delays: tuple[float, float]) -> None:
    network = _network(delays)
    network.command(network.left, InitiatePeer("right"))
    assert network.run(30, lambda: network.pairs_agree(1))
    network.run(10)
    network.command(network.left, RekeyPeer("right", 2))
    network.command(network.right, RekeyPeer("left", 2))
    assert network.run(5, lambda: _carries(network))
    # Longer than any old pair lingers; at no moment is there nothing to send on.
    for _ in range(60):
        network.run(1)
        assert _carries(network)
    assert "ike.phase1.peer_deleted" not in network.left.codes() + network.right.codes()


@pytest.mark.parametrize("delays", DELAYS)
def test_beginning_at_once_leaves_a_tunnel_that_stays(delays: tuple[float, float]) -> None:
    network = _network(delays)
    network.command(network.left, InitiatePeer("right"))
    network.command(network.right, InitiatePeer("left"))
    assert network.run(10, lambda: _carries(network))
    network.run(3)
    for _ in range(50):
        network.run(1)
        assert _carries(network)
    network.run(100)
    assert _carries(network) and network.pairs_agree(1)
