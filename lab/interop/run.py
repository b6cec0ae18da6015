"""One row under way: what a script asks of both ends."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from lab.interop.gateway import IMPATIENT, NAME
from lab.interop.model import Failed, Role, Scenario
from lab.interop.rig import POLL_S, Rig, eventually
from lab.net import PATIENCE
from lab.topology import FAR_HOST, FAR_HOST6, GATEWAY_LAN, LAN_HOST, LAN_HOST6, SITE_LAN

UP_S = 8.0 * PATIENCE


class Run:
    """A scenario in one role, on a rig that is configured for it."""

    def __init__(self, rig: Rig, scenario: Scenario, role: Role) -> None:
        self.rig = rig
        self.scenario = scenario
        self.role = role
        self.cursor = 0
        self.peer = "Gateway"
        self.peer_version = ""
        self._log_start = 0

    def prepare(self) -> None:
        """Empty both ends, configure them, and remember where the journal stands."""
        settings = str(self.scenario.options.get("charon", IMPATIENT))
        data_path = str(self.scenario.options.get("data path", ""))
        self.rig.reset(settings, data_path, self.scenario.fresh)
        self.cursor = int(self.rig.control.request("stats")["events"])
        self._log_start = self.rig.gateway.log_path.stat().st_size
        options = self.scenario.options
        if "weather" in options:
            self.rig.impair(options["weather"])
        for hook in ("input", "output", "prerouting"):
            if f"block {hook}" in options:
                self.rig.block(*options[f"block {hook}"], hook=hook)
        self.rig.load(self.scenario, "traffic" if self.role is Role.INITIATOR else "responder")

    # Doing

    def begin(self) -> None:
        """Bring everything up, from the side whose turn it is."""
        if how := self.scenario.options.get("begin"):
            if how == "traffic":
                # The first packet may find no route yet, or may be lost to a slow peer; the next one does not.
                eventually(lambda: self._reaches("lan", FAR_HOST, None), UP_S)
            return
        if self.role is Role.INITIATOR:
            self.rig.control.request("initiate", peer=self.peer)
            return
        # Our side knows the peer's address a moment after the configuration is applied.
        time.sleep(0.05)
        for child in self.rig.connection(self.scenario)["children"]:
            self.peer_initiates(child)

    def peer_initiates(self, child: str, name: str = NAME) -> None:
        """Let charon begin; whether it gets through is seen elsewhere."""
        with contextlib.suppress(Exception):
            for _ in self.rig.gateway.vici.initiate({"child": child, "ike": name, "timeout": "-1"}):
                pass

    def peer_terminates(self, **which: str) -> None:
        """Let charon delete an SA and say so."""
        with contextlib.suppress(Exception):
            for _ in self.rig.gateway.vici.terminate({**which, "timeout": "-1"}):
                pass

    # Seeing

    def events(self) -> list[dict[str, Any]]:
        """Our events since the row began. The journal shows what has reached the disk; it is waited for."""
        last = int(self.rig.control.request("stats")["events"])
        found = self.rig.control.events(self.cursor)
        while (found[-1]["number"] if found else self.cursor) < last:
            time.sleep(POLL_S)
            found = self.rig.control.events(self.cursor)
        return found

    def status(self) -> dict[str, Any]:
        """Our peer's status."""
        return dict(self.rig.control.request("status")["peers"][0])

    def sas(self) -> list[dict[str, Any]]:
        """Our SA pairs that are in use."""
        return [sa for sa in self.status()["sas"] if sa["state"] == "mature"]

    def wait_event(self, code: str, count: int = 1, seconds: float = UP_S) -> dict[str, Any]:
        """The event of that code.

        :raises Failed: if it does not happen, with what happened instead.
        """
        found: list[dict[str, Any]] = []

        def seen() -> bool:
            found[:] = [event for event in self.events() if event["code"] == code]
            return len(found) >= count

        if not eventually(seen, seconds):
            raise Failed(f"{code} did not happen within {seconds:.0f} s; {self.story()}")
        return found[count - 1]

    def story(self) -> str:
        """What happened instead, in one line."""
        told = [f"{e['code']} ({e['text']})" for e in self.events() if e["severity"] != "debug"]
        return f"our events: {'; '.join(told[-4:]) or 'none'} | charon: {' / '.join(self._charon_lines())}"

    def peer_log(self) -> str:
        """What charon has logged since the row began; all of it, if charon was restarted."""
        data = self.rig.gateway.log_path.read_bytes()
        return data[self._log_start if len(data) >= self._log_start else 0 :].decode(errors="replace")

    def _charon_lines(self) -> list[str]:
        lines = self.peer_log().splitlines()
        return [line.partition("]")[2].strip()[:120] for line in lines if _says_something(line)][-3:]

    def wait_up(self, count: int, seconds: float = UP_S) -> None:
        """Wait until both ends have that many SA pairs in use.

        :raises Failed: if they have not.
        """
        gateway = self.rig.gateway
        if not eventually(lambda: len(self.sas()) == count and len(gateway.children()) == count, seconds):
            ours, theirs = len(self.sas()), len(gateway.children())
            raise Failed(f"{count} SA pairs are wanted; {ours} here, {theirs} at the peer; {self.story()}")

    def peer_sa(self) -> dict[str, Any]:
        """The newest ISAKMP SA as charon lists it.

        :raises Failed: if it has none.
        """
        found = [sa for sa in self.rig.gateway.sas() if sa["state"] == "ESTABLISHED"]
        if not found:
            raise Failed("charon has no established ISAKMP SA")
        return max(found, key=lambda sa: int(sa["uniqueid"]))

    def echo(self, count: int = 2) -> None:
        """Packets go both ways, between the hosts behind the two gateways.

        One packet goes ahead until it is answered: under load a peer may need longer to install its side than we
        wait before we send.

        :raises Failed: if one is lost after that.
        """
        for node, target, source in self.paths():
            eventually(lambda n=node, t=target, s=source: self._reaches(n, t, s), 3)
        for node, target, source in self.paths():
            result = self.rig.topology.nodes[node].ping(target, source=source, count=count, interval=0.05)
            if result.lost:
                raise Failed(f"{result.lost} of {result.sent} echoes from {node} to {target} are lost; {self.story()}")

    def _reaches(self, node: str, target: str, source: str | None) -> bool:
        return self.rig.topology.nodes[node].ping(target, source=source, count=1).received == 1

    def paths(self) -> list[tuple[str, str, str | None]]:
        """(node, target, source) of each echo."""
        if "echo" in self.scenario.options:
            return [(row[0], row[1], row[2] if len(row) > 2 else None) for row in self.scenario.options["echo"]]
        if self.rig.kind == "direct6":
            return [("lan", FAR_HOST6, None), ("host", LAN_HOST6, None)]
        if self.scenario.subnets == 1:
            return [("lan", FAR_HOST, None), ("host", LAN_HOST, None)]
        return [("site", target, source) for source in SITE_LAN for target in GATEWAY_LAN]


def _says_something(line: str) -> bool:
    return "vici client" not in line and ("[IKE]" in line or "[CFG] <" in line or "[CFG] no " in line)
