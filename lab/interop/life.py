"""Scripts about the life of a tunnel: replaced, deleted, lost and found, on a bad path."""

from __future__ import annotations

import time
from collections.abc import Callable

from lab.interop import checks
from lab.interop.gateway import NAME
from lab.interop.model import Failed, Role
from lab.interop.rig import SECRETS, eventually, require
from lab.interop.run import Run
from lab.interop.scripts import agreement
from lab.net import parse_ping
from lab.topology import FAR_HOST


def up(run: Run, count: int = 1) -> None:
    """The tunnel is up and packets go through it."""
    run.begin()
    run.wait_up(count)
    run.echo()


def converges(run: Run) -> None:
    """However bad the path is: one ISAKMP SA, one pair of SAs, the same at both ends, and no other soon after."""
    run.begin()
    run.wait_up(1, run.scenario.options["seconds"])
    run.rig.unimpair()
    # What is still under way, or still being repeated, arrives now; it must not make a second pair.
    time.sleep(0.3)
    run.wait_up(1, 3)
    agreement(run)
    run.echo()
    established = [e for e in run.events() if e["code"] == "ike.phase2.established"]
    require(len(established) == 2, f"{len(established) // 2} pairs were made for one selector; {run.story()}")


def _flood(run: Run, act: Callable[[], None], done: Callable[[], bool], seconds: float = 10.0) -> None:
    """Packets flow while ``act`` is done and until ``done``; none may be lost."""
    up(run)
    target = run.paths()[0][1]
    flood = run.rig.topology.lan.ping_in_background(target, None, count=150, interval=0.01)
    act()
    came = eventually(done, seconds)
    output, _ = flood.communicate(timeout=30)
    if not came:
        raise Failed(f"the SA was not replaced; {run.story()}")
    lost = parse_ping(output).lost
    require(lost == 0, f"{lost} packets were lost while the SA was replaced")
    checks.complaints(run.events(), tuple(run.scenario.options.get("expected", ())))


def rekey_phase2(run: Run) -> None:
    """The side whose turn it is replaces the pair; nothing is lost, and the old pair goes away."""
    old: list[str] = []

    def act() -> None:
        old[:] = [run.sas()[0]["spi_in"]]
        if run.role is Role.INITIATOR:
            run.rig.control.request("rekey", peer=run.peer, phase=2)
        else:
            run.rig.gateway.command("rekey", child="net1-1")

    _flood(run, act, lambda: [sa["spi_in"] for sa in run.sas()] not in ([], old))
    checks.pairs(run.sas(), run.rig.gateway.children())


def rekey_by_time(run: Run) -> None:
    """The peer's timer replaces the pair, without anybody's command."""
    old: list[str] = []
    _flood(
        run,
        lambda: old.extend(sa["spi_in"] for sa in run.sas()),
        lambda: len(run.rig.gateway.children()) == 1 and [sa["spi_in"] for sa in run.sas()] not in ([], old),
    )


def rekey_phase1_by_time(run: Run) -> None:
    """The peer's timer replaces the ISAKMP SA, which takes over the pair; nothing is lost, the old one goes away."""
    old: list[str] = []

    def cookies() -> str:
        return str(run.status()["phase1"]["initiator_cookie"])

    def gone() -> bool:
        return cookies() not in ("None", *old) and old[0] not in [sa["initiator-spi"] for sa in run.rig.gateway.sas()]

    _flood(run, lambda: old.append(cookies()), gone, 20.0)
    checks.pairs(run.sas(), run.rig.gateway.children())
    checks.phase1(run.status()["phase1"], run.peer_sa())


def rekey_phase1(run: Run) -> None:
    """The side whose turn it is makes a new ISAKMP SA, which takes over the pair; nothing is lost."""
    old: list[str] = []

    def cookies() -> str:
        return str(run.status()["phase1"]["initiator_cookie"])

    def act() -> None:
        old[:] = [cookies()]
        if run.role is Role.INITIATOR:
            run.rig.control.request("rekey", peer=run.peer, phase=1)
        else:
            run.rig.gateway.command("rekey", ike=NAME)

    _flood(run, act, lambda: cookies() not in ("None", *old))
    checks.phase1(run.status()["phase1"], run.peer_sa())


