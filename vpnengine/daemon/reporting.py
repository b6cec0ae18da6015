"""The engine's status as JSON, written some peers at a time so that the tunnels do not wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from vpnengine.contract.config import PeerConfig
from vpnengine.contract.status import EngineStatus, PeerStatus, SaStatus
from vpnengine.daemon.clock import Clock
from vpnengine.dataplane.base import DataPlane, SaCounters
from vpnengine.ikev1.endpoint import IkeEndpoint

AT_ONCE = 32
_COUNTERS = ("bytes_in", "bytes_out", "packets_in", "packets_out", "replayed", "failed")


class Reporter:
    """Remembers the text of peers at rest: with ten thousand of them hardly any changes from second to second."""

    def __init__(self, endpoint: IkeEndpoint, dataplane: DataPlane, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self._endpoint = endpoint
        self._dataplane = dataplane
        self._resting: dict[str, tuple[PeerConfig, str]] = {}

    async def status_json(self, head: EngineStatus, others: Sequence[PeerStatus] = ()) -> str:
        """``head`` with its peers put in, and ``others`` that the protocol does not know, as one JSON text."""
        parts = [status.model_dump_json() for status in others]
        peer_ids = self._endpoint.peer_ids()
        counters = self._dataplane.counters()
        for start in range(0, len(peer_ids), AT_ONCE):
            parts += self._some(peer_ids[start : start + AT_ONCE], counters)
            await asyncio.sleep(0)
        self._resting = {i: kept for i in peer_ids if (kept := self._resting.get(i))}
        return head.model_dump_json().replace('"peers":[]', f'"peers":[{",".join(parts)}]', 1)

    def peer_status(self, peer_id: str) -> PeerStatus:
        """One peer with its counters; ``peer_id`` is one that the protocol knows."""
        now = self._clock.now()
        status = self._endpoint.peer_status(peer_id, now)
        if status is None:
            raise KeyError(peer_id)
        return _with_counters(status, self._dataplane.counters(), now)

    def _some(self, peer_ids: list[str], counters: dict[int, SaCounters]) -> list[str]:
        now = self._clock.now()
        texts = (self._peer(peer_id, counters, now) for peer_id in peer_ids)
        return [text for text in texts if text is not None]

    def _peer(self, peer_id: str, counters: dict[int, SaCounters], now: float) -> str | None:
        config = self._endpoint.resting_config(peer_id)
        if config is None:
            self._resting.pop(peer_id, None)
            status = self._endpoint.peer_status(peer_id, now)
            return None if status is None else _with_counters(status, counters, now).model_dump_json()
        kept = self._resting.get(peer_id)
        if kept is None or kept[0] is not config:
            status = self._endpoint.peer_status(peer_id, now)
            if status is None:
                return None
            kept = self._resting[peer_id] = (config, status.model_dump_json())
        return kept[1]


def _with_counters(peer: PeerStatus, counters: dict[int, SaCounters], now: float) -> PeerStatus:
    sas = tuple(_sa_with_counters(sa, counters.get(int(sa.spi_in, 16))) for sa in peer.sas)
    failure = peer.last_failure
    if failure is not None:
        failure = failure.model_copy(update={"time": time.time() - (now - failure.time)})
    return peer.model_copy(update={"sas": sas, "last_failure": failure})


def _sa_with_counters(sa: SaStatus, counters: SaCounters | None) -> SaStatus:
    if counters is None:
        return sa
    return sa.model_copy(update={name: getattr(counters, name) for name in _COUNTERS})
