"""Two endpoints in memory: both roles, every message lost, doubled or late, and each mismatch explained."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ikev1.pair import LEFT, PSK, RIGHT, Address, Network, document, mirrored, peer_row
from vpnengine.contract.events import Side
from vpnengine.ikev1 import dpd
from vpnengine.ikev1.interface import Configure, InitiatePeer, RekeyPeer, Shutdown, TerminatePeer

IKE = [
    {"encryption": e, "hash": h, "group": g}
    for e, h, g in (
        ("aes128", "sha1", "modp2048"),
        ("aes192", "sha256", "modp3072"),
        ("aes256", "sha384", "ecp256"),
        ("aes256", "sha512", "ecp384"),
        ("aes128", "sha256", "ecp521"),
        ("aes256", "sha1", "modp4096"),
    )
]
ESP = [{"encryption": f"aes{bits}gcm16"} for bits in (128, 192, 256)] + [
    {"encryption": f"aes{bits}", "integrity": integrity}
    for bits, integrity in ((128, "sha1"), (192, "sha256"), (256, "sha384"), (256, "sha512"))
]


def joined(row: dict[str, Any] | None = None, raw_esp: bool = True, **right: Any) -> Network:
    row = row or peer_row()
    return Network(document(row), document(mirrored(row, **right)), raw_esp=raw_esp)


def up(network: Network, count: int = 1) -> None:
    network.command(network.left, InitiatePeer("right"))
    assert network.run(60, lambda: network.pairs_agree(count))


@pytest.mark.parametrize("proposal", IKE, ids=lambda p: "-".join(p.values()))
def test_phase1_algorithms(proposal: dict[str, str]) -> None:
    network = joined(peer_row(phase1={"proposals": [proposal]}))
    up(network)
    sa = network.left.endpoint.peer_statuses(network.now)[0].phase1
    assert (sa.encryption, sa.hash, sa.group) == tuple(proposal.values())


@pytest.mark.parametrize("pfs", [None, "modp2048", "ecp256"])
@pytest.mark.parametrize("proposal", ESP, ids=lambda p: "-".join(p.values()))
def test_phase2_algorithms(proposal: dict[str, str], pfs: str | None) -> None:
    network = joined(peer_row(phase2={"proposals": [proposal], "pfs_group": pfs}))
    up(network)
    sa = network.right.endpoint.peer_statuses(network.now)[0].sas[0]
    assert (sa.encryption, sa.integrity, sa.pfs_group) == (proposal["encryption"], proposal.get("integrity"), pfs)


def test_events_of_a_tunnel_are_the_classical_ones() -> None:
    network = joined()
    up(network)
    texts = [event.text for event in network.left.events]
    assert f"initiate new phase 1 negotiation: {LEFT}[500]<=>{RIGHT}[500]" in texts
    assert sum(text.startswith("ISAKMP-SA established 192.0.2.1[500]-192.0.2.2[500] spi:") for text in texts) == 1
    assert sum(text.startswith("IPsec-SA established: ESP/Tunnel ") for text in texts) == 2


def test_two_subnets_on_each_side_make_four_pairs() -> None:
    row = peer_row(local_subnets=["10.1.0.0/24", "10.1.1.0/24"], remote_subnets=["10.2.0.0/24", "10.2.1.0/24"])
    network = joined(row)
    up(network, 4)
    assert network.left.codes().count("ike.phase1.established") == 1


def test_udp_is_forced_when_the_data_path_needs_it() -> None:
    network = joined(raw_esp=False)
    up(network)
    pair = next(iter(network.left.installed.values()))
    assert pair.udp and pair.remote == Address(RIGHT, 4500)


def test_no_nat_means_no_udp() -> None:
    network = joined()
    up(network)
    assert not next(iter(network.left.installed.values())).udp
    assert "ike.natt.none" in network.left.codes()


@pytest.mark.parametrize("number", range(1, 10))
@pytest.mark.parametrize("fate", [[], [0.01, 0.02], [0.01, 0.6], [1.5]], ids=["lost", "doubled", "repeated", "late"])
def test_one_message_suffers(number: int, fate: list[float]) -> None:
    network = joined()
    network.fate = lambda count, source, transmit: fate if count == number else [0.01]
    up(network)
    network.run(20)
    assert network.pairs_agree(1)
    assert network.left.codes().count("ike.phase1.established") == 1
    assert network.left.codes().count("ike.phase2.established") == 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(5, 30))
def test_heavy_loss_and_reordering_converge(seed: int, loss: int) -> None:
    network = Network(document(peer_row(start="immediate")), document(mirrored(peer_row())), seed=seed)

    def fate(count: int, source: str, transmit: object) -> list[float]:
        if network.random.randrange(100) < loss:
            return []
        return [0.01 + network.random.random()] * (1 + (network.random.randrange(10) == 0))

    network.fate = fate
    assert network.run(400, lambda: network.pairs_agree(1))


def test_both_start_at_once() -> None:
    row = peer_row(start="immediate")
    network = Network(document(row), document(mirrored(row, start="immediate")))
    network.run(30)
    assert network.left.outbound and network.right.outbound
    newest = network.left.installed[network.left.outbound[-1]]
    assert newest.spi_out in network.right.installed


def test_rekey_of_phase2_makes_before_it_breaks() -> None:
    network = joined(peer_row(phase2={"lifetime_s": 60}))
    up(network)
    first = network.left.outbound[0]
    sizes = []
    while network.now < 1300:
        network.run(1)
        sizes.append((len(network.left.outbound), len(network.right.outbound)))
    assert all(min(size) >= 1 for size in sizes)
    assert first not in network.left.installed
    assert network.left.codes().count("ike.phase1.established") == 1
    assert network.left.codes().count("ike.phase2.established") >= 8


def test_rekey_of_phase1_keeps_the_ipsec_sas() -> None:
    network = joined(peer_row(phase1={"lifetime_s": 120}))
    up(network)
    pairs = dict(network.left.installed)
    network.run(600)
    assert network.left.codes().count("ike.phase1.established") >= 4
    assert pairs.keys() <= network.left.installed.keys()
    assert not [e for e in network.left.events if e.severity == "error"]


@pytest.mark.parametrize("phase", [1, 2])
def test_rekey_on_command(phase: int) -> None:
    network = joined()
    up(network)
    network.command(network.left, RekeyPeer("right", phase))
    code = "ike.phase1.established" if phase == 1 else "ike.phase2.established"
    assert network.run(5, lambda: network.right.codes().count(code) == 2 * phase)


@pytest.mark.parametrize("side", ["left", "right"])
def test_delete_from_either_side(side: str) -> None:
    network = joined()
    up(network)
    node, peer = (network.left, "right") if side == "left" else (network.right, "left")
    network.command(node, TerminatePeer(peer))
    network.run(2)
    assert not network.left.installed and not network.right.installed
    assert "ike.phase2.peer_deleted" in network.other(node).codes()


def test_shutdown_tells_the_peer() -> None:
    network = joined()
    up(network)
    network.command(network.left, Shutdown())
    network.run(1)
    assert not network.right.installed


def test_dead_peer_is_noticed_and_traffic_brings_it_back() -> None:
    network = joined(peer_row(dpd={"interval_s": 5, "timeout_s": 15}))
    up(network)
    network.fate = lambda count, source, transmit: []
    network.run(40)
    assert "ike.dpd.dead" in network.left.codes() and not network.left.installed
    network.run(60)
    network.fate = lambda count, source, transmit: [0.01]
    up(network)


def test_a_probe_is_not_due_for_ever() -> None:
    """The time left until the next probe may be lost in the rounding of the clock."""
    network = joined(peer_row(dpd={"interval_s": 10}))
    up(network)
    endpoint = network.left.endpoint
    sa = next(iter(endpoint._core.sas.values()))
    candidates = (network.now + n / 997 for n in range(100_000))
    heard = next(x for x in candidates if 10 - ((x + 10) - x) > 0 and (x + 10) + (10 - ((x + 10) - x)) == x + 10)
    sa.last_heard = heard
    endpoint._core.timers.set(("dpd", sa.cookies), heard + 10, "", lambda: dpd._due(endpoint._core, sa))
    for _ in range(20):
        endpoint.handle_timer(heard + 10)
    timer = endpoint.next_timer()
    assert timer is not None and timer[0] > heard + 10


def test_a_responder_that_gives_up_tells_the_initiator() -> None:
    network = joined()

    def pair_agreed() -> bool:
        return any(
            exchange.spi_out for sa in network.left.endpoint._core.sas.values() for exchange in sa.quick.values()
        )

    network.fate = lambda count, source, transmit: [] if source == LEFT and pair_agreed() else [0.01]
    network.command(network.left, InitiatePeer("right"))
    # The initiator counts the pair as up; its last message never arrives.
    assert network.run(60, lambda: "ike.phase2.timeout" in network.right.codes())
    assert network.left.installed
    network.fate = lambda count, source, transmit: [0.01]
    network.run(1)
    assert not network.left.installed and "ike.phase2.peer_deleted" in network.left.codes()
    up(network)


def test_a_restarted_peer_is_believed_only_after_authentication() -> None:
    network = joined()
    up(network)
    old = dict(network.right.installed)
    fresh = Network(document(peer_row()), document(mirrored(peer_row())), seed=2).left.endpoint
    network.left.endpoint, network.left.installed, network.left.outbound = fresh, {}, []
    network.drain(network.left)
    network.command(network.left, InitiatePeer("right"))
    assert network.run(10, lambda: network.pairs_agree(1))
    assert "ike.initial_contact" in network.right.codes()
    assert not old.keys() & network.right.installed.keys()


def test_an_unchanged_tunnel_is_not_touched() -> None:
    other = peer_row(id="other", name="Other", remote="192.0.2.99", remote_subnets=["10.9.0.0/24"])
    network = joined()
    up(network)
    network.command(network.left, Configure(document(peer_row(), other, revision=2)))
    network.command(network.left, Configure(document(peer_row(name="Renamed"), revision=3)))
    network.run(5)
    assert network.pairs_agree(1)
    assert network.left.endpoint.peer_statuses(network.now)[0].name == "Renamed"


def test_a_changed_secret_tears_down() -> None:
    network = joined()
    up(network)
    network.command(network.left, Configure(document(peer_row(psk="another good secret"), revision=2)))
    network.run(1)
    assert not network.left.installed and not network.right.installed


MISMATCHES: list[tuple[dict[str, Any], str, str, Side, str]] = [
    ({"psk": "not the same secret"}, "right", "ike.phase1.psk_suspect", Side.UNKNOWN, "Pre-shared secret"),
    ({"psk": "not the same secret"}, "left", "ike.phase1.timeout", Side.UNKNOWN, "Pre-shared secret"),
    ({"phase1": {"proposals": [IKE[0]]}}, "right", "ike.phase1.no_proposal", Side.LOCAL, "encryption: here aes128"),
    ({"phase1": {"proposals": [IKE[0]]}}, "left", "ike.phase1.refused", Side.PEER, "Phase 1"),
    ({"phase2": {"proposals": [ESP[3]]}}, "right", "ike.phase2.no_proposal", Side.LOCAL, "Phase 2"),
    ({"phase2": {"proposals": [ESP[3]]}}, "left", "ike.phase2.refused", Side.PEER, "Phase 2"),
    ({"phase2": {"pfs_group": None}}, "right", "ike.phase2.no_proposal", Side.LOCAL, "pfs: here none, peer modp2048"),
    ({"local_subnets": ["10.2.0.0/25"]}, "right", "ike.phase2.selectors", Side.LOCAL, "The masks differ"),
    ({"local_subnets": ["10.2.0.0/25"]}, "left", "ike.phase2.refused", Side.PEER, "mirror image"),
    (
        {"remote_identity": {"type": "fqdn", "value": "gw.example"}},
        "right",
        "ike.phase1.identity",
        Side.LOCAL,
        "Remote identity",
    ),
    (
        {"remote_identity": {"type": "fqdn", "value": "gw.example"}},
        "left",
        "ike.phase1.notify",
        Side.PEER,
        "Local identity",
    ),
]


@pytest.mark.parametrize(("change", "node", "code", "side", "hint"), MISMATCHES, ids=itertools.count())
def test_each_mismatch_is_explained(change: dict[str, Any], node: str, code: str, side: Side, hint: str) -> None:
    network = joined(None, True, **change)
    network.command(network.left, InitiatePeer("right"))
    network.run(90)
    event = getattr(network, node).last(code)
    assert event.side is side
    assert hint in (event.hint or "")
    assert not network.left.outbound and not network.right.outbound


def test_no_secret_in_events_status_or_trace() -> None:
    network = joined(None, True, psk="not the same secret")
    network.command(network.left, InitiatePeer("right"))
    network.run(90)
    said = str(network.left.events) + str(network.left.endpoint.trace())
    said += str(network.left.endpoint.peer_statuses(network.now)) + repr(document(peer_row()))
    assert PSK not in said


def test_a_peer_that_stays_silent_after_our_proof_is_named_soon() -> None:
    network = joined(None, True, psk="not the same secret")
    # Whatever the responder says once it has got message 5 is lost: many gateways say nothing at all.
    network.fate = lambda count, source, transmit: [] if source == RIGHT and count > 5 else [0.01]
    network.command(network.left, InitiatePeer("right"))
    network.run(6)
    event = network.left.last("ike.phase1.unproven")
    assert event.side is Side.UNKNOWN and "Pre-shared secret" in (event.hint or "")
    failure = network.left.endpoint.peer_statuses(network.now)[0].last_failure
    assert failure is not None and failure.code == "ike.phase1.unproven"


def test_a_peer_that_ignores_us_after_a_wrong_secret_is_no_matter_of_the_path() -> None:
    network = joined(None, True, psk="not the same secret")
    network.command(network.left, InitiatePeer("right"))
    network.run(60)
    assert "ike.phase1.unproven" in network.left.codes()
    network.fate = lambda count, source, transmit: [] if source == RIGHT else [0.01]
    network.command(network.left, InitiatePeer("right"))
    network.run(60)
    event = network.left.last("ike.phase1.timeout")
    assert event.side is Side.UNKNOWN and "ignores this side" in (event.hint or "")
