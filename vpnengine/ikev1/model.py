"""What the protocol remembers: peers, ISAKMP SAs, quick modes and IPsec SA pairs."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vpnengine.contract.algorithms import DhGroup
from vpnengine.contract.config import PeerConfig
from vpnengine.contract.policies import IkeProposal
from vpnengine.contract.remote_access import ConfigClient
from vpnengine.contract.selectors import SelectorConfig
from vpnengine.contract.status import LastFailure
from vpnengine.crypto.dh import KeyExchange
from vpnengine.crypto.names import DistinguishedName
from vpnengine.crypto.secret import Secret
from vpnengine.crypto.x509 import Certificate
from vpnengine.esp.sa import Address, IpsecSaPair, Selector
from vpnengine.esp.spans import parse_span
from vpnengine.ikev1.credentials import Credentials, load_credentials
from vpnengine.ikev1.interface import Transmit
from vpnengine.ikev1.keys import Phase1Keys
from vpnengine.ikev1.lifetimes import NOTHING, Life
from vpnengine.ikev1.natt import NO_NAT, NO_ORIGINALS, Nat, Originals, Version
from vpnengine.ikev1.states import Phase1, Quick, Role, Step
from vpnengine.ikev1.trace import Negotiation
from vpnengine.isakmp.configuration import Configuration, Item
from vpnengine.isakmp.constants import AUTH_PSK, Exchange
from vpnengine.isakmp.message import Header
from vpnengine.isakmp.payloads import Identification


@dataclass(frozen=True)
class Datagram:
    """What arrived, and on which path."""

    data: bytes
    header: Header
    local: Address
    remote: Address


@dataclass
class Pair:
    """An installed IPsec SA pair and its life; times are monotonic seconds.

    A ``replaced`` pair has a successor; it is ``surplus`` if both ends began that one at once.
    """

    params: IpsecSaPair
    role: Role
    created: float
    expires: float
    pfs: DhGroup | None
    offered: Life = NOTHING
    replaced: bool = False
    surplus: bool = False
    confirmed: bool = False
    last_in: float = 0.0
    rank: bytes = b""  # the lower one of its two nonces

    @property
    def kind(self) -> str:
        """Protocol and mode as the classical lines have them."""
        return f"{self.params.transform.protocol.upper()}/{self.params.mode.capitalize()}"

    @property
    def timer(self) -> tuple[str, int]:
        """The key of this pair's timers."""
        return ("pair", self.params.spi_in)


@dataclass
class QuickExchange:
    """One quick mode negotiation."""

    message_id: int
    role: Role
    state: Quick
    selector: Selector
    iv: bytes
    spi_in: int
    started: float
    nonce_i: bytes = b""
    nonce_r: bytes = b""
    key_exchange: KeyExchange | None = None
    sent_ids: tuple[bytes, bytes] = (b"", b"")
    offer: bytes = b""
    received: bytes = b""
    reply: Transmit | None = None
    resent: int = 0
    tries: int = 0
    spi_out: int = 0
    originals: Originals = NO_ORIGINALS
    commit: bool = False


@dataclass
class Transaction:
    """One transaction exchange."""

    message_id: int
    role: Role
    state: Step
    iv: bytes
    answered: Callable[[Configuration], None] | None = None
    received: bytes = b""
    reply: Transmit | None = None
    resent: int = 0
    tries: int = 0


@dataclass(frozen=True)
class Answer:
    """What a request or a set is answered with, and what follows when that is sent."""

    items: Sequence[Item]
    then: Callable[[], None] | None = None


@dataclass
class IsakmpSa:
    """One ISAKMP SA, from its first message on.

    ``peer_certificates`` is the validated path from the peer's certificate to a trusted one;
    empty if the peer proved itself otherwise, or has not yet. ``wanted_cas`` are the names of
    the CAs that it asks a certificate of.
    """

    peer: Peer
    role: Role
    state: Phase1
    initiator_cookie: bytes
    responder_cookie: bytes
    local: Address
    remote: Address
    created: float
    exchange: Exchange = Exchange.MAIN
    sa_body: bytes = b""
    proposal: IkeProposal | None = None
    method: int = AUTH_PSK
    life: Life = NOTHING
    offered: Life = NOTHING
    octets: int = 0
    warned: bool = False
    key_exchange: KeyExchange | None = None
    public_i: bytes = b""
    public_r: bytes = b""
    nonce_i: bytes = b""
    nonce_r: bytes = b""
    keys: Phase1Keys | None = None
    iv: bytes = b""
    nat: Nat = NO_NAT
    natt: Version | None = None
    peer_has_dpd: bool = False
    peer_has_fragmentation: bool = False
    peer_has_unity: bool = False
    fragment_id: int = 0
    vendors: list[str] = field(default_factory=list)
    own_id: Identification | None = None
    claimed_id: Identification | None = None
    claimed_body: bytes = b""
    local_identity: str = ""
    remote_identity: str = ""
    peer_certificates: tuple[Certificate, ...] = ()
    wanted_cas: list[DistinguishedName] = field(default_factory=list)
    established: float | None = None
    expires: float | None = None
    received: bytes = b""
    reply: Transmit | None = None
    resent: int = 0
    tries: int = 0
    quick: dict[int, QuickExchange] = field(default_factory=dict)
    used_ids: set[int] = field(default_factory=set)
    last_heard: float = 0.0
    dpd_sequence: int = 0
    dpd_since: float | None = None
    dpd_acknowledged: float | None = None
    dpd_received: int = -1
    suspect_psk: bool = False
    muted: bool = False  # begun by a first message of a flood: told of when the address has proven real
    refusal: str = ""
    replaced: bool = False
    begun_at: str = ""
    rejections: int = 0
    unconfirmed: bool = False
    repeated: int = 0  # how often the last message of aggressive mode was, without a complaint about it so far
    quick_from: float = 0.0
    early: Datagram | None = None
    user: str = ""
    xauth_rounds: int = 0
    granted: bool = False
    configured: bool = False
    first_contact: bool = False
    transactions: dict[int, Transaction] = field(default_factory=dict)
    negotiation: Negotiation | None = None  # its records in the trace

    @property
    def cookies(self) -> bytes:
        """CKY-I | CKY-R."""
        return self.initiator_cookie + self.responder_cookie

    @property
    def name(self) -> str:
        """The SA as events and administrators write it: 16 hex, colon, 16 hex."""
        return f"{self.initiator_cookie.hex()}:{self.responder_cookie.hex()}"

    @property
    def usable(self) -> bool:
        """True if new exchanges may use it."""
        return self.state is Phase1.ESTABLISHED


