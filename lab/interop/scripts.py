"""What is done in a row, and what must be seen."""

from __future__ import annotations

import json
import re

from lab.interop import checks
from lab.interop.gateway import NAME
from lab.interop.model import Failed, Finding, Role
from lab.interop.rig import eventually, require, with_credentials
from lab.interop.run import Run
from lab.net import Namespace
from lab.topology import FAR_HOST, SECRET


def tunnel(run: Run) -> None:
    """Both ends agree on every SA, packets go both ways and are counted alike, the log tells it as it should."""
    count = run.scenario.options.get("pairs", run.scenario.subnets**2)
    run.begin()
    run.wait_up(count, run.scenario.options.get("seconds", 8.0))
    expected = tuple(run.scenario.options.get("expected", ()))
    checks.texts(run.events(), count, expected)
    agreement(run)
    run.echo()
    checks.counters(run.sas(), run.rig.gateway.children())
    checks.complaints(run.events(), expected)


def chosen_by_address(run: Run) -> None:
    """The peer has a second connection that differs in the addresses it is for; ours is chosen by where we are."""
    other = run.rig.connection(run.scenario) | run.scenario.options["other"]
    run.rig.gateway.vici.load_conn({"other": other})
    tunnel(run)
    named = set(re.findall(r"IKE_SA (\w+)\[\d+\] established", run.peer_log()))
    require(named == {NAME}, f"the peer has chosen {named}")


def four_quick_modes(run: Run) -> None:
    """Four pairs under one ISAKMP SA, each from a quick mode with a message id of its own."""
    tunnel(run)
    first = r"(?:parsed|generating) QUICK_MODE request (\d+) \[ HASH SA"
    numbers = re.findall(first, run.peer_log())
    require(len(numbers) == len(set(numbers)) == 4, f"message ids {numbers} of four quick modes")
    require(len(run.rig.gateway.sas()) == 1, "there is more than one ISAKMP SA")


def overtaken(run: Run) -> None:
    """The peer's first quick mode arrives before its last message of phase 1, and is held until that has come."""
    run.begin()
    run.wait_up(1)
    run.rig.unimpair()
    agreement(run)
    run.echo()
    lines = run.rig.control.request("trace", peer=run.peer)["negotiations"][-1]["lines"]
    fates = [
        line["fate"] for line in lines if line["step"].startswith(("aggressive 3", "quick 1")) or line["fate"] == "held"
    ]
    require("held" in fates, f"nothing was held; what came: {fates}")
    require("dropped" not in [line["fate"] for line in lines], "a message was dropped")


def agreement(run: Run) -> None:
    """Both ends say the same of the ISAKMP SA and of each pair."""
    status = run.status()
    theirs = run.peer_sa()
    checks.phase1(status["phase1"], theirs)
    require(status["phase1"]["role"] == run.role, f"our role is {status['phase1']['role']}")
    checks.pairs(run.sas(), run.rig.gateway.children())
    for name, wanted in run.scenario.options.get("see", {}).items():
        seen = status["phase1"].get(name) if name in status["phase1"] else run.sas()[0].get(name)
        require(seen == wanted, f"{name} is {seen}, {wanted} is wanted")


def negotiated(run: Run) -> None:
    """The peer agrees in quick mode to what it cannot carry, and then refuses to install it."""
    run.begin()
    agreed = run.scenario.options["agreed"]
    if not eventually(lambda: agreed in run.peer_log(), 8):
        raise Failed(f"the peer did not agree to {agreed}; {run.story()}")
    if run.role is Role.INITIATOR:
        run.wait_event("ike.phase2.established", 2)
    checks.phase1(run.status()["phase1"], run.peer_sa())


def agreed(run: Run) -> None:
    """Both ends agree on every SA; the peer cannot carry packets in what it has agreed to."""
    run.begin()
    run.wait_up(1)
    agreement(run)
    checks.texts(run.events(), 1)


