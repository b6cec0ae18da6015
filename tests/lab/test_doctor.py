"""The doctor's verdict on a tunnel that is up and carries nothing: each cause is made for real, and mended again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lab.engine import EngineProcess
from lab.topology import FAR_HOST
from tests.lab.rig import Rig

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]
TABLE = "inet doctor"


def examine(engine: EngineProcess, target: str = FAR_HOST) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(engine.ctl("examine", "Gateway", "--target", target).stdout)
    return found


def step(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["steps"] if one["name"] == name)


def test_each_cause_has_its_verdict(rig: Callable[..., Rig]) -> None:
    topology, engine = rig()
    site, gateway, host = topology.site, topology.gateway, topology.host

    def verdict(code: str, target: str = FAR_HOST) -> dict[str, Any]:
        found = examine(engine, target)
        assert found["verdict"]["code"] == code, json.dumps(found, indent=1)
        return found

    def firewall(node: Any, chain: str, rule: str) -> None:
        node.run("nft", "add", "table", *TABLE.split())
        node.run("nft", f"add chain {TABLE} c {{ type filter hook {chain} priority 0; }}")
        node.run("nft", f"add rule {TABLE} c {rule}")

    def no_firewall(node: Any) -> None:
        node.run("nft", "delete", "table", *TABLE.split())

    verdict("no_sa")
    engine.ctl("initiate", "Gateway", "--wait", "20")
    found = verdict("healthy")
    assert found["source"] == "10.71.1.1" and step(found, "mtu")["result"] == "good"

    assert verdict("policy", "10.99.0.1")["verdict"]["sure"] == "certain"

    site.run("ip", "link", "add", "twin", "type", "veth", "peer", "name", "other")
    site.run("ip", "link", "set", "other", "up")
    site.run("ip", "link", "set", "twin", "up")
    site.run("ip", "address", "add", "10.72.1.99/24", "dev", "twin")
    site.run("ip", "rule", "add", "priority", "1", "to", "10.72.1.0/24", "lookup", "main")
    assert "10.72.1.0/24 is connected to this host" in verdict("overlap")["verdict"]["text"]
    site.run("ip", "link", "del", "twin")
    site.run("ip", "route", "add", "blackhole", "10.72.1.0/24")
    verdict("route")
    site.run("ip", "route", "del", "blackhole", "10.72.1.0/24")
    site.run("ip", "rule", "del", "priority", "1")

    firewall(site, "output", "ip daddr 10.72.1.0/24 counter drop")
    found = verdict("firewall")
    assert "10.72.1.0/24" in found["verdict"]["text"] and found["verdict"]["sure"] == "certain"
    no_firewall(site)

    firewall(site, "input", "ip saddr 10.72.1.0/24 counter drop")
    assert verdict("firewall_in")["verdict"]["sure"] == "certain"
    no_firewall(site)

    host.run("ip", "route", "del", "default")
    found = verdict("return")
    assert found["verdict"]["side"] == "peer" and "3 packets went out" in step(found, "counters")["text"]
    host.run("ip", "route", "add", "default", "via", "10.72.1.1")

    assert "Unreachable" in verdict("far_host", "10.72.1.77")["verdict"]["text"]

    firewall(gateway, "forward", "meta length > 1000 drop")
    verdict("mtu")
    no_firewall(gateway)

    site.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    verdict("forwarding")
    site.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    firewall(site, "forward", "ip daddr 10.72.1.0/24 drop")
    assert "10.72.1.0/24" in verdict("firewall_forward")["verdict"]["text"]
    no_firewall(site)
    verdict("healthy")


def test_an_address_that_is_none_is_refused(rig: Callable[..., Rig]) -> None:
    _topology, engine = rig()
    done = engine.ctl("examine", "Gateway", "--target", "nonsense", check=False)
    assert done.returncode == 1 and "is no IP address" in done.stderr