def rekey_both_at_once(run: Run) -> None:
    """Both ends replace the pair at the same moment; one pair is left, the same at both."""

    def act() -> None:
        run.rig.control.request("rekey", peer=run.peer, phase=2)
        run.rig.gateway.command("rekey", child="net1-1")

    _flood(run, act, lambda: len(run.sas()) >= 1 and len(run.rig.gateway.children()) >= 1)
    run.wait_up(1)
    checks.pairs(run.sas(), run.rig.gateway.children())
    run.echo()


def peer_deletes_pair(run: Run) -> None:
    """The peer deletes the pair; ours goes too, phase 1 stays, and traffic brings a new one."""
    up(run)
    run.peer_terminates(child="net1-1")
    run.wait_event("ike.phase2.peer_deleted")
    require(run.status()["phase1"]["state"] == "established", "phase 1 is gone, too")
    again(run)


def peer_deletes_one_of_four(run: Run) -> None:
    """The peer deletes one pair of four; the other three stay as they are, and go on carrying packets."""
    up(run, 4)
    before = {sa["spi_in"] for sa in run.sas()}
    gone = next(child["spi-out"] for child in run.rig.gateway.children() if child["name"].startswith("net1-1"))
    run.peer_terminates(child="net1-1")
    run.wait_event("ike.phase2.peer_deleted")
    require({sa["spi_in"] for sa in run.sas()} == before - {gone}, "another pair than the deleted one has gone")
    checks.pairs(run.sas(), run.rig.gateway.children())
    require(run.rig.topology.site.ping("10.72.2.1", source="10.71.2.1", count=2).lost == 0, "an echo is lost")


def nothing_in_clear(run: Run) -> None:
    """Phase 1 and all pairs are deleted and nothing can be agreed anew: what was protected does not leave in clear."""
    up(run)
    gateway = run.rig.topology.gateway
    run.rig.block("udp dport { 500, 4500 } udp length > 60", hook="prerouting")
    gateway.run("nft", "add chain inet broken clear { type filter hook prerouting priority -300 ; }")
    gateway.run("nft", 'add rule inet broken clear iifname "wan" ip saddr 10.71.0.0/16 counter')
    if run.role is Role.INITIATOR:
        run.rig.control.request("terminate", peer=run.peer)
    else:
        run.peer_terminates(ike=NAME)
        run.wait_event("ike.phase1.peer_deleted")
    require(eventually(lambda: not run.sas(), 3), "pairs are left")
    lost = run.rig.topology.lan.ping(FAR_HOST, count=4, interval=0.1)
    require(lost.received == 0, "an echo came back although there is no tunnel")
    counted = gateway.run("nft", "list chain inet broken clear").stdout
    require("packets 0 bytes 0" in counted, f"packets of the protected subnet have arrived in clear: {counted}")


def peer_deletes_all(run: Run) -> None:
    """The peer deletes the ISAKMP SA; nothing of it is left, and a new one can be made."""
    up(run)
    run.peer_terminates(ike=NAME)
    run.wait_event("ike.phase1.peer_deleted")
    require(eventually(lambda: not run.status()["sas"], 2), "SAs are left")
    again(run)


def we_delete_all(run: Run) -> None:
    """We delete everything; the peer hears of it."""
    up(run)
    run.rig.control.request("terminate", peer=run.peer)
    require(eventually(lambda: not run.rig.gateway.sas(), 3), "the peer keeps SAs")
    again(run)


def again(run: Run) -> None:
    """The tunnel comes up once more."""
    run.begin()
    run.wait_up(1)
    run.echo()


def peer_dies(run: Run) -> None:
    """The peer falls silent: our probes tell, the SAs go, and when it is back the tunnel comes up again."""
    up(run)
    run.rig.block("udp dport { 500, 4500 }")
    run.rig.block("udp sport { 500, 4500 }", hook="output")
    event = run.wait_event("ike.dpd.dead", seconds=12)
    require(event["side"] == "path", f"the side is {event['side']}")
    require(not run.status()["sas"], "SAs are left")
    run.rig.unimpair()
    run.rig.gateway.clear()
    run.rig.load(run.scenario, "traffic" if run.role is Role.INITIATOR else "responder")
    if run.scenario.ours.get("start") == "immediate":
        run.wait_up(1, 15)
        run.echo()
    else:
        again(run)


