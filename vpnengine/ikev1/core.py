"""What every exchange shares: clock, randomness, timers, output queues and tables."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vpnengine.contract.catalogue import CATALOGUE
from vpnengine.contract.config import Listen, PeerConfig
from vpnengine.contract.events import Difference, EventBody, Severity, Side
from vpnengine.contract.status import LastFailure
from vpnengine.esp.sa import Address, Selector
from vpnengine.ikev1 import fragmentation
from vpnengine.ikev1.admission import Admission, Bucket
from vpnengine.ikev1.faults import Fault
from vpnengine.ikev1.fragmentation import Reassembly
from vpnengine.ikev1.interface import Effect, Transmit
from vpnengine.ikev1.leases import Leases
from vpnengine.ikev1.model import IsakmpSa, Pair, Peer
from vpnengine.ikev1.pacing import Pacing
from vpnengine.ikev1.roster import Roster
from vpnengine.ikev1.states import Role
from vpnengine.ikev1.timers import TimerQueue
from vpnengine.ikev1.trace import Trace
from vpnengine.ikev1.users import Users

NEWCOMERS_A_SECOND, NEWCOMERS_AT_ONCE = 10.0, 100.0  # first messages that get events of their own
QUIET_S = 60.0
MAX_QUIET, MAX_QUIET_OF_PEER = 4_096, 16


@dataclass(frozen=True)
class _Subject:
    """What an event is about."""

    peer: Peer | None = None
    sa: IsakmpSa | None = None
    pair: Pair | None = None
    selector: Selector | None = None
    at: Address | None = None


def _from_anybody(subject: _Subject) -> bool:
    """True if a first message with a forged address is enough for the event: it does not mar a tunnel that is up."""
    sa = subject.sa
    return subject.at is not None or (sa is not None and sa.role is Role.RESPONDER and sa.keys is None)


SpiSource = Callable[[str, str, bool], int | None]
"""Reserves an inbound SPI between a local and a remote host, for AH or for ESP; None if it cannot."""


class Core:
    """The state that the exchanges work on. ``now`` is set by the endpoint before each call."""

    def __init__(
        self,
        rng: Callable[[int], bytes],
        raw_esp: bool,
        wall_clock: Callable[[], float],
        keep_messages: bool = False,
        reserve_spi: SpiSource | None = None,
    ) -> None:
        self.rng = rng
        self.reserve_spi = reserve_spi
        self.raw_esp = raw_esp
        self.wall_clock = wall_clock
        self.now = 0.0
        self.listen = Listen()
        self.timers = TimerQueue()
        self.transmits: list[Transmit] = []
        self.effects: list[Effect] = []
        self.events: list[EventBody] = []
        self.peers: dict[str, Peer] = {}
        self.roster = Roster()
        self.decoys: dict[str, Peer] = {}
        self.admission = Admission()
        self.newcomers = Bucket(NEWCOMERS_A_SECOND, NEWCOMERS_AT_ONCE, NEWCOMERS_AT_ONCE, 0.0)
        self.users = Users()
        self.leases = Leases()
        self.responding: dict[tuple[str, bytes], IsakmpSa] = {}
        self.sas: dict[bytes, IsakmpSa] = {}
        self.pairs: dict[int, tuple[Peer, Pair]] = {}
        self.counters: Counter[str] = Counter()
        self.fragments = Reassembly()
        self.trace = Trace(keep_messages)
        self.pending: dict[str, PeerConfig | None] = {}  # what is configured and not settled yet; None goes
        self.pacing = Pacing(lambda action: self.timers.set(("pacing",), self.now, "begin the next", action))
        self._quiet: dict[tuple[str, str], float] = {}
        self._quiet_peers: dict[str, dict[tuple[str, str], float]] = {}

    # Randomness

    def cookie(self) -> bytes:
        """Eight unpredictable octets, not all zero (RFC 2408 section 2.5.3)."""
        return self._nonzero(8)

    def message_id(self, sa: IsakmpSa) -> int:
        """A message id that this ISAKMP SA has not seen (RFC 2409 section 5.5)."""
        while (number := int.from_bytes(self._nonzero(4), "big")) in sa.used_ids:
            pass
        sa.used_ids.add(number)
        return number

    def spi(self) -> int:
        """An unused SPI; 0 to 255 are reserved (RFC 4303 section 2.1)."""
        while True:
            number = int.from_bytes(self.rng(4), "big")
            if number > 255 and number not in self.pairs:
                return number

    def reserved_spi(self, sa: IsakmpSa) -> int | None:
        """One that the data path keeps for the pair that ``sa`` negotiates, so that nobody else on this host has it."""
        if self.reserve_spi is None:
            return None
        ah = all(proposal.protocol == "ah" for proposal in sa.peer.config.phase2.proposals)
        number = self.reserve_spi(sa.local.host, sa.remote.host, ah)
        return number if number is not None and number > 255 and number not in self.pairs else None

    def _nonzero(self, count: int) -> bytes:
        while not any(octets := self.rng(count)):
            pass
        return octets

    # Output

    def send(self, sa: IsakmpSa, datagram: bytes, what: str, kinds: tuple[int, ...] = ()) -> Transmit:
        """Queue a message of an ISAKMP SA; ``what`` and the kinds of its payloads are for the trace."""
        most = fragmentation.limit(sa.peer.config, sa.peer_has_fragmentation, sa.remote.host)
        pieces = fragmentation.split(datagram, most, sa.fragment_id + 1 & 0xFFFF, sa.exchange)
        if len(pieces) > 1:
            sa.fragment_id += 1
            self.counters["fragmented"] += 1
        transmit = Transmit(datagram, sa.local, sa.remote, tuple(pieces), what)
        self._queue(sa, transmit)
        self.trace.sent(self.now, sa, datagram, what, kinds, f"{len(pieces)} fragments" if len(pieces) > 1 else "")
        return transmit

    def _queue(self, sa: IsakmpSa, transmit: Transmit) -> None:
        self.trace.keep_sent(self.now, sa, transmit)
        self.transmits += [Transmit(piece, transmit.local, transmit.remote) for piece in transmit.pieces]

    def resend(self, sa: IsakmpSa, transmit: Transmit, tries: int) -> None:
        """Queue a message once more; it has been sent ``tries`` times before."""
        self._queue(sa, transmit)
        self.counters["retransmitted"] += 1
        self.trace.resent(self.now, sa, transmit, tries)

    def drop(self, reason: str, message: str, size: int, remote: Address) -> None:
        """Count and trace a datagram that changes nothing."""
        self.counters[f"dropped: {reason}"] += 1
        self.trace.dropped(self.now, reason, message, size, remote)

    def emit(
        self,
        code: str,
        *,
        peer: Peer | None = None,
        sa: IsakmpSa | None = None,
        pair: Pair | None = None,
        selector: Selector | None = None,
        at: Address | None = None,
        side: Side | None = None,
        hint: str | None = None,
        evidence: dict[str, str] | None = None,
        **arguments: object,
    ) -> EventBody:
        """Queue an event; its text, severity and default hint come from the catalogue.

        ``at`` is the address of somebody who has no SA; ``arguments`` fill the text.
        """
        return self._emit(code, arguments, _Subject(peer, sa, pair, selector, at), side, hint, evidence)

    def _emit(
        self,
        code: str,
        arguments: Mapping[str, object],
        subject: _Subject,
        side: Side | None,
        hint: str | None,
        evidence: dict[str, str] | None,
        difference: Difference | None = None,
    ) -> EventBody:
        entry = CATALOGUE[code]
        sa, pair, at = subject.sa, subject.pair, subject.at
        peer, selector = subject.peer, subject.selector
        peer = peer or (sa.peer if sa else None)
        if peer is not None and peer.decoy:
            peer = None
        selector = selector or (pair.params.selector if pair else None)
        event = EventBody(
            code=code,
            severity=entry.severity,
            phase=entry.phase,  # type: ignore[arg-type]
            text=entry.text.format(**arguments),
            peer_id=peer.id if peer else None,
            peer=peer.config.name if peer else None,
            local=str(sa.local) if sa else str(pair.params.local) if pair else None,
            remote=str(sa.remote) if sa else str(pair.params.remote) if pair else str(at) if at else None,
            cookies=sa.name if sa else None,
            negotiation=sa.initiator_cookie.hex() if sa else None,
            spi_in=f"{pair.params.spi_in:08x}" if pair else None,
            spi_out=f"{pair.params.spi_out:08x}" if pair else None,
            selector_local=selector.local_text if selector else None,
            selector_remote=selector.remote_text if selector else None,
            side=entry.side if side is None else side,
            hint=hint or entry.here or None,
            evidence=evidence or {},
            difference=difference,
        )
        if sa is not None and sa.muted and event.severity in (Severity.INFO, Severity.DEBUG):
            self.counters["events withheld"] += 1
            return event
        self.events.append(event)
        self.trace.decided(self.now, event, sa, entry.advisory)
        failure = event.severity in (Severity.ERROR, Severity.WARNING) and not entry.advisory
        if peer and failure and not (_from_anybody(subject) and peer.current() is not None):
            self._remember(peer, event)
        return event

    def emit_fault(self, fault: Fault, *, sa: IsakmpSa | None = None, selector: Selector | None = None) -> None:
        """Queue the event of a fault, with its side, evidence and hint."""
        subject = _Subject(sa=sa, selector=selector)
        self._emit(fault.code, fault.arguments, subject, fault.side, fault.hint, fault.evidence, fault.difference)

    def quiet(self, code: str, subject: str, peer: Peer | None = None) -> bool:
        """True if this event about this subject was let through less than a minute ago.

        A flood of strangers fills the table, and is quiet then. Each ``peer`` with an address of its own has another,
        small one. Whoever forges that address can fill it, too; of each code one is let through a minute even then.
        """
        own = peer is not None and peer.config.fixed and not peer.decoy
        table = self._quiet_peers.setdefault(peer.id, {}) if peer is not None and own else self._quiet
        key = code, subject
        if table.get(key, -QUIET_S) + QUIET_S > self.now:
            return True
        # The oldest stand first: a flood of strangers must not make each of them cost a walk through all.
        for old in list(itertools.takewhile(lambda k: table[k] + QUIET_S <= self.now, table)):
            del table[old]
        if len(table) >= (MAX_QUIET_OF_PEER if own else MAX_QUIET) and not (
            own and all(said != code for said, _ in table)
        ):
            return True
        table[key] = self.now
        return False

    def forget_said(self, peer_id: str) -> None:
        """A peer goes: what was said of it need not be known any more."""
        self._quiet_peers.pop(peer_id, None)

    def forget_quiet(self) -> None:
        """Whoever has changed the configuration wants to hear the same news again."""
        self._quiet.clear()
        self._quiet_peers.clear()

    def _remember(self, peer: Peer, event: EventBody) -> None:
        peer = peer.parent or peer
        peer.last_failure = LastFailure(
            time=self.now, code=event.code, side=event.side.value, text=event.text, hint=event.hint or ""
        )
        peer.last_failure_at = self.now

    # Tables

    def add_sa(self, sa: IsakmpSa) -> None:
        """List an ISAKMP SA under its cookies; a responder cookie that is not known yet is zero."""
        self.sas[sa.cookies] = sa
        sa.peer.sas.append(sa)
        if sa.role is Role.RESPONDER:
            sa.begun_at = sa.remote.host
            self.responding[(sa.begun_at, sa.initiator_cookie)] = sa

    def remove_sa(self, sa: IsakmpSa) -> None:
        """Take an ISAKMP SA off the lists."""
        self.trace.ended(sa)
        self.sas.pop(sa.cookies, None)
        if self.responding.get((sa.begun_at, sa.initiator_cookie)) is sa:
            del self.responding[(sa.begun_at, sa.initiator_cookie)]
        if sa in sa.peer.sas:
            sa.peer.sas.remove(sa)

    def hand_over(self, sa: IsakmpSa, peer: Peer) -> None:
        """The SA belongs to another peer than was thought."""
        sa.peer.sas.remove(sa)
        sa.peer = peer
        peer.sas.append(sa)
        self.trace.handed_over(sa)

    def set_responder_cookie(self, sa: IsakmpSa, cookie: bytes) -> None:
        """The second message has told the responder's cookie."""
        self.sas.pop(sa.cookies, None)
        sa.responder_cookie = cookie
        self.sas[sa.cookies] = sa
