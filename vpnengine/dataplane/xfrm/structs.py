"""The structures of linux/xfrm.h that we send and receive, as octets in the host's byte order.

Addresses, SPIs and ports are in network byte order inside them. Sizes in octets are those of 64-bit hosts.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import NamedTuple

from vpnengine.esp.spans import Network

INFINITE = 0xFFFFFFFFFFFFFFFF
ESP, AH = 50, 51
TRANSPORT, TUNNEL = 0, 1
ALL_ALGORITHMS = 0xFFFFFFFF
NO_ADDRESS = bytes(16)

_SELECTOR = struct.Struct("=16s16s2H2HHBBB3xiI")
_ID = struct.Struct("=16s4sB3x")
_LIFETIME = struct.Struct("=8Q")
_SA_TAIL = struct.Struct("=12sIIHBBB7x")
_POLICY_TAIL = struct.Struct("=IIBBBB4x")
_POLICY_ID_TAIL = struct.Struct("=IB3x")
_TEMPLATE = struct.Struct("=24sH2x16sIBBBxIII")
_SA_ID = struct.Struct("=16s4sHBx")
_ENCAP = struct.Struct("=H2s2s2x16s")
_ALGORITHM = struct.Struct("=64sI")
_ALGORITHM_CUT = struct.Struct("=64sII")
_REPLAY_ESN = struct.Struct("=6I")
_AEVENT = struct.Struct("=24s16sII")

SELECTOR_SIZE, SA_SIZE, POLICY_SIZE, TEMPLATE_SIZE = 56, 224, 168, 64
UNUSED_LIFE = bytes(32)


def address(host: str) -> bytes:
    """``xfrm_address_t``: an IPv4 address stands in its first four octets."""
    return ipaddress.ip_address(host).packed.ljust(16, b"\0")


def host(octets: bytes, family: int) -> str:
    """The other way round."""
    return socket.inet_ntop(family, octets[: 4 if family == socket.AF_INET else 16])


def family_of(host_or_network: str | Network) -> int:
    """The address family of a numeric address or a network."""
    if isinstance(host_or_network, str):
        return socket.AF_INET6 if ":" in host_or_network else socket.AF_INET
    return socket.AF_INET6 if host_or_network.version == 6 else socket.AF_INET


class Flow(NamedTuple):
    """``xfrm_selector``: which packets a policy or a state is for, seen in their direction. Zeros mean any."""

    source: Network
    destination: Network
    protocol: int = 0
    source_port: int = 0
    destination_port: int = 0

    def pack(self) -> bytes:
        """56 octets."""
        return _SELECTOR.pack(
            self.destination.network_address.packed.ljust(16, b"\0"),
            self.source.network_address.packed.ljust(16, b"\0"),
            socket.htons(self.destination_port),
            0xFFFF if self.destination_port else 0,
            socket.htons(self.source_port),
            0xFFFF if self.source_port else 0,
            family_of(self.source),
            self.destination.prefixlen,
            self.source.prefixlen,
            self.protocol,
            0,
            0,
        )


def unpack_flow(data: bytes) -> Flow:
    """Read an ``xfrm_selector``."""
    destination, source, port_d, _, port_s, _, family, bits_d, bits_s, protocol, _, _ = _SELECTOR.unpack_from(data)
    return Flow(
        _network(source, bits_s, family),
        _network(destination, bits_d, family),
        protocol,
        socket.ntohs(port_s),
        socket.ntohs(port_d),
    )


def _network(octets: bytes, bits: int, family: int) -> Network:
    if family == socket.AF_INET:
        return ipaddress.IPv4Network((octets[:4], bits), strict=False)
    return ipaddress.IPv6Network((octets, bits), strict=False)


@dataclass(frozen=True)
class Lifetime:
    """``xfrm_lifetime_cfg``: None is no limit. Seconds count from the addition."""

    soft_bytes: int | None = None
    hard_bytes: int | None = None
    soft_packets: int | None = None
    hard_packets: int | None = None
    soft_seconds: int | None = None
    hard_seconds: int | None = None

    def pack(self) -> bytes:
        """64 octets; for the kernel zero seconds are no limit, and octets and packets have a number for it."""
        amounts = (self.soft_bytes, self.hard_bytes, self.soft_packets, self.hard_packets)
        seconds = (self.soft_seconds or 0, self.hard_seconds or 0, 0, 0)
        return _LIFETIME.pack(*(INFINITE if n is None else n for n in amounts), *seconds)


def pack_id(destination: bytes, spi: int, protocol: int) -> bytes:
    """``xfrm_id``, 24 octets."""
    return _ID.pack(destination, spi.to_bytes(4, "big"), protocol)


def pack_sa_id(destination: bytes, spi: int, family: int, protocol: int) -> bytes:
    """``xfrm_usersa_id``, 24 octets."""
    return _SA_ID.pack(destination, spi.to_bytes(4, "big"), family, protocol)


class SaId(NamedTuple):
    """What finds a state: its destination, SPI and protocol."""

    destination: str
    spi: int
    protocol: int

    def pack(self) -> bytes:
        """``xfrm_usersa_id``."""
        return pack_sa_id(address(self.destination), self.spi, family_of(self.destination), self.protocol)


def unpack_sa_id(data: bytes) -> SaId:
    """Read an ``xfrm_usersa_id``."""
    destination, spi, family, protocol = _SA_ID.unpack_from(data)
    return SaId(host(destination, family), int.from_bytes(spi, "big"), protocol)


def pack_sa(
    identity: SaId,
    source: str,
    *,
    lifetime: Lifetime = Lifetime(),
    selector: bytes = bytes(SELECTOR_SIZE),
    reqid: int = 0,
    mode: int = TUNNEL,
    replay_window: int = 0,
    flags: int = 0,
    seq: int = 0,
) -> bytes:
    """``xfrm_usersa_info``, 224 octets. ``replay_window`` is that of the old kind, up to 32."""
    family = family_of(source)
    return b"".join(
        (
            selector,
            pack_id(address(identity.destination), identity.spi, identity.protocol),
            address(source),
            lifetime.pack(),
            UNUSED_LIFE,
            _SA_TAIL.pack(bytes(12), seq, reqid, family, mode, replay_window, flags),
        )
    )


def pack_policy(flow: Flow, direction: int, priority: int, action: int, index: int = 0) -> bytes:
    """``xfrm_userpolicy_info``, 168 octets; it has no end."""
    tail = _POLICY_TAIL.pack(priority, index, direction, action, 0, 0)
    return flow.pack() + Lifetime().pack() + UNUSED_LIFE + tail


def pack_policy_id(flow: Flow, direction: int) -> bytes:
    """``xfrm_userpolicy_id``, 64 octets."""
    return flow.pack() + _POLICY_ID_TAIL.pack(0, direction)


def pack_policy_index(index: int, direction: int) -> bytes:
    """``xfrm_userpolicy_id`` of the policy with this number, which the kernel finds without looking at selectors."""
    return bytes(SELECTOR_SIZE) + _POLICY_ID_TAIL.pack(index, direction)


class Template(NamedTuple):
    """``xfrm_user_tmpl``: which states serve a policy. ``source`` and ``destination`` None, and ``spi`` 0, are any."""

    source: str | None
    destination: str | None
    family: int
    reqid: int
    protocol: int = ESP
    mode: int = TUNNEL
    spi: int = 0

    def pack(self) -> bytes:
        """64 octets."""
        return _TEMPLATE.pack(
            pack_id(address(self.destination) if self.destination else NO_ADDRESS, self.spi, self.protocol),
            self.family,
            address(self.source) if self.source else NO_ADDRESS,
            self.reqid,
            self.mode,
            0,
            0,
            ALL_ALGORITHMS,
            ALL_ALGORITHMS,
            ALL_ALGORITHMS,
        )


def pack_encap(source_port: int, destination_port: int, original: str | None = None) -> bytes:
    """``xfrm_encap_tmpl`` for ESP in UDP (RFC 3948), 24 octets."""
    ports = source_port.to_bytes(2, "big"), destination_port.to_bytes(2, "big")
    return _ENCAP.pack(2, *ports, address(original) if original else NO_ADDRESS)


def pack_cipher(name: str, key: bytes) -> bytes:
    """``xfrm_algo``."""
    return _ALGORITHM.pack(name.encode(), len(key) * 8) + key


def pack_cut(name: str, key: bytes, bits: int) -> bytes:
    """``xfrm_algo_auth`` and ``xfrm_algo_aead``: ``bits`` is the length of the integrity check value."""
    return _ALGORITHM_CUT.pack(name.encode(), len(key) * 8, bits) + key


class Replay(NamedTuple):
    """Sequence numbers of a state (``xfrm_replay_state_esn``): sent, received and which of the last were received."""

    sent: int
    received: int
    bitmap: tuple[int, ...]


def pack_replay_esn(window: int, replay: Replay | None = None) -> bytes:
    """``xfrm_replay_state_esn`` with room for ``window`` packets, of which without ``replay`` there were none."""
    words = (window + 31) // 32
    sent, received, bitmap = replay or Replay(0, 0, ())
    low = 0xFFFFFFFF
    head = _REPLAY_ESN.pack(words, sent & low, received & low, sent >> 32, received >> 32, window)
    return head + (struct.pack(f"={words}I", *bitmap) if bitmap else b"")


def unpack_replay_esn(data: bytes) -> Replay:
    """The other way round."""
    words, sent, received, sent_high, received_high, _ = _REPLAY_ESN.unpack_from(data)
    bitmap = struct.unpack_from(f"={words}I", data, _REPLAY_ESN.size)
    return Replay(sent_high << 32 | sent, received_high << 32 | received, bitmap)


def pack_aevent(identity: SaId, source: str = "0.0.0.0") -> bytes:
    """``xfrm_aevent_id``, 48 octets: asks for sequence numbers and what was carried."""
    return _AEVENT.pack(identity.pack(), address(source), 0, 0)
