"""Runs in the guest: the whole engine with the kernel's data path against a strongSwan that has it too.

What kernel-libipsec cannot carry is shown here: ESP without UDP, transport mode, AH, 64-bit sequence numbers.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import lab.engine
import lab.strongswan
from lab.engine import EngineProcess
from lab.net import parse_ping
from lab.strongswan import Connection
from lab.topology import FAR_HOST, LAN_HOST, Topology
from vpnengine.daemon.client import ControlClient, EngineUnavailable

PATIENCE_S = 150.0
GCM = {"encryption": "aes256gcm16"}


SHOWN = (("state", ("nokeys",)), ("policy", ()))


class Gateway(Connection):
    """A connection that wants UDP only where there is a NAT."""

    def render(self) -> str:
        """swanctl.conf."""
        return super().render().replace("encap = yes", "encap = no")


class Engine(EngineProcess):
    """Events are read from a file: each command of ``ctl`` would start an interpreter."""

    def events(self) -> list[dict[str, Any]]:
        """What has happened, with what an engine before this one has told."""
        path = self.directory / "events"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def request(self, op: str, **fields: Any) -> Any:
        """Ask over the control socket."""
        with ControlClient(self.control) as client:
            return client.request(op, **fields)

    def ctl(self, *arguments: str, check: bool = True, text: str | None = None) -> Any:
        """For ``start``, which waits until the engine answers."""
        try:
            self.request("stats")
        except EngineUnavailable:
            return subprocess.CompletedProcess(arguments, 1)
        return subprocess.CompletedProcess(arguments, 0)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No libipsec, and time for an emulated processor."""
    monkeypatch.setattr(lab.strongswan, "PLUGINS", lab.strongswan.PLUGINS.replace("kernel-libipsec ", ""))
    monkeypatch.setattr(lab.strongswan, "START_S", PATIENCE_S)
    monkeypatch.setattr(lab.engine, "START_S", PATIENCE_S)


@contextmanager
def rig(kind: str = "direct", gateway: dict[str, Any] | None = None, **site: Any) -> Iterator[tuple[Topology, Engine]]:
    """A topology with both ends running."""
    with Topology(kind, name="k") as topology:
        config = topology.engine_config(**site) | {"dataplane": "kernel"}
        engine = Engine(topology.site, topology.directory / "engine", config)
        engine.options = ("--events", str(engine.directory / "events"))
        assert topology.strongswan is not None
        fields = vars(topology.connection()) | (gateway or {})
        topology.strongswan.connection = Gateway(**fields)
        topology.strongswan.load()
        engine.start()
        try:
            yield topology, engine
        finally:
            engine.stop()


def states(topology: Topology) -> str:
    return topology.gateway.run("ip", "xfrm", "state").stdout


def trouble(topology: Topology) -> str:
    """What both kernels have counted, without keys."""
    found = []
    for node in (topology.site, topology.gateway):
        counted = node.run("grep", "-v", "\t0$", "/proc/net/xfrm_stat", check=False).stdout
        found += [counted, *(node.run("ip", "-s", "xfrm", what, "list", *options).stdout for what, options in SHOWN)]
    return "\n".join(found)


def test_life_over_esp_without_udp() -> None:
    """Traffic brings it up, it is rekeyed under traffic, and an engine that is killed and started again takes over."""
    phase2 = {"proposals": [GCM], "esn": True}
    with rig(gateway={"esp_proposals": "aes256gcm16-modp2048-esn"}, phase2=phase2, replay_window=1024) as rigged:
        topology, engine = rigged
        engine.wait_event("engine.config.applied")
        # Those that wait for the tunnel are answered when it is up, however long that takes here.
        first = parse_ping(topology.lan.run("ping", "-q", "-c", "5", "-i", "0.2", "-W", "20", FAR_HOST).stdout)
        assert first.received == first.sent == 5, trouble(topology)
        assert "rfc4106(gcm(aes))" in states(topology) and "encap" not in states(topology)
        assert "flag af-unspec esn" in topology.site.run("ip", "xfrm", "state").stdout
        flood = topology.lan.ping_in_background(FAR_HOST, None, 60, 0.05)
        engine.request("rekey", peer="gateway", phase=2)
        engine.wait_event("ike.phase2.established", count=4, seconds=PATIENCE_S)
        assert parse_ping(flood.communicate()[0]).lost == 0
        flood = topology.lan.ping_in_background(FAR_HOST, None, 300, 0.05)
        time.sleep(0.5)
        engine.kill()
        engine.start()
        engine.wait_event("ike.phase2.established", count=6, seconds=PATIENCE_S)
        result = parse_ping(flood.communicate()[0])
        # charon drops its old SAs by the INITIAL-CONTACT and waits for the quick mode: that moment is all.
        assert result.sent == 300 and result.lost < 20, result
        assert topology.host.ping(LAN_HOST, count=2).received == 2


