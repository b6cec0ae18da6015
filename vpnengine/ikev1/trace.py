"""The trace: what each negotiation said, how long it took, and why it stopped.

A negotiation is one ISAKMP SA with all exchanges under it, found by peer and initiator cookie. Records of messages
and events are cheap: they keep references, and words are made when somebody asks.

What is kept is bounded in three ways. A negotiation has rooms of its own for the handshake, for exchanges under it, for
decisions, and for what anybody could send: repeated and dropped messages. A peer has room for ``KEPT`` negotiations of
each ``Standing``, so that who only claims to be the peer pushes out nobody but the likes of him. And all peers together
have ``MAX_RECORDS``; those that prove least go first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from vpnengine.contract.events import EventBody, Severity
from vpnengine.esp.sa import Address, IpsecSaPair
from vpnengine.ikev1.interface import Transmit
from vpnengine.ikev1.kept import Kept, KeptMessage
from vpnengine.ikev1.states import Phase1, Role
from vpnengine.isakmp.constants import Exchange, PayloadType, exchange_name
from vpnengine.isakmp.message import Header

if TYPE_CHECKING:
    from vpnengine.ikev1.model import IsakmpSa, Peer

KEPT = 8
MAX_RECORDS = 60_000
MAX_STRANGERS = 256
MAX_DETAIL = 256
MAX_KEPT_OCTETS = 16 * 1024 * 1024
NO_ADDRESS = Address("", 0)
_PHASE1 = (Exchange.MAIN, Exchange.AGGRESSIVE)
_PROGRESS = {"sent", "received", "refused"}
_ANYBODY = ""  # the owner of what is nobody's: unknown identities in aggressive mode


class Standing(IntEnum):
    """What is known of the other end of a negotiation."""

    CLAIMED = 0  # one message with a sender's address that may be forged
    REAL = 1  # its address has answered
    TRUSTED = 2  # it has proven itself, or we have begun


class Room(IntEnum):
    """The part of a negotiation that a record is kept in, and with ``_MOST`` how many it holds."""

    HANDSHAKE = 0
    EXCHANGES = 1
    DECISIONS = 2
    LOOSE = 3


_MOST = {Room.HANDSHAKE: 48, Room.EXCHANGES: 96, Room.DECISIONS: 48, Room.LOOSE: 32}


@dataclass(slots=True, eq=False)
class TraceRecord:
    """One message and what was done with it, or one event.

    ``what`` is a ``contract.trace.Fate``; ``message`` its place in the exchange, such as ``main 3``, or the event's
    code. ``tries`` counts how often it had been sent before.
    """

    order: int
    at: float
    what: str
    message: str
    size: int = 0
    local: Address = NO_ADDRESS
    remote: Address = NO_ADDRESS
    exchange: int = 0
    message_id: int = 0
    encrypted: bool = False
    kinds: tuple[int, ...] = ()
    tries: int = 0
    detail: str = ""


def _rooms() -> tuple[list[TraceRecord], ...]:
    return ([], [], [], [])


@dataclass(slots=True, eq=False)
class Negotiation:
    """The records of one ISAKMP SA. ``gone`` when they have been pushed out."""

    peer_id: str
    initiator_cookie: bytes
    role: Role
    exchange: int
    began: float
    responder_cookie: bytes = bytes(8)
    standing: Standing = Standing.CLAIMED
    rooms: tuple[list[TraceRecord], ...] = field(default_factory=_rooms)
    left_out: int = 0
    established: bool = False
    ended: bool = False
    code: str | None = None
    hint: str | None = None
    failed: bool = False
    gone: bool = False
    kept: Kept | None = None

    @property
    def count(self) -> int:
        """How many records there are."""
        return sum(map(len, self.rooms))

    def records(self) -> list[TraceRecord]:
        """All of them, in order."""
        return sorted((record for room in self.rooms for record in room), key=lambda record: record.order)


class Trace:
    """The records of all peers. The messages of one datagram are gathered in one record until it is dealt with."""

    def __init__(self, keeping: bool = False) -> None:
        self.keeping = keeping
        self.total = 0
        self._octets = 0
        self._came: KeptMessage | None = None
        self.strangers: deque[TraceRecord] = deque(maxlen=MAX_STRANGERS)
        self._order = 0
        self._peers: dict[str, tuple[list[Negotiation], ...]] = {}
        self._by_standing: tuple[dict[Negotiation, None], ...] = ({}, {}, {})
        self._current: TraceRecord | None = None
        self._subject: Negotiation | None = None

    # The datagram at hand

    def arrived(self, at: float, header: Header, local: Address, remote: Address, detail: str = "") -> None:
        """A message is looked at from now on; the one before is done with."""
        self.settle()
        self._order += 1
        self._current = TraceRecord(
            self._order, at, "received", exchange_name(header.exchange), header.length, local, remote, header.exchange,
            header.message_id, header.encrypted, (), 0, detail,
        )  # fmt: skip

    def settle(self) -> None:
        """The message at hand is done with: put its record where it belongs."""
        self._keep_came()
        record, subject = self._current, self._subject
        self._current = self._subject = self._came = None
        if record is None:
            return
        if subject is None:
            self.strangers.append(record)
        else:
            self._file(subject, record)

    def belongs(self, sa: IsakmpSa) -> None:
        """The message at hand is one of this SA's."""
        if self._current is not None:
            self._subject = self.of(sa)

    def claims(self, peer: Peer, header: Header, at: float) -> None:
        """The message at hand comes from a peer's address, and there is no SA for it."""
        if self._current is not None:
            role, cookie = Role.RESPONDER, header.initiator_cookie
            found = self._find(peer.id, cookie, role)
            if found is None:
                found = self._open(peer.id, cookie, role, header.exchange, at)
                found.ended = True  # there is no SA, and will be none
            self._subject = found

    def is_step(self, message: str, kinds: Iterable[int] = ()) -> None:
        """The message at hand has this place in its exchange, and these payloads."""
        if self._current is not None:
            self._current.message = message
            self._current.kinds = tuple(kinds)

    def became(self, what: str, detail: str = "") -> None:
        """The message at hand was held or refused, or is a fragment."""
        if self._current is not None:
            self._current.what, self._current.detail = what, detail[:MAX_DETAIL]

    def repeated(self, answer: Transmit | None, tries: int) -> None:
        """The message at hand has come ``tries`` times before; ``answer`` is what we have answered it with."""
        if self._current is None:
            return
        self._current.what, self._current.tries = "repeated", tries
        exchange, _, number = answer.what.rpartition(" ") if answer is not None else ("", "", "")
        if number.isdecimal():
            self._current.message = f"{exchange} {int(number) - 1}"

    def dropped(self, at: float, reason: str, message: str, size: int, remote: Address) -> None:
        """A message changes nothing. The rule that an encrypted one breaks is not said, as it may tell contents."""
        record = self._current
        if record is None:
            self._order += 1
            self.strangers.append(TraceRecord(self._order, at, "dropped", message, size, remote=remote, detail=reason))
            return
        hidden = record.encrypted and reason == "malformed"
        known = message == record.message or message.startswith(f"{record.message} ")
        record.what = "dropped"
        record.detail = (reason if hidden or known else f"{reason}: {message}")[:MAX_DETAIL]

    # What we do

    def sent(self, at: float, sa: IsakmpSa, datagram: bytes, message: str, kinds: tuple[int, ...], detail: str) -> None:
        """A message of ours goes out."""
        self._out(at, sa, datagram, "sent", message, kinds, 0, detail)

    def resent(self, at: float, sa: IsakmpSa, transmit: Transmit, tries: int) -> None:
        """A message of ours goes out once more."""
        self._out(at, sa, transmit.payload, "resent", transmit.what, (), tries, "")

    def _out(
        self, at: float, sa: IsakmpSa, datagram: bytes, what: str, message: str, kinds: tuple[int, ...], tries: int,
        detail: str,
    ) -> None:  # fmt: skip
        self._order += 1
        number = int.from_bytes(datagram[20:24], "big")
        record = TraceRecord(
            self._order, at, what, message, len(datagram), sa.local, sa.remote, datagram[18], number,
            bool(datagram[19] & 1), kinds, tries, detail,
        )  # fmt: skip
        self._file(self.of(sa), record)

    def decided(self, at: float, event: EventBody, sa: IsakmpSa | None, advisory: bool) -> None:
        """An event is about an SA, or about the message at hand."""
        negotiation = self.of(sa) if sa is not None else self._subject
        if negotiation is None or event.severity is Severity.DEBUG:
            return
        self._order += 1
        self._file(negotiation, TraceRecord(self._order, at, "event", event.code, detail=event.text[:MAX_DETAIL]))
        if event.severity in (Severity.ERROR, Severity.WARNING) and not advisory:
            negotiation.code, negotiation.hint = event.code, event.hint
            negotiation.failed |= event.severity is Severity.ERROR and not negotiation.established
        if event.code == "ike.phase1.established":
            negotiation.established, negotiation.failed = True, False
            negotiation.code = negotiation.hint = None

    # Whole messages, if the owner wants them

    def keep_arrived(self, at: float, datagram: bytes, local: Address, remote: Address) -> None:
        """The datagram at hand, if it turns out to belong to a negotiation."""
        if self.keeping:
            self._came = KeptMessage(at, remote, local, datagram)

    def keep_sent(self, at: float, sa: IsakmpSa, transmit: Transmit) -> None:
        """What has gone out, and the key of the SA's encrypted messages as soon as there is one."""
        if not self.keeping:
            return
        self._keep_came()  # in the order of the wire: an answer comes after what it answers
        negotiation = self.of(sa)
        for piece in transmit.pieces:
            self._keep(negotiation, KeptMessage(at, transmit.local, transmit.remote, piece))
        if negotiation.kept is not None and sa.keys is not None:
            negotiation.kept.cipher = sa.keys.cipher

    def keep_pair(self, sa: IsakmpSa, pair: IpsecSaPair) -> None:
        """The keys of IPsec SAs."""
        if self.keeping:
            negotiation = self.of(sa)
            negotiation.kept = negotiation.kept or Kept()
            negotiation.kept.add_pair(pair)

    def _keep_came(self) -> None:
        came, self._came = self._came, None
        if came is not None and self._subject is not None:
            self._keep(self._subject, came)
        else:
            self._came = came

    def _keep(self, negotiation: Negotiation, message: KeptMessage) -> None:
        if negotiation.gone:
            return
        negotiation.kept = negotiation.kept or Kept()
        self._octets += negotiation.kept.add(message)
        while self._octets > MAX_KEPT_OCTETS:
            self._forget(next(one for group in self._by_standing for one in group))

    # Negotiations

    def of(self, sa: IsakmpSa) -> Negotiation:
        """The negotiation of an SA; a new one, if that has been pushed out."""
        found = sa.negotiation
        if found is None or found.gone:
            owner = _ANYBODY if sa.peer.decoy else sa.peer.id
            found = self._find(owner, sa.initiator_cookie, sa.role) or self._open(
                owner, sa.initiator_cookie, sa.role, sa.exchange, sa.created
            )
            sa.negotiation, found.ended = found, False
            self.raise_(sa)
        found.responder_cookie = sa.responder_cookie
        return found

    def raise_(self, sa: IsakmpSa) -> None:
        """What is known of the other end may have grown."""
        found = sa.negotiation
        if found is None or found.gone:
            return
        if sa.role is Role.INITIATOR or sa.state in (Phase1.ESTABLISHED, Phase1.XAUTH):
            standing = Standing.TRUSTED
        else:
            standing = Standing.REAL if sa.state is Phase1.MM4_SENT else Standing.CLAIMED
        if standing > found.standing:
            self._take_out(found)
            found.standing = standing
            self._put_in(found)

    def handed_over(self, sa: IsakmpSa) -> None:
        """The SA is another peer's than was thought."""
        found = sa.negotiation
        if found is not None and not found.gone:
            self._take_out(found)
            found.peer_id = sa.peer.id
            self._put_in(found)

    def ended(self, sa: IsakmpSa) -> None:
        """The SA is forgotten; its records stay."""
        if sa.negotiation is not None:
            sa.negotiation.ended = True

    def negotiations(self, peer_id: str) -> list[Negotiation]:
        """Those of one peer, the oldest first."""
        found = [one for group in self._peers.get(peer_id, ()) for one in group]
        return sorted(found, key=lambda one: one.began)

    def everything(self) -> list[TraceRecord]:
        """Every record of every peer and of strangers, in order."""
        found = list(self.strangers)
        for group in self._by_standing:
            for negotiation in group:
                found += negotiation.records()
        return sorted(found, key=lambda record: record.order)

    def _find(self, peer_id: str, cookie: bytes, role: Role) -> Negotiation | None:
        groups = self._peers.get(peer_id, ())
        found = (one for group in groups for one in group if one.initiator_cookie == cookie and one.role is role)
        return next(found, None)

    def _open(self, peer_id: str, cookie: bytes, role: Role, exchange: int, at: float) -> Negotiation:
        negotiation = Negotiation(peer_id, cookie, role, exchange, at)
        self._put_in(negotiation)
        return negotiation

    def _put_in(self, negotiation: Negotiation) -> None:
        group = self._peers.setdefault(negotiation.peer_id, ([], [], []))[negotiation.standing]
        group.append(negotiation)
        self._by_standing[negotiation.standing][negotiation] = None
        self.total += negotiation.count
        if len(group) > KEPT:
            self._forget(group[0])

    def _take_out(self, negotiation: Negotiation) -> None:
        groups = self._peers[negotiation.peer_id]
        groups[negotiation.standing].remove(negotiation)
        if not any(groups):
            del self._peers[negotiation.peer_id]
        del self._by_standing[negotiation.standing][negotiation]
        self.total -= negotiation.count

    def _forget(self, negotiation: Negotiation) -> None:
        self._take_out(negotiation)
        negotiation.gone = True
        if negotiation.kept is not None:
            self._octets -= negotiation.kept.octets
            negotiation.kept = None

    def _file(self, negotiation: Negotiation, record: TraceRecord) -> None:
        """Put a record into its room. The handshake keeps its first records, the other rooms their last."""
        kind = _room(record)
        room = negotiation.rooms[kind]
        if len(room) < _MOST[kind]:
            room.append(record)
            if not negotiation.gone:
                self.total += 1
        else:
            negotiation.left_out += 1
            if kind is not Room.HANDSHAKE:
                del room[0]
                room.append(record)
        while self.total > MAX_RECORDS:
            self._forget(next(one for group in self._by_standing for one in group))


def _room(record: TraceRecord) -> Room:
    if record.what == "event":
        return Room.DECISIONS
    if record.what not in _PROGRESS and record.what != "resent":
        return Room.LOOSE
    if record.exchange in _PHASE1:
        return Room.HANDSHAKE
    return Room.LOOSE if record.exchange == Exchange.INFORMATIONAL else Room.EXCHANGES


def kind_name(kind: int) -> str:
    """The name of a payload's type, such as NAT-D; its number if it has none."""
    try:
        return PayloadType(kind).name.removesuffix("_DRAFT").replace("_", "-")
    except ValueError:
        return str(kind)


def last_step(negotiation: Negotiation) -> str:
    """The last message of phase 1 that was sent, or taken and found good."""
    good = [record for record in negotiation.rooms[Room.HANDSHAKE] if record.what in ("sent", "received")]
    return max(good, key=lambda record: record.order).message if good else ""
