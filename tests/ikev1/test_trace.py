"""The trace: what is told of a negotiation, what is not, and who can push whom out."""

from __future__ import annotations

import dataclasses
from typing import Any

from appliance.cli import ladder
from tests.ikev1.pair import LEFT, PSK, RIGHT, Address, Network, Node, document, mirrored, peer_row
from vpnengine.contract.trace import NegotiationTrace
from vpnengine.ikev1 import trace
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer, TerminatePeer

LEFT_ID = {"type": "fqdn", "value": "left.example"}


def joined(raw_esp: bool = True, **right: Any) -> Network:
    row = peer_row()
    return Network(document(row), document(mirrored(row, **right)), raw_esp=raw_esp)


def up(network: Network) -> None:
    network.command(network.left, InitiatePeer("right"))
    assert network.run(60, lambda: network.pairs_agree(1))


def steps(negotiation: NegotiationTrace) -> list[tuple[str, str]]:
    return [(line.fate, line.step) for line in negotiation.lines if line.fate != "event"]


def of(network: Network, node: Node) -> list[NegotiationTrace]:
    return node.endpoint.negotiations("right" if node is network.left else "left")


def messages(node: Node) -> dict[str, bytes]:
    """What a node has sent last under each name, found by its own trace."""
    records = [r for r in node.endpoint.trace() if r.what == "sent"]
    return {record.message: record.detail.encode() for record in records}


def test_a_success_has_every_message_of_both_phases() -> None:
    network = joined(raw_esp=False)
    up(network)
    (left,), (right,) = of(network, network.left), of(network, network.right)
    names = [f"main {n}" for n in range(1, 7)] + [f"quick {n}" for n in range(1, 4)]
    assert [step for _, step in steps(left)] == names == [step for _, step in steps(right)]
    assert [fate for fate, _ in steps(left)] == ["sent", "received"] * 4 + ["sent"]
    assert [fate for fate, _ in steps(right)] == ["received", "sent"] * 4 + ["received"]
    assert left.negotiation == right.negotiation == network.left.last("ike.phase1.established").negotiation
    assert (left.role, left.outcome, left.stopped_after, left.code) == ("initiator", "established", "main 6", None)
    sizes = {line.step: line.size for line in left.lines if line.fate == "sent"}
    assert sizes["main 1"] == len(network.sent[0][1].payload)
    by_step = {line.step: line for line in left.lines}
    assert by_step["main 3"].payloads == ("KE", "NONCE", "NAT-D", "NAT-D") == by_step["main 4"].payloads
    assert by_step["main 6"].payloads == ("ID", "HASH")
    assert not by_step["main 4"].natt and by_step["main 5"].natt and by_step["main 5"].remote == f"{RIGHT}[4500]"
    assert by_step["main 6"].at == 0.06 and by_step["quick 1"].message_id != "00000000"
    assert "ike.phase1.established" in by_step


def test_lost_messages_show_as_repeated_ones() -> None:
    network = joined()
    network.fate = lambda count, source, transmit: [] if count in (2, 3) else [0.01]
    up(network)
    left, right = of(network, network.left)[0], of(network, network.right)[0]
    again = [("resent", "main 1"), ("resent", "main 1")]
    assert steps(left)[:4] == [("sent", "main 1"), *again, ("received", "main 2")]
    again = [("repeated", "main 1"), ("resent", "main 2")]
    assert steps(right)[:4] == [("received", "main 1"), ("sent", "main 2"), *again]
    assert [line.tries for line in left.lines if line.fate == "resent"] == [1, 2]


def test_different_secrets_stop_at_message_5() -> None:
    network = joined(psk="quite another secret")
    network.command(network.left, InitiatePeer("right"))
    network.run(100)
    left, right = of(network, network.left)[0], of(network, network.right)[0]
    assert (left.outcome, left.stopped_after, left.code) == ("failed", "main 5", "ike.phase1.timeout")
    assert [line.tries for line in left.lines if line.fate == "resent"] == [1, 2, 3, 4]
    assert (right.outcome, right.stopped_after, right.code) == ("failed", "main 4", "ike.phase1.psk_suspect")
    assert ("dropped", "main 5") in steps(right)
    text = "\n".join(ladder.lines("Left", [right.model_dump(mode="json")]))
    assert "x---- main 5" in text and "failed after main 4" in text
    assert "The pre-shared secrets are probably different (probable)" in text


def test_a_refused_proposal_is_told_at_both_ends() -> None:
    other = {"proposals": [{"encryption": "aes128", "hash": "sha1", "group": "modp4096"}]}
    network = joined(phase1=other)
    network.command(network.left, InitiatePeer("right"))
    network.run(100)
    left, right = of(network, network.left)[0], of(network, network.right)[0]
    assert (left.outcome, left.stopped_after) == ("failed", "main 1")
    assert "ike.phase1.refused" in [line.step for line in left.lines]
    assert (right.outcome, right.code) == ("failed", "ike.phase1.no_proposal")
    assert steps(right)[:2] == [("refused", "main 1"), ("sent", "notify in clear")]


