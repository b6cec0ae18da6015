"""The parameters of an IPsec SA pair, as negotiated (RFC 4301 section 4.4.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.contract.kernel import KERNEL_DEFAULT, KernelPolicy
from vpnengine.contract.outer import OUTER_DEFAULT, OuterPolicy
from vpnengine.contract.selectors import PROTOCOL_NAMES
from vpnengine.crypto.secret import Secret
from vpnengine.esp.spans import Network, Span, covers

__all__ = [
    "Address",
    "EspKeys",
    "EspTransform",
    "IpsecSaPair",
    "Network",
    "Selector",
    "Span",
]


class Address(NamedTuple):
    """One end of a UDP path; ``host`` is a numeric IPv4 or IPv6 address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}[{self.port}]"


class Selector(NamedTuple):
    """What an IPsec SA protects: local and remote addresses, and if so agreed one protocol and its ports.

    Protocol and ports are 0 for any (RFC 4301 section 4.4.1.1).
    """

    local: Span
    remote: Span
    protocol: int = 0
    local_port: int = 0
    remote_port: int = 0

    def covers(self, other: Selector) -> bool:
        """True if every packet of ``other`` is one of this selector's."""
        return (
            covers(self.local, other.local)
            and covers(self.remote, other.remote)
            and self.protocol in (0, other.protocol)
            and self.local_port in (0, other.local_port)
            and self.remote_port in (0, other.remote_port)
        )

    def mirrored(self) -> Selector:
        """The same as the other end sees it."""
        return Selector(self.remote, self.local, self.protocol, self.remote_port, self.local_port)

    @property
    def local_text(self) -> str:
        """The local end, such as ``10.1.0.0/24`` or ``10.1.0.0/24[tcp/22]``."""
        return f"{self.local}{_port(self.protocol, self.local_port)}"

    @property
    def remote_text(self) -> str:
        """The remote end likewise."""
        return f"{self.remote}{_port(self.protocol, self.remote_port)}"

    def __str__(self) -> str:
        return f"{self.local_text}={self.remote_text}"


def _port(protocol: int, port: int) -> str:
    if not protocol:
        return ""
    return f"[{PROTOCOL_NAMES.get(protocol, str(protocol))}{f'/{port}' if port else ''}]"


@dataclass(frozen=True)
class EspTransform:
    """Encryption and integrity of one SA; ``integrity`` is None for AEAD, ``esn`` means 64-bit sequence numbers.

    With ``protocol`` “ah” it is the authentication header (RFC 4302), and the encryption is null.
    """

    encryption: EspEncryption
    integrity: EspIntegrity | None
    esn: bool = False
    protocol: Literal["esp", "ah"] = "esp"


@dataclass(frozen=True)
class EspKeys:
    """Keys of one direction; for CTR, GCM and CCM ``encryption`` is the key plus its nonce or salt (RFC 3686, 4106)."""

    encryption: Secret
    integrity: Secret | None


@dataclass(frozen=True)
class IpsecSaPair:
    """An inbound and an outbound SA negotiated together.

    ``spi_in`` is ours (chosen by us, on packets that we receive), ``spi_out`` the peer's.
    ``local`` and ``remote`` are the outer ends; their ports matter when ``udp`` is True.
    Lifetimes are handled by the engine in time and by the data path in octets:
    ``soft_bytes``/``hard_bytes`` count inner octets per direction, None is no limit. ``outer`` and ``kernel``
    are the peer's. In transport mode ``original_remote`` and ``original_local`` are the addresses that the peer
    puts into its checksums, if a NAT is on the path (RFC 3947 section 5.2).
    """

    peer_id: str
    spi_in: int
    spi_out: int
    selector: Selector
    transform: EspTransform
    keys_in: EspKeys
    keys_out: EspKeys
    local: Address
    remote: Address
    udp: bool
    mode: Literal["tunnel", "transport"] = "tunnel"
    original_remote: str | None = None
    original_local: str | None = None
    replay_window: int = 64
    soft_bytes: int | None = None
    hard_bytes: int | None = None
    outer: OuterPolicy = OUTER_DEFAULT
    kernel: KernelPolicy = KERNEL_DEFAULT
