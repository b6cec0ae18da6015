"""One topology with our engine and a strongSwan, kept for many rows; each row begins with both ends empty."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any

from lab.engine import EngineProcess
from lab.interop.control import Control
from lab.interop.gateway import IMPATIENT, Gateway
from lab.interop.model import Failed, Scenario, Settings
from lab.net import LabError
from lab.topology import SECRET, Topology
from lab.wire import Weather

RETRANSMIT = {"first_s": 0.4, "factor": 1.3, "tries": 4}
SECRETS: tuple[Settings, ...] = ({"type": "IKE", "id": "site", "data": SECRET},)
POLL_S = 0.02


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


class Rig:
    """A topology that is up. With ``kernel`` both ends carry their packets in the kernel, which must have ESP."""

    def __init__(self, kind: str, kernel: bool = False) -> None:
        self.kind = kind
        self.kernel = kernel
        self.topology = Topology(kind, name=f"i{os.getpid() % 100_000}", with_peer=False)
        self.engine = EngineProcess(self.topology.site, self.topology.directory / "engine", {})
        self.gateway: Gateway
        self.control: Control
        self.data_path = self.usual = "kernel" if kernel else "userspace"
        self._pools: tuple[Settings, ...] = ()
        self._impaired = False
        self._running = False

    def __enter__(self) -> Rig:
        try:
            self.topology.up()
            folder = self.topology.directory / "gateway"
            self.gateway = Gateway(self.topology.gateway, folder, self.topology, kernel=self.kernel)
            self.topology.strongswan = self.gateway
            self.gateway.start()
            self.start_engine()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_engine()
        self.topology.down()

    def start_engine(self) -> None:
        """Start our engine without any peer."""
        self.engine.config = {"revision": 1, "dataplane": self.data_path, "peers": []}
        self.engine.start()
        self.control = Control(self.engine.control)
        self._running = True

    def stop_engine(self) -> None:
        """Stop our engine."""
        if self._running:
            self.control.close()
            self._running = False
        self.engine.stop()

    # Between rows

    def reset(self, settings: str = IMPATIENT, data_path: str = "", fresh: bool = False) -> None:
        """No impairment, no configuration, no SA at either end. ``settings`` are charon's own."""
        self.unimpair()
        data_path = data_path or self.usual
        if fresh or not self._running or data_path != self.data_path:
            self.stop_engine()
            self.data_path = data_path
            self.start_engine()
        else:
            self.control.request("apply", config=self._document([]))
        if self.gateway.vici is None or self.gateway.settings != settings:
            with contextlib.suppress(LabError):
                self.gateway.stop()
            self.gateway.settings = settings
            self.gateway.start()
            return
        # Our deletes end most of what charon has; what is left is ended by force.
        eventually(lambda: not self.gateway.sas(), 0.3)
        self.gateway.clear(self._pools)
        if not eventually(lambda: not self.gateway.sas(), 5):
            raise LabError("charon keeps SAs of the row before")

    def load(self, scenario: Scenario, start: str) -> None:
        """Configure both ends."""
        self._pools = scenario.pools
        self.topology.subnets = scenario.subnets
        scenario = with_credentials(scenario)
        secrets = SECRETS if scenario.secrets is None else scenario.secrets
        self.gateway.configure(self.connection(scenario), secrets, scenario.pools)
        self.apply(scenario, start)

    def apply(self, scenario: Scenario, start: str, **changes: Any) -> None:
        """Configure our end."""
        scenario = with_credentials(scenario)
        document = self.topology.engine_config(start=start, retransmit=RETRANSMIT)
        peer = document["peers"][0] | dict(scenario.ours) | changes
        # None takes away what the topology has put in.
        kept = {name: value for name, value in peer.items() if value is not None}
        more = dict(scenario.options.get("engine", {}))
        self.control.request("apply", config=self._document([kept, *scenario.options.get("peers", ())], **more))

    def _document(self, peers: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        self._revision = getattr(self, "_revision", 1) + 1
        return {"revision": self._revision, "dataplane": self.data_path, "peers": peers} | more

    def connection(self, scenario: Scenario) -> dict[str, Any]:
        """The peer's side of a scenario, in vici's words."""
        outside = self.topology.outside
        base: dict[str, Any] = {
            "version": "1",
            "local_addrs": [outside.gateway],
            "remote_addrs": [outside.peer_of_gateway],
            "proposals": ["aes256-sha256-modp2048"],
            "encap": "no" if self.kernel else "yes",
            "local": {"auth": "psk"},
            "remote": {"auth": "psk", "id": "%any"} if outside.translated else {"auth": "psk"},
        }
        merged = {**base, **scenario.theirs}
        if "children" not in merged:
            merged["children"] = self._children(scenario)
        return {key: value for key, value in merged.items() if value is not None}

    def _children(self, scenario: Scenario) -> dict[str, Any]:
        child = {"esp_proposals": ["aes256gcm16-modp2048", "aes256-sha256-modp2048"], "rekey_time": "1h"}
        child |= dict(scenario.child)
        child = {name: value for name, value in child.items() if value is not None}
        mine = child.pop("local_ts", self.topology.connection().local_subnets)
        theirs = child.pop("remote_ts", self.topology.connection().remote_subnets)
        if scenario.options.get("one child"):
            return {"net": child | {"local_ts": mine, "remote_ts": theirs}}
        return {
            f"net{i}-{j}": child | {"local_ts": [here], "remote_ts": [there]}
            for i, here in enumerate(mine, 1)
            for j, there in enumerate(theirs, 1)
        }

    # The path

    def impair(self, weather: Weather) -> None:
        """Make the path bad, in both directions."""
        self._impaired = True
        if self.topology.wire is None:
            raise LabError(f"the path of {self.kind} cannot be made bad")
        self.topology.wire.set(weather)

    def block(self, *rules: str, hook: str = "input") -> None:
        """Drop packets at the gateway by rules of nftables."""
        self._impaired = True
        gateway = self.topology.gateway
        gateway.run("nft", "add table inet broken")
        gateway.run("nft", f"add chain inet broken {hook} {{ type filter hook {hook} priority 0 ; }}")
        for rule in rules:
            gateway.run("nft", f"add rule inet broken {hook} {rule} drop")

    def unimpair(self) -> None:
        """Make the path good again."""
        if not self._impaired:
            return
        for node in (self.topology.site, self.topology.gateway):
            node.run("ip", "link", "set", "wan", "up", check=False)
        if self.topology.wire is not None:
            self.topology.wire.set(Weather())
        self.topology.gateway.run("nft", "delete table inet broken", check=False)
        self._impaired = False

    def mark_impaired(self) -> None:
        """A script has changed the path by itself."""
        self._impaired = True


def with_credentials(scenario: Scenario) -> Scenario:
    """The scenario with its credentials filled in; what the row itself says counts more."""
    if scenario.credentials is None:
        return scenario
    made = scenario.credentials()
    theirs = {**made.theirs, **scenario.theirs}
    secrets = made.secrets if scenario.secrets is None else scenario.secrets
    ours = {**made.ours, **scenario.ours}
    return replace(scenario, ours=ours, theirs=theirs, secrets=secrets, credentials=None)


def require(condition: bool, text: str) -> None:
    """:raises Failed: with the text, unless the condition holds."""
    if not condition:
        raise Failed(text)
