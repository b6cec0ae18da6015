"""Which peer a responder deals with, and where a peer is reached."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import LEFT, PSK, RIGHT, Network, document, mirrored, peer_row
from vpnengine.contract.config import parse_config
from vpnengine.contract.problems import Refused
from vpnengine.ikev1.admission import Admission
from vpnengine.ikev1.interface import Configure, InitiatePeer, RekeyPeer, Resolve, Resolved, Unresolved
from vpnengine.ikev1.model import make_peer
from vpnengine.ikev1.roster import Roster

NAME = {"type": "fqdn", "value": "left.example"}
OTHER = {"type": "fqdn", "value": "other.example"}
LONG = "another secret of enough length"


def right_row(number: int, **changes: Any) -> dict[str, Any]:
    """A row of the right side; only number 0 has the subnets of the left side's tunnel."""
    remote = ["10.1.0.0/24"] if number == 0 else [f"10.77.{number}.0/24"]
    row = mirrored(peer_row(), id=f"row{number}", name=f"Row {number}", remote_subnets=remote)
    return row | changes


def joined(left: dict[str, Any], *right: dict[str, Any]) -> Network:
    return Network(document(left), document(*right))


def up(network: Network, peer: str = "right") -> None:
    network.command(network.left, InitiatePeer(peer))
    assert network.run(30, lambda: network.pairs_agree(1))


def owner(network: Network) -> list[str]:
    return [p.id for p in network.right.endpoint.peer_statuses(network.now) if p.phase1.state == "established"]


@pytest.mark.parametrize("remote", ["any", "%any", "192.0.2.0/24", "192.0.2.1-192.0.2.7"])
def test_main_mode_from_somewhere(remote: str) -> None:
    network = joined(peer_row(), right_row(0, remote=remote))
    up(network)
    assert owner(network) == ["row0"]


def test_somebody_elsewhere_is_a_stranger() -> None:
    network = joined(peer_row(), right_row(0, remote="198.51.100.0/24"))
    network.command(network.left, InitiatePeer("right"))
    network.run(30)
    assert "ike.unknown_peer" in network.right.codes() and not network.right.endpoint._core.sas


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_narrowest_address_chooses_the_secret(order: tuple[int, ...]) -> None:
    rows = [
        right_row(0, remote=LEFT),
        right_row(1, remote="192.0.2.0/24", psk=LONG),
        right_row(2, remote="any", psk=LONG + "!"),
    ]
    network = joined(peer_row(), *(rows[number] for number in order))
    up(network)
    assert owner(network) == ["row0"] and "ike.psk.ambiguous" not in network.right.codes()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_after_message_5_the_identity_chooses_among_equal_secrets(order: tuple[int, ...]) -> None:
    rows = [right_row(0, remote_identity=NAME), right_row(1, remote_identity=OTHER)]
    network = joined(peer_row(local_identity=NAME), *(rows[number] for number in order))
    up(network)
    assert owner(network) == ["row0"]
    assert ("ike.phase1.selected" in network.right.codes()) == (order == (1, 0))


def test_an_identity_that_no_row_expects_is_refused() -> None:
    network = joined(peer_row(), right_row(0, remote_identity=NAME), right_row(1, remote_identity=OTHER))
    network.command(network.left, InitiatePeer("right"))
    network.run(30)
    assert "ike.phase1.identity" in network.right.codes() and not owner(network)


def test_names_that_turn_out_to_be_one_address_are_said_to_be_ambiguous() -> None:
    rows = [right_row(0, remote="one.example"), right_row(1, remote="two.example", psk=LONG)]
    network = joined(peer_row(), *rows)
    for number, name in enumerate(("one.example", "two.example")):
        network.command(network.right, Resolved(f"row{number}", LEFT, RIGHT, name))
    up(network)
    event = network.right.last("ike.psk.ambiguous")
    assert "“Row 1”" in event.text and event.evidence["chosen"] == "Row 0"
    assert PSK not in str(network.right.events) and LONG not in str(network.right.events)


def test_aggressive_mode_chooses_among_different_secrets_by_identity() -> None:
    rows = [
        right_row(n, remote="any", exchange="aggressive", psk=psk, remote_identity=identity)
        for n, psk, identity in ((1, LONG, OTHER), (0, PSK, NAME))
    ]
    network = joined(peer_row(exchange="aggressive", local_identity=NAME), *rows)
    up(network)
    assert owner(network) == ["row0"]


def test_a_row_without_identity_takes_whom_no_other_row_names() -> None:
    rows = [
        right_row(1, remote="any", exchange="aggressive", psk=LONG, remote_identity=OTHER),
        right_row(0, remote="any", exchange="aggressive"),
    ]
    network = joined(peer_row(exchange="aggressive", local_identity=NAME), *rows)
    up(network)
    assert owner(network) == ["row0"]


def test_a_peer_without_a_fixed_address_cannot_be_called() -> None:
    network = joined(peer_row(), right_row(0, remote="any"))
    network.command(network.right, InitiatePeer("row0"))
    network.run(5)
    assert not network.sent and "ike.phase1.no_address" in network.right.codes()
    up(network)
    network.command(network.right, RekeyPeer("row0", 2))
    assert network.run(5, lambda: network.right.codes().count("ike.phase2.established") == 4)


