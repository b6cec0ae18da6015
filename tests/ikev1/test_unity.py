"""Cisco's Unity attributes in memory: what is told, what is taken, and what a rogue gateway cannot do with them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ikev1.pair import Network
from tests.ikev1.test_remote_access import SHARED, client_row, config, joined, server_row, up
from vpnengine.contract.problems import Refused
from vpnengine.ikev1 import unity
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer
from vpnengine.isakmp.configuration import ConfigAttribute as A
from vpnengine.isakmp.configuration import Configuration, Item

LANS = ["10.2.0.0/24", "10.3.0.0/24"]
TOLD: dict[str, Any] = {"banner": "Hello\nthere", "default_domain": "example.com", "save_password": True}


def server(way: str = "pull", lans: list[str] | None = None, **told: Any) -> dict[str, Any]:
    row = server_row(way, local_subnets=lans or LANS)
    return row | {"mode_config": row["mode_config"] | told}


def client(way: str = "pull", remote: str = "0.0.0.0/0", **changes: Any) -> dict[str, Any]:
    row = client_row(way=way, remote_subnets=[remote])
    return row | {"mode_config": row["mode_config"] | changes}


def remotes(network: Network) -> list[str]:
    return sorted(sa.remote for sa in network.left.endpoint.peer_statuses(network.now)[0].sas)


@pytest.mark.parametrize("way", ["pull", "push"])
def test_the_client_narrows_itself_to_the_list(way: str) -> None:
    network = joined(client(way), server(way, **TOLD))
    network.command(network.left, InitiatePeer("right"))
    assert network.run(30, lambda: network.pairs_agree(2))
    assert remotes(network) == LANS
    evidence = network.left.last("ike.config.assigned").evidence
    assert evidence["split include"] == ", ".join(LANS)
    assert evidence["banner"] == "Hello there" and evidence["default domain"] == "example.com"
    assert evidence["may keep the password"] == "yes" and "ignored attributes" not in evidence
    assert sorted(text for _, text in network.left.endpoint.peer_statuses(network.now)[0].selectors) == LANS


def test_it_takes_no_more_than_is_configured() -> None:
    network = joined(client(remote="10.3.0.0/16"), server())
    up(network)
    assert remotes(network) == ["10.3.0.0/24"]


def test_what_is_excluded_stays_outside() -> None:
    network = joined(client(), server(split_exclude=["10.3.0.128/25"]))
    network.command(network.left, InitiatePeer("right"))
    # The server's own row has both subnets whole, and takes a part of one only if the row says so.
    network.run(5)
    assert "10.2.0.0/24" in remotes(network)
    wanted = network.left.endpoint.peer_statuses(network.now)[0].selectors
    assert sorted(text for _, text in wanted) == ["10.2.0.0/24", "10.3.0.0/25"]


@pytest.mark.parametrize(
    ("ours", "theirs"), [({"unity": False}, {}), ({}, {"unity": False})], ids=["not here", "not there"]
)
def test_one_end_alone_changes_nothing(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    network = joined(client(remote="10.2.0.0/24", **ours), server(**theirs, **TOLD))
    up(network)
    assert remotes(network) == ["10.2.0.0/24"]
    assert "split include" not in network.left.last("ike.config.assigned").evidence


def test_nothing_in_common_is_explained() -> None:
    network = joined(client(remote="10.7.0.0/24"), server())
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    event = network.left.last("ike.config.split")
    assert event.side == "local" and "Private subnets" in (event.hint or "") and "10.7.0.0/24" in (event.hint or "")
    assert not network.left.outbound


def test_a_client_that_asks_for_everything_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cisco's own clients and vpnc ask for 0.0.0.0/0, whatever they were told."""
    monkeypatch.setattr(unity, "told", lambda message: unity.Told())
    network = joined(client(), server())
    up(network)
    assert remotes(network) == ["0.0.0.0/0"]
    (pair,) = network.right.installed.values()
    assert pair.selector.local_text == "0.0.0.0/0" and pair.selector.remote_text == "10.9.0.1/32"
    # The policies, which say what may pass, are no wider than the row.
    assert sorted(s.local_text for _, s in network.right.endpoint.assigned()) == LANS
    network.command(network.right, RekeyPeer("left", 2))
    network.command(network.left, RekeyPeer("right", 2))
    assert network.run(150, lambda: pair.spi_in not in network.right.installed and network.pairs_agree(1))