def everything(run: Run) -> None:
    """The far end contains the near one: what leaves the LAN goes through the tunnel, the gateway's own does not."""
    beyond, near, outer, inner = run.scenario.options["addresses"]
    gateway, site, lan = run.rig.topology.gateway, run.rig.topology.site, run.rig.topology.lan
    gateway.address("lo", beyond)
    try:
        tunnel(run)

        def through(node: Namespace, target: str, source: str | None = None) -> int:
            before = sum(sa["packets_out"] for sa in run.sas())
            require(node.ping(target, source=source, count=1).received == 1, f"{node.role} does not reach {target}")
            return int(sum(sa["packets_out"] for sa in run.sas())) - before

        checks.same("packets in the tunnel, from the LAN to what is beyond", through(lan, beyond), 1)
        checks.same("packets in the tunnel, from our LAN address to the same", through(site, beyond, near), 1)
        checks.same("packets in the tunnel, from the LAN to its gateway", through(lan, near), 0)
        checks.same("packets in the tunnel, from us to the LAN", through(site, inner), 0)
        checks.same("packets in the tunnel, between the outer addresses", through(site, outer), 0)
    finally:
        gateway.run("ip", "address", "del", beyond, "dev", "lo", check=False)


def protected_port(run: Run) -> None:
    """One port of TCP goes through the tunnel, another port and other protocols do not."""
    run.begin()
    run.wait_up(1)
    agreement(run)
    topology = run.rig.topology
    require(_connects(topology.lan, topology.host, FAR_HOST, 2222), "the port of the selector cannot be reached")
    require(not _connects(topology.lan, topology.host, FAR_HOST, 2223), "another port can be reached")
    require(
        topology.lan.ping(FAR_HOST, count=1).received == 0, "an echo came back although only TCP is in the selector"
    )


def _connects(client: Namespace, server: Namespace, host: str, port: int) -> bool:
    listen = f"import socket; s=socket.create_server(('', {port})); s.settimeout(8); s.accept()[0].sendall(b'hi')"
    connect = f"import socket; print(socket.create_connection(('{host}', {port}), 2).recv(9).decode())"
    listener = server.spawn("python3", "-c", listen)
    try:
        eventually(lambda: bool(server.run("ss", "-Hltn", f"sport = :{port}").stdout), 5)
        return client.run("python3", "-c", connect, check=False).stdout.strip() == "hi"
    finally:
        listener.kill()
        listener.wait()


def broken(run: Run) -> None:
    """The tunnel does not come up, and our log says why, whose fault it is, and what to change."""
    finding = run.scenario.found[run.role]
    run.begin()
    expect(run, finding)
    require(not run.sas() or run.scenario.options.get("comes up", False), "the tunnel is up nevertheless")
    if run.scenario.options.get("phase 1 stays"):
        require(run.status()["phase1"]["state"] == "established", "phase 1 is gone, too")
        run.peer_sa()


def broken_without_peer(run: Run) -> None:
    """Nobody runs at the peer's address."""
    run.rig.gateway.stop()
    broken(run)


def broken_uplink(run: Run) -> None:
    """Our cable is pulled while the tunnel is up."""
    run.begin()
    run.wait_up(1)
    run.rig.mark_impaired()
    run.rig.topology.site.run("ip", "link", "set", "wan", "down")
    expect(run, run.scenario.found[run.role])


def expect(run: Run, finding: Finding, seconds: float = 10.0) -> None:
    """An event with this code, side and hint.

    :raises Failed: if there is none.
    """
    found: list[str] = []

    def seen() -> bool:
        events = [event for event in run.events() if event["code"] == finding.code]
        found[:] = [f"side {e['side']}, hint “{e['hint']}”" for e in events]
        return any(e["side"] == finding.side and finding.hint in (e["hint"] or "") for e in events)

    if eventually(seen, seconds):
        return
    if found:
        raise Failed(f"{finding.code} says {found[-1]}; wanted: side {finding.side}, “{finding.hint}”")
    raise Failed(f"{finding.code} did not happen; {run.story()}")


def no_secret(run: Run) -> None:
    """No event and no line of our log carries a secret: pre-shared, a password, or a part of a private key."""
    text = json.dumps(run.events()) + run.rig.engine.log_tail(200)
    ours = with_credentials(run.scenario).ours
    users = run.scenario.options.get("engine", {}).get("xauth", {}).get("users", ())
    passwords = [user["password"] for user in users] + [(ours.get("xauth") or {}).get("password", SECRET)]
    for secret in (SECRET, *passwords, *(ours.get("private_key") or "").splitlines()[1:-2]):
        require(secret not in text, "a secret is in the events or in the log")
    bugs = run.rig.control.request("stats")["drops"].get("engine bug", 0)
    require(not bugs, f"the engine failed inside: {run.rig.engine.log_tail(6)}")
