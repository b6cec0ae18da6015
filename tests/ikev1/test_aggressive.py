"""Aggressive mode in memory: both roles, each message suffering, and what it must not give away."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import LEFT, PSK, RIGHT, Address, Network, document, mirrored, peer_row
from vpnengine.contract.events import Side
from vpnengine.contract.problems import Refused
from vpnengine.ikev1 import informational
from vpnengine.ikev1.interface import Configure, InitiatePeer, RekeyPeer
from vpnengine.ikev1.states import Phase1
from vpnengine.isakmp.constants import Exchange, Notify
from vpnengine.isakmp.message import Header, parse_payloads
from vpnengine.isakmp.payloads import Hash, Identification, NatD, Notification

LEFT_ID = {"type": "fqdn", "value": "left.example"}


def row(**changes: Any) -> dict[str, Any]:
    return peer_row(exchange="aggressive", local_identity=LEFT_ID, dpd={"interval_s": 0, "timeout_s": 40}) | changes


def mirror(**changes: Any) -> dict[str, Any]:
    return mirrored(row(), local_identity=None, remote_identity=LEFT_ID) | changes


def joined(left: dict[str, Any] | None = None, raw_esp: bool = True, seed: int = 1, **right: Any) -> Network:
    return Network(document(left or row()), document(mirror(**right)), raw_esp=raw_esp, seed=seed)


def up(network: Network, seconds: float = 60) -> None:
    network.command(network.left, InitiatePeer("right"))
    assert network.run(seconds, lambda: network.pairs_agree(1))


def first_message(network: Network | None = None) -> bytes:
    network = network or joined()
    network.command(network.left, InitiatePeer("right"))
    return network.sent[0][1].payload


def inject(network: Network, data: bytes, source: str = LEFT, port: int = 500) -> list[bytes]:
    """What the right side answers to ``data``."""
    before = len(network.sent)
    network.right.endpoint.receive(data, Address(RIGHT, port), Address(source, port), network.now)
    network.drain(network.right)
    return [transmit.payload for _, transmit in network.sent[before:]]


@pytest.mark.parametrize("raw_esp", [True, False])
def test_three_messages_and_three_more(raw_esp: bool) -> None:
    network = joined(raw_esp=raw_esp)
    up(network)
    exchanges = [Header.parse(transmit.payload).exchange for _, transmit in network.sent]
    assert exchanges == [Exchange.AGGRESSIVE] * 3 + [Exchange.QUICK] * 3
    for node in (network.left, network.right):
        status = node.endpoint.peer_statuses(network.now)[0].phase1
        assert (status.state, status.exchange) == ("established", "aggressive")
        assert node.last("ike.phase1.begin").text == "begin Aggressive mode."
        assert "crack" in node.last("ike.aggressive.used").text
    assert network.sent[2][1].remote.port == (500 if raw_esp else 4500)
    assert network.right.endpoint.peer_statuses(0)[0].phase1.remote_identity == "fqdn left.example"


def test_what_the_messages_carry() -> None:
    network = joined()
    up(network)
    chains = []
    for _, transmit in network.sent[:2]:
        header = Header.parse(transmit.payload)
        chains.append(parse_payloads(header.next_payload, transmit.payload[28:]))
    assert chains[0].first(Identification) and not chains[0].first(Hash)
    assert chains[1].first(Hash) and len(chains[1].all(NatD)) == 2
    assert Header.parse(network.sent[2][1].payload).encrypted


def test_the_first_quick_mode_leaves_a_moment_after_message_3() -> None:
    network = joined()
    times: list[float] = []
    network.fate = lambda count, source, transmit: times.append(network.now) or [0.01]  # type: ignore[func-returns-value]
    up(network)
    assert times[3] - times[2] >= 0.015


def test_a_quick_mode_that_overtakes_message_3_waits_for_it() -> None:
    network = joined()
    network.fate = lambda count, source, transmit: [0.5] if count == 3 else [0.01]
    up(network, 0.8)
    assert [r.what for r in network.right.endpoint.trace()].count("held") == 1


def test_a_held_message_is_held_for_a_second_at_most_and_only_one() -> None:
    network = joined()
    network.fate = lambda count, source, transmit: [] if count == 3 else [0.01]
    network.command(network.left, InitiatePeer("right"))
    network.run(0.3)
    (sa,) = network.right.endpoint._core.sas.values()
    early = sa.early
    assert early is not None
    inject(network, early.data[:20] + b"abcd" + early.data[24:])
    assert sa.early is early
    assert network.right.endpoint.counters()["dropped: too early"] == 1
    network.fate = lambda count, source, transmit: []
    network.run(1.1)
    assert sa.early is None


class Complaining(Network):
    """The right node calls a repeated message 3 malformed, as charon does, and goes on."""

    complaints = 0

    def _deliver(self, item: Any) -> None:
        _, _, node, transmit = item
        header = Header.parse(transmit.payload)
        sa = node.endpoint._core.sas.get(header.initiator_cookie + header.responder_cookie)
        repeated = header.exchange == Exchange.AGGRESSIVE and header.encrypted and node is self.right
        if not (repeated and sa is not None and sa.state is Phase1.ESTABLISHED):
            super()._deliver(item)
            return
        self.flying.remove(item)
        self.complaints += 1
        informational.send_notify(node.endpoint._core, sa, 1, b"", Notify.PAYLOAD_MALFORMED)
        self.drain(node)


def test_a_complaint_about_a_repeated_message_3_ends_nothing() -> None:
    network = Complaining(document(row()), document(mirror()))
    network.fate = lambda count, source, transmit: [] if count == 4 else [0.01]
    up(network)
    assert network.complaints == 1
    codes = network.left.codes()
    assert codes.count("ike.notify") == 1 and codes.count("ike.phase2.established") == 2
    assert codes.count("ike.phase2.initiate") == codes.count("ike.phase1.established") == 1


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("fate", [[], [0.01, 0.02], [0.01, 0.6], [1.5]], ids=["lost", "doubled", "repeated", "late"])
def test_one_message_suffers(number: int, fate: list[float]) -> None:
    network = joined()
    network.fate = lambda count, source, transmit: fate if count == number else [0.01]
    up(network)
    network.run(20)
    assert network.pairs_agree(1)
    assert network.left.codes().count("ike.phase1.established") == 1
    assert network.left.codes().count("ike.phase2.established") == 2


@pytest.mark.parametrize("seed", range(12))
def test_heavy_loss_and_reordering_converge(seed: int) -> None:
    left, right = row(start="immediate"), mirror()
    network = Network(document(left), document(right), seed=seed)

    def fate(count: int, source: str, transmit: object) -> list[float]:
        if network.random.randrange(100) < 20:
            return []
        return [0.01 + network.random.random()] * (1 + (network.random.randrange(10) == 0))

    network.fate = fate
    assert network.run(400, lambda: network.pairs_agree(1))


def test_the_responder_repeats_nothing_by_itself() -> None:
    network = joined()
    assert len(inject(network, first_message())) == 1
    before = len(network.sent)
    network.run(25)
    assert len(network.sent) == before
    network.run(10)
    assert not network.right.endpoint._core.sas


def test_a_repeated_first_message_gets_the_same_answer_a_few_times() -> None:
    network = joined()
    data = first_message()
    answers = [answer for _ in range(30) for answer in inject(network, data)]
    assert len(set(answers)) == 1 and 2 <= len(answers) <= 9


def shape(answer: bytes) -> list[tuple[str, int]]:
    header = Header.parse(answer)
    payloads = parse_payloads(header.next_payload, answer[28:])
    return [(type(value).__name__, len(raw)) for value, raw in zip(payloads.values, payloads.raw, strict=True)]


def test_an_unknown_identity_gets_the_same_kind_of_answer() -> None:
    known = joined()
    (answer,) = inject(known, first_message())
    nobody = {"type": "fqdn", "value": "none.example"}
    stranger = first_message(joined(row(local_identity=nobody), seed=2))
    (other,) = inject(known, stranger)
    assert shape(answer) == shape(other)
    assert known.right.codes().count("ike.identity.unknown") == 1
    assert known.right.last("ike.identity.unknown").peer_id is None
    assert all(e.peer_id is None for e in known.right.events[known.right.codes().index("ike.identity.unknown") :])


def test_an_unknown_identity_never_comes_up() -> None:
    network = joined(row(local_identity={"type": "fqdn", "value": "nobody.example"}))
    network.command(network.left, InitiatePeer("right"))
    network.run(60)
    assert "ike.phase1.established" not in network.left.codes() + network.right.codes()
    assert "ike.phase1.hash_mismatch" in network.left.codes()


def test_a_source_may_only_begin_so_often_and_each_is_bounded() -> None:
    network = joined()
    data = first_message()
    answered = sum(len(inject(network, n.to_bytes(8, "big") + data[8:])) for n in range(1, 500))
    assert 1 <= answered <= 6
    assert network.right.codes().count("ike.throttled") == 1
    network.run(3)
    assert inject(network, (500).to_bytes(8, "big") + data[8:])
    assert len(network.right.endpoint._core.sas) <= 16


def test_half_open_negotiations_from_anywhere_are_bounded() -> None:
    network = joined(remote="any")
    data = first_message()
    for number in range(1, 1500):
        network.now += 0.03
        inject(network, number.to_bytes(8, "big") + data[8:], f"198.51.{number // 250}.{number % 250 + 1}")
    assert len(network.right.endpoint._core.sas) <= 256
    network.run(60)
    assert not network.right.endpoint._core.sas and not network.right.endpoint._core.responding


def test_it_is_off_unless_asked_for() -> None:
    network = Network(document(row()), document(mirrored(peer_row())))
    network.command(network.left, InitiatePeer("right"))
    network.run(60)
    assert network.right.last("ike.mode.refused").text.startswith("exchange Aggressive not allowed")
    assert not [source for source, _ in network.sent if source == RIGHT]
    assert "Phase 1 mode" in (network.left.last("ike.phase1.timeout").hint or "")


def test_main_mode_is_refused_where_aggressive_is_configured() -> None:
    network = Network(document(peer_row()), document(mirror()))
    network.command(network.left, InitiatePeer("right"))
    network.run(60)
    assert "Identity Protection" in network.right.last("ike.mode.refused").text


def test_different_secrets_are_explained() -> None:
    network = joined(psk="another secret of enough length")
    network.command(network.left, InitiatePeer("right"))
    network.run(90)
    assert network.left.codes().count("ike.phase1.hash_mismatch") == 1
    assert network.left.last("ike.phase1.timeout").side is Side.UNKNOWN
    assert "Pre-shared secret" in (network.left.last("ike.phase1.timeout").hint or "")
    assert PSK not in str(network.left.events) + str(network.right.events)


def test_no_proposal_in_common_costs_no_diffie_hellman() -> None:
    group = {"proposals": [{"encryption": "aes256", "hash": "sha256", "group": "modp3072"}]}
    network = joined(phase1=group)
    (answer,) = inject(network, first_message())
    payloads = parse_payloads(Header.parse(answer).next_payload, answer[28:])
    assert payloads.only(Notification, "N").type == Notify.NO_PROPOSAL_CHOSEN
    assert not network.right.endpoint._core.sas
    assert "group: here modp3072, peer modp2048" in network.right.last("ike.phase1.no_proposal").evidence["nearest"]


def test_forged_second_messages_do_not_end_the_negotiation() -> None:
    network = joined()
    network.command(network.left, InitiatePeer("right"))
    other = Network(document(row()), document(mirror(psk="another secret of enough length")), seed=9)
    (forged,) = inject(other, network.sent[0][1].payload)
    for number in range(20):
        damaged = forged[:-1] + bytes([number])
        network.left.endpoint.receive(damaged, Address(LEFT, 500), Address(RIGHT, 500), network.now)
        network.drain(network.left)
    assert network.left.codes().count("ike.phase1.hash_mismatch") == 1
    (sa,) = network.left.endpoint._core.sas.values()
    assert sa.rejections <= 3 and sa.keys is None


def test_every_byte_of_every_message_can_be_wrong() -> None:
    network = joined()
    up(network)
    messages = [transmit.payload for source, transmit in network.sent if source == LEFT]
    before = (dict(network.right.installed), list(network.right.outbound))
    for message in messages:
        for index in range(len(message)):
            inject(network, message[:index] + bytes([message[index] ^ 0xFF]) + message[index + 1 :])
            inject(network, message[:index])
    assert (dict(network.right.installed), list(network.right.outbound)) == before


def test_replayed_messages_change_nothing() -> None:
    network = joined()
    up(network)
    network.run(100)
    before = (dict(network.right.installed), list(network.right.outbound))
    for source, transmit in list(network.sent):
        if source == LEFT:
            inject(network, transmit.payload)
    network.run(60)
    assert (dict(network.right.installed), list(network.right.outbound)) == before


def test_rekey_and_restart() -> None:
    network = joined()
    up(network)
    network.command(network.left, RekeyPeer("right", 1))
    assert network.run(5, lambda: network.right.codes().count("ike.phase1.established") == 2)
    old = dict(network.right.installed)
    network.left.endpoint = Network(document(row()), document(mirror()), seed=5).left.endpoint
    network.left.installed, network.left.outbound = {}, []
    network.drain(network.left)
    up(network)
    assert "ike.initial_contact" in network.right.codes()
    assert not old.keys() & network.right.installed.keys()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"psk": "short secret"}, "psk"),
        (
            {
                "phase1": {
                    "proposals": [
                        {"encryption": "aes256", "hash": "sha256", "group": "modp2048"},
                        {"encryption": "aes256", "hash": "sha256", "group": "ecp256"},
                    ]
                }
            },
            "phase1.proposals",
        ),
    ],
)
def test_what_cannot_be_safe_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        document(row(**change))
    assert [problem.field for problem in refused.value.problems] == [f"peers.0.{field}"]


def test_changing_the_exchange_tears_down() -> None:
    network = joined()
    up(network)
    network.command(network.left, Configure(document(peer_row(), revision=2)))
    network.run(1)
    assert not network.left.installed and not network.right.installed
