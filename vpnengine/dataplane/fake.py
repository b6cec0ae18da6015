"""A data path in memory: for tests, and for an engine that only negotiates."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterable

from vpnengine.dataplane import udp
from vpnengine.dataplane.base import Capabilities, DataPlane, Policy, SaCounters, Upcalls
from vpnengine.esp.sa import Address, IpsecSaPair

BATCH = 64


class FakeDataPlane(DataPlane):
    """Records what it is told; carries IKE, and no packets."""

    capabilities = Capabilities(name="fake", raw_esp=True, transport=True, ah=True)

    def __init__(self) -> None:
        self.policies: tuple[Policy, ...] = ()
        self.addresses: tuple[str, ...] = ()
        self.installed: dict[int, IpsecSaPair] = {}
        self.sending: set[int] = set()
        self.upcalls: Upcalls | None = None
        self._sockets: list[socket.socket] = []
        self._drops: Counter[str] = Counter()

    async def open(self, natt_sockets: Iterable[socket.socket], upcalls: Upcalls) -> None:
        """Read IKE from the NAT-T sockets."""
        self.upcalls = upcalls
        loop = asyncio.get_running_loop()
        for sock in natt_sockets:
            self._sockets.append(sock)
            loop.add_reader(sock, self._read, sock)

    async def close(self) -> None:
        """Stop reading."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            loop.remove_reader(sock)
        self._sockets.clear()

    def _read(self, sock: socket.socket) -> None:
        for _ in range(BATCH):
            try:
                data, local, remote = udp.receive(sock)
            except OSError:
                return
            if data[:4] == udp.NON_ESP_MARKER and self.upcalls is not None:
                self.upcalls.ike(data[4:], local, remote)
            else:
                self._drops["ESP"] += 1

    def set_policies(self, policies: Iterable[Policy]) -> None:
        """Remember the policies."""
        self.policies = tuple(policies)

    def set_addresses(self, addresses: Iterable[str]) -> None:
        """Remember the addresses."""
        self.addresses = tuple(addresses)

    def install(self, pair: IpsecSaPair, outbound: bool = True) -> None:
        """Remember the pair."""
        self.installed[pair.spi_in] = pair
        if outbound:
            self.sending.add(pair.spi_in)

    def remove(self, spi_in: int) -> None:
        """Forget the pair."""
        self.installed.pop(spi_in, None)
        self.sending.discard(spi_in)

    def update_remote(self, spi_in: int, remote: Address) -> None:
        """Nothing is sent, so nothing changes."""

    def counters(self) -> dict[int, SaCounters]:
        """All zero."""
        return {spi: SaCounters() for spi in self.installed}

    def drops(self) -> dict[str, int]:
        """Dropped packets by reason."""
        return dict(self._drops)