def test_a_mode_that_is_not_allowed_is_told() -> None:
    row = peer_row(exchange="aggressive", psk="a secret of twenty characters", local_identity=LEFT_ID)
    network = Network(document(row), document(mirrored(row, exchange="main", local_identity=None)))
    network.command(network.left, InitiatePeer("right"))
    network.run(60)
    (right,) = of(network, network.right)
    assert (right.outcome, right.stopped_after, right.code) == ("failed", "", "ike.mode.refused")
    assert steps(right)[0] == ("dropped", "aggressive")


def test_unknown_identities_are_nobodys() -> None:
    """They are answered like known ones, but no peer's trace has them."""
    row = peer_row(exchange="aggressive", psk="a secret of twenty characters", local_identity=LEFT_ID)
    other = {"type": "fqdn", "value": "other.example"}
    network = Network(document(row), document(mirrored(row, remote_identity=other, local_identity=None)))
    network.command(network.left, InitiatePeer("right"))
    network.run(60)
    assert of(network, network.right) == []
    assert ("sent", "aggressive 2") in [(r.what, r.message) for r in network.right.endpoint.trace()]


def test_no_secret_and_no_contents() -> None:
    network = joined()
    up(network)
    node = network.left
    said = str(of(network, node)) + str(node.endpoint.trace())
    assert "main 5" in said
    pair = next(iter(node.installed.values()))
    for keys in (pair.keys_in, pair.keys_out):
        assert keys.encryption.reveal().hex() not in said
    assert PSK not in said
    assert all(not isinstance(getattr(r, f.name), bytes) for r in node.endpoint.trace() for f in dataclasses.fields(r))


def test_the_last_negotiations_are_kept() -> None:
    network = joined()
    for _ in range(trace.KEPT + 3):
        up(network)
        network.command(network.left, TerminatePeer("right"))
        network.run(1)
    for node in (network.left, network.right):
        found = of(network, node)
        assert len(found) == trace.KEPT and all(one.outcome == "established" for one in found)
        assert [one.began for one in found] == sorted(one.began for one in found)


def test_claimed_negotiations_push_out_no_real_one() -> None:
    """First messages with the peer's address, each with a cookie of its own, and junk with the real cookies."""
    network = joined()
    up(network)
    real = of(network, network.right)[0]
    first = network.sent[0][1].payload
    for number in range(1, 200):
        forged = number.to_bytes(8, "big") + first[8:]
        network.right.endpoint.receive(forged, Address(RIGHT, 500), Address(LEFT, 500), network.now)
        cookies = bytes.fromhex(real.cookies.replace(":", ""))
        junk = cookies + first[16:18] + b"\x05\x01" + number.to_bytes(4, "big") + (64).to_bytes(4, "big") + bytes(36)
        network.right.endpoint.receive(junk, Address(RIGHT, 500), Address(LEFT, 500), network.now)
    found = of(network, network.right)
    assert len(found) == trace.KEPT + 1
    kept = next(one for one in found if one.negotiation == real.negotiation)
    good = [line for line in steps(kept) if line[0] != "dropped"]
    assert good == steps(real) and kept.left_out > 0


def test_strangers_are_bounded_and_nobodys() -> None:
    network = joined()
    up(network)
    before = of(network, network.right)
    first = network.sent[0][1].payload
    for number in range(1, 1000):
        sender = Address(f"203.0.113.{number % 250}", 500)
        forged = number.to_bytes(8, "big") + first[8:]
        network.right.endpoint.receive(forged, Address(RIGHT, 500), sender, network.now)
    assert of(network, network.right) == before
    assert len(network.right.endpoint.trace()) <= trace.MAX_STRANGERS + sum(len(one.lines) for one in before)


def test_all_peers_together_are_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(trace, "MAX_RECORDS", 60)
    network = joined()
    for _ in range(6):
        up(network)
        network.command(network.left, TerminatePeer("right"))
        network.run(1)
    found = of(network, network.left)
    assert 1 <= len(found) < 6 and sum(len(one.lines) for one in found) <= 60


def test_a_long_life_keeps_its_beginning() -> None:
    network = joined()
    up(network)
    for _ in range(80):
        network.command(network.left, RekeyPeer("right", 2))
        network.run(15)
    (one,) = of(network, network.left)
    fates = steps(one)
    assert fates[:6] == [(("sent", "received")[n % 2], f"main {n + 1}") for n in range(6)]
    assert one.left_out > 0 and len(one.lines) <= 224
