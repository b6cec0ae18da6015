"""XAUTH and Mode Config with a real strongSwan, as client and as server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.engine import EngineProcess
from lab.net import LabError
from lab.topology import FAR_HOST, GATEWAY_OUTER, SITE_LAN
from tests.lab.rig import Rig, eventually

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]
PASSWORD = "open sesame 1001"
SECRET = f'xauth-ali {{ id = ali\n secret = "{PASSWORD}" }}'
POOL = "pools { inside { addrs = 10.99.0.0/29\n dns = 10.72.1.53 } }"
SERVER_ROUND, CLIENT_ROUND = "remote-xauth { auth = xauth }", "local-xauth { auth = xauth\n xauth_id = ali }"
SHARED: dict[str, Any] = {
    "xauth": {"users": [{"name": "ali", "password": PASSWORD}]},
    "pools": [{"name": "inside", "addresses": "10.98.0.0/30", "dns": ["10.71.1.53"]}],
}


def their_server(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"further_rounds": SERVER_ROUND, "further_secrets": SECRET, "further_sections": POOL}
    return fields | {"remote_subnets": ["dynamic"], "extra": {"pools": "inside"}} | changes


def our_client(way: str = "pull", **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"xauth": {"role": "client", "user": "ali", "password": PASSWORD}, "start": "immediate"}
    return fields | {"mode_config": {"role": "client", "way": way}, "local_subnets": []} | changes


def their_client(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"further_rounds": CLIENT_ROUND, "further_secrets": SECRET}
    return fields | {"local_subnets": ["dynamic"], "extra": {"vips": "0.0.0.0"}} | changes


def serve(engine: EngineProcess, way: str | None = "pull", **changes: Any) -> None:
    """Our side becomes the server of the one row that it has."""
    row = engine.config["peers"][0] | {"xauth": {"role": "server"}, "start": "responder", "remote": "any"} | changes
    if way:
        row |= {"mode_config": {"role": "server", "way": way, "pool": "inside"}, "remote_subnets": []}
    engine.apply(engine.config | SHARED | {"revision": 2, "peers": [row]})


@pytest.mark.parametrize("exchange", ["main", "aggressive"])
@pytest.mark.parametrize("way", ["pull", "push"])
def test_our_client_gets_an_address(rig: Callable[..., Rig], way: str, exchange: str) -> None:
    extra = {"pools": "inside"} | ({"pull": "no"} if way == "push" else {})
    extra |= {"aggressive": "yes"} if exchange == "aggressive" else {}
    topology, engine = rig(gateway=their_server(extra=extra), exchange=exchange, **our_client(way))
    engine.wait_event("ike.phase2.established", 2)
    status = engine.status()
    assert status["assigned"] == "10.99.0.1" and status["sas"][0]["local"] == "10.99.0.1/32"
    assert engine.wait_event("ike.config.assigned")["evidence"]["DNS"] == "10.72.1.53"
    assert topology.site.ping(FAR_HOST, count=4).lost == 0
    assert topology.host.ping("10.99.0.1", count=3).lost == 0
    assert topology.strongswan.sas()[0]["remote-xauth-id"] == "ali"
    engine.ctl("rekey", "Gateway", "--phase", "1")
    engine.wait_event("ike.config.assigned", 2)
    assert topology.site.ping(FAR_HOST, count=3).lost == 0
    engine.ctl("terminate", "Gateway")
    assert "10.99.0.1" not in topology.site.run("ip", "addr").stdout
    assert PASSWORD not in str(engine.events()) + engine.log_tail(500)


def test_our_client_with_a_wrong_password(rig: Callable[..., Rig]) -> None:
    wrong = {"role": "client", "user": "ali", "password": "something else"}
    _, engine = rig(gateway=their_server(), **our_client(xauth=wrong))
    event = engine.wait_event("ike.xauth.refused")
    assert event["side"] == "local" and event["evidence"]["user"] == "ali"
    assert engine.status()["phase1"]["state"] != "established"


@pytest.mark.parametrize("exchange", ["main", "aggressive"])
@pytest.mark.parametrize("way", ["pull", "push"])
def test_their_client_gets_an_address(rig: Callable[..., Rig], way: str, exchange: str) -> None:
    extra = {"vips": "0.0.0.0"} | ({"pull": "no"} if way == "push" else {})
    extra |= {"aggressive": "yes"} if exchange == "aggressive" else {}
    topology, engine = rig(
        gateway=their_client(extra=extra), charon={"install_virtual_ip": "yes"}, start="responder", exchange=exchange
    )
    serve(engine, way)
    topology.strongswan.initiate("net1-1")
    assert topology.gateway.ping(SITE_LAN[0], source="10.98.0.1", count=4).lost == 0
    status = engine.status()
    assert [(c["name"], c["address"]) for c in status["clients"]] == [("ali", "10.98.0.1")]
    assert status["clients"][0]["remote"] == f"{GATEWAY_OUTER}[4500]"
    assert status["sas"][0]["remote"] == "10.98.0.1/32"
    assert engine.wait_event("ike.xauth.passed")["text"] == "XAUTH: user “ali” is authenticated."
    topology.strongswan.command("terminate", ike="site")
    assert eventually(lambda: engine.status()["clients"] == [], 10)
    topology.strongswan.initiate("net1-1")
    assert engine.status()["clients"][0]["address"] == "10.98.0.1"


def test_their_client_with_a_wrong_password(rig: Callable[..., Rig]) -> None:
    secret = SECRET.replace(PASSWORD, "something else")
    topology, engine = rig(gateway=their_client(further_secrets=secret), start="responder")
    serve(engine)
    with pytest.raises(LabError, match=r"not established|failed"):
        topology.strongswan.initiate("net1-1", timeout_ms=5000)
    assert engine.wait_event("ike.xauth.failed")["evidence"]["user"] == "ali"
    assert eventually(lambda: not topology.strongswan.sas(), 8)


def test_a_changed_pool_ends_its_sessions(rig: Callable[..., Rig]) -> None:
    topology, engine = rig(gateway=their_client(), charon={"install_virtual_ip": "yes"}, start="responder")
    serve(engine)
    topology.strongswan.initiate("net1-1")
    engine.wait_event("ike.config.leased")
    shorter = {"pools": [{"name": "inside", "addresses": "10.97.0.1-10.97.0.2"}]}
    engine.apply(engine.config | shorter | {"revision": 3})
    assert eventually(lambda: engine.status()["clients"] == [], 10)
    topology.strongswan.initiate("net1-1")
    assert eventually(lambda: [c["address"] for c in engine.status()["clients"]] == ["10.97.0.1"], 10)


@pytest.mark.parametrize(("last", "goes"), [("10.97.0.1", False), ("10.97.0.2", True)])
def test_two_users_at_once_need_two_addresses(rig: Callable[..., Rig], last: str, goes: bool) -> None:
    secrets = f'{SECRET} xauth-sara {{ id = sara\n secret = "another password" }}'
    fields = their_client(further_secrets=secrets, extra={"vips": "0.0.0.0", "unique": "never"})
    topology, engine = rig(gateway=fields, charon={"install_virtual_ip": "yes"}, start="responder")
    users = {"users": [*SHARED["xauth"]["users"], {"name": "sara", "password": "another password"}]}
    serve(engine)
    pools = [{"name": "inside", "addresses": f"10.97.0.1-{last}"}]
    engine.apply(engine.config | {"revision": 3, "xauth": users, "pools": pools})
    topology.strongswan.initiate("net1-1")
    fields |= {"further_rounds": CLIENT_ROUND.replace("ali", "sara"), "name": "second"}
    topology.strongswan.connection = topology.connection(**fields)
    topology.strongswan.load()
    if goes:
        topology.strongswan.initiate("net1-1")
    else:
        with pytest.raises(LabError):
            topology.strongswan.initiate("net1-1", timeout_ms=5000)
        assert engine.wait_event("ike.config.exhausted")["evidence"]["client"] == "sara"
    clients = {c["name"]: c["address"] for c in engine.status()["clients"] if c["address"]}
    assert clients == {"ali": "10.97.0.1"} | ({"sara": "10.97.0.2"} if goes else {})


@pytest.mark.parametrize("server", ["ours", "theirs"])
def test_xauth_between_two_sites(rig: Callable[..., Rig], server: str) -> None:
    if server == "ours":
        fields = {"further_rounds": CLIENT_ROUND, "further_secrets": SECRET}
        topology, engine = rig(gateway=fields, start="responder")
        serve(engine, None, remote=GATEWAY_OUTER)
        topology.strongswan.initiate("net1-1")
    else:
        fields = {"further_rounds": SERVER_ROUND, "further_secrets": SECRET}
        topology, engine = rig(gateway=fields, xauth={"role": "client", "user": "ali", "password": PASSWORD})
    assert topology.lan.ping(FAR_HOST, count=4).lost == 0