@dataclass
class Peer:
    """One configured peer and everything negotiated with it.

    ``hosts`` are its addresses by the names they were found under, ``local_hosts`` the addresses of
    this host that lead there; ``place`` is the name in use, among ``names``. A ``decoy`` stands for an
    unknown identity: it is negotiated with like a peer, under a secret that nobody has.

    ``clients`` are the clients of a row that gives addresses, by user or identity, or the gateways of
    one that names no address: each is a peer of its own with the row as ``parent``, and ``carried`` what
    it has had SAs for. ``assigned`` is the inner address of such a client, or
    our own if we are the client; ``seeking`` is True while we want one.
    """

    config: PeerConfig
    psk: Secret | None
    credentials: Credentials | None
    selectors: tuple[Selector, ...]
    wider: tuple[Selector, ...] = ()
    hosts: dict[str, str] = field(default_factory=dict)
    local_hosts: dict[str, str] = field(default_factory=dict)
    asking: set[str] = field(default_factory=set)
    place: int = 0
    decoy: bool = False
    parent: Peer | None = None
    who: str = ""
    user: str = ""
    carried: set[Selector] = field(default_factory=set)
    clients: dict[str, Peer] = field(default_factory=dict)
    assigned: ipaddress.IPv4Address | None = None
    seeking: bool = False
    stale: bool = False
    sas: list[IsakmpSa] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    wanted: dict[Selector, float] = field(default_factory=dict)
    cooling: dict[Selector, float] = field(default_factory=dict)
    failures: int = 0
    secret_doubted: bool = False  # the last answers were those of a peer with another secret
    fragment_drops: Counter[str] = field(default_factory=Counter)
    last_failure: LastFailure | None = None
    last_failure_at: float = 0.0

    @property
    def id(self) -> str:
        """The stable id of the configuration."""
        return self.config.id

    @property
    def names(self) -> tuple[str, ...]:
        """The hosts to try, in order; none if the peer may be anywhere."""
        return (self.config.remote, *self.config.alternates) if self.config.fixed else ()

    @property
    def name_in_use(self) -> str:
        """The host that is tried now."""
        return self.names[self.place] if self.names else ""

    @property
    def remote_host(self) -> str | None:
        """The address to begin with, if it is known."""
        return self.hosts.get(self.name_in_use)

    @property
    def local_host(self) -> str | None:
        """The address of this host that leads there."""
        return self.local_hosts.get(self.name_in_use)

    def current(self) -> IsakmpSa | None:
        """The newest established ISAKMP SA."""
        return next((sa for sa in reversed(self.sas) if sa.usable and not sa.replaced), None)

    def negotiating(self) -> IsakmpSa | None:
        """A phase 1 that we have begun and that is not established yet."""
        return next((sa for sa in self.sas if sa.role is Role.INITIATOR and sa.state is not Phase1.ESTABLISHED), None)

    @property
    def needs_address(self) -> bool:
        """True if we are the client and have no inner address yet."""
        return isinstance(self.config.mode_config, ConfigClient) and self.assigned is None

    def live_pair(self, selector: Selector) -> Pair | None:
        """The newest pair that carries a selector and is not being replaced."""
        return next((p for p in reversed(self.pairs) if p.params.selector.covers(selector) and not p.replaced), None)

    def accepts(self, selector: Selector) -> bool:
        """True if the peer may have this selector: it is configured, or wider within a limit that is."""
        if selector in self.selectors:
            return True
        if self.config.phase2.mode == "transport" and any(own.covers(selector) for own in self.selectors):
            return True
        allowed = any(limit.covers(selector) for limit in self.wider)
        return allowed and any(selector.covers(own) for own in self.selectors)


def make_selector(row: SelectorConfig) -> Selector:
    """A selector of the configuration as a value of the protocol."""
    spans = parse_span(row.local), parse_span(row.remote)
    return Selector(*spans, row.protocol, row.local_port, row.remote_port)


def make_peer(config: PeerConfig) -> Peer:
    """A peer without any SA.

    :raises Refused: if its certificates or its key cannot be used.
    """
    selectors = tuple(map(make_selector, config.protected()))
    wider = tuple(map(make_selector, config.accept_wider))
    psk = Secret(config.psk.get_secret_value().encode()) if config.psk else None
    return Peer(config, psk, load_credentials(config), selectors, wider)
