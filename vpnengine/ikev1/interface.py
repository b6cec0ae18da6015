"""What the protocol core takes and gives.

The shell around an ``IkeEndpoint`` calls ``receive``, ``command`` or ``handle_timer``,
then drains ``transmits``, ``effects`` and ``events`` and arms one timer for ``next_timer``.
``now`` is always monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vpnengine.contract.config import EngineConfig, PeerConfig
from vpnengine.esp.sa import Address, IpsecSaPair, Selector


@dataclass(frozen=True)
class Transmit:
    """One ISAKMP message to send; the shell puts the non-ESP marker before it on the NAT-T port.

    ``pieces`` are the fragments that stand for ``payload`` when it is queued; the shell only sees the pieces.
    ``what`` names the message for people, such as ``main 3``.
    """

    payload: bytes
    local: Address
    remote: Address
    pieces: tuple[bytes, ...] = ()
    what: str = ""


@dataclass(frozen=True)
class InstallSa:
    """Install this pair in the data path.

    With ``outbound`` False it only receives: the responder of a quick mode must be ready for
    the peer's packets before it may send any itself. The same pair follows with True.
    """

    pair: IpsecSaPair
    outbound: bool = True


@dataclass(frozen=True)
class RemoveSa:
    """Remove the pair with this inbound SPI."""

    spi_in: int


@dataclass(frozen=True)
class MoveSa:
    """The peer of this pair is reached at another address from now on."""

    spi_in: int
    remote: Address


@dataclass(frozen=True)
class Resolve:
    """The core wants the address of a peer's host: answer with ``Resolved`` or ``Unresolved``."""

    peer_id: str
    host: str


@dataclass(frozen=True)
class PoliciesChanged:
    """Selectors or inner addresses that mode config has assigned have changed: ask the endpoint for them."""


Effect = InstallSa | RemoveSa | MoveSa | Resolve | PoliciesChanged


@dataclass(frozen=True)
class Changes:
    """What differs from the configuration before: ids of peers that go, and rows of others by their ids."""

    removed: tuple[str, ...]
    changed: Mapping[str, PeerConfig]
    added: Mapping[str, PeerConfig]


@dataclass(frozen=True)
class Configure:
    """Make ``config`` effective: new peers are added, missing ones torn down, equal ones left alone.

    ``changes`` is for a caller that has compared all peers already; of the peers then only those of it count.
    """

    config: EngineConfig
    changes: Changes | None = None


@dataclass(frozen=True)
class Resolved:
    """A present outer address of a peer, and the local address that the routing table gives for it.

    ``name`` is the host that was asked for; empty means the peer's ``remote``.
    """

    peer_id: str
    remote_host: str
    local_host: str
    name: str = ""


@dataclass(frozen=True)
class Unresolved:
    """A peer's host has no address, or no route leads to it; ``reason`` is a sentence."""

    peer_id: str
    reason: str
    name: str = ""


@dataclass(frozen=True)
class Acquire:
    """Traffic wants this selector."""

    peer_id: str
    selector: Selector


@dataclass(frozen=True)
class InitiatePeer:
    """Bring a peer's selectors up: all of them, or one."""

    peer_id: str
    selector: Selector | None = None


@dataclass(frozen=True)
class TerminatePeer:
    """Delete a peer's SAs, telling the peer."""

    peer_id: str


@dataclass(frozen=True)
class RekeyPeer:
    """Replace phase 1 (1) or all IPsec SA pairs (2) of a peer now."""

    peer_id: str
    phase: int


@dataclass(frozen=True)
class SoftExpired:
    """The data path says that a pair should be replaced soon."""

    spi_in: int


@dataclass(frozen=True)
class HardExpired:
    """The data path says that a pair carries nothing more."""

    spi_in: int


@dataclass(frozen=True)
class PeerMoved:
    """An authenticated ESP packet came from another address."""

    spi_in: int
    remote: Address


@dataclass(frozen=True)
class Traffic:
    """When the data path last received on a pair, for dead peer detection."""

    last_in: dict[int, float]


@dataclass(frozen=True)
class Shutdown:
    """Tell every peer that all SAs go away."""


@dataclass(frozen=True)
class Slept:
    """This machine, or this process, has stood still: peers may have given us up meanwhile."""


Command = (
    Configure
    | Slept
    | Resolved
    | Unresolved
    | Acquire
    | InitiatePeer
    | TerminatePeer
    | RekeyPeer
    | SoftExpired
    | HardExpired
    | PeerMoved
    | Traffic
    | Shutdown
)


@dataclass(frozen=True)
class Pursuit:
    """What is being tried for a peer: its wanted selectors, an inner address, and by which phase 1 of ours.

    ``negotiations`` are the initiator cookies, in hex as in events, of phase 1s without which nothing comes up;
    a rekeying is none.
    """

    selectors: frozenset[Selector]
    seeking: bool
    negotiations: frozenset[str]


class UnknownPeer(LookupError):
    """A command names a peer that is not configured."""
