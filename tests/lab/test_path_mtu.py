"""A router with a small MTU between the gateways, and ESP without UDP."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from lab.engine import EngineProcess
from lab.net import Namespace
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
        # The first teaches the path; within a second a host inside that sets DF is told how much fits.
        told = topology.lan.run("ping", "-M", "do", "-c", "6", "-i", "0.3", "-s", "1300", FAR_HOST, check=False).stdout
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


def marks(topology: Topology) -> None:
    """The site marks ESP packets that say ECT(0) as having met congestion; the host counts what arrives."""
    for node, hook, rule in (
        (topology.site, "postrouting", "oifname wan ip protocol esp ip ecn ect0 counter ip ecn set ce"),
        (topology.site, "postrouting", "oifname wan ip protocol esp ip dscp != cs0 counter"),
        (topology.host, "input", "ip protocol icmp ip dscp ef ip ecn ce counter"),
        (topology.host, "input", "ip protocol icmp ip ecn not-ect counter"),
    ):
        node.run("nft", "add table ip marks")
        node.run("nft", f"add chain ip marks {hook} {{ type filter hook {hook} priority 0 ; }}")
        node.run("nft", f"add rule ip marks {hook} {rule}")


def counted(node: Namespace) -> list[int]:
    """The packets that each rule of ``marks`` has counted."""
    return [int(count) for count in re.findall(r"packets (\d+)", node.run("nft", "list table ip marks").stdout)]


def test_two_engines_carry_esp_without_udp_with_congestion_marks(rig: Callable[..., Rig]) -> None:
    topology, engine = rig("two-sites", dataplane="native")
    config = topology.engine_config("gateway") | {"dataplane": "native"}
    other = EngineProcess(topology.gateway, topology.directory / "other", config)
    other.start()
    try:
        assert topology.lan.ping(FAR_HOST, count=3).received >= 2
        carries_streams(topology)
        sas = [sa for one in (engine, other) for sa in one.status()["sas"]]
        assert [sa["encapsulation"] for sa in sas] == ["tunnel", "tunnel"], sas
        marks(topology)
        # 0xba is DSCP EF with ECT(0), 0xb8 the same without ECN.
        for octet in ("0xba", "0xb8"):
            topology.lan.run("ping", "-Q", octet, "-c", "3", "-i", "0.2", FAR_HOST)
        assert counted(topology.site) == [3, 0]  # marked; no DSCP outside
        assert counted(topology.host) == [3, 3]  # marked inside, and as they were
    finally:
        other.stop()
