"""How fast phase 1 and phase 2 are negotiated: two of our engines, two charon, and one of each.

One negotiation is a main mode (pre-shared key, MODP 2048, AES-256, SHA-256), one quick mode, the
installation at both ends, and the deletion of both. The two ends of all four pairings run in the
same two namespaces, one pairing after the other, over several rounds; a figure is the best round's, as
whatever else the machine does can only make a round slower.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from appliance.bench.stack import BenchError
from lab.engine import EngineProcess
from lab.net import RUN, Namespace, destroy, link
from lab.strongswan import Connection, StrongSwan
from lab.topology import SECRET
from vpnengine.daemon.client import ControlClient

TUNNELS = 4
WARM_UP = 8
LIMIT_S = 20
ROUNDS = 3
_TICK = os.sysconf("SC_CLK_TCK")


def outer(end: str, tunnel: int) -> str:
    """The outer address of one end of a tunnel."""
    return f"192.0.2.{(10 if end == 'site' else 20) + tunnel}"


def inner(end: str, tunnel: int) -> str:
    """The subnet behind one end of a tunnel."""
    return f"10.{71 if end == 'site' else 72}.{10 + tunnel}.0/24"


OTHER = {"site": "gateway", "gateway": "site"}


class End(Protocol):
    """One end: an engine or a charon."""

    def start(self) -> None:
        """Start the process."""

    def stop(self) -> None:
        """End it."""

    def cpu_s(self) -> float:
        """Seconds of CPU that the process has used."""

    def session(self) -> Any:
        """A context manager that gives ``cycle(tunnel)``: up and down once."""


@dataclass(frozen=True)
class _Connections:
    """All tunnels of one charon."""

    end: str
    credentials: dict[str, str] = field(default_factory=dict)

    def render(self) -> str:
        """swanctl.conf; sections of the same name add up."""
        return "".join(self._one(number).render() for number in range(TUNNELS))

    def _one(self, number: int) -> Connection:
        return Connection(
            name=f"t{number}",
            local_address=outer(self.end, number),
            remote_address=outer(OTHER[self.end], number),
            secret=SECRET,
            local_subnets=[inner(self.end, number)],
            remote_subnets=[inner(OTHER[self.end], number)],
            esp_proposals="aes256-sha256",
        )


class CharonEnd:
    """charon with its log at the default level."""

    def __init__(self, end: str, namespace: Namespace, directory: Path) -> None:
        self._daemon = StrongSwan(namespace, directory, _Connections(end), quiet=True)  # type: ignore[arg-type]

    def start(self) -> None:
        """Start charon with all tunnels."""
        self._daemon.start()

    def stop(self) -> None:
        """End it."""
        self._daemon.stop()

    def cpu_s(self) -> float:
        """Seconds of CPU."""
        return _cpu_s(self._daemon.pid)

    @contextmanager
    def session(self) -> Iterator[Callable[[int], None]]:
        """Cycles over one vici session."""
        with self._daemon.session() as vici:

            def cycle(tunnel: int) -> None:
                for _ in vici.initiate({"child": "net1-1", "ike": f"t{tunnel}", "timeout": str(LIMIT_S * 1000)}):
                    pass
                for _ in vici.terminate({"ike": f"t{tunnel}"}):
                    pass

            yield cycle


class OurEnd:
    """Our engine with its journal."""

    def __init__(self, end: str, namespace: Namespace, directory: Path) -> None:
        peers = [self._peer(end, number) for number in range(TUNNELS)]
        self._engine = EngineProcess(namespace, directory, {"revision": 1, "peers": peers})

    def _peer(self, end: str, number: int) -> dict[str, Any]:
        proposal = {"encryption": "aes256", "hash": "sha256", "group": "modp2048"}
        esp = {"encryption": "aes256", "integrity": "sha256"}
        return {
            "id": f"t{number}",
            "name": f"t{number}",
            "remote": outer(OTHER[end], number),
            "local_address": outer(end, number),
            "psk": SECRET,
            "local_subnets": [inner(end, number)],
            "remote_subnets": [inner(OTHER[end], number)],
            "start": "responder",
            "phase1": {"proposals": [proposal]},
            "phase2": {"proposals": [esp], "pfs_group": None},
        }

    def start(self) -> None:
        """Start the engine with all tunnels."""
        self._engine.start()

    def stop(self) -> None:
        """End it."""
        self._engine.stop()

    def cpu_s(self) -> float:
        """Seconds of CPU."""
        return _cpu_s(self._engine.pid)

    @contextmanager
    def session(self) -> Iterator[Callable[[int], None]]:
        """Cycles over one control connection."""
        with ControlClient(self._engine.control, LIMIT_S * 2) as client:

            def cycle(tunnel: int) -> None:
                result = client.request("initiate", peer=f"t{tunnel}", wait_s=LIMIT_S)
                if result["state"] != "up":
                    raise BenchError(f"a negotiation ended as {result}")
                client.request("terminate", peer=f"t{tunnel}")

            yield cycle


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


KINDS: dict[str, Callable[[str, Namespace, Path], End]] = {"ours": OurEnd, "charon": CharonEnd}
PAIRINGS = (("ours", "ours"), ("charon", "charon"), ("ours", "charon"), ("charon", "ours"))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every pairing, in turn, over several rounds."""
    name = f"ike{os.getpid() % 10000}"
    ends = {role: Namespace(name, role) for role in ("site", "gateway")}
    rounds: dict[tuple[str, str], list[dict[str, float]]] = {pairing: [] for pairing in PAIRINGS}
    destroy(name)
    try:
        _wire(ends)
        for number in range(ROUNDS):
            for pairing in PAIRINGS:
                rounds[pairing].append(_pairing(pairing, ends, RUN / name / f"{number}", options.count))
    finally:
        destroy(name)
    best = {pairing: _best(rows) for pairing, rows in rounds.items()}
    ours, charon = best["ours", "ours"], best["charon", "charon"]
    return {
        "ours": ours,
        "charon": charon,
        "mixed": {f"{one} to {other}": best[one, other] for one, other in PAIRINGS if one != other},
        "ratio": {
            "rate": round(ours["per_second"] / charon["per_second"], 2),
            "rate_four": round(ours["per_second_four"] / charon["per_second_four"], 2),
            "cpu": round(_cpu(ours) / _cpu(charon), 2),
        },
        "negotiations": options.count * 2 * ROUNDS * len(PAIRINGS),
    }


