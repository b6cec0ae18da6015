"""What strangers and garbage can do: nothing."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ikev1.pair import LEFT, RIGHT, Address, Network, document, mirrored, peer_row
from tests.ikev1.test_negotiation import joined, up
from vpnengine.ikev1.states import PHASE1, QUICK_MODE, Phase1, Quick, Role, UnexpectedMessage, phase1_row
from vpnengine.isakmp.constants import Exchange, Flag, Notify
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, build_payloads, parse_payloads
from vpnengine.isakmp.payloads import Delete, Notification, Opaque


def snapshot(network: Network) -> tuple[object, ...]:
    return (
        dict(network.right.installed),
        list(network.right.outbound),
        network.right.endpoint.peer_statuses(0)[0].phase1.state,
    )


def inject(network: Network, data: bytes, source: str = LEFT, port: int = 500) -> None:
    network.right.endpoint.receive(data, Address(RIGHT, port), Address(source, port), network.now)
    network.drain(network.right)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_parsers_are_total(data: bytes) -> None:
    for first in (*range(1, 22), 130, 131, 132, 255):
        try:
            parse_payloads(first, data)
        except DecodeError as error:
            assert error.rule and error.offset >= 0


def test_every_byte_of_every_message_can_be_wrong() -> None:
    """Each octet of a whole exchange is changed in turn; nothing but counters may move."""
    network = joined()
    up(network)
    messages = [transmit.payload for source, transmit in network.sent if source == LEFT]
    before = snapshot(network)
    for message in messages:
        for index in range(len(message)):
            damaged = message[:index] + bytes([message[index] ^ 0xFF]) + message[index + 1 :]
            inject(network, damaged)
        for length in range(len(message)):
            inject(network, message[:length])
    assert snapshot(network) == before


def test_replayed_messages_change_nothing() -> None:
    network = joined()
    up(network)
    network.run(100)
    before = snapshot(network)
    for source, transmit in list(network.sent):
        if source == LEFT:
            inject(network, transmit.payload)
    assert snapshot(network) == before


def test_forged_clear_delete_and_notify_change_nothing() -> None:
    network = joined()
    up(network)
    sa = next(iter(network.right.endpoint._core.sas.values()))
    before = snapshot(network)
    for payload in (
        Delete(1, (sa.cookies,)),
        Delete(3, tuple(spi.to_bytes(4, "big") for spi in network.left.installed)),
        Notification(1, sa.cookies, Notify.INITIAL_CONTACT),
        Notification(1, sa.cookies, Notify.AUTHENTICATION_FAILED),
    ):
        first, body = build_payloads([payload])
        header = Header(sa.initiator_cookie, sa.responder_cookie, first, 0x10, Exchange.INFORMATIONAL, Flag.NONE, 7)
        inject(network, header.build(body))
    assert snapshot(network) == before


def test_strangers_leave_no_state_and_get_no_answer() -> None:
    network = joined()
    first = next(t.payload for s, t in _first_message())
    sent = len(network.sent)
    for number in range(5000):
        inject(network, number.to_bytes(8, "big")[::-1].replace(b"\0", b"\1") + first[8:], f"198.51.{number % 250}.7")
    assert len(network.sent) == sent
    assert not network.right.endpoint._core.sas
    assert network.right.codes().count("ike.unknown_peer") == 250


def _first_message() -> list[tuple[str, object]]:
    network = joined()
    up(network)
    return [row for row in network.sent if row[0] == LEFT][:1]


def test_half_open_negotiations_are_bounded_and_spend_no_dh() -> None:
    network = joined()
    first = _first_message()[0][1].payload
    for number in range(1, 500):
        inject(network, number.to_bytes(8, "big") + first[8:])
    core = network.right.endpoint._core
    assert len(core.sas) <= 16
    assert all(sa.key_exchange is None and sa.keys is None for sa in core.sas.values())
    network.run(120)
    assert not core.sas


def test_answers_are_not_larger_than_questions() -> None:
    network = joined()
    up(network)
    sizes = [len(t.payload) for _, t in network.sent[:2]]
    assert sizes[1] <= sizes[0]


def test_ikev2_and_aggressive_peers_are_named() -> None:
    network = joined()
    first = _first_message()[0][1].payload
    inject(network, first[:17] + b"\x20" + first[18:])
    inject(network, first[:18] + bytes([Exchange.AGGRESSIVE]) + first[19:])
    assert "Set the gateway's IKE version" not in str(network.right.codes())
    assert network.right.codes()[-2:] == ["ike.version", "ike.mode.refused"]


@pytest.mark.parametrize("count", [65, 200])
def test_too_many_payloads(count: int) -> None:
    first, body = build_payloads([Opaque(13, b"x")] * count)
    with pytest.raises(DecodeError, match="more than 64 payloads"):
        parse_payloads(first, body)


def test_tables_are_whole() -> None:
    """Every state is reached, every row cites its source, and unlisted pairs have a name."""
    rows = [row for table in (*PHASE1.values(), QUICK_MODE) for row in table.values()]
    starts = {Phase1.MM1_SENT, Phase1.MM2_SENT, Phase1.AM1_SENT, Phase1.AM2_SENT, Phase1.DEAD}
    starts.add(Phase1.XAUTH)  # entered between two rows, by what the method asks for
    assert {row.following for row in rows} | starts | {Quick.START, Quick.QM1_SENT} == set(Phase1) | set(Quick)
    assert all(row.source.startswith("RFC 2409") for row in rows)
    for role, exchange in itertools.product(Role, PHASE1):
        with pytest.raises(UnexpectedMessage):
            phase1_row(exchange, role, Phase1.ESTABLISHED)


def test_messages_survive_a_round_trip() -> None:
    network = joined()
    up(network)
    for _, transmit in network.sent[:4]:
        header = Header.parse(transmit.payload)
        payloads = parse_payloads(header.next_payload, transmit.payload[28:])
        first, body = build_payloads(payloads.values)
        assert dataclasses.replace(header, next_payload=first).build(body) == transmit.payload


def test_config_names_field_and_rule_and_hides_the_secret() -> None:
    from vpnengine.contract.problems import Refused

    for change, field in (
        ({"psk": "short"}, "psk"),
        ({"remote_subnets": ["10.1.0.0/25"]}, "remote_subnets"),
        ({"local_subnets": ["10.1.0.1/24"]}, "local_subnets"),
        ({"remote": "not a host"}, "remote"),
    ):
        with pytest.raises(Refused) as refused:
            document(peer_row(**change))
        assert any(field in problem.field for problem in refused.value.problems)
        assert "short" not in str(refused.value).replace("shorter", "")
    assert document(mirrored(peer_row()))
