"""Clocks that jump: machines that sleep for hours, and wall clocks that are wrong."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.ikev1 import certified
from tests.ikev1.pair import Network, Node, document, mirrored, peer_row
from vpnengine.ikev1 import informational
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer, Slept
from vpnengine.isakmp.constants import Notify

DPD = {"interval_s": 10, "timeout_s": 30}
SUBNETS = [f"10.2.{number}.0/24" for number in range(4)]


def tunnel(starts: tuple[str, str], **changes: Any) -> Network:
    row = peer_row(remote_subnets=SUBNETS, dpd=DPD, **changes)
    right = mirrored(row, start=starts[1])
    network = Network(document(row | {"start": starts[0]}), document(right))
    network.command(network.left, InitiatePeer("right"))
    assert network.run(30, lambda: network.pairs_agree(4))
    network.run(20)
    return network


def slept(network: Network, nodes: list[Node], seconds: float) -> dict[str, int]:
    """These machines sleep. Returns where each end's events stood when they woke up."""
    network.asleep = nodes
    network.run(seconds)
    network.asleep = []
    return {node.host: len(node.events) for node in network.nodes}


def since(network: Network, marks: dict[str, int], node: Node) -> Counter[str]:
    return Counter(event.code for event in node.events[marks[node.host] :])


def carried(network: Network) -> bool:
    """Each end has a pair for each selector, and the other receives on it."""
    for node in (network.left, network.right):
        other = network.other(node)
        (peer,) = node.endpoint._core.peers.values()
        live = [pair for pair in peer.pairs if not pair.replaced and pair.confirmed]
        if {pair.params.selector for pair in live} != set(peer.selectors):
            return False
        if any(pair.params.spi_out not in other.installed for pair in live):
            return False
    return True


@pytest.mark.parametrize("seconds", [35.0, 600.0, 3 * 3600.0, 40 * 3600.0])
@pytest.mark.parametrize("who", ["initiator", "responder", "both"])
@pytest.mark.parametrize("starts", [("immediate", "responder"), ("immediate", "immediate")])
def test_a_machine_that_slept_comes_back_once(who: str, seconds: float, starts: tuple[str, str]) -> None:
    network = tunnel(starts, phase1={"lifetime_s": 7200}, phase2={"lifetime_s": 3600})
    nodes = {"initiator": [network.left], "responder": [network.right], "both": [network.left, network.right]}[who]
    marks = slept(network, nodes, seconds)
    sent = len(network.sent)
    network.run(10)
    # No storm: a few messages for phase 1, the deletes, the probes, and the quick modes of four selectors.
    assert len(network.sent) - sent < 120
    assert network.run(80, lambda: carried(network)), (network.left.codes()[-12:], network.right.codes()[-12:])
    network.run(150)  # what both have begun at once is one by then
    assert network.pairs_agree(4)
    for node in (network.left, network.right):
        codes = since(network, marks, node)
        assert codes["ike.phase1.initiate"] <= 2, (node.host, codes)
        assert codes["ike.phase2.established"] <= 2 * 4 * 2, (node.host, codes)
        core = node.endpoint._core
        assert all(pair.expires > network.now for _, pair in core.pairs.values())
        assert all((sa.expires or 0) > network.now for sa in core.sas.values())


@pytest.mark.parametrize("seconds", [60.0, 3 * 3600.0])
def test_who_knows_that_it_slept_comes_back_in_seconds(seconds: float) -> None:
    """The peer has given us up: its silence is found out at once, not after the configured patience."""
    network = tunnel(("immediate", "responder"), phase1={"lifetime_s": 7200}, phase2={"lifetime_s": 3600})
    sa = network.right.endpoint._core.peers["left"].current()
    assert sa is not None
    late = len(network.sent)
    informational.send_notify(network.right.endpoint._core, sa, 1, sa.cookies, Notify.R_U_THERE, b"\1\2\3\4")
    network.fate = lambda number, source, transmit: []
    network.drain(network.right)
    network.fate = lambda number, source, transmit: [0.01]
    slept(network, [network.left], seconds)
    assert not network.right.installed
    network.command(network.left, Slept())
    network.run(0.1)
    # A probe that had been waiting in the socket is authentic; it does not show that the peer is there now.
    network.flying.append((network.now, 0, network.left, network.sent[late][1]))
    assert network.run(8, lambda: carried(network))
    network.run(150)
    assert network.pairs_agree(4)


def test_a_peer_that_is_still_there_after_the_sleep_is_asked_and_keeps_its_sas() -> None:
    network = tunnel(("immediate", "responder"))
    before = set(network.left.installed)
    marks = slept(network, [network.left], 15)
    network.command(network.left, Slept())
    network.run(100)
    assert set(network.left.installed) == before == {p.spi_out for p in network.right.installed.values()}
    assert not since(network, marks, network.left)["ike.phase1.initiate"]


def test_a_short_sleep_that_nobody_notices_changes_nothing() -> None:
    network = tunnel(("traffic", "responder"))
    before = set(network.left.installed)
    marks = slept(network, [network.left], 8)
    network.run(60)
    assert set(network.left.installed) == before
    assert not since(network, marks, network.left)["ike.phase1.initiate"]


def test_a_tunnel_for_traffic_is_gone_after_the_sleep_and_comes_with_traffic() -> None:
    network = tunnel(("traffic", "responder"), phase1={"lifetime_s": 7200}, phase2={"lifetime_s": 3600})
    slept(network, [network.left, network.right], 40 * 3600)
    network.run(60)
    assert all(pair.expires > network.now for _, pair in network.left.endpoint._core.pairs.values())
    network.command(network.left, InitiatePeer("right"))
    assert network.run(5, lambda: carried(network))


def test_a_wall_clock_that_jumps_does_not_touch_what_is_up() -> None:
    network = certified.started(certified.joined())
    assert network.pairs_agree(1)
    before = set(network.left.installed)
    for wall in (0.0, 4e9, 1_800_000_000.0):
        network.wall = wall - network.now
        network.run(120)
        assert set(network.left.installed) == before and network.pairs_agree(1)


@pytest.mark.parametrize(("wall", "code"), [(0.0, "not_yet_valid"), (9e9, "expired")], ids=["1970", "2255"])
def test_certificates_are_judged_by_the_wall_clock(wall: float, code: str) -> None:
    """A dead battery: nothing comes up, the clock is named, and with the right time it does."""
    network = certified.joined()
    right_time, network.wall = network.wall, wall - network.now
    certified.failed(network)
    told = [event for node in network.nodes for event in node.events if event.code.endswith(code)]
    assert told and any("clock" in (event.hint or "") for event in told)
    network.wall = right_time
    certified.started(network, 60)
    assert network.pairs_agree(1)


def test_a_wrong_wall_clock_is_judged_again_at_the_next_phase_1() -> None:
    network = certified.started(certified.joined())
    network.wall = -network.now
    network.command(network.left, RekeyPeer("right", 1))
    network.run(60)
    assert network.pairs_agree(1)  # what is up stays until its life ends
    assert any(event.code.endswith("not_yet_valid") for node in network.nodes for event in node.events)