REFUSED: list[tuple[list[dict[str, Any]], str]] = [
    ([right_row(0, remote="any", start="immediate")], "peers.0.start"),
    ([right_row(0, remote="any", alternates=["192.0.2.9"])], "peers.0.alternates"),
    ([right_row(0, alternates=[LEFT])], "peers.0.alternates"),
    ([right_row(0, remote="192.0.2.9-192.0.2.1")], "peers.0.remote"),
    ([right_row(0), right_row(1, psk=LONG)], "peers.1.psk"),
    ([right_row(0), right_row(1)], "peers.1.remote_identity"),
    ([right_row(0, remote_identity=NAME), right_row(1)], "peers.1.remote_identity"),
    (
        [right_row(n, remote="any", exchange="aggressive", remote_identity=NAME) for n in (0, 1)],
        "peers.1.remote_identity",
    ),
]


@pytest.mark.parametrize(("rows", "field"), REFUSED, ids=[r[1] + str(i) for i, r in enumerate(REFUSED)])
def test_what_cannot_work_is_refused(rows: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_config({"peers": rows})
    assert [problem.field for problem in refused.value.problems] == [field]
    assert LONG not in str(refused.value)


def test_the_roster_forgets_what_is_removed() -> None:
    roster = Roster()
    peers = [
        make_peer(document(right_row(0, remote=remote)).peers[0])
        for remote in ("any", "192.0.2.0/24", "192.0.2.1-192.0.2.6", "one.example")
    ]
    for peer in peers:
        roster.add(peer)
    roster.found(peers[3], "one.example", LEFT)
    assert [tier[0] for tier in roster.tiers(LEFT)] == [peers[3], peers[2], peers[1], peers[0]]
    assert roster.tiers("2001:db8::1") == [[peers[0]]]
    roster.found(peers[3], "one.example", "192.0.2.200")
    assert [tier[0] for tier in roster.tiers("192.0.2.200")] == [peers[3], peers[1], peers[0]]
    for peer in peers:
        roster.remove(peer)
    assert not roster.tiers(LEFT) and not roster.tiers("192.0.2.200") and not roster.tiers("2001:db8::1")


def test_admission_is_per_source_and_bounded() -> None:
    admission = Admission(rate=1.0, burst=3.0, all_rate=10.0, all_burst=20.0)
    assert [admission.admit("192.0.2.1", 0.0) for _ in range(4)] == [True, True, True, False]
    assert admission.admit("192.0.2.1", 1.0) and not admission.admit("192.0.2.1", 1.0)
    assert [admission.admit(f"2001:db8::{n}", 1.0) for n in range(1, 5)] == [True, True, True, False]
    assert sum(admission.admit(f"198.51.{n // 200}.{n % 200}", 1.0) for n in range(10_000)) <= 20
    assert len(admission._sources) <= 4_096


# Where a peer is


class Names(Network):
    """A network whose name server says what the test wants; None is no answer."""

    addresses: dict[str, str | None] = {}
    asked: list[str] = []

    def _effect(self, node: Any, effect: object) -> None:
        if isinstance(effect, Resolve):
            self.asked = [*self.asked, effect.host]
            found = self.addresses.get(effect.host, effect.host)
            if found is None:
                self.command(node, Unresolved(effect.peer_id, "no such name", effect.host))
            else:
                self.command(node, Resolved(effect.peer_id, found, node.host, effect.host))
        else:
            super()._effect(node, effect)


def named(row: dict[str, Any], addresses: dict[str, str | None]) -> Names:
    Names.addresses, Names.asked = addresses, []
    network = Names(document(row), document(right_row(0)))
    # Only what is sent to the right side's address arrives there.
    network.fate = lambda count, source, transmit: [0.01] if transmit.remote.host in (LEFT, RIGHT) else []
    return network


def test_the_next_address_is_tried_when_one_is_silent() -> None:
    row = peer_row(remote="192.0.2.66", alternates=["192.0.2.67", RIGHT], start="immediate")
    network = named(row | {"retransmit": {"first_s": 0.5, "tries": 2}}, {})
    assert network.run(60, lambda: network.pairs_agree(1))
    texts = [e.text for e in network.left.events if e.code == "engine.peer.next_address"]
    assert texts == [
        "192.0.2.66 does not answer; 192.0.2.67 is tried next",
        f"192.0.2.67 does not answer; {RIGHT} is tried next",
    ]


def test_a_name_without_address_gives_way_to_the_next() -> None:
    network = named(peer_row(remote="gone.example", alternates=[RIGHT]), {"gone.example": None})
    up(network)
    assert "engine.peer.unresolved" in network.left.codes()


def test_a_call_from_any_of_the_addresses_is_taken() -> None:
    network = Network(document(peer_row()), document(right_row(0, remote="192.0.2.66", alternates=[LEFT])))
    up(network)
    assert owner(network) == ["row0"]


def test_a_name_is_resolved_again_while_the_peer_is_down_and_after_failure() -> None:
    network = named(peer_row(remote="moving.example"), {"moving.example": "192.0.2.66"})
    network.run(130)
    assert 3 <= network.asked.count("moving.example") <= 4
    network.addresses["moving.example"] = RIGHT
    network.run(61)
    event = network.left.last("engine.peer.readdressed")
    assert event.text == f"moving.example has a new address: 192.0.2.66 became {RIGHT}"
    up(network)
    count = len(network.asked)
    network.run(200)
    assert len(network.asked) == count


def test_a_failed_negotiation_asks_for_the_address_anew() -> None:
    network = named(peer_row(remote="moving.example", start="immediate"), {"moving.example": "192.0.2.66"})
    network.run(5)
    network.addresses["moving.example"] = RIGHT
    assert network.run(60, lambda: network.pairs_agree(1))


def test_a_removed_peer_is_not_asked_for_any_more() -> None:
    network = named(peer_row(remote="moving.example"), {"moving.example": None})
    network.command(network.left, Configure(document(revision=2)))
    count = len(network.asked)
    network.run(300)
    assert len(network.asked) == count and network.left.endpoint.next_timer() is None
