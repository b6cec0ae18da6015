"""Fragments of ISAKMP messages, as Cisco, strongSwan and Windows exchange them (vendor id FRAGMENTATION, payload 132).

A message that would not fit the path is cut above UDP, because firewalls drop IP fragments. Nothing here is
authenticated, so everything is bounded: who may leave fragments, how many, how large and how long.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, field

from vpnengine.contract.config import PeerConfig
from vpnengine.esp.sa import Address
from vpnengine.isakmp.constants import HEADER_LENGTH, VERSION_1_0, Exchange, Flag
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, build_payloads, parse_payloads
from vpnengine.isakmp.payloads import Fragment

PATH_MTU = 1280  # every IPv6 path carries it (RFC 8200 section 5), and so do tunnels on the way
FORCED_MTU = 576  # what every IPv4 host takes (RFC 791)
MAX_FRAGMENTS = 64
MAX_OCTETS = 65_535
MAX_AGE_S = 30.0
MAX_PARTIAL_PER_HOST = 4
MAX_PARTIAL = 256
_UDP_AND_MARKER = 8 + 4
_FRAGMENT_HEADERS = HEADER_LENGTH + 8
_LARGEST_NUMBER = 255


def limit(config: PeerConfig, announced: bool, remote_host: str) -> int:
    """The largest ISAKMP message in octets that is sent to this peer in one piece; 0 is any."""
    if config.fragmentation == "off" or not (announced or config.fragmentation == "force"):
        return 0
    mtu = config.fragment_size or (FORCED_MTU if config.fragmentation == "force" else PATH_MTU)
    header = 20 if ipaddress.ip_address(remote_host).version == 4 else 40
    return mtu - header - _UDP_AND_MARKER


def split(message: bytes, most: int, ident: int, exchange: Exchange) -> list[bytes]:
    """The message in datagrams of at most ``most`` octets; itself, if it fits or cannot be numbered.

    A fragment stands in the clear with message id 0 under the exchange of phase 1, whatever is inside.
    """
    room = most - _FRAGMENT_HEADERS
    if not most or len(message) <= most or len(message) > room * _LARGEST_NUMBER:
        return [message]
    count = -(-len(message) // room)
    cookies = message[:8], message[8:16]
    found = []
    for index in range(count):
        piece = Fragment(ident, index + 1, index + 1 == count, message[index * room : (index + 1) * room])
        first, body = build_payloads([piece])
        found.append(Header(*cookies, first, VERSION_1_0, exchange, Flag.NONE, 0).build(body))
    return found


@dataclass
class _Partial:
    """A message of which some fragments are here."""

    since: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    octets: int = 0
    last: int | None = None

    @property
    def whole(self) -> bool:
        """True if nothing is missing. Numbers are unique and at most ``last``, so counting is enough."""
        return self.last is not None and len(self.pieces) == self.last

    def missing(self) -> str:
        """Which fragments have not come, for people."""
        top = self.last or max(self.pieces, default=0)
        gaps = [str(number) for number in range(1, top + 1) if number not in self.pieces]
        return ", ".join(gaps[:8]) or "the last"


class Rejected(Exception):
    """A fragment is dropped; ``reason`` is short and fixed, for counters, ``detail`` is for the trace."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


_Key = tuple[str, bytes, int]


class Reassembly:
    """The partial messages of all peers."""

    def __init__(self) -> None:
        self._partial: dict[_Key, _Partial] = {}
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._partial)

    def add(self, header: Header, datagram: bytes, remote: Address, now: float) -> bytes | None:
        """Take one fragment. Returns the whole message when its last missing fragment has come.

        A fragment that comes again is fine. One with other octets under a number that is taken replaces it:
        some gateways give every message the same id, and then the newer message is the one that matters.

        :raises Rejected: if it breaks a rule or a bound; what it belonged to is forgotten if it cannot be whole.
        """
        piece = _parse(header, datagram)
        self.expire(now)
        key = (remote.host, header.initiator_cookie + header.responder_cookie, piece.id)
        partial = self._partial.get(key) or self._begin(key, now)
        try:
            _insert(partial, piece)
        except Rejected:
            del self._partial[key]
            raise
        if not partial.whole:
            return None
        del self._partial[key]
        message = b"".join(partial.pieces[number] for number in range(1, len(partial.pieces) + 1))
        _check_whole(message, header)
        self.counts["reassembled"] += 1
        return message

    def _begin(self, key: _Key, now: float) -> _Partial:
        """A new partial message; the oldest of the same host, or of all, makes room."""
        same = [other for other in self._partial if other[0] == key[0]]
        if len(same) >= MAX_PARTIAL_PER_HOST:
            self._give_up(same[0])
        elif len(self._partial) >= MAX_PARTIAL:
            self._give_up(next(iter(self._partial)))
        partial = self._partial[key] = _Partial(now)
        return partial

    def _give_up(self, key: _Key) -> None:
        del self._partial[key]
        self.counts["incomplete"] += 1

    def expire(self, now: float) -> None:
        """Forget what has waited too long. Insertion order is the order of age."""
        while self._partial:
            key = next(iter(self._partial))
            if self._partial[key].since + MAX_AGE_S > now:
                return
            self._give_up(key)

    def waiting(self, host: str) -> str | None:
        """What is missing from this host, in words; None if nothing is."""
        found = [partial for key, partial in self._partial.items() if key[0] == host]
        if not found:
            return None
        newest = found[-1]
        of = f" of {newest.last}" if newest.last else ""
        return f"{len(newest.pieces)}{of} received, missing: {newest.missing()}"


def _parse(header: Header, datagram: bytes) -> Fragment:
    """The one fragment of a datagram. Some set the encryption flag on it, but it is in the clear."""
    try:
        return parse_payloads(header.next_payload, datagram[HEADER_LENGTH:]).only(Fragment, "FRAGMENT")
    except DecodeError as error:
        raise Rejected("malformed fragment", str(error)) from None


def _insert(partial: _Partial, piece: Fragment) -> None:
    if piece.number > MAX_FRAGMENTS:
        raise Rejected("fragment number too large")
    last = piece.number if piece.last else partial.last
    if last is not None and max(piece.number, *partial.pieces, 1) > last:
        raise Rejected("fragments after the last")
    if piece.last and partial.last not in (None, piece.number):
        raise Rejected("two last fragments")
    octets = partial.octets + len(piece.data) - len(partial.pieces.get(piece.number, b""))
    if octets > MAX_OCTETS:
        raise Rejected("fragmented message too large")
    partial.pieces[piece.number] = piece.data
    partial.octets, partial.last = octets, last


def _check_whole(message: bytes, fragment: Header) -> None:
    """What was put together is a message of the same SA, and not fragments once more."""
    try:
        header = Header.parse(message)
    except DecodeError as error:
        raise Rejected("fragments make no message", str(error)) from None
    if message[:16] != fragment.initiator_cookie + fragment.responder_cookie:
        raise Rejected("reassembled message of another SA")
    if header.next_payload == Fragment.kind:
        raise Rejected("fragments within fragments")
