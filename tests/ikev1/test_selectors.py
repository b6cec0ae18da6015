"""Selectors: addresses compared by meaning, protocol and ports, ranges, and peers that ask for more."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ikev1.pair import Network, document, mirrored, peer_row
from tests.ikev1.test_negotiation import up
from vpnengine.contract.problems import Refused
from vpnengine.esp.sa import Selector
from vpnengine.esp.spans import AddressRange, contains, covers, make_span, networks, parse_span
from vpnengine.ikev1 import quick_mode
from vpnengine.ikev1.identities import identity_span, span_identity
from vpnengine.ikev1.interface import InitiatePeer
from vpnengine.ikev1.selectors import identities_selector
from vpnengine.isakmp.constants import IdType
from vpnengine.isakmp.payloads import Identification

A = {"local": "10.1.0.0/24", "remote": "10.2.0.0/24"}


def flipped(row: dict[str, Any]) -> dict[str, Any]:
    names = {"local": "remote", "remote": "local", "local_port": "remote_port", "remote_port": "local_port"}
    return {names.get(key, key): value for key, value in row.items()}


def network_of(left: list[dict[str, Any]], right: list[dict[str, Any]], **changes: Any) -> Network:
    """``right`` as the right side configures it."""
    base = {"local_subnets": [], "remote_subnets": []}
    return Network(
        document(peer_row(**base, selectors=left)),
        document(mirrored(peer_row(**base), selectors=right, **changes)),
    )


def joined(*rows: dict[str, Any]) -> Network:
    return network_of(list(rows), [flipped(row) for row in rows])


def address(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


ROWS: list[list[dict[str, Any]]] = [
    [{**A, "protocol": "tcp", "remote_port": 22}],
    [{**A, "protocol": "icmp"}, {**A, "protocol": "tcp", "local_port": 80}],
    [{"local": "10.1.0.10-10.1.0.20", "remote": "10.2.0.0/24"}],
    [{"local": "10.1.0.0-10.1.0.255", "remote": "10.2.0.7/32"}],
    [{"local": "fd00:1::/64", "remote": "fd00:2::5-fd00:2::9", "protocol": 17, "remote_port": 53}],
]


@pytest.mark.parametrize("rows", ROWS, ids=range(len(ROWS)))
def test_selectors_are_agreed(rows: list[dict[str, Any]]) -> None:
    network = joined(*rows)
    up(network, len(rows))
    agreed = {str(network.left.installed[spi].selector) for spi in network.left.outbound}
    assert agreed == {str(s) for s in network.left.endpoint._core.peers["right"].selectors}


# The same addresses, written in each type that can.
SAME = [
    (IdType.IPV4_ADDR, address("10.2.0.7"), "10.2.0.7/32"),
    (IdType.IPV4_ADDR_SUBNET, address("10.2.0.7") + b"\xff" * 4, "10.2.0.7/32"),
    (IdType.IPV4_ADDR_RANGE, address("10.2.0.7") * 2, "10.2.0.7/32"),
    (IdType.IPV4_ADDR_SUBNET, address("10.2.0.0") + address("255.255.255.0"), "10.2.0.0/24"),
    (IdType.IPV4_ADDR_RANGE, address("10.2.0.0") + address("10.2.0.255"), "10.2.0.0/24"),
    (IdType.IPV4_ADDR_RANGE, address("10.2.0.10") + address("10.2.0.20"), "10.2.0.10-10.2.0.20"),
    (IdType.IPV4_ADDR_SUBNET, bytes(8), "0.0.0.0/0"),
    (IdType.IPV6_ADDR, address("fd00::1"), "fd00::1/128"),
    (IdType.IPV6_ADDR_SUBNET, address("fd00::") + address("ffff:ffff:ffff:ffff::"), "fd00::/64"),
    (IdType.IPV6_ADDR_RANGE, address("fd00::") + address("fd00::ffff:ffff:ffff:ffff"), "fd00::/64"),
]


@pytest.mark.parametrize(("kind", "data", "text"), SAME)
def test_meaning_not_type(kind: int, data: bytes, text: str) -> None:
    assert identity_span(Identification(kind, 0, 0, data)) == parse_span(text)


WRONG = [
    (IdType.IPV4_ADDR, b"\x0a\x01\x00"),
    (IdType.IPV4_ADDR, bytes(16)),
    (IdType.IPV4_ADDR_SUBNET, address("10.2.0.1") + address("255.255.255.0")),
    (IdType.IPV4_ADDR_SUBNET, address("10.2.0.0") + address("255.0.255.0")),
    (IdType.IPV4_ADDR_RANGE, address("10.2.0.9") + address("10.2.0.8")),
    (IdType.IPV6_ADDR_RANGE, bytes(31)),
    (IdType.FQDN, b"host.example"),
    (0, b""),
    (255, bytes(8)),
]


@pytest.mark.parametrize(("kind", "data"), WRONG)
def test_what_means_no_addresses(kind: int, data: bytes) -> None:
    assert identity_span(Identification(kind, 0, 0, data)) is None


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 255), st.binary(max_size=40))
def test_identities_are_total(kind: int, data: bytes) -> None:
    span = identity_span(Identification(kind, 0, 0, data))
    assert span is None or identity_span(span_identity(span)) == span


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_range_is_the_sum_of_its_subnets(one: int, two: int, probe: int) -> None:
    first, last = sorted((one, two))
    span = make_span(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last))
    parts = networks(span)
    assert contains(span, 4, probe) is any(contains(part, 4, probe) for part in parts) is (first <= probe <= last)
    assert all(covers(span, part) for part in parts)
    assert isinstance(span, AddressRange) is (len(parts) > 1)


def test_the_answer_has_the_type_of_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_range(selector: Selector) -> tuple[Identification, Identification]:
        local, remote = selector.local, selector.remote
        return (
            Identification(7, 0, 0, local.network_address.packed + local.broadcast_address.packed),
            Identification(4, 0, 0, remote.network_address.packed + remote.netmask.packed),
        )

    monkeypatch.setattr(quick_mode, "selector_identities", as_range)
    seen: list[int] = []
    check = quick_mode._check_returned_ids
    monkeypatch.setattr(
        quick_mode,
        "_check_returned_ids",
        lambda sa, exchange, payloads: (
            seen.extend(p.type for p in payloads.all(Identification)),
            check(sa, exchange, payloads),
        ),
    )
    up(joined(A))
    assert seen == [7, 4]


def test_a_protocol_that_one_end_names_counts_for_both() -> None:
    one, none = Identification(1, 17, 1701, address("10.1.0.1")), Identification(1, 0, 0, address("10.2.0.1"))
    assert identities_selector(one, none) == Selector(parse_span("10.1.0.1"), parse_span("10.2.0.1"), 17, 1701, 0)
    tcp = Identification(1, 6, 0, address("10.2.0.1"))
    assert identities_selector(one, tcp) is None


MISMATCHES = [
    ({**A, "protocol": "tcp"}, "Protocol or port differ"),
    ({**A, "local": "10.1.0.0/25"}, "The masks differ"),
    ({**A, "local": "10.1.0.1-10.1.0.9"}, "One subnet differs"),
    ({"local": "10.3.0.0/24", "remote": "10.4.0.0/24"}, "mirror image"),
]


@pytest.mark.parametrize(("right", "hint"), MISMATCHES)
def test_each_difference_has_its_sentence(right: dict[str, Any], hint: str) -> None:
    network = network_of([A], [flipped(right)])
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert hint in network.right.last("ike.phase2.selectors").hint
    assert not network.left.installed


WIDE = {"local": "10.2.0.0/16", "remote": "10.1.0.0/16"}


@pytest.mark.parametrize(
    ("limits", "accepted"),
    [
        ([], False),
        ([{"local": "10.0.0.0-10.2.255.255", "remote": "10.3.0.0/16"}], False),
        ([{"local": "10.2.0.0/17", "remote": "10.1.0.0/16"}], False),
        ([{"local": "10.2.0.0/15", "remote": "10.0.0.0/15"}], True),
        ([WIDE], True),
    ],
)
def test_a_wider_selector_needs_a_limit_that_allows_it(limits: list[dict[str, Any]], accepted: bool) -> None:
    network = network_of([flipped(WIDE)], [flipped(A)], accept_wider=limits)
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    if not accepted:
        assert "Accept wider" in network.right.last("ike.phase2.selectors").hint
        return
    assert network.pairs_agree(1)
    peer = network.right.endpoint._core.peers["left"]
    assert peer.live_pair(peer.selectors[0]) is not None
    network.command(network.right, InitiatePeer("left"))
    network.run(5)
    assert len(network.right.installed) == 1


def test_wider_needs_to_contain_what_is_configured() -> None:
    other = {"local": "10.9.0.0/16", "remote": "10.8.0.0/16"}
    network = network_of(
        [flipped(other)], [flipped(A)], accept_wider=[{"local": "10.0.0.0/9", "remote": "10.128.0.0/9"}]
    )
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert not network.right.installed


BAD: list[tuple[dict[str, Any], str]] = [
    ({"selectors": [A]}, "not both"),
    ({"local_subnets": []}, "at least one subnet"),
    ({"local_subnets": [], "remote_subnets": [], "selectors": [A, A]}, "once"),
    ({"local_subnets": [], "remote_subnets": [], "selectors": [{**A, "remote_port": 22}]}, "ports need a protocol"),
    ({"local_subnets": [], "remote_subnets": [], "selectors": [{**A, "protocol": "smtp"}]}, "no known protocol"),
    ({"local_subnets": [], "remote_subnets": [], "selectors": [{**A, "remote": "10.1.0.9-10.1.0.1"}]}, "no range"),
    ({"local_subnets": [], "remote_subnets": [], "selectors": [{**A, "remote": "10.1.0.200-10.1.1.1"}]}, "overlaps"),
    ({"local_subnets": [], "remote_subnets": [], "selectors": [{**A, "remote": "fd00::/64"}]}, "both"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD)
def test_configuration_is_refused_with_a_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        document(peer_row(**change))
    assert sentence in str(refused.value)
