"""What is left of negotiations and SAs that are gone: timers, tables, and wishes that nobody pursues."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import LEFT, RIGHT, Address, Network, document, mirrored, peer_row
from vpnengine.ikev1.core import MAX_QUIET, MAX_QUIET_OF_PEER
from vpnengine.ikev1.endpoint import IkeEndpoint
from vpnengine.ikev1.interface import Configure, InitiatePeer, RekeyPeer, TerminatePeer
from vpnengine.ikev1.timers import TimerQueue
from vpnengine.isakmp.constants import Exchange, Flag
from vpnengine.isakmp.message import Header

DPD = {"interval_s": 10, "timeout_s": 30}


def network_of(left: dict[str, Any] | None = None, **changes: Any) -> Network:
    row = peer_row(**changes)
    return Network(document(row | (left or {})), document(mirrored(row)))


def up(network: Network, count: int = 1) -> None:
    network.command(network.left, InitiatePeer("right"))
    assert network.run(60, lambda: network.pairs_agree(count))


def sizes(endpoint: IkeEndpoint) -> dict[str, int]:
    core = endpoint._core
    return {
        "SAs": len(core.sas),
        "responding": len(core.responding),
        "pairs": len(core.pairs),
        "timers": len(core.timers._entries),
        "heap": len(core.timers._heap),
        "fragments": len(core.fragments),
        "busy": len(core.pacing._busy),
        "queue": len(core.pacing._queue),
        "decoys": len(core.decoys),
        "wanted": sum(len(peer.wanted) + len(peer.cooling) for peer in core.peers.values()),
        "held": sum(len(peer.sas) + len(peer.pairs) for peer in core.peers.values()),
    }


def test_a_hundred_connections_leave_nothing() -> None:
    network = network_of()
    before = [sizes(node.endpoint) for node in (network.left, network.right)]
    for _ in range(100):
        up(network)
        network.command(network.left, TerminatePeer("right"))
        network.run(1)
    network.run(70)
    after = [sizes(node.endpoint) for node in (network.left, network.right)]
    for one, other in zip(before, after, strict=True):
        assert other["heap"] < 200
        assert other | {"heap": 0} == one | {"heap": 0}


def test_timers_that_are_set_again_and_again_do_not_pile_up() -> None:
    queue = TimerQueue()
    done: list[int] = []
    for number in range(10_000):
        queue.set("one", 1000.0 + number, "a test", lambda number=number: done.append(number))
        queue.set(("other", number), 5000.0, "a test", lambda: done.append(-1))
        queue.cancel(("other", number))
    assert len(queue._heap) < 200
    queue.run_due(1000.0 + 9_998)
    assert not done
    queue.run_due(1000.0 + 9_999)
    assert done == [9_999]


def test_a_tunnel_that_died_while_it_was_rekeyed_comes_back() -> None:
    """The quick mode of the rekeying dies with its phase 1; what it was for is still wanted."""
    network = network_of({"start": "immediate"}, dpd=DPD)
    up(network)
    network.run(5)
    network.fate = lambda number, source, transmit: []
    network.run(22)  # DPD has asked for a while
    network.command(network.left, RekeyPeer("right", 2))
    assert network.run(40, lambda: "ike.dpd.dead" in network.left.codes())
    network.run(10)
    network.fate = lambda number, source, transmit: [0.01]
    assert network.run(300, lambda: network.pairs_agree(1))


def test_a_tunnel_that_the_peer_deleted_while_it_was_rekeyed_comes_back() -> None:
    network = network_of({"start": "immediate"})
    up(network)
    network.run(5)
    network.fate = lambda number, source, transmit: [0.01] if source == RIGHT else []
    network.command(network.left, RekeyPeer("right", 2))
    network.command(network.right, TerminatePeer("left"))
    network.run(0.5)
    network.fate = lambda number, source, transmit: [0.01]
    assert network.run(300, lambda: network.pairs_agree(1))


def test_a_tunnel_that_is_not_to_be_begun_any_more_is_not_tried_again() -> None:
    network = network_of({"start": "immediate"})
    network.fate = lambda number, source, transmit: []
    assert network.run(600, lambda: "ike.phase2.no_phase1" in network.left.codes())
    network.command(network.left, Configure(document(peer_row(start="responder"), revision=2)))
    network.run(0.1)
    begun = network.left.codes().count("ike.phase1.initiate")
    network.run(600)
    assert network.left.codes().count("ike.phase1.initiate") == begun


def test_a_responder_takes_more_pairs_than_it_remembers_quick_modes() -> None:
    subnets = [f"10.1.{number}.0/24" for number in range(100)]
    network = network_of(local_subnets=subnets)
    network.command(network.left, InitiatePeer("right"))
    assert network.run(20, lambda: network.pairs_agree(100))
    assert "ike.phase1.rekey" not in network.right.codes()


def test_negotiations_that_stop_before_the_proof_are_bounded() -> None:
    """Anybody may be the peer of such a row, and each of these has cost a Diffie-Hellman exchange."""
    row = peer_row()
    right = mirrored(row, remote="any")
    network = Network(document(row), document(right))
    network.fate = lambda number, source, transmit: [] if _fifth(transmit) else [0.01]
    for _ in range(200):
        network.command(network.left, InitiatePeer("right"))
        network.run(0.1)
        network.command(network.left, TerminatePeer("right"))
    assert sizes(network.right.endpoint)["SAs"] <= 100


def _fifth(transmit: Any) -> bool:
    return transmit.payload[18] == Exchange.MAIN and bool(transmit.payload[19] & Flag.ENCRYPTION)


def test_a_stranger_does_not_spoil_the_status_of_a_tunnel_that_is_up() -> None:
    network = network_of()
    up(network)
    row = peer_row(exchange="aggressive")
    stranger = Network(document(row), document(mirrored(row)), seed=2)
    stranger.command(stranger.left, InitiatePeer("right"))
    _, first = stranger.sent[0]
    network.right.endpoint.receive(first.payload, Address(RIGHT, 500), Address(LEFT, 500), network.now)
    network.drain(network.right)
    assert "ike.mode.refused" in network.right.codes()
    status = network.right.endpoint.peer_status("left", network.now)
    assert status is not None and status.last_failure is None


def test_pairs_do_not_outlive_the_only_phase_1_on_one_side_alone() -> None:
    """The peer is told that phase 1 is gone, and takes its pairs away: what stayed here would send into the void."""
    network = network_of(phase1={"lifetime_s": 600}, phase2={"lifetime_s": 3600})
    up(network)
    core = network.left.endpoint._core
    sa = next(iter(core.sas.values()))
    core.timers.cancel(("rekey", sa.cookies))
    other = network.right.endpoint._core
    other.timers.cancel(("rekey", sa.cookies))
    assert network.run(700, lambda: "ike.phase1.expired" in network.left.codes() + network.right.codes())
    assert network.run(5, lambda: network.pairs_agree(1))
    for node in (network.left, network.right):
        assert len(node.installed) == 1, node.host
        assert len(node.endpoint._core.sas) == 1


def test_a_wanted_tunnel_comes_back_when_its_only_phase_1_expires() -> None:
    network = network_of({"start": "immediate", "phase1": {"lifetime_s": 600}}, phase2={"lifetime_s": 3600})
    up(network)
    for node in (network.left, network.right):
        core = node.endpoint._core
        for sa in core.sas.values():
            core.timers.cancel(("rekey", sa.cookies))
    assert network.run(700, lambda: "ike.phase1.expired" in network.left.codes() + network.right.codes())
    assert network.run(10, lambda: network.pairs_agree(1) and len(network.left.installed) == 1)


def test_a_full_table_of_quiet_events_costs_no_walk_and_empties_with_time() -> None:
    class Counted(dict[tuple[str, str], float]):
        looks = 0

        def __getitem__(self, key: tuple[str, str]) -> float:
            self.looks += 1
            return super().__getitem__(key)

    core = network_of().left.endpoint._core
    core._quiet = table = Counted()
    assert not any(core.quiet("ike.unknown_peer", str(number)) for number in range(MAX_QUIET))
    table.looks = 0
    assert all(core.quiet("ike.unknown_peer", f"late {number}") for number in range(1_000))
    assert core._quiet is table and table.looks <= 1_000
    core.now += 61.0
    assert not core.quiet("ike.unknown_peer", "late 0") and core.quiet("ike.unknown_peer", "late 0")
    assert len(table) == 1


@pytest.mark.parametrize("code", ["ike.no_sa", "ike.mode.refused", "ike.phase1.silent"])
def test_strangers_do_not_mute_a_configured_peer(code: str) -> None:
    row = peer_row(exchange="aggressive" if code == "ike.mode.refused" else "main")
    network = Network(document(row), document(mirrored(peer_row())))
    core = network.right.endpoint._core
    assert not any(core.quiet("ike.unknown_peer", str(number)) for number in range(MAX_QUIET))
    assert core.quiet("ike.unknown_peer", "one more")
    if code == "ike.no_sa":
        data = Header(b"somebody", b"anything", 8, 0x10, Exchange.QUICK, Flag.ENCRYPTION, 7).build(bytes(48))
        network.right.endpoint.receive(data, Address(RIGHT, 500), Address(LEFT, 500), network.now)
        network.drain(network.right)
    else:
        network.fate = lambda number, source, transmit: [] if _fifth(transmit) else [0.01]
        network.command(network.left, InitiatePeer("right"))
        network.run(20)
    assert network.right.codes().count(code) == 1


def flood(network: Network, messages: list[bytes], hosts: list[str]) -> None:
    """First messages from everywhere, each with a cookie of its own, all within a second."""
    for number in range(3_000):
        data = (number + 1).to_bytes(8, "big") + messages[number % len(messages)][8:]
        source = Address(hosts[number % len(hosts)], 500)
        network.right.endpoint.receive(data, Address(RIGHT, 500), source, network.now)
    network.drain(network.right)
    network.flying.clear()  # the answers reach nobody


def offering(**proposal: str) -> bytes:
    """A first message that offers this."""
    row = peer_row(phase1={"proposals": [proposal]})
    network = Network(document(row), document(mirrored(row)))
    network.command(network.left, InitiatePeer("right"))
    return network.sent[0][1].payload


STRANGERS = [f"198.18.{number // 250}.{number % 250 + 1}" for number in range(3_000)]
OFFERS = [
    {"encryption": encryption, "hash": hash_, "group": group}
    for encryption in ("aes128", "aes192", "aes256")
    for hash_ in ("sha1", "sha384", "sha512")
    for group in ("modp3072", "modp4096", "ecp384")
]


@pytest.mark.parametrize("forged", ["anywhere", "the peer's address"])
def test_a_flood_does_not_hide_why_a_configured_peer_is_refused(forged: str) -> None:
    """Refusals are told by what is offered, whatever cookies there are; a flood has a bounded share of them."""
    row = peer_row(phase1={"proposals": [{"encryption": "aes128", "hash": "sha256", "group": "modp2048"}]})
    anybody = mirrored(peer_row(), id="anybody", name="Anybody", remote="any", remote_subnets=["10.9.0.0/24"])
    network = Network(document(row), document(mirrored(peer_row()), anybody))
    core = network.right.endpoint._core
    messages = [offering(**proposal) for proposal in (OFFERS[:12] if forged != "anywhere" else OFFERS)]
    flood(network, messages, STRANGERS if forged == "anywhere" else [LEFT])
    network.command(network.left, InitiatePeer("right"))
    network.run(1)
    told = [event for event in network.right.events if event.code == "ike.phase1.no_proposal"]
    last = told[-1]
    assert last.peer == "Left" and last.difference is not None
    assert "encryption: here aes256, peer aes128" in (last.hint or "")
    assert len(network.right.events) < 400 and len(core._quiet) <= MAX_QUIET
    assert len(core._quiet_peers.get("left", {})) <= MAX_QUIET_OF_PEER


def test_who_forges_a_configured_address_does_not_hide_other_failures() -> None:
    """So many different offers that the peer's own table is full: each code still gets through once a minute."""
    network = Network(document(peer_row(exchange="aggressive")), document(mirrored(peer_row())))
    core = network.right.endpoint._core
    flood(network, [offering(**proposal) for proposal in OFFERS], [LEFT])
    assert network.right.codes().count("ike.phase1.no_proposal") == MAX_QUIET_OF_PEER
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert "ike.mode.refused" in network.right.codes()
    assert len(core._quiet_peers["left"]) == MAX_QUIET_OF_PEER + 1
    network.run(61)
    flood(network, [offering(**OFFERS[0])], [LEFT])
    assert network.right.codes().count("ike.phase1.no_proposal") == MAX_QUIET_OF_PEER + 1
    network.command(network.right, Configure(document(revision=2)))
    assert not core._quiet_peers, "a peer that is removed leaves nothing behind"


def test_strangers_do_not_take_a_configured_peers_turn_in_aggressive_mode() -> None:
    row = peer_row(exchange="aggressive")
    anybody = mirrored(row, id="anybody", name="Anybody", remote="any", remote_subnets=["10.9.0.0/24"])
    network = Network(document(row), document(mirrored(row), anybody))
    first = network_of(exchange="aggressive")
    first.command(first.left, InitiatePeer("right"))
    flood(network, [first.sent[0][1].payload], STRANGERS)
    assert network.right.endpoint.counters()["dropped: too many negotiations"] > 2_000
    network.command(network.left, InitiatePeer("right"))
    assert network.run(5, lambda: network.pairs_agree(1))