def test_nat_traversal() -> None:
    """Behind a NAT with CBC and HMAC: the kernel takes ESP from the socket that IKE goes on using."""
    phase2 = {"proposals": [{"encryption": "aes256", "integrity": "sha256"}]}
    with rig("nat", start="immediate", phase2=phase2) as (topology, engine):
        engine.wait_event("ike.phase2.established", count=2)
        assert topology.lan.ping(FAR_HOST, count=3).received == 3
        assert "cbc(aes)" in states(topology) and "espinudp" in states(topology)
        status = engine.request("status")
        assert status["dataplane"] == "kernel (XFRM)" and status["conditions"] == []


@pytest.mark.parametrize("protocol", ["esp", "ah"])
def test_transport_mode(protocol: str) -> None:
    """Two hosts; AH as well, which has nothing to do with UDP."""
    ah = {"protocol": "ah", "encryption": "null", "integrity": "sha256"}
    proposals = [ah] if protocol == "ah" else [GCM]
    offered = {"esp_proposals": ""} if protocol == "ah" else {"esp_proposals": "aes256gcm16-modp2048"}
    child = {"mode": "transport"} | ({"ah_proposals": "sha256-modp2048"} if protocol == "ah" else {})
    hosts = {"local_subnets": ["192.0.2.2"], "remote_subnets": ["192.0.2.1"], "extra_child": child}
    selector = {"local": "192.0.2.1/32", "remote": "192.0.2.2/32"}
    site = {"local_subnets": [], "remote_subnets": [], "selectors": [selector], "start": "immediate"}
    with rig(gateway=offered | hosts, phase2={"proposals": proposals, "mode": "transport"}, **site) as rigged:
        topology, engine = rigged
        engine.wait_event("ike.phase2.established", count=2)
        assert topology.site.ping("192.0.2.2", count=3).received == 3, trouble(topology)
        shown = states(topology)
        assert f"proto {protocol} " in shown and "mode transport" in shown


def test_a_route_based_peer() -> None:
    """An interface at both ends, selectors that are everything; it outlives the engine, and goes with the peer."""
    anywhere = {"local_subnets": ["0.0.0.0/0"], "remote_subnets": ["0.0.0.0/0"]}
    routed = {"interface": "ipsec0", "if_id": 42, "addresses": ["10.71.9.1/32"], "routes": ["10.72.0.0/16"]}
    gateway = anywhere | {"esp_proposals": "aes256gcm16-modp2048", "extra_child": {"if_id_in": "9", "if_id_out": "9"}}
    fields = anywhere | {"phase2": {"proposals": [GCM]}, "kernel": {"route_based": routed}}
    with rig(gateway=gateway, **fields) as (topology, engine):
        over = topology.gateway
        over.run("ip", "link", "add", "far0", "type", "xfrm", "if_id", "9")
        over.run("ip", "link", "set", "far0", "up")
        over.run("ip", "route", "add", "10.71.0.0/16", "dev", "far0")
        engine.wait_event("engine.config.applied")
        # The kernel keeps no packets for an interface whose tunnel is not up: it says “unreachable” at once.
        topology.lan.ping(FAR_HOST, count=1)
        engine.wait_event("ike.phase2.established", count=2, seconds=PATIENCE_S)
        assert topology.lan.ping(FAR_HOST, count=3).received == 3, trouble(topology)
        assert topology.host.ping(LAN_HOST, count=2).received == 2
        shown = topology.site.run("ip", "xfrm", "policy").stdout
        assert shown.count("if_id 0x2a") == 3 and states(topology).count("if_id 0x9") == 2
        status = engine.request("status")
        assert status["conditions"] == [] and status["peers"][0]["sas"][0]["local"] == "0.0.0.0/0"
        number = topology.site.run("cat", "/sys/class/net/ipsec0/ifindex").stdout
        flood = topology.lan.ping_in_background(FAR_HOST, None, 200, 0.05)
        engine.kill()
        engine.start()
        engine.wait_event("ike.phase2.established", count=4, seconds=PATIENCE_S)
        result = parse_ping(flood.communicate()[0])
        assert result.lost < 20, result
        assert topology.site.run("cat", "/sys/class/net/ipsec0/ifindex").stdout == number
        engine.request("apply", config={"revision": 9, "dataplane": "kernel", "peers": []})
        assert "ipsec0" not in topology.site.run("ip", "link").stdout


def test_octets_end_a_pair_and_another_follows() -> None:
    """The kernel's soft limit begins a new quick mode."""
    phase2 = {"proposals": [GCM], "lifetime_kb": 1000}
    with rig(gateway={"esp_proposals": "aes256gcm16-modp2048"}, start="immediate", phase2=phase2) as rigged:
        topology, engine = rigged
        engine.wait_event("ike.phase2.established", count=2)
        # Not “-w”, which goes on sending until so many have been answered: one still on its way would count as lost.
        command = ("ping", "-q", "-c", "900", "-i", "0.002", "-s", "1300", "-W", "2", FAR_HOST)
        result = parse_ping(topology.lan.run(*command, check=False).stdout)
        engine.wait_event("ike.phase2.established", count=4, seconds=PATIENCE_S)
        assert result.lost == 0, result
