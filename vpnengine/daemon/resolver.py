"""From a peer's name to its address, and to the local address that leads there."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import socket
from collections.abc import Callable

from vpnengine.contract.config import PeerConfig
from vpnengine.dataplane.udp import MARK
from vpnengine.ikev1.interface import Resolved, Unresolved

AT_ONCE = 8


class Resolver:
    """Answers for peers in the order in which they are asked about, without crowding the loop."""

    def __init__(self, tell: Callable[[Resolved | Unresolved], None]) -> None:
        self._tell = tell
        self._asked: dict[tuple[str, str], PeerConfig] = {}
        self._wakeup = asyncio.Event()
        self._names: set[asyncio.Task[None]] = set()

    def ask(self, peer: PeerConfig, name: str) -> None:
        """The answer about one of the peer's hosts comes through ``tell``."""
        self._asked[peer.id, name] = peer
        self._wakeup.set()

    async def run(self) -> None:
        """Work until cancelled. Numeric addresses are answered here, names each by a task."""
        while True:
            await self._wakeup.wait()
            for key in list(itertools.islice(self._asked, AT_ONCE)):
                self._start(self._asked.pop(key), key[1])
            if not self._asked:
                self._wakeup.clear()
            await asyncio.sleep(0)

    def _start(self, peer: PeerConfig, name: str) -> None:
        if is_numeric(name):
            self._tell(_route(peer, str(ipaddress.ip_address(name)), name))
            return
        task = asyncio.get_running_loop().create_task(self._resolve(peer, name))
        self._names.add(task)
        task.add_done_callback(self._names.discard)

    async def _resolve(self, peer: PeerConfig, name: str) -> None:
        self._tell(await resolve(peer, name))


def is_numeric(host: str) -> bool:
    """True for an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def resolve(peer: PeerConfig, name: str) -> Resolved | Unresolved:
    """Ask the name server for one of the peer's hosts if need be, then the routing table."""
    try:
        host = await _address(peer, name)
    except OSError as error:
        return Unresolved(
            peer.id,
            f"the host name {name} does not resolve ({error.strerror}); check the name, and this host's name server",
            name,
        )
    return _route(peer, host, name)


def _route(peer: PeerConfig, host: str, name: str) -> Resolved | Unresolved:
    """Ask the routing table for the local address."""
    try:
        return Resolved(peer.id, host, str(peer.local_address or local_address(host)), name)
    except OSError as error:
        reason = f"no route leads to {host} ({error.strerror}); check this host's default route"
        return Unresolved(peer.id, reason, name)


async def _address(peer: PeerConfig, name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    family = socket.AF_UNSPEC
    if peer.local_address is not None:
        family = socket.AF_INET if peer.local_address.version == 4 else socket.AF_INET6
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(name, None, family=family, type=socket.SOCK_DGRAM)
    return str(found[0][4][0])


def local_address(remote_host: str) -> str:
    """The address that the routing table gives for packets to ``remote_host``.

    :raises OSError: if no route leads there.
    """
    family = socket.AF_INET6 if ":" in remote_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        with contextlib.suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
        sock.connect((remote_host, 9))
        return str(sock.getsockname()[0])
