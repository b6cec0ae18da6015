"""Commit bit, deletes of every kind, lost and restarted ends, and everything at once."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ikev1.pair import LEFT, RIGHT, Address, Network, Node, document, mirrored, peer_row
from tests.ikev1.test_negotiation import joined, up
from vpnengine.ikev1 import informational, quick_mode
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer, TerminatePeer, Traffic
from vpnengine.isakmp.constants import Exchange, Flag, Notify
from vpnengine.isakmp.message import Header
from vpnengine.isakmp.payloads import Notification


class Committing(Network):
    """The right node sets the commit bit in quick mode, as some Windows gateways do."""

    def _deliver(self, item: Any) -> None:
        when, number, node, transmit = item
        if node is self.left and transmit.payload[18] == Exchange.QUICK:
            data = transmit.payload
            flagged = data[:19] + bytes([data[19] | Flag.COMMIT]) + data[20:]
            self.flying.remove(item)
            item = (when, number, node, dataclasses.replace(transmit, payload=flagged))
            self.flying.append(item)
        super()._deliver(item)


def committing() -> Network:
    row = peer_row()
    return Committing(document(row), document(mirrored(row)))


def agreed(network: Network) -> bool:
    return bool(network.left.installed) and len(network.right.outbound) == 1


def test_commit_bit_waits_a_moment_for_connected() -> None:
    network = committing()
    network.command(network.left, InitiatePeer("right"))
    assert network.run(10, lambda: agreed(network))
    began = network.now
    network.run(2.5)
    assert not network.left.outbound
    assert network.run(3, lambda: network.pairs_agree(1))
    assert network.now - began <= quick_mode.COMMIT_S + 0.1


@pytest.mark.parametrize("how", ["informational", "quick", "informational without SPI"])
def test_connected_ends_the_wait(how: str) -> None:
    network = committing()
    network.command(network.left, InitiatePeer("right"))
    assert network.run(10, lambda: agreed(network))
    core = network.right.endpoint._core
    sa = core.peers["left"].current()
    assert sa is not None
    spi = next(iter(network.right.installed)).to_bytes(4, "big")
    if how == "quick":
        exchange = next(iter(sa.quick.values()))
        said = Notification(3, spi, Notify.CONNECTED)
        quick_mode._send(core, sa, exchange, [said], b"", "quick 4")
    else:
        informational.send_notify(core, sa, 3, b"" if "without" in how else spi, Notify.CONNECTED)
    network.drain(network.right)
    network.run(0.5)
    assert network.pairs_agree(1)


def test_one_delete_names_many_spis() -> None:
    subnets = [f"10.2.{n}.0/24" for n in range(12)]
    network = joined(peer_row(remote_subnets=subnets))
    up(network, 12)
    sa = network.left.endpoint._core.peers["right"].current()
    informational.send_delete_esp(network.left.endpoint._core, sa, [*network.left.installed, 0xDEAD0001])
    network.drain(network.left)
    network.run(1)
    assert not network.right.installed
    assert network.right.codes().count("ike.phase2.peer_deleted") == 12


@pytest.mark.parametrize("late", ["delete", "quick"])
def test_delete_and_new_quick_mode_in_either_order(late: str) -> None:
    """The right end deletes its pair while the left one is about to replace it."""
    network = joined()
    up(network)
    network.run(5)
    first = set(network.left.installed)
    slow = Exchange.INFORMATIONAL if late == "delete" else Exchange.QUICK
    network.fate = lambda number, source, transmit: [0.5 if transmit.payload[18] == slow else 0.01]
    network.command(network.left, RekeyPeer("right", 2))
    core = network.right.endpoint._core
    from vpnengine.ikev1 import pairs

    peer = core.peers["left"]
    pairs.delete(core, peer, peer.pairs[0])
    network.drain(network.right)
    assert network.run(20, lambda: network.pairs_agree(1) and not first & set(network.left.installed))


@pytest.mark.parametrize("used", ["newer", "surplus", "none"])
def test_a_surplus_pair_goes_when_the_peer_shows_which_one_it_uses(used: str) -> None:
    """Both ends have replaced a pair at once; the left one hears on one of the two."""
    network = joined()
    up(network)
    network.run(20)
    network.command(network.left, RekeyPeer("right", 2))
    network.command(network.right, RekeyPeer("left", 2))
    network.run(1)
    pairs_here = network.left.endpoint._core.peers["right"].pairs
    newer = next(pair for pair in pairs_here if not pair.replaced)
    surplus = [pair for pair in pairs_here if pair.replaced][-1]
    for _ in range(40):
        network.run(1)
        heard = {"newer": newer, "surplus": surplus, "none": None}[used]
        if heard is not None:
            network.command(network.left, Traffic({heard.params.spi_in: network.now}))
    assert (surplus.params.spi_in in network.left.installed) is (used != "newer")
    if used != "surplus":
        assert newer.params.spi_in in network.left.installed and newer.params.spi_out in network.right.installed


def test_both_ends_replace_phase_1_at_once() -> None:
    network = joined()
    up(network)
    before = dict(network.left.installed)
    network.command(network.left, RekeyPeer("right", 1))
    network.command(network.right, RekeyPeer("left", 1))
    network.run(60)
    assert network.left.installed.keys() == before.keys() and network.pairs_agree(1)
    assert not [e for node in (network.left, network.right) for e in node.events if e.severity == "error"]
    network.command(network.left, RekeyPeer("right", 2))
    assert network.run(60, lambda: network.pairs_agree(1) and not before.keys() & network.left.installed.keys())


def restarted(network: Network, node: Node, row: dict[str, Any]) -> None:
    """The node has lost everything, as after a crash."""
    other = Network(document(row), document(mirrored(row)), seed=9)
    node.endpoint = other.left.endpoint if node is network.left else other.right.endpoint
    node.installed, node.outbound = {}, []
    network.drain(node)


@pytest.mark.parametrize(("start", "returns"), [("immediate", True), ("traffic", True), ("responder", False)])
def test_a_restarted_end_answers_old_traffic_with_a_new_phase_1(start: str, returns: bool) -> None:
    row = peer_row(start="traffic" if start == "immediate" else start)
    network = Network(document(row), document(mirrored(row, dpd={"interval_s": 5, "timeout_s": 60})))
    network.command(network.left, InitiatePeer("right"))
    assert network.run(30, lambda: network.pairs_agree(1))
    restarted(network, network.left, row)
    assert network.run(12, lambda: network.pairs_agree(1)) is returns
    if returns:
        assert "ike.initial_contact" in network.right.codes() and len(network.right.installed) == 1


def test_forged_messages_make_no_flood_of_phase_1() -> None:
    row = peer_row(start="traffic")
    network = Network(document(row), document(mirrored(row)))
    network.fate = lambda number, source, transmit: []
    for number in range(1, 2000):
        cookies = number.to_bytes(8, "big"), number.to_bytes(8, "big")
        data = Header(*cookies, 8, 0x10, Exchange.INFORMATIONAL, Flag.ENCRYPTION, number).build(bytes(48))
        network.left.endpoint.receive(data, Address(LEFT, 500), Address(RIGHT, 500), network.now + number / 100)
    assert network.left.endpoint.counters().get("phase 1 started", 0) == 1


def test_initial_contact_off_keeps_what_is_there() -> None:
    row = peer_row(start="traffic")
    network = Network(document(row), document(mirrored(row, initial_contact="off")))
    network.command(network.left, InitiatePeer("right"))
    assert network.run(30, lambda: network.pairs_agree(1))
    restarted(network, network.left, row)
    network.command(network.left, InitiatePeer("right"))
    assert network.run(5, lambda: len(network.right.installed) == 2)
    assert "ike.initial_contact" not in network.right.codes()


def test_a_dead_peer_is_called_less_and_less() -> None:
    row = peer_row(start="immediate", dpd={"interval_s": 2, "timeout_s": 6})
    network = Network(document(row), document(mirrored(row)))
    assert network.run(30, lambda: network.pairs_agree(1))
    network.fate = lambda number, source, transmit: []
    began = len(network.sent)
    network.run(1800)
    assert "ike.dpd.dead" in network.left.codes()
    # 5 tries over 23 s and at most a minute's pause; without growing pauses it would be far more.
    assert 60 < len([s for s, _ in network.sent[began:] if s == LEFT]) < 150
    network.fate = lambda number, source, transmit: [0.01]
    assert network.run(90, lambda: network.pairs_agree(1))


def one_tunnel(network: Network) -> bool:
    """Each end has one pair that it sends on, and the other receives on it."""
    for node in (network.left, network.right):
        other = network.other(node)
        live = [sa for sa in node.endpoint.peer_statuses(network.now)[0].sas if sa.state == "mature"]
        if len(live) != 1 or int(live[0].spi_out, 16) not in other.installed:
            return False
    return True


ACTIONS = [("left", RekeyPeer("right", 1)), ("left", RekeyPeer("right", 2)), ("right", RekeyPeer("left", 1))]
ACTIONS += [("right", RekeyPeer("left", 2)), ("left", InitiatePeer("right")), ("right", InitiatePeer("left"))]
ACTIONS += [("left", TerminatePeer("right")), ("right", TerminatePeer("left"))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.floats(0.0, 3.0)), max_size=12), st.integers(0, 2**32))
def test_whatever_happens_one_tunnel_is_left(actions: list[tuple[Any, float]], seed: int) -> None:
    network = Network(document(peer_row()), document(mirrored(peer_row())), seed=seed)
    rng = network.random

    def rough(number: int, source: str, transmit: Any) -> list[float]:
        return [] if rng.randrange(100) < 20 else [0.01 + rng.random() / 2] * (1 + (rng.randrange(8) == 0))

    network.fate = rough
    network.command(network.left, InitiatePeer("right"))
    for (side, command), pause in actions:
        network.run(pause)
        network.command(getattr(network, side), command)
    network.fate = lambda number, source, transmit: [0.01]
    # What was lost is found out by retransmission and dead peer detection; then the tunnel is asked for once more.
    network.run(150)
    for side, peer in (("left", "right"), ("right", "left")):
        network.command(getattr(network, side), InitiatePeer(peer))
        network.run(5)
    network.run(60)
    assert one_tunnel(network)
