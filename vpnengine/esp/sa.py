"""The parameters of an IPsec SA pair, as negotiated (RFC 4301 section 4.4.2.1)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vpnengine.contract.algorithms import EspEncryption, EspIntegrity
from vpnengine.crypto.secret import Secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Address(NamedTuple):
    """One end of a UDP path; ``host`` is a numeric IPv4 or IPv6 address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}[{self.port}]"


class Selector(NamedTuple):
    """The (local subnet, remote subnet) pair that an IPsec SA protects."""

    local: Network
    remote: Network

    def __str__(self) -> str:
        return f"{self.local}={self.remote}"


@dataclass(frozen=True)
class EspTransform:
    """Encryption and integrity of one SA; ``integrity`` is None for AEAD, ``esn`` means 64-bit sequence numbers."""

    encryption: EspEncryption
    integrity: EspIntegrity | None
    esn: bool = False


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
    ``soft_bytes``/``hard_bytes`` count inner octets per direction, None is no limit.
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
    mode: Literal["tunnel"] = "tunnel"
    replay_window: int = 64
    soft_bytes: int | None = None
    hard_bytes: int | None = None
