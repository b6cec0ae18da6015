"""Lifetimes in seconds and kilobytes: offered, lowered, told, and kept before they end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ikev1.pair import LEFT, RIGHT, Address, Network, Node, document, mirrored, peer_row
from tests.ikev1.test_negotiation import up
from vpnengine.ikev1 import informational, lifetimes
from vpnengine.ikev1.interface import HardExpired, SoftExpired
from vpnengine.ikev1.lifetimes import NOTHING, Life
from vpnengine.isakmp import constants as c
from vpnengine.isakmp.reader import Reader
from vpnengine.isakmp.sa_payload import Attribute, Transform


def two(left: dict[str, Any], right: dict[str, Any]) -> Network:
    row = peer_row(**left)
    network = Network(document(row), document(mirrored(peer_row(), **right)))
    up(network)
    network.run(2)
    return network


def expires(node: Node, network: Network) -> tuple[float, float]:
    """Seconds from the beginning to the end of phase 1 and of the IPsec SA pair."""
    peer = node.endpoint.peer_statuses(network.now)[0]
    phase1, sa = peer.phase1, peer.sas[-1]
    assert phase1.age_s is not None and phase1.expires_in_s is not None
    return round(phase1.age_s + phase1.expires_in_s), round(sa.age_s + sa.expires_in_s)


@pytest.mark.parametrize(("left", "right"), [(7200, 900), (900, 7200), (900, 900)])
def test_the_lower_life_counts_on_both_sides(left: int, right: int) -> None:
    network = two(
        {"phase1": {"lifetime_s": 4 * left}, "phase2": {"lifetime_s": left}},
        {"phase1": {"lifetime_s": 4 * right}, "phase2": {"lifetime_s": right}},
    )
    low = min(left, right)
    assert expires(network.left, network) == expires(network.right, network) == (4 * low, low)
    told = [event.text for event in network.left.events if event.code == "ike.lifetime"]
    lines = [f"received RESPONDER-LIFETIME: {n} seconds" for n in (low, 4 * low)]
    assert told == (lines if left > right else [])


@pytest.mark.parametrize("phase", [1, 2])
def test_a_difference_is_said_in_the_classical_words(phase: int) -> None:
    def with_life(seconds: int) -> dict[str, Any]:
        return {f"phase{phase}": {"lifetime_s": seconds}}

    longer = two(with_life(7200), with_life(900))
    assert longer.right.last(f"ike.phase{phase}.long_life").text == "long lifetime proposed: my:900 peer:7200"
    shorter = two(with_life(900), with_life(7200))
    event = shorter.right.last(f"ike.phase{phase}.less_life")
    assert event.text == "less lifetime proposed. mine:7200 peer:900"
    assert event.evidence == {"here": "7200 s", "peer": "900 s", "used": "900 s"}
    equal = two(with_life(900), with_life(900))
    assert not [code for code in equal.left.codes() + equal.right.codes() if code.endswith("_life")]


@pytest.mark.parametrize(("left", "right"), [(5000, 2000), (2000, 5000), (None, 2000), (2000, None)])
def test_kilobytes_reach_the_data_path_on_both_sides(left: int | None, right: int | None) -> None:
    network = two({"phase2": {"lifetime_kb": left}}, {"phase2": {"lifetime_kb": right}})
    for node in (network.left, network.right):
        pair = node.installed[node.outbound[-1]]
        assert pair.hard_bytes == 2000 * 1000
        assert pair.soft_bytes is not None and 0.79 * pair.hard_bytes < pair.soft_bytes < 0.96 * pair.hard_bytes
    soft = [n.installed[n.outbound[-1]].soft_bytes for n in (network.left, network.right)]
    assert soft[0] is not None and soft[1] is not None and soft[0] < soft[1], "the initiator goes first"


def test_no_kilobytes_are_no_limit() -> None:
    network = two({}, {})
    pair = network.left.installed[network.left.outbound[-1]]
    assert pair.hard_bytes is None and pair.soft_bytes is None


def test_the_soft_limit_rekeys_without_a_gap_and_the_hard_one_ends() -> None:
    network = two({"phase2": {"lifetime_kb": 2000}}, {})
    first = network.left.outbound[-1]
    network.command(network.left, SoftExpired(first))
    assert network.run(5, lambda: network.left.outbound[-1] != first)
    second = network.left.outbound[-1]
    network.command(network.left, HardExpired(second))
    assert second not in network.left.installed
    assert "lifebyte" in network.left.last("ike.phase2.exhausted").text


def test_a_tunnel_that_is_always_up_returns_after_its_hard_limit() -> None:
    network = two({"phase2": {"lifetime_kb": 2000}, "start": "immediate"}, {})
    network.command(network.left, HardExpired(network.left.outbound[-1]))
    network.run(5)
    assert network.pairs_agree(1)


def test_phase_1_is_replaced_when_its_kilobytes_are_used() -> None:
    network = two({"phase1": {"lifetime_kb": 1024}, "phase2": {"lifetime_s": 60}}, {})
    sa = next(iter(network.left.endpoint._core.sas.values()))
    assert 0 < sa.octets < 4096
    garbage = network.sent[-1][1].payload[:28] + bytes(4000)
    for _ in range(400):
        network.left.endpoint.receive(garbage, Address(LEFT, 500), Address(RIGHT, 500), network.now)
    assert sa.octets < 4096
    sa.octets = int(1024 * 1000 * 0.9)
    network.run(60)
    assert "ike.phase1.rekey" in network.left.codes()
    assert network.left.codes().count("ike.phase1.established") == 2 and network.pairs_agree(1)


def test_phase_1_ends_at_its_last_kilobyte() -> None:
    network = two({"phase1": {"lifetime_kb": 1024}, "phase2": {"lifetime_s": 60}}, {})
    sa = next(iter(network.left.endpoint._core.sas.values()))
    sa.octets = 1024 * 1000
    assert network.run(60, lambda: "ike.phase1.expired" in network.left.codes())
    assert network.run(60, lambda: network.left.codes().count("ike.phase1.established") == 2)
    assert network.run(90, lambda: network.pairs_agree(1))


@pytest.mark.parametrize("which", ["spi_in", "spi_out"])
def test_a_lifetime_that_is_told_later_shortens_an_ipsec_sa(which: str) -> None:
    network = two({"phase2": {"lifetime_kb": 9000}}, {})
    pair = network.right.installed[network.right.outbound[-1]]
    core = network.right.endpoint._core
    sa = next(iter(core.sas.values()))
    core.now = network.now
    data = lifetimes.notification_data(Life(600, 3000), c.Protocol.ESP)
    spi = getattr(pair, which).to_bytes(4, "big")
    informational.send_notify(core, sa, c.Protocol.ESP, spi, c.Notify.RESPONDER_LIFETIME, data)
    network.drain(network.right)
    network.run(1)
    assert expires(network.left, network)[1] == 600
    assert network.left.installed[pair.spi_out].hard_bytes == 3000 * 1000
    told = [event.text for event in network.left.events if event.code == "ike.lifetime"]
    assert told == ["received RESPONDER-LIFETIME: 600 seconds", "received RESPONDER-LIFETIME: 3000 kbytes"]


def test_a_stranger_cannot_shorten_a_life() -> None:
    network = two({}, {})
    before = expires(network.left, network)
    core = network.right.endpoint._core
    sa = next(iter(core.sas.values()))
    core.now = network.now
    data = lifetimes.notification_data(Life(61), c.Protocol.ESP)
    informational.send_notify(core, sa, c.Protocol.ESP, b"\1\2\3\4", c.Notify.RESPONDER_LIFETIME, data)
    network.drain(network.right)
    network.run(1)
    assert expires(network.left, network) == before


@pytest.mark.parametrize(
    ("ours", "theirs", "used"),
    [
        (Life(3600), Life(28800), Life(3600)),
        (Life(3600), Life(1), Life(60)),
        (Life(30), Life(1), Life(30)),
        (Life(3600), NOTHING, Life(3600)),
        (Life(3600), Life(2**63), Life(3600)),
        (Life(3600), Life(None, 1), Life(3600, 1000)),
        (Life(3600, 5000), Life(7200, 2000), Life(3600, 2000)),
    ],
)
def test_absurd_values_are_clamped(ours: Life, theirs: Life, used: Life) -> None:
    assert lifetimes.lower(ours, theirs) == used


def transform(*attributes: Attribute) -> Transform:
    return Transform(1, 1, attributes)


@pytest.mark.parametrize("size", [0, 2, 4, 8, 12, 32])
def test_durations_of_every_form_are_read(size: int) -> None:
    """Zero says nothing, and a long variable-length value is a number like any other."""
    kind = Attribute(c.EspAttribute.LIFE_TYPE, c.LIFE_SECONDS)
    for value in (0, 3600):
        built = kind.build() + Attribute(c.EspAttribute.LIFE_DURATION, value, size).build()
        parsed = Transform.parse(Reader(b"\1\1\0\0" + built, "transform"))
        assert lifetimes.of_transform(parsed, lifetimes.PHASE2) == Life(value or None)


@given(st.integers(1, 2**32 - 1), st.one_of(st.none(), st.integers(1, 2**32 - 1)))
def test_a_notice_says_what_is_meant(seconds: int, kilobytes: int | None) -> None:
    life = Life(seconds, kilobytes)
    assert lifetimes.of_notification(lifetimes.notification_data(life, c.Protocol.ESP), c.Protocol.ESP) == life


@given(st.binary(max_size=40))
def test_a_broken_notice_says_nothing_harmful(data: bytes) -> None:
    for protocol in (c.Protocol.ISAKMP, c.Protocol.ESP):
        life = lifetimes.lower(Life(3600, 5000), lifetimes.of_notification(data, protocol))
        assert life.seconds and 60 <= life.seconds <= 3600 and life.kilobytes and 1000 <= life.kilobytes <= 5000


def test_phase_1_numbers_in_a_notice_are_understood() -> None:
    data = b"".join(attribute.build() for attribute in lifetimes.attributes(Life(900), lifetimes.PHASE1))
    assert lifetimes.of_notification(data, c.Protocol.ISAKMP) == Life(900)
    assert lifetimes.of_notification(data, c.Protocol.ESP) == NOTHING
