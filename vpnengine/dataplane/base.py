"""The interface between the engine and whatever carries its packets.

A data path takes the NAT-T sockets, keeps the ESP packets among what arrives there and
hands the rest (IKE behind the non-ESP marker, RFC 3948 section 2.2) up through
``Upcalls.ike``. It installs routes for the policies it is given, so that matching
packets reach it.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from vpnengine.contract.kernel import KERNEL_DEFAULT, KernelPolicy
from vpnengine.esp.sa import Address, IpsecSaPair, Selector

SLICE_S = 0.01  # how long one socket is read before the others get their turn


class DataPlaneError(Exception):
    """The host refuses what the data path needs; the text says what and how to mend it."""


@dataclass(frozen=True)
class Capabilities:
    """What a data path can carry. Without ``raw_esp`` the engine forces UDP encapsulation.

    A peer that is configured for what is not here (``transport`` mode, ``ah``, ``interfaces`` of xfrm, ``marks``) is
    left out.
    """

    name: str
    raw_esp: bool
    transport: bool = False
    ah: bool = False
    interfaces: bool = False
    marks: bool = False


@dataclass(frozen=True)
class Policy:
    """A selector of a configured peer; traffic that matches and has no SA raises an acquire.

    ``acquire`` False (responder only) counts and drops such traffic instead. In transport ``mode`` packets keep the
    way that they have without protection.
    """

    peer_id: str
    selector: Selector
    acquire: bool
    mode: Literal["tunnel", "transport"] = "tunnel"
    kernel: KernelPolicy = KERNEL_DEFAULT


@dataclass(frozen=True)
class SaCounters:
    """Counters of one SA pair; octets are of inner packets, times are the engine's monotonic seconds."""

    bytes_in: int = 0
    bytes_out: int = 0
    packets_in: int = 0
    packets_out: int = 0
    replayed: int = 0
    failed: int = 0
    last_in: float | None = None
    last_out: float | None = None


class Upcalls(Protocol):
    """What a data path tells the engine. Called on the event loop's thread."""

    def ike(self, datagram: bytes, local: Address, remote: Address) -> None:
        """An ISAKMP message (marker removed) arrived on a NAT-T socket."""

    def acquire(self, peer_id: str, selector: Selector) -> None:
        """A packet matches a policy that has no SA. Repeated at most once a second per selector."""

    def soft_expired(self, spi_in: int) -> None:
        """An SA pair has passed its soft octet limit, or its sequence numbers run out soon."""

    def hard_expired(self, spi_in: int) -> None:
        """An SA pair has passed its hard octet limit and carries nothing more."""

    def moved(self, spi_in: int, remote: Address) -> None:
        """An authenticated ESP packet came from a new address: the peer's NAT was rebound."""

    def restarted(self, part: str, count: int) -> None:
        """A part of the data path failed and was started again, as often as ``count`` since the start."""


class DataPlane(ABC):
    """One way to carry packets. All calls are made on the event loop's thread."""

    capabilities: Capabilities
    passed_over: tuple[str, ...] = ()
    """Why none of the data paths that ``select`` would rather have taken is used, as sentences."""

    def exempt(self, sock: socket.socket) -> None:  # noqa: B027 - a data path behind routes knows them by their mark
        """Packets of this IKE socket never enter a tunnel. Called for those that ``open`` does not take.

        :raises DataPlaneError: with a sentence for the administrator.
        """

    @abstractmethod
    async def open(self, natt_sockets: Iterable[socket.socket], upcalls: Upcalls) -> None:
        """Take over the reading of the NAT-T sockets and make the devices.

        :raises DataPlaneError: with a sentence for the administrator.
        """

    def ending(self) -> None:  # noqa: B027 - most remove what they are told
        """``close`` follows at once: what is removed until then need not be removed one by one."""

    @abstractmethod
    async def close(self) -> None:
        """Remove devices, routes and rules that this data path made. Idempotent."""

    def prepare(self, policies: tuple[Policy, ...]) -> None:  # noqa: B027 - most have nothing that takes long
        """``set_policies`` will follow with this very tuple: work out on this other thread what takes long.

        Nothing becomes effective by it, and perhaps something else follows.
        """

    @abstractmethod
    def set_policies(self, policies: Iterable[Policy]) -> None:
        """Make exactly these policies effective; unchanged ones are not touched."""

    @abstractmethod
    def set_addresses(self, addresses: Iterable[str]) -> None:
        """This host has exactly these inner addresses, which peers have assigned to it; called before the policies."""

    async def settled(self) -> None:  # noqa: B027 - a data path without routes has nothing to wait for
        """Return when what ``set_policies`` asked for is effective, or cannot be: see ``conditions``."""

    def conditions(self) -> tuple[str, ...]:
        """What is wrong with the data path at present, as sentences for the administrator."""
        return ()

    def reserve_spi(self, local: str, remote: str, ah: bool) -> int | None:
        """An inbound SPI that nobody on this host uses, for a pair between these hosts that may follow.

        None leaves the choice to the engine.
        """
        return None

    @abstractmethod
    def install(self, pair: IpsecSaPair, outbound: bool = True) -> None:
        """Install both directions. Outbound traffic of the selector moves to the newest pair.

        Older pairs of the same selector go on receiving until removed. With ``outbound`` False
        the pair only receives and outbound traffic stays where it is, until the same pair is
        installed again with True.
        """

    @abstractmethod
    def remove(self, spi_in: int) -> None:
        """Remove a pair; outbound traffic falls back to the next newest. Unknown SPIs are ignored."""

    @abstractmethod
    def update_remote(self, spi_in: int, remote: Address) -> None:
        """Send to another outer address from now on."""

    @abstractmethod
    def counters(self) -> dict[int, SaCounters]:
        """Counters by inbound SPI."""

    @abstractmethod
    def drops(self) -> dict[str, int]:
        """Dropped packets by reason."""
