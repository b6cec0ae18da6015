"""The userspace data path in Python: a TUN device on one side, ESP in UDP on the other.

It is the reference for the others. Forwarding between a LAN and the tunnel is the host's
business (``net.ipv4.ip_forward``, ``net.ipv6.conf.all.forwarding``).
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from vpnengine.crypto.random import system_random
from vpnengine.dataplane import udp
from vpnengine.dataplane.base import SLICE_S, Capabilities, DataPlane, Policy, SaCounters, Upcalls
from vpnengine.dataplane.device import Device
from vpnengine.dataplane.fragments import Fragments
from vpnengine.dataplane.lookup import Flow, PolicyTable, admits, packet_ends, packet_flow
from vpnengine.dataplane.tun import MAX_PACKET, open_tun
from vpnengine.esp.sa import Address, IpsecSaPair, Selector
from vpnengine.esp.transform import EspError, Inbound, Outbound

MTU = 1400  # room for UDP, ESP, IV, padding and ICV in 1500 octets, with any transform
QUEUE_PER_SELECTOR = 16
QUEUED_SELECTORS = 1024
ACQUIRE_S = 1.0
OUTBOUND = 0  # no SPI
KEEPALIVE = b"\xff"


@dataclass
class _Sa:
    """One installed pair with its two directions and counters."""

    pair: IpsecSaPair
    inbound: Inbound
    outbound: Outbound
    sending: bool
    carries: tuple[Selector, ...] = ()
    admits: tuple[Selector, ...] = ()
    bytes_in: int = 0
    bytes_out: int = 0
    packets_in: int = 0
    packets_out: int = 0
    replayed: int = 0
    failed: int = 0
    last_in: float | None = None
    last_out: float | None = None
    soft_told: bool = False
    hard_told: bool = False

    def counters(self) -> SaCounters:
        """A snapshot for the engine."""
        return SaCounters(
            self.bytes_in,
            self.bytes_out,
            self.packets_in,
            self.packets_out,
            self.replayed,
            self.failed,
            self.last_in,
            self.last_out,
        )


@dataclass
class _Waiting:
    """Packets of a selector that has no SA yet."""

    packets: deque[bytes] = field(default_factory=lambda: deque(maxlen=QUEUE_PER_SELECTOR))
    asked: float = 0.0


class _Tables(NamedTuple):
    """What is looked up of some policies."""

    policies: tuple[Policy, ...]
    table: PolicyTable
    by_peer: dict[str, dict[Selector, None]]
    selectors: dict[Selector, None]

    @staticmethod
    def of(policies: tuple[Policy, ...]) -> _Tables:
        by_peer: dict[str, dict[Selector, None]] = {}
        for policy in policies:
            by_peer.setdefault(policy.peer_id, {})[policy.selector] = None
        return _Tables(policies, PolicyTable(policies), by_peer, dict.fromkeys(p.selector for p in policies))


class UserspaceDataPlane(DataPlane):
    """TUN and ESP in UDP, one packet at a time on the event loop."""

    capabilities = Capabilities(name="userspace (Python)", raw_esp=False)

    def __init__(self, device: str = "culvert0", remarks: tuple[str, ...] = ()) -> None:
        """``remarks`` stand among the conditions: why it is this data path and no faster one."""
        self._name = device
        self._device = Device(device, MTU, self._attach, self._detach, lambda: self._unreadable)
        self._remarks = remarks
        self._tun = -1
        self._unreadable = False
        self._sockets: dict[int, socket.socket] = {}
        self._upcalls: Upcalls | None = None
        self._policies: tuple[Policy, ...] = ()
        self._prepared: _Tables | None = None
        self._table = PolicyTable()
        self._by_peer: dict[str, dict[Selector, None]] = {}
        self._by_spi: dict[int, _Sa] = {}
        self._larval: dict[int, _Sa] = {}  # installed, and not sending yet
        self._by_selector: dict[Selector, list[_Sa]] = {}
        self._waiting: dict[Selector, _Waiting] = {}
        self._drops: Counter[str] = Counter()
        self._fragments = Fragments()

    async def open(self, natt_sockets: Iterable[socket.socket], upcalls: Upcalls) -> None:
        """Make the device and begin to read."""
        self._upcalls = upcalls
        self._device.open()
        loop = asyncio.get_running_loop()
        for sock in natt_sockets:
            self._sockets[sock.family] = sock
            loop.add_reader(sock, self._read_socket, sock)

    def _attach(self) -> None:
        self._tun = open_tun(self._name)
        self._unreadable = False
        asyncio.get_running_loop().add_reader(self._tun, self._read_tun)

    def _detach(self) -> None:
        if self._tun >= 0:
            asyncio.get_running_loop().remove_reader(self._tun)
            os.close(self._tun)
            self._tun = -1

    async def close(self) -> None:
        """Stop reading; remove the device, its routes and rules; forget SAs with their keys, and what waits."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets.values():
            loop.remove_reader(sock)
        self._sockets.clear()
        await self._device.close()
        for table in (self._by_spi, self._larval, self._by_selector, self._by_peer, self._waiting):
            table.clear()
        self._policies, self._table, self._fragments = (), PolicyTable(), Fragments()
        self._upcalls = None

    def prepare(self, policies: tuple[Policy, ...]) -> None:
        """Make the tables of these policies."""
        self._prepared = _Tables.of(policies)

    def set_policies(self, policies: Iterable[Policy]) -> None:
        """Make exactly these policies effective."""
        wanted = tuple(policies)
        prepared, self._prepared = self._prepared, None
        if wanted is self._policies or (prepared is None and wanted == self._policies):
            return
        tables = prepared if prepared is not None and prepared.policies is wanted else _Tables.of(wanted)
        self._policies, self._table, self._by_peer = tables.policies, tables.table, tables.by_peer
        for sa in self._by_spi.values():
            sa.admits = self._admitted(sa.pair)
        self._waiting = {s: w for s, w in self._waiting.items() if s in tables.selectors}
        self._device.route(tables.selectors)

    def set_addresses(self, addresses: Iterable[str]) -> None:
        """Give the device these addresses, and no others of ours."""
        self._device.set_addresses(addresses)

    async def settled(self) -> None:
        """Return when the routes stand."""
        await self._device.settled()

    def conditions(self) -> tuple[str, ...]:
        """What is wrong with the device, and routes that the kernel refuses."""
        return (*self._remarks, *self._device.conditions())

    # SAs

    def install(self, pair: IpsecSaPair, outbound: bool = True) -> None:
        """Install a pair, or let an installed one send as well; its octet limits may be new."""
        sa = self._by_spi.get(pair.spi_in)
        if sa is not None:
            sa.pair = pair
        else:
            inbound = Inbound(pair.transform, pair.keys_in, system_random, pair.replay_window)
            sa = _Sa(pair, inbound, Outbound(pair.spi_out, pair.transform, pair.keys_out, system_random), False)
            self._by_spi[pair.spi_in] = self._larval[pair.spi_in] = sa
            sa.admits = self._admitted(pair)
        if outbound and not sa.sending:
            sa.sending = True
            self._larval.pop(pair.spi_in, None)
            sa.carries = self._carried(pair)
            for selector in sa.carries:
                self._by_selector.setdefault(selector, []).append(sa)
                self._flush_waiting(selector, sa)

    def _carried(self, pair: IpsecSaPair) -> tuple[Selector, ...]:
        """The policies whose traffic a pair carries: its own, or those that a wider selector contains."""
        rows = self._by_peer.get(pair.peer_id, {})
        return (pair.selector,) if pair.selector in rows else tuple(row for row in rows if pair.selector.covers(row))

    def _admitted(self, pair: IpsecSaPair) -> tuple[Selector, ...]:
        """What may come in: the same; in transport mode behind a NAT the pair names other addresses than a policy."""
        return self._carried(pair) or (pair.selector,)

    def remove(self, spi_in: int) -> None:
        """Remove a pair."""
        self._larval.pop(spi_in, None)
        sa = self._by_spi.pop(spi_in, None)
        if sa is None:
            return
        for selector in sa.carries:
            sending = self._by_selector[selector]
            sending.remove(sa)
            if not sending:
                del self._by_selector[selector]

    def update_remote(self, spi_in: int, remote: Address) -> None:
        """Send to another outer address from now on."""
        sa = self._by_spi.get(spi_in)
        if sa is not None:
            sa.pair = replace(sa.pair, remote=remote)

    def counters(self) -> dict[int, SaCounters]:
        """Counters by inbound SPI."""
        return {spi: sa.counters() for spi, sa in self._by_spi.items()}

    def drops(self) -> dict[str, int]:
        """Dropped packets by reason."""
        return dict(self._drops)

    # Outbound

    def _read_tun(self) -> None:
        until = time.monotonic() + SLICE_S
        while time.monotonic() < until:
            try:
                packet = os.read(self._tun, MAX_PACKET)
            except BlockingIOError:
                return
            except OSError as error:
                # The device was taken away: it stays readable, so that reading on would be all that happens.
                self._drops[f"TUN: {error.strerror}"] += 1
                self._unreadable = True
                asyncio.get_running_loop().remove_reader(self._tun)
                return
            self._outbound(packet)

    def _outbound(self, packet: bytes) -> None:
        flow = self._table.flow(packet)
        if flow is not None and flow.protocol:
            flow = self._fragments.complete(flow, packet, OUTBOUND, time.monotonic())
        policy = self._table.find(flow) if flow else None
        if policy is None:
            self._drops["no policy"] += 1
            return
        sas = self._by_selector.get(policy.selector)
        if sas:
            self._seal(sas[-1], packet)
        else:
            self._wait(policy, packet)

    def _seal(self, sa: _Sa, packet: bytes) -> None:
        pair = sa.pair
        if pair.hard_bytes is not None and sa.bytes_out + len(packet) > pair.hard_bytes:
            self._drops["octet limit"] += 1
            self._hard(sa)
            return
        try:
            sealed = sa.outbound.seal(packet)
        except EspError as error:
            self._drops[error.reason] += 1
            self._hard(sa)
            return
        sa.bytes_out += len(packet)
        sa.packets_out += 1
        sa.last_out = time.monotonic()
        self._send(sealed, pair)
        if sa.outbound.nearly_exhausted or (pair.soft_bytes is not None and sa.bytes_out >= pair.soft_bytes):
            self._soft(sa)

    def _send(self, sealed: bytes, pair: IpsecSaPair) -> None:
        sock = self._sockets.get(socket.AF_INET6 if ":" in pair.remote.host else socket.AF_INET)
        if sock is None:
            self._drops["no socket"] += 1
            return
        try:
            udp.send(sock, sealed, pair.local.host, pair.remote)
        except BlockingIOError:
            self._drops["send buffer full"] += 1
        except OSError as error:
            self._drops[f"send: {error.strerror}"] += 1

    def _wait(self, policy: Policy, packet: bytes) -> None:
        """Keep the first packets of a tunnel that is not up yet, and ask for it.

        Where only the peer may ask, they are kept while its negotiation is about to end.
        """
        if not policy.acquire and not any(policy.selector in self._carried(s.pair) for s in self._larval.values()):
            self._drops["no SA"] += 1
            return
        waiting = self._waiting.get(policy.selector)
        if waiting is None:
            if len(self._waiting) >= QUEUED_SELECTORS:
                self._drops["queue full"] += 1
                return
            waiting = self._waiting[policy.selector] = _Waiting()
        if len(waiting.packets) == QUEUE_PER_SELECTOR:
            self._drops["queue full"] += 1
        waiting.packets.append(packet)
        now = time.monotonic()
        if policy.acquire and now - waiting.asked >= ACQUIRE_S and self._upcalls is not None:
            waiting.asked = now
            self._upcalls.acquire(policy.peer_id, policy.selector)

    def _flush_waiting(self, selector: Selector, sa: _Sa) -> None:
        waiting = self._waiting.pop(selector, None)
        for packet in waiting.packets if waiting else ():
            self._seal(sa, packet)

    # Inbound

    def _read_socket(self, sock: socket.socket) -> None:
        until = time.monotonic() + SLICE_S
        while time.monotonic() < until:
            try:
                data, local, remote = udp.receive(sock)
            except BlockingIOError:
                return
            except OSError as error:
                # An ICMP error of an earlier datagram is reported here; it concerns nobody.
                self._drops[f"receive: {error.strerror}"] += 1
                return
            self._datagram(data, local, remote)

    def _datagram(self, data: bytes, local: Address, remote: Address) -> None:
        if data == KEEPALIVE:
            self._drops["keepalive"] += 1
        elif data[:4] == udp.NON_ESP_MARKER:
            if self._upcalls is not None:
                self._upcalls.ike(data[4:], local, remote)
        elif len(data) < 8:
            self._drops["too short"] += 1
        else:
            self._inbound(data, remote)

    def _inbound(self, data: bytes, remote: Address) -> None:
        sa = self._by_spi.get(int.from_bytes(data[:4], "big"))
        if sa is None:
            self._drops["unknown SPI"] += 1
            return
        newest = sa.inbound.window.top
        try:
            packet = sa.inbound.open(data)
        except EspError as error:
            self._drops[error.reason] += 1
            if error.reason == "replayed":
                sa.replayed += 1
            else:
                sa.failed += 1
            return
        sa.last_in = time.monotonic()
        # A packet that was overtaken tells of a path that is perhaps no more.
        overtaken = sa.inbound.window.top == newest
        if remote != sa.pair.remote and not overtaken and self._upcalls is not None:
            self._upcalls.moved(sa.pair.spi_in, remote)
        if packet is not None:
            self._deliver(sa, packet)

    def _flow_in(self, sa: _Sa, packet: bytes) -> Flow | None:
        if not any(selector.protocol for selector in sa.admits):
            return packet_ends(packet)
        flow = packet_flow(packet)
        return self._fragments.complete(flow, packet, sa.pair.spi_in, time.monotonic()) if flow else None

    def _deliver(self, sa: _Sa, packet: bytes) -> None:
        """Only what a policy covers may come out of the tunnel (RFC 4301 section 5.2), however wide the selector is."""
        flow = self._flow_in(sa, packet)
        if flow is None or not any(admits(selector, flow) for selector in sa.admits):
            self._drops["selector"] += 1
            sa.failed += 1
            return
        sa.bytes_in += len(packet)
        sa.packets_in += 1
        pair = sa.pair
        if pair.hard_bytes is not None and sa.bytes_in > pair.hard_bytes:
            self._drops["octet limit"] += 1
            self._hard(sa)
            return
        try:
            os.write(self._tun, packet)
        except OSError as error:
            self._drops[f"TUN: {error.strerror}"] += 1
        if pair.soft_bytes is not None and sa.bytes_in >= pair.soft_bytes:
            self._soft(sa)

    def _soft(self, sa: _Sa) -> None:
        if not sa.soft_told and self._upcalls is not None:
            sa.soft_told = True
            self._upcalls.soft_expired(sa.pair.spi_in)

    def _hard(self, sa: _Sa) -> None:
        if not sa.hard_told and self._upcalls is not None:
            sa.hard_told = True
            self._upcalls.hard_expired(sa.pair.spi_in)
