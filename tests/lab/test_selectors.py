"""Ranges, protocols, ports and wider selectors with a real strongSwan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.net import LabError, Namespace
from lab.topology import FAR_HOST, LAN_HOST
from tests.lab.rig import Rig

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
LISTEN = "import socket; s = socket.create_server(('', {port})); s.settimeout(20); c = s.accept()[0]; c.sendall(b'hi')"
CONNECT = "import socket; s = socket.create_connection(('{host}', {port}), 4); print(s.recv(9).decode())"


def reachable(client: Namespace, server: Namespace, host: str, port: int) -> bool:
    """True if a TCP connection to ``host`` brings data."""
    listener = server.spawn("python3", "-c", LISTEN.format(port=port))
    try:
        for _ in range(20):
            if server.run("ss", "-Hltn", f"sport = :{port}").stdout:
                break
            server.run("sleep", "0.1")
        return client.run("python3", "-c", CONNECT.format(host=host, port=port), check=False).stdout.strip() == "hi"
    finally:
        listener.kill()
        listener.wait()


def rows(*selectors: dict[str, Any]) -> dict[str, Any]:
    return {"local_subnets": [], "remote_subnets": [], "selectors": list(selectors)}


def traffic_selectors(mine: str, theirs: str) -> dict[str, Any]:
    return {"local_subnets": [theirs], "remote_subnets": [mine]}


@pytest.mark.parametrize("initiator", ["ours", "strongswan"])
def test_one_port_of_one_protocol(rig: Callable[..., Rig], initiator: str) -> None:
    gateway = traffic_selectors("10.71.1.0/24[tcp]", "10.72.1.0/24[tcp/2222]")
    site = rows({"local": "10.71.1.0/24", "remote": "10.72.1.0/24", "protocol": "tcp", "remote_port": 2222})
    topology, engine = rig(gateway=gateway, start="traffic" if initiator == "ours" else "responder", **site)
    if initiator == "strongswan":
        topology.strongswan.initiate("net1-1")
    assert reachable(topology.lan, topology.host, FAR_HOST, 2222)
    assert not reachable(topology.lan, topology.host, FAR_HOST, 2223)
    assert topology.lan.ping(FAR_HOST, count=2).received == 0
    sa = engine.status()["sas"][0]
    assert (sa["local"], sa["remote"]) == ("10.71.1.0/24[tcp]", "10.72.1.0/24[tcp/2222]")


@pytest.mark.parametrize("initiator", ["ours", "strongswan"])
@pytest.mark.parametrize(
    ("mine", "gateway_side"),
    [("10.71.1.10-10.71.1.20", "10.71.1.10-10.71.1.20"), ("10.71.1.10/32", "10.71.1.10-10.71.1.10")],
)
def test_ranges(rig: Callable[..., Rig], mine: str, gateway_side: str, initiator: str) -> None:
    gateway = traffic_selectors(gateway_side, "10.72.1.0/24")
    site = rows({"local": mine, "remote": "10.72.1.0/24"})
    topology, _ = rig(gateway=gateway, start="traffic" if initiator == "ours" else "responder", **site)
    if initiator == "strongswan":
        topology.strongswan.initiate("net1-1")
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    assert topology.site.ping(FAR_HOST, source="10.71.1.1", count=2).received == 0


def test_a_merged_subnet_is_taken_only_if_it_is_allowed(rig: Callable[..., Rig]) -> None:
    gateway = {"local_subnets": ["10.72.0.0/16"], "remote_subnets": ["10.71.0.0/16"]}
    topology, engine = rig(gateway=gateway, start="responder")
    with pytest.raises(LabError):
        topology.strongswan.initiate("net1-1", timeout_ms=4000)
    assert "Accept wider" in engine.wait_event("ike.phase2.selectors")["hint"]
    allowed = [{"local": "10.71.0.0/16", "remote": "10.72.0.0/16"}]
    engine.apply(topology.engine_config(start="responder", accept_wider=allowed) | {"revision": 2})
    topology.strongswan.initiate("net1-1")
    assert topology.host.ping(LAN_HOST, count=3).lost == 0
    assert topology.lan.ping(FAR_HOST, count=3).lost == 0
    # What is inside the wide selector, but not configured here, is not led into the tunnel.
    assert topology.lan.ping("10.72.2.1", count=1).received == 0