def peer_restarts(run: Run) -> None:
    """The peer's daemon is killed and comes back; its INITIAL-CONTACT removes what it has forgotten."""
    up(run)
    run.rig.gateway.kill()
    run.rig.gateway.start()
    run.rig.load(run.scenario, "responder")
    run.peer_initiates("net1-1")
    run.wait_event("ike.initial_contact")
    run.wait_up(1)
    checks.phase1(run.status()["phase1"], run.peer_sa())
    checks.pairs(run.sas(), run.rig.gateway.children())
    run.echo()


def peer_restarts_silently(run: Run) -> None:
    """The killed peer comes back without INITIAL-CONTACT: what we have of it stays until it has ended by itself."""
    up(run)
    old = run.status()["phase1"]["initiator_cookie"]
    run.rig.gateway.kill()
    run.rig.gateway.start()
    run.rig.load(run.scenario, "responder")
    run.peer_initiates("net1-1")
    run.wait_event("ike.phase1.established", 2)
    run.wait_event("ike.phase2.established", 4)
    codes = [event["code"] for event in run.events()]
    require("ike.initial_contact" not in codes and "ike.purge" not in codes, "the older SAs were removed")
    require(run.status()["phase1"]["initiator_cookie"] != old, "the newer phase 1 is not the one in use")
    require(len(run.status()["sas"]) == 2, "the pair from before is gone")
    run.echo()


def returns_from_elsewhere(run: Run) -> None:
    """The same identity from another address: INITIAL-CONTACT replaces what is there, which stays without it."""
    up(run)
    gateway, moved = run.rig.gateway, "192.0.2.3"
    gateway.kill()
    gateway.start()
    run.rig.topology.gateway.run("ip", "address", "replace", f"{moved}/24", "dev", "wan")
    try:
        connection = run.rig.connection(run.scenario) | {"local_addrs": [moved]}
        gateway.configure(connection, run.scenario.secrets or SECRETS, ())
        run.peer_initiates("net1-1")
        run.wait_event("ike.phase1.established", 2)
        run.wait_event("ike.phase2.established", 4)
        _replaced_or_kept(run, run.scenario.options["replaced"])
    finally:
        gateway.clear()
        run.rig.topology.gateway.run("ip", "address", "del", f"{moved}/24", "dev", "wan")


def _replaced_or_kept(run: Run, replaced: bool) -> None:
    run.echo()
    codes = [event["code"] for event in run.events()]
    require(("ike.initial_contact" in codes) == replaced, f"INITIAL-CONTACT: {'ike.initial_contact' in codes}")
    left = len(run.status()["sas"])
    require(left == (1 if replaced else 2), f"{left} pairs are left")


def we_restart(run: Run) -> None:
    """Our daemon is killed and comes back; the peer forgets what we have forgotten."""
    up(run)
    run.rig.control.close()
    run.rig.engine.kill()
    run.rig.start_engine()
    run.rig.apply(run.scenario, "traffic")
    run.rig.control.request("initiate", peer=run.peer)
    run.wait_up(1)
    run.echo()
    require(len(run.rig.gateway.children()) == 1, "the peer keeps the pair that we have forgotten")


def quiet_while_traffic_flows(run: Run) -> None:
    """No probe is sent while packets come in; when they end, probes begin."""

    def probes() -> int:
        return int(run.rig.control.request("stats")["ike"].get("DPD probes sent", 0))

    up(run)
    before = probes()
    run.rig.topology.lan.ping(FAR_HOST, count=30, interval=0.1)
    require(probes() == before, f"{probes() - before} probes were sent although packets came in")
    require(eventually(lambda: probes() > before, 4), "no probe was sent when nothing came in any more")


def probed(run: Run) -> None:
    """The peer probes us while nothing flows, and is satisfied with our answers."""
    up(run)
    time.sleep(3.5)
    checks.complaints(run.events())
    run.wait_up(1, 1)
    run.echo()
