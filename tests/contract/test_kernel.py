"""What a peer may ask of the kernel alone: mistakes are refused with their field; peers that are apart may agree."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import document, peer_row
from vpnengine.contract.config import parse_config
from vpnengine.contract.problems import Refused
from vpnengine.daemon.reconcile import make_plan
from vpnengine.dataplane.base import Capabilities

ANYWHERE = {"local_subnets": ["0.0.0.0/0"], "remote_subnets": ["0.0.0.0/0"]}
ROUTED = {"route_based": {"interface": "ipsec0", "if_id": 7, "addresses": ["10.9.0.1/30"], "routes": ["10.2.0.0/16"]}}
HOSTS = {"local_subnets": ["192.0.2.1/32"], "remote_subnets": ["192.0.2.2/32"]}


def interface(**changes: Any) -> dict[str, Any]:
    return {"kernel": {"route_based": ROUTED["route_based"] | changes}}


FORMS: list[tuple[dict[str, Any], str, str]] = [
    (interface(interface="a-name-that-is-too-long"), "kernel.route_based.interface", "pattern"),
    (interface(interface="lo"), "kernel.route_based.interface", "a name of the system"),
    (interface(if_id=0), "kernel.route_based.if_id", "greater than or equal to 1"),
    (interface(addresses=["10.9.0"]), "kernel.route_based.addresses.0", "not an address"),
    (interface(addresses=["127.0.0.1/8"]), "kernel.route_based.addresses.0", "cannot be the address"),
    (interface(routes=["10.2.0.1/16"]), "kernel.route_based.routes.0", "the subnet is 10.2.0.0/16"),
    (interface(mtu=500), "kernel.route_based.mtu", "1280"),
    (interface() | HOSTS | {"phase2": {"mode": "transport"}}, "kernel.route_based", "tunnel mode"),
    ({"kernel": {"mark": {"value": 0x100, "mask": 0xFF}}}, "kernel.mark.value", "leaves out"),
    ({"kernel": {"mark": {"value": 0xC0DE}}}, "kernel.mark.value", "own packets"),
    ({"kernel": {"offload": "packet"}}, "kernel.offload", "off"),
    ({"kernel": {}} | ANYWHERE, "remote_subnets", "overlaps"),
    ({"selectors": [{"local": "10.1.0.0/16", "remote": "10.1.2.0/24"}]}, "selectors.0.remote", "overlaps"),
]


@pytest.mark.parametrize(("change", "field", "words"), FORMS, ids=range(len(FORMS)))
def test_a_mistake_is_refused_with_its_field(change: dict[str, Any], field: str, words: str) -> None:
    row = peer_row() | change
    if "selectors" in change:
        row |= {"local_subnets": [], "remote_subnets": []}
    with pytest.raises(Refused) as refused:
        parse_config(document(row))
    (problem,) = refused.value.problems
    assert problem.field == f"peers.0.{field}" and words in problem.message


def two(first: dict[str, Any], second: dict[str, Any]) -> Any:
    one = peer_row(id="a", name="A", remote="192.0.2.10") | ANYWHERE | {"kernel": first}
    other = peer_row(id="b", name="B", remote="192.0.2.11") | ANYWHERE | {"kernel": second}
    return parse_config(document(one, other))


def test_interfaces_and_marks_keep_peers_with_the_same_selectors_apart() -> None:
    other = {"route_based": {"interface": "ipsec1", "if_id": 8}}
    assert len(two(ROUTED, other).peers) == 2
    assert len(two({"mark": {"value": 1}}, {"mark": {"value": 2}}).peers) == 2
    for same, field in (
        ({"route_based": {"interface": "ipsec1", "if_id": 7}}, "remote_subnets"),
        ({"route_based": {"interface": "ipsec0", "if_id": 8}}, "kernel.route_based.interface"),
        ({"route_based": {"interface": "ipsec1", "if_id": 7}, "mark": {"value": 9}}, "kernel.route_based.if_id"),
    ):
        with pytest.raises(Refused) as refused:
            two(ROUTED, same)
        assert refused.value.problems[0].field == f"peers.1.{field}"


def test_a_data_path_without_interfaces_leaves_the_peer_out_and_keeps_its_routes_from_leaving_in_clear() -> None:
    empty = parse_config({"revision": 0, "peers": []})
    config = two(ROUTED, {"mark": {"value": 1}})
    plan = make_plan(empty, config, Capabilities("native", raw_esp=True))
    assert {i: problem.field for i, problem in plan.unusable.items()} == {
        "a": "peers.0.kernel.route_based.interface",
        "b": "peers.1.kernel.mark",
    }
    blocked = {row.peer_id: str(row.selector.remote) for row in plan.policies}
    assert blocked == {"a": "10.2.0.0/16"} and not any(row.acquire for row in plan.policies)
    able = make_plan(empty, config, Capabilities("kernel", raw_esp=True, interfaces=True, marks=True))
    assert not able.unusable and {row.kernel for row in able.policies} == {peer.kernel for peer in config.peers}
