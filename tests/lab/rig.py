"""One of our engines against a real strongSwan, in a topology of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from lab.engine import EngineProcess
from lab.topology import Topology

Rig = tuple[Topology, EngineProcess]


class Rigs:
    """Makes rigs, and removes them at the end."""

    def __init__(self, dataplane: str = "userspace") -> None:
        self.dataplane = os.environ.get("CULVERT_DATAPLANE") or dataplane
        self._made: list[tuple[Topology, EngineProcess | None]] = []

    def __call__(
        self,
        kind: str = "direct",
        subnets: int = 1,
        gateway: dict[str, Any] | None = None,
        charon: dict[str, str] | None = None,
        dataplane: str | None = None,
        **site: Any,
    ) -> Rig:
        """A topology with the gateway's and our configuration changed as asked. ``charon`` are its own settings."""
        name = f"t{os.getpid() % 10000}"
        topology = Topology(kind, name=name, subnets=subnets, charon=charon or {})
        self._made.append((topology, None))
        topology.up()
        engine = EngineProcess(
            topology.site,
            topology.directory / "engine",
            topology.engine_config(**site) | {"dataplane": dataplane or self.dataplane},
        )
        self._made.append((topology, engine))
        if gateway and topology.strongswan:
            topology.strongswan.connection = topology.connection(**gateway)
            topology.strongswan.load()
        engine.start()
        return topology, engine

    def close(self) -> None:
        """End the engines and remove the topologies."""
        for topology, engine in reversed(self._made):
            if engine is not None:
                engine.stop()
            topology.down()


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """True as soon as the condition holds; its last word when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return condition()
