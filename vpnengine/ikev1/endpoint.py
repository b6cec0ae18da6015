"""``IkeEndpoint``: the whole protocol behind five calls, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection

from vpnengine.contract.capture import CapturedNegotiation
from vpnengine.contract.config import PeerConfig
from vpnengine.contract.events import EventBody
from vpnengine.contract.status import PeerStatus
from vpnengine.contract.trace import NegotiationTrace
from vpnengine.esp.sa import Address, Selector
from vpnengine.ikev1 import (
    addresses,
    clients,
    configure,
    dpd,
    inbound,
    lifecycle,
    negotiate,
    pairs,
    status,
    trace_report,
)
from vpnengine.ikev1.core import Core, SpiSource
from vpnengine.ikev1.interface import (
    Acquire,
    Command,
    Configure,
    Effect,
    HardExpired,
    InitiatePeer,
    PeerMoved,
    Pursuit,
    RekeyPeer,
    Resolved,
    Shutdown,
    Slept,
    SoftExpired,
    TerminatePeer,
    Traffic,
    Transmit,
    UnknownPeer,
    Unresolved,
)
from vpnengine.ikev1.model import Pair, Peer
from vpnengine.ikev1.states import Role
from vpnengine.ikev1.trace import TraceRecord


class IkeEndpoint:
    """IKEv1 for any number of peers.

    ``rng`` gives unpredictable octets. ``raw_esp`` tells whether the data path can carry
    ESP without UDP; if not, UDP encapsulation is forced on every tunnel. Time is monotonic
    seconds, given with each call. ``wall_clock`` gives seconds since 1970, for the dates in
    certificates alone; by default it is 1970, when no certificate is valid yet. With ``keep_messages``
    whole messages and the keys behind them are kept for ``captured``. ``reserve_spi`` chooses inbound SPIs; without it
    they are random.
    """

    def __init__(
        self,
        rng: Callable[[int], bytes],
        raw_esp: bool,
        wall_clock: Callable[[], float] = lambda: 0.0,
        keep_messages: bool = False,
        reserve_spi: SpiSource | None = None,
    ) -> None:
        self._core = Core(rng, raw_esp, wall_clock, keep_messages, reserve_spi)

    def receive(self, datagram: bytes, local: Address, remote: Address, now: float) -> None:
        """Take one ISAKMP message, without the non-ESP marker. No content makes it raise."""
        self._core.now = now
        inbound.receive(self._core, datagram, local, remote)

    def handle_timer(self, now: float) -> None:
        """Do what is due at ``now``."""
        self._core.now = now
        self._core.timers.run_due(now)

    def transmits(self) -> list[Transmit]:
        """Messages to send, in order. They are handed out once."""
        found, self._core.transmits = self._core.transmits, []
        return found

    def effects(self) -> list[Effect]:
        """What the shell has to do, in order. They are handed out once."""
        found, self._core.effects = self._core.effects, []
        return found

    def events(self) -> list[EventBody]:
        """What has happened, in order. They are handed out once."""
        found, self._core.events = self._core.events, []
        return found

    def next_timer(self) -> tuple[float, str] | None:
        """When ``handle_timer`` is to be called next, and why; None if nothing is due ever."""
        return self._core.timers.next()

    @property
    def pair_count(self) -> int:
        """How many IPsec SA pairs there are."""
        return len(self._core.pairs)

    def counters(self) -> dict[str, int]:
        """How often what has happened."""
        return dict(self._core.counters)

    def trace(self) -> tuple[TraceRecord, ...]:
        """The records of all negotiations that are kept, and of strangers, in order."""
        return tuple(self._core.trace.everything())

    def negotiations(self, peer_id: str, wall: float = 0.0) -> list[NegotiationTrace]:
        """The last negotiations of a peer, the oldest first. ``wall`` is the wall clock at monotonic time 0."""
        core = self._core
        found = core.trace.negotiations(peer_id)
        return [trace_report.report(negotiation, wall, core.listen.natt_port) for negotiation in found]

    @property
    def keeps_messages(self) -> bool:
        """True if ``captured`` has anything to tell."""
        return self._core.trace.keeping

    def captured(self, peer_id: str, secrets: bool, wall: float = 0.0) -> list[CapturedNegotiation]:
        """The messages of a peer's last negotiations, and if asked for the secrets that open them."""
        port = self._core.listen.natt_port
        found = self._core.trace.negotiations(peer_id)
        return [n.kept.report(n.initiator_cookie.hex(), wall, port, secrets) for n in found if n.kept is not None]

    def peer_statuses(self, now: float) -> tuple[PeerStatus, ...]:
        """The state of each peer; counters of SAs are zero, as the data path has them.

        ``last_failure.time`` is in the endpoint's monotonic seconds.
        """
        self._core.now = now
        return tuple(status.peer_status(self._core, peer) for peer in self._core.peers.values())

    def peer_ids(self) -> list[str]:
        """The configured peers, those included that are still being added."""
        core = self._core
        known = [peer_id for peer_id in core.peers if core.pending.get(peer_id, True) is not None]
        return known + [
            peer_id for peer_id, row in core.pending.items() if row is not None and peer_id not in core.peers
        ]

    def peer_status(self, peer_id: str, now: float) -> PeerStatus | None:
        """The state of one peer, as in ``peer_statuses``; None if it is not configured."""
        self._core.now = now
        configure.settle(self._core, peer_id)
        peer = self._core.peers.get(peer_id)
        return status.peer_status(self._core, peer) if peer else None

    def resting_config(self, peer_id: str) -> PeerConfig | None:
        """The configuration of a peer whose status cannot change by itself; None for every other."""
        peer = self._core.peers.get(peer_id)
        if peer is None or peer.sas or peer.pairs or peer.clients or peer.assigned or peer.last_failure is not None:
            return None
        return peer.config

    def is_up(self, peer_id: str, selectors: Collection[Selector]) -> bool:
        """True if each of these selectors of a peer has an SA pair that both ends have agreed on.

        The initiator's is agreed when it is installed, a moment before anything is sent on it.
        """
        peer = self._core.peers.get(peer_id)
        held = [p for one in clients.everyone(peer) for p in one.pairs] if peer else []
        agreed = [p for p in held if p.confirmed or p.role is Role.INITIATOR]
        live = {pair.params.selector for pair in agreed}
        return all(selector in live for selector in selectors)

    def would_end(self, peer_id: str, config: PeerConfig | None) -> int:
        """How many IPsec SA pairs a peer has that would end if it were configured so; None removes it."""
        return configure.would_end(self._core, peer_id, config)

    def pursued(self, peer_id: str) -> Pursuit:
        """What is being tried for a peer at present."""
        row = self._core.peers.get(peer_id)
        everyone = clients.everyone(row) if row else []
        busy = [sa for one in everyone if one.current() is None and (sa := one.negotiating()) is not None]
        return Pursuit(
            frozenset(selector for one in everyone for selector in one.wanted),
            any(one.seeking for one in everyone),
            frozenset(sa.initiator_cookie.hex() for sa in busy),
        )

    def assigned(self) -> list[tuple[str, Selector]]:
        """Selectors that mode config has made, by the id of their row."""
        rows = self._core.peers.values()
        return [
            (one.id, selector)
            for row in rows
            for one in clients.everyone(row)
            if one.assigned is not None
            for selector in one.selectors
        ]

    def own_addresses(self) -> list[str]:
        """Inner addresses that this host has been given as a client."""
        return [str(peer.assigned) for peer in self._core.peers.values() if peer.assigned is not None]

    def command(self, command: Command, now: float) -> None:
        """Carry out a command.

        :raises UnknownPeer: if an administrator's command names no configured peer. What the
            data path and the resolver report of a peer that is gone meanwhile is ignored.
        """
        core = self._core
        core.now = now
        match command:
            case Configure():
                configure.configure(core, command.config, command.changes)
            case InitiatePeer(peer_id, None):
                row = self._peer(peer_id)
                for one in [c for c in row.clients.values() if c.current() is not None] or [row]:
                    negotiate.want_all(core, one)
            case InitiatePeer(peer_id, selector) if selector is not None:
                peer = clients.holder(self._peer(peer_id), selector)
                peer.cooling.pop(selector, None)
                negotiate.want(core, peer, selector)
            case TerminatePeer(peer_id):
                lifecycle.terminate(core, self._peer(peer_id))
            case RekeyPeer(peer_id, phase):
                self._rekey(self._peer(peer_id), phase)
            case Slept():
                for sa in list(core.sas.values()):
                    dpd.woke(core, sa)
            case Shutdown():
                for peer in core.peers.values():
                    lifecycle.terminate(core, peer)
            case _:
                self._report(command)

    def _peer(self, peer_id: str) -> Peer:
        configure.settle(self._core, peer_id)
        try:
            return self._core.peers[peer_id]
        except KeyError:
            raise UnknownPeer(peer_id) from None

    def _rekey(self, peer: Peer, phase: int) -> None:
        core = self._core
        current = peer.current()
        if phase == 2:
            for one in clients.everyone(peer):
                for pair in list(one.pairs):
                    pairs.rekey(core, one, pair)
        elif current is not None:
            lifecycle.rekey(core, current)
        else:
            negotiate.want_all(core, peer)

    def _report(self, command: Command) -> None:
        """What the shell and the data path tell."""
        core = self._core
        match command:
            case Resolved(peer_id, remote_host, local_host, name):
                if peer := core.peers.get(peer_id):
                    addresses.resolved(core, peer, name, remote_host, local_host)
            case Unresolved(peer_id, reason, name):
                if peer := core.peers.get(peer_id):
                    addresses.unresolved(core, peer, name, reason)
            case Acquire(peer_id, selector):
                if peer := core.peers.get(peer_id):
                    negotiate.want(core, clients.holder(peer, selector), selector)
            case Traffic(last_in):
                self._traffic(last_in)
            case SoftExpired(spi) | HardExpired(spi) | PeerMoved(spi):
                self._about_pair(command, spi)

    def _about_pair(self, command: Command, spi: int) -> None:
        core = self._core
        held = core.pairs.get(spi)
        if held is None:
            return
        peer, pair = held
        if isinstance(command, SoftExpired):
            pairs.rekey(core, peer, pair)
        elif isinstance(command, HardExpired):
            pairs.exhausted(core, peer, pair)
        elif isinstance(command, PeerMoved) and pair.params.udp:
            self._moved(peer, pair, command.remote)

    def _moved(self, peer: Peer, pair: Pair, remote: Address) -> None:
        """All that used the same mapping of a NAT goes to the new one."""
        core, old = self._core, pair.params.remote
        for other in peer.pairs:
            if other.params.remote == old:
                pairs.move(core, other, remote)
        sa = peer.current()
        if sa is not None and sa.nat.encapsulate and sa.remote != remote:
            core.emit("ike.natt.moved", sa=sa, old=sa.remote, new=remote)
            sa.remote = remote

    def _traffic(self, last_in: dict[int, float]) -> None:
        for spi, at in last_in.items():
            held = self._core.pairs.get(spi)
            if held is None:
                continue
            peer, pair = held
            pair.last_in = max(pair.last_in, at)
            sa = peer.current()
            if sa is not None:
                dpd.heard(self._core, sa, at)
