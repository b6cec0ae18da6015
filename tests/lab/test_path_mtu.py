"""A router with a small MTU between the gateways, and ESP without UDP."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.engine import EngineProcess
from lab.topology import FAR_HOST, LAN_HOST, Topology
from tests.lab.rig import Rig
from tests.lab.transfer import transfer

pytestmark = [pytest.mark.lab, pytest.mark.timeout(150)]

OCTETS = 1_000_000


def narrow(topology: Topology, mtu: int) -> None:
    """The link behind the router takes packets of ``mtu`` octets at most; the site does not know."""
    topology.nodes["router"].run("ip", "link", "set", "out", "mtu", str(mtu))
    topology.gateway.run("ip", "link", "set", "wan", "mtu", str(mtu))


def carries_streams(topology: Topology) -> None:
    """Both ways, one after the other."""
    there, back = (topology.directory / f"{way}.log" for way in ("there", "back"))
    assert transfer(topology.lan, topology.host, FAR_HOST, OCTETS, there) == OCTETS
    assert transfer(topology.host, topology.lan, LAN_HOST, OCTETS, back) == OCTETS


@pytest.mark.parametrize("mtu", [1280, 576])
@pytest.mark.parametrize("dataplane", ["native", "userspace"])
def test_streams_go_on_over_a_router_with_a_small_mtu(rig: Callable[..., Rig], dataplane: str, mtu: int) -> None:
    topology, engine = rig("nat", dataplane=dataplane)
    narrow(topology, mtu)
    assert topology.lan.ping(FAR_HOST, count=2).received
    carries_streams(topology)
    if dataplane == "native":
        # By now the path is known, and a host inside that sets DF is told how much fits: less than the wire takes.
        told = topology.lan.run("ping", "-M", "do", "-c", "2", "-i", "0.3", "-s", "1300", FAR_HOST, check=False).stdout
        sizes = [int(word.rstrip(")")) for line in told.splitlines() if "mtu" in line for word in line.split("=")[-1:]]
        assert sizes and all(mtu - 100 < size < mtu - 28 for size in sizes), told
        assert engine.stats()["drops"]["too big for the path"] >= 1


def test_packets_without_df_are_fragmented_before_esp_or_after_it(rig: Callable[..., Rig]) -> None:
    for where in ("before", "after"):
        topology, _ = rig("nat", dataplane="native", outer={"fragment": where})
        narrow(topology, 1280)
        assert topology.lan.ping(FAR_HOST, count=2).received
        # 3000 octets are fragments for the LAN already; behind the site each of them is too large again.
        answer = topology.lan.run("ping", "-M", "dont", "-c", "4", "-i", "0.4", "-s", "3000", FAR_HOST, check=False)
        assert " 0% packet loss" in answer.stdout, answer.stdout
        topology.down()


def test_two_engines_carry_esp_without_udp(rig: Callable[..., Rig]) -> None:
    topology, engine = rig("two-sites", dataplane="native")
    config = topology.engine_config("gateway") | {"dataplane": "native"}
    other = EngineProcess(topology.gateway, topology.directory / "other", config)
    other.start()
    try:
        assert topology.lan.ping(FAR_HOST, count=3).received >= 2
        carries_streams(topology)
        sas = [sa for one in (engine, other) for sa in one.status()["sas"]]
        assert [sa["encapsulation"] for sa in sas] == ["tunnel", "tunnel"], sas
    finally:
        other.stop()