def test_a_client_without_unity_gets_only_what_is_configured() -> None:
    network = joined(client(unity=False), server())
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert "ike.phase2.selectors" in network.right.codes() and not network.left.outbound


def test_a_changed_list_is_followed_at_the_next_login() -> None:
    network = joined(client(), server())
    network.command(network.left, InitiatePeer("right"))
    assert network.run(30, lambda: network.pairs_agree(2))
    row = network.right.endpoint._core.peers["left"].clients["ali"]
    row.config.__dict__["local_subnets"] = ("10.2.0.0/24",)
    network.command(network.left, RekeyPeer("right", 1))
    network.run(20)
    assert remotes(network) == ["10.2.0.0/24"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"split_exclude": ["fd00::/64"]}, "split_exclude.0"),
        ({"split_exclude": ["10.0.0.1/8"]}, "split_exclude.0"),
        ({"default_domain": "no domain"}, "default_domain"),
        ({"default_domain": "192.0.2.1"}, "default_domain"),
        ({"banner": "x" * 1025}, "banner"),
    ],
)
def test_what_cannot_be_told_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        config(server(**change), **SHARED)
    assert [p.field for p in refused.value.problems] == [f"peers.0.mode_config.server.{field}"]


def message(*items: Item) -> Configuration:
    return Configuration(2, 1, items)


def entry(address: str, mask: str) -> bytes:
    return IPv4Address(address).packed + IPv4Address(mask).packed + bytes(6)


def test_lists_are_read_as_peers_write_them() -> None:
    both = entry("10.2.0.0", "255.255.255.0") + entry("10.3.0.7", "255.255.0.0")
    said = unity.told(message(Item(A.UNITY_SPLIT_INCLUDE, both), Item(A.UNITY_SPLIT_INCLUDE, both[:14])))
    assert said.include == (IPv4Network("10.2.0.0/24"), IPv4Network("10.3.0.0/16"))
    assert unity.told(message(Item(A.UNITY_SPLIT_INCLUDE, entry("10.2.0.0", "255.0.255.0")))).include == ()
    assert unity.told(message(Item(A.UNITY_SPLIT_INCLUDE, both[:13]))).include == ()
    assert unity.told(message(Item(A.UNITY_BANNER, b"a\x1b[2Jb\0"))).banner == "a [2Jb"
    assert len(unity.told(message(Item(A.UNITY_BANNER, b"x" * 5000))).banner or "") == unity.MAX_TEXT
    assert unity.told(message(Item(A.UNITY_SAVE_PASSWORD, b"\0\0"))).save_password is False


NETWORKS = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


@given(st.lists(NETWORKS, min_size=1, max_size=4), st.lists(NETWORKS, max_size=4), st.lists(NETWORKS, max_size=3))
def test_narrowing_only_narrows(
    mine: list[IPv4Network], include: list[IPv4Network], exclude: list[IPv4Network]
) -> None:
    said = unity.Told(tuple(include), tuple(exclude))
    found = [IPv4Network(text) for text in unity.narrowed([str(n) for n in mine], said)]
    assert len(found) <= max(len(mine), unity.MAX_SUBNETS)
    for subnet in found:
        assert any(subnet.subnet_of(one) for one in mine)
        assert not include or any(subnet.subnet_of(one) for one in include) or len(include) > 1
        assert not any(subnet.overlaps(one) for one in exclude)


@given(st.binary(max_size=200), st.sampled_from(unity.WANTED))
def test_reading_is_total(value: bytes, kind: A) -> None:
    said = unity.told(message(Item(kind, value)))
    assert all(isinstance(text, str) for text in said.evidence().values())
