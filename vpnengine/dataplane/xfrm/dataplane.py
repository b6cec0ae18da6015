"""The kernel's IPsec behind the data path's interface."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from vpnengine.dataplane import udp
from vpnengine.dataplane.base import (
    SLICE_S,
    Capabilities,
    DataPlane,
    DataPlaneError,
    Policy,
    SaCounters,
    Upcalls,
)
from vpnengine.dataplane.routes import Routes
from vpnengine.dataplane.tun import MAX_PACKET, open_tun
from vpnengine.dataplane.xfrm import interfaces, policies, sockets, states
from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm.adoption import ADOPTED_S, LINGER_S, Adoption, Remains
from vpnengine.dataplane.xfrm.counting import Counting, found_elsewhere
from vpnengine.dataplane.xfrm.events import Acquired, Expired, Moved, parse
from vpnengine.dataplane.xfrm.host import Settings, statistics
from vpnengine.dataplane.xfrm.interfaces import Interfaces
from vpnengine.dataplane.xfrm.netlink import Events, Netlink, Received
from vpnengine.dataplane.xfrm.policies import Serving
from vpnengine.dataplane.xfrm.sad import Sa
from vpnengine.dataplane.xfrm.segments import SegmentSizes
from vpnengine.dataplane.xfrm.spd import PolicyDatabase, Row
from vpnengine.dataplane.xfrm.structs import SaId
from vpnengine.dataplane.xfrm.writer import StateWriter
from vpnengine.esp.sa import Address, IpsecSaPair

MTU = 65_535  # of the device that routes name; what a tunnel takes, the kernel knows from the path
ACQUIRE_S = 1.0
ASK_S = 0.5


class KernelDataPlane(DataPlane):
    """States, policies and events of NETLINK_XFRM.

    Routes lead packets to a TUN device, as with the other data paths: a policy takes them before they
    reach it, and what no policy takes ends there instead of leaving in clear.
    """

    capabilities = Capabilities(
        name="kernel (XFRM)", raw_esp=True, transport=True, ah=True, interfaces=True, marks=True
    )

    def __init__(self, device: str = "culvert0") -> None:
        self._device = device
        self._tun = -1
        self._routes: Routes | None = None
        self._sockets: list[socket.socket] = []
        self._upcalls: Upcalls | None = None
        self._netlink: Netlink | None = None
        self._events: Events | None = None
        self._spd: PolicyDatabase | None = None
        self._remains: Remains | None = None
        self._settings = Settings()
        self._interfaces = Interfaces()
        self._segments = SegmentSizes()
        self._by_spi: dict[int, Sa] = {}
        self._by_id: dict[SaId, Sa] = {}
        self._by_peer: dict[str, dict[int, Sa]] = {}
        self._sending: dict[Row, list[Sa]] = {}
        self._asked: dict[Row, float] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._drops: Counter[str] = Counter()
        self._before: dict[str, int] = {}
        self._counting = Counting()
        self._adoption: Adoption | None = None
        self._seeing: asyncio.Task[None] | None = None
        self._ending = False
        self._writer: StateWriter | None = None

    # Life

    def exempt(self, sock: socket.socket) -> None:
        """IKE passes in clear, also between hosts whose whole traffic a policy protects."""
        sockets.exempt(sock)

    async def open(self, natt_sockets: Iterable[socket.socket], upcalls: Upcalls) -> None:
        """Connect to the kernel, find what an earlier engine has left, and begin to read."""
        self._upcalls = upcalls
        self._netlink, self._events = Netlink(), Events()
        self._before = statistics()
        self._settings.change()
        self._remains = await asyncio.to_thread(Remains, self._netlink)
        self._writer = StateWriter(self._netlink)
        self._spd = PolicyDatabase(self._netlink, self._newest, self._row_left)
        self._netlink.send_all([policies.own_packets(ipaddress.ip_network(n)) for n in ("0.0.0.0/0", "::/0")])
        self._tun = open_tun(self._device, persist=True)
        self._routes = Routes(self._device, MTU, keep=bool(self._remains.states))
        loop = asyncio.get_running_loop()
        loop.add_reader(self._tun, self._read_tun)
        loop.add_reader(self._events, self._read_events)
        for sock in natt_sockets:
            sockets.exempt(sock)
            sockets.take_esp(sock)
            self._sockets.append(sock)
            loop.add_reader(sock, self._read_socket, sock)
        self._later(ADOPTED_S, self._end_adoption)

    def ending(self) -> None:
        """Pairs that are removed from now on go with the rest, by ``close``."""
        self._ending = True

    async def close(self) -> None:
        """Remove our states, policies, routes and the device."""
        loop = asyncio.get_running_loop()
        for timer in self._timers:
            timer.cancel()
        for sock in self._sockets:
            loop.remove_reader(sock)
        self._sockets.clear()
        if self._events is not None:
            loop.remove_reader(self._events)
            self._events.close()
            self._events = None
        await self._stop_work()
        await self._segments.close()
        if self._routes is not None:
            await asyncio.to_thread(self._routes.close)
            await asyncio.to_thread(self._interfaces.close)
            self._routes = None
        if self._tun >= 0:
            loop.remove_reader(self._tun)
            os.close(self._tun)
            self._tun = -1
            with contextlib.suppress(DataPlaneError):
                os.close(open_tun(self._device))  # no longer persistent, it goes
        if self._netlink is not None:
            await asyncio.to_thread(flush, self._netlink)
            self._netlink.close()
            self._netlink = self._writer = None
        self._settings.restore()

    async def _stop_work(self) -> None:
        await self._counting.stop()
        if self._seeing is not None:
            await asyncio.wait([self._seeing])
        if self._remains is not None:
            self._remains.stop()
        if self._spd is not None:
            await self._spd.stop()

    def _later(self, delay: float, what: object, *arguments: object) -> None:
        loop = asyncio.get_running_loop()
        self._timers = {timer for timer in self._timers if timer.when() > loop.time()}
        self._timers.add(loop.call_later(delay, what, *arguments))  # type: ignore[arg-type]

    # Policies

    def prepare(self, policies: tuple[Policy, ...]) -> None:
        """Find what changes, and what an earlier engine has left for it."""
        if self._spd is not None:
            self._spd.prepare(policies)
            if self._remains is not None and not self._spd.policies:
                self._adoption = self._remains.plan(policies)

    def set_policies(self, policies: Iterable[Policy]) -> None:
        """Make exactly these policies effective, thousands of them by and by; see ``settled``."""
        wanted = tuple(policies)
        if self._spd is None or wanted is self._spd.policies:
            return
        strangers = self._adopt(wanted)
        if self._spd.set(wanted, strangers) and self._routes is not None:
            # Packets that are the peer's by a route or a mark have their way already.
            led = (policy.selector for policy in wanted if policy.mode == "tunnel" and not policy.kernel.is_apart)
            rows = interfaces.wanted(wanted)
            make, remove = (partial(step, rows) for step in (self._interfaces.make, self._interfaces.remove_others))
            self._routes.set(led, interfaces.ways(rows.values()), make, remove)

    def _adopt(self, wanted: tuple[Policy, ...]) -> list[policies.Key]:
        """Once, with the first configuration: what still serves one of its policies goes on doing so, the rest goes."""
        plan, self._adoption = self._adoption, None
        if self._remains is None or self._spd is None or self._spd.policies:
            return []
        if plan is None or plan.wanted is not wanted:
            plan = self._remains.plan(wanted)
        self._remains.adopt(plan)
        if plan.rows:
            self._spd.kept = set(plan.rows)
            self._later(ASK_S, self._ask_for_adopted)
        return plan.strangers

    def _ask_for_adopted(self) -> None:
        """The pairs of before have nobody who would renew them: ask for new ones while they still carry."""
        for row in list(self._remains.rows) if self._remains else ():
            policy = self._spd.rows.get(row) if self._spd else None
            if policy is not None and policy.acquire and self._upcalls is not None:
                self._upcalls.acquire(*row)

    def _row_left(self, row: Row) -> None:
        self._sending.pop(row, None)
        self._asked.pop(row, None)
        self._forget_adopted(row)

    def _forget_adopted(self, row: Row) -> None:
        reqid = self._remains.replaced(row) if self._remains else None
        if reqid is not None and self._remains is not None:
            self._later(LINGER_S, self._remains.remove, reqid)

    def _end_adoption(self) -> None:
        if self._remains is not None and self._spd is not None:
            self._spd.serve(self._remains.remove_all())
            self._segments.write()  # also what a killed engine has left, and nobody wants

    def set_addresses(self, addresses: Iterable[str]) -> None:
        """Give the device these addresses, and no others of ours."""
        if self._routes is not None:
            self._routes.set_addresses(addresses)

    async def settled(self) -> None:
        """Return when policies and routes stand."""
        if self._spd is not None:
            await self._spd.settled()
        if self._routes is not None:
            await self._routes.settled()

    def conditions(self) -> tuple[str, ...]:
        """What the kernel refuses."""
        parts = (self._routes, self._interfaces, self._spd, self._segments)
        found = (part.problem for part in parts if part is not None)
        refused = self._writer.problems(self._spd.peers) if self._writer and self._spd else ()
        return (*(problem for problem in found if problem), *refused)

    def _newest(self, row: Row) -> Serving | None:
        """The newest sending pair of a row serves it."""
        carriers = self._sending.get(row)
        if carriers is None:
            pairs = self._by_peer.get(row[0], {}).values()
            carriers = [sa for sa in pairs if sa.sending and sa.carries(row[1])]
            if carriers:
                self._sending[row] = carriers
        return policies.serving(carriers[-1].pair, carriers[-1].reqid) if carriers else None

    def _serve(self, rows: Iterable[Row]) -> None:
        if self._spd is not None:
            self._spd.serve(rows)

    # SAs

    def install(self, pair: IpsecSaPair, outbound: bool = True) -> None:
        """Install a pair, or let an installed one send as well; its octet limits may be new."""
        if self._writer is None:
            return
        sa = self._by_spi.get(pair.spi_in)
        if sa is None:
            sa = Sa(pair, policies.reqid_of(pair.peer_id, pair.selector))
            self._writer.add(sa, True)
            self._remember(sa)
        elif sa.pair != pair:
            sa.pair = pair
            self._writer.update(sa)
        if outbound and not sa.sending:
            self._writer.add(sa, False)
            self._begin_to_send(sa)

    def _begin_to_send(self, sa: Sa) -> None:
        sa.sending = True
        self._segments.add(sa.reqid, sa.pair)
        self._by_id[states.identity(sa.pair, False)] = sa
        carried = [row for row in self._rows_of(sa) if sa.carries(row[1])]
        for row in carried:
            self._sending.setdefault(row, []).append(sa)
        self._serve(carried)
        for row in carried:
            self._forget_adopted(row)

    def _rows_of(self, sa: Sa) -> list[Row]:
        return self._spd.of_peer(sa.pair.peer_id) if self._spd else []

    def _remember(self, sa: Sa) -> None:
        self._by_spi[sa.pair.spi_in] = self._by_id[states.identity(sa.pair, True)] = sa
        self._by_peer.setdefault(sa.pair.peer_id, {})[sa.pair.spi_in] = sa

    def remove(self, spi_in: int) -> None:
        """Remove a pair; outbound traffic falls back to the next newest."""
        sa = self._by_spi.pop(spi_in, None)
        if sa is None:
            return
        self._by_peer[sa.pair.peer_id].pop(spi_in, None)
        rows = [row for row in self._rows_of(sa) if sa in self._sending.get(row, [])]
        for row in rows:
            self._sending[row].remove(sa)
        both = [states.identity(sa.pair, inbound) for inbound in (True, False)]
        for identity in both:
            self._by_id.pop(identity, None)
        if self._writer is None or self._ending:
            return
        self._segments.remove(sa.reqid, spi_in)
        self._serve(rows)
        self._writer.remove(sa.pair)

    def update_remote(self, spi_in: int, remote: Address) -> None:
        """Send to another outer address from now on, and expect the peer there."""
        sa = self._by_spi.get(spi_in)
        if sa is None or self._writer is None or sa.pair.remote == remote:
            return
        old = sa.pair
        sa.pair = replace(old, remote=remote)
        if old.remote.host == remote.host:
            self._writer.update(sa)
            return
        self._writer.move_inbound(sa, old)
        if not sa.sending:
            return
        self._writer.move_outbound(sa, old)
        self._by_id.pop(states.identity(old, False), None)
        self._by_id[states.identity(sa.pair, False)] = sa
        self._serve([row for row in self._rows_of(sa) if self._sending.get(row, [])[-1:] == [sa]])
        if self._netlink is not None:
            self._netlink.send_all([states.removal_of(old, False)])

    def reserve_spi(self, local: str, remote: str, ah: bool) -> int | None:
        """An SPI that no state of this host has, and none will have while it is kept."""
        return self._writer.reserve(local, remote, ah) if self._writer else None

    # Counters

    def counters(self) -> dict[int, SaCounters]:
        """Counters by inbound SPI."""
        return self._counting.counters(self._netlink, self._by_spi)

    def drops(self) -> dict[str, int]:
        """Dropped packets by reason: the kernel's since the start, and those that no policy took."""
        found = Counter(self._drops)
        for reason, count in statistics().items():
            if count > self._before.get(reason, 0):
                found[reason] += count - self._before.get(reason, 0)
        return dict(found)

    # Events

    def _read_events(self) -> None:
        if self._events is None:
            return
        received, lost = self._events.read()
        for message in received:
            self._event(message)
        if lost:
            self._drops["events lost"] += 1
            self._resynchronize()

    def _event(self, message: Received) -> None:
        if self._upcalls is None:
            return
        match parse(message):
            case Acquired(key):
                self._acquire(key)
            case Expired(identity, hard):
                sa = self._by_id.get(identity)
                if sa is not None:
                    self._expired(sa, hard)
            case Moved(identity, remote):
                sa = self._by_id.get(identity)
                if sa is not None and sa.pair.remote != remote:
                    self._upcalls.moved(sa.pair.spi_in, remote)

    def _acquire(self, key: policies.Key) -> None:
        row = self._spd.owner(key) if self._spd else None
        policy = self._spd.rows.get(row) if self._spd and row is not None else None
        now = time.monotonic()
        if row is None or policy is None or not policy.acquire or self._upcalls is None:
            return
        if now - self._asked.get(row, -ACQUIRE_S) >= ACQUIRE_S:
            self._asked[row] = now
            self._upcalls.acquire(*row)

    def _expired(self, sa: Sa, hard: bool) -> None:
        """Each is told once for a pair, whichever of its states it was."""
        if self._upcalls is None:
            return
        if hard and not sa.hard_told:
            sa.hard_told = True
            self._upcalls.hard_expired(sa.pair.spi_in)
        elif not hard and not sa.soft_told:
            sa.soft_told = True
            self._upcalls.soft_expired(sa.pair.spi_in)

    def _resynchronize(self) -> None:
        if self._seeing is None:
            self._seeing = asyncio.get_running_loop().create_task(self._see())

    async def _see(self) -> None:
        """Events were lost: what they said of our states is seen in the states. Acquires repeat themselves."""
        asked = list(self._by_spi.values())
        try:
            dumped = await asyncio.to_thread(found_elsewhere)
        finally:
            self._seeing = None
        for sa in asked:
            if self._by_spi.get(sa.pair.spi_in) is not sa:
                continue
            both = [dumped.get(states.identity(sa.pair, True))]
            if sa.sending:
                both.append(dumped.get(states.identity(sa.pair, False)))
            if None in both:
                self._expired(sa, hard=True)
            elif sa.pair.soft_bytes and any(state and state.octets >= sa.pair.soft_bytes for state in both):
                self._expired(sa, hard=False)

    # What reaches us

    def _read_socket(self, sock: socket.socket) -> None:
        until = time.monotonic() + SLICE_S
        while time.monotonic() < until:
            try:
                data, local, remote = udp.receive(sock)
            except BlockingIOError:
                return
            except OSError as error:
                self._drops[f"receive: {error.strerror}"] += 1
                return
            if data[:4] == udp.NON_ESP_MARKER and self._upcalls is not None:
                self._upcalls.ike(data[4:], local, remote)
            else:
                self._drops["too short"] += 1

    def _read_tun(self) -> None:
        """Routed into the device, and covered by no policy."""
        until = time.monotonic() + SLICE_S
        while time.monotonic() < until:
            try:
                os.read(self._tun, MAX_PACKET)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                    self._drops[f"TUN: {error.strerror}"] += 1
                return
            self._drops["no policy"] += 1


def flush(netlink: Netlink) -> None:
    """Remove all states and policies that are ours, and no other; on any thread."""
    requests = []
    for message in netlink.dump(m.GETPOLICY):
        found = policies.found(message)
        if found is not None:
            requests.append(policies.removal(found.key, found.number))
    for message in netlink.dump(m.GETSA):
        state = states.dumped(message)
        if state.reqid in policies.REQIDS:
            requests.append(state.removal())
    netlink.send_all(requests)
