"""What must be seen of a tunnel whose packets the kernels of both ends carry."""

from __future__ import annotations

from lab.interop import checks
from lab.interop.model import Failed
from lab.interop.rig import eventually, require
from lab.interop.run import Run
from lab.interop.scripts import agreement

_RECEIVE = "import socket; s=socket.socket(2, 2); s.settimeout(20); s.bind(('', 1701)); print(s.recv(9).decode())"
_SEND = (
    "import socket, sys, time; s=socket.socket(2, 2); s.bind(('', 1701)); "
    "[(s.sendto(b'hi', (sys.argv[1], 1701)), time.sleep(0.1)) for _ in range(10)]"
)


def carried(run: Run) -> None:
    """Both ends agree on every SA, packets go both ways, and each end has received what the other has sent."""
    run.begin()
    run.wait_up(1, run.scenario.options["seconds"])
    agreement(run)
    _same_kind(run)
    run.echo()
    _counters(run, 2)
    checks.complaints(run.events(), tuple(run.scenario.options.get("expected", ())))


def l2tp(run: Run) -> None:
    """Datagrams of the one port go both ways under transport mode; echoes between the same hosts go in clear."""
    run.begin()
    run.wait_up(1, run.scenario.options["seconds"])
    agreement(run)
    _same_kind(run)
    nodes = run.rig.topology.nodes
    (one, far, *_), (other, near, *_) = run.paths()
    for sender, receiver, address in ((one, other, far), (other, one, near)):
        listener = nodes[receiver].spawn("python3", "-c", _RECEIVE, log=run.rig.topology.directory / "received")
        try:
            ready = eventually(lambda n=nodes[receiver]: bool(n.run("ss", "-Hlun", "sport = :1701").stdout), 20)
            require(ready, "nothing listens at the port")
            nodes[sender].run("python3", "-c", _SEND, address)
            require(listener.wait(30) == 0, f"no datagram from {sender} has arrived")
        finally:
            listener.kill()
            listener.wait()
    _counters(run, 1)
    before = [sa["packets_out"] for sa in run.sas()]
    require(nodes[one].ping(far, count=1).received == 1, "an echo outside the selector is not answered")
    require(
        [sa["packets_out"] for sa in run.sas()] == before, "an echo was protected although only one port is selected"
    )


def _same_kind(run: Run) -> None:
    """Protocol, mode and sequence numbers are what both ends say."""
    ours, theirs = run.sas()[0], run.rig.gateway.children()[0]
    checks.same("64-bit sequence numbers", ours["esn"], theirs.get("esn") == "1")
    checks.same("mode", ours["encapsulation"].removeprefix("udp-").upper(), theirs["mode"])
    wanted = "AH" if "ah_proposals" in run.scenario.child else "ESP"
    checks.same("protocol", wanted, theirs["protocol"])


def _counters(run: Run, least: int) -> None:
    """Packets that one end has sent through the pair are those that the other has received."""

    def both() -> tuple[list[int], list[int]]:
        ours, theirs = run.sas()[0], run.rig.gateway.children()[0]
        mine = [ours["packets_out"], ours["packets_in"]]
        return mine, [int(theirs["packets-in"]), int(theirs["packets-out"])]

    # charon asks its kernel at most once a second.
    eventually(lambda: both()[0] == both()[1], 10)
    mine, theirs = both()
    checks.same("packets out and in", mine, theirs)
    if min(mine) < least:
        raise Failed(f"only {mine} packets have gone through the pair; {run.story()}")