def _best(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: (max if name.startswith("per") else min)(row[name] for row in rows) for name in rows[0]}


def _cpu(figures: dict[str, float]) -> float:
    return figures["cpu_ms_initiator"] + figures["cpu_ms_responder"]


def _wire(ends: dict[str, Namespace]) -> None:
    for namespace in ends.values():
        namespace.create()
    link(ends["site"], ends["gateway"], ("wan", "wan"))
    for role, namespace in ends.items():
        for number in range(TUNNELS):
            namespace.address("wan", f"{outer(role, number)}/24")
            namespace.address("lo", inner(role, number).replace(".0/24", ".1/32"))


def _pairing(pairing: tuple[str, str], ends: dict[str, Namespace], directory: Path, count: int) -> dict[str, float]:
    initiator, responder = (
        KINDS[kind](role, ends[role], directory / f"{'-'.join(pairing)}-{role}")
        for kind, role in zip(pairing, ("site", "gateway"), strict=True)
    )
    responder.start()
    try:
        initiator.start()
        try:
            _run(initiator, WARM_UP, 1)
            before = initiator.cpu_s(), responder.cpu_s()
            one = _run(initiator, count, 1)
            used = initiator.cpu_s() - before[0], responder.cpu_s() - before[1]
            four = _run(initiator, count, TUNNELS)
        finally:
            initiator.stop()
    finally:
        responder.stop()
    return {
        "per_second": round(count / one, 1),
        "per_second_four": round(count / four, 1),
        "cpu_ms_initiator": round(used[0] / count * 1000, 2),
        "cpu_ms_responder": round(used[1] / count * 1000, 2),
    }


def _run(initiator: End, count: int, parallel: int) -> float:
    """Seconds for ``count`` cycles, ``parallel`` at a time. :raises BenchError: if one of them fails."""

    def work(tunnel: int) -> None:
        with initiator.session() as cycle:
            for _ in range(count // parallel):
                cycle(tunnel)

    began = time.monotonic()
    with ThreadPoolExecutor(parallel) as pool:
        for future in [pool.submit(work, tunnel) for tunnel in range(parallel)]:
            future.result()
    return time.monotonic() - began
